//! `sync --source kafka` from brokers that ask who is there: with a password, and with a client's certificate.

use crate::support::{Outcome, Sample, Topics, variable};

/// What the records of the sample leave in its table.
const ORDERS: &str = "[1,3,4,7,9,1001]";

impl Topics {
    /// With records that carry schemas, which need no Postgres to be read; they were sent through the listener that asks nothing.
    fn with_schemas(test: &str) -> Self {
        let it = Self::new(test);
        Sample::read("default-schema").replay(&it.kafka);
        it
    }

    /// A sync from a listener, with these properties of librdkafka.
    fn sync_from(&self, brokers: &str, authority: &str, properties: &[(&str, &str)]) -> Outcome {
        let properties: Vec<String> =
            properties.iter().map(|(name, value)| format!("    {name}: '{value}'\n")).collect();
        let kafka = format!("  ca_file: {}\n  properties:\n{}", variable(authority), properties.concat());
        self.stage.sync_topics(&variable(brokers), &kafka, "tables:\n  - source: inv.orders\n")
    }

    /// The same with a password.
    fn login(&self, mechanism: &str, authority: &str, password: &str) -> Outcome {
        let user = variable("PIPECTL_KAFKA_USER");
        let properties = [
            ("security.protocol", "sasl_ssl"),
            ("sasl.mechanism", mechanism),
            ("sasl.username", &user),
            ("sasl.password", password),
        ];
        self.sync_from("PIPECTL_KAFKA_SASL_BROKERS", authority, &properties)
    }

    fn arrived(&self, outcome: &Outcome) {
        assert_eq!(outcome.status, Some(0), "{outcome}");
        let stored = "SELECT toString(groupArray(id)) FROM (SELECT id FROM {db}.inv_orders FINAL ORDER BY id)";
        assert_eq!(self.stage.clickhouse.value(stored), ORDERS, "{outcome}");
        // The group is the one that the other listener knows, and has stored how far it is.
        let topic = self.kafka.name("inv.orders");
        let group = format!("pipectl_{}", self.stage.name);
        assert_eq!(self.kafka.committed(&group, &topic), self.kafka.ends(&topic), "{outcome}");
    }
}

fn refused(outcome: &Outcome, words: &str) {
    assert_eq!(outcome.status, Some(5), "{outcome}");
    assert!(outcome.stderr.contains(words), "{words}: {outcome}");
}

#[test]
fn every_mechanism_with_a_password_logs_in() {
    let password = variable("PIPECTL_KAFKA_PASSWORD");
    for mechanism in ["SCRAM-SHA-256", "SCRAM-SHA-512", "PLAIN"] {
        let topics = Topics::with_schemas("kafka_login");
        let outcome = topics.login(mechanism, "PIPECTL_KAFKA_CA", &password);
        topics.arrived(&outcome);
        assert!(!format!("{}{}", outcome.stdout, outcome.stderr).contains(&password), "{mechanism}");
    }
}

#[test]
fn a_wrong_password_or_authority_is_told_and_the_password_is_not() {
    let topics = Topics::with_schemas("kafka_refused");
    for mechanism in ["SCRAM-SHA-256", "SCRAM-SHA-512", "PLAIN"] {
        let outcome = topics.login(mechanism, "PIPECTL_KAFKA_CA", "hunter2");
        refused(&outcome, "check the login");
        assert!(!format!("{}{}", outcome.stdout, outcome.stderr).contains("hunter2"), "{mechanism}: {outcome}");
    }
    let password = variable("PIPECTL_KAFKA_PASSWORD");
    let outcome = topics.login("SCRAM-SHA-512", "PIPECTL_KAFKA_WRONG_CA", &password);
    refused(&outcome, "check the certificates");
    assert!(!format!("{}{}", outcome.stdout, outcome.stderr).contains(&password));
}

#[test]
fn a_clients_certificate_logs_in() {
    let topics = Topics::with_schemas("kafka_certificate");
    let (certificate, key) = (variable("PIPECTL_KAFKA_CLIENT_CERT"), variable("PIPECTL_KAFKA_CLIENT_KEY"));
    let properties =
        [("security.protocol", "ssl"), ("ssl.certificate.location", certificate.as_str()), ("ssl.key.location", &key)];
    let outcome = topics.sync_from("PIPECTL_KAFKA_SSL_BROKERS", "PIPECTL_KAFKA_WRONG_CA", &properties);
    refused(&outcome, "check the certificates");
    let outcome = topics.sync_from("PIPECTL_KAFKA_SSL_BROKERS", "PIPECTL_KAFKA_CA", &properties[..1]);
    refused(&outcome, "check the certificates");
    let outcome = topics.sync_from("PIPECTL_KAFKA_SSL_BROKERS", "PIPECTL_KAFKA_CA", &properties);
    topics.arrived(&outcome);
}
