//! Kafka Connect's schemas as they stand in a message, and what their values mean to people.
//!
//! Logical types: <https://debezium.io/documentation/reference/3.7/connectors/postgresql.html#postgresql-data-types> and the package
//! `org.apache.kafka.connect.data`. Without a schema a value is shown as it is written: nothing is guessed.

use super::json;
use super::moment;
use crate::decode::debezium::{ConnectType, Kind};
use std::borrow::Cow;

/// What Debezium writes where Postgres did not send an unchanged long value, unless the connector is told otherwise.
const UNAVAILABLE: &str = "__debezium_unavailable_value";
const UNAVAILABLE_BASE64: &str = "X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ==";
const UNAVAILABLE_HEX: &str = "5f5f646562657a69756d5f756e617661696c61626c655f76616c7565";

/// Whether a value is the mark of an unchanged long value, in any of the forms that it takes by the column's type.
pub(super) fn is_unavailable(value: &str) -> bool {
    let mark = |text: &str| {
        let text = text.trim_start_matches("\\x");
        text == UNAVAILABLE
            || text == UNAVAILABLE_BASE64
            || text == UNAVAILABLE_BASE64.trim_end_matches('=')
            || text.eq_ignore_ascii_case(UNAVAILABLE_HEX)
    };
    match value.as_bytes().first() {
        Some(b'"') => {
            let text = json::unquoted(value);
            mark(&text) || (text.starts_with('{') && is_marked_map(&text))
        }
        Some(b'[') => {
            let elements = json::elements(value);
            match elements.as_slice() {
                [one] => mark(&json::unquoted(one)),
                // An array of numbers holds the mark's bytes.
                many => many.len() == UNAVAILABLE.len() && is_marked_bytes(many),
            }
        }
        Some(b'{') => is_marked_map(value),
        _ => false,
    }
}

fn is_marked_bytes(elements: &[&str]) -> bool {
    let number = |text: &str| text.trim_matches('"').trim_end_matches(".0").parse::<u8>().ok();
    elements.iter().zip(UNAVAILABLE.bytes()).all(|(text, byte)| number(text) == Some(byte))
}

fn is_marked_map(text: &str) -> bool {
    matches!(json::members(text).as_slice(), [(name, value)] if name == UNAVAILABLE && json::unquoted(value) == UNAVAILABLE)
}

/// A value as JSON and for people: strings without quotes, and by the type dates, times and decimals as Postgres writes them.
pub(super) fn read(value: &str, of: Option<&ConnectType>) -> (String, String) {
    if value == "null" {
        return ("null".to_owned(), "null".to_owned());
    }
    if let Some(ConnectType { kind: Kind::Array(items), .. }) = of
        && (items.name.is_some() || items.kind == Kind::Bytes)
    {
        let (json, shown): (Vec<String>, Vec<String>) =
            json::elements(value).iter().map(|part| read(part, Some(items))).unzip();
        return (format!("[{}]", json.join(",")), format!("[{}]", shown.join(",")));
    }
    if let Some(shown) = of.and_then(|of| by_schema(value, of)) {
        // A decimal is a number there too.
        return (if json::is_json(&shown) { shown.clone() } else { json::quoted(&shown) }, shown);
    }
    let shown = match value.as_bytes().first() {
        Some(b'"') => json::unquoted(value).into_owned(),
        Some(b'{' | b'[') => json::one_line(value),
        _ => value.to_owned(),
    };
    (value.to_owned(), shown)
}

