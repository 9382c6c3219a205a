//! The command line: its grammar and the dispatch. Each verb has a file with its arguments and a `run` that makes one call into the
//! library and draws what it tells. Only this folder prints, through [`output::Output`].

mod confirm;
mod connector;
mod connector_summary;
mod create_tables;
mod dead_letters;
mod doctor;
mod drop;
mod duration;
mod init;
pub(crate) mod output;
pub(crate) mod progress;
mod report;
mod resync;
mod seed;
mod seed_summary;
mod signals;
mod status;
mod switch;
mod sync;
mod tail;
mod verify;
mod verify_summary;
mod working;

use clap::{Parser, Subcommand, ValueEnum};
use output::Output;
use pipectl::config::{self, Flags, PostgresSettings, Settings, Sources};
use pipectl::error::Result;
use std::path::PathBuf;
use std::process::ExitCode;

pub(crate) use report::report;

/// Copies Postgres into ClickHouse, follows every change, and proves that both sides are equal.
#[derive(Debug, Parser)]
#[command(name = "pipectl", version, propagate_version = true, max_term_width = 110)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The verbs, in the order of a pipeline's life.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Write a commented clickhouse_config.yml from what is in Postgres
    Init(init::Args),
    Seed(seed::Arguments),
    CreateTables(create_tables::Arguments),
    /// Check every setting of both servers that the pipeline rests on
    Doctor(doctor::Arguments),
    Connector(connector::Args),
    Sync(sync::Args),
    Status(status::Args),
    Tail(tail::Args),
    /// Prove that both sides are equal, value by value
    Verify(verify::Arguments),
    Resync(resync::Args),
    DeadLetters(dead_letters::Arguments),
    Switch(switch::Args),
    Drop(drop::Args),
}

/// Runs a verb.
pub(crate) async fn run(command: Command, context: &Context) -> Result<ExitCode> {
    match command {
        Command::Init(args) => init::run(args, context).await,
        Command::Doctor(arguments) => doctor::run(arguments, context).await,
        Command::CreateTables(arguments) => create_tables::run(arguments, context).await,
        Command::Seed(arguments) => seed::run(arguments, context).await,
        Command::Connector(args) => connector::run(args, context).await,
        Command::Sync(args) => Box::pin(sync::run(args, context)).await,
        Command::Status(args) => status::run(args, context).await,
        Command::Tail(args) => tail::run(args, context).await,
        Command::Verify(arguments) => verify::run(arguments, context).await,
        Command::Resync(args) => resync::run(args, context).await,
        Command::Switch(args) => Box::pin(switch::run(args, context)).await,
        Command::DeadLetters(arguments) => dead_letters::run(arguments, context).await,
        Command::Drop(args) => drop::run(args, context).await,
    }
}

/// Options of every verb.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// The configuration file
    #[arg(short, long, global = true, value_name = "FILE", default_value = config::DEFAULT_FILE)]
    config: PathBuf,
    /// Variables for the configuration, KEY=value a line [default: .env next to the configuration file, if it is there]
    #[arg(long, global = true, value_name = "FILE")]
    env_file: Option<PathBuf>,
    /// Say more on stderr (-vv: still more, -vvv: the libraries' own messages too)
    #[arg(short, long, global = true, action = clap::ArgAction::Count, conflicts_with = "quiet")]
    verbose: u8,
    /// Say only errors on stderr
    #[arg(short, long, global = true)]
    quiet: bool,
    /// Form of what goes to stdout
    #[arg(long, global = true, value_name = "FORM", default_value = "text")]
    output: Form,
    /// Colours; `auto` means on a terminal, unless NO_COLOR is set
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    color: Color,
    /// Where Postgres is: postgres://user:password@host:port/database?sslmode=…; goes before the configuration and POSTGRES_URL
    #[arg(long, global = true, value_name = "URL", hide_env_values = true)]
    postgres_url: Option<String>,
    /// Where ClickHouse is: http(s)://user:password@host:port; goes before the configuration and CLICKHOUSE_URL
    #[arg(long, global = true, value_name = "URL", hide_env_values = true)]
    clickhouse_url: Option<String>,
}

/// The form of what goes to stdout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Form {
    /// For people
    Text,
    /// One JSON document, or one object a line where it is a stream
    Json,
}

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// What a verb has besides its own arguments.
#[derive(Debug)]
pub(crate) struct Context {
    /// Where to print.
    pub(crate) output: Output,
    sources: Sources,
}

impl Context {
    /// Takes the options in and sets up the log. Nothing is read yet.
    pub(crate) fn new(global: Global) -> Self {
        let output = Output::new(global.output, global.color, global.quiet);
        output::start_log(&output, global.verbose);
        let flags = Flags { postgres_url: global.postgres_url, clickhouse_url: global.clickhouse_url };
        let environment = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let sources = Sources { file: global.config, env_file: global.env_file, environment, flags };
        Self { output, sources }
    }

    /// The whole configuration, read now.
    ///
    /// # Errors
    /// [`pipectl::error::Kind::Config`] with everything that is wrong in it.
    pub(crate) fn settings(&self) -> Result<Settings> {
        config::load(&self.sources)
    }

    /// How to reach Postgres, for a verb that needs nothing else: also works without a configuration file, from `--postgres-url` or
    /// POSTGRES_URL.
    ///
    /// # Errors
    /// [`pipectl::error::Kind::Config`] as [`Context::settings`], and where nothing says where Postgres is.
    pub(crate) fn postgres(&self) -> Result<PostgresSettings> {
        config::load_postgres(&self.sources)
    }

    /// What the configuration is read from.
    pub(crate) fn sources(&self) -> &Sources {
        &self.sources
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_grammar_holds_together() {
        Cli::command().debug_assert();
    }
}
