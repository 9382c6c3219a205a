//! `pipectl verify` as it is called.

use super::{ENGINE, Sides};
use serde_json::Value;

/// Two tables, equal on both sides, and a configuration.
fn sides(test: &str) -> Sides {
    let sides = Sides::new(test);
    sides.stage.config("tables:\n  - source: public.*\n    exclude: [left_*]\n");
    sides.pg("CREATE TABLE a (id int PRIMARY KEY, v text); INSERT INTO a VALUES (1, 'secret one'), (2, 'secret two')");
    sides.pg("CREATE TABLE b (id int PRIMARY KEY, at date); INSERT INTO b VALUES (1, 'infinity'), (2, '2024-01-01')");
    sides.pg("CREATE TABLE keyless (id int); CREATE TABLE left_alone (id int PRIMARY KEY)");
    sides.ch(&format!("CREATE TABLE db.a (id Int32, v Nullable(String), {ENGINE} id"));
    sides.ch("INSERT INTO db.a VALUES (1, 'secret one', 0, 0), (2, 'secret two', 0, 0)");
    sides.ch(&format!("CREATE TABLE db.b (id Int32, at Nullable(Date32), {ENGINE} id"));
    sides.ch("INSERT INTO db.b VALUES (1, NULL, 0, 0), (2, '2024-01-01', 0, 0)");
    sides
}

#[test]
fn equal_sides_are_a_success_and_policy_nulls_are_told() {
    let sides = sides("verify_cli_equal");
    let outcome = sides.stage.pipectl(&["verify"]);
    assert_eq!(outcome.status, Some(0), "{outcome}");
    assert!(outcome.stdout.contains("\nequal: 2 tables, 4 rows, at "), "{outcome}");
    assert!(
        outcome
            .stdout
            .contains("public.b: column \"at\": values that ClickHouse cannot hold, NULL or empty there: 1\n"),
        "{outcome}"
    );
    assert!(outcome.stderr.contains("table public.keyless is left out"), "{outcome}");
    let outcome = sides.stage.pipectl(&["verify", "--strict"]);
    assert_eq!(outcome.status, Some(4), "{outcome}");
    assert!(outcome.stdout.contains("public.b: id=1: different: at"), "{outcome}");
}

#[test]
fn a_spoiled_row_is_named_without_its_values() {
    let sides = sides("verify_cli_spoiled");
    sides.ch("INSERT INTO db.a VALUES (2, 'other', 1, 0), (3, 'more', 1, 0)");
    let outcome = sides.stage.pipectl(&["verify"]);
    assert_eq!(outcome.status, Some(4), "{outcome}");
    assert!(outcome.stdout.contains("public.a: id=2: different: v\n"), "{outcome}");
    assert!(outcome.stdout.contains("public.a: id=3: only in ClickHouse\n"), "{outcome}");
    assert!(outcome.stdout.contains("\nNOT equal: 2 tables"), "{outcome}");
    for hidden in ["secret", "other", "more\""] {
        assert!(!outcome.to_string().contains(hidden), "{outcome}");
    }
    let outcome = sides.stage.pipectl(&["verify", "--table", "a", "--limit", "1", "--show-values", "--quiet"]);
    assert_eq!((outcome.status, outcome.stderr.as_str()), (Some(4), ""), "{outcome}");
    assert!(outcome.stdout.contains("public.a: rows that are not named here: 1"), "{outcome}");
    let outcome = sides.stage.pipectl(&["verify", "--table", "b"]);
    assert_eq!(outcome.status, Some(0), "{outcome}");
}

#[test]
fn the_finding_is_one_json_document() {
    let sides = sides("verify_cli_json");
    sides.ch("INSERT INTO db.a VALUES (2, 'other', 1, 0)");
    let outcome = sides.stage.pipectl(&["verify", "--output", "json", "--show-values"]);
    assert_eq!(outcome.status, Some(4), "{outcome}");
    let found: Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!((&found["version"], &found["equal"]), (&1.into(), &false.into()));
    let row = &found["tables"][0]["differences"][0];
    assert_eq!((&row["fault"], &row["key"][0][1]), (&"different".into(), &"2".into()));
    let values = &row["columns"][0]["values"];
    assert_eq!((&values["source"], &values["target"]), (&"secret two".into(), &"other".into()));
    assert_eq!(found["tables"][1]["policy_nulls"]["at"], 1);
}

#[test]
fn wrong_arguments_are_usage_errors() {
    let sides = sides("verify_cli_usage");
    for arguments in [["--sample", "200%"], ["--table", "nosuch"], ["--wait", "soon"], ["--limit", "-1"]] {
        let outcome = sides.stage.pipectl(&[&["verify"], &arguments[..]].concat());
        assert_eq!((outcome.status, outcome.stdout.as_str()), (Some(2), ""), "{outcome}");
    }
}

#[test]
fn a_dead_server_has_its_exit_code() {
    let sides = sides("verify_cli_dead");
    let outcome = sides.stage.invocation(&["verify"]).env("CLICKHOUSE_URL", "http://u:p@127.0.0.1:1").run();
    assert_eq!(outcome.status, Some(6), "{outcome}");
    let outcome = sides.stage.invocation(&["verify"]).env("POSTGRES_URL", "postgres://u:p@127.0.0.1:1/db").run();
    assert_eq!(outcome.status, Some(5), "{outcome}");
}

#[test]
fn a_big_table_needs_little_memory_even_where_every_row_differs() {
    let sides = Sides::new("verify_cli_big");
    sides.stage.config("tables:\n  - source: public.t\n");
    sides.pg("CREATE TABLE t (id bigint PRIMARY KEY, v text, at timestamptz)");
    sides.pg("INSERT INTO t SELECT n, repeat('x', 100), '2024-01-01'::timestamptz + n * interval '1 s' FROM generate_series(1, 300000) AS n");
    sides.pg("ANALYZE t");
    sides.ch(&format!(
        "CREATE TABLE db.t (id Int64, v Nullable(String), at Nullable(DateTime64(6, 'UTC')), {ENGINE} id"
    ));
    sides.ch("INSERT INTO db.t SELECT number + 1, repeat('x', 100), \
         toDateTime64('2024-01-01 00:00:00', 6, 'UTC') + toIntervalSecond(number + 1), 0, 0 FROM numbers(300000)");
    let verify = || sides.stage.invocation(&["verify"]).spawn().ended_with_peak();
    let (outcome, peak) = verify();
    assert_eq!(outcome.status, Some(0), "{outcome}");
    sides.ch("INSERT INTO db.t SELECT id, concat(v, ' '), at, 1, 0 FROM db.t");
    let (outcome, different) = verify();
    assert_eq!(outcome.status, Some(4), "{outcome}");
    assert!(peak < 64 << 10 && different < 96 << 10, "{peak} KiB, {different} KiB");
}
