//! Making a replication slot, and asking after one.
//!
//! A slot is made on a replication session that stays silent afterwards: the snapshot it exports lives until that session's next command
//! (<https://www.postgresql.org/docs/current/protocol-replication.html>). The making waits for every running write transaction.

use super::stream::session_error;
use crate::change::Lsn;
use crate::config::PostgresSettings;
use crate::error::{Error, Kind, Result};
use crate::server::postgres::{connect, quote_ident, replication_config, server_error};
use bytes::Bytes;
use pgwire_replication::{IdentifySystem, PgWireError, ReplicationClient};
use std::time::{Duration, Instant};
use tokio::sync::watch;

const SLOT_STATE: &str = include_str!("../../../sql/postgres/slot_state.sql");
const BLOCKERS: &str = include_str!("../../../sql/postgres/slot_blockers.sql");
const END_READER: &str = include_str!("../../../sql/postgres/end_slot_reader.sql");
const TELL_AFTER: Duration = Duration::from_secs(10);
/// How long the server may take to let a session in and answer a question that nothing holds up.
const ANSWER: Duration = Duration::from_secs(10);

/// Which server it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplicationServer {
    /// The cluster's system identifier.
    pub system_identifier: String,
    /// Its timeline.
    pub timeline: u32,
    /// Where its log ends.
    pub flushed: Lsn,
}

impl From<IdentifySystem> for ReplicationServer {
    fn from(identity: IdentifySystem) -> Self {
        Self {
            system_identifier: identity.system_id,
            timeline: identity.timeline,
            flushed: Lsn(identity.xlogpos.as_u64()),
        }
    }
}

/// A slot that was made; its snapshot lives as long as this does.
pub struct CreatedSlot {
    /// Where its stream begins.
    pub consistent_point: Lsn,
    /// Name of the snapshot that shows what was committed before.
    pub snapshot: String,
    _session: ReplicationClient,
}

impl std::fmt::Debug for CreatedSlot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CreatedSlot")
            .field("consistent_point", &self.consistent_point)
            .field("snapshot", &self.snapshot)
            .finish_non_exhaustive()
    }
}

/// A transaction that the making of a slot waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// `pid 4711`, or the name of a prepared transaction.
    pub who: String,
    /// How long it has been open.
    pub seconds: i64,
    /// The head of its query.
    pub query: String,
}

/// How long the making of a slot may wait, and who is told of it.
pub struct Patience<'a> {
    /// The longest wait; without end where absent.
    pub timeout: Option<Duration>,
    /// Turns true when the process is to stop.
    pub stop: watch::Receiver<bool>,
    /// Is told every ten seconds which transactions are waited for.
    pub tell: &'a (dyn Fn(&[Waiting]) + Sync),
}

impl std::fmt::Debug for Patience<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Patience").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

/// A slot as Postgres describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotState {
    /// The plug-in.
    pub plugin: String,
    /// The database.
    pub database: String,
    /// Who reads it now.
    pub active_pid: Option<i32>,
    /// Whether what it needs is still there: `reserved`, `extended`, `unreserved`, `lost`.
    pub wal_status: Option<String>,
    /// What has been acknowledged.
    pub confirmed: Lsn,
}

pub(super) async fn session(settings: &PostgresSettings) -> Result<ReplicationClient> {
    ReplicationClient::connect_gated(replication_config(settings)?)
        .await
        .map_err(|error| session_error("could not open a replication session", settings, &error))
}

/// Waits for the answer to a question that nothing holds up. One that is asked in the very moment in which its session fails gets none, and no error either: the
/// client leaves it in a queue that nobody reads any more.
///
/// # Errors
/// What the session says, with what was tried; [`Kind::SourceUnreachable`] where there is no answer in time.
pub(super) async fn answered<T>(
    settings: &PostgresSettings,
    tried: &str,
    answer: impl Future<Output = Result<T, PgWireError>>,
) -> Result<T> {
    let silent = || PgWireError::Task(format!("no answer within {} s", ANSWER.as_secs()));
    let answer = tokio::time::timeout(ANSWER, answer).await.unwrap_or_else(|_| Err(silent()));
    answer.map_err(|error| session_error(tried, settings, &error))
}

/// Asks a server who it is.
///
/// # Errors
/// As for [`create_slot`].
pub async fn identify(settings: &PostgresSettings) -> Result<ReplicationServer> {
    ask_who(&mut session(settings).await?, settings).await
}

/// Asks who it is that answers now, after a session was lost. One in recovery may be about to take over: that is worth another try.
///
/// # Errors
/// As for [`identify`]; [`Kind::SourceUnreachable`] while the server is in recovery.
pub async fn identify_again(settings: &PostgresSettings) -> Result<ReplicationServer> {
    let mut session = session(settings).await?;
    refuse_standby(&mut session, settings, Kind::SourceUnreachable).await?;
    ask_who(&mut session, settings).await
}

/// Asks a server who it is before anything is made there.
///
/// # Errors
/// As for [`identify`]; [`Kind::Source`] also where the server's log does not carry what logical replication needs.
pub async fn identify_logical(settings: &PostgresSettings) -> Result<ReplicationServer> {
    let mut session = session(settings).await?;
    let identity = ask_who(&mut session, settings).await?;
    refuse_standby(&mut session, settings, Kind::Source).await?;
    let rows = answered(settings, "could not ask for wal_level", session.simple_query("SHOW wal_level")).await?;
    match value(&rows, 0).as_deref() {
        None | Some("logical") => Ok(identity),
        Some(level) => {
            let message = format!("Postgres writes too little log for logical replication: wal_level is {level}");
            Err(Error::new(Kind::Source, message).hint(
                "run in Postgres, as a superuser: ALTER SYSTEM SET wal_level = 'logical'; then restart it: the setting takes effect only then",
            ))
        }
    }
}

