//! The tables that are to be copied, one after another.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;

/// A table that is to be copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Want {
    /// Its id at the source.
    pub(crate) relation: u32,
    /// Why, for people.
    pub(crate) reason: String,
    /// The wish that it fulfils, where somebody asked for it.
    pub(crate) request: Option<String>,
    /// Rows a second at most.
    pub(crate) max_rows_per_second: Option<u64>,
    /// The statement that makes the table as whoever asks has it configured; empty where nobody asks.
    pub(crate) wanted: String,
    /// The partitions that are to be copied, where that is not all of the table.
    pub(crate) leaves: Vec<u32>,
}

impl Want {
    /// What nobody asked for, but is needed.
    pub(crate) fn needed(relation: u32, reason: impl Into<String>) -> Self {
        Self {
            relation,
            reason: reason.into(),
            request: None,
            max_rows_per_second: None,
            wanted: String::new(),
            leaves: Vec::new(),
        }
    }
}

#[derive(Debug, Default)]
struct Waiting {
    queue: VecDeque<Want>,
    active: Option<u32>,
}

/// The queue. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct CopyQueue {
    waiting: Arc<Mutex<Waiting>>,
    changed: Arc<Notify>,
}

impl CopyQueue {
    fn with<T>(&self, change: impl FnOnce(&mut Waiting) -> T) -> T {
        change(&mut self.waiting.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Adds a table, unless it is there already. Whether it was added.
    pub(crate) fn push(&self, want: Want) -> bool {
        let added = self.with(|waiting| {
            let is_there = waiting.active == Some(want.relation)
                || waiting.queue.iter().any(|other| other.relation == want.relation);
            if !is_there {
                waiting.queue.push_back(want);
            }
            !is_there
        });
        if added {
            self.changed.notify_one();
        }
        added
    }

    /// Takes the next table; it counts as being copied until [`CopyQueue::done`].
    pub(crate) fn take(&self) -> Option<Want> {
        self.with(|waiting| {
            let want = waiting.queue.pop_front()?;
            waiting.active = Some(want.relation);
            Some(want)
        })
    }

    /// The table that was taken last is dealt with.
    pub(crate) fn done(&self) {
        self.with(|waiting| waiting.active = None);
    }

    /// Whether any table waits or is being copied.
    pub(crate) fn is_busy(&self) -> bool {
        self.with(|waiting| waiting.active.is_some() || !waiting.queue.is_empty())
    }

    /// Waits until a table was added.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_waits_once() {
        let queue = CopyQueue::default();
        assert!(
            queue.push(Want::needed(1, "a")) && !queue.push(Want::needed(1, "b")) && queue.push(Want::needed(2, "c"))
        );
        assert_eq!(queue.take().map(|want| want.reason), Some("a".to_owned()));
        assert!(!queue.push(Want::needed(1, "while it is copied")) && queue.is_busy());
        queue.done();
        assert_eq!(queue.take().map(|want| want.relation), Some(2));
        queue.done();
        assert!(queue.take().is_none() && !queue.is_busy());
    }
}
