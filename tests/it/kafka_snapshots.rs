//! Snapshots of the connector's that begin again: Debezium tells nothing of what happened between the two.

use crate::support::{Connect, Kafka, OtherServers, Outcome, Proxy, Stage};
use crate::sync_faults::stop;

const TABLES: [&str; 5] = ["a_keyed", "b_kept", "c_history", "d_bag", "e_inserts"];

/// A pipeline through topics on servers of its own. The fields go in the order in which they have to end.
struct Way {
    connect: Connect,
    kafka: Kafka,
    stage: Stage,
    servers: OtherServers,
}

impl Way {
    /// A table of each kind, and one that is read last.
    fn new() -> Self {
        let servers = OtherServers::with_kafka("kafka-again");
        let stage = Stage::on(&servers.urls(), "kafka_again");
        let kafka = Kafka::at(&servers.variable("KAFKA_BROKERS"), &stage);
        let connect = Connect::at(&servers.variable("CONNECT_URL"), &stage);
        for table in TABLES {
            let key = if matches!(table, "d_bag" | "e_inserts") { "" } else { "PRIMARY KEY" };
            stage.postgres.execute(&format!(
                "CREATE TABLE {table} (id int {key}, v text); ALTER TABLE {table} REPLICA IDENTITY FULL;
                 INSERT INTO {table} SELECT n, 'first' FROM generate_series(1, 50) AS n"
            ));
        }
        stage.postgres.execute("CREATE TABLE z_last (id int PRIMARY KEY)");
        stage.config(&format!(
            "kafka:\n  brokers: {}\n  topic_prefix: {}\n  connect_url: {}\ntables:\n  - source: public.*\n  - {{source: public.b_kept, deletes: keep}}\n  \
             - {{source: public.c_history, mode: log}}\n  - {{source: public.d_bag, keyless: multiset}}\n  - {{source: public.e_inserts, keyless: insert_only}}\n\
             sync:\n  source: kafka\n",
            kafka.brokers, stage.name, connect.url
        ));
        Self { connect, kafka, stage, servers }
    }

    /// Kills the connector when it has read all tables but the last, and what it has read is stored.
    fn kill_in_the_snapshot(&self) {
        let source = Proxy::to(&self.stage.postgres.url);
        source.hold(&["FROM \"public\".\"z_last\""]);
        let port = source.port().to_string();
        let further = [
            ("database.port", port.as_str()),
            ("database.sslmode", "disable"),
            ("skipped.operations", "none"),
            ("provide.transaction.metadata", "true"),
            ("heartbeat.interval.ms", "200"),
        ];
        self.connect.apply(&Connect::debezium(&self.stage, &further));
        source.wait_until_held();
        let mut running = self.stage.invocation(&["sync"]).spawn();
        running.wait_for("partitions of");
        let rows = |table: &str| {
            let count = self.stage.clickhouse.try_value(&format!("SELECT count() FROM {{db}}.{table}"));
            count.map_or(0, |count| count.parse::<u32>().unwrap())
        };
        // The last row of each table is sent with the first of the next one.
        self.stage.wait_until("what was read is stored", |_| TABLES.iter().all(|table| rows(table) >= 49));
        self.servers.kill("connect");
        stop(running);
        source.release();
    }

    /// Catches up; all tables have the rows that they should have.
    fn prove(&self) -> Outcome {
        self.connect.wait_until_it_has_caught_up(&self.stage);
        let outcome = self.stage.catch_up_and_verify();
        for (table, rows) in
            [("a_keyed FINAL", "51"), ("c_history FINAL", "51"), ("d_bag", "51"), ("e_inserts FINAL", "52")]
        {
            let stored = self.stage.clickhouse.value(&format!("SELECT count() FROM {{db}}.{table}"));
            assert_eq!(stored, rows, "{table}: {outcome}");
        }
        let gone = "SELECT toString(groupArray(id)) FROM {db}.b_kept FINAL WHERE _source_deleted_at IS NOT NULL";
        assert_eq!(self.stage.clickhouse.value(gone), "[1]", "{outcome}");
        outcome
    }
}

#[test]
fn what_a_snapshot_has_read_that_began_again_goes() {
    let way = Way::new();
    way.kill_in_the_snapshot();
    let each = |statement: &str, tables: &[&str]| {
        for table in tables {
            way.stage.postgres.execute(&statement.replace("{t}", table));
        }
    };
    each("UPDATE {t} SET v = 'between' WHERE id = 2; INSERT INTO {t} VALUES (51, 'between')", &TABLES);
    each("DELETE FROM {t} WHERE id = 1", &TABLES[..4]);
    way.servers.start("connect");
    way.connect.wait_until_it_streams(&way.stage);
    each("INSERT INTO {t} VALUES (52, 'after')", &TABLES);
    let outcome = way.prove();
    assert_eq!(outcome.stderr.matches("began its snapshot again").count(), TABLES.len(), "{outcome}");
    assert!(!outcome.stderr.contains("parked"), "{outcome}");

    // Everything once more: what the first one has read does not come back.
    for table in TABLES {
        way.kafka.commit(&way.connect.name(), &way.kafka.name(&format!("public.{table}")), 0);
    }
    way.stage
        .clickhouse
        .execute("ALTER TABLE {db}.pipectl_state DELETE WHERE kind = 'offset' SETTINGS mutations_sync = 2");
    let outcome = way.prove();
    assert!(!outcome.stderr.contains(" 0 rows of changes stored"), "{outcome}");
}
