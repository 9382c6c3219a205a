//! `pipectl status`.

use super::Context;
use super::connector_summary::{brief_document, brief_text};
use comfy_table::Table;
use comfy_table::presets::NOTHING;
use pipectl::assemble::{self, PipelineStatus, TopicsStatus};
use pipectl::checkpoint::TablePhase;
use pipectl::config::Settings;
use pipectl::error::Result;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::Duration;

/// Show where the pipeline stands: slot, lag, stored position, connector, tables
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Show it again every second, until Ctrl-C
    #[arg(long, conflicts_with = "ready")]
    watch: bool,
    /// Say nothing; exit 0 if readers can rely on ClickHouse's tables right now, else 4
    #[arg(long)]
    ready: bool,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<ExitCode> {
    let settings = context.settings()?;
    if args.ready {
        let ready = assemble::status(&settings).await?.ready();
        return Ok(if ready { ExitCode::SUCCESS } else { ExitCode::from(4) });
    }
    if !args.watch {
        show(&settings, context, false).await?;
        return Ok(ExitCode::SUCCESS);
    }
    loop {
        show(&settings, context, true).await?;
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
            _ = tokio::signal::ctrl_c() => return Ok(ExitCode::SUCCESS),
        }
    }
}

async fn show(settings: &Settings, context: &Context, watch: bool) -> Result<()> {
    let status = assemble::status(settings).await?;
    match (context.output.is_json(), watch) {
        (true, true) => context.output.json_line(&document(&status)),
        (true, false) => context.output.json(&document(&status)),
        (false, _) => context.output.data(&text(&status)),
    }
}

fn phase(phase: TablePhase) -> &'static str {
    match phase {
        TablePhase::Copying => "copying",
        TablePhase::Ready => "ready",
        TablePhase::Parked => "parked",
    }
}

fn document(status: &PipelineStatus) -> Value {
    let tables: Vec<Value> = status
        .tables
        .values()
        .map(|table| {
            json!({
                "source": table.source,
                "target": table.target,
                "state": phase(table.phase),
                "reason": table.reason,
                "since_lsn": table.since,
                "copied_rows": table.copied_rows,
                "stored_rows": status.stored_rows.get(&table.target),
                "policy_nulls": status.policy_nulls.get(&table.target).cloned().unwrap_or_default(),
            })
        })
        .collect();
    let slot = status.slot.as_ref().map(|slot| {
        json!({
            "active_pid": slot.active_pid,
            "wal_status": slot.wal_status,
            "confirmed_lsn": slot.confirmed.to_string(),
        })
    });
    json!({
        "version": 1,
        "pipeline": status.pipeline,
        "ready": status.ready(),
        "copied": status.copied,
        "slot": slot,
        "connector": status.connector.as_ref().map(brief_document),
        "topics": status.topics.as_ref().map(topics),
        "source_lsn": status.source_lsn.to_string(),
        "checkpoint_lsn": status.checkpoint.map(|lsn| lsn.to_string()),
        "lag_bytes": status.lag_bytes(),
        "dead_letters": status.dead_letters,
        "tables": tables,
    })
}

fn topics(topics: &TopicsStatus) -> Value {
    let partitions: Vec<Value> = topics
        .partitions
        .iter()
        .map(|at| json!({"topic": at.topic, "partition": at.partition, "stored": at.stored, "end": at.end}))
        .collect();
    json!({"group": topics.group, "state": topics.state, "lag_records": topics.lag(), "partitions": partitions})
}

fn topics_line(topics: &TopicsStatus) -> String {
    let state = topics.state.as_deref().unwrap_or("unknown to Kafka");
    let count = topics.partitions.len();
    format!("topics      group {} ({state}), {count} partitions, {} records behind\n", topics.group, topics.lag())
}

fn text(status: &PipelineStatus) -> String {
    let slot = match &status.slot {
        None => "none".to_owned(),
        Some(slot) => {
            let reader = slot.active_pid.map_or("nobody reads it".to_owned(), |pid| format!("read by pid {pid}"));
            let log = slot.wal_status.as_deref().unwrap_or("unknown");
            format!("{reader}, log {log}, confirmed {}", slot.confirmed)
        }
    };
    let checkpoint = status.checkpoint.map_or("none yet".to_owned(), |lsn| lsn.to_string());
    let lag = status.lag_bytes().map_or("unknown".to_owned(), |bytes| format!("{bytes} bytes"));
    let dead = match status.dead_letters {
        0 => String::new(),
        dead => format!("set aside   {dead} records, see `pipectl dead-letters list`\n"),
    };
    let topics = status.topics.as_ref().map(topics_line).unwrap_or_default();
    let connector =
        status.connector.as_ref().map(|brief| format!("connector   {}\n", brief_text(brief))).unwrap_or_default();
    let mut out = format!(
        "pipeline    {}\nslot        {slot}\nsource      {}\ncheckpoint  {checkpoint}\nlag         {lag}\nfirst copy  {}\n{connector}{topics}{dead}\n",
        status.pipeline,
        status.source_lsn,
        if status.copied { "complete" } else { "not complete" },
    );
    let mut table = Table::new();
    table.load_preset(NOTHING).set_header(["table", "in ClickHouse", "state", "stored rows", ""]);
    for record in status.tables.values() {
        let rows = status.stored_rows.get(&record.target).map_or("-".to_owned(), u64::to_string);
        let reason = record.reason.clone().filter(|_| record.phase == TablePhase::Parked).unwrap_or_default();
        table.add_row([record.source.as_str(), &record.target, phase(record.phase), &rows, &reason]);
    }
    out.push_str(&table.trim_fmt());
    out.push('\n');
    for (target, columns) in &status.policy_nulls {
        for (column, count) in columns {
            // Writing into a String cannot fail.
            writeln!(out, "{target}.{column}: {count} values that ClickHouse cannot hold were stored as NULL").ok();
        }
    }
    out
}
