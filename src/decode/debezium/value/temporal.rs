//! Dates, times and timestamps: numbers, ISO 8601, or objects.
//!
//! The connector has numbers of its own for the infinities, several of them, and passes values on that Postgres could not hold. All that
//! lies out of Postgres' range is the infinity on that side.

use super::super::json::{Json, Object};
use super::civil;
use super::{Put, iso};
use crate::decode::time::MICROS_PER_DAY;
use crate::decode::{Malformed, number};

/// What a number counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::decode::debezium) enum Unit {
    Milli,
    Micro,
    Nano,
}

/// Days from 1970-01-01 to 2000-01-01, from which Postgres' binary forms count.
const EPOCH_DAYS: i64 = 10_957;
/// 4714-11-24 BC, the first day that Postgres has.
const FIRST_DAY: i64 = -2_440_588;
/// 5874897-12-31, its last.
const LAST_DAY: i64 = 2_145_042_905;
/// 294276-12-31, the last day of its timestamps.
const LAST_TIMESTAMP_DAY: i64 = 106_761_999;

const DATE: Malformed = Malformed("a date");
const TIME: Malformed = Malformed("a time of day");
const TIMESTAMP: Malformed = Malformed("a timestamp");

/// A point in time, in whatever unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Instant {
    Past,
    At(i64),
    Future,
}

pub(super) fn date<'a>(json: Json<'a>, text: bool, out: &mut Vec<u8>) -> Result<Put<'a>, Malformed> {
    let day = match json {
        Json::Number(token) => day(number::integer(token)?),
        Json::String(value) => match value.plain().ok_or(DATE)? {
            // What Java's infinities become by way of the old calendar: the first lies in the future, and means the past.
            b"infinity" => Instant::Future,
            b"-infinity" | b"+292269055-12-02Z" => Instant::Past,
            iso => {
                let (days, rest) = iso::date(iso)?;
                iso::zone(rest).map_err(|_| DATE)?;
                day(days)
            }
        },
        Json::Object(object) => {
            let parts = Parts::read(object)?;
            match parts.special {
                Some(special) => special,
                None => day(parts.days()?),
            }
        }
        _ => return Err(DATE),
    };
    let Instant::At(days) = day else { return Ok(infinite(day, out)) };
    if !text {
        out.extend_from_slice(&((days - EPOCH_DAYS) as i32).to_be_bytes());
        return Ok(Put::Binary);
    }
    if civil::push_date(days, out) {
        out.extend_from_slice(b" BC");
    }
    Ok(Put::Text)
}

/// The connector's numbers for infinity, read by a snapshot or from the log, and those of 2.7.
fn day(days: i64) -> Instant {
    match days {
        -622_191_234 | -2_147_472_692 | 2_146_033_979 => Instant::Future,
        -625_821_272 | -2_147_472_691 => Instant::Past,
        ..FIRST_DAY => Instant::Past,
        FIRST_DAY..=LAST_DAY => Instant::At(days),
        _ => Instant::Future,
    }
}

fn infinite<'a>(instant: Instant, out: &mut Vec<u8>) -> Put<'a> {
    out.extend_from_slice(if instant == Instant::Past { b"-infinity" } else { b"infinity" });
    Put::Text
}

pub(super) fn timestamp<'a>(json: Json<'a>, unit: Unit, text: bool, out: &mut Vec<u8>) -> Result<Put<'a>, Malformed> {
    let at = match json {
        Json::Number(token) => counted(number::integer(token)?, unit),
        Json::String(value) => written(value.plain().ok_or(TIMESTAMP)?)?,
        Json::Object(object) => Parts::read(object)?.instant()?,
        _ => return Err(TIMESTAMP),
    };
    Ok(put_timestamp(at, text.then_some(false), out))
}

#[inline]
fn counted(number: i64, unit: Unit) -> Instant {
    match unit {
        // The second of each is the JDBC driver's, in milliseconds, which Debezium 2.7 takes for microseconds.
        _ if number == i64::MAX || number == 9_223_372_036_825_200_000 => Instant::Future,
        _ if number == i64::MIN || number == -9_223_372_036_832_400_000 => Instant::Past,
        Unit::Milli => instant(i128::from(number) * 1000),
        Unit::Micro => instant(i128::from(number)),
        Unit::Nano => instant(i128::from(number.div_euclid(1000))),
    }
}

fn instant(micros: i128) -> Instant {
    if micros < i128::from(FIRST_DAY) * i128::from(MICROS_PER_DAY) {
        return Instant::Past;
    }
    match i64::try_from(micros) {
        Ok(micros) if micros.div_euclid(MICROS_PER_DAY) <= LAST_TIMESTAMP_DAY => Instant::At(micros),
        _ => Instant::Future,
    }
}

fn written(text: &[u8]) -> Result<Instant, Malformed> {
    match text {
        b"infinity" => Ok(Instant::Future),
        b"-infinity" => Ok(Instant::Past),
        text => Ok(instant(iso::timestamp(text)?)),
    }
}

