//! Takes changes in: each row goes straight from its message into the column buffers of its table's open batch.

use crate::batch::{Deletions, Fault, Layout, LogChange, LogOp, RowFault, RowMap, TableBatch, filled};
use crate::change::{Field, Lsn, Position, SourceType, Version};
use crate::decode::pgoutput::{self, Message, Old, Relation, Tuple};
use crate::error::{Error, Kind, Result};
use crate::flow::{Adopted, Gap, Group, Truncation};
use bytes::Bytes;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

/// What a message asks of the engine before the next one can be taken in.
#[derive(Debug)]
pub(super) enum Step {
    /// Nothing.
    Done,
    /// To look this relation up; its rows follow.
    Adopt(Relation),
    /// To let a column bear NULL, and to take the message in again.
    Relax { relation: u32, column: String, since: Version },
    /// To leave the table behind from this version on.
    Park { relation: u32, reason: String, since: Version },
}

/// The open batches.
#[derive(Debug, Default)]
pub(super) struct Intake {
    tables: HashMap<u32, (Relation, Adopted)>,
    open: HashMap<u32, TableBatch>,
    /// Batches of a layout that has changed since.
    closed: Vec<TableBatch>,
    /// The last version and ordinal of tables without a key, for their next batch.
    counted: HashMap<u32, (Version, u64)>,
    gaps: Vec<Gap>,
    /// Rows that stay although they were deleted, table by table.
    deletions: Vec<Deletions>,
    truncations: Vec<Truncation>,
    transaction: Option<(Lsn, u32)>,
    /// When the transaction was committed, in microseconds since 1970.
    committed_at: i64,
    position: Option<Position>,
    pub(super) since: Option<Instant>,
    rows: usize,
    bytes: usize,
    largest: usize,
}

impl Intake {
    /// A transaction begins; `at` in microseconds since 1970.
    pub(super) fn begin(&mut self, commit: Lsn, xid: u32, at: i64) {
        self.transaction = Some((commit, xid));
        self.committed_at = at;
    }

    pub(super) fn commit(&mut self, position: Position) {
        self.transaction = None;
        self.position = Some(position);
    }

    pub(super) fn in_transaction(&self) -> bool {
        self.transaction.is_some()
    }

    pub(super) fn position(&self) -> Option<Position> {
        self.position
    }

    /// Rows of the largest insert that would be sent now: a batch, the gaps, or the deletions of a table whose rows stay.
    pub(super) fn largest(&self) -> usize {
        self.largest
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows == 0 && self.truncations.is_empty()
    }

    /// Takes in what is to be done with a relation's rows.
    pub(super) fn adopt(&mut self, relation: Relation, adopted: Adopted) {
        if let Some(batch) = self.open.remove(&relation.id) {
            self.closed.push(batch);
        }
        self.tables.insert(relation.id, (relation, adopted));
    }

    pub(super) fn relation(&self, id: u32) -> Option<Relation> {
        self.tables.get(&id).map(|(relation, _)| relation.clone())
    }

    /// The name at the destination of a relation that is stored.
    pub(super) fn target(&self, id: u32) -> Option<String> {
        match self.tables.get(&id) {
            Some((_, Adopted::Stored { layout, .. })) => Some(layout.target.clone()),
            _ => None,
        }
    }

    pub(super) fn park(&mut self, id: u32) {
        if let Some((_, adopted)) = self.tables.get_mut(&id) {
            *adopted = Adopted::Parked;
        }
        self.open.remove(&id);
        self.gaps.retain(|gap| gap.layout.relation != id);
        self.deletions.retain(|deletions| deletions.layout().relation != id);
        self.truncations.retain(|truncation| truncation.layout.relation != id);
    }

    /// Everything taken in so far; the intake begins anew.
    pub(super) fn seal(&mut self) -> Group {
        let mut batches = std::mem::take(&mut self.closed);
        batches.extend(self.open.drain().map(|(_, batch)| batch));
        (self.rows, self.bytes, self.largest, self.since) = (0, 0, 0, None);
        Group {
            batches,
            gaps: std::mem::take(&mut self.gaps),
            deletions: std::mem::take(&mut self.deletions),
            truncations: std::mem::take(&mut self.truncations),
            dead: Vec::new(),
            position: self.position,
        }
    }

    /// Forgets what was taken in but not sealed: the source sends it again. What is known of relations goes too, since the source tells it
    /// again to each session; and the position, which may cover rows that were just forgotten.
    pub(super) fn discard(&mut self) {
        *self = Self::default();
    }

