//! `verify --repair` of a pipeline that reads Debezium's topics: there a change's place is that of the transaction before it.

use super::repair::wait_for_the_slot;
use crate::support::{Connect, Kafka, Postgres, Stage};
use std::time::Duration;

const SCHEMA: &str =
    "CREATE TABLE t (id int PRIMARY KEY, v int, long text); ALTER TABLE t ALTER long SET STORAGE EXTERNAL;
    INSERT INTO t SELECT n, n, repeat('x', 3000) FROM generate_series(1, 200) AS n";

fn spoil(stage: &Stage) {
    for row in ["v + 1 AS v", "'spoiled' AS long", "1 AS _deleted", "s.id + 1000 AS id"] {
        let place = stage.postgres.value("SELECT (pg_current_wal_lsn() - '0/0')::text");
        let keys = match row.as_bytes()[0] {
            b'v' => "1, 2, 3",
            b'\'' => "4, 5, 6",
            b'1' => "7, 8, 9",
            _ => "10, 11, 12",
        };
        stage.clickhouse.execute(&format!(
            "INSERT INTO {{db}}.t SELECT * REPLACE ({row}, bitShiftLeft(toUInt128({place}), 64) AS _version) FROM {{db}}.t AS s FINAL WHERE s.id IN ({keys})"
        ));
    }
}

fn equal(stage: &Stage) {
    let verified = stage.pipectl(&["verify", "--wait", "180s"]);
    assert_eq!(verified.status, Some(0), "{verified}");
}

#[test]
fn changes_of_topics_win_over_a_repair_and_lose_against_it_by_their_order() {
    let stage = Stage::new("repair_topics");
    stage.postgres.execute(SCHEMA);
    let kafka = Kafka::of(&stage);
    let connect = Connect::of(&stage);
    connect.apply(&Connect::debezium(
        &stage,
        &[("skipped.operations", "none"), ("schema.include.list", "public"), ("heartbeat.interval.ms", "200")],
    ));
    connect.wait_until_it_streams(&stage);
    stage.config(&format!(
        "kafka:\n  brokers: {}\n  topic_prefix: {}\n  connect_url: {}\ntables:\n  - source: public.*\nsync:\n  source: kafka\n",
        kafka.brokers, stage.name, connect.url
    ));
    let copied = stage.pipectl(&["sync", "--until-caught-up"]);
    assert_eq!(copied.status, Some(0), "{copied}");
    let repair = ["verify", "--repair", "--yes", "--wait", "180s"];

    // Nobody reads the topics. What comes first after the repair has the place of what came last before it.
    spoil(&stage);
    stage.postgres.execute("UPDATE t SET v = -20 WHERE id IN (1, 20)");
    let repaired = stage.pipectl(&repair);
    assert_eq!(repaired.status, Some(0), "{repaired}");
    stage.postgres.execute("UPDATE t SET v = -1 WHERE id IN (1, 4, 7); DELETE FROM t WHERE id IN (2, 5, 8); INSERT INTO t VALUES (1010, 5)");
    let caught_up = stage.pipectl(&["sync", "--until-caught-up"]);
    assert_eq!(caught_up.status, Some(0), "{caught_up}");
    equal(&stage);

    // They are read meanwhile, and a transaction is open across the repair.
    let sync = stage.invocation(&["sync"]).spawn();
    spoil(&stage);
    let writer = Postgres::connect(&stage.postgres.url);
    writer.execute(
        "BEGIN; UPDATE t SET v = -3 WHERE id = 3; DELETE FROM t WHERE id = 6; INSERT INTO t VALUES (1011, -11)",
    );
    let running = stage.invocation(&repair).spawn();
    wait_for_the_slot(&stage, &running);
    writer.execute("UPDATE t SET v = -9 WHERE id = 9; COMMIT");
    let repaired = running.finish(Duration::from_mins(4));
    assert_eq!(repaired.status, Some(0), "{repaired}");
    equal(&stage);
    assert_eq!(
        stage.clickhouse.value(
            "SELECT toString(groupArray(v)) FROM (SELECT v FROM {db}.t FINAL WHERE id IN (3, 6, 9, 1011) ORDER BY id)"
        ),
        "[-3,-9,-11]"
    );
    drop(sync);
}
