//! Where the reading stands: how far the partitions are, and whether the wanted ends are reached.

use super::partition::Partition;
use super::{Ends, Records};
use crate::error::Result;
use crate::flow::{PartitionLag, RecordSource, RecordTables};
use crate::sync::progress::PartitionProgress;
use crate::sync::writing::IDLE_CHECKPOINT;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::sync::watch;

impl<T: RecordTables> Records<T> {
    /// Whether somebody waits for what was taken in: then nothing is gained by waiting for more.
    pub(super) fn is_waited_for(&self, until: &watch::Receiver<Option<Ends>>) -> bool {
        if !self.intake.has_moved() {
            return false;
        }
        let ends = until.borrow();
        let Some(ends) = ends.as_ref() else { return false };
        self.intake.partitions().all(|partition| {
            let end = ends.get(&(Arc::clone(&partition.topic), partition.number));
            end.is_none_or(|end| partition.next().is_some_and(|next| next >= *end))
        })
    }

    /// Looks around while nothing comes: stores offsets now and then, and tells whether the wanted ends are reached.
    pub(super) async fn look_around(
        &mut self,
        source: &impl RecordSource,
        until: &watch::Receiver<Option<Ends>>,
    ) -> Result<bool> {
        let lags = source.lags();
        let nothing_waits = self.intake.is_empty() && self.writing.is_idle() && self.pending.is_none();
        let drained = !lags.is_empty() && lags.iter().all(|lag| lag.drained);
        if nothing_waits {
            self.intake.drained(&lags);
        }
        if nothing_waits && drained {
            self.progress.caught_up.store(true, Ordering::Relaxed);
            self.progress.sign_of_life();
        }
        self.tell_lags(&lags);
        if !nothing_waits {
            return Ok(false);
        }
        if self.intake.has_moved() && self.last_checkpoint.elapsed() >= IDLE_CHECKPOINT {
            self.seal().await?;
            return Ok(false);
        }
        let Some(ends) = until.borrow().clone() else { return Ok(false) };
        let ours = |key: &(Arc<str>, i32)| {
            let of = |topic: &Arc<str>, partition: i32| *topic == key.0 && partition == key.1;
            let next = self.intake.partitions().find(|place| of(&place.topic, place.number)).map(Partition::next);
            let drained =
                lags.iter().find(|lag| of(&lag.topic, lag.partition)).filter(|lag| lag.drained).map(|lag| lag.end);
            next.map(|next| next.max(drained))
        };
        let left: Vec<_> =
            ends.iter().filter(|(key, end)| ours(key).flatten().is_none_or(|next| next < **end)).collect();
        if left.is_empty() && !self.tables.is_copying() {
            return Ok(!self.intake.has_moved() || self.seal_and_wait(source).await?);
        }
        // What other members of the group read is known by what they stored.
        if !left.is_empty()
            && left.iter().all(|(key, _)| ours(key).is_none())
            && self.last_checkpoint.elapsed() >= Duration::from_secs(1)
        {
            self.last_checkpoint = Instant::now();
            let stored = self.stored().await?;
            return Ok(left.iter().all(|(key, end)| stored.0.get(*key).is_some_and(|reached| reached.next >= **end)));
        }
        Ok(false)
    }

    /// The last offsets are stored before the end is told.
    async fn seal_and_wait(&mut self, source: &impl RecordSource) -> Result<bool> {
        self.seal().await?;
        self.drain(source).await?;
        Ok(true)
    }

    pub(super) fn tell_lags(&self, lags: &[PartitionLag]) {
        let next = |lag: &PartitionLag| {
            let place = self.confirmed.get(&lag.topic, lag.partition);
            if lag.drained { lag.end } else { place.map_or(0, |reached| reached.next) }
        };
        let lags = lags.iter().map(|lag| {
            let key = (lag.topic.to_string(), lag.partition);
            (key, PartitionProgress { stored: next(lag), end: lag.end })
        });
        self.progress.set_partitions(lags.collect());
    }
}
