//! The destination's tables before anything is written into them, and those that are parked.

use super::SyncOptions;
use super::column_names;
use super::renamed::follow;
use crate::batch::Ranges;
use crate::change::{Lsn, TableSchema, Version};
use crate::checkpoint::{State, StateStore, TablePhase};
use crate::config::{Settings, SyncSource};
use crate::error::{Kind, Result};
use crate::flow::CheckpointStore;
use crate::server::clickhouse::Server;
use crate::sink::clickhouse::TablePlan;
use crate::sync::Progress;
use crate::tables::{Plan, apply, gather, plan};
use tokio_postgres::Client;

/// Makes the tables that Postgres' catalog asks for, or alters them; those of the configuration that were asked for, and the dates the destination holds.
///
/// Without Postgres there is none: what the tables are is told by their records, and those that are written out are held against them first.
pub(super) async fn make_tables(
    (settings, options): (&Settings, &SyncOptions),
    postgres: Option<&Client>,
    (store, server): (&mut StateStore, &Server),
    progress: &Progress,
) -> Result<(Vec<TablePlan>, Ranges)> {
    let mut settings = Settings { statements: Vec::new(), ..settings.clone() };
    if postgres.is_none() {
        settings.tables.clear();
    }
    let mut facts = gather(&settings, postgres, server).await?;
    let state = store.load().await?;
    let settings = follow(&settings, &state, facts.source.as_deref().unwrap_or_default());
    if rename_columns((&settings, server), facts.source.as_deref().unwrap_or_default(), (&state, store), progress)
        .await?
    {
        facts = gather(&settings, postgres, server).await?;
    }
    let mut planned = plan(&settings, &facts);
    park_refused(&mut planned, facts.source.as_deref().unwrap_or_default(), store).await?;
    for warning in &planned.warnings {
        progress.note(format!("warning: {warning}"));
    }
    apply(&planned, server, |step| progress.note(step.to_string())).await?;
    let wanted = |plan: &TablePlan| options.wants(&plan.schema.name);
    Ok((planned.tables.into_iter().filter(wanted).collect(), facts.ranges))
}

/// Columns that were renamed while nothing ran. Whether any was, at the destination too.
async fn rename_columns(
    (settings, server): (&Settings, &Server),
    source: &[TableSchema],
    (state, store): (&State, &mut StateStore),
    progress: &Progress,
) -> Result<bool> {
    let mut any = false;
    for schema in source.iter().filter(|_| settings.sync.source == SyncSource::Postgres) {
        let record = state.tables.get(&schema.relid).filter(|record| record.phase == TablePhase::Ready);
        let Some(record) = record.filter(|record| record.copy.is_none() && record.renamed(schema).is_some()) else {
            continue;
        };
        if let Some(renamed) = column_names::rename(server, settings, (record, schema), progress).await? {
            store.save_table(schema.relid, &renamed).await?;
            any = true;
        }
    }
    Ok(any)
}

/// A table of the pipeline that was changed into one which the destination's cannot be altered to is left behind; the others go on. One that was altered at
/// the source is copied as soon as they do; one that the configuration alone wants otherwise, when somebody asks for it.
async fn park_refused(planned: &mut Plan, source: &[TableSchema], store: &mut StateStore) -> Result<()> {
    if planned.refusals.is_empty() {
        return Ok(());
    }
    let state = store.load().await?;
    let since = state.checkpoint.map(|record| record.position().end).unwrap_or_default();
    let mut others = Vec::new();
    for refusal in std::mem::take(&mut planned.refusals) {
        match state.tables.iter().find(|(_, record)| record.source == refusal.table) {
            Some((relation, record)) if refusal.error.kind() == Kind::Destination => {
                if record.phase != TablePhase::Parked {
                    store.park(*relation, &refusal.reason(), Version::new(since, Lsn::ZERO)).await?;
                    let known = state.marks.get(relation).map(|known| &known.form);
                    let now = source.iter().find(|schema| schema.relid == *relation).map(TableSchema::form);
                    if known.is_some_and(|known| !known.is_empty()) && now.is_some() && known != now.as_ref() {
                        copy(store, *relation, &refusal.reason()).await?;
                    }
                }
            }
            _ => others.push(refusal),
        }
    }
    planned.refusals = others;
    Ok(())
}

/// Columns that changed their names while nothing ran: the rows that are stored have the values under the old ones.
pub(super) async fn park_renamed(plans: &[TablePlan], store: &mut StateStore) -> Result<()> {
    let state = store.load().await?;
    let since = state.checkpoint.map(|record| record.position().end).unwrap_or_default();
    for plan in plans {
        let record = state.tables.get(&plan.schema.relid).filter(|record| record.phase == TablePhase::Ready);
        if let Some(reason) = record.and_then(|record| record.renamed(&plan.schema)) {
            store.park(plan.schema.relid, &reason, Version::new(since, Lsn::ZERO)).await?;
            copy(store, plan.schema.relid, &reason).await?;
        }
    }
    Ok(())
}

/// Notes that a table is to be copied while the others go on.
async fn copy(store: &mut StateStore, relation: u32, reason: &str) -> Result<()> {
    let mut record = store.load().await?.tables.remove(&relation).unwrap_or_default();
    record.copy = Some(reason.to_owned());
    store.save_table(relation, &record).await
}

/// Says which tables were parked before, and what brings them back.
pub(super) fn tell_parked(state: &State, progress: &Progress) {
    for record in state.tables.values().filter(|record| record.phase == TablePhase::Parked) {
        let reason = record.reason.clone().unwrap_or_default();
        let back = if record.copy.is_some() {
            "it is copied again now".to_owned()
        } else {
            format!("`pipectl resync {}` brings it back", record.source)
        };
        progress.note(format!("{} is parked: {reason}; {back}", record.source));
        progress.table(&record.target, |table| table.parked = Some(reason.clone()));
    }
}
