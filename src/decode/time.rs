//! Dates and timestamps, from text (`DateStyle=ISO`) and from Postgres' binary forms.
//!
//! Both come out in ClickHouse's terms: days or microseconds since 1970-01-01. Postgres counts from 2000-01-01 and has the infinities as the
//! ends of its integers; see <https://www.postgresql.org/docs/current/datatype-datetime.html>.

use super::wire::Malformed;

/// Days from 1970-01-01 to 2000-01-01.
const EPOCH_DAYS: i64 = 10_957;
/// Microseconds of a day.
pub const MICROS_PER_DAY: i64 = 86_400_000_000;

/// Days since 1970-01-01 of a date's text; `None` for the infinities.
///
/// # Errors
/// [`Malformed`] where it is not a date.
pub fn date_text(text: &[u8]) -> Result<Option<i64>, Malformed> {
    if is_infinity(text) {
        return Ok(None);
    }
    let (text, before_christ) = strip_era(text);
    let (days, rest) = date(text, before_christ)?;
    if rest.is_empty() { Ok(Some(days)) } else { Err(Malformed("a date")) }
}

/// Days since 1970-01-01 of a date's binary form; `None` for the infinities.
///
/// # Errors
/// [`Malformed`] where it is not four bytes.
pub fn date_binary(bytes: &[u8]) -> Result<Option<i64>, Malformed> {
    let days = i32::from_be_bytes(bytes.try_into().map_err(|_| Malformed("a date"))?);
    Ok((days != i32::MIN && days != i32::MAX).then(|| i64::from(days) + EPOCH_DAYS))
}

/// Microseconds since 1970-01-01 UTC of a timestamp's text, with or without an offset; `None` for the infinities and for what lies
/// past 64 bits there.
///
/// # Errors
/// [`Malformed`] where it is not a timestamp.
pub fn timestamp_text(text: &[u8]) -> Result<Option<i64>, Malformed> {
    if is_infinity(text) {
        return Ok(None);
    }
    let (text, before_christ) = strip_era(text);
    let (days, rest) = date(text, before_christ)?;
    let [b' ' | b'T', rest @ ..] = rest else { return Err(Malformed("a time of day")) };
    let (micros, rest) = time_of_day(rest)?;
    let offset = offset_seconds(rest)?;
    // Postgres counts from 2000, so that its last years lie past 64 bits here.
    Ok(days
        .checked_mul(MICROS_PER_DAY)
        .and_then(|total| total.checked_add(micros))
        .and_then(|total| total.checked_sub(offset * 1_000_000)))
}

/// Microseconds since midnight of a time of day, 0 to those of `24:00:00`, which is one of Postgres' values.
///
/// # Errors
/// [`Malformed`] where it is not a time of day.
pub fn time_text(text: &[u8]) -> Result<i64, Malformed> {
    match time_of_day(text)? {
        (micros @ 0..=MICROS_PER_DAY, []) => Ok(micros),
        _ => Err(Malformed("a time of day")),
    }
}

/// Microseconds since 1970-01-01 UTC of a timestamp's binary form; `None` for the infinities and for what lies past 64 bits there.
///
/// # Errors
/// [`Malformed`] where it is not eight bytes.
pub fn timestamp_binary(bytes: &[u8]) -> Result<Option<i64>, Malformed> {
    let micros = i64::from_be_bytes(bytes.try_into().map_err(|_| Malformed("a timestamp"))?);
    if micros == i64::MIN || micros == i64::MAX {
        return Ok(None);
    }
    Ok(micros.checked_add(EPOCH_DAYS * MICROS_PER_DAY))
}

/// Days since 1970-01-01 of a date in the proleptic Gregorian calendar: the inverse of [`civil_date`]. Years are astronomical: 0 is 1 BC. A year begins
/// in March here, so that the leap day is its last. See <https://howardhinnant.github.io/date_algorithms.html#days_from_civil>.
///
/// Months are 1 to 12 and days 1 to 31; years lie so far from the ends of 64 bits that their days do not overflow.
pub fn civil_days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// Year, month and day of days since 1970-01-01 in the proleptic Gregorian calendar: the inverse of [`civil_days`]. See
/// <https://howardhinnant.github.io/date_algorithms.html#civil_from_days>.
pub fn civil_date(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day_of_year - (153 * shifted + 2) / 5 + 1)
}

fn is_infinity(text: &[u8]) -> bool {
    matches!(text, b"infinity" | b"-infinity")
}

fn strip_era(text: &[u8]) -> (&[u8], bool) {
    text.strip_suffix(b" BC").map_or((text, false), |text| (text, true))
}

/// A run of digits at the head of the text.
#[inline]
fn digits(text: &[u8]) -> Result<(i64, &[u8]), Malformed> {
    let len = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (head, rest) = text.split_at(len);
    if head.is_empty() || head.len() > 9 {
        return Err(Malformed("digits"));
    }
    Ok((head.iter().fold(0, |sum, byte| sum * 10 + i64::from(byte - b'0')), rest))
}

fn date(text: &[u8], before_christ: bool) -> Result<(i64, &[u8]), Malformed> {
    let (year, rest) = digits(text)?;
    let [b'-', rest @ ..] = rest else { return Err(Malformed("a date")) };
    let (month, rest) = digits(rest)?;
    let [b'-', rest @ ..] = rest else { return Err(Malformed("a date")) };
    let (day, rest) = digits(rest)?;
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return Err(Malformed("a date"));
    }
    // The year before 1 AD is 1 BC: astronomical year 0.
    let year = if before_christ { 1 - year } else { year };
    Ok((civil_days(year, month, day), rest))
}

