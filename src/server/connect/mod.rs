//! Kafka Connect by its REST interface (<https://kafka.apache.org/documentation/#connect_rest>).

mod answers;
mod client;
mod config;
mod trace;

pub use answers::{ConnectorState, ConnectorStatus, KnownSetting, Part, Plugin, Validation, Worker};
pub use client::Connect;
pub use config::{ConnectorConfig, HIDDEN, is_secret};
pub use trace::readable;
