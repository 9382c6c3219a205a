//! The order data → checkpoint → acknowledgement, as types.

use super::{CheckpointStore, Source};
use crate::change::Position;
use crate::error::Result;
use std::future::Future;

/// A group is stored at the destination.
#[derive(Debug)]
#[must_use = "what is durable still has to be committed"]
pub struct Durable {
    position: Option<Position>,
}

/// The destination knows that it is complete up to a position.
#[derive(Debug)]
#[must_use = "what is committed still has to be acknowledged"]
pub struct Committed {
    position: Option<Position>,
}

impl Committed {
    /// Up to where.
    pub fn position(&self) -> Option<Position> {
        self.position
    }
}

/// Runs the work that stores a group; its proof exists only once that has succeeded.
///
/// # Errors
/// What the work returns.
pub async fn write(position: Option<Position>, store: impl Future<Output = Result<()>>) -> Result<Durable> {
    store.await?;
    Ok(Durable { position })
}

/// Stores the position that a durable group reaches.
///
/// # Errors
/// What the store returns.
pub async fn commit(store: &mut impl CheckpointStore, durable: Durable) -> Result<Committed> {
    if let Some(position) = durable.position {
        store.save(position).await?;
    }
    Ok(Committed { position: durable.position })
}

/// Lets the source forget what is committed.
#[expect(clippy::needless_pass_by_value, reason = "the proof is used up: it can be acknowledged once")]
pub fn acknowledge(source: &impl Source, committed: Committed) {
    if let Some(position) = committed.position {
        source.acknowledge(position.end);
    }
}
