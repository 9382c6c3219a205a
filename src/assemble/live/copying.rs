//! What a copy asks of the tables of a running stream, done between two changes.

use super::super::kept::{Kept, now};
use super::super::prepare::table_record;
use super::super::recopy::{Ask, Begun, Complete, Exchanged, Later, Place, Shadow, Want, gone_name, shadow_name};
use super::unsaid::happened;
use super::{Fit, LiveTables};
use crate::batch::{Layout, LayoutColumn, LogForm};
use crate::change::{Lsn, Straddling, TableName, TableSchema, Version};
use crate::checkpoint::{CopiedRecord, CopyAnswer, ExchangeRecord, MarkRecord, TablePhase, TableRecord, displaced};
use crate::config::{DroppedPartitions, Settings, SyncSource};
use crate::error::{Error, Kind, Result};
use crate::failpoint;
use crate::flow::{Sink, Truncation};
use crate::server::postgres::marks;
use crate::sink::clickhouse::{ClickHouseSink, TablePlan, ddl, left_out, plan_table};
use crate::sync::retrying;
use std::sync::Arc;
use tokio::sync::{Mutex, oneshot};

/// A table that is being copied.
#[derive(Debug)]
pub(super) struct Active {
    pub(super) place: Place,
    pub(super) shadow: String,
    plan: TablePlan,
    layout: Arc<Layout>,
    /// Whether it changed its form since.
    pub(super) is_stale: bool,
    /// Whether a change of it could not be carried since.
    has_failed: bool,
    /// Whether somebody asked for it; else its rows are not what the source has.
    was_asked_for: bool,
    /// Which of its changes the copy does not have, where their versions do not tell.
    straddling: Option<Arc<Straddling>>,
}

impl Active {
    fn new((place, shadow): (Place, String), plan: TablePlan, layout: Arc<Layout>, was_asked_for: bool) -> Self {
        Self { place, shadow, plan, layout, is_stale: false, has_failed: false, was_asked_for, straddling: None }
    }

    /// Whether the copied rows look like those of the stream.
    pub(super) fn has_form_of(&self, layout: &Layout) -> bool {
        self.layout.columns == layout.columns && self.layout.key == layout.key
    }
}

/// Tells whoever asked.
pub(super) struct Told(Box<dyn FnOnce() + Send + Sync>);

impl std::fmt::Debug for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Told")
    }
}

impl LiveTables {
    /// What is done with a table's rows: those of one that is left behind are stored again while it is copied.
    pub(in super::super) fn standing(&self, relation: u32) -> Option<TablePhase> {
        let phase = self.state.tables.get(&relation).map(|record| record.phase);
        let is_fed =
            self.copying.get(&relation).is_some_and(|active| active.place == Place::Instead && !active.has_failed);
        if is_fed { phase.map(|_| TablePhase::Ready) } else { phase }
    }

    /// A table is left behind. A copy that is under way lacks what could not be carried.
    pub(in super::super) fn left(&mut self, relation: u32) {
        if let Some(record) = self.state.tables.get_mut(&relation) {
            record.phase = TablePhase::Parked;
        }
        if let Some(active) = self.copying.get_mut(&relation) {
            active.has_failed = true;
        }
    }

    /// What is told of a table's changes while it is copied.
    pub(in super::super) fn straddling(&self, relation: u32) -> Option<Arc<Straddling>> {
        self.copying.get(&relation)?.straddling.clone()
    }

    /// Whether any table waits for its copy, or is being copied.
    pub(in super::super) fn has_copies(&self) -> bool {
        !self.has_looked || self.copies.queue.is_busy()
    }

    /// Waits until a copy asks for something; tells before who asked last.
    pub(in super::super) async fn await_ask(&mut self) {
        self.told.drain(..).for_each(|told| (told.0)());
        if self.next.is_none() {
            match self.copies.asks.recv().await {
                Some(ask) => self.next = Some(ask),
                None => std::future::pending().await,
            }
        }
    }

