//! The vocabulary that all stages share: names, types, positions, changes. Pure; no I/O.

mod copied;
mod event;
#[cfg(test)]
pub(crate) mod fixtures;
mod name;
mod offsets;
mod position;
mod schema;
mod source_type;
mod straddling;

pub use copied::Copied;
pub use event::{Field, Position};
pub use name::TableName;
pub use offsets::{Offsets, Reached};
pub use position::{Lsn, Version};
pub use schema::{Column, ReplicaIdentity, TableSchema};
pub use source_type::SourceType;
pub use straddling::Straddling;
