//! What Connect answers.

use super::trace::one_line;
use serde::Deserialize;
use std::collections::BTreeMap;

/// The worker that answered.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Worker {
    /// Kafka's version.
    pub version: String,
    /// The id of the Kafka cluster that it works with.
    #[serde(rename = "kafka_cluster_id", default)]
    pub cluster: Option<String>,
}

/// A plug-in of the worker.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Plugin {
    /// Its Java class.
    pub class: String,
    /// `source`, `sink`, `converter`, …
    #[serde(rename = "type", default)]
    pub kind: String,
    /// Its version, where it tells one.
    #[serde(default)]
    pub version: Option<String>,
}

/// What a connector or a task is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ConnectorState {
    /// It works.
    Running,
    /// It was paused: its tasks wait, and hold what they hold.
    Paused,
    /// It was stopped: it has no tasks.
    Stopped,
    /// It failed, and does not try again by itself.
    Failed,
    /// No worker has taken it yet.
    Unassigned,
    /// It is being started again.
    Restarting,
    /// It is on its way out.
    Destroyed,
    /// A state that later versions may have.
    #[serde(other)]
    Unknown,
}

impl ConnectorState {
    /// One lower-case word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
            Self::Unassigned => "unassigned",
            Self::Restarting => "restarting",
            Self::Destroyed => "destroyed",
            Self::Unknown => "unknown",
        }
    }
}

/// How a connector is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ConnectorStatus {
    /// Its name.
    pub name: String,
    /// The connector itself.
    pub connector: Part,
    /// Its tasks; none before they are made, and while it is stopped.
    #[serde(default)]
    pub tasks: Vec<Part>,
}

/// The connector, or a task of it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Part {
    /// The task's number; absent for the connector itself.
    #[serde(default)]
    pub id: Option<i32>,
    /// What it is doing.
    pub state: ConnectorState,
    /// Where: host and port of its worker.
    #[serde(default)]
    pub worker_id: String,
    /// The stack trace of its failure.
    #[serde(default)]
    pub trace: Option<String>,
}

impl ConnectorStatus {
    /// Whether the connector and at least one task run, and none does anything else.
    pub fn running(&self) -> bool {
        let runs = |part: &Part| part.state == ConnectorState::Running;
        runs(&self.connector) && !self.tasks.is_empty() && self.tasks.iter().all(runs)
    }

    /// The first failure's stack trace: the tasks' before the connector's.
    pub fn failure(&self) -> Option<&str> {
        let failed = self.tasks.iter().chain([&self.connector]).filter(|part| part.state == ConnectorState::Failed);
        failed.map(|part| part.trace.as_deref().unwrap_or("it does not say why")).next()
    }
}

/// What a plug-in says of a configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Validation {
    /// Each setting that it knows or refuses, by name.
    pub settings: BTreeMap<String, KnownSetting>,
}

/// A setting as the plug-in sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KnownSetting {
    /// Its value as the worker reads it, config providers resolved; absent for passwords.
    pub value: Option<String>,
    /// The values that it takes, where these are given.
    pub recommended: Vec<String>,
    /// What is wrong with it.
    pub errors: Vec<String>,
}

impl Validation {
    /// What is wrong, each with its setting.
    pub fn errors(&self) -> impl Iterator<Item = (&str, &str)> {
        self.settings
            .iter()
            .flat_map(|(name, setting)| setting.errors.iter().map(move |error| (name.as_str(), error.as_str())))
    }
}

#[derive(Deserialize)]
struct RawValidation {
    configs: Vec<RawConfig>,
}

#[derive(Deserialize)]
struct RawConfig {
    value: RawValue,
}

#[derive(Deserialize)]
struct RawValue {
    name: String,
    value: Option<String>,
    #[serde(default)]
    recommended_values: Vec<String>,
    #[serde(default)]
    errors: Vec<String>,
}

/// Reads the answer of a validation.
pub(super) fn validation(body: &[u8]) -> serde_json::Result<Validation> {
    let raw: RawValidation = serde_json::from_slice(body)?;
    let one = |RawConfig { value: RawValue { name, value, recommended_values, errors } }: RawConfig| {
        (name, KnownSetting { value, recommended: recommended_values, errors })
    };
    Ok(Validation { settings: raw.configs.into_iter().map(one).collect() })
}

#[derive(Deserialize)]
struct Refusal {
    message: String,
}

/// What an answer that says no says, on one line. Connect sends `{"error_code", "message"}`; what stands before it, such as a proxy, sends anything.
pub(super) fn refusal(body: &[u8]) -> String {
    match serde_json::from_slice::<Refusal>(body) {
        Ok(refusal) => {
            let text = refusal.message.replace("You can also find the above list of errors at the endpoint", "\u{0}");
            one_line(text.split('\u{0}').next().unwrap_or_default())
        }
        Err(_) => one_line(&String::from_utf8_lossy(body)).chars().take(200).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn running_means_the_connector_and_all_tasks() {
        let status = |text: &str| serde_json::from_str::<ConnectorStatus>(text).unwrap();
        let running = status(
            r#"{"name":"c","connector":{"state":"RUNNING","worker_id":"w:1"},"tasks":[{"id":0,"state":"RUNNING","worker_id":"w:1"}],"type":"source"}"#,
        );
        assert!(running.running() && running.failure().is_none());
        let failed = status(
            r#"{"name":"c","connector":{"state":"RUNNING","worker_id":"w:1"},"tasks":[{"id":0,"state":"FAILED","worker_id":"w:1","trace":"a.B: c"}]}"#,
        );
        assert_eq!((failed.running(), failed.failure()), (false, Some("a.B: c")));
        let new = status(r#"{"name":"c","connector":{"state":"NEW_WORD","worker_id":""},"tasks":[]}"#);
        assert_eq!((new.running(), new.connector.state), (false, ConnectorState::Unknown));
    }

    #[test]
    fn a_refusal_is_one_line() {
        let body = br#"{"error_code":400,"message":"Connector configuration is invalid and contains the following 1 error(s):\nThe 'topic.prefix' value is invalid\nYou can also find the above list of errors at the endpoint `/connector-plugins/{connectorType}/config/validate`"}"#;
        assert_eq!(
            refusal(body),
            "Connector configuration is invalid and contains the following 1 error(s): The 'topic.prefix' value is invalid"
        );
        assert_eq!(refusal(b"<html>\n502 Bad Gateway</html>"), "<html> 502 Bad Gateway</html>");
    }

    #[test]
    fn a_validation_tells_values_and_errors() {
        let body = br#"{"name":"c","error_count":1,"groups":[],"configs":[{"definition":{"name":"a"},"value":{"name":"a","value":"1","recommended_values":["x","y"],"errors":["no"],"visible":true}}]}"#;
        let validation = validation(body).unwrap();
        assert_eq!(validation.errors().collect::<Vec<_>>(), [("a", "no")]);
        assert_eq!(validation.settings["a"].recommended, ["x", "y"]);
    }
}
