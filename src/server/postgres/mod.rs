//! Postgres: ordinary connections, replication connections, names.

mod connect;
mod quote;
mod tls;

pub use connect::{Connection, SESSION_OPTIONS, connect, replication_config, server_error};
pub use quote::{quote_ident, quote_table};
