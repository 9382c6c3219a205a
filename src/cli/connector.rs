//! `pipectl connector`.

use super::Context;
use super::confirm::confirm;
use super::connector_summary as summary;
use super::duration::duration;
use clap::Subcommand;
use pipectl::assemble::connector::{self, Applied, ApplyOptions, ConnectorPlan, Order, RemoveOptions};
use pipectl::config::Settings;
use pipectl::error::Result;
use pipectl::sync::Progress;
use serde_json::json;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// Exit code of a difference that `--check` found, and of a connector that does not run.
const FOUND: u8 = 4;

/// Make, watch and remove the Debezium connector in Kafka Connect
///
/// Its configuration follows from the pipeline's: the tables, the publication and the slot, and settings that lose nothing on the way.
/// `kafka.connector` sets any property of Debezium's otherwise.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    Apply(Apply),
    /// Show connector, tasks, their errors, slot and topics; exit 4 where it does not run
    Status,
    /// Start it and its tasks again
    Restart,
    /// Have it wait; its slot holds the write-ahead log back meanwhile
    Pause,
    /// Have it go on
    Resume,
    Delete(Delete),
}

/// Make the publication and the connector, or change them where they differ
///
/// A connector that is there already and differs is shown first, property by property, and changed after a yes.
#[derive(Debug, clap::Args)]
struct Apply {
    #[command(flatten)]
    only: Only,
    /// Do not ask before an existing connector is changed
    #[arg(long)]
    yes: bool,
    /// Go on from a slot that is there already
    #[arg(long)]
    use_existing_slot: bool,
    /// How long to wait until it streams, such as 90s
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = duration)]
    wait: Duration,
    /// Do not wait
    #[arg(long, conflicts_with = "wait")]
    no_wait: bool,
}

/// Looking without doing.
#[derive(Debug, clap::Args)]
struct Only {
    /// Print the connector's configuration; change nothing
    #[arg(long, conflicts_with = "check")]
    dry_run: bool,
    /// Change nothing; exit 4 where the connector is missing or differs, or its publication lacks something
    #[arg(long)]
    check: bool,
}

