//! `pipectl drop`.

use super::Context;
use super::confirm::confirm;
use pipectl::assemble::{self, Made};
use pipectl::error::Result;
use serde_json::json;
use std::process::ExitCode;

/// Take away what pipectl made: connector, slot, publications, stored state, dead letters
///
/// Lists what there is and asks first. A publication that somebody else made stays, and so do the tables in ClickHouse, unless --tables is
/// given.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Drop the tables in ClickHouse too, with all their rows
    #[arg(long)]
    tables: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<ExitCode> {
    let settings = context.settings()?;
    let made = assemble::made(&settings).await?;
    for line in lines(&made, args.tables) {
        context.output.message(&line);
    }
    confirm(context, "remove all this?", args.yes)?;
    let removed = assemble::remove(&settings, args.tables).await?;
    if context.output.is_json() {
        context.output.json(&json!({
            "version": 1,
            "connector": removed.connector,
            "slot": removed.slot,
            "publications": removed.publications,
            "state": removed.state,
            "dead_letters": removed.dead_letters,
            "tables": removed.tables,
            "views": removed.views,
        }))?;
    } else {
        context.output.data("removed\n")?;
    }
    Ok(ExitCode::SUCCESS)
}

fn lines(made: &Made, tables: bool) -> Vec<String> {
    let mut lines = Vec::new();
    lines.extend(made.connector.iter().map(|name| format!("connector \"{name}\" in Kafka Connect")));
    lines.extend(made.slot.iter().map(|slot| format!("replication slot \"{slot}\"")));
    lines.extend(made.publications.iter().map(|name| format!("publication \"{name}\"")));
    lines.extend(
        made.foreign_publications.iter().map(|name| format!("(publication \"{name}\" stays: pipectl did not make it)")),
    );
    if made.state {
        lines.push("the pipeline's stored state".to_owned());
    }
    if made.dead_letters > 0 {
        lines.push(format!("{} records that were set aside (`pipectl dead-letters list`)", made.dead_letters));
    }
    lines.extend(made.tables.iter().map(|name| {
        if tables {
            format!("table \"{name}\" in ClickHouse")
        } else {
            format!("(table \"{name}\" stays in ClickHouse)")
        }
    }));
    lines.extend(made.views.iter().filter(|_| tables).map(|name| format!("view \"{name}\" in ClickHouse")));
    lines
}
