//! What reads bytes of others, each as a function from bytes to a number that stands for its answer.

use pipectl::batch::{ColumnBuffer, ColumnType, Ranges};
use pipectl::change::{Column, Field, SourceType};
use pipectl::decode::array::ArrayFault;
use pipectl::decode::debezium::avro::{Schema, framed, to_json};
use pipectl::decode::debezium::{
    ConnectSchema, Envelope, Form, Forms, Object, Parsed, RecordShape, RowReader, SchemaText, ShapeField, column, form,
    record, record_known,
};
use pipectl::decode::document::Documents;
use pipectl::decode::{array, assignment, copy, number, pgoutput, time};
use serde::de::IgnoredAny;
use std::fmt::Debug;
use std::hash::{DefaultHasher, Hash, Hasher};

/// What reads an input, and says what came of it.
pub(crate) type Read = fn(&[u8]) -> u64;

/// A reader.
pub(crate) struct Target {
    /// Also the name of its folder in `tests/fixtures/fuzz`.
    pub(crate) name: &'static str,
    pub(crate) read: Read,
    /// What its inputs are made of.
    pub(crate) words: &'static [&'static [u8]],
}

/// All of them.
pub(crate) const TARGETS: &[Target] = &[
    Target {
        name: "pgoutput",
        read: read_pgoutput,
        words: &[b"I", b"N", b"K", b"O", b"t", b"b", b"n", b"u", b"\0\0\0\x01", b"R"],
    },
    Target {
        name: "copy",
        read: read_copy,
        words: &[b"PGCOPY\n\xff\r\n\0", b"\xff\xff\xff\xff", b"\0\x01", b"\xff\xff"],
    },
    Target {
        name: "assignment",
        read: read_assignment,
        words: &[b"\0\x01", b"\0\0\0\x01", b"\0\x01a", b"\xff\xff\xff\xff"],
    },
    Target { name: "values", read: read_values, words: VALUES },
    Target { name: "columns", read: read_columns, words: VALUES },
    Target { name: "documents", read: read_document, words: JSON },
    Target { name: "debezium", read: read_debezium, words: JSON },
    Target {
        name: "avro",
        read: read_avro,
        words: &[b"\0", b"\x01", b"\x02", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"],
    },
    Target { name: "avro_schema", read: read_avro_schema, words: JSON },
];

const VALUES: &[&[u8]] = &[
    b"infinity",
    b"-infinity",
    b"NaN",
    b"Infinity",
    b"1e999999999",
    b"1e-999999999",
    b"0.000",
    b"-0",
    b"294276-12-31",
    b"4713-01-01 BC",
    b"24:00:00",
    b"23:59:60",
    b"+15:59:59",
    b"{",
    b"}",
    b"\"",
    b"\\",
    b"NULL",
    b",",
    b"[0:1]={",
    b"{{",
    b"99999999999999999999999999",
    b"\x7f\xff\xff\xff\xff\xff\xff\xff",
    b"\x80\0\0\0\0\0\0\0",
    b"\0\0\xc0\0",
    b"\0\0\xd0\0",
    b"\0\0\xf0\0",
];

const JSON: &[&[u8]] = &[
    b"{",
    b"}",
    b"[",
    b"]",
    b"\"",
    b":",
    b",",
    b"null",
    b"true",
    b"\\u",
    b"\\ud800",
    b"\\udc00",
    b"1e999",
    b"-",
    b"{\"a\":",
    b"[[",
    b"\"op\":\"u\"",
    b"\"before\":",
    b"\"after\":",
    b"\"source\":{",
    b"\"lsn\":",
    b"\"sequence\":\"[\\\"1\\\",\\\"2\\\"]\"",
    b"__debezium_unavailable_value",
    b"\"type\":\"struct\"",
    b"\"fields\":[",
    b"\"field\":",
    b"\"name\":\"io.debezium.time.MicroTimestamp\"",
    b"\"items\":{",
    b"\"type\":\"array\"",
    b"\"type\":\"record\"",
    b"\"namespace\":\"a\"",
    b"18446744073709551616",
    b"AAAA",
    b"\xff",
];

fn hash(answer: &(impl Hash + ?Sized)) -> u64 {
    let mut hasher = DefaultHasher::new();
    answer.hash(&mut hasher);
    hasher.finish()
}

/// An error counts by its words; what was read by what `seen` makes of it.
fn answer<T, E: Debug>(read: Result<T, E>, seen: impl FnOnce(T) -> u64) -> u64 {
    match read {
        Ok(read) => seen(read) | 1,
        Err(error) => hash(&format!("{error:?}")) & !1,
    }
}

/// The kinds of a row's fields, at most the first few.
fn kinds<'a>(fields: impl Iterator<Item = Field<'a>>) -> u64 {
    let mut kinds = 0_u64;
    for (number, field) in fields.enumerate() {
        let kind = match field {
            Field::Null => 0,
            Field::Unchanged => 1,
            Field::Text(_) => 2,
            Field::Binary(_) => 3,
        };
        if number < 4 {
            kinds = kinds * 4 + kind;
        }
    }
    kinds
}

