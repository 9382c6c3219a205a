//! What brokers say of topics, offsets and groups.

use super::client::{KafkaContext, code_error, kafka_error};
use super::offsets::watermarks;
use crate::error::{Error, Kind, Result};
use rdkafka::admin::{AdminClient, AdminOptions, ResourceSpecifier};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::metadata::{Metadata, MetadataPartition};
use rdkafka::{Offset, TopicPartitionList};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How long one question may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How long to look for the reason of a failure.
const REASON: Duration = Duration::from_millis(200);

/// Whether a topic's older records of a key may be compacted away. Where that cannot be asked, they may.
pub async fn is_compacted(config: &ClientConfig, topic: &str) -> bool {
    let asked = async {
        let admin: AdminClient<KafkaContext> = config.create_with_context(KafkaContext::default())?;
        let options = AdminOptions::new().request_timeout(Some(TIMEOUT));
        admin.describe_configs([&ResourceSpecifier::Topic(topic)], &options).await
    };
    let found: Result<_, KafkaError> = asked.await;
    let policy = found.ok().and_then(|found| {
        let resource = found.into_iter().next()?.ok()?;
        resource.get("cleanup.policy").and_then(|entry| entry.value.clone())
    });
    policy.is_none_or(|policy| policy.contains("compact"))
}

/// A client that only asks. Its calls block for up to ten seconds: not for a task of the runtime, but for `spawn_blocking`.
pub struct Cluster {
    consumer: BaseConsumer<KafkaContext>,
    brokers: String,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster").field("brokers", &self.brokers).finish_non_exhaustive()
    }
}

/// A topic as the brokers describe it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topic {
    /// Its name.
    pub name: String,
    /// Its partitions' numbers, in order.
    pub partitions: Vec<i32>,
}

/// The topics of an answer, in the order of their names, without Kafka's own (`__consumer_offsets`).
pub fn topics(metadata: &Metadata) -> Vec<Topic> {
    let mut topics: Vec<Topic> = metadata
        .topics()
        .iter()
        .filter(|topic| topic.name() != "__consumer_offsets" && topic.name() != "__transaction_state")
        .map(|topic| {
            let mut partitions: Vec<i32> = topic.partitions().iter().map(MetadataPartition::id).collect();
            partitions.sort_unstable();
            Topic { name: topic.name().to_owned(), partitions }
        })
        .collect();
    topics.sort_by(|left, right| left.name.cmp(&right.name));
    topics
}

impl Cluster {
    /// A client of a configuration; nothing is sent yet. [`Cluster::committed`] needs a `group.id` in it, which never joins.
    ///
    /// # Errors
    /// [`Kind::Config`] for a property that librdkafka refuses.
    pub fn new(config: &ClientConfig) -> Result<Self> {
        let consumer = config
            .create_with_context::<_, BaseConsumer<KafkaContext>>(KafkaContext::default())
            .map_err(|error| kafka_error("could not set up a Kafka client", &error))?;
        Ok(Self { consumer, brokers: config.get("bootstrap.servers").unwrap_or_default().to_owned() })
    }

    /// All topics, in the order of their names, without Kafka's own (`__consumer_offsets`).
    ///
    /// # Errors
    /// As [`kafka_error`] sorts them.
    pub fn topics(&self) -> Result<Vec<Topic>> {
        let metadata = self
            .consumer
            .fetch_metadata(None, TIMEOUT)
            .map_err(|error| self.failed(&format!("could not list the topics of {}", self.brokers), &error))?;
        Ok(topics(&metadata))
    }

    /// The numbers of a topic's partitions.
    ///
    /// # Errors
    /// As [`kafka_error`] sorts them.
    pub fn partitions(&self, topic: &str) -> Result<Vec<i32>> {
        let metadata = self
            .consumer
            .fetch_metadata(Some(topic), TIMEOUT)
            .map_err(|error| self.failed(&format!("could not look topic \"{topic}\" up"), &error))?;
        Ok(metadata.topics().iter().flat_map(|topic| topic.partitions().iter().map(MetadataPartition::id)).collect())
    }

