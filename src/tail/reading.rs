//! From a record to what it says: Debezium's envelope in its forms, what stands around it, and everything else as it is.
//!
//! Formats: <https://debezium.io/documentation/reference/3.7/connectors/postgresql.html#postgresql-change-events-value>,
//! <https://debezium.io/documentation/reference/3.7/transformations/event-flattening.html>,
//! <https://debezium.io/documentation/reference/3.7/integrations/cloudevents.html>.

use super::connect;
use super::entry::{Change, Column, Entry, Op, Record, What};
use super::json;
use crate::change::Lsn;
use crate::decode::debezium::avro::{SchemaId, framed};
use crate::decode::debezium::{ConnectSchema, ConnectType};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What begins the names of the topics of heartbeats, unless `topic.heartbeat.prefix` says otherwise.
const HEARTBEAT: &str = "__debezium-heartbeat";
/// Columns that ExtractNewRecordState adds, and what they are for; others that it was told to add stay columns.
const ADDED: [&str; 6] = ["__op", "__deleted", "__table", "__schema", "__lsn", "__txId"];

/// A value as JSON, and what its fields are.
pub(super) type Decoded = (String, Option<Arc<ConnectSchema>>);

/// Decodes what a registry holds the schema of.
pub(super) trait Decode {
    /// The value of some bytes.
    ///
    /// # Errors
    /// Why not, for people.
    fn decode(&mut self, id: SchemaId, body: &[u8]) -> Result<Decoded, String>;
}

/// Reads records. It remembers the last schema of each topic, and which tables are seen to send their old rows.
#[derive(Debug, Default)]
pub(super) struct Reading {
    schemas: BTreeMap<(String, bool), (String, Arc<ConnectSchema>)>,
    sends_old_rows: BTreeSet<(String, String)>,
    sends_none: BTreeSet<(String, String)>,
}

/// A value that is being read: JSON, with the schema that came with it.
struct Value<'a> {
    json: Cow<'a, str>,
    schema: Option<Arc<ConnectSchema>>,
}

impl Value<'_> {
    /// The columns of an object whose fields the schema names.
    fn columns(&self, object: &str) -> Vec<Column> {
        columns(object, self.schema.as_deref())
    }
}

impl Reading {
    /// What a record says.
    ///
    /// # Errors
    /// Why it cannot be read, for people.
    pub(super) fn read(&mut self, record: &Record, decode: &mut dyn Decode) -> Result<Entry, String> {
        let mut entry = Entry { place: Some(record.place()), timestamp: record.timestamp, ..Entry::default() };
        if let Some(key) = &record.key {
            entry.key = match self.value(record, key, true, decode)? {
                Some(value) => key_columns(&value),
                None => vec![bytes_column(key)],
            };
        }
        match &record.value {
            None => removed(record, &mut entry),
            Some(bytes) => match self.value(record, bytes, false, decode)? {
                // With a schema around it even a null has a value.
                Some(value) if value.json == "null" => removed(record, &mut entry),
                Some(value) => self.classify(record, &value, &mut entry),
                None => entry.what = What::Plain(bytes_column(bytes)),
            },
        }
        Ok(entry)
    }

