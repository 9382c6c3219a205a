//! Rows that `verify` found to differ, brought back to what Postgres has, while `sync` goes on or while it stands still.
//!
//! As every later copy ([`super::resync()`]): a message is committed to the log, V is its LSN; then a temporary slot is made, whose snapshot waits for
//! every writer; rows that this snapshot shows are stored at version (V, 0), and keys that it does not show are marked deleted at (V, 0). Changes
//! sent before lose against that, those sent later win, whichever transport brings them and whenever they come. So nothing has to be
//! waited for, and a repair that is cut off has done a part of its work and no harm.
//!
//! Two things would break it, and are kept away. A TRUNCATE or a rewriting ALTER TABLE between the snapshot and the reading leaves the table empty
//! in the snapshot's eyes: the files are compared, and held by a lock until everything is stored. And a copy of everything under a new slot
//! begins a new history with version 0: it and a repair exclude each other.

use super::copies::no_postgres;
use super::layout::layout;
use super::waiting::Waits;
use crate::batch::{ColumnBuffer, Deletions, Layout, RowMap, TableBatch, ValueType, needs_text};
use crate::change::{Field, Lsn, Version};
use crate::config::{PostgresSettings, Settings};
use crate::error::{Error, Kind, Result};
use crate::failpoint;
use crate::flow::Sink;
use crate::server::clickhouse;
use crate::server::postgres::{Connection, backend_pid, connect, leaves, server_error};
use crate::sink::clickhouse::{ClickHouseSink, ranges};
use crate::source::postgres::{CopySession, CreatedSlot, Patience, Waiting, create_slot, select_list};
use crate::sync::{Progress, retrying};
use crate::verify::{Differing, Key, Mend, Mended};
use futures_util::TryStreamExt;
use std::collections::{HashMap, HashSet};
use std::error::Error as StdError;
use std::pin::pin;
use std::sync::Arc;
use tokio::sync::watch;
use tokio_postgres::types::{FromSql, Type};

const LOCK: &str = include_str!("../../sql/postgres/take_repair_lock.sql");
const EMIT: &str = include_str!("../../sql/postgres/emit_message.sql");
const READING: &str = include_str!("../../sql/postgres/reading_plan.sql");
/// How often a table that is rewritten meanwhile is begun again.
const ATTEMPTS: usize = 3;
/// Rows of one insert.
const MOST_ROWS: usize = 100_000;

/// Keeps repairs, and everything that must not happen beside one, apart. The lock ends with the session.
///
/// # Errors
/// [`Kind::Source`] where another process holds it.
pub(super) async fn exclude_repairs(client: &tokio_postgres::Client, slot: &str) -> Result<()> {
    let row = client
        .query_one(LOCK, &[&slot])
        .await
        .map_err(|error| server_error("could not take the lock of the pipeline's repairs", error))?;
    if row.get("taken") {
        return Ok(());
    }
    Err(Error::new(Kind::Source, "another `pipectl verify --repair` or `pipectl resync --all` of this pipeline runs")
        .hint("let it end first"))
}

/// Mends tables, one after the other.
#[derive(Debug)]
pub struct Repair<'a> {
    settings: &'a Settings,
    postgres: &'a PostgresSettings,
    sink: ClickHouseSink,
    server: clickhouse::Server,
    /// Holds the lock, and writes the messages.
    control: Connection,
    progress: Arc<Progress>,
    stop: watch::Receiver<bool>,
}

impl<'a> Repair<'a> {
    /// Opens the sessions that repairs need. `progress` is told what is waited for.
    ///
    /// # Errors
    /// [`Kind::Source`] where another repair runs; what both servers refuse.
    pub async fn begin(settings: &'a Settings, progress: &Arc<Progress>, stop: &watch::Receiver<bool>) -> Result<Self> {
        let postgres = settings.postgres.as_ref().ok_or_else(no_postgres)?;
        let server = clickhouse::connect(&settings.clickhouse)?;
        let control = connect(postgres).await?;
        exclude_repairs(&control, &postgres.slot).await?;
        let sink = ClickHouseSink::new(server.clone(), &settings.clickhouse.database);
        Ok(Self { settings, postgres, sink, server, control, progress: Arc::clone(progress), stop: stop.clone() })
    }

    /// One attempt; nothing where the table's files are other ones by the time they can be held.
    async fn attempt(&mut self, found: &Differing<'_>) -> Result<Option<Mended>> {
        let schema = &found.table().plan.schema;
        let before = self.waits(&self.control).await?.told(files(&self.control, schema.relid)).await?;
        let (version, slot) = self.snapshot().await?;
        let keys = found.keys_below(version);
        if keys.is_empty() {
            return Ok(Some(Mended::default()));
        }
        let session = CopySession::open(self.postgres, &slot.snapshot).await?;
        self.waits(session.client()).await?.told(session.hold(&schema.name)).await?;
        if files(session.client(), schema.relid).await? != before {
            self.progress.note(format!("{} was rewritten; its repair begins again", schema.name));
            return Ok(None);
        }
        let failed = |error| server_error("could not prepare to read rows", error);
        session.client().batch_execute(READING).await.map_err(failed)?;
        let plan = &found.table().plan;
        let layout = layout(plan, &plan.target, ranges(&self.server).await?, Lsn::ZERO);
        let mut table = Writing { layout, version, moved: plan.sorting_key.len() > plan.key.len() };
        let (rows, stored) = self.write_rows(&mut table, found, &session, &keys).await?;
        failpoint::die("repair.rows");
        let tombstones = self.write_tombstones(&table, found, &keys, &stored).await?;
        Ok(Some(Mended { rows, tombstones }))
    }

