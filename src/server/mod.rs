//! How to talk to each server: connections, catalogs, quoting. Knows nothing of pipelines.

pub mod clickhouse;
pub mod connect;
mod http;
pub mod kafka;
pub mod postgres;
pub mod registry;
mod tls_fault;
