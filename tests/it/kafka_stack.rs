//! The Kafka of the stack: what other tests rest on.

use crate::support::{Connect, Kafka, PATIENCE, Record, Sample, Stage, variable};
use pipectl::config::KafkaSettings;
use pipectl::server::kafka::{Cluster, client_config};
use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

#[test]
fn a_topic_gives_back_what_was_put_in() {
    let stage = Stage::new("kafka_topic");
    let kafka = Kafka::of(&stage);
    let topic = kafka.topic("things", 2);
    let first = Record::new(&topic, "1", "{\"a\": 1e400}").at(0).header("kind", b"\xff\x00");
    let second = Record { timestamp: Some(1_700_000_000_000), ..Record::tombstone(&topic, "1").at(1) };
    kafka.send([first.clone(), second.clone()]);
    let read = kafka.read(&topic);
    assert_eq!(read, [Record { timestamp: read[0].timestamp, ..first.clone() }, second.clone()]);
    assert_eq!((read[0].text().as_str(), read[1].text().as_str()), ("{\"a\": 1e400}", ""));
    kafka.add_partitions(&topic, 3);
    kafka.send([Record::new(&topic, "2", "{}").at(2), second.clone()]);
    assert_eq!((kafka.ends(&topic), kafka.count(&topic)), (vec![1, 2, 1], 4));
    assert_eq!(kafka.committed("nobody", &topic), [-1, -1, -1]);
    assert_eq!(kafka.topics(), [topic]);
}

/// A broker lists a partition a moment before it leads it, and refuses it until then.
#[test]
fn new_partitions_are_asked_for_until_they_have_offsets() {
    let stage = Stage::new("kafka_new");
    let kafka = Kafka::of(&stage);
    let cluster = Cluster::new(&client_config(&KafkaSettings::new(&kafka.brokers), &[])).unwrap();
    for number in 0..20 {
        let topic = kafka.topic(&format!("t{number}"), 5);
        let offsets = (0..5).map(|partition| cluster.watermarks(&topic, partition));
        assert_eq!(offsets.collect::<Result<Vec<_>, _>>().unwrap(), [(0, 0); 5]);
        assert_eq!(kafka.ends(&topic), [0; 5]);
    }
}

#[test]
fn a_sample_is_replayed_byte_for_byte() {
    let stage = Stage::new("kafka_sample");
    let kafka = Kafka::of(&stage);
    let sample = Sample::read("mixed_key_string");
    assert_eq!((sample.prefix(), &sample.meta["debezium"]), ("mixed_key_string", &"3.7.0.Final".into()));
    let topics = sample.replay(&kafka);
    assert_eq!(kafka.topics(), topics);
    let read: Vec<Record> = topics.iter().flat_map(|topic| kafka.read(topic)).collect();
    let as_sent =
        |record: &Record| Record { topic: record.topic.replacen(&kafka.prefix, sample.prefix(), 1), ..record.clone() };
    let mut read: Vec<Record> = read.iter().map(as_sent).collect();
    let mut sent = sample.records.clone();
    for records in [&mut read, &mut sent] {
        records.sort_by_key(|record| (record.topic.clone(), record.partition, record.offset));
    }
    assert_eq!(read, sent);
    assert!(sent.iter().any(|record| record.key.as_deref() == Some(b"Struct{id=4242424}")), "no key that is no JSON");
}

/// What librdkafka tells of a broker it does not come to terms with.
#[derive(Clone, Default)]
struct Complaints(Arc<Mutex<Vec<String>>>);

impl ClientContext for Complaints {
    fn error(&self, _error: KafkaError, reason: &str) {
        self.0.lock().unwrap().push(reason.to_owned());
    }

    fn log(&self, _level: RDKafkaLogLevel, _facility: &str, message: &str) {
        self.0.lock().unwrap().push(message.to_owned());
    }
}

impl ConsumerContext for Complaints {}

/// How many brokers the listener tells of, or why it cannot be talked to.
fn reaches(brokers: &str, properties: &[(&str, &str)]) -> Result<usize, String> {
    let mut config = Kafka::client(&variable(brokers));
    for (name, value) in properties {
        config.set(*name, *value);
    }
    let complaints = Complaints::default();
    let consumer: BaseConsumer<Complaints> = config.create_with_context(complaints.clone()).unwrap();
    let deadline = Instant::now() + PATIENCE;
    loop {
        let metadata = consumer.fetch_metadata(None, Duration::from_millis(500));
        consumer.poll(Duration::ZERO);
        let complaints = complaints.0.lock().unwrap();
        match metadata {
            Ok(metadata) => return Ok(metadata.brokers().len()),
            Err(_) if !complaints.is_empty() => return Err(complaints.join("\n")),
            Err(error) => assert!(Instant::now() < deadline, "neither an answer nor a refusal: {error}"),
        }
    }
}

