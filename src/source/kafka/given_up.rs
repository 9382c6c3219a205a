//! Partitions that this member of the group had.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

/// Partitions that another member may read by now: how far they are stored is its to say, also where rows of them are still on their way here. What it says
/// would otherwise be put back behind what it has stored.
#[derive(Debug, Clone, Default)]
pub struct GivenUp(Arc<Mutex<Places>>);

type Places = BTreeSet<(Arc<str>, i32)>;

impl GivenUp {
    /// Whether a partition is another's.
    pub fn holds(&self, topic: &Arc<str>, partition: i32) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(&(Arc::clone(topic), partition))
    }

    pub(super) fn add(&self, topic: Arc<str>, partition: i32) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert((topic, partition));
    }

    pub(super) fn take_back(&self, topic: Arc<str>, partition: i32) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&(topic, partition));
    }
}
