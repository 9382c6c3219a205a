//! The tables of a running stream: looked up again at every relation message, and the destination's brought up to them.
//!
//! A relation message tells names and types as they were then; the catalog tells them as they are now. What the destination lacks is computed from what it
//! has, never replayed, so that an old relation maps onto the newer table.

mod copying;
mod snapshot;
mod unsaid;

use super::SyncOptions;
use super::column_names;
use super::copies::no_postgres;
use super::layout::layout;
use super::publication;
use super::recopy::{Ask, CopyQueue, Place, Places, Want};
use crate::batch::{ColumnType, Layout, Ranges, RowMap, ValueType};
use crate::change::TableSchema;
use crate::checkpoint::{State, StateStore, TablePhase, follow};
use crate::config::{Settings, SyncSource};
use crate::decode::pgoutput::Relation;
use crate::error::{Error, Kind, Result};
use crate::flow::{Adopted, Tables};
use crate::server::clickhouse::{self, Server};
use crate::server::postgres::{Connection, connect, table};
use crate::sink::clickhouse::{TablePlan, counting_view_name, ddl, left_out, plan_table};
use crate::sync::{Progress, retrying};
use crate::tables::{Facts, apply, plan};
use copying::{Active, Told};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use tokio::sync::{mpsc, watch};
use unsaid::Seen;

/// What became of a table that was brought up to the source's.
#[derive(Debug)]
pub(super) enum Fit {
    Stored(Arc<Layout>),
    Ignored,
    Park(String),
}

/// The pipeline's tables, and both servers.
#[derive(Debug)]
pub(super) struct LiveTables {
    pub(super) settings: Settings,
    server: Server,
    client: Option<Connection>,
    pub(super) store: StateStore,
    pub(super) state: State,
    /// The dates that the destination holds.
    ranges: Ranges,
    layouts: HashMap<u32, Arc<Layout>>,
    /// Tables that are being copied.
    copying: HashMap<u32, Active>,
    copies: CopySide,
    /// What the source's catalog said last of each table, and whether that came while it was copied.
    seen: HashMap<u32, Seen>,
    /// Tables that came and have no place, see [`crate::checkpoint::displaced`].
    displaced: HashSet<u32>,
    /// Whether the catalog was looked at since the start.
    has_looked: bool,
    /// What is asked next.
    next: Option<Ask>,
    /// What was done, and is told once the engine has taken it in.
    told: Vec<Told>,
    progress: Arc<Progress>,
    stop: watch::Receiver<bool>,
}

/// What the tables share with the copies that are made while the stream runs.
#[derive(Debug)]
pub(super) struct CopySide {
    pub(super) places: Places,
    pub(super) queue: CopyQueue,
    pub(super) asks: mpsc::UnboundedReceiver<Ask>,
    /// Whether tables that are new join: those of topics do by their records.
    pub(super) joins: bool,
    /// The tables that were asked for, by name; all where empty.
    pub(super) options: SyncOptions,
}

impl LiveTables {
    pub(super) fn new(
        settings: &Settings,
        server: Server,
        (store, state, ranges): (StateStore, State, Ranges),
        copies: CopySide,
        (progress, stop): (&Arc<Progress>, &watch::Receiver<bool>),
    ) -> Self {
        // The configuration's own statements are for `create-tables`; a changing column is no occasion to run them.
        let settings = Settings { statements: Vec::new(), ..settings.clone() };
        let no_catalog = settings.postgres.is_none();
        Self {
            settings,
            server,
            client: None,
            store,
            state,
            ranges,
            layouts: HashMap::new(),
            copying: HashMap::new(),
            copies,
            seen: HashMap::new(),
            displaced: HashSet::new(),
            // Nobody looks where there is no catalog.
            has_looked: no_catalog,
            next: None,
            told: Vec::new(),
            progress: Arc::clone(progress),
            stop: stop.clone(),
        }
    }

    /// The session for looking things up, opened when it is first needed.
    pub(super) async fn client(&mut self) -> Result<&Connection> {
        let postgres = self.settings.postgres.as_ref().ok_or_else(no_postgres)?;
        if self.client.as_ref().is_none_or(|client| client.is_closed()) {
            self.client = Some(connect(postgres).await?);
        }
        self.client.as_ref().ok_or_else(no_postgres)
    }

