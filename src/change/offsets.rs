//! How far topics have been taken in.

use super::Lsn;
use std::collections::BTreeMap;
use std::sync::Arc;

/// How far one partition has been taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reached {
    /// Offset of the record that comes next.
    pub next: i64,
    /// The highest LSN of its records that were streamed, not read in a snapshot.
    pub lsn: Lsn,
}

/// How far the partitions of some topics have been taken in, by topic and partition.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Offsets(pub BTreeMap<(Arc<str>, i32), Reached>);

impl Offsets {
    /// How far one partition has been taken in.
    pub fn get(&self, topic: &Arc<str>, partition: i32) -> Option<Reached> {
        self.0.get(&(Arc::clone(topic), partition)).copied()
    }
}
