//! What the source's catalog says of tables before they are copied: what happens to them without a message of the stream is told by what differs later.

use crate::checkpoint::{MarkRecord, StateStore};
use crate::error::Result;
use crate::server::postgres::TableMark;
use crate::sink::clickhouse::TablePlan;
use std::collections::BTreeMap;

/// Stores the marks of planned tables.
pub(super) async fn store<'a>(
    plans: impl Iterator<Item = &'a TablePlan>,
    marks: &BTreeMap<u32, TableMark>,
    store: &mut StateStore,
) -> Result<()> {
    for plan in plans {
        let Some(mark) = marks.get(&plan.schema.relid) else { continue };
        let record = MarkRecord { form: plan.schema.form(), heaps: mark.heaps.clone() };
        store.save_marks(plan.schema.relid, &record).await?;
    }
    Ok(())
}
