//! Stores groups, one after another, while the next one is being taken in.

use super::Progress;
use super::gaps::{self, FilledRows, Room};
use crate::batch::Layout;
use crate::error::{Error, Result};
use crate::failpoint;
use crate::flow::{self, CheckpointStore, Committed, DeadLetters, Group, Refetch, Sink};
use futures_util::future::try_join_all;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// The task that stores groups. Each group is tried again for as long as the destination cannot be reached.
#[derive(Debug)]
pub struct Writer<K, R, C, D> {
    /// Where rows go.
    pub sink: K,
    /// Where left-out values are read again.
    pub refetch: R,
    /// What values that are read again may take.
    pub room: Room,
    /// Where positions are kept.
    pub store: C,
    /// Where records go that could not be carried.
    pub dead: D,
    /// The numbers.
    pub progress: Arc<Progress>,
    /// Turns true when the process is to stop.
    pub stop: watch::Receiver<bool>,
}

/// What the engine asks of the writer.
#[derive(Debug)]
pub(super) enum Order<P> {
    /// To store a group.
    Store(Group<P>),
    /// To note that a table is left behind.
    Park { relation: u32, reason: String, since: crate::change::Version },
}

/// What the writer reports of a finished order.
#[derive(Debug)]
pub(super) struct Stored<P> {
    /// How far the destination is complete with it.
    pub(super) committed: Committed<P>,
    /// Tables that had to be left behind with it, by their ids, and why; that is noted already.
    pub(super) parked: Vec<(u32, String)>,
}

impl<K: Sink, R: Refetch, C: CheckpointStore, D: DeadLetters> Writer<K, R, C, D>
where
    C::Position: Clone,
{
    /// Stores what comes in and reports each. Ends with the first lasting failure, or when nothing more can come.
    pub(super) async fn run(
        mut self,
        mut orders: mpsc::Receiver<Order<C::Position>>,
        done: mpsc::Sender<Result<Stored<C::Position>>>,
    ) {
        while let Some(order) = orders.recv().await {
            let result = self.carry_out(&order).await;
            let failed = result.is_err();
            if done.send(result).await.is_err() || failed {
                return;
            }
        }
    }

    async fn carry_out(&mut self, order: &Order<C::Position>) -> Result<Stored<C::Position>> {
        let (progress, stop) = (Arc::clone(&self.progress), self.stop.clone());
        let mut attempt = Attempts::new(&progress, stop);
        loop {
            let outcome = match order {
                Order::Store(group) => self.store_group(group).await,
                Order::Park { relation, reason, since } => match self.store.park(*relation, reason, *since).await {
                    Ok(()) => self.nothing().await,
                    Err(error) => Err(error),
                },
            };
            match outcome {
                Ok(stored) => {
                    attempt.succeeded();
                    return Ok(stored);
                }
                Err(error) => attempt.failed(error).await?,
            }
        }
    }

    async fn nothing(&mut self) -> Result<Stored<C::Position>> {
        let durable = flow::write(None, async { Ok(()) }).await?;
        Ok(Stored { committed: flow::commit(&mut self.store, durable).await?, parked: Vec::new() })
    }

    /// Rows, then what gaps are filled with, then deletions and truncations, then what could not be carried; only then the position.
    async fn store_group(&mut self, group: &Group<C::Position>) -> Result<Stored<C::Position>> {
        let mut filled = gaps::Filled::default();
        let (sink, refetch, store, room) = (&self.sink, &mut self.refetch, &mut self.store, &mut self.room);
        let durable = flow::write(group.position.clone(), async {
            try_join_all(group.batches.iter().map(|batch| sink.insert(batch))).await?;
            if !group.gaps.is_empty() {
                filled = gaps::fill(&group.gaps, (sink, refetch), room).await?;
            }
            for deletions in &group.deletions {
                sink.mark_deleted(deletions).await?;
            }
            for truncation in &group.truncations {
                sink.truncate(truncation).await?;
            }
            for open in &filled.open {
                store.park(open.relation, &open.reason, open.since).await?;
            }
            if !group.dead.is_empty() {
                self.dead.store(&group.dead).await?;
            }
            Ok(())
        })
        .await?;
        failpoint::die("sync.stored");
        let committed = flow::commit(&mut self.store, durable).await?;
        failpoint::die("sync.committed");
        let progress = &self.progress;
        group.batches.iter().for_each(|batch| count(progress, batch.layout(), batch.rows(), batch.policy_nulls()));
        for FilledRows { layout, rows, policy_nulls } in &filled.rows {
            count(progress, layout, *rows, policy_nulls.iter().map(|(column, count)| (column.as_str(), *count)));
        }
        group.deletions.iter().for_each(|deletions| count_rows(progress, deletions.layout(), deletions.rows()));
        progress.groups.fetch_add(1, Ordering::Relaxed);
        progress.bytes.fetch_add(group.bytes() as u64, Ordering::Relaxed);
        progress.dead_letters.fetch_add(group.dead.len() as u64, Ordering::Relaxed);
        let parked = filled.open.into_iter().map(|open| (open.relation, open.reason)).collect();
        Ok(Stored { committed, parked })
    }
}

