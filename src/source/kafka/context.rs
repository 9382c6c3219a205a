//! What librdkafka calls back with while a group reads: its rebalances and its statistics are kept for the thread that polls.

use crate::flow::PartitionLag;
use crate::server::kafka::KafkaContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, RebalanceProtocol};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientContext, Statistics, TopicPartitionList};
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// What the group's coordinator decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Rebalance {
    Assign(Vec<(String, i32)>),
    Revoke { partitions: Vec<(String, i32)>, lost: bool },
}

/// How far partitions are read, by the statistics; and by what was handed out since.
#[derive(Debug, Default)]
pub(super) struct Positions {
    partitions: BTreeMap<(Arc<str>, i32), Place>,
    away: bool,
    up: bool,
}

#[derive(Debug, Clone, Copy, Default)]
struct Place {
    end: i64,
    /// How often in a row the statistics found nothing left to hand out.
    empty: u32,
}

impl Positions {
    pub(super) fn lags(&self) -> Vec<PartitionLag> {
        self.partitions
            .iter()
            .map(|((topic, partition), place)| PartitionLag {
                topic: Arc::clone(topic),
                partition: *partition,
                end: place.end,
                drained: place.empty >= 2 && !self.away,
            })
            .collect()
    }

    pub(super) fn add(&mut self, topic: &Arc<str>, partition: i32) {
        self.partitions.insert((Arc::clone(topic), partition), Place::default());
    }

    pub(super) fn remove(&mut self, topic: &Arc<str>, partition: i32) {
        self.partitions.remove(&(Arc::clone(topic), partition));
    }

    /// While brokers are away, nothing is known of what they have.
    pub(super) fn set_away(&mut self, away: bool) {
        self.away = away;
        self.up = false;
    }

    /// Whether a broker answers, by the newest statistics.
    pub(super) fn is_up(&self) -> bool {
        self.up
    }

    /// A partition is drained when the client holds nothing of it and the next fetch begins behind the last stable record; twice in a row,
    /// since a fetch may be on its way into the queue while the statistics are written.
    fn take(&mut self, statistics: &Statistics) {
        self.up = statistics.brokers.values().any(|broker| broker.nodeid >= 0 && broker.state == "UP");
        for ((topic, partition), place) in &mut self.partitions {
            let found = statistics.topics.get(topic.as_ref()).and_then(|topic| topic.partitions.get(partition));
            let Some(found) = found else { continue };
            // The consumer's requests may read up to the last stable record only.
            let end = if found.ls_offset >= 0 { found.ls_offset } else { found.hi_offset };
            let empty = found.fetch_state == "active" && found.fetchq_cnt == 0 && end >= 0 && found.next_offset >= end;
            place.empty = if empty && end == place.end { place.empty.saturating_add(1) } else { u32::from(empty) };
            place.end = end.max(0);
        }
    }
}

/// The context of the group's consumer.
#[derive(Debug)]
pub(super) struct GroupContext {
    pub(super) client: KafkaContext,
    rebalances: Mutex<VecDeque<Rebalance>>,
    positions: Arc<Mutex<Positions>>,
    /// The consumer leaves the group: nobody answers later.
    leaving: AtomicBool,
}

impl GroupContext {
    pub(super) fn new(positions: Arc<Mutex<Positions>>) -> Self {
        Self {
            client: KafkaContext::default(),
            rebalances: Mutex::default(),
            positions,
            leaving: AtomicBool::new(false),
        }
    }

    /// From here on what is revoked is let go at once.
    pub(super) fn leave(&self) {
        self.leaving.store(true, Ordering::Relaxed);
    }

    pub(super) fn next_rebalance(&self) -> Option<Rebalance> {
        self.rebalances.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }
}

impl ClientContext for GroupContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.client.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.client.error(error, reason);
    }

    fn stats(&self, statistics: Statistics) {
        self.positions.lock().unwrap_or_else(PoisonError::into_inner).take(&statistics);
    }
}

impl ConsumerContext for GroupContext {
    /// Only notes what is to be done: the group waits for the answer, while the thread goes on polling.
    fn rebalance(&self, consumer: &BaseConsumer<Self>, code: RDKafkaRespErr, list: &mut TopicPartitionList) {
        if self.leaving.load(Ordering::Relaxed) {
            let done = match consumer.rebalance_protocol() {
                RebalanceProtocol::Cooperative => consumer.incremental_unassign(list),
                RebalanceProtocol::Eager | RebalanceProtocol::None => consumer.unassign(),
            };
            tracing::debug!(?done, "partitions are let go");
            return;
        }
        let partitions: Vec<(String, i32)> =
            list.elements().iter().map(|element| (element.topic().to_owned(), element.partition())).collect();
        let rebalance = match code {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => Rebalance::Assign(partitions),
            _ => Rebalance::Revoke { partitions, lost: consumer.assignment_lost() },
        };
        tracing::debug!(?rebalance, "the group is rebalanced");
        self.rebalances.lock().unwrap_or_else(PoisonError::into_inner).push_back(rebalance);
    }

    fn commit_callback(&self, result: KafkaResult<()>, _offsets: &TopicPartitionList) {
        if let Err(error) = result {
            // What is stored counts; the group's offsets follow with the next commit.
            tracing::info!(%error, "offsets were not committed");
        }
    }
}
