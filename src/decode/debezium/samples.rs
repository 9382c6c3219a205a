//! Records that Debezium really wrote, of every version and mode, against what Postgres itself says of the same rows.
//!
//! tests/fixtures/debezium/README.md tells what the files are.

use super::json::{Cursor, Json, Object};
use super::*;
use crate::change::{Column, Field, SourceType};
use std::collections::{BTreeMap, BTreeSet};

mod classes;
mod rows;
mod toast;

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/debezium");

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(format!("{FIXTURES}/{name}")).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The names of all samples whose records are JSON.
fn names() -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(FIXTURES)
        .unwrap()
        .filter_map(|entry| Some(entry.unwrap().file_name().to_str()?.strip_suffix(".json")?.to_owned()))
        .filter(|name| !name.starts_with("avro"))
        .collect();
    names.sort();
    names
}

fn object<'a>(parent: Object<'a>, name: &str) -> Option<Object<'a>> {
    match parent.get(name.as_bytes()).unwrap() {
        Some(Json::Object(object)) => Some(object),
        _ => None,
    }
}

fn text(parent: Object<'_>, name: &str) -> String {
    match parent.get(name.as_bytes()).unwrap() {
        Some(Json::String(text)) => text.string().unwrap().into_owned(),
        other => panic!("{name}: {other:?}"),
    }
}

fn whole(text: &[u8]) -> Object<'_> {
    match Cursor::new(text).value() {
        Ok(Json::Object(object)) => object,
        other => panic!("{other:?}"),
    }
}

/// The connector's configuration of a sample.
fn config(sample: &[u8]) -> BTreeMap<String, String> {
    let config = object(object(whole(sample), "meta").unwrap(), "config").unwrap();
    config
        .members()
        .map(|member| member.unwrap().0.string().unwrap().into_owned())
        .map(|name| (name.clone(), text(config, &name)))
        .collect()
}

/// The values of a sample's records, `None` for a tombstone; Avro's bytes where they are written so.
fn values(sample: &[u8]) -> Vec<Option<Vec<u8>>> {
    let Some(Json::Array(messages)) = whole(sample).get(b"messages").unwrap() else { panic!("no messages") };
    messages
        .elements()
        .map(|message| match message {
            Ok(Json::Object(message)) => object(message, "value"),
            other => panic!("{other:?}"),
        })
        .map(|value| {
            let value = value?;
            match value.get(b"$base64").unwrap() {
                Some(Json::String(text)) => {
                    let mut bytes = Vec::new();
                    super::value::decode_base64(text.plain().unwrap(), &mut bytes).unwrap();
                    Some(bytes)
                }
                _ => Some(value.bytes().to_vec()),
            }
        })
        .collect()
}

fn change(value: &[u8]) -> Option<Envelope<'_>> {
    match record(value).unwrap() {
        Parsed::Change(envelope) => Some(*envelope),
        _ => None,
    }
}

/// The columns of the samples' tables, as Postgres' catalog has them.
fn columns() -> BTreeMap<(String, String), Column> {
    let text = String::from_utf8(fixture("columns.tsv")).unwrap();
    let mut columns = BTreeMap::new();
    for line in text.lines().skip(1) {
        let [table, name, modifier, type_name, source, output, not_null, generated, toastable] =
            line.split('\t').collect::<Vec<_>>()[..]
        else {
            panic!("{line}")
        };
        let column = Column {
            name: name.to_owned(),
            number: 1,
            type_oid: 1,
            type_modifier: modifier.parse().unwrap(),
            type_name: type_name.to_owned(),
            source_type: source_type(source),
            output_function: output.to_owned(),
            not_null: not_null == "t",
            generated: generated == "t",
            toastable: toastable == "t",
            missing_value: None,
        };
        columns.insert((table.to_owned(), name.to_owned()), column);
    }
    columns
}

fn source_type(label: &str) -> SourceType {
    match label.split(' ').collect::<Vec<_>>()[..] {
        ["Array", ..] => SourceType::Array(Box::new(source_type(label.strip_prefix("Array ").unwrap()))),
        ["Numeric", precision, scale] => {
            SourceType::Numeric { precision: precision.parse().unwrap(), scale: scale.parse().unwrap() }
        }
        ["Bool"] => SourceType::Bool,
        ["Int2"] => SourceType::Int2,
        ["Int4"] => SourceType::Int4,
        ["Int8"] => SourceType::Int8,
        ["Oid"] => SourceType::Oid,
        ["Float4"] => SourceType::Float4,
        ["Float8"] => SourceType::Float8,
        ["NumericUnbounded"] => SourceType::NumericUnbounded,
        ["String"] => SourceType::String,
        ["Bytea"] => SourceType::Bytea,
        ["Date"] => SourceType::Date,
        ["Timestamp"] => SourceType::Timestamp,
        ["TimestampTz"] => SourceType::TimestampTz,
        ["Uuid"] => SourceType::Uuid,
        ["Enum"] => SourceType::Enum,
        ["Text"] => SourceType::Text,
        _ => panic!("{label}"),
    }
}

/// What a record's fields are read by: with its schema where it has one.
struct Reading {
    columns: BTreeMap<(String, String), Column>,
    forms: Forms,
}

impl Reading {
    fn of(forms: Forms) -> Self {
        Self { columns: columns(), forms }
    }

    /// The shape of a row; fields that the table has no longer are passed over.
    fn shape(&self, table: &str, row: Object<'_>, schema: Option<&ConnectSchema>) -> Result<RecordShape, Guesswork> {
        let names = RecordShape::names(row).unwrap();
        let fields = names.iter().map(|name| {
            let connect = schema.map(|schema| &schema.field(name).unwrap().connect_type);
            let form = match self.columns.get(&(table.to_owned(), name.to_string())) {
                Some(column) => form(column, connect, &self.forms, true)?,
                None => Form::ignored(),
            };
            Ok(ShapeField { name: name.to_string(), form })
        });
        Ok(RecordShape { fields: fields.collect::<Result<_, Guesswork>>()? })
    }
}

/// A row as text: NULL is `None`.
fn read(row: Object<'_>, shape: &RecordShape) -> BTreeMap<String, Option<String>> {
    let mut reader = RowReader::new();
    let read = reader.read(row, shape).unwrap_or_else(|problem| panic!("{problem} in {shape:?}"));
    assert_eq!(read.fields().count(), shape.fields.len());
    let text = |field| match field {
        Field::Null => None,
        Field::Unchanged => Some("(unchanged)".to_owned()),
        Field::Text(text) => Some(String::from_utf8(text.to_vec()).unwrap()),
        Field::Binary(bytes) => panic!("{bytes:?}"),
    };
    shape.fields.iter().zip(read.fields()).map(|(field, value)| (field.name.clone(), text(value))).collect()
}
