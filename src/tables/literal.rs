//! Values of Postgres as SQL expressions of ClickHouse: for what rows older than a column answer in it.
//!
//! Exact: numbers that ClickHouse's parsers round, and dates that they clamp, are written by their bits or their number.

use crate::batch::{ColumnBuffer, ColumnType, Ranges, ValueType};
use crate::change::{Field, SourceType};
use crate::decode::{Malformed, array, hstore, number, time};
use crate::server::clickhouse::quote_text;
use std::fmt::Write as _;

/// Days from the year 0 to 1970-01-01: what `fromDaysSinceYearZero32` counts from.
const YEAR_ZERO: i64 = 719_528;

/// The expression of a value, or `None` where it is stored as NULL.
///
/// # Errors
/// [`Malformed`] where the text is no value of the type, or none that can be written.
pub(super) fn literal(
    source: &SourceType,
    stored: &ColumnType,
    text: &str,
    ranges: &Ranges,
) -> Result<Option<String>, Malformed> {
    let malformed = Malformed("a value of its type");
    Ok(Some(match &stored.value {
        ValueType::Bool => (text == "t").to_string(),
        ValueType::Int16 | ValueType::Int32 | ValueType::Int64 | ValueType::UInt32 => {
            number::integer(text.as_bytes())?.to_string()
        }
        ValueType::Float32 => {
            let value: f32 = number::float(text.as_bytes())?;
            format!("reinterpretAsFloat32(toUInt32({}))", value.to_bits())
        }
        ValueType::Float64 => {
            let value: f64 = number::float(text.as_bytes())?;
            format!("reinterpretAsFloat64(toUInt64({}))", value.to_bits())
        }
        ValueType::Decimal { precision, scale } => {
            if number::decimal_text(text.as_bytes(), *precision, *scale)?.is_none() {
                return Ok(None);
            }
            format!("CAST({}, 'Decimal({precision}, {scale})')", quote_text(text))
        }
        ValueType::String if *source == SourceType::Bytea => {
            format!("unhex({})", quote_text(text.strip_prefix("\\x").ok_or(malformed)?))
        }
        ValueType::String | ValueType::LowCardinality => quote_text(text),
        ValueType::Date32 => {
            let (first, last) = ranges.date_days;
            let days = time::date_text(text.as_bytes())?.filter(|days| (first.into()..=last.into()).contains(days));
            let Some(days) = days else { return Ok(None) };
            format!("fromDaysSinceYearZero32({})", days + YEAR_ZERO)
        }
        ValueType::DateTime64 { precision } => {
            let (first, last) = ranges.datetime_micros;
            let micros = time::timestamp_text(text.as_bytes())?.filter(|micros| (first..=last).contains(micros));
            let Some(micros) = micros else { return Ok(None) };
            let ticks = micros.div_euclid(10_i64.pow(6_u32.saturating_sub(u32::from(*precision))));
            format!("reinterpret(toInt64({ticks}), 'DateTime64({precision}, \\'UTC\\')')")
        }
        ValueType::Uuid if *source == SourceType::Uuid => format!("toUUID({})", quote_text(text)),
        ValueType::Array(element) => {
            let elements = elements(source, element, text, ranges)?;
            format!("CAST([{}], 'Array({})')", elements.join(", "), element.to_string().replace('\'', "\\'"))
        }
        value => return encoded(source, value, text, ranges),
    }))
}

/// A value of the types that only the configuration asks for; whether they hold it is what the insert's encoder says.
fn encoded(source: &SourceType, value: &ValueType, text: &str, ranges: &Ranges) -> Result<Option<String>, Malformed> {
    let malformed = Malformed("a value of its type");
    let wanted = if value.is_collection() { ColumnType::required } else { ColumnType::nullable };
    let mut buffer = ColumnBuffer::new(source, &wanted(value.clone()), *ranges).ok_or(malformed)?;
    buffer.append(Field::Text(text.as_bytes())).map_err(|_| malformed)?;
    if buffer.policy_nulls() > 0 {
        return Ok(None);
    }
    if *value == ValueType::Json {
        return document(text).map(Some);
    }
    let bytes = buffer.parts().last().map(|bytes| hex(bytes)).ok_or(malformed)?;
    Ok(Some(match value {
        ValueType::Map => map(text)?,
        ValueType::Time => format!("CAST({}, 'Time')", quote_text(cut(text, 0))),
        ValueType::Time64 { precision } => format!("CAST({}, '{value}')", quote_text(cut(text, *precision))),
        ValueType::Ipv4 | ValueType::Ipv6 => format!("to{value}({})", quote_text(text)),
        ValueType::FixedString(len) => format!("toFixedString(unhex('{bytes}'), {len})"),
        value => format!("reinterpret(unhex('{bytes}'), '{}')", value.to_string().replace('\'', "\\'")),
    }))
}

