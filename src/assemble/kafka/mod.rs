//! From settings to a pipeline that reads Debezium's topics.

mod adjusted;
mod caught_up;
mod described;
mod forms;
mod own_offsets;
mod prepare;
mod refetch;
mod tables;

use super::{SyncOptions, heartbeats};
use crate::change::{Offsets, Reached};
use crate::checkpoint::{OffsetStore, Transport};
use crate::config::{KafkaSettings, Settings};
use crate::dead_letters::Places;
use crate::error::{Error, Kind, Result};
use crate::flow::RecordSource;
use crate::server::clickhouse;
use crate::server::kafka::{Cluster, client_config};
use crate::source::kafka::{GivenUp, GroupOptions, KafkaSource, ends, subscription};
use crate::sync::{Ended, Progress, RecordOptions, Records, Room, Writer, retrying};
use own_offsets::OwnOffsets;
use prepare::{Preparation, Prepared};
use refetch::MaybePostgres;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tables::RecordCatalog;
use tokio::sync::watch;

/// The consumer group of a pipeline.
pub(super) fn group(settings: &Settings) -> String {
    format!("pipectl_{}", settings.pipeline)
}

/// Kafka's settings.
///
/// # Errors
/// [`Kind::Config`] where there are none.
pub(super) fn kafka(settings: &Settings) -> Result<&KafkaSettings> {
    settings.kafka.as_ref().ok_or_else(|| {
        Error::new(Kind::Config, "no Kafka is configured")
            .hint("add a section `kafka` with `brokers` and `topic_prefix` to the configuration; or read from Postgres directly: --source postgres")
    })
}

/// What asks the brokers about a pipeline, and what the pipeline subscribes to.
pub(super) fn cluster(settings: &Settings) -> Result<(Cluster, Vec<String>)> {
    let kafka = kafka(settings)?;
    let cluster = Cluster::new(&client_config(kafka, &[("group.id", group(settings).as_str())]))?;
    Ok((cluster, subscription(kafka, &settings.topic_prefix(), &settings.tables)))
}

/// The ends of all topics of a pipeline, as where to read on from.
pub(super) async fn topic_ends(settings: &Settings) -> Result<Offsets> {
    let (cluster, subscription) = cluster(settings)?;
    let ends = tokio::task::spawn_blocking(move || ends(&cluster, &subscription))
        .await
        .map_err(|error| Error::new(Kind::Unexpected, "a task ended early").because(error))??;
    let reached = |(place, next)| (place, Reached { next, ..Reached::default() });
    Ok(Offsets(ends.into_iter().map(reached).collect()))
}

/// Runs a pipeline on topics until the wanted end, the stop, or a lasting failure.
///
/// # Errors
/// As for [`super::sync`].
pub(super) async fn sync(
    settings: &Settings,
    options: &SyncOptions,
    progress: &Arc<Progress>,
    stop: &watch::Receiver<bool>,
) -> Result<Ended> {
    let server = clickhouse::connect(&settings.clickhouse)?;
    let preparation = Preparation { settings, options, server: &server, progress, stop };
    let prepared = match retrying(progress, stop, || preparation.run()).await {
        Err(_) if *stop.borrow() => return Ok(Ended::Stopped),
        prepared => prepared?,
    };
    let (ends, until) = watch::channel(None);
    let wanted = caught_up::Wanted::new(settings, &prepared, progress);
    let asking = async {
        if !options.until_caught_up && !options.until_ends {
            return std::future::pending().await;
        }
        match retrying(progress, stop, || wanted.ends(options.until_ends)).await {
            Ok(found) => {
                ends.send_replace(Some(found));
                std::future::pending().await
            }
            Err(_) if *stop.borrow() => std::future::pending().await,
            Err(error) => Err::<Ended, Error>(error),
        }
    };
    let lock = prepared.lock.clone();
    let beats = async {
        match (&settings.postgres, lock) {
            (Some(postgres), Some(lock)) => heartbeats::keep(&lock, postgres).await,
            _ => std::future::pending().await,
        }
    };
    let reading = read(settings, options, (&prepared, server.clone(), until), (progress, stop));
    tokio::select! {
        ended = reading => ended,
        failed = asking => failed,
        failed = beats => failed,
    }
}

async fn read(
    settings: &Settings,
    options: &SyncOptions,
    (prepared, server, until): (&Prepared, clickhouse::Server, watch::Receiver<Option<crate::sync::Ends>>),
    (progress, stop): (&Arc<Progress>, &watch::Receiver<bool>),
) -> Result<Ended> {
    let sync = &settings.sync;
    let about = (&server, &prepared.store, &prepared.state);
    let (side, copier) = super::copies_beside(settings, about, (Transport::Kafka, options), (progress, stop));
    let given_up = GivenUp::default();
    let writer = Writer {
        sink: super::fed_sink(settings, &server, &side),
        refetch: MaybePostgres::new(settings.postgres.as_ref()),
        room: Room::of_memory(sync.memory),
        store: OwnOffsets { store: OffsetStore(prepared.store.clone()), given_up: given_up.clone() },
        dead: Places::new(settings, options.max_dead_letters)?,
        progress: Arc::clone(progress),
        stop: stop.clone(),
    };
    let record_options = RecordOptions {
        batch_rows: sync.batch_rows,
        batch_bytes: sync.batch_bytes.min(sync.memory / 4),
        batch_age: sync.batch_age,
        stop_timeout: sync.stop_timeout,
        switched_at: prepared.switched_at,
    };
    let tables = RecordCatalog::new(settings, options, (server, prepared), side, (progress, stop))?;
    let mut engine = Records::new(writer, tables, record_options);
    let group = GroupOptions {
        group: group(settings),
        subscription: prepared.subscription.clone(),
        // A quarter waits in the client, a quarter in the open batch, a quarter on its way; the rest is for what is decoded in between.
        buffer: sync.memory / 4,
        force: options.force,
        floor: prepared.floor.clone(),
        given_up,
    };
    progress.note(format!("reading {} as group \"{}\"", kafka(settings)?.brokers, group.group));
    let reading = sessions(settings, &group, (&mut engine, &until), (progress, stop));
    // Rows are read from Postgres alone.
    let ended = if settings.postgres.is_some() { Box::pin(copier.beside(reading)).await } else { reading.await };
    engine.close().await;
    ended
}

/// Joins the group, again where that was lost for good.
async fn sessions(
    settings: &Settings,
    group: &GroupOptions,
    (engine, until): (&mut Records<RecordCatalog>, &watch::Receiver<Option<crate::sync::Ends>>),
    (progress, stop): (&Arc<Progress>, &watch::Receiver<bool>),
) -> Result<Ended> {
    loop {
        let mut source = KafkaSource::join(kafka(settings)?, group.clone())?;
        let ended = engine.run(&mut source, until).await;
        source.finish().await;
        match ended {
            Ok(ended) => return Ok(ended),
            Err(error) if error.kind().policy().retry && *stop.borrow() => return Ok(Ended::Stopped),
            Err(error) if error.kind() == Kind::SourceUnreachable => {
                progress.note(format!("{}; the group is joined again", error.with_causes()));
                progress.retries.fetch_add(1, Ordering::Relaxed);
                engine.rewind(&source).await?;
                tokio::time::sleep(Duration::from_secs(1)).await;
                progress.retries.store(0, Ordering::Relaxed);
            }
            Err(error) => return Err(error),
        }
    }
}
