//! The first look: both sides sum up the hashes of their rows by buckets of keys.
//!
//! Texts sort differently on the two servers, so a bucket is not a range of keys but of their hashes. Each side reads its table once;
//! what comes back is a count and a sum for each bucket.

use super::clickhouse_text::ClickHouseText;
use super::fence::Snapshot;
use super::opened::{TargetRows, source_row};
use super::postgres_text::PostgresText;
use super::{Event, Progress};
use crate::change::TableName;
use crate::error::{Error, Kind, Result};
use crate::server::clickhouse::Server;

use crate::server::postgres::{Connection, leaves, quote_table, server_error};
use futures_util::TryStreamExt;
use futures_util::future::try_join_all;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio_postgres::types::ToSql;

/// Rows that a bucket holds on average, as far as there are buckets enough.
const ROWS_PER_BUCKET: u64 = 1000;
/// There are never more than 2^16 buckets.
const MAX_BITS: u32 = 16;
/// Pages of a relation that one query reads: 32 MiB.
const SLICE_PAGES: u64 = 4096;
const MAX_SLICES: u64 = 64;
/// The version that knows scans of a range of row addresses.
const TID_RANGE_SCAN: i32 = 140_000;

/// The rows of one bucket.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Bucket {
    pub(super) rows: u64,
    hashes: i128,
}

/// The rows of a table on one side.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Buckets {
    all: Vec<Bucket>,
    /// Values of each column that are stored as something else by policy.
    pub(super) policy: Vec<u64>,
}

impl Buckets {
    fn new(shift: u32, columns: usize) -> Self {
        Self { all: vec![Bucket::default(); 1 << (MAX_BITS - shift)], policy: vec![0; columns] }
    }

    /// Number of rows.
    pub(super) fn rows(&self) -> u64 {
        self.all.iter().map(|bucket| bucket.rows).sum()
    }

    fn add(&mut self, number: usize, rows: u64, hashes: i128) -> Result<()> {
        let bucket = self
            .all
            .get_mut(number)
            .ok_or_else(|| Error::new(Kind::Unexpected, format!("there is no bucket {number} to compare")))?;
        bucket.rows += rows;
        bucket.hashes = bucket.hashes.wrapping_add(hashes);
        Ok(())
    }

    fn add_policy(&mut self, counts: &[i64]) {
        for (total, count) in self.policy.iter_mut().zip(counts) {
            *total += count.unsigned_abs();
        }
    }

    fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.all.iter_mut().zip(&other.all) {
            mine.rows += theirs.rows;
            mine.hashes = mine.hashes.wrapping_add(theirs.hashes);
        }
        for (mine, theirs) in self.policy.iter_mut().zip(&other.policy) {
            *mine += theirs;
        }
    }

    /// Numbers of the buckets that differ.
    pub(super) fn differing(&self, other: &Self) -> Vec<u16> {
        let pairs = self.all.iter().zip(&other.all).enumerate();
        pairs.filter(|(_, (mine, theirs))| mine != theirs).map(|(number, _)| number as u16).collect()
    }
}

/// How far a hash's first 16 bits are shifted so that buckets have a sensible size.
pub(super) fn shift(rows: u64) -> u32 {
    let buckets = (rows / ROWS_PER_BUCKET).max(1).next_power_of_two();
    MAX_BITS.saturating_sub(buckets.trailing_zeros())
}

/// A part of a relation, by pages.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Slice {
    relation: TableName,
    /// Addresses `(first, next)` of rows; the last part of a relation has no end.
    pages: Option<(String, Option<String>)>,
}

fn slices(relation: &TableName, pages: u64) -> Vec<Slice> {
    let count = (pages / SLICE_PAGES).clamp(1, MAX_SLICES);
    let address = |part: u64| format!("({},0)", pages * part / count);
    (0..count)
        .map(|part| Slice {
            relation: relation.clone(),
            pages: Some((address(part), (part + 1 < count).then(|| address(part + 1)))),
        })
        .collect()
}

/// Reads Postgres' side, with all sessions of the snapshot at once.
pub(super) async fn of_postgres(
    snapshot: &Snapshot,
    text: &PostgresText<'_>,
    relid: u32,
    sample: Option<&[u8]>,
    progress: Progress<'_>,
) -> Result<Buckets> {
    let mut parts = Vec::new();
    for leaf in leaves(snapshot.session()?, relid).await? {
        if snapshot.version >= TID_RANGE_SCAN {
            parts.extend(slices(&leaf.name, leaf.pages));
        } else {
            parts.push(Slice { relation: leaf.name, pages: None });
        }
    }
    let next = AtomicUsize::new(0);
    let readers = snapshot.sessions.iter().map(|session| read(session, text, sample, (&parts, &next), progress));
    let mut total = Buckets::new(text.shift, text.table.columns.len());
    for part in try_join_all(readers).await? {
        total.merge(&part);
    }
    Ok(total)
}

/// One session's share: the next slice that nobody has taken, until there is none.
async fn read(
    session: &Connection,
    text: &PostgresText<'_>,
    sample: Option<&[u8]>,
    (slices, next): (&[Slice], &AtomicUsize),
    progress: Progress<'_>,
) -> Result<Buckets> {
    let mut buckets = Buckets::new(text.shift, text.table.columns.len());
    while let Some(slice) = slices.get(next.fetch_add(1, Ordering::Relaxed)) {
        let rows = read_slice(session, text, sample, slice, &mut buckets).await?;
        progress(Event::Rows { rows });
    }
    Ok(buckets)
}

