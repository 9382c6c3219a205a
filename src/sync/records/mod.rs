//! The engine for records of topics: take in → seal when due → store → commit the offsets.

mod avro;
mod intake;
mod look_around;
mod partition;
mod steps;
mod store;
mod table;
mod update;

use super::Progress;
use super::stream::{Ended, sleep_until};
use super::writer::{Order, Stored, Writer, retrying};
use super::writing::{Writing, last_batch};
use crate::change::{Lsn, Offsets, Version};
use crate::decode::debezium::avro::SchemaId;
use crate::error::{Error, Kind, Result};
use crate::flow::{
    self, Chunk, DeadLetters, GroupEvent, RecordEvent, RecordFields, RecordSource, RecordTables, Refetch, Sink,
    Snapshot,
};
use intake::RecordIntake;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// How often an engine without work looks around.
const LOOK_AROUND: Duration = Duration::from_millis(100);
/// Records that are taken in without looking at anything else in between.
const RECORDS_AT_ONCE: usize = 4096;
/// Records that could not be carried and are each told of; then they are only counted.
const TOLD: u64 = 10;

/// End offsets by topic and partition.
pub type Ends = BTreeMap<(Arc<str>, i32), i64>;

/// When batches are sealed, and when the reading ends.
#[derive(Debug, Clone)]
pub struct RecordOptions {
    /// Rows of one table that are stored at once at most.
    pub batch_rows: usize,
    /// Bytes that are stored at once at most.
    pub batch_bytes: usize,
    /// How long a change waits at most.
    pub batch_age: Duration,
    /// How long the last batch may take when stopping.
    pub stop_timeout: Duration,
    /// The log's position at which the pipeline changed over to records; zero where it did not.
    pub switched_at: Lsn,
}

/// What a record asks of the engine before the next one can be taken in.
#[derive(Debug)]
enum Step {
    /// Nothing.
    Done,
    /// To take it in again.
    Again,
    /// To look a table up whose rows have these fields, and to take the record in again.
    Adopt { table: usize, fields: RecordFields, text: Option<Box<[u8]>> },
    /// To fetch the schema that the record was written with, and to take it in again.
    Schema(SchemaId),
    /// To let a column bear NULL, and to take the record in again.
    Relax { table: usize, column: String },
    /// To note durably that a table was truncated, since older rows may come of other partitions; and to take the record in again.
    Truncate { table: usize, version: Version },
    /// To look whether a snapshot of the connector's that is new here is a later one, and to take the record in again.
    Snapshot { table: usize, snapshot: Snapshot },
    /// To leave all tables behind: the records before this one are of another life of the connector.
    ParkAll { reason: String, since: Version },
    /// To end: the records are rows without their envelopes.
    Flat,
}

/// Why a record is not stored.
enum Refused {
    /// It is set aside whole.
    Dead(String),
    /// Something has to be done first, or instead.
    Step(Step),
}

impl From<Step> for Refused {
    fn from(step: Step) -> Self {
        Self::Step(step)
    }
}

/// The engine.
pub struct Records<T> {
    intake: RecordIntake,
    tables: T,
    options: RecordOptions,
    writing: Writing<Offsets>,
    /// What is stored, also by other members of the group as far as it was looked up.
    confirmed: Offsets,
    /// A chunk, and how much of it was taken in.
    pending: Option<(Chunk, usize)>,
    last_checkpoint: Instant,
    progress: Arc<Progress>,
}

impl<T> std::fmt::Debug for Records<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Records").field("in_flight", &self.writing.in_flight()).finish_non_exhaustive()
    }
}

impl<T: RecordTables> Records<T> {
    /// An engine.
    pub fn new<K, R, C, D>(writer: Writer<K, R, C, D>, tables: T, options: RecordOptions) -> Self
    where
        K: Sink + 'static,
        R: Refetch + 'static,
        C: flow::CheckpointStore<Position = Offsets> + 'static,
        D: DeadLetters + 'static,
    {
        let writing = Writing::start(writer);
        Self {
            progress: Arc::clone(&writing.progress),
            intake: RecordIntake::new(options.switched_at),
            tables,
            options,
            writing,
            confirmed: Offsets::default(),
            pending: None,
            last_checkpoint: Instant::now(),
        }
    }

