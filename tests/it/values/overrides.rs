//! Types that the configuration asks for: with values that fit and values that do not, by the copy, the stream and a repair; and those that are refused
//! before anything is made.

use crate::support::{Outcome, Stage};
use serde_json::Value;
use std::fmt::Write as _;

/// A column's type, the type asked for, and values with what is to be stored of each.
struct Case {
    source: &'static str,
    wanted: &'static str,
    values: &'static [(&'static str, &'static str)],
    /// How many of them do not fit.
    lost: usize,
}

const fn case(
    source: &'static str,
    wanted: &'static str,
    values: &'static [(&'static str, &'static str)],
    lost: usize,
) -> Case {
    Case { source, wanted, values, lost }
}

const CASES: &[Case] = &[
    case(
        "numeric",
        "Decimal(10, 2)",
        &[
            ("1.25", "1.25"),
            ("-99999999.99", "-99999999.99"),
            ("'NaN'", "NULL"),
            ("100000000", "NULL"),
            ("0.001", "NULL"),
            ("1.500", "1.5"),
            ("'Infinity'", "NULL"),
        ],
        4,
    ),
    case(
        "numeric(8, 3)",
        "Decimal(6, 2)",
        &[("1.2", "1.2"), ("9999.99", "9999.99"), ("10000", "NULL"), ("0.001", "NULL")],
        2,
    ),
    case(
        "numeric",
        "Float64",
        &[("0.1", "0.1"), ("'NaN'", "nan"), ("'-Infinity'", "-inf"), ("12345678901234567890", "12345678901234567000")],
        0,
    ),
    case(
        "bigint",
        "Decimal(10, 0)",
        &[("-9999999999", "-9999999999"), ("10000000000", "NULL"), ("9223372036854775807", "NULL")],
        2,
    ),
    case(
        "bigint",
        "Decimal(20, 0)",
        &[("9223372036854775807", "9223372036854775807"), ("-9223372036854775808", "-9223372036854775808")],
        0,
    ),
    case("int", "Int64", &[("-2147483648", "-2147483648")], 0),
    case("smallint", "Float64", &[("-32768", "-32768")], 0),
    case("oid", "Int64", &[("4294967295", "4294967295")], 0),
    case("real", "Float64", &[("'-Infinity'", "-inf"), ("0.5", "0.5")], 0),
    case(
        "timestamptz",
        "DateTime64(3)",
        &[
            ("'2024-05-06 07:08:09.1239+00'", "2024-05-06 07:08:09.123"),
            ("'infinity'", "NULL"),
            ("'0044-03-15 00:00+00 BC'", "NULL"),
            ("'1969-12-31 23:59:59.9999+00'", "1969-12-31 23:59:59.999"),
        ],
        2,
    ),
    case(
        "timestamp",
        "DateTime64(0)",
        &[("'2024-05-06 07:08:09.999'", "2024-05-06 07:08:09"), ("'-infinity'", "NULL")],
        1,
    ),
    case("date", "String", &[("'infinity'", "infinity"), ("'0044-03-15 BC'", "0044-03-15 BC")], 0),
    case("uuid", "String", &[("'00112233-4455-6677-8899-aabbccddeeff'", "00112233-4455-6677-8899-aabbccddeeff")], 0),
    case("text", "LowCardinality(String)", &[("''", ""), ("'a'", "a")], 0),
    case("inet", "LowCardinality(String)", &[("'10.0.0.1/8'", "10.0.0.1/8")], 0),
    case("mood", "String", &[("'sad'", "sad")], 0),
    case("int[]", "String", &[("'[0:1]={1,NULL}'", "[0:1]={1,NULL}"), ("'{{1},{2}}'", "{{1},{2}}")], 0),
    case("smallint[]", "Array(Int64)", &[("'{1,NULL}'", "[1,NULL]")], 0),
    case("numeric[]", "Array(Decimal(6, 2))", &[("'{1.25,NaN,10000}'", "[1.25,NULL,NULL]")], 2),
    case("bool", "String", &[("true", "t")], 0),
];

/// What is refused, and a type that is named instead.
const REFUSED: &[(&str, &str, &str)] = &[
    ("bigint", "Int32", "Int64"),
    ("bigint", "Float64", "Decimal(P, S)"),
    ("jsonb", "JSON", "LowCardinality(String)"),
    ("time", "Time64(6)", "LowCardinality(String)"),
    ("hstore", "Map(String, Nullable(String))", "LowCardinality(String)"),
    ("inet", "IPv4", "LowCardinality(String)"),
    ("inet", "IPv6", "LowCardinality(String)"),
    ("date", "Date", "Date32"),
    ("date", "DateTime64(3)", "Date32"),
    ("timestamp", "DateTime64(9)", "DateTime64(0) to DateTime64(6)"),
    ("timestamp", "DateTime64(3, 'Europe/Berlin')", "in UTC"),
    ("text", "Int32", "LowCardinality(String)"),
    ("text", "Decimal(10, 2)", "LowCardinality(String)"),
    ("bytea", "LowCardinality(String)", "String"),
    ("mood", "Enum8('sad' = 1)", "LowCardinality(String)"),
    ("double precision", "Float32", "Float64"),
    ("int[]", "Array(Array(Int32))", "Array of"),
    ("numeric", "Decimal(77, 2)", "Decimal(P, S)"),
    ("uuid", "UUId", "UUID"),
];

