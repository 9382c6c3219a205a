//! How a value goes from its wire form into a column: one function a type for each of the two forms.

use super::leb128::push_leb128;
use super::{Ranges, ValueType, asked};
use crate::change::SourceType;
use crate::decode::{Malformed, number, time};
use crate::failpoint;

/// What became of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stored {
    /// It was appended.
    Value,
    /// The column's type can't hold it.
    OutOfRange,
}

/// A conversion, chosen once a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Codec {
    Bool,
    /// An integer of so many bytes.
    Int(u8),
    UInt32,
    /// An unsigned integer of four bytes in eight.
    WideUInt32,
    Float32,
    Float64,
    /// A float from a type whose binary form is not asked for: integers and numerics.
    Float64FromText,
    /// An integer of `10^-scale` units, in so many bytes.
    Decimal {
        precision: u8,
        scale: u8,
        width: u8,
    },
    /// Any bytes, as they are.
    Bytes,
    /// Bytes that are `\x` and hexadecimal digits as text.
    Bytea,
    Date32 {
        first: i32,
        last: i32,
    },
    DateTime64 {
        precision: u8,
        first: i64,
        last: i64,
    },
    /// Days since 1970-01-01 that 16 bits have room for.
    Date,
    /// Seconds since 1970-01-01 that 32 bits have room for.
    DateTime,
    /// Ticks since midnight.
    TimeOfDay {
        precision: u8,
        width: u8,
    },
    Uuid,
    /// A UUID in a text, just as it is written from its bytes.
    UuidFromText,
    Ipv4,
    Ipv6,
    /// Exactly so many bytes.
    Fixed(u32),
    /// The same of bytes that are `\x` and hexadecimal digits as text.
    FixedBytea(u32),
    Array,
    Vector,
    Map,
    /// A document, where [`crate::decode::document`] says that it comes back.
    Json,
    /// What stands in the value's place; see [`super::transform`].
    Stand,
}

impl Codec {
    pub(super) fn new(source: &SourceType, value: &ValueType, ranges: Ranges) -> Option<Self> {
        use SourceType as S;
        use ValueType as V;
        Some(match (value, source) {
            (V::Bool, S::Bool) => Self::Bool,
            (V::Int16, S::Int2) => Self::Int(2),
            (V::Int32, S::Int2 | S::Int4) => Self::Int(4),
            (V::Int64, S::Int2 | S::Int4 | S::Int8) => Self::Int(8),
            (V::Int64, S::Oid) => Self::WideUInt32,
            (V::UInt32, S::Oid) => Self::UInt32,
            (V::Float32, S::Float4) => Self::Float32,
            (V::Float64, S::Float4 | S::Float8) => Self::Float64,
            (V::Float64, S::Int2 | S::Int4 | S::Numeric { .. } | S::NumericUnbounded) => Self::Float64FromText,
            (
                &V::Decimal { precision, scale },
                S::Numeric { .. } | S::NumericUnbounded | S::Int2 | S::Int4 | S::Int8,
            ) => {
                let width = match precision {
                    0..=9 => 4,
                    10..=18 => 8,
                    19..=38 => 16,
                    _ => 32,
                };
                Self::Decimal { precision, scale, width }
            }
            (V::String, S::Bytea) => Self::Bytea,
            (V::String, _) => Self::Bytes,
            (V::LowCardinality, source) if source.is_text_output() => Self::Bytes,
            (V::LowCardinality, S::String | S::Enum) => Self::Bytes,
            (V::Date32, S::Date) => {
                let (first, last) = ranges.date_days;
                Self::Date32 { first, last }
            }
            (&V::DateTime64 { precision }, S::Timestamp | S::TimestampTz) => {
                let (first, last) = ranges.datetime_micros;
                Self::DateTime64 { precision, first, last }
            }
            (V::Date, S::Date) => Self::Date,
            (V::DateTime, S::Timestamp | S::TimestampTz) => Self::DateTime,
            (V::Time, S::Time) => Self::TimeOfDay { precision: 0, width: 4 },
            (&V::Time64 { precision: precision @ 0..=6 }, S::Time) => Self::TimeOfDay { precision, width: 8 },
            (V::Uuid, S::Uuid) => Self::Uuid,
            (V::Uuid, S::String) => Self::UuidFromText,
            (V::Ipv4, S::Inet) => Self::Ipv4,
            (V::Ipv6, S::Inet) => Self::Ipv6,
            (&V::FixedString(len), S::String) => Self::Fixed(len),
            (&V::FixedString(len), S::Bytea) => Self::FixedBytea(len),
            (V::Map, S::Hstore) => Self::Map,
            (V::Json, S::Json) => Self::Json,
            (V::Array(_), S::Array(_)) => Self::Array,
            (V::Array(_), S::Vector) => Self::Vector,
            _ => return None,
        })
    }

