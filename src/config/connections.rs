//! Where the two servers are: from a flag, the YAML's keys, or the environment, in this order.
//!
//! A URL from a flag replaces all that the YAML says of the place and the login: these keys are not even read then. One from the environment is used only where the
//! YAML names neither a URL nor a host: half of a connection from each would send a password to a server it was not meant for.

use super::names::own_name;
use super::problems::Problems;
use super::sources::{CLICKHOUSE_URL, POSTGRES_URL};
use super::url;
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

/// What the YAML says of a server's place and of the login, whichever server it is.
#[derive(Debug, Default)]
pub(super) struct ServerKeys {
    /// The section's line; 0 where there is none.
    pub(super) line: usize,
    /// The URL or the host stands there and cannot be read: that is told already.
    pub(super) unreadable: bool,
    pub(super) url: Option<Written>,
    pub(super) host: Option<String>,
    pub(super) port: Option<u16>,
    pub(super) user: Option<String>,
    pub(super) password: Option<Written>,
}

/// What the YAML says of Postgres.
#[derive(Debug, Default)]
pub(super) struct PostgresKeys {
    pub(super) server: ServerKeys,
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
    pub(super) server: ServerKeys,
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

/// What a server's URL says, and where that stands.
struct Base<U> {
    url: U,
    /// The URL's line, or the section's where there is no URL.
    line: Option<usize>,
}

/// The first URL of the flag, the YAML and the variable, by their `names`, taken apart; one that says nothing where the YAML names a host instead. None where
/// nothing says where the server is, or the URL cannot be read.
fn base<U: Default>(
    keys: &ServerKeys,
    around: &Surroundings<'_>,
    names: [&str; 3],
    read: impl Fn(&str) -> Result<U, String>,
    problems: &Problems,
) -> Option<Base<U>> {
    if keys.unreadable {
        return None;
    }
    let [flag, key, variable] = names;
    let of_environment = || around.variables.get(variable).filter(|url| !url.is_empty() && keys.host.is_none());
    let (url, place, line) = if let Some(url) = around.flag {
        (url, flag, None)
    } else if let Some(written) = &keys.url {
        (written.text.as_str(), key, Some(written.line))
    } else if let Some(url) = of_environment() {
        (url.as_str(), variable, None)
    } else {
        let line = Some(keys.line).filter(|line| *line > 0);
        if keys.host.is_some() {
            return Some(Base { url: U::default(), line });
        }
        let section = key.trim_end_matches(".url");
        // A verb may do without Postgres, so that only an empty section is wrong there.
        if line.is_some() || section == "clickhouse" {
            problems.add(line, section, format!("needs `url`, `host`, or the variable {variable}"));
        }
        return None;
    };
    match read(url) {
        Ok(url) => Some(Base { url, line }),
        Err(what) => {
            problems.add(line, place, what);
            None
        }
    }
}

/// Puts the connection to Postgres together; none where nothing says where it is.
pub(super) fn postgres(keys: PostgresKeys, around: &Surroundings<'_>, problems: &Problems) -> Option<PostgresSettings> {
    let PostgresKeys { server, .. } = keys;
    let names = ["--postgres-url", "postgres.url", POSTGRES_URL];
    let Base { url: base, line } = base(&server, around, names, url::postgres, problems)?;
    let by_flag = around.flag.is_some();
    let in_file = password_in_file(&server, base.written_password.expose());
    let required = |value: Option<String>, key: &str| {
        if value.is_none() {
            problems.add(line, &format!("postgres.{key}"), "is missing, in the URL too");
        }
        value
    };
    let user = required(server.user.or(base.user), "user");
    let host = required(server.host.or(base.host), "host");
    let (sslcert, sslkey) = (keys.sslcert.or(base.sslcert), keys.sslkey.or(base.sslkey));
    if sslcert.is_some() != sslkey.is_some() {
        problems.add(line, "postgres.sslcert", "goes together with sslkey: set both or neither");
    }
    let own_name = own_name(around.pipeline);
    Some(PostgresSettings {
        host: host?,
        port: server.port.or(base.port).unwrap_or(POSTGRES_PORT),
        user: user.clone()?,
        password: server.password.map(|it| Secret::new(it.text)).or(base.password).unwrap_or_default(),
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
    let ClickHouseKeys { server, .. } = keys;
    let names = ["--clickhouse-url", "clickhouse.url", CLICKHOUSE_URL];
    let Base { url: base, .. } = base(&server, around, names, url::clickhouse, problems)?;
    let in_file = password_in_file(&server, base.written_password.expose());
    let secure = keys.secure.unwrap_or(base.secure);
    Some(ClickHouseSettings {
        host: server.host.unwrap_or(base.host),
        port: server.port.or(base.port).unwrap_or(if secure { CLICKHOUSE_TLS_PORT } else { CLICKHOUSE_PORT }),
        secure,
        user: server.user.or(base.user).unwrap_or_else(|| "default".to_owned()),
        password: server.password.map(|it| Secret::new(it.text)).or(base.password).unwrap_or_default(),
        database: keys.database.or(base.database).unwrap_or_else(|| around.pipeline.to_owned()),
        cluster: keys.cluster,
        ca_file: keys.ca_file,
        version_column: keys.version_column.unwrap_or_else(|| "_version".to_owned()),
        deleted_column: keys.deleted_column.unwrap_or_else(|| "_deleted".to_owned()),
        password_in_file: in_file,
    })
}

/// Whether a password stands in the YAML itself rather than in a variable. A default, `${PW:-secret}`, stands there too.
fn password_in_file(keys: &ServerKeys, of_url: &str) -> bool {
    if let Some(password) = &keys.password {
        return !password.text.is_empty() && !password.literal.contains('\0');
    }
    !of_url.is_empty() && keys.url.as_ref().is_some_and(|url| url.literal.contains(&format!(":{of_url}@")))
}
