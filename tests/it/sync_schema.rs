//! Tables that change their columns while they are followed, and tables that come and go.

use crate::support::Running;
use crate::sync_changes::{Pipeline, long};
use crate::versions;

/// Starts the pipeline and waits until it streams.
fn live(pipeline: &Pipeline) -> Running {
    let mut running = pipeline.stage.invocation(&["sync"]).spawn();
    running.wait_for("streaming from");
    running
}

/// Waits until ClickHouse answers as it should.
fn eventually(pipeline: &Pipeline, sql: &str, wanted: &str) {
    let mut found = String::new();
    pipeline.stage.wait_until(&format!("{sql}: {wanted}"), |stage| {
        found = stage.clickhouse.value(sql);
        found == wanted
    });
}

fn stop(running: Running) {
    running.signal("TERM");
    let outcome = running.ended();
    assert_eq!(outcome.status, Some(0), "{outcome}");
}

#[test]
fn columns_come_and_go_while_it_runs() {
    let pipeline = Pipeline::new(
        "columns_come_and_go",
        "CREATE TABLE t (id int PRIMARY KEY, v text, gone text, gone_too int NOT NULL DEFAULT 5, strict int NOT NULL, narrow int, small smallint[]);
         INSERT INTO t SELECT i, 'v' || i, 'g', 5, i, i, '{1}' FROM generate_series(1, 10) i; ",
        "",
    );
    pipeline.sync();
    let mark = pipeline.mark();
    let running = live(&pipeline);
    pipeline.pg("ALTER TABLE t ADD COLUMN plain text; INSERT INTO t (id, strict, plain) VALUES (11, 1, 'p')");
    pipeline.pg("ALTER TABLE t ADD COLUMN with_default int DEFAULT 42; INSERT INTO t (id, strict) VALUES (12, 1), (13, 1); UPDATE t SET with_default = NULL WHERE id = 13");
    eventually(&pipeline, "SELECT count() FROM {db}.t FINAL WHERE id = 13", "1");
    pipeline.pg("BEGIN; INSERT INTO t (id, strict) VALUES (14, 1); ALTER TABLE t ADD COLUMN late timestamptz NOT NULL DEFAULT '2020-02-02 02:02:02.5+00', ADD COLUMN money_ numeric(8,2) NOT NULL DEFAULT 1.50;
         INSERT INTO t (id, strict) VALUES (15, 1); ALTER TABLE t ADD COLUMN tags text[] DEFAULT '{x,NULL}', ADD COLUMN \"odd \"\"name`\" text DEFAULT 'it''s \\ odd';
         UPDATE t SET v = 'changed' WHERE id IN (1, 14); ROLLBACK");
    pipeline.pg("BEGIN; INSERT INTO t (id, strict) VALUES (14, 1); ALTER TABLE t ADD COLUMN late timestamptz NOT NULL DEFAULT '2020-02-02 02:02:02.5+00', ADD COLUMN money_ numeric(8,2) NOT NULL DEFAULT 1.50;
         INSERT INTO t (id, strict) VALUES (15, 1); ALTER TABLE t ADD COLUMN tags text[] DEFAULT '{x,NULL}', ADD COLUMN \"odd \"\"name`\" text DEFAULT 'it''s \\ odd';
         UPDATE t SET v = 'changed' WHERE id IN (1, 14); COMMIT");
    eventually(&pipeline, "SELECT count() FROM {db}.t FINAL WHERE v = 'changed'", "2");
    stop(running);
    pipeline.equal();
    assert_eq!(
        pipeline.ch("SELECT uniq(late, money_, tags, `odd \"name\\``), any(money_), any(tags) FROM {db}.t FINAL"),
        "1\t1.5\t['x',NULL]"
    );
    // A column that goes is kept, and empty from then on; one that may be NULL now gets room for it; a wider type takes its place.
    let running = live(&pipeline);
    pipeline.pg("ALTER TABLE t DROP COLUMN gone, DROP COLUMN gone_too; INSERT INTO t (id, strict) VALUES (20, 1);
         ALTER TABLE t ALTER strict DROP NOT NULL; INSERT INTO t (id) VALUES (21); UPDATE t SET v = 'x' WHERE id = 2;
         INSERT INTO t (id, v) VALUES (22, 'last')");
    eventually(&pipeline, "SELECT count() FROM {db}.t FINAL WHERE id = 22", "1");
    stop(running);
    pipeline.equal();
    assert_eq!(
        pipeline
            .ch("SELECT id, gone, gone_too, strict, narrow FROM {db}.t FINAL WHERE id IN (10, 20, 21, 22) ORDER BY id"),
        "10\tg\t5\t10\t10\n20\t\\N\t\\N\t1\t\\N\n21\t\\N\t\\N\t\\N\t\\N\n22\t\\N\t\\N\t\\N\t\\N"
    );
    // Another type rewrites the table: it is widened for the rows that come, and then copied again.
    let running = live(&pipeline);
    pipeline.pg("ALTER TABLE t ALTER narrow TYPE bigint; INSERT INTO t (id, narrow) VALUES (24, 5000000000); ALTER TABLE t ALTER small TYPE int[]; INSERT INTO t (id, small) VALUES (23, '{70000}')");
    eventually(&pipeline, "SELECT count() FROM {db}.t FINAL WHERE id = 23", "1");
    stop(running);
    pipeline.equal();
    assert_eq!(pipeline.ch("SELECT narrow FROM {db}.t FINAL WHERE id = 24"), "5000000000");
    // The whole of it once more, with rows of every older form.
    pipeline.replay(&mark);
    pipeline.verify();
}

#[test]
fn tables_join_and_leave() {
    let (filter, filters) = ("    where: region = 'EU'\n", versions::major() >= 15);
    let pipeline = Pipeline::new(
        "tables_join_and_leave",
        "CREATE SCHEMA \"Odd Schema\"; CREATE TABLE first (id int PRIMARY KEY, v text, secret text NOT NULL);
         INSERT INTO first SELECT i, 'v', 's' FROM generate_series(1, 10) i;
         CREATE TABLE keyless (v int); INSERT INTO keyless VALUES (1), (1);
         CREATE TABLE log (v int); INSERT INTO log VALUES (1), (1);
         CREATE TABLE filtered (id int, region text, v text, PRIMARY KEY (id, region)); INSERT INTO filtered SELECT i, (ARRAY['EU', 'US'])[i % 2 + 1], 'v' FROM generate_series(1, 10) i;
         CREATE TABLE sorted (id int PRIMARY KEY, kind text NOT NULL, v text); ALTER TABLE sorted REPLICA IDENTITY FULL; INSERT INTO sorted SELECT i, 'k' || i % 3, 'v' FROM generate_series(1, 10) i;
         CREATE TABLE \"Odd Schema\".\"q\"\"uote.d`t\\able\" (\"select\" int PRIMARY KEY, \"a\"\"b`c\\d\" text, \"Ünï ✓\" int, \"{x:Int8}\" int, \"?\" int);
         INSERT INTO \"Odd Schema\".\"q\"\"uote.d`t\\able\" VALUES (1, 'x', 1, 2, 3), (2, 'y', 1, 2, 3);",
        &"tables:
  - source: public.*
  - source: 'Odd Schema.*'
  - source: public.first
    columns: {secret: {exclude: true}}
  - source: public.log
    keyless: insert_only
  - source: public.filtered
    where: region = 'EU'
  - source: public.sorted
    order_by: [kind, id]
"
        .replace(filter, if filters { filter } else { "" }),
    );
    let outcome = pipeline.sync();
    assert!(outcome.stderr.contains("table public.keyless is left out"), "{outcome}");
    assert_eq!(
        pipeline.ch("SELECT count() FROM {db}.filtered FINAL") + &pipeline.ch("SELECT count() FROM {db}.log FINAL"),
        if filters { "52" } else { "102" }
    );
    pipeline.pg(&format!("INSERT INTO first VALUES (11, 'n', 's'); UPDATE first SET secret = 't' WHERE id = 1; UPDATE first SET secret = {} WHERE id = 2; UPDATE first SET v = 'w' WHERE id = 2;
         INSERT INTO keyless VALUES (2); UPDATE keyless SET v = 3; DELETE FROM keyless WHERE v = 3;
         INSERT INTO log VALUES (1), (2);
         UPDATE filtered SET v = 'w'; UPDATE filtered SET region = 'EU' WHERE id = 1; UPDATE filtered SET region = 'US' WHERE id = 2; DELETE FROM filtered WHERE id IN (3, 4); INSERT INTO filtered VALUES (20, 'EU', 'n'), (21, 'US', 'n');
         UPDATE sorted SET kind = 'moved' WHERE id < 4; UPDATE sorted SET v = {} WHERE id = 5; UPDATE sorted SET kind = 'long' WHERE id = 5; UPDATE sorted SET id = 50 WHERE id = 5; DELETE FROM sorted WHERE id = 6;
         UPDATE \"Odd Schema\".\"q\"\"uote.d`t\\able\" SET \"a\"\"b`c\\d\" = {}; UPDATE \"Odd Schema\".\"q\"\"uote.d`t\\able\" SET \"?\" = 9; UPDATE \"Odd Schema\".\"q\"\"uote.d`t\\able\" SET \"select\" = 7 WHERE \"select\" = 1",
        long("s"), long("v"), long("q")));
    pipeline.equal();
    assert_eq!(pipeline.ch("SELECT groupArray(v) FROM (SELECT v FROM {db}.log FINAL ORDER BY v)"), "[1,1,1,2]");
    assert_eq!(
        pipeline.ch(&format!(
            "SELECT count() FROM system.columns WHERE database = '{}' AND name = 'secret'",
            pipeline.stage.name
        )),
        "0"
    );
    // A table that comes is copied at the next start, also where it changes at the same time.
    pipeline.pg("CREATE TABLE joined (id int PRIMARY KEY, v text); INSERT INTO joined SELECT i, 'before' FROM generate_series(1, 100) i; UPDATE first SET v = 'same time'");
    let outcome = pipeline.sync();
    assert!(outcome.stderr.contains("joined is new"), "{outcome}");
    pipeline.verify();
    pipeline.pg("UPDATE joined SET v = 'after' WHERE id < 50; DELETE FROM joined WHERE id > 90; DELETE FROM \"Odd Schema\".\"q\"\"uote.d`t\\able\"; DROP SCHEMA \"Odd Schema\" CASCADE; UPDATE first SET v = 'without'");
    pipeline.equal();
    // A key-less table that gets a key joins as well.
    pipeline.pg("ALTER TABLE keyless ADD COLUMN id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY; INSERT INTO keyless (v) VALUES (7)");
    pipeline.equal();
    // Publishing the inserts alone leaves the application its other writes.
    pipeline.pg("UPDATE keyless SET v = v + 1; UPDATE log SET v = 1 WHERE v = 1");
    pipeline.equal();
}

#[test]
fn a_table_that_cannot_be_carried_is_parked_alone() {
    let pipeline = Pipeline::new(
        "parked_alone",
        "CREATE TABLE good (id int PRIMARY KEY, v text); CREATE TABLE bad (id int PRIMARY KEY, v int[]); CREATE TABLE copied (id int PRIMARY KEY, v int[]);
         INSERT INTO bad VALUES (1, '{1}'); INSERT INTO copied VALUES (1, '{{1},{2}}'); INSERT INTO good VALUES (1, 'x')",
        "",
    );
    let outcome = pipeline.try_sync();
    assert_eq!(outcome.status, Some(7), "{outcome}");
    assert!(outcome.stderr.contains("copied") && !outcome.stderr.contains("parked: bad"), "{outcome}");
    pipeline.pg("INSERT INTO good VALUES (2, 'y'); INSERT INTO bad VALUES (2, '{{1,2},{3,4}}'); INSERT INTO good VALUES (3, 'z'); INSERT INTO bad VALUES (3, '{5}')");
    let outcome = pipeline.try_sync();
    assert_eq!(outcome.status, Some(7), "{outcome}");
    assert_eq!(pipeline.ch("SELECT groupArray(id) FROM (SELECT id FROM {db}.good FINAL ORDER BY id)"), "[1,2,3]");
    // It stays so at the next start, also where the relation is told anew.
    pipeline.pg("ALTER TABLE bad ADD COLUMN more int DEFAULT 1; INSERT INTO bad VALUES (4, '{6}'); INSERT INTO good VALUES (4, 'z')");
    let outcome = pipeline.try_sync();
    assert_eq!(outcome.status, Some(7), "{outcome}");
    assert_eq!(pipeline.ch("SELECT count() FROM {db}.good FINAL"), "4");
    let status = pipeline.stage.pipectl(&["status"]);
    assert!(status.stdout.contains("parked") && status.stdout.contains("more than one dimension"), "{status}");
    // While the value is there, no copy can be made; once it is gone, the table comes back.
    let outcome = pipeline.stage.pipectl(&["resync", "public.bad"]);
    assert_eq!(outcome.status, Some(7), "{outcome}");
    pipeline.pg("UPDATE bad SET v = '{9}' WHERE id = 2; UPDATE copied SET v = '{1}'");
    let outcome = pipeline.stage.pipectl(&["resync", "public.bad", "public.copied"]);
    assert_eq!(outcome.status, Some(0), "{outcome}");
    pipeline.pg("UPDATE bad SET v = '{10}' WHERE id = 1; DELETE FROM bad WHERE id = 3");
    pipeline.equal();
}

#[test]
fn a_table_with_another_key_is_copied_again() {
    let pipeline = Pipeline::new(
        "changed_key",
        "CREATE TABLE good (id int PRIMARY KEY, v text); CREATE TABLE live (id int PRIMARY KEY, v text); CREATE TABLE later (id int PRIMARY KEY, v text);
         INSERT INTO live SELECT i, 'x' FROM generate_series(1, 5) i; INSERT INTO later SELECT i, 'x' FROM generate_series(1, 5) i",
        "",
    );
    pipeline.sync();
    let running = live(&pipeline);
    pipeline.pg("ALTER TABLE live ALTER id TYPE bigint; INSERT INTO live VALUES (6000000000, 'y'); INSERT INTO good VALUES (1, 'x')");
    eventually(&pipeline, "SELECT count() FROM {db}.live FINAL", "6");
    pipeline.pg("UPDATE live SET v = 'z' WHERE id = 6000000000; DELETE FROM live WHERE id = 1");
    eventually(
        &pipeline,
        "SELECT groupArray(v) FROM (SELECT v FROM {db}.live FINAL ORDER BY id)",
        "['x','x','x','x','z']",
    );
    stop(running);
    // While nothing runs, another one changes: it is copied beside the others at the next start.
    pipeline.pg("ALTER TABLE later DROP CONSTRAINT later_pkey, ADD PRIMARY KEY (id, v); INSERT INTO later VALUES (1, 'y'); INSERT INTO good VALUES (2, 'x')");
    let outcome = pipeline.sync();
    assert!(outcome.stderr.contains("later is copied again"), "{outcome}");
    pipeline.pg("DELETE FROM later WHERE v = 'x'");
    pipeline.equal();
    assert_eq!(pipeline.ch("SELECT id, v FROM {db}.later FINAL"), "1\ty");
}

#[test]
fn changes_of_a_time_before_columns_that_are_never_null_are_stored() {
    let schema = "CREATE TABLE a (id int PRIMARY KEY, n int); CREATE TABLE rewritten (id int PRIMARY KEY, n smallint)";
    let pipeline = Pipeline::new("before_columns", schema, "");
    pipeline.sync();
    pipeline.pg(
        "INSERT INTO a VALUES (1, 1); DELETE FROM a; ALTER TABLE a ADD v text NOT NULL, ADD w int NOT NULL; INSERT INTO a VALUES (2, 2, 'x', 5);
         INSERT INTO rewritten VALUES (1, 1); ALTER TABLE rewritten ADD c text NOT NULL DEFAULT 'x'; INSERT INTO rewritten (id) VALUES (2);
         ALTER TABLE rewritten ALTER n TYPE int; INSERT INTO rewritten (id) VALUES (3)",
    );
    pipeline.equal();
}

#[test]
fn names_that_stand_for_something_else_now() {
    let pipeline = Pipeline::new(
        "names_stand_for_else",
        "CREATE TABLE renamed (id int PRIMARY KEY, v text, w text); CREATE TABLE anew (id int PRIMARY KEY, v text); CREATE TABLE later (id int PRIMARY KEY, v text);
         CREATE TABLE recreated (id int PRIMARY KEY, v text);
         INSERT INTO renamed VALUES (1, 'x', 'y'); INSERT INTO anew VALUES (1, 'x'); INSERT INTO later VALUES (1, 'x'); INSERT INTO recreated VALUES (1, 'x'), (2, 'x')",
        "",
    );
    pipeline.sync();
    let running = live(&pipeline);
    pipeline.pg("ALTER TABLE renamed RENAME v TO u; INSERT INTO renamed VALUES (2, 'x', 'y');
         ALTER TABLE anew DROP COLUMN v; ALTER TABLE anew ADD COLUMN v text; INSERT INTO anew VALUES (2, 'x'); INSERT INTO later VALUES (2, 'x')");
    eventually(&pipeline, "SELECT count() FROM {db}.later FINAL", "2");
    eventually(
        &pipeline,
        "SELECT groupArray(ifNull(v, '-')) FROM (SELECT v FROM {db}.anew FINAL ORDER BY id)",
        "['-','x']",
    );
    stop(running);
    pipeline.pg("ALTER TABLE later RENAME v TO u; DROP TABLE recreated; CREATE TABLE recreated (id int PRIMARY KEY, v text); INSERT INTO recreated VALUES (2, 'new'), (3, 'new')");
    pipeline.equal();
    pipeline.pg("UPDATE renamed SET u = 'z' WHERE id = 1; DELETE FROM recreated WHERE id = 3");
    pipeline.equal();
    assert_eq!(pipeline.ch("SELECT id, v FROM {db}.recreated FINAL"), "2\tnew");
}

#[test]
fn a_name_that_stood_for_two_columns_unseen() {
    let pipeline = Pipeline::new(
        "two_of_one_name",
        "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT i, 'v' FROM generate_series(1, 5) i",
        "",
    );
    pipeline.sync();
    // When the stream tells of the first one, the catalog has the second one already.
    let twice = |first: &str, second: &str| {
        pipeline.pg(&format!("ALTER TABLE t ADD x {first} DEFAULT 1"));
        pipeline.pg("UPDATE t SET x = 2 WHERE id = 1");
        pipeline.pg("ALTER TABLE t DROP x");
        pipeline.pg(&format!("ALTER TABLE t ADD x {second} DEFAULT 7"));
        pipeline.pg("UPDATE t SET x = 9 WHERE id = 3");
        let outcome = pipeline.sync();
        assert!(outcome.stderr.contains("public.t is copied again"), "{outcome}");
        pipeline.verify();
        assert_eq!(pipeline.ch("SELECT toString(x) FROM {db}.t FINAL WHERE id = 1"), "7");
    };
    twice("int", "text");
    pipeline.pg("ALTER TABLE t DROP x");
    pipeline.equal();
    twice("int", "int");
    // One that went last says nothing of the next.
    pipeline.pg("ALTER TABLE t ADD y int; UPDATE t SET y = 1 WHERE id = 1; ALTER TABLE t DROP y");
    pipeline.equal();
    pipeline.pg("ALTER TABLE t ADD z int; UPDATE t SET z = 1 WHERE id = 1");
    let outcome = pipeline.sync();
    assert!(!outcome.stderr.contains("is copied again"), "{outcome}");
    pipeline.verify();
}

#[test]
fn renamed_columns_are_renamed_in_place() {
    let pipeline = Pipeline::new(
        "renamed_in_place",
        "CREATE TABLE t (id int PRIMARY KEY, v text, n int, x text); CREATE TABLE keyed (id int PRIMARY KEY, v text);
         INSERT INTO t SELECT i, 'v' || i, i, 'x' FROM generate_series(1, 10) i; INSERT INTO keyed VALUES (1, 'x')",
        "",
    );
    pipeline.sync();
    let mark = pipeline.mark();
    let sync = |told: &str, is_copied: bool| {
        let outcome = pipeline.sync();
        let copied = outcome.stderr.contains("public.t is copied again");
        assert!(outcome.stderr.contains(told) && copied == is_copied, "{outcome}");
        pipeline.verify();
    };
    // The stream still has changes under the old name, and sends them once more.
    pipeline.pg("UPDATE t SET v = 'old name' WHERE id < 5; ALTER TABLE t RENAME v TO u; UPDATE t SET u = 'new name' WHERE id = 1; ALTER TABLE keyed RENAME id TO number; INSERT INTO keyed VALUES (9, 'y')");
    sync("renamed column v of t to u", false);
    assert_eq!(
        pipeline.ch("SELECT groupArray(u) FROM (SELECT u FROM {db}.t FINAL WHERE id < 3 ORDER BY id)"),
        "['new name','old name']"
    );
    pipeline.replay(&mark);
    pipeline.verify();
    // While it runs, without a row that tells of it; and back again.
    let running = live(&pipeline);
    let has = |sql: &str, wanted: &str| {
        pipeline.stage.wait_until(sql, |stage| stage.clickhouse.try_value(sql).as_deref() == Some(wanted));
    };
    pipeline.pg("ALTER TABLE t RENAME n TO m");
    has("SELECT sum(m) FROM {db}.t FINAL", "55");
    pipeline.pg("UPDATE t SET m = -1 WHERE id = 2; ALTER TABLE t RENAME u TO v; UPDATE t SET v = 'back' WHERE id = 3");
    has("SELECT v FROM {db}.t FINAL WHERE id = 3", "back");
    running.signal("TERM");
    let outcome = running.ended();
    assert!(outcome.status == Some(0) && !outcome.stderr.contains("public.t is copied again"), "{outcome}");
    pipeline.replay(&mark);
    pipeline.verify();
    // Killed between the two servers' notes of it.
    #[cfg(feature = "failpoints")]
    {
        pipeline.pg("ALTER TABLE t RENAME m TO n");
        let call =
            pipeline.stage.invocation(&["sync", "--until-caught-up"]).env("PIPECTL_FAILPOINTS", "columns.renamed");
        assert_eq!(call.run().status, None, "it was to die");
        sync("", false);
        assert_eq!(pipeline.ch("SELECT sum(n) FROM {db}.t FINAL"), "52");
        pipeline.pg("ALTER TABLE t RENAME n TO m");
        sync("renamed column n of t to m", false);
    }
    // Twice before it was seen: what came under the name in between is not lost. A name that another column had is another column.
    pipeline.pg("ALTER TABLE t RENAME m TO between_; UPDATE t SET between_ = 5 WHERE id = 4; ALTER TABLE t RENAME between_ TO last; UPDATE t SET last = 6 WHERE id = 5");
    sync("renamed column m of t to last", true);
    pipeline.pg("ALTER TABLE t RENAME v TO w; ALTER TABLE t RENAME x TO v; UPDATE t SET v = 'x', w = 'w' WHERE id = 6");
    sync("", true);
    pipeline.replay(&mark);
    pipeline.verify();
}

#[test]
fn what_the_stream_does_not_say_is_noticed() {
    let pipeline = Pipeline::new(
        "not_said",
        "CREATE TABLE doubled (id int PRIMARY KEY, n int); CREATE TABLE marked (id int PRIMARY KEY, v text); CREATE TABLE vacuumed (id int PRIMARY KEY, v text);
         CREATE TABLE remade (id int PRIMARY KEY, v text); CREATE TABLE grown (id int PRIMARY KEY, v text);
         CREATE TABLE parts (id int PRIMARY KEY, v text) PARTITION BY RANGE (id); CREATE TABLE parts_0 PARTITION OF parts FOR VALUES FROM (0) TO (100);
         CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (100) TO (200); CREATE TABLE parts_2 (id int PRIMARY KEY, v text);
         CREATE TABLE kept (id int PRIMARY KEY, v text) PARTITION BY RANGE (id); CREATE TABLE kept_0 PARTITION OF kept FOR VALUES FROM (0) TO (100);
         CREATE TABLE kept_1 PARTITION OF kept FOR VALUES FROM (100) TO (200);
         INSERT INTO doubled SELECT i, i FROM generate_series(1, 10) i; INSERT INTO marked SELECT i, 'm' FROM generate_series(1, 10) i;
         INSERT INTO vacuumed SELECT i, 'v' FROM generate_series(1, 10) i; INSERT INTO remade SELECT i, 'old' FROM generate_series(1, 10) i;
         INSERT INTO grown VALUES (1, 'g'); INSERT INTO parts SELECT i, 'p' FROM generate_series(1, 199) i; INSERT INTO kept SELECT i, 'p' FROM generate_series(1, 199) i",
        "tables:
  - source: public.*
    exclude: [public.parts_2]
  - source: public.kept
    dropped_partitions: keep
",
    );
    pipeline.sync();
    let running = live(&pipeline);
    pipeline.pg("ALTER TABLE doubled ALTER n TYPE int USING n * 2; ALTER TABLE marked ADD COLUMN u uuid DEFAULT gen_random_uuid()");
    pipeline.pg("ALTER TABLE grown ADD COLUMN more int DEFAULT 7; DROP TABLE remade; CREATE TABLE remade (id int, kind text, PRIMARY KEY (kind, id)); INSERT INTO remade VALUES (1, 'a'), (1, 'b')");
    pipeline.stage.postgres.execute("VACUUM FULL vacuumed");
    pipeline.pg("INSERT INTO parts_2 SELECT i, 'attached' FROM generate_series(200, 249) i; ALTER TABLE parts ATTACH PARTITION parts_2 FOR VALUES FROM (200) TO (300)");
    eventually(&pipeline, "SELECT sum(n) FROM {db}.doubled FINAL", "110");
    pipeline.stage.wait_until("the column is there", |stage| {
        let there = "SELECT count() FROM system.columns WHERE database = '{}' AND table = 'grown' AND name = 'more'";
        stage.clickhouse.value(&there.replace("{}", &stage.name)) == "1"
    });
    eventually(&pipeline, "SELECT sum(more) FROM {db}.grown FINAL", "7");
    eventually(&pipeline, "SELECT count() FROM {db}.parts FINAL", "249");
    pipeline.pg("UPDATE parts SET v = 'changed' WHERE id = 230; TRUNCATE parts_1; CREATE TABLE joined (id int PRIMARY KEY, v text); INSERT INTO joined VALUES (1, 'j')");
    eventually(&pipeline, "SELECT count(), countIf(v = 'changed') FROM {db}.parts FINAL", "149\t1");
    pipeline
        .pg("DROP TABLE parts_0; DROP TABLE kept_0; UPDATE kept SET v = 'k' WHERE id = 150; UPDATE joined SET v = 'k'");
    eventually(&pipeline, "SELECT count() FROM {db}.parts FINAL", "50");
    eventually(&pipeline, "SELECT count(), countIf(v = 'k') FROM {db}.kept FINAL", "199\t1");
    pipeline.stage.wait_until("the new table joins", |stage| {
        let there = format!("SELECT count() FROM system.tables WHERE database = '{}' AND name = 'joined'", stage.name);
        stage.clickhouse.value(&there) == "1" && stage.clickhouse.value("SELECT any(v) FROM {db}.joined FINAL") == "k"
    });
    running.signal("TERM");
    let outcome = running.finish(std::time::Duration::from_secs(30));
    assert_eq!(outcome.status, Some(0), "{outcome}");
    assert!(!outcome.stderr.contains("vacuumed is copied"), "{outcome}");
    pipeline.sync();
    for table in ["doubled", "marked", "vacuumed", "remade", "grown", "parts", "joined"] {
        let outcome = pipeline.stage.pipectl(&["verify", "--table", table]);
        assert_eq!(outcome.status, Some(0), "{outcome}");
    }
    assert_eq!(pipeline.ch("SELECT count() FROM {db}.kept FINAL"), "199");
    // The same while nothing runs.
    pipeline.pg(
        "ALTER TABLE doubled ALTER n TYPE int USING n * 2; TRUNCATE parts_2; ALTER TABLE kept DETACH PARTITION kept_1",
    );
    pipeline.sync();
    assert_eq!(pipeline.ch("SELECT sum(n) FROM {db}.doubled FINAL"), "220");
    assert_eq!(pipeline.ch("SELECT count() FROM {db}.parts FINAL"), "0");
}
