//! Moments as text, in the ISO form that Postgres reads whatever the session's DateStyle.

/// Microseconds of a day.
pub(super) const DAY: i64 = 86_400_000_000;

/// The date of a day, counted from 1970-01-01: <https://howardhinnant.github.io/date_algorithms.html#civil_from_days>. Years 0 to 9999.
pub(super) fn date(days: i64) -> String {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

/// The time of day of so many microseconds.
pub(super) fn time(micros: i64) -> String {
    let of_day = micros.rem_euclid(DAY);
    let seconds = of_day / 1_000_000;
    format!("{:02}:{:02}:{:02}.{:06}", seconds / 3600, seconds / 60 % 60, seconds % 60, of_day % 1_000_000)
}

/// The moment of so many microseconds since 1970-01-01.
pub(super) fn timestamp(micros: i64) -> String {
    format!("{} {}", date(micros.div_euclid(DAY)), time(micros))
}

/// The moment of a text that begins with a date in ISO form, its time of day left away; none of another text.
pub(super) fn parse(text: &str) -> Option<i64> {
    let mut parts = text.get(..10)?.split('-').map(str::parse::<i64>);
    let (year, month, day) = (parts.next()?.ok()?, parts.next()?.ok()?, parts.next()?.ok()?);
    // The inverse of `date`, by the same page.
    let shifted_year = if month <= 2 { year - 1 } else { year };
    let era = shifted_year.div_euclid(400);
    let year_of_era = shifted_year.rem_euclid(400);
    let day_of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    Some((era * 146_097 + day_of_era - 719_468) * DAY)
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
                assert_eq!(parse(&date(days)), Some(days * DAY), "{days}");
            }
        }
        assert_eq!(parse("2024-03-01 12:00:00+00"), Some(19_783 * DAY));
        assert_eq!(parse("infinity"), None);
    }
}
