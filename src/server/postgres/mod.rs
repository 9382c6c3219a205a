//! Postgres: ordinary connections, replication connections, the catalog, names.

mod catalog;
mod connect;
mod marks;
mod quote;
mod source_type;
mod tls;

pub use catalog::{Leaf, leaves, table, table_of_name, tables};
pub use connect::{
    Connection, SESSION_OPTIONS, backend_pid, connect, connect_listening, replication_config, server_error,
};
pub use marks::{HeapMark, TableMark, marks};
pub use quote::{quote_ident, quote_table};
