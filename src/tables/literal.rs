//! Values of Postgres as SQL expressions of ClickHouse: for what rows older than a column answer in it.
//!
//! Exact: numbers that ClickHouse's parsers round, and dates that they clamp, are written by their bits or their number.

use crate::batch::{ColumnType, Ranges, ValueType};
use crate::change::{Field, SourceType};
use crate::decode::{Malformed, array, number, time};
use crate::server::clickhouse::quote_text;

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
        ValueType::Uuid => format!("toUUID({})", quote_text(text)),
        ValueType::Array(element) => {
            let elements = elements(source, element, text, ranges)?;
            format!("CAST([{}], 'Array({})')", elements.join(", "), element.to_string().replace('\'', "\\'"))
        }
    }))
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
