//! The session that a running pipeline keeps with Postgres.

use super::lock::PipelineLock;
use crate::config::PostgresSettings;
use crate::error::{Kind, Result};
use crate::sync::{Ended, Progress};
use std::sync::Arc;
use std::time::Duration;

/// How often the server is asked whether it is still there.
const LOOK_AROUND: Duration = Duration::from_secs(10);

/// Keeps the pipeline's lock, and writes a message now and then, so that an idle database holds no log back. Ends only with a failure that
/// lasts: the lock is lost to another process.
pub(super) async fn write(
    lock: PipelineLock,
    every: Duration,
    postgres: PostgresSettings,
    progress: Arc<Progress>,
) -> Result<Ended> {
    let mut lock = lock;
    let mut written = tokio::time::Instant::now();
    let pause = if every.is_zero() { LOOK_AROUND } else { every.min(LOOK_AROUND) };
    loop {
        tokio::time::sleep(pause).await;
        if lock.client().is_closed() {
            match lock.again(&postgres).await {
                Ok(Some(taken)) => lock = taken,
                Err(error) if error.kind() == Kind::Source => return Err(error),
                Ok(None) | Err(_) => continue,
            }
        }
        if !every.is_zero() && written.elapsed() >= every {
            written = tokio::time::Instant::now();
            if let Err(error) = lock.heartbeat().await {
                progress.note(format!("warning: {error}"));
            }
        } else if lock.flushed().await.is_ok() {
            // The stream of an idle database is silent for half of wal_sender_timeout: that the server answers is a sign of life too.
            progress.sign_of_life();
        }
    }
}

/// Keeps the lock of a pipeline that reads topics. Postgres may well be away meanwhile. Ends only with a failure that lasts: the lock is lost to a process
/// that reads the slot itself.
pub(super) async fn keep(lock: &PipelineLock, postgres: &PostgresSettings) -> Result<Ended> {
    let mut again: Option<PipelineLock> = None;
    loop {
        tokio::time::sleep(LOOK_AROUND).await;
        let held = again.as_ref().unwrap_or(lock);
        if held.client().is_closed() {
            match held.again(postgres).await {
                Ok(Some(taken)) => again = Some(taken),
                Err(error) if error.kind() == Kind::Source => return Err(error),
                Ok(None) | Err(_) => {}
            }
        }
    }
}
