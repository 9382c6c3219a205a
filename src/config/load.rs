//! The way from [`Sources`] to [`Settings`].

use super::connections::{self, Surroundings};
use super::file::{self, Document, Scope};
use super::problems::Problems;
use super::sources::{CLICKHOUSE_URL, KAFKA_BROKERS, POSTGRES_URL};
use super::{ClickHouseSettings, DEFAULT_FILE, KafkaSettings, PostgresSettings, Secret, Settings, Sources};
use crate::error::{Error, Kind, Result};
use std::collections::BTreeMap;
use std::path::Path;

/// What slot and publication are named after where no file names the pipeline: only for verbs that use neither.
const NAMELESS: &str = "pipectl";

/// Reads the whole configuration.
///
/// # Errors
/// [`Kind::Config`] that lists everything that is wrong, with line, path and a suggestion for a misspelt key.
pub fn load(sources: &Sources) -> Result<Settings> {
    let text = read(&sources.file)?.ok_or_else(|| missing(&sources.file))?;
    parse(&text, sources, &sources.variables()?)
}

/// Reads a configuration from its text.
///
/// # Errors
/// As [`load`].
pub(super) fn parse(text: &str, sources: &Sources, variables: &BTreeMap<String, String>) -> Result<Settings> {
    let problems = Problems::default();
    let document = file::read(text, Scope::All, &sources.flags, variables, &problems);
    let (postgres, clickhouse, document) = connections_of(document, sources, variables, &problems, Scope::All);
    match (problems.into_error(&sources.file), clickhouse) {
        (Some(error), _) => Err(error),
        (None, None) => Err(nowhere("ClickHouse", "clickhouse.url", CLICKHOUSE_URL, "--clickhouse-url")),
        (None, Some(clickhouse)) => Ok(Settings {
            pipeline: document.pipeline.unwrap_or_default(),
            postgres,
            clickhouse,
            kafka: document.kafka,
            tables: document.tables,
            statements: document.statements,
            sync: document.sync,
        }),
    }
}

/// Reads how to reach Postgres. A configuration file is asked if it is there, and only for this; without one, the flag or the
/// environment says it.
///
/// # Errors
/// As [`load`]; and [`Kind::Config`] where nothing says where Postgres is.
pub fn load_postgres(sources: &Sources) -> Result<PostgresSettings> {
    let (postgres, _) = load_part(sources, Scope::Postgres, read(&sources.file)?)?;
    postgres.ok_or_else(|| nowhere("Postgres", "postgres.url", POSTGRES_URL, "--postgres-url"))
}

/// Reads how to reach Postgres from the flag or the environment alone: before there is a file.
///
/// # Errors
/// As [`load_postgres`].
pub fn load_postgres_without_file(sources: &Sources) -> Result<PostgresSettings> {
    let sources = Sources { file: DEFAULT_FILE.into(), ..sources.with_env_file() };
    let (postgres, _) = load_part(&sources, Scope::Postgres, None)?;
    postgres.ok_or_else(|| {
        Error::new(Kind::Config, "nothing says where Postgres is")
            .hint(format!("set the variable {POSTGRES_URL}, or give --postgres-url"))
    })
}

/// Reads how to reach ClickHouse, as [`load_postgres`] does for Postgres.
///
/// # Errors
/// As [`load_postgres`].
pub fn load_clickhouse(sources: &Sources) -> Result<ClickHouseSettings> {
    let (_, clickhouse) = load_part(sources, Scope::ClickHouse, read(&sources.file)?)?;
    clickhouse.ok_or_else(|| nowhere("ClickHouse", "clickhouse.url", CLICKHOUSE_URL, "--clickhouse-url"))
}

