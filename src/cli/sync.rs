//! `pipectl sync`.

use super::Context;
use super::output::Output;
use super::working::{Worked, Working};
use clap::ValueEnum;
use pipectl::assemble::{self, SyncOptions};
use pipectl::config::{Settings, SyncSource};
use pipectl::error::Result;
use pipectl::sync::{Ended, Progress};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Copy the tables, then follow their changes
///
/// What is missing is made: publication, slot, database, tables. After a restart it goes on where it was, also in the middle of the copy.
/// Ctrl-C stores the open batch and ends with 0; a second one stops at once.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// End as soon as all that Postgres had written at the start is stored; exit 7 if tables are parked then
    #[arg(long)]
    until_caught_up: bool,
    /// Only these tables, by their names in Postgres
    #[arg(long, value_delimiter = ',', value_name = "TABLE,…")]
    tables: Vec<String>,
    /// Serve /metrics, /healthz, /readyz and /status.json at this address, such as 127.0.0.1:8080
    #[arg(long, value_name = "ADDR")]
    http: Option<std::net::SocketAddr>,
    /// How long to wait for open transactions when the replication slot is made, such as 60s [default: without end]
    #[arg(long, value_name = "TIME", value_parser = super::duration::duration)]
    slot_timeout: Option<Duration>,
    /// Begin the first copy even where ClickHouse's disk seems too small for it; read what is there of a topic whose older records are gone
    #[arg(long)]
    force: bool,
    /// Where changes come from: Postgres' logical replication, or Debezium's topics; goes before `sync.source`
    #[arg(long, value_name = "SOURCE")]
    source: Option<Source>,
    /// From Kafka: end with exit code 7 once more records than this wait as dead letters [default: without end]
    #[arg(long, value_name = "N")]
    max_dead_letters: Option<u64>,
}

/// Where changes come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Source {
    /// Postgres' logical replication
    Postgres,
    /// Debezium's topics
    Kafka,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<ExitCode> {
    let mut settings = context.settings()?;
    settings.sync.source = match args.source {
        Some(Source::Postgres) => SyncSource::Postgres,
        Some(Source::Kafka) => SyncSource::Kafka,
        None => settings.sync.source,
    };
    let mut working = Working::new(context)?;
    let progress = Arc::clone(working.progress());
    let options = SyncOptions {
        until_caught_up: args.until_caught_up,
        tables: args.tables,
        slot_timeout: args.slot_timeout.or(settings.sync.slot_timeout),
        force: args.force,
        max_dead_letters: args.max_dead_letters,
        until_ends: false,
    };
    let _server = match args.http {
        Some(address) => Some(pipectl::http::serve(address, &settings.pipeline, Arc::clone(&progress)).await?),
        None => None,
    };
    let stopping = working.stopping();
    let work = assemble::sync(&settings, &options, &progress, &stopping);
    let farewell = "stopping: the open batch is stored and acknowledged; a second signal stops at once";
    let Worked { result, signalled } = match Box::pin(working.run(work, farewell)).await {
        Ok(worked) => worked,
        Err(code) => return Ok(code),
    };
    let ended = result?;
    let told = summary(&settings, &progress, ended, &context.output);
    if ended == Ended::CaughtUp {
        assemble::refuse_parked(&progress)?;
    }
    told?;
    match ended {
        Ended::Stopped if options.until_caught_up => Ok(ExitCode::from(signalled.unwrap_or(1))),
        Ended::Stopped | Ended::CaughtUp => Ok(ExitCode::SUCCESS),
    }
}

fn summary(settings: &Settings, progress: &Progress, ended: Ended, output: &Output) -> Result<()> {
    let number = |value: &AtomicU64| value.load(Ordering::Relaxed);
    let confirmed = pipectl::change::Lsn(number(&progress.confirmed));
    let how = match ended {
        Ended::CaughtUp => "caught up",
        Ended::Stopped => "stopped",
    };
    // Through Kafka what is complete is told by offsets, not by a place in the log.
    let up_to = if confirmed.0 == 0 { String::new() } else { format!(", complete up to {confirmed}") };
    output.message(&format!(
        "{}: {how}; {} rows copied, {} rows of changes stored{up_to}",
        settings.pipeline,
        number(&progress.copied_rows),
        number(&progress.changed_rows),
    ));
    for (name, table) in progress.tables() {
        for (column, count) in table.policy_nulls {
            output.message(&format!("{name}.{column}: {count} values that ClickHouse cannot hold are NULL"));
        }
    }
    let dead = number(&progress.dead_letters);
    if dead > 0 {
        output.message(&format!(
            "{dead} records are set aside and not stored: `pipectl dead-letters list` tells which and why, `pipectl dead-letters replay` tries them again"
        ));
    }
    if !output.is_json() {
        return Ok(());
    }
    output.json(&serde_json::json!({
        "version": 1,
        "pipeline": settings.pipeline,
        "ended": how,
        "copied_rows": number(&progress.copied_rows),
        "copied_bytes": number(&progress.copied_bytes),
        "changed_rows": number(&progress.changed_rows),
        "batches": number(&progress.groups),
        "bytes": number(&progress.bytes),
        "confirmed_lsn": confirmed.to_string(),
        "dead_letters": dead,
    }))
}
