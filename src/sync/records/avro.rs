//! Records in Avro: written out as the JSON that Connect's own converter writes, so that there is one way behind it.

use super::{Refused, Step};
use crate::decode::debezium::ConnectSchema;
use crate::decode::debezium::avro::{Schema, SchemaId, framed, to_json};
use crate::flow::{Chunk, Record};
use std::collections::HashMap;
use std::sync::Arc;

/// A schema, by which records are read.
#[derive(Debug)]
pub(super) struct Known {
    schema: Schema,
    /// What tells it apart from others.
    pub(super) name: Box<[u8]>,
    /// The fields of its rows.
    pub(super) connect: Result<ConnectSchema, String>,
}

/// The schemas of the registry that were needed so far.
#[derive(Debug, Default)]
pub(super) struct Schemas(HashMap<SchemaId, Arc<Known>>);

impl Schemas {
    pub(super) fn add(&mut self, id: SchemaId, schema: Schema) {
        let connect = schema.connect().map_err(|malformed| malformed.to_string());
        let name = format!("{id:?}").into_bytes().into();
        self.0.insert(id, Arc::new(Known { schema, name, connect }));
    }

    /// Writes a record out as JSON, with the schema it was written with; none where it is no Avro.
    pub(super) fn written_out(
        &self,
        value: &[u8],
        (chunk, record): (&Chunk, &Record),
        out: &mut Vec<u8>,
    ) -> Result<Option<Arc<Known>>, Refused> {
        let headers = chunk.headers(record).filter_map(|(name, value)| Some((name, value?)));
        let Some((id, body)) = framed(value, headers, "value") else { return Ok(None) };
        let Some(known) = self.0.get(&id) else { return Err(Step::Schema(id).into()) };
        out.clear();
        to_json(&known.schema, body, out)
            .map_err(|malformed| Refused::Dead(format!("it is not what its schema says: {malformed}")))?;
        Ok(Some(Arc::clone(known)))
    }
}