    /// Does what is asked for; the relations that are to be adopted anew.
    pub(in super::super) async fn do_asked(&mut self) -> Vec<u32> {
        let (progress, stop) = (Arc::clone(&self.progress), self.stop.clone());
        let ask = self.next.take();
        let shared = Mutex::new(&mut *self);
        match ask {
            Some(Ask::Begin(want, reply)) => {
                let begun = retrying(&progress, &stop, || async { shared.lock().await.begin(&want).await }).await;
                self.tell(want.relation, begun, reply)
            }
            Some(Ask::Exchange(complete, reply)) => {
                let exchanged =
                    retrying(&progress, &stop, || async { shared.lock().await.exchange(&complete).await }).await;
                self.tell(complete.relation, exchanged, reply)
            }
            Some(Ask::Abandon(relation, reason, reply)) => {
                let given_up = || async { shared.lock().await.abandon(relation, reason.as_deref()).await };
                let given_up = retrying(&progress, &stop, given_up).await;
                self.tell(relation, given_up, reply)
            }
            Some(Ask::Look(marks)) => {
                let looked = retrying(&progress, &stop, || async { shared.lock().await.look(&marks).await }).await;
                looked.unwrap_or_else(|error| {
                    progress.note(format!("warning: {}", error.with_causes()));
                    Vec::new()
                })
            }
            Some(Ask::Settled) | None => Vec::new(),
        }
    }

