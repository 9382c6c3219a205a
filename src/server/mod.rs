//! How to talk to each server: connections, catalogs, quoting. Knows nothing of pipelines.

pub mod clickhouse;
pub mod kafka;
pub mod postgres;
