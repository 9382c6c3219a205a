//! `pipectl doctor`: draws the checks, and with `--fix` shows each statement before it is run.

use super::Context;
use super::output::Output;
use comfy_table::modifiers::UTF8_ROUND_CORNERS;
use comfy_table::{Cell, Color, ContentArrangement, Table, presets};
use pipectl::doctor::{self, Check, Mended, Outcome, Part, Place, Remedy, Report};
use pipectl::error::Result;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::IsTerminal;
use std::process::ExitCode;

/// The exit code where a check failed.
const FOUND: u8 = 4;

/// The groups in the order in which they are drawn.
const PARTS: [(Part, &str); 6] = [
    (Part::Configuration, "Configuration"),
    (Part::Postgres, "Postgres"),
    (Part::ClickHouse, "ClickHouse"),
    (Part::Kafka, "Kafka"),
    (Part::Connect, "Kafka Connect"),
    (Part::Pipeline, "Pipeline"),
];

/// Arguments of `pipectl doctor`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Do what can be done without a restart and without another role; each statement is shown before it is run
    #[arg(long)]
    fix: bool,
}

/// Makes the checks and draws them.
///
/// # Errors
/// Where the configuration cannot be read; a server that is down is a finding.
pub(crate) async fn run(arguments: Arguments, context: &Context) -> Result<ExitCode> {
    let settings = context.settings()?;
    let output = &context.output;
    let mut report = doctor::examine(&settings).await;
    let mut mended = Vec::new();
    if arguments.fix {
        let announce = |place: Place, statement: &str| output.message(&format!("{}: {statement}", place_name(place)));
        mended = doctor::mend(&settings, &report, &announce).await;
        for failed in mended.iter().filter_map(|one| Some((one, one.error.as_ref()?))) {
            output.message(&format!("{}: not done: {}", failed.0.check, failed.1));
        }
        if mended.is_empty() {
            output.message("there is nothing that --fix could do");
        } else {
            report = doctor::examine(&settings).await;
        }
    }
    if output.is_json() {
        output.json(&document(&report, &mended))?;
    } else {
        output.data(&text(&report, output))?;
    }
    Ok(if report.failed() { ExitCode::from(FOUND) } else { ExitCode::SUCCESS })
}

fn place_name(place: Place) -> &'static str {
    match place {
        Place::Postgres => "postgres",
        Place::ClickHouse => "clickhouse",
        Place::Hand => "by hand",
    }
}

fn document(report: &Report, mended: &[Mended]) -> Value {
    let summary = report.summary();
    json!({
        "version": 1,
        "pipeline": report.pipeline,
        "checks": report.checks.iter().map(check_document).collect::<Vec<_>>(),
        "fixed": mended.iter().map(|one| json!({
            "check": one.check,
            "server": place_name(one.place),
            "statement": one.statement,
            "error": one.error,
        })).collect::<Vec<_>>(),
        "summary": {
            "pass": summary.pass,
            "warn": summary.warn,
            "fail": summary.fail,
            "not_run": summary.not_run,
        },
    })
}

fn check_document(check: &Check) -> Value {
    let why = match &check.outcome {
        Outcome::NotRun { why } => Some(why),
        _ => None,
    };
    json!({
        "id": check.id,
        "server": check.part.word(),
        "title": check.title,
        "outcome": check.outcome.word(),
        "why": why,
        "seen": check.seen,
        "needed": check.needed,
        "objects": check.objects,
        "fix": check.remedy.as_ref().map(|remedy| json!({
            "server": place_name(remedy.place),
            "statements": remedy.statements,
            "restart": remedy.restart,
            "automatic": remedy.automatic,
            "note": remedy.note,
        })),
    })
}

fn text(report: &Report, output: &Output) -> String {
    let mut text = String::new();
    let width = report.checks.iter().map(|check| check.id.len()).max().unwrap_or(0);
    for (part, name) in PARTS {
        let checks: Vec<&Check> = report.checks.iter().filter(|check| check.part == part).collect();
        if checks.is_empty() {
            continue;
        }
        if std::io::stdout().is_terminal() {
            text.push_str(&drawn(name, &checks, width, output.color_stdout()));
        } else {
            text.push_str(&plain(name, &checks, width));
        }
        text.push('\n');
    }
    let summary = report.summary();
    let warnings = if summary.warn == 1 { "warning" } else { "warnings" };
    // Writing to a String cannot fail.
    writeln!(
        text,
        "{} passed, {} {warnings}, {} failed, {} not run",
        summary.pass, summary.warn, summary.fail, summary.not_run
    )
    .ok();
    text
}

/// One line a check, its advice right below it.
fn plain(name: &str, checks: &[&Check], width: usize) -> String {
    let mut text = format!("{name}\n");
    for check in checks {
        writeln!(text, "  {:<8} {:<width$}  {}", word(check), check.id, seen(check)).ok();
        for line in advice(check) {
            writeln!(text, "           {line}").ok();
        }
    }
    text
}

