//! `pipectl verify`: are both sides equal?

use super::Context;
use super::confirm::confirm;
use super::output::Output;
use super::progress::Bar;
use super::signals::Signals;
use super::verify_summary::summarize;
use clap::Args;
use pipectl::assemble::Repair;
use pipectl::config::{self, Settings};
use pipectl::error::{Error, Kind, Result};
use pipectl::server::postgres::connect;
use pipectl::sync::Progress;
use pipectl::verify::{Event, Options, Report, Table, select, verify, verify_and_mend};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// The exit code where the sides differ.
const FOUND: u8 = 4;
/// How long a repair that is to stop may take to give up its slot.
const GIVE_UP: Duration = Duration::from_secs(2);

/// Arguments of `pipectl verify`.
#[expect(clippy::struct_excessive_bools, reason = "switches of the command line")]
#[derive(Debug, Args)]
#[command(after_help = "Exit code 4 if anything differs, or if sync does not catch up within --wait.

Examples:
  pipectl verify
  pipectl verify --table public.orders --table 'sales.*' --show-values
  pipectl verify --sample 1% --output json
  pipectl verify --table public.orders --repair")]
pub(crate) struct Arguments {
    /// Compare only this table, or those that match this pattern; may be given several times
    #[arg(long = "table", value_name = "TABLE")]
    tables: Vec<String>,
    /// Compare only a part of the rows, chosen by their keys: 1%, or 0.01
    #[arg(long, value_name = "PART", default_value = "100%", value_parser = part)]
    sample: f64,
    /// Name at most so many rows of each table that differ
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u16).range(..=10_000))]
    limit: u16,
    /// Show the values that differ; without it only keys and columns are named
    #[arg(long)]
    show_values: bool,
    /// Count values that ClickHouse cannot hold, and columns that cannot be compared, as differences
    #[arg(long)]
    strict: bool,
    /// Where the sides differ: how long sync may take to pass the moment of the comparison
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = config::duration)]
    wait: Duration,
    /// Write the rows that differ into ClickHouse again, as Postgres has them; sync may run meanwhile
    #[arg(long, conflicts_with = "strict")]
    repair: bool,
    /// With --repair: do not ask
    #[arg(short, long, requires = "repair")]
    yes: bool,
}

/// Compares, and prints what was found.
///
/// # Errors
/// Those of the configuration and of both servers; differences are none.
pub(crate) async fn run(arguments: Arguments, context: &Context) -> Result<ExitCode> {
    let settings = context.settings()?;
    let source = settings.postgres.as_ref().ok_or_else(|| {
        Error::new(Kind::Config, "there is no source to compare with").hint("set `postgres.url` in the configuration")
    })?;
    let selected = select(&settings, &connect(source).await?, &arguments.tables).await?;
    for reason in &selected.left_out {
        context.output.message(reason);
    }
    let Arguments { sample, limit, show_values, strict, wait, repair, yes, .. } = arguments;
    if repair {
        confirm(context, "rows that differ will be written into ClickHouse again, as Postgres has them; go on?", yes)?;
    }
    let options = Options { sample, limit: usize::from(limit), strict, show_values, wait };
    let board = Board { output: &context.output, sample, bar: Mutex::default() };
    let report = if repair {
        match Box::pin(mend(&settings, &selected.tables, &options, (&board, context))).await? {
            Ok(report) => report,
            Err(code) => return Ok(code),
        }
    } else {
        verify(&settings, &selected.tables, &options, &|event: Event<'_>| board.draw(event)).await?
    };
    drop(board);
    summarize(&report, &options, &context.output)?;
    Ok(if report.equal { ExitCode::SUCCESS } else { ExitCode::from(FOUND) })
}

/// Compares, and has what differs mended; the exit code of the signal that ended it, where one did. A slot that is being made is given up
/// first: its session would wait on without its client.
async fn mend(
    settings: &Settings,
    tables: &[Table],
    options: &Options,
    (board, context): (&Board<'_>, &Context),
) -> Result<Result<Report, ExitCode>> {
    let mut signals = Signals::new()?;
    let (stop, stopping) = watch::channel(false);
    let output = context.output.clone();
    let progress = Arc::new(Progress::new(move |text| output.message(text)));
    let draw = |event: Event<'_>| board.draw(event);
    let work = async {
        let mut repair = Repair::begin(settings, &progress, &stopping).await?;
        verify_and_mend(settings, tables, options, &draw, &mut repair).await
    };
    let mut work = std::pin::pin!(work);
    let code = tokio::select! {
        report = &mut work => return report.map(Ok),
        code = signals.next() => code,
    };
    context.output.message("stopping: what is written stays, and is right; the next repair does the rest");
    stop.send_replace(true);
    tokio::time::timeout(GIVE_UP, work).await.ok();
    Ok(Err(ExitCode::from(code)))
}

/// A bar for the table that is being compared.
struct Board<'a> {
    output: &'a Output,
    sample: f64,
    bar: Mutex<Option<Bar>>,
}

impl Board<'_> {
    fn draw(&self, event: Event<'_>) {
        let mut bar = self.bar.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Waiting { behind } => remark(bar.as_ref(), format!("waiting for sync, {behind} bytes behind")),
            Event::Table { name, rows } => {
                // One bar goes before the next comes.
                *bar = None;
                let rows = (rows as f64 * self.sample) as u64;
                *bar = Some(self.output.bar(name, "rows", (rows > 0).then_some(rows)));
            }
            Event::Rows { rows } => {
                if let Some(bar) = &*bar {
                    bar.add(rows);
                }
            }
            Event::Opening { buckets } => remark(bar.as_ref(), format!("opening {buckets} buckets that differ")),
            Event::Again { rows } => remark(bar.as_ref(), format!("looking again at {rows} rows")),
            Event::Mending { rows } => remark(bar.as_ref(), format!("mending {rows} rows")),
            Event::Done(_) => *bar = None,
        }
    }
}

fn remark(bar: Option<&Bar>, text: String) {
    if let Some(bar) = bar {
        bar.remark(text);
    }
}

/// Reads `1%` and `0.01`.
fn part(text: &str) -> Result<f64, String> {
    let (number, unit) = match text.strip_suffix('%') {
        Some(percent) => (percent, 100.0),
        None => (text, 1.0),
    };
    let part = number.trim().parse::<f64>().map(|number| number / unit);
    part.ok()
        .filter(|part| *part > 0.0 && *part <= 1.0)
        .ok_or_else(|| "write a part of all rows: 1%, or 0.01".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_read() {
        assert_eq!(part("1%"), Ok(0.01));
        assert_eq!(part("100%"), Ok(1.0));
        assert_eq!(part("0.25"), Ok(0.25));
        for wrong in ["", "%", "0", "0%", "101%", "2", "-1%", "NaN", "one"] {
            assert!(part(wrong).is_err(), "{wrong}");
        }
    }
}
