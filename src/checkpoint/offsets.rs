//! How far topics are stored: a record a partition, all that have moved in one statement.

use super::StateStore;
use super::format::render;
use super::record::OffsetRecord;
use crate::change::{Offsets, Version};
use crate::error::Result;
use crate::flow::CheckpointStore;
use std::fmt::Write as _;
use std::sync::Arc;

/// JSON that one statement carries: in hexadecimal digits it has to fit into a parameter (128 KiB).
const BYTES_A_STATEMENT: usize = 48 << 10;
const WRITE: &str = include_str!("../../sql/clickhouse/write_offsets.sql");

/// The state as the [`CheckpointStore`] of records.
#[derive(Debug, Clone)]
pub struct OffsetStore(pub StateStore);

impl CheckpointStore for OffsetStore {
    type Position = Offsets;

    async fn save(&mut self, position: &Offsets) -> Result<()> {
        let mut rows = String::new();
        for ((topic, partition), reached) in &position.0 {
            let row = serde_json::json!({
                "name": format!("{partition}:{topic}"),
                "value": render(&OffsetRecord::from(*reached))?,
            });
            // Writing to a String cannot fail.
            writeln!(rows, "{row}").unwrap_or_default();
            if rows.len() >= BYTES_A_STATEMENT {
                self.write_rows(&std::mem::take(&mut rows)).await?;
            }
        }
        if rows.is_empty() { Ok(()) } else { self.write_rows(&rows).await }
    }

    async fn park(&mut self, relation: u32, reason: &str, since: Version) -> Result<()> {
        self.0.park(relation, reason, since).await
    }
}

impl OffsetStore {
    async fn write_rows(&self, rows: &str) -> Result<()> {
        let hex = rows.bytes().fold(String::with_capacity(rows.len() * 2), |mut hex, byte| {
            write!(hex, "{byte:02x}").unwrap_or_default();
            hex
        });
        let sequence = self.0.next_sequence();
        let parameters = [
            ("database", self.0.database.as_str()),
            ("pipeline", self.0.pipeline.as_str()),
            ("transport", self.0.transport.name()),
            ("slot", self.0.slot.as_str()),
            ("rows", hex.as_str()),
            ("sequence", sequence.as_str()),
        ];
        let stored = self.0.server.execute(WRITE, &parameters).await;
        stored.map_err(|error| error.during("could not store how far the topics are read"))
    }
}

/// Topic and partition of a record's name.
pub(super) fn parse(name: &str) -> Option<(Arc<str>, i32)> {
    let (partition, topic) = name.split_once(':')?;
    Some((topic.into(), partition.parse().ok()?))
}
