//! The table beside a table: made, exchanged for it, dropped.

use crate::change::{Lsn, Version};
use crate::checkpoint::{CopyAnswer, State, StateStore};
use crate::config::ClickHouseSettings;
use crate::error::Result;
use crate::server::clickhouse::{Server, quote_ident};
use crate::sink::clickhouse::{TablePlan, TableShape, ddl};
use crate::sync::Progress;

const UUID: &str = include_str!("../../../sql/clickhouse/table_uuid.sql");
const SHADOWS: &str = include_str!("../../../sql/clickhouse/shadows.sql");

/// The name of a table's shadow.
pub(crate) fn shadow_name(target: &str) -> String {
    format!("{target}__pipectl_copy")
}

/// The name of the table that holds which rows were deleted at the source, and stay, while a table's shadow alone is fed.
pub(crate) fn gone_name(target: &str) -> String {
    format!("{target}__pipectl_gone")
}

/// The changes that a copy of a log does not have.
#[derive(Debug, Clone)]
pub(crate) struct Later {
    /// From this commit on none is in it.
    pub(crate) first_commit: Lsn,
    /// Nor those whose versions begin here, though that is before.
    pub(crate) straddling: Vec<(Lsn, Lsn)>,
}

impl Later {
    fn has(&self, version: Version) -> bool {
        let place = version.transaction();
        place >= self.first_commit || self.straddling.iter().any(|(from, to)| (*from..=*to).contains(&place))
    }
}

/// The destination, as shadows are made there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shadow<'a> {
    pub(crate) server: &'a Server,
    pub(crate) settings: &'a ClickHouseSettings,
}

