//! Rows that stay although they are gone at the source (`deletes: keep`), when their table is copied again: a copy shows only what is still there.

use crate::change::Version;
use crate::config::ClickHouseSettings;
use crate::error::Result;
use crate::server::clickhouse::{self, Server, StoredTable, quote_ident};
use crate::sink::clickhouse::{SOURCE_DELETED_COLUMN, TablePlan, TableShape, ddl};
use crate::sync::Progress;
use std::time::{SystemTime, UNIX_EPOCH};

/// Microseconds since 1970.
pub(super) fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

/// A table that keeps such rows, and the shadow that is to take its place.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kept<'a> {
    pub(super) server: &'a Server,
    pub(super) settings: &'a ClickHouseSettings,
    pub(super) plan: &'a TablePlan,
    pub(super) shadow: &'a TableShape,
    /// Version of the copied rows.
    pub(super) version: Version,
}

impl Kept<'_> {
    /// Takes the rows of the old table into its shadow, before that is filled: right below the copy's version, as deleted now, which holds for what the copy
    /// does not have; those that are gone already as they are. Where nobody follows the table meanwhile, those are below the copy's version, too: they are of
    /// before it, and in a new history the places of the old one say nothing.
    pub(super) async fn carry(self, is_alone: bool, progress: &Progress) -> Result<()> {
        if !self.plan.keeps_deleted {
            return Ok(());
        }
        let target = &self.plan.target;
        let Some(stored) = self.stored().await? else { return Ok(()) };
        if !fits(self.shadow, &stored) {
            progress.note(format!(
                "warning: rows of \"{target}\" that were deleted at the source are not taken over: its columns are others now"
            ));
            return Ok(());
        }
        let (stamp, marked) = (quote_ident(&self.plan.version_column), quote_ident(SOURCE_DELETED_COLUMN));
        let columns = self.columns();
        let of_marked = if is_alone { format!("least({stamp}, {{version:UInt128}})") } else { stamp.clone() };
        let select = format!(
            "{columns}, if(isNull({marked}), {{version:UInt128}}, {of_marked}), \
             ifNull({marked}, fromUnixTimestamp64Micro({{at:Int64}}, 'UTC'))"
        );
        let below = self.version.0.saturating_sub(1).to_string();
        self.insert(&select, "", &[("version", &below), ("at", &now().to_string())]).await
    }

    /// Whether the old table holds such rows that have no place in the new one.
    pub(super) async fn are_lost(self) -> Result<bool> {
        Ok(self.stored().await?.is_some_and(|stored| !fits(self.shadow, &stored)))
    }

    /// The old table, where rows stay in it.
    async fn stored(self) -> Result<Option<StoredTable>> {
        let target = &self.plan.target;
        let mut stored = clickhouse::table(self.server, &self.settings.database, target).await?;
        Ok(stored.tables.remove(target).filter(|stored| stored.column(SOURCE_DELETED_COLUMN).is_some()))
    }

    /// Takes deletions over that were carried out in the table since its copy began: in the shadow what they mark may have come later.
    pub(super) async fn carry_deletions(self) -> Result<()> {
        let (stamp, marked) = (quote_ident(&self.plan.version_column), quote_ident(SOURCE_DELETED_COLUMN));
        let select = format!("{}, {stamp}, {marked}", self.columns());
        let later = format!(" WHERE {marked} IS NOT NULL AND {stamp} > {{version:UInt128}}");
        self.insert(&select, &later, &[("version", &self.version.0.to_string())]).await
    }

    fn columns(self) -> String {
        self.shadow.columns.iter().map(|column| quote_ident(&column.name)).collect::<Vec<_>>().join(", ")
    }

    async fn insert(self, select: &str, condition: &str, parameters: &[(&str, &str)]) -> Result<()> {
        let sql = format!(
            "INSERT INTO {} ({}, {}, {}) SELECT {select} FROM {} FINAL{condition} \
             SETTINGS async_insert = 0, throw_on_max_partitions_per_insert_block = 0, insert_deduplicate = 0",
            ddl::qualified(&self.shadow.name, self.settings),
            self.columns(),
            quote_ident(&self.plan.version_column),
            quote_ident(SOURCE_DELETED_COLUMN),
            ddl::qualified(&self.plan.target, self.settings),
        );
        let tried = format!("could not take over the deleted rows of \"{}\"", self.plan.target);
        self.server.execute(&sql, parameters).await.map_err(|error| error.during(tried))
    }
}

/// Whether the old table's values are those of the new one.
fn fits(shape: &TableShape, stored: &StoredTable) -> bool {
    let alike = |wanted: &crate::sink::clickhouse::ColumnShape| {
        stored.column(&wanted.name).is_some_and(|found| {
            let comment = found.comment.starts_with("pipectl: ").then_some(&found.comment);
            found.column_type == wanted.column_type && comment == wanted.comment.as_ref()
        })
    };
    stored.sorting_key == shape.sorting_key && shape.columns.iter().all(alike)
}