    fn tell<T: Send + Sync + 'static>(
        &mut self,
        relation: u32,
        result: Result<T>,
        reply: oneshot::Sender<Result<T>>,
    ) -> Vec<u32> {
        // Who no longer waits has been stopped.
        self.told.push(Told(Box::new(move || drop(reply.send(result)))));
        vec![relation]
    }

    fn shadows(&self) -> Shadow<'_> {
        Shadow { server: &self.server, settings: &self.settings.clickhouse }
    }

    /// Changes a table's record, also where it is stored.
    pub(super) async fn note(&mut self, relation: u32, change: impl FnOnce(&mut TableRecord)) -> Result<()> {
        // Why it is parked is noted by whoever stores rows.
        let mut record = self.store.load().await?.tables.remove(&relation).unwrap_or_default();
        change(&mut record);
        self.store.save_table(relation, &record).await?;
        self.state.tables.insert(relation, record);
        Ok(())
    }

    async fn begin(&mut self, want: &Want) -> Result<Begun> {
        let relation = want.relation;
        self.stop_feeding(relation);
        let Some(mut schema) = self.lookup(relation).await? else {
            return Err(Error::new(Kind::Source, "the table is no longer in Postgres"));
        };
        self.remember(&mut schema).await?;
        let settings = self.settings_of(&schema);
        let Some(rule) = settings.rule_for(&schema.name) else {
            return Err(Error::new(Kind::Config, format!("{} is no table of the running sync", schema.name)));
        };
        if let Some(reason) = left_out(&schema, rule) {
            return Err(Error::new(Kind::Config, reason));
        }
        let mut plan = plan_table(&schema, rule, &settings.clickhouse)?;
        same_configuration(want, &plan, &settings)?;
        self.refuse_displaced(&schema, &rule.target_of(&schema.name)).await?;
        if let Some(begun) = self.begin_leaves(want, &schema).await? {
            return Ok(begun);
        }
        let phase = self.state.tables.get(&relation).map(|record| record.phase);
        let (is_ready, is_new) = (phase == Some(TablePhase::Ready), phase == Some(TablePhase::Copying));
        refuse_log(&plan, want.request.is_some() || is_new)?;
        let place = if is_ready && self.is_of_form(&schema, &mut plan).await? { Place::Beside } else { Place::Instead };
        if want.request.is_none() && place == Place::Instead {
            self.refuse_losing(&plan).await?;
        }
        let (shadow, layout) = (shadow_name(&plan.target), super::layout(&plan, &plan.target, self.ranges, Lsn::ZERO));
        let (reason, source, target) = (want.reason.clone(), schema.name.to_string(), plan.target.clone());
        self.note(relation, |record| {
            (record.source, record.target, record.copy, record.exchanging) = (source, target, Some(reason), None);
            if place == Place::Instead && record.phase == TablePhase::Ready {
                record.phase = TablePhase::Parked;
                record.reason = Some("it is being copied into another form".to_owned());
            }
        })
        .await?;
        self.shadows().make(&plan).await?;
        if plan.keeps_deleted && place == Place::Instead {
            self.shadows().make_gone(&plan).await?;
        }
        self.copies.places.feed(relation, shadow.clone(), place);
        let is_told_apart = plan.log.is_some() && settings.sync.source == SyncSource::Kafka;
        let straddling = is_told_apart.then(Arc::<Straddling>::default);
        let begun = Begun {
            layout: super::layout(&plan, &shadow, self.ranges, Lsn::ZERO),
            filter: rule.row_filter.clone(),
            leaves: Vec::new(),
            plan: plan.clone(),
            place,
            straddling: straddling.clone(),
        };
        let mut active = Active::new((place, shadow), plan, layout, want.request.is_some());
        active.straddling = straddling;
        self.copying.insert(relation, active);
        Ok(begun)
    }

    /// A copy must not take the place of a table that was renamed, and whose rows go on to come.
    async fn refuse_displaced(&mut self, schema: &TableSchema, target: &str) -> Result<()> {
        let has_place = |(other, record): &(&u32, &TableRecord)| **other != schema.relid && record.has_place(target);
        let Some(other) = self.state.tables.iter().find(has_place).map(|(other, _)| *other) else { return Ok(()) };
        let Some(owner) = self.lookup(other).await? else { return Ok(()) };
        match displaced((&self.settings, &self.state), target, std::iter::once((other, &owner.name))) {
            Some(reason) => Err(Error::new(Kind::Config, format!("{} has no place: {reason}", schema.name))),
            None => Ok(()),
        }
    }

    /// That rows go which stay though they are gone at the source has to be asked for.
    async fn refuse_losing(&self, plan: &TablePlan) -> Result<()> {
        let (shape, settings) = (plan.shape(), &self.settings.clickhouse);
        let kept = Kept { server: &self.server, settings, plan, shadow: &shape, version: Version::SNAPSHOT };
        if !plan.keeps_deleted || !kept.are_lost().await? {
            return Ok(());
        }
        let name = &plan.schema.name;
        let why = format!(
            "{name} keeps rows that are deleted at the source, and they do not fit its columns as they are now"
        );
        Err(Error::new(Kind::Config, why)
            .hint(format!("`pipectl resync {name}` copies it without them, while sync runs")))
    }

    /// Partitions that came to a table which is followed: their rows go into it at the copy's version, older than every change that is still to come.
    async fn begin_leaves(&mut self, want: &Want, schema: &TableSchema) -> Result<Option<Begun>> {
        let relation = want.relation;
        let is_ready = self.state.tables.get(&relation).is_some_and(|record| record.phase == TablePhase::Ready);
        if want.leaves.is_empty() || !is_ready {
            return Ok(None);
        }
        let Fit::Stored(layout) = self.fit(schema.clone()).await? else { return Ok(None) };
        let settings = self.settings_of(schema);
        let Some(rule) = settings.rule_for(&schema.name) else { return Ok(None) };
        let plan = plan_table(schema, rule, &settings.clickhouse)?;
        if plan.log.is_some() {
            // What of them came by the stream already could not be told apart.
            return Ok(None);
        }
        let reason = want.reason.clone();
        self.note(relation, |record| (record.copy, record.exchanging) = (Some(reason), None)).await?;
        self.copies.places.feed(relation, plan.target.clone(), Place::Table);
        let begun = Begun {
            layout: Arc::clone(&layout),
            filter: rule.row_filter.clone(),
            leaves: want.leaves.clone(),
            plan: plan.clone(),
            place: Place::Table,
            straddling: None,
        };
        let shadow = plan.target.clone();
        let active = Active::new((Place::Table, shadow), plan, layout, false);
        self.copying.insert(relation, active);
        Ok(Some(begun))
    }

    /// Whether rows for the table as it is are right for the table as it will be. A column that bears NULL already goes on to.
    async fn is_of_form(&mut self, schema: &TableSchema, plan: &mut TablePlan) -> Result<bool> {
        let Fit::Stored(stored) = self.fit(schema.clone()).await? else { return Ok(false) };
        let wanted = super::layout(plan, &plan.target, self.ranges, Lsn::ZERO);
        let same = |wanted: &LayoutColumn, stored: &LayoutColumn| {
            let bears_null = stored.column_type.nullable && stored.column_type.value == wanted.column_type.value;
            wanted.name == stored.name && (wanted.column_type == stored.column_type || bears_null)
        };
        let is_same = wanted.columns.len() == stored.columns.len()
            && wanted.columns.iter().zip(&stored.columns).all(|(wanted, stored)| same(wanted, stored))
            && wanted.key == stored.key
            && wanted.deleted_column == stored.deleted_column
            && wanted.version_column == stored.version_column;
        if is_same {
            for (column, stored) in plan.columns.iter_mut().zip(&stored.columns) {
                column.column_type = stored.column_type.clone();
            }
        }
        Ok(is_same)
    }

    fn stop_feeding(&mut self, relation: u32) -> Option<Active> {
        self.copies.places.end(relation);
        self.copying.remove(&relation)
    }

    /// Can be called again after an attempt that failed anywhere in it.
    async fn exchange(&mut self, complete: &Complete) -> Result<Exchanged> {
        let relation = complete.relation;
        let now = self.lookup(relation).await?;
        let was_rewritten = self.was_rewritten(complete).await?;
        let Some(active) = self.copying.get(&relation) else { return Ok(Exchanged::Again) };
        let (plan, place) = (active.plan.clone(), active.place);
        let noted = self.state.tables.get(&relation).and_then(|record| record.exchanging.clone());
        if let Some(noted) = noted.filter(|_| place != Place::Table)
            && self.shadows().uuid(&plan.target).await? == noted.uuid
        {
            // The shadow's name is the old table's by now.
            return self.exchanged(&plan, *noted.becomes, complete).await;
        }
        if active.has_failed {
            let reason = self.progress.tables().remove(&plan.target).and_then(|table| table.parked);
            return Ok(Exchanged::Refused(reason.unwrap_or_else(|| "a change of it could not be carried".to_owned())));
        }
        let is_other = now.is_none_or(|now| now.form() != plan.schema.form());
        if active.is_stale || is_other || (plan.log.is_some() && was_rewritten) {
            self.progress.note(format!("{} was altered while it was copied; its copy begins again", plan.schema.name));
            return Ok(Exchanged::Again);
        }
        if !self.complete_shadow(active, complete).await? {
            return Ok(Exchanged::Again);
        }
        if place == Place::Table {
            self.save_marks(&plan, complete).await?;
            self.note(relation, |record| record.copy = None).await?;
            return self.copied(relation).await;
        }
        let uuid = self.shadows().uuid(&active.shadow).await?;
        // The shadow has changes that were committed between the copy's version and its snapshot, and they win against the copied rows: all of them count.
        // Of a log none of these are there any more: all count that the copy has not.
        let (from, is_log) = (complete.version.transaction(), plan.log.is_some());
        let of_rows = |copied| if is_log { copied } else { CopiedRecord { until: from.to_string(), ..copied } };
        let becomes = TableRecord {
            copied_rows: complete.rows,
            first_commit: Some(if is_log { complete.first_commit } else { from }.to_string()),
            copied: complete.copied.clone().filter(|_| !plan.keeps_deleted).map(of_rows),
            // Of a topic with several partitions older rows may still come.
            truncated: self.state.tables.get(&relation).and_then(|record| record.truncated.clone()),
            snapshot: self.state.tables.get(&relation).and_then(|record| record.snapshot.clone()),
            ..table_record(&plan, TablePhase::Ready)
        };
        let request = complete.request.clone();
        let exchanging = ExchangeRecord { uuid: uuid.clone(), becomes: Box::new(becomes.clone()), request };
        self.note(relation, |record| record.exchanging = Some(exchanging)).await?;
        failpoint::die("recopy.noted");
        self.shadows().exchange(&plan, &uuid).await?;
        failpoint::die("recopy.exchanged");
        self.exchanged(&plan, becomes, complete).await
    }

    /// The new table has the name: the rest of what belongs to that. What is noted goes last, since another attempt begins with it.
    async fn exchanged(&mut self, plan: &TablePlan, becomes: TableRecord, complete: &Complete) -> Result<Exchanged> {
        self.shadows().drop(&plan.target).await?;
        self.save_marks(plan, complete).await?;
        if let Some(id) = &complete.request {
            self.store.answer_copy(complete.relation, &CopyAnswer::done(id, complete.rows)).await?;
        }
        self.note(complete.relation, |record| *record = becomes).await?;
        self.progress.table(&plan.target, |table| table.parked = None);
        self.copied(complete.relation).await
    }

    /// What the catalog said before a copy is what its rows are held against from here on.
    async fn save_marks(&mut self, plan: &TablePlan, complete: &Complete) -> Result<()> {
        let marks = MarkRecord { form: plan.schema.form(), heaps: complete.heaps.clone() };
        self.store.save_marks(complete.relation, &marks).await?;
        self.state.marks.insert(complete.relation, marks);
        Ok(())
    }

    async fn copied(&mut self, relation: u32) -> Result<Exchanged> {
        self.stop_feeding(relation);
        self.look_again(relation).await?;
        Ok(Exchanged::Done)
    }

    /// Whether something happened to a table since its copy began of which the stream does not tell: of one that is stored as a log that is told by a copy
    /// alone, and has to be in this one.
    async fn was_rewritten(&mut self, complete: &Complete) -> Result<bool> {
        let Some(mark) = marks(self.client().await?, Some(complete.relation)).await?.remove(&complete.relation) else {
            return Ok(false);
        };
        Ok(happened(complete.relation, (&complete.heaps, &mark.heaps), DroppedPartitions::Delete).is_some())
    }

    /// What the stream did meanwhile holds for rows that were copied after it, too. False where the copy has to begin again.
    async fn complete_shadow(&self, active: &Active, complete: &Complete) -> Result<bool> {
        if active.place == Place::Table {
            return Ok(true);
        }
        let (plan, version) = (&active.plan, complete.version);
        let sink = ClickHouseSink::new(self.server.clone(), &self.settings.clickhouse.database);
        let sink = sink.into_table(&active.shadow);
        match active.place {
            Place::Beside if plan.keeps_deleted => {
                let (shadow, settings) = (plan.shape().named(&active.shadow), &self.settings.clickhouse);
                Kept { server: &self.server, settings, plan, shadow: &shadow, version }.carry_deletions().await?;
            }
            Place::Instead if plan.keeps_deleted => sink.mark_noted(&active.layout, &gone_name(&plan.target)).await?,
            _ => {}
        }
        if let Some((truncated, at)) = self.copies.places.truncated(complete.relation).filter(|(at, _)| *at > version) {
            sink.truncate(&Truncation { layout: Arc::clone(&active.layout), version: truncated, at }).await?;
        }
        let Some(straddling) = active.straddling.as_ref().map_or_else(|| Some(Vec::new()), |these| these.ranges())
        else {
            self.progress
                .note(format!("{} has changes that may be in its copy or not; it begins again", plan.schema.name));
            return Ok(false);
        };
        let later = Later { first_commit: complete.first_commit, straddling };
        if plan.log.is_some() {
            self.shadows().drop_copied(plan, version, &later).await?;
        } else if !plan.keeps_deleted {
            // What came before the copy, and is not in it, is gone: perhaps without a word of the stream.
            let (layout, at) = (Arc::clone(&active.layout), now());
            sink.truncate(&Truncation { layout, version, at }).await?;
        }
        if plan.log == Some(LogForm::Signed) {
            return self.shadows().carry_truncation(plan, version, &later).await;
        }
        Ok(true)
    }

    async fn abandon(&mut self, relation: u32, reason: Option<&str>) -> Result<()> {
        let Some(active) = self.stop_feeding(relation) else {
            // It was not even begun.
            let Some(reason) = reason else { return Ok(()) };
            if self.state.tables.get(&relation).is_some_and(|record| record.copy.is_some()) {
                self.note(relation, |record| {
                    (record.copy, record.phase) = (None, TablePhase::Parked);
                    record.reason = Some(format!("it could not be copied again: {reason}"));
                })
                .await?;
            }
            return Ok(());
        };
        self.shadows().drop(&active.plan.target).await?;
        let Some(reason) = reason else { return Ok(()) };
        // Beside a copy that somebody asked for the table is whole.
        let was_needed = active.place != Place::Beside || !active.was_asked_for;
        let told = format!("it could not be copied again: {reason}");
        self.note(relation, |record| {
            (record.copy, record.exchanging) = (None, None);
            if was_needed || record.phase == TablePhase::Parked {
                record.phase = TablePhase::Parked;
                record.reason = Some(told.clone());
            }
        })
        .await?;
        if was_needed {
            self.progress.table(&active.plan.target, |table| table.parked = Some(told));
        }
        Ok(())
    }
}

/// A copy takes the place of what a log keeps: that has to be asked for.
fn refuse_log(plan: &TablePlan, is_asked_or_new: bool) -> Result<()> {
    if plan.log.is_none() || is_asked_or_new {
        return Ok(());
    }
    let name = &plan.schema.name;
    let why = format!("{name} is stored as a log, which a copy would take the place of");
    Err(Error::new(Kind::Config, why).hint(format!("{}: it begins the log anew", way_out(name))))
}

/// How a log comes back that can only be copied again.
pub(super) fn way_out(name: &TableName) -> String {
    format!("`pipectl resync {name}`, while sync runs")
}

/// The configuration that this process has read may be older than that of whoever asks.
fn same_configuration(want: &Want, plan: &TablePlan, settings: &Settings) -> Result<()> {
    if want.wanted.is_empty() || want.wanted == ddl::create_table(&plan.shape(), &settings.clickhouse) {
        return Ok(());
    }
    Err(Error::new(Kind::Config, format!("the running sync has another configuration of {}", plan.schema.name))
        .hint("restart sync, so that it reads the configuration as it is now"))
}
