//! Schema registries: Confluent's interface, which Apicurio has too (ccompat), and Apicurio's own look-up by global and content id.
//!
//! <https://docs.confluent.io/platform/current/schema-registry/develop/api.html>,
//! <https://www.apicur.io/registry/docs/apicurio-registry/2.6.x/assets-attachments/registry-rest-api.htm>

mod client;
mod places;

pub use client::{Registry, Schema, SchemaId, SchemaKind};
