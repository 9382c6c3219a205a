//! The proof that both sides are equal, value by value.
//!
//! ```text
//! Postgres   ── one canonical text of every value ──> hashes ── sums by buckets of keys ──┐
//!                                                                                          ├─ equal, or the bucket is opened
//! ClickHouse ── the same text in its own SQL ───────> hashes ── sums by buckets of keys ──┘  row by row, then column by column
//! ```
//!
//! It shares nothing with what decodes, batches and encodes rows, or it could not see their faults: each server writes its values
//! itself (`postgres_text`, `clickhouse_text`), in the form that `form` has for the pair of types. Documents that ClickHouse has as `JSON` are
//! sent by both servers and compared here (`document`), row by row as they come. Memory is bounded: what is kept are sums of at most 65,536 buckets and at most 100,000 rows that differ, as hashes.

mod buckets;
mod clickhouse_text;
mod compared;
mod details;
mod document;
mod fence;
mod form;
mod log_text;
mod mending;
mod opened;
mod postgres_text;
mod prepare;
mod report;
mod select;
mod stored_type;
mod table;

pub use compared::Table;
pub use mending::{Differing, LookOnly, Mend, Mended, StoredKeys};
pub use opened::Key;
pub use report::{ColumnReport, Fault, Repaired, Report, RowReport, TableReport, Values};
pub use select::{Selected, select};

use crate::checkpoint::StateStore;
use crate::config::Settings;
use crate::error::{Error, Kind, Result};
use crate::server::{clickhouse, postgres};
use fence::Snapshot;
use std::fmt::Write as _;
use std::time::Duration;

/// What is compared, and how strictly.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// Part of the rows to compare, by their keys' hashes; above 0 and at most 1.
    pub sample: f64,
    /// Rows of each table to be named.
    pub limit: usize,
    /// Whether values that ClickHouse cannot hold, and columns that cannot be compared, are differences.
    pub strict: bool,
    /// Whether the values that differ are part of the finding.
    pub show_values: bool,
    /// How long to wait until sync has passed the moment of the comparison.
    pub wait: Duration,
}

/// What verify is doing.
#[derive(Debug, Clone, Copy)]
pub enum Event<'a> {
    /// It waits for sync, which is so many bytes behind.
    Waiting {
        /// Bytes of the log that are not yet confirmed.
        behind: u64,
    },
    /// It begins with a table.
    Table {
        /// The source's name.
        name: &'a str,
        /// Rows, as the planner estimates.
        rows: u64,
    },
    /// So many more rows of Postgres have been summed up.
    Rows {
        /// Number of rows.
        rows: u64,
    },
    /// Buckets differ; their rows are compared.
    Opening {
        /// Number of buckets.
        buckets: usize,
    },
    /// Rows differ that may have changed in between; they are looked at again.
    Again {
        /// Number of rows.
        rows: usize,
    },
    /// Rows that differ are mended.
    Mending {
        /// Number of rows.
        rows: usize,
    },
    /// A table is done.
    Done(&'a TableReport),
}

/// Hears of what verify is doing.
pub type Progress<'a> = &'a (dyn Fn(Event<'_>) + Send + Sync);

/// Compares tables, one after the other, each in one snapshot of Postgres. A newer snapshot is taken where rows changed while they
/// were read, and before a table where the last one has grown old: it holds locks against ALTER TABLE, and keeps VACUUM from working.
///
/// # Errors
/// [`Kind::Finding`] where sync did not pass the moment of the comparison in time; the kinds of both servers. Differences are no
/// error: they are in the report.
pub async fn verify(
    settings: &Settings,
    tables: &[Table],
    options: &Options,
    progress: Progress<'_>,
) -> Result<Report> {
    verify_and_mend(settings, tables, options, progress, &mut LookOnly).await
}

/// The same; what differs is handed to `mender`, and looked at again.
///
/// # Errors
/// As for [`verify`], and what mending returns.
pub async fn verify_and_mend(
    settings: &Settings,
    tables: &[Table],
    options: &Options,
    progress: Progress<'_>,
    mender: &mut impl Mend,
) -> Result<Report> {
    let postgres = settings
        .postgres
        .as_ref()
        .ok_or_else(|| Error::new(Kind::Config, "there is no source to compare with").hint("set `postgres.url`"))?;
    let server = clickhouse::connect(&settings.clickhouse)?;
    let calendar = prepare::calendar(&server).await?;
    let stored = clickhouse::database(&server, &settings.clickhouse.database).await?;
    let state = StateStore::of_settings(settings, server.clone());
    let control = postgres::connect(postgres).await?;
    let snapshot = Snapshot::take(postgres, settings.sync.snapshot_parallel).await?;
    let fence = snapshot.fence.to_string();
    let mut comparison = table::Comparison {
        settings,
        slot: &postgres.slot,
        options,
        progress,
        server,
        stored,
        state,
        control,
        calendar,
        snapshot,
        standing: None,
        behind: None,
    };
    let mut reports = Vec::new();
    for table in tables {
        let name = table.plan.schema.name.to_string();
        comparison.freshen().await?;
        progress(Event::Table { name: &name, rows: table.plan.schema.estimated_rows });
        let report = comparison.compare(table, mender).await.map_err(|error| match error.kind() {
            // That sync is behind is no failure to compare.
            Kind::Finding => error,
            _ => error.during(format!("could not compare \"{name}\"")),
        })?;
        progress(Event::Done(&report));
        reports.push(report);
    }
    let equal = reports.iter().all(|report| report.is_equal(options.strict));
    let behind = comparison.behind.filter(|_| !equal);
    let sample = (options.sample < 1.0).then_some(options.sample);
    Ok(Report { version: 1, equal, sample, fence, behind_bytes: behind, tables: reports })
}

/// The hash below which the keys of a sample lie; nothing where all rows are compared.
fn sample_bound(part: f64) -> Option<Vec<u8>> {
    (part < 1.0).then(|| ((part * 2_f64.powi(64)) as u64).to_be_bytes().to_vec())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing into a String cannot fail.
        write!(text, "{byte:02x}").ok();
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_the_keys_below_its_bound() {
        assert_eq!(sample_bound(1.0), None);
        assert_eq!(hex(&sample_bound(0.5).unwrap()), "8000000000000000");
        assert!(hex(&sample_bound(0.01).unwrap()).starts_with("028f5c28"));
    }
}
