//! `pipectl resync`.

use super::Context;
use super::signals::Signals;
use super::sync::View;
use pipectl::assemble::{self, Resync};
use pipectl::error::Result;
use pipectl::sync::Progress;
use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};

/// Copy tables again, beside the old ones, and exchange them
///
/// Each goes into a shadow table that takes the old one's place when it is complete: readers see the old rows until then. No sync may run
/// meanwhile; the next one goes on where the last one was.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The tables, by their names in Postgres
    #[arg(value_name = "TABLE", required_unless_present = "all")]
    tables: Vec<String>,
    /// All tables, under a new replication slot: the way out where slot and stored position no longer join
    #[arg(long, conflicts_with = "tables")]
    all: bool,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<ExitCode> {
    let settings = context.settings()?;
    let which = if args.all { Resync::All } else { Resync::Tables(args.tables) };
    let mut signals = Signals::new()?;
    let (stop, stopping) = watch::channel(false);
    let (say, notes) = mpsc::unbounded_channel::<String>();
    let progress = Progress::new(move |text| drop(say.send(text.to_owned())));
    let mut view = View::new(context, Arc::clone(&progress), notes);
    let mut work = pin!(assemble::resync(&settings, &which, &progress, &stopping));
    let mut signalled = None;
    let copied = loop {
        tokio::select! {
            copied = &mut work => break copied,
            () = view.turn() => {}
            code = signals.next() => {
                if signalled.is_some() {
                    return Ok(ExitCode::from(code));
                }
                signalled = Some(code);
                context.output.message("stopping: the tables keep their old rows");
                stop.send_replace(true);
            }
        }
    };
    view.finish();
    if let (Some(code), Err(error)) = (signalled, &copied) {
        context.output.message(&error.to_string());
        return Ok(ExitCode::from(code));
    }
    let rows = copied?;
    if context.output.is_json() {
        context
            .output
            .json(&serde_json::json!({ "version": 1, "pipeline": settings.pipeline, "copied_rows": rows }))?;
    } else {
        context.output.data(&format!("{rows} rows copied again\n"))?;
    }
    Ok(ExitCode::SUCCESS)
}
