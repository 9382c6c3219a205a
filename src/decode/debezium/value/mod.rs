//! Values: from JSON to the text that Postgres writes, or to its binary form.

mod array;
mod binary;
mod civil;
mod decimal;
mod float;
mod geometry;
mod hstore;
mod interval;
mod iso;
mod placeholder;
mod temporal;

pub(super) use binary::push_base64;
#[cfg(test)]
pub(super) use binary::unbase64 as decode_base64;
pub(super) use placeholder::Placeholder;
pub(super) use temporal::Unit;

use super::forms::BinaryMode;
use super::json::{Json, Text};
use crate::decode::Malformed;

/// How a value is read: chosen once a column.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Decoder {
    /// Nobody wants it.
    Ignored,
    /// The connector did not carry it: NULL.
    Lost,
    Bool,
    /// A number, as it is spelled.
    Integer,
    Float {
        double: bool,
        /// Postgres' own spelling, not just one that reads as the same number.
        text: bool,
    },
    /// An unscaled number in base64.
    Decimal {
        scale: i32,
        money: bool,
    },
    /// A number, its text, or an object of scale and unscaled number.
    AnyDecimal {
        money: bool,
        /// Digits that Postgres writes behind the point, where the type says so.
        scale: Option<i16>,
    },
    Text,
    Bytes {
        mode: BinaryMode,
        text: bool,
    },
    /// A text that was taken for bytes.
    TextOfBytes {
        mode: BinaryMode,
    },
    /// Bytes, the least significant first, or a boolean.
    Bits {
        length: Option<u32>,
    },
    Date {
        text: bool,
    },
    Time {
        unit: Unit,
    },
    TimeTz,
    Timestamp {
        unit: Unit,
        text: bool,
    },
    TimestampTz {
        text: bool,
    },
    Interval,
    Hstore,
    Geometry,
    Vector,
    SparseVector,
    Array(Box<Decoder>),
}

/// Where a value that was read lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Put<'a> {
    Null,
    Unchanged,
    /// Text, in the message.
    Borrowed(&'a [u8]),
    /// Text, at the end of the output.
    Text,
    /// A binary form, at the end of the output.
    Binary,
}

/// Buffers that are kept from one value to the next.
#[derive(Debug, Default)]
pub(super) struct Work {
    /// Decoded bytes, or JSON that lay in a string.
    bytes: Vec<u8>,
    /// The digits of a number.
    digits: Vec<u8>,
    /// An unescaped string.
    unescaped: Vec<u8>,
    /// An element of an array, before it is quoted.
    element: Vec<u8>,
}