/// A table, and the advice below it: lines of statements stay whole, so that they can be copied.
fn drawn(name: &str, checks: &[&Check], width: usize, color: bool) -> String {
    let mut table = Table::new();
    table
        .load_preset(presets::UTF8_FULL_CONDENSED)
        .apply_modifier(UTF8_ROUND_CORNERS)
        .set_content_arrangement(ContentArrangement::Dynamic);
    if color {
        table.enforce_styling();
    } else {
        table.force_no_tty();
    }
    table.set_header(vec!["", name, "seen"]);
    for check in checks {
        let mark = Cell::new(format!("{:<7}", word(check))).fg(shade(&check.outcome));
        table.add_row(vec![mark, Cell::new(format!("{:<width$}", check.id)), Cell::new(seen(check))]);
    }
    let mut text = format!("{table}\n");
    for check in checks {
        let lines = advice(check);
        if lines.is_empty() {
            continue;
        }
        writeln!(text, "\n{} {}: {}", painted(check, color), check.id, seen(check)).ok();
        for line in lines {
            writeln!(text, "  {line}").ok();
        }
    }
    text
}

fn word(check: &Check) -> &'static str {
    match check.outcome {
        Outcome::Pass => "ok",
        Outcome::Warn => "warn",
        Outcome::Fail => "fail",
        Outcome::NotRun { .. } => "not run",
    }
}

/// The word in bold red or yellow, as errors and hints are elsewhere.
fn painted(check: &Check, color: bool) -> String {
    match (color, &check.outcome) {
        (true, Outcome::Fail) => format!("\x1b[1;31m{}\x1b[0m", word(check)),
        (true, Outcome::Warn) => format!("\x1b[1;33m{}\x1b[0m", word(check)),
        _ => word(check).to_owned(),
    }
}

fn shade(outcome: &Outcome) -> Color {
    match outcome {
        Outcome::Pass => Color::Green,
        Outcome::Warn => Color::Yellow,
        Outcome::Fail => Color::Red,
        Outcome::NotRun { .. } => Color::DarkGrey,
    }
}

fn seen(check: &Check) -> &str {
    match &check.outcome {
        Outcome::NotRun { why } => why,
        _ => &check.seen,
    }
}

/// What to do about a check that did not pass.
fn advice(check: &Check) -> Vec<String> {
    if !matches!(check.outcome, Outcome::Warn | Outcome::Fail) {
        return Vec::new();
    }
    let mut lines = vec![format!("needed: {}", check.needed)];
    if let Some(remedy) = &check.remedy {
        lines.extend(mending(remedy));
    }
    lines
}

fn mending(remedy: &Remedy) -> Vec<String> {
    let note = remedy.note.as_deref();
    if remedy.statements.is_empty() {
        return note.map(|note| format!("hint: {note}")).into_iter().collect();
    }
    let how = match (remedy.automatic, remedy.restart) {
        (true, _) => "--fix runs",
        (false, true) => "run, then restart the server",
        (false, false) => "run",
    };
    let place = place_name(remedy.place);
    let mut lines = vec![match note {
        Some(note) => format!("{how} ({place}; {note}):"),
        None => format!("{how} ({place}):"),
    }];
    lines.extend(remedy.statements.iter().map(|statement| format!("  {statement};")));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(outcome: Outcome, remedy: Option<Remedy>) -> Check {
        Check {
            id: "postgres.wal_level",
            part: Part::Postgres,
            title: "wal_level",
            needed: "logical",
            seen: "replica".to_owned(),
            outcome,
            objects: Vec::new(),
            remedy,
        }
    }

    fn restart() -> Remedy {
        Remedy {
            place: Place::Postgres,
            statements: vec!["ALTER SYSTEM SET wal_level = 'logical'".to_owned()],
            restart: true,
            automatic: false,
            note: Some("as a superuser".to_owned()),
        }
    }

    #[test]
    fn a_failure_says_what_is_needed_and_what_to_run() {
        let failed = check(Outcome::Fail, Some(restart()));
        assert_eq!(
            plain("Postgres", &[&failed], 18),
            "Postgres\n  fail     postgres.wal_level  replica\n           needed: logical\n           \
             run, then restart the server (postgres; as a superuser):\n             \
             ALTER SYSTEM SET wal_level = 'logical';\n"
        );
        assert!(drawn("Postgres", &[&failed], 20, false).contains("ALTER SYSTEM SET wal_level = 'logical';"));
    }

    #[test]
    fn a_check_that_was_not_run_has_no_advice_but_a_reason() {
        let not_run = check(Outcome::NotRun { why: "postgres.reachable failed".to_owned() }, None);
        assert_eq!(
            plain("Postgres", &[&not_run], 18),
            "Postgres\n  not run  postgres.wal_level  postgres.reachable failed\n"
        );
        assert_eq!(check_document(&not_run)["why"], "postgres.reachable failed");
    }
}
