//! Takes away what pipectl made: the connector, the slot, the publications, the stored state, the dead letters and, if asked, the tables.

use super::connector::{self, RemoveOptions};
use super::copies::no_postgres;
use super::lock::PipelineLock;
use super::prepare::{drop_slot, slot_taken};
use crate::change::TableName;
use crate::checkpoint::{State, StateStore, TableRecord};
use crate::config::{Keyless, Settings, inserts_publication};
use crate::dead_letters::{self, LetterFilter};
use crate::error::{Error, Kind, Result};
use crate::server::clickhouse;
use crate::server::postgres::{quote_ident, server_error};
use crate::sink::clickhouse::{ddl, signed_log_name};
use crate::source::postgres::slot_state;

pub(super) const PUBLICATIONS: &str = include_str!("../../sql/postgres/publications_named.sql");

/// What there is of a pipeline.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Made {
    /// The Debezium connector, where it exists.
    pub connector: Option<String>,
    /// The slot, where it exists.
    pub slot: Option<String>,
    /// The publications that pipectl made.
    pub publications: Vec<String>,
    /// A publication of the pipeline's that somebody else made: it stays.
    pub foreign_publications: Vec<String>,
    /// Whether a state is stored.
    pub state: bool,
    /// Records of topics that were set aside.
    pub dead_letters: u64,
    /// The tables at the destination.
    pub tables: Vec<String>,
    /// The views that have the names of tables without a key, over the logs that are stored of them.
    pub views: Vec<String>,
}

async fn look(settings: &Settings, lock: &PipelineLock, store: &mut StateStore) -> Result<Made> {
    let postgres = settings.postgres.as_ref().ok_or_else(no_postgres)?;
    let slot = slot_state(lock.client(), &postgres.slot).await?;
    let connector = connector::exists(settings).await?.then(|| settings.connector_name());
    if let Some(pid) = slot.as_ref().and_then(|slot| slot.active_pid).filter(|_| connector.is_none()) {
        return Err(slot_taken(&postgres.slot, pid));
    }
    let state: State = store.load().await?;
    let names = [postgres.publication.clone(), inserts_publication(&postgres.publication)];
    let rows = lock
        .client()
        .query(PUBLICATIONS, &[&names.as_slice()])
        .await
        .map_err(|error| server_error("could not read the publications", error))?;
    let owned = state.pipeline.as_ref().is_some_and(|pipeline| pipeline.owns_publication);
    let found = rows.iter().map(|row| (row.get::<_, String>(0), owned || row.get::<_, bool>(1)));
    let (ours, others): (Vec<_>, Vec<_>) = found.partition(|(_, ours)| *ours);
    let names = |list: Vec<(String, bool)>| list.into_iter().map(|(name, _)| name).collect();
    let (publications, foreign_publications) = (names(ours), names(others));
    Ok(Made {
        connector,
        slot: slot.map(|_| postgres.slot.clone()),
        publications,
        foreign_publications,
        state: state != State::default(),
        dead_letters: dead_letters::count(settings, &LetterFilter::default()).await?,
        tables: state.tables.values().map(|table| table.target.clone()).collect(),
        views: state.tables.values().filter_map(|table| view_of(settings, table)).collect(),
    })
}

/// The view over a signed log, as the table's record says.
fn view_of(settings: &Settings, table: &TableRecord) -> Option<String> {
    table.view.clone().or_else(|| unrecorded_view(settings, table))
}

/// The same of a record that was written before views were in it: by the configuration, and the name that such a log has.
fn unrecorded_view(settings: &Settings, table: &TableRecord) -> Option<String> {
    let (schema, name) = table.source.split_once('.')?;
    let name = TableName::new(schema, name);
    let view = settings.rule_for(&name).filter(|rule| rule.keyless == Keyless::Multiset)?.target_of(&name);
    (signed_log_name(&view) == table.target).then_some(view)
}

/// Lists what there is of a pipeline. Nothing is changed.
///
/// # Errors
/// [`Kind::Source`] while a sync runs; else what the servers refuse.
pub async fn made(settings: &Settings) -> Result<Made> {
    let postgres = settings.postgres.as_ref().ok_or_else(no_postgres)?;
    let lock = PipelineLock::take(postgres).await?;
    look(settings, &lock, &mut store(settings)?).await
}

fn store(settings: &Settings) -> Result<StateStore> {
    Ok(StateStore::of_settings(settings, clickhouse::connect(&settings.clickhouse)?))
}

/// Removes it; the tables only where asked. The slot goes first, since it holds back the source's log.
///
/// # Errors
/// As for [`made`].
pub async fn remove(settings: &Settings, tables: bool) -> Result<Made> {
    let postgres = settings.postgres.as_ref().ok_or_else(no_postgres)?;
    let lock = PipelineLock::take(postgres).await?;
    let mut store = store(settings)?;
    let mut made = look(settings, &lock, &mut store).await?;
    if made.connector.is_some() {
        // It reads the slot, which is free once it is gone.
        let options = RemoveOptions { slot: made.slot.is_some(), publication: false };
        connector::remove(settings, options).await?;
    } else if let Some(slot) = &made.slot {
        drop_slot(&lock, slot).await?;
    }
    for publication in &made.publications {
        let statement = format!("DROP PUBLICATION IF EXISTS {}", quote_ident(publication));
        lock.client()
            .batch_execute(&statement)
            .await
            .map_err(|error| server_error(&format!("could not drop publication \"{publication}\""), error))?;
    }
    if tables {
        let server = clickhouse::connect(&settings.clickhouse)?;
        let currents: Vec<String> = made.tables.iter().map(|table| format!("{table}_current")).collect();
        let views = made.views.iter().chain(&currents).map(|view| ("VIEW", view));
        for (kind, name) in views.chain(made.tables.iter().map(|table| ("TABLE", table))) {
            let statement = format!("DROP {kind} IF EXISTS {} SYNC", ddl::qualified(name, &settings.clickhouse));
            server
                .execute(&statement, &[])
                .await
                .map_err(|error| error.during(format!("could not drop \"{name}\"")))?;
        }
    } else {
        made.tables.clear();
        made.views.clear();
    }
    dead_letters::forget(settings).await?;
    if made.state {
        store.forget().await?;
    }
    if made == Made::default() {
        return Err(Error::new(Kind::Config, format!("there is nothing of pipeline \"{}\"", settings.pipeline))
            .hint("is it the right configuration, and the right servers?"));
    }
    Ok(made)
}
