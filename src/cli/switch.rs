//! `pipectl switch`.

use super::Context;
use super::working::{Worked, Working};
use pipectl::assemble;
use pipectl::config::SyncSource;
use pipectl::error::Result;
use serde_json::json;
use std::process::ExitCode;
use std::sync::Arc;

/// Change the transport of the pipeline, without copying anything again
///
/// The tables stay as they are, and so does the replication slot. `sync` must be stopped, on either side; what still runs is named. A switch that was broken off goes on
/// when it is run again.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The side that changes come from afterwards
    #[arg(long, value_name = "SOURCE")]
    to: Side,
    /// Say the steps and do none
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Side {
    /// Postgres' logical replication, directly
    Postgres,
    /// Debezium's topics; makes the connector, or changes the one that is there
    Kafka,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<ExitCode> {
    let settings = context.settings()?;
    let (to, name) = match args.to {
        Side::Postgres => (SyncSource::Postgres, "postgres"),
        Side::Kafka => (SyncSource::Kafka, "kafka"),
    };
    let mut working = Working::new(context)?;
    let (progress, stopping) = (Arc::clone(working.progress()), working.stopping());
    let work = assemble::switch(&settings, to, args.dry_run, (&progress, &stopping));
    let farewell = "stopping: the switch goes on when it is run again";
    let Worked { result, signalled } = match Box::pin(working.run(work, farewell)).await {
        Ok(worked) => worked,
        Err(code) => return Ok(code),
    };
    if let (Some(code), Err(error)) = (signalled, &result) {
        context.output.message(&error.to_string());
        return Ok(ExitCode::from(code));
    }
    let steps = result?.steps;
    if context.output.is_json() {
        context.output.json(&json!({
            "version": 1,
            "pipeline": settings.pipeline,
            "to": name,
            "dry_run": args.dry_run,
            "steps": steps,
        }))?;
    } else if steps.is_empty() {
        context.output.data(&format!("changes come from {name} already\n"))?;
    } else if args.dry_run {
        let numbered: Vec<String> =
            steps.iter().enumerate().map(|(index, step)| format!("{}. {step}", index + 1)).collect();
        context.output.data(&numbered.join("\n"))?;
    } else {
        context.output.data(&format!("changes come from {name} now\n"))?;
    }
    Ok(ExitCode::SUCCESS)
}
