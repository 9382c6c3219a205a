//! Connect's schema out of an Avro schema: by what the converter says in `connect.…`, else by Avro's own types.

use super::schema::{Schema, Shape, Type};
use crate::decode::Malformed;
use crate::decode::debezium::{ConnectField, ConnectSchema, ConnectType, Kind};

const BAD: Malformed = Malformed("an Avro schema of rows");

impl Schema {
    /// The fields of the record's rows: of an envelope those of `after`, of any other record its own.
    ///
    /// # Errors
    /// [`Malformed`] where the schema is not that of a record.
    pub fn connect(&self) -> Result<ConnectSchema, Malformed> {
        let root = self.resolve(&self.root);
        let Shape::Record(members) = &root.shape else { return Err(BAD) };
        let envelope = ["source", "op"].iter().all(|name| members.iter().any(|member| member.name == *name));
        let row = members.iter().find(|member| member.name == "after").filter(|_| envelope);
        let row = row.map_or(root, |after| self.resolve(self.optional(&after.held).0));
        let Shape::Record(members) = &row.shape else { return Err(BAD) };
        let fields = members.iter().map(|member| {
            let (held, optional) = self.optional(&member.held);
            let connect_type = self.connect_type(held, 0)?;
            Ok(ConnectField { name: member.name.clone(), optional, connect_type, default: member.default.clone() })
        });
        Ok(ConnectSchema { fields: fields.collect::<Result<_, Malformed>>()? })
    }

    /// The type that is not null, and whether null may be instead.
    fn optional<'a>(&'a self, held: &'a Type) -> (&'a Type, bool) {
        let held = self.resolve(held);
        match &held.shape {
            Shape::Union(branches) => {
                let null = branches.iter().any(|branch| branch.shape == Shape::Null);
                match branches.iter().find(|branch| branch.shape != Shape::Null) {
                    Some(branch) => (branch, null),
                    None => (held, null),
                }
            }
            _ => (held, false),
        }
    }

    fn connect_type(&self, held: &Type, depth: u8) -> Result<ConnectType, Malformed> {
        if depth > 8 {
            return Err(BAD);
        }
        let named = self.resolve(held);
        let connect = if held.connect.name.is_some() { &held.connect } else { &named.connect };
        let integer = |bits| Kind::Integer { bits };
        let kind = match &named.shape {
            Shape::Boolean => Kind::Boolean,
            Shape::Int => match connect.kind.as_deref() {
                Some("int8") => integer(8),
                Some("int16") => integer(16),
                _ => integer(32),
            },
            Shape::Long => integer(64),
            Shape::Float => Kind::Float,
            Shape::Double => Kind::Double,
            Shape::Bytes | Shape::Fixed(_) => Kind::Bytes,
            Shape::String | Shape::Enum(_) => Kind::String,
            Shape::Record(_) => Kind::Struct,
            Shape::Map(_) => Kind::Map,
            Shape::Array(element) => Kind::Array(Box::new(self.connect_type(self.optional(element).0, depth + 1)?)),
            Shape::Null | Shape::Union(_) | Shape::Named(_) => return Err(BAD),
        };
        Ok(ConnectType { kind, name: connect.name.clone(), parameters: connect.parameters.clone() })
    }
}
