//! The task beside a running stream that copies tables, one after another.

use super::super::copies::{CopyJob, Left, Pace, no_postgres};
use super::super::kept::Kept;
use super::super::lock::holders;
use super::super::prepare::numbered;
use super::super::publication;
use super::super::resync::{copied, copy_all, later_snapshot};
use super::super::waiting::Waits;
use super::{Ask, Begun, Complete, CopyQueue, Exchanged, Place, Want};
use crate::change::Version;
use crate::checkpoint::{CopiedRecord, CopyAnswer, CopyPhase, StateStore, Transport};
use crate::config::Settings;
use crate::error::{Error, Kind, Result};
use crate::failpoint;
use crate::server::clickhouse::Server;
use crate::server::postgres::{Connection, TableMark, backend_pid, connect, connect_listening, marks};
use crate::sink::clickhouse::ClickHouseSink;
use crate::source::postgres::{CreatedSlot, Patience, Waiting, plan_ranges};
use crate::sync::{Ended, Progress};
use futures_util::FutureExt;
use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Notify, mpsc, oneshot, watch};

/// How often it is looked what is due, and told how far a copy is.
const LOOK: Duration = Duration::from_secs(1);
/// How often wishes are looked for that nobody called for: the call may have been lost.
const WISHES: Duration = Duration::from_secs(30);
/// How often the source's catalog is looked into.
const CATALOG: Duration = Duration::from_secs(5);
/// Before a copy is begun again.
const PAUSE: Duration = Duration::from_secs(2);
/// How long a copy may take to let go of the servers.
const LAST_WORD: Duration = Duration::from_secs(1);

/// The task.
pub(crate) struct Copier {
    pub(crate) settings: Settings,
    pub(crate) server: Server,
    pub(crate) store: StateStore,
    pub(crate) queue: CopyQueue,
    pub(crate) asks: mpsc::UnboundedSender<Ask>,
    pub(crate) transport: Transport,
    /// Whether pipectl made the publication.
    pub(crate) owns_publication: bool,
    pub(crate) progress: Arc<Progress>,
    pub(crate) stop: watch::Receiver<bool>,
    pub(crate) watch: Watch,
    /// What an earlier process left to be done, and was perhaps asked for.
    pub(crate) left: Vec<Want>,
}

/// What was last seen of the source's catalog.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    /// The session for that, which also hears who asks for a copy.
    client: Option<Connection>,
    called: Arc<Notify>,
    /// When wishes were read last.
    asked: Option<Instant>,
    looked: Option<Instant>,
    marks: Option<Arc<BTreeMap<u32, TableMark>>>,
}

/// What came of a copy.
enum Outcome {
    Done(u64),
    Again,
    Refused(String),
}

impl Copier {
    /// Copies what is wanted, for as long as the stream runs. A copy that is under way when it is stopped leaves nothing behind that waits at the server.
    pub(crate) async fn beside(self, stream: impl Future<Output = Result<Ended>>) -> Result<Ended> {
        let stop = self.stop.clone();
        let (mut stream, mut copying) = (pin!(stream), Box::pin(self.run()));
        let ended = tokio::select! {
            ended = &mut stream => ended,
            () = &mut copying => return stream.await,
        };
        if *stop.borrow() {
            tokio::time::timeout(LAST_WORD, copying).await.ok();
        }
        ended
    }

    async fn run(mut self) {
        let mut has_told = false;
        loop {
            match self.hear().await {
                Ok(()) => has_told = false,
                Err(error) if !has_told => {
                    has_told = true;
                    self.progress.note(format!("warning: {}", error.with_causes()));
                }
                Err(_) => {}
            }
            if let Some(want) = self.queue.take() {
                self.carry_out(&want).await;
                if *self.stop.borrow() {
                    return;
                }
                self.queue.done();
                // Whoever asked for this very table meanwhile wants another copy.
                self.watch.asked = None;
                // Who waits for the end of all copies looks again.
                self.asks.send(Ask::Settled).ok();
                continue;
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                () = self.queue.changed() => {}
                _ = self.stop.wait_for(|stop| *stop) => return,
                () = self.watch.called.notified() => self.watch.asked = None,
            }
        }
    }

    /// Takes in what was asked for since, and what happened to tables of which the stream does not tell.
    async fn hear(&mut self) -> Result<()> {
        if self.watch.asked.is_none_or(|asked| asked.elapsed() >= WISHES) {
            self.take_wishes().await?;
            self.watch.asked = Some(Instant::now());
        }
        for want in self.left.drain(..) {
            self.queue.push(want);
        }
        if self.watch.looked.is_none_or(|looked| looked.elapsed() >= CATALOG) {
            self.look().await?;
            self.watch.looked = Some(Instant::now());
        }
        Ok(())
    }

    async fn take_wishes(&mut self) -> Result<()> {
        let copies = self.store.load_copies().await?;
        for (relation, request) in copies.open() {
            let want = Want {
                relation,
                reason: "it was asked for".to_owned(),
                request: Some(request.id.clone()),
                max_rows_per_second: request.max_rows_per_second,
                wanted: request.wanted.clone(),
                leaves: Vec::new(),
            };
            if self.queue.push(want.clone()) {
                self.answer(&want, CopyPhase::Waiting, |_| {}).await?;
            }
        }
        Ok(())
    }