/// Reads how to reach Kafka, as [`load_postgres`] does for Postgres; brokers of the command line go before all others. Where there is a file,
/// its prefix of the topics' names is filled in.
///
/// # Errors
/// As [`load_postgres`].
pub fn load_kafka(sources: &Sources, brokers: Option<&str>) -> Result<KafkaSettings> {
    let mut variables = sources.variables()?;
    if let Some(brokers) = brokers {
        variables.insert(KAFKA_BROKERS.to_owned(), brokers.to_owned());
    }
    let text = read(&sources.file)?;
    let default = sources.file.as_os_str().is_empty() || sources.file == Path::new(DEFAULT_FILE);
    if text.is_none() && !default {
        return Err(missing(&sources.file));
    }
    let problems = Problems::default();
    let document = text
        .map_or_else(Document::default, |text| file::read(&text, Scope::Kafka, &sources.flags, &variables, &problems));
    if let Some(error) = problems.into_error(&sources.file) {
        return Err(error);
    }
    let set = |name: &str| variables.get(name).filter(|value| !value.is_empty());
    let from_environment = || {
        Some(KafkaSettings {
            connect_url: set("CONNECT_URL").map(Secret::new),
            schema_registry_url: set("SCHEMA_REGISTRY_URL").map(Secret::new),
            ..KafkaSettings::new(set(KAFKA_BROKERS)?)
        })
    };
    let kafka = document.kafka.or_else(from_environment);
    let mut kafka = kafka.ok_or_else(|| nowhere("Kafka", "kafka.brokers", KAFKA_BROKERS, "--brokers"))?;
    if let Some(brokers) = brokers {
        brokers.clone_into(&mut kafka.brokers);
    }
    let prefix = kafka.connector.get("topic.prefix").map(|prefix| prefix.expose().to_owned());
    kafka.topic_prefix = prefix.or(kafka.topic_prefix).or(document.pipeline);
    Ok(kafka)
}

type Connections = (Option<PostgresSettings>, Option<ClickHouseSettings>);

fn load_part(sources: &Sources, scope: Scope, text: Option<String>) -> Result<Connections> {
    let variables = sources.variables()?;
    let problems = Problems::default();
    let default = sources.file.as_os_str().is_empty() || sources.file == Path::new(DEFAULT_FILE);
    let document = match text {
        Some(text) => file::read(&text, scope, &sources.flags, &variables, &problems),
        None if default => Document { pipeline: Some(NAMELESS.to_owned()), ..Document::default() },
        None => return Err(missing(&sources.file)),
    };
    let (postgres, clickhouse, _) = connections_of(document, sources, &variables, &problems, scope);
    problems.into_error(&sources.file).map_or(Ok((postgres, clickhouse)), Err)
}

fn connections_of(
    mut document: Document,
    sources: &Sources,
    variables: &BTreeMap<String, String>,
    problems: &Problems,
    scope: Scope,
) -> (Option<PostgresSettings>, Option<ClickHouseSettings>, Document) {
    let pipeline = document.pipeline.clone().unwrap_or_default();
    let around = |flag| Surroundings { flag, variables, pipeline: &pipeline };
    let postgres = std::mem::take(&mut document.postgres);
    let clickhouse = std::mem::take(&mut document.clickhouse);
    let flags = &sources.flags;
    let postgres = (scope != Scope::ClickHouse)
        .then(|| connections::postgres(postgres, &around(flags.postgres_url.as_deref()), problems))
        .flatten();
    let clickhouse = (scope != Scope::Postgres)
        .then(|| connections::clickhouse(clickhouse, &around(flags.clickhouse_url.as_deref()), problems))
        .flatten();
    (postgres, clickhouse, document)
}

/// The file's text; none where it is not there.
fn read(path: &Path) -> Result<Option<String>> {
    match std::fs::read(path) {
        Ok(bytes) => String::from_utf8(bytes).map(Some).map_err(|error| {
            let read = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
            let line = String::from_utf8_lossy(read).matches('\n').count() + 1;
            Error::new(Kind::Config, format!("\"{}\" is not UTF-8 on line {line}", path.display()))
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => {
            Err(Error::new(Kind::Config, format!("could not read the configuration \"{}\"", path.display()))
                .because(error))
        }
    }
}

fn missing(path: &Path) -> Error {
    Error::new(Kind::Config, format!("there is no configuration \"{}\"", path.display()))
        .hint("`pipectl init` writes one from what is in Postgres; -c names another file")
}

fn nowhere(server: &str, key: &str, variable: &str, flag: &str) -> Error {
    Error::new(Kind::Config, format!("nothing says where {server} is"))
        .hint(format!("set `{key}` in the configuration, the variable {variable}, or {flag}"))
}
