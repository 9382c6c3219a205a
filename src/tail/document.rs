//! An entry as one JSON object on one line: values spelled as they were written.

use super::entry::{Change, Column, Entry, What};
use super::json::{one_line, quoted};
use super::moment;
use std::fmt::{Display, Write as _};

/// The version of the object's form.
const VERSION: u32 = 1;

/// The object of an entry, without a line end. What an entry does not have is left out.
pub fn document(entry: &Entry) -> String {
    let mut object = Object::new();
    object.raw("version", VERSION);
    object.text("op", entry.op());
    if let Some(place) = &entry.place {
        object.text("topic", &place.topic);
        object.raw("partition", place.partition);
        object.raw("offset", place.offset);
    }
    object.maybe_text("timestamp", entry.timestamp.map(moment::iso));
    object.maybe_text("committed", entry.committed.map(moment::iso));
    object.maybe_text("schema", Some(&entry.schema).filter(|schema| !schema.is_empty()));
    object.maybe_text("table", Some(&entry.table).filter(|table| !table.is_empty()));
    object.maybe_text("lsn", entry.lsn);
    if let Some(xid) = entry.xid {
        object.raw("xid", xid);
    }
    match entry.key.as_slice() {
        [] => {}
        [one] if one.name.is_empty() => object.raw("key", one_line(&one.json)),
        columns => object.raw("key", row(columns.iter())),
    }
    match &entry.what {
        What::Change(change) => add_change(change, &mut object),
        What::Commit { events, tables } => {
            if let Some(events) = events {
                object.raw("events", events);
            }
            let mut counts = Object::new();
            for (table, events) in tables {
                counts.raw(table, events);
            }
            object.raw("tables", counts.end());
        }
        What::Message { prefix, content } => {
            object.text("prefix", prefix);
            object.raw("content", one_line(&content.json));
        }
        What::Plain(value) => object.raw("value", one_line(&value.json)),
        What::Begin | What::Tombstone | What::Heartbeat => {}
    }
    object.end()
}

fn add_change(change: &Change, object: &mut Object) {
    object.maybe_text("snapshot", change.snapshot.as_ref());
    if let Some(before) = &change.before {
        object.raw("before", row(before.iter()));
        object.raw("before_is_real", change.before_is_real);
    }
    if let Some(after) = &change.after {
        object.raw("after", row(after.iter().filter(|column| !column.unchanged)));
        let unchanged: Vec<String> =
            after.iter().filter(|column| column.unchanged).map(|column| quoted(&column.name)).collect();
        if !unchanged.is_empty() {
            object.raw("unchanged", format!("[{}]", unchanged.join(",")));
        }
    }
    if let Some(changed) = change.changed().filter(|_| change.before.is_some()) {
        let changed: Vec<String> = changed.into_iter().map(|column| quoted(&column.name)).collect();
        object.raw("changed", format!("[{}]", changed.join(",")));
    }
    object.maybe_text("other_key", change.other_key.as_ref());
}

fn row<'a>(columns: impl Iterator<Item = &'a Column>) -> String {
    let mut object = Object::new();
    for column in columns {
        object.raw(&column.name, one_line(&column.json));
    }
    object.end()
}

/// A JSON object that is being written.
struct Object(String);

impl Object {
    fn new() -> Self {
        Self("{".to_owned())
    }

    fn raw(&mut self, name: &str, json: impl Display) {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        // Writing to a String cannot fail.
        write!(self.0, "{}:{json}", quoted(name)).ok();
    }

    fn text(&mut self, name: &str, text: &str) {
        self.raw(name, quoted(text));
    }

    fn maybe_text(&mut self, name: &str, text: Option<impl Display>) {
        if let Some(text) = text {
            self.text(name, &text.to_string());
        }
    }

    fn end(mut self) -> String {
        self.0.push('}');
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tail::entry::Op;

    #[test]
    fn values_are_spelled_as_they_were() {
        let column = |name: &str, json: &str| Column { name: name.into(), json: json.into(), ..Column::default() };
        let after = vec![
            column("total", "10.00"),
            column("big", "12345678901234567890123"),
            Column { unchanged: true, ..column("long", "\"?\"") },
        ];
        let change = Change { op: Op::Update, after: Some(after), ..Change::default() };
        let entry = Entry {
            table: "a\"b".into(),
            timestamp: Some(0),
            key: vec![column("", "[1,\n2]")],
            what: What::Change(change),
            ..Entry::default()
        };
        let text = document(&entry);
        assert_eq!(
            text,
            r#"{"version":1,"op":"u","timestamp":"1970-01-01T00:00:00.000Z","table":"a\"b","key":[1, 2],"after":{"total":10.00,"big":12345678901234567890123},"unchanged":["long"]}"#
        );
        assert!(crate::tail::json::is_json(&text));
    }
}
