//! Copies tables: ranges of their heaps, several at once, each stored and then noted.
//!
//! A range counts only if its heap was the same before and after it was read, in the reading transaction: VACUUM FULL or a rewriting ALTER between
//! two ranges puts rows into other blocks, and a snapshot does not protect from that.

use super::waiting::{Told, Waits};
use crate::batch::{Layout, RowMap, TableBatch, needs_text};
use crate::change::{Field, TableName, TableSchema, Version};
use crate::checkpoint::{RangeRecord, StateStore};
use crate::config::Settings;
use crate::error::{Error, Kind, Result};
use crate::flow::Sink;
use crate::server::postgres::backend_pid;
use crate::sink::clickhouse::ClickHouseSink;
use crate::source::postgres::{CopySession, HeapRange};
use crate::sync::{Progress, retrying};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::sync::{Mutex, watch};
use tokio::task::JoinSet;

/// Buffers that a reader holds at once: one that fills and one that is sent, each with as much again that growing leaves free, and the compressed frames.
const BUFFERS_A_READER: usize = 5;
/// Rows of one insert at most: more would be cut into several parts by the server.
const MOST_ROWS: usize = 1_000_000;

/// A table that is copied.
#[derive(Debug, Clone)]
pub(super) struct CopyJob {
    /// The table.
    pub(super) schema: Arc<TableSchema>,
    /// Where its rows go.
    pub(super) layout: Arc<Layout>,
    /// Which rows, where not all.
    pub(super) filter: Option<String>,
    /// Their version.
    pub(super) version: Version,
    /// What is left to read, each with its number.
    pub(super) ranges: Vec<(u32, HeapRange)>,
}

/// Which tables a run did not complete.
#[derive(Debug, Default)]
pub(super) struct Left {
    /// Their heaps changed under the copy: to be read again under a new snapshot.
    pub(super) rewritten: Vec<u32>,
    /// Those of which the same is true, and whose rows stand each for itself: what is stored of them would be there twice.
    pub(super) torn: BTreeMap<u32, TableName>,
    /// A value of theirs cannot be carried, for this reason; the other tables are complete all the same.
    pub(super) refused: BTreeMap<u32, String>,
}

/// What all readers share.
pub(super) struct Copies {
    settings: Settings,
    sink: ClickHouseSink,
    /// Notes the ranges that are stored; absent where a copy is not resumed.
    store: Option<Mutex<StateStore>>,
    progress: Arc<Progress>,
    stop: watch::Receiver<bool>,
    queue: Mutex<VecDeque<(CopyJob, u32, HeapRange)>>,
    /// Ranges that are still to be stored, by table.
    open: Mutex<BTreeMap<u32, usize>>,
    left: Mutex<Left>,
    pace: Option<Arc<Pace>>,
    told: Told,
}

/// A reader's session, and its waits for locks.
struct Reader {
    session: CopySession,
    waits: Waits,
}

/// How fast rows may be copied, all readers together.
#[derive(Debug)]
pub(super) struct Pace {
    rows_per_second: u64,
    /// When the next rows are due.
    due: Mutex<Instant>,
}

impl Pace {
    pub(super) fn new(rows_per_second: u64) -> Arc<Self> {
        Arc::new(Self { rows_per_second: rows_per_second.max(1), due: Mutex::new(Instant::now()) })
    }

    /// Rows that are read in one go: what a second may have.
    fn at_once(&self) -> usize {
        usize::try_from(self.rows_per_second).unwrap_or(usize::MAX)
    }

    /// Waits until more rows may follow these.
    async fn wait(&self, rows: u64) {
        let due = {
            let mut due = self.due.lock().await;
            let took = Duration::from_secs_f64(rows as f64 / self.rows_per_second as f64);
            *due = (*due).max(Instant::now()) + took;
            *due
        };
        tokio::time::sleep_until(due.into()).await;
    }
}

impl Copies {
    pub(super) fn new(
        settings: &Settings,
        sink: ClickHouseSink,
        store: Option<StateStore>,
        (progress, stop): (&Arc<Progress>, &watch::Receiver<bool>),
    ) -> Self {
        Self {
            settings: settings.clone(),
            sink,
            store: store.map(Mutex::new),
            progress: Arc::clone(progress),
            stop: stop.clone(),
            queue: Mutex::default(),
            open: Mutex::default(),
            left: Mutex::default(),
            pace: None,
            told: Told::default(),
        }
    }

    /// The same, at a pace.
    pub(super) fn at_pace(self, pace: Option<Arc<Pace>>) -> Self {
        Self { pace, ..self }
    }

