//! The loop over the stream: take in → seal when due → store → acknowledge.

use super::Progress;
use super::intake::{Intake, Step};
use super::writer::{Order, Stored, Writer};
use super::writing::{IDLE_CHECKPOINT, Writing, last_batch};
use crate::change::{Lsn, Position};
use crate::error::{Error, Kind, Result};
use crate::flow::{self, Adopted, CheckpointStore, DeadLetters, Event, Refetch, Sink, Source, Tables};
use bytes::Bytes;
use futures_util::FutureExt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Events that are taken in without looking at anything else in between.
const EVENTS_AT_ONCE: usize = 256;
/// Microseconds from 1970-01-01 to 2000-01-01, which Postgres counts from.
const POSTGRES_EPOCH: i64 = 946_684_800_000_000;

/// When batches are sealed, and when the stream ends.
#[derive(Debug, Clone)]
pub struct StreamOptions {
    /// Rows of one table that are stored at once at most.
    pub batch_rows: usize,
    /// Bytes that are stored at once at most.
    pub batch_bytes: usize,
    /// How long a change waits at most.
    pub batch_age: Duration,
    /// Ends once everything before this position is stored.
    pub until: Option<Lsn>,
    /// How long the last batch may take when stopping.
    pub stop_timeout: Duration,
}

/// How a stream ended without a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Everything before the wanted position is stored.
    CaughtUp,
    /// The process is to stop; the open batch was stored.
    Stopped,
}

/// The engine of a stream: what stays when the source's session has to be opened again.
pub struct Stream<T> {
    intake: Intake,
    tables: T,
    options: StreamOptions,
    writing: Writing<Position>,
    confirmed: Position,
    last_checkpoint: Instant,
    committed_at: i64,
    progress: Arc<Progress>,
}

impl<T> std::fmt::Debug for Stream<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stream").field("in_flight", &self.writing.in_flight()).finish_non_exhaustive()
    }
}

impl<T: Tables> Stream<T> {
    /// An engine that goes on behind a position.
    pub fn new<K, R, C, D>(writer: Writer<K, R, C, D>, tables: T, options: StreamOptions, from: Position) -> Self
    where
        K: Sink + 'static,
        R: Refetch + 'static,
        C: CheckpointStore<Position = Position> + 'static,
        D: DeadLetters + 'static,
    {
        let writing = Writing::start(writer);
        Self {
            progress: Arc::clone(&writing.progress),
            intake: Intake::default(),
            tables,
            options,
            writing,
            confirmed: from,
            last_checkpoint: Instant::now(),
            committed_at: 0,
        }
    }

    /// Where a new session has to begin.
    pub fn confirmed(&self) -> Position {
        self.confirmed
    }

    /// Runs on a session of the source until the wanted position, the stop, or a failure. After a failure that is worth another try it can be called
    /// again with a new session that begins at [`Stream::confirmed`].
    ///
    /// # Errors
    /// What source, destination or a value refuse.
    pub async fn run(&mut self, source: &mut impl Source) -> Result<Ended> {
        let mut stop = self.writing.stop.clone();
        loop {
            if self.reached() {
                return Ok(Ended::CaughtUp);
            }
            let full = self.is_full();
            if self.writing.is_idle() && (full || self.is_waited_for()) {
                self.seal().await?;
                continue;
            }
            let due = self.intake.since.map(|since| since + self.options.batch_age);
            tokio::select! {
                biased;
                stored = self.writing.stored() => self.finished(stored?, source),
                _ = stop.wait_for(|stop| *stop) => return self.stopping(source).await,
                () = sleep_until(due), if self.writing.is_idle() => self.seal().await?,
                () = self.tables.asked() => self.attend(source).await?,
                event = source.next(), if !full => {
                    self.handle(event?, source).await?;
                    self.handle_ready(source).await?;
                }
            }
        }
    }

    /// Takes in what has already arrived, without a turn of the scheduler for each.
    async fn handle_ready(&mut self, source: &mut impl Source) -> Result<()> {
        for _ in 0..EVENTS_AT_ONCE {
            if self.is_full() {
                break;
            }
            let Some(event) = source.next().now_or_never() else { break };
            self.handle(event?, source).await?;
        }
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.intake.largest() >= self.options.batch_rows || self.intake.bytes() >= self.options.batch_bytes
    }

