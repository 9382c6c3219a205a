//! Tables through topics as a whole: those without a key, those that are copied again, and members of the group that come back.

use crate::recopy::stop;
use crate::support::Piped;

#[test]
fn rows_without_a_key_are_stored_as_often_as_they_are_there() {
    let piped = Piped::new(
        "kafka_keyless",
        "CREATE TABLE log (v int, note text); ALTER TABLE log REPLICA IDENTITY FULL;
         INSERT INTO log SELECT n % 3, 'copied' FROM generate_series(1, 30) AS n",
        &[("provide.transaction.metadata", "true")],
    );
    piped.configure("", "tables:\n  - source: public.*\n    keyless: insert_only\n");
    let stored = || {
        let rows = piped
            .stage
            .clickhouse
            .value("SELECT toString(groupArray((v, note, n))) FROM (SELECT v, note, count() AS n FROM {db}.log FINAL GROUP BY v, note ORDER BY note, v)");
        rows.replace('\\', "")
    };
    let copied = "[(0,'copied',10),(1,'copied',10),(2,'copied',10)";
    piped.sync();
    assert_eq!(stored(), format!("{copied}]"));
    piped.stage.postgres.execute(
        "BEGIN; INSERT INTO log VALUES (7, 'same'), (7, 'same'); INSERT INTO log VALUES (7, 'same'); COMMIT;
         INSERT INTO log VALUES (7, 'same'); UPDATE log SET v = 8 WHERE v = 0; DELETE FROM log WHERE v = 1",
    );
    piped.sync();
    let changed = format!("{copied},(7,'same',4)]");
    assert_eq!(stored(), changed, "inserts alone are kept");
    for _ in 0..2 {
        piped.rewind(&["log"]);
        piped.sync();
        assert_eq!(stored(), changed, "records that are read again are the same rows");
    }
    let verified = piped.call(&["verify"]).run();
    assert!(verified.stdout.contains("log") || verified.stderr.contains("log"), "{verified}");
}

#[test]
fn all_tables_can_be_copied_again() {
    let piped = Piped::new(
        "kafka_resync",
        "CREATE TABLE a (id int PRIMARY KEY, v int); CREATE TABLE b (id int PRIMARY KEY, v text);
         INSERT INTO a SELECT n, 0 FROM generate_series(1, 50) AS n; INSERT INTO b SELECT n, 'old' FROM generate_series(1, 50) AS n",
        &[],
    );
    piped.sync();
    for arguments in [&["resync", "--all"][..], &["resync", "a"]] {
        piped.stage.clickhouse.execute("INSERT INTO {db}.a SELECT id + 1000, v, _version, 0 FROM {db}.a");
        // One half waits in the topics while the tables are copied.
        piped.stage.postgres.execute(
            "UPDATE a SET v = v + 1; DELETE FROM a WHERE id % 10 = 0; UPDATE b SET id = id + 1000 WHERE id % 7 = 0 AND id < 1000",
        );
        piped.connect.wait_until_it_has_caught_up(&piped.stage);
        piped.stage.postgres.execute("UPDATE b SET v = 'new' WHERE id % 2 = 0; INSERT INTO a VALUES (10, 10)");
        piped.good(arguments);
        piped
            .stage
            .postgres
            .execute("UPDATE a SET v = -v WHERE id % 3 = 0; DELETE FROM b WHERE id = 1; DELETE FROM a WHERE id = 10");
        piped.sync();
        piped.equal();
    }
}

#[test]
fn a_static_member_comes_back_without_a_rebalance() {
    let piped = Piped::new(
        "kafka_static",
        "CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY); INSERT INTO a VALUES (0); INSERT INTO b VALUES (0)",
        &[("topic.creation.default.partitions", "2"), ("topic.creation.default.replication.factor", "1")],
    );
    // Whoever comes back within the session's time-out is the same; how long it takes is nothing that is proved here.
    piped.configure(
        "  properties:\n    group.instance.id: ${INSTANCE}\n    session.timeout.ms: 600000\n    max.poll.interval.ms: 900000\n",
        "tables:\n  - source: public.*\n",
    );
    let member = |name: &str| piped.call(&["sync"]).env("INSTANCE", name).spawn();
    let mut first = member("first");
    first.wait_for("reading 4 partitions of 2 topics");
    let mut second = member("second");
    second.wait_for("reading 2 partitions");
    first.wait_for("reading 2 partitions");
    let told = first.told().matches("partitions of").count();
    second.signal("TERM");
    let ended = second.ended();
    assert_eq!(ended.status, Some(0), "{ended}");
    let mut again = member("second");
    again.wait_for("reading 2 partitions");
    for number in 1..50 {
        piped.stage.postgres.execute(&format!("INSERT INTO a VALUES ({number}); INSERT INTO b VALUES ({number})"));
    }
    piped.stage.wait_until("the rows of all partitions are stored", |stage| {
        stage.clickhouse.value("SELECT (SELECT count() FROM {db}.a) + (SELECT count() FROM {db}.b)") == "100"
    });
    assert_eq!(first.told().matches("partitions of").count(), told, "{}", first.told());
    for running in [first, again] {
        running.signal("TERM");
        let ended = running.ended();
        assert_eq!(ended.status, Some(0), "{ended}");
    }
}

