//! The sections of the servers.

use super::reader::Section;
use super::units;
use crate::config::connections::{ClickHouseKeys, PostgresKeys, ServerKeys};
use crate::config::names::LONGEST_NAME;
use crate::config::url::HttpUrl;
use crate::config::{KafkaSettings, Secret, SslMode};
use std::collections::BTreeMap;

/// `postgres`. Where a flag says how to connect, the keys that say the same may stand there and are not read.
pub(super) fn postgres(section: Section<'_>, by_flag: bool) -> PostgresKeys {
    let mut keys = PostgresKeys { server: server(&section, by_flag), ..PostgresKeys::default() };
    if by_flag {
        section.get("database");
    } else {
        keys.database = section.text("database");
    }
    keys.sslmode = section.choice(
        "sslmode",
        &[
            ("disable", SslMode::Disable),
            ("allow", SslMode::Prefer),
            ("prefer", SslMode::Prefer),
            ("require", SslMode::Require),
            ("verify-ca", SslMode::VerifyCa),
            ("verify-full", SslMode::VerifyFull),
        ],
    );
    keys.sslrootcert = section.text("sslrootcert").map(Into::into);
    keys.sslcert = section.text("sslcert").map(Into::into);
    keys.sslkey = section.text("sslkey").map(Into::into);
    keys.publication = section.parse("publication", |name| {
        (name.len() <= LONGEST_NAME)
            .then(|| name.to_owned())
            .ok_or_else(|| format!("must be at most {LONGEST_NAME} bytes long"))
    });
    keys.slot = section.parse("slot", |name| {
        let letters = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        (letters && name.len() <= LONGEST_NAME)
            .then(|| name.to_owned())
            .ok_or_else(|| format!("\"{name}\" must be at most {LONGEST_NAME} lower-case letters, digits or _"))
    });
    section.finish();
    keys
}

/// `clickhouse`; flags as in [`postgres`].
pub(super) fn clickhouse(section: Section<'_>, by_flag: bool) -> ClickHouseKeys {
    let mut keys = ClickHouseKeys { server: server(&section, by_flag), ..ClickHouseKeys::default() };
    if by_flag {
        section.get("secure");
    } else {
        keys.secure = section.parse("secure", units::boolean);
    }
    keys.database = section.text("database");
    keys.cluster = section.text("cluster");
    keys.ca_file = section.text("ca_file").map(Into::into);
    keys.version_column = section.text("version_column");
    keys.deleted_column = section.text("deleted_column");
    if keys.version_column.is_some() && keys.version_column == keys.deleted_column {
        section.problem("deleted_column", "must differ from version_column");
    }
    section.finish();
    keys
}

/// `kafka`.
pub(super) fn kafka(section: Section<'_>) -> KafkaSettings {
    let url = |text: &str| HttpUrl::parse(text).map(|_| Secret::new(text));
    let from_environment = |name: &str| section.reader.variables.get(name).filter(|value| !value.is_empty()).cloned();
    let brokers = section.text("brokers").or_else(|| from_environment("KAFKA_BROKERS"));
    if brokers.is_none() && !section.unreadable("brokers") {
        section.problem(
            "brokers",
            "is missing: host:port, more of them separated by commas, or the variable KAFKA_BROKERS",
        );
    }
    let settings = KafkaSettings {
        brokers: brokers.unwrap_or_default(),
        topic_prefix: section.parse("topic_prefix", topic_prefix),
        connect_url: section.parse("connect_url", url).or_else(|| from_environment("CONNECT_URL").map(Secret::new)),
        schema_registry_url: section
            .parse("schema_registry_url", url)
            .or_else(|| from_environment("SCHEMA_REGISTRY_URL").map(Secret::new)),
        ca_file: section.text("ca_file").map(Into::into),
        dead_letter_topic: section.text("dead_letter_topic"),
        topics: section.names("topics").unwrap_or_default(),
        connector: secrets(&section, "connector"),
        properties: secrets(&section, "properties"),
    };
    section.finish();
    settings
}

/// A map of the user's own names, whose values may be secrets.
fn secrets(section: &Section<'_>, key: &'static str) -> BTreeMap<String, Secret> {
    let pairs = section.get(key).and_then(|place| section.reader.pairs(&place)).unwrap_or_default();
    let read = |place| section.reader.written(&place).map(|written| Secret::new(written.text));
    pairs.into_iter().filter_map(|(key, place)| Some((key.text.clone(), read(place)?))).collect()
}

/// Debezium takes these letters only, and they are also the ones of a topic's name.
fn topic_prefix(text: &str) -> Result<String, String> {
    let good = text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'));
    good.then(|| text.to_owned()).ok_or_else(|| format!("\"{text}\" may hold letters, digits, dots, _ and - only"))
}

/// Where a server is, and the login. Where a flag says both, the keys are known and not read.
fn server(section: &Section<'_>, by_flag: bool) -> ServerKeys {
    let keys = ServerKeys { line: section.line, ..ServerKeys::default() };
    if by_flag {
        for key in ["url", "host", "port", "user", "password"] {
            section.get(key);
        }
        return keys;
    }
    ServerKeys {
        url: section.written("url"),
        unreadable: section.unreadable("url") || section.unreadable("host"),
        host: section.text("host"),
        port: section.parse("port", units::port),
        user: section.text("user"),
        password: section.written("password"),
        ..keys
    }
}