    async fn waits(&self, session: &Connection) -> Result<Waits> {
        Ok(Waits::of(backend_pid(session).await?, self.postgres, (&self.progress, &self.stop)))
    }

    /// A snapshot that is later than the message at V, and V as a version.
    async fn snapshot(&self) -> Result<(Version, CreatedSlot)> {
        let row = self
            .control
            .query_one(EMIT, &[])
            .await
            .map_err(|error| server_error("could not write a message to the log", error))?;
        let mark: Lsn = row.get::<_, String>(0).parse().map_err(|reason: String| {
            Error::new(Kind::Source, "could not read where a message of the log lies").because(reason)
        })?;
        let tell = |waiting: &[Waiting]| {
            for transaction in waiting {
                self.progress.note(format!("waiting for {}, open for {} s", transaction.who, transaction.seconds));
            }
        };
        let patience = Patience { timeout: self.settings.sync.slot_timeout, stop: self.stop.clone(), tell: &tell };
        let name = format!("{}_repair_{}", self.postgres.slot, std::process::id());
        Ok((Version::new(mark, Lsn::ZERO), create_slot(self.postgres, &name, true, &patience).await?))
    }

    /// Stores the rows that the snapshot shows; returns how many, and what is known of each one's sorting key.
    async fn write_rows(
        &self,
        table: &mut Writing,
        found: &Differing<'_>,
        session: &CopySession,
        keys: &[Key],
    ) -> Result<(u64, HashMap<Key, Vec<u8>>)> {
        let schema = &found.table().plan.schema;
        let layout = Arc::clone(&table.layout);
        let map = RowMap::by_name(&layout, layout.columns.iter().map(|column| column.name.as_str()));
        let selected = select_list(&layout, schema);
        let rows = found.source_rows(session.client(), &selected, keys).await?;
        let mut rows = pin!(rows);
        let failed = |error| server_error(&format!("could not read rows of {}", schema.name), error);
        let (mut batch, mut count, mut stored) = (table.batch()?, 0, HashMap::new());
        while let Some(row) = rows.try_next().await.map_err(failed)? {
            let key: Key = row.try_get(0).map_err(failed)?;
            let mut fields = Vec::with_capacity(layout.columns.len());
            for (index, column) in layout.columns.iter().enumerate() {
                let Raw(field) = row.try_get(index + 1).map_err(failed)?;
                fields.push(match field {
                    Field::Binary(bytes) if needs_text(&column.source, &column.column_type.value) => Field::Text(bytes),
                    field => field,
                });
            }
            stored.insert(key, table.sorting_key(&fields)?);
            batch.push(&map, fields.into_iter(), table.version).map_err(|fault| {
                let column = layout.columns.get(fault.column).map_or("", |column| column.name.as_str());
                Error::new(Kind::Value, format!("column \"{column}\" got {}", fault.fault))
            })?;
            count += 1;
            if self.is_full(&batch) {
                self.send(std::mem::replace(&mut batch, table.batch()?)).await?;
            }
        }
        self.send(batch).await?;
        Ok((count, stored))
    }

    /// Marks what ClickHouse has and the snapshot has not; also a row whose columns that sort it, beyond the key, are other ones at the source.
    async fn write_tombstones(
        &self,
        table: &Writing,
        found: &Differing<'_>,
        keys: &[Key],
        stored: &HashMap<Key, Vec<u8>>,
    ) -> Result<u64> {
        let gone: HashSet<Key> = keys.iter().filter(|key| table.moved || !stored.contains_key(*key)).copied().collect();
        if gone.is_empty() {
            return Ok(0);
        }
        let (mut batch, mut count) = (table.batch()?, 0);
        // Where rows stay that are gone at the source, they get the time of the repair.
        let stays = table.layout.source_deleted_column.is_some();
        let mut kept = Deletions::new(Arc::clone(&table.layout)).filter(|_| stays);
        let mut there = found.stored_keys()?;
        while let Some((key, sorting)) = there.next().await? {
            let is_there = stored.get(&key).is_some_and(|written| table.same_key(written, &sorting));
            if !gone.contains(&key) || is_there {
                continue;
            }
            count += 1;
            if let Some(kept) = kept.as_mut().filter(|_| !stored.contains_key(&key)) {
                kept.push_key(&sorting, (table.version, super::kept::now()));
                continue;
            }
            batch.push_tombstone_of(&sorting, table.version).map_err(|fault| {
                Error::new(Kind::Unexpected, "could not read the key of a stored row").because(fault.fault.to_string())
            })?;
            if self.is_full(&batch) {
                self.send(std::mem::replace(&mut batch, table.batch()?)).await?;
            }
        }
        if let Some(kept) = kept {
            retrying(&self.progress, &self.stop, || self.sink.mark_deleted(&kept)).await?;
        }
        self.send(batch).await?;
        Ok(count)
    }

