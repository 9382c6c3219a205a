//! What stands between a difference that was found and one that is gone: who mends it is not decided here, only what is handed over, and that
//! both sides are compared again afterwards.

use super::Event;
use super::clickhouse_text::ClickHouseText;
use super::compared::Table;
use super::opened::{Difference, Differences, Key, MAX_BUCKETS, string};
use super::postgres_text::PostgresText;
use super::report::{Repaired, TableReport};
use super::table::{Comparison, Texts, buckets_of};
use crate::change::Version;
use crate::error::{Error, Kind, Result};
use crate::server::clickhouse::Server;
use crate::server::postgres::Connection;
use bytes::Bytes;
use std::future::Future;

/// How many rounds may pass without a difference less: rows that change while they are mended are mended once more.
const VAIN_ROUNDS: usize = 2;

/// Brings rows that differ back to what the source has.
pub trait Mend {
    /// Whether anything is to be mended.
    fn is_wanted(&self) -> bool;

    /// Writes the rows anew, and marks as deleted what the source no longer has.
    fn mend(&mut self, found: &Differing<'_>) -> impl Future<Output = Result<Mended>>;
}

/// Leaves everything as it is.
#[derive(Debug, Clone, Copy)]
pub struct LookOnly;

impl Mend for LookOnly {
    fn is_wanted(&self) -> bool {
        false
    }

    async fn mend(&mut self, _: &Differing<'_>) -> Result<Mended> {
        Ok(Mended::default())
    }
}

/// What was written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Mended {
    /// Rows as the source has them.
    pub rows: u64,
    /// Marks of deleted rows.
    pub tombstones: u64,
}

/// Rows of one table that differ, and how both servers find them.
pub struct Differing<'a> {
    table: &'a Table,
    rows: &'a [Difference],
    source: &'a PostgresText<'a>,
    target: &'a ClickHouseText<'a>,
    relation: &'a str,
    server: &'a Server,
}

impl std::fmt::Debug for Differing<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Differing").field("relation", &self.relation).field("rows", &self.rows.len()).finish()
    }
}

impl Differing<'_> {
    /// The table.
    pub fn table(&self) -> &Table {
        self.table
    }

    /// The keys whose row in ClickHouse, if there is one, is older than a version: only these can be overwritten at it.
    pub fn keys_below(&self, version: Version) -> Vec<Key> {
        let below = |row: &&Difference| row.target.is_none_or(|stored| stored.transaction < version.transaction());
        self.rows.iter().filter(below).map(|row| row.key).collect()
    }

    /// Reads rows of these keys at the source: first the key's id (`uuid`), then what is selected.
    ///
    /// # Errors
    /// What Postgres answers.
    pub async fn source_rows(
        &self,
        session: &Connection,
        selected: &[String],
        keys: &[Key],
    ) -> Result<tokio_postgres::RowStream> {
        let sql = self.source.of_keys(self.relation, selected);
        let name = &self.table.plan.schema.name;
        session
            .query_raw(&sql, [&keys])
            .await
            .map_err(|error| crate::server::postgres::server_error(&format!("could not read rows of {name}"), error))
    }

    /// Reads the sorting keys of the live rows in ClickHouse among which those that differ lie.
    ///
    /// # Errors
    /// What ClickHouse answers.
    pub fn stored_keys(&self) -> Result<StoredKeys> {
        let plan = &self.table.plan;
        let columns = plan.sorting_key.iter().filter_map(|&index| plan.columns.get(index));
        let columns: Vec<&str> = columns.map(|column| column.name.as_str()).collect();
        let buckets = buckets_of(self.rows, self.target.shift);
        let by_bucket = buckets.len() <= MAX_BUCKETS;
        let conditions: Vec<String> = by_bucket.then(|| self.target.in_buckets()).into_iter().collect();
        let mut query = self.server.client().query_raw(&self.target.sorting_keys(&columns, &conditions));
        if by_bucket {
            query = query.param("buckets", buckets);
        }
        Ok(StoredKeys { chunks: query.fetch_bytes("RowBinary").map_err(not_sent)?, read: Bytes::new() })
    }
}

/// Sorting keys of stored rows, as they come.
pub struct StoredKeys {
    chunks: ::clickhouse::query::BytesCursor,
    read: Bytes,
}

impl std::fmt::Debug for StoredKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoredKeys").finish_non_exhaustive()
    }
}