impl Shadow<'_> {
    /// Makes a table's shadow anew, empty.
    pub(crate) async fn make(&self, plan: &TablePlan) -> Result<()> {
        self.drop(&plan.target).await?;
        self.execute(&ddl::create_table(&plan.shape().named(shadow_name(&plan.target)), self.settings)).await
    }

    /// Makes the table of keys beside a shadow: rows that they mark may not be in it yet.
    pub(crate) async fn make_gone(&self, plan: &TablePlan) -> Result<()> {
        let mut shape = TableShape { partition_by: None, ..plan.shape().named(gone_name(&plan.target)) };
        shape.columns.retain(|column| shape.sorting_key.contains(&column.name));
        self.execute(&ddl::create_table(&shape, self.settings)).await
    }

    /// Drops what has the shadow's name, and what stands beside it; the shadow last, by which the other one is found.
    pub(crate) async fn drop(&self, target: &str) -> Result<()> {
        for name in [gone_name(target), shadow_name(target)] {
            self.execute(&ddl::drop_table(&name, self.settings)).await?;
        }
        Ok(())
    }

    /// Leaves in the shadow of a log the changes alone that its copied rows do not have: all are kept each for itself, and would be there twice.
    pub(crate) async fn drop_copied(&self, plan: &TablePlan, copied: Version, later: &Later) -> Result<()> {
        let version = quote_ident(&plan.version_column);
        let statement = format!(
            "ALTER TABLE {} DELETE WHERE {version} < {{first:UInt128}} AND {version} <> {{copied:UInt128}} \
             AND NOT arrayExists(range -> toUInt64(bitShiftRight({version}, 64)) BETWEEN range.1 AND range.2, {{straddling:Array(Tuple(UInt64, UInt64))}}) \
             SETTINGS mutations_sync = 2",
            ddl::qualified(&shadow_name(&plan.target), self.settings),
        );
        let first = Version::new(later.first_commit, Lsn::ZERO).0.to_string();
        let ranges: Vec<_> = later.straddling.iter().map(|(from, to)| format!("({},{})", from.0, to.0)).collect();
        let straddling = format!("[{}]", ranges.join(","));
        let parameters =
            [("first", first.as_str()), ("copied", &copied.0.to_string()), ("straddling", straddling.as_str())];
        self.server.execute(&statement, &parameters).await
    }

    /// Takes the truncation that counts in a signed log over into its shadow, where all that counts is newer anyway: a reader who asks for it while the two
    /// are exchanged finds the same in both. False where the copied rows would not count behind it.
    pub(crate) async fn carry_truncation(&self, plan: &TablePlan, copied: Version, later: &Later) -> Result<bool> {
        if self.uuid(&plan.target).await?.is_empty() {
            return Ok(true);
        }
        let (version, table) = (quote_ident(&plan.version_column), ddl::qualified(&plan.target, self.settings));
        let newest = format!("SELECT toString(max({version})) AS newest FROM {table} WHERE _sign = 0");
        let rows = self.server.rows(&newest, &[]).await?;
        let newest =
            rows.first().and_then(|row| row.get("newest")?.as_str()?.parse().ok()).map(Version).unwrap_or_default();
        if newest > copied {
            return Ok(later.has(newest));
        }
        let statement = format!(
            "INSERT INTO {} ({version}, `_ordinal`, `_sign`) SELECT {version}, `_ordinal`, `_sign` FROM {table} FINAL \
             WHERE _sign = 0 AND {version} = {{newest:UInt128}} SETTINGS async_insert = 0, insert_deduplicate = 0",
            ddl::qualified(&shadow_name(&plan.target), self.settings),
        );
        self.server.execute(&statement, &[("newest", &newest.0.to_string())]).await?;
        Ok(true)
    }

    /// What tells the table of this name from others that have the name at other times.
    pub(crate) async fn uuid(&self, table: &str) -> Result<String> {
        let rows = self.server.rows(UUID, &[("database", &self.settings.database), ("table", table)]).await?;
        let uuid = rows.first().and_then(|row| row.get("uuid")).and_then(serde_json::Value::as_str);
        Ok(uuid.unwrap_or_default().to_owned())
    }

    /// Puts the shadow in the place of the table, unless it is there already. The old table has the shadow's name then.
    pub(crate) async fn exchange(&self, plan: &TablePlan, uuid: &str) -> Result<()> {
        // Made where it is missing, so that one statement serves: an exchange needs both.
        self.execute(&ddl::create_table(&plan.shape(), self.settings)).await?;
        if self.uuid(&plan.target).await? != uuid {
            let (shadow, table) = (
                ddl::qualified(&shadow_name(&plan.target), self.settings),
                ddl::qualified(&plan.target, self.settings),
            );
            self.execute(&format!("EXCHANGE TABLES {shadow} AND {table}{}", self.on_cluster())).await?;
        }
        if plan.shape().current_view {
            self.execute(&ddl::create_current_view(&plan.shape(), self.settings)).await?;
        }
        Ok(())
    }

    async fn sweep(&self, state: &State) -> Result<()> {
        let found = self.server.rows(SHADOWS, &[("database", &self.settings.database)]).await?;
        let names: Vec<&str> = found.iter().filter_map(|row| row.get("name")?.as_str()).collect();
        for record in state.tables.values().filter(|record| record.copy.is_none()) {
            if names.contains(&shadow_name(&record.target).as_str()) {
                self.drop(&record.target).await?;
            }
        }
        Ok(())
    }

    fn on_cluster(&self) -> String {
        self.settings.cluster.as_deref().map_or(String::new(), |name| format!(" ON CLUSTER {}", quote_ident(name)))
    }

    async fn execute(&self, sql: &str) -> Result<()> {
        self.server.execute(sql, &[]).await
    }
}

/// Exchanges that were interrupted: what happened is told by which table has the name now. Where this
/// process works alone, the shadows of copies that nobody goes on with are dropped: of a `resync` that was killed, or ended with an error.
pub(crate) async fn resolve(
    shadows: Shadow<'_>,
    (state, store): (&mut State, &mut StateStore),
    is_alone: bool,
    progress: &Progress,
) -> Result<()> {
    for (relation, record) in &mut state.tables {
        let Some(exchange) = record.exchanging.take() else { continue };
        // Where the old table still has the name, nothing has happened.
        if shadows.uuid(&exchange.becomes.target).await? == exchange.uuid {
            *record = *exchange.becomes;
            shadows.drop(&record.target).await?;
            if let Some(id) = &exchange.request {
                store.answer_copy(*relation, &CopyAnswer::done(id, record.copied_rows)).await?;
            }
            progress.note(format!("{} is copied again", record.source));
        }
        store.save_table(*relation, record).await?;
    }
    if is_alone { shadows.sweep(state).await } else { Ok(()) }
}
