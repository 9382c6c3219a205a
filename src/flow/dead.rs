//! Records that could not be carried, kept whole.

use crate::error::{Error, Kind, Result};
use bytes::Bytes;
use std::future::Future;

/// The header of a record that was set aside and then produced again; its value says where it was, `topic/partition/offset`. Its position in the log is older than
/// what surrounds it, and that is no sign of anything.
pub const REPLAYED: &str = "pipectl.replayed";

/// A record of a topic that could not be decoded or stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Its topic.
    pub topic: String,
    /// Its partition.
    pub partition: i32,
    /// Its place there.
    pub offset: i64,
    /// The record's own time, in milliseconds since 1970; absent where it has none.
    pub timestamp_ms: Option<i64>,
    /// Its key.
    pub key: Option<Bytes>,
    /// Its value.
    pub value: Option<Bytes>,
    /// Its headers, in their order.
    pub headers: Vec<(String, Option<Bytes>)>,
    /// The table at the source, `schema.table`, where that could be told.
    pub table: Option<String>,
    /// Why it could not be carried.
    pub error: String,
}

impl DeadLetter {
    /// Bytes that wait in it.
    pub fn bytes(&self) -> usize {
        let len = |bytes: &Option<Bytes>| bytes.as_ref().map_or(0, Bytes::len);
        let headers: usize = self.headers.iter().map(|(name, value)| name.len() + len(value)).sum();
        len(&self.key) + len(&self.value) + headers + self.topic.len() + self.error.len()
    }
}

/// Where such records are kept. Storing one again changes nothing: topic, partition and offset tell it apart.
pub trait DeadLetters: Send + Sync {
    /// Stores records. Returns once that is acknowledged.
    fn store(&self, letters: &[DeadLetter]) -> impl Future<Output = Result<()>> + Send;
}

/// No place for such records: for sources that have none.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoDeadLetters;

impl DeadLetters for NoDeadLetters {
    async fn store(&self, letters: &[DeadLetter]) -> Result<()> {
        match letters.first() {
            None => Ok(()),
            Some(letter) => {
                let place = format!("{}, partition {}, offset {}", letter.topic, letter.partition, letter.offset);
                Err(Error::new(Kind::Value, format!("could not carry the record {place}"))
                    .because(letter.error.clone()))
            }
        }
    }
}