/// An empty document alone: what another one becomes depends on settings that the server's own threads, which fill the column, do not have.
fn document(text: &str) -> Result<String, Malformed> {
    let inside = text.trim().strip_prefix('{').and_then(|text| text.strip_suffix('}'));
    if inside.is_some_and(|inside| inside.trim().is_empty()) {
        return Ok(format!("CAST('{{}}', '{}')", ValueType::Json));
    }
    Err(Malformed("an empty document"))
}

/// A time of day with so many digits of a second at most.
fn cut(time: &str, digits: u8) -> &str {
    let Some(point) = time.find('.') else { return time };
    let end = if digits == 0 { point } else { point + 1 + usize::from(digits) };
    time.get(..end).unwrap_or(time)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing into a String cannot fail.
        write!(text, "{byte:02x}").ok();
        text
    })
}

fn map(text: &str) -> Result<String, Malformed> {
    let mut parts = Vec::new();
    let quoted = |bytes: &[u8]| std::str::from_utf8(bytes).map(quote_text).map_err(|_| Malformed("UTF-8"));
    hstore::pairs(text.as_bytes(), (&mut Vec::new(), &mut Vec::new()), |key, value| {
        parts.push(quoted(key)?);
        parts.push(value.map_or_else(|| Ok("NULL".to_owned()), quoted)?);
        Ok::<(), Malformed>(())
    })?;
    Ok(format!("CAST(map({}), '{}')", parts.join(", "), ValueType::Map))
}

