//! `sync --source kafka` behind a real connector: what Debezium writes into topics arrives as Postgres has it, through restarts and deaths.

use crate::support::{Connect, Piped, Record, Stage};

mod workload;

const SCHEMA: &str = "
    CREATE TABLE orders (id bigint PRIMARY KEY, status text NOT NULL, amount numeric(12, 2), at timestamptz, day date, tags text[], raw bytea, doc jsonb);
    CREATE TABLE big (id int PRIMARY KEY, n int, a text, b text, raw bytea);
    ALTER TABLE big ALTER a SET STORAGE EXTERNAL, ALTER b SET STORAGE EXTERNAL, ALTER raw SET STORAGE EXTERNAL;
    CREATE TABLE emptied (id int PRIMARY KEY, v text);
    INSERT INTO orders SELECT n, 'new', n * 1.25, '2026-01-01 00:00:00.123456+00'::timestamptz + n * interval '1 min', '2026-01-01', ARRAY['a', NULL], '\\x00ff', '{\"a\": 1}'
    FROM generate_series(1, 300) AS n;
    INSERT INTO emptied VALUES (1, 'before');";

const LONG: &str = "repeat(md5('x'), 200)";

fn piped(test: &str, further: &[(&str, &str)]) -> Piped {
    Piped::new(test, SCHEMA, further)
}

/// Every kind of change, on keys from `from` on.
fn change(piped: &Piped, from: u32) {
    let sql = "
        INSERT INTO orders SELECT n, 'live', 7.5, now(), now()::date, '{}', NULL, NULL FROM generate_series(@, @ + 40) AS n;
        UPDATE orders SET status = 'paid', amount = amount + 1 WHERE id % 3 = 0; DELETE FROM orders WHERE id % 7 = 0;
        UPDATE orders SET id = id + 100000 WHERE id % 11 = 0 AND id < 100000;
        INSERT INTO big SELECT n, 0, LONG, LONG, decode(LONG, 'hex') FROM generate_series(@, @ + 9) AS n;
        UPDATE big SET n = n + 1; UPDATE big SET b = 'short' WHERE id % 2 = 0; UPDATE big SET n = n + 1;
        UPDATE big SET id = id + 100000 WHERE id % 5 = 0 AND id < 100000; UPDATE big SET n = -n WHERE id > 100000;
        INSERT INTO emptied VALUES (@, 'a'), (@ + 1, 'b'); TRUNCATE emptied; INSERT INTO emptied VALUES (@ + 2, 'c');";
    piped.stage.postgres.execute(&sql.replace("LONG", LONG).replace('@', &from.to_string()));
}

#[test]
fn changes_arrive_through_topics() {
    let piped = piped("kafka_changes", &[]);
    piped.sync();
    piped.equal();
    change(&piped, 1000);
    piped
        .stage
        .postgres
        .execute("ALTER TABLE orders ADD COLUMN extra int DEFAULT 7; UPDATE orders SET extra = 1 WHERE id = 1");
    change(&piped, 2000);
    piped.stage.postgres.execute("ALTER TABLE orders DROP COLUMN doc; UPDATE orders SET extra = 2 WHERE id = 2");
    piped.sync();
    piped.equal();
    let versions = format!("SELECT count() FROM {}.orders WHERE _version > 0", piped.stage.name);
    assert_ne!(piped.stage.clickhouse.value(&versions), "0", "changes have a place in the log");
    let status = piped.call(&["status", "--output", "json"]).run();
    let document: serde_json::Value = serde_json::from_str(&status.stdout).unwrap();
    assert_eq!(document["topics"]["lag_records"], 0, "{status}");
}

/// The direct pipeline beside the one through topics, from the same database into another.
struct Both<'a> {
    piped: &'a Piped,
    /// The direct pipeline's name, and its database.
    other: String,
}

impl<'a> Both<'a> {
    fn new(piped: &'a Piped) -> Self {
        let other = format!("{}_d", piped.stage.name);
        piped.stage.directory.write(
            "direct.yml",
            &format!(
                "pipeline: {other}\npostgres:\n  url: ${{POSTGRES_URL}}\nclickhouse:\n  url: ${{CLICKHOUSE_URL}}\n  database: {other}\ntables:\n  - source: public.*\n"
            ),
        );
        Self { piped, other }
    }

