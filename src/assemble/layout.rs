//! From a table's plan to the layout of its batches.

use crate::batch::{Layout, LayoutColumn, Ranges};
use crate::change::{Lsn, ReplicaIdentity};
use crate::sink::clickhouse::{SOURCE_DELETED_COLUMN, TablePlan};
use std::sync::Arc;

/// What batches of a planned table look like, into a table of this name.
pub(super) fn layout(plan: &TablePlan, target: &str, ranges: Ranges, first_commit: Lsn) -> Arc<Layout> {
    let column = |column: &crate::sink::clickhouse::ColumnPlan| {
        let source = plan.schema.columns.get(column.source)?;
        Some(LayoutColumn {
            name: column.name.clone(),
            source: column.source_type(source).clone(),
            column_type: column.column_type.clone(),
            missing: source.missing_value.clone(),
            transform: column.transform.clone(),
        })
    };
    Arc::new(Layout {
        relation: plan.schema.relid,
        target: target.to_owned(),
        columns: plan.columns.iter().filter_map(column).collect(),
        key: plan.sorting_key.clone(),
        version_column: plan.version_column.clone(),
        deleted_column: plan.log.is_none().then(|| plan.deleted_column.clone()),
        log: plan.log,
        identity: (plan.schema.identity != ReplicaIdentity::Full).then(|| plan.identity.clone()),
        source_deleted_column: plan.keeps_deleted.then(|| SOURCE_DELETED_COLUMN.to_owned()),
        ranges,
        first_commit,
    })
}
