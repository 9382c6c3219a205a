//! The pipeline's Debezium connector in Kafka Connect: made, watched and removed.
//!
//! The order is that of a copy without Kafka: the publication, then the connector, which makes the slot. A publication that is younger than the
//! slot would end the stream for good.

mod apply;
mod hand_over;
mod plan;
mod remove;
mod state;

pub use apply::{Applied, apply};
pub(super) use hand_over::{prepare_stopped, runs, start, stop, streams};
pub use plan::{ApplyOptions, ConnectorPlan, plan};
pub use remove::{RemoveOptions, Removed, remove};
pub use state::{ConnectorBrief, ConnectorReport, TaskReport, brief, report};

use crate::config::{PostgresSettings, Settings};
use crate::error::{Error, Kind, Result};
use crate::server::connect::Connect;
use std::time::Duration;

/// Time between two looks at a connector that is about to change its state.
const PAUSE: Duration = Duration::from_millis(250);

/// A verb that Connect does by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Starts the connector and its tasks again.
    Restart,
    /// Has its tasks wait; the slot stays, and holds the write-ahead log back.
    Pause,
    /// Ends a pause.
    Resume,
}

/// Gives Connect an order.
///
/// # Errors
/// [`Kind::Config`] where there is no such connector; else what Connect says.
pub async fn order(settings: &Settings, order: Order) -> Result<()> {
    let (connect, name) = (connect(settings)?, settings.connector_name());
    if connect.config(&name).await?.is_none() {
        return Err(missing(&name, &connect));
    }
    match order {
        Order::Restart => connect.restart(&name, false).await,
        Order::Pause => connect.pause(&name).await,
        Order::Resume => connect.resume(&name).await,
    }
}

/// Whether a connector of the pipeline's name is there; false where no Connect is configured.
///
/// # Errors
/// What Connect says.
pub(super) async fn exists(settings: &Settings) -> Result<bool> {
    let configured = settings.kafka.as_ref().is_some_and(|kafka| kafka.connect_url.is_some());
    Ok(configured && connect(settings)?.config(&settings.connector_name()).await?.is_some())
}

fn connect(settings: &Settings) -> Result<Connect> {
    let kafka = settings.kafka.as_ref().ok_or_else(|| {
        Error::new(Kind::Config, "a connector needs the section `kafka` in the configuration")
            .hint("set `kafka: {brokers: host:port, connect_url: http://host:8083}`")
    })?;
    Connect::new(kafka)
}

fn postgres(settings: &Settings) -> Result<&PostgresSettings> {
    settings.postgres.as_ref().ok_or_else(super::copies::no_postgres)
}

fn missing(name: &str, connect: &Connect) -> Error {
    Error::new(Kind::Config, format!("there is no connector \"{name}\" in Kafka Connect at {}", connect.address()))
        .hint("`pipectl connector apply` makes it")
}
