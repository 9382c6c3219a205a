//! Floats, as Postgres writes them with `extra_float_digits` of 1 or more.

use super::super::json::Json;
use super::Put;
use crate::decode::{Malformed, number};
use std::io::Write as _;

const BAD: Malformed = Malformed("a number");

#[inline]
pub(super) fn read<'a>(json: Json<'a>, double: bool, text: bool, out: &mut Vec<u8>) -> Result<Put<'a>, Malformed> {
    match json {
        Json::Number(token) if !text => Ok(Put::Borrowed(token)),
        Json::Number(token) => {
            if double {
                push_double(number::float(token)?, out);
            } else {
                push_single(number::float(token)?, out);
            }
            Ok(Put::Text)
        }
        Json::String(text) => match text.plain() {
            Some(special @ (b"NaN" | b"Infinity" | b"-Infinity")) => Ok(Put::Borrowed(special)),
            _ => Err(BAD),
        },
        _ => Err(BAD),
    }
}

/// A coordinate or an element: a number, or the name of one that JSON has no spelling for.
pub(super) fn double(json: Json<'_>) -> Result<f64, Malformed> {
    match json {
        Json::Number(token) => number::float(token),
        Json::String(text) => match text.plain() {
            Some(special @ (b"NaN" | b"Infinity" | b"-Infinity")) => number::float(special),
            _ => Err(BAD),
        },
        _ => Err(BAD),
    }
}

/// Appends a `double precision`.
pub(super) fn push_double(value: f64, out: &mut Vec<u8>) {
    if !push_special(value, out) {
        let start = out.len();
        // Writing to a buffer cannot fail.
        write!(out, "{value:e}").ok();
        respell(start, 15, out);
    }
}

/// Appends a `real`.
pub(super) fn push_single(value: f32, out: &mut Vec<u8>) {
    if !push_special(f64::from(value), out) {
        let start = out.len();
        write!(out, "{value:e}").ok();
        respell(start, 6, out);
    }
}

fn push_special(value: f64, out: &mut Vec<u8>) -> bool {
    let name: &[u8] = if value.is_nan() {
        b"NaN"
    } else if value == f64::INFINITY {
        b"Infinity"
    } else if value == f64::NEG_INFINITY {
        b"-Infinity"
    } else {
        return false;
    };
    out.extend_from_slice(name);
    true
}

/// From `1.25e-7`, the shortest digits that read as the number, to Postgres' spelling of them: an exponent below 10^-4 and from
/// `10^most` on, of two digits or more. As `double_to_shortest_decimal_buf` in
/// <https://github.com/postgres/postgres/blob/master/src/common/d2s.c>.
fn respell(start: usize, most: i32, out: &mut Vec<u8>) {
    let spelled = out.get(start..).unwrap_or_default();
    let mut copy = [0; 32];
    let len = spelled.len().min(copy.len());
    for (place, byte) in copy.iter_mut().zip(spelled) {
        *place = *byte;
    }
    let spelled = copy.get(..len).unwrap_or_default();
    out.truncate(start);
    let (negative, spelled) = spelled.strip_prefix(b"-").map_or((false, spelled), |rest| (true, rest));
    let at = spelled.iter().position(|byte| *byte == b'e').unwrap_or(spelled.len());
    let (mantissa, exponent) = spelled.split_at_checked(at).unwrap_or_default();
    let exponent = number::integer(exponent.get(1..).unwrap_or(b"0")).unwrap_or(0) as i32;
    let digits = mantissa.iter().copied().filter(u8::is_ascii_digit);
    if negative {
        out.push(b'-');
    }
    if (-4..most).contains(&exponent) {
        push_fixed(digits, exponent, out);
    } else {
        out.extend_from_slice(mantissa);
        out.extend_from_slice(if exponent < 0 { b"e-" } else { b"e+" });
        write!(out, "{:02}", exponent.unsigned_abs()).ok();
    }
}

fn push_fixed(digits: impl Iterator<Item = u8>, exponent: i32, out: &mut Vec<u8>) {
    if exponent < 0 {
        out.extend_from_slice(b"0.");
        out.resize(out.len() + (exponent.unsigned_abs() as usize - 1), b'0');
        out.extend(digits);
        return;
    }
    let mut whole = exponent + 1;
    for digit in digits {
        if whole == 0 {
            out.push(b'.');
        }
        whole -= 1;
        out.push(digit);
    }
    if whole > 0 {
        out.resize(out.len() + whole as usize, b'0');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn spelled_as_by_postgres() {
        for (value, text) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (1.5, "1.5"),
            (-2.5, "-2.5"),
            (100.0, "100"),
            (0.1, "0.1"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (123_456_789_012_345.0, "123456789012345"),
            (1e15, "1e+15"),
            (1_234_567_890_123_456.8, "1.2345678901234568e+15"),
            (5e-324, "5e-324"),
            (1.797_693_134_862_315_7e308, "1.7976931348623157e+308"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Infinity"),
        ] {
            let mut out = Vec::new();
            push_double(value, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), text);
        }
        for (value, text) in [
            (1e6f32, "1e+06"),
            (123_456.0, "123456"),
            (3.402_823_5e38, "3.4028235e+38"),
            (0.1, "0.1"),
            (1e-45, "1e-45"),
        ] {
            let mut out = Vec::new();
            push_single(value, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), text);
        }
    }

    proptest! {
        #[test]
        fn reads_as_the_same_number(value in any::<f64>(), single in any::<f32>()) {
            let mut out = Vec::new();
            push_double(value, &mut out);
            let read: f64 = number::float(&out).unwrap();
            prop_assert!(read.to_bits() == value.to_bits() || value.is_nan());
            out.clear();
            push_single(single, &mut out);
            let read: f32 = number::float(&out).unwrap();
            prop_assert!(read.to_bits() == single.to_bits() || single.is_nan());
        }
    }
}