    /// Runs until everything before the wanted ends is stored, the stop, or a failure. The ends may become known later.
    ///
    /// # Errors
    /// What source, destination or a value refuse.
    pub async fn run(
        &mut self,
        source: &mut impl RecordSource,
        until: &watch::Receiver<Option<Ends>>,
    ) -> Result<Ended> {
        let mut stop = self.writing.stop.clone();
        loop {
            let full = self.is_full();
            if self.writing.is_idle() && (full || (self.pending.is_none() && self.is_waited_for(until))) {
                self.seal().await?;
                continue;
            }
            if !full && self.pending.is_some() {
                self.take_pending(source).await?;
                // The writer's news and the group's come in between.
                self.hear(source).await?;
                continue;
            }
            let due = self.intake.since.map(|since| since + self.options.batch_age);
            let wanted = self.pending.is_none() && !full;
            tokio::select! {
                biased;
                stored = self.writing.stored() => self.finished(stored?, source),
                _ = stop.wait_for(|stop| *stop) => return self.stopping(source).await,
                () = sleep_until(due), if self.writing.is_idle() => self.seal().await?,
                () = self.tables.asked() => self.attend(source).await?,
                event = source.next(wanted) => self.handle(event?, source).await?,
                () = tokio::time::sleep(LOOK_AROUND) => {
                    if self.look_around(source, until).await? {
                        return Ok(Ended::CaughtUp);
                    }
                }
            }
        }
    }

    /// Does what is asked of tables, while nothing is under way. Those that change are looked up at their next record.
    async fn attend(&mut self, source: &impl RecordSource) -> Result<()> {
        self.drain(source).await?;
        for relation in self.tables.attend().await {
            self.intake.renew(relation);
        }
        Ok(())
    }

    /// Takes in what has been said meanwhile, without waiting.
    async fn hear(&mut self, source: &mut impl RecordSource) -> Result<()> {
        use futures_util::FutureExt;
        if self.tables.asked().now_or_never().is_some() {
            self.attend(source).await?;
        }
        while let Some(stored) = self.writing.try_stored() {
            self.finished(stored?, source);
        }
        while let Some(event) = source.next(false).now_or_never() {
            self.handle(event?, source).await?;
        }
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.intake.largest() >= self.options.batch_rows || self.intake.bytes() >= self.options.batch_bytes
    }

    async fn handle(&mut self, event: RecordEvent, source: &mut impl RecordSource) -> Result<()> {
        match event {
            RecordEvent::Records(chunk) => {
                self.progress.sign_of_life();
                self.progress.caught_up.store(false, Ordering::Relaxed);
                self.pending = Some((chunk, 0));
                Ok(())
            }
            RecordEvent::Group(GroupEvent::Assigned(assigned)) => self.assigned(&assigned, source).await,
            RecordEvent::Group(GroupEvent::Revoked(ids)) => {
                self.drain(source).await?;
                self.intake.forget(&ids);
                source.release(&ids);
                self.tell_assignment();
                Ok(())
            }
            RecordEvent::Group(GroupEvent::Lost(ids)) => {
                self.intake.forget(&ids);
                self.tell_assignment();
                Ok(())
            }
            RecordEvent::Group(GroupEvent::Away(what)) => {
                self.progress.note(format!("{what}; it is tried again until it answers"));
                self.progress.retries.fetch_add(1, Ordering::Relaxed);
                Ok(())
            }
            RecordEvent::Group(GroupEvent::Back) => {
                self.progress.note("Kafka answers again");
                self.progress.retries.store(0, Ordering::Relaxed);
                Ok(())
            }
        }
    }

    async fn assigned(&mut self, assigned: &[flow::Assigned], source: &impl RecordSource) -> Result<()> {
        // What was stored by whoever had them before is known only now.
        let stored = self.stored().await?;
        for one in assigned {
            let (progress, stop) = (Arc::clone(&self.progress), self.writing.stop.clone());
            let tables = tokio::sync::Mutex::new(&mut self.tables);
            let asked = retrying(&progress, &stop, || async {
                let mut tables = tables.lock().await;
                Ok((tables.partitions(&one.topic).await? == 1, tables.in_order(&one.topic).await?))
            });
            let order = asked.await?;
            self.intake.assign(one, &stored, order);
        }
        source.start(assigned, &stored);
        let streamed = stored.0.values().map(|reached| reached.lsn).max().unwrap_or_default();
        self.progress.confirmed.fetch_max(streamed.0, Ordering::Relaxed);
        self.confirmed.0.extend(stored.0);
        self.tell_assignment();
        Ok(())
    }

