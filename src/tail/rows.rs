//! Messages of `pgoutput` as entries.

use super::entry::{Change, Column, Entry, Op, What};
use super::json;
use crate::change::{Field, Lsn};
use crate::decode::pgoutput::{Message, Old, Relation, Tuple};
use std::collections::BTreeMap;

/// OIDs of the types whose text is a JSON number (`pg_type.dat`): int8, int2, int4, oid, float4, float8, numeric.
const NUMBERS: [u32; 7] = [20, 21, 23, 26, 700, 701, 1700];
const BOOL: u32 = 16;

/// A table of the stream.
#[derive(Debug, Clone)]
pub(super) struct Described {
    /// Its columns.
    pub(super) relation: Relation,
    /// Names of its key's columns.
    pub(super) key: Vec<String>,
    /// It was asked for.
    pub(super) is_shown: bool,
}

/// Where in the log, and in which transaction.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Moment {
    pub(super) lsn: Lsn,
    pub(super) xid: Option<i64>,
    /// In milliseconds since 1970-01-01.
    pub(super) committed: Option<i64>,
}

/// What a message says of the tables that were asked for: several entries for a TRUNCATE of several tables.
pub(super) fn entry(message: &Message<'_>, relations: &BTreeMap<u32, Described>, moment: &Moment) -> Vec<Entry> {
    let find = |id: &u32| relations.get(id).filter(|described| described.is_shown);
    match message {
        Message::Insert { relation, new } => find(relation)
            .map(|table| {
                let after = columns(table, *new);
                let change = Change { op: Op::Create, after: Some(after.clone()), ..Change::default() };
                entry_of(table, &after, change, moment)
            })
            .into_iter()
            .collect(),
        Message::Update { relation, old, new } => {
            find(relation).map(|table| updated(table, *old, *new, moment)).into_iter().collect()
        }
        Message::Delete { relation, old } => find(relation)
            .map(|table| {
                let before = columns(table, old.tuple());
                let is_full = matches!(old, Old::Full(_));
                let change = Change {
                    op: Op::Delete,
                    before: is_full.then(|| before.clone()),
                    before_is_real: is_full,
                    ..Change::default()
                };
                entry_of(table, &before, change, moment)
            })
            .into_iter()
            .collect(),
        Message::Truncate { relations } => relations
            .iter()
            .filter_map(find)
            .map(|table| entry_of(table, &[], Change { op: Op::Truncate, ..Change::default() }, moment))
            .collect(),
        Message::Relation(_) | Message::Other => Vec::new(),
    }
}

fn updated(table: &Described, old: Option<Old<'_>>, new: Tuple<'_>, moment: &Moment) -> Entry {
    let after = columns(table, new);
    let before = match old {
        Some(Old::Full(tuple)) => Some(columns(table, tuple)),
        _ => None,
    };
    let other_key = match old {
        Some(Old::Key(tuple)) => {
            let old = key(table, &columns(table, tuple));
            let members: Vec<String> =
                old.iter().map(|column| format!("{}:{}", json::quoted(&column.name), column.json)).collect();
            Some(format!("{{{}}}", members.join(",")))
        }
        _ => None,
    };
    let change = Change {
        op: Op::Update,
        before_is_real: before.is_some(),
        before,
        after: Some(after.clone()),
        other_key,
        ..Change::default()
    };
    entry_of(table, &after, change, moment)
}

fn entry_of(table: &Described, row: &[Column], change: Change, moment: &Moment) -> Entry {
    Entry {
        timestamp: moment.committed,
        committed: moment.committed,
        schema: table.relation.schema.clone(),
        table: table.relation.name.clone(),
        lsn: Some(moment.lsn),
        xid: moment.xid,
        key: key(table, row),
        what: What::Change(change),
        ..Entry::default()
    }
}

fn key(table: &Described, row: &[Column]) -> Vec<Column> {
    table.key.iter().filter_map(|name| row.iter().find(|column| column.name == *name).cloned()).collect()
}

fn columns(table: &Described, tuple: Tuple<'_>) -> Vec<Column> {
    let columns = table.relation.columns.iter();
    columns
        .zip(tuple)
        .map(|(column, field)| {
            let (json, shown) = value(column.type_oid, field);
            Column { name: column.name.clone(), json, shown, unchanged: field == Field::Unchanged }
        })
        .collect()
}

/// A field as JSON, as Debezium would write it where its settings keep the value's text, and for people.
fn value(type_oid: u32, field: Field<'_>) -> (String, String) {
    let (Field::Text(bytes) | Field::Binary(bytes)) = field else { return ("null".to_owned(), "null".to_owned()) };
    let text = String::from_utf8_lossy(bytes).into_owned();
    let json = match (type_oid, text.as_str()) {
        (BOOL, "t") => return ("true".to_owned(), "true".to_owned()),
        (BOOL, "f") => return ("false".to_owned(), "false".to_owned()),
        // NaN and the infinities are none.
        (oid, number) if NUMBERS.contains(&oid) && json::is_json(number) => number.to_owned(),
        (_, text) => json::quoted(text),
    };
    (json, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_keep_their_spelling() {
        for (oid, text, json) in [
            (1700, "10.00", "10.00"),
            (1700, "NaN", "\"NaN\""),
            (701, "1e+300", "1e+300"),
            (16, "t", "true"),
            (25, "t", "\"t\""),
            (25, "a\"b", "\"a\\\"b\""),
            (20, "9223372036854775807", "9223372036854775807"),
        ] {
            assert_eq!(value(oid, Field::Text(text.as_bytes())).0, json, "{oid} {text}");
        }
        assert_eq!(value(25, Field::Null).0, "null");
    }
}
