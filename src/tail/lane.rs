//! One partition that is being read.

use super::entry::Record;
use crate::server::kafka::KafkaContext;
use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers, Message};
use std::collections::VecDeque;
use std::time::Duration;

/// Records that one partition holds ready at most: librdkafka holds the rest.
const READY: usize = 256;

/// Where reading a partition begins and ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Limits {
    pub(super) topic: String,
    pub(super) partition: i32,
    /// The first offset to read.
    pub(super) begin: i64,
    /// The first offset not to read.
    pub(super) end: Option<i64>,
    /// Behind the last record that was there at the start.
    pub(super) high: i64,
}

/// A partition, and what of it is waiting to be shown.
pub(super) struct Lane {
    limits: Limits,
    queue: PartitionQueue<KafkaContext>,
    ready: VecDeque<Record>,
    next: i64,
    /// The partition's end was seen, and nothing came since.
    at_end: bool,
    done: bool,
}

impl Lane {
    pub(super) fn new(limits: Limits, queue: PartitionQueue<KafkaContext>) -> Self {
        let next = limits.begin;
        let done = limits.end.is_some_and(|end| next >= end);
        Self { limits, queue, ready: VecDeque::new(), next, at_end: false, done }
    }

    pub(super) fn topic(&self) -> &str {
        &self.limits.topic
    }

    pub(super) fn partition(&self) -> i32 {
        self.limits.partition
    }

    /// The next offset to read.
    pub(super) fn next(&self) -> i64 {
        self.next
    }

    /// Whether nothing more of it is to be read.
    pub(super) fn is_done(&self) -> bool {
        self.done
    }

    /// Whether what was there at the start has been read, except for what is ready.
    pub(super) fn has_caught_up(&self) -> bool {
        self.done || self.at_end || self.next >= self.limits.high
    }

    /// Whether nothing is ready.
    pub(super) fn is_empty(&self) -> bool {
        self.ready.is_empty()
    }

    /// The timestamp of the first record that is ready.
    pub(super) fn timestamp(&self) -> Option<i64> {
        self.ready.front().and_then(|record| record.timestamp)
    }

    pub(super) fn pop(&mut self) -> Option<Record> {
        self.ready.pop_front()
    }

    /// Reading ends here; what is beyond is not shown.
    pub(super) fn end_at(&mut self, end: i64) {
        self.limits.end = Some(end);
        self.limits.high = self.limits.high.max(end);
        self.ready.retain(|record| record.offset < end);
        self.done = self.next >= end || self.at_end;
    }

    /// Takes what has come, and waits for the first record if there is none. Records of a moment from `until` on end it.
    pub(super) fn fill(&mut self, wait: Duration, until: Option<i64>) -> Result<(), KafkaError> {
        let mut wait = wait;
        while !self.done && self.ready.len() < READY {
            let record = match self.queue.poll(wait) {
                None => return Ok(()),
                Some(Ok(message)) => record(&message),
                Some(Err(KafkaError::PartitionEOF(_))) => {
                    self.at_end = true;
                    // An end that was not there yet at the start is waited for.
                    self.done = self.limits.end.is_some_and(|end| end <= self.limits.high);
                    return Ok(());
                }
                Some(Err(error)) => return Err(error),
            };
            wait = Duration::ZERO;
            self.at_end = false;
            self.next = record.offset + 1;
            let late = until.is_some_and(|until| record.timestamp.is_some_and(|timestamp| timestamp >= until));
            let beyond = self.limits.end.is_some_and(|end| record.offset >= end) || late;
            self.done = beyond || self.limits.end.is_some_and(|end| self.next >= end);
            if !beyond {
                self.ready.push_back(record);
            }
        }
        Ok(())
    }
}

fn record(message: &BorrowedMessage<'_>) -> Record {
    let headers = message.headers().map(|headers| {
        headers.iter().map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec))).collect()
    });
    Record {
        topic: message.topic().to_owned(),
        partition: message.partition(),
        offset: message.offset(),
        timestamp: message.timestamp().to_millis(),
        headers: headers.unwrap_or_default(),
        key: message.key().map(<[u8]>::to_vec),
        value: message.payload().map(<[u8]>::to_vec),
    }
}