    /// Takes a message in.
    pub(super) fn take(&mut self, lsn: Lsn, message: &Bytes) -> Result<Step> {
        let parsed = pgoutput::parse(message).map_err(|malformed| {
            Error::new(Kind::Source, format!("could not read a message of the stream at {lsn}")).because(malformed)
        })?;
        let relation = match &parsed {
            Message::Relation(relation) => return Ok(Step::Adopt(relation.clone())),
            Message::Other => return Ok(Step::Done),
            Message::Truncate { relations } => {
                self.truncate(lsn, relations)?;
                return Ok(Step::Done);
            }
            Message::Insert { relation, .. } | Message::Update { relation, .. } | Message::Delete { relation, .. } => {
                *relation
            }
        };
        let (version, xid) = self.version(lsn)?;
        let Some((_, adopted)) = self.tables.get(&relation) else {
            return Err(Error::new(Kind::Source, format!("the stream sent a row of an unknown relation {relation}")));
        };
        let Adopted::Stored { layout, map } = adopted else { return Ok(Step::Done) };
        let (layout, map) = (Arc::clone(layout), Arc::clone(map));
        if layout.is_copied(version) {
            return Ok(Step::Done);
        }
        if let (Some(_), Message::Delete { old, .. }) = (&layout.source_deleted_column, &parsed) {
            return Ok(self.mark_deleted(&layout, &map, (*old, version)));
        }
        let counted = self.counted.get(&relation).copied();
        let batch = open(&mut self.open, &layout, counted)?;
        let before = (batch.rows(), batch.bytes());
        let gap = |key_changed| Gap {
            layout: Arc::clone(&layout),
            map: Arc::clone(&map),
            message: message.clone(),
            version,
            xid,
            key_changed,
            from_destination: true,
        };
        let outcome = if layout.is_history() {
            store_logged(batch, &map, &parsed, (version, self.committed_at))
        } else {
            store(batch, &map, &parsed, version)
        };
        let (rows, bytes) = (batch.rows() - before.0, batch.bytes() - before.1);
        self.largest = self.largest.max(batch.rows());
        if layout.deleted_column.is_none()
            && let Some(last) = batch.last()
        {
            self.counted.insert(relation, last);
        }
        self.count(rows, bytes);
        match outcome {
            Ok(()) => Ok(Step::Done),
            Err(StoreFault::Gap { key_changed }) => {
                self.leave_open(gap(key_changed));
                Ok(Step::Done)
            }
            Err(StoreFault::Row(fault)) => Ok(refused(&layout, fault, version)),
        }
    }

    fn leave_open(&mut self, gap: Gap) {
        self.count(1, gap.message.len());
        self.gaps.push(gap);
        self.largest = self.largest.max(self.gaps.len());
    }

    /// A row that stays although it is gone at the source.
    fn mark_deleted(&mut self, layout: &Arc<Layout>, map: &RowMap, (old, version): (Old<'_>, Version)) -> Step {
        match mark(&mut self.deletions, layout, map, (old.tuple(), version, self.committed_at)) {
            Ok(bytes) => self.count(1, bytes),
            Err(fault) => return refused(layout, fault, version),
        }
        self.largest = self.largest.max(self.deletions.iter().map(Deletions::rows).max().unwrap_or_default());
        Step::Done
    }

    fn count(&mut self, rows: usize, bytes: usize) {
        self.rows += rows;
        self.bytes += bytes;
        if rows > 0 && self.since.is_none() {
            self.since = Some(Instant::now());
        }
    }

    fn version(&self, lsn: Lsn) -> Result<(Version, u32)> {
        let (commit, xid) = self
            .transaction
            .ok_or_else(|| Error::new(Kind::Source, format!("the stream sent a row outside a transaction at {lsn}")))?;
        Ok((Version::new(commit, lsn), xid))
    }

    fn truncate(&mut self, lsn: Lsn, relations: &[u32]) -> Result<()> {
        let (version, _) = self.version(lsn)?;
        for id in relations {
            if let Some((_, Adopted::Stored { layout, .. })) = self.tables.get(id) {
                if layout.is_history() {
                    if !layout.is_copied(version) {
                        let batch = open(&mut self.open, layout, self.counted.get(id).copied())?;
                        batch.push_emptied(version, self.committed_at);
                        self.counted.extend(batch.last().map(|last| (*id, last)));
                        self.rows += 1;
                    }
                    self.since.get_or_insert_with(Instant::now);
                    continue;
                }
                self.truncations.push(Truncation { layout: Arc::clone(layout), version, at: self.committed_at });
                self.since.get_or_insert_with(Instant::now);
            }
        }
        Ok(())
    }
}

fn open<'a>(
    batches: &'a mut HashMap<u32, TableBatch>,
    layout: &Arc<Layout>,
    counted: Option<(Version, u64)>,
) -> Result<&'a mut TableBatch> {
    match batches.entry(layout.relation) {
        std::collections::hash_map::Entry::Occupied(batch) => Ok(batch.into_mut()),
        std::collections::hash_map::Entry::Vacant(place) => {
            let batch = TableBatch::new(Arc::clone(layout)).ok_or_else(|| unstorable(layout))?;
            Ok(place.insert(batch.counting_from(counted)))
        }
    }
}

fn unstorable(layout: &Layout) -> Error {
    Error::new(Kind::Value, format!("could not store \"{}\": a column's type has no conversion", layout.target))
}

