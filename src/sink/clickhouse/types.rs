//! The one table from what a column holds at the source to what it is stored as, and what may be lost on the way.
//!
//! The rule behind it: lossless, or NULL and counted, never a plausible wrong value. A type with values that ClickHouse cannot hold is
//! nullable even where the source says NOT NULL, except in the sorting key, where it is stored as text.

use crate::batch::{ColumnType, ValueType};
use crate::change::{Column, SourceType};
use crate::error::{Error, Kind, Result};

/// A mapping that can lose something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    /// The column's name.
    pub column: String,
    /// What is lost, and when.
    pub what: String,
}

/// Digits of a second that Postgres keeps.
const MICROSECONDS: u8 = 6;

/// The type that a column is stored as where nothing else is configured.
pub(super) fn mapped(column: &Column, in_key: bool) -> ColumnType {
    let value = value_type(&column.source_type, in_key);
    completed(column, value, in_key)
}

/// The table itself.
fn value_type(source: &SourceType, in_key: bool) -> ValueType {
    match source {
        SourceType::Bool => ValueType::Bool,
        SourceType::Int2 => ValueType::Int16,
        SourceType::Int4 => ValueType::Int32,
        SourceType::Int8 => ValueType::Int64,
        SourceType::Oid => ValueType::UInt32,
        SourceType::Float4 => ValueType::Float32,
        SourceType::Float8 => ValueType::Float64,
        SourceType::Uuid => ValueType::Uuid,
        SourceType::Enum => ValueType::LowCardinality,
        SourceType::String | SourceType::Bytea | SourceType::NumericUnbounded => ValueType::String,
        SourceType::Text | SourceType::Time | SourceType::Inet | SourceType::Hstore | SourceType::Json => {
            ValueType::String
        }
        // In the key two rows must never become one, so what has values beyond ClickHouse's is stored as text there.
        SourceType::Numeric { .. }
        | SourceType::Date
        | SourceType::Timestamp
        | SourceType::TimestampTz
        | SourceType::Array(_)
        | SourceType::Vector
            if in_key =>
        {
            ValueType::String
        }
        SourceType::Numeric { precision, scale } => decimal(*precision, *scale).unwrap_or(ValueType::String),
        SourceType::Date => ValueType::Date32,
        SourceType::Timestamp | SourceType::TimestampTz => ValueType::DateTime64 { precision: MICROSECONDS },
        SourceType::Vector => ValueType::Array(Box::new(ColumnType::required(ValueType::Float32))),
        SourceType::Array(element) => ValueType::Array(Box::new(ColumnType::nullable(element_type(element)))),
    }
}

fn element_type(element: &SourceType) -> ValueType {
    match value_type(element, false) {
        ValueType::LowCardinality => ValueType::String,
        other => other,
    }
}

/// A decimal of the same digits, where ClickHouse has it.
fn decimal(precision: u16, scale: i16) -> Option<ValueType> {
    let precision = u8::try_from(precision).ok().filter(|precision| *precision <= 76)?;
    let scale = u8::try_from(scale).ok().filter(|scale| *scale <= precision)?;
    Some(ValueType::Decimal { precision, scale })
}

/// Adds whether NULL can be stored: where the column may be NULL, or a value may have to become NULL; never in the key, and never for
/// arrays and maps, of which ClickHouse has no nullable ones.
fn completed(column: &Column, value: ValueType, in_key: bool) -> ColumnType {
    let nullable = !in_key && !value.is_collection() && (!column.not_null || !always_fits(&column.source_type, &value));
    ColumnType { value, nullable }
}

/// Whether the encoder can write a source's values as a stored type.
pub fn supported(source: &SourceType, target: &ValueType) -> bool {
    use SourceType as S;
    match (target, source) {
        (ValueType::String, _) => true,
        (ValueType::Bool, S::Bool) => true,
        (ValueType::Int16, S::Int2) => true,
        (ValueType::Int32, S::Int2 | S::Int4) => true,
        (ValueType::Int64, S::Int2 | S::Int4 | S::Int8 | S::Oid) => true,
        (ValueType::UInt32, S::Oid) => true,
        (ValueType::Float32, S::Float4) => true,
        (ValueType::Float64, S::Float4 | S::Float8 | S::Int2 | S::Int4 | S::Numeric { .. } | S::NumericUnbounded) => {
            true
        }
        (ValueType::Decimal { .. }, S::Numeric { .. } | S::NumericUnbounded | S::Int2 | S::Int4 | S::Int8) => true,
        (ValueType::LowCardinality, source) if source.is_text_output() => true,
        (ValueType::LowCardinality, S::String | S::Enum) => true,
        (ValueType::Date32 | ValueType::Date, S::Date) => true,
        (ValueType::DateTime64 { precision }, S::Timestamp | S::TimestampTz) => *precision <= MICROSECONDS,
        (ValueType::DateTime, S::Timestamp | S::TimestampTz) => true,
        (ValueType::Time, S::Time) => true,
        (ValueType::Time64 { precision }, S::Time) => *precision <= MICROSECONDS,
        (ValueType::Uuid, S::Uuid | S::String) => true,
        (ValueType::Ipv4 | ValueType::Ipv6, S::Inet) => true,
        (ValueType::FixedString(_), S::String | S::Bytea) => true,
        (ValueType::Map, S::Hstore) | (ValueType::Json, S::Json) => true,
        (ValueType::Array(element), S::Vector) => element.value == ValueType::Float32,
        (ValueType::Array(element), S::Array(source)) => {
            element.value != ValueType::LowCardinality && supported(source, &element.value)
        }
        _ => false,
    }
}

