//! Everything between the command and the reading of topics.

use super::super::SyncOptions;
use super::super::failover::History;
use super::super::lock::{LAST_BREATH, PAUSE, PipelineLock, holders};
use super::super::prepare::{refuse_filled, table_record};
use super::super::recopy::{Shadow, resolve};
use super::super::slots::{refuse_unfinished, same_server};
use super::super::switch;
use super::super::tables::{make_tables, park_renamed, tell_parked};
use super::super::waiting::Waits;
use super::{cluster, forms, kafka};
use crate::batch::Ranges;
use crate::change::{Lsn, Offsets, Reached};
use crate::checkpoint::{PipelineRecord, State, StateStore, TablePhase, Transport};
use crate::config::Settings;
use crate::decode::debezium::Forms;
use crate::error::{Error, Kind, Result};
use crate::server::clickhouse::Server;
use crate::server::kafka::Cluster;
use crate::server::postgres::marks;
use crate::sink::clickhouse::TablePlan;
use crate::source::kafka::subscribed;
use crate::source::postgres::identify;
use crate::sync::Progress;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// How long to wait for the first topic: a connector that was made just now has none yet.
const FIRST_TOPIC: Duration = Duration::from_secs(60);

/// What the reading starts from.
pub(super) struct Prepared {
    /// Where Postgres is configured.
    pub(super) lock: Option<Arc<PipelineLock>>,
    pub(super) store: StateStore,
    pub(super) state: State,
    pub(super) ranges: Ranges,
    pub(super) cluster: Arc<Cluster>,
    pub(super) subscription: Vec<String>,
    pub(super) forms: Forms,
    pub(super) switched_at: Lsn,
    /// What lies before is never read again.
    pub(super) floor: Offsets,
}

/// The work of getting there.
pub(super) struct Preparation<'a> {
    pub(super) settings: &'a Settings,
    pub(super) options: &'a SyncOptions,
    pub(super) server: &'a Server,
    pub(super) progress: &'a Arc<Progress>,
    pub(super) stop: &'a watch::Receiver<bool>,
}

/// Where the topics ended when the pipeline changed over to them.
fn floor(record: &PipelineRecord) -> Offsets {
    let place = |name: &str| {
        let (partition, topic) = name.split_once(':')?;
        Some((topic.into(), partition.parse().ok()?))
    };
    let reached = |(name, next): (&String, &i64)| Some((place(name)?, Reached { next: *next, ..Reached::default() }));
    Offsets(record.switched_offsets.iter().filter_map(reached).collect())
}

/// Whether any table was being copied when the state was stored.
fn is_copying(state: &State) -> bool {
    state.tables.values().any(|record| record.copy.is_some())
}

/// Changes that this process stored would not go into the shadow that another one is filling.
fn refuse_copying(state: &State) -> Result<()> {
    let Some(record) = state.tables.values().find(|record| record.copy.is_some()) else { return Ok(()) };
    let message = format!("another process reads the topics, and copies {} again", record.source);
    Err(Error::new(Kind::Source, message).hint("start this one when that is done: `pipectl status` tells"))
}

