//! From settings to a running pipeline: the one place that names source, sink and store together.

mod column_names;
pub mod connector;
mod copies;
mod failover;
mod heartbeats;
mod kafka;
mod kept;
mod layout;
mod live;
mod lock;
mod marks;
mod nulls;
mod prepare;
mod publication;
mod recopy;
mod remove;
mod repair;
mod resync;
mod room;
mod slots;
mod status;
mod switch;
mod tables;
mod unfinished;
mod waiting;

pub use remove::{Made, made, remove};
pub use repair::Repair;
pub use resync::{Resync, histories, resync};
pub use status::{PartitionStatus, PipelineStatus, TopicsStatus, status};
pub use switch::{Switched, switch};

use crate::change::{Lsn, TableName};
use crate::checkpoint::{State, StateStore, Transport};
use crate::config::{Settings, SyncSource};
use crate::error::{Error, Kind, Result};
use crate::flow::{NoDeadLetters, Source};
use crate::server::clickhouse;
use crate::sink::clickhouse::ClickHouseSink;
use crate::source::postgres::{PostgresRefetch, PostgresStream};
use crate::sync::{Ended, Progress, Room, Stream, StreamOptions, Writer, retrying};
use failover::History;
use live::{CopySide, LiveTables};
use lock::PipelineLock;
use prepare::{Preparation, Prepared};
use recopy::{Copier, CopyQueue, FedSink, Places, Want, Watch};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::watch;

/// What the command line says beyond the settings.
#[derive(Debug, Clone, Default)]
pub struct SyncOptions {
    /// Ends once everything up to the log's end at the start is stored.
    pub until_caught_up: bool,
    /// Only these tables, by name; all where empty.
    pub tables: Vec<String>,
    /// How long to wait for open transactions when the slot is made; without end where absent.
    pub slot_timeout: Option<Duration>,
    /// Copies even what seems not to fit; reads what is there of a topic where older records are gone.
    pub force: bool,
    /// Ends once more records than this are set aside; without end where absent.
    pub max_dead_letters: Option<u64>,
    /// From topics: ends at their ends as they are at the start, whatever the connector still has to send.
    pub until_ends: bool,
}

impl SyncOptions {
    /// Whether a table is among those that were asked for.
    fn wants(&self, table: &TableName) -> bool {
        self.tables.is_empty() || self.tables.iter().any(|name| *name == table.name || *name == table.to_string())
    }
}

/// Runs a pipeline: makes what is missing, copies, and streams until the wanted position, the stop, or a lasting failure.
///
/// # Errors
/// By kind: the configuration, source, destination or a value refuse; [`Kind::Value`] also where tables are parked and the pipeline was to catch up.
pub async fn sync(
    settings: &Settings,
    options: &SyncOptions,
    progress: &Arc<Progress>,
    stop: &watch::Receiver<bool>,
) -> Result<Ended> {
    let server = clickhouse::connect(&settings.clickhouse)?;
    let mut nulls = nulls::Nulls::new(settings, server.clone(), progress);
    let ended = tokio::select! {
        ended = Box::pin(run(settings, options, server, (progress, stop))) => ended,
        never = nulls.keep() => match never {},
    };
    nulls.save().await;
    ended
}

async fn run(
    settings: &Settings,
    options: &SyncOptions,
    server: clickhouse::Server,
    (progress, stop): (&Arc<Progress>, &watch::Receiver<bool>),
) -> Result<Ended> {
    if settings.sync.source == SyncSource::Kafka {
        return Box::pin(kafka::sync(settings, options, progress, stop)).await;
    }
    let preparation = Preparation { settings, options, server: &server, progress, stop };
    let prepared = retrying(progress, stop, || preparation.run()).await;
    let prepared = match prepared {
        Err(_) if *stop.borrow() => return Ok(Ended::Stopped),
        prepared => prepared?,
    };
    let until = if options.until_caught_up { Some(wanted_end(&prepared.lock).await?) } else { None };
    Box::pin(stream(settings, prepared, server, until, (progress, stop))).await
}

/// The position to catch up to: a message of our own, so that the stream passes it even where nothing else is written.
async fn wanted_end(lock: &PipelineLock) -> Result<Lsn> {
    match lock.heartbeat().await {
        Ok(lsn) => Ok(lsn),
        // A standby writes nothing; its keepalives tell how far it is.
        Err(_) => lock.flushed().await,
    }
}

