//! The envelope around a change, and what else lies in Debezium's topics.

use super::json::{Cursor, Json, Object, Text};
use crate::change::Lsn;
use crate::decode::{Malformed, number};
use std::borrow::Cow;

/// What a record is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parsed<'a> {
    /// A change of a row, a table, or a logical message.
    Change(Box<Envelope<'a>>),
    /// Begin or end of a transaction, from the topic of `provide.transaction.metadata`.
    Transaction(Marker<'a>),
    /// A heartbeat.
    Heartbeat {
        /// When the connector wrote it, in milliseconds since 1970.
        ts_ms: i64,
    },
    /// A row without its envelope, as the `ExtractNewRecordState` transform leaves it. It says neither what happened nor, by default, when.
    Flat {
        /// The row.
        row: Object<'a>,
        /// Its schema.
        schema: SchemaText<'a>,
    },
    /// `null` where a value would be: a tombstone that a converter wrapped.
    Empty,
    /// JSON of some other kind, such as a CloudEvent.
    Other,
}

/// The schema that a record carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SchemaText<'a> {
    /// None: the converter has `schemas.enable=false`.
    Absent,
    /// The one that the caller already knows.
    Known,
    /// This one, as JSON: for [`ConnectSchema::parse`](super::ConnectSchema::parse).
    New(&'a [u8]),
}

/// What happened (`op`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    /// `r`: read by a snapshot.
    Read,
    /// `c`: inserted, or the second half of a changed key.
    Create,
    /// `u`: updated.
    Update,
    /// `d`: deleted, or the first half of a changed key.
    Delete,
    /// `t`: the table was truncated.
    Truncate,
    /// `m`: a message of `pg_logical_emit_message`.
    Message,
}

/// A change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope<'a> {
    /// What happened.
    pub op: Op,
    /// Where it comes from.
    pub source: Origin<'a>,
    /// The old row. Without REPLICA IDENTITY FULL only its key is real: the rest is NULL or made up.
    pub before: Option<Object<'a>>,
    /// The new row.
    pub after: Option<Object<'a>>,
    /// The record's schema.
    pub schema: SchemaText<'a>,
    /// Its place in its transaction, with `provide.transaction.metadata`.
    pub transaction: Option<TransactionBlock<'a>>,
    /// The logical message, for [`Op::Message`].
    pub message: Option<Message<'a>>,
    /// When the connector handled it, in milliseconds since 1970.
    pub ts_ms: Option<i64>,
}

/// Where a change comes from (`source`).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Origin<'a> {
    /// The connector's kind, such as `postgresql`.
    pub connector: Cow<'a, str>,
    /// Debezium's version, such as `3.7.0.Final`.
    pub version: Cow<'a, str>,
    /// The connector's `topic.prefix`.
    pub name: Cow<'a, str>,
    /// The database.
    pub database: Cow<'a, str>,
    /// The table's schema; empty for a logical message.
    pub schema: Cow<'a, str>,
    /// The table; of a partitioned one the leaf, unless it is published through its root. Empty for a logical message.
    pub table: Cow<'a, str>,
    /// LSN of the change's own record.
    pub lsn: Option<Lsn>,
    /// End of the transaction before (`sequence[0]`); none in a first snapshot and in a new connector's first transaction.
    pub previous_commit: Option<Lsn>,
    /// The transaction, without its epoch (`txId`).
    pub xid: Option<u32>,
    /// Whether a snapshot read it.
    pub snapshot: Snapshot,
    /// When the transaction was committed or the snapshot was taken, in microseconds since 1970 (milliseconds' resolution before
    /// Debezium 2.5).
    pub ts_us: Option<i64>,
}

/// Whether a snapshot read a row, and which row of it (`source.snapshot`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Snapshot {
    /// From the write-ahead log.
    #[default]
    False,
    /// A row of a snapshot.
    True,
    /// The first row of all.
    First,
    /// The first row of a table.
    FirstInTable,
    /// The last row of a table.
    LastInTable,
    /// The last row of all.
    Last,
    /// A row of an incremental snapshot, among the streamed ones.
    Incremental,
}

/// A change's place in its transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionBlock<'a> {
    /// `xid:lsn`; begin, changes and end of one transaction agree in the part before the colon alone.
    pub id: Cow<'a, str>,
    /// Place among all changes of the transaction, from 1.
    pub total_order: u64,
    /// Place among the table's changes of the transaction, from 1.
    pub table_order: u64,
}