#[test]
fn records_of_a_time_before_columns_that_are_never_null_are_stored() {
    let piped = Piped::new(
        "kafka_before_columns",
        "CREATE TABLE a (id int PRIMARY KEY, n int); CREATE TABLE rewritten (id int PRIMARY KEY, n smallint)",
        &[],
    );
    piped.sync();
    // The first records are met by a process that knows the tables only as they are now. Nothing tells what the rows of the one would answer; those of the
    // other answer what Postgres has forgotten with the rewrite, and get it by the copy that follows.
    piped.stage.postgres.execute(
        "INSERT INTO a VALUES (1, 1); DELETE FROM a; ALTER TABLE a ADD v text NOT NULL, ADD w int NOT NULL; INSERT INTO a VALUES (2, 2, 'x', 5);
         INSERT INTO rewritten VALUES (1, 1); ALTER TABLE rewritten ADD c text NOT NULL DEFAULT 'x'; INSERT INTO rewritten (id) VALUES (2);
         ALTER TABLE rewritten ALTER n TYPE int; INSERT INTO rewritten (id) VALUES (3)",
    );
    piped.sync();
    piped.equal();
}

#[test]
fn a_table_whose_column_was_renamed_is_copied_again() {
    let piped = Piped::new(
        "kafka_renamed",
        "CREATE TABLE a (id int PRIMARY KEY, v text); INSERT INTO a SELECT n, 'v' || n FROM generate_series(1, 10) AS n",
        &[],
    );
    piped.sync();
    piped.stage.postgres.execute(
        "UPDATE a SET v = 'old name' WHERE id = 1; ALTER TABLE a RENAME v TO u; UPDATE a SET u = 'new name' WHERE id = 2",
    );
    let outcome = piped.good(&["sync", "--until-caught-up"]);
    assert!(outcome.stderr.contains("public.a is copied again"), "{outcome}");
    piped.equal();
    assert_eq!(
        piped.stage.clickhouse.value("SELECT countIf(u LIKE 'v%'), countIf(u LIKE '%name') FROM {db}.a FINAL"),
        "8\t2"
    );
}

/// Of partitions that go the records do not tell, and those that tell of their rows may be read only behind the copy that lacks them.
#[test]
fn rows_that_went_without_a_word_do_not_come_back_from_the_topics() {
    let piped = Piped::new(
        "kafka_backlog_of_parts",
        "CREATE TABLE parted (id int, r text, v text, PRIMARY KEY (id, r)) PARTITION BY LIST (r); CREATE TABLE parted_a PARTITION OF parted FOR VALUES IN ('a');
         CREATE TABLE parted_b PARTITION OF parted FOR VALUES IN ('b'); CREATE TABLE parted_c PARTITION OF parted FOR VALUES IN ('c');
         INSERT INTO parted SELECT g, substr('abc', g % 3 + 1, 1), 'v' FROM generate_series(1, 30) AS g",
        &[("publish.via.partition.root", "true")],
    );
    let stored = "SELECT groupArray((id, v)) FROM (SELECT id, v FROM {db}.parted FINAL ORDER BY id)";
    piped.sync();
    let pg = |sql: &str| piped.stage.postgres.execute(sql);
    // They are in the topic, unread, while sync stands still and the table is copied.
    pg("INSERT INTO parted VALUES (1001, 'a', 'new'); UPDATE parted SET v = 'changed'");
    piped.connect.wait_until_it_has_caught_up(&piped.stage);
    pg("DROP TABLE parted_a; DELETE FROM parted WHERE id < 29");
    piped.good(&["resync", "parted"]);
    piped.sync();
    piped.equal();
    assert_eq!(piped.stage.clickhouse.value(stored), "[(29,'changed')]");
    // The connector writes them only when a running sync has copied the table.
    piped.connect.stop(&piped.stage);
    pg("INSERT INTO parted VALUES (1002, 'b', 'new'), (1003, 'c', 'new')");
    pg("UPDATE parted SET v = 'changed again'");
    pg("ALTER TABLE parted DETACH PARTITION parted_b");
    pg("TRUNCATE parted_c");
    pg("INSERT INTO parted VALUES (2000, 'c', 'behind')");
    let mut running = piped.call(&["sync"]).spawn();
    running.wait_for("public.parted is copied again: 1 rows");
    assert_eq!(piped.stage.clickhouse.value(stored), "[(2000,'behind')]");
    piped.connect.resume(&piped.stage);
    pg("INSERT INTO parted VALUES (2001, 'c', 'last')");
    piped.stage.wait_until("what came last is stored", |stage| stage.clickhouse.value(stored).contains("2001"));
    assert_eq!(piped.stage.clickhouse.value(stored), "[(2000,'behind'),(2001,'last')]");
    stop(running);
    piped.sync();
    piped.equal();
}

