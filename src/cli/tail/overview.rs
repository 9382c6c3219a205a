//! `pipectl tail --topics` and `--groups`.

use super::Args;
use crate::cli::Context;
use comfy_table::modifiers::UTF8_ROUND_CORNERS;
use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use pipectl::error::Result;
use pipectl::tail::{self, Choice, GroupView, TopicView};
use serde_json::{Value, json};
use std::io::IsTerminal;
use std::process::ExitCode;

pub(super) async fn topics(args: &Args, context: &Context) -> Result<ExitCode> {
    let settings = args.kafka(context)?;
    let choice =
        if args.names.is_empty() { None } else { Some(Choice::new(&args.names, settings.topic_prefix.as_deref())?) };
    let found = tail::topics(&settings, choice).await?;
    warn(&found.notes, context);
    if context.output.is_json() {
        let topics: Vec<Value> = found.topics.iter().map(topic_document).collect();
        context.output.json(&json!({ "version": 1, "topics": topics }))?;
    } else {
        let head = ["topic", "partitions", "records", "retention", "lag of groups"];
        let rows = found.topics.iter().map(topic_row).collect();
        context.output.data(&drawn(&head, rows, &[1, 2]))?;
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn groups(args: &Args, context: &Context) -> Result<ExitCode> {
    let settings = args.kafka(context)?;
    let (groups, notes) = tail::groups(&settings).await?;
    warn(&notes, context);
    if context.output.is_json() {
        let groups: Vec<Value> = groups.iter().map(group_document).collect();
        context.output.json(&json!({ "version": 1, "groups": groups }))?;
    } else {
        let head = ["group", "state", "topic", "partition", "committed", "end", "lag"];
        let rows = groups.iter().flat_map(group_rows).collect();
        context.output.data(&drawn(&head, rows, &[3, 4, 5, 6]))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn warn(notes: &[String], context: &Context) {
    for note in notes {
        context.output.message(&format!("warning: {note}"));
    }
}

fn topic_document(topic: &TopicView) -> Value {
    json!({
        "topic": topic.name,
        "partitions": topic.partitions,
        "records": topic.records,
        "cleanup_policy": topic.cleanup,
        "retention_ms": topic.retention_ms,
        "retention_bytes": topic.retention_bytes,
        "lag": topic.lag,
    })
}

fn topic_row(topic: &TopicView) -> Vec<String> {
    let lag: Vec<String> = topic.lag.iter().map(|(group, lag)| format!("{group}: {lag}")).collect();
    vec![topic.name.clone(), topic.partitions.to_string(), topic.records.to_string(), retention(topic), lag.join(", ")]
}

/// Such as `7 d`, `7 d or 1 GiB`, `for ever`, `compacted`.
fn retention(topic: &TopicView) -> String {
    let Some(policy) = &topic.cleanup else { return "unknown".to_owned() };
    let mut parts = Vec::new();
    if policy.contains("compact") {
        parts.push("compacted".to_owned());
    }
    if policy.contains("delete") {
        let time = topic.retention_ms.filter(|millis| *millis >= 0).map(duration);
        let bytes = topic.retention_bytes.filter(|bytes| *bytes >= 0);
        let bytes = bytes.map(|bytes| format!("{} a partition", indicatif::HumanBytes(bytes as u64)));
        let limits: Vec<String> = time.into_iter().chain(bytes).collect();
        parts.push(if limits.is_empty() { "for ever".to_owned() } else { limits.join(" or ") });
    }
    parts.join(", ")
}

fn duration(millis: i64) -> String {
    for (unit, name) in [(86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1000, "s")] {
        if millis >= unit && millis % unit == 0 {
            return format!("{} {name}", millis / unit);
        }
    }
    format!("{millis} ms")
}

fn group_document(group: &GroupView) -> Value {
    let partitions: Vec<Value> = group
        .partitions
        .iter()
        .map(|at| {
            json!({
                "topic": at.topic,
                "partition": at.partition,
                "committed": at.committed,
                "end": at.end,
                "lag": at.lag(),
            })
        })
        .collect();
    let lag: i64 = group.partitions.iter().map(tail::PartitionLag::lag).sum();
    json!({ "group": group.name, "state": group.state, "lag": lag, "partitions": partitions })
}

fn group_rows(group: &GroupView) -> Vec<Vec<String>> {
    let head =
        |first: bool| if first { [group.name.clone(), group.state.clone()] } else { [String::new(), String::new()] };
    if group.partitions.is_empty() {
        return vec![[head(true).to_vec(), vec!["nothing committed".to_owned()], vec![String::new(); 4]].concat()];
    }
    let rows = group.partitions.iter().enumerate().map(|(index, at)| {
        let numbers = [i64::from(at.partition), at.committed, at.end, at.lag()].map(|number| number.to_string());
        // Every line of a pipe tells its group.
        let first = index == 0 || !std::io::stdout().is_terminal();
        [head(first).to_vec(), vec![at.topic.clone()], numbers.to_vec()].concat()
    });
    rows.collect()
}

/// A table with lines on a terminal, plain columns elsewhere.
fn drawn(head: &[&str], rows: Vec<Vec<String>>, numbers: &[usize]) -> String {
    let mut table = Table::new();
    if std::io::stdout().is_terminal() {
        table
            .load_preset(presets::UTF8_FULL_CONDENSED)
            .apply_modifier(UTF8_ROUND_CORNERS)
            .set_content_arrangement(ContentArrangement::Dynamic);
    } else {
        table.load_preset(presets::NOTHING).force_no_tty();
    }
    table.set_header(head);
    for row in rows {
        table.add_row(row);
    }
    for number in numbers {
        if let Some(column) = table.column_mut(*number) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    if std::io::stdout().is_terminal() { table.to_string() } else { table.trim_fmt() }
}