fn count_rows(progress: &Progress, layout: &Layout, rows: usize) {
    progress.changed_rows.fetch_add(rows as u64, Ordering::Relaxed);
    progress.table(&layout.target, |table| table.changed_rows += rows as u64);
}

fn count<'a>(progress: &Progress, layout: &Layout, rows: usize, policy_nulls: impl Iterator<Item = (&'a str, u64)>) {
    count_rows(progress, layout, rows);
    progress.table(&layout.target, |table| {
        for (column, count) in policy_nulls {
            *table.policy_nulls.entry(column.to_owned()).or_default() += count;
        }
    });
}

/// Attempts at one thing, with a pause that grows.
struct Attempts<'a> {
    progress: &'a Progress,
    stop: watch::Receiver<bool>,
    pause: Duration,
    count: u32,
}

impl<'a> Attempts<'a> {
    fn new(progress: &'a Progress, stop: watch::Receiver<bool>) -> Self {
        Self { progress, stop, pause: FIRST_PAUSE, count: 0 }
    }

    fn succeeded(&self) {
        if self.count > 0 {
            self.progress.note(format!("went on after {} failed attempts", self.count));
            self.progress.retries.store(0, Ordering::Relaxed);
        }
    }

    /// Waits before the next attempt, or hands the error back where another one cannot help, or the process is to stop.
    async fn failed(&mut self, error: Error) -> Result<()> {
        if !error.kind().policy().retry || *self.stop.borrow() {
            return Err(error);
        }
        self.count += 1;
        self.progress.retries.store(u64::from(self.count), Ordering::Relaxed);
        self.progress.note(format!("{}; trying again in {:.1} s", error.with_causes(), self.pause.as_secs_f64()));
        if self.count == 1
            && let Some(hint) = error.hint_text()
        {
            self.progress.note(format!("hint: {hint}"));
        }
        tokio::select! {
            () = tokio::time::sleep(self.pause) => {}
            _ = self.stop.wait_for(|stop| *stop) => return Err(error),
        }
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        Ok(())
    }
}

/// Does something again for as long as only reaching a server fails, with a growing pause and a line each time.
///
/// # Errors
/// The first lasting failure, or the last one when the process is to stop.
pub async fn retrying<T, F: Future<Output = Result<T>>>(
    progress: &Progress,
    stop: &watch::Receiver<bool>,
    mut work: impl FnMut() -> F,
) -> Result<T> {
    let mut attempt = Attempts::new(progress, stop.clone());
    loop {
        match work().await {
            Ok(value) => {
                attempt.succeeded();
                return Ok(value);
            }
            Err(error) => attempt.failed(error).await?,
        }
    }
}