    /// Copies these tables under a snapshot. Returns those that are not complete then.
    pub(super) async fn run(self: &Arc<Self>, jobs: &[CopyJob], snapshot: &str) -> Result<Left> {
        let mut queue = VecDeque::new();
        // Ranges of different tables take turns, so that readers do not all wait for the same one's inserts.
        let longest = jobs.iter().map(|job| job.ranges.len()).max().unwrap_or(0);
        for index in 0..longest {
            for job in jobs {
                if let Some((number, range)) = job.ranges.get(index) {
                    queue.push_back((CopyJob { ranges: Vec::new(), ..job.clone() }, *number, range.clone()));
                }
            }
        }
        *self.open.lock().await = jobs.iter().map(|job| (job.schema.relid, job.ranges.len())).collect();
        let readers = self.settings.sync.snapshot_parallel.clamp(1, queue.len().max(1));
        *self.queue.lock().await = queue;
        let mut running = JoinSet::new();
        for _ in 0..readers {
            let (copies, snapshot) = (Arc::clone(self), snapshot.to_owned());
            running.spawn(async move { copies.read(&snapshot).await });
        }
        while let Some(ended) = running.join_next().await {
            ended.map_err(|error| Error::new(Kind::Unexpected, "a reader ended early").because(error))??;
        }
        Ok(std::mem::take(&mut *self.left.lock().await))
    }

