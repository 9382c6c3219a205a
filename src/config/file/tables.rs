//! The section `tables`.

use super::marked::{Key, Value};
use super::reader::{Place, Reader, Section};
use super::units;
use crate::config::rules::{is_pattern, qualified};
use crate::config::{ColumnRule, Deletes, DroppedPartitions, Keyless, Secret, TableMode, TableRule, WrittenColumn};
use std::collections::BTreeMap;

/// The rules in the order of the file.
pub(super) fn rules<'a>(reader: &'a Reader<'a>, place: &Place<'a>) -> Vec<TableRule> {
    let mut rules = Vec::new();
    let mut lines: BTreeMap<String, usize> = BTreeMap::new();
    for place in reader.list(place).unwrap_or_default() {
        // `- public.orders` is short for `- source: public.orders`.
        if let Value::Scalar(_) = place.node.value {
            if let Some(source) = reader.written(&place) {
                rules.push((place, TableRule::new(qualified(&source.text))));
            }
        } else if let Some(rule) = reader.section(&place).and_then(rule) {
            rules.push((place, rule));
        }
    }
    rules
        .into_iter()
        .map(|(place, rule)| {
            if let Some(line) = lines.insert(rule.source.clone(), place.node.line) {
                let what = format!("\"{}\" already has an entry on line {line}", rule.source);
                reader.problems.add(Some(place.node.line), &place.path, what);
            }
            rule
        })
        .collect()
}

fn rule(section: Section<'_>) -> Option<TableRule> {
    let target = section.text("target");
    let columns = section.get("columns");
    let written_out = columns.as_ref().is_some_and(|place| matches!(place.node.value, Value::List(_)));
    let source = source(&section, target.as_ref().filter(|_| written_out));
    let mut rule = TableRule::new(source.clone().unwrap_or_default());
    rule.exclude = section.names("exclude").unwrap_or_default();
    rule.keyless = section
        .choice(
            "keyless",
            &[("refuse", Keyless::Refuse), ("insert_only", Keyless::InsertOnly), ("multiset", Keyless::Multiset)],
        )
        .unwrap_or_default();
    rule.target = target;
    rule.order_by = section.names("order_by");
    rule.partition_by = section.text("partition_by");
    rule.mode = section.choice("mode", &[("replica", TableMode::Replica), ("log", TableMode::Log)]).unwrap_or_default();
    rule.deletes = section.choice("deletes", &[("apply", Deletes::Apply), ("keep", Deletes::Keep)]).unwrap_or_default();
    rule.dropped_partitions = section
        .choice("dropped_partitions", &[("delete", DroppedPartitions::Delete), ("keep", DroppedPartitions::Keep)])
        .unwrap_or_default();
    rule.current_view = section.parse("current_view", units::boolean).unwrap_or_default();
    rule.row_filter = section.text("where");
    match columns {
        Some(place) if written_out => rule.written_out = Some(written_columns(section.reader, &place)),
        Some(place) => rule.columns = overrides(section.reader, &place),
        None => {}
    }
    consistent(&section, &rule);
    section.finish();
    source.map(|_| rule)
}

fn source(section: &Section<'_>, named_by_target: Option<&String>) -> Option<String> {
    if section.get("source").is_none() {
        let target = named_by_target.map(|target| qualified(target));
        if target.is_none() {
            section.problem("source", "is missing: a table such as public.orders, or a pattern such as public.*");
        }
        return target;
    }
    section.parse("source", |text| match text.split_once('.') {
        Some(("", _) | (_, "")) => Err(format!("\"{text}\" must be schema.table")),
        _ => Ok(qualified(text)),
    })
}

/// What goes together, and what does not.
fn consistent(section: &Section<'_>, rule: &TableRule) {
    if is_pattern(&rule.source) {
        for key in ["target", "order_by"] {
            if section.has(key) {
                section.problem(key, "needs an entry for one table, not for a pattern");
            }
        }
        if rule.written_out.is_some() {
            section.problem("columns", "a table that is written out needs its name in `source`, not a pattern");
        }
    } else if !rule.exclude.is_empty() {
        section.problem("exclude", "only goes with a pattern in `source`");
    }
    if rule.order_by.as_ref().is_some_and(Vec::is_empty) {
        section.problem("order_by", "is empty; leave it out for the table's own key");
    }
    if rule.mode == TableMode::Log {
        for key in ["order_by", "deletes"] {
            if section.has(key) {
                section.problem(key, "only goes with `mode: replica`: a log is sorted by the order of the changes, and keeps all of them");
            }
        }
        if rule.keyless == Keyless::Multiset {
            section.problem(
                "keyless",
                "`multiset` only goes with `mode: replica`: under REPLICA IDENTITY FULL a log needs no key",
            );
        }
    }
    if rule.mode == TableMode::Log && rule.current_view {
        section.problem("current_view", "only goes with `mode: replica`: a log has no current rows");
    }
}

fn written_columns<'a>(reader: &'a Reader<'a>, place: &Place<'a>) -> Vec<WrittenColumn> {
    let mut columns: Vec<WrittenColumn> = Vec::new();
    let list = reader.list(place).unwrap_or_default();
    if list.is_empty() {
        reader.problems.add(Some(place.node.line), &place.path, "a table has at least one column");
    }
    for place in list {
        let Some(section) = reader.section(&place) else { continue };
        for key in ["name", "type"] {
            if section.get(key).is_none() {
                section.problem(key, "is missing");
            }
        }
        if let (Some(name), Some(column_type)) = (section.text("name"), section.text("type")) {
            if columns.iter().any(|column| column.name == name) {
                section.problem("name", format!("\"{name}\" is already a column of this table"));
            }
            columns.push(WrittenColumn { name, column_type });
        }
        section.finish();
    }
    columns
}

fn overrides<'a>(reader: &'a Reader<'a>, place: &Place<'a>) -> BTreeMap<String, ColumnRule> {
    let pairs = reader.pairs(place).unwrap_or_default();
    pairs.into_iter().filter_map(|(Key { text, .. }, place)| Some((text.clone(), column(reader, &place)?))).collect()
}

/// An override: the type alone, or a map.
fn column<'a>(reader: &'a Reader<'a>, place: &Place<'a>) -> Option<ColumnRule> {
    if let Value::Scalar(_) = place.node.value {
        let column_type = reader.written(place)?.text;
        return Some(ColumnRule { column_type: Some(column_type), ..ColumnRule::default() });
    }
    let section = reader.section(place)?;
    let rule = ColumnRule {
        column_type: section.text("type"),
        exclude: section.parse("exclude", units::boolean).unwrap_or_default(),
        hash: section.choice("hash", &[("sha256", "sha256")]).map(str::to_owned),
        hash_salt: section.text("hash_salt").map(Secret::new).unwrap_or_default(),
        mask: section.text("mask"),
    };
    if rule.exclude && (rule.column_type.is_some() || section.has("hash") || section.has("mask")) {
        section.problem("exclude", "does not go with type, hash or mask");
    }
    if section.has("hash") && section.has("mask") {
        section.problem("mask", "does not go with hash");
    }
    if section.has("hash_salt") && !section.has("hash") {
        section.problem("hash_salt", "needs hash: sha256");
    }
    section.finish();
    Some(rule)
}
