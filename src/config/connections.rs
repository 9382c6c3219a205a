//! Where the two servers are: from a flag, the YAML's keys, or the environment, in this order.
//!
//! A URL from a flag replaces all that the YAML says of the place and the login: these keys are not even read then. One from the environment is used only where the
//! YAML names neither a URL nor a host: half of a connection from each would send a password to a server it was not meant for.

use super::problems::Problems;
use super::sources::{CLICKHOUSE_URL, POSTGRES_URL};
use super::url::{self, ClickHouseUrl, PostgresUrl};
use super::{ClickHouseSettings, PostgresSettings, Secret, SslMode};
use std::collections::BTreeMap;
use std::path::PathBuf;

const POSTGRES_PORT: u16 = 5432;
const CLICKHOUSE_PORT: u16 = 8123;
const CLICKHOUSE_TLS_PORT: u16 = 8443;

/// A text of the YAML with the line it stands on.
#[derive(Debug, Clone, Default)]
pub(super) struct Written {
    /// The text, variables filled in.
    pub(super) text: String,
    /// The text as it stands there, each `${…}` replaced by one NUL.
    pub(super) literal: String,
    /// Its line.
    pub(super) line: usize,
}

/// What the YAML says of Postgres.
#[derive(Debug, Default)]
pub(super) struct PostgresKeys {
    /// The section's line; 0 where there is none.
    pub(super) line: usize,
    /// The URL or the host stands there and cannot be read: that is told already.
    pub(super) unreadable: bool,
    pub(super) url: Option<Written>,
    pub(super) host: Option<String>,
    pub(super) port: Option<u16>,
    pub(super) user: Option<String>,
    pub(super) password: Option<Written>,
    pub(super) database: Option<String>,
    pub(super) sslmode: Option<SslMode>,
    pub(super) sslrootcert: Option<PathBuf>,
    pub(super) sslcert: Option<PathBuf>,
    pub(super) sslkey: Option<PathBuf>,
    pub(super) publication: Option<String>,
    pub(super) slot: Option<String>,
}

/// What the YAML says of ClickHouse.
#[derive(Debug, Default)]
pub(super) struct ClickHouseKeys {
    /// The section's line; 0 where there is none.
    pub(super) line: usize,
    /// The URL or the host stands there and cannot be read: that is told already.
    pub(super) unreadable: bool,
    pub(super) url: Option<Written>,
    pub(super) host: Option<String>,
    pub(super) port: Option<u16>,
    pub(super) user: Option<String>,
    pub(super) password: Option<Written>,
    pub(super) secure: Option<bool>,
    pub(super) database: Option<String>,
    pub(super) cluster: Option<String>,
    pub(super) ca_file: Option<PathBuf>,
    pub(super) version_column: Option<String>,
    pub(super) deleted_column: Option<String>,
}

/// What else decides: the flags' URL, the variables, and the pipeline's name for what is named after it.
pub(super) struct Surroundings<'a> {
    pub(super) flag: Option<&'a str>,
    pub(super) variables: &'a BTreeMap<String, String>,
    pub(super) pipeline: &'a str,
}

/// Where a URL was found.
struct Found<'a> {
    url: &'a str,
    place: &'a str,
    line: Option<usize>,
}

fn find<'a>(
    around: &Surroundings<'a>,
    written: Option<&'a Written>,
    has_host: bool,
    names: [&'a str; 3],
) -> Option<Found<'a>> {
    let [flag, key, variable] = names;
    if let Some(url) = around.flag {
        return Some(Found { url, place: flag, line: None });
    }
    if let Some(written) = written {
        return Some(Found { url: &written.text, place: key, line: Some(written.line) });
    }
    let url = around.variables.get(variable).filter(|url| !url.is_empty() && !has_host)?;
    Some(Found { url, place: variable, line: None })
}

