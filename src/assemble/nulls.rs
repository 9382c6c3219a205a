//! Writes down how many values a running sync stores as NULL because ClickHouse cannot hold them, for `status` to tell when it runs no more.

use crate::checkpoint::{NullsRecord, StateStore};
use crate::config::Settings;
use crate::server::clickhouse::Server;
use crate::sync::Progress;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

const PAUSE: Duration = Duration::from_secs(10);

/// What one process has counted, and what of it is written down.
pub(super) struct Nulls {
    store: StateStore,
    progress: Arc<Progress>,
    /// No other process has this name: several may share topics.
    process: String,
    written: BTreeMap<String, BTreeMap<String, u64>>,
}

impl Nulls {
    pub(super) fn new(settings: &Settings, server: Server, progress: &Arc<Progress>) -> Self {
        Self {
            store: StateStore::of_settings(settings, server),
            progress: Arc::clone(progress),
            process: format!("{:016x}", rand::random::<u64>()),
            written: BTreeMap::new(),
        }
    }

    /// Writes down now and then what is new.
    pub(super) async fn keep(&mut self) -> Infallible {
        loop {
            tokio::time::sleep(PAUSE).await;
            self.save().await;
        }
    }

    /// Writes down what is new. That it cannot be is no reason to end: the values themselves are where they belong.
    pub(super) async fn save(&mut self) {
        for (target, table) in self.progress.tables() {
            let columns = table.policy_nulls;
            if columns.is_empty() || self.written.get(&target) == Some(&columns) {
                continue;
            }
            let record = NullsRecord { columns: columns.clone() };
            match self.store.save_nulls(&target, &self.process, &record).await {
                Ok(()) => drop(self.written.insert(target, columns)),
                Err(error) => tracing::debug!(%error, "could not write down the values stored as NULL"),
            }
        }
    }
}