    /// Bytes of a value; `None` for strings.
    pub(super) fn fixed_width(self) -> Option<usize> {
        match self {
            Self::Bool => Some(1),
            Self::Int(width) | Self::Decimal { width, .. } | Self::TimeOfDay { width, .. } => Some(usize::from(width)),
            Self::Date => Some(2),
            Self::UInt32 | Self::Float32 | Self::Date32 { .. } | Self::DateTime | Self::Ipv4 => Some(4),
            Self::WideUInt32
            | Self::Float64
            | Self::Float64FromText
            | Self::DateTime64 { .. }
            | Self::Array
            | Self::Vector
            | Self::Map => Some(8),
            Self::Uuid | Self::UuidFromText | Self::Ipv6 => Some(16),
            Self::Fixed(len) | Self::FixedBytea(len) => usize::try_from(len).ok(),
            Self::Bytes | Self::Bytea | Self::Json | Self::Stand => None,
        }
    }

    /// Appends the default value: zeros, an empty string, or an empty document.
    pub(super) fn push_default(self, data: &mut Vec<u8>) {
        match self {
            Self::Json => push_bytes(b"{}", data),
            _ => data.resize(data.len() + self.fixed_width().unwrap_or(1), 0),
        }
    }

    #[inline]
    pub(super) fn text(self, bytes: &[u8], data: &mut Vec<u8>) -> Result<Stored, Malformed> {
        match self {
            Self::Bool => match bytes {
                b"t" | b"true" => data.push(1),
                b"f" | b"false" => data.push(0),
                _ => return Err(Malformed("t or f")),
            },
            Self::Int(width) => return push_int(number::integer(bytes)?, width, data),
            Self::WideUInt32 => return push_int(number::integer(bytes)?, 8, data),
            Self::UInt32 => {
                let value = u32::try_from(number::integer(bytes)?).map_err(|_| Malformed("32 bits without sign"))?;
                data.extend_from_slice(&value.to_le_bytes());
            }
            Self::Float32 => data.extend_from_slice(&number::float::<f32>(bytes)?.to_le_bytes()),
            Self::Float64 => data.extend_from_slice(&number::float::<f64>(bytes)?.to_le_bytes()),
            Self::Float64FromText => {
                let value = number::float::<f64>(bytes)?;
                // A numeric past the largest float reads as an infinity, which it is not.
                if value.is_infinite() && bytes.last().is_some_and(u8::is_ascii_digit) {
                    return Ok(Stored::OutOfRange);
                }
                data.extend_from_slice(&value.to_le_bytes());
            }
            Self::Decimal { precision, scale, width } => {
                return Ok(push_limbs(number::decimal_text(bytes, precision, scale)?, width, data));
            }
            Self::Bytes => push_bytes(bytes, data),
            Self::Bytea => push_hex(bytes, data)?,
            Self::Date32 { first, last } => return Ok(push_days(time::date_text(bytes)?, (first, last), data)),
            Self::DateTime64 { precision, first, last } => {
                return Ok(push_micros(time::timestamp_text(bytes)?, precision, (first, last), data));
            }
            Self::Uuid => push_uuid(uuid(bytes)?, data),
            _ => return self.seldom(bytes, data),
        }
        Ok(Stored::Value)
    }

