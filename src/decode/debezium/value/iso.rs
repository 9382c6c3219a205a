//! Dates and times in ISO 8601, as Java writes them: years of more than four digits and before 1 BC have a sign.

use super::civil;
use crate::decode::Malformed;
use crate::decode::time::MICROS_PER_DAY;

const DATE: Malformed = Malformed("a date of ISO 8601");
const TIME: Malformed = Malformed("a time of ISO 8601");

/// Days since 1970-01-01 of a date, and what follows it.
pub(super) fn date(text: &[u8]) -> Result<(i64, &[u8]), Malformed> {
    let (negative, text) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    let (year, rest) = digits(text).ok_or(DATE)?;
    let [b'-', rest @ ..] = rest else { return Err(DATE) };
    let (month, rest) = digits(rest).ok_or(DATE)?;
    let [b'-', rest @ ..] = rest else { return Err(DATE) };
    let (day, rest) = digits(rest).ok_or(DATE)?;
    Ok((civil::days(if negative { -year } else { year }, month, day)?, rest))
}

/// Microseconds of a time of day, and what follows it. Seconds may be left out.
pub(super) fn time(text: &[u8]) -> Result<(i64, &[u8]), Malformed> {
    let (hours, rest) = digits(text).ok_or(TIME)?;
    let [b':', rest @ ..] = rest else { return Err(TIME) };
    let (minutes, rest) = digits(rest).ok_or(TIME)?;
    let (seconds, rest) = match rest {
        [b':', rest @ ..] => digits(rest).ok_or(TIME)?,
        rest => (0, rest),
    };
    if hours > 24 || minutes > 59 || seconds > 60 {
        return Err(TIME);
    }
    let whole = (hours * 3600 + minutes * 60 + seconds) * 1_000_000;
    let [b'.', rest @ ..] = rest else { return Ok((whole, rest)) };
    // What is past the sixth digit is nothing that Postgres has.
    let (nanos, rest) = fraction(rest).ok_or(TIME)?;
    Ok((whole + nanos / 1000, rest))
}

/// Seconds that a zone is ahead of UTC: `Z`, `+02:00`, or nothing.
pub(super) fn zone(text: &[u8]) -> Result<i64, Malformed> {
    let (sign, rest) = match text {
        [] | b"Z" => return Ok(0),
        [b'+', rest @ ..] => (1, rest),
        [b'-', rest @ ..] => (-1, rest),
        _ => return Err(TIME),
    };
    let (hours, mut rest) = digits(rest).ok_or(TIME)?;
    let mut seconds = hours * 3600;
    for unit in [60, 1] {
        if let [b':', tail @ ..] = rest {
            let (part, tail) = digits(tail).ok_or(TIME)?;
            seconds += part * unit;
            rest = tail;
        }
    }
    if rest.is_empty() && seconds < 86_400 { Ok(sign * seconds) } else { Err(TIME) }
}

/// Microseconds since 1970-01-01 UTC, in 128 bits: Java's years reach further than 64.
pub(super) fn timestamp(text: &[u8]) -> Result<i128, Malformed> {
    let (days, rest) = date(text)?;
    let [b'T' | b' ', rest @ ..] = rest else { return Err(TIME) };
    let (micros, rest) = time(rest)?;
    Ok(i128::from(days) * i128::from(MICROS_PER_DAY) + i128::from(micros) - i128::from(zone(rest)?) * 1_000_000)
}

/// A run of digits at the head of the text.
pub(super) fn digits(text: &[u8]) -> Option<(i64, &[u8])> {
    let len = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (head, rest) = text.split_at_checked(len).filter(|(head, _)| (1..=18).contains(&head.len()))?;
    Some((head.iter().fold(0, |sum, byte| sum * 10 + i64::from(byte - b'0')), rest))
}

/// Nanoseconds of the digits behind a point.
pub(super) fn fraction(text: &[u8]) -> Option<(i64, &[u8])> {
    let len = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (head, rest) = text.split_at_checked(len).filter(|(head, _)| (1..=9).contains(&head.len()))?;
    let nanos = (0..9).fold(0, |sum, place| sum * 10 + head.get(place).map_or(0, |byte| i64::from(byte - b'0')));
    Some((nanos, rest))
}
