//! Kafka as a source: a consumer on a thread of its own, whose partitions begin where the destination is complete.

mod consumer;
mod context;
mod given_up;
mod poller;
mod start;
mod subscription;
mod unassigned;

pub use given_up::GivenUp;
pub use subscription::{ends, subscribed, subscription};

use crate::change::{Offsets, Reached};
use crate::config::KafkaSettings;
use crate::error::{Error, Kind, Result};
use crate::flow::{Acknowledge, Assigned, Chunk, GroupEvent, PartitionLag, RecordEvent, RecordSource};
use context::Positions;
use poller::{Command, Poller};
use std::sync::{Arc, Mutex, PoisonError, mpsc as sync_mpsc};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Chunks that wait between the thread and the engine, beside the one that is being filled.
const CHUNKS: usize = 4;
/// How long the last acknowledgement may take.
const FINISH_TIMEOUT: Duration = Duration::from_secs(10);

/// How a group reads.
#[derive(Debug, Clone)]
pub struct GroupOptions {
    /// Its name.
    pub group: String,
    /// What it subscribes to: names, or regular expressions that begin with `^`.
    pub subscription: Vec<String>,
    /// Bytes of records that may wait in the client.
    pub buffer: usize,
    /// Offsets that are never gone back behind, whatever the group has committed.
    pub floor: Offsets,
    /// Whether to begin with what is there where the records before it are gone.
    pub force: bool,
    /// Is told which partitions were given up.
    pub given_up: GivenUp,
}

/// A member of a consumer group, as a [`RecordSource`].
#[derive(Debug)]
pub struct KafkaSource {
    group: mpsc::UnboundedReceiver<Result<GroupEvent>>,
    chunks: mpsc::Receiver<Chunk>,
    commands: sync_mpsc::Sender<Command>,
    positions: Arc<Mutex<Positions>>,
}

impl KafkaSource {
    /// Joins the group. Partitions are told of later.
    ///
    /// # Errors
    /// [`Kind::Config`] for a property that librdkafka refuses.
    pub fn join(settings: &KafkaSettings, options: GroupOptions) -> Result<Self> {
        let (group_events, group) = mpsc::unbounded_channel();
        let (chunk_events, chunks) = mpsc::channel(CHUNKS);
        let (commands, received) = sync_mpsc::channel();
        let positions = Arc::new(Mutex::new(Positions::default()));
        let poller = Poller::new(settings, options, (group_events, chunk_events), Arc::clone(&positions))?;
        let runtime = tokio::runtime::Handle::current();
        std::thread::Builder::new()
            .name("kafka".to_owned())
            .spawn(move || poller.run(&received, &runtime))
            .map_err(|error| Error::new(Kind::Unexpected, "could not start the consumer's thread").because(error))?;
        Ok(Self { group, chunks, commands, positions })
    }

    fn tell(&self, command: Command) {
        if self.commands.send(command).is_err() {
            tracing::debug!("the consumer's thread has ended");
        }
    }
}

impl Acknowledge<Offsets> for KafkaSource {
    fn acknowledge(&self, position: &Offsets) {
        let offsets =
            position.0.iter().map(|((topic, partition), Reached { next, .. })| (Arc::clone(topic), *partition, *next));
        self.tell(Command::Commit(offsets.collect()));
    }
}

impl RecordSource for KafkaSource {
    async fn next(&mut self, records: bool) -> Result<RecordEvent> {
        tokio::select! {
            biased;
            event = self.group.recv() => event.ok_or_else(thread_gone)?.map(RecordEvent::Group),
            chunk = self.chunks.recv(), if records => chunk.ok_or_else(thread_gone).map(RecordEvent::Records),
        }
    }

    fn start(&self, assigned: &[Assigned], stored: &Offsets) {
        let starts =
            assigned.iter().map(|assigned| (assigned.clone(), stored.get(&assigned.topic, assigned.partition)));
        self.tell(Command::Start(
            starts.map(|(assigned, reached)| (assigned, reached.map(|reached| reached.next))).collect(),
        ));
    }

    fn release(&self, ids: &[u32]) {
        self.tell(Command::Release(ids.to_vec()));
    }

    fn lags(&self) -> Vec<PartitionLag> {
        self.positions.lock().unwrap_or_else(PoisonError::into_inner).lags()
    }

    async fn finish(&mut self) {
        let (done, finished) = oneshot::channel();
        self.tell(Command::Finish(done));
        // The thread may wait for room; nobody wants what is left.
        self.chunks.close();
        if tokio::time::timeout(FINISH_TIMEOUT, finished).await.is_err() {
            tracing::warn!("the consumer did not leave its group in time");
        }
    }
}

fn thread_gone() -> Error {
    Error::new(Kind::Unexpected, "the consumer's thread ended early")
}
