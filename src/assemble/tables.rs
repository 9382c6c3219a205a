//! The destination's tables before anything is written into them, and those that are parked.

use super::SyncOptions;
use super::column_names;
use crate::batch::Ranges;
use crate::change::{Lsn, TableSchema, Version};
use crate::checkpoint::{State, StateStore, TablePhase, follow};
use crate::config::{Settings, SyncSource};
use crate::error::{Error, Kind, Result};
use crate::flow::CheckpointStore;
use crate::server::clickhouse::{Server, StoredDatabase};
use crate::sink::clickhouse::{TablePlan, ddl, left_out};
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
    if remake_unused((&settings, server), &planned, &state, progress).await? {
        facts = gather(&settings, postgres, server).await?;
        planned = plan(&settings, &facts);
    }
    park_refused(&mut planned, facts.source.as_deref().unwrap_or_default(), store).await?;
    // Tables that were parked just now are neither left out nor planned: of all others the state is as it was.
    park_left_out((&settings, facts.source.as_deref().unwrap_or_default()), (&state, store)).await?;
    for warning in &planned.warnings {
        progress.note(format!("warning: {warning}"));
    }
    for (relation, reason) in gone(&planned, &facts.stored, &state)? {
        copy(store, relation, &reason).await?;
        store.park(relation, &reason, Version::SNAPSHOT).await?;
    }
    apply(&planned, server, |step| progress.note(step.to_string())).await?;
    let wanted = |plan: &TablePlan| options.wants(&plan.schema.name);
    Ok((planned.tables.into_iter().filter(wanted).collect(), facts.ranges))
}

/// Tables that are followed, and that the destination no longer has: they would be made again, with the rows to come alone.
fn gone(planned: &Plan, stored: &StoredDatabase, state: &State) -> Result<Vec<(u32, String)>> {
    let mut found = Vec::new();
    for plan in planned.tables.iter().filter(|plan| !stored.tables.contains_key(&plan.target)) {
        let relation = plan.schema.relid;
        let Some(record) = state.tables.get(&relation).filter(|record| record.target == plan.target) else { continue };
        let has_ranges = state.ranges.range((relation, 0)..=(relation, u32::MAX)).next().is_some();
        match record.phase {
            TablePhase::Ready => found.push((relation, format!("\"{}\" was gone from ClickHouse", plan.target))),
            TablePhase::Copying if has_ranges => {
                let message =
                    format!("table \"{}\" is gone from ClickHouse in the middle of its first copy", plan.target);
                return Err(Error::new(Kind::SourceGap, message).hint("`pipectl resync --all` begins anew"));
            }
            _ => {}
        }
    }
    Ok(found)
}

/// Makes tables anew that were made for an earlier form of theirs at the source, or in the configuration, and into which nothing was ever copied. Whether there
/// were any.
async fn remake_unused(
    (settings, server): (&Settings, &Server),
    planned: &Plan,
    state: &State,
    progress: &Progress,
) -> Result<bool> {
    let is_known = |table: &String| state.tables.values().any(|record| record.source == *table);
    let unused = planned.refusals.iter().filter(|refusal| !is_known(&refusal.table));
    let mut any = false;
    for (table, shape) in unused.filter_map(|refusal| Some((&refusal.table, refusal.unused.as_ref()?))) {
        server.execute(&ddl::drop_table(&shape.name, &settings.clickhouse), &[]).await?;
        server.execute(&ddl::create_table(shape, &settings.clickhouse), &[]).await?;
        progress.note(format!("{table} has another form than its table was made for, which is empty: made anew"));
        any = true;
    }
    Ok(any)
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
                    let known = state.marks.get(relation).map(|known| &known.form);
                    let now = source.iter().find(|schema| schema.relid == *relation).map(TableSchema::form);
                    if known.is_some_and(|known| !known.is_empty()) && now.is_some() && known != now.as_ref() {
                        // First: a process that is killed in between must not leave it parked for good.
                        copy(store, *relation, &refusal.reason()).await?;
                    }
                    store.park(*relation, &refusal.reason(), Version::new(since, Lsn::ZERO)).await?;
                }
            }
            _ => others.push(refusal),
        }
    }
    planned.refusals = others;
    Ok(())
}

/// A table of the pipeline that can no longer take part, such as one that has lost its key, is left behind: what is stored of it is no longer what the source has.
async fn park_left_out(
    (settings, source): (&Settings, &[TableSchema]),
    (state, store): (&State, &mut StateStore),
) -> Result<()> {
    let since = state.checkpoint.as_ref().map(|record| record.position().end).unwrap_or_default();
    for schema in source {
        let is_followed = state.tables.get(&schema.relid).is_some_and(|record| record.phase == TablePhase::Ready);
        let Some(rule) = settings.rule_for(&schema.name).filter(|_| is_followed) else { continue };
        if let Some(reason) = left_out(schema, rule) {
            store.park(schema.relid, &reason, Version::new(since, Lsn::ZERO)).await?;
        }
    }
    Ok(())
}

/// Columns that changed their names while nothing ran: the rows that are stored have the values under the old ones.
pub(super) async fn park_renamed(plans: &[TablePlan], store: &mut StateStore) -> Result<()> {
    let state = store.load().await?;
    let since = state.checkpoint.map(|record| record.position().end).unwrap_or_default();
    for plan in plans {
        let record = state.tables.get(&plan.schema.relid).filter(|record| record.phase == TablePhase::Ready);
        if let Some(reason) = record.and_then(|record| record.renamed(&plan.schema)) {
            copy(store, plan.schema.relid, &reason).await?;
            store.park(plan.schema.relid, &reason, Version::new(since, Lsn::ZERO)).await?;
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
