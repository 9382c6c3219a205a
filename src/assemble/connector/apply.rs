//! Making the connector as it should be.

use super::super::publication::{Terms, ensure_single};
use super::plan::{ApplyOptions, ConnectorPlan};
use super::{PAUSE, postgres};
use crate::config::Settings;
use crate::connector::hint;
use crate::error::{Error, Kind, Result};
use crate::server::connect::{Connect, ConnectorState, ConnectorStatus, readable};
use crate::server::postgres::server_error;
use crate::sync::Progress;
use std::time::{Duration, Instant};
use tokio_postgres::Client;

const SLOT_READER: &str = include_str!("../../../sql/postgres/slot_reader.sql");
/// How long a task that failed before may take to be started with its new configuration.
const OLD_FAILURE: Duration = Duration::from_secs(5);

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// It streams.
    Streaming,
    /// It runs and has its slot, and reads the tables as they are.
    Copying,
    /// It was made, and not waited for.
    NotAwaited,
}

/// Makes the publication and the connector, and waits until it streams.
///
/// # Errors
/// What Postgres and Connect refuse; [`Kind::Source`] with the cause where the connector fails.
pub async fn apply(
    settings: &Settings,
    plan: &ConnectorPlan,
    options: &ApplyOptions,
    progress: &Progress,
) -> Result<Applied> {
    let server = postgres(settings)?;
    let terms = Terms { owned: false, before_slot: plan.slot.is_none(), progress };
    ensure_single(&plan.session, settings, &server.publication, &plan.captured.tables, terms).await.map_err(anew)?;
    if !plan.is_done() {
        plan.connect.put_config(&plan.name, &plan.config).await.map_err(hinted)?;
        let done = if plan.existing.is_some() { "changed" } else { "created" };
        progress.note(format!("{done} connector \"{}\" in Kafka Connect at {}", plan.name, plan.address));
    }
    match options.wait {
        None => Ok(Applied::NotAwaited),
        Some(wait) => streaming(plan, &server.slot, wait).await,
    }
}

/// The way out of a publication that is younger than the slot is another one here.
fn anew(error: Error) -> Error {
    if error.kind() == Kind::SourceGap {
        return error.hint(
            "`pipectl connector delete --drop-slot`, then apply it again: it copies everything anew, and `pipectl resync --all` takes that over",
        );
    }
    error
}

/// An error of Connect with the way out of it, where it is known.
fn hinted(error: Error) -> Error {
    match hint(&error.with_causes()) {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

pub(super) async fn streaming(plan: &ConnectorPlan, slot: &str, wait: Duration) -> Result<Applied> {
    let begun = Instant::now();
    loop {
        let status = plan.connect.status(&plan.name).await?;
        let runs = status.as_ref().is_some_and(ConnectorStatus::running);
        let failure = status.as_ref().and_then(|status| status.failure());
        if let Some(trace) = failure.filter(|_| plan.existing.is_none() || begun.elapsed() > OLD_FAILURE) {
            return Err(failed(&plan.name, trace));
        }
        let state = status.as_ref().map(|status| status.connector.state);
        if let Some(state @ (ConnectorState::Paused | ConnectorState::Stopped)) = state {
            return Err(Error::new(Kind::Source, format!("connector \"{}\" is {}", plan.name, state.word()))
                .hint("`pipectl connector resume` has it go on"));
        }
        let reader = reader(&plan.session, slot).await?;
        // A reader that may not be looked at has the slot, which Debezium takes only to stream from it or to make it.
        if runs && matches!(reader.as_ref().and_then(Option::as_deref), Some("streaming" | "hidden")) {
            return Ok(Applied::Streaming);
        }
        if begun.elapsed() >= wait {
            if runs && reader.is_some() {
                return Ok(Applied::Copying);
            }
            return Err(slow(&plan.connect, &plan.name, wait, runs));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// What the slot's reader does; none where there is no slot.
async fn reader(client: &Client, slot: &str) -> Result<Option<Option<String>>> {
    let row = client
        .query_opt(SLOT_READER, &[&slot])
        .await
        .map_err(|error| server_error("could not ask after the slot's reader", error))?;
    Ok(row.map(|row| row.get(0)))
}

/// The failure of a connector, on one line, with the way out of it.
pub(super) fn failed(name: &str, trace: &str) -> Error {
    let error = Error::new(Kind::Source, format!("connector \"{name}\" failed")).because(readable(trace));
    error.hint(hint(trace).unwrap_or("when the cause is mended: `pipectl connector restart`"))
}

fn slow(connect: &Connect, name: &str, wait: Duration, runs: bool) -> Error {
    let what = if runs { "runs, but has made no slot" } else { "does not run yet" };
    Error::new(Kind::SourceUnreachable, format!("connector \"{name}\" {what} after {} s", wait.as_secs())).hint(format!(
        "making a slot waits for every open write transaction (`pipectl doctor` names them); see also the log of the worker at {}",
        connect.address()
    ))
}