    /// Both catch up, at the same time.
    fn sync(&self) {
        let direct = self.piped.call(&["-c", "direct.yml", "sync", "--until-caught-up"]).spawn();
        let through_topics = self.piped.sync();
        let direct = direct.ended();
        for outcome in [through_topics, direct] {
            assert_eq!(outcome.status, Some(0), "{outcome}");
            assert!(!outcome.stderr.contains("parked") && !outcome.stderr.contains("set aside"), "{outcome}");
        }
    }

    /// Either is as Postgres is.
    fn equal(&self) {
        self.piped.equal();
        let verified = self.piped.call(&["-c", "direct.yml", "verify"]).run();
        assert_eq!(verified.status, Some(0), "{verified}");
    }

    /// A table has the same rows in both, and those that changed in the same order.
    fn same(&self, table: &str, key: &str) {
        let (here, there) = (&self.piped.stage.name, &self.other);
        let value = |sql: &str| self.piped.stage.clickhouse.value(sql);
        let rows = |database: &str| {
            format!("SELECT toString(tuple(* EXCEPT (_version, _deleted))) AS row FROM {database}.{table} FINAL")
        };
        for (one, another) in [(here, there), (there, here)] {
            let alone = format!("SELECT toString(groupArray(5)(row)) FROM ({} EXCEPT {})", rows(one), rows(another));
            assert_eq!(value(&alone), "[]", "{table}: in {one} and not in {another}");
        }
        // Not the versions themselves: both number the same places, each in its own way.
        let changed = |database: &str| format!("SELECT {key} FROM {database}.{table} FINAL WHERE _version > 0");
        let order = |database: &str, another: &str| {
            value(&format!(
                "SELECT toString(groupArray(({key}))) FROM (SELECT {key} FROM {database}.{table} FINAL
                 WHERE _version > 0 AND ({key}) IN ({}) ORDER BY _version, {key})",
                changed(another)
            ))
        };
        let (order, expected) = (order(here, there), order(there, here));
        let at = order.bytes().zip(expected.bytes()).position(|(one, another)| one != another);
        assert!(order == expected, "{table}: the order differs, after {at:?} of {} bytes", order.len());
    }
}

impl Drop for Both<'_> {
    fn drop(&mut self) {
        self.piped.call(&["-c", "direct.yml", "drop", "--yes"]).run();
        self.piped.stage.clickhouse.execute(&format!("DROP DATABASE IF EXISTS {} SYNC", self.other));
    }
}

#[test]
fn both_transports_store_the_same() {
    let piped = piped("kafka_both", &[("value.converter.schemas.enable", "true")]);
    let both = Both::new(&piped);
    both.sync();
    for from in [1000, 2000, 3000] {
        change(&piped, from);
    }
    both.sync();
    both.equal();
    for table in ["orders", "big", "emptied"] {
        both.same(table, "id");
    }
}

#[test]
fn offsets_that_were_rewound_change_nothing() {
    let piped = piped("kafka_rewound", &[]);
    piped.sync();
    change(&piped, 1000);
    piped.sync();
    // The checkpoint is older than the data, as after a restore of the state alone: everything is read again.
    piped.forget_offsets();
    piped.sync();
    piped.equal();
}

#[test]
fn a_record_that_cannot_be_carried_is_set_aside() {
    let piped = piped("kafka_dead", &[]);
    piped.sync();
    let topic = piped.kafka.name("public.orders");
    piped.kafka.send([
        Record::new(&topic, "{\"id\":1}", "this is no JSON"),
        Record::new(&topic, "{\"id\":1}", "{\"some\": {\"other\": 1}, \"specversion\": \"1.0\"}"),
        Record::tombstone(&topic, "{\"id\":1}"),
    ]);
    change(&piped, 1000);
    let outcome = piped.good(&["sync", "--until-caught-up"]);
    assert!(outcome.stderr.trim_end().lines().last().unwrap().contains("pipectl dead-letters list"), "{outcome}");
    assert!(outcome.stderr.contains("2 records are set aside"), "{outcome}");
    let letters = format!("SELECT count() FROM {}.pipectl_dead_letters FINAL", piped.stage.name);
    assert_eq!(piped.stage.clickhouse.value(&letters), "2");
    piped.equal();
    piped.kafka.send([Record::new(&topic, "{\"id\":1}", "nor is this")]);
    let refused = piped.call(&["sync", "--until-caught-up", "--max-dead-letters", "2"]).run();
    assert_eq!(refused.status, Some(7), "{refused}");
}