const PRELUDE: &str = "CREATE EXTENSION hstore; CREATE TYPE mood AS ENUM ('sad'); ";

/// One table a case: `id` and the value, from `first` on.
fn insert(stage: &Stage, first: usize) {
    for (number, case) in CASES.iter().enumerate() {
        for (place, (value, _)) in case.values.iter().enumerate() {
            stage.postgres.execute(&format!("INSERT INTO t{number:02} VALUES ({}, {value})", first + place));
        }
    }
}

fn prove(stage: &Stage, way: &str, first: usize) {
    for (number, case) in CASES.iter().enumerate() {
        for (place, (value, expected)) in case.values.iter().enumerate() {
            let stored = stage.clickhouse.value(&format!(
                "SELECT ifNull(toString(v), 'NULL') FROM {{db}}.t{number:02} FINAL WHERE id = {}",
                first + place
            ));
            assert_eq!(stored, *expected, "{} as {} by {way}: {value}", case.source, case.wanted);
        }
    }
}

fn done(outcome: Outcome) -> Outcome {
    assert_eq!(outcome.status, Some(0), "{outcome}");
    outcome
}

#[test]
fn types_of_the_configuration_hold_what_fits_and_count_the_rest() {
    let stage = Stage::new("overrides");
    let mut config = "tables:\n".to_owned();
    stage.postgres.execute(PRELUDE);
    for (number, case) in CASES.iter().enumerate() {
        stage.postgres.execute(&format!("CREATE TABLE t{number:02} (id int PRIMARY KEY, v {} NOT NULL)", case.source));
        writeln!(config, "  - source: public.t{number:02}\n    columns: {{v: {{type: \"{}\"}}}}", case.wanted).unwrap();
    }
    stage.config(&config);
    insert(&stage, 0);
    done(stage.pipectl(&["sync", "--until-caught-up"]));
    prove(&stage, "the copy", 0);
    insert(&stage, 100);
    done(stage.pipectl(&["sync", "--until-caught-up"]));
    prove(&stage, "the stream", 100);
    for number in 0..CASES.len() {
        stage.clickhouse.execute(&format!("TRUNCATE TABLE {{db}}.t{number:02}"));
    }
    done(stage.pipectl(&["verify", "--repair", "--yes"]));
    prove(&stage, "a repair", 0);
    prove(&stage, "a repair", 100);
    // Both processes' counts, and those of the rows that there are.
    let document =
        |arguments: &[&str]| -> Value { serde_json::from_str(&done(stage.pipectl(arguments)).stdout).unwrap() };
    for told in [document(&["status", "--output", "json"]), document(&["verify", "--output", "json"])] {
        let tables = told["tables"].as_array().unwrap();
        assert_eq!(tables.len(), CASES.len());
        for table in tables {
            let number: usize = table["source"].as_str().unwrap().trim_start_matches("public.t").parse().unwrap();
            let case = &CASES[number];
            let lost = table["policy_nulls"]["v"].as_u64().unwrap_or(0);
            assert_eq!(lost, 2 * case.lost as u64, "{} as {}: {table:#}", case.source, case.wanted);
        }
    }
    let status = done(stage.pipectl(&["status"])).stdout;
    assert!(status.contains("t00.v: 8 values that ClickHouse cannot hold were stored as NULL"), "{status}");
}

#[test]
fn types_that_cannot_be_written_are_refused_before_anything_is_made() {
    let stage = Stage::new("overrides_refused");
    stage.postgres.execute(PRELUDE);
    for (number, (source, wanted, instead)) in REFUSED.iter().enumerate() {
        stage.postgres.execute(&format!("CREATE TABLE t{number:02} (id int PRIMARY KEY, v {source})"));
        stage
            .config(&format!("tables:\n  - source: public.t{number:02}\n    columns: {{v: {{type: \"{wanted}\"}}}}\n"));
        let refused = stage.pipectl(&["sync", "--until-caught-up"]);
        assert_eq!(refused.status, Some(3), "{source} as {wanted}: {refused}");
        let told = &refused.stderr;
        assert!(
            told.contains("column \"v\"") && told.contains(wanted) && told.contains(instead),
            "{source} as {wanted}: {refused}"
        );
    }
    assert_eq!(stage.admin.value("SELECT count(*) FROM pg_replication_slots WHERE database = current_database()"), "0");
    assert_eq!(stage.admin.value("SELECT count(*) FROM pg_publication"), "0");
}