#[test]
fn what_is_kept_otherwise_than_as_a_copy() {
    let piped = Piped::new(
        "kafka_modes",
        "CREATE TABLE kept (id int PRIMARY KEY, email text, raw bytea, long text); ALTER TABLE kept ALTER long SET STORAGE EXTERNAL;
         INSERT INTO kept SELECT n, 'user' || n, '\\xff', repeat(md5('x'), 200) FROM generate_series(1, 6) AS n;
         CREATE TABLE history (id int PRIMARY KEY, v text NOT NULL); INSERT INTO history VALUES (1, 'a'), (2, 'b');
         CREATE TABLE bag (v int, note text); ALTER TABLE bag REPLICA IDENTITY FULL; INSERT INTO bag SELECT n % 3, 'copied' FROM generate_series(1, 9) AS n",
        &[("provide.transaction.metadata", "true")],
    );
    piped.stage.config(&format!(
        "kafka:\n  brokers: {}\n  topic_prefix: {}\n  connect_url: {}\ntables:\n  - source: public.kept\n    deletes: keep\n    columns: {{email: {{hash: sha256, hash_salt: s}}, raw: {{hash: sha256}}}}\n  \
         - source: public.history\n    mode: log\n  - source: public.bag\n    keyless: multiset\nsync:\n  source: kafka\n",
        piped.kafka.brokers, piped.stage.name, piped.connect.url
    ));
    piped.sync();
    piped.good(&["verify"]);
    piped.stage.postgres.execute(
        "BEGIN; UPDATE kept SET email = 'last' WHERE id = 1; DELETE FROM kept WHERE id = 1; COMMIT; UPDATE kept SET id = 20 WHERE id = 2;
         DELETE FROM kept WHERE id = 3; INSERT INTO kept VALUES (3, 'again', NULL, NULL);
         INSERT INTO history VALUES (3, 'c'); UPDATE history SET v = 'x' WHERE id = 1; UPDATE history SET id = 20 WHERE id = 2; DELETE FROM history WHERE id = 3;
         BEGIN; INSERT INTO bag VALUES (7, 's'), (7, 's'); UPDATE bag SET note = 'changed' WHERE v = 1; DELETE FROM bag WHERE v = 2; COMMIT; DELETE FROM bag WHERE v = 7",
    );
    for round in 0..2 {
        piped.sync();
        piped.good(&["verify"]);
        let answer = |sql: &str| piped.stage.clickhouse.value(sql);
        let kept = "SELECT toString(groupArray((id, length(email), length(long)))) FROM {db}.kept FINAL WHERE _source_deleted_at IS NOT NULL";
        assert_eq!(answer(kept), "[(1,64,6400)]", "round {round}");
        assert_eq!(answer("SELECT count() FROM {db}.kept FINAL"), "6");
        let history = "SELECT arrayStringConcat(groupArray(concat(_op, toString(id), ifNull(v, '-'))), ' ') FROM (SELECT * FROM {db}.history FINAL ORDER BY _version, _ordinal)";
        assert_eq!(answer(history), "r1a r2b c3c u1x d2- c20b d3-");
        assert_eq!(answer("SELECT count(), countIf(note = 'changed') FROM {db}.bag"), "6\t3");
        piped.rewind(&["kept", "history", "bag"]);
    }
}
