//! Values that lie out of line: an update that leaves them alone does not send them, and they must be there all the same.

use crate::support::Stage;
use crate::sync_changes::{Pipeline, long};

const TABLES: [&str; 3] = ["by_key", "by_row", "by_index"];

const SCHEMA: &str = "
    CREATE TABLE by_key (id int PRIMARY KEY, n int, a text, b text);
    CREATE TABLE by_row (id int PRIMARY KEY, n int, a text, b text); ALTER TABLE by_row REPLICA IDENTITY FULL;
    CREATE TABLE by_index (other int PRIMARY KEY DEFAULT (random() * 2000000000)::int, id int NOT NULL, n int, a text, b text);
    CREATE UNIQUE INDEX by_index_id ON by_index (id); ALTER TABLE by_index REPLICA IDENTITY USING INDEX by_index_id;";

/// Statements on each of the tables: `{t}` is the table, `{a}` and so on long texts.
fn everywhere(pipeline: &Pipeline, sql: &str) {
    for table in TABLES {
        let mut sql = sql.replace("{t}", table);
        for seed in ["a", "b", "c", "d", "e", "f"] {
            sql = sql.replace(&format!("{{{seed}}}"), &long(seed));
        }
        pipeline.pg(&sql);
    }
}

/// The chains, in transactions of their own or all in one.
fn chains(pipeline: &Pipeline, offset: u32, together: bool) {
    let statements = "
        INSERT INTO {t} (id, n, a, b) VALUES (1 + @, 0, {a}, {b}); UPDATE {t} SET a = {c} WHERE id = 1 + @; UPDATE {t} SET b = {d} WHERE id = 1 + @;
        INSERT INTO {t} (id, n, a, b) VALUES (2 + @, 0, {a}, {b}); UPDATE {t} SET a = {c} WHERE id = 2 + @; UPDATE {t} SET n = 2 WHERE id = 2 + @;
        UPDATE {t} SET a = NULL WHERE id = 2 + @; UPDATE {t} SET n = 3 WHERE id = 2 + @;
        INSERT INTO {t} (id, n, a, b) VALUES (3 + @, 0, {a}, {b}); UPDATE {t} SET id = 4 + @ WHERE id = 3 + @; UPDATE {t} SET b = {e} WHERE id = 4 + @;
        UPDATE {t} SET id = 5 + @, n = 5 WHERE id = 4 + @; UPDATE {t} SET a = {f} WHERE id = 5 + @; UPDATE {t} SET id = 3 + @ WHERE id = 5 + @;
        INSERT INTO {t} (id, n, a, b) VALUES (6 + @, 0, {a}, {b}); UPDATE {t} SET n = 1 WHERE id = 6 + @; DELETE FROM {t} WHERE id = 6 + @;
        INSERT INTO {t} (id, n, a, b) VALUES (7 + @, 0, {c}, {d}); UPDATE {t} SET n = 2 WHERE id = 7 + @;
        UPDATE {t} SET id = 6 + @ WHERE id = 7 + @; UPDATE {t} SET n = 3 WHERE id = 6 + @;
        INSERT INTO {t} (id, n, a, b) VALUES (7 + @, 0, {e}, {f}); UPDATE {t} SET n = 9 WHERE id = 7 + @;
        INSERT INTO {t} (id, n, a, b) VALUES (8 + @, 0, {a}, 'short'); UPDATE {t} SET b = 'shorter' WHERE id = 8 + @; UPDATE {t} SET a = 'x' WHERE id = 8 + @;
        UPDATE {t} SET n = 7 WHERE id = 8 + @;
        INSERT INTO {t} (id, n, a, b) VALUES (9 + @, 0, {a}, {b}); UPDATE {t} SET n = 7 WHERE id = 9 + @; UPDATE {t} SET id = 10 + @ WHERE id = 9 + @; DELETE FROM {t} WHERE id = 10 + @;
        UPDATE {t} SET n = n + 1 WHERE id = 100; UPDATE {t} SET id = 101 + @ WHERE id = 100; UPDATE {t} SET n = n + 1 WHERE id = 101 + @; UPDATE {t} SET id = 100 WHERE id = 101 + @";
    let statements = statements.replace('@', &offset.to_string());
    everywhere(
        pipeline,
        &if together {
            format!("BEGIN; {statements}; COMMIT")
        } else {
            statements.replace(';', "; COMMIT; BEGIN; ").replacen("INSERT", "BEGIN; INSERT", 1) + "; COMMIT"
        },
    );
}

