//! Batches of the smallest and of the largest size, killed in the midst of an insert and sent again.

use crate::support::{Mark, Proxy, Stage, Verdict};
use crate::sync_recovery::{checkpoint, kill};

const TABLES: &str = "tables:\n  - source: public.*\n  - {source: public.bag, keyless: multiset}\n  - {source: public.moves, mode: log}\n";
const SINGLE: &str = "sync:\n  batch: {max_rows: 1, max_age: 10ms}\n";
/// Words of an insert of rows, into whatever table.
const INSERTS: &[&str] = &["INSERT", "_version"];
const SCHEMA: &str = "
    CREATE TABLE docs (id int PRIMARY KEY, n int NOT NULL, body text NOT NULL); ALTER TABLE docs ALTER body SET STORAGE EXTERNAL;
    INSERT INTO docs SELECT g, 0, repeat(md5(g::text), 80) FROM generate_series(1, 60) AS g;
    CREATE TABLE bag (n int); ALTER TABLE bag REPLICA IDENTITY FULL; INSERT INTO bag SELECT g % 4 FROM generate_series(1, 40) AS g;
    CREATE TABLE moves (id int PRIMARY KEY, n int); INSERT INTO moves SELECT g, 0 FROM generate_series(1, 10) AS g";

/// Every kind of change, a few rows each; values that an update leaves alone, and rows that are changed more than once.
fn transaction(number: u32) -> String {
    let emptied = if number == 4 { "TRUNCATE bag; INSERT INTO bag VALUES (1), (1), (2);" } else { "" };
    format!(
        "BEGIN; UPDATE docs SET n = n + 1 WHERE id % 10 = {number} % 10; UPDATE docs SET n = n + 1 WHERE id = {number};
         INSERT INTO docs VALUES ({number} + 100, 5, repeat('x', 3000)); UPDATE docs SET n = 6 WHERE id = {number} + 100;
         UPDATE docs SET id = -id WHERE id = {number} + 20; DELETE FROM docs WHERE id = {number} + 40; {emptied}
         INSERT INTO bag VALUES (1), ({number}), ({number}); UPDATE bag SET n = 3 WHERE ctid = (SELECT ctid FROM bag WHERE n = 1 LIMIT 1);
         UPDATE moves SET n = n + 1 WHERE id % 5 = {number} % 5; DELETE FROM moves WHERE id = {number}; COMMIT"
    )
}

/// Starts a sync again and again, and kills it in the midst of an insert, each time behind more of them than a transaction has.
fn killed_over_and_over(stage: &Stage) {
    for count in [25, 31] {
        let (proxy, before) = (Proxy::to(&stage.clickhouse.url), checkpoint(stage));
        proxy.hold_behind(count, INSERTS);
        let running = stage.invocation(&["sync"]).env("CLICKHOUSE_URL", &proxy.url(&stage.clickhouse.url)).spawn();
        proxy.wait_until_held();
        kill(running);
        proxy.release_with(Verdict::Drop);
        assert_ne!(checkpoint(stage), before);
    }
}

/// Lets every insert stay a part, or no longer.
fn merges(stage: &Stage, verb: &str) {
    for table in ["docs", "bag__log", "moves"] {
        stage.clickhouse.execute(&format!("SYSTEM {verb} MERGES {{db}}.{table}"));
    }
}