    pub(super) async fn lookup(&mut self, relation: u32) -> Result<Option<TableSchema>> {
        table(self.client().await?, relation).await
    }

    /// What sorts a table of the destination; nothing where there is none of that name.
    pub(super) async fn sorting_key(&self, target: &str) -> Result<Vec<String>> {
        let stored = clickhouse::table(&self.server, &self.settings.clickhouse.database, target).await?;
        Ok(stored.tables.get(target).map(|table| table.sorting_key.clone()).unwrap_or_default())
    }

    /// The settings with the entry alone that holds for a table.
    fn settings_of(&self, schema: &TableSchema) -> Settings {
        let followed = follow(&self.settings, &self.state, std::slice::from_ref(schema));
        let rule = followed.rule_for(&schema.name).cloned();
        Settings { tables: rule.into_iter().collect(), ..followed }
    }

    /// What a plan of this table alone rests on: the entry that holds for it, and what the destination has. A shadow is one in the table's place.
    async fn facts(&self, schema: TableSchema, shadow: Option<&str>) -> Result<(Settings, Facts)> {
        let settings = self.settings_of(&schema);
        let rule = settings.rule_for(&schema.name);
        let own_name = rule.map(|rule| rule.target_of(&schema.name)).unwrap_or_default();
        let (database, instead) = (&settings.clickhouse.database, shadow.map(str::to_owned));
        let stored = clickhouse::table(&self.server, database, shadow.unwrap_or(&own_name)).await?;
        let type_names = std::collections::BTreeMap::new();
        Ok((settings, Facts { source: Some(vec![schema]), stored, ranges: self.ranges, type_names, instead }))
    }

    async fn bring_up(&mut self, relation: &Relation) -> Result<Adopted> {
        let Some(schema) = self.lookup(relation.id).await? else {
            // Dropped since: what the stream still has of it goes where it went before.
            return Ok(match self.layouts.get(&relation.id) {
                Some(layout) => stored(layout, relation),
                None => Adopted::Ignored,
            });
        };
        self.look_at(relation.id).await?;
        if self.standing(relation.id) == Some(TablePhase::Parked) {
            return Ok(Adopted::Parked);
        }
        Ok(match self.fit(schema.clone()).await? {
            Fit::Stored(layout) => {
                let relation = &self.under_present_names(relation).await?;
                match self.left_unsent(&layout, relation, &schema).await? {
                    Some(reason) => Adopted::Park(reason),
                    None => stored(&layout, relation),
                }
            }
            Fit::Ignored => Adopted::Ignored,
            Fit::Park(reason) => Adopted::Park(reason),
        })
    }

    /// The stream may still tell of columns under names that they had before.
    async fn under_present_names(&mut self, relation: &Relation) -> Result<Relation> {
        let record = self.state.tables.get(&relation.id);
        let present = column_names::present(record, relation);
        if column_names::has_unknown(record, &present) {
            self.need(Want::needed(relation.id, "a column had a name that was gone before it was seen")).await?;
        }
        Ok(present)
    }

    /// Whether columns that were renamed have their new names at the destination now. Records of topics tell of columns by other means.
    async fn rename(&mut self, schema: &TableSchema) -> Result<bool> {
        let record = self.state.tables.get(&schema.relid).filter(|record| record.phase == TablePhase::Ready).cloned();
        let Some(record) = record.filter(|_| self.settings.sync.source == SyncSource::Postgres) else {
            return Ok(false);
        };
        let settings = self.settings_of(schema);
        let renamed = column_names::rename(&self.server, &settings, (&record, schema), &self.progress).await?;
        let Some(renamed) = renamed else { return Ok(false) };
        self.note(schema.relid, |record| (record.columns, record.former) = (renamed.columns, renamed.former)).await?;
        Ok(true)
    }

    /// Why columns that are stored are not sent, where that is not because they came later: the publication was narrowed. They would become NULL.
    async fn left_unsent(
        &mut self,
        layout: &Layout,
        relation: &Relation,
        schema: &TableSchema,
    ) -> Result<Option<String>> {
        let is_sent = |name: &String| relation.columns.iter().any(|column| column.name == *name);
        if layout.columns.iter().all(|column| is_sent(&column.name)) {
            return Ok(None);
        }
        let settings = self.settings_of(schema);
        let Some(rule) = settings.rule_for(&schema.name) else { return Ok(None) };
        let plan = plan_table(schema, rule, &settings.clickhouse)?;
        publication::narrowed(self.client().await?, &settings, &plan).await
    }

