//! Lengths of time as people write them, in the file and on the command line.

use std::time::Duration;

/// A duration: a whole number and `ms`, `s`, `m`, `h` or `d`; `0` alone is none.
pub fn duration(text: &str) -> Result<Duration, String> {
    let wanted = || format!("\"{text}\" is not a length of time, such as 500ms, 90s, 5m or 1h");
    let (number, unit) = number_and_unit(text).ok_or_else(wanted)?;
    let milliseconds = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        "" if number == 0 => 0,
        _ => return Err(wanted()),
    };
    // A year is more than any setting can mean.
    let total = number.checked_mul(milliseconds).filter(|total| *total <= 366 * 86_400_000).ok_or_else(wanted)?;
    Ok(Duration::from_millis(total))
}

/// The number that a text begins with, and what follows.
pub(super) fn number_and_unit(text: &str) -> Option<(u64, &str)> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '_').unwrap_or(text.len());
    let (digits, unit) = text.split_at_checked(end)?;
    Some((digits.replace('_', "").parse().ok()?, unit.trim_start()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("2m"), Ok(Duration::from_mins(2)));
        assert_eq!(duration("0"), Ok(Duration::ZERO));
        assert_eq!(duration("0s"), Ok(Duration::ZERO));
        for wrong in ["", "s", "1", "-1s", "1.5s", "1 fortnight", "99999999999999999999s", "999999999999d"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
