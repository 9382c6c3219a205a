//! The proleptic Gregorian calendar, and Postgres' text of dates and times (`DateStyle=ISO`).

use super::decimal;
use crate::decode::Malformed;
use crate::decode::time::{civil_date, civil_days};

/// Days since 1970-01-01 of a date; astronomical years, of which 0 is 1 BC.
pub(super) fn days(year: i64, month: i64, day: i64) -> Result<i64, Malformed> {
    if !(-400_000_000..=400_000_000).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return Err(Malformed("a date"));
    }
    Ok(civil_days(year, month, day))
}

/// Appends a date without its era; returns whether it lies before Christ.
pub(super) fn push_date(days: i64, out: &mut Vec<u8>) -> bool {
    let (year, month, day) = civil_date(days);
    let before_christ = year <= 0;
    push_padded(if before_christ { 1 - year } else { year }, 4, out);
    out.push(b'-');
    push_padded(month, 2, out);
    out.push(b'-');
    push_padded(day, 2, out);
    before_christ
}

/// Appends a time of day, without zeros at the end of its fraction.
pub(super) fn push_time(micros: i64, out: &mut Vec<u8>) {
    let seconds = micros / 1_000_000;
    push_padded(seconds / 3600, 2, out);
    out.push(b':');
    push_padded(seconds / 60 % 60, 2, out);
    out.push(b':');
    push_padded(seconds % 60, 2, out);
    push_fraction(micros % 1_000_000, out);
}

/// Appends the fraction of a second, without zeros at its end, and nothing where there is none.
pub(super) fn push_fraction(micros: i64, out: &mut Vec<u8>) {
    if micros != 0 {
        out.push(b'.');
        push_padded(micros, 6, out);
        while out.last() == Some(&b'0') {
            out.pop();
        }
    }
}

/// Appends a zone: `+02`, `-05:30`.
pub(super) fn push_zone(seconds: i64, out: &mut Vec<u8>) {
    out.push(if seconds < 0 { b'-' } else { b'+' });
    let seconds = seconds.abs();
    push_padded(seconds / 3600, 2, out);
    if seconds % 3600 != 0 {
        out.push(b':');
        push_padded(seconds / 60 % 60, 2, out);
    }
    if seconds % 60 != 0 {
        out.push(b':');
        push_padded(seconds % 60, 2, out);
    }
}

/// Appends a number that is not negative, with zeros before it.
pub(super) fn push_padded(number: i64, width: usize, out: &mut Vec<u8>) {
    let number = number.unsigned_abs();
    let mut left = 10u64.pow(width as u32 - 1);
    while left > number && left > 1 {
        out.push(b'0');
        left /= 10;
    }
    decimal::push_digits(u128::from(number), out);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::time::MICROS_PER_DAY;
    use proptest::prelude::*;

    fn written(days: i64) -> String {
        let mut out = Vec::new();
        let before_christ = push_date(days, &mut out);
        format!("{}{}", String::from_utf8(out).unwrap(), if before_christ { " BC" } else { "" })
    }

    #[test]
    fn dates_as_postgres_writes_them() {
        for (days, text) in [
            (0, "1970-01-01"),
            (-1, "1969-12-31"),
            (19_782, "2024-02-29"),
            (-719_162, "0001-01-01"),
            (-719_163, "0001-12-31 BC"),
            (-2_440_550, "4713-01-01 BC"),
            (2_145_042_905, "5874897-12-31"),
        ] {
            assert_eq!(written(days), text);
        }
    }

    #[test]
    fn times_and_zones() {
        let time = |micros| {
            let mut out = Vec::new();
            push_time(micros, &mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(time(47_655_123_456), "13:14:15.123456");
        assert_eq!(time(47_655_120_000), "13:14:15.12");
        assert_eq!(time(MICROS_PER_DAY), "24:00:00");
        assert_eq!(time(1), "00:00:00.000001");
        let zone = |seconds| {
            let mut out = Vec::new();
            push_zone(seconds, &mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(
            [zone(0), zone(7200), zone(-43_200), zone(57_540), zone(-21_208)],
            ["+00", "+02", "-12", "+15:59", "-05:53:28"]
        );
    }

    proptest! {
        #[test]
        fn dates_read_back(days in -2_440_588i64..2_145_042_906) {
            let (year, month, day) = civil_date(days);
            prop_assert_eq!(super::days(year, month, day), Ok(days));
            prop_assert_eq!(crate::decode::time::date_text(written(days).as_bytes()), Ok(Some(days)));
        }
    }
}
