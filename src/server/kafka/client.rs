//! What every client of Kafka has in common: its configuration, its log, and the sorting of its errors.

use crate::config::KafkaSettings;
use crate::error::{Error, Kind};
use rdkafka::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use std::sync::{Mutex, PoisonError};

/// The configuration of a client: the settings' brokers, then `kafka.properties`, then what the caller insists on. Nothing is sent yet.
///
/// The properties are those of <https://github.com/confluentinc/librdkafka/blob/master/CONFIGURATION.md>.
pub fn client_config(settings: &KafkaSettings, overrides: &[(&str, &str)]) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("client.id", "pipectl");
    // Brokers close idle connections; that is no event.
    config.set("log.connection.close", "false");
    if let Some(path) = &settings.ca_file {
        config.set("ssl.ca.location", path.to_string_lossy());
    }
    for (name, value) in &settings.properties {
        config.set(name, value.expose());
    }
    config.set("bootstrap.servers", &settings.brokers);
    for (name, value) in overrides {
        config.set(*name, *value);
    }
    config.set_log_level(RDKafkaLogLevel::Info);
    config
}

/// What librdkafka calls back with: its log goes to ours, and its last error is kept, since a call that timed out does not say why.
#[derive(Debug, Default)]
pub struct KafkaContext {
    last: Mutex<Option<(Code, String)>>,
}

impl KafkaContext {
    /// The last error that no call returned, such as a refused login; it is forgotten by this.
    pub fn take_last(&self) -> Option<(Code, String)> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl ClientContext for KafkaContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        match level {
            RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
                tracing::error!(target: "librdkafka", facility, message);
            }
            // A broker that is away is told by the engine, once.
            RDKafkaLogLevel::Error | RDKafkaLogLevel::Warning => {
                tracing::info!(target: "librdkafka", facility, message);
            }
            RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info | RDKafkaLogLevel::Debug => {
                tracing::debug!(target: "librdkafka", facility, message);
            }
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(target: "librdkafka", %error, reason);
        let code = error.rdkafka_error_code().unwrap_or(Code::Unknown);
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        // That all brokers are down says less than what happened to one of them.
        let says_less = code == Code::AllBrokersDown && last.is_some();
        if !says_less {
            *last = Some((code, reason.to_owned()));
        }
    }

    fn stats(&self, _statistics: rdkafka::Statistics) {}
}

impl ConsumerContext for KafkaContext {}

/// Wraps an error of librdkafka with what was being tried. What the network did, and what passes by itself, is
/// [`Kind::SourceUnreachable`]; a refused login or a missing right or topic is [`Kind::Source`]; a wrong property [`Kind::Config`].
pub fn kafka_error(tried: &str, error: &KafkaError) -> Error {
    match error {
        KafkaError::ClientConfig(_, what, key, _) if is_secret(key) || what.is_empty() => {
            Error::new(Kind::Config, tried)
                .because(format!("the property \"{key}\" has a wrong value"))
                .hint(PROPERTIES)
        }
        KafkaError::ClientConfig(_, what, ..) => Error::new(Kind::Config, tried).because(what.clone()).hint(PROPERTIES),
        KafkaError::ClientCreation(what) => Error::new(Kind::Config, tried).because(what.clone()).hint(PROPERTIES),
        error => match error.rdkafka_error_code() {
            Some(code) => code_error(tried, code, &code.to_string()),
            None => Error::new(Kind::Source, tried).because(error.to_string()),
        },
    }
}

const PROPERTIES: &str = "check `kafka.properties` in the configuration; its names are librdkafka's";

fn is_secret(key: &str) -> bool {
    ["password", "secret", "pem", "token"].iter().any(|part| key.contains(part))
}