/// A logical message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message<'a> {
    /// Its prefix.
    pub prefix: Cow<'a, str>,
    /// Its content, as the connector's `binary.handling.mode` spells bytes; base64 by default.
    pub content: Cow<'a, [u8]>,
}

/// A begin or an end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marker<'a> {
    /// Which of them.
    pub status: MarkerStatus,
    /// `xid:lsn`, as [`TransactionBlock::id`].
    pub id: Cow<'a, str>,
    /// Changes in it; at the end alone.
    pub events: Option<u64>,
    /// When, in milliseconds since 1970.
    pub ts_ms: Option<i64>,
}

/// Begin or end of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MarkerStatus {
    /// `BEGIN`
    Begin,
    /// `END`
    End,
}

impl Snapshot {
    fn parse(text: &[u8]) -> Result<Self, Malformed> {
        Ok(match text {
            b"false" => Self::False,
            b"true" => Self::True,
            b"first" => Self::First,
            b"first_in_data_collection" => Self::FirstInTable,
            b"last_in_data_collection" => Self::LastInTable,
            b"last" => Self::Last,
            b"incremental" => Self::Incremental,
            _ => return Err(Malformed("what a snapshot says of its rows")),
        })
    }
}

impl Op {
    fn parse(text: Text<'_>) -> Option<Self> {
        Some(match text.plain()? {
            b"r" => Self::Read,
            b"c" => Self::Create,
            b"u" => Self::Update,
            b"d" => Self::Delete,
            b"t" => Self::Truncate,
            b"m" => Self::Message,
            _ => return None,
        })
    }
}

/// Reads a record's value, JSON with or without a schema.
///
/// # Errors
/// [`Malformed`] where it is no JSON, or an envelope that misses a part.
pub fn record(value: &[u8]) -> Result<Parsed<'_>, Malformed> {
    record_known(value, &[])
}

/// As [`record`]; a schema of the text `known` is passed over without being read.
///
/// # Errors
/// As [`record`].
pub fn record_known<'a>(value: &'a [u8], known: &[u8]) -> Result<Parsed<'a>, Malformed> {
    if std::str::from_utf8(value).is_err() {
        return Err(Malformed("UTF-8"));
    }
    let mut cursor = Cursor::new(value);
    let wrapped = schema(&mut cursor, known)?;
    let schema = wrapped.unwrap_or(SchemaText::Absent);
    if wrapped.is_none() {
        cursor = Cursor::new(value);
    }
    let parsed = payload(&mut cursor, schema)?;
    let closed = wrapped.is_none() || cursor.member(&mut false)?.is_none();
    if closed && cursor.ends() { Ok(parsed) } else { Err(Malformed("one JSON value")) }
}

/// Moves to the payload behind a schema; `None` where the record is not of that form.
fn schema<'a>(cursor: &mut Cursor<'a>, known: &[u8]) -> Result<Option<SchemaText<'a>>, Malformed> {
    let mut first = true;
    if !cursor.opens() || cursor.eat(b"}") {
        return Ok(None);
    }
    let Some(name) = cursor.member(&mut first)? else { return Ok(None) };
    if !name.is(b"schema") {
        return Ok(None);
    }
    let schema = if !known.is_empty() && cursor.eat(known) {
        SchemaText::Known
    } else {
        match cursor.value()? {
            Json::Object(schema) => SchemaText::New(schema.bytes()),
            Json::Null => SchemaText::Absent,
            _ => return Ok(None),
        }
    };
    let payload = cursor.member(&mut first)?;
    Ok(payload.is_some_and(|name| name.is(b"payload")).then_some(schema))
}

/// The members of an envelope, a transaction's marker or a heartbeat, as far as they were met.
#[derive(Default)]
struct Members<'a> {
    op: Option<Text<'a>>,
    source: Option<Origin<'a>>,
    before: Option<Object<'a>>,
    after: Option<Object<'a>>,
    transaction: Option<Object<'a>>,
    message: Option<Object<'a>>,
    ts_ms: Option<i64>,
    status: Option<Text<'a>>,
    id: Option<Text<'a>>,
    events: Option<u64>,
    cloud: bool,
    count: u32,
}

