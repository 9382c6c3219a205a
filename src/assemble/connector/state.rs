//! How the connector is.

use super::{connect, missing, postgres};
use crate::change::Lsn;
use crate::config::Settings;
use crate::connector::{Loss, hint, losses};
use crate::error::{Error, Kind, Result};
use crate::server::connect::{ConnectorState, Part, Worker, readable};
use crate::server::postgres::{connect as open, server_error};
use crate::source::postgres::{SlotState, slot_state};
use std::time::Duration;

const FLUSHED: &str = include_str!("../../../sql/postgres/flushed.sql");
/// How long a look in passing waits for Connect.
const BRIEF: Duration = Duration::from_secs(3);

/// How a connector is, by Connect and by Postgres.
#[derive(Debug, Clone)]
pub struct ConnectorReport {
    /// Its name.
    pub name: String,
    /// Where Connect is.
    pub address: String,
    /// The worker that answered.
    pub worker: Worker,
    /// The version of Debezium, where the worker tells it.
    pub debezium: Option<String>,
    /// The connector itself.
    pub connector: TaskReport,
    /// Its tasks.
    pub tasks: Vec<TaskReport>,
    /// What its slot is called.
    pub slot_name: String,
    /// The slot, where it exists; or why Postgres could not be asked.
    pub slot: std::result::Result<Option<SlotState>, String>,
    /// Bytes of write-ahead log between the source's end and what the slot has acknowledged.
    pub lag_bytes: Option<u64>,
    /// The topics that it has written to.
    pub topics: Vec<String>,
    /// Settings that lose data.
    pub losses: Vec<Loss>,
}

/// How a connector is, by Connect alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectorBrief {
    /// Its name.
    pub name: String,
    /// The connector itself; absent where Connect knows none of that name, or was not asked.
    pub connector: Option<TaskReport>,
    /// Its tasks.
    pub tasks: Vec<TaskReport>,
    /// Why Connect could not be asked.
    pub unknown: Option<String>,
}

impl ConnectorBrief {
    /// The connector and its tasks.
    pub fn parts(&self) -> impl Iterator<Item = &TaskReport> {
        self.tasks.iter().chain(&self.connector)
    }

    /// Whether the connector and all its tasks run.
    pub fn running(&self) -> bool {
        !self.tasks.is_empty() && self.parts().all(|part| part.state == ConnectorState::Running)
    }
}

/// The connector or a task of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskReport {
    /// The task's number; absent for the connector itself.
    pub id: Option<i32>,
    /// What it is doing.
    pub state: ConnectorState,
    /// Its worker.
    pub worker: String,
    /// Its failure, on one line.
    pub error: Option<String>,
    /// What to do about that.
    pub hint: Option<&'static str>,
}

impl From<&Part> for TaskReport {
    fn from(part: &Part) -> Self {
        let trace = part.trace.as_deref().filter(|_| part.state == ConnectorState::Failed);
        Self {
            id: part.id,
            state: part.state,
            worker: part.worker_id.clone(),
            error: trace.map(readable),
            hint: trace.and_then(hint),
        }
    }
}

impl ConnectorReport {
    /// Whether the connector and all its tasks run.
    pub fn running(&self) -> bool {
        let all = || self.tasks.iter().chain([&self.connector]);
        !self.tasks.is_empty() && all().all(|part| part.state == ConnectorState::Running)
    }
}

/// Asks Connect and Postgres. That Postgres does not answer is part of the report.
///
/// # Errors
/// [`Kind::Config`] where there is no such connector; else what Connect says.
pub async fn report(settings: &Settings) -> Result<ConnectorReport> {
    let (connect, name) = (connect(settings)?, settings.connector_name());
    let worker = connect.worker().await?;
    let config = connect.config(&name).await?.ok_or_else(|| missing(&name, &connect))?;
    let status = connect.status(&name).await?;
    let unknown =
        TaskReport { id: None, state: ConnectorState::Unassigned, worker: String::new(), error: None, hint: None };
    let plugins = connect.plugins().await?;
    let class = config.get("connector.class").map(String::as_str).unwrap_or_default();
    let slot_name = config.get("slot.name").map_or("debezium", String::as_str).to_owned();
    let (slot, lag_bytes) = match slot(settings, &slot_name).await {
        Ok((slot, lag)) => (Ok(slot), lag),
        Err(error) => (Err(error.with_causes()), None),
    };
    let mut topics = connect.topics(&name).await.unwrap_or_default();
    topics.sort();
    Ok(ConnectorReport {
        address: connect.address().to_owned(),
        debezium: plugins.into_iter().find(|plugin| plugin.class == class).and_then(|plugin| plugin.version),
        connector: status.as_ref().map_or(unknown, |status| (&status.connector).into()),
        tasks: status.iter().flat_map(|status| &status.tasks).map(TaskReport::from).collect(),
        losses: losses(&config),
        name,
        worker,
        slot_name,
        slot,
        lag_bytes,
        topics,
    })
}

/// Asks Connect alone, and not for long: that it does not answer is part of what is told. None where no Connect is configured.
pub async fn brief(settings: &Settings) -> Option<ConnectorBrief> {
    settings.kafka.as_ref()?.connect_url.as_ref()?;
    let name = settings.connector_name();
    let asked = async { connect(settings)?.status(&name).await };
    let found = match tokio::time::timeout(BRIEF, asked).await {
        Ok(found) => found.map_err(|error| error.with_causes()),
        Err(_) => Err(format!("Kafka Connect did not answer within {} s", BRIEF.as_secs())),
    };
    let (status, unknown) = match found {
        Ok(status) => (status, None),
        Err(why) => (None, Some(why)),
    };
    Some(ConnectorBrief {
        name,
        connector: status.as_ref().map(|status| (&status.connector).into()),
        tasks: status.iter().flat_map(|status| &status.tasks).map(TaskReport::from).collect(),
        unknown,
    })
}

async fn slot(settings: &Settings, name: &str) -> Result<(Option<SlotState>, Option<u64>)> {
    let client = open(postgres(settings)?).await?;
    let slot = slot_state(&client, name).await?;
    let row =
        client.query_one(FLUSHED, &[]).await.map_err(|error| server_error("could not read the log's end", error))?;
    let end: Lsn = row
        .get::<_, &str>(0)
        .parse()
        .map_err(|reason: String| Error::new(Kind::Source, "could not read the log's end").because(reason))?;
    let lag = slot.as_ref().map(|slot| end.0.saturating_sub(slot.confirmed.0));
    Ok((slot, lag))
}
