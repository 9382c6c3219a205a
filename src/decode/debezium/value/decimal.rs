//! Decimals and money.

use super::super::json::{Json, Object, Text};
use super::binary::unbase64;
use super::{Put, Work, unescaped};
use crate::decode::{Malformed, number};

const BAD: Malformed = Malformed("a decimal");
/// Digits that a number may have on either side of its point; Postgres has at most 131072 before it and 16383 behind.
const MOST_DIGITS: i32 = 200_000;

/// How a number is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Style {
    /// As `money` with `lc_monetary = C`.
    pub(super) money: bool,
    /// Zeros are added until so many digits are behind the point.
    pub(super) at_least: i32,
}

impl Style {
    fn of(money: bool) -> Self {
        Self { money, at_least: if money { 2 } else { 0 } }
    }
}

/// An unscaled number in base64, of a scale that the column has.
#[inline]
pub(super) fn unscaled<'a>(
    text: Text<'_>,
    (scale, money): (i32, bool),
    out: &mut Vec<u8>,
    work: &mut Work,
) -> Result<Put<'a>, Malformed> {
    let text = unescaped(text, &mut work.unescaped)?;
    work.bytes.clear();
    unbase64(text, &mut work.bytes)?;
    let style = Style { money, at_least: 0 };
    push_unscaled(&mut work.bytes, &mut work.digits, (scale, style), out)?;
    Ok(Put::Text)
}

/// A decimal in whatever form it has.
pub(super) fn any<'a>(
    json: Json<'a>,
    (money, scale): (bool, Option<i16>),
    out: &mut Vec<u8>,
    work: &mut Work,
) -> Result<Put<'a>, Malformed> {
    let mut style = Style::of(money);
    style.at_least = style.at_least.max(scale.map_or(0, i32::from));
    match json {
        Json::Object(object) => variable(object, style, out, work),
        Json::Number(token) => {
            // A whole double has a zero behind its point.
            push_spelled(token, true, (style, out), work)?;
            Ok(Put::Text)
        }
        Json::String(text) => {
            if let Some(special) = special(text) {
                out.extend_from_slice(special);
                return Ok(Put::Text);
            }
            let text = text.plain().ok_or(BAD)?;
            if is_written_out(text, style) {
                return Ok(Put::Borrowed(text));
            }
            push_spelled(text, false, (style, out), work)?;
            Ok(Put::Text)
        }
        _ => Err(BAD),
    }
}

/// Whether a number is spelled as Postgres would: digits, the first one no zero unless it stands alone, and enough of them behind the point.
fn is_written_out(text: &[u8], style: Style) -> bool {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let point = digits.iter().position(|byte| *byte == b'.');
    let (whole, fraction) = digits.split_at_checked(point.unwrap_or(digits.len())).unwrap_or_default();
    let fraction = fraction.get(1..).unwrap_or_default();
    let all = |digits: &[u8]| digits.iter().all(u8::is_ascii_digit);
    let negative_zero = || digits.len() < text.len() && digits.iter().all(|byte| matches!(byte, b'0' | b'.'));
    let start = matches!(whole, [b'0'] | [b'1'..=b'9', ..]) && (point.is_none() || !fraction.is_empty());
    let enough = i32::try_from(fraction.len()).is_ok_and(|len| len >= style.at_least);
    !style.money && start && enough && all(whole) && all(fraction) && !negative_zero()
}

/// The names that the connector's modes have for what is no number.
fn special(text: Text<'_>) -> Option<&'static [u8]> {
    match text.plain()? {
        b"NaN" | b"NAN" => Some(b"NaN"),
        b"Infinity" | b"POSITIVE_INFINITY" => Some(b"Infinity"),
        b"-Infinity" | b"NEGATIVE_INFINITY" => Some(b"-Infinity"),
        _ => None,
    }
}

/// `{"scale":3,"value":"AeJA"}`
fn variable<'a>(object: Object<'_>, style: Style, out: &mut Vec<u8>, work: &mut Work) -> Result<Put<'a>, Malformed> {
    let (mut scale, mut value) = (None, None);
    for member in object.members() {
        match member? {
            (name, Json::Number(token)) if name.is(b"scale") => scale = Some(number::integer(token)?),
            (name, Json::String(text)) if name.is(b"value") => value = text.plain(),
            _ => {}
        }
    }
    let (Some(scale), Some(value)) = (scale, value) else { return Err(BAD) };
    let scale = i32::try_from(scale).map_err(|_| BAD)?;
    work.bytes.clear();
    unbase64(value, &mut work.bytes)?;
    push_unscaled(&mut work.bytes, &mut work.digits, (scale, style), out)?;
    Ok(Put::Text)
}

