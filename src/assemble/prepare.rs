//! Everything between the command and the stream: what is missing is made, in the order that loses nothing.
//!
//! The order: the destination's tables and the state, the publications, the intention to make the slot, the slot with its snapshot, the first copy.

use super::copies::{Copies, CopyJob, Left, no_postgres};
use super::failover::History;
use super::layout::layout;
use super::lock::PipelineLock;
use super::recopy::{Shadow, resolve};
use super::slots::{Start, decide};
use super::tables::{make_tables, park_renamed, tell_parked};
use super::waiting::Waits;
use super::{SyncOptions, publication, unfinished};
use crate::batch::Ranges;
use crate::change::{Lsn, Position, Version};
use crate::checkpoint::{PipelineRecord, State, StateStore, TablePhase, TableRecord, Transport};
use crate::config::{ClickHouseSettings, PostgresSettings, Settings};
use crate::error::{Error, Kind, Result};
use crate::flow::{Sink, Truncation};
use crate::server::clickhouse::Server;
use crate::server::postgres::marks;
use crate::sink::clickhouse::{ClickHouseSink, TablePlan, ddl};
use crate::source::postgres::{
    CopySession, CreatedSlot, HeapRange, Patience, ReplicationServer, SlotState, Waiting, create_slot, end_slot_reader,
    identify_logical, plan_ranges, slot_state,
};
use crate::sync::Progress;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::sync::watch;

pub(super) const DROP_SLOT: &str = include_str!("../../sql/postgres/drop_slot.sql");

/// How long a reader of the slot may outlive its process.
const LAST_BREATH: Duration = Duration::from_secs(10);

/// What the stream starts from.
pub(super) struct Prepared {
    pub(super) lock: PipelineLock,
    pub(super) store: StateStore,
    pub(super) state: State,
    pub(super) publications: Vec<String>,
    /// The dates that the destination holds.
    pub(super) ranges: Ranges,
    pub(super) from: Position,
    pub(super) options: SyncOptions,
}

/// What the copies work on.
struct Copying<'a> {
    lock: &'a PipelineLock,
    store: &'a mut StateStore,
    state: &'a mut State,
    plans: &'a [TablePlan],
    ranges: Ranges,
}

/// The work of getting there.
pub(super) struct Preparation<'a> {
    pub(super) settings: &'a Settings,
    pub(super) options: &'a SyncOptions,
    pub(super) server: &'a Server,
    pub(super) progress: &'a Arc<Progress>,
    pub(super) stop: &'a watch::Receiver<bool>,
}

