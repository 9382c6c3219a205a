//! The comparison of one table, look by look.

use super::buckets::{self, Buckets};
use super::compared::{ComparedTable, Table};
use super::fence::{self, Snapshot, Standing};
use super::form::Calendar;
use super::mending::Mend;
use super::opened::{self, Difference, Differences, Key, Selection};
use super::postgres_text::PostgresText;
use super::prepare::Stored;
use super::report::TableReport;
use super::{Event, Options, Progress, clickhouse_text::ClickHouseText, details, hex, sample_bound};
use crate::change::Lsn;
use crate::checkpoint::{StateStore, TablePhase};
use crate::config::{Settings, SyncSource};
use crate::error::Result;
use crate::server::clickhouse::{Server, StoredDatabase};
use crate::server::postgres::{Connection, quote_table};
use std::collections::HashSet;
use std::time::Duration;

/// How often rows that keep changing are looked at.
const LOOKS: usize = 6;
/// How old a snapshot may be when a table is begun.
const MAX_AGE: Duration = Duration::from_secs(5);
/// Bytes of a row, where the planner knows nothing of the table.
const ASSUMED_ROW_BYTES: u64 = 200;

/// All that a comparison needs, for table after table.
pub(super) struct Comparison<'a> {
    pub(super) settings: &'a Settings,
    pub(super) slot: &'a str,
    pub(super) options: &'a Options,
    pub(super) progress: Progress<'a>,
    pub(super) server: Server,
    pub(super) stored: StoredDatabase,
    /// What sync has written down of its tables.
    pub(super) state: StateStore,
    /// A session outside the snapshot.
    pub(super) control: Connection,
    pub(super) calendar: Calendar,
    pub(super) snapshot: Snapshot,
    /// Where sync stands to the snapshot's fence; nothing as long as nobody needed to know.
    pub(super) standing: Option<Standing>,
    /// How far behind it was found to be while nobody read the slot.
    pub(super) behind: Option<u64>,
}

/// The queries of one table.
pub(super) struct Texts<'a> {
    pub(super) source: PostgresText<'a>,
    pub(super) target: ClickHouseText<'a>,
    /// The table in Postgres' SQL; without tables that inherit from it, which are tables of their own.
    pub(super) relation: String,
    sample: Option<Vec<u8>>,
}

