//! Kafka in a test: topics of its own, records put into them as they are, and read back.

use super::{PATIENCE, PAUSE, Stage, run, variable};
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::message::{Header, Headers, Message, OwnedHeaders};
use rdkafka::metadata::MetadataTopic;
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{ClientContext, Offset, TopicPartitionList};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A record of a topic: to be sent, or as it was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) topic: String,
    /// None: by the key, as Kafka does it.
    pub(crate) partition: Option<i32>,
    /// Of a record that was read.
    pub(crate) offset: i64,
    /// Milliseconds since 1970; none: now.
    pub(crate) timestamp: Option<i64>,
    pub(crate) key: Option<Vec<u8>>,
    /// None is a tombstone.
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) headers: Vec<(String, Option<Vec<u8>>)>,
}

impl Record {
    /// A record of texts.
    pub(crate) fn new(topic: &str, key: &str, value: &str) -> Self {
        let mut record = Self::tombstone(topic, key);
        record.value = Some(value.into());
        record
    }

    /// A key without a value.
    pub(crate) fn tombstone(topic: &str, key: &str) -> Self {
        Self { topic: topic.to_owned(), key: Some(key.into()), ..Self::default() }
    }

    /// The same for a partition.
    pub(crate) fn at(mut self, partition: i32) -> Self {
        self.partition = Some(partition);
        self
    }

    /// The same with one more header.
    pub(crate) fn header(mut self, name: &str, value: &[u8]) -> Self {
        self.headers.push((name.to_owned(), Some(value.to_owned())));
        self
    }

    /// The value as text; empty for a tombstone.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(self.value.as_deref().unwrap_or_default()).into_owned()
    }

    fn of_message<M: Message>(message: &M) -> Self {
        let headers = message.headers().map(|headers| {
            headers.iter().map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec))).collect()
        });
        Self {
            topic: message.topic().to_owned(),
            partition: Some(message.partition()),
            offset: message.offset(),
            timestamp: message.timestamp().to_millis(),
            key: message.key().map(<[u8]>::to_vec),
            value: message.payload().map(<[u8]>::to_vec),
            headers: headers.unwrap_or_default(),
        }
    }
}

/// What came of records that were sent: the errors.
#[derive(Clone, Default)]
struct Deliveries(Arc<Mutex<Vec<String>>>);

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            self.0.lock().unwrap().push(error.to_string());
        }
    }
}

/// A broker, and the topics that begin with the name of a stage; these and the consumer groups of that name go when it ends.
pub(crate) struct Kafka {
    /// Where the broker is.
    pub(crate) brokers: String,
    /// What the topics begin with: the name of the stage.
    pub(crate) prefix: String,
    producer: ThreadedProducer<Deliveries>,
    deliveries: Deliveries,
    admin: AdminClient<DefaultClientContext>,
}

impl Kafka {
    /// The broker of the stack; to be made after the stage, so that it ends before it.
    pub(crate) fn of(stage: &Stage) -> Self {
        Self::at(&variable("KAFKA_BROKERS"), stage)
    }

    /// Another broker.
    pub(crate) fn at(brokers: &str, stage: &Stage) -> Self {
        let deliveries = Deliveries::default();
        let mut config = Self::client(brokers);
        config.set("linger.ms", "5").set("compression.type", "lz4").set("message.max.bytes", "16000000");
        let producer = config.create_with_context(deliveries.clone()).expect("a producer");
        let admin = Self::client(brokers).create().expect("an admin client");
        let kafka = Self { brokers: brokers.to_owned(), prefix: stage.name.clone(), producer, deliveries, admin };
        let answer = kafka.producer.client().fetch_metadata(Some("none"), PATIENCE);
        answer.unwrap_or_else(|error| panic!("no Kafka for the tests at {brokers}: {error}"));
        kafka
    }

