//! How far the partitions are stored that are this process' own.

use crate::change::{Offsets, Version};
use crate::checkpoint::OffsetStore;
use crate::error::Result;
use crate::flow::CheckpointStore;
use crate::source::kafka::GivenUp;

/// The store of offsets, without those of partitions that were given up before their rows were stored: whoever has them now reads these rows again.
#[derive(Debug, Clone)]
pub(super) struct OwnOffsets {
    pub(super) store: OffsetStore,
    pub(super) given_up: GivenUp,
}

impl CheckpointStore for OwnOffsets {
    type Position = Offsets;

    async fn save(&mut self, position: &Offsets) -> Result<()> {
        let is_own = |((topic, partition), _): &(&(_, i32), _)| !self.given_up.holds(topic, *partition);
        let own = position.0.iter().filter(is_own).map(|(place, reached)| (place.clone(), *reached));
        self.store.save(&Offsets(own.collect())).await
    }

    async fn park(&mut self, relation: u32, reason: &str, since: Version) -> Result<()> {
        self.store.park(relation, reason, since).await
    }
}
