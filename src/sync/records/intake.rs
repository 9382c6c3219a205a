//! Takes records in: each row goes straight from its record into the column buffers of its table's open batch.

use super::avro::{Known, Schemas};
use super::partition::Partition;
use super::store::{Change, Readers, Taken, adopt};
use super::table::{Standing, Table, TableSet};
use super::{Refused, Step};
use crate::batch::{Deletions, TableBatch};
use crate::change::{Lsn, Offsets, TableName, Version};
use crate::decode::debezium::{Envelope, Op, Parsed, record_known};
use crate::flow::{
    AdoptedRecords, Assigned, Chunk, DeadLetter, Gap, Group, PartitionLag, REPLAYED, Record, Snapshot, Truncation,
};
use bytes::Bytes;
use std::sync::Arc;
use std::time::Instant;

/// The open batches.
#[derive(Debug, Default)]
pub(super) struct RecordIntake {
    pub(super) tables: TableSet,
    /// By the ids of their assignments.
    partitions: Vec<Option<Box<Partition>>>,
    closed: Vec<TableBatch>,
    gaps: Vec<Gap>,
    deletions: Vec<Deletions>,
    truncations: Vec<Truncation>,
    dead: Vec<DeadLetter>,
    readers: Readers,
    pub(super) schemas: Schemas,
    /// A record of Avro, as JSON.
    json: Vec<u8>,
    /// High halves of versions are at least this: the position at which the pipeline changed over to records.
    switched_at: Lsn,
    pub(super) since: Option<Instant>,
    /// Commit time of the newest transaction, in microseconds since 1970.
    pub(super) committed_at: i64,
    moved: bool,
    rows: usize,
    bytes: usize,
    largest: usize,
}

impl RecordIntake {
    /// An empty intake of a pipeline that changed over to records at this position of the log; zero where it always read them.
    pub(super) fn new(switched_at: Lsn) -> Self {
        Self { switched_at, ..Self::default() }
    }

    /// Rows of the largest insert that would be sent now: a batch, the gaps, or the deletions of a table whose rows stay.
    pub(super) fn largest(&self) -> usize {
        self.largest
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows == 0 && self.truncations.is_empty() && self.dead.is_empty()
    }

    /// Whether any partition was read further than the last seal.
    pub(super) fn has_moved(&self) -> bool {
        self.moved
    }

    /// Takes assignments in; with them, up to where they are stored.
    pub(super) fn assign(&mut self, assigned: &Assigned, stored: &Offsets, order: (bool, bool)) {
        let reached = stored.get(&assigned.topic, assigned.partition);
        let index = assigned.id as usize;
        if self.partitions.len() <= index {
            self.partitions.resize_with(index + 1, || None);
        }
        if let Some(place) = self.partitions.get_mut(index) {
            *place = Some(Box::new(Partition::new(assigned, reached, order)));
        }
    }

    /// Forgets assignments: what is taken in of them is stored, but not where they are read up to.
    pub(super) fn forget(&mut self, ids: &[u32]) {
        for id in ids {
            if let Some(place) = self.partitions.get_mut(*id as usize) {
                *place = None;
            }
        }
    }

    pub(super) fn partitions(&self) -> impl Iterator<Item = &Partition> {
        self.partitions.iter().filter_map(Option::as_deref)
    }

    /// Everything before the ends of these partitions was handed out and taken in.
    pub(super) fn drained(&mut self, lags: &[PartitionLag]) {
        for partition in self.partitions.iter_mut().filter_map(Option::as_deref_mut) {
            let lag = lags.iter().find(|lag| lag.topic == partition.topic && lag.partition == partition.number);
            if let Some(lag) = lag.filter(|lag| lag.drained) {
                self.moved |= partition.drained_to(lag.end);
            }
        }
    }

