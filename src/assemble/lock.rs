//! The session that a working process keeps with the source: it holds the pipeline's lock, and writes heartbeats.

use crate::change::Lsn;
use crate::config::PostgresSettings;
use crate::error::{Error, Kind, Result};
use crate::server::postgres::{Connection, connect, server_error};
use std::time::{Duration, Instant};

/// How long a session may outlive its process.
pub(super) const LAST_BREATH: Duration = Duration::from_secs(3);
pub(super) const PAUSE: Duration = Duration::from_millis(200);

const TAKE: &str = include_str!("../../sql/postgres/take_lock.sql");
const SHARE: &str = include_str!("../../sql/postgres/share_lock.sql");
const EMIT: &str = include_str!("../../sql/postgres/emit_message.sql");
const HOLDERS: &str = include_str!("../../sql/postgres/lock_holders.sql");
const FLUSHED: &str = include_str!("../../sql/postgres/flushed.sql");

/// The session. The lock ends with it.
#[derive(Debug)]
pub(super) struct PipelineLock {
    client: Connection,
    /// The session's process at the server.
    pid: i32,
    /// The statement that takes it: for one process alone, or for several that read the same topics.
    statement: &'static str,
}

/// What came of an attempt to take the lock.
enum Attempt {
    Taken(PipelineLock),
    /// By the session with this process.
    Held(Option<i32>),
}

impl PipelineLock {
    /// Takes the lock of the settings' slot. Waits a little for its holder, which may be a session whose process was killed just now.
    pub(super) async fn take(settings: &PostgresSettings) -> Result<Self> {
        Self::wait(settings, TAKE).await
    }

    /// Takes the lock; the session that holds it where somebody else does.
    pub(super) async fn take_or_holder(settings: &PostgresSettings) -> Result<std::result::Result<Self, Option<i32>>> {
        let deadline = Instant::now() + LAST_BREATH;
        loop {
            match Self::attempt(settings, TAKE).await? {
                Attempt::Taken(lock) => return Ok(Ok(lock)),
                Attempt::Held(_) if Instant::now() < deadline => tokio::time::sleep(PAUSE).await,
                Attempt::Held(holder) => return Ok(Err(holder)),
            }
        }
    }

    /// Takes the lock together with others of its kind: processes that share the topics of a pipeline.
    pub(super) async fn share(settings: &PostgresSettings) -> Result<Self> {
        Self::wait(settings, SHARE).await
    }

    async fn wait(settings: &PostgresSettings, statement: &'static str) -> Result<Self> {
        let deadline = Instant::now() + LAST_BREATH;
        loop {
            match Self::attempt(settings, statement).await? {
                Attempt::Taken(lock) => return Ok(lock),
                Attempt::Held(_) if Instant::now() < deadline => tokio::time::sleep(PAUSE).await,
                Attempt::Held(holder) => return Err(taken(settings, holder)),
            }
        }
    }

    /// Takes the lock again after its session was lost; none as long as the server has not given that session up.
    pub(super) async fn again(&self, settings: &PostgresSettings) -> Result<Option<Self>> {
        match Self::attempt(settings, self.statement).await? {
            Attempt::Taken(lock) => Ok(Some(lock)),
            Attempt::Held(holder) if holder == Some(self.pid) => Ok(None),
            Attempt::Held(holder) => Err(taken(settings, holder)),
        }
    }

    async fn attempt(settings: &PostgresSettings, statement: &'static str) -> Result<Attempt> {
        let client = connect(settings).await?;
        let row = client
            .query_one(statement, &[&settings.slot])
            .await
            .map_err(|error| server_error("could not take the pipeline's lock", error))?;
        Ok(if row.get("taken") {
            Attempt::Taken(Self { client, pid: row.get("own"), statement })
        } else {
            Attempt::Held(row.get("holder"))
        })
    }

    /// The session's process at the server.
    pub(super) fn pid(&self) -> i32 {
        self.pid
    }

    /// The session itself.
    pub(super) fn client(&self) -> &tokio_postgres::Client {
        &self.client
    }

    /// Writes a message into the log and says where it lies.
    pub(super) async fn heartbeat(&self) -> Result<Lsn> {
        mark(&self.client).await
    }

    /// Where the log ends.
    pub(super) async fn flushed(&self) -> Result<Lsn> {
        let row = self
            .client
            .query_one(FLUSHED, &[])
            .await
            .map_err(|error| server_error("could not read the log's end", error))?;
        read_lsn(row.get(0))
    }
}

/// Writes a message into the log and says where it lies.
pub(super) async fn mark(client: &tokio_postgres::Client) -> Result<Lsn> {
    let row = client.query_one(EMIT, &[]).await.map_err(|error| server_error("could not write a heartbeat", error))?;
    read_lsn(row.get(0))
}

/// How many processes hold a pipeline's lock: several may read the same topics.
pub(super) async fn holders(client: &tokio_postgres::Client, slot: &str) -> Result<i64> {
    let row = client
        .query_one(HOLDERS, &[&slot])
        .await
        .map_err(|error| server_error("could not ask for the pipeline's lock", error))?;
    Ok(row.get(0))
}

fn taken(settings: &PostgresSettings, holder: Option<i32>) -> Error {
    let holder = holder.map_or(String::new(), |pid| format!(" (its session has pid {pid})"));
    Error::new(Kind::Source, format!("another pipectl works on slot \"{}\"{holder}", settings.slot))
        .hint("stop it first; or give this pipeline a name of its own (`pipeline`)")
}

fn read_lsn(text: &str) -> Result<Lsn> {
    text.parse().map_err(|reason: String| Error::new(Kind::Source, "could not read an LSN").because(reason))
}
