//! What a copy asks of the tables of a running stream, done between two changes.

use super::super::kept::Kept;
use super::super::prepare::table_record;
use super::super::recopy::{Ask, Begun, Complete, Exchanged, Place, Shadow, Want, shadow_name};
use super::{Fit, LiveTables};
use crate::batch::{Layout, LayoutColumn, LogForm};
use crate::change::{Lsn, TableSchema};
use crate::checkpoint::{ExchangeRecord, MarkRecord, TablePhase, TableRecord};
use crate::config::{Settings, SyncSource};
use crate::error::{Error, Kind, Result};
use crate::failpoint;
use crate::flow::{Sink, Truncation};
use crate::server::clickhouse::quote_ident;
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
}

impl Active {
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
        if let Some(begun) = self.begin_leaves(want, &schema).await? {
            return Ok(begun);
        }
        let phase = self.state.tables.get(&relation).map(|record| record.phase);
        let (is_ready, is_new) = (phase == Some(TablePhase::Ready), phase == Some(TablePhase::Copying));
        refuse_log(&plan, settings.sync.source, (want.request.is_some(), is_new))?;
        let place = if is_ready && self.is_of_form(&schema, &mut plan).await? { Place::Beside } else { Place::Instead };
        refuse_kept(place, &plan)?;
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
        self.copies.places.feed(relation, shadow.clone(), place);
        let begun = Begun {
            layout: super::layout(&plan, &shadow, self.ranges, Lsn::ZERO),
            filter: rule.row_filter.clone(),
            leaves: Vec::new(),
            plan: plan.clone(),
        };
        self.copying.insert(
            relation,
            Active {
                place,
                shadow,
                plan,
                layout,
                is_stale: false,
                has_failed: false,
                was_asked_for: want.request.is_some(),
            },
        );
        Ok(begun)
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
        };
        let shadow = plan.target.clone();
        let active = Active {
            place: Place::Table,
            shadow,
            plan,
            layout,
            is_stale: false,
            has_failed: false,
            was_asked_for: false,
        };
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
        if active.is_stale || now.is_none_or(|now| now.form() != plan.schema.form()) {
            self.progress.note(format!("{} was altered while it was copied; its copy begins again", plan.schema.name));
            return Ok(Exchanged::Again);
        }
        self.complete_shadow(active, complete).await?;
        if place == Place::Table {
            self.save_marks(&plan, complete).await?;
            self.note(relation, |record| record.copy = None).await?;
            return self.copied(relation).await;
        }
        let uuid = self.shadows().uuid(&active.shadow).await?;
        let becomes = TableRecord {
            copied_rows: complete.rows,
            first_commit: Some(complete.first_commit.to_string()),
            // Of a topic with several partitions older rows may still come.
            truncated: self.state.tables.get(&relation).and_then(|record| record.truncated.clone()),
            ..table_record(&plan, TablePhase::Ready)
        };
        let exchanging = ExchangeRecord { uuid: uuid.clone(), becomes: Box::new(becomes.clone()) };
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

    /// What the stream did meanwhile holds for rows that were copied after it, too.
    async fn complete_shadow(&self, active: &Active, complete: &Complete) -> Result<()> {
        if let Some((truncated, at)) = self.copies.places.truncated(complete.relation)
            && truncated > complete.version
        {
            let sink = ClickHouseSink::new(self.server.clone(), &self.settings.clickhouse.database);
            sink.into_table(&active.shadow)
                .truncate(&Truncation { layout: Arc::clone(&active.layout), version: truncated, at })
                .await?;
        }
        if active.plan.keeps_deleted && active.place == Place::Beside {
            let shadow = active.plan.shape().named(&active.shadow);
            let (server, settings, version) = (&self.server, &self.settings.clickhouse, complete.version);
            Kept { server, settings, plan: &active.plan, shadow: &shadow, version }.carry_deletions().await?;
        }
        if active.plan.log.is_some() && active.place != Place::Table {
            // Rows that are kept each for itself are in the copy and in the changes that went into the shadow before its snapshot.
            let version = quote_ident(&active.plan.version_column);
            let statement = format!(
                "ALTER TABLE {} DELETE WHERE {version} < {{first:UInt128}} AND {version} <> {{copied:UInt128}} SETTINGS mutations_sync = 2",
                ddl::qualified(&active.shadow, &self.settings.clickhouse),
            );
            let first = (u128::from(complete.first_commit.0) << 64).to_string();
            let parameters = [("first", first.as_str()), ("copied", &complete.version.0.to_string())];
            self.server.execute(&statement, &parameters).await?;
        }
        Ok(())
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

/// A log holds more than the rows of the source: a copy of those would take the place of what it keeps, or be counted twice. Of one that takes inserts
/// alone the rows are told apart by their commits, which records of topics do not tell; that what it keeps goes has to be asked for.
fn refuse_log(plan: &TablePlan, source: SyncSource, (is_asked, is_new): (bool, bool)) -> Result<()> {
    let is_copied = match plan.log {
        None => true,
        Some(LogForm::Inserts) => source == SyncSource::Postgres && (is_asked || is_new),
        Some(LogForm::Changes | LogForm::Signed) => false,
    };
    if is_copied {
        return Ok(());
    }
    let name = &plan.schema.name;
    Err(Error::new(
        Kind::Config,
        format!("{name} is stored as a log, which a copy beside the stream would take the place of"),
    )
    .hint(format!("stop sync, then `pipectl resync {name}`: it begins the log anew")))
}

/// The configuration that this process has read may be older than that of whoever asks.
fn same_configuration(want: &Want, plan: &TablePlan, settings: &Settings) -> Result<()> {
    if want.wanted.is_empty() || want.wanted == ddl::create_table(&plan.shape(), &settings.clickhouse) {
        return Ok(());
    }
    Err(Error::new(Kind::Config, format!("the running sync has another configuration of {}", plan.schema.name))
        .hint("restart sync, so that it reads the configuration as it is now"))
}

/// Rows that are gone at the source are taken over from a table that goes on beside its copy.
fn refuse_kept(place: Place, plan: &TablePlan) -> Result<()> {
    if place == Place::Beside || !plan.keeps_deleted {
        return Ok(());
    }
    let why =
        format!("{} keeps rows that are deleted at the source, and is parked or to get another form", plan.schema.name);
    Err(Error::new(Kind::Config, why).hint("stop sync, then `pipectl resync` it: that takes them over where they fit"))
}
