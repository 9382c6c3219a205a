//! Bytes: base64, hexadecimal, and strings of bits.

use super::super::forms::BinaryMode;
use super::super::json::{Json, Text};
use super::{Put, Work, unescaped};
use crate::decode::Malformed;

const BASE64: Malformed = Malformed("base64");
const HEX: Malformed = Malformed("hexadecimal digits");

/// A `bytea`.
pub(super) fn bytes<'a>(
    value: Text<'a>,
    mode: BinaryMode,
    text: bool,
    (out, work): (&mut Vec<u8>, &mut Work),
) -> Result<Put<'a>, Malformed> {
    if !text {
        decode(unescaped(value, &mut work.unescaped)?, mode, out)?;
        return Ok(Put::Binary);
    }
    work.bytes.clear();
    decode(unescaped(value, &mut work.unescaped)?, mode, &mut work.bytes)?;
    out.extend_from_slice(b"\\x");
    push_hex(&work.bytes, DIGITS, out);
    Ok(Put::Text)
}

/// The text whose bytes a string spells.
pub(super) fn text_of_bytes<'a>(
    value: Text<'a>,
    mode: BinaryMode,
    out: &mut Vec<u8>,
    work: &mut Work,
) -> Result<Put<'a>, Malformed> {
    let start = out.len();
    decode(unescaped(value, &mut work.unescaped)?, mode, out)?;
    let text = out.get(start..).unwrap_or_default();
    if std::str::from_utf8(text).is_err() { Err(Malformed("the bytes of a text")) } else { Ok(Put::Text) }
}

/// A string of bits, of `length` or, where that is not known, without the zeros at its head.
pub(super) fn bits<'a>(
    json: Json<'a>,
    length: Option<u32>,
    out: &mut Vec<u8>,
    work: &mut Work,
) -> Result<Put<'a>, Malformed> {
    let value = match json {
        Json::Bool(bit) => {
            out.push(if bit { b'1' } else { b'0' });
            return Ok(Put::Text);
        }
        Json::String(value) => value,
        _ => return Err(Malformed("bits")),
    };
    work.bytes.clear();
    decode(unescaped(value, &mut work.unescaped)?, BinaryMode::Bytes, &mut work.bytes)?;
    let bytes = &work.bytes;
    let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| {
        let zeros = bytes.get(last).map_or(0, |byte| byte.leading_zeros() as usize);
        (last + 1) * 8 - zeros
    });
    let length = length.map_or(Some(used), |length| usize::try_from(length).ok().filter(|length| *length >= used));
    let length = length.ok_or(Malformed("as many bits as the type has"))?;
    for place in (0..length).rev() {
        let byte = bytes.get(place / 8).copied().unwrap_or(0);
        out.push(b'0' + (byte >> (place % 8) & 1));
    }
    Ok(Put::Text)
}

/// Appends the bytes that a text spells.
pub(super) fn decode(text: &[u8], mode: BinaryMode, out: &mut Vec<u8>) -> Result<(), Malformed> {
    match mode {
        BinaryMode::Hex => unhex(text, out),
        // The two alphabets differ in signs that the other one does not have.
        BinaryMode::Bytes | BinaryMode::Base64 | BinaryMode::Base64UrlSafe => unbase64(text, out),
    }
}

fn unhex(text: &[u8], out: &mut Vec<u8>) -> Result<(), Malformed> {
    let (pairs, rest) = text.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(HEX);
    }
    for [high, low] in pairs {
        out.push(nibble(*high).ok_or(HEX)? << 4 | nibble(*low).ok_or(HEX)?);
    }
    Ok(())
}

fn nibble(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}

const NONE: u8 = 0xFF;

/// The value of each sign, of both alphabets: <https://www.rfc-editor.org/rfc/rfc4648#section-5>.
#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler, which would refuse an index out of range")]
const VALUES: [u8; 256] = {
    let mut values = [NONE; 256];
    let mut sign: u8 = 0;
    loop {
        values[sign as usize] = match sign {
            b'A'..=b'Z' => sign - b'A',
            b'a'..=b'z' => sign - b'a' + 26,
            b'0'..=b'9' => sign - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => NONE,
        };
        if sign == u8::MAX {
            break;
        }
        sign += 1;
    }
    values
};

