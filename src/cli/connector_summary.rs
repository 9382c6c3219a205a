//! What `pipectl connector` shows.

use pipectl::assemble::connector::{ConnectorBrief, ConnectorPlan, ConnectorReport, TaskReport};
use pipectl::server::connect::ConnectorState;
use serde_json::{Value, json};
use std::fmt::Write as _;

/// The configuration, one property a line.
pub(super) fn config_text(plan: &ConnectorPlan) -> String {
    let lines: Vec<String> = plan.config.all_shown().iter().map(|(name, value)| format!("{name}={value}")).collect();
    lines.join("\n")
}

/// What `--check` says.
pub(super) fn check_text(plan: &ConnectorPlan) -> String {
    let mut text = connector_text(plan);
    if !plan.publication.is_empty() {
        text.push_str("\nthe publication differs:");
    }
    for line in &plan.publication {
        // Writing to a String cannot fail.
        write!(text, "\n  {line}").ok();
    }
    text
}

fn connector_text(plan: &ConnectorPlan) -> String {
    if plan.existing.is_none() {
        return format!("connector \"{}\" is missing in Kafka Connect at {}", plan.name, plan.address);
    }
    if plan.differences.is_empty() {
        return format!("connector \"{}\" is as configured", plan.name);
    }
    let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "(not set)".to_owned());
    let mut text = format!("connector \"{}\" differs:", plan.name);
    for difference in &plan.differences {
        let (theirs, ours) = (value(&difference.theirs), value(&difference.ours));
        // Writing to a String cannot fail.
        if theirs == ours {
            write!(text, "\n  {}: another value", difference.name).ok();
        } else {
            write!(text, "\n  {}: {theirs} -> {ours}", difference.name).ok();
        }
    }
    text
}

/// The plan for programs.
pub(super) fn plan_document(plan: &ConnectorPlan) -> Value {
    let differences: Vec<Value> = plan
        .differences
        .iter()
        .map(|one| json!({ "property": one.name, "theirs": one.theirs, "ours": one.ours }))
        .collect();
    json!({
        "version": 1,
        "connector": plan.name,
        "connect": plan.address,
        "exists": plan.existing.is_some(),
        "as_configured": plan.is_as_configured(),
        "config": plan.config.all_shown(),
        "differences": differences,
        "publication": plan.publication,
        "tables": plan.tables,
        "warnings": plan.notes,
    })
}

/// How the connector is, for people.
pub(super) fn report_text(report: &ConnectorReport) -> String {
    let debezium = report.debezium.as_ref().map(|version| format!(", Debezium {version}")).unwrap_or_default();
    let mut text = format!(
        "connector   {}\nconnect     {}, Kafka {}{debezium}\nstate       {}\n",
        report.name,
        report.address,
        report.worker.version,
        state(&report.connector),
    );
    for task in &report.tasks {
        writeln!(text, "task {:<6} {}", task.id.unwrap_or_default(), state(task)).ok();
    }
    if report.tasks.is_empty() {
        text.push_str("tasks       none\n");
    }
    for part in report.tasks.iter().chain([&report.connector]) {
        if let Some(error) = &part.error {
            writeln!(text, "error       {error}").ok();
        }
        if let Some(hint) = part.hint {
            writeln!(text, "hint        {hint}").ok();
        }
    }
    writeln!(text, "slot        {}", slot(report)).ok();
    if let Some(lag) = report.lag_bytes {
        writeln!(text, "lag         {lag} bytes").ok();
    }
    for loss in report.losses.iter().filter(|loss| loss.certain) {
        writeln!(text, "loses data  {}: {}; better {}", loss.setting, loss.what, loss.better).ok();
    }
    writeln!(
        text,
        "topics      {}",
        if report.topics.is_empty() { "none yet".to_owned() } else { report.topics.join(", ") }
    )
    .ok();
    text
}

fn state(part: &TaskReport) -> String {
    let at = if part.worker.is_empty() { String::new() } else { format!(" on {}", part.worker) };
    format!("{}{at}", part.state.word())
}

fn slot(report: &ConnectorReport) -> String {
    let name = &report.slot_name;
    match &report.slot {
        Err(error) => format!("\"{name}\", not asked: {error}"),
        Ok(None) => format!("\"{name}\" is not there"),
        Ok(Some(slot)) => {
            let reader = slot.active_pid.map_or("nobody reads it".to_owned(), |pid| format!("read by pid {pid}"));
            let log = slot.wal_status.as_deref().unwrap_or("unknown");
            format!("\"{name}\", {reader}, log {log}, confirmed {}", slot.confirmed)
        }
    }
}

/// The connector or a task of it, for programs.
fn part_document(part: &TaskReport) -> Value {
    json!({
        "id": part.id,
        "state": part.state.word(),
        "worker": part.worker,
        "error": part.error,
        "hint": part.hint,
    })
}

/// How the connector is, by Connect alone, on one line.
pub(super) fn brief_text(brief: &ConnectorBrief) -> String {
    let name = &brief.name;
    let Some(connector) = &brief.connector else {
        return match &brief.unknown {
            Some(why) => format!("\"{name}\", not asked: {why}"),
            None => format!("\"{name}\" is not there: `pipectl connector apply` makes it"),
        };
    };
    let tasks = match brief.tasks.as_slice() {
        [] => "no task".to_owned(),
        [task] => format!("its task {}", task.state.word()),
        tasks => {
            let running = tasks.iter().filter(|task| task.state == ConnectorState::Running).count();
            format!("{running} of {} tasks running", tasks.len())
        }
    };
    let error = brief.parts().find_map(|part| part.error.as_ref()).map_or(String::new(), |error| format!(": {error}"));
    format!("\"{name}\" {}, {tasks}{error}", connector.state.word())
}

/// The same for programs.
pub(super) fn brief_document(brief: &ConnectorBrief) -> Value {
    json!({
        "name": brief.name,
        "running": brief.running(),
        "state": brief.connector.as_ref().map(part_document),
        "tasks": brief.tasks.iter().map(part_document).collect::<Vec<_>>(),
        "error": brief.unknown,
    })
}

/// How the connector is, for programs.
pub(super) fn report_document(report: &ConnectorReport) -> Value {
    let slot = report.slot.as_ref().ok().and_then(Option::as_ref).map(|slot| {
        json!({
            "active_pid": slot.active_pid,
            "wal_status": slot.wal_status,
            "confirmed_lsn": slot.confirmed.to_string(),
        })
    });
    let losses: Vec<Value> = report
        .losses
        .iter()
        .map(|loss| json!({ "setting": loss.setting, "what": loss.what, "better": loss.better, "certain": loss.certain }))
        .collect();
    json!({
        "version": 1,
        "connector": report.name,
        "connect": report.address,
        "kafka_version": report.worker.version,
        "debezium_version": report.debezium,
        "running": report.running(),
        "state": part_document(&report.connector),
        "tasks": report.tasks.iter().map(part_document).collect::<Vec<_>>(),
        "slot_name": report.slot_name,
        "slot": slot,
        "slot_error": report.slot.as_ref().err(),
        "lag_bytes": report.lag_bytes,
        "topics": report.topics,
        "losses": losses,
    })
}