    fn is_full(&self, batch: &TableBatch) -> bool {
        let sync = &self.settings.sync;
        batch.rows() >= MOST_ROWS || batch.bytes() >= sync.batch_bytes.min(sync.memory / 4)
    }

    async fn send(&self, batch: TableBatch) -> Result<()> {
        if batch.rows() == 0 {
            return Ok(());
        }
        retrying(&self.progress, &self.stop, || self.sink.insert(&batch)).await
    }
}

impl Mend for Repair<'_> {
    fn is_wanted(&self) -> bool {
        true
    }

    async fn mend(&mut self, found: &Differing<'_>) -> Result<Mended> {
        for _ in 0..ATTEMPTS {
            if let Some(mended) = self.attempt(found).await? {
                return Ok(mended);
            }
        }
        let name = &found.table().plan.schema.name;
        Err(Error::new(Kind::Source, format!("{name} is rewritten again and again"))
            .hint("repair it when no VACUUM FULL, TRUNCATE or ALTER TABLE runs on it"))
    }
}

/// The files of a table and of its partitions.
async fn files(client: &tokio_postgres::Client, relid: u32) -> Result<Vec<(u32, u32)>> {
    Ok(leaves(client, relid).await?.into_iter().map(|leaf| (leaf.relid, leaf.file_node)).collect())
}

/// What is written to a table.
struct Writing {
    layout: Arc<Layout>,
    version: Version,
    /// Whether more than the key sorts the table, so that a row can lie elsewhere than where it belongs.
    moved: bool,
}

impl Writing {
    fn batch(&self) -> Result<TableBatch> {
        TableBatch::new(Arc::clone(&self.layout))
            .ok_or_else(|| Error::new(Kind::Value, "a column's type has no conversion"))
    }

    /// The sorting key of a row as RowBinary; empty where the key alone sorts.
    fn sorting_key(&self, fields: &[Field<'_>]) -> Result<Vec<u8>> {
        let mut key = Vec::new();
        for &index in self.layout.key.iter().filter(|_| self.moved) {
            let unreadable = || Error::new(Kind::Value, "a column that sorts the table cannot be read");
            let (column, field) = self.layout.columns.get(index).zip(fields.get(index)).ok_or_else(unreadable)?;
            let mut buffer = ColumnBuffer::of(column, self.layout.ranges).ok_or_else(unreadable)?;
            buffer.append(*field).map_err(|fault| unreadable().because(fault.to_string()))?;
            buffer.parts().iter().for_each(|part| key.extend_from_slice(part));
        }
        Ok(key)
    }

    /// Whether ClickHouse takes two sorting keys for one. Where the key alone sorts they are.
    fn same_key(&self, one: &[u8], other: &[u8]) -> bool {
        if !self.moved || one == other {
            return true;
        }
        // -0.0 and 0.0 are one: a tombstone of the one would tie with the row of the other.
        let floats = self.layout.key.iter().filter_map(|&index| self.layout.columns.get(index));
        let has_float = floats
            .into_iter()
            .any(|column| matches!(column.column_type.value, ValueType::Float32 | ValueType::Float64));
        has_float && self.without_signed_zeros(one) == self.without_signed_zeros(other)
    }

    fn without_signed_zeros(&self, key: &[u8]) -> Option<Vec<u8>> {
        let (mut rest, mut all) = (key, Vec::with_capacity(key.len()));
        for &index in &self.layout.key {
            let column = self.layout.columns.get(index)?;
            let mut buffer = ColumnBuffer::of(column, self.layout.ranges)?;
            let before = rest;
            buffer.append_row_binary(&mut rest).ok()?;
            match before.get(..before.len() - rest.len())? {
                [0, 0, 0, 0x80] if column.column_type.value == ValueType::Float32 => all.extend([0; 4]),
                [0, 0, 0, 0, 0, 0, 0, 0x80] if column.column_type.value == ValueType::Float64 => all.extend([0; 8]),
                value => all.extend_from_slice(value),
            }
        }
        Some(all)
    }
}

/// A value as Postgres sends it in binary: to the letter what a binary COPY holds.
struct Raw<'a>(Field<'a>);

impl<'a> FromSql<'a> for Raw<'a> {
    fn from_sql(_: &Type, bytes: &'a [u8]) -> Result<Self, Box<dyn StdError + Sync + Send>> {
        Ok(Self(Field::Binary(bytes)))
    }

    fn from_sql_null(_: &Type) -> Result<Self, Box<dyn StdError + Sync + Send>> {
        Ok(Self(Field::Null))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}