/// Notes a row that stays although it was deleted; `at` in microseconds since 1970. Returns the bytes that it takes.
pub(super) fn mark<'a>(
    marked: &mut Vec<Deletions>,
    layout: &Arc<Layout>,
    map: &RowMap,
    (old, version, at): (impl Iterator<Item = Field<'a>>, Version, i64),
) -> Result<usize, RowFault> {
    let place = marked.iter().position(|deletions| Arc::ptr_eq(deletions.layout(), layout));
    let place = if let Some(place) = place {
        place
    } else {
        let none = Deletions::new(Arc::clone(layout));
        marked.push(none.ok_or(RowFault { column: 0, fault: Fault::Unchanged })?);
        marked.len() - 1
    };
    let Some(deletions) = marked.get_mut(place) else { return Ok(0) };
    let before = deletions.bytes();
    deletions.push(map, old, (version, at))?;
    Ok(deletions.bytes() - before)
}

enum StoreFault {
    /// A value was left out of the message and is not in its old row either.
    Gap {
        key_changed: bool,
    },
    Row(RowFault),
}

impl From<RowFault> for StoreFault {
    fn from(fault: RowFault) -> Self {
        Self::Row(fault)
    }
}

/// Appends what a change stores: a row, a tombstone, or, where the key changed, both.
fn store(batch: &mut TableBatch, map: &RowMap, message: &Message<'_>, version: Version) -> Result<(), StoreFault> {
    let keyed = batch.layout().deleted_column.is_some();
    match *message {
        Message::Insert { new, .. } => Ok(batch.push(map, new, version)?),
        Message::Delete { old, .. } if keyed => Ok(batch.push_tombstone(map, old.tuple(), version)?),
        Message::Update { old, new, .. } if keyed => {
            let key_changed = old.is_some_and(|old| key_changed(batch.layout(), map, old.tuple(), new));
            if let (true, Some(old)) = (key_changed, old) {
                batch.push_tombstone(map, old.tuple(), version)?;
            }
            match batch.push(map, merged(new, old), version) {
                Err(RowFault { fault: Fault::Unchanged, .. }) => Err(StoreFault::Gap { key_changed }),
                outcome => Ok(outcome?),
            }
        }
        _ => Ok(()),
    }
}

fn store_logged(
    batch: &mut TableBatch,
    map: &RowMap,
    message: &Message<'_>,
    (version, at): (Version, i64),
) -> Result<(), StoreFault> {
    match logged(message, at) {
        Some(change) => Ok(batch.push_change(map, version, change)?),
        None => Ok(()),
    }
}

/// What a message is in a log.
fn logged<'a>(message: &Message<'a>, at: i64) -> Option<LogChange<Tuple<'a>>> {
    let (op, old, new) = match *message {
        Message::Insert { new, .. } => (LogOp::Insert, None, Some(new)),
        Message::Update { old, new, .. } => (LogOp::Update, old, Some(new)),
        Message::Delete { old, .. } => (LogOp::Delete, Some(old), None),
        _ => return None,
    };
    let key_only = matches!(old, Some(Old::Key(_)));
    Some(LogChange { op, old: old.map(Old::tuple), new, key_only, at: Some(at) })
}

/// The new row, with the old one's value wherever it was left out and the old one has it.
pub(super) fn merged<'a>(new: Tuple<'a>, old: Option<Old<'a>>) -> impl Iterator<Item = Field<'a>> {
    filled(new, old.map(Old::tuple))
}

/// Whether the row is another one for ClickHouse. A key image is only sent where the key changed; a whole old row has to be compared.
pub(super) fn key_changed<'a>(
    layout: &Layout,
    map: &RowMap,
    mut old_fields: impl Iterator<Item = Field<'a>>,
    new: impl Iterator<Item = Field<'a>>,
) -> bool {
    let mut fields = map.fields.iter();
    for new in new {
        let (Some(place), Some(old)) = (fields.next(), old_fields.next()) else { return false };
        let Some(index) = place.filter(|index| layout.key.contains(index)) else { continue };
        let float = layout
            .columns
            .get(index)
            .is_some_and(|column| matches!(column.source, SourceType::Float4 | SourceType::Float8));
        if new != Field::Unchanged && new != old && !(float && same_float(old, new)) {
            return true;
        }
    }
    false
}

/// -0.0 and 0.0 are one key for ClickHouse: a tombstone of the one would tie with the row of the other.
#[expect(clippy::float_cmp, reason = "equal for ClickHouse's sorting key, not nearly equal")]
fn same_float(old: Field<'_>, new: Field<'_>) -> bool {
    let number = |field| match field {
        Field::Text(text) => crate::decode::number::float::<f64>(text).ok(),
        _ => None,
    };
    matches!((number(old), number(new)), (Some(old), Some(new)) if old == new)
}

fn refused(layout: &Layout, fault: RowFault, version: Version) -> Step {
    let relation = layout.relation;
    let column = layout.columns.get(fault.column).map(|column| column.name.clone()).unwrap_or_default();
    match fault.fault {
        Fault::Null => Step::Relax { relation, column, since: version },
        fault => {
            let reason = format!("column \"{column}\" got {fault}");
            Step::Park { relation, reason, since: version }
        }
    }
}
