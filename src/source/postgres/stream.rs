//! The stream of changes from a replication slot.
//!
//! Protocol version 1 of `pgoutput`: only committed transactions, in commit order; the server keeps what does not fit its memory on its own disk. The status
//! that Postgres asks for at least every `wal_sender_timeout` is sent by a task of its own, also while ClickHouse takes its time.
//!
//! Postgres sends every row by itself, and a reader that waits for it is woken for every one: two switches of threads a row cost more than decoding it.
//! So the socket has a thread of its own, which takes a nap whenever it has read all there is: after it, rows lie there in heaps.

use super::slot::slot_state;
use crate::change::{Lsn, Position};
use crate::config::PostgresSettings;
use crate::error::{Error, Kind, Result};
use crate::flow::{Acknowledge, Event, Source};
use crate::server::postgres::{Connection, connect, replication_config};
use pgwire_replication::{FeedbackObserver, PgWireError, ReplicationClient, ReplicationEvent};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// Messages that wait between the socket and the decoder. Few, since each may be a row of megabytes.
const WAITING_MESSAGES: usize = 512;
/// How soon an acknowledgement is sent at most; also what the end of a sync waits for.
const STATUS_INTERVAL: Duration = Duration::from_millis(100);
/// How often the server hears from an idle session.
const WAKEUP_INTERVAL: Duration = Duration::from_millis(500);
const DRAIN: Duration = Duration::from_millis(20);
const FINISH_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the reading thread sleeps before it waits for more: what a change is late by at most.
const NAP: Duration = Duration::from_millis(1);

/// How long a session has to say good-bye, so that its slot is free for the next one.
const FAREWELL: Duration = Duration::from_secs(1);

/// A running stream.
pub struct PostgresStream {
    client: ReplicationClient,
    /// The thread that reads ends when this is dropped.
    _reader: oneshot::Sender<()>,
    settings: PostgresSettings,
    acknowledged: AtomicU64,
    xid: u32,
}

impl std::fmt::Debug for PostgresStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresStream").field("xid", &self.xid).finish_non_exhaustive()
    }
}

impl PostgresStream {
    /// Starts the stream of the settings' slot behind a position.
    ///
    /// # Errors
    /// [`Kind::SourceUnreachable`] where nobody answers; [`Kind::Source`] where the slot is taken, or the server refuses otherwise.
    pub async fn start(settings: &PostgresSettings, publications: Vec<String>, from: Lsn) -> Result<Self> {
        let mut config = replication_config(settings)?;
        config.publication = publications.into();
        config = config
            .with_start_lsn(pgwire_replication::Lsn::from_u64(from.0))
            .with_buffer_size(WAITING_MESSAGES)
            .with_status_interval(STATUS_INTERVAL)
            .with_wakeup_interval(WAKEUP_INTERVAL)
            // The client only keeps account of what it has not reported yet where somebody observes it.
            .with_feedback_observer(FeedbackObserver::new(|_| {}));
        let tried = || format!("could not start replication from slot \"{}\"", settings.slot);
        let (reader, end) = reading_thread()
            .map_err(|error| Error::new(Kind::Unexpected, "could not start the thread that reads").because(error))?;
        let mut client = reader
            .spawn(ReplicationClient::connect(config))
            .await
            .map_err(|error| Error::new(Kind::Unexpected, "the thread that reads ended early").because(error))?
            .map_err(|error| stream_error(&tried(), settings, &error))?;
        client.wait_started().await.map_err(|error| stream_error(&tried(), settings, &error))?;
        let settings = settings.clone();
        Ok(Self { client, _reader: end, settings, acknowledged: AtomicU64::new(0), xid: 0 })
    }

    /// Takes out what still flows in for a moment: while the server cannot send, it reads nothing.
    async fn drain(&mut self) {
        let until = tokio::time::Instant::now() + DRAIN;
        while let Ok(Ok(Some(_))) = tokio::time::timeout_at(until, self.client.recv()).await {}
    }

    /// Whether the server has taken in the last acknowledgement.
    async fn is_confirmed(&self, asking: Option<&Connection>) -> bool {
        let wanted = Lsn(self.acknowledged.load(Ordering::Relaxed));
        if wanted == Lsn::ZERO {
            return true;
        }
        if self.client.feedback_pending_since().is_some() {
            return false;
        }
        let Some(asking) = asking else { return true };
        match slot_state(asking, &self.settings.slot).await {
            Ok(Some(slot)) => slot.confirmed >= wanted,
            Ok(None) | Err(_) => true,
        }
    }
}

/// The content of the message that `verify` writes to wait for.
const FENCE: &[u8] = b"fence";

/// A runtime on a thread of its own, which lives as long as the sender does.
fn reading_thread() -> std::io::Result<(Handle, oneshot::Sender<()>)> {
    let runtime = Builder::new_current_thread().enable_all().on_thread_park(|| std::thread::sleep(NAP)).build()?;
    let (handle, (end, ended)) = (runtime.handle().clone(), oneshot::channel());
    let live = async move {
        // Nothing is ever sent: an error says that the sender is gone.
        ended.await.ok();
        tokio::time::sleep(FAREWELL).await;
    };
    std::thread::Builder::new().name("reader".to_owned()).spawn(move || runtime.block_on(live))?;
    Ok((handle, end))
}

