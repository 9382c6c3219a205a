//! The integration tests, on real servers: `make test` starts them and sets where they are (`dev/stack env`).
//!
//! Each test has a directory, a Postgres database and a ClickHouse database of its own ([`support::Stage`]), named after it and gone
//! when it ends. A server that is missing fails the test.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test that cannot go on ends by panicking; clippy knows the test functions, not what they call"
)]

mod catalog;
mod cli_config;
mod cli_ground;
mod cli_init;
mod cli_pipeline;
mod cli_tls;
mod connector;
mod dead_letters;
mod docs;
mod doctor;
mod fault_matrix;
mod kafka_faults;
mod kafka_login;
mod kafka_operation;
mod kafka_records;
mod kafka_snapshots;
mod kafka_stack;
mod kafka_static;
mod kafka_sync;
mod kafka_tables;
mod kafka_types;
mod layers;
mod model;
mod recopy;
mod recopy_logs;
mod recopy_topics;
mod seed;
mod sql_files;
mod stored_format;
mod support;
mod switch;
mod sync_batches;
mod sync_changes;
mod sync_failover;
#[cfg(feature = "failpoints")]
mod sync_failpoints;
mod sync_faults;
mod sync_modes;
mod sync_recovery;
mod sync_refusals;
mod sync_samples;
mod sync_schema;
mod sync_signals;
mod sync_tables;
mod sync_toast;
mod sync_types;
mod tables;
mod tail;
mod values;
mod verify;
mod versions;
