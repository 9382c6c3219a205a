//! Faults that only the process itself can make: it dies between two steps, or stores something wrong. The first must change nothing, the second must be
//! found by `verify`, which shares no code with what stores.

use crate::support::{Outcome, Stage};

const SCHEMA: &str = "
    CREATE TABLE t (id int PRIMARY KEY, amount numeric(12, 2) NOT NULL, at timestamptz NOT NULL);
    INSERT INTO t SELECT n, n + 0.25, '2026-01-01'::timestamptz + n * interval '1 minute' FROM generate_series(1, 500) AS n;";

const CHANGES: &str = "
    UPDATE t SET amount = amount + 1 WHERE id % 3 = 0; DELETE FROM t WHERE id % 7 = 0; UPDATE t SET id = id + 10000 WHERE id % 5 = 0;
    INSERT INTO t SELECT n, -n, now() FROM generate_series(2001, 2100) AS n;";

fn stage(test: &str) -> Stage {
    let stage = Stage::new(test);
    stage.postgres.execute(SCHEMA);
    stage.config("tables:\n  - source: public.*\n");
    stage
}

fn sync(stage: &Stage, failpoint: &str) -> Outcome {
    let call = stage.invocation(&["sync", "--until-caught-up"]);
    if failpoint.is_empty() { call.run() } else { call.env("PIPECTL_FAILPOINTS", failpoint).run() }
}

fn equal(stage: &Stage) {
    let verified = stage.pipectl(&["verify"]);
    assert_eq!(verified.status, Some(0), "{verified}");
}

#[test]
fn dying_between_two_steps_changes_nothing() {
    let stage = stage("dying_between_steps");
    let copied = sync(&stage, "");
    assert_eq!(copied.status, Some(0), "{copied}");
    for failpoint in ["sync.stored", "sync.committed"] {
        stage.postgres.execute(
            &CHANGES.replace("2001, 2100", if failpoint == "sync.stored" { "2001, 2100" } else { "3001, 3100" }),
        );
        let died = sync(&stage, failpoint);
        assert_eq!(died.status, None, "it was to die at {failpoint}: {died}");
        let again = sync(&stage, "");
        assert_eq!(again.status, Some(0), "{again}");
        equal(&stage);
    }
    // What was stored twice is there once, and nothing is left that only FINAL hides wrongly.
    stage.clickhouse.execute(&format!("OPTIMIZE TABLE {}.t FINAL", stage.clickhouse.database));
    equal(&stage);
}

#[test]
fn verify_finds_what_was_stored_wrongly() {
    for (failpoint, seen) in [("encode.micros", "at"), ("encode.sign", "amount"), ("encode.row", "missing")] {
        let stage = stage(&failpoint.replace('.', "_"));
        let copied = sync(&stage, failpoint);
        assert_eq!(copied.status, Some(0), "{copied}");
        let verified = stage.pipectl(&["verify"]);
        assert_eq!(verified.status, Some(4), "{failpoint}: {verified}");
        assert!(format!("{}{}", verified.stdout, verified.stderr).contains(seen), "{failpoint}: {verified}");
    }
}