    /// Looks into the source's catalog; what is new there is handed on.
    async fn look(&mut self) -> Result<()> {
        let postgres = self.settings.postgres.as_ref().ok_or_else(no_postgres)?;
        let client = if let Some(client) = self.watch.client.take().filter(|client| !client.is_closed()) {
            client
        } else {
            // Who called while nobody listened is heard by asking once more.
            self.watch.asked = None;
            connect_listening(postgres, &postgres.slot, &self.watch.called).await?
        };
        let marks = marks(&client, None).await?;
        self.watch.client = Some(client);
        if self.watch.marks.as_deref() != Some(&marks) {
            let marks = Arc::new(marks);
            self.watch.marks = Some(Arc::clone(&marks));
            self.asks.send(Ask::Look(marks)).ok();
        }
        Ok(())
    }

    async fn answer(&mut self, want: &Want, phase: CopyPhase, more: impl FnOnce(&mut CopyAnswer)) -> Result<()> {
        let Some(id) = &want.request else { return Ok(()) };
        let mut answer = CopyAnswer { id: id.clone(), phase, ..CopyAnswer::default() };
        more(&mut answer);
        self.store.answer_copy(want.relation, &answer).await
    }

    /// Copies a table; again while servers are away, and where it was altered meanwhile.
    async fn carry_out(&mut self, want: &Want) {
        loop {
            let (phase, rows, refused) = match self.copy(want).await {
                Ok(Outcome::Done(rows)) => (CopyPhase::Done, rows, None),
                Ok(Outcome::Again) => {
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
                Ok(Outcome::Refused(reason)) => (CopyPhase::Refused, 0, Some((reason, Kind::Value))),
                Err(_) if *self.stop.borrow() => return,
                Err(error) if error.kind().policy().retry => {
                    self.progress.note(format!("{}; the copy begins again", error.with_causes()));
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
                Err(error) => {
                    let hint = error.hint_text().map_or(String::new(), |hint| format!(" ({hint})"));
                    (CopyPhase::Refused, 0, Some((format!("{}{hint}", error.with_causes()), error.kind())))
                }
            };
            if let Some((reason, _)) = &refused {
                let (reply, abandoned) = oneshot::channel();
                self.asks.send(Ask::Abandon(want.relation, Some(reason.clone()), reply)).ok();
                if let Ok(Err(error)) = abandoned.await {
                    self.progress.note(format!("warning: {}", error.with_causes()));
                }
                self.progress.note(format!("a table was not copied again, it is as it was: {reason}"));
            }
            let answered = self.answer(want, phase, |answer| {
                (answer.copied_rows, answer.expected_rows) = (rows, rows);
                if let Some((reason, kind)) = refused {
                    (answer.reason, answer.exit_code) = (Some(reason), kind.policy().exit_code);
                }
            });
            if let Err(error) = answered.await {
                self.progress.note(format!("warning: {}", error.with_causes()));
            }
            return;
        }
    }

    async fn ask<T>(&self, ask: impl FnOnce(oneshot::Sender<Result<T>>) -> Ask) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        let gone = || Error::new(Kind::Unexpected, "the engine ended early");
        self.asks.send(ask(reply)).map_err(|_| gone())?;
        let mut stop = self.stop.clone();
        tokio::select! {
            answer = answer => answer.map_err(|_| gone())?,
            _ = stop.wait_for(|stop| *stop) => Err(Error::new(Kind::Source, "stopped before the copy was complete")),
        }
    }

    async fn copy(&mut self, want: &Want) -> Result<Outcome> {
        let postgres = self.settings.postgres.clone().ok_or_else(no_postgres)?;
        let client = connect(&postgres).await?;
        self.alone(&client, &postgres.slot).await?;
        let waits = Waits::of(backend_pid(&client).await?, &postgres, (&self.progress, &self.stop));
        let begun = self.ask(|reply| Ask::Begin(want.clone(), reply)).await?;
        let (name, shadow) = (begun.plan.schema.name.to_string(), begun.layout.target.clone());
        self.progress.note(format!("{name} is copied again while the stream goes on: {}", want.reason));
        failpoint::die("recopy.begun");
        waits.told(self.publish(&client, &begun)).await?;
        let heaps = marks(&client, Some(want.relation))
            .await?
            .remove(&want.relation)
            .map(|mark| mark.heaps)
            .unwrap_or_default();
        let (version, slot) = self.snapshot(&client).await?;
        let copied = copied(&self.settings, version, &slot).await?;
        decide(&begun, copied.as_ref())?;
        if shadow != begun.plan.target {
            let (settings, shape) = (&self.settings.clickhouse, begun.plan.shape().named(&shadow));
            let kept = Kept { server: &self.server, settings, plan: &begun.plan, shadow: &shape, version };
            kept.carry(begun.place == Place::Instead, &self.progress).await?;
        }
        let mut ranges = waits.told(plan_ranges(&client, &begun.plan.schema)).await?;
        ranges.retain(|range| begun.leaves.is_empty() || begun.leaves.contains(&range.heap));
        let job = CopyJob {
            schema: Arc::new(begun.plan.schema.clone()),
            layout: Arc::clone(&begun.layout),
            filter: begun.filter.clone(),
            version,
            ranges: numbered(ranges),
        };
        let left = self.rows(want, job, &slot.snapshot).await;
        let rows = if shadow == begun.plan.target {
            self.progress.tables().remove(&shadow)
        } else {
            self.progress.forget_table(&shadow)
        };
        let rows = rows.map_or(0, |table| table.copied_rows);
        let left = left?;
        if let Some(reason) = left.refused.into_values().next() {
            return Err(Error::new(Kind::Value, reason));
        }
        if !left.torn.is_empty() {
            self.progress.note(format!("{name} was rewritten while it was copied; its copy begins again"));
            return Ok(Outcome::Again);
        }
        failpoint::die("recopy.copied");
        let (relation, request, first_commit) = (want.relation, want.request.clone(), slot.consistent_point);
        let complete = Complete { relation, request, version, first_commit, copied, rows, heaps };
        drop(slot);
        Ok(match self.ask(|reply| Ask::Exchange(complete, reply)).await? {
            Exchanged::Done => {
                self.progress.note(format!("{name} is copied again: {rows} rows"));
                Outcome::Done(rows)
            }
            Exchanged::Again => Outcome::Again,
            Exchanged::Refused(reason) => Outcome::Refused(reason),
        })
    }

    async fn snapshot(&self, client: &Connection) -> Result<(Version, CreatedSlot)> {
        let tell = |waiting: &[Waiting]| {
            for transaction in waiting {
                self.progress.note(format!("waiting for {}, open for {} s", transaction.who, transaction.seconds));
            }
        };
        let patience = Patience { timeout: self.settings.sync.slot_timeout, stop: self.stop.clone(), tell: &tell };
        later_snapshot(&self.settings, client, &patience).await
    }

    /// Changes that another process stores would not go into the shadow.
    async fn alone(&self, client: &Connection, slot: &str) -> Result<()> {
        if self.transport == Transport::Postgres || holders(client, slot).await? <= 1 {
            return Ok(());
        }
        Err(Error::new(
            Kind::Source,
            "several processes read the topics, and each would have to store changes twice meanwhile",
        )
        .hint("stop all but one, or all, and ask again"))
    }

    /// A table that is new to the publication joins it before its copy.
    async fn publish(&self, client: &Connection, begun: &Begun) -> Result<()> {
        let (Transport::Postgres, Some(postgres)) = (self.transport, &self.settings.postgres) else { return Ok(()) };
        let terms = publication::Terms { owned: self.owns_publication, before_slot: false, progress: &self.progress };
        let plans = std::slice::from_ref(&begun.plan);
        publication::ensure(client, &self.settings, &postgres.publication, plans, terms).await.map(|_| ())
    }

    /// Copies the rows, and tells meanwhile how far that is.
    async fn rows(&mut self, want: &Want, job: CopyJob, snapshot: &str) -> Result<Left> {
        let (shadow, expected) = (job.layout.target.clone(), job.schema.estimated_rows);
        self.progress.table(&shadow, |table| table.expected_rows = expected);
        // The stream needs its share of the memory, too.
        let mut settings = self.settings.clone();
        settings.sync.memory /= 2;
        let (sink, pace) = (
            ClickHouseSink::new(self.server.clone(), &settings.clickhouse.database),
            want.max_rows_per_second.map(Pace::new),
        );
        let (progress, stop) = (Arc::clone(&self.progress), self.stop.clone());
        let copying = copy_all(&settings, sink, (vec![job], pace.as_ref()), snapshot, (&progress, &stop));
        tokio::pin!(copying);
        let mut told: Option<Instant> = None;
        loop {
            if told.is_none_or(|told| told.elapsed() >= LOOK) {
                told = Some(Instant::now());
                let rows = progress.tables().remove(&shadow).map_or(0, |table| table.copied_rows);
                self.answer(want, CopyPhase::Copying, |answer| {
                    (answer.copied_rows, answer.expected_rows) = (rows, expected);
                })
                .await
                .ok();
                if self.watch.called.notified().now_or_never().is_some() {
                    self.watch.asked = None;
                }
                self.hear().await.ok();
            }
            tokio::select! {
                left = &mut copying => return left,
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }
}

/// Changes that were stored since the copy was begun, and those that follow, are told apart by what its snapshot shows.
fn decide(begun: &Begun, copied: Option<&CopiedRecord>) -> Result<()> {
    let Some(straddling) = &begun.straddling else { return Ok(()) };
    let unread = || Error::new(Kind::Unexpected, "could not read what the snapshot of the copy shows");
    straddling.decide(copied.and_then(CopiedRecord::changes).ok_or_else(unread)?);
    Ok(())
}
