//! What the polling thread needs of a consumer that keeps no state: its configuration, lists of partitions, and copies of messages.

use super::GroupOptions;
use crate::config::KafkaSettings;
use crate::flow::Chunk;
use crate::server::kafka::client_config;
use rdkafka::message::{BorrowedMessage, Headers};
use rdkafka::{ClientConfig, Message, TopicPartitionList};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Adds a message to the chunk; of a partition that is ours.
pub(super) fn take(
    message: &BorrowedMessage<'_>,
    chunk: &mut Chunk,
    last: &mut Option<(Arc<str>, i32, u32)>,
    assigned: &BTreeMap<(Arc<str>, i32), u32>,
) {
    let (topic, partition) = (message.topic(), message.partition());
    let id = match last {
        Some((known, number, id)) if known.as_ref() == topic && *number == partition => *id,
        _ => {
            let key: (Arc<str>, i32) = (topic.into(), partition);
            let Some(&id) = assigned.get(&key) else { return };
            *last = Some((key.0, partition, id));
            id
        }
    };
    chunk.push((id, message.offset()), message.timestamp().to_millis(), message.key(), message.payload());
    if let Some(headers) = message.headers() {
        for header in headers.iter() {
            chunk.push_header(header.key, header.value);
        }
    }
}

pub(super) fn list<'a>(partitions: impl Iterator<Item = (&'a str, i32)>) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for (topic, partition) in partitions {
        list.add_partition(topic, partition);
    }
    list
}

/// What the group rests on is insisted on; the rest can be set otherwise by `kafka.properties`.
pub(super) fn configuration(settings: &KafkaSettings, options: &GroupOptions) -> ClientConfig {
    let buffer = (options.buffer >> 10).max(1024).to_string();
    let fetch = (options.buffer / 2).clamp(1 << 20, 50 << 20).to_string();
    let defaults = [
        ("partition.assignment.strategy", "cooperative-sticky"),
        ("max.poll.interval.ms", "300000"),
        ("session.timeout.ms", "45000"),
        // Bytes that wait in the client, over all partitions.
        ("queued.max.messages.kbytes", buffer.as_str()),
        ("fetch.max.bytes", fetch.as_str()),
        // A client whose queue was full looks again after a second, unless told otherwise: long after the queue has run empty.
        ("fetch.queue.backoff.ms", "5"),
        // How soon a topic that appears later is found.
        ("topic.metadata.refresh.interval.ms", "5000"),
    ];
    let mut overrides: Vec<(&str, &str)> =
        defaults.into_iter().filter(|(name, _)| !settings.properties.contains_key(*name)).collect();
    overrides.extend([
        ("group.id", options.group.as_str()),
        ("enable.auto.commit", "false"),
        ("enable.auto.offset.store", "false"),
        ("auto.offset.reset", "error"),
        ("isolation.level", "read_committed"),
        ("statistics.interval.ms", "500"),
        ("enable.partition.eof", "false"),
    ]);
    client_config(settings, &overrides)
}
