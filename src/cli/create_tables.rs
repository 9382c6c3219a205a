//! `pipectl create-tables`.

use super::Context;
use pipectl::config::Settings;
use pipectl::error::{Error, Kind, Result};
use pipectl::server::{clickhouse, postgres};
use pipectl::tables::{self, Action, Plan, Step};
use serde_json::{Value, json};
use std::process::ExitCode;

/// Make the ClickHouse tables that the configuration asks for
///
/// Tables are read from Postgres' catalog, or written out in the configuration. What is missing is made: the database, tables, columns,
/// views; then `statements` are run. Nothing is ever dropped.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Print the SQL that would be run, and what each mapping can lose; run nothing
    #[arg(long, conflicts_with = "check")]
    dry_run: bool,
    /// Change nothing; exit 4 where ClickHouse is not as configured
    #[arg(long)]
    check: bool,
}

/// Exit code of a difference that `--check` found.
const DIFFERS: u8 = 4;

/// Plans, and does it unless told otherwise.
pub(crate) async fn run(arguments: Arguments, context: &Context) -> Result<ExitCode> {
    let settings = context.settings()?;
    let server = clickhouse::connect(&settings.clickhouse)?;
    let session = session(&settings).await?;
    let facts = tables::gather(&settings, session.as_deref(), &server).await?;
    let plan = tables::plan(&settings, &facts);
    drop(session);
    for warning in &plan.warnings {
        context.output.message(&format!("warning: {warning}"));
    }
    if arguments.check {
        return check(&plan, &settings, context);
    }
    if arguments.dry_run {
        if context.output.is_json() {
            context.output.json(&document(&plan, &settings, false))?;
        } else {
            context.output.data(&script(&plan))?;
        }
        plan.refused()?;
        return Ok(ExitCode::SUCCESS);
    }
    for (table, loss) in &plan.losses {
        tracing::info!("{table}.{}: {}", loss.column, loss.what);
    }
    tables::apply(&plan, &server, |step| context.output.message(&step.to_string())).await?;
    if context.output.is_json() {
        context.output.json(&document(&plan, &settings, true))?;
    } else {
        context.output.message(&summary(&plan, &settings));
    }
    Ok(ExitCode::SUCCESS)
}

/// A session with Postgres, where something has to be looked up in it.
async fn session(settings: &Settings) -> Result<Option<postgres::Connection>> {
    if !tables::needs_postgres(settings) {
        return Ok(None);
    }
    let postgres = settings.postgres.as_ref().ok_or_else(|| {
        Error::new(Kind::Config, "`tables` names tables of Postgres, but `postgres` is not configured")
            .hint("set `postgres.url`, or write the tables out (`columns` as a list of name and type)")
    })?;
    Ok(Some(postgres::connect(postgres).await?))
}

/// Reports what differs. A mistake in the configuration is an error; a table that is another one is a difference.
fn check(plan: &Plan, settings: &Settings, context: &Context) -> Result<ExitCode> {
    if plan.refusals.iter().any(|refusal| refusal.error.kind() == Kind::Config) {
        plan.refused()?;
    }
    if context.output.is_json() {
        context.output.json(&document(plan, settings, false))?;
    } else if plan.is_done() {
        context.output.data("ClickHouse is as configured")?;
    } else {
        let missing = plan.steps.iter().map(missing);
        let others = plan.refusals.iter().map(tables::Refusal::reason);
        context.output.data(&missing.chain(others).collect::<Vec<_>>().join("\n"))?;
    }
    Ok(if plan.is_done() { ExitCode::SUCCESS } else { ExitCode::from(DIFFERS) })
}

/// The plan as SQL that could be run as it is; what may be lost stands in comments.
fn script(plan: &Plan) -> String {
    let losses = plan
        .losses
        .iter()
        .map(|(table, loss)| format!("-- lossy: {}.{}: {}", one_line(table), one_line(&loss.column), loss.what));
    let steps = plan.steps.iter().flat_map(|step| &step.statements).map(|statement| format!("{statement};"));
    let statements = plan.statements.iter().map(|statement| {
        format!("-- statement: {}\n{};", one_line(&statement.name), statement.sql.trim().trim_end_matches(';'))
    });
    let parts: Vec<String> = losses.chain(steps).chain(statements).collect();
    if parts.is_empty() { "-- nothing to do".to_owned() } else { parts.join("\n") }
}

/// A name must not end the comment that it stands in.
fn one_line(name: &str) -> String {
    name.replace(['\n', '\r'], " ")
}

fn missing(step: &Step) -> String {
    let target = &step.target;
    match &step.action {
        Action::CreateDatabase => format!("database {target} is missing"),
        Action::CreateTable => format!("table {target} is missing"),
        Action::AddColumn(column) => format!("column {column} of {target} is missing"),
        Action::WidenColumn(column) => format!("column {column} of {target} has a narrower type"),
        Action::DescribeColumn(column) => format!("column {column} of {target} does not say what it holds"),
        Action::CreateView => format!("view {target} is missing or has other columns"),
    }
}

fn summary(plan: &Plan, settings: &Settings) -> String {
    let count = |wanted: fn(&Action) -> bool| plan.steps.iter().filter(|step| wanted(&step.action)).count();
    let parts = [
        (count(|action| matches!(action, Action::CreateTable)), "table created", "tables created"),
        (count(|action| matches!(action, Action::AddColumn(_))), "column added", "columns added"),
        (count(|action| matches!(action, Action::WidenColumn(_))), "column widened", "columns widened"),
        (count(|action| matches!(action, Action::DescribeColumn(_))), "column described", "columns described"),
        (count(|action| matches!(action, Action::CreateView)), "view created", "views created"),
        (plan.statements.len(), "statement run", "statements run"),
    ];
    let parts: Vec<String> = parts
        .iter()
        .filter(|(count, ..)| *count > 0)
        .map(|(count, one, many)| format!("{count} {}", if *count == 1 { one } else { many }))
        .collect();
    let database = &settings.clickhouse.database;
    if parts.is_empty() {
        format!("database {database} is as configured: nothing to do")
    } else {
        format!("database {database}: {}", parts.join(", "))
    }
}

/// The plan for programs.
fn document(plan: &Plan, settings: &Settings, applied: bool) -> Value {
    let step = |step: &Step| {
        let (action, column) = match &step.action {
            Action::CreateDatabase => ("create_database", None),
            Action::CreateTable => ("create_table", None),
            Action::AddColumn(column) => ("add_column", Some(column)),
            Action::WidenColumn(column) => ("widen_column", Some(column)),
            Action::DescribeColumn(column) => ("describe_column", Some(column)),
            Action::CreateView => ("create_view", None),
        };
        json!({ "action": action, "target": step.target, "column": column, "statements": step.statements })
    };
    json!({
        "version": 1,
        "pipeline": settings.pipeline,
        "database": settings.clickhouse.database,
        "applied": applied,
        "differs": !plan.is_done(),
        "steps": plan.steps.iter().map(step).collect::<Vec<_>>(),
        "statements": plan.statements.iter().map(|statement| json!({ "name": statement.name, "sql": statement.sql })).collect::<Vec<_>>(),
        "losses": plan.losses.iter().map(|(table, loss)| json!({ "table": table, "column": loss.column, "what": loss.what })).collect::<Vec<_>>(),
        "warnings": plan.warnings,
        "refusals": plan.refusals.iter().map(|refusal| json!({
            "table": refusal.table,
            "reason": refusal.reason(),
            "hint": refusal.error.hint_text(),
        })).collect::<Vec<_>>(),
    })
}
