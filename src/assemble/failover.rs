//! Whether what is stored is part of the history of the server that is there now.
//!
//! A standby that takes over begins a timeline of its own. Where it lacked the end of the old one, its log has other changes in the same place: Postgres
//! would stream on behind the stored position without a word, and rows that never were would stay.

use super::copies::no_postgres;
use super::slots::{Start, decide};
use crate::change::Lsn;
use crate::checkpoint::{PipelineRecord, State, StateStore};
use crate::config::{ClickHouseSettings, Settings};
use crate::error::{Error, Kind, Result};
use crate::server::clickhouse::Server;
use crate::server::postgres::connect;
use crate::source::postgres::{Fork, ReplicationServer, identify_again, slot_state, timeline_history};
use crate::sync::Progress;
use serde_json::Value;

const VERSIONED_TABLES: &str = include_str!("../../sql/clickhouse/versioned_tables.sql");
const NEWEST_VERSION: &str = include_str!("../../sql/clickhouse/newest_version.sql");

/// What a pipeline's history is told by.
pub(super) struct History<'a> {
    pub(super) settings: &'a Settings,
    pub(super) server: &'a Server,
    pub(super) progress: &'a Progress,
}

impl History<'_> {
    /// Holds slot, position and server against each other once more, before a new session streams on: it may be another server that answers now.
    ///
    /// # Errors
    /// [`Kind::SourceGap`] where changes are missing.
    pub(super) async fn rejoin(&self) -> Result<()> {
        let postgres = self.settings.postgres.as_ref().ok_or_else(no_postgres)?;
        let identity = identify_again(postgres).await?;
        let mut store = StateStore::of_settings(self.settings, self.server.clone());
        let state = store.load().await?;
        let slot = slot_state(&*connect(postgres).await?, &postgres.slot).await?;
        let start = decide(&postgres.slot, &state, slot.as_ref(), &identity)?;
        self.follow(&state, &mut store, &identity, Some(start)).await
    }

    /// Follows the server onto its timeline, where everything that is stored came before the fork. `start` is that of a pipeline with a slot.
    ///
    /// # Errors
    /// [`Kind::SourceGap`] where it did not, or where that cannot be told.
    pub(super) async fn follow(
        &self,
        state: &State,
        store: &mut StateStore,
        identity: &ReplicationServer,
        start: Option<Start>,
    ) -> Result<()> {
        let Some(record) = state.pipeline.as_ref().filter(|record| record.timeline != identity.timeline) else {
            return Ok(());
        };
        let stored = match start {
            Some(Start::Fresh | Start::Orphan) => Lsn::ZERO,
            // What its readers saw is not noted.
            Some(Start::ResumeCopy) => Lsn(u64::MAX),
            Some(Start::Stream(position)) => position.end.max(self.newest(state).await?),
            None => self.newest(state).await?,
        };
        let postgres = self.settings.postgres.as_ref().ok_or_else(no_postgres)?;
        let history = timeline_history(postgres, identity.timeline).await?;
        joins(record.timeline, identity.timeline, &history, stored)?;
        self.progress.note(format!(
            "Postgres went from timeline {} to timeline {}, which has all that is stored",
            record.timeline, identity.timeline
        ));
        store.save_pipeline(&PipelineRecord { timeline: identity.timeline, ..record.clone() }).await
    }

    /// The latest transaction that has a row in any table: rows are stored before the position that covers them.
    async fn newest(&self, state: &State) -> Result<Lsn> {
        let ClickHouseSettings { database, version_column, .. } = &self.settings.clickhouse;
        let parameters = [("database", database.as_str()), ("version", version_column.as_str())];
        let versioned = self.server.rows(VERSIONED_TABLES, &parameters).await?;
        let mut newest = Lsn::ZERO;
        for table in versioned.iter().filter_map(|row| row.get("table")).filter_map(Value::as_str) {
            if state.tables.values().all(|record| record.target != table) {
                continue;
            }
            let rows = self.server.rows(NEWEST_VERSION, &[parameters[0], parameters[1], ("table", table)]).await?;
            let place = rows.first().and_then(|row| row.get("place")).and_then(Value::as_str);
            newest = newest.max(Lsn(place.and_then(|place| place.parse().ok()).unwrap_or(u64::MAX)));
        }
        Ok(newest)
    }
}

/// Whether a timeline's history has everything up to a place of another one.
fn joins(before: u32, now: u32, history: &[Fork], stored: Lsn) -> Result<()> {
    let what = match history.iter().find(|fork| fork.timeline == before) {
        Some(fork) if stored <= fork.at => return Ok(()),
        Some(fork) if stored == Lsn(u64::MAX) => {
            format!("it left timeline {before} at {} while the tables were copied", fork.at)
        }
        Some(fork) => format!("it left timeline {before} at {}, and ClickHouse has stored up to {stored}", fork.at),
        None => format!("it does not come from timeline {before}, which ClickHouse has stored"),
    };
    Err(Error::new(Kind::SourceGap, format!("Postgres is on timeline {now}, which has another history: {what}")).hint(
        "a standby took over that lacked the last changes, or a backup was restored: `pipectl resync --all` copies everything again",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_must_come_before_the_fork() {
        let history = [Fork { timeline: 1, at: Lsn(100) }, Fork { timeline: 2, at: Lsn(200) }];
        let refused = |before, stored| joins(before, 3, &history, Lsn(stored)).map_err(|error| error.to_string()).err();
        assert_eq!((refused(1, 100), refused(2, 200), refused(2, 0)), (None, None, None));
        assert!(refused(1, 101).unwrap().contains("left timeline 1 at 0/64"));
        assert!(refused(4, 0).unwrap().contains("does not come from timeline 4"));
        assert!(refused(2, u64::MAX).unwrap().contains("while the tables were copied"));
    }
}
