//! From the direct stream to the topics.
//!
//! The slot stands exactly where the direct stream has stored everything. The connector begins there, with nothing remembered and without a snapshot; the topics count
//! from where they end now.

use super::super::connector;
use super::to_postgres::nothing_stored;
use super::{Look, Sides, Switch, Switched, done, lock, refuse_what_cannot_change};
use crate::change::{Lsn, Offsets, Reached};
use crate::checkpoint::{CheckpointRecord, OffsetStore, PipelineRecord};
use crate::config::Settings;
use crate::error::{Error, Kind, Result};
use crate::failpoint;
use crate::flow::CheckpointStore;
use crate::server::postgres::server_error;
use crate::source::postgres::identify_logical;
use crate::sync::Ends;
use std::time::Duration;
use tokio_postgres::Client;

const ADVANCE: &str = include_str!("../../../sql/postgres/advance_slot.sql");
/// How long the connector may take until it streams.
const WAIT: Duration = Duration::from_secs(120);

impl Switch<'_> {
    pub(super) async fn to_kafka(&self, dry_run: bool) -> Result<Switched> {
        let settings = self.settings;
        let held = lock(settings).await?;
        let mut sides = Sides::load(settings).await?;
        if Sides::holds(&sides.kafka.1) {
            return self.make_sure_it_runs(dry_run).await;
        }
        let look = Look::take(settings, held.client()).await?;
        let position = position(&sides, &look)?;
        refuse_what_cannot_change(settings, &look).await?;
        self.refuse_running(&look).await?;
        let steps = self.steps(&look, position);
        if dry_run {
            return Ok(Switched { steps: steps.into() });
        }
        let [leave, connect, store, start] = &steps;
        if let Some(pipeline) = sides.postgres.1.pipeline.take() {
            sides.postgres.0.save_pipeline(&PipelineRecord { left: true, ..pipeline }).await?;
        }
        advance(settings, held.client(), position).await?;
        done(self.progress, leave);
        failpoint::die("switch.left");
        let plan = connector::plan(settings, &connector_options()).await?;
        connector::prepare_stopped(&plan).await?;
        done(self.progress, connect);
        failpoint::die("switch.prepared");
        self.begin_at_ends(sides, &look.ends().await?, position).await?;
        done(self.progress, store);
        failpoint::die("switch.stored");
        connector::start(settings, &plan, WAIT).await?;
        done(self.progress, start);
        Ok(Switched { steps: steps.into() })
    }

    fn steps(&self, look: &Look, position: Lsn) -> [String; 4] {
        let (name, slot) =
            (self.settings.connector_name(), &self.settings.postgres.as_ref().map_or("", |it| it.slot.as_str()));
        let connector = if look.connector { "change" } else { "make" };
        [
            format!("leave the direct stream at {position}, and move slot \"{slot}\" there"),
            format!(
                "{connector} connector \"{name}\", stopped, with snapshot.mode=no_data, and forget its stored offsets"
            ),
            format!("store the topics' ends and {position} as the place where they take over"),
            format!("start connector \"{name}\", and wait until it streams: `pipectl sync --source kafka` goes on"),
        ]
    }

    /// The pipeline reads topics already: what may be left of an earlier switch is that the connector starts.
    async fn make_sure_it_runs(&self, dry_run: bool) -> Result<Switched> {
        let settings = self.settings;
        if connector::streams(settings).await? {
            return Ok(Switched::default());
        }
        let step = format!("start connector \"{}\", and wait until it streams", settings.connector_name());
        if !dry_run {
            let plan = connector::plan(settings, &connector_options()).await?;
            connector::start(settings, &plan, WAIT).await?;
            done(self.progress, &step);
        }
        Ok(Switched { steps: vec![step] })
    }

    /// Whatever would read the slot or the topics besides.
    async fn refuse_running(&self, look: &Look) -> Result<()> {
        let slot = self.settings.postgres.as_ref().map_or("", |postgres| postgres.slot.as_str());
        if connector::runs(self.settings).await? {
            let name = self.settings.connector_name();
            return Err(Error::new(
                Kind::Source,
                format!("connector \"{name}\" is running, while the pipeline streams directly"),
            )
            .hint("`pipectl connector delete` removes it; the switch makes it anew"));
        }
        if let Some(pid) = look.slot.active_pid {
            return Err(super::super::prepare::slot_taken(slot, pid));
        }
        look.group_has_ended(self.settings, self.progress).await
    }

    async fn begin_at_ends(&self, mut sides: Sides, ends: &Ends, position: Lsn) -> Result<()> {
        let postgres = self.settings.postgres.as_ref().ok_or_else(super::super::copies::no_postgres)?;
        let identity = identify_logical(postgres).await?;
        let store = &mut sides.kafka.0;
        for (relation, record) in &sides.postgres.1.tables {
            store.save_table(*relation, record).await?;
        }
        let reached = |end: &i64| Reached { next: *end, lsn: position };
        let offsets = Offsets(ends.iter().map(|(place, end)| (place.clone(), reached(end))).collect());
        if !offsets.0.is_empty() {
            OffsetStore(store.clone()).save(&offsets).await?;
        }
        let floor = ends.iter().map(|((topic, partition), end)| (format!("{partition}:{topic}"), *end));
        let record = PipelineRecord {
            snapshot_done: true,
            switched_at: Some(position.to_string()),
            switched_offsets: floor.collect(),
            ..PipelineRecord::intended(identity.system_identifier, identity.timeline, false)
        };
        store.save_pipeline(&record).await
    }
}

fn connector_options() -> connector::ApplyOptions {
    connector::ApplyOptions {
        use_existing_slot: true,
        snapshot_mode: Some("no_data".to_owned()),
        ..connector::ApplyOptions::default()
    }
}

/// Where the direct stream has stored everything: what it checkpointed, or further where the slot was told so.
fn position(sides: &Sides, look: &Look) -> Result<Lsn> {
    let state = &sides.postgres.1;
    let Some(pipeline) = &state.pipeline else {
        // A switch the other way that broke off before it stored anything: the topics are read, and the slot stands behind them.
        return if sides.kafka.1.pipeline.is_some() { Ok(look.slot.confirmed) } else { Err(nothing_stored()) };
    };
    if !pipeline.snapshot_done || pipeline.resync_all {
        return Err(Error::new(Kind::SourceGap, "the first copy is not complete")
            .hint("run `pipectl sync --source postgres` until it streams; then switch"));
    }
    let stored = state.checkpoint.as_ref().map_or(Lsn::ZERO, |checkpoint| CheckpointRecord::position(checkpoint).end);
    if look.slot.confirmed > stored && Sides::holds(state) && state.checkpoint.is_some() {
        return Err(Error::new(
            Kind::SourceGap,
            format!(
                "changes from {stored} to {} are missing: the slot was acknowledged further than ClickHouse has stored",
                look.slot.confirmed
            ),
        )
        .hint("`pipectl resync --all` copies everything again"));
    }
    Ok(stored.max(look.slot.confirmed))
}

/// Has the slot begin where everything is stored: what it would send again would get other versions.
async fn advance(settings: &Settings, client: &Client, position: Lsn) -> Result<()> {
    let slot = settings.postgres.as_ref().map_or("", |postgres| postgres.slot.as_str());
    client
        .execute(ADVANCE, &[&slot, &position.to_string()])
        .await
        .map(|_| ())
        .map_err(|error| server_error("could not move the replication slot", error))
}
