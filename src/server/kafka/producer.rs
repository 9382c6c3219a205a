//! Sends single records, each acknowledged: no stream of changes, but what was set aside.

use super::client::{KafkaContext, client_config, kafka_error};
use crate::config::KafkaSettings;
use crate::error::{Error, Kind, Result};
use bytes::Bytes;
use rdkafka::ClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, DeliveryResult, ProducerContext, ThreadedProducer};
use std::time::Duration;
use tokio::sync::oneshot;

/// How long the producer's full queue is left alone.
const PAUSE: Duration = Duration::from_millis(50);
/// Idempotence keeps the order and sends nothing twice of itself. What a record may weigh is the broker's affair. The time is that of one delivery, retries included.
const OVERRIDES: [(&str, &str); 4] = [
    ("enable.idempotence", "true"),
    ("message.max.bytes", "1000000000"),
    ("delivery.timeout.ms", "30000"),
    ("compression.type", "lz4"),
];

/// A record that is to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutgoingRecord<'a> {
    /// The topic.
    pub topic: &'a str,
    /// The partition; the key decides where it is absent.
    pub partition: Option<i32>,
    /// The key.
    pub key: Option<&'a [u8]>,
    /// The value; a tombstone has none.
    pub value: Option<&'a [u8]>,
    /// Milliseconds since 1970; now, where it is absent.
    pub timestamp_ms: Option<i64>,
    /// The headers, in their order.
    pub headers: Vec<(String, Option<Bytes>)>,
}

/// The receipt of a record that is on its way.
#[derive(Debug)]
pub struct Sending {
    topic: String,
    receipt: oneshot::Receiver<Result<(), KafkaError>>,
}

impl Sending {
    /// Waits until every replica that has to have it has it.
    ///
    /// # Errors
    /// As [`kafka_error`] sorts them.
    pub async fn arrived(self) -> Result<()> {
        let tried = format!("could not send a record to topic \"{}\"", self.topic);
        match self.receipt.await {
            Ok(sent) => sent.map_err(|error| kafka_error(&tried, &error)),
            Err(_) => Err(Error::new(Kind::Unexpected, tried).because("the producer ended early")),
        }
    }
}

/// The producer; what is on its way when it is dropped is lost.
pub struct Producer {
    producer: ThreadedProducer<Receipts>,
}

impl std::fmt::Debug for Producer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Producer").finish_non_exhaustive()
    }
}

impl Producer {
    /// A producer for the settings' brokers; nothing is sent yet.
    ///
    /// # Errors
    /// [`Kind::Config`] for a property that librdkafka refuses.
    pub fn new(settings: &KafkaSettings) -> Result<Self> {
        let producer = client_config(settings, &OVERRIDES)
            .create_with_context(Receipts(KafkaContext::default()))
            .map_err(|error| kafka_error("could not set up a Kafka producer", &error))?;
        Ok(Self { producer })
    }

    /// Takes a record in; it is sent behind those that were taken in before. [`Sending::arrived`] tells when it is there.
    ///
    /// # Errors
    /// As [`kafka_error`] sorts them.
    pub async fn send(&self, record: &OutgoingRecord<'_>) -> Result<Sending> {
        let (tell, receipt) = oneshot::channel();
        let mut headers = OwnedHeaders::new_with_capacity(record.headers.len());
        for (key, value) in &record.headers {
            headers = headers.insert(Header { key, value: value.as_deref() });
        }
        let mut outgoing = BaseRecord::<[u8], [u8], _>::with_opaque_to(record.topic, Box::new(tell)).headers(headers);
        outgoing.partition = record.partition;
        outgoing.timestamp = record.timestamp_ms;
        outgoing.key = record.key;
        outgoing.payload = record.value;
        loop {
            match self.producer.send(outgoing) {
                Ok(()) => return Ok(Sending { topic: record.topic.to_owned(), receipt }),
                Err((error, same)) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull) => {
                    outgoing = same;
                    tokio::time::sleep(PAUSE).await;
                }
                Err((error, _)) => {
                    return Err(kafka_error(&format!("could not send a record to topic \"{}\"", record.topic), &error));
                }
            }
        }
    }
}

/// Hands each record's fate to whoever waits for it.
struct Receipts(KafkaContext);

impl ClientContext for Receipts {
    fn log(&self, level: rdkafka::config::RDKafkaLogLevel, facility: &str, message: &str) {
        self.0.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.0.error(error, reason);
    }

    fn stats(&self, _statistics: rdkafka::Statistics) {}
}

impl ProducerContext for Receipts {
    type DeliveryOpaque = Box<oneshot::Sender<Result<(), KafkaError>>>;

    fn delivery(&self, result: &DeliveryResult<'_>, tell: Self::DeliveryOpaque) {
        let fate = result.as_ref().map(|_| ()).map_err(|(error, _)| error.clone());
        // That nobody waits any more is no failure.
        tell.send(fate).ok();
    }
}
