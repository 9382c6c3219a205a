//! The sections `sync` and `statements`.

use super::marked::Value;
use super::reader::{Place, Reader, Section};
use super::units;
use crate::config::{Statement, SyncSettings, SyncSource, duration};
use std::collections::BTreeMap;

const LEAST_MEMORY: usize = 16 << 20;

/// `sync`: what is left out keeps its default.
pub(super) fn settings(section: Section<'_>) -> SyncSettings {
    let mut settings = SyncSettings::default();
    let set = |target: &mut usize, value: Option<usize>| *target = value.unwrap_or(*target);
    if let Some(source) = section.parse("source", source) {
        settings.source = source;
    }
    if let Some(batch) = section.section("batch") {
        set(&mut settings.batch_rows, batch.parse("max_rows", |text| units::count(text, 1, 10_000_000)));
        set(&mut settings.batch_bytes, batch.parse("max_bytes", |text| within(text, 64 << 10, 1 << 30)));
        settings.batch_age = batch.parse("max_age", duration).unwrap_or(settings.batch_age);
        batch.finish();
    }
    if let Some(snapshot) = section.section("snapshot") {
        set(&mut settings.snapshot_parallel, snapshot.parse("parallel", |text| units::count(text, 1, 64)));
        snapshot.finish();
    }
    set(&mut settings.memory, section.parse("memory", |text| within(text, LEAST_MEMORY, 1 << 40)));
    settings.heartbeat = section.parse("heartbeat", duration).unwrap_or(settings.heartbeat);
    settings.stop_timeout = section.parse("stop_timeout", duration).unwrap_or(settings.stop_timeout);
    settings.slot_timeout = section.parse("slot_timeout", duration);
    if settings.batch_bytes > settings.memory {
        section.problem("memory", "must be at least sync.batch.max_bytes");
    }
    section.finish();
    settings
}

fn source(text: &str) -> Result<SyncSource, String> {
    match text {
        "postgres" => Ok(SyncSource::Postgres),
        "kafka" => Ok(SyncSource::Kafka),
        _ => Err(format!("\"{text}\" must be postgres or kafka")),
    }
}

fn within(text: &str, least: usize, most: usize) -> Result<usize, String> {
    let bytes = units::bytes(text)?;
    if (least..=most).contains(&bytes) {
        return Ok(bytes);
    }
    Err(format!("\"{text}\" is not between {} and {}", readable(least), readable(most)))
}

fn readable(bytes: usize) -> String {
    if bytes >= 1 << 30 {
        format!("{}GiB", bytes >> 30)
    } else if bytes >= 1 << 20 {
        format!("{}MiB", bytes >> 20)
    } else {
        format!("{}KiB", bytes >> 10)
    }
}

/// `statements`: a list of `{name, sql}` or a map of `name: sql`, in the order of the file.
pub(super) fn statements<'a>(reader: &'a Reader<'a>, place: &Place<'a>) -> Vec<Statement> {
    if let Value::Map(_) = place.node.value {
        let pairs = reader.pairs(place).unwrap_or_default();
        return pairs
            .into_iter()
            .filter_map(|(key, place)| Some(Statement { name: key.text.clone(), sql: sql(reader, &place)? }))
            .collect();
    }
    let mut statements = Vec::new();
    let mut lines: BTreeMap<String, usize> = BTreeMap::new();
    for place in reader.list(place).unwrap_or_default() {
        let Some(section) = reader.section(&place) else { continue };
        for key in ["name", "sql"] {
            if section.get(key).is_none() {
                section.problem(key, "is missing");
            }
        }
        let name = section.text("name");
        if let Some(name) = &name
            && let Some(line) = lines.insert(name.clone(), section.line)
        {
            section.problem("name", format!("\"{name}\" is also the name of the statement on line {line}"));
        }
        let sql = section.get("sql").and_then(|place| sql(reader, &place));
        section.finish();
        if let (Some(name), Some(sql)) = (name, sql) {
            statements.push(Statement { name, sql });
        }
    }
    statements
}

fn sql<'a>(reader: &'a Reader<'a>, place: &Place<'a>) -> Option<String> {
    let sql = reader.written(place)?.text;
    if sql.trim().is_empty() {
        reader.problems.add(Some(place.node.line), &place.path, "is empty");
        return None;
    }
    Some(sql)
}
