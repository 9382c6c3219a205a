//! The engines' handle on the task that stores groups.

use super::Progress;
use super::writer::{Order, Stored, Writer};
use crate::error::{Error, Kind, Result};
use crate::flow::{CheckpointStore, DeadLetters, Refetch, Sink};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

/// How often a position is stored behind which nothing is to be stored.
pub(super) const IDLE_CHECKPOINT: Duration = Duration::from_secs(10);

/// The task, and how many orders of it are not reported yet.
pub(super) struct Writing<P> {
    orders: mpsc::Sender<Order<P>>,
    done: mpsc::Receiver<Result<Stored<P>>>,
    task: JoinHandle<()>,
    in_flight: usize,
    /// The numbers that it shares with the engine.
    pub(super) progress: Arc<Progress>,
    /// Turns true when the process is to stop.
    pub(super) stop: watch::Receiver<bool>,
}

impl<P: Clone + Send + Sync + 'static> Writing<P> {
    /// Starts the task.
    pub(super) fn start<K, R, C, D>(writer: Writer<K, R, C, D>) -> Self
    where
        K: Sink + 'static,
        R: Refetch + 'static,
        C: CheckpointStore<Position = P> + 'static,
        D: DeadLetters + 'static,
    {
        let (orders, received) = mpsc::channel(1);
        let (report, done) = mpsc::channel(4);
        let (progress, stop) = (Arc::clone(&writer.progress), writer.stop.clone());
        let task = tokio::spawn(writer.run(received, report));
        Self { orders, done, task, in_flight: 0, progress, stop }
    }

    /// Orders that are not reported yet.
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Whether everything that was ordered is stored.
    pub(super) fn is_idle(&self) -> bool {
        self.in_flight == 0
    }

    /// Hands an order to the task.
    ///
    /// # Errors
    /// That with which the task has ended.
    pub(super) async fn order(&mut self, order: Order<P>) -> Result<()> {
        if self.orders.send(order).await.is_err() {
            return Err(self.last_error().await);
        }
        self.in_flight += 1;
        Ok(())
    }

    /// Waits until an order is carried out; without end where there is none. Can be dropped and called again without losing a report.
    ///
    /// # Errors
    /// That with which the task has ended.
    pub(super) async fn stored(&mut self) -> Result<Stored<P>> {
        let stored = self.done.recv().await.ok_or_else(gone)??;
        self.in_flight -= 1;
        Ok(stored)
    }

    /// What has been carried out meanwhile, without waiting.
    pub(super) fn try_stored(&mut self) -> Option<Result<Stored<P>>> {
        let stored = self.done.try_recv().ok()?;
        if stored.is_ok() {
            self.in_flight -= 1;
        }
        Some(stored)
    }

    async fn last_error(&mut self) -> Error {
        while let Some(finished) = self.done.recv().await {
            if let Err(error) = finished {
                return error;
            }
        }
        gone()
    }

    /// Ends the task; nothing can be stored afterwards.
    pub(super) async fn close(self) {
        drop(self.orders);
        drop(self.done);
        if let Err(error) = self.task.await {
            tracing::debug!(%error, "the writer ended");
        }
    }
}

/// Waits for the last batch, before the process stops. What is not stored in time, or because a server cannot be reached, is read again at the next start.
///
/// # Errors
/// A failure that lasts.
pub(super) async fn last_batch(
    stored: impl Future<Output = Result<()>>,
    timeout: Duration,
    progress: &Progress,
) -> Result<()> {
    match tokio::time::timeout(timeout, stored).await {
        Ok(Err(error)) if !error.kind().policy().retry => Err(error),
        Ok(_) => Ok(()),
        Err(_) => {
            progress.note("the last batch was not stored in time; it is read again at the next start");
            Ok(())
        }
    }
}

fn gone() -> Error {
    Error::new(Kind::Unexpected, "the task that stores rows ended early")
}
