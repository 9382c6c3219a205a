//! Schemas of Avro.

use crate::decode::Malformed;
use serde_json::Value;
use std::collections::BTreeMap;

const BAD: Malformed = Malformed("a schema of Avro");

/// A schema.
#[derive(Debug, Clone, PartialEq)]
pub struct Schema {
    pub(super) root: Type,
    /// The types that have names, which others may speak of.
    pub(super) named: Vec<Type>,
}

/// A type, and what Kafka Connect says of it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Type {
    pub(super) shape: Shape,
    pub(super) connect: Connect,
}

/// Connect's own words for a type, which Avro passes on.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Connect {
    /// `connect.name`
    pub(super) name: Option<String>,
    /// `connect.type`: of an integer its width.
    pub(super) kind: Option<String>,
    /// `connect.parameters`
    pub(super) parameters: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Shape {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    String,
    Record(Vec<Member>),
    Enum(Vec<String>),
    Array(Box<Type>),
    Map(Box<Type>),
    Union(Vec<Type>),
    Fixed(usize),
    /// A type with a name: its index.
    Named(usize),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Member {
    pub(super) name: String,
    pub(super) held: Type,
    pub(super) default: Option<Value>,
}

impl Schema {
    /// Reads a schema's JSON.
    ///
    /// # Errors
    /// [`Malformed`] where it is none, or names a type that it does not have.
    pub fn parse(json: &[u8]) -> Result<Self, Malformed> {
        let value: Value = serde_json::from_slice(json).map_err(|_| BAD)?;
        let mut reader = Reader { named: Vec::new(), names: BTreeMap::new() };
        let root = reader.read(&value, "")?;
        let named = reader.named.into_iter().collect::<Option<Vec<_>>>().ok_or(BAD)?;
        Ok(Self { root, named })
    }

    /// The type itself, where this is but its name.
    pub(super) fn resolve<'a>(&'a self, held: &'a Type) -> &'a Type {
        match held.shape {
            Shape::Named(index) => self.named.get(index).unwrap_or(held),
            _ => held,
        }
    }
}

struct Reader {
    /// Filled when a type has been read; one may speak of itself before.
    named: Vec<Option<Type>>,
    names: BTreeMap<String, usize>,
}

impl Reader {
    fn read(&mut self, value: &Value, space: &str) -> Result<Type, Malformed> {
        match value {
            Value::String(name) => {
                let shape = match primitive(name) {
                    Some(shape) => shape,
                    None => Shape::Named(*self.names.get(&full_name(name, space)).ok_or(BAD)?),
                };
                Ok(Type { shape, connect: Connect::default() })
            }
            Value::Array(branches) => {
                let branches = branches.iter().map(|branch| self.read(branch, space)).collect::<Result<_, _>>()?;
                Ok(Type { shape: Shape::Union(branches), connect: Connect::default() })
            }
            Value::Object(_) => self.complex(value, space),
            _ => Err(BAD),
        }
    }

    fn complex(&mut self, value: &Value, space: &str) -> Result<Type, Malformed> {
        let kind = value.get("type").ok_or(BAD)?;
        let connect = Connect::of(value);
        let shape = match kind.as_str() {
            Some("record" | "enum" | "fixed") => return self.named(value, connect, space),
            Some("array") => Shape::Array(Box::new(self.read(value.get("items").ok_or(BAD)?, space)?)),
            Some("map") => Shape::Map(Box::new(self.read(value.get("values").ok_or(BAD)?, space)?)),
            Some(name) if primitive(name).is_some() => primitive(name).ok_or(BAD)?,
            // A type around a type: what is said of it is said here.
            _ => {
                let inner = self.read(kind, space)?;
                return Ok(if connect == Connect::default() { inner } else { Type { connect, ..inner } });
            }
        };
        Ok(Type { shape, connect })
    }

    fn named(&mut self, value: &Value, connect: Connect, space: &str) -> Result<Type, Malformed> {
        let text = |member: &str| value.get(member).and_then(Value::as_str);
        let name = text("name").ok_or(BAD)?;
        let space = text("namespace").unwrap_or(space);
        let full = full_name(name, space);
        let space = full.rsplit_once('.').map_or("", |(space, _)| space).to_owned();
        let index = self.named.len();
        self.named.push(None);
        self.names.insert(full, index);
        let list = |member: &str| value.get(member).and_then(Value::as_array).ok_or(BAD);
        let shape = match text("type") {
            Some("record") => {
                let members = list("fields")?.iter().map(|field| self.member(field, &space));
                Shape::Record(members.collect::<Result<_, _>>()?)
            }
            Some("enum") => {
                let symbols = list("symbols")?.iter().map(|symbol| symbol.as_str().map(str::to_owned).ok_or(BAD));
                Shape::Enum(symbols.collect::<Result<_, _>>()?)
            }
            _ => {
                let size = value.get("size").and_then(Value::as_u64).and_then(|size| usize::try_from(size).ok());
                Shape::Fixed(size.ok_or(BAD)?)
            }
        };
        if let Some(place) = self.named.get_mut(index) {
            *place = Some(Type { shape, connect: connect.clone() });
        }
        Ok(Type { shape: Shape::Named(index), connect })
    }

    fn member(&mut self, field: &Value, space: &str) -> Result<Member, Malformed> {
        Ok(Member {
            name: field.get("name").and_then(Value::as_str).ok_or(BAD)?.to_owned(),
            held: self.read(field.get("type").ok_or(BAD)?, space)?,
            default: field.get("default").cloned(),
        })
    }
}

impl Connect {
    fn of(value: &Value) -> Self {
        let text = |member: &str| value.get(member).and_then(Value::as_str).map(str::to_owned);
        let parameters = value.get("connect.parameters").and_then(Value::as_object);
        let mut parameters: BTreeMap<String, String> = parameters
            .into_iter()
            .flatten()
            .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
            .collect();
        if text("logicalType").as_deref() == Some("decimal") {
            for (name, parameter) in [("scale", "scale"), ("precision", "connect.decimal.precision")] {
                if let Some(number) = value.get(name).and_then(Value::as_u64) {
                    parameters.entry(parameter.to_owned()).or_insert(number.to_string());
                }
            }
        }
        Self {
            name: text("connect.name").or(logical(text("logicalType").as_deref())),
            kind: text("connect.type"),
            parameters,
        }
    }
}

/// The logical types that Connect has too.
fn logical(name: Option<&str>) -> Option<String> {
    let name = match name? {
        "decimal" => "org.apache.kafka.connect.data.Decimal",
        "date" => "org.apache.kafka.connect.data.Date",
        "time-millis" => "org.apache.kafka.connect.data.Time",
        "timestamp-millis" => "org.apache.kafka.connect.data.Timestamp",
        _ => return None,
    };
    Some(name.to_owned())
}

fn primitive(name: &str) -> Option<Shape> {
    Some(match name {
        "null" => Shape::Null,
        "boolean" => Shape::Boolean,
        "int" => Shape::Int,
        "long" => Shape::Long,
        "float" => Shape::Float,
        "double" => Shape::Double,
        "bytes" => Shape::Bytes,
        "string" => Shape::String,
        _ => return None,
    })
}

fn full_name(name: &str, space: &str) -> String {
    if name.contains('.') || space.is_empty() { name.to_owned() } else { format!("{space}.{name}") }
}
