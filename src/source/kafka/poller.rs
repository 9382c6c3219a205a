//! The thread that polls: it never waits long for anybody else, so that the group keeps its member.

use super::GroupOptions;
use super::consumer::{configuration, list, take};
use super::context::{GroupContext, Positions, Rebalance};
use super::start::{Known, offset};
use super::unassigned::Unassigned;
use crate::config::KafkaSettings;
use crate::error::{Error, Kind, Result};
use crate::flow::{Assigned, Chunk, GroupEvent};
use crate::server::kafka::{code_error, kafka_error, watermarks};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, RebalanceProtocol};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::{Offset, TopicPartitionList};
use std::collections::BTreeMap;
use std::sync::mpsc as sync_mpsc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

/// How long one poll waits for a record.
const POLL: Duration = Duration::from_millis(50);
/// How long a chunk may wait for room before the partitions are paused.
const PATIENCE: Duration = Duration::from_millis(500);
/// When a chunk is handed on even though more is there.
const CHUNK_BYTES: usize = 512 << 10;
const CHUNK_RECORDS: usize = 4096;
/// How long one question to the brokers may take.
const QUESTION: Duration = Duration::from_secs(10);
/// How often a start is tried again that brokers did not answer.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// What the engine asks of the thread.
#[derive(Debug)]
pub(super) enum Command {
    /// To read partitions; with them, up to where they are stored.
    Start(Vec<(Assigned, Option<i64>)>),
    /// To commit offsets.
    Commit(Vec<(Arc<str>, i32, i64)>),
    /// To let assignments go whose records are stored.
    Release(Vec<u32>),
    /// To leave the group.
    Finish(oneshot::Sender<()>),
}

type Events = (mpsc::UnboundedSender<Result<GroupEvent>>, mpsc::Sender<Chunk>);

/// Partitions that are to be let go.
struct Revoked {
    partitions: Vec<(String, i32)>,
    ids: Vec<u32>,
    /// Until when they may be drained.
    deadline: Instant,
}

/// The thread's state.
pub(super) struct Poller {
    consumer: BaseConsumer<GroupContext>,
    options: GroupOptions,
    events: mpsc::UnboundedSender<Result<GroupEvent>>,
    chunks: mpsc::Sender<Chunk>,
    positions: Arc<Mutex<Positions>>,
    /// Half of `max.poll.interval.ms`: how long a partition that is revoked may be drained.
    drain: Duration,
    assigned: BTreeMap<(Arc<str>, i32), u32>,
    next_id: u32,
    /// Assignments whose start brokers did not answer.
    waiting: Vec<(Assigned, Option<i64>)>,
    tried: Instant,
    /// A revocation that the engine was told of, and until when it may drain.
    revoked: Option<Revoked>,
    chunk: Chunk,
    last: Option<(Arc<str>, i32, u32)>,
    paused: bool,
    away: bool,
    /// Of a static member.
    unassigned: Option<Unassigned>,
    finish: Option<oneshot::Sender<()>>,
}

impl Poller {
    pub(super) fn new(
        settings: &KafkaSettings,
        options: GroupOptions,
        (events, chunks): Events,
        positions: Arc<Mutex<Positions>>,
    ) -> Result<Self> {
        let config = configuration(settings, &options);
        let interval = config.get("max.poll.interval.ms").and_then(|text| text.parse().ok()).unwrap_or(300_000);
        let consumer = config
            .create_with_context::<_, BaseConsumer<GroupContext>>(GroupContext::new(Arc::clone(&positions)))
            .map_err(|error| kafka_error("could not set up the consumer", &error))?;
        let subscription: Vec<&str> = options.subscription.iter().map(String::as_str).collect();
        consumer.subscribe(&subscription).map_err(|error| kafka_error("could not subscribe to the topics", &error))?;
        Ok(Self {
            consumer,
            options,
            events,
            chunks,
            positions,
            drain: Duration::from_millis(interval) / 2,
            assigned: BTreeMap::new(),
            next_id: 0,
            waiting: Vec::new(),
            tried: Instant::now(),
            revoked: None,
            chunk: Chunk::default(),
            last: None,
            paused: false,
            away: false,
            unassigned: config.get("group.instance.id").map(|_| Unassigned::new()),
            finish: None,
        })
    }

    /// Polls until the engine has had enough.
    pub(super) fn run(mut self, commands: &sync_mpsc::Receiver<Command>, runtime: &Handle) {
        let ended = self.poll(commands, runtime);
        if let Err(error) = ended {
            drop(self.events.send(Err(error)));
        }
        let finish = self.finish.take();
        self.let_all_go();
        // Leaves the group, which takes a moment.
        drop(self);
        if finish.is_some_and(|finish| finish.send(()).is_err()) {
            tracing::debug!("nobody waits for the end");
        }
    }