/// Appends the bytes of base64, with or without its padding.
pub(in crate::decode::debezium) fn unbase64(text: &[u8], out: &mut Vec<u8>) -> Result<(), Malformed> {
    let text = text.strip_suffix(b"==").or(text.strip_suffix(b"=")).unwrap_or(text);
    let (fours, rest) = text.as_chunks::<4>();
    out.reserve(text.len() / 4 * 3 + 2);
    for four in fours {
        let (number, bad) = packed(four);
        if bad {
            return Err(BASE64);
        }
        let [_, a, b, c] = number.to_be_bytes();
        out.extend_from_slice(&[a, b, c]);
    }
    let (number, bad) = packed(rest);
    match (rest.len(), bad) {
        (0, _) => {}
        (2, false) => out.push((number >> 4) as u8),
        (3, false) => out.extend_from_slice(&[(number >> 10) as u8, (number >> 2) as u8]),
        _ => return Err(BASE64),
    }
    Ok(())
}

#[inline]
fn packed(signs: &[u8]) -> (u32, bool) {
    let (mut number, mut bad) = (0, false);
    for sign in signs {
        let value = VALUES.get(usize::from(*sign)).copied().unwrap_or(NONE);
        bad |= value == NONE;
        number = number << 6 | u32::from(value & 63);
    }
    (number, bad)
}

/// Bytes in base64, padded.
pub(super) fn encode(bytes: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(bytes.len().div_ceil(3) * 4);
    push_base64(bytes, &mut text);
    text
}

/// Appends bytes in base64, padded.
pub(in crate::decode::debezium) fn push_base64(bytes: &[u8], out: &mut Vec<u8>) {
    const SIGNS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for three in bytes.chunks(3) {
        let mut number = 0;
        for place in 0..3 {
            number = number << 8 | u32::from(three.get(place).copied().unwrap_or(0));
        }
        for place in 0..4 {
            let sign = SIGNS.get((number >> (18 - 6 * place) & 63) as usize).copied().unwrap_or(b'=');
            out.push(if place <= three.len() { sign } else { b'=' });
        }
    }
}

/// Lower-case hexadecimal digits.
pub(super) const DIGITS: &[u8; 16] = b"0123456789abcdef";
/// Upper-case hexadecimal digits.
pub(super) const UPPER_DIGITS: &[u8; 16] = b"0123456789ABCDEF";

/// Appends bytes in hexadecimal.
pub(super) fn push_hex(bytes: &[u8], digits: &[u8; 16], out: &mut Vec<u8>) {
    let digit = |value: u8| digits.get(usize::from(value)).copied().unwrap_or(b'0');
    for byte in bytes {
        out.extend_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn base64_of_either_alphabet() {
        let read = |text: &str| {
            let mut out = Vec::new();
            unbase64(text.as_bytes(), &mut out).map(|()| out)
        };
        assert_eq!(read("3q2+7wD/"), Ok(vec![0xde, 0xad, 0xbe, 0xef, 0, 0xff]));
        assert_eq!(read("3q2-7wD_"), read("3q2+7wD/"));
        assert_eq!(read(""), Ok(vec![]));
        assert_eq!(read("/w=="), Ok(vec![255]));
        assert_eq!(read("/w"), Ok(vec![255]));
        for bad in ["a", "a===", "ab c", "ab=c", "é"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn base64_reads_what_it_writes(bytes in prop::collection::vec(any::<u8>(), 0..50)) {
            let mut out = Vec::new();
            unbase64(&encode(&bytes), &mut out).unwrap();
            prop_assert_eq!(out, bytes);
        }

        #[test]
        fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..50)) {
            std::hint::black_box(unbase64(&bytes, &mut Vec::new())).ok();
            std::hint::black_box(unhex(&bytes, &mut Vec::new())).ok();
        }
    }
}
