//! The moment at which both sides are compared.
//!
//! Postgres is read in one snapshot. The position read right after it was taken is the fence: every commit that the snapshot
//! sees lies before it. Sides that are equal need no more. Where they are not, the slot's reader has to confirm the fence first: then
//! ClickHouse holds at least what the snapshot sees, and perhaps more; rows that changed since are looked at again behind a newer fence.

use super::{Event, Progress};
use crate::change::Lsn;
use crate::checkpoint::StateStore;
use crate::config::{PostgresSettings, Settings};
use crate::error::{Error, Kind, Result};
use crate::server::kafka::{Cluster, client_config};
use crate::server::postgres::{Connection, connect, server_error};
use crate::source::kafka::{ends, subscription};
use futures_util::future::try_join_all;
use std::time::Duration;
use tokio::time::Instant;

const BEGIN: &str = include_str!("../../sql/postgres/verify_begin.sql");
const SNAPSHOT: &str = include_str!("../../sql/postgres/verify_snapshot.sql");
const SLOT: &str = include_str!("../../sql/postgres/verify_slot.sql");
const FENCE_MESSAGE: &str = include_str!("../../sql/postgres/verify_fence_message.sql");
const POLL: Duration = Duration::from_millis(100);

/// Sessions that all read the same snapshot.
pub(super) struct Snapshot {
    pub(super) sessions: Vec<Connection>,
    /// When it was taken.
    pub(super) taken: Instant,
    /// No commit that the snapshot sees lies behind it.
    pub(super) fence: Lsn,
    /// The database's encoding.
    pub(super) encoding: String,
    /// `server_version_num`.
    pub(super) version: i32,
}

impl Snapshot {
    /// Opens sessions and takes a snapshot in all of them.
    pub(super) async fn take(settings: &PostgresSettings, sessions: usize) -> Result<Self> {
        let sessions = try_join_all((0..sessions.max(1)).map(|_| connect(settings))).await?;
        let mut snapshot =
            Self { sessions, taken: Instant::now(), fence: Lsn::ZERO, encoding: String::new(), version: 0 };
        snapshot.begin().await?;
        Ok(snapshot)
    }

    /// Takes a newer snapshot in the same sessions.
    pub(super) async fn renew(&mut self) -> Result<()> {
        self.pause().await?;
        self.begin().await
    }

    /// Lets the snapshot go, and with it its locks, until it is renewed.
    pub(super) async fn pause(&mut self) -> Result<()> {
        for session in &self.sessions {
            session.batch_execute("COMMIT").await.map_err(failed)?;
        }
        Ok(())
    }

    /// The first session, for queries that no other one takes part in.
    pub(super) fn session(&self) -> Result<&Connection> {
        self.sessions.first().ok_or_else(|| Error::new(Kind::Unexpected, "no session to read Postgres with"))
    }

    async fn begin(&mut self) -> Result<()> {
        for session in &self.sessions {
            session.batch_execute(BEGIN).await.map_err(failed)?;
        }
        let row = self.session()?.query_one(SNAPSHOT, &[]).await.map_err(failed)?;
        let snapshot: String = row.get("snapshot");
        self.taken = Instant::now();
        self.fence = position(row.get("fence"))?;
        self.encoding = row.get("encoding");
        self.version = row.get("version");
        // The statement takes no parameter; an identifier of any other form than Postgres' own is not sent.
        if !snapshot.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-') {
            return Err(Error::new(Kind::Source, "could not share the snapshot: its identifier has an unknown form"));
        }
        for session in self.sessions.iter().skip(1) {
            session.batch_execute(&format!("SET TRANSACTION SNAPSHOT '{snapshot}'")).await.map_err(failed)?;
        }
        Ok(())
    }
}

fn failed(error: tokio_postgres::Error) -> Error {
    server_error("could not take a snapshot to compare with", error)
}

fn position(text: &str) -> Result<Lsn> {
    text.parse().map_err(|problem: String| Error::new(Kind::Source, "could not read a position").because(problem))
}

