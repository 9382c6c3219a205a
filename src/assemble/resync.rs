//! Later copies: of tables that are new, or that are copied again.
//!
//! A message is committed to the log first; the copy's version is its LSN. Then a temporary slot is made, whose snapshot waits for every writer: what was
//! committed before the message is in it, and every change that is sent later has a higher version. A plain snapshot would not wait, and could show a row
//! that a change sent before has already replaced.

use super::copies::{Copies, CopyJob, Left, Pace, no_postgres};
use super::kept::Kept;
use super::layout::layout;
use super::lock::{PipelineLock, mark};
use super::prepare::{drop_slot, numbered, slot_taken, table_record};
use super::publication;
use super::recopy::{Asked, Later, Shadow, ask_running, fulfil, shadow_name};
use super::waiting::Waits;
use crate::batch::LogForm;
use crate::change::{Lsn, Position, Version};
use crate::checkpoint::{
    CopiedRecord, ExchangeRecord, OffsetStore, PipelineRecord, State, StateStore, TablePhase, TableRecord, Transport,
};
use crate::config::{Settings, SyncSource, TableMode, copy_slot};
use crate::error::{Error, Kind, Result};
use crate::failpoint;
use crate::flow::CheckpointStore;
use crate::server::clickhouse::{self, Server};
use crate::server::postgres::{backend_pid, marks, tables};
use crate::sink::clickhouse::{ClickHouseSink, TablePlan, ddl, left_out, plan_table, ranges};
use crate::source::postgres::{
    CopySession, CreatedSlot, Patience, Waiting, create_slot, identify_logical, plan_ranges, slot_state,
};
use crate::sync::Progress;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::sync::watch;

/// A snapshot that is later than the stream's past, and the version that its rows get.
pub(super) async fn later_snapshot(
    settings: &Settings,
    client: &tokio_postgres::Client,
    patience: &Patience<'_>,
) -> Result<(Version, CreatedSlot)> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let postgres = settings.postgres.as_ref().ok_or_else(super::copies::no_postgres)?;
    let mark = mark(client).await?;
    // The server may take a moment to give up the slot of an attempt before.
    let name = copy_slot(&postgres.slot, (std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed)));
    let slot = create_slot(postgres, &name, true, patience).await?;
    Ok((Version::new(mark, Lsn::ZERO), slot))
}

/// Which changes a copy has, where records of topics tell of them.
pub(super) async fn copied(settings: &Settings, version: Version, slot: &CreatedSlot) -> Result<Option<CopiedRecord>> {
    if settings.sync.source == SyncSource::Postgres {
        return Ok(None);
    }
    let postgres = settings.postgres.as_ref().ok_or_else(no_postgres)?;
    let snapshot = CopySession::open(postgres, &slot.snapshot).await?.shown().await?;
    let (from, until) = (version.transaction().to_string(), slot.consistent_point.to_string());
    Ok(Some(CopiedRecord { from, until, snapshot }))
}

/// Copies tables whole; those that are rewritten meanwhile once more, under a fresh snapshot: a rewriting ALTER leaves them empty in the old one.
/// The given snapshot has waited for every writer, so that a later one needs not. Returns those that hold a value
/// which cannot be carried, and why; and one whose rows cannot be copied twice.
pub(super) async fn copy_all(
    settings: &Settings,
    sink: ClickHouseSink,
    (mut jobs, pace): (Vec<CopyJob>, Option<&Arc<Pace>>),
    snapshot: &str,
    (progress, stop): (&Arc<Progress>, &watch::Receiver<bool>),
) -> Result<Left> {
    let mut refused = BTreeMap::new();
    let postgres = settings.postgres.as_ref().ok_or_else(super::copies::no_postgres)?;
    let (mut _holder, mut snapshot) = (None, snapshot.to_owned());
    loop {
        let copies = Copies::new(settings, sink.clone(), None, (progress, stop));
        let copies = Arc::new(copies.at_pace(pace.cloned()));
        let left = copies.run(&jobs, &snapshot).await?;
        refused.extend(left.refused);
        let again = left.rewritten;
        if again.is_empty() || !left.torn.is_empty() {
            return Ok(Left { refused, torn: left.torn, ..Left::default() });
        }
        let (session, name) = CopySession::export(postgres).await?;
        (_holder, snapshot) = (Some(session), name);
        let client = crate::server::postgres::connect(postgres).await?;
        let waits = Waits::of(backend_pid(&client).await?, postgres, (progress, stop));
        jobs.retain(|job| again.contains(&job.schema.relid));
        for job in &mut jobs {
            job.ranges = numbered(waits.told(plan_ranges(&client, &job.schema)).await?);
        }
    }
}

