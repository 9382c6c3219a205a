//! What is read from ClickHouse.

use crate::error::{Error, Kind, Result};
use crate::server::clickhouse::Server;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

pub(super) const SERVER: &str = include_str!("../../../sql/clickhouse/doctor_server.sql");
pub(super) const DATABASE: &str = include_str!("../../../sql/clickhouse/doctor_database.sql");
pub(super) const PARTS: &str = include_str!("../../../sql/clickhouse/doctor_parts.sql");
pub(super) const DISKS: &str = include_str!("../../../sql/clickhouse/doctor_disks.sql");
pub(super) const CLUSTER: &str = include_str!("../../../sql/clickhouse/doctor_cluster.sql");

/// The server and the session's settings.
#[derive(Debug, Default, Deserialize)]
pub(super) struct ServerFacts {
    pub(super) version: String,
    pub(super) readonly: String,
    pub(super) async_insert: String,
    pub(super) clock: f64,
}

/// The database of the tables.
#[derive(Debug, Deserialize)]
pub(super) struct Database {
    pub(super) engine: String,
}

/// The fullest partition of a table.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Parts {
    pub(super) name: String,
    pub(super) most: f64,
    pub(super) refused_from: f64,
}

/// A disk, in bytes.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Disk {
    pub(super) name: String,
    pub(super) free: f64,
    pub(super) total: f64,
}

/// The configured cluster, as this server knows it.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Cluster {
    pub(super) servers: f64,
    pub(super) macros: Vec<String>,
}

/// Runs a query whose rows have the fields of `T`.
pub(super) async fn ask<T: DeserializeOwned>(
    server: &Server,
    sql: &str,
    parameters: &[(&str, &str)],
) -> Result<Vec<T>> {
    server
        .rows(sql, parameters)
        .await?
        .into_iter()
        .map(|row| {
            serde_json::from_value(Value::Object(row)).map_err(|error| {
                Error::new(Kind::Unexpected, "could not understand ClickHouse's answer").because(error)
            })
        })
        .collect()
}

/// Runs a query that answers at most one row.
pub(super) async fn ask_one<T: DeserializeOwned>(
    server: &Server,
    sql: &str,
    parameters: &[(&str, &str)],
) -> Result<Option<T>> {
    Ok(ask(server, sql, parameters).await?.into_iter().next())
}