    /// Answers what the group waits for, since nobody does later.
    fn let_all_go(&mut self) {
        self.consumer.context().leave();
        for (topic, partition) in self.assigned.keys() {
            self.options.given_up.add(Arc::clone(topic), *partition);
        }
        if let Some(Revoked { ids, .. }) = &self.revoked {
            let ids = ids.clone();
            self.release(&ids);
        }
        while let Some(rebalance) = self.consumer.context().next_rebalance() {
            let done = match (rebalance, self.consumer.rebalance_protocol()) {
                (Rebalance::Revoke { partitions, .. }, RebalanceProtocol::Cooperative) => {
                    let all = partitions.iter().map(|(topic, partition)| (topic.as_str(), *partition));
                    self.consumer.incremental_unassign(&list(all))
                }
                (Rebalance::Assign(_), RebalanceProtocol::Cooperative) => {
                    self.consumer.incremental_assign(&TopicPartitionList::new())
                }
                _ => self.consumer.unassign(),
            };
            tracing::debug!(?done, "a rebalance is answered");
        }
    }

    fn poll(&mut self, commands: &sync_mpsc::Receiver<Command>, runtime: &Handle) -> Result<()> {
        while self.finish.is_none() {
            loop {
                match commands.try_recv() {
                    Ok(command) => self.carry_out(command)?,
                    Err(sync_mpsc::TryRecvError::Empty) => break,
                    Err(sync_mpsc::TryRecvError::Disconnected) => return Ok(()),
                }
            }
            self.rebalance()?;
            if let Some(unassigned) = self.unassigned.as_mut().filter(|_| !self.away && self.revoked.is_none()) {
                unassigned.look(&self.consumer, &self.options);
            }
            if !self.waiting.is_empty() && self.tried.elapsed() >= TRY_AGAIN {
                let waiting = std::mem::take(&mut self.waiting);
                self.start(waiting)?;
            }
            if self.is_full() && !self.hand_on(runtime) {
                self.keep_alive()?;
                continue;
            }
            let wait = if self.chunk.records.is_empty() { POLL } else { Duration::ZERO };
            let consumer = &self.consumer;
            match consumer.poll(wait) {
                None => drop(self.hand_on(runtime)),
                Some(Ok(message)) => take(&message, &mut self.chunk, &mut self.last, &self.assigned),
                Some(Err(error)) => self.failed(&error)?,
            }
            if self.away && (!self.chunk.records.is_empty() || self.is_up()) {
                self.back();
            }
        }
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.chunk.bytes.len() >= CHUNK_BYTES || self.chunk.records.len() >= CHUNK_RECORDS
    }

    /// Hands the chunk on; whether there was room for it.
    fn hand_on(&mut self, runtime: &Handle) -> bool {
        if self.chunk.records.is_empty() {
            return true;
        }
        let chunks = self.chunks.clone();
        let room = runtime.block_on(async { tokio::time::timeout(PATIENCE, chunks.reserve()).await });
        match room {
            Ok(Ok(room)) => {
                let capacity = (self.chunk.bytes.len(), self.chunk.records.len(), self.chunk.headers.len());
                let next = Chunk {
                    bytes: Vec::with_capacity(capacity.0),
                    records: Vec::with_capacity(capacity.1),
                    headers: Vec::with_capacity(capacity.2),
                };
                room.send(std::mem::replace(&mut self.chunk, next));
                if self.paused {
                    self.pause(false);
                }
                true
            }
            // Nobody takes chunks any more: the end is near.
            Ok(Err(_)) => {
                self.chunk = Chunk::default();
                true
            }
            Err(_) => false,
        }
    }

    /// There is no room: nothing more is fetched, but the group hears of us.
    fn keep_alive(&mut self) -> Result<()> {
        if !self.paused {
            self.pause(true);
        }
        let consumer = &self.consumer;
        match consumer.poll(Duration::ZERO) {
            None => {}
            Some(Ok(message)) => take(&message, &mut self.chunk, &mut self.last, &self.assigned),
            Some(Err(error)) => self.failed(&error)?,
        }
        Ok(())
    }

    fn pause(&mut self, pause: bool) {
        let listed = list(self.assigned.keys().map(|(topic, partition)| (topic.as_ref(), *partition)));
        let done = if pause { self.consumer.pause(&listed) } else { self.consumer.resume(&listed) };
        match done {
            Ok(()) => self.paused = pause,
            Err(error) => tracing::info!(%error, pause, "could not pause or resume"),
        }
    }