    /// Key or value as JSON; none where they are no text.
    fn value<'a>(
        &mut self,
        record: &Record,
        bytes: &'a [u8],
        is_key: bool,
        decode: &mut dyn Decode,
    ) -> Result<Option<Value<'a>>, String> {
        let part = if is_key { "the key" } else { "the value" };
        let headers = record.headers.iter().filter_map(|(name, value)| Some((name.as_str(), value.as_deref()?)));
        if let Some((id, body)) = framed(bytes, headers, if is_key { "key" } else { "value" }) {
            let (json, schema) = decode.decode(id, body).map_err(|why| format!("{part} is not readable: {why}"))?;
            return Ok(Some(Value { json: Cow::Owned(json), schema }));
        }
        let Ok(text) = std::str::from_utf8(bytes) else { return Ok(None) };
        if !json::is_json(text) {
            // What begins like an object was meant to be one.
            if text.trim_start().starts_with("{\"") {
                return Err(format!("{part} begins like JSON and is none: {}", json::mistake(text)));
            }
            return Ok(Some(Value { json: Cow::Owned(json::quoted(text)), schema: None }));
        }
        let text = text.trim();
        Ok(Some(match json::members(text).as_slice() {
            [(schema, of), (payload, value)] | [(payload, value), (schema, of)]
                if schema == "schema" && payload == "payload" =>
            {
                Value { json: Cow::Borrowed(value), schema: self.schema(record, is_key, of) }
            }
            _ => Value { json: Cow::Borrowed(text), schema: None },
        }))
    }

    /// A topic's schemas seldom change from one record to the next.
    fn schema(&mut self, record: &Record, is_key: bool, text: &str) -> Option<Arc<ConnectSchema>> {
        if text == "null" {
            return None;
        }
        let place = (record.topic.clone(), is_key);
        if let Some((known, schema)) = self.schemas.get(&place)
            && known == text
        {
            return Some(Arc::clone(schema));
        }
        let schema = Arc::new(ConnectSchema::parse(text.as_bytes()).ok()?);
        self.schemas.insert(place, (text.to_owned(), Arc::clone(&schema)));
        Some(schema)
    }

    fn classify(&mut self, record: &Record, value: &Value<'_>, entry: &mut Entry) {
        let text = value.json.as_ref();
        if let (Some(op), Some(source)) = (json::string(text, "op"), json::present(text, "source")) {
            let origin = Origin::of_envelope(source);
            origin.into_entry(entry);
            if op == "m" {
                entry.what = message(text);
                return;
            }
            if let Some(op) = Op::of(&op) {
                let (before, after) = (row(value, "before"), row(value, "after"));
                let change = Change { op, snapshot: snapshot(source, "snapshot"), before, after, ..Change::default() };
                entry.what = self.completed(record, entry, change);
                return;
            }
        }
        if let (Some(op), Some(data)) = (json::string(text, "iodebeziumop"), json::present(text, "data"))
            && let Some(op) = Op::of(&op)
        {
            Origin::of_cloud_event(text).into_entry(entry);
            let data = Value { json: Cow::Borrowed(data), schema: None };
            let (before, after) = (row(&data, "before"), row(&data, "after"));
            let snapshot = snapshot(text, "iodebeziumsnapshot");
            entry.what = self.completed(record, entry, Change { op, snapshot, before, after, ..Change::default() });
        } else if let Some(what) = transaction(text, entry) {
            entry.what = what;
        } else if is_heartbeat(record, text) {
            entry.what = What::Heartbeat;
        } else if let Some(op) = flat_op(record, text).or_else(|| bare_row(entry, text)) {
            flat(record, value, op, entry);
        } else {
            let (_, shown) = connect::read(text, None);
            entry.what = What::Plain(Column { json: text.to_owned(), shown, ..Column::default() });
        }
    }

    /// A change, with what its table and its headers tell besides.
    fn completed(&mut self, record: &Record, entry: &Entry, mut change: Change) -> What {
        let table = (entry.schema.clone(), entry.table.clone());
        if change.op == Op::Update {
            // Under REPLICA IDENTITY FULL every update brings its old row.
            let seen = if change.before.is_some() { &mut self.sends_old_rows } else { &mut self.sends_none };
            seen.insert(table.clone());
        }
        change.before_is_real = match change.op {
            Op::Update => change.before.is_some() && !self.sends_none.contains(&table),
            // What is not in the key is made up by the connector, unless the table sends whole old rows; without a key it has to.
            Op::Delete => {
                (self.sends_old_rows.contains(&table) || entry.key.is_empty()) && !self.sends_none.contains(&table)
            }
            Op::Read | Op::Create | Op::Truncate | Op::Upsert => false,
        };
        let other_key = match change.op {
            Op::Delete => record.header_text("__debezium.newkey"),
            Op::Create => record.header_text("__debezium.oldkey"),
            _ => None,
        };
        change.other_key = other_key.map(payload_text);
        What::Change(change)
    }
}