#[test]
fn batches_of_one_row_are_killed_and_sent_again() {
    let stage = Stage::new("single_rows");
    stage.postgres.execute(SCHEMA);
    stage.config(&format!("{TABLES}{SINGLE}"));
    stage.catch_up_and_verify();
    let mark = Mark::of(&stage);
    merges(&stage, "STOP");
    for number in 1..=6 {
        stage.postgres.execute(&transaction(number));
    }
    killed_over_and_over(&stage);
    stage.catch_up_and_verify();
    // A change of a key, or of a row that is counted, is two rows.
    let parts = "SELECT count() >= 80, max(rows) FROM system.parts
        WHERE database = '{}' AND active AND table IN ('docs', 'bag__log', 'moves') AND min_block_number > 1";
    assert_eq!(stage.clickhouse.value(&parts.replace("{}", &stage.name)), "1\t2");
    merges(&stage, "START");
    stage.merge_all();
    mark.rewind(&stage);
    killed_over_and_over(&stage);
    stage.catch_up_and_verify();
    // And all at once.
    stage.config(TABLES);
    mark.rewind(&stage);
    stage.catch_up_and_verify();
    stage.merge_all();
    stage.catch_up_and_verify();
    assert_eq!(
        stage.clickhouse.value("SELECT count(), sum(n) FROM {db}.bag"),
        stage.postgres.value("SELECT count(*) || chr(9) || sum(n) FROM bag")
    );
}

/// One insert of all rows of a transaction, by limits far beyond the usual ones.
const ONE_BATCH: &str = "sync:\n  memory: 4GiB\n  batch: {max_rows: 10000000, max_bytes: 1GiB, max_age: 1h}\n";

#[test]
fn a_huge_batch_is_killed_in_the_middle_of_its_insert() {
    let stage = Stage::new("huge_batch");
    stage.postgres.execute(
        "CREATE TABLE huge (id int PRIMARY KEY, v text NOT NULL, long text); ALTER TABLE huge ALTER long SET STORAGE EXTERNAL; INSERT INTO huge VALUES (1000003, '')",
    );
    stage.config(&format!("tables:\n  - source: public.*\n{ONE_BATCH}"));
    stage.catch_up_and_verify();
    stage.clickhouse.execute("SYSTEM STOP MERGES {db}.huge");
    let mark = Mark::of(&stage);
    stage.postgres.execute(
        "BEGIN; INSERT INTO huge SELECT g, md5(g::text) || md5((-g)::text), CASE WHEN g % 1000 = 0 THEN repeat('x', 3000) END FROM generate_series(1, 400000) AS g;
         UPDATE huge SET v = 'y' WHERE id % 500 = 0; UPDATE huge SET id = -id WHERE id % 2000 = 0; DELETE FROM huge WHERE id % 7 = 0; COMMIT",
    );
    // The server has a part of it, and waits for the rest.
    let proxy = Proxy::to(&stage.clickhouse.url);
    proxy.hold_within(&["INSERT", "huge"], 8 << 20);
    let arguments = ["sync", "--until-caught-up"];
    let running = stage.invocation(&arguments).env("CLICKHOUSE_URL", &proxy.url(&stage.clickhouse.url)).spawn();
    proxy.wait_until_held();
    let inserting = format!(
        "SELECT count() FROM system.processes WHERE query LIKE 'INSERT%' AND query LIKE '%{}%huge%'",
        stage.name
    );
    stage.wait_until("the server reads it", |stage| stage.clickhouse.value(&inserting) == "1");
    kill(running);
    proxy.release_with(Verdict::Drop);
    stage.wait_until("the server gives it up", |stage| stage.clickhouse.value(&inserting) == "0");
    assert_eq!(stage.clickhouse.value("SELECT count() FROM {db}.huge"), "1");
    stage.catch_up_and_verify();
    // One insert of all that was sent, and some of the rows whose long value was not; ClickHouse keeps the newest row of each key of an insert.
    let parts = "SELECT max(rows), sum(rows) FROM system.parts WHERE database = '{}' AND active AND table = 'huge'";
    assert_eq!(stage.clickhouse.value(&parts.replace("{}", &stage.name)), "400028\t400372");
    stage.clickhouse.execute("SYSTEM START MERGES {db}.huge");
    // The same in batches of the usual size.
    stage.config("tables:\n  - source: public.*\n");
    mark.rewind(&stage);
    stage.catch_up_and_verify();
    stage.merge_all();
    stage.catch_up_and_verify();
}