    fn tell_assignment(&self) {
        let partitions: Vec<_> = self.intake.partitions().collect();
        let mut topics: Vec<&str> = partitions.iter().map(|partition| partition.topic.as_ref()).collect();
        topics.sort_unstable();
        topics.dedup();
        self.progress.note(format!("reading {} partitions of {} topics", partitions.len(), topics.len()));
    }

    async fn stored(&mut self) -> Result<Offsets> {
        let (progress, stop) = (Arc::clone(&self.progress), self.writing.stop.clone());
        let tables = tokio::sync::Mutex::new(&mut self.tables);
        retrying(&progress, &stop, || async { tables.lock().await.stored().await }).await
    }

    async fn take_pending(&mut self, source: &impl RecordSource) -> Result<()> {
        let Some((chunk, mut next)) = self.pending.take() else { return Ok(()) };
        let mut left = RECORDS_AT_ONCE;
        while let Some(record) = chunk.records.get(next) {
            if left == 0 || self.is_full() {
                self.pending = Some((chunk, next));
                return Ok(());
            }
            match self.intake.take(&chunk, record, false) {
                Step::Done => {}
                step => Box::pin(self.take_again((&chunk, record), step, source)).await?,
            }
            next += 1;
            left -= 1;
        }
        Ok(())
    }

    async fn seal(&mut self) -> Result<()> {
        let group = self.intake.seal();
        for letter in &group.dead {
            let count = self.progress.dead_letters.load(Ordering::Relaxed);
            if count < TOLD {
                self.progress.note(format!(
                    "warning: a record is set aside ({}, partition {}, offset {}): {}",
                    letter.topic, letter.partition, letter.offset, letter.error
                ));
            }
        }
        self.last_checkpoint = Instant::now();
        self.writing.order(Order::Store(group)).await
    }

    /// Stores everything taken in so far and waits for it.
    async fn drain(&mut self, source: &impl RecordSource) -> Result<()> {
        if !self.intake.is_empty() || self.intake.has_moved() {
            self.seal().await?;
        }
        while !self.writing.is_idle() {
            let stored = self.writing.stored().await?;
            self.finished(stored, source);
        }
        Ok(())
    }

    fn finished(&mut self, stored: Stored<Offsets>, source: &impl RecordSource) {
        let Stored { committed, parked } = stored;
        for (relation, reason) in parked {
            if let Some(name) = self.intake.tables.of_relation(relation).map(|table| table.name.clone()) {
                self.tell_parked(&name, &reason);
            }
            self.intake.park(relation);
            self.tables.leave(relation);
        }
        if let Some(position) = committed.position() {
            self.confirmed.0.extend(position.0.iter().map(|(key, reached)| (key.clone(), *reached)));
            let lsn = position.0.values().map(|reached| reached.lsn).max().unwrap_or_default();
            self.progress.confirmed.fetch_max(lsn.0, Ordering::Relaxed);
            self.progress.saw(lsn);
            // None is known right after a rewind.
            if self.intake.committed_at > 0 {
                self.progress.committed_at.store(self.intake.committed_at as u64, Ordering::Relaxed);
            }
            self.tell_lags(&source.lags());
        }
        flow::acknowledge(source, committed);
    }

    async fn stopping(&mut self, source: &mut impl RecordSource) -> Result<Ended> {
        let (timeout, progress) = (self.options.stop_timeout, Arc::clone(&self.progress));
        last_batch(self.drain(source), timeout, &progress).await?;
        Ok(Ended::Stopped)
    }

    /// Prepares for a new session: waits for what is under way, and forgets what the source will send again.
    ///
    /// # Errors
    /// What the writer returns.
    pub async fn rewind(&mut self, source: &impl RecordSource) -> Result<()> {
        self.pending = None;
        self.intake = RecordIntake::new(self.options.switched_at);
        self.drain(source).await
    }

    /// Ends the writer; nothing can be stored afterwards.
    pub async fn close(self) {
        self.writing.close().await;
    }
}

fn avro(topic: &str) -> Error {
    Error::new(
        Kind::Config,
        format!("topic \"{topic}\" begins with a record of Avro, and nothing says where the schema registry is"),
    )
    .hint(
        "set `kafka.schema_registry_url`, or the variable SCHEMA_REGISTRY_URL; where only this record is of another kind, set the offset of the pipeline's \
         consumer group behind it",
    )
}

fn flat() -> Error {
    Error::new(Kind::Source, "the records are rows without Debezium's envelope, from which nothing can be told in order")
        .hint(
            "take the transform ExtractNewRecordState out of the connector's `transforms`, and let the topics be written anew (`pipectl connector apply` sets \
             what is right)",
        )
}
