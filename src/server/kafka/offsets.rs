//! The offsets between which a partition holds records.

use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode as Code};
use std::time::{Duration, Instant};

/// Between two questions; a broker makes a partition within milliseconds.
const PAUSE: Duration = Duration::from_millis(50);

/// First offset that is there, and the one behind the last, of a partition that the brokers list. Blocks, for `patience` at most and one answer more.
///
/// A broker lists a new partition a moment before it leads it: until then it says that it does not, or that there is no such partition, and librdkafka hands
/// that on at once.
///
/// # Errors
/// librdkafka's last one.
pub fn watermarks<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    topic: &str,
    partition: i32,
    patience: Duration,
) -> KafkaResult<(i64, i64)> {
    let deadline = Instant::now() + patience;
    loop {
        match consumer.fetch_watermarks(topic, partition, patience) {
            Err(error) if is_new(&error) && Instant::now() < deadline => std::thread::sleep(PAUSE),
            answer => return answer,
        }
    }
}

fn is_new(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            Code::NotLeaderForPartition
                | Code::LeaderNotAvailable
                | Code::ReplicaNotAvailable
                | Code::UnknownTopicOrPartition
                | Code::UnknownPartition
        )
    )
}
