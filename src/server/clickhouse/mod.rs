//! ClickHouse: the HTTP client, its error codes, names.

mod client;
mod quote;

pub use client::{Server, connect, server_error};
pub use quote::quote_ident;
