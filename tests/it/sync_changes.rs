//! Changes of rows, each kind, from Postgres to ClickHouse by the real binary.

use crate::support::{Mark, Outcome, Stage};

/// A pipeline between the two databases of a test.
pub(crate) struct Pipeline {
    pub(crate) stage: Stage,
}

impl Pipeline {
    /// Makes the source's tables and the configuration; nothing runs yet.
    pub(crate) fn new(test: &str, schema: &str, config: &str) -> Self {
        let stage = Stage::new(test);
        stage.postgres.execute(schema);
        let config = if config.is_empty() { "tables:\n  - source: public.*\n" } else { config };
        stage.config(config);
        Self { stage }
    }

    /// Runs statements at the source.
    pub(crate) fn pg(&self, sql: &str) {
        self.stage.postgres.execute(sql);
    }

    /// The answer of ClickHouse, as tab-separated text.
    pub(crate) fn ch(&self, sql: &str) -> String {
        self.stage.clickhouse.value(sql)
    }

    /// Lets the pipeline catch up, whatever comes of it.
    pub(crate) fn try_sync(&self) -> Outcome {
        self.stage.pipectl(&["sync", "--until-caught-up"])
    }

    /// Lets the pipeline catch up.
    pub(crate) fn sync(&self) -> Outcome {
        let outcome = self.try_sync();
        assert_eq!(outcome.status, Some(0), "{outcome}");
        outcome
    }

    /// Compares both sides, value by value.
    pub(crate) fn verify(&self) {
        let outcome = self.stage.pipectl(&["verify", "--show-values"]);
        assert_eq!(outcome.status, Some(0), "{outcome}");
    }

    /// Catches up and compares.
    pub(crate) fn equal(&self) {
        self.sync();
        self.verify();
    }

    /// Remembers where the stream is, to begin there again.
    pub(crate) fn mark(&self) -> Mark {
        Mark::of(&self.stage)
    }

    /// Everything since then is sent, and stored, once more.
    pub(crate) fn replay(&self, mark: &Mark) -> Outcome {
        mark.rewind(&self.stage);
        self.sync()
    }
}

/// Long and not to be compressed: stored out of line.
const LONG: &str = "(SELECT string_agg(md5(i::text || ";

/// An expression of a text that is stored out of line, another one for each seed.
pub(crate) fn long(seed: &str) -> String {
    format!("{LONG}'{seed}'), '') FROM generate_series(1, 300) i)")
}

