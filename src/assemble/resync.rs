//! Later copies: of tables that are new, or that are copied again.
//!
//! A message is committed to the log first; the copy's version is its LSN. Then a temporary slot is made, whose snapshot waits for every writer: what was
//! committed before the message is in it, and every change that is sent later has a higher version. A plain snapshot would not wait, and could show a row
//! that a change sent before has already replaced.

use super::copies::{Copies, CopyJob};
use super::lock::PipelineLock;
use super::prepare::numbered;
use crate::change::{Lsn, Version};
use crate::config::Settings;
use crate::error::Result;
use crate::sink::clickhouse::ClickHouseSink;
use crate::source::postgres::{CreatedSlot, Waiting, create_slot, plan_ranges};
use crate::sync::Progress;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// A snapshot that is later than the stream's past, and the version that its rows get.
pub(super) async fn later_snapshot(
    settings: &Settings,
    lock: &PipelineLock,
    timeout: Option<Duration>,
    waiting: &(dyn Fn(&[Waiting]) + Sync),
) -> Result<(Version, CreatedSlot)> {
    let postgres = settings.postgres.as_ref().ok_or_else(super::copies::no_postgres)?;
    let mark = lock.heartbeat().await?;
    let name = format!("{}_copy_{}", postgres.slot, std::process::id());
    let slot = create_slot(postgres, &name, true, timeout, waiting).await?;
    Ok((Version::new(mark, Lsn::ZERO), slot))
}

/// Copies tables whole; those that are rewritten meanwhile once more, under the same snapshot as long as it shows them.
pub(super) async fn copy_all(
    settings: &Settings,
    sink: ClickHouseSink,
    mut jobs: Vec<CopyJob>,
    snapshot: &str,
    (progress, stop): (&Arc<Progress>, &watch::Receiver<bool>),
) -> Result<()> {
    let postgres = settings.postgres.as_ref().ok_or_else(super::copies::no_postgres)?;
    loop {
        let copies = Arc::new(Copies::new(settings, sink.clone(), None, (progress, stop)));
        let again = copies.run(&jobs, snapshot).await?;
        if again.is_empty() {
            return Ok(());
        }
        let client = crate::server::postgres::connect(postgres).await?;
        jobs.retain(|job| again.contains(&job.schema.relid));
        for job in &mut jobs {
            job.ranges = numbered(plan_ranges(&client, &job.schema).await?);
        }
    }
}