#[test]
fn rows_without_their_envelope_are_refused_by_name() {
    let piped = piped(
        "kafka_flat",
        &[("transforms", "unwrap"), ("transforms.unwrap.type", "io.debezium.transforms.ExtractNewRecordState")],
    );
    let refused = piped.call(&["sync", "--until-caught-up"]).run();
    assert_eq!(refused.status, Some(5), "{refused}");
    assert!(refused.stderr.contains("ExtractNewRecordState"), "{refused}");
}

#[test]
fn a_connector_that_was_made_anew_is_caught() {
    let piped = piped("kafka_anew", &[]);
    piped.sync();
    change(&piped, 1000);
    piped.sync();
    let name = piped.connect.name();
    piped.connect.request("PUT", &format!("/connectors/{name}/stop"), &serde_json::Value::Null);
    piped.stage.wait_until("the connector's offsets are gone", |_| {
        piped.connect.request("DELETE", &format!("/connectors/{name}/offsets"), &serde_json::Value::Null).0 == 200
    });
    piped.connect.delete(&piped.stage);
    piped.stage.admin.execute(&format!("SELECT pg_drop_replication_slot('pipectl_{}')", piped.stage.name));
    piped.stage.postgres.execute("DELETE FROM orders WHERE id = 1");
    let config = Connect::debezium(
        &piped.stage,
        &[
            ("skipped.operations", "none"),
            ("schema.include.list", "public"),
            ("heartbeat.interval.ms", "200"),
            ("snapshot.mode", "initial"),
        ],
    );
    piped.connect.apply(&config);
    piped.connect.wait_until_it_streams(&piped.stage);
    let outcome = piped.call(&["sync", "--until-caught-up"]).run();
    assert_eq!(outcome.status, Some(7), "{outcome}");
    assert!(outcome.stderr.contains("the connector was made anew"), "{outcome}");
    piped.good(&["resync", "orders", "big", "emptied"]);
    piped.sync();
    piped.equal();
}

#[test]
fn several_processes_share_the_partitions() {
    let piped = piped(
        "kafka_shared",
        &[("topic.creation.default.partitions", "3"), ("topic.creation.default.replication.factor", "1")],
    );
    let mut first = piped.call(&["sync"]).spawn();
    first.wait_for("reading 6 partitions of 2 topics");
    let mut second = piped.call(&["sync"]).spawn();
    second.wait_for("partitions of");
    for from in [1000, 2000] {
        piped.stage.postgres.execute(&format!(
            "INSERT INTO orders SELECT n, 'live', 7.5, now(), now()::date, '{{}}', NULL, NULL FROM generate_series({from}, {from} + 500) AS n;
             UPDATE orders SET id = id + 100000 WHERE id % 11 = 0 AND id < 100000; DELETE FROM orders WHERE id % 7 = 0;
             INSERT INTO big SELECT n, 0, {LONG}, {LONG}, NULL FROM generate_series({from}, {from} + 9) AS n; UPDATE big SET n = n + 1;"
        ));
    }
    piped.connect.wait_until_it_has_caught_up(&piped.stage);
    piped.equal();
    second.signal("TERM");
    let ended = second.ended();
    assert_eq!(ended.status, Some(0), "{ended}");
    piped.stage.postgres.execute("UPDATE orders SET status = 'last'; UPDATE big SET id = id + 500000, n = 0");
    piped.connect.wait_until_it_has_caught_up(&piped.stage);
    piped.equal();
    first.signal("TERM");
    let ended = first.ended();
    assert_eq!(ended.status, Some(0), "{ended}");
}

#[test]
fn what_is_missing_is_named() {
    let stage = Stage::new("kafka_missing");
    stage.config("tables:\n  - source: public.*\nsync:\n  source: kafka\n");
    let refused = stage.pipectl(&["sync"]);
    assert_eq!(refused.status, Some(3), "{refused}");
    assert!(refused.stderr.contains("no Kafka is configured") && refused.stderr.contains("`kafka`"), "{refused}");
}

#[cfg(feature = "failpoints")]
#[test]
fn dying_between_data_and_offsets_changes_nothing() {
    let piped = piped("kafka_dying", &[]);
    piped.sync();
    for (from, failpoint) in [(1000, "sync.stored"), (2000, "sync.committed")] {
        change(&piped, from);
        let died = piped.call(&["sync", "--until-caught-up"]).env("PIPECTL_FAILPOINTS", failpoint).run();
        assert_eq!(died.status, None, "it was to die at {failpoint}: {died}");
        piped.sync();
        piped.equal();
    }
}