impl Preparation<'_> {
    pub(super) async fn run(&self) -> Result<Prepared> {
        let lock = match &self.settings.postgres {
            Some(postgres) => Some(Arc::new(PipelineLock::share(postgres).await?)),
            None => None,
        };
        let waits = match (&lock, &self.settings.postgres) {
            (Some(lock), Some(postgres)) => Some(Waits::of(lock.pid(), postgres, (self.progress, self.stop))),
            _ => None,
        };
        let work = Box::pin(self.behind(lock));
        match waits {
            Some(waits) => waits.told(work).await,
            None => work.await,
        }
    }

    async fn behind(&self, lock: Option<Arc<PipelineLock>>) -> Result<Prepared> {
        switch::refuse_left(self.settings, Transport::Kafka).await?;
        let (cluster, subscription) = cluster(self.settings)?;
        let cluster = Arc::new(cluster);
        self.first_topic(&cluster, &subscription).await?;
        let mut store = StateStore::of_settings(self.settings, self.server.clone()).of(Transport::Kafka);
        let client = lock.as_deref().map(PipelineLock::client);
        let (plans, ranges) =
            make_tables((self.settings, self.options), client, (&mut store, self.server), self.progress).await?;
        store.create().await?;
        if lock.is_some() {
            park_renamed(&plans, &mut store).await?;
        }
        let mut state = store.load().await?;
        let is_alone = self.is_alone(lock.as_deref(), is_copying(&state)).await?;
        if is_copying(&state) {
            // Whoever was waited for may have done it.
            state = store.load().await?;
        }
        if lock.is_some() && !is_alone {
            refuse_copying(&state)?;
        }
        let shadows = Shadow { server: self.server, settings: &self.settings.clickhouse };
        resolve(shadows, (&mut state, &mut store), is_alone, self.progress).await?;
        let record = match state.pipeline.clone() {
            Some(record) => refuse_unfinished(&record).map(|()| record)?,
            None => self.first_start(&plans, &mut store).await?,
        };
        self.same_history(&record, &state, &mut store).await?;
        for plan in plans.iter().filter(|plan| !state.tables.contains_key(&plan.schema.relid)) {
            store.save_table(plan.schema.relid, &table_record(plan, TablePhase::Ready)).await?;
        }
        if let Some(lock) = &lock {
            let found = marks(lock.client(), None).await?;
            let new = plans.iter().filter(|plan| !state.marks.contains_key(&plan.schema.relid));
            super::super::marks::store(new, &found, &mut store).await?;
        }
        let state = store.load().await?;
        tell_parked(&state, self.progress);
        self.progress.copied.store(true, Ordering::Relaxed);
        let switched_at = record.switched_at.as_deref().and_then(|text| text.parse().ok()).unwrap_or_default();
        let forms = forms::forms(self.settings, self.progress).await?;
        Ok(Prepared { lock, store, state, ranges, cluster, subscription, forms, switched_at, floor: floor(&record) })
    }

    /// Whether no other process reads the topics; not known where there is no Postgres to ask. Where that matters, another one may have been killed just now.
    async fn is_alone(&self, lock: Option<&PipelineLock>, is_copying: bool) -> Result<bool> {
        let (Some(lock), Some(postgres)) = (lock, &self.settings.postgres) else { return Ok(false) };
        let deadline = Instant::now() + LAST_BREATH;
        loop {
            if holders(lock.client(), &postgres.slot).await? <= 1 {
                return Ok(true);
            }
            if !is_copying || Instant::now() >= deadline {
                return Ok(false);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Waits until there is a topic to read: the topics of a new connector appear with their first records.
    async fn first_topic(&self, cluster: &Arc<Cluster>, subscription: &[String]) -> Result<()> {
        let prefix = self.settings.topic_prefix();
        let (deadline, mut told) = (Instant::now() + FIRST_TOPIC, false);
        loop {
            let asked = Arc::clone(cluster);
            let topics = tokio::task::spawn_blocking(move || asked.topics())
                .await
                .map_err(|error| Error::new(Kind::Unexpected, "a task ended early").because(error))??;
            // A heartbeat tells that the connector is there, even where no table has a row yet.
            let heartbeat = |name: &str| name.starts_with("__debezium-heartbeat") && name.ends_with(&prefix);
            if subscribed(&topics, subscription).next().is_some() || topics.iter().any(|topic| heartbeat(&topic.name)) {
                return Ok(());
            }
            if Instant::now() >= deadline {
                let brokers = &kafka(self.settings)?.brokers;
                return Err(Error::new(
                    Kind::Source,
                    format!("no topic of {brokers} belongs to the configured tables (their names begin with \"{prefix}.\")"),
                )
                .hint(
                    "`pipectl connector apply` makes the connector that writes them, `pipectl connector status` tells how it is; check `kafka.topic_prefix` and \
                     `tables`, or name the topics in `kafka.topics`",
                ));
            }
            if !told {
                self.progress.note(format!("waiting for the first topic whose name begins with \"{prefix}.\""));
                told = true;
            }
            if *self.stop.borrow() {
                return Err(Error::new(Kind::Source, "stopped before there was a topic"));
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    /// Whether the connector's server still has the history that is stored.
    async fn same_history(&self, record: &PipelineRecord, state: &State, store: &mut StateStore) -> Result<()> {
        let Some(postgres) = self.settings.postgres.as_ref().filter(|_| !record.system_identifier.is_empty()) else {
            return Ok(());
        };
        let identity = identify(postgres).await?;
        same_server(record, &identity)?;
        let history = History { settings: self.settings, server: self.server, progress: self.progress };
        history.follow(state, store, &identity, None).await
    }

    async fn first_start(&self, plans: &[TablePlan], store: &mut StateStore) -> Result<PipelineRecord> {
        refuse_filled(self.server, &self.settings.clickhouse, plans).await?;
        let identity = match &self.settings.postgres {
            Some(postgres) => Some(identify(postgres).await?),
            None => None,
        };
        let (system, timeline) =
            identity.map(|identity| (identity.system_identifier, identity.timeline)).unwrap_or_default();
        let record = PipelineRecord { snapshot_done: true, ..PipelineRecord::intended(system, timeline, false) };
        store.save_pipeline(&record).await?;
        Ok(record)
    }
}
