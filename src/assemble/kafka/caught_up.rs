//! Up to where a pipeline has to read to have caught up: the connector has confirmed the log's end at the start, and everything that the topics hold then.

use super::super::lock::PipelineLock;
use super::prepare::Prepared;
use crate::change::Lsn;
use crate::config::Settings;
use crate::error::{Error, Kind, Result};
use crate::server::kafka::Cluster;
use crate::source::kafka::ends;
use crate::source::postgres::slot_state;
use crate::sync::{Ends, Progress};
use std::sync::Arc;
use std::time::{Duration, Instant};

const POLL: Duration = Duration::from_millis(200);
/// How often a further message is written while the connector is waited for.
const NUDGE: Duration = Duration::from_secs(1);
/// How often it is told that the connector is waited for.
const TELL: Duration = Duration::from_secs(10);

/// The question for the ends.
pub(super) struct Wanted {
    lock: Option<Arc<PipelineLock>>,
    slot: String,
    cluster: Arc<Cluster>,
    subscription: Vec<String>,
    /// Where the log ended at the start.
    log_end: tokio::sync::OnceCell<Lsn>,
    progress: Arc<Progress>,
}

impl Wanted {
    pub(super) fn new(settings: &Settings, prepared: &Prepared, progress: &Arc<Progress>) -> Self {
        Self {
            lock: prepared.lock.clone(),
            slot: settings.postgres.as_ref().map(|postgres| postgres.slot.clone()).unwrap_or_default(),
            cluster: Arc::clone(&prepared.cluster),
            subscription: prepared.subscription.clone(),
            log_end: tokio::sync::OnceCell::new(),
            progress: Arc::clone(progress),
        }
    }

    /// Waits for the connector, unless the topics are wanted as they are, and asks for their ends then.
    pub(super) async fn ends(&self, as_they_are: bool) -> Result<Ends> {
        if let Some(lock) = self.lock.as_ref().filter(|_| !as_they_are) {
            let end = *self.log_end.get_or_try_init(|| log_end(lock)).await?;
            self.connector_confirmed(lock, end).await?;
        }
        let (cluster, subscription) = (Arc::clone(&self.cluster), self.subscription.clone());
        tokio::task::spawn_blocking(move || ends(&cluster, &subscription))
            .await
            .map_err(|error| Error::new(Kind::Unexpected, "a task ended early").because(error))?
    }

    async fn connector_confirmed(&self, lock: &PipelineLock, end: Lsn) -> Result<()> {
        let (mut told, mut nudged) = (Instant::now(), Instant::now());
        loop {
            // A connector confirms what came before the last thing that it has sent.
            if nudged.elapsed() >= NUDGE {
                nudged = Instant::now();
                lock.heartbeat().await.ok();
            }
            let Some(slot) = slot_state(lock.client(), &self.slot).await? else {
                self.progress.note(format!(
                    "warning: there is no replication slot \"{}\": the topics are read to their ends as they are now",
                    self.slot
                ));
                return Ok(());
            };
            if slot.confirmed >= end {
                return Ok(());
            }
            if told.elapsed() >= TELL {
                told = Instant::now();
                let reader =
                    if slot.active_pid.is_some() { "" } else { ", which nobody reads: does the connector run?" };
                self.progress.note(format!(
                    "waiting for the connector to confirm {end}; slot \"{}\" is at {}{reader}",
                    self.slot, slot.confirmed
                ));
            }
            tokio::time::sleep(POLL).await;
        }
    }
}

/// A message of our own moves the log, so that the connector has something to confirm; a standby writes none.
async fn log_end(lock: &PipelineLock) -> Result<Lsn> {
    match lock.heartbeat().await {
        Ok(lsn) => Ok(lsn),
        Err(_) => lock.flushed().await,
    }
}