/// What ExtractNewRecordState made of a change: the new row, with some columns more.
fn flat(record: &Record, value: &Value<'_>, op: Op, entry: &mut Entry) {
    let text = value.json.as_ref();
    let (schema, table) = table_of_topic(&record.topic);
    entry.schema = json::string(text, "__schema").or_else(|| json::string(text, "__source_schema")).unwrap_or(schema);
    entry.table = json::string(text, "__table").or_else(|| json::string(text, "__source_table")).unwrap_or(table);
    entry.lsn = json::integer(text, "__lsn").or_else(|| json::integer(text, "__source_lsn")).map(lsn);
    entry.xid = json::integer(text, "__txId").or_else(|| json::integer(text, "__source_txId"));
    entry.committed = json::integer(text, "__source_ts_ms");
    let row: Vec<Column> = value
        .columns(text)
        .into_iter()
        .filter(|column| !ADDED.contains(&column.name.as_str()) && !column.name.starts_with("__source_"))
        .collect();
    let rows = if op == Op::Delete { (Some(row), None) } else { (None, Some(row)) };
    let snapshot = snapshot(text, "__source_snapshot");
    let what = Change { op, snapshot, before: rows.0, after: rows.1, ..Change::default() };
    entry.what = What::Change(what);
}

/// Where a change comes from.
#[derive(Default)]
struct Origin {
    schema: String,
    table: String,
    lsn: Option<i64>,
    xid: Option<i64>,
    committed: Option<i64>,
}

impl Origin {
    fn of_envelope(source: &str) -> Self {
        Self {
            schema: json::string(source, "schema").unwrap_or_default(),
            table: json::string(source, "table").unwrap_or_default(),
            lsn: json::integer(source, "lsn"),
            xid: json::integer(source, "txId"),
            committed: json::integer(source, "ts_ms"),
        }
    }

    fn of_cloud_event(event: &str) -> Self {
        Self {
            schema: json::string(event, "iodebeziumschema").unwrap_or_default(),
            table: json::string(event, "iodebeziumtable").unwrap_or_default(),
            lsn: json::integer(event, "iodebeziumlsn"),
            xid: json::integer(event, "iodebeziumtxId"),
            committed: json::integer(event, "iodebeziumtsms"),
        }
    }

    fn into_entry(self, entry: &mut Entry) {
        (entry.schema, entry.table) = (self.schema, self.table);
        (entry.lsn, entry.xid, entry.committed) = (self.lsn.map(lsn), self.xid, self.committed);
    }
}

fn lsn(number: i64) -> Lsn {
    Lsn(number as u64)
}

fn snapshot(text: &str, name: &str) -> Option<String> {
    let value = json::present(text, name).map(json::unquoted)?;
    (value != "false").then(|| value.into_owned())
}

fn row(value: &Value<'_>, name: &str) -> Option<Vec<Column>> {
    let object = json::present(&value.json, name)?;
    Some(value.columns(object))
}

fn columns(object: &str, schema: Option<&ConnectSchema>) -> Vec<Column> {
    json::members(object)
        .into_iter()
        .map(|(name, value)| {
            let (json, shown) = connect::read(value, type_of(schema, &name));
            Column { unchanged: connect::is_unavailable(value), json, shown, name: name.into_owned() }
        })
        .collect()
}

fn type_of<'a>(schema: Option<&'a ConnectSchema>, name: &str) -> Option<&'a ConnectType> {
    schema?.field(name).map(|field| &field.connect_type)
}

fn key_columns(value: &Value<'_>) -> Vec<Column> {
    if value.json.starts_with('{') {
        return value.columns(&value.json);
    }
    if value.json == "null" {
        return Vec::new();
    }
    let (_, shown) = connect::read(&value.json, None);
    vec![Column { json: value.json.clone().into_owned(), shown, ..Column::default() }]
}