impl Preparation<'_> {
    pub(super) async fn run(&self) -> Result<Prepared> {
        let postgres = self.settings.postgres.as_ref().ok_or_else(no_postgres)?;
        let lock = PipelineLock::take(postgres).await?;
        let waits = Waits::of(lock.pid(), postgres, (self.progress, self.stop));
        waits.told(Box::pin(self.behind(lock, postgres))).await
    }

    async fn behind(&self, lock: PipelineLock, postgres: &PostgresSettings) -> Result<Prepared> {
        super::switch::refuse_left(self.settings, Transport::Postgres).await?;
        let identity = identify_logical(postgres).await?;
        self.progress.expected_rows.store(0, Ordering::Relaxed);
        let mut store = StateStore::new(
            self.server.clone(),
            &self.settings.clickhouse.database,
            &self.settings.pipeline,
            &postgres.slot,
        );
        let (plans, ranges) =
            make_tables((self.settings, self.options), Some(lock.client()), (&mut store, self.server), self.progress)
                .await?;
        store.create().await?;
        park_renamed(&plans, &mut store).await?;
        let mut state = store.load().await?;
        let shadows = Shadow { server: self.server, settings: &self.settings.clickhouse };
        resolve(shadows, (&mut state, &mut store), true, self.progress).await?;
        let slot = slot_state(lock.client(), &postgres.slot).await?;
        let start = decide(&postgres.slot, &state, slot.as_ref(), &identity)?;
        let start = match slot.filter(|slot| slot.active_pid.is_some()) {
            Some(slot) => {
                decide(&postgres.slot, &state, freed(&lock, &postgres.slot, slot, start).await?.as_ref(), &identity)?
            }
            None => start,
        };
        let history = History { settings: self.settings, server: self.server, progress: self.progress };
        history.follow(&state, &mut store, &identity, Some(start)).await?;
        if start == Start::Fresh {
            refuse_filled(self.server, &self.settings.clickhouse, &plans).await?;
        }
        if matches!(start, Start::Stream(_) | Start::ResumeCopy) {
            publication::refuse_lost(lock.client(), &postgres.publication, &plans, &state).await?;
        }
        let owned = state.pipeline.as_ref().is_some_and(|pipeline| pipeline.owns_publication);
        let before_slot = matches!(start, Start::Fresh | Start::Orphan);
        let terms = publication::Terms { owned, before_slot, progress: self.progress };
        let (publications, owned) =
            publication::ensure(lock.client(), self.settings, &postgres.publication, &plans, terms).await?;
        if publications.is_empty() {
            return Err(nothing_to_send(&state));
        }
        note_marks(&lock, &plans, (&state, &mut store)).await?;
        let mut copying = Copying { lock: &lock, store: &mut store, state: &mut state, plans: &plans, ranges };
        let from = match start {
            Start::Stream(position) => position,
            Start::Fresh | Start::Orphan | Start::ResumeCopy => {
                self.first_copy(&mut copying, &identity, owned, start).await?
            }
        };
        self.join_new(&mut copying).await?;
        let state = store.load().await?;
        tell_parked(&state, self.progress);
        self.progress.copied.store(true, Ordering::Relaxed);
        Ok(Prepared { lock, store, state, publications, ranges, from, options: self.options.clone() })
    }

    fn postgres(&self) -> Result<&PostgresSettings> {
        self.settings.postgres.as_ref().ok_or_else(no_postgres)
    }

    /// Makes the slot where it is missing, and copies what is not copied yet.
    async fn first_copy(
        &self,
        copying: &mut Copying<'_>,
        identity: &ReplicationServer,
        owned: bool,
        start: Start,
    ) -> Result<Position> {
        let mut record = match (&copying.state.pipeline, start) {
            (Some(record), Start::ResumeCopy) => record.clone(),
            _ => PipelineRecord::intended(identity.system_identifier.clone(), identity.timeline, owned),
        };
        let made = match start {
            Start::ResumeCopy => None,
            _ => Some(self.make_slot(copying, &mut record, start).await?),
        };
        let jobs = self.first_jobs(copying).await?;
        let mut copied: Vec<u32> = jobs.iter().map(|job| job.schema.relid).collect();
        let left =
            self.copy(copying.lock, copying.store, jobs, made.as_ref().map(|made| made.snapshot.as_str())).await?;
        copied.retain(|relation| !left.torn.contains_key(relation));
        for plan in copying.plans.iter().filter(|plan| copied.contains(&plan.schema.relid)) {
            self.mark_copied(copying, plan, (&left.refused, None)).await?;
        }
        record.snapshot_done = true;
        copying.store.save_pipeline(&record).await?;
        copying.state.pipeline = Some(record.clone());
        let consistent = record.consistent_point.as_deref().and_then(|text| text.parse().ok()).unwrap_or_default();
        Ok(Position { end: consistent, ..Position::default() })
    }

    /// The slot's name is stored before it is made, so that one whose making was interrupted is known again.
    async fn make_slot(
        &self,
        copying: &mut Copying<'_>,
        record: &mut PipelineRecord,
        start: Start,
    ) -> Result<CreatedSlot> {
        let postgres = self.postgres()?;
        super::room::check(copying.lock.client(), self.server, copying.plans, (self.options.force, self.progress))
            .await?;
        if start == Start::Orphan {
            drop_slot(copying.lock, &postgres.slot).await?;
        }
        copying.store.save_pipeline(record).await?;
        let tell = |waiting: &[Waiting]| self.waiting(waiting);
        let made = create_slot(postgres, &postgres.slot, false, &self.patience(&tell)).await?;
        record.consistent_point = Some(made.consistent_point.to_string());
        copying.store.save_pipeline(record).await?;
        self.progress.note(format!("created replication slot \"{}\" at {}", postgres.slot, made.consistent_point));
        Ok(made)
    }

    fn patience<'a>(&self, tell: &'a (dyn Fn(&[Waiting]) + Sync)) -> Patience<'a> {
        Patience { timeout: self.options.slot_timeout, stop: self.stop.clone(), tell }
    }

    fn waiting(&self, waiting: &[Waiting]) {
        for transaction in waiting {
            self.progress.note(format!(
                "the replication slot waits for {}, open for {} s: {}",
                transaction.who, transaction.seconds, transaction.query
            ));
        }
    }

    /// What is left to copy: each table's ranges without those that are noted as stored, as long as its heap is the same.
    async fn first_jobs(&self, copying: &mut Copying<'_>) -> Result<Vec<CopyJob>> {
        let mut jobs = Vec::new();
        for plan in copying.plans {
            let relation = plan.schema.relid;
            let all = plan_ranges(copying.lock.client(), &plan.schema).await?;
            let known = copying.state.tables.contains_key(&relation);
            if known && plan.log.is_some() {
                // Rows that no key tells apart cannot be gone on with: they are copied anew behind the others.
                continue;
            }
            let left = if known { not_stored(all, copying.state, relation) } else { numbered(all) };
            self.expect(plan, stored_rows(copying.state, relation));
            if !known {
                let record = table_record(plan, TablePhase::Copying);
                copying.store.save_table(relation, &record).await?;
                copying.state.tables.insert(relation, record);
            }
            jobs.push(self.job(plan, copying.ranges, left, Version::SNAPSHOT));
        }
        Ok(jobs)
    }

    /// Tells how many rows are still to be copied, as far as the planner knows.
    fn expect(&self, plan: &TablePlan, stored: u64) {
        let rows = plan.schema.estimated_rows.saturating_sub(stored);
        self.progress.expected_rows.fetch_add(rows, Ordering::Relaxed);
        self.progress.table(&plan.target, |table| table.expected_rows = rows);
    }

    fn job(&self, plan: &TablePlan, ranges: Ranges, left: Vec<(u32, HeapRange)>, version: Version) -> CopyJob {
        CopyJob {
            schema: Arc::new(plan.schema.clone()),
            layout: layout(plan, &plan.target, ranges, Lsn::ZERO),
            filter: self.settings.rule_for(&plan.schema.name).and_then(|rule| rule.row_filter.clone()),
            version,
            ranges: left,
        }
    }

    /// Copies under the slot's snapshot, or under one of its own; tables that were rewritten meanwhile again under a fresh one, unless no key tells their rows apart.
    async fn copy(
        &self,
        lock: &PipelineLock,
        store: &StateStore,
        mut jobs: Vec<CopyJob>,
        snapshot: Option<&str>,
    ) -> Result<Left> {
        let sink = ClickHouseSink::new(self.server.clone(), &self.settings.clickhouse.database);
        let mut all = Left::default();
        let mut given = snapshot.map(str::to_owned);
        loop {
            let copies =
                Arc::new(Copies::new(self.settings, sink.clone(), Some(store.clone()), (self.progress, self.stop)));
            let (_holder, name) = if let Some(name) = given.take() {
                (None, name)
            } else {
                let (holder, name) = CopySession::export(self.postgres()?).await?;
                (Some(holder), name)
            };
            let left = copies.run(&jobs, &name).await?;
            all.refused.extend(left.refused);
            all.torn.extend(left.torn);
            let again = left.rewritten;
            if again.is_empty() {
                return Ok(all);
            }
            jobs.retain(|job| again.contains(&job.schema.relid));
            for job in &mut jobs {
                job.ranges = numbered(plan_ranges(lock.client(), &job.schema).await?);
            }
        }
    }

    /// Notes that a table is copied; or parked, where a value of it was refused.
    async fn mark_copied(
        &self,
        copying: &mut Copying<'_>,
        plan: &TablePlan,
        (refused, first_commit): (&BTreeMap<u32, String>, Option<Lsn>),
    ) -> Result<()> {
        let copied = self.progress.tables().get(&plan.target).map_or(0, |table| table.copied_rows);
        let first_commit = first_commit.map(|lsn| lsn.to_string());
        let mut record = TableRecord { copied_rows: copied, first_commit, ..table_record(plan, TablePhase::Ready) };
        if let Some(reason) = refused.get(&plan.schema.relid) {
            record.phase = TablePhase::Parked;
            record.reason = Some(reason.clone());
        }
        copying.store.save_table(plan.schema.relid, &record).await?;
        copying.state.tables.insert(plan.schema.relid, record);
        Ok(())
    }

    /// Tables that came into the configuration or the database since: copied under a temporary slot's snapshot, at a version behind
    /// everything that was sent before it.
    async fn join_new(&self, copying: &mut Copying<'_>) -> Result<()> {
        let unfinished = |plan: &&TablePlan| {
            copying.state.tables.get(&plan.schema.relid).is_none_or(|record| record.phase == TablePhase::Copying)
        };
        let new: Vec<&TablePlan> = copying.plans.iter().filter(unfinished).collect();
        if new.is_empty() {
            return Ok(());
        }
        for plan in &new {
            let is_known = copying.state.tables.contains_key(&plan.schema.relid);
            let why = if is_known { "was not copied whole" } else { "is new" };
            self.progress.note(format!("{} {why}: it is copied before the stream goes on", plan.schema.name));
        }
        let tell = |waiting: &[Waiting]| self.waiting(waiting);
        let (version, slot) =
            super::resync::later_snapshot(self.settings, copying.lock.client(), &self.patience(&tell)).await?;
        let sink = ClickHouseSink::new(self.server.clone(), &self.settings.clickhouse.database);
        let mut jobs = Vec::new();
        for plan in &new {
            let all = plan_ranges(copying.lock.client(), &plan.schema).await?;
            self.expect(plan, 0);
            let relation = plan.schema.relid;
            let to = (self.server, &self.settings.clickhouse);
            unfinished::forget(to, plan, copying.state.tables.get(&relation)).await?;
            if plan.log.is_some() {
                let first_commit = Some(version.transaction().to_string());
                let record = TableRecord { first_commit, ..table_record(plan, TablePhase::Copying) };
                copying.store.save_table(relation, &record).await?;
                copying.state.tables.insert(relation, record);
            }
            let job = self.job(plan, copying.ranges, numbered(all), version);
            // What an earlier table of this name left there, or a copy that was broken off, is gone.
            let layout = Arc::clone(&job.layout);
            sink.truncate(&Truncation { layout, version: Version(version.0 - 1), at: super::kept::now() }).await?;
            jobs.push(job);
        }
        let about = (self.progress, self.stop);
        let left = super::resync::copy_all(self.settings, sink, (jobs, None), &slot.snapshot, about).await?;
        let refused = left.whole("start sync again: it is copied from its beginning")?.refused;
        for plan in new {
            self.mark_copied(copying, plan, (&refused, Some(slot.consistent_point))).await?;
        }
        Ok(())
    }
}