    /// Brings the destination's table up to the source's; while it is copied, the shadow, too.
    pub(super) async fn fit(&mut self, mut schema: TableSchema) -> Result<Fit> {
        let relation = schema.relid;
        let shadows = self.copying.get(&relation).map(|active| (active.place, active.shadow.clone()));
        let renamed = self.state.tables.get(&relation).and_then(|record| record.renamed(&schema));
        if let Some(reason) = renamed
            && !matches!(shadows, Some((Place::Instead, _)))
            && !(shadows.is_none() && self.rename(&schema).await?)
        {
            return self.not_fitting(relation, reason).await;
        }
        self.remember(&mut schema).await?;
        let fit = match shadows {
            None | Some((Place::Table, _)) => self.fit_one(schema, None).await?,
            Some((Place::Instead, shadow)) => self.fit_one(schema, Some(&shadow)).await?,
            Some((Place::Beside, shadow)) => {
                self.fit_one(schema.clone(), Some(&shadow)).await?;
                self.fit_one(schema, None).await?
            }
        };
        if let Fit::Park(reason) = fit {
            return self.not_fitting(relation, reason).await;
        }
        if let Fit::Stored(layout) = &fit {
            if let Some(active) = self.copying.get_mut(&relation) {
                active.is_stale |= !active.has_form_of(layout);
            }
            self.layouts.insert(relation, Arc::clone(layout));
        }
        Ok(fit)
    }

    async fn fit_one(&mut self, schema: TableSchema, shadow: Option<&str>) -> Result<Fit> {
        let relation = schema.relid;
        let lost = self.settings_of(&schema).rule_for(&schema.name).and_then(|rule| left_out(&schema, rule));
        if let Some(reason) = lost {
            // What was followed is told to be left behind; what never took part was warned of.
            return Ok(if self.standing(relation).is_some() { Fit::Park(reason) } else { Fit::Ignored });
        }
        let (settings, facts) = self.facts(schema, shadow).await?;
        let planned = plan(&settings, &facts);
        if let Err(error) = planned.refused() {
            return Ok(Fit::Park(error.with_causes()));
        }
        let progress = Arc::clone(&self.progress);
        apply(&planned, &self.server, |step| progress.note(step.to_string())).await?;
        let Some(table) = planned.tables.first() else { return Ok(Fit::Ignored) };
        self.empty_dropped(table, &facts).await?;
        let record = self.state.tables.get(&relation);
        let first_commit = record.and_then(|record| record.first_commit.as_deref()?.parse().ok()).unwrap_or_default();
        let own_name = record.map_or(table.target.as_str(), |record| record.target.as_str());
        let target = if shadow.is_some() { own_name } else { &table.target };
        Ok(Fit::Stored(layout(table, target, facts.ranges, first_commit)))
    }

    /// Stores what rows older than the columns answer, before anything rests on it; and puts back what the source has forgotten of it since.
    async fn remember(&mut self, schema: &mut TableSchema) -> Result<()> {
        let Some(record) = self.state.tables.get(&schema.relid) else { return Ok(()) };
        let mut record = record.clone();
        let mut new = record.learn(schema);
        // A record of an earlier form does not have it.
        let view = self.settings_of(schema).rule_for(&schema.name).and_then(|rule| counting_view_name(schema, rule));
        if record.view.is_none() && view.is_some() {
            (record.view, new) = (view, true);
        }
        for column in &mut schema.columns {
            column.missing_value = record.missing.get(&column.number).cloned();
        }
        if new {
            // Nothing else is written meanwhile: the stream stands still while a relation is taken in.
            self.store.load().await?;
            self.store.save_table(schema.relid, &record).await?;
            self.state.tables.insert(schema.relid, record);
        }
        Ok(())
    }

