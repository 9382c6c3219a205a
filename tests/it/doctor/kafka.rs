//! The checks of Kafka and Kafka Connect.

use super::{ALL_OF_PUBLIC, Document};
use crate::support::{Connect, Invocation, Kafka, Stage, variable};

const KAFKA: &str = "kafka: {brokers: '${KAFKA_BROKERS}', connect_url: '${CONNECT_URL}'}\n";

fn invocation(stage: &Stage, arguments: &[&str]) -> Invocation {
    stage
        .invocation(arguments)
        .env("KAFKA_BROKERS", &variable("KAFKA_BROKERS"))
        .env("CONNECT_URL", &variable("CONNECT_URL"))
}

fn doctor(stage: &Stage) -> Document {
    Document::of(invocation(stage, &["doctor", "--output", "json"]))
}

#[test]
fn what_connector_apply_makes_is_healthy() {
    let stage = Stage::new("doctor_kafka");
    let kafka = Kafka::of(&stage);
    let connect = Connect::of(&stage);
    stage.postgres.execute("CREATE TABLE orders (id bigint PRIMARY KEY)");
    stage.postgres.execute("INSERT INTO orders VALUES (1)");
    stage.config(&format!("{KAFKA}{ALL_OF_PUBLIC}sync: {{source: kafka}}\n"));

    let before = doctor(&stage);
    before.expect(&[("kafka.reachable", "pass"), ("kafka.topics", "pass"), ("kafka.retention", "not_run")]);
    before.expect(&[("connect.reachable", "pass"), ("connect.plugin", "pass"), ("connect.connector", "fail")]);
    before.expect(&[("connect.tasks", "not_run"), ("connect.slot", "not_run")]);
    assert_eq!(before.outcome.status, Some(4), "{}", before.outcome);

    let applied = invocation(&stage, &["connector", "apply"]).run();
    assert_eq!(applied.status, Some(0), "{applied}");
    kafka.wait_for(&kafka.name("public.orders"), 1);
    let after = doctor(&stage);
    for part in ["kafka.", "connect."] {
        let checks = after.json["checks"].as_array().unwrap().iter();
        let others: Vec<_> = checks
            .filter(|check| check["id"].as_str().unwrap().starts_with(part) && check["outcome"] != "pass")
            .collect();
        assert!(others.is_empty(), "{others:#?}");
    }
    assert_eq!(after.objects("kafka.topics"), [kafka.name("public.orders")]);

    stage.config(&format!("{KAFKA}tables: [orders]\nsync: {{source: kafka, heartbeat: 5s}}\n"));
    let changed = doctor(&stage);
    changed.expect(&[("connect.connector", "warn"), ("connect.tasks", "pass")]);
    assert_eq!(changed.objects("connect.connector"), ["heartbeat.interval.ms"]);
    connect.delete(&stage);
}

#[test]
fn a_connector_that_loses_data_fails_with_what_mends_it() {
    let stage = Stage::new("doctor_lossy");
    let kafka = Kafka::of(&stage);
    let connect = Connect::of(&stage);
    stage.postgres.execute("CREATE TABLE orders (id bigint PRIMARY KEY)");
    stage.postgres.execute("INSERT INTO orders VALUES (1)");
    stage.config(&format!("{KAFKA}{ALL_OF_PUBLIC}"));
    connect.apply(&Connect::debezium(
        &stage,
        &[
            ("decimal.handling.mode", "double"),
            ("time.precision.mode", "connect"),
            ("topic.creation.default.replication.factor", "1"),
            ("topic.creation.default.partitions", "1"),
            ("topic.creation.default.cleanup.policy", "compact"),
            ("topic.creation.default.retention.ms", "60000"),
            ("topic.creation.default.max.message.bytes", "100000"),
        ],
    ));
    kafka.wait_for(&kafka.name("public.orders"), 1);
    connect.wait_until_it_streams(&stage);
    let found = doctor(&stage);
    assert_eq!(found.outcome.status, Some(4), "{}", found.outcome);
    found.expect(&[("connect.settings", "fail"), ("connect.connector", "warn"), ("connect.tasks", "pass")]);
    let lossy = found.objects("connect.settings");
    for setting in [
        "decimal.handling.mode=double",
        "time.precision.mode=connect",
        "interval.handling.mode=numeric",
        "include.unknown.datatypes=false",
        "skipped.operations=t",
    ] {
        assert!(lossy.contains(&setting), "{setting} in {lossy:?}");
    }
    let note = found.check("connect.settings")["fix"]["note"].as_str().unwrap();
    assert!(note.contains("decimal.handling.mode=string") && note.contains("skipped.operations=none"), "{note}");
    found.expect(&[("kafka.compaction", "warn"), ("kafka.retention", "warn"), ("kafka.record_size", "warn")]);

    // The connector reads another slot than the pipeline's.
    stage.config(&format!("{KAFKA}{ALL_OF_PUBLIC}"));
    let text = stage.directory.read("clickhouse_config.yml").replace("postgres:\n", "postgres:\n  slot: other\n");
    stage.directory.write("clickhouse_config.yml", &text);
    let other = doctor(&stage);
    other.expect(&[("connect.slot", "fail")]);
}

#[test]
fn dead_brokers_and_a_dead_connect_fail_and_what_rests_on_them_is_not_run() {
    let stage = Stage::new("doctor_kafka_dead");
    stage.postgres.execute("CREATE TABLE orders (id bigint PRIMARY KEY)");
    stage.config(&format!("{KAFKA}{ALL_OF_PUBLIC}"));
    let dead = Document::of(
        stage
            .invocation(&["doctor", "--output", "json"])
            .env("KAFKA_BROKERS", "127.0.0.1:9")
            .env("CONNECT_URL", "http://me:hunter2@127.0.0.1:9"),
    );
    assert_eq!(dead.outcome.status, Some(4), "{}", dead.outcome);
    dead.expect(&[("kafka.reachable", "fail"), ("kafka.topics", "not_run"), ("kafka.lag", "not_run")]);
    dead.expect(&[("connect.reachable", "fail"), ("connect.plugin", "not_run"), ("connect.settings", "not_run")]);
    assert!(!dead.outcome.stdout.contains("hunter2"), "{}", dead.outcome);
    // The other servers are looked at all the same.
    dead.expect(&[("postgres.reachable", "pass"), ("clickhouse.reachable", "pass")]);
}