/// Notes what the catalog says of tables that are still to be copied.
async fn note_marks(lock: &PipelineLock, plans: &[TablePlan], (state, store): (&State, &mut StateStore)) -> Result<()> {
    let is_copied = |plan: &&TablePlan| {
        let relation = plan.schema.relid;
        let record = state.tables.get(&relation);
        record.is_some_and(|record| record.phase != TablePhase::Copying) && state.marks.contains_key(&relation)
    };
    let found = marks(lock.client(), None).await?;
    super::marks::store(plans.iter().filter(|plan| !is_copied(plan)), &found, store).await
}

/// No table is left that the source could send.
fn nothing_to_send(state: &State) -> Error {
    if state.tables.values().any(|record| record.phase == TablePhase::Parked) {
        return Error::new(Kind::Value, "every table is parked")
            .hint("`pipectl status` tells why; `pipectl resync` copies them again");
    }
    Error::new(Kind::Config, "no table takes part")
        .hint("`tables:` in the configuration matches none that can be replicated; `pipectl create-tables --dry-run` says why")
}

/// A first copy has the lowest version: rows of unknown origin would win against it.
pub(super) async fn refuse_filled(server: &Server, settings: &ClickHouseSettings, plans: &[TablePlan]) -> Result<()> {
    for plan in plans {
        // As a parameter an identifier keeps the backslashes that a parameter's value is escaped with.
        let table = ddl::qualified(&plan.target, settings);
        if !server.rows(&format!("SELECT 1 AS found FROM {table} LIMIT 1"), &[]).await?.is_empty() {
            return Err(Error::new(
                Kind::SourceGap,
                format!("table \"{}\" holds rows already, and nothing is stored of where they came from", plan.target),
            )
            .hint("`pipectl resync --all` copies everything into new tables and exchanges them; or drop the table"));
        }
    }
    Ok(())
}

