//! `verify --repair`: what differs is brought back, beside a running sync and without one, and changes that come meanwhile win.

use super::Sides;
use crate::support::{Outcome, Postgres, Running};
use serde_json::Value;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const SCHEMA: &str = "
    CREATE TYPE mood AS ENUM ('sad', 'it''s ok');
    CREATE TABLE t (id int PRIMARY KEY, amount numeric(12, 2) NOT NULL, at timestamptz, tags text[], doc jsonb, raw bytea);
    INSERT INTO t SELECT n, n + 0.25, '2026-01-01'::timestamptz + n * interval '1 min', ARRAY['a', NULL, n::text],
        jsonb_build_object('n', n), decode('00ff', 'hex') FROM generate_series(1, 3000) AS n;
    UPDATE t SET at = 'infinity' WHERE id = 7;
    CREATE TABLE keys (a text, b uuid, c date, d numeric(8, 2), e bytea, f float8, g bool, h bigint, i mood, j timestamptz, k int[], l inet,
        v int, PRIMARY KEY (a, b, c, d, e, f, g, h, i, j, k, l));
    INSERT INTO keys SELECT E'\\'; DROP \"' || n, md5(n::text)::uuid, '0044-03-15 BC', n, decode('00', 'hex'), '-0', true, -n, 'it''s ok', 'infinity',
        ARRAY[n, NULL], '10.0.0.1/8', n FROM generate_series(1, 20) AS n;
    CREATE TABLE \"Odd \"\"t`able\" (\"h\" int, \"t\" text, \"wanted k\" text, PRIMARY KEY (\"t\", \"h\")) PARTITION BY RANGE (\"h\");
    CREATE TABLE p1 PARTITION OF \"Odd \"\"t`able\" FOR VALUES FROM (0) TO (50);
    CREATE TABLE p2 PARTITION OF \"Odd \"\"t`able\" FOR VALUES FROM (50) TO (100);
    INSERT INTO \"Odd \"\"t`able\" SELECT n, 'x', 'y' || n FROM generate_series(0, 99) AS n;
    CREATE TABLE wide (id int PRIMARY KEY, region text NOT NULL, f float8 NOT NULL, v int);
    ALTER TABLE wide REPLICA IDENTITY FULL;
    INSERT INTO wide VALUES (1, 'EU', 0, 1), (2, 'EU', '-0', 2), (3, 'US', 1.5, 3), (4, 'US', 2, 4);";
const TABLES: &str = "tables:\n  - source: public.*\n  - source: public.wide\n    order_by: [region, f, id]\n";

/// A pipeline that has copied everything.
fn sides(test: &str) -> Sides {
    let sides = Sides::new(test);
    sides.stage.config(TABLES);
    sides.pg(SCHEMA);
    let copied = sides.stage.pipectl(&["sync", "--until-caught-up"]);
    assert_eq!(copied.status, Some(0), "{copied}");
    sides
}

impl Sides {
    fn repair(&self, further: &[&str]) -> (Outcome, Value) {
        let outcome = self
            .stage
            .pipectl(&[&["verify", "--repair", "--yes", "--output", "json", "--wait", "120s"], further].concat());
        let found = serde_json::from_str(&outcome.stdout).unwrap_or_else(|error| panic!("{error}: {outcome}"));
        (outcome, found)
    }

    /// Repairs, and is equal then. Returns rows and tombstones of all tables.
    fn repaired(&self) -> (u64, u64) {
        let (outcome, found) = self.repair(&[]);
        assert_eq!(outcome.status, Some(0), "{outcome}");
        assert!(!outcome.stdout.contains("refused"), "{outcome}");
        let sum = |what: &str| {
            let tables = found["tables"].as_array().unwrap().iter();
            tables.map(|table| table["repaired"][what].as_u64().unwrap_or(0)).sum()
        };
        (sum("rows"), sum("tombstones"))
    }

    /// The version of a transaction that ends now.
    fn version_of_now(&self) -> String {
        let place = self.stage.postgres.value("SELECT (pg_current_wal_lsn() - '0/0')::text");
        format!("bitShiftLeft(toUInt128({place}), 64)")
    }