/// The broker's alert, or the end of the connection where it overtook the alert.
const NO_CERTIFICATE: &[&str] = &["SSL alert", "state APIVERSION_QUERY"];

#[test]
fn its_listeners_take_their_own_clients_and_no_others() {
    let (ca, wrong_ca) = (variable("PIPECTL_KAFKA_CA"), variable("PIPECTL_KAFKA_WRONG_CA"));
    let (user, password) = (variable("PIPECTL_KAFKA_USER"), variable("PIPECTL_KAFKA_PASSWORD"));
    let sasl = |mechanism: &str, ca: &str, password: &str| {
        let login = [("sasl.mechanism", mechanism), ("sasl.username", &user), ("sasl.password", password)];
        let tls = [("security.protocol", "SASL_SSL"), ("ssl.ca.location", ca)];
        reaches("PIPECTL_KAFKA_SASL_BROKERS", &[login.as_slice(), &tls].concat())
    };
    for mechanism in ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] {
        assert_eq!(sasl(mechanism, &ca, &password), Ok(1), "{mechanism}");
    }
    let refused = |outcome: Result<usize, String>, reasons: &[&str]| {
        assert!(outcome.as_ref().is_err_and(|told| reasons.iter().any(|reason| told.contains(reason))), "{outcome:?}");
    };
    refused(sasl("SCRAM-SHA-512", &ca, "wrong"), &["Authentication failed"]);
    refused(sasl("SCRAM-SHA-512", &wrong_ca, &password), &["certificate verify failed"]);

    let tls = [("security.protocol", "ssl"), ("ssl.ca.location", ca.as_str())];
    let (cert, key) = (variable("PIPECTL_KAFKA_CLIENT_CERT"), variable("PIPECTL_KAFKA_CLIENT_KEY"));
    let client = [("ssl.certificate.location", cert.as_str()), ("ssl.key.location", &key)];
    assert_eq!(reaches("PIPECTL_KAFKA_SSL_BROKERS", &[tls, client].concat()), Ok(1));
    refused(reaches("PIPECTL_KAFKA_SSL_BROKERS", &tls), NO_CERTIFICATE);
}

#[test]
fn debezium_streams_from_the_postgres_beside_it() {
    let stage = Stage::new("kafka_debezium");
    let (kafka, connect) = (Kafka::of(&stage), Connect::of(&stage));
    stage
        .postgres
        .execute("CREATE TABLE orders (id bigint PRIMARY KEY, note text); INSERT INTO orders VALUES (1, 'copied')");
    let password = format!("${{file:{}:postgres_password}}", variable("PIPECTL_CONNECT_SECRETS"));
    let ca = variable("PIPECTL_PG_CA");
    connect.apply(&Connect::debezium(
        &stage,
        &[("database.sslmode", "verify-full"), ("database.sslrootcert", &ca), ("database.password", &password)],
    ));
    connect.wait_until_it_streams(&stage);
    stage.postgres.execute("UPDATE orders SET note = 'changed'; DELETE FROM orders");
    let topic = kafka.name("public.orders");
    kafka.wait_for(&topic, 4);
    let ops = |records: &[Record]| {
        let op = |record: &Record| {
            serde_json::from_str(&record.text())
                .map_or(String::new(), |value: serde_json::Value| value["op"].as_str().unwrap_or_default().to_owned())
        };
        records.iter().map(op).collect::<Vec<_>>()
    };
    assert_eq!(ops(&kafka.read(&topic)), ["r", "u", "d", ""]);
    // Made again with the other way to the password: it goes on from its own offsets.
    connect.delete(&stage);
    stage.postgres.execute("INSERT INTO orders VALUES (2, 'meanwhile')");
    connect.apply(&Connect::debezium(&stage, &[]));
    connect.wait_until_it_streams(&stage);
    connect.wait_until_it_has_caught_up(&stage);
    assert_eq!(ops(&kafka.read(&topic)), ["r", "u", "d", "", "c"]);
}
