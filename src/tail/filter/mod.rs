//! `--where`: a small language of conditions on what was read.
//!
//! ```text
//! op=u and (after.status = paid or changed.total) and not table ~ '^tmp_'
//! ```
//!
//! A comparison with something that the record does not have is false, whatever the operator. An unquoted number is compared as a number with
//! what is one, and everything else as text.

mod parse;

use super::entry::{Column, Entry, What};
use super::json;
use crate::change::Lsn;
use crate::error::{Error, Kind, Result};
use parse::{Comparison, Expression, Literal, Path, Root};
use std::borrow::Cow;
use std::cmp::Ordering;

/// A condition, ready to be asked.
#[derive(Debug, Clone)]
pub struct Filter(Expression);

impl Filter {
    /// Reads a condition.
    ///
    /// # Errors
    /// [`Kind::Usage`] with the place marked.
    pub fn parse(text: &str) -> Result<Self> {
        parse::parse(text).map(Self).map_err(|mistake| {
            let line = text.replace(['\n', '\t'], " ");
            let marked = format!("{line}\n{}^ {}", " ".repeat(mistake.at), mistake.what);
            let marked: Vec<String> = marked.lines().map(|line| format!("    {line}")).collect();
            Error::new(Kind::Usage, format!("could not read the condition of --where\n{}", marked.join("\n"))).hint(
                "such as: op=u and after.status=paid. There are = != < <= > >= ~ (regular expression), and, or, not, ( ) and op, table, \
                 schema, topic, partition, offset, lsn, xid, key.x, before.x, after.x, changed.x, value.x",
            )
        })
    }

    /// Whether an entry meets it.
    pub fn takes(&self, entry: &Entry) -> bool {
        holds(&self.0, entry)
    }
}

/// What stands at a path.
enum Found<'a> {
    Nothing,
    Null,
    Text(Cow<'a, str>),
}

impl<'a> Found<'a> {
    fn text(text: impl Into<Cow<'a, str>>) -> Self {
        Self::Text(text.into())
    }

    fn number(number: Option<impl ToString>) -> Self {
        number.map_or(Self::Nothing, |number| Self::text(number.to_string()))
    }
}

fn holds(expression: &Expression, entry: &Entry) -> bool {
    match expression {
        Expression::Or(parts) => parts.iter().any(|part| holds(part, entry)),
        Expression::And(parts) => parts.iter().all(|part| holds(part, entry)),
        Expression::Not(inner) => !holds(inner, entry),
        Expression::Is(path) => match (path.root, look_up(path, entry)) {
            // A column that was changed to NULL was changed.
            (Root::Changed, found) => !matches!(found, Found::Nothing),
            (_, found) => matches!(found, Found::Text(_)),
        },
        Expression::Compare(path, comparison, literal) => compare(path, *comparison, literal, entry),
        Expression::Matches { path, regex, wanted } => match look_up(path, entry) {
            Found::Text(text) => regex.is_match(&text) == *wanted,
            Found::Null | Found::Nothing => false,
        },
    }
}

fn look_up<'a>(path: &Path, entry: &'a Entry) -> Found<'a> {
    let place = entry.place.as_ref();
    match path.root {
        Root::Op => Found::text(entry.op()),
        Root::Table if entry.table.is_empty() => Found::Nothing,
        Root::Table => Found::text(&entry.table),
        Root::Schema if entry.schema.is_empty() => Found::Nothing,
        Root::Schema => Found::text(&entry.schema),
        Root::Topic => place.map_or(Found::Nothing, |place| Found::text(&place.topic)),
        Root::Partition => Found::number(place.map(|place| place.partition)),
        Root::Offset => Found::number(place.map(|place| place.offset)),
        Root::Lsn => Found::number(entry.lsn.map(|lsn| lsn.0)),
        Root::Xid => Found::number(entry.xid),
        Root::Key => in_columns(entry.key.iter(), &path.names),
        Root::Before | Root::After | Root::Changed => in_change(path, entry),
        Root::Value => match &entry.what {
            What::Plain(value) => inside(value, &path.names),
            What::Message { content, .. } => inside(content, &path.names),
            _ => Found::Nothing,
        },
    }
}