impl Comparison<'_> {
    /// Takes a newer snapshot where this one has grown old.
    pub(super) async fn freshen(&mut self) -> Result<()> {
        if self.snapshot.taken.elapsed() < MAX_AGE { Ok(()) } else { self.renew().await }
    }

    pub(super) async fn renew(&mut self) -> Result<()> {
        self.standing = None;
        self.snapshot.renew().await
    }

    /// Waits until sync has passed the snapshot's fence. Sides that are equal at once need no fence.
    async fn pass(&mut self) -> Result<Standing> {
        if let Some(standing) = self.standing {
            return Ok(standing);
        }
        let fence = self.snapshot.fence;
        let mut standing = fence::pass(&self.control, self.slot, fence, self.options.wait, self.progress).await?;
        if self.settings.sync.source == SyncSource::Kafka
            && standing == Standing::Passed
            && !fence::pass_topics(self.settings, &mut self.state, self.options.wait).await?
        {
            standing = Standing::Idle { behind: 1 };
        }
        self.standing = Some(standing);
        if let Standing::Idle { behind: behind @ 1.. } = standing {
            self.behind = self.behind.max(Some(behind));
        }
        Ok(standing)
    }

    /// Compares a table; what differs is mended where that is wanted.
    pub(super) async fn compare(&mut self, table: &Table, mender: &mut impl Mend) -> Result<TableReport> {
        let database = &self.settings.clickhouse.database;
        let mut report = TableReport {
            source: table.plan.schema.name.to_string(),
            target: format!("{database}.{}", table.plan.target),
            ..TableReport::default()
        };
        let stored = self.stored.tables.get(&table.plan.target).cloned();
        let Some(stored) = stored.as_ref().map(Stored) else {
            report.problem = Some("ClickHouse has no such table".to_owned());
            return Ok(report);
        };
        if let Some(missing) = stored.lacks(table) {
            report.problem = Some(format!(
                "it is stored in another form than the configuration asks for: it has no column \"{missing}\""
            ));
            report.reason = self.reason(table.plan.schema.relid).await?;
            return Ok(report);
        }
        let compared = stored.columns(table, &self.calendar, &mut report);
        if compared.columns.is_empty() || compared.key.len() < table.key().len() {
            return Ok(report);
        }
        let encoding = self.snapshot.encoding.clone();
        let texts = self.texts(table, &compared, &stored, &encoding);
        let differing = self.sum_up(table, &texts, &mut report).await?;
        if differing.is_empty() {
            report.equal = report.rows;
            return Ok(report);
        }
        (self.progress)(Event::Opening { buckets: differing.len() });
        let mut found = self.settle(&texts, differing.clone()).await?;
        if mender.is_wanted() {
            found = self.repair(table, &texts, (&differing, found), (mender, &mut report)).await?;
        }
        let (found, unsettled) = found;
        report.equal = report.rows.saturating_sub(found.missing + found.different);
        (report.missing, report.extra, report.different) = (found.missing, found.extra, found.different);
        report.unsettled = unsettled;
        if !report.is_equal(false) {
            report.reason = self.reason(table.plan.schema.relid).await?;
        }
        let named = found.rows.get(..self.options.limit.min(found.rows.len())).unwrap_or_default();
        report.differences = details::describe(
            self.snapshot.session()?,
            &texts.relation,
            (&texts.source, &texts.target),
            &self.server,
            (named, self.options.show_values),
        )
        .await?;
        Ok(report)
    }

    /// Why sync may not have brought a table up to date: read now, since a table is parked before its fence is passed.
    pub(super) async fn reason(&mut self, relid: u32) -> Result<Option<String>> {
        let state = self.state.load().await?;
        let Some(record) = state.tables.get(&relid) else { return Ok(None) };
        Ok(match record.phase {
            TablePhase::Ready => None,
            TablePhase::Copying => Some("its copy is not finished".to_owned()),
            TablePhase::Parked => {
                let why = record.reason.as_deref().unwrap_or("the reason is not known");
                Some(format!("it is parked: {why}"))
            }
        })
    }

    fn texts<'b>(
        &self,
        table: &Table,
        compared: &'b ComparedTable,
        stored: &Stored<'_>,
        encoding: &'b str,
    ) -> Texts<'b> {
        let estimate = match table.plan.schema.estimated_rows {
            0 => table.plan.schema.bytes / ASSUMED_ROW_BYTES,
            rows => rows,
        };
        let shift = buckets::shift((estimate as f64 * self.options.sample) as u64);
        let name = quote_table(&table.plan.schema.name);
        Texts {
            source: PostgresText { table: compared, shift, encoding, strict: self.options.strict },
            target: stored.text(compared, &self.settings.clickhouse, table, shift),
            relation: if table.plan.schema.partitioned { name } else { format!("ONLY {name}") },
            sample: sample_bound(self.options.sample),
        }
    }

    /// The first look, at both sides at once: numbers of the buckets that differ.
    async fn sum_up(&self, table: &Table, texts: &Texts<'_>, report: &mut TableReport) -> Result<Vec<u16>> {
        let sample = texts.sample.as_deref();
        let bound = sample.map(hex);
        let source =
            buckets::of_postgres(&self.snapshot, &texts.source, table.plan.schema.relid, sample, self.progress);
        let target = buckets::of_clickhouse(&self.server, (&texts.source, &texts.target), bound.as_deref());
        let (source, target): (Buckets, Buckets) = tokio::try_join!(source, target)?;
        report.rows = source.rows();
        let names = texts.source.table.columns.iter().map(|column| column.source.clone());
        report.policy_nulls = names.zip(source.policy.iter().copied()).filter(|(_, count)| *count > 0).collect();
        Ok(source.differing(&target))
    }

    /// The rows that differ. While sync runs, ClickHouse may be ahead of the snapshot: a row differs for good only if it was the
    /// same on both sides in two looks, and ClickHouse's was written before the first of them. Returns also how many never
    /// came to rest.
    pub(super) async fn settle(&mut self, texts: &Texts<'_>, buckets: Vec<u16>) -> Result<(Differences, u64)> {
        let mut standing = self.pass().await?;
        let mut seen = self.open(texts, &buckets).await?;
        let mut unsettled = 0;
        for _ in 1..LOOKS {
            if standing != Standing::Passed || !seen.complete() || seen.rows.is_empty() {
                break;
            }
            (self.progress)(Event::Again { rows: seen.rows.len() });
            let fence = self.snapshot.fence;
            self.renew().await?;
            standing = self.pass().await?;
            let now = self.open(texts, &buckets_of(&seen.rows, texts.source.shift)).await?;
            let (still, moving) = compare_looks(&seen.rows, now.rows, fence);
            seen = Differences::of(still);
            unsettled = moving;
            if moving == 0 {
                break;
            }
        }
        Ok((seen, unsettled))
    }

    async fn open(&self, texts: &Texts<'_>, buckets: &[u16]) -> Result<Differences> {
        let selection = Selection { buckets, sample: texts.sample.as_deref() };
        let sides = (&texts.source, &texts.target);
        opened::compare(self.snapshot.session()?, &texts.relation, sides, &self.server, &selection).await
    }
}

