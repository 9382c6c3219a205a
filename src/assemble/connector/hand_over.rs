//! The connector while a pipeline changes its transport: stopped, prepared without a memory, started.

use super::apply::streaming;
use super::plan::ConnectorPlan;
use super::remove::{forget, has_stopped};
use super::{PAUSE, connect, postgres};
use crate::config::Settings;
use crate::error::{Error, Kind, Result};
use crate::server::connect::{ConnectorState, ConnectorStatus};
use crate::server::postgres::connect as open;
use crate::source::postgres::slot_state;
use std::time::{Duration, Instant};

/// How long its task may take to let go of the slot.
const LAST_BREATH: Duration = Duration::from_secs(30);

/// Whether the connector runs, or may by itself.
///
/// # Errors
/// What Connect says.
pub(in crate::assemble) async fn runs(settings: &Settings) -> Result<bool> {
    let status = connect(settings)?.status(&settings.connector_name()).await?;
    let still = |status: &ConnectorStatus| {
        status.tasks.is_empty() || matches!(status.connector.state, ConnectorState::Stopped | ConnectorState::Failed)
    };
    Ok(status.is_some_and(|status| !still(&status)))
}

/// Whether the connector and its task run.
///
/// # Errors
/// What Connect says.
pub(in crate::assemble) async fn streams(settings: &Settings) -> Result<bool> {
    Ok(connect(settings)?.status(&settings.connector_name()).await?.is_some_and(|status| status.running()))
}

/// Stops the connector and waits until nobody reads its slot; everything that it confirmed there is in the topics then. One that is in the middle of its
/// snapshot goes on.
///
/// # Errors
/// [`Kind::Source`] where it has not read its tables whole; what Connect and Postgres answer.
pub(in crate::assemble) async fn stop(settings: &Settings) -> Result<()> {
    let (connect, name) = (connect(settings)?, settings.connector_name());
    let server = postgres(settings)?;
    if let Some(config) = connect.config(&name).await? {
        let ran = runs(settings).await?;
        if !connect.stop(&name).await? {
            return Err(cannot_stop());
        }
        has_stopped(&connect, &name, Instant::now() + LAST_BREATH).await?;
        let offsets = connect.offsets(&name).await?;
        let copies_first = config.get("snapshot.mode").is_none_or(|mode| mode != "no_data" && mode != "never");
        if copies_first && (offsets.is_empty() || offsets.iter().any(copies)) {
            if ran {
                connect.resume(&name).await?;
            }
            return Err(Error::new(Kind::Source, format!("connector \"{name}\" has not read its tables whole yet"))
                .hint("wait until its snapshot is complete (`pipectl connector status`), then switch"));
        }
    }
    let (client, deadline) = (open(server).await?, Instant::now() + LAST_BREATH);
    while let Some(pid) = slot_state(&client, &server.slot).await?.and_then(|slot| slot.active_pid) {
        if Instant::now() >= deadline {
            return Err(super::super::prepare::slot_taken(&server.slot, pid));
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

fn cannot_stop() -> Error {
    Error::new(Kind::Source, "the worker cannot stop a connector").hint("this needs Kafka Connect 3.7 or later")
}

/// Whether a stored offset belongs to a snapshot that is not complete.
fn copies(offset: &serde_json::Value) -> bool {
    let place = offset.get("offset");
    let says = |name: &str| place.and_then(|place| place.get(name)).map(|value| value.to_string().to_lowercase());
    let in_snapshot = says("snapshot").is_some_and(|value| value != "false" && value != "null");
    let complete = says("snapshot_completed").is_some_and(|value| value == "true")
        || says("last_snapshot_record").is_some_and(|value| value == "true");
    in_snapshot && !complete
}

/// Makes the connector, or changes it, so that it is stopped and remembers nothing.
///
/// # Errors
/// What Connect says; a worker before Kafka 3.7 cannot do it.
pub(in crate::assemble) async fn prepare_stopped(plan: &ConnectorPlan) -> Result<()> {
    let too_old = |error: Error| error.hint("this needs Kafka Connect 3.7 or later");
    if plan.connect.config(&plan.name).await?.is_none() {
        plan.connect.create_stopped(&plan.name, &plan.config).await.map_err(too_old)?;
    }
    if !forget(&plan.connect, &plan.name).await? {
        return Err(cannot_stop());
    }
    plan.connect.put_config(&plan.name, &plan.config).await
}

/// Starts the connector and waits until it streams.
///
/// # Errors
/// What Connect says; [`Kind::Source`] with the cause where it fails.
pub(in crate::assemble) async fn start(settings: &Settings, plan: &ConnectorPlan, wait: Duration) -> Result<()> {
    plan.connect.resume(&plan.name).await?;
    let deadline = Instant::now() + wait;
    while Instant::now() < deadline {
        let status = plan.connect.status(&plan.name).await?;
        if status.is_some_and(|status| status.connector.state != ConnectorState::Stopped && !status.tasks.is_empty()) {
            break;
        }
        tokio::time::sleep(PAUSE).await;
    }
    streaming(plan, &postgres(settings)?.slot, deadline.saturating_duration_since(Instant::now())).await.map(|_| ())
}