    /// Whether what was taken in reaches the wanted position: then nothing is gained by waiting for more.
    fn is_waited_for(&self) -> bool {
        self.is_wanted(self.intake.position().unwrap_or(self.confirmed))
    }

    /// Whether the wanted position is reached with this one, and was not before.
    fn is_wanted(&self, position: Position) -> bool {
        self.options.until.is_some_and(|until| position.end >= until && self.confirmed.end < until)
    }

    fn reached(&self) -> bool {
        self.options.until.is_some_and(|until| self.confirmed.end >= until) && !self.tables.is_copying()
    }

    /// Does what is asked of tables, while nothing is under way.
    async fn attend(&mut self, source: &impl Source) -> Result<()> {
        self.drain(source).await?;
        for relation in self.tables.attend().await {
            if let Some(relation) = self.intake.relation(relation) {
                let adopted = self.adopt(&relation).await?;
                self.intake.adopt(relation, adopted);
            }
        }
        Ok(())
    }

    async fn handle(&mut self, event: Event, source: &impl Source) -> Result<()> {
        match event {
            Event::Data { lsn, message } => self.take(lsn, &message, source).await,
            Event::Begin { commit, xid, at } => {
                self.progress.saw(commit);
                self.progress.caught_up.store(false, Ordering::Relaxed);
                self.same_history(commit, xid)?;
                self.intake.begin(commit, xid, at + POSTGRES_EPOCH);
                Ok(())
            }
            Event::Commit { position, at } => {
                self.committed_at = at + POSTGRES_EPOCH;
                self.intake.commit(position);
                self.idle_checkpoint(position).await
            }
            Event::Asked => {
                self.intake.since.get_or_insert_with(Instant::now);
                Ok(())
            }
            Event::Idle { lsn } => {
                self.progress.saw(lsn);
                let nothing_waits = self.intake.is_empty() && self.writing.is_idle() && !self.intake.in_transaction();
                if nothing_waits && lsn > self.confirmed.end {
                    let position = Position { end: lsn, ..self.intake.position().unwrap_or(self.confirmed) };
                    self.intake.commit(position);
                    self.idle_checkpoint(position).await?;
                }
                if nothing_waits {
                    self.progress.caught_up.store(true, Ordering::Relaxed);
                }
                Ok(())
            }
        }
    }

    /// Takes a message in; again after a column was given room for NULL, which can help but once a column.
    async fn take(&mut self, lsn: Lsn, message: &Bytes, source: &impl Source) -> Result<()> {
        let mut relaxed: Vec<String> = Vec::new();
        loop {
            let step = match self.intake.take(lsn, message)? {
                Step::Done => return Ok(()),
                Step::Relax { relation, column, since } if relaxed.contains(&column) => {
                    let reason = format!("column \"{column}\" got NULL, for which it has no place");
                    Step::Park { relation, reason, since }
                }
                step => step,
            };
            if let Step::Relax { column, .. } = &step {
                relaxed.push(column.clone());
            }
            if !Box::pin(self.step(step, source)).await? {
                return Ok(());
            }
        }
    }

    /// Stores a position behind which nothing waits: seldom, or at once where somebody waits for it.
    async fn idle_checkpoint(&mut self, position: Position) -> Result<()> {
        let due = self.is_wanted(position) || self.last_checkpoint.elapsed() >= IDLE_CHECKPOINT;
        if due && self.intake.is_empty() && self.writing.is_idle() { self.seal().await } else { Ok(()) }
    }

    /// The same commit LSN with another transaction is another history of the server: it was restored, or replaced.
    fn same_history(&self, commit: Lsn, xid: u32) -> Result<()> {
        if commit != self.confirmed.commit || self.confirmed.xid == 0 || self.confirmed.xid == xid {
            return Ok(());
        }
        Err(Error::new(Kind::SourceGap, format!("the source's history differs from the stored one at {commit}")).hint(
            "the server was restored from a backup or replaced: copy everything again with `pipectl resync --all`",
        ))
    }