/// Writes a number of two's complement, the most significant byte first. `bytes` is used up.
fn push_unscaled(
    bytes: &mut [u8],
    digits: &mut Vec<u8>,
    (scale, style): (i32, Style),
    out: &mut Vec<u8>,
) -> Result<(), Malformed> {
    let negative = bytes.first().is_some_and(|byte| byte & 0x80 != 0);
    digits.clear();
    if bytes.is_empty() {
        return Err(BAD);
    } else if bytes.len() <= 16 {
        let sign = if negative { u128::MAX } else { 0 };
        let number = bytes.iter().fold(sign, |number, byte| number << 8 | u128::from(*byte)) as i128;
        push_digits(number.unsigned_abs(), digits);
    } else {
        if negative {
            negate(bytes);
        }
        push_long_digits(bytes, digits);
    }
    push_number(negative, digits, (scale, style), out)
}

/// Appends the digits of a number, the first one first.
pub(super) fn push_digits(number: u128, out: &mut Vec<u8>) {
    let mut buffer = [0; 39];
    let mut left = buffer.len();
    let mut push = |digit: u8| {
        left -= 1;
        if let Some(place) = buffer.get_mut(left) {
            *place = b'0' + digit;
        }
    };
    let mut long = number;
    // Most numbers fit into a machine word, whose division is far cheaper.
    let mut short = u64::try_from(long);
    while short.is_err() {
        push((long % 10) as u8);
        long /= 10;
        short = u64::try_from(long);
    }
    let mut short = short.unwrap_or(0);
    loop {
        push((short % 10) as u8);
        short /= 10;
        if short == 0 {
            break;
        }
    }
    out.extend_from_slice(buffer.get(left..).unwrap_or_default());
}

fn negate(bytes: &mut [u8]) {
    let mut carry = true;
    for byte in bytes.iter_mut().rev() {
        let (negated, overflow) = (!*byte).overflowing_add(u8::from(carry));
        *byte = negated;
        carry = overflow;
    }
}

/// Appends the digits of a number of any length, which is zero afterwards.
fn push_long_digits(bytes: &mut [u8], out: &mut Vec<u8>) {
    const GROUP: u64 = 1_000_000_000;
    let start = out.len();
    let mut rest = bytes;
    loop {
        let zeros = rest.iter().take_while(|byte| **byte == 0).count();
        rest = rest.get_mut(zeros..).unwrap_or_default();
        if rest.is_empty() {
            break;
        }
        let mut remainder = 0;
        for byte in rest.iter_mut() {
            remainder = remainder << 8 | u64::from(*byte);
            *byte = (remainder / GROUP) as u8;
            remainder %= GROUP;
        }
        for _ in 0..9 {
            out.push(b'0' + (remainder % 10) as u8);
            remainder /= 10;
        }
    }
    out.get_mut(start..).unwrap_or_default().reverse();
    if out.len() == start {
        out.push(b'0');
    }
}

