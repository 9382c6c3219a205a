//! Moments: read from the command line, written for people. All in UTC.

use crate::decode::time::{MICROS_PER_DAY, civil_date, timestamp_text};

/// The date of a day counted from 1970-01-01, as Postgres writes it.
pub(super) fn date(days: i64) -> String {
    let (year, month, day) = civil_date(days);
    if year > 0 { format!("{year:04}-{month:02}-{day:02}") } else { format!("{:04}-{month:02}-{day:02} BC", 1 - year) }
}

/// A time of day of so many microseconds, with so many digits behind the point; 24:00:00 is one too.
pub(super) fn time_of_day(micros: i64, digits: usize) -> String {
    let seconds = micros / 1_000_000;
    let whole = format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    let fraction: String = format!("{:06}", micros.rem_euclid(1_000_000)).chars().take(digits).collect();
    if digits == 0 { whole } else { format!("{whole}.{fraction}") }
}

/// A moment of so many microseconds since 1970-01-01, as Postgres writes a timestamp.
pub(super) fn timestamp(micros: i64) -> String {
    let (days, of_day) = (micros.div_euclid(MICROS_PER_DAY), micros.rem_euclid(MICROS_PER_DAY));
    let time = time_of_day(of_day, if of_day % 1_000_000 == 0 { 0 } else { 6 });
    let time = if time.contains('.') { time.trim_end_matches('0') } else { &time };
    match date(days).strip_suffix(" BC") {
        Some(date) => format!("{date} {time} BC"),
        None => format!("{} {time}", date(days)),
    }
}

/// A moment of so many milliseconds, in ISO 8601.
pub(super) fn iso(millis: i64) -> String {
    let micros = millis.saturating_mul(1000);
    format!("{}T{}Z", date(micros.div_euclid(MICROS_PER_DAY)), time_of_day(micros.rem_euclid(MICROS_PER_DAY), 3))
}

/// The day and the time of day of so many milliseconds, for a line.
pub(super) fn day_and_time(millis: i64) -> (String, String) {
    let micros = millis.saturating_mul(1000);
    (date(micros.div_euclid(MICROS_PER_DAY)), time_of_day(micros.rem_euclid(MICROS_PER_DAY), 3))
}

/// Milliseconds since 1970-01-01 of a text such as `2026-11-22`, `2026-11-22T10:00`, `2026-11-22 10:00:05.25+02:00`, or of a
/// number of milliseconds. Without an offset it is UTC.
pub(super) fn parse(text: &str) -> Option<i64> {
    if text.len() >= 10 && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().ok();
    }
    let (date, rest) = text.split_once(['T', ' ']).unwrap_or((text, "00:00"));
    if date.len() != 10 {
        return None;
    }
    let (time, offset) = match rest.find(['Z', 'z', '+', '-']) {
        Some(at) => rest.split_at_checked(at)?,
        None => (rest, "Z"),
    };
    let time = if time.matches(':').count() == 1 { format!("{time}:00") } else { time.to_owned() };
    let offset = if offset.eq_ignore_ascii_case("z") { "+00" } else { offset };
    let micros = timestamp_text(format!("{date} {time}{offset}").as_bytes()).ok()??;
    Some(micros.div_euclid(1000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_in_every_form() {
        let ten = 1_795_341_600_000;
        for text in
            ["2026-11-22T10:00", "2026-11-22 10:00:00", "2026-11-22T10:00Z", "2026-11-22T12:00+02", "1795341600000"]
        {
            assert_eq!(parse(text), Some(ten), "{text}");
        }
        assert_eq!(parse("2026-11-22T10:00:00.250Z"), Some(ten + 250));
        assert_eq!(parse("2026-11-22"), Some(ten - 36_000_000));
        for text in ["", "yesterday", "22.11.2026", "2026-11-22T", "2026-13-01", "2026-11-22T25", "12"] {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!(iso(ten + 5), "2026-11-22T10:00:00.005Z");
    }

    #[test]
    fn moments_are_written_as_postgres_does() {
        assert_eq!(timestamp(0), "1970-01-01 00:00:00");
        assert_eq!(timestamp(1_704_164_645_678_900), "2024-01-02 03:04:05.6789");
        assert_eq!(timestamp(-1), "1969-12-31 23:59:59.999999");
        assert_eq!(date(-719_163), "0001-12-31 BC");
        assert_eq!(date(-719_162), "0001-01-01");
        assert_eq!(time_of_day(MICROS_PER_DAY, 0), "24:00:00");
    }
}
