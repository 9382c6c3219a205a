//! Topics without a connector: a test puts records into them itself.

use super::{Kafka, Outcome, Stage};

/// A stage with Kafka; the fields go in the order in which they have to end.
pub(crate) struct Topics {
    pub(crate) kafka: Kafka,
    pub(crate) stage: Stage,
}

impl Topics {
    /// A stage, and topics of its name: none yet.
    pub(crate) fn new(test: &str) -> Self {
        let stage = Stage::new(test);
        Self { kafka: Kafka::of(&stage), stage }
    }
}

impl Stage {
    /// Catches up from topics by a configuration without Postgres: with these lines of `kafka` behind the brokers, and these tables.
    pub(crate) fn sync_topics(&self, brokers: &str, kafka: &str, tables: &str) -> Outcome {
        let name = &self.name;
        self.directory.write(
            "topics.yml",
            &format!(
                "pipeline: {name}\nclickhouse:\n  url: ${{CLICKHOUSE_URL}}\n  database: {name}\nkafka:\n  brokers: {brokers}\n  topic_prefix: {name}\n{kafka}{tables}sync:\n  source: kafka\n"
            ),
        );
        self.invocation(&["-c", "topics.yml", "sync", "--until-caught-up"]).without("POSTGRES_URL").run()
    }
}
