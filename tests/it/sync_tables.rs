//! Tables that get another name at the source, and tables that come later.

use crate::support::Stage;
use crate::sync_changes::Pipeline;

#[test]
fn a_renamed_table_goes_on_where_it_was() {
    let pipeline = Pipeline::new(
        "renamed_table",
        "CREATE TABLE before (id int PRIMARY KEY, n int); INSERT INTO before SELECT g, g FROM generate_series(1, 20) AS g;",
        "",
    );
    pipeline.sync();
    pipeline
        .pg("ALTER TABLE before RENAME TO after; INSERT INTO after VALUES (21, 21); DELETE FROM after WHERE id = 1;");
    pipeline.sync();
    assert_eq!(pipeline.ch("SELECT count(), sum(n) FROM {db}.before FINAL"), "20\t230");
    // The same after a restart, where all tables are planned at once.
    pipeline.pg("UPDATE after SET n = 0 WHERE id = 21");
    pipeline.sync();
    assert_eq!(pipeline.ch("SELECT count(), sum(n) FROM {db}.before FINAL"), "20\t209");
    assert_eq!(pipeline.ch("EXISTS TABLE {db}.after"), "0");
    // By either name it is compared with the table where it is, and mended there.
    pipeline.verify();
    pipeline.ch(
        "INSERT INTO {db}.before (id, n, _version) SELECT id, 77, _version + 1 FROM {db}.before FINAL WHERE id = 5",
    );
    for name in ["public.before", "public.after"] {
        let outcome = pipeline.stage.pipectl(&["verify", "--table", name]);
        assert_eq!(outcome.status, Some(4), "{outcome}");
    }
    let outcome = pipeline.stage.pipectl(&["verify", "--repair", "--yes"]);
    assert_eq!(outcome.status, Some(0), "{outcome}");
    assert_eq!(pipeline.ch("SELECT n FROM {db}.before FINAL WHERE id = 5"), "5");
}

/// The rows of two tables must not get into one: the one that was renamed goes on where it was, and the new one waits for a place of its own.
#[test]
fn a_table_that_takes_the_name_of_a_renamed_one_is_left_out() {
    for (config, running) in [("tables: [public.*]\n", false), ("tables: [t]\n", true)] {
        let stage = Stage::new(&format!("name_taken_{running}"));
        stage.config(config);
        stage.postgres.execute("CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'a'), (2, 'b')");
        stage.catch_up_and_verify();
        let swap = "ALTER TABLE t RENAME TO t_old; CREATE TABLE t (id int PRIMARY KEY, v text);
            INSERT INTO t VALUES (1, 'new'), (9, 'new'); UPDATE t_old SET v = 'old' WHERE id = 2";
        let told = "table public.t is left out: \"t\" in ClickHouse holds the rows of public.t_old, which was renamed; give this one a `target` of its own";
        let sync = if running {
            let mut sync = stage.invocation(&["sync"]).spawn();
            sync.wait_for("streaming from");
            stage.postgres.execute(swap);
            sync.wait_for(told);
            // Nor is it copied there when somebody asks for it.
            let resync = stage.pipectl(&["resync", "public.t"]);
            assert_ne!(resync.status, Some(0), "{config}: {resync}");
            sync.signal("TERM");
            sync.ended()
        } else {
            stage.postgres.execute(swap);
            stage.pipectl(&["sync", "--until-caught-up"])
        };
        assert_eq!(sync.status, Some(0), "{config}: {sync}");
        assert!(sync.stderr.contains(told), "{config}: {sync}");
        let again = stage.pipectl(&["sync", "--until-caught-up"]);
        assert!(again.status == Some(0) && again.stderr.contains(told), "{config}: {again}");
        let rows = "SELECT id, v FROM {db}.t FINAL ORDER BY id FORMAT CSV";
        assert_eq!(stage.clickhouse.value(rows), "1,\"a\"\n2,\"old\"", "{config}");
        let verify = stage.pipectl(&["verify"]);
        assert!(verify.status == Some(0) && verify.to_string().contains(told), "{config}: {verify}");
        stage.config("tables: [public.*, {source: public.t, target: t_new}]\n");
        stage.catch_up_and_verify();
        assert_eq!(stage.clickhouse.value(rows), "1,\"a\"\n2,\"old\"", "{config}");
        let rows = "SELECT id, v FROM {db}.t_new FINAL ORDER BY id FORMAT CSV";
        assert_eq!(stage.clickhouse.value(rows), "1,\"new\"\n9,\"new\"", "{config}");
    }
}

