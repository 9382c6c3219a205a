//! The contract of a source of records: topics with partitions, read by a group.

use super::Acknowledge;
use crate::change::Offsets;
use crate::error::Result;
use std::future::Future;
use std::ops::Range;
use std::sync::Arc;

/// A partition that this process reads. Each assignment has an id of its own, so that what was read under an earlier one is told apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assigned {
    /// The assignment.
    pub id: u32,
    /// The topic.
    pub topic: Arc<str>,
    /// Its partition.
    pub partition: i32,
}

/// Records in the order they were read, copied out of the client in one piece: no allocation a record.
#[derive(Debug, Default)]
pub struct Chunk {
    /// Keys, values and headers of all records, one after another.
    pub bytes: Vec<u8>,
    /// The records.
    pub records: Vec<Record>,
    /// The headers of all records.
    pub headers: Vec<HeaderPlace>,
}

/// A record of a [`Chunk`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The assignment it was read under.
    pub id: u32,
    /// Its place in the partition.
    pub offset: i64,
    /// Its own time, in milliseconds since 1970.
    pub timestamp_ms: Option<i64>,
    key: Option<Range<usize>>,
    value: Option<Range<usize>>,
    headers: Range<usize>,
}

/// Where name and value of a header lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderPlace {
    name: Range<usize>,
    value: Option<Range<usize>>,
}

impl Chunk {
    /// Adds a record without headers; [`Chunk::push_header`] adds those.
    pub fn push(
        &mut self,
        (id, offset): (u32, i64),
        timestamp_ms: Option<i64>,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
    ) {
        let (key, value) = (self.copy(key), self.copy(value));
        let headers = self.headers.len()..self.headers.len();
        self.records.push(Record { id, offset, timestamp_ms, key, value, headers });
    }

    /// Adds a header to the record that was added last.
    pub fn push_header(&mut self, name: &str, value: Option<&[u8]>) {
        let Some(name) = self.copy(Some(name.as_bytes())) else { return };
        let value = self.copy(value);
        self.headers.push(HeaderPlace { name, value });
        if let Some(record) = self.records.last_mut() {
            record.headers.end = self.headers.len();
        }
    }

    fn copy(&mut self, bytes: Option<&[u8]>) -> Option<Range<usize>> {
        let bytes = bytes?;
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        Some(start..self.bytes.len())
    }

    /// A record's key.
    pub fn key(&self, record: &Record) -> Option<&[u8]> {
        record.key.clone().and_then(|place| self.bytes.get(place))
    }

    /// A record's value; none for a tombstone.
    pub fn value(&self, record: &Record) -> Option<&[u8]> {
        record.value.clone().and_then(|place| self.bytes.get(place))
    }

    /// A record's headers. A name that is no UTF-8 is left out.
    pub fn headers(&self, record: &Record) -> impl Iterator<Item = (&str, Option<&[u8]>)> {
        let places = self.headers.get(record.headers.clone()).unwrap_or_default();
        places.iter().filter_map(|place| {
            let name = std::str::from_utf8(self.bytes.get(place.name.clone())?).ok()?;
            Some((name, place.value.clone().and_then(|value| self.bytes.get(value))))
        })
    }
}

/// What a source of records tells of its group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupEvent {
    /// Partitions were assigned: they are read once [`RecordSource::start`] has said from where.
    Assigned(Vec<Assigned>),
    /// These assignments are to end: what was read of them is to be stored, then [`RecordSource::release`] lets them go.
    Revoked(Vec<u32>),
    /// These assignments have ended; nothing of them may be acknowledged any more.
    Lost(Vec<u32>),
    /// The source cannot be reached; it goes on by itself when it can be again.
    Away(String),
    /// The source can be reached again.
    Back,
}

/// What comes next of a source of records.
#[derive(Debug)]
pub enum RecordEvent {
    /// Of the group.
    Group(GroupEvent),
    /// Records.
    Records(Chunk),
}

/// How far a partition is read, and what there is of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionLag {
    /// The topic.
    pub topic: Arc<str>,
    /// Its partition.
    pub partition: i32,
    /// The offset behind its last record.
    pub end: i64,
    /// Whether everything before `end` was handed out: offsets may be missing in between, so that the last record's own does not tell.
    pub drained: bool,
}

/// Where records come from.
///
/// Records of one partition come in the order of their offsets, without a gap but for offsets that hold no record. After a restart the source begins again at
/// what was acknowledged, or earlier.
pub trait RecordSource: Acknowledge<Offsets> + Send {
    /// Waits for the next event; for records only where they are wanted. Can be dropped and called again without losing one.
    fn next(&mut self, records: bool) -> impl Future<Output = Result<RecordEvent>> + Send;

    /// Up to where the destination is complete: assigned partitions are read from there, or from what the group has committed, whichever is earlier.
    fn start(&self, assigned: &[Assigned], stored: &Offsets);

    /// Everything of these assignments is stored and acknowledged.
    fn release(&self, ids: &[u32]);

    /// How far the assigned partitions are read.
    fn lags(&self) -> Vec<PartitionLag>;

    /// Ends the reading once the last acknowledgement has been sent.
    fn finish(&mut self) -> impl Future<Output = ()> + Send;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_gives_back_what_was_put_in() {
        let mut chunk = Chunk::default();
        chunk.push((1, 7), Some(5), Some(b"k"), Some(b"value"));
        chunk.push_header("a", Some(b"1"));
        chunk.push_header("b", None);
        chunk.push((1, 8), None, Some(b"k"), None);
        let [first, second] = chunk.records.as_slice() else { panic!() };
        assert_eq!((chunk.key(first), chunk.value(first)), (Some(&b"k"[..]), Some(&b"value"[..])));
        assert_eq!(chunk.headers(first).collect::<Vec<_>>(), [("a", Some(&b"1"[..])), ("b", None)]);
        assert_eq!((chunk.value(second), chunk.headers(second).count()), (None, 0));
    }
}
