//! Which dates and times a server can hold.

use crate::batch::Ranges;
use crate::decode::time::MICROS_PER_DAY;
use crate::error::{Error, Kind, Result};
use crate::server::clickhouse::Server;

const PROBE: &str = include_str!("../../../sql/clickhouse/date_ranges.sql");

/// 0001-01-01 to 9999-12-31, in days since 1970-01-01: what a server of 26.7 and later holds of Postgres' dates.
const WIDE: (i32, i32) = (-719_162, 2_932_896);
/// 1900-01-01 to 2299-12-31: what all servers hold that pipectl knows; beyond it older ones show another date.
const NARROW: (i32, i32) = (-25_567, 120_529);

fn held(wide_dates: bool, wide_times: bool) -> Ranges {
    let (first, last) = if wide_times { WIDE } else { NARROW };
    Ranges {
        date_days: if wide_dates { WIDE } else { NARROW },
        datetime_micros: (i64::from(first) * MICROS_PER_DAY, (i64::from(last) + 1) * MICROS_PER_DAY - 1),
    }
}

/// Asks the server which dates and times it holds.
///
/// # Errors
/// As [`crate::server::clickhouse::server_error`] sorts them.
pub async fn ranges(server: &Server) -> Result<Ranges> {
    let rows = server.rows(PROBE, &[]).await?;
    let yes = |column: &str| rows.first().and_then(|row| row.get(column)?.as_u64()).map(|value| value == 1);
    match (yes("wide_dates"), yes("wide_times")) {
        (Some(wide_dates), Some(wide_times)) => Ok(held(wide_dates, wide_times)),
        _ => Err(Error::new(Kind::Destination, "could not find out which dates ClickHouse holds")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_microsecond_of_the_last_day_is_in_range() {
        let wide = held(true, true);
        assert_eq!(wide.datetime_micros, (-62_135_596_800_000_000, 253_402_300_799_999_999));
        let narrow = held(false, false);
        assert_eq!(narrow.datetime_micros, (-2_208_988_800_000_000, 10_413_791_999_999_999));
    }
}
