//! The contract between the stages: what a source, a sink and a checkpoint store promise, and the order they are used in.
//!
//! The order is held by types: only [`write()`] makes a [`Durable`], only [`commit`] turns it into a [`Committed`], and only
//! [`acknowledge`] takes that. None of them can be copied or made by hand, so an acknowledgement of what is not stored does not compile.

mod dead;
mod group;
mod proof;
mod record_tables;
mod records;

pub use dead::{DeadLetter, DeadLetters, NoDeadLetters, REPLAYED};
pub use group::{Gap, Group, Truncation};
pub use proof::{Committed, Durable, acknowledge, commit, write};
pub use record_tables::{AdoptedRecords, RecordFields, RecordTables, Snapshot, SnapshotBegun, StoredRecords};
pub use records::{Assigned, Chunk, GroupEvent, PartitionLag, Record, RecordEvent, RecordSource};

use crate::batch::{Deletions, Layout, RowMap, TableBatch};
use crate::change::{Lsn, Position, Version};
use crate::decode::pgoutput::Relation;
use crate::error::Result;
use bytes::Bytes;
use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;

/// What a source of changes hands out.
#[derive(Debug)]
pub enum Event {
    /// A transaction begins.
    Begin {
        /// LSN of its commit record: its place in commit order.
        commit: Lsn,
        /// Its id, without the epoch.
        xid: u32,
        /// When it was committed, in microseconds since 2000-01-01 UTC.
        at: i64,
    },
    /// A row's change or a relation, as `pgoutput` wrote it.
    Data {
        /// LSN of the record.
        lsn: Lsn,
        /// The message.
        message: Bytes,
    },
    /// The transaction is whole.
    Commit {
        /// Where it ends.
        position: Position,
        /// When it was committed, in microseconds since 2000-01-01 UTC.
        at: i64,
    },
    /// Somebody waits until the transaction that has begun is confirmed, although it may hold nothing to store.
    Asked,
    /// Nothing to send: the source has read this far.
    Idle {
        /// How far.
        lsn: Lsn,
    },
}

/// A source that is told what is stored.
pub trait Acknowledge<P> {
    /// Everything before this position is stored for good: the source may forget it.
    fn acknowledge(&self, position: &P);
}

/// Where changes come from.
///
/// Events come in commit order, transactions one after another. After a restart the source begins again at the end of the last transaction that was
/// acknowledged, or earlier: an event may come again, then with the same content.
pub trait Source: Acknowledge<Position> + Send {
    /// Waits for the next event. Can be dropped and called again without losing one.
    fn next(&mut self) -> impl Future<Output = Result<Event>> + Send;

    /// Ends the stream once the last acknowledgement has been sent.
    fn finish(&mut self) -> impl Future<Output = ()> + Send;
}

/// The newest row of a key at the destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Newest {
    /// Its version.
    pub version: Version,
    /// Whether it marks a deleted row.
    pub deleted: bool,
    /// The asked columns' values one after another, as RowBinary.
    pub values: Vec<u8>,
}

/// Where batches go.
///
/// Each call returns only once the destination has acknowledged the data; calling it again with the same content changes nothing.
pub trait Sink: Send + Sync {
    /// Stores the rows of one table.
    fn insert(&self, batch: &TableBatch) -> impl Future<Output = Result<()>> + Send;

    /// Marks every row of a table deleted that is older than a truncation.
    fn truncate(&self, truncation: &Truncation) -> impl Future<Output = Result<()>> + Send;

    /// Marks rows as deleted at the source, with the values that they have, where those are older.
    fn mark_deleted(&self, deletions: &Deletions) -> impl Future<Output = Result<()>> + Send;

    /// The newest rows of these keys (RowBinary of the key's columns), with the values of some columns.
    fn newest(
        &self,
        layout: &Layout,
        columns: &[usize],
        keys: &[Vec<u8>],
    ) -> impl Future<Output = Result<HashMap<Vec<u8>, Newest>>> + Send;
}

/// The row that the source has now, as text; a column that was not asked for is not in it.
pub type CurrentRow = Vec<Option<Vec<u8>>>;

/// Reads rows again at the source: what a change left out and the destination does not have.
pub trait Refetch: Send {
    /// The rows that the source has now of these keys (the text of each key column), in their order; none where a row is gone. Waits until the
    /// transactions are visible there.
    fn current(
        &mut self,
        layout: &Layout,
        columns: &[usize],
        keys: &[Vec<Vec<u8>>],
        xids: &[u32],
    ) -> impl Future<Output = Result<Vec<Option<CurrentRow>>>> + Send;
}

/// What must survive a restart.
pub trait CheckpointStore: Send {
    /// A place in the source.
    type Position: Send + Sync;

    /// Stores how far the destination is complete. Returns once that is acknowledged.
    fn save(&mut self, position: &Self::Position) -> impl Future<Output = Result<()>> + Send;

    /// Stores that a table is left behind, from which version on and why; only a new copy clears it.
    fn park(&mut self, relation: u32, reason: &str, since: Version) -> impl Future<Output = Result<()>> + Send;
}

/// What is to be done with a relation's rows.
#[derive(Debug, Clone)]
pub enum Adopted {
    /// They are stored.
    Stored {
        /// What their batches look like.
        layout: Arc<Layout>,
        /// Where their fields go.
        map: Arc<RowMap>,
    },
    /// They are none of the pipeline's.
    Ignored,
    /// The table was left behind.
    Parked,
    /// The table has to be left behind, for this reason.
    Park(String),
}

/// Knows the tables of both sides, and brings the destination's up to the source's.
pub trait Tables: Send {
    /// Takes a relation in as the stream describes it: looks it up, and adds what the destination lacks.
    fn adopt(&mut self, relation: &Relation) -> impl Future<Output = Result<Adopted>> + Send;

    /// A table is left behind: it is adopted no more.
    fn leave(&mut self, relation: u32);

    /// A column has to bear NULL from here on; the relation is adopted again afterwards.
    fn relax(&mut self, relation: u32, column: &str) -> impl Future<Output = Result<()>> + Send;

    /// Waits until something is to be done about tables that no message asks for; without end where there is nothing. Whoever asked for what was done
    /// last is told here: by then what is adopted anew has been adopted. Can be dropped and called again.
    fn asked(&mut self) -> impl Future<Output = ()> + Send;

    /// Does what is asked for, at a moment when everything taken in so far is stored. Returns the relations that are to be adopted anew.
    fn attend(&mut self) -> impl Future<Output = Vec<u32>> + Send;

    /// Whether tables are being copied while the stream runs, or wait for that.
    fn is_copying(&self) -> bool;
}
