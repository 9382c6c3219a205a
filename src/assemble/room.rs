//! Before a first copy: how much there is to copy, and whether it fits.

use crate::error::{Error, Kind, Result};
use crate::server::clickhouse::Server;
use crate::sink::clickhouse::TablePlan;
use crate::sync::Progress;

const FREE: &str = include_str!("../../sql/clickhouse/free_space.sql");
const WAL_LIMIT: &str = include_str!("../../sql/postgres/wal_limit.sql");
/// Bytes of Postgres' heap that a second copies, for the estimate: what two cores do.
const BYTES_A_SECOND: u64 = 60 << 20;
/// ClickHouse's parts are smaller than Postgres' heap by far, and need room to be merged.
const SHRINKS_TO: u64 = 2;

/// Says what is ahead.
///
/// # Errors
/// [`Kind::Destination`] where the destination's disk cannot hold it, unless forced.
pub(super) async fn check(
    client: &tokio_postgres::Client,
    server: &Server,
    plans: &[TablePlan],
    (force, progress): (bool, &Progress),
) -> Result<()> {
    let rows: u64 = plans.iter().map(|plan| plan.schema.estimated_rows).sum();
    let bytes: u64 = plans.iter().map(|plan| plan.schema.bytes).sum();
    progress.note(format!(
        "first copy: {} tables, about {rows} rows, {} at the source, about {} s",
        plans.len(),
        megabytes(bytes),
        bytes / BYTES_A_SECOND + 1,
    ));
    let limit = client
        .query_one(WAL_LIMIT, &[])
        .await
        .map_err(|error| crate::server::postgres::server_error("could not read the log's limit", error))?;
    if let Some(limit) = limit.get::<_, Option<i64>>(0) {
        progress.note(format!(
            "warning: Postgres keeps at most {} of log for the slot (max_slot_wal_keep_size); if more is written during the copy, it has to begin again",
            megabytes(limit.max(0) as u64)
        ));
    }
    let free = server.rows(FREE, &[]).await?;
    let free: Option<u64> = free
        .first()
        .and_then(|row| row.get("free"))
        .and_then(serde_json::Value::as_str)
        .and_then(|text| text.parse().ok());
    match free {
        Some(free) if free < bytes / SHRINKS_TO && !force => Err(Error::new(
            Kind::Destination,
            format!(
                "the copy does not fit: {} are free at ClickHouse, {} are to be copied",
                megabytes(free),
                megabytes(bytes)
            ),
        )
        .hint("make room on ClickHouse's disk, leave tables out, or try it all the same with --force")),
        _ => Ok(()),
    }
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}
