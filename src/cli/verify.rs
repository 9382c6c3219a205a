//! `pipectl verify`: are both sides equal?

use super::Context;
use super::output::Output;
use super::progress::Bar;
use super::verify_summary::summarize;
use clap::Args;
use pipectl::config;
use pipectl::error::{Error, Kind, Result};
use pipectl::server::postgres::connect;
use pipectl::verify::{Event, Options, select, verify};
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The exit code where the sides differ.
const FOUND: u8 = 4;

/// Arguments of `pipectl verify`.
#[derive(Debug, Args)]
#[command(after_help = "Exit code 4 if anything differs, or if sync does not catch up within --wait.

Examples:
  pipectl verify
  pipectl verify --table public.orders --table 'sales.*' --show-values
  pipectl verify --sample 1% --output json")]
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
    let Arguments { sample, limit, show_values, strict, wait, .. } = arguments;
    let options = Options { sample, limit: usize::from(limit), strict, show_values, wait };
    let board = Board { output: &context.output, sample, bar: Mutex::default() };
    let report = verify(&settings, &selected.tables, &options, &|event: Event<'_>| board.draw(event)).await?;
    drop(board);
    summarize(&report, &options, &context.output)?;
    Ok(if report.equal { ExitCode::SUCCESS } else { ExitCode::from(FOUND) })
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
