//! Lengths of time on the command line.

use pipectl::config;
use std::time::Duration;

/// Reads `500ms`, `90s`, `5m`, `1h`; none is no length here.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    match config::duration(text)? {
        Duration::ZERO => Err("must be more than nothing, such as 500ms, 90s, 5m or 1h".to_owned()),
        length => Ok(length),
    }
}
