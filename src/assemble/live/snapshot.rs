//! Snapshots of a connector that begin again: what an earlier one has read, and the later one may not, goes.
//!
//! Debezium begins its snapshot anew when it was ended in the middle of it, and tells nothing of what happened in between: a row that was deleted there is
//! in the earlier snapshot alone, a row without a key in both.

use super::super::recopy::FedSink;
use super::LiveTables;
use crate::batch::Layout;
use crate::change::{Lsn, Version};
use crate::error::Result;
use crate::failpoint;
use crate::flow::{Sink, Snapshot, SnapshotBegun, Truncation};
use crate::server::clickhouse::quote_ident;
use crate::sink::clickhouse::{ClickHouseSink, ddl};
use std::sync::Arc;

impl LiveTables {
    /// Takes in that records of another snapshot come than before. Can be called again after an attempt that failed.
    pub(in super::super) async fn snapshot(
        &mut self,
        layout: &Arc<Layout>,
        Snapshot { began, at, own }: Snapshot,
    ) -> Result<SnapshotBegun> {
        let relation = layout.relation;
        let record = self.store.load().await?.tables.remove(&relation).unwrap_or_default();
        let known = record.snapshot.as_deref().and_then(|text| text.parse::<Lsn>().ok());
        let newest = known.map_or(began, |known| known.max(began));
        let again = newest == began && [known, own].iter().flatten().any(|before| *before < began);
        if again {
            self.progress.note(format!(
                "the connector began its snapshot again: what the one before has read of {} goes",
                layout.target
            ));
            self.clear_before(layout, (began, at)).await?;
            failpoint::die("snapshot.cleared");
        }
        let is_later = again || (record.snapshot_again && known == Some(newest));
        if known != Some(newest) || record.snapshot_again != is_later {
            let noted = Some(newest.to_string());
            self.note(relation, |record| (record.snapshot, record.snapshot_again) = (noted, is_later)).await?;
        }
        // What took the earlier one's rows away must not win against the later one's.
        let version = if is_later { Version::copied_under(newest) } else { Version::SNAPSHOT };
        Ok(SnapshotBegun { newest, version, again })
    }

    /// Takes away what earlier snapshots have read. Of a log these rows are no changes: they are gone from it.
    async fn clear_before(&self, layout: &Arc<Layout>, (began, at): (Lsn, i64)) -> Result<()> {
        let last = Version::new(Lsn::ZERO, began);
        let sink = ClickHouseSink::new(self.server.clone(), &self.settings.clickhouse.database);
        if layout.deleted_column.is_some() {
            let truncation = Truncation { layout: Arc::clone(layout), version: last, at };
            return FedSink { sink, places: self.copies.places.clone() }.truncate(&truncation).await;
        }
        let statement = format!(
            "ALTER TABLE {} DELETE WHERE {} <= {{last:UInt128}} SETTINGS mutations_sync = 2",
            ddl::qualified(&layout.target, &self.settings.clickhouse),
            quote_ident(&layout.version_column),
        );
        self.server.execute(&statement, &[("last", &last.0.to_string())]).await
    }
}