    fn failed(&mut self, error: &KafkaError) -> Result<()> {
        let code = error.rdkafka_error_code();
        // A topic that a name was subscribed to and that is not there yet is joined when it appears.
        if matches!(code, Some(Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::PartitionEOF)) {
            return Ok(());
        }
        let sorted = match self.consumer.context().client.take_last() {
            Some((last, reason)) if code == Some(last) || code == Some(Code::AllBrokersDown) => {
                code_error("could not read from Kafka", last, &reason)
            }
            _ => kafka_error("could not read from Kafka", error),
        };
        if !sorted.kind().policy().retry {
            return Err(sorted);
        }
        if matches!(code, Some(Code::PollExceeded)) {
            tracing::warn!("the group gave this member up, since it did not poll in time; it joins again");
        }
        let away = matches!(code, Some(Code::AllBrokersDown | Code::BrokerTransportFailure | Code::Resolve));
        if away && !self.away {
            self.away = true;
            self.positions.lock().unwrap_or_else(PoisonError::into_inner).set_away(true);
            self.say(GroupEvent::Away(sorted.with_causes()));
        }
        Ok(())
    }

    fn is_up(&self) -> bool {
        self.positions.lock().unwrap_or_else(PoisonError::into_inner).is_up()
    }

    fn back(&mut self) {
        self.away = false;
        self.positions.lock().unwrap_or_else(PoisonError::into_inner).set_away(false);
        self.say(GroupEvent::Back);
    }

    fn say(&self, event: GroupEvent) {
        if self.events.send(Ok(event)).is_err() {
            tracing::debug!("nobody hears of the group any more");
        }
    }

    fn carry_out(&mut self, command: Command) -> Result<()> {
        match command {
            Command::Start(starts) => self.start(starts),
            Command::Commit(offsets) => {
                self.commit(&offsets, CommitMode::Async);
                Ok(())
            }
            Command::Release(ids) => {
                self.release(&ids);
                Ok(())
            }
            Command::Finish(done) => {
                if let Err(error) = self.consumer.commit_consumer_state(CommitMode::Sync) {
                    tracing::debug!(%error, "nothing more to commit");
                }
                self.finish = Some(done);
                Ok(())
            }
        }
    }

    /// Commits what is still ours. A commit that fails is made up for by the next one; what is stored counts anyway.
    fn commit(&self, offsets: &[(Arc<str>, i32, i64)], mode: CommitMode) {
        let mut list = TopicPartitionList::new();
        for (topic, partition, next) in offsets {
            if self.assigned.contains_key(&(Arc::clone(topic), *partition))
                && let Err(error) = list.add_partition_offset(topic, *partition, Offset::Offset(*next))
            {
                tracing::info!(%error, "an offset could not be noted");
            }
        }
        if list.count() == 0 {
            return;
        }
        if let Err(error) = self.consumer.store_offsets(&list) {
            tracing::debug!(%error, "offsets were not noted");
        }
        if let Err(error) = self.consumer.commit(&list, mode) {
            tracing::info!(%error, "offsets were not committed");
        }
    }

    /// Does what the coordinator decided, one decision after another.
    fn rebalance(&mut self) -> Result<()> {
        if let Some(Revoked { ids, deadline, .. }) = &self.revoked
            && Instant::now() >= *deadline
        {
            tracing::warn!("partitions could not be drained in time; they are read again by whoever has them next");
            let ids = ids.clone();
            self.say(GroupEvent::Lost(ids.clone()));
            self.release(&ids);
        }
        while self.revoked.is_none() {
            match self.consumer.context().next_rebalance() {
                None => break,
                Some(Rebalance::Assign(partitions)) => self.assign(partitions)?,
                Some(Rebalance::Revoke { partitions, lost }) => self.revoke(partitions, lost),
            }
        }
        Ok(())
    }

    fn assign(&mut self, partitions: Vec<(String, i32)>) -> Result<()> {
        if partitions.is_empty() {
            return self.begin(&TopicPartitionList::new());
        }
        let mut told = Vec::new();
        for (topic, partition) in partitions {
            self.next_id += 1;
            let topic: Arc<str> = topic.into();
            self.options.given_up.take_back(Arc::clone(&topic), partition);
            self.assigned.insert((Arc::clone(&topic), partition), self.next_id);
            told.push(Assigned { id: self.next_id, topic, partition });
        }
        self.last = None;
        self.say(GroupEvent::Assigned(told));
        Ok(())
    }