/// Which tables are copied again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resync {
    /// These, by name.
    Tables(Vec<String>),
    /// All of them, under a new slot: whatever was stored before counts no more.
    All,
}

/// Copies tables again, each into a shadow table that takes the old one's place when it is complete. Readers see the old rows until then, and the new ones
/// from then on. While a sync runs it is asked to do that; else it is done here.
///
/// # Errors
/// [`Kind::Source`] for all tables while a sync runs; else what source and destination refuse.
pub async fn resync(
    settings: &Settings,
    (which, max_rows_per_second): (&Resync, Option<u64>),
    progress: &Arc<Progress>,
    stop: &watch::Receiver<bool>,
) -> Result<u64> {
    let postgres = settings.postgres.as_ref().ok_or_else(no_postgres)?;
    let server = clickhouse::connect(&settings.clickhouse)?;
    let lock = match (PipelineLock::take_or_holder(postgres).await?, which) {
        (Ok(lock), _) => lock,
        (Err(holder), Resync::Tables(_)) => {
            let client = crate::server::postgres::connect(postgres).await?;
            let plans = wanted(settings, which, &client, progress).await?;
            let asked = Asked { plans: &plans, client: &client, max_rows_per_second, holder };
            return ask_running(settings, &server, asked, (progress, stop)).await;
        }
        (Err(holder), Resync::All) => {
            let pid = holder.map_or(String::new(), |pid| format!(" (its session has pid {pid})"));
            return Err(Error::new(Kind::Source, format!("another pipectl works on slot \"{}\"{pid}", postgres.slot))
                .hint("all tables can only be copied again while sync is stopped; `pipectl resync TABLE…` works beside it"));
        }
    };
    let waits = Waits::of(lock.pid(), postgres, (progress, stop));
    let pace = max_rows_per_second.map(Pace::new);
    let run = Run { settings, server: &server, lock: &lock, pace, progress, stop };
    waits.told(Box::pin(run.carry_out(which, &postgres.slot))).await
}

/// Those of the tables that are logs of what happened to the source's (`mode: log`), by their names there: a copy is the beginning of a new log.
///
/// # Errors
/// What the source refuses; [`Kind::Config`] for a name that is no table's.
pub async fn histories(settings: &Settings, which: &Resync) -> Result<Vec<String>> {
    if settings.tables.iter().all(|rule| rule.mode != TableMode::Log) {
        return Ok(Vec::new());
    }
    let client = crate::server::postgres::connect(settings.postgres.as_ref().ok_or_else(no_postgres)?).await?;
    let plans = wanted(settings, which, &client, &Progress::new(|_| {})).await?;
    let is_history = |plan: &&TablePlan| plan.log == Some(LogForm::Changes);
    Ok(plans.iter().filter(is_history).map(|plan| plan.schema.name.to_string()).collect())
}

async fn wanted(
    settings: &Settings,
    which: &Resync,
    client: &tokio_postgres::Client,
    progress: &Progress,
) -> Result<Vec<TablePlan>> {
    let catalog = tables(client).await?;
    let mut plans = Vec::new();
    for schema in &catalog {
        let Some(rule) = settings.rule_for(&schema.name) else { continue };
        let named = |name: &String| *name == schema.name.name || *name == schema.name.to_string();
        if let Resync::Tables(names) = which
            && !names.iter().any(named)
        {
            continue;
        }
        if let Some(reason) = left_out(schema, rule) {
            progress.note(format!("warning: {reason}"));
            continue;
        }
        plans.push(plan_table(schema, rule, &settings.clickhouse)?);
    }
    if let Resync::Tables(names) = which {
        let found = |name: &String| {
            plans.iter().any(|plan| *name == plan.schema.name.name || *name == plan.schema.name.to_string())
        };
        if let Some(name) = names.iter().find(|name| !found(name)) {
            return Err(Error::new(Kind::Config, format!("\"{name}\" is no table of this pipeline"))
                .hint("`pipectl status` lists them, by their names in Postgres"));
        }
    }
    Ok(plans)
}

struct Run<'a> {
    settings: &'a Settings,
    server: &'a Server,
    lock: &'a PipelineLock,
    pace: Option<Arc<Pace>>,
    progress: &'a Arc<Progress>,
    stop: &'a watch::Receiver<bool>,
}

