//! Fills the gaps that updates leave: values that lie out of line and were not touched, which Postgres does not send.
//!
//! The order of places to look, when the key stayed the same: an earlier update of the key in this very list; the destination's newest row of the key,
//! where it is live and older than the update; the source. When the key changed: the source by the new key alone, since on a repetition the destination
//! has only a tombstone under the old key. The rows of the list's group are stored before, so that the destination's newest
//! row includes them. An update is skipped where the destination already has its version or a newer one. Where the source no longer has the key, a
//! tombstone stands in: the row's end comes later in the stream.

use super::intake::merged;
use crate::batch::{ColumnBuffer, Fault, Layout, RowFault, TableBatch};
use crate::change::{Field, Version};
use crate::decode::pgoutput::{self, Message};
use crate::error::{Error, Kind, Result};
use crate::flow::{CurrentRow, Gap, Newest, Refetch, Sink};
use std::collections::HashMap;
use std::sync::Arc;

/// A value that fills a gap.
#[derive(Debug, Clone)]
enum Fill {
    Null,
    /// As the source sent it.
    Text(Vec<u8>),
    /// As the destination sent it.
    RowBinary(Vec<u8>),
}

/// What is known of a key from this list.
#[derive(Debug, Clone)]
struct Known {
    version: Version,
    values: HashMap<usize, Fill>,
}

/// The gaps of one table with what they need.
struct Task<'a> {
    layout: Arc<Layout>,
    gaps: Vec<&'a Gap>,
    /// The key of each, as RowBinary and as the source's texts.
    keys: Vec<(Vec<u8>, Vec<Vec<u8>>)>,
    /// Columns that are left out in any of them.
    columns: Vec<usize>,
}

/// What closes a group's gaps.
#[derive(Debug, Default)]
pub(super) struct Filled {
    /// The rows, a batch a table.
    pub(super) batches: Vec<TableBatch>,
    /// Tables with a gap that nothing can fill: they are left behind.
    pub(super) open: Vec<OpenGap>,
}

/// A gap that nothing can fill.
#[derive(Debug)]
pub(super) struct OpenGap {
    pub(super) relation: u32,
    pub(super) reason: String,
    pub(super) since: Version,
}