/// The members of an envelope, in the order of Debezium 2 and 3.
const MEMBERS: &[&[u8]] = &[b"before", b"after", b"source", b"transaction", b"op", b"ts_ms", b"ts_us", b"ts_ns"];

fn payload<'a>(cursor: &mut Cursor<'a>, schema: SchemaText<'a>) -> Result<Parsed<'a>, Malformed> {
    let start = *cursor;
    if !cursor.opens() {
        return Ok(if cursor.value()? == Json::Null { Parsed::Empty } else { Parsed::Other });
    }
    let mut members = Members::default();
    let (mut first, mut next) = (true, 0);
    while let Some(name) = cursor.member_of(&mut first, MEMBERS, &mut next)? {
        members.count += 1;
        members.take(name, cursor)?;
    }
    members.parsed(schema, start)
}

impl<'a> Members<'a> {
    fn take(&mut self, name: &[u8], cursor: &mut Cursor<'a>) -> Result<(), Malformed> {
        if name == b"source" {
            return self.take_source(cursor);
        }
        let value = cursor.value()?;
        match (name, value) {
            (b"before", Json::Object(row)) => self.before = Some(row),
            (b"after", Json::Object(row)) => self.after = Some(row),
            (b"op", Json::String(op)) => self.op = Some(op),
            (b"ts_ms", Json::Number(ms)) => self.ts_ms = number::integer(ms).ok(),
            (b"transaction", Json::Object(block)) => self.transaction = Some(block),
            (b"message", Json::Object(message)) => self.message = Some(message),
            (b"status", Json::String(status)) => self.status = Some(status),
            (b"id", Json::String(id)) => self.id = Some(id),
            (b"event_count", Json::Number(count)) => self.events = unsigned(count).ok(),
            (b"specversion", Json::String(_)) => self.cloud = true,
            _ => {}
        }
        Ok(())
    }

    fn take_source(&mut self, cursor: &mut Cursor<'a>) -> Result<(), Malformed> {
        let before = *cursor;
        if !cursor.opens() {
            return cursor.value().map(drop);
        }
        if let Ok(source) = origin(cursor) {
            self.source = Some(source);
            return Ok(());
        }
        // A row of its own may have such a column; whether this one is an envelope, its other members tell.
        *cursor = before;
        cursor.skip(0)
    }

    fn parsed(self, schema: SchemaText<'a>, start: Cursor<'a>) -> Result<Parsed<'a>, Malformed> {
        if self.cloud {
            return Ok(Parsed::Other);
        }
        if let (Some(op), Some(source)) = (self.op.and_then(Op::parse), self.source) {
            let transaction = self.transaction.map(transaction).transpose()?;
            let message = self.message.map(message).transpose()?;
            let Self { before, after, ts_ms, .. } = self;
            let rows_there = match op {
                Op::Read | Op::Create | Op::Update => after.is_some(),
                Op::Delete => before.is_some(),
                Op::Truncate => true,
                Op::Message => message.is_some(),
            };
            if !rows_there {
                return Err(Malformed("an envelope with the row that its op speaks of"));
            }
            let envelope = Envelope { op, source, before, after, schema, transaction, message, ts_ms };
            return Ok(Parsed::Change(Box::new(envelope)));
        }
        if let (Some(status), Some(id), 4..) = (self.status.and_then(status), self.id, self.count) {
            let Self { events, ts_ms, .. } = self;
            return Ok(Parsed::Transaction(Marker { status, id: id.string()?, events, ts_ms }));
        }
        if let (Some(ts_ms), 1) = (self.ts_ms, self.count) {
            return Ok(Parsed::Heartbeat { ts_ms });
        }
        let mut cursor = start;
        match cursor.value()? {
            Json::Object(row) => Ok(Parsed::Flat { row, schema }),
            _ => Ok(Parsed::Other),
        }
    }
}

fn status(text: Text<'_>) -> Option<MarkerStatus> {
    match text.plain()? {
        b"BEGIN" => Some(MarkerStatus::Begin),
        b"END" => Some(MarkerStatus::End),
        _ => None,
    }
}

/// The members of `source`, in the order of Debezium 3.
const SOURCE: &[&[u8]] = &[
    b"version",
    b"connector",
    b"name",
    b"ts_ms",
    b"snapshot",
    b"db",
    b"sequence",
    b"ts_us",
    b"ts_ns",
    b"schema",
    b"table",
    b"txId",
    b"lsn",
    b"xmin",
    b"origin",
    b"origin_lsn",
];