    /// The properties every client of it has.
    pub(crate) fn client(brokers: &str) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", brokers).set("allow.auto.create.topics", "false");
        config
    }

    /// `<name of the stage>.<name>`.
    pub(crate) fn name(&self, topic: &str) -> String {
        format!("{}.{topic}", self.prefix)
    }

    /// Makes a topic; its whole name.
    pub(crate) fn topic(&self, topic: &str, partitions: i32) -> String {
        let name = self.name(topic);
        self.create(&name, partitions);
        name
    }

    pub(super) fn create(&self, name: &str, partitions: i32) {
        let topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
        let results = run(self.admin.create_topics([&topic], &AdminOptions::new())).expect("an answer of the broker");
        for result in results {
            if let Err((name, code)) = result {
                assert_eq!(code, RDKafkaErrorCode::TopicAlreadyExists, "{name}");
            }
        }
        self.wait(&format!("topic {name}"), || self.partitions(name) >= partitions);
    }

    /// Raises the number of a topic's partitions.
    pub(crate) fn add_partitions(&self, topic: &str, to: i32) {
        let more = NewPartitions::new(topic, usize::try_from(to).unwrap());
        let results =
            run(self.admin.create_partitions([&more], &AdminOptions::new())).expect("an answer of the broker");
        for result in results {
            result.unwrap_or_else(|(name, code)| panic!("{name}: {code}"));
        }
        self.wait(&format!("{to} partitions of {topic}"), || self.partitions(topic) >= to);
    }

    /// Sends records, in this order, and waits until the broker has them all.
    pub(crate) fn send(&self, records: impl IntoIterator<Item = Record>) {
        for record in records {
            self.enqueue(&record);
        }
        self.producer.flush(PATIENCE).expect("the broker takes the records");
        let errors = std::mem::take(&mut *self.deliveries.0.lock().unwrap());
        assert!(errors.is_empty(), "records that did not arrive: {errors:?}");
    }

    fn enqueue(&self, record: &Record) {
        let headers = record
            .headers
            .iter()
            .fold(OwnedHeaders::new(), |headers, (key, value)| headers.insert(Header { key, value: value.as_deref() }));
        let mut message = BaseRecord::<[u8], [u8]>::to(&record.topic).headers(headers);
        message.partition = record.partition;
        message.timestamp = record.timestamp;
        message.key = record.key.as_deref();
        message.payload = record.value.as_deref();
        let deadline = Instant::now() + PATIENCE;
        while let Err((error, same)) = self.producer.send(message) {
            let full = error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull);
            assert!(full && Instant::now() < deadline, "could not send: {error}");
            self.producer.flush(PATIENCE).expect("the broker takes the records");
            message = same;
        }
    }

    /// How many partitions a topic has; 0 where there is no such topic.
    pub(crate) fn partitions(&self, topic: &str) -> i32 {
        let metadata = self.producer.client().fetch_metadata(Some(topic), PATIENCE).expect("metadata");
        let count = metadata.topics().iter().find(|found| found.name() == topic).map(|found| found.partitions().len());
        i32::try_from(count.unwrap_or(0)).unwrap()
    }

    /// The topics of the stage, sorted.
    pub(crate) fn topics(&self) -> Vec<String> {
        let metadata = self.producer.client().fetch_metadata(None, PATIENCE).expect("metadata");
        let names = metadata.topics().iter().map(|topic| topic.name().to_owned());
        let mut names: Vec<String> = names.filter(|name| self.owns(name)).collect();
        names.sort();
        names
    }

    fn owns(&self, topic: &str) -> bool {
        let topic = topic.strip_prefix("__debezium-heartbeat.").unwrap_or(topic);
        topic.strip_prefix(self.prefix.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    }

    /// The next offset of each partition.
    pub(crate) fn ends(&self, topic: &str) -> Vec<i64> {
        (0..self.partitions(topic)).map(|partition| self.end(topic, partition)).collect()
    }

    fn end(&self, topic: &str, partition: i32) -> i64 {
        let deadline = Instant::now() + PATIENCE;
        loop {
            // A broker lists a new partition a moment before it leads it.
            match self.producer.client().fetch_watermarks(topic, partition, PATIENCE) {
                Ok((_, end)) => return end,
                Err(error) => assert!(Instant::now() < deadline, "{topic}, partition {partition}: {error}"),
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// How many records there are, or have been.
    pub(crate) fn count(&self, topic: &str) -> i64 {
        self.ends(topic).iter().sum()
    }

    /// Waits until a topic has so many records.
    pub(crate) fn wait_for(&self, topic: &str, records: i64) {
        self.wait(&format!("{records} records in {topic}"), || self.count(topic) >= records);
    }

    /// Everything in a topic up to the ends of now, partition by partition.
    pub(crate) fn read(&self, topic: &str) -> Vec<Record> {
        let ends = self.ends(topic);
        let consumer: BaseConsumer = Self::client(&self.brokers)
            .set("group.id", "not used")
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "false")
            .create()
            .expect("a consumer");
        let mut places = TopicPartitionList::new();
        for (partition, end) in (0..).zip(&ends) {
            if *end > 0 {
                places.add_partition_offset(topic, partition, Offset::Beginning).expect("an offset");
            }
        }
        consumer.assign(&places).expect("partitions to read");
        let mut records = Vec::new();
        let deadline = Instant::now() + PATIENCE;
        let mut open: Vec<bool> = ends.iter().map(|end| *end > 0).collect();
        while open.contains(&true) {
            let message = match consumer.poll(PATIENCE).expect("a record") {
                Ok(message) => message,
                Err(error) => {
                    assert!(Instant::now() < deadline, "{topic}: {error}");
                    continue;
                }
            };
            let partition = usize::try_from(message.partition()).unwrap();
            if message.offset() < ends[partition] {
                records.push(Record::of_message(&message));
            }
            open[partition] = message.offset() + 1 < ends[partition];
        }
        records.sort_by_key(|record| (record.partition, record.offset));
        records
    }

    /// The stored offsets of a consumer group in a topic; -1 where there is none.
    pub(crate) fn committed(&self, group: &str, topic: &str) -> Vec<i64> {
        let consumer: BaseConsumer = Self::client(&self.brokers).set("group.id", group).create().expect("a consumer");
        let mut places = TopicPartitionList::new();
        places.add_partition_range(topic, 0, self.partitions(topic) - 1);
        let stored = consumer.committed_offsets(places, PATIENCE).expect("offsets of the group");
        let offset = |place: &rdkafka::topic_partition_list::TopicPartitionListElem<'_>| match place.offset() {
            Offset::Offset(offset) => offset,
            _ => -1,
        };
        stored.elements().iter().map(offset).collect()
    }

    /// Stores an offset of a group without members for every partition of a topic.
    pub(crate) fn commit(&self, group: &str, topic: &str, offset: i64) {
        let consumer: BaseConsumer = Self::client(&self.brokers).set("group.id", group).create().expect("a consumer");
        let mut places = TopicPartitionList::new();
        for partition in 0..self.partitions(topic) {
            places.add_partition_offset(topic, partition, Offset::Offset(offset)).expect("an offset");
        }
        // A member that has just left may be one for a moment still.
        self.wait(&format!("{group} has no members"), || consumer.commit(&places, CommitMode::Sync).is_ok());
    }

    fn wait(&self, what: &str, holds: impl Fn() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !holds() {
            assert!(Instant::now() < deadline, "still not: {what} at {}", self.brokers);
            std::thread::sleep(PAUSE);
        }
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        // A test that has failed may have done so because the broker is gone.
        let Ok(metadata) = self.producer.client().fetch_metadata(None, Duration::from_secs(5)) else { return };
        let names: Vec<&str> =
            metadata.topics().iter().map(MetadataTopic::name).filter(|name| self.owns(name)).collect();
        if !names.is_empty() {
            run(self.admin.delete_topics(&names, &AdminOptions::new())).ok();
        }
        run(self.admin.delete_groups(&[&format!("pipectl_{}", self.prefix)], &AdminOptions::new())).ok();
    }
}