fn by_schema(value: &str, schema: &ConnectType) -> Option<String> {
    let number = || value.parse::<i64>().ok();
    let micros_per = |unit: i64| number()?.checked_mul(unit);
    match schema.logical() {
        "io.debezium.time.Date" | "org.apache.kafka.connect.data.Date" => {
            // Postgres' infinities come as the ends of an integer.
            number().filter(|days| days.abs() < i64::from(i32::MAX)).map(moment::date)
        }
        "io.debezium.time.Timestamp" | "org.apache.kafka.connect.data.Timestamp" => {
            micros_per(1000).map(moment::timestamp)
        }
        "io.debezium.time.MicroTimestamp" => number().filter(|number| is_finite(*number)).map(moment::timestamp),
        "io.debezium.time.NanoTimestamp" => {
            number().filter(|number| is_finite(*number)).map(|nanos| moment::timestamp(nanos.div_euclid(1000)))
        }
        "io.debezium.time.Time" | "org.apache.kafka.connect.data.Time" => {
            micros_per(1000).map(|micros| moment::time_of_day(micros, 3))
        }
        "io.debezium.time.MicroTime" => number().map(|micros| moment::time_of_day(micros, 6)),
        "io.debezium.time.NanoTime" => number().map(|nanos| moment::time_of_day(nanos / 1000, 6)),
        "org.apache.kafka.connect.data.Decimal" => {
            decimal(&base64(&json::unquoted(value))?, schema.parameters.get("scale")?.parse().ok()?)
        }
        "io.debezium.data.VariableScaleDecimal" => {
            decimal(&base64(&json::string(value, "value")?)?, json::integer(value, "scale")?)
        }
        "" if schema.kind == Kind::Bytes => {
            let bytes = base64(&json::unquoted(value))?;
            Some(bytes.iter().fold("\\x".to_owned(), |text, byte| format!("{text}{byte:02x}")))
        }
        _ => None,
    }
}

/// Whether a timestamp is none of Postgres' infinities, which come as the ends of an integer.
fn is_finite(number: i64) -> bool {
    number > i64::MIN / 2 && number < i64::MAX / 2
}

/// Bytes of a base64 text, with or without its padding, in the usual alphabet or the one for URLs.
pub(super) fn base64(text: &str) -> Option<Vec<u8>> {
    let text = text.trim_end_matches('=');
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3 + 2);
    let (mut bits, mut count) = (0_u32, 0);
    for byte in text.bytes() {
        let digit = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(digit);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    Some(bytes)
}

/// A decimal of its unscaled value (two's complement, most significant byte first) and its scale, exactly.
fn decimal(unscaled: &[u8], scale: i64) -> Option<String> {
    if unscaled.is_empty() || unscaled.len() > 64 << 10 || !(-200_000..=200_000).contains(&scale) {
        return None;
    }
    let negative = unscaled.first().is_some_and(|byte| byte & 0x80 != 0);
    let digits = digits(&magnitude(unscaled, negative));
    let text = match usize::try_from(scale) {
        Ok(0) => digits,
        Ok(scale) => {
            let padded = format!("{digits:0>width$}", width = scale + 1);
            let (whole, fraction) = padded.split_at_checked(padded.len() - scale)?;
            format!("{whole}.{fraction}")
        }
        Err(_) if digits == "0" => digits,
        Err(_) => format!("{digits}{}", "0".repeat(scale.unsigned_abs() as usize)),
    };
    Some(if negative { format!("-{text}") } else { text })
}

/// The absolute value, most significant byte first.
fn magnitude(bytes: &[u8], negative: bool) -> Cow<'_, [u8]> {
    if !negative {
        return Cow::Borrowed(bytes);
    }
    let mut carry = true;
    let mut negated: Vec<u8> = bytes
        .iter()
        .rev()
        .map(|byte| {
            let (sum, overflow) = (!byte).overflowing_add(u8::from(carry));
            carry = overflow;
            sum
        })
        .collect();
    negated.reverse();
    Cow::Owned(negated)
}

