//! ClickHouse: the HTTP client, its error codes, the catalog, names.

mod catalog;
mod client;
mod quote;

pub use catalog::{StoredColumn, StoredDatabase, StoredTable, database, table, type_name};
pub use client::{Server, connect, server_error};
pub use quote::{quote_ident, quote_text};
