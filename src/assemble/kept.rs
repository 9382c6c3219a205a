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

/// Takes the rows of the old table into its shadow, before that is filled: those that are gone as they are; the others, right below the copy's version, as
/// deleted now, which holds for what the copy does not have.
pub(super) async fn carry(
    server: &Server,
    settings: &ClickHouseSettings,
    (plan, shadow): (&TablePlan, &TableShape),
    version: Version,
    progress: &Progress,
) -> Result<()> {
    if !plan.keeps_deleted || version == Version::SNAPSHOT {
        return Ok(());
    }
    let stored = clickhouse::table(server, &settings.database, &plan.target).await?;
    let Some(stored) = stored.tables.get(&plan.target) else { return Ok(()) };
    if stored.column(SOURCE_DELETED_COLUMN).is_none() {
        return Ok(());
    }
    if !fits(shadow, stored) {
        progress.note(format!(
            "warning: rows of \"{}\" that were deleted at the source are not taken over: its columns are others now",
            plan.target
        ));
        return Ok(());
    }
    let columns: Vec<String> = shadow.columns.iter().map(|column| quote_ident(&column.name)).collect();
    let (columns, stamp) = (columns.join(", "), quote_ident(&plan.version_column));
    let (marked, table) = (quote_ident(SOURCE_DELETED_COLUMN), ddl::qualified(&plan.target, settings));
    let sql = format!(
        "INSERT INTO {} ({columns}, {stamp}, {marked}) \
         SELECT {columns}, if(isNull({marked}), {{version:UInt128}}, {stamp}), ifNull({marked}, fromUnixTimestamp64Micro({{at:Int64}}, 'UTC')) \
         FROM {table} FINAL SETTINGS async_insert = 0, throw_on_max_partitions_per_insert_block = 0, insert_deduplicate = 0",
        ddl::qualified(&shadow.name, settings),
    );
    let below = version.0.saturating_sub(1).to_string();
    let tried = format!("could not take over the deleted rows of \"{}\"", plan.target);
    server.execute(&sql, &[("version", &below), ("at", &now().to_string())]).await.map_err(|error| error.during(tried))
}

/// Takes deletions over that were carried out in the table since its copy began: in the shadow what they mark may have come later.
pub(super) async fn carry_deletions(
    (server, settings): (&Server, &ClickHouseSettings),
    (plan, shadow): (&TablePlan, &TableShape),
    version: Version,
) -> Result<()> {
    let mut columns: Vec<String> = shadow.columns.iter().map(|column| quote_ident(&column.name)).collect();
    let (stamp, marked) = (quote_ident(&plan.version_column), quote_ident(SOURCE_DELETED_COLUMN));
    columns.extend([stamp.clone(), marked.clone()]);
    let columns = columns.join(", ");
    let sql = format!(
        "INSERT INTO {} ({columns}) SELECT {columns} FROM {} FINAL WHERE {marked} IS NOT NULL AND {stamp} > {{version:UInt128}} \
         SETTINGS async_insert = 0, throw_on_max_partitions_per_insert_block = 0, insert_deduplicate = 0",
        ddl::qualified(&shadow.name, settings),
        ddl::qualified(&plan.target, settings),
    );
    let tried = format!("could not take over the deleted rows of \"{}\"", plan.target);
    server.execute(&sql, &[("version", &version.0.to_string())]).await.map_err(|error| error.during(tried))
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