/// The decimal digits of a number, by limbs of nine digits.
fn digits(bytes: &[u8]) -> String {
    const LIMB: u64 = 1_000_000_000;
    let mut limbs: Vec<u64> = Vec::new();
    for byte in bytes {
        let mut carry = u64::from(*byte);
        for limb in &mut limbs {
            let value = *limb * 256 + carry;
            (*limb, carry) = (value % LIMB, value / LIMB);
        }
        if carry > 0 {
            limbs.push(carry);
        }
    }
    let mut limbs = limbs.iter().rev();
    let first = limbs.next().map_or("0".to_owned(), u64::to_string);
    limbs.fold(first, |text, limb| format!("{text}{limb:09}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::debezium::ConnectSchema;

    fn shown(value: &str, of: Option<&ConnectType>) -> String {
        read(value, of).1
    }

    /// The type of a field with this schema.
    fn schema(text: &str) -> ConnectType {
        let field = text.replacen('{', "{\"field\":\"x\",", 1);
        let row = format!("{{\"type\":\"struct\",\"fields\":[{field}]}}");
        ConnectSchema::parse(row.as_bytes()).unwrap().fields.remove(0).connect_type
    }

    #[test]
    fn decimals_are_exact() {
        let decimal =
            schema(r#"{"type":"bytes","name":"org.apache.kafka.connect.data.Decimal","parameters":{"scale":"4"}}"#);
        for (value, text) in [
            ("\"AKtUqYzrHwrT\"", "1234567890123456.7891"),
            ("\"BBo=\"", "0.1050"),
            ("\"/w==\"", "-0.0001"),
            ("\"gA==\"", "-0.0128"),
            ("\"AA==\"", "0.0000"),
            ("null", "null"),
        ] {
            assert_eq!(read(value, Some(&decimal)).1, text, "{value}");
        }
        assert_eq!(read("\"BBo=\"", Some(&decimal)).0, "0.1050");
        let variable = schema(r#"{"type":"struct","name":"io.debezium.data.VariableScaleDecimal"}"#);
        assert_eq!(shown(r#"{"scale": 3, "value": "AeJA"}"#, Some(&variable)), "123.456");
        assert_eq!(shown(r#"{"scale": -2, "value": "AQ=="}"#, Some(&variable)), "100");
        let big =
            schema(r#"{"type":"bytes","name":"org.apache.kafka.connect.data.Decimal","parameters":{"scale":"20"}}"#);
        let text = "1234567890123456789012345678901234567890.12345678901234567890";
        assert_eq!(shown("\"E6r1BOS8HmIXP4ekN4w3tJyMz/GWzj8K0g==\"", Some(&big)), text);
    }

    #[test]
    fn times_are_written_as_postgres_does() {
        let of = |kind: &str, name: &str| schema(&format!(r#"{{"type":"{kind}","name":"{name}"}}"#));
        for (name, value, text) in [
            ("io.debezium.time.Date", "19783", "2024-03-01"),
            ("io.debezium.time.Date", "2147483647", "2147483647"),
            ("io.debezium.time.MicroTimestamp", "1704164645678901", "2024-01-02 03:04:05.678901"),
            ("io.debezium.time.MicroTimestamp", "9223372036825200000", "9223372036825200000"),
            ("io.debezium.time.Timestamp", "1704164645678", "2024-01-02 03:04:05.678"),
            ("io.debezium.time.MicroTime", "86399000000", "23:59:59.000000"),
            ("io.debezium.time.ZonedTimestamp", "\"2024-01-02T03:04:05Z\"", "2024-01-02T03:04:05Z"),
        ] {
            assert_eq!(shown(value, Some(&of("int64", name))), text, "{name}");
        }
        assert_eq!(shown("\"3q2+7w==\"", Some(&of("bytes", ""))), "\\xdeadbeef");
        assert_eq!(shown("\"3q2+7w==\"", None), "3q2+7w==");
        let array = schema(r#"{"type":"array","items":{"type":"int32","name":"io.debezium.time.Date"}}"#);
        assert_eq!(
            read("[0, null]", Some(&array)),
            ("[\"1970-01-01\",null]".to_owned(), "[1970-01-01,null]".to_owned())
        );
    }

    #[test]
    fn marks_of_unchanged_values_are_known_in_every_form() {
        let bytes: Vec<String> = UNAVAILABLE.bytes().map(|byte| byte.to_string()).collect();
        for value in [
            format!("\"{UNAVAILABLE}\""),
            format!("\"{UNAVAILABLE_BASE64}\""),
            format!("\"{UNAVAILABLE_HEX}\""),
            format!("[\"{UNAVAILABLE}\"]"),
            format!("[{}]", bytes.join(", ")),
            format!("{{\"{UNAVAILABLE}\": \"{UNAVAILABLE}\"}}"),
            format!("\"{{\\\"{UNAVAILABLE}\\\":\\\"{UNAVAILABLE}\\\"}}\""),
        ] {
            assert!(is_unavailable(&value), "{value}");
        }
        for value in ["null", "\"\"", "1", "[]", "{}", "[95]", "\"unavailable\""] {
            assert!(!is_unavailable(value), "{value}");
        }
    }
}
