//! What was read, taken apart for people.

use crate::change::Lsn;

/// A record of Kafka as it came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Record {
    /// Its topic.
    pub topic: String,
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// Its timestamp, in milliseconds since 1970-01-01.
    pub timestamp: Option<i64>,
    /// Its headers, in order.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Its value.
    pub value: Option<Vec<u8>>,
}

impl Record {
    /// Where it lies.
    pub fn place(&self) -> Place {
        Place { topic: self.topic.clone(), partition: self.partition, offset: self.offset }
    }

    /// A header of a name, as text.
    pub(super) fn header_text(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().find(|(found, _)| found == name)?;
        std::str::from_utf8(value.as_deref()?).ok()
    }
}

/// One thing to show.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entry {
    /// Where it lies in Kafka; none where it came from Postgres itself.
    pub place: Option<Place>,
    /// The record's timestamp, in milliseconds since 1970-01-01; of a change straight from Postgres, its commit.
    pub timestamp: Option<i64>,
    /// When Postgres committed the change, in milliseconds since 1970-01-01, where that is told.
    pub committed: Option<i64>,
    /// The table's schema; empty where that is not told.
    pub schema: String,
    /// The table's name; empty where there is none.
    pub table: String,
    /// The change's own place in Postgres' log.
    pub lsn: Option<Lsn>,
    /// Its transaction.
    pub xid: Option<i64>,
    /// The key's columns; one without a name where the key is a plain value.
    pub key: Vec<Column>,
    /// What it is.
    pub what: What,
}

/// Where a record lies: `topic[partition]@offset`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Its topic.
    pub topic: String,
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}[{}]@{}", self.topic, self.partition, self.offset)
    }
}

/// What a record is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum What {
    /// A row's change, or a truncation.
    Change(Change),
    /// A null: what was stored under the key may be compacted away.
    #[default]
    Tombstone,
    /// The begin of a transaction, in the topic of transaction metadata.
    Begin,
    /// The end of a transaction, with the number of its changes and those of each table.
    Commit {
        /// Changes of all tables.
        events: Option<i64>,
        /// `schema.table` and its changes.
        tables: Vec<(String, i64)>,
    },
    /// A sign of life of the connector.
    Heartbeat,
    /// A message of `pg_logical_emit_message`.
    Message {
        /// Its prefix.
        prefix: String,
        /// Its content, as JSON: a string, or where it is no text one that begins with `\x`.
        content: Column,
    },
    /// Something that is not Debezium's: JSON, text or bytes.
    Plain(Column),
}

/// A change.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Change {
    /// What it does.
    pub op: Op,
    /// The snapshot that a read belongs to, as the connector calls it: `first`, `true`, `last`, `incremental`, …
    pub snapshot: Option<String>,
    /// The old row, as it was sent.
    pub before: Option<Vec<Column>>,
    /// Whether the old row is really the old row: a connector fills in what Postgres has not sent.
    pub before_is_real: bool,
    /// The new row.
    pub after: Option<Vec<Column>>,
    /// The other key of a row whose key changes: the new one at the delete, the old one at the insert.
    pub other_key: Option<String>,
}

/// What a change does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Op {
    /// A row that a snapshot read.
    #[default]
    Read,
    /// A new row.
    Create,
    /// A changed row.
    Update,
    /// A deleted row.
    Delete,
    /// An emptied table.
    Truncate,
    /// A row as it is now: ExtractNewRecordState was not told to say whether it is new.
    Upsert,
}

impl Op {
    /// Debezium's letter for it.
    pub fn letter(self) -> &'static str {
        match self {
            Self::Read => "r",
            Self::Create => "c",
            Self::Update => "u",
            Self::Delete => "d",
            Self::Truncate => "t",
            Self::Upsert => "upsert",
        }
    }

    /// The operation of a letter.
    pub(super) fn of(letter: &str) -> Option<Self> {
        Some(match letter {
            "r" => Self::Read,
            "c" => Self::Create,
            "u" => Self::Update,
            "d" => Self::Delete,
            "t" => Self::Truncate,
            _ => return None,
        })
    }

    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Read => "READ",
            Self::Create => "INSERT",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
            Self::Truncate => "TRUNCATE",
            Self::Upsert => "UPSERT",
        }
    }
}

/// A column's value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Column {
    /// Its name; empty for a value that is no column.
    pub name: String,
    /// The value as JSON, spelled as it was written.
    pub json: String,
    /// The value for people.
    pub shown: String,
    /// A long value that the change left alone, and which therefore was not sent.
    pub unchanged: bool,
}

impl Column {
    /// Whether it is NULL.
    pub fn is_null(&self) -> bool {
        self.json == "null"
    }
}

impl Change {
    /// The old value of a column, where it is known.
    pub fn old(&self, name: &str) -> Option<&Column> {
        let before = self.before.as_ref().filter(|_| self.before_is_real)?;
        before.iter().find(|column| column.name == name && !column.unchanged)
    }

    /// The columns that an update is known to have changed; none where the old row was not sent.
    pub fn changed(&self) -> Option<Vec<&Column>> {
        let after = self.after.as_ref()?;
        match self.op {
            Op::Create => Some(after.iter().collect()),
            Op::Update if self.before_is_real && self.before.is_some() => Some(
                after
                    .iter()
                    .filter(|column| !column.unchanged)
                    .filter(|column| self.old(&column.name).is_none_or(|old| old.json != column.json))
                    .collect(),
            ),
            _ => None,
        }
    }
}

impl Entry {
    /// Debezium's letter for what it is; words for what is no change.
    pub fn op(&self) -> &'static str {
        match &self.what {
            What::Change(change) => change.op.letter(),
            What::Tombstone => "tombstone",
            What::Begin => "begin",
            What::Commit { .. } => "commit",
            What::Heartbeat => "heartbeat",
            What::Message { .. } => "m",
            What::Plain(_) => "record",
        }
    }
}