    /// The text of types that only the configuration asks for.
    fn seldom(self, bytes: &[u8], data: &mut Vec<u8>) -> Result<Stored, Malformed> {
        match self {
            Self::Date => Ok(asked::push_short_days(time::date_text(bytes)?, data)),
            Self::DateTime => Ok(asked::push_seconds(time::timestamp_text(bytes)?, data)),
            Self::TimeOfDay { precision, width } => {
                let ticks = time::time_text(bytes)? / 10_i64.pow(6 - u32::from(precision.min(6)));
                push_int(ticks, width, data)
            }
            Self::UuidFromText => Ok(asked::push_written_uuid(bytes, data)),
            Self::Ipv4 => asked::push_ipv4(bytes, data),
            Self::Ipv6 => asked::push_ipv6(bytes, data),
            Self::Fixed(len) => Ok(asked::push_fixed(bytes, len, data)),
            Self::FixedBytea(len) => {
                let start = data.len();
                push_hex_digits(bytes, data)?;
                Ok(if data.len() - start == len as usize { Stored::Value } else { Stored::OutOfRange })
            }
            _ => Err(Malformed("no array")),
        }
    }

    #[inline]
    pub(super) fn binary(self, bytes: &[u8], data: &mut Vec<u8>) -> Result<Stored, Malformed> {
        match self {
            Self::Bool => data.push(u8::from(fixed::<1>(bytes)? != [0])),
            Self::Int(width) => return push_int(binary_int(bytes)?, width, data),
            Self::UInt32 => data.extend_from_slice(&u32::from_be_bytes(fixed(bytes)?).to_le_bytes()),
            Self::WideUInt32 => data.extend_from_slice(&u64::from(u32::from_be_bytes(fixed(bytes)?)).to_le_bytes()),
            Self::Float32 => data.extend_from_slice(&u32::from_be_bytes(fixed(bytes)?).to_le_bytes()),
            Self::Float64 => match *bytes {
                [a, b, c, d] => {
                    data.extend_from_slice(&f64::from(f32::from_be_bytes([a, b, c, d])).to_le_bytes());
                }
                _ => data.extend_from_slice(&u64::from_be_bytes(fixed(bytes)?).to_le_bytes()),
            },
            Self::Decimal { precision, scale, width } => {
                return Ok(push_limbs(number::decimal_binary(bytes, precision, scale)?, width, data));
            }
            Self::Bytes | Self::Bytea => push_bytes(bytes, data),
            Self::Date32 { first, last } => return Ok(push_days(time::date_binary(bytes)?, (first, last), data)),
            Self::DateTime64 { precision, first, last } => {
                return Ok(push_micros(time::timestamp_binary(bytes)?, precision, (first, last), data));
            }
            Self::Uuid => push_uuid(fixed(bytes)?, data),
            Self::Date => return Ok(asked::push_short_days(time::date_binary(bytes)?, data)),
            Self::DateTime => return Ok(asked::push_seconds(time::timestamp_binary(bytes)?, data)),
            Self::UuidFromText => return Ok(asked::push_written_uuid(bytes, data)),
            Self::Fixed(len) | Self::FixedBytea(len) => return Ok(asked::push_fixed(bytes, len, data)),
            // The source sends these as text, see `needs_text`.
            Self::Float64FromText
            | Self::TimeOfDay { .. }
            | Self::Ipv4
            | Self::Ipv6
            | Self::Array
            | Self::Vector
            | Self::Map
            | Self::Json
            | Self::Stand => return Err(Malformed("text")),
        }
        Ok(Stored::Value)
    }
}

/// Whether a column has to be read as text: pipectl has no reading of the type's binary form into that type.
pub fn needs_text(source: &SourceType, value: &ValueType) -> bool {
    use SourceType as S;
    match (value, source) {
        (ValueType::String | ValueType::LowCardinality, source) => !matches!(source, S::String | S::Bytea | S::Enum),
        (ValueType::Float64, source) => !matches!(source, S::Float4 | S::Float8),
        (ValueType::Decimal { .. }, source) => !matches!(source, S::Numeric { .. } | S::NumericUnbounded),
        (ValueType::Array(element), S::Array(source)) => needs_text(source, &element.value),
        (_, source) => source.is_text_output() || *source == S::Vector,
    }
}

