//! What an operator meets on the way through Kafka: what a running process tells, a destination that hangs, and switches that are refused.

use crate::cli_pipeline::get;
use crate::support::{Connect, Kafka, Piped, Postgres, Proxy, Record, Stage, Verdict};
use crate::sync_faults::stop;
use rdkafka::consumer::{BaseConsumer, Consumer};
use serde_json::Value;
use std::time::{Duration, Instant};

const SCHEMA: &str =
    "CREATE TABLE held (id int PRIMARY KEY, v int); INSERT INTO held SELECT n, 0 FROM generate_series(1, 20) AS n";
/// Longer than the session's time-out and than the longest pause between two polls, as they are set here.
const HUNG: Duration = Duration::from_secs(12);

#[test]
fn a_destination_that_hangs_does_not_cost_the_membership() {
    let piped = Piped::new("kafka_hung", SCHEMA, &[]);
    piped.configure(
        "  properties:\n    session.timeout.ms: 6000\n    max.poll.interval.ms: 10000\n",
        "tables:\n  - source: public.*\n",
    );
    let destination = Proxy::to(&piped.stage.clickhouse.url);
    let call = piped.call(&["sync", "--http", "127.0.0.1:0"]);
    let mut running = call.env("CLICKHOUSE_URL", &destination.url(&piped.stage.clickhouse.url)).spawn();
    let line = running.wait_for("serving http://");
    let address = line.split("http://").nth(1).unwrap().split('/').next().unwrap().to_owned();
    running.wait_for("partitions of");
    let stored = |sql: &str, expected: &str| {
        piped.stage.wait_until(sql, |stage| stage.clickhouse.try_value(sql).is_some_and(|found| found == expected));
    };
    stored("SELECT count() FROM {db}.held FINAL", "20");
    piped.stage.wait_until("it is ready", |_| get(&address, "/readyz").0 == "200");
    let status = || serde_json::from_str::<Value>(&get(&address, "/status.json").1).unwrap();
    assert_eq!(status()["version"], 1, "{}", status());
    let (code, metrics) = get(&address, "/metrics");
    assert_eq!(code, "200");
    for name in ["pipectl_ready{", "pipectl_changed_rows{", "pipectl_partition_lag_records{", "pipectl_dead_letters{"] {
        assert!(metrics.contains(name), "no {name}: {metrics}");
    }

    destination.hold(&["INSERT", "held"]);
    let begun = Instant::now();
    piped.stage.postgres.execute("UPDATE held SET v = 1 WHERE id = 1");
    destination.wait_until_held();
    // Time itself is what is tried here; what comes meanwhile has to wait as well.
    while begun.elapsed() < HUNG {
        piped.stage.postgres.execute("UPDATE held SET v = v + 1 WHERE id > 1");
        std::thread::sleep(Duration::from_millis(500));
    }
    assert_eq!(get(&address, "/healthz").0, "200");
    assert_eq!(piped.stage.clickhouse.value("SELECT count() FROM {db}.held FINAL WHERE v > 0"), "0");
    destination.release();
    stored("SELECT count() FROM {db}.held FINAL WHERE v > 0", "20");
    assert_eq!(running.told().matches("partitions of").count(), 1, "{}", running.told());
    stop(running);
    piped.sync();
    piped.equal();
}

#[test]
fn partitions_that_cannot_be_drained_in_time_go_to_another_process() {
    let partitions = [("topic.creation.default.partitions", "2"), ("topic.creation.default.replication.factor", "1")];
    let piped = Piped::new("kafka_undrained", SCHEMA, &partitions);
    piped.configure(
        "  properties:\n    session.timeout.ms: 6000\n    max.poll.interval.ms: 10000\n",
        "tables:\n  - source: public.*\n",
    );
    let destination = Proxy::to(&piped.stage.clickhouse.url);
    let call = piped.call(&["sync"]);
    let mut first = call.env("CLICKHOUSE_URL", &destination.url(&piped.stage.clickhouse.url)).spawn();
    first.wait_for("reading 2 partitions");
    piped.stage.wait_until("the rows are stored", |stage| {
        stage.clickhouse.try_value("SELECT count() FROM {db}.held FINAL").as_deref() == Some("20")
    });
    destination.hold(&["INSERT", "held"]);
    piped.stage.postgres.execute("UPDATE held SET v = 1");
    destination.wait_until_held();
    // What the first one has in hand is not stored when half of the interval is over, and a partition goes all the same.
    let mut second = piped.call(&["sync"]).spawn();
    second.wait_for("reading 1 partitions");
    piped
        .stage
        .postgres
        .execute("UPDATE held SET v = 2; DELETE FROM held WHERE id = 7; UPDATE held SET id = 100 WHERE id = 8");
    piped.stage.wait_until("the second one has stored what came to it", |stage| {
        stage.clickhouse.value("SELECT count() > 0 FROM {db}.held FINAL WHERE v = 2") == "1"
    });
    assert!(!first.told().contains("reading 1 partitions"), "{}", first.told());
    // Now the first one's older rows are stored behind the newer ones.
    destination.release();
    first.wait_for("reading 1 partitions");
    piped.connect.wait_until_it_has_caught_up(&piped.stage);
    piped.equal();
    [first, second].into_iter().for_each(stop);
    piped.sync();
    piped.equal();
}