    fn revoke(&mut self, partitions: Vec<(String, i32)>, lost: bool) {
        let id = |(topic, partition): &(String, i32)| self.assigned.get(&(topic.as_str().into(), *partition)).copied();
        let ids: Vec<u32> = partitions.iter().filter_map(id).collect();
        self.waiting.retain(|(assigned, _)| !ids.contains(&assigned.id));
        let listed = list(partitions.iter().map(|(topic, partition)| (topic.as_str(), *partition)));
        if let Err(error) = self.consumer.pause(&listed) {
            tracing::debug!(%error, "could not pause what is revoked");
        }
        if lost {
            self.say(GroupEvent::Lost(ids.clone()));
        } else if !ids.is_empty() {
            self.say(GroupEvent::Revoked(ids.clone()));
        }
        self.revoked = Some(Revoked { partitions, ids: ids.clone(), deadline: Instant::now() + self.drain });
        if lost || ids.is_empty() {
            self.release(&ids);
        }
    }

    fn release(&mut self, ids: &[u32]) {
        if self.revoked.as_ref().is_none_or(|revoked| revoked.ids != ids) {
            return;
        }
        let Some(Revoked { partitions, .. }) = self.revoked.take() else { return };
        let listed = list(partitions.iter().map(|(topic, partition)| (topic.as_str(), *partition)));
        let mut positions = self.positions.lock().unwrap_or_else(PoisonError::into_inner);
        for (topic, partition) in &partitions {
            let topic: Arc<str> = topic.as_str().into();
            positions.remove(&topic, *partition);
            self.options.given_up.add(Arc::clone(&topic), *partition);
            self.assigned.remove(&(topic, *partition));
        }
        self.last = None;
        let done = match self.consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => self.consumer.incremental_unassign(&listed),
            RebalanceProtocol::Eager | RebalanceProtocol::None => self.consumer.unassign(),
        };
        if let Err(error) = done {
            tracing::info!(%error, "could not let partitions go");
        }
    }

    /// Reads partitions from where the destination is complete. Asks the brokers what the group has committed and what there is; where they do not
    /// answer, again a little later.
    fn start(&mut self, starts: Vec<(Assigned, Option<i64>)>) -> Result<()> {
        let ours = |assigned: &Assigned| {
            self.assigned.get(&(Arc::clone(&assigned.topic), assigned.partition)) == Some(&assigned.id)
        };
        let starts: Vec<_> = starts.into_iter().filter(|(assigned, _)| ours(assigned)).collect();
        if starts.is_empty() {
            return Ok(());
        }
        match self.starting_points(&starts) {
            Ok(list) => {
                self.begin(&list)?;
                let mut positions = self.positions.lock().unwrap_or_else(PoisonError::into_inner);
                for (assigned, _) in &starts {
                    positions.add(&assigned.topic, assigned.partition);
                }
                drop(positions);
                if self.away {
                    self.back();
                }
                Ok(())
            }
            Err(error) if error.kind() == Kind::SourceUnreachable => {
                tracing::info!(%error, "partitions cannot be started yet");
                self.tried = Instant::now();
                self.waiting.extend(starts);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn starting_points(&self, starts: &[(Assigned, Option<i64>)]) -> Result<TopicPartitionList> {
        let tried = "could not read where the group stands";
        let wanted = list(starts.iter().map(|(assigned, _)| (assigned.topic.as_ref(), assigned.partition)));
        let committed =
            self.consumer.committed_offsets(wanted, QUESTION).map_err(|error| kafka_error(tried, &error))?;
        let mut found = TopicPartitionList::new();
        for (assigned, stored) in starts {
            let (low, high) = watermarks(&self.consumer, &assigned.topic, assigned.partition, QUESTION)
                .map_err(|error| kafka_error(tried, &error))?;
            let committed = committed.find_partition(&assigned.topic, assigned.partition);
            let committed = committed.and_then(|element| match element.offset() {
                Offset::Offset(offset) => Some(offset),
                _ => None,
            });
            let floor = self.options.floor.get(&assigned.topic, assigned.partition).map_or(0, |floor| floor.next);
            let known = Known { stored: *stored, committed, low, high, floor };
            let begin = offset(assigned, known, self.options.force)?;
            tracing::debug!(topic = %assigned.topic, partition = assigned.partition, ?known, begin, "a partition begins");
            found
                .add_partition_offset(&assigned.topic, assigned.partition, Offset::Offset(begin))
                .map_err(|error| kafka_error(tried, &error))?;
        }
        Ok(found)
    }

    fn begin(&mut self, list: &TopicPartitionList) -> Result<()> {
        // For librdkafka a pause outlives the assignment, and what was revoked had been paused.
        if list.count() > 0
            && let Err(error) = self.consumer.resume(list)
        {
            tracing::debug!(%error, "could not resume what is assigned");
        }
        let done = match self.consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => self.consumer.incremental_assign(list),
            RebalanceProtocol::Eager | RebalanceProtocol::None => self.consumer.assign(list),
        };
        if self.paused {
            self.pause(true);
        }
        done.map_err(|error| {
            Error::new(Kind::SourceUnreachable, "could not begin with partitions").because(error.to_string())
        })
    }
}
