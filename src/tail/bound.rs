//! Where reading begins and where it ends.

use super::moment;
use std::str::FromStr;

/// A place in a partition, as the command line names it. What is at the place itself is read by `--from`, and not by `--to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// The oldest record that is still there.
    Beginning,
    /// Behind the newest one, when the command starts.
    End,
    /// So many records before the end, in each partition.
    Last(i64),
    /// The first record with this timestamp or a later one, in milliseconds since 1970-01-01.
    Time(i64),
    /// So many milliseconds before now.
    Ago(i64),
    /// This offset, in each partition.
    Offset(i64),
}

impl FromStr for Bound {
    type Err = String;

    /// Reads `beginning`, `end`, `-100`, `-15m`, `@2026-11-22T10:00`, `4711`.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            "write beginning, end, -100 (records before the end), -15m (that long ago), @2026-11-22T10:00 (UTC, or with an \
             offset such as +02:00) or an offset"
                .to_owned()
        };
        match text {
            "beginning" | "earliest" => return Ok(Self::Beginning),
            "end" | "latest" => return Ok(Self::End),
            _ => {}
        }
        if let Some(time) = text.strip_prefix('@') {
            return moment::parse(time).map(Self::Time).ok_or_else(wrong);
        }
        let Some(back) = text.strip_prefix('-') else {
            let digits = text.bytes().all(|byte| byte.is_ascii_digit());
            return text.parse().ok().filter(|_| digits).map(Self::Offset).ok_or_else(wrong);
        };
        if let Ok(records) = back.parse::<u32>() {
            return Ok(Self::Last(i64::from(records)));
        }
        let unit = match back.chars().next_back() {
            Some('s') => 1000,
            Some('m') => 60_000,
            Some('h') => 3_600_000,
            Some('d') => 86_400_000,
            _ => return Err(wrong()),
        };
        let number = back.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        if number.len() + 1 != back.len() {
            return Err(wrong());
        }
        number.parse::<u32>().map(|number| Self::Ago(i64::from(number) * unit)).map_err(|_| wrong())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read() {
        for (text, bound) in [
            ("beginning", Bound::Beginning),
            ("end", Bound::End),
            ("-100", Bound::Last(100)),
            ("-0", Bound::Last(0)),
            ("-15m", Bound::Ago(900_000)),
            ("-2h", Bound::Ago(7_200_000)),
            ("@1795341600000", Bound::Time(1_795_341_600_000)),
            ("@2026-11-22T10:00", Bound::Time(1_795_341_600_000)),
            ("0", Bound::Offset(0)),
            ("4711", Bound::Offset(4711)),
        ] {
            assert_eq!(text.parse(), Ok(bound), "{text}");
        }
        for text in ["", "-", "@", "@soon", "-1x", "-ms", "-5ms", "1.5", "start", "+3"] {
            assert!(text.parse::<Bound>().is_err(), "{text}");
        }
    }
}
