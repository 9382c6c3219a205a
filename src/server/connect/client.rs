//! The client.

use super::answers::{ConnectorStatus, Plugin, Validation, Worker, refusal, validation};
use super::config::ConnectorConfig;
use crate::config::{HttpUrl, KafkaSettings};
use crate::error::{Error, Kind, Result};
use crate::server::http::{Answer, Call, Http, segment};
use axum::http::{Method, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Longer than Connect itself waits for the leader's answer to a change (90 s).
const TIMEOUT: Duration = Duration::from_secs(95);
/// A question that a worker answers by itself.
const ASK_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a group that rebalances is waited for: it refuses changes meanwhile (409).
const REBALANCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(300);
/// Between two looks for the status of a connector that was removed: it takes some 10 to 30 ms.
const LAST_WORD: Duration = Duration::from_millis(20);

/// Kafka Connect: one worker of a group, which passes on what another has to do.
#[derive(Debug, Clone)]
pub struct Connect {
    http: Http,
}

impl Connect {
    /// A client for the Connect of the settings; nothing is sent yet.
    ///
    /// # Errors
    /// [`Kind::Config`] where no URL is configured, or where the URL or the certificate file cannot be used.
    pub fn new(settings: &KafkaSettings) -> Result<Self> {
        let url = settings.connect_url.as_ref().ok_or_else(|| {
            Error::new(Kind::Config, "nothing says where Kafka Connect is")
                .hint("set `kafka.connect_url` in the configuration, or the variable CONNECT_URL")
        })?;
        let url = HttpUrl::parse(url.expose())
            .map_err(|what| Error::new(Kind::Config, format!("`kafka.connect_url` (CONNECT_URL) {what}")))?;
        Ok(Self { http: Http::new("Kafka Connect", &url, settings.ca_file.as_deref())? })
    }

    /// Where it is, without the login.
    pub fn address(&self) -> &str {
        self.http.address()
    }

    /// Asks the worker who it is.
    ///
    /// # Errors
    /// [`Kind::SourceUnreachable`] where it does not answer, [`Kind::Source`] where it refuses: so for every call below.
    pub async fn worker(&self) -> Result<Worker> {
        self.ask("/", "could not ask Kafka Connect for its version").await
    }

    /// The connector plug-ins of the worker.
    ///
    /// # Errors
    /// As for [`Connect::worker`].
    pub async fn plugins(&self) -> Result<Vec<Plugin>> {
        self.ask("/connector-plugins", "could not list the plug-ins of Kafka Connect").await
    }

    /// The names of all connectors.
    ///
    /// # Errors
    /// As for [`Connect::worker`].
    pub async fn connectors(&self) -> Result<Vec<String>> {
        self.ask("/connectors", "could not list the connectors").await
    }

    /// A connector's configuration; none where there is no such connector.
    ///
    /// # Errors
    /// As for [`Connect::worker`].
    pub async fn config(&self, name: &str) -> Result<Option<ConnectorConfig>> {
        let tried = format!("could not read the configuration of connector \"{name}\"");
        let config: Option<BTreeMap<String, String>> = self.find(&path(name, "/config"), &tried).await?;
        Ok(config.map(ConnectorConfig))
    }

    /// How a connector is; none where there is no such connector, or it is so new that nothing is known of it.
    ///
    /// # Errors
    /// As for [`Connect::worker`].
    pub async fn status(&self, name: &str) -> Result<Option<ConnectorStatus>> {
        self.find(&path(name, "/status"), &format!("could not read the status of connector \"{name}\"")).await
    }

    /// The topics that a connector has written to since it was made or they were reset.
    ///
    /// # Errors
    /// As for [`Connect::worker`]; [`Kind::Source`] too where the worker does not keep them (`topic.tracking.enable=false`).
    pub async fn topics(&self, name: &str) -> Result<Vec<String>> {
        #[derive(Deserialize)]
        struct Topics {
            topics: Vec<String>,
        }
        let tried = format!("could not read the topics of connector \"{name}\"");
        let all: Option<BTreeMap<String, Topics>> = self.find(&path(name, "/topics"), &tried).await?;
        Ok(all.into_iter().flatten().flat_map(|(_, one)| one.topics).collect())
    }

    /// Makes a connector, or gives one another configuration: its tasks start anew with it.
    ///
    /// # Errors
    /// As for [`Connect::worker`]; the text holds no secret of the configuration.
    pub async fn put_config(&self, name: &str, config: &ConnectorConfig) -> Result<()> {
        let tried = format!("could not write the configuration of connector \"{name}\"");
        let answer = self.change(Method::PUT, &path(name, "/config"), Some(json(&config.0)?), &tried).await?;
        accepted(&answer).map_err(|refused| refused.error(&config.scrub(&refused.text), &tried))
    }

    /// Makes a connector that is stopped from its first moment on (Kafka 3.7 and later).
    ///
    /// # Errors
    /// As for [`Connect::put_config`].
    pub async fn create_stopped(&self, name: &str, config: &ConnectorConfig) -> Result<()> {
        let tried = format!("could not make connector \"{name}\"");
        let body = serde_json::json!({ "name": name, "config": config.0, "initial_state": "STOPPED" });
        let answer = self.change(Method::POST, "/connectors", Some(body.to_string().into_bytes()), &tried).await?;
        accepted(&answer).map_err(|refused| refused.error(&config.scrub(&refused.text), &tried))
    }

    /// Has a plug-in look at a configuration. Debezium also tries to reach the database with it.
    ///
    /// # Errors
    /// As for [`Connect::worker`]; a configuration that is wrong is no error, but a plug-in that is not there.
    pub async fn validate(&self, class: &str, config: &ConnectorConfig) -> Result<Validation> {
        let tried = "could not have the plug-in look at the configuration";
        let path = format!("/connector-plugins/{}/config/validate", segment(class));
        let answer = self.change(Method::PUT, &path, Some(json(&config.0)?), tried).await?;
        accepted(&answer).map_err(|refused| refused.error(&config.scrub(&refused.text), tried))?;
        validation(&answer.body).map_err(|error| unreadable(tried, error))
    }

    /// Starts a connector and its tasks again, or those alone that failed.
    ///
    /// # Errors
    /// As for [`Connect::worker`].
    pub async fn restart(&self, name: &str, only_failed: bool) -> Result<()> {
        let path = path(name, &format!("/restart?includeTasks=true&onlyFailed={only_failed}"));
        self.run(Method::POST, &path, &format!("could not restart connector \"{name}\"")).await
    }

    /// Has a connector's tasks wait.
    ///
    /// # Errors
    /// As for [`Connect::worker`].
    pub async fn pause(&self, name: &str) -> Result<()> {
        self.run(Method::PUT, &path(name, "/pause"), &format!("could not pause connector \"{name}\"")).await
    }

    /// Ends a pause or a stop.
    ///
    /// # Errors
    /// As for [`Connect::worker`].
    pub async fn resume(&self, name: &str) -> Result<()> {
        self.run(Method::PUT, &path(name, "/resume"), &format!("could not resume connector \"{name}\"")).await
    }

    /// Ends a connector's tasks and keeps the connector; false where the worker cannot (before Kafka 3.5).
    ///
    /// # Errors
    /// As for [`Connect::worker`].
    pub async fn stop(&self, name: &str) -> Result<bool> {
        let tried = format!("could not stop connector \"{name}\"");
        let answer = self.change(Method::PUT, &path(name, "/stop"), None, &tried).await?;
        if matches!(answer.status, StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED) {
            return Ok(false);
        }
        accepted(&answer).map_err(|refused| refused.error(&refused.text, &tried))?;
        Ok(true)
    }

    /// Removes a connector. What it stored of its position stays, and a new one of its name goes on from there.
    ///
    /// A worker answers before it has taken the connector's status away; it is waited for, since who makes a connector of the same name at once would
    /// read the old one's state.
    ///
    /// # Errors
    /// As for [`Connect::worker`].
    pub async fn delete(&self, name: &str) -> Result<()> {
        self.run(Method::DELETE, &path(name, ""), &format!("could not delete connector \"{name}\"")).await?;
        let deadline = Instant::now() + REBALANCE;
        while self.status(name).await?.is_some() && Instant::now() < deadline {
            tokio::time::sleep(LAST_WORD).await;
        }
        Ok(())
    }

    /// What a connector stored of its position, one object a source partition (Kafka 3.5 and later).
    ///
    /// # Errors
    /// As for [`Connect::worker`].
    pub async fn offsets(&self, name: &str) -> Result<Vec<serde_json::Value>> {
        #[derive(Deserialize, Default)]
        struct Offsets {
            offsets: Vec<serde_json::Value>,
        }
        let tried = format!("could not read the stored offsets of connector \"{name}\"");
        let found: Option<Offsets> = self.find(&path(name, "/offsets"), &tried).await?;
        Ok(found.unwrap_or_default().offsets)
    }

    /// Forgets what a connector stored of its position; the connector has to be stopped (Kafka 3.6 and later).
    ///
    /// # Errors
    /// As for [`Connect::worker`].
    pub async fn delete_offsets(&self, name: &str) -> Result<()> {
        let tried = format!("could not delete the stored offsets of connector \"{name}\"");
        self.run(Method::DELETE, &path(name, "/offsets"), &tried).await
    }

    async fn run(&self, method: Method, path: &str, tried: &str) -> Result<()> {
        let answer = self.change(method, path, None, tried).await?;
        accepted(&answer).map_err(|refused| refused.error(&refused.text, tried))
    }

    /// Sends a change; a group that rebalances is asked again until it has settled.
    async fn change(&self, method: Method, path: &str, body: Option<Vec<u8>>, tried: &str) -> Result<Answer> {
        let deadline = Instant::now() + REBALANCE;
        loop {
            let call = Call { method: method.clone(), path, body: body.clone(), timeout: TIMEOUT };
            let answer = self.http.call(call).await.map_err(|error| error.during(tried))?;
            if !rebalances(&answer) || Instant::now() >= deadline {
                return Ok(answer);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn ask<T: DeserializeOwned>(&self, path: &str, tried: &str) -> Result<T> {
        match self.find(path, tried).await? {
            Some(answer) => Ok(answer),
            None => Err(Error::new(Kind::Source, tried)
                .because(format!("{}{path} is not there (404)", self.address()))
                .hint("is `kafka.connect_url` the REST interface of Kafka Connect (port 8083 by default)?")),
        }
    }

    async fn find<T: DeserializeOwned>(&self, path: &str, tried: &str) -> Result<Option<T>> {
        let deadline = Instant::now() + REBALANCE;
        loop {
            let call = Call { method: Method::GET, path, body: None, timeout: ASK_TIMEOUT };
            let answer = self.http.call(call).await.map_err(|error| error.during(tried))?;
            if answer.status == StatusCode::NOT_FOUND {
                return Ok(None);
            }
            if rebalances(&answer) && Instant::now() < deadline {
                tokio::time::sleep(PAUSE).await;
                continue;
            }
            accepted(&answer).map_err(|refused| refused.error(&refused.text, tried))?;
            return serde_json::from_slice(&answer.body).map(Some).map_err(|error| unreadable(tried, error));
        }
    }
}

fn path(name: &str, rest: &str) -> String {
    format!("/connectors/{}{rest}", segment(name))
}

fn json(config: &BTreeMap<String, String>) -> Result<Vec<u8>> {
    serde_json::to_vec(config)
        .map_err(|error| Error::new(Kind::Unexpected, "could not write a configuration as JSON").because(error))
}

fn unreadable(tried: &str, error: serde_json::Error) -> Error {
    Error::new(Kind::Source, tried)
        .because(error)
        .hint("is `kafka.connect_url` the REST interface of Kafka Connect (port 8083 by default)?")
}

/// Whether the workers are sharing out their work and can be asked again in a moment: 409, or 500 with a word of it.
fn rebalances(answer: &Answer) -> bool {
    let says = || refusal(&answer.body).contains("rebalance");
    answer.status == StatusCode::CONFLICT || (answer.status == StatusCode::INTERNAL_SERVER_ERROR && says())
}

/// An answer that says no.
struct Refused {
    status: StatusCode,
    text: String,
}

fn accepted(answer: &Answer) -> std::result::Result<(), Refused> {
    if answer.status.is_success() {
        return Ok(());
    }
    Err(Refused { status: answer.status, text: refusal(&answer.body) })
}

impl Refused {
    fn error(&self, text: &str, tried: &str) -> Error {
        let (kind, hint) = match self.status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                (Kind::Source, Some("check the login in `kafka.connect_url`: http://user:password@host:port"))
            }
            StatusCode::CONFLICT => {
                (Kind::SourceUnreachable, Some("the workers of Connect are rebalancing: try again in a moment"))
            }
            StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
                (Kind::SourceUnreachable, None)
            }
            _ => (Kind::Source, None),
        };
        let error = Error::new(kind, tried).because(format!("{} ({})", text, self.status.as_u16()));
        match hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }
}