/// Remove the connector, and what it stored of its position
#[derive(Debug, clap::Args)]
struct Delete {
    /// Drop its replication slot too: changes from now on are lost to it
    #[arg(long)]
    drop_slot: bool,
    /// Drop its publication too
    #[arg(long)]
    drop_publication: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<ExitCode> {
    let settings = context.settings()?;
    match args.action {
        Action::Apply(apply) => Box::pin(run_apply(&apply, &settings, context)).await,
        Action::Status => status(&settings, context).await,
        Action::Restart => order(&settings, Order::Restart, "restarted", context).await,
        Action::Pause => order(&settings, Order::Pause, "paused", context).await,
        Action::Resume => order(&settings, Order::Resume, "resumed", context).await,
        Action::Delete(delete) => run_delete(&delete, &settings, context).await,
    }
}

async fn run_apply(args: &Apply, settings: &Settings, context: &Context) -> Result<ExitCode> {
    let wait = (!args.no_wait).then_some(args.wait);
    let options = ApplyOptions { use_existing_slot: args.use_existing_slot, wait, ..ApplyOptions::default() };
    let plan = connector::plan(settings, &options).await?;
    let output = &context.output;
    for note in &plan.notes {
        output.message(&format!("warning: {note}"));
    }
    if args.only.dry_run || args.only.check {
        let differs = args.only.check && !plan.is_as_configured();
        if output.is_json() {
            output.json(&summary::plan_document(&plan))?;
        } else {
            output.data(&if args.only.check { summary::check_text(&plan) } else { summary::config_text(&plan) })?;
        }
        return Ok(if differs { ExitCode::from(FOUND) } else { ExitCode::SUCCESS });
    }
    if plan.existing.is_some() && !plan.differences.is_empty() {
        output.message(&summary::check_text(&plan));
        confirm(context, "change the connector? it is started again with the new configuration", args.yes)?;
    }
    let applied = told(context, |progress| async move {
        connector::apply(settings, &plan, &options, &progress).await.map(|applied| (applied, plan))
    })
    .await?;
    say_applied(applied.0, &applied.1, context)?;
    Ok(ExitCode::SUCCESS)
}

/// Does something whose notes are printed as they come.
async fn told<T, F: Future<Output = Result<T>>>(context: &Context, work: impl FnOnce(Arc<Progress>) -> F) -> Result<T> {
    let (say, mut notes) = mpsc::unbounded_channel::<String>();
    let mut work = std::pin::pin!(work(Progress::new(move |text| drop(say.send(text.to_owned())))));
    loop {
        tokio::select! {
            biased;
            Some(note) = notes.recv() => context.output.message(&note),
            done = &mut work => {
                while let Ok(note) = notes.try_recv() {
                    context.output.message(&note);
                }
                return done;
            }
        }
    }
}

fn say_applied(applied: Applied, plan: &ConnectorPlan, context: &Context) -> Result<()> {
    let action = match (&plan.existing, plan.differences.is_empty()) {
        (None, _) => "created",
        (Some(_), false) => "changed",
        (Some(_), true) => "unchanged",
    };
    let state = match applied {
        Applied::Streaming => "streaming",
        Applied::Copying => "copying",
        Applied::NotAwaited => "not awaited",
    };
    if context.output.is_json() {
        let mut document = summary::plan_document(plan);
        if let Some(document) = document.as_object_mut() {
            document.insert("action".to_owned(), json!(action));
            document.insert("state".to_owned(), json!(state));
        }
        return context.output.json(&document);
    }
    let more = match applied {
        Applied::Streaming => "it streams",
        Applied::Copying => "it copies the tables as they are; `pipectl connector status` shows when it streams",
        Applied::NotAwaited => "not waited for",
    };
    context.output.message(&format!("connector \"{}\" is as configured ({action}): {more}", plan.name));
    Ok(())
}

async fn status(settings: &Settings, context: &Context) -> Result<ExitCode> {
    let report = connector::report(settings).await?;
    if context.output.is_json() {
        context.output.json(&summary::report_document(&report))?;
    } else {
        context.output.data(&summary::report_text(&report))?;
    }
    Ok(if report.running() { ExitCode::SUCCESS } else { ExitCode::from(FOUND) })
}

async fn order(settings: &Settings, order: Order, done: &str, context: &Context) -> Result<ExitCode> {
    connector::order(settings, order).await?;
    let name = settings.connector_name();
    if context.output.is_json() {
        context.output.json(&json!({ "version": 1, "connector": name, "action": done }))?;
    } else {
        context.output.message(&format!("connector \"{name}\" is {done}"));
    }
    Ok(ExitCode::SUCCESS)
}

async fn run_delete(args: &Delete, settings: &Settings, context: &Context) -> Result<ExitCode> {
    let mut going = vec![format!("connector \"{}\"", settings.connector_name())];
    if let Some(postgres) = &settings.postgres {
        going.extend(args.drop_slot.then(|| format!("replication slot \"{}\"", postgres.slot)));
        going.extend(args.drop_publication.then(|| format!("publication \"{}\"", postgres.publication)));
    }
    confirm(context, &format!("remove {}?", going.join(", ")), args.yes)?;
    let options = RemoveOptions { slot: args.drop_slot, publication: args.drop_publication };
    let removed = connector::remove(settings, options).await?;
    if removed.connector.is_some() && !removed.offsets {
        context.output.message(
            "warning: this Connect (before Kafka 3.6) keeps the connector's stored offset: a new connector of this name goes on from there",
        );
    }
    if context.output.is_json() {
        context.output.json(&json!({
            "version": 1,
            "connector": removed.connector,
            "offsets": removed.offsets,
            "slot": removed.slot,
            "publication": removed.publication,
        }))?;
    } else {
        context.output.data("removed\n")?;
    }
    Ok(ExitCode::SUCCESS)
}