    /// Everything taken in so far; the intake begins anew.
    pub(super) fn seal(&mut self) -> Group<Offsets> {
        let mut batches = std::mem::take(&mut self.closed);
        batches.extend(self.tables.list.iter_mut().filter_map(Table::close));
        (self.rows, self.bytes, self.largest, self.since, self.moved) = (0, 0, 0, None, false);
        let partitions = self.partitions.iter_mut().filter_map(Option::as_deref_mut);
        let offsets = Offsets(partitions.filter_map(Partition::take_moved).collect());
        Group {
            batches,
            gaps: std::mem::take(&mut self.gaps),
            deletions: std::mem::take(&mut self.deletions),
            truncations: std::mem::take(&mut self.truncations),
            dead: std::mem::take(&mut self.dead),
            position: (!offsets.0.is_empty()).then_some(offsets),
        }
    }

    /// Takes in what is to be done with a table's records.
    pub(super) fn adopt(&mut self, table: usize, adopted: AdoptedRecords, text: Option<Box<[u8]>>) {
        let Some(table) = self.tables.list.get_mut(table) else { return };
        let (shape, closed) = table.adopt(adopted);
        self.closed.extend(closed);
        if let (Some(shape), Some(text)) = (shape, text) {
            table.by_schema.insert(text, shape);
        }
    }

    /// What is older than a version is dead in a table from here on. The table's id.
    pub(super) fn truncate(&mut self, table: usize, version: Version) -> Option<u32> {
        let table = self.tables.list.get_mut(table)?;
        table.truncated = table.truncated.max(version);
        Some(table.relation)
    }

    /// From here on only rows of this snapshot, and of later ones, are taken in.
    pub(super) fn copies_under(&mut self, table: usize, (newest, version): (Lsn, Version)) {
        if let Some(table) = self.tables.list.get_mut(table) {
            table.snapshot = table.snapshot.max(Some((newest, version)));
        }
    }

    /// How many partitions of a topic are read here.
    pub(super) fn assigned_of(&self, topic: &str) -> usize {
        self.partitions().filter(|partition| &*partition.topic == topic).count()
    }

    /// The topic that a record was read from.
    pub(super) fn topic_of(&self, record: &Record) -> Option<Arc<str>> {
        let partition = self.partitions.get(record.id as usize)?.as_deref()?;
        Some(Arc::clone(&partition.topic))
    }

    /// The table is looked up anew at its next record.
    pub(super) fn forget_shapes(&mut self, table: usize) {
        if let Some(table) = self.tables.list.get_mut(table) {
            table.standing = Standing::New;
        }
    }

    /// As [`RecordIntake::forget_shapes`], by the table's id.
    pub(super) fn renew(&mut self, relation: u32) {
        if let Some(table) = self.tables.of_relation(relation) {
            table.standing = Standing::New;
        }
    }

    /// The tables whose rows are stored, with their ids.
    pub(super) fn stored_tables(&self) -> Vec<(u32, TableName)> {
        let stored = self.tables.list.iter().filter(|table| matches!(table.standing, Standing::Stored));
        stored.map(|table| (table.relation, table.name.clone())).collect()
    }

    pub(super) fn park(&mut self, relation: u32) {
        if let Some(table) = self.tables.of_relation(relation) {
            table.standing = Standing::Parked;
            table.batch = None;
        }
        self.closed.retain(|batch| batch.layout().relation != relation);
        self.gaps.retain(|gap| gap.layout.relation != relation);
        self.deletions.retain(|deletions| deletions.layout().relation != relation);
        self.truncations.retain(|truncation| truncation.layout.relation != relation);
    }