/// Reads `source`, the cursor standing behind its brace.
fn origin<'a>(cursor: &mut Cursor<'a>) -> Result<Origin<'a>, Malformed> {
    let mut origin = Origin::default();
    let (mut first, mut next, mut named) = (true, 0, false);
    let mut millis = None;
    while let Some(name) = cursor.member_of(&mut first, SOURCE, &mut next)? {
        match (name, cursor.value()?) {
            (b"connector", Json::String(text)) => origin.connector = text.string()?,
            (b"version", Json::String(text)) => origin.version = text.string()?,
            (b"name", Json::String(text)) => origin.name = text.string()?,
            (b"db", Json::String(text)) => origin.database = text.string()?,
            (b"schema", Json::String(text)) => origin.schema = text.string()?,
            (b"table", Json::String(text)) => {
                origin.table = text.string()?;
                named = true;
            }
            (b"lsn", Json::Number(lsn)) => origin.lsn = Some(Lsn(unsigned(lsn)?)),
            (b"txId", Json::Number(xid)) => origin.xid = Some(unsigned(xid)? as u32),
            (b"snapshot", Json::String(text)) => origin.snapshot = Snapshot::parse(&text.unescaped()?)?,
            (b"snapshot", Json::Bool(true)) => origin.snapshot = Snapshot::True,
            (b"sequence", Json::String(text)) => origin.previous_commit = previous_commit(text.raw())?,
            (b"ts_us", Json::Number(micros)) => origin.ts_us = Some(number::integer(micros)?),
            (b"ts_ms", Json::Number(token)) => millis = Some(token),
            _ => {}
        }
    }
    // Older versions have nothing finer.
    if let (None, Some(millis)) = (origin.ts_us, millis) {
        origin.ts_us = number::integer(millis)?.checked_mul(1000);
    }
    if named { Ok(origin) } else { Err(Malformed("the table of a change")) }
}

/// The first of the two in `["24023119","24023128"]` or `[null,"24023128"]`, a JSON text in a JSON string, whose quotes are escaped.
fn previous_commit(sequence: &[u8]) -> Result<Option<Lsn>, Malformed> {
    const BAD: Malformed = Malformed("a sequence of two LSNs");
    let list = sequence.strip_prefix(b"[").and_then(|rest| rest.strip_suffix(b"]")).ok_or(BAD)?;
    let first = list.split(|byte| *byte == b',').next().ok_or(BAD)?.trim_ascii();
    if first == b"null" {
        return Ok(None);
    }
    let quoted = |quote: &[u8]| first.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
    let digits = quoted(br#"\""#).or_else(|| quoted(b"\"")).ok_or(BAD)?;
    unsigned(digits).map(|lsn| Some(Lsn(lsn))).map_err(|_| BAD)
}

fn unsigned(digits: &[u8]) -> Result<u64, Malformed> {
    u64::try_from(number::integer(digits)?).map_err(|_| Malformed("a number without a sign"))
}

fn transaction(block: Object<'_>) -> Result<TransactionBlock<'_>, Malformed> {
    let (mut id, mut total_order, mut table_order) = (None, None, None);
    for member in block.members() {
        match member? {
            (name, Json::String(text)) if name.is(b"id") => id = Some(text.string()?),
            (name, Json::Number(place)) if name.is(b"total_order") => total_order = Some(unsigned(place)?),
            (name, Json::Number(place)) if name.is(b"data_collection_order") => table_order = Some(unsigned(place)?),
            _ => {}
        }
    }
    match (id, total_order, table_order) {
        (Some(id), Some(total_order), Some(table_order)) => Ok(TransactionBlock { id, total_order, table_order }),
        _ => Err(Malformed("a change's place in its transaction")),
    }
}

fn message(object: Object<'_>) -> Result<Message<'_>, Malformed> {
    let (mut prefix, mut content) = (None, Cow::Borrowed(&[][..]));
    for member in object.members() {
        match member? {
            (name, Json::String(text)) if name.is(b"prefix") => prefix = Some(text.string()?),
            (name, Json::String(text)) if name.is(b"content") => content = text.unescaped()?,
            _ => {}
        }
    }
    Ok(Message { prefix: prefix.ok_or(Malformed("a message's prefix"))?, content })
}

#[cfg(test)]
#[path = "envelope_tests.rs"]
mod tests;