/// Puts the connection to Postgres together; none where nothing says where it is.
pub(super) fn postgres(keys: PostgresKeys, around: &Surroundings<'_>, problems: &Problems) -> Option<PostgresSettings> {
    if keys.unreadable {
        return None;
    }
    let names = ["--postgres-url", "postgres.url", POSTGRES_URL];
    let found = find(around, keys.url.as_ref(), keys.host.is_some(), names);
    let base = match &found {
        Some(found) => match url::postgres(found.url) {
            Ok(base) => base,
            Err(what) => {
                problems.add(found.line, found.place, what);
                return None;
            }
        },
        None if keys.host.is_none() => {
            if keys.line > 0 {
                problems.add(Some(keys.line), "postgres", "needs `url`, `host`, or the variable POSTGRES_URL");
            }
            return None;
        }
        None => PostgresUrl::default(),
    };
    let by_flag = around.flag.is_some();
    let line = found.map_or(Some(keys.line).filter(|line| *line > 0), |found| found.line);
    let in_file = password_in_file(keys.url.as_ref(), keys.password.as_ref(), base.written_password.expose());
    let required = |value: Option<String>, key: &str| {
        if value.is_none() {
            problems.add(line, &format!("postgres.{key}"), "is missing, in the URL too");
        }
        value
    };
    let user = required(keys.user.or(base.user), "user");
    let host = required(keys.host.or(base.host), "host");
    let (sslcert, sslkey) = (keys.sslcert.or(base.sslcert), keys.sslkey.or(base.sslkey));
    if sslcert.is_some() != sslkey.is_some() {
        problems.add(line, "postgres.sslcert", "goes together with sslkey: set both or neither");
    }
    let own_name = format!("pipectl_{}", around.pipeline);
    Some(PostgresSettings {
        host: host?,
        port: keys.port.or(base.port).unwrap_or(POSTGRES_PORT),
        user: user.clone()?,
        password: keys.password.map(|it| Secret::new(it.text)).or(base.password).unwrap_or_default(),
        // As libpq: a database named like the role.
        database: keys.database.or(base.database).or(user)?,
        sslmode: base.sslmode.filter(|_| by_flag).or(keys.sslmode).or(base.sslmode).unwrap_or_default(),
        sslrootcert: keys.sslrootcert.or(base.sslrootcert),
        sslcert,
        sslkey,
        publication: keys.publication.unwrap_or_else(|| own_name.clone()),
        slot: keys.slot.unwrap_or(own_name),
        password_in_file: in_file,
    })
}

/// Puts the connection to ClickHouse together; none where nothing says where it is.
pub(super) fn clickhouse(
    keys: ClickHouseKeys,
    around: &Surroundings<'_>,
    problems: &Problems,
) -> Option<ClickHouseSettings> {
    if keys.unreadable {
        return None;
    }
    let names = ["--clickhouse-url", "clickhouse.url", CLICKHOUSE_URL];
    let found = find(around, keys.url.as_ref(), keys.host.is_some(), names);
    let base = match &found {
        Some(found) => match url::clickhouse(found.url) {
            Ok(base) => base,
            Err(what) => {
                problems.add(found.line, found.place, what);
                return None;
            }
        },
        None if keys.host.is_none() => {
            let line = Some(keys.line).filter(|line| *line > 0);
            problems.add(line, "clickhouse", "needs `url`, `host`, or the variable CLICKHOUSE_URL");
            return None;
        }
        None => ClickHouseUrl::default(),
    };
    let in_file = password_in_file(keys.url.as_ref(), keys.password.as_ref(), base.written_password.expose());
    let secure = keys.secure.unwrap_or(base.secure);
    Some(ClickHouseSettings {
        host: keys.host.unwrap_or(base.host),
        port: keys.port.or(base.port).unwrap_or(if secure { CLICKHOUSE_TLS_PORT } else { CLICKHOUSE_PORT }),
        secure,
        user: keys.user.or(base.user).unwrap_or_else(|| "default".to_owned()),
        password: keys.password.map(|it| Secret::new(it.text)).or(base.password).unwrap_or_default(),
        database: keys.database.or(base.database).unwrap_or_else(|| around.pipeline.to_owned()),
        cluster: keys.cluster,
        ca_file: keys.ca_file,
        version_column: keys.version_column.unwrap_or_else(|| "_version".to_owned()),
        deleted_column: keys.deleted_column.unwrap_or_else(|| "_deleted".to_owned()),
        password_in_file: in_file,
    })
}

/// Whether a password stands in the YAML itself rather than in a variable. A default, `${PW:-secret}`, stands there too.
fn password_in_file(url: Option<&Written>, password: Option<&Written>, of_url: &str) -> bool {
    if let Some(password) = password {
        return !password.text.is_empty() && !password.literal.contains('\0');
    }
    !of_url.is_empty() && url.is_some_and(|url| url.literal.contains(&format!(":{of_url}@")))
}
