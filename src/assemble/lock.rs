//! The session that a working process keeps with the source: it holds the pipeline's lock, and writes heartbeats.

use crate::change::Lsn;
use crate::config::PostgresSettings;
use crate::error::{Error, Kind, Result};
use crate::server::postgres::{Connection, connect, server_error};

const TAKE: &str = include_str!("../../sql/postgres/take_lock.sql");
const EMIT: &str = include_str!("../../sql/postgres/emit_message.sql");
const FLUSHED: &str = include_str!("../../sql/postgres/flushed.sql");

/// The session. The lock ends with it.
#[derive(Debug)]
pub(super) struct PipelineLock {
    client: Connection,
}

impl PipelineLock {
    /// Takes the lock of the settings' slot.
    pub(super) async fn take(settings: &PostgresSettings) -> Result<Self> {
        let client = connect(settings).await?;
        let row = client
            .query_one(TAKE, &[&settings.slot])
            .await
            .map_err(|error| server_error("could not take the pipeline's lock", error))?;
        if row.get("taken") {
            return Ok(Self { client });
        }
        let holder =
            row.get::<_, Option<i32>>("holder").map_or(String::new(), |pid| format!(" (its session has pid {pid})"));
        Err(Error::new(Kind::Source, format!("another pipectl works on slot \"{}\"{holder}", settings.slot))
            .hint("stop it first; or give this pipeline a name of its own (`pipeline`)"))
    }

    /// The session itself.
    pub(super) fn client(&self) -> &tokio_postgres::Client {
        &self.client
    }

    /// Writes a message into the log and says where it lies.
    pub(super) async fn heartbeat(&self) -> Result<Lsn> {
        let row = self
            .client
            .query_one(EMIT, &[])
            .await
            .map_err(|error| server_error("could not write a heartbeat", error))?;
        read_lsn(row.get(0))
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

fn read_lsn(text: &str) -> Result<Lsn> {
    text.parse().map_err(|reason: String| Error::new(Kind::Source, "could not read an LSN").because(reason))
}
