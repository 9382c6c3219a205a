//! What a column holds, as far as records spell it differently.

use super::connect::{ConnectType, Kind};
use super::form::{Guesswork, TIME_MODE};
use super::value::Unit;
use crate::change::{Column, SourceType};

/// A type at the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    Bool,
    Integer,
    Float {
        double: bool,
    },
    Numeric {
        scale: Option<i16>,
    },
    Money,
    /// Types that the connector sends as Postgres writes them.
    Text,
    /// `name`, which is text to a snapshot, and unknown to the stream.
    Name,
    /// Types that the connector does not know: their text as bytes.
    Opaque,
    Bytea,
    /// `bit(n)`; without a length `bit varying`, and a `bit` whose length is not known.
    Bits {
        length: Option<u32>,
    },
    Date,
    Time,
    TimeTz,
    Timestamp,
    TimestampTz,
    Interval,
    Hstore,
    /// The geometric types of Postgres and of PostGIS; their objects say which.
    Geometry,
    Vector,
    SparseVector,
    Array(Box<Target>),
    /// An array that is declared with several dimensions.
    Nested,
}

/// A type with what its declaration adds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Base {
    pub(super) target: Target,
    /// Digits of a second; `None` where a domain hides them.
    pub(super) precision: Option<u8>,
}

impl Base {
    pub(super) fn element(&self, element: &Target) -> Self {
        Self { target: element.clone(), precision: self.precision }
    }

    /// The unit of the adaptive modes.
    pub(super) fn adaptive_unit(&self) -> Result<Unit, Guesswork> {
        match self.precision.ok_or(TIME_MODE)? {
            0..=3 => Ok(Unit::Milli),
            _ => Ok(Unit::Micro),
        }
    }

    pub(super) fn finer_than_millis(&self) -> bool {
        self.precision.is_none_or(|digits| digits > 3)
    }
}

/// What a column holds.
pub(super) fn base(column: &Column) -> Base {
    let declared = Declared::of(&column.type_name);
    let target = target(column, &declared);
    let temporal = ["time", "timestamp"].contains(&declared.name);
    let precision = match column.type_modifier {
        _ if !temporal => None,
        digits @ 0..=6 => Some(digits as u8),
        _ => Some(6),
    };
    Base { target, precision }
}

fn target(column: &Column, declared: &Declared<'_>) -> Target {
    match &column.source_type {
        SourceType::String if function_base(&column.output_function) == Some("name") => Target::Name,
        SourceType::Text if declared.array => nested_or(declared, by_name(declared.name, column)),
        SourceType::Time => Target::Time,
        SourceType::Hstore => Target::Hstore,
        SourceType::Text => match function_base(&column.output_function) {
            Some(name) => by_name(name, column),
            None => by_name(declared.name, column),
        },
        source => by_source(source),
    }
}

/// A text that is an array: of elements that pipectl keeps as text in arrays, or of several dimensions.
fn nested_or(declared: &Declared<'_>, element: Target) -> Target {
    const TOLD_APART: [&str; 22] = [
        "boolean",
        "smallint",
        "integer",
        "bigint",
        "oid",
        "real",
        "double precision",
        "numeric",
        "text",
        "character varying",
        "character",
        "name",
        "json",
        "xml",
        "bytea",
        "date",
        "timestamp",
        "timestamp without time zone",
        "timestamp with time zone",
        "uuid",
        "bpchar",
        "citext",
    ];
    if TOLD_APART.contains(&declared.name) { Target::Nested } else { Target::Array(Box::new(element)) }
}