/// Appends a timestamp: as text, with a zone or without, or in its binary form.
fn put_timestamp<'a>(at: Instant, text: Option<bool>, out: &mut Vec<u8>) -> Put<'a> {
    let Instant::At(micros) = at else { return infinite(at, out) };
    match (text, micros.checked_sub(EPOCH_DAYS * MICROS_PER_DAY)) {
        (None, Some(since_2000)) => {
            out.extend_from_slice(&since_2000.to_be_bytes());
            Put::Binary
        }
        (zone, _) => {
            let before_christ = civil::push_date(micros.div_euclid(MICROS_PER_DAY), out);
            out.push(b' ');
            civil::push_time(micros.rem_euclid(MICROS_PER_DAY), out);
            if zone == Some(true) {
                out.extend_from_slice(b"+00");
            }
            if before_christ {
                out.extend_from_slice(b" BC");
            }
            Put::Text
        }
    }
}

/// A timestamp with a zone; the connector shifts it to UTC.
#[inline]
pub(super) fn zoned<'a>(json: Json<'a>, text: bool, out: &mut Vec<u8>) -> Result<Put<'a>, Malformed> {
    let at = match json {
        Json::String(value) => {
            let value = value.plain().ok_or(TIMESTAMP)?;
            // Without its Z it is a text that Postgres could have written, but for the T; all who read the type take either.
            if let ([b'0'..=b'9', .., b'Z'], false, 20..=27) = (value, text, value.len()) {
                return Ok(Put::Borrowed(value.strip_suffix(b"Z").unwrap_or(value)));
            }
            written(value)?
        }
        Json::Object(object) => Parts::read(object)?.instant()?,
        _ => return Err(TIMESTAMP),
    };
    Ok(put_timestamp(at, text.then_some(true), out))
}

pub(super) fn time<'a>(json: Json<'a>, unit: Unit, out: &mut Vec<u8>) -> Result<Put<'a>, Malformed> {
    let micros = match json {
        Json::Number(token) => {
            let number = number::integer(token)?;
            match unit {
                Unit::Milli => number.saturating_mul(1000),
                Unit::Micro => number,
                Unit::Nano => number.div_euclid(1000),
            }
        }
        Json::String(value) => zoned_time(value.plain().ok_or(TIME)?)?.0,
        Json::Object(object) => Parts::read(object)?.time()?,
        _ => return Err(TIME),
    };
    if !(0..=MICROS_PER_DAY).contains(&micros) {
        return Err(TIME);
    }
    civil::push_time(micros, out);
    Ok(Put::Text)
}

/// A time with a zone; only objects have the zone that was written.
pub(super) fn time_tz<'a>(json: Json<'a>, out: &mut Vec<u8>) -> Result<Put<'a>, Malformed> {
    let (micros, zone) = match json {
        Json::String(value) => zoned_time(value.plain().ok_or(TIME)?)?,
        Json::Object(object) => {
            let parts = Parts::read(object)?;
            (parts.time()?, parts.zone)
        }
        _ => return Err(TIME),
    };
    if !(0..=MICROS_PER_DAY).contains(&micros) {
        return Err(TIME);
    }
    civil::push_time(micros, out);
    civil::push_zone(zone, out);
    Ok(Put::Text)
}

fn zoned_time(text: &[u8]) -> Result<(i64, i64), Malformed> {
    let (micros, rest) = iso::time(text)?;
    Ok((micros, iso::zone(rest)?))
}

/// The members of `io.debezium.time.Structured…`.
#[derive(Debug, Default)]
struct Parts {
    year: Option<i64>,
    month: Option<i64>,
    day: Option<i64>,
    hour: i64,
    minute: i64,
    second: i64,
    nanos: i64,
    zone: i64,
    special: Option<Instant>,
}

impl Parts {
    fn read(object: Object<'_>) -> Result<Self, Malformed> {
        let mut parts = Self::default();
        for member in object.members() {
            let (name, value) = member?;
            match (name.plain().unwrap_or_default(), value) {
                (b"specialValue", Json::String(special)) => {
                    parts.special = Some(match special.plain() {
                        Some(b"POSITIVE_INFINITY") => Instant::Future,
                        Some(b"NEGATIVE_INFINITY") => Instant::Past,
                        _ => return Err(TIMESTAMP),
                    });
                }
                (name, Json::Number(token)) => parts.set(name, number::integer(token)?),
                _ => {}
            }
        }
        Ok(parts)
    }

    fn set(&mut self, name: &[u8], number: i64) {
        match name {
            b"year" => self.year = Some(number),
            b"month" => self.month = Some(number),
            b"day" => self.day = Some(number),
            b"hour" => self.hour = number,
            b"minute" => self.minute = number,
            b"second" => self.second = number,
            b"nanos" => self.nanos = number,
            b"offsetSeconds" => self.zone = number,
            _ => {}
        }
    }

    fn days(&self) -> Result<i64, Malformed> {
        let (Some(year), Some(month), Some(day)) = (self.year, self.month, self.day) else { return Err(DATE) };
        civil::days(year, month, day)
    }

    fn time(&self) -> Result<i64, Malformed> {
        let fits = (0..=24).contains(&self.hour)
            && (0..60).contains(&self.minute)
            && (0..=60).contains(&self.second)
            && (0..1_000_000_000).contains(&self.nanos)
            && (-86_400..86_400).contains(&self.zone);
        let seconds = || self.hour * 3600 + self.minute * 60 + self.second;
        if fits { Ok(seconds() * 1_000_000 + self.nanos / 1000) } else { Err(TIME) }
    }

    fn instant(&self) -> Result<Instant, Malformed> {
        if let Some(special) = self.special {
            return Ok(special);
        }
        let micros = i128::from(self.days()?) * i128::from(MICROS_PER_DAY) + i128::from(self.time()?);
        Ok(instant(micros - i128::from(self.zone) * 1_000_000))
    }
}