    /// Takes a record in. `again`: its table was looked up for it just now.
    #[inline]
    pub(super) fn take(&mut self, chunk: &Chunk, record: &Record, again: bool) -> Step {
        let place = self.partitions.get_mut(record.id as usize);
        let Some(mut partition) = place.and_then(Option::take) else { return Step::Done };
        partition.begin(record.offset);
        let outcome = match chunk.value(record) {
            None => Ok(()),
            Some(value) if value.first() == Some(&b'{') => {
                self.read(&mut partition, (value, None), (chunk, record), again)
            }
            Some(value) => self.read_avro(&mut partition, value, (chunk, record), again),
        };
        let step = match outcome {
            Ok(()) => Step::Done,
            Err(Refused::Step(step)) => step,
            Err(Refused::Dead(error)) => {
                self.set_aside(&partition, (chunk, record), error);
                Step::Done
            }
        };
        if matches!(step, Step::Done) {
            self.pass(&mut partition, record);
        }
        self.put_back(partition, record);
        step
    }

    /// Sets a record aside for which nothing more can be done.
    pub(super) fn give_up(&mut self, place: (&Chunk, &Record), error: String) {
        let partition = self.partitions.get_mut(place.1.id as usize);
        let Some(mut partition) = partition.and_then(Option::take) else { return };
        self.set_aside(&partition, place, error);
        self.pass(&mut partition, place.1);
        self.put_back(partition, place.1);
    }

    fn pass(&mut self, partition: &mut Partition, record: &Record) {
        partition.pass(record.offset);
        self.moved = true;
    }

    fn put_back(&mut self, partition: Box<Partition>, record: &Record) {
        if let Some(place) = self.partitions.get_mut(record.id as usize) {
            *place = Some(partition);
        }
    }

    /// Whether a record of a topic was taken in, or set aside, since its partitions were assigned.
    pub(super) fn has_passed(&self, topic: &str) -> bool {
        self.partitions().any(|partition| &*partition.topic == topic && partition.has_passed())
    }

    /// Sets a record aside, whole.
    fn set_aside(&mut self, partition: &Partition, (chunk, record): (&Chunk, &Record), error: String) {
        let owned = |bytes: Option<&[u8]>| bytes.map(Bytes::copy_from_slice);
        let table = partition.table.and_then(|table| self.tables.list.get(table)).map(|table| table.name.to_string());
        let letter = DeadLetter {
            topic: partition.topic.to_string(),
            partition: partition.number,
            offset: record.offset,
            timestamp_ms: record.timestamp_ms,
            key: owned(chunk.key(record)),
            value: owned(chunk.value(record)),
            headers: chunk.headers(record).map(|(name, value)| (name.to_owned(), owned(value))).collect(),
            table,
            error,
        };
        self.count(1, letter.bytes());
        self.dead.push(letter);
    }

    fn count(&mut self, rows: usize, bytes: usize) {
        self.rows += rows;
        self.bytes += bytes;
        if rows > 0 && self.since.is_none() {
            self.since = Some(Instant::now());
        }
    }

    fn read_avro(
        &mut self,
        partition: &mut Partition,
        value: &[u8],
        place: (&Chunk, &Record),
        again: bool,
    ) -> Result<(), Refused> {
        let mut json = std::mem::take(&mut self.json);
        let outcome = match self.schemas.written_out(value, place, &mut json) {
            Ok(Some(known)) => self.read(partition, (&json, Some(&known)), place, again),
            Ok(None) => self.read(partition, (value, None), place, again),
            Err(refused) => Err(refused),
        };
        self.json = json;
        outcome
    }

