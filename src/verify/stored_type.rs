//! What `system.columns` says of a stored column's type, as far as verify can read such values.

/// A stored type; `Nullable` and `LowCardinality` around it do not change how its values are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum StoredType {
    Bool,
    Integer,
    Float32,
    Float64,
    Decimal {
        precision: u8,
        scale: u8,
    },
    String,
    Enum,
    Uuid,
    Date,
    Date32,
    DateTime,
    DateTime64 {
        precision: u8,
    },
    Time {
        precision: u8,
    },
    Ipv4,
    Ipv6,
    FixedString {
        len: u32,
    },
    /// From String to String.
    Map,
    Json,
    Array(Box<StoredType>),
    Other,
}

impl StoredType {
    /// Reads a type as ClickHouse writes it.
    pub(super) fn parse(text: &str) -> Self {
        let (name, arguments) = split(text);
        match name {
            "Nullable" | "LowCardinality" => Self::parse(arguments),
            "Array" => Self::Array(Box::new(Self::parse(arguments))),
            "Bool" => Self::Bool,
            "Float32" => Self::Float32,
            "Float64" => Self::Float64,
            "String" => Self::String,
            "Enum8" | "Enum16" => Self::Enum,
            "UUID" => Self::Uuid,
            "Date" => Self::Date,
            "Date32" => Self::Date32,
            "DateTime" => Self::DateTime,
            "Time" => Self::Time { precision: 0 },
            "Time64" => number(arguments).map_or(Self::Other, |precision| Self::Time { precision }),
            "IPv4" => Self::Ipv4,
            "IPv6" => Self::Ipv6,
            "FixedString" => arguments.parse().map_or(Self::Other, |len| Self::FixedString { len }),
            "Map" if arguments == "String, Nullable(String)" => Self::Map,
            "JSON" => Self::Json,
            "Decimal" => decimal(arguments).unwrap_or(Self::Other),
            "DateTime64" => number(arguments).map_or(Self::Other, |precision| Self::DateTime64 { precision }),
            _ if is_integer(name) => Self::Integer,
            _ => Self::Other,
        }
    }
}

/// `Name(arguments)` in its two parts.
fn split(text: &str) -> (&str, &str) {
    match text.trim().split_once('(') {
        Some((name, rest)) => (name, rest.strip_suffix(')').unwrap_or(rest)),
        None => (text.trim(), ""),
    }
}

fn is_integer(name: &str) -> bool {
    let digits = name.strip_prefix("UInt").or_else(|| name.strip_prefix("Int"));
    digits.is_some_and(|digits| matches!(digits, "8" | "16" | "32" | "64" | "128" | "256"))
}

fn number(arguments: &str) -> Option<u8> {
    arguments.split(',').next()?.trim().parse().ok()
}

fn decimal(arguments: &str) -> Option<StoredType> {
    let (_, scale) = arguments.split_once(',')?;
    Some(StoredType::Decimal { precision: number(arguments)?, scale: number(scale)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_types_as_clickhouse_writes_them() {
        let cases = [
            ("Bool", StoredType::Bool),
            ("Nullable(Int64)", StoredType::Integer),
            ("UInt256", StoredType::Integer),
            ("Interval", StoredType::Other),
            ("Nullable(Decimal(12, 2))", StoredType::Decimal { precision: 12, scale: 2 }),
            ("LowCardinality(Nullable(String))", StoredType::String),
            ("Enum8('a)' = 1, 'b' = 2)", StoredType::Enum),
            ("DateTime('UTC')", StoredType::DateTime),
            ("Nullable(DateTime64(6, 'UTC'))", StoredType::DateTime64 { precision: 6 }),
            ("Array(Nullable(Decimal(76, 38)))", {
                StoredType::Array(Box::new(StoredType::Decimal { precision: 76, scale: 38 }))
            }),
            ("Array(Array(Int8))", { StoredType::Array(Box::new(StoredType::Array(Box::new(StoredType::Integer)))) }),
            ("Nullable(Time64(6))", StoredType::Time { precision: 6 }),
            ("Time", StoredType::Time { precision: 0 }),
            ("Nullable(IPv6)", StoredType::Ipv6),
            ("FixedString(16)", StoredType::FixedString { len: 16 }),
            ("Map(String, Nullable(String))", StoredType::Map),
            ("Map(String, UInt8)", StoredType::Other),
            ("Nullable(JSON)", StoredType::Json),
            ("JSON(max_dynamic_paths=8, `a b` UInt8)", StoredType::Json),
        ];
        for (text, stored) in cases {
            assert_eq!(StoredType::parse(text), stored, "{text}");
        }
    }
}
