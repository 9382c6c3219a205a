//! The records of the state. Fields are only ever added, with a default, so that an older record reads on; their order is that of the JSON.

use crate::change::{Copied, Lsn, Position, Reached, TableName, TableSchema};
use crate::server::postgres::HeapMark;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A pipeline's slot and where it began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own, stored by its name")]
pub struct PipelineRecord {
    /// The server's system identifier.
    pub system_identifier: String,
    /// Its timeline: the one that was followed last.
    pub timeline: u32,
    /// The slot's consistent point; absent between the intention to make the slot and its making.
    #[serde(default)]
    pub consistent_point: Option<String>,
    /// Whether the first snapshot is complete.
    #[serde(default)]
    pub snapshot_done: bool,
    /// Whether pipectl made the publication, and so may change it.
    #[serde(default)]
    pub owns_publication: bool,
    /// Whether all tables are being copied again: until that is complete nothing else may go on from here.
    #[serde(default)]
    pub resync_all: bool,
    /// Where the log stood when the pipeline changed over from the other transport.
    #[serde(default)]
    pub switched_at: Option<String>,
    /// Where the topics ended then, by `partition:topic`: what lies before is of another time, and never read again.
    #[serde(default)]
    pub switched_offsets: BTreeMap<String, i64>,
    /// Whether the pipeline has left this transport for the other one.
    #[serde(default)]
    pub left: bool,
}

impl PipelineRecord {
    /// The record of a pipeline that is about to make its slot.
    pub fn intended(system_identifier: String, timeline: u32, owns_publication: bool) -> Self {
        Self {
            system_identifier,
            timeline,
            consistent_point: None,
            snapshot_done: false,
            owns_publication,
            resync_all: false,
            switched_at: None,
            switched_offsets: BTreeMap::new(),
            left: false,
        }
    }
}

/// How far the destination is complete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointRecord {
    /// LSN of the last transaction's commit record.
    pub commit: String,
    /// First byte after it.
    pub end: String,
    /// The transaction's id, without the epoch.
    #[serde(default)]
    pub xid: u32,
}

impl From<Position> for CheckpointRecord {
    fn from(position: Position) -> Self {
        Self { commit: position.commit.to_string(), end: position.end.to_string(), xid: position.xid }
    }
}

impl CheckpointRecord {
    /// The position; the beginning of all where the record cannot be read.
    pub fn position(&self) -> Position {
        let lsn = |text: &str| text.parse().unwrap_or(Lsn::ZERO);
        Position { commit: lsn(&self.commit), end: lsn(&self.end), xid: self.xid }
    }
}

/// How far a topic's partition is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OffsetRecord {
    /// Offset of the record that comes next.
    pub next: i64,
    /// The highest LSN of its records that were streamed.
    pub lsn: String,
}

impl From<Reached> for OffsetRecord {
    fn from(reached: Reached) -> Self {
        Self { next: reached.next, lsn: reached.lsn.to_string() }
    }
}

impl OffsetRecord {
    /// How far that is.
    pub fn reached(&self) -> Reached {
        Reached { next: self.next, lsn: self.lsn.parse().unwrap_or(Lsn::ZERO) }
    }
}

/// Where a table stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TablePhase {
    /// Its first copy is under way.
    #[default]
    Copying,
    /// It follows the stream.
    Ready,
    /// It is left behind until it is copied again.
    Parked,
}

/// A table's state.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TableRecord {
    /// Its name at the source, `schema.table`.
    pub source: String,
    /// Its name at the destination.
    pub target: String,
    /// The view that has the table's own name, where what is stored is a log that the view counts. Absent in records of an earlier form, and so until
    /// the table is looked at again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub view: Option<String>,
    /// Where it stands.
    #[serde(default)]
    pub phase: TablePhase,
    /// Why it is parked.
    #[serde(default)]
    pub reason: Option<String>,
    /// The first commit that is missing while it is parked.
    #[serde(default)]
    pub since: Option<String>,
    /// The version at which it was truncated last, where its topic has several partitions: older rows may still come.
    #[serde(default)]
    pub truncated: Option<String>,
    /// Where the log was as the connector's newest snapshot began of which it has rows; absent where these came otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<String>,
    /// Whether that one took the place of an earlier one, whose rows were taken away.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub snapshot_again: bool,
    /// Rows of its last copy.
    #[serde(default)]
    pub copied_rows: u64,
    /// What was committed before is part of its copy, where that was made after the slot.
    #[serde(default)]
    pub first_commit: Option<String>,
    /// Which changes its copy has, where rows stand each for itself and records of topics tell of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copied: Option<CopiedRecord>,
    /// What rows older than a column answer in it, as text, by `pg_attribute.attnum`. Postgres forgets it when the table is rewritten, while older
    /// rows may still be sent once more.
    #[serde(default)]
    pub missing: BTreeMap<i16, String>,
    /// Its columns' names by `pg_attribute.attnum`, those that were dropped since included.
    #[serde(default)]
    pub columns: BTreeMap<i16, String>,
    /// The highest number that a column of it ever had, where that one was dropped before it was seen.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub newest_column: i16,
    /// Names that its columns had before, with their numbers: those that were renamed at the destination, too.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub former: BTreeMap<String, i16>,
    /// Why it is to be copied again while the others go on; absent where it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copy: Option<String>,
    /// The table that is being put in its place at the destination.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exchanging: Option<ExchangeRecord>,
    /// Whether another table has taken its place: then it counts no more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub gone: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_zero(number: &i16) -> bool {
    *number == 0
}

/// Which changes a copy has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopiedRecord {
    /// Where its version lies in the log.
    pub from: String,
    /// The first commit that is not in it lies here or behind.
    pub until: String,
    /// What its snapshot shows, as Postgres writes it.
    pub snapshot: String,
}