#[test]
fn what_an_update_leaves_alone_stays() {
    let pipeline = Pipeline::new("toast_stays", SCHEMA, "");
    everywhere(
        &pipeline,
        "INSERT INTO {t} (id, n, a, b) VALUES (100, 0, {a}, {b}), (200, 0, {c}, {d}), (300, 0, {e}, {f})",
    );
    pipeline.sync();
    let mark = pipeline.mark();
    chains(&pipeline, 1000, true);
    pipeline.equal();
    chains(&pipeline, 2000, false);
    pipeline.equal();
    // Runs that split the chains: each begins with what the one before stored.
    everywhere(&pipeline, "UPDATE {t} SET a = {f} WHERE id = 200");
    pipeline.sync();
    everywhere(&pipeline, "UPDATE {t} SET b = {e} WHERE id = 200");
    pipeline.sync();
    everywhere(&pipeline, "UPDATE {t} SET id = 201 WHERE id = 200; UPDATE {t} SET n = 8 WHERE id = 201");
    pipeline.equal();
    for table in TABLES {
        assert_eq!(
            pipeline.ch(&format!(
                "SELECT count(), min(length(a)), min(length(b)), any(n) FROM {{db}}.{table} FINAL WHERE id = 201"
            )),
            "1\t9600\t9600\t8"
        );
        assert_eq!(
            pipeline.ch(&format!("SELECT n, length(a), length(b) FROM {{db}}.{table} FINAL WHERE id = 300")),
            "0\t9600\t9600"
        );
    }
    // Everything once more from the beginning, over what is stored.
    pipeline.replay(&mark);
    pipeline.verify();
    // And over nothing at all: ClickHouse has no row to take the values from.
    everywhere(&pipeline, "UPDATE {t} SET n = 77 WHERE id IN (100, 201, 300, 2001)");
    for table in TABLES {
        pipeline.stage.clickhouse.execute(&format!("DELETE FROM {{db}}.{table} WHERE id IN (100, 201, 300, 2001)"));
    }
    pipeline.equal();
}

#[test]
fn many_chains_in_small_batches() {
    let pipeline = Pipeline::new(
        "toast_small_batches",
        "CREATE TABLE docs (id int, part text, n int, body text, more jsonb, bin bytea, tags text[], PRIMARY KEY (id, part));",
        "tables:\n  - source: public.*\nsync:\n  batch: {max_rows: 7, max_age: 10ms}\n",
    );
    pipeline.pg(&format!(
        "ALTER TABLE docs ALTER body SET STORAGE EXTERNAL; INSERT INTO docs SELECT i, 'p', 0, {}, jsonb_build_object('k', {}), decode({}, 'hex'), ARRAY[{}, NULL] FROM generate_series(1, 40) i",
        long("body"), long("json"), long("bin"), long("tag")
    ));
    pipeline.sync();
    let mark = pipeline.mark();
    for round in 0..4 {
        pipeline.pg(&format!(
            "UPDATE docs SET n = n + 1; UPDATE docs SET body = body || '{round}' WHERE id % 3 = {round}; UPDATE docs SET more = NULL WHERE id = {round} + 20;
             BEGIN; UPDATE docs SET id = id + 100 WHERE id < 10; UPDATE docs SET id = id - 100, n = -1 WHERE id > 100; COMMIT;
             UPDATE docs SET tags = '{{}}' WHERE id = {round} + 5; UPDATE docs SET part = 'q{round}' WHERE id > 30; DELETE FROM docs WHERE id = 12 + {round}",
        ));
    }
    pipeline.equal();
    assert_eq!(
        pipeline.ch("SELECT count(), countIf(length(bin) = 4800), sum(length(body)) > 300000 FROM {db}.docs FINAL"),
        "36\t36\t1"
    );
    pipeline.replay(&mark);
    pipeline.verify();
}

/// How long the values are that an update leaves out is not told: all of a group at once would not fit.
#[test]
fn long_values_that_many_updates_leave_out_fit_the_memory() {
    let stage = Stage::new("toast_memory");
    stage.config("tables:\n  - source: public.*\nsync:\n  memory: 64MiB\n");
    stage.postgres.execute(
        "CREATE TABLE wide (id int PRIMARY KEY, n int, body text); ALTER TABLE wide ALTER body SET STORAGE EXTERNAL;
         INSERT INTO wide SELECT i, 0, repeat(md5(i::text), 6000) FROM generate_series(1, 1500) AS i",
    );
    stage.catch_up_and_verify();
    stage.postgres.execute("UPDATE wide SET n = id; UPDATE wide SET n = n + 1 WHERE id % 2 = 0");
    let (sync, peak) = stage.invocation(&["sync", "--until-caught-up"]).spawn().ended_with_peak();
    assert_eq!(sync.status, Some(0), "{sync}");
    assert_eq!(stage.clickhouse.value("SELECT sum(n), min(length(body)) FROM {db}.wide FINAL"), "1126500\t192000");
    let verify = stage.pipectl(&["verify"]);
    assert_eq!(verify.status, Some(0), "{verify}");
    // The values of all are 275 MiB.
    assert!(peak < 160 << 10, "{peak} KiB");
}