impl StoredKeys {
    /// The next row's key, and its sorting key as RowBinary.
    ///
    /// # Errors
    /// What ClickHouse answers.
    pub async fn next(&mut self) -> Result<Option<(Key, Vec<u8>)>> {
        loop {
            if let Some((row, len)) = split(&self.read) {
                self.read = self.read.slice(len..);
                return Ok(Some(row));
            }
            match self.chunks.next().await.map_err(not_sent)? {
                Some(chunk) if self.read.is_empty() => self.read = chunk,
                Some(chunk) => self.read = [&self.read[..], &chunk[..]].concat().into(),
                None if self.read.is_empty() => return Ok(None),
                None => {
                    let message = "could not read the keys of rows from ClickHouse: the answer was cut off";
                    return Err(Error::new(Kind::DestinationUnreachable, message));
                }
            }
        }
    }
}

/// The first row of `FixedString(16), String`, and its length; nothing where it is not whole.
fn split(bytes: &[u8]) -> Option<((Key, Vec<u8>), usize)> {
    let (key, rest) = bytes.split_first_chunk::<16>()?;
    let (text, rest) = string(rest)?;
    Some(((Key(*key), text.to_vec()), bytes.len() - rest.len()))
}

fn not_sent(error: ::clickhouse::error::Error) -> Error {
    crate::server::clickhouse::server_error("could not read the keys of rows from ClickHouse", error)
}

impl Comparison<'_> {
    /// Has what differs mended, and looks at it again, for as long as that helps. Returns what still differs then.
    pub(super) async fn repair(
        &mut self,
        table: &Table,
        texts: &Texts<'_>,
        (buckets, mut found): (&[u16], (Differences, u64)),
        (hand, report): (&mut impl Mend, &mut TableReport),
    ) -> Result<(Differences, u64)> {
        let mut repaired = Repaired::default();
        let mut vain = 0;
        while found.0.total() > 0 && repaired.refused.is_none() {
            repaired.refused = self.unmendable(table, report).await?;
            if repaired.refused.is_some() {
                break;
            }
            (self.progress)(Event::Mending { rows: found.0.rows.len() });
            let (source, target, relation) = (&texts.source, &texts.target, texts.relation.as_str());
            // Nothing is read while the mender waits for open transactions: no lock, no old snapshot.
            self.snapshot.pause().await?;
            let (rows, server) = (found.0.rows.as_slice(), &self.server);
            let mended = hand.mend(&Differing { table, rows, source, target, relation, server }).await;
            self.renew().await?;
            match mended {
                Ok(mended) if mended == Mended::default() => break,
                Ok(mended) => {
                    repaired.rows += mended.rows;
                    repaired.tombstones += mended.tombstones;
                }
                Err(error) if error.kind() == Kind::Value => {
                    repaired.refused = Some(error.with_causes());
                    break;
                }
                Err(error) => return Err(error),
            }
            let before = found.0;
            found = self.settle(texts, buckets.to_vec()).await?;
            vain = if found.0.total() < before.total() { 0 } else { vain + 1 };
            if vain >= VAIN_ROUNDS || found.0 == before {
                break;
            }
        }
        report.repaired = Some(repaired);
        Ok(found)
    }

    /// Why a table cannot be mended row by row.
    async fn unmendable(&mut self, table: &Table, report: &TableReport) -> Result<Option<String>> {
        let name = &table.plan.schema.name;
        if table.is_log() {
            return Ok(Some(format!(
                "it is a log of changes, and none of them is overwritten; `pipectl resync {name}` begins it anew with the rows that are there"
            )));
        }
        if table.plan.key.is_empty() {
            return Ok(Some(format!(
                "it has no key, so that its rows cannot be overwritten one by one; `pipectl resync {name}` copies it again"
            )));
        }
        if report.problem.is_some() {
            return Ok(Some(format!("its columns differ; `pipectl resync {name}` copies it again")));
        }
        let state = self.state.load().await?;
        match &state.pipeline {
            None => return Ok(Some("no `pipectl sync` has ever stored it; run that first".to_owned())),
            Some(pipeline) if !pipeline.snapshot_done || pipeline.resync_all => {
                return Ok(Some("the first copy is not complete; let `pipectl sync` complete it".to_owned()));
            }
            Some(_) => {}
        }
        let reason = self.reason(table.plan.schema.relid).await?;
        Ok(reason.map(|reason| format!("{reason}; `pipectl resync {name}` copies it again")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_once_it_is_whole() {
        let mut bytes = vec![7; 16];
        bytes.extend([0x81, 0x01]);
        bytes.extend([1; 129]);
        assert_eq!(split(&bytes), Some(((Key([7; 16]), vec![1; 129]), 16 + 2 + 129)));
        for short in [0, 15, 16, 17, 18, bytes.len() - 1] {
            assert_eq!(split(&bytes[..short]), None, "{short}");
        }
        assert_eq!(split(&[0; 17]), Some(((Key([0; 16]), vec![]), 17)));
    }
}
