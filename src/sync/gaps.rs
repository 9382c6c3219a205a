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

/// Rows that are read at the source at once.
const AT_ONCE: usize = 1000;
/// Gaps that are filled at once before anything is known of them, and at the most.
const FIRST_ROWS: usize = 64;
const MOST_ROWS: usize = 1 << 16;

/// A value that fills a gap.
#[derive(Debug, Clone)]
enum Fill {
    Null,
    /// As the source sent it.
    Text(Vec<u8>),
    /// As the destination sent it.
    RowBinary(Vec<u8>),
}

/// Values by the index of their column.
type Fills = HashMap<usize, Fill>;

/// A gap with its key, as RowBinary and as the source's texts.
type Open<'a> = (&'a Gap, &'a (Vec<u8>, Vec<Vec<u8>>));

/// What is known of a key from this list.
#[derive(Debug, Clone)]
struct Known {
    version: Version,
    values: Fills,
}

/// Some gaps of one table with what they need.
struct Task<'a> {
    layout: &'a Arc<Layout>,
    gaps: &'a [&'a Gap],
    /// The key of each, as RowBinary and as the source's texts.
    keys: Vec<(Vec<u8>, Vec<Vec<u8>>)>,
    /// Columns that are left out in any of them.
    columns: Vec<usize>,
}

/// How many gaps are filled at once. The stream does not tell how long the values are that it leaves out, so that this follows from what the last ones took.
#[derive(Debug)]
pub struct Room {
    bytes: usize,
    rows: usize,
}

impl Room {
    /// The share of `sync.memory`: values are there in the server's answer, by their keys, for the next update of the key, and in the batch.
    pub fn of_memory(memory: usize) -> Self {
        Self { bytes: memory / 16, rows: FIRST_ROWS }
    }

    fn learn(&mut self, rows: usize, bytes: usize) {
        if bytes > self.bytes {
            self.rows = (rows.saturating_mul(self.bytes) / bytes).max(1);
        } else if rows == self.rows && bytes <= self.bytes / 2 {
            self.rows = (self.rows * 2).min(MOST_ROWS);
        }
    }
}

/// What closed a group's gaps.
#[derive(Debug, Default)]
pub(super) struct Filled {
    /// What was stored.
    pub(super) rows: Vec<FilledRows>,
    /// Tables with a gap that nothing can fill: they are left behind.
    pub(super) open: Vec<OpenGap>,
}

/// Rows of a table that are stored.
#[derive(Debug)]
pub(super) struct FilledRows {
    pub(super) layout: Arc<Layout>,
    pub(super) rows: usize,
    /// Values that became NULL, by their columns.
    pub(super) policy_nulls: Vec<(String, u64)>,
}

/// A gap that nothing can fill.
#[derive(Debug)]
pub(super) struct OpenGap {
    pub(super) relation: u32,
    pub(super) reason: String,
    pub(super) since: Version,
}

/// Fills a group's gaps, table by table, and stores the rows: some after the other, so that the values of all need not be held at once. What was stored before
/// is the destination's newest row of its key then.
pub(super) async fn fill(
    gaps: &[Gap],
    (sink, refetch): (&impl Sink, &mut impl Refetch),
    room: &mut Room,
) -> Result<Filled> {
    let mut tables: Vec<(&Arc<Layout>, Vec<&Gap>)> = Vec::new();
    for gap in gaps {
        match tables.iter_mut().find(|(layout, _)| Arc::ptr_eq(layout, &gap.layout)) {
            Some((_, gaps)) => gaps.push(gap),
            None => tables.push((&gap.layout, vec![gap])),
        }
    }
    let mut filled = Filled::default();
    for (layout, gaps) in tables {
        let mut rest = gaps.as_slice();
        while !rest.is_empty() {
            let (some, later) = rest.split_at(rest.len().min(room.rows));
            match Task::of(layout, some)?.fill(sink, refetch).await {
                Ok((batch, bytes)) => {
                    sink.insert(&batch).await?;
                    room.learn(some.len(), bytes.max(batch.bytes()));
                    filled.rows.push(FilledRows::of(&batch));
                }
                Err(error) if error.kind() == Kind::Value => {
                    let since = some.iter().map(|gap| gap.version).min().unwrap_or_default();
                    filled.open.push(OpenGap { relation: layout.relation, reason: error.with_causes(), since });
                    break;
                }
                Err(error) => return Err(error),
            }
            rest = later;
        }
    }
    Ok(filled)
}

impl FilledRows {
    fn of(batch: &TableBatch) -> Self {
        let policy_nulls = batch.policy_nulls().map(|(column, count)| (column.to_owned(), count)).collect();
        Self { layout: Arc::clone(batch.layout()), rows: batch.rows(), policy_nulls }
    }
}