/// Ranges with their numbers.
pub(super) fn numbered(ranges: Vec<HeapRange>) -> Vec<(u32, HeapRange)> {
    (0..).zip(ranges).collect()
}

/// Rows of a table whose ranges are stored already.
fn stored_rows(state: &State, relation: u32) -> u64 {
    state.ranges.range((relation, 0)..=(relation, u32::MAX)).map(|(_, record)| record.rows).sum()
}

/// The ranges that are not stored yet. Blocks that are stored are skipped whatever their range's number is now; an open last range is read again from where it
/// began, since the heap may have grown.
fn not_stored(all: Vec<HeapRange>, state: &State, relation: u32) -> Vec<(u32, HeapRange)> {
    let stored: Vec<_> = state.ranges.range((relation, 0)..=(relation, u32::MAX)).map(|(_, record)| record).collect();
    let next =
        state.ranges.range((relation, 0)..=(relation, u32::MAX)).next_back().map_or(0, |((_, number), _)| number + 1);
    let is_stored = |range: &HeapRange| {
        stored.iter().any(|record| {
            (record.heap, record.filenode, record.first, record.end)
                == (range.heap, range.filenode, range.first, range.end)
        })
    };
    (next..).zip(all.into_iter().filter(|range| !is_stored(range))).collect()
}

