//! `verify` behind the real pipeline.

use super::Sides;
use super::types::{PRELUDE, cases};
use crate::support::Running;
use serde_json::Value;

impl Sides {
    pub(super) fn start_sync(&self) -> Running {
        let mut running = self.stage.invocation(&["sync"]).spawn();
        running.wait_for("streaming from");
        running
    }

    /// The finding of the command, and its exit code.
    fn found(&self) -> (Option<i32>, Value) {
        let outcome = self.stage.pipectl(&["verify", "--output", "json", "--wait", "3m"]);
        let found = serde_json::from_str(&outcome.stdout).unwrap_or_else(|error| panic!("{error}: {outcome}"));
        (outcome.status, found)
    }
}

#[test]
fn every_type_arrives_equal_by_snapshot_and_by_stream() {
    let sides = Sides::new("verify_pipeline_types");
    sides.stage.config("tables:\n  - source: public.*\n");
    // The owner of a database may install trusted extensions only.
    sides.pg(PRELUDE);
    for (number, case) in cases().iter().enumerate() {
        sides.pg(&format!("CREATE TABLE t{number:03} (id int PRIMARY KEY, v {})", case.source));
        for (id, (value, _)) in case.rows.iter().enumerate() {
            sides.pg(&format!("INSERT INTO t{number:03} VALUES ({id}, {value})"));
        }
    }
    let running = sides.start_sync();
    for (number, case) in cases().iter().enumerate() {
        for (id, (value, _)) in case.rows.iter().enumerate() {
            sides.pg(&format!("INSERT INTO t{number:03} VALUES ({id} + 100, {value})"));
        }
        sides.pg(&format!("UPDATE t{number:03} SET v = (SELECT v FROM t{number:03} WHERE id = 100) WHERE id = 0"));
        sides.pg(&format!("UPDATE t{number:03} SET id = 200 WHERE id = 100"));
    }
    let (status, found) = sides.found();
    assert_eq!((status, &found["equal"]), (Some(0), &Value::Bool(true)), "{found:#}");
    let rows: usize = cases().iter().map(|case| case.rows.len()).sum();
    let compared: u64 = found["tables"].as_array().unwrap().iter().map(|table| table["rows"].as_u64().unwrap()).sum();
    assert_eq!(compared, 2 * rows as u64);
    running.signal("TERM");
    assert_eq!(running.ended().status, Some(0));
}

#[test]
fn a_pipeline_is_equal_while_it_changes() {
    let sides = Sides::new("verify_pipeline_live");
    sides.stage.config("tables:\n  - source: public.*\n");
    sides.pg("CREATE TABLE t (id int PRIMARY KEY, v int, long text)");
    sides.pg("INSERT INTO t SELECT n, n, repeat('x', 500) FROM generate_series(1, 20000) AS n");
    let running = sides.start_sync();
    let (from, to) = (&sides.stage.postgres.url, std::sync::atomic::AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let writer = crate::support::Postgres::connect(from);
            let mut round = 0;
            while !to.load(std::sync::atomic::Ordering::Relaxed) {
                round += 1;
                writer.execute(&format!("UPDATE t SET v = v + 1 WHERE id = 20000 - {round}"));
                writer.execute(&format!("DELETE FROM t WHERE id = {round}"));
                writer.execute(&format!("INSERT INTO t VALUES (100000 + {round}, 1, 'new')"));
            }
        });
        let looks: Vec<_> = (0..3).map(|_| sides.found()).collect();
        to.store(true, std::sync::atomic::Ordering::Relaxed);
        for (status, found) in looks {
            assert_eq!((status, &found["equal"]), (Some(0), &Value::Bool(true)), "{found:#}");
        }
    });
    running.signal("TERM");
    assert_eq!(running.ended().status, Some(0));
}

#[test]
fn a_parked_table_differs_for_that_reason() {
    let sides = Sides::new("verify_parked");
    sides.stage.config("tables:\n  - source: public.*\n");
    sides.pg("CREATE TABLE t (id int PRIMARY KEY, v int[]); INSERT INTO t VALUES (1, '{1}')");
    let running = sides.start_sync();
    sides.pg("INSERT INTO t VALUES (2, '{{1,2},{3,4}}')");
    let (status, found) = sides.found();
    let table = &found["tables"][0];
    assert_eq!((status, table["missing"].as_u64()), (Some(4), Some(1)), "{found:#}");
    assert!(table["reason"].as_str().is_some_and(|reason| reason.starts_with("it is parked: ")), "{found:#}");
    drop(running);
}
