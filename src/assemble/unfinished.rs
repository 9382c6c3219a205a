//! Logs whose copy was broken off: no key tells the rows that are stored from those that the next copy brings, so the next one must not meet them.

use crate::batch::LogForm;
use crate::change::{Lsn, Version};
use crate::checkpoint::TableRecord;
use crate::config::ClickHouseSettings;
use crate::error::Result;
use crate::server::clickhouse::{Server, quote_ident};
use crate::sink::clickhouse::{TablePlan, ddl};

/// Takes away what a copy left that was begun under this record; without one, nothing was begun, and a log that only grows keeps what it had of an earlier
/// table of its name. One whose rows are counted is made anew either way.
pub(super) async fn forget(
    (server, settings): (&Server, &ClickHouseSettings),
    plan: &TablePlan,
    record: Option<&TableRecord>,
) -> Result<()> {
    let Some(form) = plan.log else { return Ok(()) };
    let is_counted = form == LogForm::Signed;
    let Some(begun) = record.map(begun).or(is_counted.then_some(Version::SNAPSHOT)) else { return Ok(()) };
    let (table, version) = (ddl::qualified(&plan.target, settings), quote_ident(&plan.version_column));
    let parameters = [("begun", &*begun.0.to_string())];
    let older = format!("SELECT 1 AS found FROM {table} WHERE {version} < {{begun:UInt128}} LIMIT 1");
    if is_counted || server.rows(&older, &parameters).await?.is_empty() {
        // Nothing can be on its way into a table that is another one.
        server.execute(&ddl::drop_table(&plan.target, settings), &[]).await?;
        return server.execute(&ddl::create_table(&plan.shape(), settings), &[]).await;
    }
    let delete = format!(
        "{} DELETE WHERE {version} >= {{begun:UInt128}} SETTINGS mutations_sync = 2",
        ddl::alter(&plan.target, settings)
    );
    server.execute(&delete, &parameters).await
}

/// The version that the rows of a copy have at least.
fn begun(record: &TableRecord) -> Version {
    let lsn = record.first_commit.as_deref().and_then(|text| text.parse().ok());
    lsn.map_or(Version::SNAPSHOT, |lsn| Version::new(lsn, Lsn::ZERO))
}
