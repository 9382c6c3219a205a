//! Avro, as the converters of schema registries write it: a record is turned into the JSON that Connect's own converter would have written
//! without a schema, so that all that reads records knows one form.
//!
//! The format: <https://avro.apache.org/docs/1.12.0/specification/>.

mod connect;
mod framing;
mod json;
mod schema;

pub use framing::{SchemaId, framed};
pub use json::to_json;
pub use schema::Schema;

#[cfg(test)]
mod tests;
