//! A database behind a real connector: the way through Kafka as a user has it.

use super::{Connect, Invocation, Kafka, Outcome, Stage};

/// A pipeline through topics. The fields go in the order in which they have to end.
pub(crate) struct Piped {
    pub(crate) connect: Connect,
    pub(crate) kafka: Kafka,
    pub(crate) stage: Stage,
}

impl Piped {
    /// Runs these statements, and has a connector with these settings that streams already; the rows of the statements are in the topics.
    pub(crate) fn new(test: &str, schema: &str, further: &[(&str, &str)]) -> Self {
        let stage = Stage::new(test);
        stage.postgres.execute(schema);
        let kafka = Kafka::of(&stage);
        let connect = Connect::of(&stage);
        let mut settings =
            vec![("skipped.operations", "none"), ("schema.include.list", "public"), ("heartbeat.interval.ms", "200")];
        settings.extend(further);
        connect.apply(&Connect::debezium(&stage, &settings));
        connect.wait_until_it_streams(&stage);
        let piped = Self { connect, kafka, stage };
        piped.wait_for_the_copy();
        piped.configure("", "tables:\n  - source: public.*\n");
        piped
    }

    /// The connector streams before the last records of its copy are in their topics, or these are even made.
    fn wait_for_the_copy(&self) {
        // Rows of a partition come under the root's name.
        let tables = "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND NOT relispartition AND relnamespace = 'public'::regnamespace";
        for row in self.stage.postgres.rows(tables) {
            let table = row[0].clone().unwrap();
            let rows = self.stage.postgres.value(&format!("SELECT count(*) FROM public.\"{table}\""));
            self.kafka.wait_for(&self.topic(&table), rows.parse().unwrap());
        }
    }

    /// The topic of a table.
    pub(crate) fn topic(&self, table: &str) -> String {
        self.kafka.name(&format!("public.{table}"))
    }

    /// Writes the configuration, with further lines of `kafka`, and what follows it.
    pub(crate) fn configure(&self, kafka: &str, rest: &str) {
        self.stage.config(&format!(
            "kafka:\n  brokers: {}\n  topic_prefix: {}\n  connect_url: {}\n{kafka}{rest}sync:\n  source: kafka\n",
            self.kafka.brokers, self.stage.name, self.connect.url
        ));
    }

    /// The binary with arguments.
    pub(crate) fn call(&self, arguments: &[&str]) -> Invocation {
        self.stage.invocation(arguments)
    }

    /// Runs it, and expects a success.
    pub(crate) fn good(&self, arguments: &[&str]) -> Outcome {
        let outcome = self.call(arguments).run();
        assert_eq!(outcome.status, Some(0), "{arguments:?}: {outcome}");
        outcome
    }

    /// Catches up, and expects that everything could be carried.
    pub(crate) fn sync(&self) -> Outcome {
        let outcome = self.good(&["sync", "--until-caught-up"]);
        assert!(!outcome.stderr.contains("parked") && !outcome.stderr.contains("set aside"), "{outcome}");
        outcome
    }

    /// Compares both sides.
    pub(crate) fn equal(&self) {
        self.good(&["verify", "--wait", "4m"]);
    }

    /// Forgets how far these tables' topics were read: everything is read again.
    pub(crate) fn rewind(&self, tables: &[&str]) {
        for table in tables {
            self.kafka.commit(&self.connect.name(), &self.topic(table), 0);
        }
        self.forget_offsets();
    }

    /// Takes the offsets that are stored beside the data away.
    pub(crate) fn forget_offsets(&self) {
        self.stage
            .clickhouse
            .execute("ALTER TABLE {db}.pipectl_state DELETE WHERE kind = 'offset' SETTINGS mutations_sync = 2");
    }
}
