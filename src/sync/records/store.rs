//! One change on its way from its envelope into its table's batch.

use super::super::intake::{key_changed, mark};
use super::avro::Known;
use super::partition::Partition;
use super::table::{Shape, Table};
use super::update;
use super::{Refused, Step};
use crate::batch::{Deletions, Fault, Layout, LogChange, LogOp, RowFault, RowMap, TableBatch, filled};
use crate::change::{Copied, Lsn, SourceType, Straddling, Version};
use crate::decode::debezium::{
    ConnectSchema, Envelope, Object, Op, RecordShape, Row, RowProblem, RowReader, SchemaText,
};
use crate::flow::{Chunk, Gap, Record, RecordFields, Truncation};
use bytes::Bytes;
use std::sync::Arc;

const UNNUMBERED: &str = "its rows are told apart by their place in the transaction alone, and it does not tell its place: set `provide.transaction.metadata: true` in the connector";

const UNIDENTIFIED: &str =
    "whether a copy of its table has it is told by its transaction alone, and it does not tell that";

/// Header of a delete that is the first half of a changed key.
const NEW_KEY: &str = "__debezium.newkey";

/// Buffers that are kept from one row to the next.
#[derive(Debug, Default)]
pub(super) struct Readers {
    new: RowReader,
    old: RowReader,
}

/// What came of a change.
#[derive(Debug, Default)]
pub(super) struct Taken {
    pub(super) rows: usize,
    pub(super) bytes: usize,
    pub(super) gap: Option<Gap>,
    pub(super) truncation: Option<Truncation>,
}

/// A change with all that it takes to store it.
pub(super) struct Change<'a, 'm> {
    pub(super) index: usize,
    pub(super) envelope: &'a Envelope<'m>,
    /// The schema of a record of Avro.
    pub(super) avro: Option<&'a Known>,
    pub(super) place: (&'a Chunk, &'a Record),
    pub(super) version: Version,
    /// Whether its table was looked up for it just now.
    pub(super) again: bool,
    /// Its partition's number.
    pub(super) number: u64,
}

enum StoreFault {
    /// A value was left out, and is not in the old row either.
    Gap {
        message: Bytes,
        key_changed: bool,
    },
    Row(RowFault),
    Problem(RowProblem),
    /// Nothing tells it from other rows of its version.
    Unnumbered,
}

impl From<RowFault> for StoreFault {
    fn from(fault: RowFault) -> Self {
        Self::Row(fault)
    }
}

impl From<RowProblem> for StoreFault {
    fn from(problem: RowProblem) -> Self {
        Self::Problem(problem)
    }
}

/// The step that looks up a change's table.
pub(super) fn adopt(
    table: usize,
    envelope: &Envelope<'_>,
    avro: Option<&Known>,
    (chunk, record): (&Chunk, &Record),
) -> Result<Step, Refused> {
    let malformed = |malformed| Refused::Dead(format!("its fields could not be read: {malformed}"));
    let (schema, text) = match (envelope.schema, avro) {
        (SchemaText::New(text), _) => (Some(ConnectSchema::parse(text).map_err(malformed)?), Some(text.into())),
        (SchemaText::Absent | SchemaText::Known, Some(known)) => {
            let connect = known.connect.clone();
            let connect = connect.map_err(|what| Refused::Dead(format!("its fields could not be read: {what}")))?;
            (Some(connect), Some(known.name.clone()))
        }
        (SchemaText::Absent | SchemaText::Known, None) => (None, None),
    };
    let row = envelope.after.or(envelope.before);
    let names = match (&schema, row) {
        (Some(schema), _) => schema.fields.iter().map(|field| field.name.clone()).collect(),
        (None, Some(row)) => {
            let names = RecordShape::names(row).map_err(malformed)?;
            names.into_iter().map(std::borrow::Cow::into_owned).collect()
        }
        (None, None) => Vec::new(),
    };
    let key = chunk.key(record).map(key_fields).unwrap_or_default();
    Ok(Step::Adopt { table, fields: RecordFields { names, key, schema }, text })
}

/// The fields of a key, JSON with or without a schema; none where it is something else.
fn key_fields(key: &[u8]) -> Vec<String> {
    let Ok(serde_json::Value::Object(object)) = serde_json::from_slice(key) else { return Vec::new() };
    match (object.get("schema"), object.get("payload")) {
        (Some(_), Some(serde_json::Value::Object(payload))) => payload.keys().cloned().collect(),
        _ => object.keys().cloned().collect(),
    }
}

