//! Values whose schema a registry holds.

use super::connect::Schema;
use super::framing::Registered;
use super::json;
use super::reading::Decode;
use crate::config::KafkaSettings;
use crate::error::Result;
use crate::server::registry::{Registry, SchemaKind};
use std::sync::Arc;
use tokio::runtime::Handle;

/// Decodes them; asks for each schema once.
#[derive(Debug)]
pub(super) struct Schemas {
    registry: Option<Registry>,
    handle: Handle,
}

impl Schemas {
    /// A decoder with the registry of the settings, if they name one.
    ///
    /// # Errors
    /// As [`Registry::new`].
    pub(super) fn new(settings: &KafkaSettings, handle: Handle) -> Result<Self> {
        Ok(Self { registry: Registry::new(settings)?, handle })
    }
}

impl Decode for Schemas {
    fn decode(&mut self, registered: &Registered<'_>) -> Result<(String, Option<Arc<Schema>>), String> {
        // JSON Schema: what stands behind the schema's name is JSON as ever.
        if let Ok(text) = std::str::from_utf8(registered.body)
            && text.starts_with(['{', '[', '"'])
            && json::is_json(text)
        {
            return Ok((text.to_owned(), None));
        }
        let Some(registry) = &self.registry else {
            return Err(format!(
                "its {} is in a schema registry: name it by --registry, kafka.schema_registry_url or SCHEMA_REGISTRY_URL",
                registered.id
            ));
        };
        let schema = self.handle.block_on(registry.schema(registered.id)).map_err(|error| error.with_causes())?;
        match schema.kind {
            SchemaKind::Avro => Err("Avro is not read yet".to_owned()),
            SchemaKind::Json => Err("its schema is JSON Schema, and its bytes are no JSON".to_owned()),
            SchemaKind::Protobuf => Err("Protocol buffers are not read".to_owned()),
        }
    }
}