/// The buckets that rows lie in.
pub(super) fn buckets_of(rows: &[Difference], shift: u32) -> Vec<u16> {
    let mut numbers: Vec<u16> = rows.iter().map(|row| row.key.bucket(shift)).collect();
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}

/// Rows that differed in both looks, and how many of them moved in between. A row that was equal in either look has been proved.
fn compare_looks(before: &[Difference], now: Vec<Difference>, fence: Lsn) -> (Vec<Difference>, u64) {
    let keys: HashSet<Key> = before.iter().map(|row| row.key).collect();
    // A key can be there twice, where more than the key sorts the table.
    let before: HashSet<&Difference> = before.iter().collect();
    let still: Vec<Difference> = now.into_iter().filter(|row| keys.contains(&row.key)).collect();
    let settled =
        |row: &Difference| before.contains(row) && row.target.is_none_or(|stored| stored.transaction <= fence);
    let moving = still.iter().filter(|row| !settled(row)).count() as u64;
    (still, moving)
}

#[cfg(test)]
mod tests {
    use super::super::opened::Stored;
    use super::*;

    fn row(key: u8, source: i64, target: i64, transaction: u64) -> Difference {
        let target = Some(Stored { hash: target, transaction: Lsn(transaction) });
        Difference { key: Key([key; 16]), source: Some(source), target }
    }

    #[test]
    fn a_row_that_rests_on_both_sides_differs_for_good() {
        let first = [row(1, 10, 11, 5), row(2, 20, 21, 5), row(3, 30, 31, 150), row(4, 40, 41, 5)];
        let second = vec![row(1, 10, 11, 5), row(2, 20, 29, 5), row(3, 30, 31, 150), row(5, 50, 51, 5)];
        let (still, moving) = compare_looks(&first, second, Lsn(100));
        let keys: Vec<u8> = still.iter().map(|row| row.key.0[0]).collect();
        assert_eq!(keys, [1, 2, 3], "4 was equal the second time, 5 the first time");
        assert_eq!(moving, 2, "2 changed in between, 3 was written behind the first fence");
    }

    #[test]
    fn a_row_lies_in_the_bucket_of_its_ninth_and_tenth_byte() {
        let mut one = row(0, 1, 2, 0);
        one.key.0[8] = 0x12;
        one.key.0[9] = 0x34;
        assert_eq!(buckets_of(&[one, one], 0), [0x1234]);
        assert_eq!(buckets_of(&[one], 8), [0x12]);
        assert_eq!(buckets_of(&[one], 16), [0]);
    }
}
