//! Where the configuration comes from, and which of them goes first: a flag, then the YAML, then the environment. The environment
//! fills `${VAR}` and what the YAML leaves out, so that a stray POSTGRES_URL redirects nothing.

use crate::error::{Error, Kind, Result};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The configuration file's name, unless another is given.
pub const DEFAULT_FILE: &str = "clickhouse_config.yml";
/// The variable that says where Postgres is, where the YAML doesn't.
pub const POSTGRES_URL: &str = "POSTGRES_URL";
/// The variable that says where ClickHouse is, where the YAML doesn't.
pub const CLICKHOUSE_URL: &str = "CLICKHOUSE_URL";
/// The variable that says where Kafka is, where the YAML doesn't.
pub const KAFKA_BROKERS: &str = "KAFKA_BROKERS";

/// What the configuration is read from.
#[derive(Clone, Default)]
pub struct Sources {
    /// The YAML file.
    pub file: PathBuf,
    /// The file of variables; where absent, `.env` next to the YAML if there is one.
    pub env_file: Option<PathBuf>,
    /// The environment of the process: read, never written.
    pub environment: BTreeMap<String, String>,
    /// What the command line says.
    pub flags: Flags,
}

impl std::fmt::Debug for Sources {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The environment and the URLs hold secrets.
        f.debug_struct("Sources").field("file", &self.file).field("env_file", &self.env_file).finish_non_exhaustive()
    }
}

/// Connection settings of the command line.
#[derive(Clone, Default)]
pub struct Flags {
    /// `--postgres-url`
    pub postgres_url: Option<String>,
    /// `--clickhouse-url`
    pub clickhouse_url: Option<String>,
}

impl std::fmt::Debug for Flags {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Flags")
    }
}

impl Sources {
    /// The same with the file of variables named, if it is there: for a configuration whose place changes.
    pub(super) fn with_env_file(&self) -> Self {
        let beside = self.beside(".env");
        let env_file = self.env_file.clone().or_else(|| beside.is_file().then_some(beside));
        Self { env_file, ..self.clone() }
    }

    /// The path of a file next to the configuration.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.file.parent().unwrap_or(Path::new("")).join(name)
    }

    /// The variables: those of the process, and behind them those of the file.
    ///
    /// # Errors
    /// [`Kind::Config`] where the file was named and is not there, cannot be read, or has a line that is not `KEY=value`.
    pub fn variables(&self) -> Result<BTreeMap<String, String>> {
        let beside = self.beside(".env");
        let path = self.env_file.as_deref().unwrap_or(&beside);
        let mut variables = BTreeMap::new();
        if self.env_file.is_some() || path.is_file() {
            let failed = |error: dotenvy::Error| {
                // The library's text quotes the whole line, which may hold a secret.
                let cause = match error {
                    dotenvy::Error::Io(error) => error.to_string(),
                    _ => "a line is not of the form KEY=value".to_owned(),
                };
                Error::new(Kind::Config, format!("could not read the variables in \"{}\"", path.display()))
                    .because(cause)
                    .hint("values with spaces, # or $ stand in single quotes: KEY='a # b'")
            };
            for pair in dotenvy::from_path_iter(path).map_err(failed)? {
                let (name, value) = pair.map_err(failed)?;
                variables.insert(name, value);
            }
        }
        variables.extend(self.environment.clone());
        Ok(variables)
    }
}