/// Writes a number that is spelled with digits, a point and an exponent.
fn push_spelled(
    text: &[u8],
    from_double: bool,
    (style, out): (Style, &mut Vec<u8>),
    work: &mut Work,
) -> Result<(), Malformed> {
    let (negative, text) = text.strip_prefix(b"-").map_or((false, text), |text| (true, text));
    let text = text.strip_prefix(b"+").unwrap_or(text);
    let (mantissa, exponent) = match text.iter().position(|byte| matches!(byte, b'e' | b'E')) {
        None => (text, 0),
        Some(at) => {
            let (mantissa, exponent) = text.split_at_checked(at).ok_or(BAD)?;
            let exponent = exponent.get(1..).unwrap_or_default();
            (mantissa, number::integer(exponent.strip_prefix(b"+").unwrap_or(exponent)).map_err(|_| BAD)?)
        }
    };
    let digits = &mut work.digits;
    digits.clear();
    let mut scale: Option<i32> = None;
    for byte in mantissa {
        match (byte, &mut scale) {
            (b'.', None) => scale = Some(0),
            (b'0'..=b'9', scale) => {
                digits.push(*byte);
                if let Some(scale) = scale {
                    *scale += 1;
                }
            }
            _ => return Err(BAD),
        }
    }
    if digits.is_empty() {
        return Err(BAD);
    }
    let mut scale = i32::try_from(i64::from(scale.unwrap_or(0)).saturating_sub(exponent)).map_err(|_| BAD)?;
    while from_double && scale > 0 && digits.len() > 1 && digits.last() == Some(&b'0') {
        digits.pop();
        scale -= 1;
    }
    push_number(negative, digits, (scale, style), out)
}

/// Writes digits with a point before the last `scale` of them.
fn push_number(
    negative: bool,
    digits: &[u8],
    (scale, style): (i32, Style),
    out: &mut Vec<u8>,
) -> Result<(), Malformed> {
    if !(-MOST_DIGITS..=MOST_DIGITS).contains(&scale) || style.at_least > MOST_DIGITS {
        return Err(BAD);
    }
    let zeros = digits.iter().take_while(|digit| **digit == b'0').count();
    let digits = digits.get(zeros..).unwrap_or_default();
    if negative && !digits.is_empty() {
        out.push(b'-');
    }
    if style.money {
        out.push(b'$');
    }
    let behind = usize::try_from(scale).unwrap_or(0);
    let (whole, fraction) = digits.split_at_checked(digits.len().saturating_sub(behind)).ok_or(BAD)?;
    let start = out.len();
    out.extend_from_slice(whole);
    if whole.is_empty() {
        out.push(b'0');
    } else if scale < 0 {
        out.resize(out.len() + scale.unsigned_abs() as usize, b'0');
    }
    if style.money {
        group(start, out);
    }
    let wanted = behind.max(usize::try_from(style.at_least).unwrap_or(0));
    if wanted > 0 {
        out.push(b'.');
        out.resize(out.len() + (behind - fraction.len()), b'0');
        out.extend_from_slice(fraction);
        out.resize(out.len() + (wanted - behind), b'0');
    }
    Ok(())
}

