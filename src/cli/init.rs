//! `pipectl init`: a first configuration.

use super::Context;
use pipectl::config::{CLICKHOUSE_URL, POSTGRES_URL, load_postgres_without_file};
use pipectl::error::{Error, Kind, Result};
use pipectl::init::{self, Names};
use pipectl::server::postgres;
use serde_json::json;
use std::path::Path;
use std::process::ExitCode;

/// Arguments of `pipectl init`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  pipectl init --postgres-url postgres://user:password@host/database
  POSTGRES_URL=… CLICKHOUSE_URL=… pipectl init --env
  pipectl init --env        (nothing known yet: the passwords of docker-compose.yml)")]
pub(crate) struct Args {
    /// Also write a .env with the connections given (readable by its owner alone); where none is given, write only it, with random
    /// passwords for docker-compose.yml
    #[arg(long)]
    env: bool,
    /// The pipeline's name [default: the Postgres database's]
    #[arg(long, value_name = "NAME")]
    pipeline: Option<String>,
    /// The database in ClickHouse [default: the pipeline's name]
    #[arg(long, value_name = "NAME")]
    database: Option<String>,
}

/// Reads the catalog and writes the files, never over one that is there.
///
/// # Errors
/// [`Kind::Config`] where a file is there, or nothing says where Postgres is; [`Kind::Source`] where it cannot be read.
pub(crate) async fn run(args: Args, context: &Context) -> Result<ExitCode> {
    let sources = context.sources();
    let env_file = sources.env_file.clone().unwrap_or_else(|| sources.beside(".env"));
    if args.env && args.pipeline.is_none() && args.database.is_none() && !knows_postgres(context)? {
        return passwords(&env_file, context);
    }
    init::must_be_new(&sources.file)?;
    if args.env {
        init::must_be_new(&env_file)?;
    }
    let settings = load_postgres_without_file(sources)?;
    let pipeline = args.pipeline.unwrap_or_else(|| init::pipeline_name(&settings.database));
    if init::pipeline_name(&pipeline) != pipeline {
        let message = format!("\"{pipeline}\" cannot be a pipeline's name");
        return Err(
            Error::new(Kind::Usage, message).hint("a lower-case letter, then up to 40 lower-case letters, digits or _")
        );
    }
    let connection = postgres::connect(&settings).await?;
    let tables = postgres::tables(&connection).await?;
    let database = args.database.unwrap_or_else(|| pipeline.clone());
    let text = init::configuration(&tables, &Names { pipeline, database });
    init::write_new(&sources.file, &text, false)?;
    if args.env {
        let variables = sources.variables()?;
        let url = |flag: &Option<String>, name: &str| flag.clone().or_else(|| variables.get(name).cloned());
        let postgres_url = url(&sources.flags.postgres_url, POSTGRES_URL);
        let clickhouse_url = url(&sources.flags.clickhouse_url, CLICKHOUSE_URL);
        let text = init::variables(postgres_url.as_deref(), clickhouse_url.as_deref());
        init::write_new(&env_file, &text, true)?;
    }
    let keyless = tables.iter().filter(|table| table.key.is_empty()).count();
    let written: Vec<String> = [Some(&sources.file), args.env.then_some(&env_file)]
        .into_iter()
        .flatten()
        .map(|path| path.display().to_string())
        .collect();
    if context.output.is_json() {
        let document = json!({"version": 1, "written": written, "tables": tables.len(), "without_key": keyless});
        context.output.json(&document)?;
    }
    context.output.message(&format!(
        "wrote {}: {} tables, {keyless} of them without a key",
        written.join(" and "),
        tables.len()
    ));
    context.output.message("next: `pipectl doctor` tells what is missing, `pipectl sync` starts");
    Ok(ExitCode::SUCCESS)
}

fn knows_postgres(context: &Context) -> Result<bool> {
    let sources = context.sources();
    Ok(sources.flags.postgres_url.is_some() || sources.variables()?.contains_key(POSTGRES_URL))
}

/// Writes the variables of docker-compose.yml: a start where there are no servers yet.
fn passwords(env_file: &Path, context: &Context) -> Result<ExitCode> {
    init::write_new(env_file, &init::stack_variables(), true)?;
    if context.output.is_json() {
        let written = [env_file.display().to_string()];
        context.output.json(&json!({"version": 1, "written": written, "tables": 0, "without_key": 0}))?;
    }
    let message = format!("wrote {}, with random passwords for docker-compose.yml", env_file.display());
    context.output.message(&message);
    context.output.message(
        "next: `docker compose up -d`; or set POSTGRES_URL, and `pipectl init` writes a configuration of what is there",
    );
    Ok(ExitCode::SUCCESS)
}