    fn differs(&self) -> Outcome {
        let outcome = self.stage.pipectl(&["verify", "--wait", "120s"]);
        assert_eq!(outcome.status, Some(4), "{outcome}");
        outcome
    }

    fn equal(&self) {
        let outcome = self.stage.pipectl(&["verify", "--wait", "120s"]);
        assert_eq!(outcome.status, Some(0), "{outcome}");
    }

    /// A spoiled value, a missing row, an extra one and an older state of a row, where the table has it.
    fn spoil(&self, version: &str) {
        self.ch(&format!("INSERT INTO db.t SELECT * REPLACE (amount + 1 AS amount, {version} AS _version) FROM db.t FINAL WHERE id = 17"));
        self.ch(&format!(
            "INSERT INTO db.t SELECT * REPLACE (1 AS _deleted, {version} AS _version) FROM db.t FINAL WHERE id = 18"
        ));
        self.ch(&format!("INSERT INTO db.t SELECT * REPLACE (id + 10000 AS id, {version} AS _version) FROM db.t AS s FINAL WHERE s.id IN (19, 20)"));
        self.ch(&format!("INSERT INTO db.t SELECT * REPLACE ([] AS tags, NULL AS at, '{{}}' AS doc, '' AS raw, {version} AS _version) FROM db.t FINAL WHERE id = 21"));
        self.ch(&format!(
            "INSERT INTO db.keys SELECT * REPLACE (v + 1 AS v, {version} AS _version) FROM db.keys FINAL WHERE h = -3"
        ));
        self.ch(&format!("INSERT INTO db.keys SELECT * REPLACE (1 AS _deleted, {version} AS _version) FROM db.keys FINAL WHERE h = -4"));
        self.ch(&format!("INSERT INTO db.keys SELECT * REPLACE (h * 100 AS h, {version} AS _version) FROM db.keys AS s FINAL WHERE s.h = -5"));
        let odd = "db.`Odd \"t\\`able`";
        self.ch(&format!("INSERT INTO {odd} SELECT * REPLACE ('z' AS `wanted k`, {version} AS _version) FROM {odd} FINAL WHERE h = 60"));
        self.ch(&format!(
            "INSERT INTO {odd} SELECT * REPLACE ('z' AS t, {version} AS _version) FROM {odd} FINAL WHERE h = 10"
        ));
        // Of row 3 another column that sorts: it lies twice. Of row 2 the sign of a zero, which sorts as the other one.
        self.ch(&format!("INSERT INTO db.wide SELECT * REPLACE ('AU' AS region, {version} AS _version) FROM db.wide FINAL WHERE id = 3"));
        self.ch(&format!(
            "INSERT INTO db.wide SELECT * REPLACE (0. AS f, {version} AS _version) FROM db.wide FINAL WHERE id = 2"
        ));
        self.ch(&format!("INSERT INTO db.wide SELECT * REPLACE ('XX' AS region, {version} AS _version) FROM db.wide FINAL WHERE id = 4"));
        self.ch(&format!("INSERT INTO db.wide SELECT * REPLACE (1 AS _deleted, {version} AS _version) FROM db.wide FINAL WHERE region = 'US' AND id = 4"));
    }
}

#[test]
fn every_fault_is_mended_with_and_without_a_running_sync() {
    let sides = sides("repair_faults");
    sides.spoil("1");
    sides.differs();
    let asked = sides.stage.pipectl(&["verify", "--repair"]);
    assert_eq!((asked.status, asked.stdout.as_str()), (Some(2), ""), "{asked}");
    let first = sides.repaired();
    sides.equal();
    let sync = sides.start_sync();
    sides.spoil(&sides.version_of_now());
    sides.differs();
    let second = sides.repaired();
    sides.equal();
    assert_eq!((first, second), ((9, 6), (9, 6)));
    // Changes go on as if nothing had been.
    sides.pg("UPDATE t SET amount = -1 WHERE id IN (17, 18, 21); DELETE FROM t WHERE id = 19; INSERT INTO t VALUES (10020, 5);
              UPDATE keys SET v = 0; DELETE FROM keys WHERE h = -4; UPDATE wide SET region = 'AU', v = 9; DELETE FROM wide WHERE id = 4;
              DELETE FROM \"Odd \"\"t`able\" WHERE h = 10");
    sides.equal();
    sides.stage.clickhouse.execute("OPTIMIZE TABLE {db}.t FINAL");
    sides.equal();
    assert_eq!(
        sides.stage.admin.value("SELECT count(*) FROM pg_replication_slots WHERE database = current_database()"),
        "1"
    );
    drop(sync);
}

