//! What is stored in one go.

use crate::batch::{Layout, RowMap, TableBatch};
use crate::change::{Position, Version};
use bytes::Bytes;
use std::sync::Arc;

/// Batches of several tables that were taken in together, and how far that is.
#[derive(Debug, Default)]
pub struct Group {
    /// The rows.
    pub batches: Vec<TableBatch>,
    /// Updates that left values out, in their order; stored after the rows.
    pub gaps: Vec<Gap>,
    /// Tables that were emptied; carried out after all rows of the group.
    pub truncations: Vec<Truncation>,
    /// The end of the last whole transaction in it, or before it; absent where none was taken in yet.
    pub position: Option<Position>,
}

impl Group {
    /// Rows in it.
    pub fn rows(&self) -> usize {
        self.batches.iter().map(TableBatch::rows).sum::<usize>() + self.gaps.len()
    }

    /// Bytes that wait in it.
    pub fn bytes(&self) -> usize {
        self.batches.iter().map(TableBatch::bytes).sum::<usize>()
            + self.gaps.iter().map(|gap| gap.message.len()).sum::<usize>()
    }

    /// Whether there is nothing to store.
    pub fn is_empty(&self) -> bool {
        self.batches.iter().all(|batch| batch.rows() == 0) && self.gaps.is_empty() && self.truncations.is_empty()
    }
}

/// An update that left out values which lie out of line and were not touched.
#[derive(Debug, Clone)]
pub struct Gap {
    /// What the table's batches look like.
    pub layout: Arc<Layout>,
    /// Where the fields go.
    pub map: Arc<RowMap>,
    /// The update, as the source sent it.
    pub message: Bytes,
    /// Its version.
    pub version: Version,
    /// The transaction.
    pub xid: u32,
    /// Whether it moved the row to another key.
    pub key_changed: bool,
}

/// A table that was emptied.
#[derive(Debug, Clone)]
pub struct Truncation {
    /// The table.
    pub layout: Arc<Layout>,
    /// Rows older than this are gone.
    pub version: Version,
}