    fn read(
        &mut self,
        partition: &mut Partition,
        (value, avro): (&[u8], Option<&Known>),
        place: (&Chunk, &Record),
        again: bool,
    ) -> Result<(), Refused> {
        // The known schema is needed while the partition is changed.
        let known = std::mem::take(&mut partition.known);
        let parsed = record_known(value, &known);
        partition.known = known;
        let parsed = parsed.map_err(|malformed| Refused::Dead(format!("it could not be read: {malformed}")))?;
        let envelope = match parsed {
            Parsed::Change(envelope) => envelope,
            Parsed::Transaction(_) | Parsed::Heartbeat { .. } | Parsed::Empty => return Ok(()),
            Parsed::Flat { .. } => return Err(Refused::Step(Step::Flat)),
            Parsed::Other => return Err(Refused::Dead("it is no change event of Debezium's".to_owned())),
        };
        if envelope.op == Op::Message {
            return Ok(());
        }
        let index = self.tables.index(partition.table, &envelope.source.schema, &envelope.source.table);
        partition.table = Some(index);
        self.committed_at = self.committed_at.max(envelope.source.ts_us.unwrap_or(0));
        let Some(table) = self.tables.list.get_mut(index) else { return Ok(()) };
        match table.standing {
            Standing::New => return Err(adopt(index, &envelope, avro, place)?.into()),
            Standing::Stored => {
                let mut version = version(&envelope, partition, self.switched_at, place)?;
                if envelope.op == Op::Read && version.is_copied() {
                    let began = envelope.source.lsn.unwrap_or_default();
                    match table.snapshot {
                        Some((newest, of_rows)) if newest == began => version = of_rows,
                        Some((newest, _)) if newest > began => return Ok(()),
                        own => {
                            let own = own.map(|(newest, _)| newest);
                            let at = envelope.source.ts_us.unwrap_or_default();
                            let snapshot = Snapshot { began, at, own };
                            return Err(Step::Snapshot { table: index, snapshot }.into());
                        }
                    }
                }
                let number = u64::from(partition.number.unsigned_abs());
                let change = Change { index, envelope: &envelope, avro, place, version, again, number };
                let taken = change.store(table, partition, (&mut self.readers, &mut self.deletions))?;
                let rows = table.batch.as_ref().map_or(0, TableBatch::rows);
                self.took(taken, rows);
            }
            Standing::Ignored | Standing::Parked => {}
        }
        if envelope.op != Op::Read {
            partition.saw(envelope.source.lsn.unwrap_or_default());
        }
        Ok(())
    }

    fn took(&mut self, taken: Taken, rows: usize) {
        let deletions = self.deletions.iter().map(Deletions::rows).max().unwrap_or_default();
        self.largest = self.largest.max(rows).max(deletions);
        self.count(taken.rows, taken.bytes);
        if let Some(gap) = taken.gap {
            self.count(1, gap.message.len());
            self.gaps.push(gap);
            self.largest = self.largest.max(self.gaps.len());
        }
        if let Some(truncation) = taken.truncation {
            self.truncations.push(truncation);
            self.since.get_or_insert_with(Instant::now);
        }
    }
}

/// The version of a record's row: the place of its transaction in commit order, then its own LSN.
///
/// Debezium tells the end of the transaction before; none in a snapshot and in a new connector's first transaction. A row that was read by the
/// connector's own snapshot loses against everything streamed; behind what was streamed already it tells that the connector was made anew.
fn version(
    envelope: &Envelope<'_>,
    partition: &Partition,
    switched_at: Lsn,
    (chunk, record): (&Chunk, &Record),
) -> Result<Version, Refused> {
    // A record that was set aside and is tried again stands behind newer ones.
    let replayed = || chunk.headers(record).any(|(name, _)| name == REPLAYED);
    let lsn = envelope.source.lsn.ok_or_else(|| Refused::Dead("it has no source.lsn".to_owned()))?;
    match (envelope.op, envelope.source.previous_commit) {
        (Op::Read, None) if partition.streamed() > Lsn::ZERO && !replayed() => Err(Refused::Step(Step::ParkAll {
            reason: format!(
                "topic \"{}\" goes on with a new snapshot: the connector was made anew, and changes in between may be missing",
                partition.topic
            ),
            since: Version::new(partition.streamed(), Lsn::ZERO),
        })),
        (Op::Read, None) => Ok(Version::SNAPSHOT),
        (Op::Read, Some(before)) => Ok(Version::new(before, Lsn(lsn.0 + 1))),
        (_, Some(before)) => Ok(Version::new(before, lsn)),
        (_, None) => Ok(Version::new(lsn.max(switched_at), lsn)),
    }
}