impl CopiedRecord {
    /// The changes; none where the record cannot be read.
    pub fn changes(&self) -> Option<Copied> {
        Copied::new(self.from.parse().ok()?, self.until.parse().ok()?, &self.snapshot)
    }
}

/// A table that is being put in the place of another one: whether it is there is told by which of the two has the name.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ExchangeRecord {
    /// `system.tables.uuid` of the new table.
    pub uuid: String,
    /// The record that counts once the new table has the name.
    pub becomes: Box<TableRecord>,
    /// The id of the [`CopyRequest`] that is fulfilled then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
}

/// What the source's catalog said of a table when it was copied, or looked at last: what differs now happened since.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct MarkRecord {
    /// What its rows look like, by [`TableSchema::form`].
    #[serde(default)]
    pub form: String,
    /// Its heaps.
    #[serde(default)]
    pub heaps: BTreeMap<u32, HeapMark>,
}

impl TableRecord {
    /// The name under which it was taken in.
    pub fn source_name(&self) -> Option<TableName> {
        let (schema, name) = self.source.split_once('.')?;
        Some(TableName::new(schema, name))
    }

    /// Whether a table that is to be called so at the destination would be in this one's place.
    pub fn has_place(&self, target: &str) -> bool {
        !self.gone && (self.target == target || self.view.as_deref() == Some(target))
    }

    /// Notes what the catalog says of the table's columns now. Whether anything was new.
    pub fn learn(&mut self, schema: &TableSchema) -> bool {
        let known = (self.missing.len(), self.columns.len(), self.newest_column);
        self.missing.extend(schema.missing_values());
        self.columns.extend(schema.columns.iter().map(|column| (column.number, column.name.clone())));
        if self.newest_named() < schema.newest_column {
            self.newest_column = self.newest_column.max(schema.newest_column);
        }
        known != (self.missing.len(), self.columns.len(), self.newest_column)
    }

    /// Whether columns came and went again without being looked at, and others came after them: what the stream tells under a new one's name may be of
    /// one that is gone.
    pub fn missed(&self, schema: &TableSchema) -> bool {
        if self.columns.is_empty() {
            return false;
        }
        let newest = schema.columns.last().map_or(0, |column| column.number);
        let is_there = |number: i16| schema.columns.iter().any(|column| column.number == number);
        (self.newest_column.max(self.newest_named()) + 1..newest).any(|number| !is_there(number))
    }

    fn newest_named(&self) -> i16 {
        self.columns.last_key_value().map_or(0, |(number, _)| *number)
    }

    /// Why rows that are stored do not fit the columns that the table has now: a name stands, or may stand, for another column than it did.
    pub fn renamed(&self, schema: &TableSchema) -> Option<String> {
        if self.missed(schema) {
            return Some("columns came and went before they were seen: a name may stand for two of them".to_owned());
        }
        schema.columns.iter().find_map(|column| {
            let (number, name) = (column.number, &column.name);
            match self.columns.get(&number) {
                Some(before) if before != name => Some(format!("column \"{before}\" was renamed to \"{name}\"")),
                None if self.columns.values().any(|before| before == name) || self.former.contains_key(name) => {
                    Some(format!("column \"{name}\" was dropped, and is another one now"))
                }
                _ => None,
            }
        })
    }
}

/// Values that one process stored as NULL because ClickHouse cannot hold them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct NullsRecord {
    /// How many, by column.
    pub columns: BTreeMap<String, u64>,
}

/// A wish of somebody's that a running sync copies a table again. Only `pipectl resync` writes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopyRequest {
    /// What tells it from other wishes for the same table.
    pub id: String,
    /// The table's name at the source.
    pub source: String,
    /// Rows a second that are copied at most; without bound where absent.
    #[serde(default)]
    pub max_rows_per_second: Option<u64>,
    /// The statement that makes the table as whoever asks has it configured.
    #[serde(default)]
    pub wanted: String,
}

/// What became of a [`CopyRequest`]. Only the running sync writes it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CopyAnswer {
    /// The request's id.
    pub id: String,
    /// How far it is.
    #[serde(default)]
    pub phase: CopyPhase,
    /// Rows that are copied.
    #[serde(default)]
    pub copied_rows: u64,
    /// Rows that are to be copied, by the planner's estimate.
    #[serde(default)]
    pub expected_rows: u64,
    /// Why it is refused.
    #[serde(default)]
    pub reason: Option<String>,
    /// The exit code of that refusal.
    #[serde(default)]
    pub exit_code: u8,
}

impl CopyAnswer {
    /// A wish that is fulfilled.
    pub fn done(id: &str, rows: u64) -> Self {
        Self { id: id.to_owned(), phase: CopyPhase::Done, copied_rows: rows, expected_rows: rows, ..Self::default() }
    }
}

/// How far a copy is that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CopyPhase {
    /// It waits for another one.
    #[default]
    Waiting,
    /// Its rows are being read.
    Copying,
    /// The new table is in the old one's place.
    Done,
    /// It cannot be had; the old table is as it was.
    Refused,
}

impl CopyPhase {
    /// Whether nothing more happens.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Done | Self::Refused)
    }
}

/// A range of a table that is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RangeRecord {
    /// `pg_relation_filenode` of the heap that was read: after a rewrite the range means other rows.
    pub filenode: u32,
    /// The heap's id: the table itself, or a partition.
    pub heap: u32,
    /// First block.
    pub first: u32,
    /// Block after the last one; absent for the last range, which is open.
    pub end: Option<u32>,
    /// Rows that were stored.
    pub rows: u64,
}