fn read_pgoutput(bytes: &[u8]) -> u64 {
    answer(pgoutput::parse(bytes), |message| match message {
        pgoutput::Message::Relation(relation) => 0x100 + relation.columns.len().min(8) as u64,
        pgoutput::Message::Insert { new, .. } => {
            assert_eq!(new.len(), new.count(), "all fields that are announced are there");
            0x200 + kinds(new)
        }
        pgoutput::Message::Update { old, new, .. } => {
            let old = old.map_or(0, |old| 0x10_0000 + kinds(old.tuple()));
            0x300 + kinds(new) + old
        }
        pgoutput::Message::Delete { old, .. } => 0x400 + kinds(old.tuple()),
        pgoutput::Message::Truncate { relations } => 0x500 + relations.len().min(8) as u64,
        pgoutput::Message::Other => 0x600,
    })
}

fn read_copy(bytes: &[u8]) -> u64 {
    let one = |first| {
        answer(copy::parse(bytes, first), |message| match message {
            copy::CopyMessage::Row(row) => 0x100 + kinds(row),
            copy::CopyMessage::End => 0x200,
        })
    };
    hash(&(one(true), one(false)))
}

fn read_assignment(bytes: &[u8]) -> u64 {
    answer(assignment::partitions(bytes), |found| hash(&found))
}

/// What is held is JSON, and a reader that has read it before says the same.
fn read_document(bytes: &[u8]) -> u64 {
    let mut documents = Documents::default();
    let held = documents.holds(bytes);
    assert_eq!(documents.holds(bytes), held);
    if held == Ok(true) {
        assert!(serde_json::from_slice::<IgnoredAny>(bytes).is_ok());
    }
    answer(held, |held| u64::from(held) * 2)
}

/// Numbers, times and arrays, in both forms.
fn read_values(bytes: &[u8]) -> u64 {
    let mut scratch = Vec::new();
    let element = |_: Field<'_>| Ok::<(), ArrayFault>(());
    let size = |count: usize| count.min(4) as u64;
    // Of what was read only whether it is there: numbers are too many.
    let there = |value: bool| u64::from(value) * 2;
    let answers = [
        answer(number::integer(bytes), |_| 0),
        answer(number::float::<f32>(bytes), |_| 0),
        answer(number::float::<f64>(bytes), |_| 0),
        answer(number::decimal_text(bytes, 76, 30), |value| there(value.is_some())),
        answer(number::decimal_text(bytes, 9, 0), |value| there(value.is_some())),
        answer(number::decimal_binary(bytes, 76, 30), |value| there(value.is_some())),
        answer(number::decimal_binary(bytes, 4, 4), |value| there(value.is_some())),
        answer(time::date_text(bytes), |value| there(value.is_some())),
        answer(time::date_binary(bytes), |value| there(value.is_some())),
        answer(time::timestamp_text(bytes), |value| there(value.is_some())),
        answer(time::timestamp_binary(bytes), |value| there(value.is_some())),
        answer(array::text(bytes, &mut scratch, element), size),
        answer(array::binary(bytes, element), size),
        answer(array::vector(bytes, |_| Ok::<(), ArrayFault>(())), size),
    ];
    hash(&answers)
}