async fn stream(
    settings: &Settings,
    prepared: Prepared,
    server: clickhouse::Server,
    until: Option<Lsn>,
    (progress, stop): (&Arc<Progress>, &watch::Receiver<bool>),
) -> Result<Ended> {
    let postgres = settings.postgres.as_ref().ok_or_else(copies::no_postgres)?;
    let Prepared { lock, store, state, publications, ranges, from, options } = prepared;
    let (live_store, history_server) = (store.clone(), server.clone());
    let (side, copier) =
        copies_beside(settings, (&server, &store, &state), (Transport::Postgres, &options), (progress, stop));
    let writer = Writer {
        sink: fed_sink(settings, &server, &side),
        refetch: PostgresRefetch::new(postgres.clone()),
        room: Room::of_memory(settings.sync.memory),
        store,
        dead: NoDeadLetters,
        progress: Arc::clone(progress),
        stop: stop.clone(),
    };
    let sync = &settings.sync;
    let stream_options = StreamOptions {
        batch_rows: sync.batch_rows,
        // One group fills while another is sent, and its compressed frames wait beside it.
        batch_bytes: sync.batch_bytes.min(sync.memory / 4),
        batch_age: sync.batch_age,
        until,
        stop_timeout: sync.stop_timeout,
    };
    let tables = LiveTables::new(settings, server, (live_store, state, ranges), side, (progress, stop));
    // The lag is counted from here, not from the log's beginning.
    progress.confirmed.store(from.end.0, Ordering::Relaxed);
    let mut engine = Stream::new(writer, tables, stream_options, from);
    progress.note(format!("streaming from {}", from.end));
    let beats = heartbeats::write(lock, sync.heartbeat, postgres.clone(), Arc::clone(progress));
    let history = History { settings, server: &history_server, progress };
    let sessions = sessions(settings, &publications, (&mut engine, &history), (progress, stop));
    let streaming = async {
        tokio::select! {
            ended = sessions => ended,
            never = beats => never,
        }
    };
    let ended = Box::pin(copier.beside(streaming)).await;
    engine.close().await;
    ended
}

/// The two sides of copies that are made while changes are followed: the tables' and the task's. What an earlier process left to be done is done first.
fn copies_beside(
    settings: &Settings,
    (server, store, state): (&clickhouse::Server, &StateStore, &State),
    (transport, options): (Transport, &SyncOptions),
    (progress, stop): (&Arc<Progress>, &watch::Receiver<bool>),
) -> (CopySide, Copier) {
    let (asks, asked) = tokio::sync::mpsc::unbounded_channel();
    let queue = CopyQueue::default();
    let left =
        state.tables.iter().filter_map(|(relation, record)| Some(Want::needed(*relation, record.copy.as_ref()?)));
    let copier = Copier {
        settings: settings.clone(),
        server: server.clone(),
        store: store.clone(),
        queue: queue.clone(),
        asks,
        transport,
        owns_publication: state.pipeline.as_ref().is_some_and(|pipeline| pipeline.owns_publication),
        progress: Arc::clone(progress),
        stop: stop.clone(),
        watch: Watch::default(),
        left: left.collect(),
    };
    let (places, joins, options) = (Places::default(), transport == Transport::Postgres, options.clone());
    (CopySide { places, queue, asks: asked, joins, options }, copier)
}

fn fed_sink(settings: &Settings, server: &clickhouse::Server, side: &CopySide) -> FedSink {
    let sink = ClickHouseSink::new(server.clone(), &settings.clickhouse.database);
    FedSink { sink, places: side.places.clone() }
}

/// Runs the engine on one session of the source after another.
async fn sessions(
    settings: &Settings,
    publications: &[String],
    (engine, history): (&mut Stream<LiveTables>, &History<'_>),
    (progress, stop): (&Arc<Progress>, &watch::Receiver<bool>),
) -> Result<Ended> {
    let postgres = settings.postgres.as_ref().ok_or_else(copies::no_postgres)?;
    let mut lost = false;
    loop {
        let from = engine.confirmed().end;
        let start = async || {
            if lost {
                history.rejoin().await?;
            }
            PostgresStream::start(postgres, publications.to_vec(), from).await
        };
        let started = retrying(progress, stop, start).await;
        let mut source = match started {
            Err(_) if *stop.borrow() => return Ok(Ended::Stopped),
            started => started?,
        };
        match engine.run(&mut source).await {
            Ok(ended) => {
                source.finish().await;
                return Ok(ended);
            }
            // What could not be reached when the stop came is not waited for: it is read again at the next start.
            Err(error) if error.kind().policy().retry && *stop.borrow() => return Ok(Ended::Stopped),
            Err(error) if error.kind() == Kind::SourceUnreachable => {
                progress.note(format!("{}; a new session goes on behind what is stored", error.with_causes()));
                lost = true;
                progress.retries.fetch_add(1, Ordering::Relaxed);
                match engine.rewind(&source).await {
                    Err(error) if error.kind().policy().retry && *stop.borrow() => return Ok(Ended::Stopped),
                    rewound => rewound?,
                }
                tokio::time::sleep(Duration::from_millis(500)).await;
                progress.retries.store(0, Ordering::Relaxed);
            }
            Err(error) => return Err(error),
        }
    }
}

/// The exit of a caught-up pipeline whose tables are not all there.
///
/// # Errors
/// [`Kind::Value`] that names the parked tables.
pub fn refuse_parked(progress: &Progress) -> Result<()> {
    let parked: Vec<String> =
        progress.tables().into_iter().filter(|(_, table)| table.parked.is_some()).map(|(name, _)| name).collect();
    if parked.is_empty() {
        return Ok(());
    }
    Err(Error::new(Kind::Value, format!("caught up, but tables are parked: {}", parked.join(", ")))
        .hint("`pipectl status` tells why; `pipectl resync` copies them again"))
}