fn time_of_day(text: &[u8]) -> Result<(i64, &[u8]), Malformed> {
    let (hours, rest) = digits(text)?;
    let [b':', rest @ ..] = rest else { return Err(Malformed("a time of day")) };
    let (minutes, rest) = digits(rest)?;
    let [b':', rest @ ..] = rest else { return Err(Malformed("a time of day")) };
    let (seconds, rest) = digits(rest)?;
    let mut micros = (hours * 3600 + minutes * 60 + seconds) * 1_000_000;
    let [b'.', fraction @ ..] = rest else { return Ok((micros, rest)) };
    let (value, rest) = digits(fraction)?;
    let len = fraction.len() - rest.len();
    let missing = u32::try_from(6usize.checked_sub(len).ok_or(Malformed("microseconds"))?).unwrap_or(0);
    micros += value * 10_i64.pow(missing);
    Ok((micros, rest))
}

/// `+05`, `-03:30`, `+05:53:28`, or nothing.
fn offset_seconds(text: &[u8]) -> Result<i64, Malformed> {
    let (sign, rest) = match text {
        [] => return Ok(0),
        [b'+', rest @ ..] => (1, rest),
        [b'-', rest @ ..] => (-1, rest),
        _ => return Err(Malformed("an offset from UTC")),
    };
    let (hours, mut rest) = digits(rest)?;
    let mut total = hours * 3600;
    for unit in [60, 1] {
        if let [b':', tail @ ..] = rest {
            let (part, tail) = digits(tail)?;
            total += part * unit;
            rest = tail;
        }
    }
    if rest.is_empty() { Ok(sign * total) } else { Err(Malformed("an offset from UTC")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn dates_to_the_ends_of_postgres() {
        for (text, days) in [
            ("1970-01-01", 0),
            ("1969-12-31", -1),
            ("2000-01-01", EPOCH_DAYS),
            ("2024-02-29", 19_782),
            ("0001-01-01", -719_162),
            ("0001-12-31 BC", -719_163),
            ("4713-01-01 BC", -2_440_550),
            ("5874897-12-31", 2_145_042_905),
        ] {
            assert_eq!(date_text(text.as_bytes()), Ok(Some(days)), "{text}");
        }
        assert_eq!(date_text(b"infinity"), Ok(None));
        for bad in ["", "1970", "1970-13-01", "1970-01-01x", "-1-1-1"] {
            assert!(date_text(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_last_years_of_postgres_lie_past_64_bits() {
        assert_eq!(timestamp_text(b"294276-12-31 23:59:59.999999+00"), Ok(None));
        assert_eq!(timestamp_text(b"294247-01-10 04:00:54.775807"), Ok(Some(i64::MAX)));
        assert_eq!(timestamp_binary(&(i64::MAX - 1).to_be_bytes()), Ok(None));
    }

    #[test]
    fn timestamps_with_fractions_offsets_and_eras() {
        for (text, micros) in [
            ("1970-01-01 00:00:00", 0),
            ("1969-12-31 23:59:59.999999", -1),
            ("1970-01-01 00:00:00.5", 500_000),
            ("2000-01-01 00:00:00+00", EPOCH_DAYS * MICROS_PER_DAY),
            ("1970-01-01 05:30:00+05:30", 0),
            ("1970-01-01 00:00:00-05:53:28", 21_208_000_000),
            ("0001-12-31 00:00:00 BC", -719_163 * MICROS_PER_DAY),
            ("1970-01-01 24:00:00", MICROS_PER_DAY),
        ] {
            assert_eq!(timestamp_text(text.as_bytes()), Ok(Some(micros)), "{text}");
        }
        assert_eq!(timestamp_text(b"-infinity"), Ok(None));
        assert!(timestamp_text(b"1970-01-01 00:00:00.1234567").is_err());
    }

    #[test]
    fn times_of_day_to_the_end_of_the_day() {
        for (text, micros) in [
            ("00:00:00", 0),
            ("00:00:00.000001", 1),
            ("23:59:59.999999", MICROS_PER_DAY - 1),
            ("24:00:00", MICROS_PER_DAY),
        ] {
            assert_eq!(time_text(text.as_bytes()), Ok(micros), "{text}");
        }
        for bad in ["", "12:00", "24:00:00.000001", "12:00:00+02", "-01:00:00"] {
            assert!(time_text(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn binary_forms_count_from_2000() {
        assert_eq!(date_binary(&0i32.to_be_bytes()), Ok(Some(EPOCH_DAYS)));
        assert_eq!(date_binary(&i32::MAX.to_be_bytes()), Ok(None));
        assert_eq!(timestamp_binary(&(-1i64).to_be_bytes()), Ok(Some(EPOCH_DAYS * MICROS_PER_DAY - 1)));
        assert_eq!(timestamp_binary(&i64::MIN.to_be_bytes()), Ok(None));
        assert!(timestamp_binary(&[0; 7]).is_err());
    }

    proptest! {
        #[test]
        fn never_panics(text in "[0-9:. +-]{0,40}( BC)?") {
            std::hint::black_box(timestamp_text(text.as_bytes())).ok();
            std::hint::black_box(date_text(text.as_bytes())).ok();
        }
    }
}