impl Run<'_> {
    async fn carry_out(&self, which: &Resync, slot: &str) -> Result<u64> {
        let Self { settings, server, lock, progress, .. } = *self;
        if *which == Resync::All {
            super::repair::exclude_repairs(lock.client(), slot).await?;
        }
        let transport = match settings.sync.source {
            SyncSource::Postgres => Transport::Postgres,
            SyncSource::Kafka => Transport::Kafka,
        };
        super::switch::refuse_left(settings, transport).await?;
        let mut store = StateStore::of_settings(settings, server.clone());
        server.execute(&ddl::create_database(&settings.clickhouse), &[]).await?;
        store.create().await?;
        let state = store.load().await?;
        let plans = wanted(settings, which, lock.client(), progress).await?;
        let found = marks(lock.client(), None).await?;
        match which {
            Resync::Tables(_) => self.some(&plans, &state, &mut store).await?,
            Resync::All if settings.sync.source == SyncSource::Kafka => self.all_of_topics(&plans, &mut store).await?,
            Resync::All => self.all(&plans, &state, &mut store).await?,
        }
        super::marks::store(plans.iter(), &found, &mut store).await?;
        Ok(progress.copied_rows.load(std::sync::atomic::Ordering::Relaxed))
    }

    /// Some tables, behind the stream's past and before its future.
    async fn some(&self, plans: &[TablePlan], state: &State, store: &mut StateStore) -> Result<()> {
        let snapshot_done =
            state.pipeline.as_ref().is_some_and(|pipeline| pipeline.snapshot_done && !pipeline.resync_all);
        if !snapshot_done {
            return Err(Error::new(Kind::SourceGap, "the first copy is not complete: there is nothing to copy again")
                .hint("run `pipectl sync`; or `pipectl resync --all` to begin anew"));
        }
        let tell = |waiting: &[Waiting]| self.waiting(waiting);
        let (version, slot) = later_snapshot(self.settings, self.lock.client(), &self.patience(&tell)).await?;
        self.copy(plans, version, &slot.snapshot).await?;
        let copied = copied(self.settings, version, &slot).await?;
        let shadows = Shadow { server: self.server, settings: &self.settings.clickhouse };
        let later = Later { first_commit: slot.consistent_point, straddling: Vec::new() };
        let mut known = state.tables.clone();
        for plan in plans {
            if plan.log == Some(LogForm::Signed) {
                shadows.carry_truncation(plan, version, &later).await?;
            }
            let before = known.remove(&plan.schema.relid);
            let truncated = before.as_ref().and_then(|record| record.truncated.clone());
            let snapshot = before.as_ref().and_then(|record| record.snapshot.clone());
            let first_commit = Some(slot.consistent_point.to_string());
            let copied = copied.clone().filter(|_| !plan.keeps_deleted);
            let becomes = TableRecord { truncated, snapshot, first_commit, copied, ..self.ready(plan) };
            self.exchange_noted(plan, (before, becomes), store).await?;
        }
        fulfil(plans, store).await?;
        Ok(())
    }

    /// All tables of a pipeline that reads topics, which it goes on with behind what they hold now. Their ends are taken first: every change that is
    /// not in the copy comes behind them.
    async fn all_of_topics(&self, plans: &[TablePlan], store: &mut StateStore) -> Result<()> {
        let ends = super::kafka::topic_ends(self.settings).await?;
        let identity = identify_logical(self.settings.postgres.as_ref().ok_or_else(no_postgres)?).await?;
        let tell = |waiting: &[Waiting]| self.waiting(waiting);
        let (version, slot) = later_snapshot(self.settings, self.lock.client(), &self.patience(&tell)).await?;
        self.copy(plans, version, &slot.snapshot).await?;
        let copied = copied(self.settings, version, &slot).await?;
        let mut record = PipelineRecord::intended(identity.system_identifier, identity.timeline, false);
        (record.snapshot_done, record.resync_all) = (true, true);
        store.save_pipeline(&record).await?;
        self.exchange_all(plans, copied, store).await?;
        OffsetStore(store.clone()).save(&ends).await?;
        record.resync_all = false;
        store.save_pipeline(&record).await
    }

    /// All tables, under a new slot.
    async fn all(&self, plans: &[TablePlan], state: &State, store: &mut StateStore) -> Result<()> {
        let postgres = self.settings.postgres.as_ref().ok_or_else(no_postgres)?;
        if let Some(pid) = slot_state(self.lock.client(), &postgres.slot).await?.and_then(|slot| slot.active_pid) {
            return Err(slot_taken(&postgres.slot, pid));
        }
        let identity = identify_logical(postgres).await?;
        let owned = state.pipeline.as_ref().is_some_and(|pipeline| pipeline.owns_publication);
        let (_, owned) = publication::ensure(
            self.lock.client(),
            self.settings,
            &postgres.publication,
            plans,
            publication::Terms { owned, before_slot: true, progress: self.progress },
        )
        .await?;
        let mut record = PipelineRecord::intended(identity.system_identifier, identity.timeline, owned);
        record.resync_all = true;
        store.save_pipeline(&record).await?;
        drop_slot(self.lock, &postgres.slot).await?;
        let tell = |waiting: &[Waiting]| self.waiting(waiting);
        let slot = create_slot(postgres, &postgres.slot, false, &self.patience(&tell)).await?;
        self.progress.note(format!("created replication slot \"{}\" at {}", postgres.slot, slot.consistent_point));
        self.copy(plans, Version::SNAPSHOT, &slot.snapshot).await?;
        self.exchange_all(plans, None, store).await?;
        store.save(&Position { end: slot.consistent_point, ..Position::default() }).await?;
        record.consistent_point = Some(slot.consistent_point.to_string());
        record.snapshot_done = true;
        record.resync_all = false;
        store.save_pipeline(&record).await
    }

    fn patience<'a>(&self, tell: &'a (dyn Fn(&[Waiting]) + Sync)) -> Patience<'a> {
        Patience { timeout: self.settings.sync.slot_timeout, stop: self.stop.clone(), tell }
    }

    fn waiting(&self, waiting: &[Waiting]) {
        for transaction in waiting {
            self.progress.note(format!("waiting for {}, open for {} s", transaction.who, transaction.seconds));
        }
    }

    fn ready(&self, plan: &TablePlan) -> TableRecord {
        let copied = self.progress.tables().get(&shadow_name(&plan.target)).map_or(0, |table| table.copied_rows);
        TableRecord { copied_rows: copied, ..table_record(plan, TablePhase::Ready) }
    }

    /// Copies tables into their shadows.
    async fn copy(&self, plans: &[TablePlan], version: Version, snapshot: &str) -> Result<()> {
        let ranges = ranges(self.server).await?;
        let settings = &self.settings.clickhouse;
        let shadows = Shadow { server: self.server, settings };
        let mut jobs = Vec::new();
        for plan in plans {
            let shadow = plan.shape().named(shadow_name(&plan.target));
            shadows.make(plan).await?;
            // Below a new history's rows nothing is left for those that stay.
            let version = if plan.keeps_deleted { version.max(Version(1)) } else { version };
            let kept = Kept { server: self.server, settings, plan, shadow: &shadow, version };
            kept.carry(true, self.progress).await?;
            self.progress.expected_rows.fetch_add(plan.schema.estimated_rows, std::sync::atomic::Ordering::Relaxed);
            self.progress.table(&shadow.name, |table| table.expected_rows = plan.schema.estimated_rows);
            jobs.push(CopyJob {
                schema: Arc::new(plan.schema.clone()),
                layout: layout(plan, &shadow.name, ranges, Lsn::ZERO),
                filter: self.settings.rule_for(&plan.schema.name).and_then(|rule| rule.row_filter.clone()),
                version,
                ranges: numbered(plan_ranges(self.lock.client(), &plan.schema).await?),
            });
        }
        let sink = ClickHouseSink::new(self.server.clone(), &settings.database);
        let left =
            copy_all(self.settings, sink, (jobs, self.pace.as_ref()), snapshot, (self.progress, self.stop)).await?;
        if let Some(reason) = left.whole("run the same again")?.refused.into_values().next() {
            return Err(Error::new(Kind::Value, "the tables keep their old rows").because(reason));
        }
        Ok(())
    }

    /// Puts the shadows into the tables' places where a process that is killed in between has to begin anew.
    async fn exchange_all(
        &self,
        plans: &[TablePlan],
        copied: Option<CopiedRecord>,
        store: &mut StateStore,
    ) -> Result<()> {
        for plan in plans {
            let copied = copied.clone().filter(|_| !plan.keeps_deleted);
            self.exchange_noted(plan, (None, TableRecord { copied, ..self.ready(plan) }), store).await?;
        }
        Ok(())
    }

    /// Puts a shadow into its table's place. That is noted before, so that a process that is killed in between leaves the new table with the record of the
    /// new one, or the old one with that of the old one.
    async fn exchange_noted(
        &self,
        plan: &TablePlan,
        (before, becomes): (Option<TableRecord>, TableRecord),
        store: &mut StateStore,
    ) -> Result<()> {
        let shadows = Shadow { server: self.server, settings: &self.settings.clickhouse };
        let (relation, uuid) = (plan.schema.relid, shadows.uuid(&shadow_name(&plan.target)).await?);
        if let Some(before) = before {
            let becomes = Box::new(becomes.clone());
            let exchanging = Some(ExchangeRecord { uuid: uuid.clone(), becomes, request: None });
            store.save_table(relation, &TableRecord { exchanging, ..before }).await?;
        }
        failpoint::die("resync.noted");
        shadows.exchange(plan, &uuid).await?;
        failpoint::die("resync.exchanged");
        store.save_table(relation, &becomes).await?;
        shadows.drop(&plan.target).await?;
        self.progress.note(format!("{} is copied again", plan.schema.name));
        Ok(())
    }
}