    async fn read(&self, snapshot: &str) -> Result<()> {
        let postgres = self.settings.postgres.as_ref().ok_or_else(no_postgres)?;
        let session = CopySession::open(postgres, snapshot).await?;
        let pid = backend_pid(session.client()).await?;
        let waits = Waits::of(pid, postgres, (&self.progress, &self.stop)).among(&self.told);
        let reader = Reader { session, waits };
        loop {
            self.refuse_stopped()?;
            let Some((job, number, range)) = self.queue.lock().await.pop_front() else { return Ok(()) };
            let relation = job.schema.relid;
            match self.copy_range(&reader, &job, number, &range).await {
                Ok(true) => self.tell_if_complete(&job).await,
                Ok(false) => {
                    let name = &job.schema.name;
                    self.progress.note(format!("{name} was rewritten while it was copied; its copy begins again"));
                    let is_log = job.layout.deleted_column.is_none();
                    self.leave(relation, |left| {
                        if is_log {
                            left.torn.insert(relation, job.schema.name.clone());
                        } else {
                            left.rewritten.push(relation);
                        }
                    })
                    .await;
                }
                Err(error) if error.kind() == Kind::Value => {
                    let reason = error.to_string();
                    self.progress
                        .note(format!("table \"{}\" is parked, the others go on: {reason}", job.layout.target));
                    self.progress.table(&job.layout.target, |table| {
                        table.copy_ended = true;
                        table.parked = Some(reason.clone());
                    });
                    self.leave(relation, |left| drop(left.refused.insert(relation, reason))).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn refuse_stopped(&self) -> Result<()> {
        if *self.stop.borrow() {
            return Err(Error::new(Kind::Source, "stopped before the copy was complete"));
        }
        Ok(())
    }

    /// Reads no more of a table.
    async fn leave(&self, relation: u32, note: impl FnOnce(&mut Left)) {
        self.queue.lock().await.retain(|(other, _, _)| other.schema.relid != relation);
        note(&mut *self.left.lock().await);
    }

    async fn tell_if_complete(&self, job: &CopyJob) {
        let mut open = self.open.lock().await;
        let Some(left) = open.get_mut(&job.schema.relid) else { return };
        *left = left.saturating_sub(1);
        if *left == 0 {
            let mut rows = 0;
            self.progress.table(&job.layout.target, |table| {
                table.copy_ended = true;
                rows = table.copied_rows;
            });
            self.progress.note(format!("{}: {rows} rows copied", job.schema.name));
        }
    }

    /// Copies a range; false where its heap is another one by now.
    async fn copy_range(&self, reader: &Reader, job: &CopyJob, number: u32, range: &HeapRange) -> Result<bool> {
        let Reader { session, waits } = reader;
        if !session.unchanged(range).await? {
            return Ok(false);
        }
        let names = job.layout.columns.iter().map(|column| column.name.as_str());
        let map = RowMap::by_name(&job.layout, names);
        // These were asked for as text, and come as text in the binary format's frame.
        let as_text: Vec<bool> =
            job.layout.columns.iter().map(|column| needs_text(&column.source, &column.column_type.value)).collect();
        let reading = session.read(&job.layout, &job.schema, job.filter.as_deref(), range);
        let mut reader = waits.told(reading).await?;
        let most_bytes = self
            .settings
            .sync
            .batch_bytes
            .min(self.settings.sync.memory / (self.settings.sync.snapshot_parallel.max(1) * BUFFERS_A_READER));
        let most_rows = self.pace.as_ref().map_or(MOST_ROWS, |pace| pace.at_once().min(MOST_ROWS));
        let mut rows = 0;
        let mut sending: Option<JoinSet<Result<()>>> = None;
        // Rows without a key are told apart by their ordinals: each range counts in a space of its own.
        let mut last = Some((job.version, u64::from(number) << 40));
        loop {
            let mut batch = empty_batch(job)?.counting_from(last);
            let more = reader
                .rows(|fields| {
                    let fields = fields.zip(&as_text).map(|(field, text)| match (field, text) {
                        (Field::Binary(bytes), true) => Field::Text(bytes),
                        (field, _) => field,
                    });
                    batch.push(&map, fields, job.version).map_err(|fault| {
                        let column = job.layout.columns.get(fault.column).map_or("", |column| column.name.as_str());
                        Error::new(
                            Kind::Value,
                            format!("could not copy {}: column \"{column}\" got {}", job.schema.name, fault.fault),
                        )
                    })?;
                    Ok(batch.bytes() < most_bytes && batch.rows() < most_rows)
                })
                .await?;
            let read = batch.rows() as u64;
            rows += read;
            last = batch.last();
            finish(sending.take()).await?;
            sending = Some(self.send(batch));
            self.keep_pace(read).await;
            if !more {
                break;
            }
            self.refuse_stopped()?;
        }
        finish(sending).await?;
        if !session.unchanged(range).await? {
            return Ok(false);
        }
        self.note_range(job, number, range, rows).await?;
        Ok(true)
    }

    async fn keep_pace(&self, read: u64) {
        let Some(pace) = &self.pace else { return };
        let mut stop = self.stop.clone();
        tokio::select! {
            () = pace.wait(read) => {}
            _ = stop.wait_for(|stop| *stop) => {}
        }
    }

    /// Stores a batch in a task of its own, so that the next one fills meanwhile.
    fn send(&self, batch: TableBatch) -> JoinSet<Result<()>> {
        let (sink, progress, stop) = (self.sink.clone(), Arc::clone(&self.progress), self.stop.clone());
        let mut task = JoinSet::new();
        task.spawn(async move {
            retrying(&progress, &stop, || sink.insert(&batch)).await?;
            progress.sign_of_life();
            let (rows, bytes) = (batch.rows() as u64, batch.bytes() as u64);
            progress.copied_rows.fetch_add(rows, Ordering::Relaxed);
            progress.copied_bytes.fetch_add(bytes, Ordering::Relaxed);
            progress.table(&batch.layout().target, |table| {
                table.copied_rows += rows;
                table.copied_bytes += bytes;
                for (column, count) in batch.policy_nulls() {
                    *table.policy_nulls.entry(column.to_owned()).or_default() += count;
                }
            });
            Ok(())
        });
        task
    }

    async fn note_range(&self, job: &CopyJob, number: u32, range: &HeapRange, rows: u64) -> Result<()> {
        let Some(store) = &self.store else { return Ok(()) };
        let record =
            RangeRecord { filenode: range.filenode, heap: range.heap, first: range.first, end: range.end, rows };
        store.lock().await.save_range(job.schema.relid, number, &record).await
    }
}

impl Left {
    /// That no table is torn.
    ///
    /// # Errors
    /// [`Kind::SourceUnreachable`] with this hint: another attempt, from the beginning, can help.
    pub(super) fn whole(self, hint: &str) -> Result<Self> {
        match self.torn.values().next() {
            None => Ok(self),
            Some(name) => {
                let why = format!("{name} was rewritten while it was copied, and its rows cannot be copied twice");
                Err(Error::new(Kind::SourceUnreachable, why).hint(hint))
            }
        }
    }
}

fn empty_batch(job: &CopyJob) -> Result<TableBatch> {
    TableBatch::new(Arc::clone(&job.layout)).ok_or_else(|| {
        Error::new(Kind::Value, format!("could not copy {}: a column's type has no conversion", job.schema.name))
    })
}

async fn finish(sending: Option<JoinSet<Result<()>>>) -> Result<()> {
    let Some(mut sending) = sending else { return Ok(()) };
    while let Some(sent) = sending.join_next().await {
        sent.map_err(|error| Error::new(Kind::Unexpected, "an insert ended early").because(error))??;
    }
    Ok(())
}

/// The error of a configuration without a source.
pub(super) fn no_postgres() -> Error {
    Error::new(Kind::Config, "no Postgres is configured")
        .hint("set `postgres.url` in the configuration, or POSTGRES_URL in the environment")
}
