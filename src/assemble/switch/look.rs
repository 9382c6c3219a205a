//! What there is on both sides, before anything is changed.

use super::super::{connector, copies::no_postgres, kafka};
use super::Sides;
use crate::config::{Settings, TableMode};
use crate::error::{Error, Kind, Result};
use crate::server::kafka::Cluster;
use crate::server::postgres::tables;
use crate::sink::clickhouse::left_out;
use crate::source::kafka::ends;
use crate::source::postgres::{SlotState, slot_state};
use crate::sync::{Ends, Progress};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_postgres::Client;

/// How long a consumer group may outlive its last member: one that was killed stays until its session times out.
const GROUP_END: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(500);

/// What there is.
pub(super) struct Look {
    /// The pipeline's slot.
    pub(super) slot: SlotState,
    /// Tables of the pipeline that have no key.
    pub(super) keyless: Vec<String>,
    /// Whether a connector of the pipeline's name is there.
    pub(super) connector: bool,
    cluster: Arc<Cluster>,
    subscription: Vec<String>,
}

impl Look {
    /// Asks the servers.
    ///
    /// # Errors
    /// [`Kind::SourceGap`] where the slot is gone; what the servers answer.
    pub(super) async fn take(settings: &Settings, client: &Client) -> Result<Self> {
        let postgres = settings.postgres.as_ref().ok_or_else(no_postgres)?;
        let slot = slot_state(client, &postgres.slot).await?.ok_or_else(|| {
            Error::new(
                Kind::SourceGap,
                format!("replication slot \"{}\" is gone, and with it the place to go on from", postgres.slot),
            )
            .hint("`pipectl resync --all` copies everything again")
        })?;
        let mut keyless = Vec::new();
        for schema in tables(client).await? {
            let rule = settings.rule_for(&schema.name).filter(|rule| left_out(&schema, rule).is_none());
            if rule.is_some_and(|rule| schema.key.is_empty() || rule.mode == TableMode::Log) {
                keyless.push(schema.name.to_string());
            }
        }
        let (cluster, subscription) = kafka::cluster(settings)?;
        let connector = connector::exists(settings).await?;
        Ok(Self { slot, keyless, connector, cluster: Arc::new(cluster), subscription })
    }

    /// Where the topics end.
    pub(super) async fn ends(&self) -> Result<Ends> {
        let (cluster, subscription) = (Arc::clone(&self.cluster), self.subscription.clone());
        blocking(move || ends(&cluster, &subscription)).await
    }

    /// Waits until nobody reads the topics as this pipeline's group: a member that was killed just now is one for a while.
    ///
    /// # Errors
    /// [`Kind::Source`] that names the group where it stays active.
    pub(super) async fn group_has_ended(&self, settings: &Settings, progress: &Progress) -> Result<()> {
        let (group, begun) = (kafka::group(settings), Instant::now());
        let mut told = false;
        loop {
            let (cluster, name) = (Arc::clone(&self.cluster), group.clone());
            let found = blocking(move || cluster.groups(Some(&name))).await?;
            let active =
                found.into_iter().find(|(name, state)| *name == group && !matches!(state.as_str(), "Empty" | "Dead"));
            let Some((_, state)) = active else { return Ok(()) };
            if begun.elapsed() >= GROUP_END {
                return Err(Error::new(Kind::Source, format!("consumer group \"{group}\" is active ({state})"))
                    .hint("stop every `pipectl sync --source kafka` of this pipeline first"));
            }
            if !told {
                progress.note(format!(
                    "waiting for consumer group \"{group}\" to end: somebody reads as it, or did until just now"
                ));
                told = true;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Records of the topics that are not stored.
    pub(super) fn unread(sides: &Sides, ends: &Ends) -> i64 {
        let stored = &sides.kafka.1.offsets;
        let left = |(topic, partition): &(Arc<str>, i32), end: i64| {
            end - stored.get(topic, *partition).map_or(0, |reached| reached.next)
        };
        ends.iter().map(|(place, end)| left(place, *end).max(0)).sum()
    }
}

async fn blocking<T: Send + 'static>(ask: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(ask)
        .await
        .map_err(|error| Error::new(Kind::Unexpected, "a task ended early").because(error))?
}
