//! Reads topics from their beginnings to their ends of now and throws the records away: what any consumer of librdkafka can reach.
//!
//! `discard BROKERS TOPIC…`; its properties are those that `pipectl sync` reads with. It prints how many records and bytes there were, and
//! how many of the records were tombstones.

#![expect(clippy::print_stdout, reason = "that is what it is for")]

use pipectl::config::KafkaSettings;
use pipectl::server::kafka::client_config;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::metadata::MetadataTopic;
use rdkafka::{Message, Offset, TopicPartitionList};
use std::error::Error;
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(30);

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let settings = KafkaSettings::new(&arguments.next().ok_or("usage: discard BROKERS TOPIC…")?);
    let properties = [
        ("group.id", "discard"),
        ("enable.auto.commit", "false"),
        ("isolation.level", "read_committed"),
        ("enable.partition.eof", "false"),
        ("queued.max.messages.kbytes", "32768"),
    ];
    let consumer: BaseConsumer = client_config(&settings, &properties).create()?;
    let mut places = TopicPartitionList::new();
    let mut left = 0;
    for topic in arguments {
        let metadata = consumer.fetch_metadata(Some(&topic), TIMEOUT)?;
        for partition in metadata.topics().iter().flat_map(MetadataTopic::partitions) {
            let (begin, end) = consumer.fetch_watermarks(&topic, partition.id(), TIMEOUT)?;
            places.add_partition_offset(&topic, partition.id(), Offset::Beginning)?;
            left += end - begin;
        }
    }
    consumer.assign(&places)?;
    let (mut records, mut bytes, mut tombstones) = (0_u64, 0, 0_u64);
    while left > 0 {
        let record = consumer.poll(TIMEOUT).ok_or("no record came for half a minute")??;
        records += 1;
        bytes += record.payload_len() + record.key_len();
        tombstones += u64::from(record.payload().is_none());
        left -= 1;
    }
    println!("{records} {bytes} {tombstones}");
    Ok(())
}
