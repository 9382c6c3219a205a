//! `sync --source kafka` from brokers that ask who is there: with a password, and with a client's certificate.

use crate::support::{Kafka, Outcome, Sample, Stage, variable};

/// What the records of the sample leave in its table.
const ORDERS: &str = "[1,3,4,7,9,1001]";

/// Records with schemas, which need no Postgres to be read.
struct Topics {
    kafka: Kafka,
    stage: Stage,
}

impl Topics {
    fn new(test: &str) -> Self {
        let stage = Stage::new(test);
        // Through the listener that asks nothing.
        let kafka = Kafka::of(&stage);
        Sample::read("default-schema").replay(&kafka);
        Self { kafka, stage }
    }

    /// A sync from a listener, with these properties of librdkafka.
    fn sync(&self, brokers: &str, authority: &str, properties: &[(&str, &str)]) -> Outcome {
        let properties: Vec<String> =
            properties.iter().map(|(name, value)| format!("    {name}: '{value}'\n")).collect();
        let properties = properties.concat();
        self.stage.directory.write(
            "topics.yml",
            &format!(
                "pipeline: {0}\nclickhouse:\n  url: ${{CLICKHOUSE_URL}}\n  database: {0}\nkafka:\n  brokers: {1}\n  topic_prefix: {0}\n  ca_file: {2}\n  properties:\n{properties}tables:\n  - source: inv.orders\nsync:\n  source: kafka\n",
                self.stage.name,
                variable(brokers),
                variable(authority),
            ),
        );
        let invocation = self.stage.invocation(&["-c", "topics.yml", "sync", "--until-caught-up"]);
        invocation.without("POSTGRES_URL").run()
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
        self.sync("PIPECTL_KAFKA_SASL_BROKERS", authority, &properties)
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
        let topics = Topics::new("kafka_login");
        let outcome = topics.login(mechanism, "PIPECTL_KAFKA_CA", &password);
        topics.arrived(&outcome);
        assert!(!format!("{}{}", outcome.stdout, outcome.stderr).contains(&password), "{mechanism}");
    }
}

#[test]
fn a_wrong_password_or_authority_is_told_and_the_password_is_not() {
    let topics = Topics::new("kafka_refused");
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
    let topics = Topics::new("kafka_certificate");
    let (certificate, key) = (variable("PIPECTL_KAFKA_CLIENT_CERT"), variable("PIPECTL_KAFKA_CLIENT_KEY"));
    let properties =
        [("security.protocol", "ssl"), ("ssl.certificate.location", certificate.as_str()), ("ssl.key.location", &key)];
    let outcome = topics.sync("PIPECTL_KAFKA_SSL_BROKERS", "PIPECTL_KAFKA_WRONG_CA", &properties);
    refused(&outcome, "check the certificates");
    let outcome = topics.sync("PIPECTL_KAFKA_SSL_BROKERS", "PIPECTL_KAFKA_CA", &properties[..1]);
    refused(&outcome, "check the certificates");
    let outcome = topics.sync("PIPECTL_KAFKA_SSL_BROKERS", "PIPECTL_KAFKA_CA", &properties);
    topics.arrived(&outcome);
}
