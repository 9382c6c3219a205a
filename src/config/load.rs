//! The way from [`Sources`] to [`Settings`].

use super::connections::{self, ClickHouseKeys, PostgresKeys, Surroundings};
use super::problems::Problems;
use super::{ClickHouseSettings, PostgresSettings, Settings, Sources, SyncSettings};
use crate::error::{Error, Kind, Result};

/// Reads the whole configuration.
///
/// # Errors
/// [`Kind::Config`] that lists everything that is wrong, with line, path and a suggestion for a misspelt key.
pub fn load(sources: &Sources) -> Result<Settings> {
    let variables = sources.variables()?;
    let problems = Problems::default();
    let around = |flag| Surroundings { flag, variables: &variables, pipeline: "pipectl" };
    let flags = &sources.flags;
    let postgres = connections::postgres(PostgresKeys::default(), &around(flags.postgres_url.as_deref()), &problems);
    let clickhouse =
        connections::clickhouse(ClickHouseKeys::default(), &around(flags.clickhouse_url.as_deref()), &problems);
    match (problems.into_error(&sources.file), clickhouse) {
        (None, Some(clickhouse)) => Ok(Settings {
            pipeline: "pipectl".to_owned(),
            postgres,
            clickhouse,
            tables: Vec::new(),
            statements: Vec::new(),
            sync: SyncSettings::default(),
        }),
        (Some(error), _) => Err(error),
        (None, None) => Err(Error::new(Kind::Config, "no ClickHouse is configured")),
    }
}

/// Reads how to reach Postgres, also without a configuration file.
///
/// # Errors
/// As [`load`]; and [`Kind::Config`] where nothing says where Postgres is.
pub fn load_postgres(sources: &Sources) -> Result<PostgresSettings> {
    let variables = sources.variables()?;
    let problems = Problems::default();
    let around =
        Surroundings { flag: sources.flags.postgres_url.as_deref(), variables: &variables, pipeline: "pipectl" };
    let postgres = connections::postgres(PostgresKeys::default(), &around, &problems);
    match (problems.into_error(&sources.file), postgres) {
        (None, Some(postgres)) => Ok(postgres),
        (Some(error), _) => Err(error),
        (None, None) => Err(Error::new(Kind::Config, "nothing says where Postgres is")
            .hint("set `postgres.url` in the configuration, POSTGRES_URL or --postgres-url")),
    }
}

/// Reads how to reach ClickHouse, also without a configuration file.
///
/// # Errors
/// As [`load`]; and [`Kind::Config`] where nothing says where ClickHouse is.
pub fn load_clickhouse(sources: &Sources) -> Result<ClickHouseSettings> {
    let variables = sources.variables()?;
    let problems = Problems::default();
    let around =
        Surroundings { flag: sources.flags.clickhouse_url.as_deref(), variables: &variables, pipeline: "pipectl" };
    let clickhouse = connections::clickhouse(ClickHouseKeys::default(), &around, &problems);
    match (problems.into_error(&sources.file), clickhouse) {
        (None, Some(clickhouse)) => Ok(clickhouse),
        (Some(error), _) => Err(error),
        (None, None) => Err(Error::new(Kind::Config, "nothing says where ClickHouse is")),
    }
}