impl Acknowledge<Position> for PostgresStream {
    fn acknowledge(&self, position: &Position) {
        self.acknowledged.fetch_max(position.end.0, Ordering::Relaxed);
        self.client.update_applied_lsn(pgwire_replication::Lsn::from_u64(position.end.0));
    }
}

impl Source for PostgresStream {
    async fn next(&mut self) -> Result<Event> {
        loop {
            let event = self.client.recv().await.map_err(|error| lost(&error))?;
            let event = event.ok_or_else(|| Error::new(Kind::SourceUnreachable, "Postgres ended the stream"))?;
            return Ok(match event {
                ReplicationEvent::XLogData { wal_start, data, .. } => {
                    Event::Data { lsn: Lsn(wal_start.as_u64()), message: data }
                }
                ReplicationEvent::Begin { final_lsn, xid, commit_time_micros } => {
                    self.xid = xid;
                    Event::Begin { commit: Lsn(final_lsn.as_u64()), xid, at: commit_time_micros }
                }
                ReplicationEvent::Commit { lsn, end_lsn, commit_time_micros } => Event::Commit {
                    position: Position { commit: Lsn(lsn.as_u64()), end: Lsn(end_lsn.as_u64()), xid: self.xid },
                    at: commit_time_micros,
                },
                ReplicationEvent::KeepAlive { wal_end, .. } => Event::Idle { lsn: Lsn(wal_end.as_u64()) },
                ReplicationEvent::Message { prefix, content, .. } if prefix == "pipectl" && content == FENCE => {
                    Event::Asked
                }
                ReplicationEvent::Message { .. } => continue,
                ReplicationEvent::StoppedAt { .. } => {
                    return Err(Error::new(Kind::SourceUnreachable, "Postgres ended the stream"));
                }
            });
        }
    }

    async fn finish(&mut self) {
        // The worker drops what it has not sent yet when it is stopped, and a server that is busy sending when the connection closes drops what it has not
        // read yet: it would send it all again. So the slot itself is asked.
        let deadline = tokio::time::Instant::now() + FINISH_TIMEOUT;
        let asking = connect(&self.settings).await.ok();
        while !self.is_confirmed(asking.as_ref()).await
            && self.client.is_running()
            && tokio::time::Instant::now() < deadline
        {
            self.drain().await;
        }
        self.client.stop();
        let ended = tokio::time::timeout(FINISH_TIMEOUT, self.client.shutdown()).await;
        if !matches!(ended, Ok(Ok(()))) {
            self.client.abort();
        }
    }
}

fn lost(error: &PgWireError) -> Error {
    let ended = |kind| Error::new(kind, "the stream from Postgres ended").because(error.to_string());
    match error {
        PgWireError::Server(text) if text.contains("42704") => ended(Kind::Source).hint(
            "the publication is gone, or was made after changes that are still to be sent: `pipectl resync --all` makes it and the slot anew and copies everything again",
        ),
        PgWireError::Server(text) if is_lasting(text) => ended(Kind::Source),
        PgWireError::MessageTooLarge { .. } => ended(Kind::Value),
        _ => ended(Kind::SourceUnreachable),
    }
}

/// Verdicts of the server that another try does not change: the publication or the slot is not there, or not allowed.
fn is_lasting(text: &str) -> bool {
    ["42501", "55000", "42P01"].iter().any(|code| text.contains(code))
}

fn stream_error(tried: &str, settings: &PostgresSettings, error: &PgWireError) -> Error {
    let text = error.to_string();
    let (kind, hint) = if text.contains("42501") || text.contains("must be superuser or replication role") {
        (Kind::Source, Some("give the role the right to replicate: ALTER ROLE … REPLICATION"))
    } else if text.contains("55006") {
        // The slot was free before, and the pipeline's lock is ours: it is our own last session, which the server has not given up yet.
        (Kind::SourceUnreachable, None)
    } else if error.is_auth() || text.contains("28P01") || text.contains("28000") {
        (
            Kind::Source,
            Some("check user and password, and that pg_hba.conf lets the role in; `pipectl doctor` tries it"),
        )
    } else if error.is_server() && !["57P03", "57P01", "53300"].iter().any(|code| text.contains(code)) {
        (Kind::Source, None)
    } else if error.is_tls() {
        (Kind::Source, Some("check `postgres.sslmode` and `postgres.sslrootcert`"))
    } else {
        (Kind::SourceUnreachable, None)
    };
    let wrapped = Error::new(kind, format!("{tried} at {}:{}", settings.host, settings.port)).because(text);
    match hint {
        Some(hint) => wrapped.hint(hint),
        None => wrapped,
    }
}

/// Sorts an error of a replication session that has not started streaming.
pub(super) fn session_error(tried: &str, settings: &PostgresSettings, error: &PgWireError) -> Error {
    stream_error(tried, settings, error)
}