impl Change<'_, '_> {
    /// Stores the change in its table's open batch.
    pub(super) fn store(
        &self,
        table: &mut Table,
        partition: &mut Partition,
        (readers, deletions): (&mut Readers, &mut Vec<Deletions>),
    ) -> Result<Taken, Refused> {
        let Some(layout) = table.layout.clone() else { return Ok(Taken::default()) };
        if self.version < table.truncated || self.is_copied(&layout, table.copied.as_deref())? {
            return Ok(Taken::default());
        }
        if let Some(straddling) = &table.straddling {
            self.tell(straddling)?;
        }
        if self.envelope.op == Op::Truncate && layout.is_history() {
            return self.emptied(table);
        }
        if self.envelope.op == Op::Truncate {
            if !partition.alone && self.version > table.truncated {
                return Err(Step::Truncate { table: self.index, version: self.version }.into());
            }
            let truncation = Truncation { layout, version: self.version, at: self.committed_at() };
            return Ok(Taken { truncation: Some(truncation), ..Taken::default() });
        }
        let row = if self.envelope.op == Op::Delete { self.envelope.before } else { self.envelope.after };
        let row = row.ok_or_else(|| Refused::Dead("it has no row".to_owned()))?;
        let mut shape = self.shape(table, partition)?;
        if !self.is_kept(&layout) {
            return Ok(Taken::default());
        }
        let waiting = |deletions: &[Deletions]| {
            deletions.iter().fold((0, 0), |sum, some| (sum.0 + some.rows(), sum.1 + some.bytes()))
        };
        let marked = waiting(deletions);
        let before = table.open().map(|batch| (batch.rows(), batch.bytes()));
        let before = before.map_err(|error| Refused::Dead(error.with_causes()))?;
        let mut outcome = self.append(table, shape, row, (readers, deletions));
        if matches!(&outcome, Err(StoreFault::Problem(RowProblem::UnknownField(_) | RowProblem::Missing(_))))
            && self.envelope.schema == SchemaText::Absent
            && self.avro.is_none()
        {
            shape = self.fitting(table, row, readers)?;
            outcome = self.append(table, shape, row, (readers, deletions));
        }
        let after = table.batch.as_ref().map_or(before, |batch| (batch.rows(), batch.bytes()));
        let now = waiting(deletions);
        let (rows, bytes) = (after.0 - before.0 + now.0 - marked.0, after.1 - before.1 + now.1 - marked.1);
        let taken = Taken { rows, bytes, ..Taken::default() };
        let map = table.shapes.get(shape).map(|shape| Arc::clone(&shape.map)).unwrap_or_default();
        match outcome {
            Ok(()) => Ok(taken),
            Err(StoreFault::Gap { message, key_changed }) => {
                let (version, xid) = (self.version, self.envelope.source.xid.unwrap_or(0));
                let from_destination = partition.in_order;
                Ok(Taken {
                    gap: Some(Gap { layout, map, message, version, xid, key_changed, from_destination }),
                    ..taken
                })
            }
            Err(StoreFault::Row(fault)) => Err(self.refused(&layout, fault)),
            Err(StoreFault::Problem(problem)) => Err(Refused::Dead(told(&problem, table.shapes.get(shape)))),
            Err(StoreFault::Unnumbered) => Err(Refused::Dead(UNNUMBERED.to_owned())),
        }
    }

    /// Whether a copy of the table has the change. A row that the connector's own snapshot read before it is of the time that the copy took the place of.
    fn is_copied(&self, layout: &Layout, copied: Option<&Copied>) -> Result<bool, Refused> {
        let Some(copied) = copied else { return Ok(false) };
        let (source, behind) = (&self.envelope.source, self.version.transaction());
        match (self.envelope.op, source.xid) {
            (_, Some(xid)) => Ok(copied.has(source.lsn.unwrap_or_default(), behind, xid)),
            (Op::Read, None) => Ok(copied.is_behind(source.lsn.unwrap_or_default())),
            // The versions of rows with a key tell nearly as much.
            (_, None) if layout.deleted_column.is_some() => Ok(false),
            (_, None) => Err(Refused::Dead(UNIDENTIFIED.to_owned())),
        }
    }

    /// Tells of a change that goes into a shadow, too: which of them the copy has is known when it is complete.
    fn tell(&self, straddling: &Straddling) -> Result<(), Refused> {
        let (source, behind) = (&self.envelope.source, self.version.transaction());
        if source.xid.is_none() && self.envelope.op != Op::Read {
            return Err(Refused::Dead(UNIDENTIFIED.to_owned()));
        }
        let xid = source.xid.filter(|_| self.envelope.op != Op::Read);
        straddling.note(source.lsn.unwrap_or_default(), behind, xid);
        Ok(())
    }

