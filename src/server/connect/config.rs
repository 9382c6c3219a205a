//! A connector's configuration, whose passwords are never shown.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::{Deref, DerefMut};

/// What stands in place of a secret.
pub const HIDDEN: &str = "***";

/// The properties of a connector by name.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ConnectorConfig(pub BTreeMap<String, String>);

impl ConnectorConfig {
    /// The value of a property as it may be shown: `***` for a secret. A reference to a config provider, such as
    /// `${env:POSTGRES_PASSWORD}`, is no secret.
    pub fn shown(&self, name: &str) -> Option<&str> {
        let value = self.0.get(name)?;
        Some(if is_secret(name) && !value.is_empty() && !is_reference(value) { HIDDEN } else { value })
    }

    /// All properties as they may be shown.
    pub fn all_shown(&self) -> BTreeMap<String, String> {
        self.0.keys().filter_map(|name| Some((name.clone(), self.shown(name)?.to_owned()))).collect()
    }

    /// A text in which each of the secrets is replaced: a server may quote what it was sent.
    pub fn scrub(&self, text: &str) -> String {
        let secrets =
            self.0.iter().filter(|(name, value)| is_secret(name) && !value.is_empty() && !is_reference(value));
        secrets.fold(text.to_owned(), |text, (_, secret)| text.replace(secret.as_str(), HIDDEN))
    }
}

impl Deref for ConnectorConfig {
    type Target = BTreeMap<String, String>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl DerefMut for ConnectorConfig {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

impl fmt::Debug for ConnectorConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ConnectorConfig").field(&self.all_shown()).finish()
    }
}

/// Whether a property of this name holds a secret: what Debezium itself hides (`custom.sanitize.pattern`), and Kafka's own.
pub fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let ends = [
        "secret",
        "password",
        "sasl.jaas.config",
        "basic.auth.user.info",
        "client-secret",
        "credentials.json",
        "connectionstring",
        "connection.string",
        "token",
        "ssl.key",
        "ssl.keystore.key",
    ];
    ends.iter().any(|end| name.ends_with(end))
}

/// Whether a value is nothing but a reference to a config provider of the worker (KIP-297).
fn is_reference(value: &str) -> bool {
    value
        .strip_prefix("${")
        .and_then(|rest| rest.strip_suffix('}'))
        .is_some_and(|inside| inside.contains(':') && !inside.contains(['{', '}']))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(pairs: &[(&str, &str)]) -> ConnectorConfig {
        ConnectorConfig(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn no_secret_is_shown() {
        let config = config(&[
            ("database.password", "hunter2"),
            ("producer.override.sasl.jaas.config", "login required password=\"hunter3\""),
            ("signal.consumer.ssl.keystore.password", "${file:/etc/kafka.properties:keystore}"),
            ("slot.name", "s"),
        ]);
        let shown = format!("{config:?}");
        assert!(!shown.contains("hunter") && shown.contains("${file:/etc/kafka.properties:keystore}"), "{shown}");
        assert_eq!((config.shown("slot.name"), config.shown("database.password")), (Some("s"), Some("***")));
        assert_eq!(config.scrub("no hunter2 here"), "no *** here");
    }

    #[test]
    fn a_password_that_looks_odd_is_no_reference() {
        for password in ["${x}", "${env:A}x", "x${env:A}", "${a:{b}}"] {
            assert_eq!(
                config(&[("database.password", password)]).shown("database.password"),
                Some("***"),
                "{password}"
            );
        }
    }
}
