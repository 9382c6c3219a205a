//! From the topics to the direct stream.
//!
//! The connector is stopped, so that the topics have an end; they are read up to it. Debezium confirms to the slot only what the brokers have, so what the slot still
//! has to send goes on behind everything that is stored, or repeats the last of it with the same content.

use super::super::{SyncOptions, connector, kafka};
use super::{Look, Sides, Switch, Switched, done, lock, refuse_what_cannot_change};
use crate::change::{Lsn, Position};
use crate::checkpoint::PipelineRecord;
use crate::error::{Error, Kind, Result};
use crate::failpoint;
use crate::flow::CheckpointStore;
use crate::source::postgres::identify_logical;
use crate::sync::Ended;

impl Switch<'_> {
    pub(super) async fn to_postgres(&self, dry_run: bool) -> Result<Switched> {
        let settings = self.settings;
        let postgres = settings.postgres.as_ref().ok_or_else(super::super::copies::no_postgres)?;
        let held = lock(settings).await?;
        let sides = Sides::load(settings).await?;
        if Sides::holds(&sides.postgres.1) {
            return Ok(Switched::default());
        }
        if sides.kafka.1.pipeline.is_none() && sides.postgres.1.pipeline.is_none() {
            return Err(nothing_stored());
        }
        let look = Look::take(settings, held.client()).await?;
        refuse_what_cannot_change(settings, &look).await?;
        look.group_has_ended(settings, self.progress).await?;
        let name = settings.connector_name();
        let unread = Look::unread(&sides, &look.ends().await?);
        let steps = [
            format!("stop connector \"{name}\", and wait until it has let go of slot \"{}\"", postgres.slot),
            format!("read the topics to their ends ({unread} records are left now)"),
            format!("store the slot's position ({} now) as the one to stream on from", look.slot.confirmed),
            "leave the topics to others: `pipectl sync --source postgres` goes on".to_owned(),
        ];
        let [stop, read, store, leave] = &steps;
        if dry_run {
            return Ok(Switched { steps: steps.into() });
        }
        connector::stop(settings).await?;
        done(self.progress, stop);
        failpoint::die("switch.stopped");
        drop(held);
        // Broken off behind this, the topics are read already, and nobody may read them as this pipeline.
        if Sides::holds(&sides.kafka.1) {
            self.read_to_the_ends().await?;
        }
        done(self.progress, read);
        let held = lock(settings).await?;
        self.take_over(&Look::take(settings, held.client()).await?).await?;
        done(self.progress, store);
        done(self.progress, leave);
        Ok(Switched { steps: steps.into() })
    }

    async fn read_to_the_ends(&self) -> Result<()> {
        let options = SyncOptions { until_ends: true, ..SyncOptions::default() };
        match Box::pin(kafka::sync(self.settings, &options, self.progress, self.stop)).await? {
            Ended::CaughtUp => Ok(()),
            Ended::Stopped => Err(stopped()),
        }
    }

    /// Stores where to go on, once it is certain that everything before is stored.
    async fn take_over(&self, look: &Look) -> Result<()> {
        let postgres = self.settings.postgres.as_ref().ok_or_else(super::super::copies::no_postgres)?;
        if let Some(pid) = look.slot.active_pid {
            return Err(super::super::prepare::slot_taken(&postgres.slot, pid));
        }
        let mut sides = Sides::load(self.settings).await?;
        let unread = Look::unread(&sides, &look.ends().await?);
        if unread > 0 {
            return Err(Error::new(
                Kind::Source,
                format!("{unread} records came to the topics after the connector was stopped"),
            )
            .hint("does another connector write to them? run the switch again"));
        }
        let identity = identify_logical(postgres).await?;
        let (store, state) = (&mut sides.postgres.0, &sides.postgres.1);
        for (relation, record) in &sides.kafka.1.tables {
            store.save_table(*relation, record).await?;
        }
        let position = Position { commit: Lsn::ZERO, end: look.slot.confirmed, xid: 0 };
        store.save(&position).await?;
        let owned = state.pipeline.as_ref().is_some_and(|pipeline| pipeline.owns_publication);
        let record = PipelineRecord {
            consistent_point: Some(position.end.to_string()),
            snapshot_done: true,
            switched_at: Some(position.end.to_string()),
            ..PipelineRecord::intended(identity.system_identifier, identity.timeline, owned)
        };
        // In this order there is no moment at which both sides may start.
        if let Some(left) = sides.kafka.1.pipeline.take() {
            sides.kafka.0.save_pipeline(&PipelineRecord { left: true, ..left }).await?;
        }
        failpoint::die("switch.left");
        store.save_pipeline(&record).await
    }
}

pub(super) fn nothing_stored() -> Error {
    Error::new(Kind::SourceGap, "nothing is stored of this pipeline")
        .hint("a new pipeline needs no switch: `pipectl sync --source postgres` or `--source kafka` begins it")
}

fn stopped() -> Error {
    Error::new(Kind::Source, "stopped before the topics were read to their ends")
        .hint("run the switch again: it goes on where it was; or `pipectl connector resume` to stay with the topics")
}