    /// Of tables without a key only inserts are kept, unless all changes are.
    fn is_kept(&self, layout: &Layout) -> bool {
        layout.deleted_column.is_some() || layout.is_history() || matches!(self.envelope.op, Op::Create | Op::Read)
    }

    fn refused(&self, layout: &Layout, RowFault { column, fault }: RowFault) -> Refused {
        let column = layout.columns.get(column).map(|column| column.name.clone()).unwrap_or_default();
        match fault {
            Fault::Null => Step::Relax { table: self.index, column }.into(),
            fault => Refused::Dead(format!("column \"{column}\" got {fault}")),
        }
    }

    /// Index of the shape that the row should have: that of its schema, or else the last row's.
    fn shape(&self, table: &Table, partition: &mut Partition) -> Result<usize, Refused> {
        match self.envelope.schema {
            SchemaText::Absent => match self.avro {
                None => Ok(table.current),
                Some(known) => match table.by_schema.get(&known.name) {
                    Some(&shape) => Ok(shape),
                    None => Err(adopt(self.index, self.envelope, self.avro, self.place)?.into()),
                },
            },
            SchemaText::Known => match partition.known_shape {
                Some((index, generation, shape)) if index == self.index && generation == table.generation => Ok(shape),
                _ => {
                    // Another table's, or from before this one changed: it is read as if it were new.
                    partition.known.clear();
                    Err(Step::Again.into())
                }
            },
            SchemaText::New(text) => match table.by_schema.get(text) {
                Some(&shape) => {
                    partition.known.clear();
                    partition.known.extend_from_slice(text);
                    partition.known_shape = Some((self.index, table.generation, shape));
                    Ok(shape)
                }
                None => Err(adopt(self.index, self.envelope, self.avro, self.place)?.into()),
            },
        }
    }

    /// Another shape of the table that the row has; else the table is looked up.
    fn fitting(&self, table: &mut Table, row: Object<'_>, readers: &mut Readers) -> Result<usize, Refused> {
        let fits = |shape: &Shape| {
            !matches!(readers.new.read(row, &shape.shape), Err(RowProblem::UnknownField(_) | RowProblem::Missing(_)))
        };
        match table.shapes.iter().position(fits) {
            Some(index) => {
                table.current = index;
                Ok(index)
            }
            None if self.again => Err(Refused::Dead("its fields are not those that were just looked up".to_owned())),
            None => Err(adopt(self.index, self.envelope, self.avro, self.place)?.into()),
        }
    }

    fn append(
        &self,
        table: &mut Table,
        shape: usize,
        row: Object<'_>,
        (readers, deletions): (&mut Readers, &mut Vec<Deletions>),
    ) -> Result<(), StoreFault> {
        let (Some(shape), Some(batch)) = (table.shapes.get(shape), table.batch.as_mut()) else { return Ok(()) };
        let Readers { new, old } = readers;
        let new = new.read(row, &shape.shape)?;
        if batch.layout().is_history() {
            let old = match self.envelope.before.filter(|_| self.envelope.op == Op::Update) {
                Some(before) => Some(old.read(before, &shape.shape)?),
                None => None,
            };
            return self.append_logged(batch, &shape.map, new, old);
        }
        match self.envelope.op {
            Op::Delete if self.stays(batch.layout()) => {
                let layout = Arc::clone(batch.layout());
                mark(deletions, &layout, &shape.map, (new.fields(), self.version, self.committed_at()))?;
                Ok(())
            }
            Op::Delete => Ok(batch.push_tombstone(&shape.map, new.fields(), self.tombstone_version(batch.layout()))?),
            Op::Update => match self.envelope.before {
                Some(before) => self.update(batch, &shape.map, new, Some(old.read(before, &shape.shape)?)),
                None => self.update(batch, &shape.map, new, None),
            },
            _ => {
                if batch.layout().deleted_column.is_none() {
                    self.number(batch)?;
                }
                self.push(batch, &shape.map, (new, None), true)
            }
        }
    }

    /// The change in a log.
    fn append_logged(
        &self,
        batch: &mut TableBatch,
        map: &RowMap,
        row: Row<'_>,
        old: Option<Row<'_>>,
    ) -> Result<(), StoreFault> {
        self.number(batch)?;
        let (op, old, new) = match self.envelope.op {
            Op::Read => (LogOp::Read, None, Some(row)),
            // The record's one row is the old one.
            Op::Delete => (LogOp::Delete, Some(row), None),
            Op::Update => (LogOp::Update, old, Some(row)),
            _ => (LogOp::Insert, None, Some(row)),
        };
        let change = LogChange {
            op,
            old: old.map(Row::fields),
            new: new.map(Row::fields),
            key_only: batch.layout().identity.is_some(),
            at: (op != LogOp::Read).then(|| self.committed_at()),
        };
        Ok(batch.push_change(map, self.version, change)?)
    }