/// What a source's values can be stored as, for people.
fn possible(source: &SourceType) -> String {
    let names = match source {
        SourceType::Bool => "Bool",
        SourceType::Int2 => "Int16, Int32, Int64, Float64, Decimal(P, S)",
        SourceType::Int4 => "Int32, Int64, Float64, Decimal(P, S)",
        SourceType::Int8 => "Int64, Decimal(P, S)",
        SourceType::Oid => "UInt32, Int64",
        SourceType::Float4 => "Float32, Float64",
        SourceType::Float8 => "Float64",
        SourceType::Numeric { .. } | SourceType::NumericUnbounded => "Decimal(P, S), Float64",
        SourceType::String => "LowCardinality(String), FixedString(N), UUID",
        SourceType::Text | SourceType::Enum => "LowCardinality(String)",
        SourceType::Bytea => "FixedString(N)",
        SourceType::Date => "Date32, Date",
        SourceType::Time => "Time64(0) to Time64(6), Time, LowCardinality(String)",
        SourceType::Timestamp | SourceType::TimestampTz => "DateTime64(0) to DateTime64(6) or DateTime, in UTC,",
        SourceType::Inet => "IPv4, IPv6, LowCardinality(String)",
        SourceType::Hstore => "Map(String, Nullable(String)), LowCardinality(String)",
        SourceType::Json => "JSON, LowCardinality(String)",
        SourceType::Uuid => "UUID",
        SourceType::Vector => "Array(Float32)",
        SourceType::Array(element) => return format!("Array of {}; or String", possible(element)),
    };
    format!("{names} or String")
}

/// The type that the configuration asks for, completed: NULL is allowed wherever [`mapped`] would allow it.
pub(super) fn overridden(column: &Column, wanted: &str, in_key: bool) -> Result<ColumnType> {
    let refused = |why: &str| {
        let message = format!("column \"{}\" of type {} cannot be stored as {wanted}", column.name, column.type_name);
        Error::new(Kind::Config, format!("{message}: {why}"))
            .hint(format!("what it can be stored as: {}", possible(&column.source_type)))
    };
    let asked = ColumnType::parse(wanted).ok_or_else(|| refused("pipectl stores nothing as this type"))?;
    if !supported(&column.source_type, &asked.value) {
        return Err(refused("its values do not fit"));
    }
    if in_key && (asked.nullable || asked.value.is_collection() || asked.value == ValueType::Json) {
        return Err(refused("it is part of the sorting key"));
    }
    if in_key && cuts(&column.source_type, &asked.value) {
        return Err(refused("it is part of the sorting key, and values that are cut become one"));
    }
    let value = match asked.value {
        // Elements of an array may always be NULL at the source.
        ValueType::Array(element) if column.source_type != SourceType::Vector => {
            ValueType::Array(Box::new(ColumnType::nullable(element.value)))
        }
        other => other,
    };
    let completed = completed(column, value, in_key);
    Ok(ColumnType { nullable: completed.nullable || asked.nullable, value: completed.value })
}

/// Digits before the point that every value of an integer type has room in.
fn integer_digits(source: &SourceType) -> Option<u8> {
    match source {
        SourceType::Int2 => Some(5),
        SourceType::Int4 => Some(10),
        SourceType::Int8 => Some(19),
        _ => None,
    }
}

/// Whether two values may be stored as the same one.
fn cuts(source: &SourceType, target: &ValueType) -> bool {
    match (source, target) {
        (_, ValueType::DateTime64 { precision } | ValueType::Time64 { precision }) => *precision < MICROSECONDS,
        (_, ValueType::DateTime | ValueType::Time) => true,
        (SourceType::Numeric { .. } | SourceType::NumericUnbounded, ValueType::Float64) => true,
        _ => false,
    }
}

/// Whether no value has to become NULL.
fn always_fits(source: &SourceType, target: &ValueType) -> bool {
    match (source, target) {
        (_, ValueType::Date32 | ValueType::DateTime64 { .. } | ValueType::Date | ValueType::DateTime) => false,
        (_, ValueType::Ipv4 | ValueType::Ipv6 | ValueType::FixedString(_) | ValueType::Json) => false,
        (SourceType::String, ValueType::Uuid) => false,
        (_, ValueType::Decimal { precision, scale }) => {
            integer_digits(source).is_some_and(|digits| precision - scale >= digits)
        }
        _ => true,
    }
}