    /// Does what a message asks for; whether it is to be taken in again.
    async fn step(&mut self, step: Step, source: &impl Source) -> Result<bool> {
        match step {
            Step::Done => Ok(false),
            Step::Adopt(relation) => {
                // What is under way has the form that the destination's table had until now.
                self.drain(source).await?;
                let adopted = self.adopt(&relation).await?;
                self.intake.adopt(relation, adopted);
                Ok(false)
            }
            Step::Relax { relation, column, .. } => {
                self.drain(source).await?;
                self.tables.relax(relation, &column).await?;
                if let Some(relation) = self.intake.relation(relation) {
                    let adopted = self.adopt(&relation).await?;
                    self.intake.adopt(relation, adopted);
                }
                Ok(true)
            }
            Step::Park { relation, reason, since } => {
                let target = self.intake.target(relation).unwrap_or_else(|| relation.to_string());
                self.tell_parked(&target, &reason);
                self.drain(source).await?;
                self.intake.park(relation);
                self.tables.leave(relation);
                self.writing.order(Order::Park { relation, reason, since }).await?;
                self.drain(source).await?;
                Ok(false)
            }
        }
    }

    async fn adopt(&mut self, relation: &crate::decode::pgoutput::Relation) -> Result<Adopted> {
        let adopted = self.tables.adopt(relation).await?;
        let Adopted::Park(reason) = adopted else { return Ok(adopted) };
        let target = self.intake.target(relation.id).unwrap_or_else(|| relation.name.clone());
        self.tell_parked(&target, &reason);
        self.tables.leave(relation.id);
        let since = crate::change::Version::new(self.confirmed.end, Lsn::ZERO);
        self.writing.order(Order::Park { relation: relation.id, reason, since }).await?;
        Ok(Adopted::Parked)
    }

    fn tell_parked(&self, target: &str, reason: &str) {
        self.progress.note(format!("table \"{target}\" is parked, the others go on: {reason}"));
        self.progress.table(target, |table| table.parked = Some(reason.to_owned()));
    }

    async fn seal(&mut self) -> Result<()> {
        let group = self.intake.seal();
        self.last_checkpoint = Instant::now();
        self.writing.order(Order::Store(group)).await
    }

    /// Stores everything taken in so far and waits for it.
    async fn drain(&mut self, source: &impl Source) -> Result<()> {
        if !self.intake.is_empty() {
            self.seal().await?;
        }
        while !self.writing.is_idle() {
            let stored = self.writing.stored().await?;
            self.finished(stored, source);
        }
        Ok(())
    }

    fn finished(&mut self, stored: Stored<Position>, source: &impl Source) {
        let Stored { committed, parked } = stored;
        for (relation, reason) in parked {
            let target = self.intake.target(relation).unwrap_or_else(|| relation.to_string());
            self.tell_parked(&target, &reason);
            self.intake.park(relation);
            self.tables.leave(relation);
        }
        if let Some(&position) = committed.position()
            && position.end > self.confirmed.end
        {
            self.confirmed = position;
            self.progress.confirmed.store(position.end.0, Ordering::Relaxed);
            self.progress.saw(position.end);
            self.progress.committed_at.store(self.committed_at.max(0) as u64, Ordering::Relaxed);
        }
        flow::acknowledge(source, committed);
    }

    async fn stopping(&mut self, source: &mut impl Source) -> Result<Ended> {
        let (timeout, progress) = (self.options.stop_timeout, Arc::clone(&self.progress));
        last_batch(self.drain(source), timeout, &progress).await?;
        Ok(Ended::Stopped)
    }

    /// Prepares for a new session: waits for what is under way, and forgets what the source will send again.
    ///
    /// # Errors
    /// What the writer returns.
    pub async fn rewind(&mut self, source: &impl Source) -> Result<()> {
        self.intake.discard();
        self.drain(source).await
    }

    /// Ends the writer; nothing can be stored afterwards.
    pub async fn close(self) {
        self.writing.close().await;
    }
}

pub(super) async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}
