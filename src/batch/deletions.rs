//! Keys of rows that are gone at the source but stay at the destination.

use super::column::{ColumnBuffer, Fault};
use super::table::{Layout, RowFault, RowMap};
use crate::change::{Field, Version};
use std::sync::Arc;

/// Rows of one table that were deleted at the source: each as RowBinary of the key's columns, the version (`UInt128`) and the time of the commit
/// (microseconds since 1970, `Int64`).
#[derive(Debug)]
pub struct Deletions {
    layout: Arc<Layout>,
    /// A buffer for a value of each column of the key, in the key's order.
    buffers: Vec<ColumnBuffer>,
    bytes: Vec<u8>,
    /// Where each row ends.
    ends: Vec<usize>,
}

impl Deletions {
    /// No rows yet. `None` where the layout asks for a conversion that does not exist.
    pub fn new(layout: Arc<Layout>) -> Option<Self> {
        let buffer = |index: &usize| ColumnBuffer::of(layout.columns.get(*index)?, layout.ranges);
        let buffers = layout.key.iter().map(buffer).collect::<Option<_>>()?;
        Some(Self { layout, buffers, bytes: Vec::new(), ends: Vec::new() })
    }

    /// The table.
    pub fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    /// How many rows.
    pub fn rows(&self) -> usize {
        self.ends.len()
    }

    /// Bytes that wait in it.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The rows, one after another.
    pub fn each(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| self.bytes.get(start..*end).unwrap_or_default())
    }

    /// Appends the key of an old row; `at` in microseconds since 1970.
    ///
    /// # Errors
    /// [`RowFault`] where the key is not in the fields; what was there is as it was.
    pub fn push<'a>(
        &mut self,
        map: &RowMap,
        fields: impl Iterator<Item = Field<'a>>,
        (version, at): (Version, i64),
    ) -> Result<(), RowFault> {
        let start = self.bytes.len();
        for (place, field) in map.fields.iter().zip(fields) {
            let Some(index) = *place else { continue };
            let key = self.layout.key.iter().position(|key| *key == index);
            let Some(buffer) = key.and_then(|key| self.buffers.get_mut(key)) else { continue };
            if let Err(fault) = buffer.append(field) {
                self.undo(start);
                return Err(RowFault { column: index, fault });
            }
        }
        let missing = self.buffers.iter().position(|buffer| buffer.rows() == 0);
        if let Some(column) = missing.and_then(|key| self.layout.key.get(key).copied()) {
            self.undo(start);
            return Err(RowFault { column, fault: Fault::Unchanged });
        }
        for buffer in &mut self.buffers {
            // Nothing in a key is nullable or an array, so that the two formats are one.
            buffer.parts().iter().for_each(|part| self.bytes.extend_from_slice(part));
            buffer.undo();
        }
        self.bytes.extend_from_slice(&version.0.to_le_bytes());
        self.bytes.extend_from_slice(&at.to_le_bytes());
        self.ends.push(self.bytes.len());
        Ok(())
    }

    /// Appends a key as it lies in a row that ClickHouse sent.
    pub fn push_key(&mut self, key: &[u8], (version, at): (Version, i64)) {
        self.bytes.extend_from_slice(key);
        self.bytes.extend_from_slice(&version.0.to_le_bytes());
        self.bytes.extend_from_slice(&at.to_le_bytes());
        self.ends.push(self.bytes.len());
    }

    fn undo(&mut self, start: usize) {
        self.bytes.truncate(start);
        self.buffers.iter_mut().filter(|buffer| buffer.rows() > 0).for_each(ColumnBuffer::undo);
    }
}