    /// First offset that is there, and the one behind the last, of a partition.
    ///
    /// # Errors
    /// As [`kafka_error`] sorts them.
    pub fn watermarks(&self, topic: &str, partition: i32) -> Result<(i64, i64)> {
        watermarks(&self.consumer, topic, partition, TIMEOUT).map_err(|error| {
            self.failed(&format!("could not read the offsets of topic \"{topic}\", partition {partition}"), &error)
        })
    }

    /// What the configuration's group has committed of these partitions; partitions without a commit are left out.
    ///
    /// # Errors
    /// As [`kafka_error`] sorts them; [`Kind::Unexpected`] where the configuration names no group.
    pub fn committed<'a>(
        &self,
        partitions: impl Iterator<Item = (&'a str, i32)>,
    ) -> Result<BTreeMap<(String, i32), i64>> {
        let mut list = TopicPartitionList::new();
        for (topic, partition) in partitions {
            list.add_partition(topic, partition);
        }
        if list.count() == 0 {
            return Ok(BTreeMap::new());
        }
        let committed = self
            .consumer
            .committed_offsets(list, TIMEOUT)
            .map_err(|error| self.failed("could not read the consumer group's offsets", &error))?;
        let mut found = BTreeMap::new();
        for element in committed.elements() {
            element.error().map_err(|error| {
                self.failed(&format!("could not read the committed offset of topic \"{}\"", element.topic()), &error)
            })?;
            if let Offset::Offset(offset) = element.offset() {
                found.insert((element.topic().to_owned(), element.partition()), offset);
            }
        }
        Ok(found)
    }

    /// The first offsets whose records are not older than a time, in milliseconds since 1970; where all are older, the end.
    ///
    /// # Errors
    /// As [`kafka_error`] sorts them.
    pub fn offsets_at<'a>(
        &self,
        partitions: impl Iterator<Item = (&'a str, i32)>,
        milliseconds: i64,
    ) -> Result<BTreeMap<(String, i32), i64>> {
        let failed = |error: &KafkaError| self.failed("could not look offsets up by time", error);
        let mut list = TopicPartitionList::new();
        for (topic, partition) in partitions {
            list.add_partition_offset(topic, partition, Offset::Offset(milliseconds))
                .map_err(|error| failed(&error))?;
        }
        let found = self.consumer.offsets_for_times(list, TIMEOUT).map_err(|error| failed(&error))?;
        let mut offsets = BTreeMap::new();
        for element in found.elements() {
            // A partition that could not be asked is none whose records are all older.
            element.error().map_err(|error| failed(&error))?;
            let offset = match element.offset() {
                Offset::Offset(offset) => offset,
                _ => self.watermarks(element.topic(), element.partition())?.1,
            };
            offsets.insert((element.topic().to_owned(), element.partition()), offset);
        }
        Ok(offsets)
    }

    /// Names and states of consumer groups, such as `Stable` or `Empty`; of one alone where it is named.
    ///
    /// # Errors
    /// As [`kafka_error`] sorts them.
    pub fn groups(&self, group: Option<&str>) -> Result<Vec<(String, String)>> {
        let list = self
            .consumer
            .fetch_group_list(group, TIMEOUT)
            .map_err(|error| self.failed("could not list the consumer groups", &error))?;
        Ok(list.groups().iter().map(|group| (group.name().to_owned(), group.state().to_owned())).collect())
    }

    /// librdkafka answers a call with "timed out" or "transport failure" and tells the reason, such as a refused login, elsewhere.
    fn failed(&self, tried: &str, error: &KafkaError) -> Error {
        let sorted = kafka_error(tried, error);
        if sorted.kind() != Kind::SourceUnreachable {
            return sorted;
        }
        let deadline = Instant::now() + REASON;
        loop {
            // What is polled here are errors and log lines: nothing is subscribed to.
            let polled = self.consumer.poll(Duration::from_millis(10));
            if polled.is_none() && Instant::now() >= deadline {
                break;
            }
        }
        match self.consumer.context().take_last() {
            Some((code, reason)) => code_error(tried, code, &reason),
            None => sorted,
        }
    }
}
