//! Values whose schema a registry holds.

use super::json;
use super::reading::{Decode, Decoded};
use crate::config::KafkaSettings;
use crate::decode::debezium::ConnectSchema;
use crate::decode::debezium::avro::{self, SchemaId};
use crate::error::Result;
use crate::server::registry::{self, Registry, SchemaKind};
use std::collections::HashMap;
use std::sync::Arc;
use tokio::runtime::Handle;

/// An Avro schema, and what Kafka Connect makes of it.
#[derive(Debug)]
struct Known {
    avro: avro::Schema,
    connect: Option<Arc<ConnectSchema>>,
}

/// Decodes such values; asks for each schema once.
#[derive(Debug)]
pub(super) struct Schemas {
    registry: Option<Registry>,
    handle: Handle,
    /// What was found, or why it cannot be used; that the registry does not answer is not kept.
    known: HashMap<SchemaId, Result<Arc<Known>, String>>,
}

impl Schemas {
    /// A decoder with the registry of the settings, if they name one.
    ///
    /// # Errors
    /// As [`Registry::new`].
    pub(super) fn new(settings: &KafkaSettings, handle: Handle) -> Result<Self> {
        Ok(Self { registry: Registry::new(settings)?, handle, known: HashMap::new() })
    }

    fn find(&mut self, id: SchemaId) -> Result<Arc<Known>, String> {
        if let Some(known) = self.known.get(&id) {
            return known.clone();
        }
        let at_registry = match id {
            SchemaId::Confluent(id) => registry::SchemaId::Confluent(id),
            SchemaId::Global(id) => registry::SchemaId::GlobalId(id as i64),
            SchemaId::Content(id) => registry::SchemaId::ContentId(id as i64),
        };
        let Some(registry) = &self.registry else {
            return Err(format!(
                "its {at_registry} is in a schema registry: name it by --registry, kafka.schema_registry_url or SCHEMA_REGISTRY_URL"
            ));
        };
        let found = match self.handle.block_on(registry.schema(at_registry)) {
            Err(error) if error.kind().policy().retry => return Err(error.with_causes()),
            Err(error) => Err(error.with_causes()),
            Ok(schema) => known(&schema, at_registry),
        };
        self.known.insert(id, found.clone());
        found
    }
}

fn known(schema: &registry::Schema, id: registry::SchemaId) -> Result<Arc<Known>, String> {
    match schema.kind {
        SchemaKind::Avro => {
            let avro = avro::Schema::parse(schema.text.as_bytes())
                .map_err(|error| format!("its {id} cannot be used: {error}"))?;
            let connect = avro.connect().ok().map(Arc::new);
            Ok(Arc::new(Known { avro, connect }))
        }
        SchemaKind::Json => Err(format!("its {id} is one of JSON Schema, and its bytes are no JSON")),
        SchemaKind::Protobuf => Err(format!("its {id} is one of Protocol Buffers, which pipectl does not read")),
    }
}

impl Decode for Schemas {
    fn decode(&mut self, id: SchemaId, body: &[u8]) -> Result<Decoded, String> {
        // JSON Schema: what stands behind the schema's name is JSON as ever.
        if let Ok(text) = std::str::from_utf8(body)
            && text.starts_with(['{', '[', '"'])
            && json::is_json(text)
        {
            return Ok((text.to_owned(), None));
        }
        let known = self.find(id)?;
        let mut json = Vec::new();
        avro::to_json(&known.avro, body, &mut json).map_err(|error| error.to_string())?;
        let json = String::from_utf8(json).map_err(|error| error.to_string())?;
        Ok((json, known.connect.clone()))
    }
}
