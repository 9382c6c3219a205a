//! The sink of a running stream: while a table is being copied, its changes go into the shadow, too, or into that alone.

use super::shadow::gone_name;
use crate::batch::{Deletions, Layout, TableBatch};
use crate::change::Version;
use crate::error::Result;
use crate::flow::{Newest, Sink, Truncation};
use crate::sink::clickhouse::ClickHouseSink;
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

/// Where changes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// Into the shadow and into the table itself, which are of one form.
    Beside,
    /// Into the shadow alone: the table is left behind, or of another form.
    Instead,
    /// Into the table, as ever: only partitions that were attached are copied, into the table itself.
    Table,
}

/// A shadow that is fed.
#[derive(Debug, Clone)]
struct Feeding {
    shadow: String,
    place: Place,
    truncated: Option<(Version, i64)>,
}

/// The shadows that are fed, by the ids of their tables. Clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Places(Arc<RwLock<HashMap<u32, Feeding>>>);

impl Places {
    /// From here on the table's changes go there.
    pub(crate) fn feed(&self, relation: u32, shadow: String, place: Place) {
        let feeding = Feeding { shadow, place, truncated: None };
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(relation, feeding);
    }

    /// Changes go into the table of its own name again. The last truncation that was carried out meanwhile.
    pub(crate) fn end(&self, relation: u32) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(&relation);
    }

    /// The last truncation since the shadow is fed: its version, and when it was committed.
    pub(crate) fn truncated(&self, relation: u32) -> Option<(Version, i64)> {
        self.get(relation)?.truncated
    }

    fn get(&self, relation: u32) -> Option<Feeding> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(&relation).cloned()
    }

    fn note_truncation(&self, truncation: &Truncation) {
        let relation = truncation.layout.relation;
        if let Some(feeding) = self.0.write().unwrap_or_else(PoisonError::into_inner).get_mut(&relation) {
            feeding.truncated = feeding.truncated.max(Some((truncation.version, truncation.at)));
        }
    }
}

/// ClickHouse as the sink of a stream with copies beside it.
///
/// The shadow is always written first: what the table has, the shadow has. An update whose left-out values are looked for in the table, and that is skipped
/// because it is there already, is in the shadow then, too.
#[derive(Debug, Clone)]
pub(crate) struct FedSink {
    pub(crate) sink: ClickHouseSink,
    pub(crate) places: Places,
}

impl Sink for FedSink {
    async fn insert(&self, batch: &TableBatch) -> Result<()> {
        let feeding = self.places.get(batch.layout().relation).filter(|feeding| feeding.place != Place::Table);
        let Some(feeding) = feeding else { return self.sink.insert(batch).await };
        self.sink.into_table(&feeding.shadow).insert(batch).await?;
        if feeding.place == Place::Beside { self.sink.insert(batch).await } else { Ok(()) }
    }

    async fn truncate(&self, truncation: &Truncation) -> Result<()> {
        let Some(feeding) = self.places.get(truncation.layout.relation) else {
            return self.sink.truncate(truncation).await;
        };
        // Rows of the copy may still come that are older.
        self.places.note_truncation(truncation);
        if feeding.place == Place::Table {
            return self.sink.truncate(truncation).await;
        }
        self.sink.into_table(&feeding.shadow).truncate(truncation).await?;
        if feeding.place == Place::Beside { self.sink.truncate(truncation).await } else { Ok(()) }
    }

    async fn mark_deleted(&self, deletions: &Deletions) -> Result<()> {
        // What they mark may not be in the shadow yet: they are taken over when the copy is complete, from the table where it goes on.
        let layout = deletions.layout();
        match self.places.get(layout.relation) {
            Some(Feeding { place: Place::Instead, .. }) => {
                self.sink.into_table(&gone_name(&layout.target)).note_deleted(deletions).await
            }
            _ => self.sink.mark_deleted(deletions).await,
        }
    }

    async fn newest(&self, layout: &Layout, columns: &[usize], keys: &[Vec<u8>]) -> Result<HashMap<Vec<u8>, Newest>> {
        match self.places.get(layout.relation) {
            Some(Feeding { shadow, place: Place::Instead, .. }) => {
                self.sink.into_table(&shadow).newest(layout, columns, keys).await
            }
            _ => self.sink.newest(layout, columns, keys).await,
        }
    }
}
