//! `pipectl resync`.

use super::Context;
use super::confirm::confirm;
use super::working::{Worked, Working};
use pipectl::assemble::{self, Resync};
use pipectl::error::Result;
use std::process::ExitCode;
use std::sync::Arc;

/// Copy tables again, beside the old ones, and exchange them
///
/// Each goes into a shadow table that takes the old one's place when it is complete: readers see the old rows until then. A running sync is
/// asked to do it while it goes on, and this shows how far it is; Ctrl-C leaves the request standing. Without one it is done here. --all needs sync
/// to be stopped. What a table of `mode: log` tells of the time before goes with the copy, which is asked about first.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The tables, by their names in Postgres
    #[arg(value_name = "TABLE", required_unless_present = "all")]
    tables: Vec<String>,
    /// All tables, under a new replication slot: the way out where slot and stored position no longer join
    #[arg(long, conflicts_with = "tables")]
    all: bool,
    /// Copy at most this many rows a second, so that Postgres has time for others
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    max_rows_per_second: Option<u64>,
    /// Do not ask whether logs may begin anew
    #[arg(long)]
    yes: bool,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<ExitCode> {
    let settings = context.settings()?;
    let which = if args.all { Resync::All } else { Resync::Tables(args.tables) };
    let logs = assemble::histories(&settings, &which).await?;
    if !logs.is_empty() {
        let question = format!(
            "the history that is stored of {} goes, and begins anew with the rows that are there; go on?",
            logs.join(", ")
        );
        confirm(context, &question, args.yes)?;
    }
    let mut working = Working::new(context)?;
    let (progress, stopping) = (Arc::clone(working.progress()), working.stopping());
    let work = assemble::resync(&settings, (&which, args.max_rows_per_second), &progress, &stopping);
    let Worked { result, signalled } =
        match Box::pin(working.run(work, "stopping: tables that are not complete keep their old rows")).await {
            Ok(worked) => worked,
            Err(code) => return Ok(code),
        };
    if let (Some(code), Err(error)) = (signalled, &result) {
        context.output.message(&error.to_string());
        return Ok(ExitCode::from(code));
    }
    let rows = result?;
    if context.output.is_json() {
        context
            .output
            .json(&serde_json::json!({ "version": 1, "pipeline": settings.pipeline, "copied_rows": rows }))?;
    } else {
        context.output.data(&format!("{rows} rows copied again\n"))?;
    }
    Ok(ExitCode::SUCCESS)
}