/// What columns hold, and what they are stored as.
fn pairs() -> Vec<(SourceType, &'static str)> {
    let array = |of: SourceType| SourceType::Array(Box::new(of));
    vec![
        (SourceType::Bool, "Nullable(Bool)"),
        (SourceType::Int2, "Nullable(Int16)"),
        (SourceType::Int4, "Int32"),
        (SourceType::Int8, "Nullable(Int64)"),
        (SourceType::Int8, "Decimal(20, 0)"),
        (SourceType::Oid, "UInt32"),
        (SourceType::Float4, "Float32"),
        (SourceType::Float8, "Nullable(Float64)"),
        (SourceType::Numeric { precision: 10, scale: 2 }, "Nullable(Decimal(10, 2))"),
        (SourceType::Numeric { precision: 76, scale: 40 }, "Nullable(Decimal(76, 40))"),
        (SourceType::NumericUnbounded, "Nullable(String)"),
        (SourceType::String, "Nullable(String)"),
        (SourceType::Bytea, "Nullable(String)"),
        (SourceType::Date, "Nullable(Date32)"),
        (SourceType::Timestamp, "Nullable(DateTime64(6, 'UTC'))"),
        (SourceType::TimestampTz, "Nullable(DateTime64(6, 'UTC'))"),
        (SourceType::Uuid, "Nullable(UUID)"),
        (SourceType::Enum, "LowCardinality(Nullable(String))"),
        (SourceType::Text, "Nullable(String)"),
        (SourceType::Json, "Nullable(JSON)"),
        (array(SourceType::Int4), "Array(Nullable(Int32))"),
        (array(SourceType::String), "Array(Nullable(String))"),
        (array(SourceType::TimestampTz), "Array(Nullable(DateTime64(6, 'UTC')))"),
        (array(SourceType::Numeric { precision: 10, scale: 2 }), "Array(Nullable(Decimal(10, 2)))"),
        (array(SourceType::Float4), "Array(Float32)"),
    ]
}

thread_local! {
    static PAIRS: Vec<(SourceType, ColumnType)> = pairs()
        .into_iter()
        .map(|(source, stored)| (source, ColumnType::parse(stored).expect("a type that columns have")))
        .collect();
    static SCHEMAS: Vec<Schema> = crate::corpus::schemas().iter().filter_map(|text| Schema::parse(text).ok()).collect();
}

/// One field into a column of each type: the first byte chooses the form, the rest is the value.
fn read_columns(bytes: &[u8]) -> u64 {
    let Some((form, value)) = bytes.split_first() else { return 0 };
    let field = if form % 2 == 0 { Field::Text(value) } else { Field::Binary(value) };
    let one = |(source, stored): &(SourceType, ColumnType)| {
        let Some(mut buffer) = ColumnBuffer::new(source, stored, Ranges::default()) else {
            panic!("{source:?} as {stored}")
        };
        let appended = buffer.append(field);
        undone(&mut buffer, 0, appended.is_ok());
        buffer.append_default();
        // As ClickHouse answers a value.
        let (before, mut rest) = (buffer.rows(), value);
        let again = buffer.append_row_binary(&mut rest);
        undone(&mut buffer, before, again.is_ok());
        (hash(&format!("{appended:?} {again:?}")), buffer.policy_nulls())
    };
    PAIRS.with(|pairs| hash(&pairs.iter().map(one).collect::<Vec<_>>()))
}

/// What fails leaves nothing behind, once it is undone.
fn undone(buffer: &mut ColumnBuffer, before: usize, good: bool) {
    if !good && buffer.rows() > before {
        buffer.undo();
    }
    assert_eq!(buffer.rows(), before + usize::from(good));
}

/// The shape of a row: by its schema where it has one, by the connector's settings otherwise.
fn shape(row: Object<'_>, schema: Option<&ConnectSchema>) -> Option<RecordShape> {
    let names = RecordShape::names(row).ok()?;
    let one = |name: &str| {
        let field = schema.and_then(|schema| schema.field(name));
        let known = field.map_or_else(|| guess(name), column);
        let connect = field.map(|field| &field.connect_type);
        let form = form(&known, connect, &Forms::default(), true).unwrap_or_else(|_| Form::ignored());
        ShapeField { name: name.to_owned(), form }
    };
    Some(RecordShape { fields: names.iter().map(|name| one(name)).collect() })
}

