//! Where a server's timeline comes from.

use super::slot::{answered, session};
use crate::change::Lsn;
use crate::config::PostgresSettings;
use crate::error::Result;

/// The end of a timeline that a server has left behind: a standby took over there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fork {
    /// The timeline that ended.
    pub timeline: u32,
    /// First byte of the log that is not its any more.
    pub at: Lsn,
}

/// The forks that led to a timeline of the server, the oldest first. See `TIMELINE_HISTORY` in
/// <https://www.postgresql.org/docs/current/protocol-replication.html>.
///
/// # Errors
/// As for [`super::identify`].
pub async fn timeline_history(settings: &PostgresSettings, timeline: u32) -> Result<Vec<Fork>> {
    // The first one has none.
    if timeline <= 1 {
        return Ok(Vec::new());
    }
    let (mut session, question) = (session(settings).await?, format!("TIMELINE_HISTORY {timeline}"));
    let tried = format!("could not read the history of timeline {timeline}");
    let rows = answered(settings, &tried, session.simple_query(&question)).await?;
    let content = rows.first().and_then(|row| row.get(1)).and_then(Option::as_ref);
    Ok(content.map(|content| forks(&String::from_utf8_lossy(content))).unwrap_or_default())
}

/// Reads the lines `<timeline> <LSN> <reason>`; comments begin with `#`.
fn forks(content: &str) -> Vec<Fork> {
    let fork = |line: &str| {
        let mut words = line.split_whitespace();
        Some(Fork { timeline: words.next()?.parse().ok()?, at: words.next()?.parse().ok()? })
    };
    content.lines().filter_map(fork).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_a_server_writes() {
        let content =
            "1\t0/3000060\tno recovery target specified\n\n# by hand\n2\t1/5000000\tbefore 2000-01-01 00:00:00+00\n";
        assert_eq!(
            forks(content),
            [Fork { timeline: 1, at: Lsn(0x300_0060) }, Fork { timeline: 2, at: Lsn(0x1_0500_0000) }]
        );
        assert_eq!(forks(""), []);
    }
}