    /// The mark in a log that the table was emptied.
    fn emptied(&self, table: &mut Table) -> Result<Taken, Refused> {
        let batch = table.open().map_err(|error| Refused::Dead(error.with_causes()))?;
        if self.number(batch).is_err() {
            return Err(Refused::Dead(UNNUMBERED.to_owned()));
        }
        let before = batch.bytes();
        batch.push_emptied(self.version, self.committed_at());
        Ok(Taken { rows: 1, bytes: batch.bytes() - before, ..Taken::default() })
    }

    /// An update. Where the old row is there, as under REPLICA IDENTITY FULL, a further column of the sorting key may have changed.
    fn update(
        &self,
        batch: &mut TableBatch,
        map: &RowMap,
        new: Row<'_>,
        old: Option<Row<'_>>,
    ) -> Result<(), StoreFault> {
        let changed = old.is_some_and(|old| key_changed(batch.layout(), map, old.fields(), new.fields()));
        if let (true, Some(old)) = (changed, old) {
            batch.push_tombstone(map, old.fields(), self.version)?;
        }
        self.push(batch, map, (new, old), changed)
    }

    /// A row. A value that is left out of the second half of a changed key is left out because the key changed: an INSERT leaves none out.
    fn push(
        &self,
        batch: &mut TableBatch,
        map: &RowMap,
        (new, old): (Row<'_>, Option<Row<'_>>),
        key_changed: bool,
    ) -> Result<(), StoreFault> {
        let fields = || filled(new.fields(), old.map(Row::fields));
        match batch.push(map, fields(), self.version) {
            Err(RowFault { fault: Fault::Unchanged, .. }) => {
                Err(StoreFault::Gap { message: update::write(batch.layout().relation, fields()), key_changed })
            }
            outcome => Ok(outcome?),
        }
    }

    /// Rows without a key that share a version are told apart by their place in the transaction; those of a snapshot by their place in the topic.
    fn number(&self, batch: &mut TableBatch) -> Result<(), StoreFault> {
        let order = self.envelope.transaction.as_ref().map(|transaction| transaction.total_order);
        let (_, record) = self.place;
        let behind = match (self.envelope.op, order) {
            (Op::Read, _) => self.number << 40 | record.offset as u64,
            // An update is two rows of a log.
            (_, Some(order @ 1..)) if batch.layout().is_history() => order.saturating_mul(2) - 1,
            (_, Some(order @ 1..)) => order - 1,
            _ => return Err(StoreFault::Unnumbered),
        };
        batch.count_behind(self.version, behind);
        Ok(())
    }

    /// Whether the row stays although it is gone at the source: where a key was changed, it only has another one now.
    fn stays(&self, layout: &Layout) -> bool {
        layout.source_deleted_column.is_some() && !self.moved()
    }

    /// Whether a delete is the first half of a changed key.
    fn moved(&self) -> bool {
        let (chunk, record) = self.place;
        chunk.headers(record).any(|(name, _)| name == NEW_KEY)
    }

    /// When the change was committed, in microseconds since 1970.
    fn committed_at(&self) -> i64 {
        self.envelope.source.ts_us.unwrap_or_default()
    }

    /// -0.0 and 0.0 are one key for ClickHouse: where a key changed from the one to the other, the tombstone would tie with the new row, and
    /// takes the place right before it.
    fn tombstone_version(&self, layout: &Layout) -> Version {
        let is_float = |index: &usize| {
            let source = layout.columns.get(*index).map(|column| &column.source);
            matches!(source, Some(SourceType::Float4 | SourceType::Float8))
        };
        if layout.key.iter().any(is_float) && self.moved() {
            return Version::new(self.version.transaction(), Lsn((self.version.0 as u64).saturating_sub(1)));
        }
        self.version
    }
}

/// What is wrong with a row, with the name of its field.
fn told(problem: &RowProblem, shape: Option<&Shape>) -> String {
    let name = |index: usize| shape.and_then(|shape| shape.shape.fields.get(index)).map_or("", |field| &field.name);
    match problem {
        RowProblem::UnknownField(field) => format!("its schema does not have its field \"{field}\""),
        RowProblem::Missing(index) => format!("it has no field \"{}\"", name(*index)),
        RowProblem::Malformed { field, expected } => format!("field \"{}\" is not {expected}", name(*field)),
        RowProblem::Broken(malformed) => format!("its row could not be read: {malformed}"),
    }
}