fn fixed<const N: usize>(bytes: &[u8]) -> Result<[u8; N], Malformed> {
    bytes.try_into().map_err(|_| Malformed("a value of its type's width"))
}

#[inline]
fn binary_int(bytes: &[u8]) -> Result<i64, Malformed> {
    match *bytes {
        [a, b] => Ok(i64::from(i16::from_be_bytes([a, b]))),
        [a, b, c, d] => Ok(i64::from(i32::from_be_bytes([a, b, c, d]))),
        _ => Ok(i64::from_be_bytes(fixed(bytes)?)),
    }
}

#[inline]
fn push_int(value: i64, width: u8, data: &mut Vec<u8>) -> Result<Stored, Malformed> {
    const NARROW: Malformed = Malformed("an integer of its type's width");
    match width {
        2 => data.extend_from_slice(&i16::try_from(value).map_err(|_| NARROW)?.to_le_bytes()),
        4 => data.extend_from_slice(&i32::try_from(value).map_err(|_| NARROW)?.to_le_bytes()),
        _ => data.extend_from_slice(&value.to_le_bytes()),
    }
    Ok(Stored::Value)
}

#[inline]
fn push_limbs(limbs: Option<number::Limbs>, width: u8, data: &mut Vec<u8>) -> Stored {
    let Some(limbs) = limbs else { return Stored::OutOfRange };
    let [a, b, c, d] = if failpoint::wanted("encode.sign") { number::negate(limbs) } else { limbs };
    match width {
        4 => data.extend_from_slice(&(a as u32).to_le_bytes()),
        8 => data.extend_from_slice(&a.to_le_bytes()),
        16 => [a, b].iter().for_each(|limb| data.extend_from_slice(&limb.to_le_bytes())),
        _ => [a, b, c, d].iter().for_each(|limb| data.extend_from_slice(&limb.to_le_bytes())),
    }
    Stored::Value
}

#[inline]
pub(super) fn push_bytes(bytes: &[u8], data: &mut Vec<u8>) {
    push_leb128(bytes.len(), data);
    data.extend_from_slice(bytes);
}

/// Two digits a byte stand behind `\x`, so the length is known before the bytes are.
fn push_hex(bytes: &[u8], data: &mut Vec<u8>) -> Result<(), Malformed> {
    push_leb128(bytes.len().saturating_sub(2) / 2, data);
    push_hex_digits(bytes, data)
}

fn push_hex_digits(bytes: &[u8], data: &mut Vec<u8>) -> Result<(), Malformed> {
    const BAD: Malformed = Malformed("\\x and hexadecimal digits");
    let digits = bytes.strip_prefix(b"\\x").ok_or(BAD)?;
    let (pairs, rest) = digits.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(BAD);
    }
    for &[high, low] in pairs {
        data.push(hex(high).ok_or(BAD)? << 4 | hex(low).ok_or(BAD)?);
    }
    Ok(())
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}

#[inline]
fn push_days(days: Option<i64>, (first, last): (i32, i32), data: &mut Vec<u8>) -> Stored {
    match days.and_then(|days| i32::try_from(days).ok()) {
        Some(days) if (first..=last).contains(&days) => {
            data.extend_from_slice(&days.to_le_bytes());
            Stored::Value
        }
        _ => Stored::OutOfRange,
    }
}

#[inline]
fn push_micros(micros: Option<i64>, precision: u8, (first, last): (i64, i64), data: &mut Vec<u8>) -> Stored {
    let Some(micros) = micros.filter(|micros| (first..=last).contains(micros)) else { return Stored::OutOfRange };
    let ticks = match precision {
        6 => Some(micros),
        0..6 => Some(micros.div_euclid(10_i64.pow(6 - u32::from(precision)))),
        _ => micros.checked_mul(10_i64.pow(u32::from(precision) - 6)),
    };
    let Some(mut ticks) = ticks else { return Stored::OutOfRange };
    if failpoint::wanted("encode.micros") {
        ticks += 1;
    }
    data.extend_from_slice(&ticks.to_le_bytes());
    Stored::Value
}

