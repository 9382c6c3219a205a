//! Moments as text, in the ISO form that Postgres reads whatever the session's DateStyle.

use crate::decode::time::{MICROS_PER_DAY, civil_date, civil_days};

/// The date of a day, counted from 1970-01-01. Years 0 to 9999.
pub(super) fn date(days: i64) -> String {
    let (year, month, day) = civil_date(days);
    format!("{year:04}-{month:02}-{day:02}")
}

/// The time of day of so many microseconds.
pub(super) fn time(micros: i64) -> String {
    let of_day = micros.rem_euclid(MICROS_PER_DAY);
    let seconds = of_day / 1_000_000;
    format!("{:02}:{:02}:{:02}.{:06}", seconds / 3600, seconds / 60 % 60, seconds % 60, of_day % 1_000_000)
}

/// The moment of so many microseconds since 1970-01-01.
pub(super) fn timestamp(micros: i64) -> String {
    format!("{} {}", date(micros.div_euclid(MICROS_PER_DAY)), time(micros))
}

/// The moment of a text that begins with a date in ISO form, its time of day left away; none of another text.
pub(super) fn parse(text: &str) -> Option<i64> {
    let mut parts = text.get(..10)?.split('-').map(str::parse::<i64>);
    let (year, month, day) = (parts.next()?.ok()?, parts.next()?.ok()?, parts.next()?.ok()?);
    Some(civil_days(year, month, day) * MICROS_PER_DAY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_read_as_they_should() {
        assert_eq!(timestamp(0), "1970-01-01 00:00:00.000000");
        assert_eq!(timestamp(951_782_400_000_000 + 1), "2000-02-29 00:00:00.000001");
        assert_eq!(timestamp(-1), "1969-12-31 23:59:59.999999");
        assert_eq!(date(19_783), "2024-03-01");
        assert_eq!(date(-25_567), "1900-01-01");
    }

    #[test]
    fn dates_are_read_as_they_are_written() {
        for days in (-800_000..800_000).step_by(367) {
            if days > -719_000 {
                assert_eq!(parse(&date(days)), Some(days * MICROS_PER_DAY), "{days}");
            }
        }
        assert_eq!(parse("2024-03-01 12:00:00+00"), Some(19_783 * MICROS_PER_DAY));
        assert_eq!(parse("infinity"), None);
    }
}