async fn refuse_standby(session: &mut ReplicationClient, settings: &PostgresSettings, kind: Kind) -> Result<()> {
    let asked = session.simple_query("SELECT pg_catalog.pg_is_in_recovery()");
    let rows = answered(settings, "could not ask whether the server is a standby", asked).await?;
    if value(&rows, 0).as_deref() != Some("t") {
        return Ok(());
    }
    let message = format!("Postgres at {}:{} is a standby, in recovery", settings.host, settings.port);
    Err(Error::new(kind, message)
        .hint("name the primary in `postgres.url`: pipectl writes there, publications, slots and heartbeats"))
}

async fn ask_who(session: &mut ReplicationClient, settings: &PostgresSettings) -> Result<ReplicationServer> {
    Ok(answered(settings, "could not identify the server", session.identify_system()).await?.into())
}

/// A value of the first row.
fn value(rows: &[Vec<Option<Bytes>>], index: usize) -> Option<String> {
    let value = rows.first()?.get(index)?.as_ref()?;
    std::str::from_utf8(value).ok().map(str::to_owned)
}

/// The state of the settings' slot; none where there is no such slot.
///
/// # Errors
/// What Postgres answers.
pub async fn slot_state(client: &tokio_postgres::Client, slot: &str) -> Result<Option<SlotState>> {
    let row = client
        .query_opt(SLOT_STATE, &[&slot])
        .await
        .map_err(|error| server_error("could not read the slot's state", error))?;
    let Some(row) = row else { return Ok(None) };
    let lsn = |text: Option<String>| text.and_then(|text| text.parse().ok()).unwrap_or(Lsn::ZERO);
    Ok(Some(SlotState {
        plugin: row.get::<_, Option<String>>("plugin").unwrap_or_default(),
        database: row.get::<_, Option<String>>("database").unwrap_or_default(),
        active_pid: row.get("active_pid"),
        wal_status: row.get("wal_status"),
        confirmed: lsn(row.get("confirmed_flush_lsn")),
    }))
}

/// Makes a slot and exports its snapshot. A temporary slot goes with the returned value.
///
/// # Errors
/// [`Kind::Source`] where the server refuses, the time-out is over or the process is to stop; [`Kind::SourceUnreachable`] where nobody answers.
pub async fn create_slot(
    settings: &PostgresSettings,
    name: &str,
    temporary: bool,
    patience: &Patience<'_>,
) -> Result<CreatedSlot> {
    let mut session = session(settings).await?;
    // Making the slot may take as long as others' transactions: whether the server answers at all is seen before.
    ask_who(&mut session, settings).await?;
    let kind = if temporary { " TEMPORARY" } else { "" };
    let command = format!("CREATE_REPLICATION_SLOT {}{kind} LOGICAL pgoutput EXPORT_SNAPSHOT", quote_ident(name));
    let (started, mut stop) = (Instant::now(), patience.stop.clone());
    let rows = {
        let making = session.simple_query(&command);
        tokio::pin!(making);
        loop {
            tokio::select! {
                rows = &mut making => break rows,
                () = tokio::time::sleep(TELL_AFTER) => (patience.tell)(&blockers(settings).await?),
                () = expired(started, patience.timeout) => {
                    let blockers = blockers(settings).await?;
                    end_slot_reader(&*connect(settings).await?, name).await?;
                    return Err(timed_out(name, &blockers));
                }
                _ = stop.wait_for(|stop| *stop) => {
                    end_slot_reader(&*connect(settings).await?, name).await?;
                    return Err(Error::new(Kind::Source, "stopped before the replication slot was made"));
                }
            }
        }
    };
    let rows =
        rows.map_err(|error| session_error(&format!("could not make replication slot \"{name}\""), settings, &error))?;
    match (value(&rows, 1).and_then(|lsn| lsn.parse().ok()), value(&rows, 2)) {
        (Some(consistent_point), Some(snapshot)) => Ok(CreatedSlot { consistent_point, snapshot, _session: session }),
        _ => Err(Error::new(Kind::Source, format!("could not read what Postgres said of slot \"{name}\""))),
    }
}

/// Ends the session that makes or reads a slot. One that waits for transactions does not notice that its client has gone.
///
/// # Errors
/// What Postgres answers.
pub async fn end_slot_reader(client: &tokio_postgres::Client, slot: &str) -> Result<()> {
    client
        .execute(END_READER, &[&slot])
        .await
        .map(|_| ())
        .map_err(|error| server_error("could not end the session that makes the slot", error))
}

async fn expired(started: Instant, timeout: Option<Duration>) {
    match timeout {
        Some(timeout) => tokio::time::sleep(timeout.saturating_sub(started.elapsed())).await,
        None => std::future::pending().await,
    }
}

async fn blockers(settings: &PostgresSettings) -> Result<Vec<Waiting>> {
    let client = connect(settings).await?;
    let rows = client
        .query(BLOCKERS, &[])
        .await
        .map_err(|error| server_error("could not read the open transactions", error))?;
    Ok(rows
        .iter()
        .map(|row| Waiting { who: row.get(0), seconds: row.get::<_, Option<i64>>(1).unwrap_or(0), query: row.get(2) })
        .collect())
}

fn timed_out(name: &str, blockers: &[Waiting]) -> Error {
    let who = blockers.iter().map(|blocker| blocker.who.as_str()).collect::<Vec<_>>().join(", ");
    Error::new(Kind::Source, format!("could not make replication slot \"{name}\" in time: it waits for {who}")).hint(
        "end these transactions (pg_terminate_backend, ROLLBACK PREPARED), or give it more time with --slot-timeout",
    )
}