fn by_source(source: &SourceType) -> Target {
    match source {
        SourceType::Bool => Target::Bool,
        SourceType::Int2 | SourceType::Int4 | SourceType::Int8 | SourceType::Oid => Target::Integer,
        SourceType::Float4 => Target::Float { double: false },
        SourceType::Float8 => Target::Float { double: true },
        SourceType::Numeric { scale, .. } => Target::Numeric { scale: Some(*scale) },
        SourceType::NumericUnbounded => Target::Numeric { scale: None },
        SourceType::String | SourceType::Uuid | SourceType::Enum => Target::Text,
        SourceType::Text | SourceType::Inet | SourceType::Json => Target::Text,
        SourceType::Time => Target::Time,
        SourceType::Hstore => Target::Hstore,
        SourceType::Bytea => Target::Bytea,
        SourceType::Date => Target::Date,
        SourceType::Timestamp => Target::Timestamp,
        SourceType::TimestampTz => Target::TimestampTz,
        SourceType::Array(element) => Target::Array(Box::new(by_source(element))),
        SourceType::Vector => Target::Vector,
    }
}

/// A declared type, taken apart: `public.hstore`, `bit varying(20)`, `time(3) without time zone[]`.
struct Declared<'a> {
    name: &'a str,
    zone: bool,
    array: bool,
}

impl<'a> Declared<'a> {
    fn of(type_name: &'a str) -> Self {
        let (scalar, array) = type_name.strip_suffix("[]").map_or((type_name, false), |scalar| (scalar, true));
        let zone = scalar.ends_with(" with time zone");
        let name = scalar.split(['(', '[']).next().unwrap_or(scalar);
        let name = name.strip_suffix(" with time zone").or(name.strip_suffix(" without time zone")).unwrap_or(name);
        let name = name.rsplit_once('.').map_or(name, |(_, name)| name).trim_matches('"').trim();
        Self { name, zone, array }
    }
}

/// The type whose output function this is, where the function's name tells it. A domain has the function of what it is made of.
fn function_base(function: &str) -> Option<&str> {
    let name = function.rsplit_once('.').map_or(function, |(_, name)| name).trim_matches('"');
    let name = name.strip_suffix("_out").or(name.strip_suffix("out"))?;
    Some(match name {
        "cash" => "money",
        "poly" => "polygon",
        "array" | "isn" | "record" | "range" | "multirange" | "enum" | "domain" | "" => return None,
        other => other,
    })
}

/// By the name of a type that is no array.
fn by_name(name: &str, column: &Column) -> Target {
    let zone = Declared::of(&column.type_name).zone;
    match name {
        "boolean" => Target::Bool,
        "time" if zone => Target::TimeTz,
        "time" => Target::Time,
        "timetz" => Target::TimeTz,
        "timestamp" if zone => Target::TimestampTz,
        "timestamp" => Target::Timestamp,
        "interval" => Target::Interval,
        "money" => Target::Money,
        "bit" => Target::Bits { length: u32::try_from(column.type_modifier).ok() },
        "bit varying" | "varbit" => Target::Bits { length: None },
        "hstore" => Target::Hstore,
        "point" | "line" | "lseg" | "box" | "path" | "polygon" | "circle" | "geometry" | "geography" => {
            Target::Geometry
        }
        "sparsevec" => Target::SparseVector,
        "char" | "jsonb" | "inet" | "cidr" | "macaddr" | "macaddr8" | "ltree" | "tsvector" | "isbn" | "int4range"
        | "int8range" | "numrange" | "tsrange" | "tstzrange" | "daterange" => Target::Text,
        _ if column.output_function.is_empty() => Target::Text,
        _ if matches!(column.source_type, SourceType::Text) => opaque(column),
        _ => Target::Text,
    }
}

fn opaque(column: &Column) -> Target {
    // An array of enums: their names are their own.
    if column.output_function.ends_with("enum_out") { Target::Text } else { Target::Opaque }
}