/// Puts commas between each three digits of what lies behind `start`.
fn group(start: usize, out: &mut Vec<u8>) {
    let mut place = out.len();
    while place > start + 3 {
        place -= 3;
        out.insert(place, b',');
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::json::Cursor;
    use super::*;
    use proptest::prelude::*;

    fn read(json: &str, money: bool, scale: Option<i16>) -> Result<String, Malformed> {
        let (mut out, mut work) = (Vec::new(), Work::default());
        let put = super::any(Cursor::new(json.as_bytes()).value()?, (money, scale), &mut out, &mut work)?;
        let text = if let Put::Borrowed(text) = put { text.to_vec() } else { out };
        Ok(String::from_utf8(text).unwrap())
    }

    fn of_scale(base64: &str, scale: i32, money: bool) -> String {
        let (mut out, mut work) = (Vec::new(), Work::default());
        let json = format!("\"{base64}\"");
        let Ok(Json::String(text)) = Cursor::new(json.as_bytes()).value() else { panic!("{json}") };
        unscaled(text, (scale, money), &mut out, &mut work).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn unscaled_numbers() {
        assert_eq!(of_scale("AeJA", 3, false), "123.456");
        assert_eq!(of_scale("SZYC0g==", 0, false), "1234567890");
        assert_eq!(of_scale("AKtUqYzrHwrT", 4, false), "1234567890123456.7891");
        assert_eq!(
            of_scale("E6r1BOS8HmIXP4ekN4w3tJyMz/GWzj8K0g==", 20, false),
            "1234567890123456789012345678901234567890.12345678901234567890"
        );
        assert_eq!(of_scale("+pQ4odKc8AAB", 4, false), "-9999999999999999.9999");
        assert_eq!(of_scale("AQ==", 30, false), "0.000000000000000000000000000001");
        assert_eq!(of_scale("AA==", 2, false), "0.00");
        assert_eq!(of_scale("/w==", -2, false), "-100");
        assert_eq!(of_scale("AA==", -2, false), "0");
        let long = String::from_utf8(super::super::binary::encode(&[0x80; 17])).unwrap();
        assert_eq!(of_scale(&long, 0, false), "-43385334562092358133808765634594698395520");
    }

    #[test]
    fn money_as_in_the_c_locale() {
        assert_eq!(of_scale("AeJA", 2, true), "$1,234.56");
        assert_eq!(of_scale("gAAAAAAAAAA=", 2, true), "-$92,233,720,368,547,758.08");
        assert_eq!(of_scale("AQ==", 2, true), "$0.01");
        assert_eq!(read("\"1234.5\"", true, None).as_deref(), Ok("$1,234.50"));
        assert_eq!(read("0.0", true, None).as_deref(), Ok("$0.00"));
        assert_eq!(read("-123456.7", true, None).as_deref(), Ok("-$123,456.70"));
    }

    #[test]
    fn spelled_numbers() {
        for (json, text) in [
            (r#"{"scale":3,"value":"AeJA"}"#, "123.456"),
            (r#"{"scale":0,"value":"HWMp8cNcpL+rufVhAAAAAAA="}"#, "10000000000000000000000000000000000000000"),
            ("\"1.10\"", "1.10"),
            ("\"-0.00\"", "0.00"),
            ("\"-10.50\"", "-10.50"),
            ("\"007.5\"", "7.5"),
            ("\".5\"", "0.5"),
            ("\"0\"", "0"),
            ("\"NAN\"", "NaN"),
            ("\"POSITIVE_INFINITY\"", "Infinity"),
            ("\"-Infinity\"", "-Infinity"),
            ("1234567890.0", "1234567890"),
            ("1.2345678901234568E39", "1234567890123456800000000000000000000000"),
            ("1.0E-30", "0.000000000000000000000000000001"),
            ("-0.0", "0"),
            ("99.9", "99.9"),
            ("\"1E+5\"", "100000"),
        ] {
            assert_eq!(read(json, false, None).as_deref(), Ok(text), "{json}");
        }
        assert_eq!(read("99.9", false, Some(2)).as_deref(), Ok("99.90"));
        assert_eq!(read("5.0", false, Some(2)).as_deref(), Ok("5.00"));
        for bad in [
            "\"\"",
            "\"x\"",
            "\"1.2.3\"",
            "{}",
            "true",
            "1e999999999",
            r#"{"scale":999999999,"value":"AQ=="}"#,
            "\"1e\"",
        ] {
            assert!(read(bad, false, None).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_unscaled_number(number in proptest::arbitrary::any::<i128>(), scale in 0i32..45) {
            let base64 = String::from_utf8(super::super::binary::encode(&number.to_be_bytes())).unwrap();
            let digits = format!("{:0>46}", number.unsigned_abs());
            let (whole, fraction) = digits.split_at(46 - scale as usize);
            let whole = whole.trim_start_matches('0');
            let sign = if number < 0 { "-" } else { "" };
            let point = if scale > 0 { "." } else { "" };
            let expected = format!("{sign}{}{point}{fraction}", if whole.is_empty() { "0" } else { whole });
            prop_assert_eq!(of_scale(&base64, scale, false), expected.clone());
            // The same number, spelled longer than a machine word pair.
            let mut long = vec![if number < 0 { 0xFF } else { 0 }; 5];
            long.extend(number.to_be_bytes());
            let base64 = String::from_utf8(super::super::binary::encode(&long)).unwrap();
            prop_assert_eq!(of_scale(&base64, scale, false), expected);
        }
    }
}
