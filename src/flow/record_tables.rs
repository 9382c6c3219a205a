//! What the engine of records has to know of tables.

use crate::batch::{Layout, RowMap};
use crate::change::{Copied, Lsn, Offsets, Straddling, TableName, Version};
use crate::decode::debezium::avro::{Schema, SchemaId};
use crate::decode::debezium::{ConnectSchema, RecordShape};
use crate::error::Result;
use std::future::Future;
use std::sync::Arc;

/// The fields of a table's rows, as a record tells.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordFields {
    /// Their names, in the record's order.
    pub names: Vec<String>,
    /// The fields of the record's key, where it has one that can be read.
    pub key: Vec<String>,
    /// Their types, where records carry a schema.
    pub schema: Option<ConnectSchema>,
}

/// How a table's rows are read and stored.
#[derive(Debug, Clone)]
pub struct StoredRecords {
    /// What the table's batches look like.
    pub layout: Arc<Layout>,
    /// Where the fields go.
    pub map: Arc<RowMap>,
    /// How the fields are spelled.
    pub shape: Arc<RecordShape>,
    /// Rows older than this were truncated away: also those that are read only later, of another partition.
    pub truncated: Version,
    /// Changes that a copy of the table has already, where they would be there twice.
    pub copied: Option<Arc<Copied>>,
    /// What is told of its changes while such a copy is being made.
    pub straddling: Option<Arc<Straddling>>,
}

/// What is to be done with a table's records.
#[derive(Debug, Clone)]
pub enum AdoptedRecords {
    /// They are stored.
    Stored(StoredRecords),
    /// They are none of the pipeline's.
    Ignored,
    /// The table, of this id, was left behind.
    Parked(u32),
    /// The table, of this id, has to be left behind, for this reason.
    Park(u32, String),
}

/// A snapshot of a connector that had streamed nothing yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Snapshot {
    /// Where the log was as it began: the same in all its records, and another one in each snapshot.
    pub began: Lsn,
    /// When, in microseconds since 1970.
    pub at: i64,
    /// Where the one began whose records this process took in last.
    pub own: Option<Lsn>,
}

/// What came of a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotBegun {
    /// Where the newest one began: rows of earlier ones are dead.
    pub newest: Lsn,
    /// The version of the newest one's rows.
    pub version: Version,
    /// Whether earlier ones had read something, which was taken away now.
    pub again: bool,
}

/// Knows the tables of both sides, and brings the destination's up to the records'.
pub trait RecordTables: Send {
    /// Takes a table in, the rows of which have these fields: looks it up, and adds what the destination lacks.
    fn adopt(
        &mut self,
        table: &TableName,
        fields: &RecordFields,
    ) -> impl Future<Output = Result<AdoptedRecords>> + Send;

    /// A table is left behind: it is adopted no more.
    fn leave(&mut self, relation: u32);

    /// A column has to bear NULL from here on; the table is adopted again afterwards.
    fn relax(&mut self, table: &TableName, column: &str) -> impl Future<Output = Result<()>> + Send;

    /// Up to where the destination is complete.
    fn stored(&mut self) -> impl Future<Output = Result<Offsets>> + Send;

    /// The schema that Avro records were written with, from the registry; none where no registry is configured.
    fn schema(&mut self, id: SchemaId) -> impl Future<Output = Result<Option<Schema>>> + Send;

    /// A table was truncated at a version: what is older is dead, whenever it is read.
    fn truncated(&mut self, relation: u32, version: Version) -> impl Future<Output = Result<()>> + Send;

    /// Records of a connector's snapshot come that began at another place of the log than the one whose records came last: where it is a later one, what
    /// the others have read is taken away.
    fn snapshot(
        &mut self,
        layout: &Arc<Layout>,
        snapshot: Snapshot,
    ) -> impl Future<Output = Result<SnapshotBegun>> + Send;

    /// How many partitions a topic has.
    fn partitions(&mut self, topic: &str) -> impl Future<Output = Result<usize>> + Send;

    /// Whether the destination's newest row of a key is what the topic's next record of that key was made to: not where changes of a key can overtake
    /// each other, or where older ones are compacted away.
    fn in_order(&mut self, topic: &str) -> impl Future<Output = Result<bool>> + Send;

    /// As [`Tables::asked`](super::Tables::asked).
    fn asked(&mut self) -> impl Future<Output = ()> + Send;

    /// As [`Tables::attend`](super::Tables::attend).
    fn attend(&mut self) -> impl Future<Output = Vec<u32>> + Send;

    /// As [`Tables::is_copying`](super::Tables::is_copying).
    fn is_copying(&self) -> bool;
}