/// Bytes that are no text, in Postgres' hexadecimal form.
fn bytes_column(bytes: &[u8]) -> Column {
    let shown = bytes.iter().fold("\\x".to_owned(), |text, byte| format!("{text}{byte:02x}"));
    Column { json: json::quoted(&shown), shown, ..Column::default() }
}

/// A null value: a tombstone, or where a header of ExtractNewRecordState says so, the delete itself.
fn removed(record: &Record, entry: &mut Entry) {
    (entry.schema, entry.table) = table_of_topic(&record.topic);
    entry.lsn = record.header_text("__source_lsn").and_then(|text| text.parse().ok()).map(lsn);
    entry.what = if record.header_text("__op") == Some("d") {
        What::Change(Change { op: Op::Delete, ..Change::default() })
    } else {
        What::Tombstone
    };
}

/// Schema and table of a topic's name, `prefix.schema.table`; elsewhere they are its last parts.
pub(super) fn table_of_topic(topic: &str) -> (String, String) {
    let mut parts = topic.rsplit('.');
    let table = parts.next().unwrap_or_default().to_owned();
    let schema = parts.next().filter(|_| parts.next().is_some()).unwrap_or_default().to_owned();
    (schema, table)
}

/// The key of a header, without the schema that may be around it.
fn payload_text(text: &str) -> String {
    let inner = if json::is_json(text) { json::member(text, "payload").unwrap_or(text) } else { text };
    inner.to_owned()
}

fn message(envelope: &str) -> What {
    let message = json::present(envelope, "message").unwrap_or_default();
    let prefix = json::string(message, "prefix").unwrap_or_default();
    let written = json::string(message, "content").unwrap_or_default();
    let content = match connect::base64(&written).map(String::from_utf8) {
        Some(Ok(text)) => Column { json: json::quoted(&text), shown: text, ..Column::default() },
        Some(Err(error)) => bytes_column(error.as_bytes()),
        None => Column { json: json::quoted(&written), shown: written, ..Column::default() },
    };
    What::Message { prefix, content }
}

fn transaction(text: &str, entry: &mut Entry) -> Option<What> {
    let status = json::string(text, "status")?;
    let id = json::string(text, "id")?;
    json::member(text, "event_count")?;
    // The part behind the colon differs between BEGIN and END.
    let (xid, place) = id.split_once(':').unwrap_or((&id, ""));
    (entry.xid, entry.lsn) = (xid.parse().ok(), place.parse().ok().map(lsn));
    entry.committed = json::integer(text, "ts_ms");
    match status.as_str() {
        "BEGIN" => Some(What::Begin),
        "END" => {
            let tables = json::present(text, "data_collections").map(json::elements).unwrap_or_default();
            let tables = tables.into_iter().filter_map(|table| {
                Some((json::string(table, "data_collection")?, json::integer(table, "event_count")?))
            });
            Some(What::Commit { events: json::integer(text, "event_count"), tables: tables.collect() })
        }
        _ => None,
    }
}

fn is_heartbeat(record: &Record, text: &str) -> bool {
    let only_time = matches!(json::members(text).as_slice(), [(name, _)] if name == "ts_ms");
    only_time || record.topic.starts_with(HEARTBEAT)
}

/// A row that ExtractNewRecordState left without a word of its own: its key's columns stand in it, with the same values.
fn bare_row(entry: &Entry, text: &str) -> Option<Op> {
    let is_in_row = |column: &Column| !column.name.is_empty() && json::member(text, &column.name) == Some(&column.json);
    (!entry.key.is_empty() && entry.key.iter().all(is_in_row)).then_some(Op::Upsert)
}

/// The operation of a record of ExtractNewRecordState, where what it adds shows that it is one.
fn flat_op(record: &Record, text: &str) -> Option<Op> {
    if json::member(text, "__deleted").map(json::unquoted).is_some_and(|deleted| deleted == "true") {
        return Some(Op::Delete);
    }
    let op = json::string(text, "__op").or_else(|| record.header_text("__op").map(str::to_owned));
    op.as_deref().and_then(Op::of)
}