/// Where the pipeline stands to a fence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// Its reader has confirmed the fence, and may go on.
    Passed,
    /// Nobody reads the slot; so many bytes before the fence are not confirmed.
    Idle { behind: u64 },
    /// There is no slot.
    NoSlot,
}

/// Waits until the slot's reader has confirmed a fence; not at all where there is no reader.
///
/// # Errors
/// [`Kind::Finding`] where it takes longer than `wait`.
pub(super) async fn pass(
    control: &Connection,
    slot: &str,
    fence: Lsn,
    wait: Duration,
    progress: Progress<'_>,
) -> Result<Standing> {
    let deadline = Instant::now() + wait;
    let mut first = true;
    loop {
        let row = control
            .query_opt(SLOT, &[&slot])
            .await
            .map_err(|error| server_error("could not look up the replication slot", error))?;
        let Some(row) = row else { return Ok(Standing::NoSlot) };
        let active: bool = row.get("active");
        let confirmed = row.get::<_, Option<&str>>("confirmed").map_or(Ok(Lsn::ZERO), position)?;
        let behind = fence.0.saturating_sub(confirmed.0);
        if first && !active {
            return Ok(Standing::Idle { behind });
        }
        if behind == 0 {
            return Ok(Standing::Passed);
        }
        if Instant::now() >= deadline {
            return Err(Error::new(Kind::Finding, format!("ClickHouse is behind by {behind} bytes"))
                .hint("let `pipectl sync` catch up, or wait longer with `--wait`"));
        }
        if first {
            emit_message(control).await;
            first = false;
        }
        progress(Event::Waiting { behind });
        tokio::time::sleep(POLL).await;
    }
}

/// Waits until everything that the connector had written when it confirmed the fence is stored: until the topics are stored up to the ends they have now. Not
/// at all where no process reads them.
///
/// # Errors
/// [`Kind::Finding`] where it takes longer than `wait`; what Kafka and ClickHouse refuse.
pub(super) async fn pass_topics(settings: &Settings, state: &mut StateStore, wait: Duration) -> Result<bool> {
    let deadline = Instant::now() + wait;
    let kafka = settings.kafka.as_ref().ok_or_else(|| {
        Error::new(Kind::Config, "no Kafka is configured").hint("add a section `kafka`, with `brokers`")
    })?;
    let group = format!("pipectl_{}", settings.pipeline);
    let subscription = subscription(kafka, &settings.topic_prefix(), &settings.tables);
    let config = client_config(kafka, &[]);
    let (ends, read) = tokio::task::spawn_blocking(move || {
        let cluster = Cluster::new(&config)?;
        let read = cluster.groups(Some(&group))?.iter().any(|(_, state)| !matches!(state.as_str(), "Empty" | "Dead"));
        Ok::<_, Error>((ends(&cluster, &subscription)?, read))
    })
    .await
    .map_err(|error| Error::new(Kind::Unexpected, "a task ended early").because(error))??;
    loop {
        let stored = state.load().await?.offsets;
        let behind: i64 =
            ends.iter().map(|(place, end)| (end - stored.0.get(place).map_or(0, |at| at.next)).max(0)).sum();
        if behind == 0 {
            return Ok(true);
        }
        if !read {
            return Ok(false);
        }
        if Instant::now() >= deadline {
            return Err(Error::new(Kind::Finding, format!("ClickHouse is behind by {behind} records of the topics"))
                .hint("let `pipectl sync` catch up, or wait longer with `--wait`"));
        }
        tokio::time::sleep(POLL).await;
    }
}

/// An idle database writes nothing that could be confirmed, so something is written. Where that is not allowed, the heartbeat of
/// sync serves as well, only later.
async fn emit_message(control: &Connection) {
    if let Err(error) = control.query(FENCE_MESSAGE, &[]).await {
        tracing::debug!(%error, "could not write a message behind the fence");
    }
}