#[test]
fn what_a_repair_cannot_overwrite_is_told() {
    let sides = sides("repair_newer");
    sides.spoil("toUInt128('340282366920938463463374607431768211455')");
    sides.ch("INSERT INTO db.t SELECT * REPLACE (amount + 1 AS amount, 1 AS _version) FROM db.t FINAL WHERE id = 100");
    let (outcome, found) = sides.repair(&["--table", "public.t"]);
    assert_eq!(outcome.status, Some(4), "{outcome}");
    let table = &found["tables"][0];
    assert!(table["repaired"]["rows"].as_u64() >= Some(1) && table["repaired"]["tombstones"] == 0, "{found:#}");
    assert_eq!(
        (&table["missing"], &table["extra"], &table["different"]),
        (&1.into(), &2.into(), &2.into()),
        "{found:#}"
    );
    let outcome = sides.stage.pipectl(&["verify", "--repair", "--yes", "--table", "public.t"]);
    assert_eq!(outcome.status, Some(4), "{outcome}");
    assert!(
        outcome.stdout.contains("public.t: repaired: ") && outcome.stdout.contains(" 0 marked deleted"),
        "{outcome}"
    );
    assert!(outcome.stdout.contains("`pipectl resync public.t`"), "{outcome}");
    let again = sides.stage.pipectl(&["resync", "t", "keys", "wide", "Odd \"t`able"]);
    assert_eq!(again.status, Some(0), "{again}");
    sides.equal();
}