/// Fills a group's gaps, table by table.
pub(super) async fn fill(gaps: &[Gap], sink: &impl Sink, refetch: &mut impl Refetch) -> Result<Filled> {
    let mut tasks: Vec<Task<'_>> = Vec::new();
    for gap in gaps {
        if let Some(task) = tasks.iter_mut().find(|task| Arc::ptr_eq(&task.layout, &gap.layout)) {
            task.gaps.push(gap);
        } else {
            tasks.push(Task {
                layout: Arc::clone(&gap.layout),
                gaps: vec![gap],
                keys: Vec::new(),
                columns: Vec::new(),
            });
        }
    }
    let mut filled = Filled::default();
    for mut task in tasks {
        task.read_keys()?;
        match task.fill(sink, refetch).await {
            Ok(batch) => filled.batches.push(batch),
            Err(error) if error.kind() == Kind::Value => {
                let since = task.gaps.iter().map(|gap| gap.version).min().unwrap_or_default();
                filled.open.push(OpenGap { relation: task.layout.relation, reason: error.with_causes(), since });
            }
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

impl Task<'_> {
    fn read_keys(&mut self) -> Result<()> {
        for gap in &self.gaps {
            let (mut binary, mut texts) = (Vec::new(), Vec::new());
            let fields: Vec<Field<'_>> = row(gap)?.collect();
            let place = |index: usize| gap.map.fields.iter().position(|field| *field == Some(index));
            for &index in &self.layout.key {
                let (Some(column), Some(&field)) =
                    (self.layout.columns.get(index), place(index).and_then(|place| fields.get(place)))
                else {
                    return Err(unreadable(&self.layout));
                };
                let mut buffer = ColumnBuffer::new(&column.source, &column.column_type, self.layout.ranges)
                    .ok_or_else(|| unreadable(&self.layout))?;
                buffer.append(field).map_err(|_| unreadable(&self.layout))?;
                buffer.parts().iter().for_each(|part| binary.extend_from_slice(part));
                texts.push(match field {
                    Field::Text(text) => text.to_vec(),
                    _ => return Err(unreadable(&self.layout)),
                });
            }
            for (field, place) in fields.iter().zip(&gap.map.fields) {
                if let (Field::Unchanged, Some(index)) = (field, place)
                    && !self.columns.contains(index)
                {
                    self.columns.push(*index);
                }
            }
            self.keys.push((binary, texts));
        }
        Ok(())
    }

    async fn fill(&self, sink: &impl Sink, refetch: &mut impl Refetch) -> Result<TableBatch> {
        let keys: Vec<Vec<u8>> = self.keys.iter().map(|(binary, _)| binary.clone()).collect();
        let newest = sink.newest(&self.layout, &self.columns, &keys).await?;
        let mut known: HashMap<&[u8], Known> = HashMap::new();
        let mut batch = TableBatch::new(Arc::clone(&self.layout)).ok_or_else(|| unreadable(&self.layout))?;
        for (gap, (key, texts)) in self.gaps.iter().zip(&self.keys) {
            let stored = newest.get(key);
            if stored.is_some_and(|stored| stored.version >= gap.version) {
                // What this update made is already there, or a later state of the row.
                continue;
            }
            let earlier = known.get(key.as_slice());
            let fills = match self.known_fills(gap, earlier, stored)? {
                Some(fills) => Some(fills),
                None => self.refetched(gap, texts, refetch).await?,
            };
            let Some(fills) = fills else {
                batch.push_tombstone(&gap.map, row(gap)?, gap.version).map_err(|_| unreadable(&self.layout))?;
                known.remove(key.as_slice());
                continue;
            };
            self.push(&mut batch, gap, &fills)?;
            known.insert(key, Known { version: gap.version, values: self.values_after(gap, fills)? });
        }
        Ok(batch)
    }

    /// The fills from an earlier update of the list or from the destination's row, whichever is newer.
    fn known_fills(
        &self,
        gap: &Gap,
        earlier: Option<&Known>,
        stored: Option<&Newest>,
    ) -> Result<Option<HashMap<usize, Fill>>> {
        if !gap.from_destination {
            return Ok(None);
        }
        if gap.key_changed {
            // What is known of the new key is of another row, which had it before.
            return Ok(None);
        }
        match (earlier, stored) {
            (Some(earlier), Some(stored)) if stored.version < earlier.version => Ok(Some(earlier.values.clone())),
            (_, Some(stored)) if !stored.deleted => self.split(stored).map(Some),
            (Some(earlier), None) => Ok(Some(earlier.values.clone())),
            _ => Ok(None),
        }
    }

    /// The values of a row that the destination sent, each by its column.
    fn split(&self, newest: &Newest) -> Result<HashMap<usize, Fill>> {
        let mut rest = newest.values.as_slice();
        let mut values = HashMap::new();
        for &index in &self.columns {
            let column = self.layout.columns.get(index).ok_or_else(|| unreadable(&self.layout))?;
            let mut buffer = ColumnBuffer::new(&column.source, &column.column_type, self.layout.ranges)
                .ok_or_else(|| unreadable(&self.layout))?;
            let start = rest;
            buffer.append_row_binary(&mut rest).map_err(|_| unreadable(&self.layout))?;
            let value = start.get(..start.len() - rest.len()).unwrap_or_default();
            values.insert(index, Fill::RowBinary(value.to_vec()));
        }
        Ok(values)
    }

    async fn refetched(
        &self,
        gap: &Gap,
        key: &[Vec<u8>],
        refetch: &mut impl Refetch,
    ) -> Result<Option<HashMap<usize, Fill>>> {
        let keys = [key.to_vec()];
        let rows = refetch.current(&self.layout, &self.columns, &keys, gap.xid).await?;
        let Some(Some(row)) = rows.into_iter().next() else { return Ok(None) };
        Ok(Some(by_column(&self.columns, row)))
    }

    fn push(&self, batch: &mut TableBatch, gap: &Gap, fills: &HashMap<usize, Fill>) -> Result<()> {
        let mut fill = |index: usize, column: &mut ColumnBuffer| match fills.get(&index) {
            Some(Fill::Null) => column.append(Field::Null),
            Some(Fill::Text(text)) => column.append(Field::Text(text)),
            Some(Fill::RowBinary(bytes)) => column.append_row_binary(&mut bytes.as_slice()),
            None => Err(Fault::Unchanged),
        };
        batch.push_filled(&gap.map, row(gap)?, &mut fill, gap.version).map_err(|RowFault { column, fault }| {
            let name = self.layout.columns.get(column).map_or("", |column| column.name.as_str());
            Error::new(
                Kind::Value,
                format!("could not complete an update of \"{}\": column \"{name}\" got {fault}", self.layout.target),
            )
        })
    }

    /// What the row's out-of-line columns hold after the update, for the next update of the same key.
    fn values_after(&self, gap: &Gap, mut fills: HashMap<usize, Fill>) -> Result<HashMap<usize, Fill>> {
        for (field, place) in row(gap)?.zip(&gap.map.fields) {
            let Some(index) = place.filter(|index| self.columns.contains(index)) else { continue };
            match field {
                Field::Text(text) => {
                    fills.insert(index, Fill::Text(text.to_vec()));
                }
                Field::Null => {
                    fills.insert(index, Fill::Null);
                }
                Field::Unchanged | Field::Binary(_) => {}
            }
        }
        Ok(fills)
    }
}

fn by_column(columns: &[usize], row: CurrentRow) -> HashMap<usize, Fill> {
    columns.iter().copied().zip(row.into_iter().map(|value| value.map_or(Fill::Null, Fill::Text))).collect()
}

/// The update's new row, as far as the message has it.
fn row(gap: &Gap) -> Result<impl Iterator<Item = Field<'_>>> {
    match pgoutput::parse(&gap.message) {
        Ok(Message::Update { old, new, .. }) => Ok(merged(new, old)),
        _ => Err(unreadable(&gap.layout)),
    }
}

fn unreadable(layout: &Layout) -> Error {
    Error::new(Kind::Unexpected, format!("could not read an update of \"{}\" again", layout.target))
}