fn in_change<'a>(path: &Path, entry: &'a Entry) -> Found<'a> {
    let What::Change(change) = &entry.what else { return Found::Nothing };
    match path.root {
        Root::After => in_columns(change.after.iter().flatten(), &path.names),
        Root::Changed => in_columns(change.changed().into_iter().flatten(), &path.names),
        _ if change.before_is_real => in_columns(change.before.iter().flatten(), &path.names),
        // Of an old row that was not sent the key alone is true.
        _ if change.before.is_some() => in_columns(entry.key.iter(), &path.names),
        _ => Found::Nothing,
    }
}

/// The column of a name, or what lies inside of the JSON in a column.
fn in_columns<'a>(mut columns: impl Iterator<Item = &'a Column>, names: &[String]) -> Found<'a> {
    let Some((first, rest)) = names.split_first() else {
        // A key that is no row.
        return columns
            .next()
            .filter(|column| column.name.is_empty())
            .map_or(Found::Nothing, |column| inside(column, &[]));
    };
    match columns.find(|column| column.name == *first) {
        Some(column) if !column.unchanged => inside(column, rest),
        _ => Found::Nothing,
    }
}

fn inside<'a>(column: &'a Column, names: &[String]) -> Found<'a> {
    if names.is_empty() {
        return if column.is_null() { Found::Null } else { Found::text(&column.shown) };
    }
    // A value of the type json comes as a text that is JSON.
    let mut text = json::unquoted(&column.json);
    for name in names {
        let Some(found) = json::member(&text, name).map(str::to_owned) else { return Found::Nothing };
        text = Cow::Owned(found);
    }
    if text == "null" { Found::Null } else { Found::text(json::unquoted(&text).into_owned()) }
}

fn compare(path: &Path, comparison: Comparison, literal: &Literal, entry: &Entry) -> bool {
    let text = match (look_up(path, entry), literal) {
        (Found::Nothing, _) => return false,
        (Found::Null, Literal::Null) => return comparison == Comparison::Equal,
        (Found::Null, _) => return comparison == Comparison::Unequal,
        (Found::Text(_), Literal::Null) => return comparison == Comparison::Unequal,
        (Found::Text(text), _) => text,
    };
    let wanted = literal.text();
    let order = match path.root {
        Root::Op => order_of_op(&text, wanted),
        Root::Table if wanted.contains('.') && !text.contains('.') => {
            format!("{}.{}", entry.schema, entry.table).as_str().cmp(wanted)
        }
        Root::Lsn => match (text.parse::<u64>(), lsn(wanted)) {
            (Ok(found), Some(wanted)) => found.cmp(&wanted),
            _ => return false,
        },
        _ => order_of(&text, literal),
    };
    comparison.takes(order)
}

fn lsn(text: &str) -> Option<u64> {
    text.parse::<Lsn>().map(|lsn| lsn.0).or_else(|_| text.parse()).ok()
}

/// An operation may be written by its letter or by its word.
fn order_of_op(letter: &str, wanted: &str) -> Ordering {
    let wanted = match wanted.to_ascii_lowercase().as_str() {
        "insert" | "create" => "c",
        "update" => "u",
        "delete" => "d",
        "read" => "r",
        "truncate" => "t",
        "message" => "m",
        _ => wanted,
    };
    letter.cmp(wanted)
}

fn order_of(found: &str, literal: &Literal) -> Ordering {
    let wanted = literal.text();
    if matches!(literal, Literal::Bare(_)) {
        if let (Ok(found), Ok(wanted)) = (found.parse::<i128>(), wanted.parse::<i128>()) {
            return found.cmp(&wanted);
        }
        if let (Ok(found), Ok(wanted)) = (found.parse::<f64>(), wanted.parse::<f64>())
            && let Some(order) = found.partial_cmp(&wanted)
        {
            return order;
        }
    }
    found.cmp(wanted)
}

#[cfg(test)]
mod tests;
