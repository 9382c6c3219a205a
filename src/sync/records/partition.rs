//! A partition that is being read.

use crate::change::{Lsn, Reached};
use crate::flow::Assigned;
use std::sync::Arc;

/// How far it was read, and what is known of its last record.
#[derive(Debug)]
pub(super) struct Partition {
    pub(super) topic: Arc<str>,
    /// Its number in the topic.
    pub(super) number: i32,
    /// Whether the destination's newest row of a key is what its next record here was made to.
    pub(super) in_order: bool,
    /// Whether the topic has no other partition.
    pub(super) alone: bool,
    /// The table of the last record.
    pub(super) table: Option<usize>,
    /// The schema's text of the last record that carried one.
    pub(super) known: Vec<u8>,
    /// What that schema is: the table's index, how often its shapes had changed, and the shape's index.
    pub(super) known_shape: Option<(usize, u64, usize)>,
    stored: Option<Reached>,
    /// Offset of the first record.
    first: Option<i64>,
    /// Offset of the record that comes next; none before the first.
    next: Option<i64>,
    /// The highest LSN that was streamed.
    lsn: Lsn,
    moved: bool,
}

impl Partition {
    pub(super) fn new(assigned: &Assigned, stored: Option<Reached>, (alone, in_order): (bool, bool)) -> Self {
        Self {
            topic: Arc::clone(&assigned.topic),
            number: assigned.partition,
            in_order,
            alone,
            table: None,
            known: Vec::new(),
            known_shape: None,
            stored,
            first: None,
            next: None,
            lsn: stored.map(|stored| stored.lsn).unwrap_or_default(),
            moved: false,
        }
    }

    /// A record comes. Behind a rewind nothing counts as streamed: what comes was there before.
    pub(super) fn begin(&mut self, offset: i64) {
        if self.next.is_none() {
            (self.first, self.next) = (Some(offset), Some(offset));
            if self.stored.is_none_or(|stored| offset < stored.next) {
                self.lsn = Lsn::ZERO;
            }
        }
    }

    /// The record was taken in.
    pub(super) fn pass(&mut self, offset: i64) {
        self.next = Some(offset + 1);
        self.moved = true;
    }

    /// Whether any record was taken in, or set aside.
    pub(super) fn has_passed(&self) -> bool {
        self.next > self.first
    }

    /// Everything before this offset was handed out: what lies between holds no record.
    pub(super) fn drained_to(&mut self, end: i64) -> bool {
        let further = self.next.is_some_and(|next| end > next);
        if further {
            self.next = Some(end);
            self.moved = true;
        }
        further
    }

    /// A record was streamed, not read by a snapshot.
    pub(super) fn saw(&mut self, lsn: Lsn) {
        self.lsn = self.lsn.max(lsn);
    }

    /// The highest LSN that was streamed.
    pub(super) fn streamed(&self) -> Lsn {
        self.lsn
    }

    /// Offset of the record that comes next; none before the first.
    pub(super) fn next(&self) -> Option<i64> {
        self.next.or(self.stored.map(|stored| stored.next))
    }

    /// Where it is read up to, where that has changed since the last call.
    pub(super) fn take_moved(&mut self) -> Option<((Arc<str>, i32), Reached)> {
        let next = self.next.filter(|_| std::mem::take(&mut self.moved))?;
        Some(((Arc::clone(&self.topic), self.number), Reached { next, lsn: self.lsn }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(stored: Option<(i64, u64)>) -> Partition {
        let assigned = Assigned { id: 1, topic: "t".into(), partition: 0 };
        Partition::new(&assigned, stored.map(|(next, lsn)| Reached { next, lsn: Lsn(lsn) }), (true, true))
    }

    #[test]
    fn a_rewound_partition_has_streamed_nothing_yet() {
        let mut goes_on = partition(Some((5, 100)));
        goes_on.begin(5);
        assert_eq!(goes_on.streamed(), Lsn(100));
        let mut rewound = partition(Some((5, 100)));
        rewound.begin(0);
        assert_eq!(rewound.streamed(), Lsn::ZERO);
        rewound.saw(Lsn(7));
        rewound.begin(1);
        assert_eq!(rewound.streamed(), Lsn(7));
    }

    #[test]
    fn tells_once_how_far_it_is() {
        let mut partition = partition(None);
        assert!(partition.take_moved().is_none() && partition.next().is_none());
        partition.begin(3);
        partition.pass(3);
        assert_eq!(partition.take_moved().map(|(_, reached)| reached.next), Some(4));
        assert!(partition.take_moved().is_none());
    }
}
