//! Records that Debezium wrote, kept as files in `tests/fixtures/debezium`.
//!
//! A file is `{"meta": {"name", "debezium", "sql", "config", …}, "messages": [{"topic", "partition", "offset", "timestamp",
//! "headers": [[name, value], …], "key", "value"}, …]}`. Keys and values are the very text of the record; null is a tombstone, and bytes that are
//! no JSON are `{"$base64": "…"}`, as headers are that are no text.

use super::{Kafka, Record};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::Path;

/// One file.
pub(crate) struct Sample {
    /// The connector's configuration as it was set.
    pub(crate) config: BTreeMap<String, String>,
    /// Everything else that is told of it: `name`, `debezium`, `sql`, …
    pub(crate) meta: Map<String, Value>,
    /// The records, topic by topic, in the order of their offsets.
    pub(crate) records: Vec<Record>,
}

#[derive(Deserialize)]
struct File<'a> {
    meta: Map<String, Value>,
    #[serde(borrow)]
    messages: Vec<Message<'a>>,
}

#[derive(Deserialize)]
struct Message<'a> {
    topic: String,
    partition: i32,
    offset: i64,
    timestamp: i64,
    headers: Vec<(String, Value)>,
    #[serde(borrow)]
    key: Option<&'a RawValue>,
    #[serde(borrow)]
    value: Option<&'a RawValue>,
}

impl Sample {
    /// Reads a file by its name, such as `default-noschema`.
    pub(crate) fn read(name: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/debezium").join(format!("{name}.json"));
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let file: File<'_> = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let text_of = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let config = file.meta.get("config").and_then(Value::as_object).into_iter().flatten();
        Self {
            config: config.map(|(name, value)| (name.clone(), text_of(value))).collect(),
            meta: file.meta.clone(),
            records: file.messages.into_iter().map(Message::record).collect(),
        }
    }

    /// The connector's `topic.prefix`, which had another name before Debezium 2.
    pub(crate) fn prefix(&self) -> &str {
        self.config.get("topic.prefix").unwrap_or_else(|| &self.config["database.server.name"])
    }

    /// Puts the records into topics of a stage: the sample's prefix becomes the stage's, partitions and order stay. Says which topics.
    pub(crate) fn replay(&self, kafka: &Kafka) -> Vec<String> {
        let rename = |topic: &str| match topic.split_once(self.prefix()) {
            Some((before, after)) => format!("{before}{}{after}", kafka.prefix),
            None => kafka.name(topic),
        };
        let mut partitions: BTreeMap<String, i32> = BTreeMap::new();
        for record in &self.records {
            let most = partitions.entry(rename(&record.topic)).or_default();
            *most = (*most).max(record.partition.unwrap_or(0) + 1);
        }
        for (topic, count) in &partitions {
            kafka.create(topic, *count);
        }
        kafka.send(self.records.iter().map(|record| Record { topic: rename(&record.topic), ..record.clone() }));
        partitions.into_keys().collect()
    }
}

impl Message<'_> {
    fn record(self) -> Record {
        let header = |value: Value| match value {
            Value::Null => None,
            Value::String(text) => Some(text.into_bytes()),
            other => Some(bytes(&other.to_string())),
        };
        Record {
            topic: self.topic,
            partition: Some(self.partition),
            offset: self.offset,
            timestamp: Some(self.timestamp),
            key: self.key.map(|raw| bytes(raw.get())),
            value: self.value.map(|raw| bytes(raw.get())),
            headers: self.headers.into_iter().map(|(name, value)| (name, header(value))).collect(),
        }
    }
}

fn bytes(text: &str) -> Vec<u8> {
    #[derive(Deserialize)]
    struct Encoded {
        #[serde(rename = "$base64")]
        base64: String,
    }
    match serde_json::from_str::<Encoded>(text) {
        Ok(encoded) if text.starts_with("{\"$base64\"") => base64(&encoded.base64),
        _ => text.as_bytes().to_vec(),
    }
}

fn base64(text: &str) -> Vec<u8> {
    let digit = |byte: u8| match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' | b'-' => 62,
        b'/' | b'_' => 63,
        _ => panic!("no base64: {text}"),
    };
    let digits: Vec<u8> = text.trim_end_matches('=').bytes().map(digit).collect();
    let group = |group: &[u8]| {
        let bits = group.iter().fold(0_u32, |bits, digit| bits << 6 | u32::from(*digit)) << (6 * (4 - group.len()));
        bits.to_be_bytes()[1..group.len()].to_vec()
    };
    digits.chunks(4).flat_map(group).collect()
}
