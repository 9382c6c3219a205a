//! Where a pipeline stands, by what both servers say of it; whether or not a sync runs now.

use super::copies::no_postgres;
use crate::change::Lsn;
use crate::checkpoint::{State, StateStore, TableRecord};
use crate::config::Settings;
use crate::error::{Error, Kind, Result};
use crate::server::clickhouse::{self, Server};
use crate::server::postgres::{connect, server_error};
use crate::source::postgres::{SlotState, slot_state};
use std::collections::BTreeMap;

const FLUSHED: &str = include_str!("../../sql/postgres/flushed.sql");
const TABLE_SIZES: &str = include_str!("../../sql/clickhouse/table_sizes.sql");

/// Where a pipeline stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PipelineStatus {
    /// Its name.
    pub pipeline: String,
    /// The slot, where it exists.
    pub slot: Option<SlotState>,
    /// Where the source's log ends.
    pub source_lsn: Lsn,
    /// Up to where the destination is complete; absent before the first checkpoint.
    pub checkpoint: Option<Lsn>,
    /// Whether the first copy is complete.
    pub copied: bool,
    /// The tables by their id at the source.
    pub tables: BTreeMap<u32, TableRecord>,
    /// Records of topics that could not be carried and wait for somebody's decision.
    pub dead_letters: u64,
    /// Rows that each table's parts hold, replaced ones included, by name at the destination.
    pub stored_rows: BTreeMap<String, u64>,
}

impl PipelineStatus {
    /// Bytes of log between the source's end and what is stored; absent where nothing is known.
    pub fn lag_bytes(&self) -> Option<u64> {
        let stored = self.checkpoint.or(self.slot.as_ref().map(|slot| slot.confirmed))?;
        Some(self.source_lsn.0.saturating_sub(stored.0))
    }

    /// Whether readers of the destination can rely on it. That the source is followed means here: somebody reads the slot.
    pub fn ready(&self) -> bool {
        let followed = self.slot.as_ref().is_some_and(|slot| slot.active_pid.is_some());
        crate::sync::ready(self.copied, followed, self.lag_bytes())
    }
}

/// Asks both servers.
///
/// # Errors
/// What they refuse; [`Kind::Config`] where no Postgres is configured.
pub async fn status(settings: &Settings) -> Result<PipelineStatus> {
    let postgres = settings.postgres.as_ref().ok_or_else(no_postgres)?;
    let client = connect(postgres).await?;
    let server = clickhouse::connect(&settings.clickhouse)?;
    let slot = slot_state(&client, &postgres.slot).await?;
    let row =
        client.query_one(FLUSHED, &[]).await.map_err(|error| server_error("could not read the log's end", error))?;
    let source_lsn = row
        .get::<_, &str>(0)
        .parse()
        .map_err(|reason: String| Error::new(Kind::Source, "could not read the log's end").because(reason))?;
    let state: State =
        StateStore::new(server.clone(), &settings.clickhouse.database, &settings.pipeline, &postgres.slot)
            .load()
            .await?;
    Ok(PipelineStatus {
        pipeline: settings.pipeline.clone(),
        slot,
        source_lsn,
        checkpoint: state.checkpoint.as_ref().map(|record| record.position().end),
        copied: state.pipeline.as_ref().is_some_and(|pipeline| pipeline.snapshot_done),
        stored_rows: stored_rows(&server, &settings.clickhouse.database).await?,
        dead_letters: crate::dead_letters::count(settings, &crate::dead_letters::LetterFilter::default()).await?,
        tables: state.tables,
    })
}

async fn stored_rows(server: &Server, database: &str) -> Result<BTreeMap<String, u64>> {
    let rows = server.rows(TABLE_SIZES, &[("database", database)]).await?;
    let one = |row: &serde_json::Map<String, serde_json::Value>| {
        let text = |name: &str| row.get(name).and_then(serde_json::Value::as_str);
        Some((text("name")?.to_owned(), text("rows")?.parse().ok()?))
    };
    Ok(rows.iter().filter_map(one).collect())
}
