//! The configuration that fits the worker and the plug-in there is: by what the plug-in says of a first one.

use crate::server::connect::{ConnectorConfig, Validation};

const PASSWORD: &str = "database.password";
const OVERRIDES: &str = "producer.override.";
const PROBE: &str = "producer.override.pipectl.probe.";
/// Variables of a worker that may hold the database's password, where it has a config provider for its environment.
const VARIABLES: [&str; 3] = ["POSTGRES_PASSWORD", "PGPASSWORD", "DATABASE_PASSWORD"];

/// A configuration that fits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fitted {
    /// The configuration.
    pub config: ConnectorConfig,
    /// What is not as it could be, and why.
    pub notes: Vec<String>,
    /// What the plug-in refuses all the same.
    pub errors: Vec<String>,
}

/// The configuration with questions in it: an answer to [`crate::server::connect::Connect::validate`] shows a client's properties as the worker
/// reads them, and with that whether it has a config provider that knows the password.
pub fn with_probe(config: &ConnectorConfig) -> ConnectorConfig {
    let mut probing = config.clone();
    for variable in VARIABLES {
        probing.insert(format!("{PROBE}{variable}"), reference(variable));
    }
    probing
}

fn reference(variable: &str) -> String {
    format!("${{env:{variable}}}")
}

/// Fits a configuration to what the plug-in said of it, asked by [`with_probe`].
pub fn fit(config: &ConnectorConfig, said: &Validation) -> Fitted {
    let mut fitted = Fitted { config: config.clone(), notes: Vec::new(), errors: Vec::new() };
    time(&mut fitted, said);
    producer(&mut fitted, said);
    password(&mut fitted, said);
    for (name, error) in said.errors().filter(|(name, _)| !name.starts_with(OVERRIDES)) {
        let error = config.scrub(&error.split_whitespace().collect::<Vec<_>>().join(" "));
        fitted.errors.push(if error.contains(name) { error } else { format!("{name}: {error}") });
    }
    fitted
}

/// Debezium before 3 does not know `microseconds`; the next best is without loss too.
fn time(fitted: &mut Fitted, said: &Validation) {
    const SETTING: &str = "time.precision.mode";
    const OLDER: &str = "adaptive_time_microseconds";
    let takes = said.settings.get(SETTING).map(|setting| setting.recommended.as_slice()).unwrap_or_default();
    let ours = fitted.config.get(SETTING).is_some_and(|mode| mode == "microseconds");
    if ours && !takes.is_empty() && takes.iter().all(|mode| mode != "microseconds") {
        fitted.config.insert(SETTING.to_owned(), OLDER.to_owned());
        fitted.notes.push(format!("this Debezium knows no {SETTING}=microseconds; {OLDER} holds all values too"));
    }
}

/// A worker may forbid connectors to set up their producers.
fn producer(fitted: &mut Fitted, said: &Validation) {
    let refused = said.errors().any(|(name, _)| name.starts_with(OVERRIDES));
    if refused {
        fitted.config.retain(|name, _| !name.starts_with(OVERRIDES));
        fitted.notes.push(
            "the worker forbids producer.override.*: records are not compressed, and one above 1 MB ends the task; set \
             connector.client.config.override.policy=All in the worker"
                .to_owned(),
        );
    }
}

/// A reference in place of the password, where the worker finds the same password behind it.
fn password(fitted: &mut Fitted, said: &Validation) {
    let Some(password) = fitted.config.get(PASSWORD).filter(|password| !password.is_empty()) else { return };
    if fitted.config.shown(PASSWORD) == Some(password.as_str()) {
        return;
    }
    let same = |variable: &&&str| {
        let probe = said.settings.get(&format!("{PROBE}{variable}"));
        probe.and_then(|setting| setting.value.as_ref()) == Some(password)
    };
    if let Some(variable) = VARIABLES.iter().find(same) {
        fitted.config.insert(PASSWORD.to_owned(), reference(variable));
    } else {
        fitted.notes.push(
            "database.password stands readable in Connect's configuration; where the workers have a config provider, set `kafka.connector: \
             {database.password: '$${env:POSTGRES_PASSWORD}'}` or the like"
                .to_owned(),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::connect::KnownSetting;

    fn config() -> ConnectorConfig {
        let pairs = [
            ("database.password", "hunter2"),
            ("time.precision.mode", "microseconds"),
            ("producer.override.linger.ms", "10"),
        ];
        ConnectorConfig(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into())
    }

    fn said(settings: Vec<(String, KnownSetting)>) -> Validation {
        Validation { settings: settings.into_iter().collect() }
    }

    fn probe(value: &str) -> (String, KnownSetting) {
        (format!("{PROBE}PGPASSWORD"), KnownSetting { value: Some(value.to_owned()), ..KnownSetting::default() })
    }

    #[test]
    fn a_provider_that_knows_the_password_is_used() {
        assert_eq!(with_probe(&config())[&format!("{PROBE}PGPASSWORD")], "${env:PGPASSWORD}");
        let fitted = fit(&config(), &said(vec![probe("hunter2")]));
        assert_eq!((fitted.config[PASSWORD].as_str(), fitted.notes.len()), ("${env:PGPASSWORD}", 0));
        let unknown = fit(&config(), &said(vec![probe("${env:PGPASSWORD}")]));
        assert_eq!((unknown.config[PASSWORD].as_str(), unknown.notes.len()), ("hunter2", 1));
        let mut own = config();
        own.insert(PASSWORD.to_owned(), "${file:/etc/pg:password}".to_owned());
        assert_eq!(fit(&own, &said(vec![probe("hunter2")])).config, own);
    }

    #[test]
    fn an_old_plug_in_and_a_strict_worker_get_what_they_take() {
        let old =
            KnownSetting { recommended: vec!["adaptive".to_owned(), "connect".to_owned()], ..KnownSetting::default() };
        let refused = KnownSetting { errors: vec!["not allowed".to_owned()], ..KnownSetting::default() };
        let wrong = KnownSetting { errors: vec!["no \n such hunter2".to_owned()], ..KnownSetting::default() };
        let settings = vec![
            ("time.precision.mode".to_owned(), old),
            ("producer.override.linger.ms".to_owned(), refused),
            ("database.user".to_owned(), wrong),
        ];
        let fitted = fit(&config(), &said(settings));
        assert_eq!(fitted.config["time.precision.mode"], "adaptive_time_microseconds");
        assert!(!fitted.config.contains_key("producer.override.linger.ms"));
        assert_eq!(fitted.errors, ["database.user: no such ***"]);
        assert_eq!(fitted.notes.len(), 3);
    }
}