/// As [`kafka_error`], from a code and librdkafka's own words.
pub fn code_error(tried: &str, code: Code, reason: &str) -> Error {
    let (kind, hint) = verdict(refused_by_tls(code, reason));
    let error = Error::new(kind, tried).because(reason.to_owned());
    match hint {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

/// A broker that does not take a client's certificate, or wants one, closes the connection; librdkafka tells of that as of any other end. The alert says
/// that another attempt cannot help.
fn refused_by_tls(code: Code, reason: &str) -> Code {
    if code == Code::BrokerTransportFailure && reason.contains("SSL alert number") { Code::SSL } else { code }
}

fn verdict(code: Code) -> (Kind, Option<&'static str>) {
    match code {
        Code::Authentication
        | Code::SaslAuthenticationFailed
        | Code::UnsupportedSASLMechanism
        | Code::IllegalSASLState => (
            Kind::Source,
            Some(
                "check the login: `security.protocol`, `sasl.mechanism`, `sasl.username` and `sasl.password` under `kafka.properties`",
            ),
        ),
        Code::SSL => (
            Kind::Source,
            Some("check the certificates: `kafka.ca_file` and the other `ssl.*` under `kafka.properties`"),
        ),
        Code::TopicAuthorizationFailed => (Kind::Source, Some("grant this user READ and DESCRIBE on the topic")),
        Code::GroupAuthorizationFailed => (Kind::Source, Some("grant this user READ on the consumer group")),
        Code::ClusterAuthorizationFailed => (Kind::Source, Some("grant this user DESCRIBE on the cluster")),
        Code::UnknownTopic | Code::UnknownTopicOrPartition | Code::UnknownPartition => (
            Kind::Source,
            Some(
                "does the topic exist? `pipectl tail --topics` lists them; check `kafka.topic_prefix` and the connector",
            ),
        ),
        Code::Fenced | Code::FencedInstanceId | Code::UnreleasedInstanceId => (
            Kind::Source,
            Some("another process has the same `group.instance.id`: each process of a group needs its own"),
        ),
        Code::OffsetOutOfRange | Code::AutoOffsetReset => (Kind::SourceGap, None),
        Code::Fatal | Code::InconsistentGroupProtocol | Code::InvalidGroupId | Code::UnsupportedVersion => {
            (Kind::Source, None)
        }
        Code::BrokerTransportFailure | Code::AllBrokersDown | Code::Resolve => (
            Kind::SourceUnreachable,
            Some("check `kafka.brokers`, and that the brokers run and are reachable under the names they advertise"),
        ),
        code if passes(code) => (Kind::SourceUnreachable, None),
        _ => (Kind::Source, None),
    }
}

/// Whether the state passes by itself, as while brokers elect a leader or a group is joined.
fn passes(code: Code) -> bool {
    matches!(
        code,
        Code::OperationTimedOut
            | Code::MessageTimedOut
            | Code::TimedOutQueue
            | Code::RequestTimedOut
            | Code::NetworkException
            | Code::LeaderNotAvailable
            | Code::NotLeaderForPartition
            | Code::BrokerNotAvailable
            | Code::ReplicaNotAvailable
            | Code::CoordinatorLoadInProgress
            | Code::CoordinatorNotAvailable
            | Code::NotCoordinator
            | Code::WaitingForCoordinator
            | Code::NotEnoughReplicas
            | Code::NotEnoughReplicasAfterAppend
            | Code::RebalanceInProgress
            | Code::IllegalGeneration
            | Code::UnknownMemberId
            | Code::KafkaStorageError
            | Code::FetchSessionIdNotFound
            | Code::InvalidFetchSessionEpoch
            | Code::FencedLeaderEpoch
            | Code::UnknownLeaderEpoch
            | Code::OffsetNotAvailable
            | Code::UnstableOffsetCommit
            | Code::ThrottlingQuotaExceeded
            | Code::PollExceeded
            | Code::AssignmentLost
            | Code::Retry
            | Code::InProgress
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;
    use std::collections::BTreeMap;

    #[test]
    fn an_alert_of_tls_is_a_verdict_and_a_lost_connection_is_none() {
        let alert = "ssl://b/bootstrap: Receive failed: error:0A000412:SSL routines::sslv3 alert bad certificate: SSL alert number 42";
        let kind = |reason: &str| code_error("x", Code::BrokerTransportFailure, reason).kind();
        assert_eq!((kind(alert), kind("Receive failed: Disconnected")), (Kind::Source, Kind::SourceUnreachable));
    }

    #[test]
    fn properties_stand_between_brokers_and_what_the_caller_insists_on() {
        let properties = BTreeMap::from([
            ("bootstrap.servers".to_owned(), Secret::new("elsewhere:1")),
            ("enable.auto.commit".to_owned(), Secret::new("true")),
            ("client.id".to_owned(), Secret::new("mine")),
        ]);
        let settings = KafkaSettings { properties, ..KafkaSettings::new("here:9092") };
        let config = client_config(&settings, &[("enable.auto.commit", "false")]);
        assert_eq!(config.get("bootstrap.servers"), Some("here:9092"));
        assert_eq!(config.get("enable.auto.commit"), Some("false"));
        assert_eq!(config.get("client.id"), Some("mine"));
    }

    #[test]
    fn a_broker_that_is_away_is_worth_another_try_and_a_refused_login_is_not() {
        let kind = |code| kafka_error("could not", &KafkaError::MetadataFetch(code)).kind();
        assert_eq!(kind(Code::BrokerTransportFailure), Kind::SourceUnreachable);
        assert_eq!(kind(Code::LeaderNotAvailable), Kind::SourceUnreachable);
        assert_eq!(kind(Code::Authentication), Kind::Source);
        assert_eq!(kind(Code::TopicAuthorizationFailed), Kind::Source);
        assert_eq!(kind(Code::AutoOffsetReset), Kind::SourceGap);
    }

    #[test]
    fn a_wrong_property_is_named_and_a_secret_is_not_shown() {
        let settings = KafkaSettings::new("here:9092");
        let refused = |name, value| {
            let error = client_config(&settings, &[(name, value)]).create_native_config().err().unwrap();
            kafka_error("could not set up a client", &error)
        };
        let error = refused("no.such.property", "hunter2");
        assert_eq!(error.kind(), Kind::Config);
        assert!(error.with_causes().contains("no.such.property"), "{}", error.with_causes());
        let error = refused("no.such.password", "hunter2");
        assert!(!error.with_causes().contains("hunter2"), "{}", error.with_causes());
    }
}