#[test]
fn rows_come_change_and_go() {
    let pipeline = Pipeline::new(
        "rows_come_change_and_go",
        "CREATE TABLE plain (id int PRIMARY KEY, v text);
         INSERT INTO plain SELECT i, 'first ' || i FROM generate_series(1, 20) i;
         CREATE TABLE many (id int PRIMARY KEY, v int);
         INSERT INTO many SELECT i, i FROM generate_series(1, 100) i;
         CREATE TABLE swap (id int PRIMARY KEY DEFERRABLE, v text);
         ALTER TABLE swap REPLICA IDENTITY FULL;
         CREATE TABLE moved (id int PRIMARY KEY, v text);
         INSERT INTO moved SELECT i, 'm' || i FROM generate_series(1, 10) i;
         CREATE TABLE composite (a int, b text, v int, PRIMARY KEY (b, a));
         INSERT INTO composite VALUES (1, 'x', 1), (2, 'x', 2), (1, 'y', 3);",
        "",
    );
    let outcome = pipeline.sync();
    assert!(outcome.stderr.contains("public.swap is left out"), "{outcome}");
    pipeline.pg(
        "INSERT INTO plain VALUES (100, 'new'), (101, NULL), (102, ''); UPDATE plain SET v = v || '!' WHERE id < 5;
         DELETE FROM plain WHERE id BETWEEN 10 AND 15; UPDATE plain SET v = NULL WHERE id = 9",
    );
    // One row again and again in one transaction: there and back, and its end.
    pipeline.pg("BEGIN; DELETE FROM plain WHERE id = 1; INSERT INTO plain VALUES (1, 'again'); UPDATE plain SET v = 'and again' WHERE id = 1;
         UPDATE plain SET id = 500 WHERE id = 2; UPDATE plain SET id = 2 WHERE id = 500;
         INSERT INTO plain VALUES (600, 'a'); DELETE FROM plain WHERE id = 600;
         INSERT INTO plain VALUES (601, 'a'); DELETE FROM plain WHERE id = 601; INSERT INTO plain VALUES (601, 'b'); COMMIT");
    // Every key becomes its neighbour's, from the top, in one transaction.
    pipeline.pg("BEGIN; DO $$ BEGIN FOR i IN REVERSE 100..1 LOOP UPDATE many SET id = i + 1 WHERE id = i; END LOOP; END $$; COMMIT");
    // A swap by way of a third key.
    pipeline.pg("BEGIN; UPDATE moved SET id = 0 WHERE id = 1; UPDATE moved SET id = 1 WHERE id = 2; UPDATE moved SET id = 2 WHERE id = 0; COMMIT;
         BEGIN; UPDATE moved SET id = 30 WHERE id = 3; UPDATE moved SET id = 31 WHERE id = 30; COMMIT;
         UPDATE moved SET id = 32 WHERE id = 31; UPDATE moved SET id = 3 WHERE id = 32; UPDATE moved SET id = 40, v = 'x' WHERE id = 4");
    pipeline.pg("UPDATE composite SET a = 9 WHERE b = 'y'; UPDATE composite SET v = 20 WHERE a = 2; DELETE FROM composite WHERE a = 1 AND b = 'x';
         INSERT INTO composite VALUES (1, 'x', 11)");
    pipeline.equal();
    assert_eq!(
        pipeline.ch("SELECT groupArray((id, v)) FROM (SELECT id, v FROM {db}.moved FINAL ORDER BY id LIMIT 3)"),
        "[(1,'m2'),(2,'m1'),(3,'m3')]"
    );
    assert_eq!(pipeline.ch("SELECT count(), min(id), max(id), sum(v) FROM {db}.many FINAL"), "100\t2\t101\t5050");
    assert_eq!(pipeline.ch("SELECT v FROM {db}.plain FINAL WHERE id IN (1, 601) ORDER BY id"), "and again\nb");
    // Savepoints, rollbacks, and a transaction whose writer was prepared.
    pipeline.pg("BEGIN; INSERT INTO plain VALUES (700, 'kept'); SAVEPOINT a; INSERT INTO plain VALUES (701, 'undone'); UPDATE plain SET v = 'undone' WHERE id = 700;
         SAVEPOINT b; DELETE FROM plain WHERE id = 3; ROLLBACK TO a; INSERT INTO plain VALUES (701, 'second'); RELEASE a; COMMIT;
         BEGIN; TRUNCATE many; INSERT INTO plain VALUES (702, 'undone'); ROLLBACK");
    pipeline.equal();
    if pipeline.stage.postgres.value("SHOW max_prepared_transactions") != "0" {
        pipeline.pg("BEGIN; INSERT INTO plain VALUES (710, 'prepared'); PREPARE TRANSACTION 'changes_one'; BEGIN; INSERT INTO plain VALUES (711, 'no'); PREPARE TRANSACTION 'changes_two'");
        pipeline.sync();
        assert_eq!(pipeline.ch("SELECT count() FROM {db}.plain FINAL WHERE id >= 710"), "0");
        pipeline.pg("COMMIT PREPARED 'changes_one'");
        pipeline.pg("ROLLBACK PREPARED 'changes_two'");
        pipeline.equal();
    }
}

#[test]
fn truncations_take_what_was_before_them() {
    let pipeline = Pipeline::new(
        "truncations",
        "CREATE TABLE one (id int PRIMARY KEY, v text); CREATE TABLE two (id int PRIMARY KEY, one int REFERENCES one);
         CREATE TABLE three (id int PRIMARY KEY, v text NOT NULL, n int[] NOT NULL);
         INSERT INTO one SELECT i, 'x' FROM generate_series(1, 1000) i; INSERT INTO two SELECT i, i FROM generate_series(1, 1000) i;
         INSERT INTO three SELECT i, 'x', '{1}' FROM generate_series(1, 1000) i;",
        "tables:\n  - source: public.*\nsync:\n  batch: {max_rows: 100}\n",
    );
    pipeline.sync();
    pipeline.pg("BEGIN; INSERT INTO one SELECT i, 'before' FROM generate_series(2000, 2200) i; TRUNCATE one CASCADE;
         INSERT INTO one SELECT i, 'after' FROM generate_series(1, 150) i; INSERT INTO two VALUES (1, 1); COMMIT");
    pipeline.pg("TRUNCATE three, two; INSERT INTO three VALUES (5, 'new', '{}'); INSERT INTO two VALUES (7, 7)");
    pipeline.pg("BEGIN; INSERT INTO three VALUES (6, 'a', '{}'); TRUNCATE three; TRUNCATE three; INSERT INTO three VALUES (6, 'b', '{2}'); COMMIT");
    pipeline.equal();
    assert_eq!(pipeline.ch("SELECT count(), any(v) FROM {db}.one FINAL"), "150\tafter");
    assert_eq!(pipeline.ch("SELECT groupArray(id) FROM {db}.two FINAL"), "[7]");
    assert_eq!(pipeline.ch("SELECT id, v FROM {db}.three FINAL"), "6\tb");
    pipeline.pg("TRUNCATE one CASCADE; TRUNCATE three");
    pipeline.equal();
    assert_eq!(
        pipeline.ch("SELECT count() FROM {db}.one FINAL") + &pipeline.ch("SELECT count() FROM {db}.three FINAL"),
        "00"
    );
}

#[test]
fn partitions_are_one_table() {
    let pipeline = Pipeline::new(
        "partitions_are_one_table",
        "CREATE TABLE parts (id int, region text, v text, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
         CREATE TABLE parts_eu PARTITION OF parts FOR VALUES IN ('eu');
         CREATE TABLE parts_us PARTITION OF parts FOR VALUES IN ('us');
         CREATE TABLE parts_rest PARTITION OF parts DEFAULT PARTITION BY RANGE (id);
         CREATE TABLE parts_rest_1 (v text, region text NOT NULL, dropped int, id int NOT NULL);
         ALTER TABLE parts_rest_1 DROP COLUMN dropped;
         ALTER TABLE parts_rest ATTACH PARTITION parts_rest_1 FOR VALUES FROM (0) TO (1000);
         INSERT INTO parts SELECT i, (ARRAY['eu', 'us', 'asia'])[i % 3 + 1], 'v' || i FROM generate_series(1, 90) i;",
        "",
    );
    pipeline.sync();
    pipeline.verify();
    pipeline.pg(&format!(
        "UPDATE parts SET region = 'us' WHERE id < 10; UPDATE parts SET v = {} WHERE id IN (5, 6, 11);
         UPDATE parts SET region = 'asia' WHERE id IN (5, 6, 11); UPDATE parts SET id = id + 100, region = 'eu' WHERE id > 80;
         DELETE FROM parts WHERE id = 20; INSERT INTO parts_us VALUES (300, 'us', 'directly'); UPDATE parts_rest_1 SET v = 'leaf' WHERE id = 7",
        long("p")
    ));
    pipeline.equal();
    // A partition that is added empty takes part at once.
    pipeline.pg("CREATE TABLE parts_rest_2 PARTITION OF parts_rest FOR VALUES FROM (1000) TO (2000);
         INSERT INTO parts VALUES (1500, 'mars', 'new partition'); UPDATE parts SET region = 'mars' WHERE id = 30");
    pipeline.equal();
    assert_eq!(
        pipeline.ch("SELECT v FROM {db}.parts FINAL WHERE region = 'mars' ORDER BY id DESC LIMIT 1"),
        "new partition"
    );
    pipeline.pg("TRUNCATE parts; INSERT INTO parts VALUES (1, 'eu', 'last')");
    pipeline.equal();
    assert_eq!(pipeline.ch("SELECT id, region, v FROM {db}.parts FINAL"), "1\teu\tlast");
}

#[test]
fn huge_transactions_flow_through_in_small_batches() {
    let pipeline = Pipeline::new(
        "huge_transactions",
        "CREATE TABLE huge (id int PRIMARY KEY, v text); CREATE TABLE log (at int, v text);
         INSERT INTO log SELECT i, 'copied' FROM generate_series(1, 3000) i;",
        "tables:\n  - source: public.huge\n  - source: public.log\n    keyless: insert_only\nsync:\n  batch: {max_rows: 1000}\n",
    );
    pipeline.sync();
    assert_eq!(pipeline.ch("SELECT count() FROM {db}.log FINAL"), "3000");
    let mark = pipeline.mark();
    pipeline.pg("BEGIN; INSERT INTO huge SELECT i, 'x' || i FROM generate_series(1, 200000) i; UPDATE huge SET v = 'y' WHERE id % 1000 = 0; DELETE FROM huge WHERE id % 7 = 0; COMMIT");
    // The rows of one COPY share records, and so versions.
    pipeline.stage.admin.execute("COPY huge FROM PROGRAM 'seq -f \"%.0f,copy\" 1000001 1050000' WITH (FORMAT csv); COPY log FROM PROGRAM 'seq -f \"%.0f,copy\" 1 5000' WITH (FORMAT csv)");
    pipeline.sync();
    assert_eq!(pipeline.ch("SELECT count(), uniqExact(at) FROM {db}.log FINAL"), "8000\t5000");
    assert_eq!(
        pipeline.ch("SELECT count(), countIf(v = 'copy') FROM {db}.huge FINAL"),
        pipeline.stage.postgres.rows("SELECT count(*), count(*) FILTER (WHERE v = 'copy') FROM huge")[0]
            .iter()
            .flatten()
            .cloned()
            .collect::<Vec<_>>()
            .join("\t")
    );
    pipeline.stage.pipectl(&["verify", "--table", "public.huge"]);
    // The same once more, in other batches: nothing comes twice.
    pipeline.replay(&mark);
    assert_eq!(pipeline.ch("SELECT count(), uniqExact(at) FROM {db}.log FINAL"), "8000\t5000");
}