pub(super) fn table_record(plan: &TablePlan, phase: TablePhase) -> TableRecord {
    let (source, target) = (plan.schema.name.to_string(), plan.target.clone());
    let view = plan.view.clone();
    let mut record = TableRecord { source, target, view, phase, ..TableRecord::default() };
    record.learn(&plan.schema);
    record
}

pub(super) async fn drop_slot(lock: &PipelineLock, slot: &str) -> Result<()> {
    lock.client()
        .execute(DROP_SLOT, &[&slot])
        .await
        .map(|_| ())
        .map_err(|error| crate::server::postgres::server_error("could not drop the replication slot", error))
}

/// Waits until nobody reads a slot any more: the session of a process that was killed just now may take a moment to end. One that was left making
/// the slot waits for others' transactions, and is ended.
async fn freed(lock: &PipelineLock, name: &str, slot: SlotState, start: Start) -> Result<Option<SlotState>> {
    let deadline = Instant::now() + LAST_BREATH;
    let mut slot = Some(slot);
    while let Some(pid) = slot.as_ref().and_then(|slot| slot.active_pid) {
        if Instant::now() >= deadline {
            return Err(slot_taken(name, pid));
        }
        if start == Start::Orphan {
            end_slot_reader(lock.client(), name).await?;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
        slot = slot_state(lock.client(), name).await?;
    }
    Ok(slot)
}

pub(super) fn slot_taken(slot: &str, pid: i32) -> Error {
    Error::new(Kind::Source, format!("replication slot \"{slot}\" is read by the session with pid {pid}")).hint(
        "stop the other reader (another `pipectl sync`?), or give this pipeline a slot of its own (`postgres.slot`)",
    )
}