/// What storing a column as this type can lose.
pub(super) fn losses(column: &Column, stored: &ColumnType, in_key: bool) -> Vec<Loss> {
    let array = stored.value.is_collection();
    let mut found = value_losses(&column.source_type, &stored.value, in_key);
    if array && !column.not_null {
        let kind = if stored.value == ValueType::Map { "map" } else { "array" };
        found.push(format!("NULL is stored as an empty {kind}"));
    }
    if matches!(stored.value, ValueType::Array(_)) && column.source_type != SourceType::Vector {
        found.push(
            "lower bounds other than 1 are dropped, and a value of several dimensions cannot be stored".to_owned(),
        );
    }
    found.into_iter().map(|what| Loss { column: column.name.clone(), what }).collect()
}

const BECOME_NULL: &str = "become NULL";

fn value_losses(source: &SourceType, target: &ValueType, in_key: bool) -> Vec<String> {
    let fate = if in_key { "cannot be stored" } else { BECOME_NULL };
    match (source, target) {
        (SourceType::Array(source), ValueType::Array(element)) => value_losses(source, &element.value, false),
        (_, ValueType::Date32) => vec![format!("infinity, BC and dates beyond ClickHouse's range {fate}")],
        (_, ValueType::DateTime64 { precision }) => {
            let mut found = vec![format!("infinity, BC and times beyond ClickHouse's range {fate}")];
            if *precision < MICROSECONDS {
                found.push(format!("only {precision} digits of a second are kept"));
            }
            found
        }
        (_, ValueType::Date) => vec![format!("dates before 1970-01-01 or after 2149-06-06 {fate}")],
        (_, ValueType::DateTime) => vec![
            format!("times before 1970-01-01 or after 2106-02-07 06:28:15 {fate}"),
            "only whole seconds are kept".to_owned(),
        ],
        (_, ValueType::Time | ValueType::Time64 { precision: 0 }) => vec!["only whole seconds are kept".to_owned()],
        (_, ValueType::Time64 { precision: precision @ 1..MICROSECONDS }) => {
            vec![format!("only {precision} digits of a second are kept")]
        }
        (_, ValueType::Ipv4) => vec![format!("networks and IPv6 addresses {fate}")],
        (_, ValueType::Ipv6) => vec![
            format!("networks, and IPv6 addresses of the form ::ffff:a.b.c.d, {fate}"),
            "an IPv4 address is stored as ::ffff:a.b.c.d".to_owned(),
        ],
        (_, ValueType::FixedString(len)) => vec![format!("values of any other length than {len} bytes {fate}")],
        (SourceType::String, ValueType::Uuid) => {
            vec![format!("texts that are no UUID in lower case with hyphens {fate}")]
        }
        (SourceType::Numeric { .. } | SourceType::NumericUnbounded, ValueType::Float64) => {
            vec!["only about 16 digits are kept".to_owned()]
        }
        (_, ValueType::Json) => document_losses(),
        (source, ValueType::Decimal { precision, scale }) => decimal_losses(source, *precision, *scale, fate),
        _ => Vec::new(),
    }
}

fn document_losses() -> Vec<String> {
    [
        "documents that are no objects, or have a key twice, a key with a dot or more than 64 levels, become NULL",
        "documents with a number that neither 64 bits nor a Float64 hold digit by digit, a float from 2^63 to 10^21, an integer beyond 2^53 in an array, \
         null beside an array in an array, or half of a surrogate pair become NULL",
        "keys whose value is null or an empty object are dropped",
    ]
    .map(str::to_owned)
    .to_vec()
}

fn decimal_losses(source: &SourceType, precision: u8, scale: u8, fate: &str) -> Vec<String> {
    let before = i32::from(precision) - i32::from(scale);
    let room = match source {
        SourceType::Numeric { precision: digits, scale: after } => {
            i32::from(*after) <= i32::from(scale) && i32::from(*digits) - i32::from(*after) <= before
        }
        other => integer_digits(other).is_some_and(|digits| i32::from(digits) <= before),
    };
    let integer = integer_digits(source).is_some();
    let mut found = Vec::new();
    match source {
        SourceType::NumericUnbounded => found.push(format!("NaN and Infinity {fate}")),
        _ if !integer => found.push(format!("NaN {}", if fate == BECOME_NULL { "becomes NULL" } else { fate })),
        _ => {}
    }
    if !room && integer {
        found.push(format!("values of more than {before} digits {fate}"));
    } else if !room {
        found.push(format!("values of more than {before} digits before the point or {scale} after it {fate}"));
    }
    found
}

#[cfg(test)]
#[path = "types_tests.rs"]
mod tests;
