//! `pipectl seed`: made-up data for Postgres.

use super::Context;
use super::confirm::confirm;
use super::duration::duration;
use super::progress::Bar;
use super::seed_summary::{Done, summarize};
use super::signals::{Ended, Signals};
use clap::Args;
use pipectl::change::TableName;
use pipectl::error::{Error, Kind, Result};
use pipectl::seed::{self, Event, Fill, Live, LiveReport, Mix, Sizes, TableFill};
use pipectl::server::postgres::{Connection, connect};
use std::process::ExitCode;
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// Put fake data into Postgres: a demo shop, a live mix of changes, or rows for a table of yours
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  pipectl seed --create --rows 1000000 --yes
  pipectl seed --live --rate 500 --duration 60s --mix insert=60,update=30,delete=10
  pipectl seed --table public.invoices --rows 10000")]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(crate) struct Arguments {
    /// Add so many rows: to the demo shop, spread over its tables, or to --table
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    rows: Option<u64>,
    /// The same seed makes the same rows
    #[arg(long, value_name = "SEED", default_value_t = 42)]
    random_seed: u64,
    /// Make the demo shop's tables first
    #[arg(long)]
    create: bool,
    /// Empty the demo shop's tables first
    #[arg(long)]
    truncate: bool,
    /// Take the demo shop's tables away
    #[arg(long, conflicts_with_all = ["rows", "create", "truncate", "live", "table"])]
    drop: bool,
    /// Fill this table instead of the demo shop: schema.table
    #[arg(long, value_name = "TABLE", requires = "rows", conflicts_with_all = ["create", "truncate", "live"])]
    table: Option<String>,
    /// Change the demo shop, after --rows if they are given, until --duration is over or Ctrl-C
    #[arg(long)]
    live: bool,
    /// Changed rows a second, with --live
    #[arg(long, value_name = "N", default_value_t = 100, requires = "live", value_parser = clap::value_parser!(u32).range(1..))]
    rate: u32,
    /// How long, with --live: 90s, 5m, 1h
    #[arg(long, value_name = "TIME", requires = "live", value_parser = duration)]
    duration: Option<Duration>,
    /// Shares of the changed rows, with --live
    #[arg(long, value_name = "SHARES", default_value = "insert=60,update=30,delete=10", requires = "live", value_parser = mix)]
    mix: Mix,
    /// Do not ask before making, emptying or dropping tables
    #[arg(short, long)]
    yes: bool,
}

/// Runs the verb.
pub(crate) async fn run(arguments: Arguments, context: &Context) -> Result<ExitCode> {
    if !(arguments.create || arguments.truncate || arguments.drop || arguments.live || arguments.rows.is_some()) {
        return Err(Error::new(Kind::Usage, "there is nothing to do")
            .hint("say how many rows: `pipectl seed --create --rows 100000`; more in `pipectl seed --help`"));
    }
    let sizes = match (&arguments.table, arguments.rows) {
        (None, Some(rows)) => Some(Sizes::spread(rows)?),
        _ => None,
    };
    let mut signals = Signals::new()?;
    let connection = connect(&context.postgres()?).await?;
    let mut done = Done::default();
    let started = Instant::now();
    prepare(&arguments, context, &connection, &mut done).await?;
    if let Some(sizes) = sizes {
        let mut board = Board::new(context, "shop");
        let fill = Fill { sizes, seed: arguments.random_seed };
        let mut draw = |event: Event<'_>| board.draw(event);
        let work = seed::fill(&connection, fill, &mut draw);
        match signals.until(work).await? {
            Ended::Finished(tables) => done.tables = tables,
            Ended::Signalled(code) => done.given_up = Some(code),
        }
    }
    if let Some(table) = &arguments.table {
        fill_table(&arguments, table, context, (&mut signals, &connection), &mut done).await?;
    }
    if arguments.live && done.given_up.is_none() {
        live(&arguments, context, (&mut signals, &connection), &mut done).await?;
    }
    summarize(&done, started.elapsed(), &context.output)?;
    Ok(done.given_up.map_or(ExitCode::SUCCESS, ExitCode::from))
}

async fn prepare(arguments: &Arguments, context: &Context, connection: &Connection, done: &mut Done) -> Result<()> {
    if arguments.drop {
        confirm(context, "take the demo shop's tables away, with all their rows?", arguments.yes)?;
        seed::drop(connection).await?;
        done.dropped = true;
    }
    if arguments.create {
        confirm(context, "make the demo shop's tables in schema \"public\"?", arguments.yes)?;
        done.created = seed::create(connection).await?;
    }
    // Tables that were just made are empty.
    if arguments.truncate && !done.created {
        confirm(context, "empty all tables of the demo shop?", arguments.yes)?;
        seed::truncate(connection).await?;
        done.truncated = true;
    }
    Ok(())
}

async fn fill_table(
    arguments: &Arguments,
    table: &str,
    context: &Context,
    (signals, connection): (&mut Signals, &Connection),
    done: &mut Done,
) -> Result<()> {
    let table = match table.split_once('.') {
        Some((schema, name)) => TableName::new(schema, name),
        None => TableName::new("public", table),
    };
    let fill = TableFill { table, rows: arguments.rows.unwrap_or(0), seed: arguments.random_seed };
    let plan = seed::plan_table(connection, fill).await?;
    for left in plan.left_out() {
        let seed::LeftOut { column, why, instead } = left;
        context.output.message(&format!("column \"{column}\" gets {instead}: {why}"));
    }
    done.left_out = plan.left_out().to_vec();
    let mut board = Board::new(context, "rows");
    let mut draw = |event: Event<'_>| board.draw(event);
    let work = seed::fill_table(connection, plan, &mut draw);
    match signals.until(work).await? {
        Ended::Finished(rows) => done.tables.push(rows),
        Ended::Signalled(code) => done.given_up = Some(code),
    }
    Ok(())
}

async fn live(
    arguments: &Arguments,
    context: &Context,
    (signals, connection): (&mut Signals, &Connection),
    done: &mut Done,
) -> Result<()> {
    let Arguments { rate, duration, mix, random_seed: seed, .. } = *arguments;
    let bar = context.output.bar("live", "changes", None);
    let mut draw = |report: &LiveReport| {
        bar.set(report.rows());
        let LiveReport { inserts, updates, deletes, .. } = report;
        bar.remark(format!("{inserts} inserts, {updates} updates, {deletes} deletes"));
    };
    let stop = Notify::new();
    let work = seed::live(connection, Live { rate, duration, mix, seed }, stop.notified(), &mut draw);
    match signals.stop_first(work, &stop).await? {
        Ended::Finished(report) => done.live = Some(report),
        Ended::Signalled(code) => done.given_up = Some(code),
    }
    Ok(())
}

/// The bar of a fill.
struct Board {
    bar: Bar,
    total: u64,
    table: String,
}

impl Board {
    fn new(context: &Context, label: &str) -> Self {
        Self { bar: context.output.bar(label, "rows", None), total: 0, table: String::new() }
    }

    fn draw(&mut self, event: Event<'_>) {
        match event {
            Event::Planned { rows, .. } => {
                self.total += rows;
                self.bar.set_total(self.total);
            }
            Event::Rows { table, rows } => {
                self.bar.add(rows);
                if self.table != table {
                    table.clone_into(&mut self.table);
                    self.bar.remark(table);
                }
            }
        }
    }
}

fn mix(text: &str) -> Result<Mix, String> {
    text.parse().map_err(|error: Error| error.to_string())
}