/// A column whose type follows from its name, so that all spellings have their turn.
fn guess(name: &str) -> Column {
    let types = pairs();
    let (source_type, _) = types[hash(name) as usize % types.len()].clone();
    Column {
        name: name.to_owned(),
        number: 1,
        type_oid: 0,
        type_modifier: -1,
        type_name: "t".to_owned(),
        source_type,
        output_function: "pg_catalog.textout".to_owned(),
        not_null: false,
        generated: false,
        toastable: true,
        missing_value: None,
    }
}

fn read_envelope(envelope: &Envelope<'_>) -> u64 {
    let schema = match envelope.schema {
        SchemaText::New(text) => ConnectSchema::parse(text).ok(),
        SchemaText::Absent | SchemaText::Known => None,
    };
    let mut reader = RowReader::new();
    let mut rows = [0; 2];
    for (place, row) in rows.iter_mut().zip([envelope.before, envelope.after]) {
        let Some(row) = row else { continue };
        let Some(shape) = shape(row, schema.as_ref()) else { continue };
        *place = answer(reader.read(row, &shape), |row| kinds(row.fields()));
    }
    hash(&(rows, format!("{:?}", envelope.op), schema.is_some()))
}

fn read_debezium(bytes: &[u8]) -> u64 {
    let one = |parsed: Parsed<'_>| match parsed {
        Parsed::Change(envelope) => read_envelope(&envelope),
        Parsed::Flat { row, schema } => {
            let schema = match schema {
                SchemaText::New(text) => ConnectSchema::parse(text).ok(),
                SchemaText::Absent | SchemaText::Known => None,
            };
            let Some(shape) = shape(row, schema.as_ref()) else { return 3 };
            answer(RowReader::new().read(row, &shape), |row| kinds(row.fields()))
        }
        Parsed::Transaction(_) => 11,
        Parsed::Heartbeat { .. } => 13,
        Parsed::Empty => 15,
        Parsed::Other => 17,
    };
    // The start of the record is as good a schema as any that was known before.
    let known = &bytes[..bytes.len() / 2];
    hash(&(answer(record(bytes), one), answer(record_known(bytes, known), one)))
}

/// The first byte chooses a schema, the rest is a value of it.
fn read_avro(bytes: &[u8]) -> u64 {
    let headers: [(&str, &[u8]); 1] = [("apicurio.value.globalId", bytes)];
    let framing = hash(&(framed(bytes, headers, "value").is_some(), framed(bytes, [], "key").is_some()));
    let Some((number, value)) = bytes.split_first() else { return framing };
    let number = usize::from(*number);
    let mut json = Vec::new();
    let read = SCHEMAS.with(|schemas| to_json(&schemas[number % schemas.len()], value, &mut json));
    let mut after = 0;
    if read.is_ok() {
        // What comes of it is what all the others read. Nothing is made of it here: that would be counted too.
        assert!(serde_json::from_slice::<IgnoredAny>(&json).is_ok() || std::str::from_utf8(&json).is_err());
        after = read_debezium(&json);
    }
    hash(&(framing, number, json.len().ilog2_or_zero(), answer(read, |()| 0), after))
}

trait Size {
    fn ilog2_or_zero(self) -> u32;
}

impl Size for usize {
    /// So that only much more counts as more.
    fn ilog2_or_zero(self) -> u32 {
        self.checked_ilog2().unwrap_or(0)
    }
}

fn read_avro_schema(bytes: &[u8]) -> u64 {
    let Ok(schema) = Schema::parse(bytes) else { return 0 };
    let connect = schema.connect().map(|connect| {
        hash(&format!("{:?}", connect.fields.iter().map(|field| &field.connect_type.kind).collect::<Vec<_>>()))
    });
    let mut json = Vec::new();
    let empty = to_json(&schema, &[0; 64], &mut json);
    hash(&(format!("{connect:?} {empty:?}"), json.len().ilog2_or_zero()))
}