#[test]
fn tables_that_must_be_copied_anew_are_refused() {
    let sides = Sides::new("repair_refused");
    sides.stage.config("tables:\n  - source: public.*\n    keyless: insert_only\n");
    sides.pg("CREATE TABLE a (id int PRIMARY KEY, v int[]); INSERT INTO a VALUES (1, '{1}'); CREATE TABLE b (v int); INSERT INTO b VALUES (1);
              CREATE TABLE c (id int PRIMARY KEY, v int); INSERT INTO c VALUES (1, 1)");
    sides.ch(&format!("CREATE TABLE db.c (id Int32, v Nullable(Int32), {} id", super::ENGINE));
    let refused = |table: &str| {
        let (outcome, found) = sides.repair(&["--table", table]);
        assert_eq!(outcome.status, Some(4), "{outcome}");
        found["tables"][0]["repaired"]["refused"].as_str().map(str::to_owned).unwrap_or_default()
    };
    assert!(refused("c").contains("no `pipectl sync` has ever stored it"));
    let running = sides.start_sync();
    sides.pg("INSERT INTO a VALUES (2, '{{1,2},{3,4}}')");
    sides.stage.wait_until("a is parked", |stage| stage.pipectl(&["status"]).stdout.contains("parked"));
    assert!(refused("a").contains("it is parked: ") && refused("a").contains("`pipectl resync public.a`"));
    sides.ch("INSERT INTO db.b VALUES (7, 5, 5)");
    assert!(refused("b").contains("it has no key"));
    sides.ch("INSERT INTO db.c VALUES (1, 2, 1, 0)");
    let (outcome, _) = sides.repair(&["--table", "c"]);
    assert_eq!(outcome.status, Some(0), "{outcome}");
    drop(running);
}

/// Waits until somebody waits for a transaction of the test's database to end: the slot that is being made.
pub(super) fn wait_for_the_slot(sides: &crate::support::Stage, repair: &Running) {
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'walsender' AND wait_event_type = 'Lock' AND datname = current_database()";
    sides.wait_until(&format!("the slot waits\n{}", repair.told()), |stage| stage.admin.value(waits) != "0");
}

#[test]
fn a_transaction_that_is_open_across_a_repair_wins() {
    let sides = sides("repair_open");
    let sync = sides.start_sync();
    sides.spoil("1");
    let writer = Postgres::connect(&sides.stage.postgres.url);
    let reader = Postgres::connect(&sides.stage.postgres.url);
    reader.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM t");
    writer.execute("BEGIN; UPDATE t SET amount = -17 WHERE id = 17; DELETE FROM t WHERE id = 18; INSERT INTO t VALUES (10019, -19)");
    let repair = sides.stage.invocation(&["verify", "--repair", "--yes", "--wait", "120s"]).spawn();
    wait_for_the_slot(&sides.stage, &repair);
    writer.execute("UPDATE t SET amount = -21 WHERE id = 21; COMMIT");
    let outcome = repair.finish(Duration::from_mins(3));
    assert_eq!(outcome.status, Some(0), "{outcome}");
    reader.execute("UPDATE t SET amount = -20 WHERE id = 20; INSERT INTO t VALUES (10020, -20); COMMIT");
    sides.equal();
    let amounts = "SELECT arrayStringConcat(groupArray(toString(amount)), ' ') FROM (SELECT amount FROM {db}.t FINAL WHERE amount < 0 ORDER BY id)";
    assert_eq!(sides.stage.clickhouse.value(amounts), "-17 -20 -21 -19 -20");
    drop(sync);
}

#[test]
fn many_rows_are_mended_while_rows_change() {
    let sides = Sides::new("repair_many");
    sides.stage.config("tables:\n  - source: public.*\n");
    sides.pg("CREATE TABLE t (id bigint PRIMARY KEY, v int, long text); ALTER TABLE t ALTER long SET STORAGE EXTERNAL;
              INSERT INTO t SELECT n, n, CASE WHEN n % 1000 = 0 THEN repeat('long', 1000) ELSE 'x' END FROM generate_series(1, 130000) AS n; ANALYZE t");
    let mut sync = sides.start_sync();
    // More than is kept of one look: two rounds.
    sides.ch("INSERT INTO db.t SELECT id, v + 1, 'spoiled', 1, 0 FROM db.t WHERE id <= 120000");
    sides.ch("INSERT INTO db.t SELECT id + 1000000, v, 'extra', 1, 0 FROM db.t WHERE id <= 5000 AND long = 'x'");
    let (ends, url) = (AtomicBool::new(false), &sides.stage.postgres.url);
    let (rows, tombstones) = std::thread::scope(|scope| {
        scope.spawn(|| {
            let writer = Postgres::connect(url);
            let mut round = 0;
            while !ends.load(Ordering::Relaxed) {
                round += 1;
                writer.execute(&format!(
                    "UPDATE t SET v = -v WHERE id = {round} * 1000; DELETE FROM t WHERE id = {round} * 7; INSERT INTO t VALUES ({round} + 1000000, 0, 'new')
                     ON CONFLICT (id) DO UPDATE SET v = 1"
                ));
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        let repaired = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| sides.repaired()));
        ends.store(true, Ordering::Relaxed);
        repaired.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    });
    assert!(rows > 100_000 && tombstones > 1000, "{rows} rows, {tombstones} tombstones");
    sides.equal();
    sync.signal("TERM");
    sync.wait_for("");
}

#[cfg(feature = "failpoints")]
#[test]
fn a_repair_that_is_killed_has_done_no_harm() {
    let sides = sides("repair_killed");
    let sync = sides.start_sync();
    sides.spoil("1");
    let died = sides.stage.invocation(&["verify", "--repair", "--yes"]).env("PIPECTL_FAILPOINTS", "repair.rows").run();
    assert_eq!(died.status, None, "{died}");
    sides.pg("UPDATE t SET amount = amount * 2 WHERE id < 30");
    // The first table's rows had been written, its marks had not.
    let left = sides.differs();
    assert!(left.stdout.contains("t=z, h=10: only in ClickHouse") && !left.stdout.contains("h=60"), "{left}");
    sides.repaired();
    sides.equal();
    drop(sync);
}