pub(super) fn uuid(text: &[u8]) -> Result<[u8; 16], Malformed> {
    const BAD: Malformed = Malformed("a UUID");
    let mut bytes = [0; 16];
    let mut digits = text.iter().filter(|&&byte| byte != b'-');
    for byte in &mut bytes {
        let (Some(&high), Some(&low)) = (digits.next(), digits.next()) else { return Err(BAD) };
        *byte = hex(high).ok_or(BAD)? << 4 | hex(low).ok_or(BAD)?;
    }
    if digits.next().is_some() { Err(BAD) } else { Ok(bytes) }
}

/// ClickHouse holds a UUID as two 64-bit halves, each little-endian.
pub(super) fn push_uuid(bytes: [u8; 16], data: &mut Vec<u8>) {
    let (halves, _) = bytes.as_chunks::<8>();
    for half in halves {
        data.extend(half.iter().rev());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codec(source: &SourceType, value: &ValueType) -> Codec {
        Codec::new(source, value, Ranges::default()).unwrap()
    }

    #[test]
    fn both_wire_forms_give_the_same_bytes() {
        let cases: [(SourceType, ValueType, &[u8], &[u8]); 9] = [
            (SourceType::Bool, ValueType::Bool, b"t", &[1]),
            (SourceType::Int2, ValueType::Int16, b"-5", &(-5i16).to_be_bytes()),
            (SourceType::Int8, ValueType::Int64, b"9223372036854775807", &i64::MAX.to_be_bytes()),
            (SourceType::Oid, ValueType::UInt32, b"4294967295", &[255; 4]),
            (SourceType::Float8, ValueType::Float64, b"5e-324", &5e-324f64.to_be_bytes()),
            (SourceType::Float4, ValueType::Float32, b"3.4028235e+38", &f32::MAX.to_be_bytes()),
            (SourceType::Date, ValueType::Date32, b"2000-01-02", &1i32.to_be_bytes()),
            (
                SourceType::TimestampTz,
                ValueType::DateTime64 { precision: 6 },
                b"2000-01-01 00:00:00.000001+00",
                &1i64.to_be_bytes(),
            ),
            (SourceType::Bytea, ValueType::String, b"\\xdeadBEEF", &[0xde, 0xad, 0xbe, 0xef]),
        ];
        for (source, value, text, binary) in cases {
            let codec = codec(&source, &value);
            let (mut left, mut right) = (Vec::new(), Vec::new());
            assert_eq!(codec.text(text, &mut left), Ok(Stored::Value), "{source:?}");
            assert_eq!(codec.binary(binary, &mut right), Ok(Stored::Value), "{source:?}");
            assert_eq!(left, right, "{source:?}");
        }
    }

    #[test]
    fn uuids_lie_in_two_halves() {
        let codec = codec(&SourceType::Uuid, &ValueType::Uuid);
        let mut data = Vec::new();
        codec.text(b"00112233-4455-6677-8899-aabbccddeeff", &mut data).unwrap();
        assert_eq!(data, [0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, 0, 0xff, 0xee, 0xdd, 0xcc, 0xbb, 0xaa, 0x99, 0x88]);
        assert!(codec.text(b"0011", &mut data).is_err());
    }

    #[test]
    fn coarser_timestamps_round_down_also_before_1970() {
        let codec = codec(&SourceType::Timestamp, &ValueType::DateTime64 { precision: 3 });
        let mut data = Vec::new();
        codec.text(b"1969-12-31 23:59:59.999999", &mut data).unwrap();
        assert_eq!(data, (-1i64).to_le_bytes());
    }

    #[test]
    fn a_numeric_past_the_largest_float_is_out_of_range() {
        let codec = codec(&SourceType::NumericUnbounded, &ValueType::Float64);
        let mut data = Vec::new();
        let huge = format!("1{}", "0".repeat(400));
        assert_eq!(codec.text(huge.as_bytes(), &mut data), Ok(Stored::OutOfRange));
        assert_eq!(codec.text(b"-Infinity", &mut data), Ok(Stored::Value));
        assert_eq!(data, f64::NEG_INFINITY.to_le_bytes());
    }
}
