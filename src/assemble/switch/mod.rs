//! Changing the transport of a pipeline: from topics to the direct stream and back, with the same tables and the same slot.
//!
//! Both write versions that are places in the log, so that nothing is copied again. What has to be right is who reads on from where, and that the two never
//! read at once. Each transport keeps a state of its own, of which one is marked as left. The mark of the side that is left is written before anything else, the
//! one of the side that takes over is taken away last: a switch that breaks off in between leaves a pipeline that neither side starts on, and that can be switched
//! again, either way.

mod look;
mod to_kafka;
mod to_postgres;

use super::lock::PipelineLock;
use crate::checkpoint::{State, StateStore, Transport};
use crate::config::{Settings, SyncSource};
use crate::error::{Error, Kind, Result};
use crate::server::clickhouse;
use crate::sync::Progress;
use look::Look;
use std::sync::Arc;
use tokio::sync::watch;

/// What a switch does, in its order; and what of it was done before.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Switched {
    /// The steps that are, or were, to be done; none where the pipeline is on that side already.
    pub steps: Vec<String>,
}

/// What a switch works on.
struct Switch<'a> {
    settings: &'a Settings,
    progress: &'a Arc<Progress>,
    stop: &'a watch::Receiver<bool>,
}

/// Moves a pipeline to a transport, or only tells the steps. One that was broken off goes on.
///
/// # Errors
/// [`Kind::Source`] that names what still runs on either side; [`Kind::Config`] where the configuration has not both sides, or a table cannot change; else what
/// the servers refuse.
pub async fn switch(
    settings: &Settings,
    to: SyncSource,
    dry_run: bool,
    (progress, stop): (&Arc<Progress>, &watch::Receiver<bool>),
) -> Result<Switched> {
    let work = Switch { settings, progress, stop };
    match to {
        SyncSource::Postgres => work.to_postgres(dry_run).await,
        SyncSource::Kafka => work.to_kafka(dry_run).await,
    }
}

/// The states of both transports.
struct Sides {
    postgres: (StateStore, State),
    kafka: (StateStore, State),
}

impl Sides {
    async fn load(settings: &Settings) -> Result<Self> {
        let server = clickhouse::connect(&settings.clickhouse)?;
        let own_name = format!("pipectl_{}", settings.pipeline);
        let slot = settings.postgres.as_ref().map_or(own_name.as_str(), |postgres| postgres.slot.as_str());
        let store = |transport| {
            StateStore::new(server.clone(), &settings.clickhouse.database, &settings.pipeline, slot).of(transport)
        };
        let (mut postgres, mut kafka) = (store(Transport::Postgres), store(Transport::Kafka));
        let (of_postgres, of_kafka) = (postgres.load().await?, kafka.load().await?);
        Ok(Self { postgres: (postgres, of_postgres), kafka: (kafka, of_kafka) })
    }

    /// Whether a state says that its transport is the pipeline's.
    fn holds(state: &State) -> bool {
        state.pipeline.as_ref().is_some_and(|pipeline| !pipeline.left)
    }
}

/// Refuses to work on a transport that the pipeline has left, or never took: its changes come by the other one.
pub(super) async fn refuse_left(settings: &Settings, own: Transport) -> Result<()> {
    let sides = Sides::load(settings).await?;
    let ((_, mine), (_, other), words) = match own {
        Transport::Postgres => (sides.postgres, sides.kafka, ["kafka", "postgres"]),
        Transport::Kafka => (sides.kafka, sides.postgres, ["postgres", "kafka"]),
    };
    let [theirs, ours] = words;
    let left = mine.pipeline.as_ref().is_none_or(|pipeline| pipeline.left);
    if !left {
        return Ok(());
    }
    if Sides::holds(&other) {
        return Err(Error::new(
            Kind::SourceGap,
            format!("the changes of pipeline \"{}\" come by {theirs}", settings.pipeline),
        )
        .hint(format!("`pipectl sync --source {theirs}` goes on with it; `pipectl switch --to {ours}` changes that")));
    }
    if mine.pipeline.is_some() || other.pipeline.is_some_and(|pipeline| pipeline.left) {
        return Err(Error::new(Kind::SourceGap, "a switch of the transport was begun and not completed")
            .hint(format!("run `pipectl switch --to {ours}` or `--to {theirs}` again: it goes on where it was")));
    }
    Ok(())
}

/// Takes the lock that keeps every other pipectl off this pipeline.
async fn lock(settings: &Settings) -> Result<PipelineLock> {
    PipelineLock::take(settings.postgres.as_ref().ok_or_else(super::copies::no_postgres)?).await
}

/// Says what was done.
fn done(progress: &Progress, step: &str) {
    progress.note(format!("done: {step}"));
}

/// What neither side may begin with: rows without a key are told apart by what only one transport knows, and a record that was set aside has a place in the log
/// that belongs to the time before.
async fn refuse_what_cannot_change(settings: &Settings, look: &Look) -> Result<()> {
    if !look.keyless.is_empty() {
        return Err(Error::new(
            Kind::Config,
            format!("tables without a key, and logs, cannot change the transport: {}", look.keyless.join(", ")),
        )
        .hint("give them a key, or leave them out of the configuration"));
    }
    let waiting = crate::dead_letters::count(settings, &crate::dead_letters::LetterFilter::default()).await?;
    if waiting > 0 {
        return Err(Error::new(Kind::Value, format!("{waiting} dead letters are waiting"))
            .hint("`pipectl dead-letters list` tells why; replay them and let sync take them in, or drop them, before the switch"));
    }
    Ok(())
}
