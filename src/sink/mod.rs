//! Where rows go.

pub mod clickhouse;
