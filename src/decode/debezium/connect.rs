//! Schemas of Kafka Connect, as its JsonConverter writes them beside every record.
//!
//! The form is that of <https://cwiki.apache.org/confluence/display/KAFKA/KIP-301>'s converter, `JsonConverter.asJsonSchema` in
//! <https://github.com/apache/kafka/blob/trunk/connect/json/src/main/java/org/apache/kafka/connect/json/JsonConverter.java>.

use crate::decode::Malformed;
use serde_json::Value;
use std::collections::BTreeMap;

/// The kinds of values that Connect knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// `int8`, `int16`, `int32`, `int64`
    Integer {
        /// 8, 16, 32 or 64.
        bits: u8,
    },
    /// `float`
    Float,
    /// `double`
    Double,
    /// `boolean`
    Boolean,
    /// `string`
    String,
    /// `bytes`: base64 in JSON
    Bytes,
    /// `array` of elements
    Array(Box<ConnectType>),
    /// `map`
    Map,
    /// `struct`
    Struct,
}

/// A type: the kind of its values, and what they mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectType {
    /// The kind.
    pub kind: Kind,
    /// Its logical name, such as `io.debezium.time.MicroTimestamp`.
    pub name: Option<String>,
    /// Its parameters, such as `scale`.
    pub parameters: BTreeMap<String, String>,
}

/// A field of a row.
#[derive(Debug, Clone, PartialEq)]
pub struct ConnectField {
    /// Its name: the column's.
    pub name: String,
    /// Whether it may be null.
    pub optional: bool,
    /// Its type.
    pub connect_type: ConnectType,
    /// What Connect takes for a missing value. Debezium puts it for what it does not know, so that it is no value of the row.
    pub default: Option<Value>,
}

/// The fields of a record's rows.
#[derive(Debug, Clone, PartialEq)]
pub struct ConnectSchema {
    /// The fields, in the schema's order.
    pub fields: Vec<ConnectField>,
}

impl ConnectType {
    /// A type without a logical name.
    pub fn plain(kind: Kind) -> Self {
        Self { kind, name: None, parameters: BTreeMap::new() }
    }

    /// The logical name; empty where there is none.
    pub fn logical(&self) -> &str {
        self.name.as_deref().unwrap_or_default()
    }

    fn parse(schema: &Value) -> Result<Self, Malformed> {
        const BAD: Malformed = Malformed("a type of Kafka Connect");
        let kind = match schema.get("type").and_then(Value::as_str).ok_or(BAD)? {
            "int8" => Kind::Integer { bits: 8 },
            "int16" => Kind::Integer { bits: 16 },
            "int32" => Kind::Integer { bits: 32 },
            "int64" => Kind::Integer { bits: 64 },
            "float" => Kind::Float,
            "double" => Kind::Double,
            "boolean" => Kind::Boolean,
            "string" => Kind::String,
            "bytes" => Kind::Bytes,
            "array" => Kind::Array(Box::new(Self::parse(schema.get("items").ok_or(BAD)?)?)),
            "map" => Kind::Map,
            "struct" => Kind::Struct,
            _ => return Err(BAD),
        };
        let name = schema.get("name").and_then(Value::as_str).map(str::to_owned);
        let parameters = schema.get("parameters").and_then(Value::as_object);
        let parameters = parameters.into_iter().flatten();
        let parameters =
            parameters.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect();
        Ok(Self { kind, name, parameters })
    }
}

impl ConnectSchema {
    /// Reads a schema's text: of an envelope the fields of its rows, of any other struct its own.
    ///
    /// # Errors
    /// [`Malformed`] where it is no schema of a struct.
    pub fn parse(text: &[u8]) -> Result<Self, Malformed> {
        const BAD: Malformed = Malformed("a schema of Kafka Connect");
        let schema: Value = serde_json::from_slice(text).map_err(|_| BAD)?;
        let fields = fields(&schema).ok_or(BAD)?;
        let envelope = ["source", "op"].iter().all(|name| fields.iter().any(|field| is_named(field, name)));
        let row = fields.iter().find(|field| is_named(field, "after")).filter(|_| envelope);
        let fields = match row {
            Some(row) => self::fields(row).ok_or(BAD)?,
            None => fields,
        };
        let fields = fields.iter().map(|field| {
            Ok(ConnectField {
                name: field.get("field").and_then(Value::as_str).ok_or(BAD)?.to_owned(),
                optional: field.get("optional").and_then(Value::as_bool).unwrap_or(false),
                connect_type: ConnectType::parse(field)?,
                default: field.get("default").cloned(),
            })
        });
        Ok(Self { fields: fields.collect::<Result<_, Malformed>>()? })
    }

    /// The field of a name.
    pub fn field(&self, name: &str) -> Option<&ConnectField> {
        self.fields.iter().find(|field| field.name == name)
    }
}

fn fields(schema: &Value) -> Option<&Vec<Value>> {
    schema.get("fields")?.as_array()
}

fn is_named(field: &Value, name: &str) -> bool {
    field.get("field").and_then(Value::as_str) == Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_rows_of_an_envelope() {
        let row = r#"{"type":"struct","optional":true,"fields":[
            {"type":"int32","optional":false,"default":0,"field":"id"},
            {"type":"bytes","optional":true,"name":"org.apache.kafka.connect.data.Decimal","version":1,"parameters":{"scale":"2"},"field":"amount"},
            {"type":"array","items":{"type":"string","optional":true},"optional":true,"field":"tags"}],"field":"#;
        let text = format!(
            r#"{{"type":"struct","fields":[{row}"before"}},{row}"after"}},{{"type":"struct","fields":[],"field":"source"}},{{"type":"string","field":"op"}}]}}"#
        );
        let schema = ConnectSchema::parse(text.as_bytes()).unwrap();
        let names: Vec<&str> = schema.fields.iter().map(|field| &*field.name).collect();
        assert_eq!(names, ["id", "amount", "tags"]);
        let amount = schema.field("amount").unwrap();
        assert_eq!(
            (&amount.connect_type.kind, amount.connect_type.logical()),
            (&Kind::Bytes, "org.apache.kafka.connect.data.Decimal")
        );
        assert_eq!(amount.connect_type.parameters["scale"], "2");
        assert_eq!((schema.fields[0].optional, schema.fields[0].default.as_ref()), (false, Some(&Value::from(0))));
        assert_eq!(schema.fields[2].connect_type.kind, Kind::Array(Box::new(ConnectType::plain(Kind::String))));
        let flat = ConnectSchema::parse(format!("{row}\"x\"}}").as_bytes()).unwrap();
        assert_eq!(flat, schema);
    }

    #[test]
    fn refuses_what_is_no_schema() {
        for bad in ["", "{}", "[]", r#"{"fields":[{}]}"#, r#"{"fields":[{"field":"a","type":"number"}]}"#] {
            assert!(ConnectSchema::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