async fn read_slice(
    session: &Connection,
    text: &PostgresText<'_>,
    sample: Option<&[u8]>,
    slice: &Slice,
    buckets: &mut Buckets,
) -> Result<u64> {
    let mut parameters: Vec<&(dyn ToSql + Sync)> = Vec::new();
    let mut conditions = Vec::new();
    if let Some((first, next)) = &slice.pages {
        parameters.push(first);
        conditions.push("t.ctid >= $1::text::tid".to_owned());
        if let Some(next) = next {
            parameters.push(next);
            conditions.push("t.ctid < $2::text::tid".to_owned());
        }
    }
    if let Some(sample) = &sample {
        parameters.push(sample);
        conditions.push(text.sampled(parameters.len()));
    }
    let relation = format!("ONLY {}", quote_table(&slice.relation));
    let failed = |error| server_error(&format!("could not read \"{}\"", slice.relation), error);
    let mut total = 0;
    if text.table.documents().next().is_some() {
        // What only this process can compare is summed up here, row by row.
        let rows = session.query_raw(&text.unsorted(&relation, &conditions), parameters).await.map_err(failed)?;
        let mut rows = pin!(rows);
        while let Some(row) = rows.try_next().await.map_err(failed)? {
            let mut policy: Vec<i64> = row.try_get("policy").map_err(failed)?;
            let (key, hash) =
                source_row(&row, text, |lost| policy.iter_mut().skip(lost).take(1).for_each(|count| *count = 1))?;
            buckets.add(usize::from(key.bucket(text.shift)), 1, hash.into())?;
            buckets.add_policy(&policy);
            total += 1;
        }
        return Ok(total);
    }
    let sql = text.buckets(&relation, &conditions);
    for row in session.query(&sql, &parameters).await.map_err(failed)? {
        let rows = row.get::<_, i64>("rows").unsigned_abs();
        let hashes = row.get::<_, &str>("hashes").parse().map_err(|error| unreadable("Postgres").because(error))?;
        buckets.add(row.get::<_, i32>("bucket") as usize, rows, hashes)?;
        buckets.add_policy(&row.get::<_, Vec<i64>>("policy"));
        total += rows;
    }
    Ok(total)
}

/// Reads ClickHouse's side.
pub(super) async fn of_clickhouse(
    server: &Server,
    (source, text): (&PostgresText<'_>, &ClickHouseText<'_>),
    sample: Option<&str>,
) -> Result<Buckets> {
    let mut buckets = Buckets::new(text.shift, text.table.columns.len());
    if text.table.documents().next().is_some() {
        let mut rows = TargetRows::unsorted(server, (source, text), sample)?;
        while let Some((key, stored)) = rows.next().await? {
            buckets.add(usize::from(key.bucket(text.shift)), 1, stored.hash.into())?;
        }
        return Ok(buckets);
    }
    let conditions: Vec<String> = sample.map(|_| text.sampled()).into_iter().collect();
    let parameters: Vec<(&str, &str)> = sample.map(|sample| ("sample", sample)).into_iter().collect();
    let bytes = server.bytes(&text.buckets(&conditions), &parameters, "TSV").await?;
    let answer = String::from_utf8(bytes).map_err(|error| unreadable("ClickHouse").because(error))?;
    for line in answer.lines() {
        let mut fields = line.split('\t');
        let numbers = (|| {
            let number = fields.next()?.parse().ok()?;
            Some((number, fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
        })();
        let (number, rows, hashes) = numbers.ok_or_else(|| unreadable("ClickHouse"))?;
        buckets.add(number, rows, hashes)?;
    }
    Ok(buckets)
}

fn unreadable(server: &str) -> Error {
    Error::new(Kind::Unexpected, format!("could not read the sums that {server} answered"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_hold_about_a_thousand_rows() {
        let cases = [(0, 16), (1, 16), (1999, 16), (2000, 15), (1_000_000, 6), (65_536_000, 0), (u64::MAX / 2, 0)];
        for (rows, expected) in cases {
            assert_eq!(shift(rows), expected, "{rows}");
        }
    }

    #[test]
    fn slices_join_without_a_gap() {
        let relation = TableName::new("public", "t");
        let parts = slices(&relation, 3 * SLICE_PAGES + 1);
        let pages: Vec<_> = parts.iter().filter_map(|slice| slice.pages.clone()).collect();
        assert_eq!(pages.len(), 3);
        assert_eq!(pages[0].0, "(0,0)");
        assert_eq!(pages[0].1.as_ref(), Some(&pages[1].0));
        assert_eq!(pages[1].1.as_ref(), Some(&pages[2].0));
        assert_eq!(pages[2].1, None);
        assert_eq!(slices(&relation, 0)[0].pages, Some(("(0,0)".to_owned(), None)));
    }

    #[test]
    fn a_moved_or_lost_row_shows() {
        let mut mine = Buckets::new(14, 0);
        let mut theirs = Buckets::new(14, 0);
        for buckets in [&mut mine, &mut theirs] {
            buckets.add(0, 2, 17).unwrap();
            buckets.add(3, 1, -5).unwrap();
        }
        assert_eq!(mine.differing(&theirs), Vec::<u16>::new());
        theirs.add(3, 1, 0).unwrap();
        assert_eq!(mine.differing(&theirs), vec![3]);
        assert!(mine.add(4, 1, 0).is_err());
    }
}