#[test]
fn a_table_without_a_key_can_join_later() {
    let config = "tables:\n  - source: public.*\n    keyless: insert_only\n";
    let pipeline =
        Pipeline::new("keyless_later", "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1);", config);
    pipeline.sync();
    // A backlog of the stream lies before the new table: what sends its rows must not be younger than the slot.
    pipeline.pg("INSERT INTO t SELECT generate_series(2, 500); CREATE TABLE log (n int); INSERT INTO log SELECT generate_series(1, 100) % 3;");
    pipeline.sync();
    pipeline.pg("INSERT INTO log SELECT 7 FROM generate_series(1, 50); INSERT INTO t VALUES (1000);");
    pipeline.sync();
    assert_eq!(pipeline.ch("SELECT count() FROM {db}.log FINAL"), "150");
    assert_eq!(pipeline.ch("SELECT count() FROM {db}.t FINAL"), "501");
}

#[test]
fn a_table_that_lost_its_key_while_nothing_ran_is_parked() {
    let pipeline = Pipeline::new(
        "lost_key",
        "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'a'); CREATE TABLE other (id int PRIMARY KEY)",
        "",
    );
    pipeline.sync();
    pipeline.pg("ALTER TABLE t DROP CONSTRAINT t_pkey; INSERT INTO t VALUES (2, 'b'); INSERT INTO other VALUES (1)");
    let outcome = pipeline.try_sync();
    assert!(outcome.status == Some(7) && outcome.stderr.contains("no primary key"), "{outcome}");
    assert_eq!(pipeline.ch("SELECT count() FROM {db}.other FINAL"), "1");
    pipeline.pg("ALTER TABLE t ADD PRIMARY KEY (id); INSERT INTO t VALUES (3, 'c')");
    let outcome = pipeline.stage.pipectl(&["resync", "public.t"]);
    assert_eq!(outcome.status, Some(0), "{outcome}");
    pipeline.equal();
    assert_eq!(pipeline.ch("SELECT count() FROM {db}.t FINAL"), "3");
}

#[test]
fn a_table_that_changed_before_its_first_copy_is_made_anew() {
    let pipeline = Pipeline::new(
        "changed_before",
        "CREATE TABLE typed (id int PRIMARY KEY, n int); CREATE TABLE keyed (id int PRIMARY KEY, v text NOT NULL);
         INSERT INTO typed SELECT g, g FROM generate_series(1, 20) AS g; INSERT INTO keyed SELECT g, 'v' || g FROM generate_series(1, 20) AS g;",
        "",
    );
    let outcome = pipeline.stage.pipectl(&["create-tables"]);
    assert_eq!(outcome.status, Some(0), "{outcome}");
    let change = "ALTER TABLE typed ALTER n TYPE text USING 'n' || n; ALTER TABLE keyed DROP CONSTRAINT keyed_pkey; ALTER TABLE keyed ADD PRIMARY KEY (v);";
    pipeline.pg(change);
    // By hand, only what is asked for is done; nothing that is there is dropped.
    assert_eq!(pipeline.stage.pipectl(&["create-tables"]).status, Some(6));
    let outcome = pipeline.sync();
    assert_eq!(outcome.stderr.matches("which is empty: made anew").count(), 2, "{outcome}");
    pipeline.pg("UPDATE keyed SET id = 100 WHERE v = 'v1'; DELETE FROM typed WHERE id = 3");
    pipeline.equal();
    assert_eq!(pipeline.ch("SELECT count(), min(n) FROM {db}.typed FINAL"), "19\tn1");
}

#[test]
fn an_empty_table_of_somebody_elses_is_left_alone() {
    let pipeline = Pipeline::new("foreign_table", "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1);", "");
    pipeline.ch("CREATE DATABASE {db}");
    pipeline.ch("CREATE TABLE {db}.t (id String, _version UInt128) ENGINE = MergeTree ORDER BY id");
    let outcome = pipeline.try_sync();
    assert!(outcome.status == Some(6) && outcome.stderr.contains("is another one"), "{outcome}");
    assert_eq!(pipeline.ch("SHOW CREATE TABLE {db}.t").matches("= MergeTree").count(), 1);
}