#[test]
fn a_table_that_another_session_holds_is_told_of_and_a_signal_ends_the_wait() {
    let piped = Piped::new("kafka_held_table", SCHEMA, &[]);
    let holder = Postgres::connect(&piped.stage.postgres.url);
    holder.execute("BEGIN");
    holder.execute("ALTER TABLE held ADD w int");
    let mut running = piped.call(&["sync", "--until-caught-up"]).spawn();
    let line = running.wait_for("waiting for a table");
    assert!(line.contains("idle after ALTER"), "{line}");
    running.signal("TERM");
    let ended = running.ended();
    assert_eq!(ended.status, Some(143), "{ended}");
    holder.execute("COMMIT");
    piped.sync();
    piped.equal();
}

#[test]
fn a_switch_waits_for_the_group_and_is_refused_while_records_are_set_aside() {
    let piped = Piped::new("switch_refused", SCHEMA, &[]);
    piped.sync();
    let topic = piped.topic("held");
    piped.kafka.send([Record::new(&topic, "{\"id\":1}", "this is no JSON")]);
    piped.good(&["sync", "--until-caught-up"]);
    let refused = piped.call(&["switch", "--to", "postgres"]).run();
    assert_eq!(refused.status, Some(7), "{refused}");
    assert!(refused.stderr.contains("1 dead letters are waiting"), "{refused}");
    piped.good(&["dead-letters", "drop", "--yes"]);

    // Somebody else reads as this pipeline.
    let mut config = Kafka::client(&piped.kafka.brokers);
    let member: BaseConsumer = config.set("group.id", piped.connect.name()).create().expect("a consumer");
    member.subscribe(&[&topic]).unwrap();
    piped.stage.wait_until("the other is a member", |_| {
        member.poll(Duration::from_millis(100));
        member.assignment().unwrap().count() > 0
    });
    let mut switching = piped.call(&["switch", "--to", "postgres"]).spawn();
    switching.wait_for("waiting for consumer group");
    drop(member);
    let switched = switching.ended();
    assert_eq!(switched.status, Some(0), "{switched}");
    piped.stage.postgres.execute("UPDATE held SET v = 5 WHERE id < 5; DELETE FROM held WHERE id = 7");
    piped.good(&["sync", "--source", "postgres", "--until-caught-up"]);
    piped.equal();
}

#[test]
fn a_switch_is_refused_while_the_connector_copies() {
    let stage = Stage::new("switch_copying");
    let kafka = Kafka::of(&stage);
    let connect = Connect::of(&stage);
    stage.postgres.execute(SCHEMA);
    stage.postgres.execute("CREATE TABLE early (id int PRIMARY KEY); INSERT INTO early SELECT generate_series(1, 9)");
    stage.config(&format!(
        "kafka:\n  brokers: {}\n  topic_prefix: {}\n  connect_url: {}\ntables:\n  - source: public.*\nsync:\n  source: kafka\n",
        kafka.brokers, stage.name, connect.url
    ));
    // The connector stands before the second table of its copy.
    let source = Proxy::to(&stage.postgres.url);
    source.hold(&["SELECT", "FROM \"public\".\"held\""]);
    let port = source.port().to_string();
    connect.apply(&Connect::debezium(
        &stage,
        &[("schema.include.list", "public"), ("database.port", &port), ("database.sslmode", "disable")],
    ));
    source.wait_until_held();
    // Debezium keeps a record of its copy back, to mark the last one.
    kafka.wait_for(&kafka.name("public.early"), 8);
    let running = stage.invocation(&["sync"]).spawn();
    stage.wait_until("a row is stored", |stage| {
        stage.clickhouse.try_value("SELECT count() FROM {db}.early").is_some_and(|count| count != "0")
    });
    stop(running);
    let switching = stage.invocation(&["switch", "--to", "postgres"]).spawn();
    stage.wait_until("the connector is told to stop", |_| connect.status()["connector"]["state"] != "RUNNING");
    // Let go, it could still read to its end before it stops.
    source.release_with(Verdict::Drop);
    switching.ended().refused(5, &["has not read its tables whole yet"]);
    // It goes on, and nothing is missing.
    connect.wait_until_it_streams(&stage);
    kafka.wait_for(&kafka.name("public.held"), 20);
    stage.catch_up_and_verify();
}
