//! Intervals, written with `IntervalStyle=postgres`.

use super::super::json::{Json, Object};
use super::{Put, civil, decimal, iso};
use crate::decode::{Malformed, number};

const BAD: Malformed = Malformed("an interval");

/// What Postgres keeps of an interval.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Interval {
    months: i64,
    days: i64,
    micros: i64,
}

pub(super) fn read<'a>(json: Json<'a>, out: &mut Vec<u8>) -> Result<Put<'a>, Malformed> {
    let interval = match json {
        Json::Number(token) => match number::integer(token)? {
            // The connector's numbers end here, the interval does not.
            i64::MIN | i64::MAX => return Ok(Put::Null),
            micros => Interval { micros, ..Interval::default() },
        },
        Json::String(text) => parse(text.plain().ok_or(BAD)?).ok_or(BAD)?,
        Json::Object(object) => structured(object)?,
        _ => return Err(BAD),
    };
    push(interval, out);
    Ok(Put::Text)
}

/// `P1Y2M3DT4H5M6.789012S`; each number may have a sign.
fn parse(text: &[u8]) -> Option<Interval> {
    let mut interval = Interval::default();
    let mut rest = text.strip_prefix(b"P")?;
    let mut time = false;
    while !rest.is_empty() {
        if let [b'T', tail @ ..] = rest {
            time = true;
            rest = tail;
            continue;
        }
        let (negative, tail) = match rest {
            [b'-', tail @ ..] => (true, tail),
            [b'+', tail @ ..] => (false, tail),
            tail => (false, tail),
        };
        let (whole, tail) = iso::digits(tail)?;
        let (nanos, tail) = match tail {
            [b'.', tail @ ..] => iso::fraction(tail)?,
            tail => (0, tail),
        };
        // Debezium cuts the seconds off at nine digits, out of a double: 6.789012 can come as 6.789011999.
        let micros = (nanos + 500) / 1000;
        let [unit, tail @ ..] = tail else { return None };
        let sign = if negative { -1 } else { 1 };
        interval.add(time, *unit, (sign * whole, sign * micros))?;
        rest = tail;
    }
    Some(interval)
}

impl Interval {
    fn add(&mut self, time: bool, unit: u8, (whole, micros): (i64, i64)) -> Option<()> {
        let (place, factor) = match (time, unit) {
            (false, b'Y') => (&mut self.months, 12),
            (false, b'M') => (&mut self.months, 1),
            (false, b'W') => (&mut self.days, 7),
            (false, b'D') => (&mut self.days, 1),
            (true, b'H') => (&mut self.micros, 3_600_000_000),
            (true, b'M') => (&mut self.micros, 60_000_000),
            (true, b'S') => (&mut self.micros, 1_000_000),
            _ => return None,
        };
        *place = place.checked_add(whole.checked_mul(factor)?)?;
        if unit == b'S' {
            self.micros = self.micros.checked_add(micros)?;
        } else if micros != 0 {
            return None;
        }
        Some(())
    }
}

/// `{"years":1,"months":2,…,"nanos":789012000}`
fn structured(object: Object<'_>) -> Result<Interval, Malformed> {
    let mut interval = Interval::default();
    for member in object.members() {
        let (name, Json::Number(token)) = member? else { continue };
        let number = number::integer(token)?;
        let part = match name.plain().unwrap_or_default() {
            b"years" => (false, b'Y', number),
            b"months" => (false, b'M', number),
            b"days" => (false, b'D', number),
            b"hours" => (true, b'H', number),
            b"minutes" => (true, b'M', number),
            b"seconds" => (true, b'S', number),
            b"nanos" => {
                interval.micros = interval.micros.checked_add(number / 1000).ok_or(BAD)?;
                continue;
            }
            _ => continue,
        };
        interval.add(part.0, part.1, (part.2, 0)).ok_or(BAD)?;
    }
    Ok(interval)
}

/// As `EncodeInterval` in <https://github.com/postgres/postgres/blob/master/src/backend/utils/adt/datetime.c>.
fn push(interval: Interval, out: &mut Vec<u8>) {
    let mut writer = Writer { first: true, before: false };
    for (value, unit) in [(interval.months / 12, "year"), (interval.months % 12, "mon"), (interval.days, "day")] {
        writer.part(value, unit, out);
    }
    let micros = interval.micros;
    if writer.first || micros != 0 {
        writer.begin(micros < 0, out);
        push_clock(micros.unsigned_abs(), out);
    }
}

struct Writer {
    first: bool,
    /// The last part was negative, so that the next one says its sign.
    before: bool,
}

impl Writer {
    /// The space before a part that is not the first, and its sign where it needs one.
    fn begin(&self, negative: bool, out: &mut Vec<u8>) {
        if !self.first {
            out.push(b' ');
        }
        if negative {
            out.push(b'-');
        } else if self.before {
            out.push(b'+');
        }
    }

    fn part(&mut self, value: i64, unit: &str, out: &mut Vec<u8>) {
        if value == 0 {
            return;
        }
        self.begin(value < 0, out);
        decimal::push_digits(u128::from(value.unsigned_abs()), out);
        out.push(b' ');
        out.extend_from_slice(unit.as_bytes());
        if value != 1 {
            out.push(b's');
        }
        self.before = value < 0;
        self.first = false;
    }
}

fn push_clock(micros: u64, out: &mut Vec<u8>) {
    let seconds = (micros / 1_000_000) as i64;
    civil::push_padded(seconds / 3600, 2, out);
    out.push(b':');
    civil::push_padded(seconds / 60 % 60, 2, out);
    out.push(b':');
    civil::push_padded(seconds % 60, 2, out);
    civil::push_fraction((micros % 1_000_000) as i64, out);
}