    /// Columns that the source no longer has are kept. New rows hold nothing in them, which only NULL can say.
    async fn empty_dropped(&self, table: &TablePlan, facts: &Facts) -> Result<()> {
        let Some(stored) = facts.stored.tables.get(&table.target) else { return Ok(()) };
        let shape = table.shape();
        let known = |name: &str| shape.columns.iter().chain(&shape.added).any(|column| column.name == name);
        for column in &stored.columns {
            let Some(stored_type) = ColumnType::parse(&column.column_type) else { continue };
            let bears_nothing = stored_type.nullable || stored_type.value.is_collection();
            if known(&column.name) || bears_nothing || !column.default_kind.is_empty() {
                continue;
            }
            self.progress
                .note(format!("column \"{}\" of \"{}\" is kept, empty in new rows", column.name, table.target));
            self.give_null(&table.target, &column.name, stored_type.value).await?;
        }
        Ok(())
    }

    async fn give_null(&self, target: &str, column: &str, value: ValueType) -> Result<()> {
        let nullable = ColumnType::nullable(value).to_string();
        self.server.execute(&ddl::widen_column(target, column, &nullable, &self.settings.clickhouse), &[]).await
    }

    async fn widen(&mut self, relation: u32, column: &str) -> Result<()> {
        match self.lookup(relation).await? {
            Some(schema) => self.widen_in(schema, column).await,
            None => Ok(()),
        }
    }

    /// Lets a column of a table bear NULL, where it can.
    pub(super) async fn widen_in(&mut self, schema: TableSchema, column: &str) -> Result<()> {
        let active = self.copying.get(&schema.relid).map(|active| (active.place, active.shadow.clone()));
        if let Some((Place::Beside | Place::Instead, shadow)) = &active {
            self.widen_one(schema.clone(), column, Some(shadow)).await?;
        }
        match active {
            Some((Place::Instead, _)) => Ok(()),
            _ => self.widen_one(schema, column, None).await,
        }
    }

    async fn widen_one(&mut self, schema: TableSchema, column: &str, shadow: Option<&str>) -> Result<()> {
        let (settings, facts) = self.facts(schema, shadow).await?;
        let planned = plan(&settings, &facts);
        let found = planned.tables.first().and_then(|table: &TablePlan| Some((table, table.column(column)?)));
        let Some((table, planned_column)) = found else { return Ok(()) };
        if table.sorts(column) || planned_column.column_type.nullable {
            return Ok(());
        }
        self.progress.note(format!("column \"{column}\" of \"{}\" gets room for NULL", table.target));
        self.give_null(&table.target, column, planned_column.column_type.value.clone()).await
    }
}

fn stored(layout: &Arc<Layout>, relation: &Relation) -> Adopted {
    let names = relation.columns.iter().map(|column| column.name.as_str());
    Adopted::Stored { layout: Arc::clone(layout), map: Arc::new(RowMap::by_name(layout, names)) }
}

impl Tables for LiveTables {
    async fn adopt(&mut self, relation: &Relation) -> Result<Adopted> {
        match self.standing(relation.id) {
            None => return Ok(Adopted::Ignored),
            Some(TablePhase::Parked) => return Ok(Adopted::Parked),
            Some(TablePhase::Ready | TablePhase::Copying) => {}
        }
        let (progress, stop) = (Arc::clone(&self.progress), self.stop.clone());
        let shared = tokio::sync::Mutex::new(self);
        retrying(&progress, &stop, || async { shared.lock().await.bring_up(relation).await }).await
    }

    fn leave(&mut self, relation: u32) {
        self.left(relation);
    }

    async fn asked(&mut self) {
        self.await_ask().await;
    }

    async fn attend(&mut self) -> Vec<u32> {
        self.do_asked().await
    }

    fn is_copying(&self) -> bool {
        self.has_copies()
    }

    async fn relax(&mut self, relation: u32, column: &str) -> Result<()> {
        let before = self.layouts.get(&relation).cloned();
        let (progress, stop) = (Arc::clone(&self.progress), self.stop.clone());
        let shared = tokio::sync::Mutex::new(self);
        retrying(&progress, &stop, || async { shared.lock().await.widen(relation, column).await }).await?;
        let took_part = before.is_some_and(|layout| layout.columns.iter().any(|other| other.name == column));
        if took_part {
            return Ok(());
        }
        Err(Error::new(Kind::Value, format!("a row without a value for column \"{column}\" cannot be stored")))
    }
}