#[test]
fn rows_that_went_without_a_word_do_not_come_back_with_the_backlog() {
    let parted = "CREATE TABLE parted (id int, r text, v text, PRIMARY KEY (id, r)) PARTITION BY LIST (r);
         CREATE TABLE parted_a PARTITION OF parted FOR VALUES IN ('a'); CREATE TABLE parted_b PARTITION OF parted FOR VALUES IN ('b');
         CREATE TABLE parted_c PARTITION OF parted FOR VALUES IN ('c'); CREATE TABLE big (id int PRIMARY KEY);
         INSERT INTO parted SELECT g, substr('abc', g % 3 + 1, 1), 'v' FROM generate_series(1, 30) AS g;";
    let config = "tables:\n  - source: public.parted\n  - source: public.big\n";
    let pipeline = Pipeline::new("backlog_of_partitions", parted, config);
    pipeline.sync();
    // The copies are complete before the stream comes to what was written before them.
    pipeline.pg("INSERT INTO big SELECT generate_series(1, 300000)");
    pipeline.pg("INSERT INTO parted VALUES (1001, 'a', 'new'), (1002, 'b', 'new'), (1003, 'c', 'new')");
    pipeline.pg("UPDATE parted SET v = 'changed'");
    for statement in ["DROP TABLE parted_a", "ALTER TABLE parted DETACH PARTITION parted_b", "TRUNCATE parted_c"] {
        pipeline.pg(statement);
    }
    pipeline.pg("INSERT INTO parted VALUES (2000, 'c', 'behind')");
    let outcome = pipeline.sync();
    assert!(outcome.stderr.contains("public.parted is copied again"), "{outcome}");
    pipeline.verify();
    assert_eq!(pipeline.ch("SELECT groupArray((id, v)) FROM {db}.parted FINAL"), "[(2000,'behind')]");
}

#[test]
fn a_table_that_loses_its_identity_while_it_is_followed_is_told() {
    let pipeline = Pipeline::new(
        "lost_identity",
        "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'a'); CREATE TABLE n (id int PRIMARY KEY, v text); CREATE TABLE other (id int PRIMARY KEY)",
        "",
    );
    pipeline.sync();
    let mut running = pipeline.stage.invocation(&["sync"]).spawn();
    running.wait_for("streaming from");
    pipeline.pg("ALTER TABLE t DROP CONSTRAINT t_pkey");
    pipeline.pg("INSERT INTO t VALUES (3, 'between')");
    running.wait_for("\"t\" is parked");
    pipeline.pg("ALTER TABLE n REPLICA IDENTITY NOTHING");
    pipeline.pg("INSERT INTO n VALUES (1, 'between')");
    running.wait_for("\"n\" is parked");
    pipeline.pg("INSERT INTO other VALUES (1)");
    pipeline
        .stage
        .wait_until("the others go on", |stage| stage.clickhouse.value("SELECT count() FROM {db}.other FINAL") == "1");
    pipeline.pg("ALTER TABLE t ADD PRIMARY KEY (id)");
    pipeline.pg("ALTER TABLE n REPLICA IDENTITY DEFAULT");
    for table in ["public.t", "public.n"] {
        let outcome = pipeline.stage.pipectl(&["resync", table]);
        assert_eq!(outcome.status, Some(0), "{outcome}");
    }
    running.signal("TERM");
    let outcome = running.ended();
    assert_eq!(outcome.status, Some(0), "{outcome}");
    pipeline.pg("INSERT INTO t VALUES (4, 'after')");
    pipeline.equal();
    assert_eq!(pipeline.ch("SELECT (SELECT count() FROM {db}.t FINAL), (SELECT count() FROM {db}.n FINAL)"), "3\t1");
}

#[test]
fn a_table_that_is_gone_from_clickhouse_is_copied_again() {
    let pipeline = Pipeline::new(
        "gone_from_clickhouse",
        "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT g, 'v' FROM generate_series(1, 10) AS g",
        "",
    );
    pipeline.sync();
    pipeline.ch("DROP TABLE {db}.t SYNC");
    pipeline.pg("INSERT INTO t VALUES (20, 'later')");
    let outcome = pipeline.sync();
    assert!(outcome.stderr.contains("was gone from ClickHouse"), "{outcome}");
    pipeline.verify();
    assert_eq!(pipeline.ch("SELECT count() FROM {db}.t FINAL"), "11");
}
