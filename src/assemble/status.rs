//! Where a pipeline stands, by what both servers say of it; whether or not a sync runs now.

use super::connector::{self, ConnectorBrief};
use super::copies::no_postgres;
use crate::change::Lsn;
use crate::checkpoint::{State, StateStore, TableRecord};
use crate::config::{PostgresSettings, Settings, SyncSource};
use crate::error::{Error, Kind, Result};
use crate::server::clickhouse::{self, Server};
use crate::server::postgres::{connect, server_error};
use crate::source::kafka::ends;
use crate::source::postgres::{SlotState, slot_state};
use std::collections::BTreeMap;

const FLUSHED: &str = include_str!("../../sql/postgres/flushed.sql");
const TABLE_SIZES: &str = include_str!("../../sql/clickhouse/table_sizes.sql");

/// Where a pipeline stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PipelineStatus {
    /// Its name.
    pub pipeline: String,
    /// The slot, where it exists: pipectl's own, or the connector's.
    pub slot: Option<SlotState>,
    /// The topics, of a pipeline that reads them.
    pub topics: Option<TopicsStatus>,
    /// The connector that writes the topics, where Kafka Connect is configured.
    pub connector: Option<ConnectorBrief>,
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
    /// Values stored as NULL because ClickHouse cannot hold them, each time they were stored, by table at the destination and column.
    pub policy_nulls: BTreeMap<String, BTreeMap<String, u64>>,
}

/// Where a pipeline stands with its topics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicsStatus {
    /// The consumer group.
    pub group: String,
    /// Its state, in Kafka's words, such as `Stable` or `Empty`; absent where Kafka knows no such group.
    pub state: Option<String>,
    /// The partitions, in order.
    pub partitions: Vec<PartitionStatus>,
}

/// Where a pipeline stands with a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionStatus {
    /// The topic.
    pub topic: String,
    /// Its partition.
    pub partition: i32,
    /// Offset of the first record that is not stored.
    pub stored: i64,
    /// Offset behind the last record there is.
    pub end: i64,
}

impl TopicsStatus {
    /// Records that are not stored yet.
    pub fn lag(&self) -> i64 {
        self.partitions.iter().map(|partition| (partition.end - partition.stored).max(0)).sum()
    }

    /// Whether processes read the topics right now.
    pub fn is_read(&self) -> bool {
        self.state.as_deref().is_some_and(|state| !matches!(state, "Empty" | "Dead"))
    }
}

impl PipelineStatus {
    /// Bytes of log between the source's end and what is stored; absent where nothing is known.
    pub fn lag_bytes(&self) -> Option<u64> {
        if let Some(topics) = &self.topics {
            // What is not in the topics yet, and what is in them and not stored.
            let waiting = (topics.lag() > 0).then_some(self.checkpoint).flatten();
            let confirmed = self.slot.as_ref().map(|slot| slot.confirmed);
            let behind = |lsn: Lsn| self.source_lsn.0.saturating_sub(lsn.0);
            return [waiting, confirmed].into_iter().flatten().map(behind).max();
        }
        let stored = self.checkpoint.or(self.slot.as_ref().map(|slot| slot.confirmed))?;
        Some(self.source_lsn.0.saturating_sub(stored.0))
    }

    /// Whether readers of the destination can rely on it. That the source is followed means here: somebody reads the slot.
    pub fn ready(&self) -> bool {
        let slot_read = || self.slot.as_ref().is_some_and(|slot| slot.active_pid.is_some());
        let followed = self.topics.as_ref().map_or_else(slot_read, TopicsStatus::is_read);
        crate::sync::ready(self.copied, followed, self.lag_bytes())
    }
}

/// Asks the servers.
///
/// # Errors
/// What they refuse; [`Kind::Config`] where no Postgres is configured, unless topics are read.
pub async fn status(settings: &Settings) -> Result<PipelineStatus> {
    let of_topics = settings.sync.source == SyncSource::Kafka;
    let (slot, source_lsn) = match &settings.postgres {
        Some(postgres) => source(postgres).await?,
        None if of_topics => (None, Lsn::ZERO),
        None => return Err(no_postgres()),
    };
    let server = clickhouse::connect(&settings.clickhouse)?;
    let state: State = StateStore::of_settings(settings, server.clone()).load().await?;
    let (topics, connector) = if of_topics {
        let (topics, connector) = tokio::join!(topics(settings, &state), connector::brief(settings));
        (Some(topics?), connector)
    } else {
        (None, None)
    };
    let streamed = state.offsets.0.values().map(|reached| reached.lsn).max();
    Ok(PipelineStatus {
        pipeline: settings.pipeline.clone(),
        slot,
        topics,
        connector,
        source_lsn,
        checkpoint: state.checkpoint.as_ref().map(|record| record.position().end).or(streamed),
        copied: state.pipeline.as_ref().is_some_and(|pipeline| pipeline.snapshot_done),
        stored_rows: stored_rows(&server, &settings.clickhouse.database).await?,
        dead_letters: crate::dead_letters::count(settings, &crate::dead_letters::LetterFilter::default()).await?,
        tables: state.tables,
        policy_nulls: state.policy_nulls,
    })
}

async fn source(postgres: &PostgresSettings) -> Result<(Option<SlotState>, Lsn)> {
    let client = connect(postgres).await?;
    let slot = slot_state(&client, &postgres.slot).await?;
    let row =
        client.query_one(FLUSHED, &[]).await.map_err(|error| server_error("could not read the log's end", error))?;
    let end = row
        .get::<_, &str>(0)
        .parse()
        .map_err(|reason: String| Error::new(Kind::Source, "could not read the log's end").because(reason))?;
    Ok((slot, end))
}

async fn topics(settings: &Settings, state: &State) -> Result<TopicsStatus> {
    let group = super::kafka::group(settings);
    let (cluster, subscription) = super::kafka::cluster(settings)?;
    let asked = group.clone();
    let (ends, found) = tokio::task::spawn_blocking(move || {
        Ok::<_, Error>((ends(&cluster, &subscription)?, cluster.groups(Some(&asked))?.into_iter().next()))
    })
    .await
    .map_err(|error| Error::new(Kind::Unexpected, "a task ended early").because(error))??;
    let partitions = ends.into_iter().map(|(place, end)| PartitionStatus {
        stored: state.offsets.0.get(&place).map_or(0, |reached| reached.next),
        topic: place.0.to_string(),
        partition: place.1,
        end,
    });
    Ok(TopicsStatus { partitions: partitions.collect(), group, state: found.map(|(_, state)| state) })
}

async fn stored_rows(server: &Server, database: &str) -> Result<BTreeMap<String, u64>> {
    let rows = server.rows(TABLE_SIZES, &[("database", database)]).await?;
    let one = |row: &serde_json::Map<String, serde_json::Value>| {
        let text = |name: &str| row.get(name).and_then(serde_json::Value::as_str);
        Some((text("name")?.to_owned(), text("rows")?.parse().ok()?))
    };
    Ok(rows.iter().filter_map(one).collect())
}
