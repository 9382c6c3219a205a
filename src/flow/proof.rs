//! The order data → checkpoint → acknowledgement, as types.

use super::{Acknowledge, CheckpointStore};
use crate::error::Result;
use std::future::Future;

/// A group is stored at the destination.
#[derive(Debug)]
#[must_use = "what is durable still has to be committed"]
pub struct Durable<P> {
    position: Option<P>,
}

/// The destination knows that it is complete up to a position.
#[derive(Debug)]
#[must_use = "what is committed still has to be acknowledged"]
pub struct Committed<P> {
    position: Option<P>,
}

impl<P> Committed<P> {
    /// Up to where.
    pub fn position(&self) -> Option<&P> {
        self.position.as_ref()
    }
}

/// Runs the work that stores a group; its proof exists only once that has succeeded.
///
/// # Errors
/// What the work returns.
pub async fn write<P>(position: Option<P>, store: impl Future<Output = Result<()>>) -> Result<Durable<P>> {
    store.await?;
    Ok(Durable { position })
}

/// Stores the position that a durable group reaches.
///
/// # Errors
/// What the store returns.
pub async fn commit<C: CheckpointStore>(
    store: &mut C,
    durable: Durable<C::Position>,
) -> Result<Committed<C::Position>> {
    if let Some(position) = &durable.position {
        store.save(position).await?;
    }
    Ok(Committed { position: durable.position })
}

/// Lets the source forget what is committed.
#[expect(clippy::needless_pass_by_value, reason = "the proof is used up: it can be acknowledged once")]
pub fn acknowledge<P>(source: &impl Acknowledge<P>, committed: Committed<P>) {
    if let Some(position) = &committed.position {
        source.acknowledge(position);
    }
}