fn elements(source: &SourceType, stored: &ColumnType, text: &str, ranges: &Ranges) -> Result<Vec<String>, Malformed> {
    let mut found = Vec::new();
    if let SourceType::Vector = source {
        let inside = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).ok_or(Malformed("a vector"))?;
        for element in inside.split(',').filter(|element| !element.is_empty()) {
            found.extend(literal(&SourceType::Float4, stored, element, ranges)?);
        }
        return Ok(found);
    }
    let SourceType::Array(source) = source else { return Err(Malformed("an array")) };
    let add = |field: Field<'_>| -> Result<(), array::ArrayFault> {
        let value = match field {
            Field::Text(bytes) => {
                let text = std::str::from_utf8(bytes).map_err(|_| Malformed("UTF-8"))?;
                literal(source, stored, text, ranges)?
            }
            _ => None,
        };
        found.push(value.unwrap_or_else(|| "NULL".to_owned()));
        Ok(())
    };
    match array::text(text.as_bytes(), &mut Vec::new(), add) {
        Ok(_) => Ok(found),
        Err(array::ArrayFault::Malformed(malformed)) => Err(malformed),
        Err(array::ArrayFault::Nested) => Err(Malformed("an array of one dimension")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(source: &SourceType, stored: &str, text: &str) -> Option<String> {
        let stored = ColumnType::parse(stored).unwrap();
        let ranges =
            Ranges { date_days: (-25_567, 120_529), datetime_micros: (-2_208_988_800_000_000, 10_413_791_999_999_999) };
        literal(source, &stored, text, &ranges).unwrap()
    }

    #[test]
    fn types_of_the_configuration_are_written_as_their_encoder_holds_them() {
        let time = |stored| written(&SourceType::Time, stored, "12:30:00.123456");
        assert_eq!(time("Time64(3)").as_deref(), Some("CAST('12:30:00.123', 'Time64(3)')"));
        assert_eq!(time("Time").as_deref(), Some("CAST('12:30:00', 'Time')"));
        let document = |text| literal(&SourceType::Json, &ColumnType::parse("JSON").unwrap(), text, &Ranges::default());
        assert_eq!(document("{ }"), Ok(Some("CAST('{}', 'JSON')".to_owned())));
        assert_eq!(document("[]"), Ok(None));
        assert!(document("{\"at\": \"2020-01-01\"}").is_err());
        let address = |stored, text| written(&SourceType::Inet, stored, text);
        assert_eq!(address("Nullable(IPv6)", "10.0.0.1").as_deref(), Some("toIPv6('10.0.0.1')"));
        assert_eq!(address("Nullable(IPv4)", "10.0.0.0/8"), None);
        assert_eq!(
            written(&SourceType::Hstore, "Map(String, Nullable(String))", r#""a"=>NULL"#).as_deref(),
            Some("CAST(map('a', NULL), 'Map(String, Nullable(String))')")
        );
        let fixed = written(&SourceType::Bytea, "Nullable(FixedString(2))", "\\x6100");
        assert_eq!(fixed.as_deref(), Some("toFixedString(unhex('6100'), 2)"));
        let day = |text| written(&SourceType::Date, "Nullable(Date)", text);
        assert_eq!(day("1970-01-02").as_deref(), Some("reinterpret(unhex('0100'), 'Date')"));
        assert_eq!(day("1969-12-31"), None);
    }

    #[test]
    fn texts_are_quoted() {
        let text = written(&SourceType::String, "Nullable(String)", "it's \\ \"q\"\n").unwrap();
        assert_eq!(text, "'it\\'s \\\\ \"q\"\\n'");
        assert_eq!(written(&SourceType::Bytea, "String", "\\xdead").as_deref(), Some("unhex('dead')"));
    }

    #[test]
    fn numbers_are_exact() {
        assert_eq!(written(&SourceType::Int2, "Int16", "-5").as_deref(), Some("-5"));
        assert_eq!(written(&SourceType::Bool, "Bool", "t").as_deref(), Some("true"));
        let tenth = written(&SourceType::Float8, "Float64", "0.1").unwrap();
        assert_eq!(tenth, format!("reinterpretAsFloat64(toUInt64({}))", 0.1_f64.to_bits()));
        let decimal = |text| written(&SourceType::NumericUnbounded, "Nullable(Decimal(5, 2))", text);
        assert_eq!(decimal("12.5").as_deref(), Some("CAST('12.5', 'Decimal(5, 2)')"));
        assert_eq!(decimal("12.555"), None, "it would be cut off");
        assert_eq!(decimal("NaN"), None);
    }

    #[test]
    fn dates_beyond_the_range_are_null() {
        let date = |text| written(&SourceType::Date, "Nullable(Date32)", text);
        assert_eq!(date("1970-01-02").as_deref(), Some("fromDaysSinceYearZero32(719529)"));
        assert_eq!([date("infinity"), date("0044-03-15 BC"), date("1899-12-31")], [None, None, None]);
        let time = |text| written(&SourceType::TimestampTz, "Nullable(DateTime64(3, 'UTC'))", text);
        assert_eq!(
            time("1969-12-31 23:59:59.9999+00").as_deref(),
            Some("reinterpret(toInt64(-1), 'DateTime64(3, \\'UTC\\')')")
        );
        assert_eq!(time("infinity"), None);
    }

    #[test]
    fn arrays_hold_their_elements() {
        let texts = SourceType::Array(Box::new(SourceType::String));
        assert_eq!(
            written(&texts, "Array(Nullable(String))", "{a,NULL,\"b,\\\"c\"}").as_deref(),
            Some("CAST(['a', NULL, 'b,\"c'], 'Array(Nullable(String))')")
        );
        assert_eq!(
            written(&texts, "Array(Nullable(String))", "{}").as_deref(),
            Some("CAST([], 'Array(Nullable(String))')")
        );
        let nested = ColumnType::parse("Array(Nullable(String))").unwrap();
        let ranges = Ranges { date_days: (0, 0), datetime_micros: (0, 0) };
        assert!(literal(&texts, &nested, "{{a}}", &ranges).is_err());
        assert_eq!(
            written(&SourceType::Vector, "Array(Float32)", "[1]").as_deref(),
            Some("CAST([reinterpretAsFloat32(toUInt32(1065353216))], 'Array(Float32)')")
        );
    }
}
