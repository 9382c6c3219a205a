//! Types that the configuration asks for: with values that fit and values that do not, by the copy, the stream and a repair; and those that are refused
//! before anything is made.

use crate::support::{Connect, Kafka, Outcome, Stage};
use serde_json::Value;
use std::fmt::Write as _;
use std::time::Duration;

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

/// The same of types that no column has unless it is asked for: these come through Debezium, too.
const ASKED: &[Case] = &[
    case(
        "time",
        "Time64(6)",
        &[
            ("'24:00:00'", "24:00:00.000000"),
            ("'00:00:00'", "00:00:00.000000"),
            ("'00:00:00.000001'", "00:00:00.000001"),
            ("'23:59:59.999999'", "23:59:59.999999"),
        ],
        0,
    ),
    case("time", "Time64(3)", &[("'12:30:00.1239'", "12:30:00.123"), ("'24:00:00'", "24:00:00.000")], 0),
    case("time(3)", "Time", &[("'12:30:00.999'", "12:30:00"), ("'24:00:00'", "24:00:00")], 0),
    case(
        "hstore",
        "Map(String, Nullable(String))",
        &[
            ("'bb=>NULL, a=>x'", "{'a':'x','bb':NULL}"),
            ("''", "{}"),
            (r#"'"q\"\\"=>"NULL", ""=>"", "é"=>"1, 2"'"#, r#"{'':'','é':'1, 2','q"\\':'NULL'}"#),
        ],
        0,
    ),
    case(
        "inet",
        "IPv4",
        &[
            ("'10.0.0.1'", "10.0.0.1"),
            ("'255.255.255.255/32'", "255.255.255.255"),
            ("'10.0.0.1/8'", "NULL"),
            ("'::1'", "NULL"),
            ("'0.0.0.0'", "0.0.0.0"),
        ],
        2,
    ),
    case(
        "inet",
        "IPv6",
        &[
            ("'2001:db8::8:800:200c:417a'", "2001:db8::8:800:200c:417a"),
            ("'::1'", "::1"),
            ("'10.0.0.1'", "::ffff:10.0.0.1"),
            ("'::ffff:10.0.0.1'", "NULL"),
            ("'2001:db8::/32'", "NULL"),
            ("'10.0.0.0/24'", "NULL"),
        ],
        3,
    ),
    case(
        "text",
        "UUID",
        &[
            ("'00112233-4455-6677-8899-aabbccddeeff'", "00112233-4455-6677-8899-aabbccddeeff"),
            ("'00112233-4455-6677-8899-AABBCCDDEEFF'", "NULL"),
            ("''", "NULL"),
            ("'00112233-4455-6677-8899-aabbccddeeff '", "NULL"),
        ],
        3,
    ),
    case("bytea", "FixedString(4)", &[("'\\x61620063'", "ab\0c"), ("'\\x616263'", "NULL"), ("''", "NULL")], 2),
    case("char(3)", "FixedString(3)", &[("'ab'", "ab "), ("'é'", "NULL")], 1),
    case("varchar(3)", "FixedString(3)", &[("'éa'", "éa"), ("'a'", "NULL"), ("'ééé'", "NULL")], 2),
    case(
        "date",
        "Date",
        &[
            ("'1970-01-01'", "1970-01-01"),
            ("'2149-06-06'", "2149-06-06"),
            ("'2149-06-07'", "NULL"),
            ("'1969-12-31'", "NULL"),
        ],
        2,
    ),
    case(
        "timestamptz",
        "DateTime",
        &[
            ("'1970-01-01 00:00:00.9+00'", "1970-01-01 00:00:00"),
            ("'2106-02-07 06:28:15.999999+00'", "2106-02-07 06:28:15"),
            ("'2106-02-07 06:28:16+00'", "NULL"),
            ("'1969-12-31 23:59:59.999999+00'", "NULL"),
        ],
        2,
    ),
    case(
        "jsonb",
        "JSON",
        &[
            (r#"'{"b": [1, "x", true], "a": {"c": 1.10}}'"#, r#"{"a":{"c":1.1},"b":[1,"x",true]}"#),
            (
                r#"'{"at": "2020-01-01", "t": "2020-01-01 10:00:00", "n": null, "e": {}}'"#,
                r#"{"at":"2020-01-01","t":"2020-01-01 10:00:00"}"#,
            ),
            ("'{}'", "{}"),
            ("'null'", "NULL"),
            ("'[1]'", "NULL"),
            (r#"'{"a.b": 1}'"#, "NULL"),
            (r#"'{"a": 12345678901234567890123}'"#, "NULL"),
        ],
        4,
    ),
    case(
        "json",
        "Nullable(JSON)",
        &[(r#"' {"a" : 1, "b":2.50} '"#, r#"{"a":1,"b":2.5}"#), (r#"'{"a": 1, "a": 1}'"#, "NULL")],
        1,
    ),
];

fn cases() -> impl Iterator<Item = (usize, &'static Case)> {
    CASES.iter().chain(ASKED).enumerate()
}

/// What is refused, and a type that is named instead.
const REFUSED: &[(&str, &str, &str)] = &[
    ("bigint", "Int32", "Int64"),
    ("bigint", "Float64", "Decimal(P, S)"),
    ("jsonb[]", "JSON", "String"),
    ("json[]", "Array(JSON)", "LowCardinality(String)"),
    ("text", "JSON", "LowCardinality(String)"),
    ("jsonb", "JSON(max_dynamic_paths=8)", "JSON"),
    ("time", "Time64(9)", "Time64(0) to Time64(6)"),
    ("timetz", "Time64(6)", "LowCardinality(String)"),
    ("interval", "Time64(6)", "LowCardinality(String)"),
    ("time[]", "Array(Time64(6))", "LowCardinality(String)"),
    ("hstore", "Map(String, String)", "Map(String, Nullable(String))"),
    ("jsonb", "Map(String, Nullable(String))", "JSON, LowCardinality(String)"),
    ("cidr", "IPv4", "LowCardinality(String)"),
    ("text", "IPv6", "LowCardinality(String)"),
    ("uuid", "FixedString(36)", "UUID"),
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

/// Numbers of documents as they are: the tests' own queries have those of 64 bits in quotes.
const PLAIN: &str = "SETTINGS output_format_json_quote_64bit_integers = 0";

/// One table a case: `id` and the value, from `first` on.
fn insert(stage: &Stage, first: usize) {
    for (number, case) in cases() {
        for (place, (value, _)) in case.values.iter().enumerate() {
            stage.postgres.execute(&format!("INSERT INTO t{number:02} VALUES ({}, {value})", first + place));
        }
    }
}

fn prove(stage: &Stage, way: &str, first: usize) {
    for (number, case) in cases() {
        for (place, (value, expected)) in case.values.iter().enumerate() {
            let stored = stage.clickhouse.value(&format!(
                "SELECT ifNull(toString(v), 'NULL') FROM {{db}}.t{number:02} FINAL WHERE id = {} {PLAIN}",
                first + place
            ));
            assert_eq!(stored, escaped(expected), "{} as {} by {way}: {value}", case.source, case.wanted);
        }
    }
}

/// A text as the answer's format has it.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\'', "\\'").replace('\0', "\\0")
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
    for (number, case) in cases() {
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
    for (number, _) in cases() {
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
        assert_eq!(tables.len(), cases().count());
        for table in tables {
            let number: usize = table["source"].as_str().unwrap().trim_start_matches("public.t").parse().unwrap();
            let (_, case) = cases().nth(number).unwrap();
            let lost = table["policy_nulls"]["v"].as_u64().unwrap_or(0);
            assert_eq!(lost, 2 * case.lost as u64, "{} as {}: {table:#}", case.source, case.wanted);
        }
    }
    let status = done(stage.pipectl(&["status"])).stdout;
    assert!(status.contains("t00.v: 8 values that ClickHouse cannot hold were stored as NULL"), "{status}");
}

#[test]
fn types_of_the_configuration_are_stored_the_same_by_debezium() {
    let stage = Stage::new("overrides_topics");
    let (kafka, connect) = (Kafka::of(&stage), Connect::of(&stage));
    stage.postgres.execute(PRELUDE);
    let column = |number: usize| format!("c{number:02}");
    let columns = |of: fn(&Case) -> String| {
        let each = ASKED.iter().enumerate().map(|(number, case)| format!("{}{}", column(number), of(case)));
        each.collect::<Vec<_>>().join(", ")
    };
    let declared = columns(|case| format!(" {}", case.source));
    stage.postgres.execute(&format!("CREATE TABLE t (id int PRIMARY KEY, {declared})"));
    let asked = columns(|case| format!(": {{type: \"{}\"}}", case.wanted));
    stage.config(&format!(
        "kafka:\n  brokers: {}\n  topic_prefix: {}\n  connect_url: {}\nsync:\n  source: kafka\ntables:\n  - source: public.t\n    columns: {{{asked}}}\n",
        kafka.brokers, stage.name, connect.url
    ));
    let rows = ASKED.iter().map(|case| case.values.len()).max().unwrap();
    let insert = |first: usize| {
        for place in 0..rows {
            let values = ASKED.iter().map(|case| case.values.get(place).map_or("NULL", |(value, _)| value));
            let values = values.collect::<Vec<_>>().join(", ");
            stage.postgres.execute(&format!("INSERT INTO t VALUES ({}, {values})", first + place));
        }
    };
    insert(0);
    connect.apply(&Connect::debezium(
        &stage,
        &[
            ("table.include.list", "public.t"),
            ("time.precision.mode", "microseconds"),
            ("hstore.handling.mode", "json"),
            ("heartbeat.interval.ms", "200"),
        ],
    ));
    connect.wait_until_it_streams(&stage);
    insert(100);
    done(stage.invocation(&["sync", "--until-caught-up"]).spawn().finish(Duration::from_mins(4)));
    for (number, case) in ASKED.iter().enumerate() {
        for first in [0, 100] {
            for place in 0..rows {
                let stored = stage.clickhouse.value(&format!(
                    "SELECT ifNull(toString({}), 'NULL') FROM {{db}}.t FINAL WHERE id = {} {PLAIN}",
                    column(number),
                    first + place
                ));
                let null = if case.wanted.starts_with("Map") { "{}" } else { "NULL" };
                let expected = case.values.get(place).map_or(null, |(_, expected)| expected);
                assert_eq!(stored, escaped(expected), "{} as {}, row {}", case.source, case.wanted, first + place);
            }
        }
    }
    done(stage.pipectl(&["verify"]));
}

/// What can be lost is said before it is, and by the names of the columns.
#[test]
fn what_a_type_can_lose_is_told_before_the_table_is_made() {
    let stage = Stage::new("overrides_losses");
    stage.postgres.execute(PRELUDE);
    stage.postgres.execute("CREATE TABLE t (id int PRIMARY KEY, a inet, b hstore, c time, d bytea, e jsonb)");
    stage.config(
        "tables:\n  - source: public.t\n    columns:\n      a: {type: IPv6}\n      b: {type: 'Map(String, Nullable(String))'}\n      \
         c: {type: Time64(3)}\n      d: {type: FixedString(16)}\n      e: {type: JSON}\n",
    );
    let told = done(stage.pipectl(&["create-tables", "--dry-run"]));
    let told = format!("{}{}", told.stdout, told.stderr);
    for loss in [
        "networks, and IPv6 addresses of the form ::ffff:a.b.c.d, become NULL",
        "an IPv4 address is stored as ::ffff:a.b.c.d",
        "NULL is stored as an empty map",
        "only 3 digits of a second are kept",
        "values of any other length than 16 bytes become NULL",
        "documents that are no objects, or have a key twice",
        "keys whose value is null or an empty object are dropped",
    ] {
        assert!(told.contains(loss), "{loss}: {told}");
    }
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