/// The type of a schema's field without a source: its name, and what pipectl makes of it.
pub(super) fn by_schema(connect: &ConnectType) -> (String, SourceType) {
    let (name, source) = match (connect.logical(), &connect.kind) {
        (_, Kind::Array(items)) => {
            let (name, element) = by_schema(items);
            let source = match element {
                SourceType::Vector | SourceType::Array(_) => SourceType::Text,
                // As of a column that is declared json[].
                SourceType::Json => SourceType::Array(Box::new(SourceType::String)),
                element if element.is_text_output() => SourceType::Text,
                element => SourceType::Array(Box::new(element)),
            };
            return match connect.logical() {
                "io.debezium.data.DoubleVector" | "io.debezium.data.FloatVector" => {
                    ("vector".to_owned(), SourceType::Vector)
                }
                _ => (format!("{name}[]"), source),
            };
        }
        ("org.apache.kafka.connect.data.Decimal", _) => return decimal(connect),
        ("io.debezium.data.VariableScaleDecimal", _) => ("numeric", SourceType::NumericUnbounded),
        (
            "io.debezium.time.Date"
            | "org.apache.kafka.connect.data.Date"
            | "io.debezium.time.IsoDate"
            | "io.debezium.time.StructuredDate",
            _,
        ) => ("date", SourceType::Date),
        ("io.debezium.time.ZonedTimestamp" | "io.debezium.time.StructuredZonedTimestamp", _) => {
            ("timestamp with time zone", SourceType::TimestampTz)
        }
        ("io.debezium.time.ZonedTime" | "io.debezium.time.StructuredZonedTime", _) => {
            ("time with time zone", SourceType::Text)
        }
        (name, _) if name.ends_with("Timestamp") => ("timestamp without time zone", SourceType::Timestamp),
        (name, _) if name.ends_with("Time") => ("time without time zone", SourceType::Time),
        (name, _) if name.ends_with("Duration") || name == "io.debezium.time.Interval" => {
            ("interval", SourceType::Text)
        }
        ("io.debezium.data.Uuid", _) => ("uuid", SourceType::Uuid),
        ("io.debezium.data.Enum", _) => ("enum", SourceType::Enum),
        ("io.debezium.data.Bits", _) => ("bit", SourceType::Text),
        ("io.debezium.data.Json", _) => ("json", SourceType::Json),
        ("io.debezium.data.Xml", _) => ("xml", SourceType::String),
        ("io.debezium.data.SparseDoubleVector", _) => ("sparsevec", SourceType::Text),
        (name, _) if name.starts_with("io.debezium.data.geometry.") => ("geometry", SourceType::Text),
        (_, Kind::Integer { bits: 64 }) => ("bigint", SourceType::Int8),
        (_, Kind::Integer { bits: 32 }) => ("integer", SourceType::Int4),
        (_, Kind::Integer { .. }) => ("smallint", SourceType::Int2),
        (_, Kind::Float) => ("real", SourceType::Float4),
        (_, Kind::Double) => ("double precision", SourceType::Float8),
        (_, Kind::Boolean) => ("boolean", SourceType::Bool),
        (_, Kind::String) => ("text", SourceType::String),
        (_, Kind::Bytes) => ("bytea", SourceType::Bytea),
        (_, Kind::Map) => ("hstore", SourceType::Hstore),
        (_, Kind::Struct) => ("struct", SourceType::Text),
    };
    (name.to_owned(), source)
}

fn decimal(connect: &ConnectType) -> (String, SourceType) {
    let number = |name: &str| connect.parameters.get(name).and_then(|value| value.parse::<u16>().ok());
    match (number("connect.decimal.precision"), number("scale")) {
        (Some(precision), Some(scale)) => {
            let source = SourceType::Numeric { precision, scale: i16::try_from(scale).unwrap_or(i16::MAX) };
            (format!("numeric({precision},{scale})"), source)
        }
        // Money has a scale alone.
        _ => ("numeric".to_owned(), SourceType::NumericUnbounded),
    }
}

/// What a schema's type holds, where the source does not tell.
pub(super) fn of_schema(connect: &ConnectType) -> Base {
    let (type_name, source) = by_schema(connect);
    let declared = Declared::of(&type_name);
    let target = match (&source, declared.name) {
        (SourceType::Text, "interval") => Target::Interval,
        (SourceType::Text, "time") => Target::TimeTz,
        (SourceType::Text, "bit") => Target::Bits { length: None },
        (SourceType::Text, "geometry") => Target::Geometry,
        (SourceType::Text, "sparsevec") => Target::SparseVector,
        (source, _) => by_source(source),
    };
    Base { target, precision: None }
}
