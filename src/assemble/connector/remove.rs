//! Taking the connector away.

use super::super::prepare::DROP_SLOT;
use super::{PAUSE, connect, missing, postgres};
use crate::config::Settings;
use crate::error::{Error, Kind, Result};
use crate::server::connect::{Connect, ConnectorState};
use crate::server::postgres::{connect as open, quote_ident, server_error};
use crate::source::postgres::slot_state;
use std::time::{Duration, Instant};

/// How long its tasks may take to end.
const LAST_BREATH: Duration = Duration::from_secs(30);

/// What goes with the connector.
#[derive(Debug, Clone, Copy, Default)]
pub struct RemoveOptions {
    /// The replication slot.
    pub slot: bool,
    /// The publication.
    pub publication: bool,
}

/// What was removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Removed {
    /// The connector's name, where it was there.
    pub connector: Option<String>,
    /// Whether what it stored of its position was forgotten; a worker before Kafka 3.6 cannot.
    pub offsets: bool,
    /// The slot, where it was dropped.
    pub slot: Option<String>,
    /// The publication, where it was dropped.
    pub publication: Option<String>,
}

/// Stops the connector, forgets its stored position, deletes it, and then what was asked for. The position is forgotten because a new connector of its name
/// would go on from it, whatever became of the slot.
///
/// # Errors
/// [`Kind::Config`] where there is nothing to remove; else what Connect and Postgres refuse.
pub async fn remove(settings: &Settings, options: RemoveOptions) -> Result<Removed> {
    let (connect, name) = (connect(settings)?, settings.connector_name());
    let mut removed = Removed::default();
    if connect.config(&name).await?.is_some() {
        removed.offsets = forget(&connect, &name).await?;
        connect.delete(&name).await?;
        removed.connector = Some(name.clone());
    }
    if options.slot || options.publication {
        in_postgres(settings, options, &mut removed).await?;
    }
    if removed == Removed::default() {
        return Err(missing(&name, &connect));
    }
    Ok(removed)
}

/// Forgets what a connector stored of its position; false where the worker cannot.
pub(super) async fn forget(connect: &Connect, name: &str) -> Result<bool> {
    if !connect.stop(name).await? {
        return Ok(false);
    }
    let deadline = Instant::now() + LAST_BREATH;
    loop {
        has_stopped(connect, name, deadline).await?;
        // The worker may hold the tasks' end back for a moment longer than it tells.
        match connect.delete_offsets(name).await {
            Ok(()) => return Ok(true),
            Err(error) if error.kind().policy().retry || Instant::now() >= deadline => return Err(error),
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// Waits until a connector that was told to stop has no tasks any more.
pub(super) async fn has_stopped(connect: &Connect, name: &str, deadline: Instant) -> Result<()> {
    loop {
        let status = connect.status(name).await?;
        if status.is_none_or(|status| status.connector.state == ConnectorState::Stopped && status.tasks.is_empty()) {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err(Error::new(Kind::SourceUnreachable, format!("connector \"{name}\" does not stop"))
                .hint("see the log of its worker; its task may be in the middle of a long query"));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn in_postgres(settings: &Settings, options: RemoveOptions, removed: &mut Removed) -> Result<()> {
    let server = postgres(settings)?;
    let client = open(server).await?;
    if options.slot {
        let deadline = Instant::now() + LAST_BREATH;
        loop {
            let Some(slot) = slot_state(&client, &server.slot).await? else { break };
            match slot.active_pid {
                Some(pid) if Instant::now() >= deadline => {
                    return Err(super::super::prepare::slot_taken(&server.slot, pid));
                }
                Some(_) => tokio::time::sleep(PAUSE).await,
                None => {
                    client
                        .execute(DROP_SLOT, &[&server.slot])
                        .await
                        .map_err(|error| server_error("could not drop the replication slot", error))?;
                    removed.slot = Some(server.slot.clone());
                    break;
                }
            }
        }
    }
    if options.publication {
        let found = client
            .query(super::super::remove::PUBLICATIONS, &[&[server.publication.clone()].as_slice()])
            .await
            .map_err(|error| server_error("could not read the publications", error))?;
        if !found.is_empty() {
            client
                .batch_execute(&format!("DROP PUBLICATION IF EXISTS {}", quote_ident(&server.publication)))
                .await
                .map_err(|error| server_error("could not drop the publication", error))?;
            removed.publication = Some(server.publication.clone());
        }
    }
    Ok(())
}