impl<'t> Task<'t> {
    fn of(layout: &'t Arc<Layout>, gaps: &'t [&'t Gap]) -> Result<Self> {
        let mut task = Self { layout, gaps, keys: Vec::with_capacity(gaps.len()), columns: Vec::new() };
        task.read_keys()?;
        Ok(task)
    }

    fn read_keys(&mut self) -> Result<()> {
        for gap in self.gaps {
            let (mut binary, mut texts) = (Vec::new(), Vec::new());
            let fields: Vec<Field<'_>> = row(gap)?.collect();
            let place = |index: usize| gap.map.fields.iter().position(|field| *field == Some(index));
            for &index in &self.layout.key {
                let (Some(column), Some(&field)) =
                    (self.layout.columns.get(index), place(index).and_then(|place| fields.get(place)))
                else {
                    return Err(unreadable(self.layout));
                };
                let mut buffer = ColumnBuffer::of(column, self.layout.ranges).ok_or_else(|| unreadable(self.layout))?;
                buffer.append(field).map_err(|_| unreadable(self.layout))?;
                buffer.parts().iter().for_each(|part| binary.extend_from_slice(part));
                texts.push(match field {
                    Field::Text(text) => text.to_vec(),
                    _ => return Err(unreadable(self.layout)),
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

    /// The rows, and the bytes of values that were read for them at the destination.
    async fn fill(&self, sink: &impl Sink, refetch: &mut impl Refetch) -> Result<(TableBatch, usize)> {
        let keys: Vec<Vec<u8>> = self.keys.iter().map(|(binary, _)| binary.clone()).collect();
        let newest = sink.newest(self.layout, &self.columns, &keys).await?;
        let bytes = newest.values().map(|stored| stored.values.len()).sum();
        let mut known: HashMap<&[u8], Known> = HashMap::new();
        let mut batch = TableBatch::new(Arc::clone(self.layout)).ok_or_else(|| unreadable(self.layout))?;
        // Of the others what this update made is already there, or a later state of the row.
        let is_open = |(gap, (key, _)): &Open<'_>| newest.get(key).is_none_or(|stored| stored.version < gap.version);
        let open: Vec<Open<'_>> = self.gaps.iter().copied().zip(&self.keys).filter(is_open).collect();
        for some in open.chunks(AT_ONCE) {
            let asked: Vec<Open<'_>> = some.iter().copied().filter(|(gap, _)| is_of_source(gap)).collect();
            let read = self.refetched(&asked, refetch).await?;
            for &(gap, key) in some {
                let (binary, _) = key;
                let fills = if is_of_source(gap) {
                    read.get(binary.as_slice()).cloned().flatten()
                } else {
                    match self.known_fills(known.get(binary.as_slice()), newest.get(binary))? {
                        Some(fills) => Some(fills),
                        None => self.refetched(&[(gap, key)], refetch).await?.into_values().next().flatten(),
                    }
                };
                let Some(fills) = fills else {
                    batch.push_tombstone(&gap.map, row(gap)?, gap.version).map_err(|_| unreadable(self.layout))?;
                    known.remove(binary.as_slice());
                    continue;
                };
                self.push(&mut batch, gap, &fills)?;
                known.insert(binary, Known { version: gap.version, values: self.values_after(gap, fills)? });
            }
        }
        Ok((batch, bytes))
    }

    /// The fills from an earlier update of the list or from the destination's row, whichever is newer.
    fn known_fills(&self, earlier: Option<&Known>, stored: Option<&Newest>) -> Result<Option<Fills>> {
        match (earlier, stored) {
            (Some(earlier), Some(stored)) if stored.version < earlier.version => Ok(Some(earlier.values.clone())),
            (_, Some(stored)) if !stored.deleted => self.split(stored).map(Some),
            (Some(earlier), None) => Ok(Some(earlier.values.clone())),
            _ => Ok(None),
        }
    }

    /// The values of a row that the destination sent, each by its column.
    fn split(&self, newest: &Newest) -> Result<Fills> {
        let mut rest = newest.values.as_slice();
        let mut values = HashMap::new();
        for &index in &self.columns {
            let column = self.layout.columns.get(index).ok_or_else(|| unreadable(self.layout))?;
            let mut buffer = ColumnBuffer::of(column, self.layout.ranges).ok_or_else(|| unreadable(self.layout))?;
            let start = rest;
            buffer.append_row_binary(&mut rest).map_err(|_| unreadable(self.layout))?;
            let value = start.get(..start.len() - rest.len()).unwrap_or_default();
            values.insert(index, Fill::RowBinary(value.to_vec()));
        }
        Ok(values)
    }

    /// What the source has of these gaps' keys now, all read at once.
    async fn refetched<'a>(
        &self,
        gaps: &[Open<'a>],
        refetch: &mut impl Refetch,
    ) -> Result<HashMap<&'a [u8], Option<Fills>>> {
        if gaps.is_empty() {
            return Ok(HashMap::new());
        }
        let mut places: HashMap<&[u8], usize> = HashMap::new();
        let mut keys = Vec::new();
        for (_, (binary, texts)) in gaps {
            places.entry(binary).or_insert_with(|| {
                keys.push(texts.clone());
                keys.len() - 1
            });
        }
        let mut xids: Vec<u32> = gaps.iter().map(|(gap, _)| gap.xid).collect();
        xids.sort_unstable();
        xids.dedup();
        let mut rows = refetch.current(self.layout, &self.columns, &keys, &xids).await?;
        let mut fills = |place: usize| rows.get_mut(place)?.take().map(|row| by_column(&self.columns, row));
        Ok(places.into_iter().map(|(key, place)| (key, fills(place))).collect())
    }

    fn push(&self, batch: &mut TableBatch, gap: &Gap, fills: &Fills) -> Result<()> {
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
    fn values_after(&self, gap: &Gap, mut fills: Fills) -> Result<Fills> {
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

/// Whether the source alone can fill it. What is known of the key that a row changed to is of another row, which had it before.
fn is_of_source(gap: &Gap) -> bool {
    !gap.from_destination || gap.key_changed
}

fn by_column(columns: &[usize], row: CurrentRow) -> Fills {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_grows_until_it_is_full() {
        let mut room = Room::of_memory(16_000);
        let mut rows = Vec::new();
        for row_bytes in [1, 1, 10, 10, 10, 10] {
            rows.push(room.rows);
            room.learn(room.rows, room.rows * row_bytes);
        }
        assert_eq!(rows, [64, 128, 256, 100, 100, 100]);
        room.learn(7, 70);
        assert_eq!(room.rows, 100, "a few that were left say nothing");
        room.learn(100, 5_000_000);
        assert_eq!(room.rows, 1, "one is always filled");
    }
}