impl Decoder {
    /// Reads a value.
    #[inline]
    pub(super) fn read<'a>(&self, json: Json<'a>, out: &mut Vec<u8>, work: &mut Work) -> Result<Put<'a>, Malformed> {
        match (self, json) {
            (_, Json::Null) | (Self::Ignored | Self::Lost, _) => Ok(Put::Null),
            (Self::Text, Json::String(text)) => put_text(text, out),
            (Self::Integer, Json::Number(token)) => integer(token),
            (Self::Float { double, text }, json) => float::read(json, *double, *text, out),
            (Self::Decimal { scale, money }, Json::String(text)) => {
                decimal::unscaled(text, (*scale, *money), out, work)
            }
            (Self::TimestampTz { text }, json) => temporal::zoned(json, *text, out),
            (Self::Timestamp { unit, text }, json) => temporal::timestamp(json, *unit, *text, out),
            (Self::Date { text }, json) => temporal::date(json, *text, out),
            _ => self.read_seldom(json, out, work),
        }
    }

    /// The types that are not in every table.
    fn read_seldom<'a>(&self, json: Json<'a>, out: &mut Vec<u8>, work: &mut Work) -> Result<Put<'a>, Malformed> {
        match (self, json) {
            (Self::Bool, Json::Bool(value)) => {
                out.push(if value { b't' } else { b'f' });
                Ok(Put::Text)
            }
            (Self::Decimal { money, .. }, json) => decimal::any(json, (*money, None), out, work),
            (Self::AnyDecimal { money, scale }, json) => decimal::any(json, (*money, *scale), out, work),
            (Self::Text, Json::Number(token)) => integer(token),
            (Self::Text, Json::Bool(value)) => Self::Bool.read_seldom(Json::Bool(value), out, work),
            (Self::Integer, Json::String(text)) => put_text(text, out),
            (Self::Bytes { mode, text }, Json::String(value)) => binary::bytes(value, *mode, *text, (out, work)),
            (Self::TextOfBytes { mode }, Json::String(value)) => binary::text_of_bytes(value, *mode, out, work),
            (Self::Bits { length }, json) => binary::bits(json, *length, out, work),
            (Self::Time { unit }, json) => temporal::time(json, *unit, out),
            (Self::TimeTz, json) => temporal::time_tz(json, out),
            (Self::Interval, json) => interval::read(json, out),
            (Self::Hstore, json) => hstore::read(json, out, work),
            (Self::Geometry, Json::Object(object)) => geometry::read(object, out, work),
            (Self::Vector, Json::Array(array)) => array::vector(array, out),
            (Self::SparseVector, Json::Object(object)) => array::sparse_vector(object, out),
            (Self::Array(element), Json::Array(array)) => array::read(array, element, out, work),
            // An array whose elements the source does not tell apart from text.
            (Self::Text, Json::Array(array)) => array::read(array, &Self::Text, out, work),
            _ => Err(Malformed(self.expected())),
        }
    }

    fn expected(&self) -> &'static str {
        match self {
            Self::Ignored | Self::Lost => "anything",
            Self::Bool => "true or false",
            Self::Integer => "a whole number",
            Self::Float { .. } => "a number",
            Self::Decimal { .. } => "an unscaled number in base64",
            Self::AnyDecimal { .. } => "a decimal",
            Self::Text => "a string",
            Self::Bytes { .. } | Self::TextOfBytes { .. } => "bytes as a string",
            Self::Bits { .. } => "bits",
            Self::Date { .. } => "a date",
            Self::Time { .. } => "a time of day",
            Self::TimeTz => "a time of day with a zone",
            Self::Timestamp { .. } => "a timestamp",
            Self::TimestampTz { .. } => "a timestamp with a zone",
            Self::Interval => "an interval",
            Self::Hstore => "an hstore",
            Self::Geometry => "a geometry's object",
            Self::Vector | Self::SparseVector => "a vector",
            Self::Array(_) => "an array",
        }
    }
}

/// A string's text, where it lies unless something in it is escaped.
#[inline]
fn put_text<'a>(text: Text<'a>, out: &mut Vec<u8>) -> Result<Put<'a>, Malformed> {
    if let Some(text) = text.plain() {
        return Ok(Put::Borrowed(text));
    }
    text.unescape_into(out)?;
    Ok(Put::Text)
}

/// A whole number; anything with a point or an exponent is none.
#[inline]
fn integer(token: &[u8]) -> Result<Put<'_>, Malformed> {
    let digits = token.strip_prefix(b"-").unwrap_or(token);
    if digits.iter().all(u8::is_ascii_digit) { Ok(Put::Borrowed(token)) } else { Err(Malformed("a whole number")) }
}

/// Appends a text in double quotes, as arrays and hstore have it: quotes and backslashes with a backslash before them.
fn push_quoted(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in text {
        if matches!(byte, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(*byte);
    }
    out.push(b'"');
}

/// A string's text in a buffer, or where it lies.
fn unescaped<'t>(text: Text<'t>, buffer: &'t mut Vec<u8>) -> Result<&'t [u8], Malformed> {
    if let Some(text) = text.plain() {
        return Ok(text);
    }
    buffer.clear();
    text.unescape_into(buffer)?;
    Ok(buffer)
}

#[cfg(test)]
mod tests;
