//! What is stored in one go.

use super::DeadLetter;
use crate::batch::{Deletions, Layout, RowMap, TableBatch};
use crate::change::{Position, Version};
use bytes::Bytes;
use std::sync::Arc;

/// Batches of several tables that were taken in together, and how far that is, in the source's own terms.
#[derive(Debug)]
pub struct Group<P = Position> {
    /// The rows.
    pub batches: Vec<TableBatch>,
    /// Updates that left values out, in their order; stored after the rows.
    pub gaps: Vec<Gap>,
    /// Rows that are gone at the source and stay here; marked after the gaps are filled, since a row keeps its last values.
    pub deletions: Vec<Deletions>,
    /// Tables that were emptied; carried out after all rows of the group.
    pub truncations: Vec<Truncation>,
    /// Records that could not be carried; stored after the rows, before the position.
    pub dead: Vec<DeadLetter>,
    /// Up to where the source has been taken in: of a stream of transactions the end of the last whole one. Absent where that is nowhere yet.
    pub position: Option<P>,
}

impl<P> Group<P> {
    /// Rows in it.
    pub fn rows(&self) -> usize {
        self.batches.iter().map(TableBatch::rows).sum::<usize>()
            + self.gaps.len()
            + self.deletions.iter().map(Deletions::rows).sum::<usize>()
    }

    /// Bytes that wait in it.
    pub fn bytes(&self) -> usize {
        self.batches.iter().map(TableBatch::bytes).sum::<usize>()
            + self.gaps.iter().map(|gap| gap.message.len()).sum::<usize>()
            + self.deletions.iter().map(Deletions::bytes).sum::<usize>()
            + self.dead.iter().map(DeadLetter::bytes).sum::<usize>()
    }

    /// Whether there is nothing to store.
    pub fn is_empty(&self) -> bool {
        self.batches.iter().all(|batch| batch.rows() == 0)
            && self.gaps.is_empty()
            && self.truncations.is_empty()
            && self.deletions.iter().all(|deletions| deletions.rows() == 0)
            && self.dead.is_empty()
    }
}

/// An update that left out values which lie out of line and were not touched.
#[derive(Debug, Clone)]
pub struct Gap {
    /// What the table's batches look like.
    pub layout: Arc<Layout>,
    /// Where the fields go.
    pub map: Arc<RowMap>,
    /// The update, as `pgoutput` writes it.
    pub message: Bytes,
    /// Its version.
    pub version: Version,
    /// The transaction.
    pub xid: u32,
    /// Whether it moved the row to another key.
    pub key_changed: bool,
    /// Whether the destination's newest row of the key is what the update was made to: where changes of a key can overtake each other, it is not.
    pub from_destination: bool,
}

/// A table that was emptied.
#[derive(Debug, Clone)]
pub struct Truncation {
    /// The table.
    pub layout: Arc<Layout>,
    /// Rows older than this are gone.
    pub version: Version,
    /// When that was committed, in microseconds since 1970.
    pub at: i64,
}
