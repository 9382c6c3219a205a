//! Records that Debezium really wrote, replayed: what is stored of them is what the direct pipeline stores of the same statements, or it is said
//! here what is not, and why.

use crate::support::{Kafka, Outcome, Sample, Stage};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// The statements behind all samples.
const SCHEMA: &str = include_str!("../fixtures/debezium/schema.sql");
const ROWS: &str = include_str!("../fixtures/debezium/rows.sql");
const CHANGES: &str = include_str!("../fixtures/debezium/changes.sql");

/// The connector's own tables hold the time of day.
const TABLES: &str = "tables:\n  - source: inv.*\n    exclude: [inv.dbz_*, inv.evolving]\n";

/// The direct pipeline through the same statements, and what it stored.
struct Direct {
    stage: Stage,
    tables: BTreeMap<String, Table>,
}

/// A stored table: its rows by their keys' text.
#[derive(Debug, Default, PartialEq)]
struct Table {
    rows: BTreeMap<String, BTreeMap<String, String>>,
}

impl Direct {
    fn new(test: &str) -> Self {
        let stage = Stage::new(test);
        stage.config(TABLES);
        execute(&stage, SCHEMA);
        execute(&stage, ROWS);
        for sql in [None, Some(CHANGES)] {
            if let Some(sql) = sql {
                execute(&stage, sql);
            }
            let outcome = stage.pipectl(&["sync", "--until-caught-up"]);
            assert_eq!(outcome.status, Some(0), "{outcome}");
        }
        let tables = stored(&stage);
        assert!(tables.len() == 11 && tables["inv_all_types"].rows.len() == 11, "{:?}", tables.keys());
        Self { stage, tables }
    }
}

/// Runs statements one after another, each for itself unless they say BEGIN.
fn execute(stage: &Stage, sql: &str) {
    let lines = sql.lines().map(|line| line.split_once("--").map_or(line, |(code, _)| code).trim_end());
    let code = lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n");
    for statement in code.split(";\n") {
        stage.postgres.execute(statement);
    }
}

/// Everything that a pipeline stored, as text.
fn stored(stage: &Stage) -> BTreeMap<String, Table> {
    let sql = "SELECT name, sorting_key FROM system.tables WHERE database = '{db}' AND engine LIKE '%ReplacingMergeTree' AND name NOT LIKE 'pipectl%'";
    let tables = stage.clickhouse.rows(&sql.replace("{db}", &stage.name));
    tables
        .iter()
        .map(|table| {
            let text = |member: &str| table[member].as_str().unwrap().to_owned();
            let (name, key) = (text("name"), text("sorting_key"));
            let sql = format!(
                "SELECT toString(tuple({key})) AS key_of_row, columns.1 AS name, columns.2 AS value FROM {{db}}.`{name}` FINAL
                 ARRAY JOIN {} AS columns",
                columns(stage, &name)
            );
            let mut found = Table::default();
            for row in stage.clickhouse.rows(&sql) {
                let cell = |member: &str| row[member].as_str().unwrap().to_owned();
                found.rows.entry(cell("key_of_row")).or_default().insert(cell("name"), cell("value"));
            }
            (name, found)
        })
        .collect()
}

/// The columns of a row as an array of names and texts.
fn columns(stage: &Stage, table: &str) -> String {
    let sql = format!(
        "SELECT name FROM system.columns WHERE database = '{}' AND table = '{table}' AND name NOT IN ('_version', '_deleted')",
        stage.name
    );
    let columns = stage.clickhouse.rows(&sql);
    let pairs = columns.iter().map(|column| {
        let name = column["name"].as_str().unwrap();
        // In hexadecimal, since bytes are no JSON.
        format!("('{name}', hex(toString(tuple(`{name}`))))")
    });
    format!("[{}]", pairs.collect::<Vec<_>>().join(", "))
}

/// Replays a sample and syncs it, with these of the connector's settings written out.
fn replay(direct: &Direct, name: &str, settings: &BTreeMap<String, String>) -> (Stage, Outcome) {
    let stage = Stage::new(&name.replace('-', "_"));
    let kafka = Kafka::of(&stage);
    let topics = Sample::read(name).replay(&kafka);
    let settings: Vec<String> = settings.iter().map(|(name, value)| format!("{name}: '{value}'")).collect();
    stage.config(&format!(
        "{TABLES}kafka:\n  brokers: {}\n  topic_prefix: {}\n  topics: [{}]\n  connector: {{{}}}\nsync:\n  source: kafka\n",
        kafka.brokers,
        stage.name,
        topics.join(", "),
        settings.join(", "),
    ));
    let invocation = stage.invocation(&["sync", "--until-caught-up"]).env("POSTGRES_URL", &direct.stage.postgres.url);
    let outcome = invocation.run();
    (stage, outcome)
}

/// The settings that decide how values are spelled, with Debezium's defaults.
const MODES: [(&str, &str); 6] = [
    ("decimal.handling.mode", "precise"),
    ("time.precision.mode", "adaptive"),
    ("binary.handling.mode", "bytes"),
    ("interval.handling.mode", "numeric"),
    ("hstore.handling.mode", "json"),
    ("include.unknown.datatypes", "false"),
];

fn modes(sample: &str) -> BTreeMap<String, String> {
    let config = Sample::read(sample).config;
    let mode = |(name, default): (&str, &str)| (name.to_owned(), config.get(name).map_or(default, |v| v).to_owned());
    MODES.into_iter().map(mode).collect()
}

/// `table.column` where any value differs, `table` where there are other rows; of the tables that the sample has records of.
fn differences(direct: &Direct, stage: &Stage, sample: &Sample) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (name, table) in stored(stage) {
        let expected = &direct.tables[&name];
        let name = name.trim_start_matches("inv_");
        let member = format!("\"table\":\"{name}\"");
        if !sample.records.iter().any(|record| record.text().contains(&member)) {
            continue;
        }
        if table.rows.keys().ne(expected.rows.keys()) {
            found.insert(name.to_owned());
        }
        for (key, row) in &table.rows {
            let Some(expected) = expected.rows.get(key) else { continue };
            let names: BTreeSet<&String> = row.keys().chain(expected.keys()).collect();
            let different = names.into_iter().filter(|column| row.get(*column) != expected.get(*column));
            found.extend(different.map(|column| format!("{name}.{column}")));
        }
    }
    found
}

/// What no mode of the connector carries: arrays of several dimensions and of intervals, microseconds in arrays of times, and the era of a
/// snapshot's dates.
const NEVER: &str = "all_types.a_int2d all_types.a_interval all_types.a_time all_types.c_date";
/// `include.unknown.datatypes=false` leaves out.
const UNKNOWN: &str = "all_types.c_composite all_types.c_int4mrange all_types.c_name all_types.c_pg_lsn all_types.c_tsquery all_types.c_txid_snap";
/// Debezium 2.7 leaves out.
const UNKNOWN_TO_2_7: &str = "all_types.c_box all_types.c_circle all_types.c_line all_types.c_lseg all_types.c_path all_types.c_polygon all_types.c_tsvector";
/// `decimal.handling.mode=precise` has neither NaN nor infinity, nor zeros at the end.
const PRECISE: &str = "all_types.a_numeric all_types.c_numeric";
const DOUBLE: &str = "all_types.a_numeric all_types.c_money all_types.c_numeric_big all_types.c_numeric_ps";
/// `time.precision.mode=connect` has milliseconds.
const CONNECT: &str = "all_types.a_ts all_types.c_time all_types.c_ts orders.updated_at";
/// No mode but `structured` has the zone of a time.
const UTC: &str = "all_types.c_timetz";
/// `interval.handling.mode=numeric` has microseconds.
const INTERVAL: &str = "all_types.c_interval";
/// `skipped.operations` leaves TRUNCATE out, unless it is set.
const TRUNCATE: &str = "trunc_a trunc_b";
/// `isostring` and `structured` do not have 24:00:00.
const MIDNIGHT: &str = "all_types.c_time";
/// The snapshot of 2.7 reads money as a double, and old years by the Julian calendar; its stream takes names of tables for Latin-1.
const OF_2_7: &str = "all_types.c_money all_types.c_ts all_types.c_tstz Odd Table-ü";

/// The samples, and what of them is not stored as the direct pipeline stores it. All else is, value by value.
const SAMPLES: &[(&str, &[&str])] = &[
    ("default-noschema", &[NEVER, UNKNOWN, PRECISE, UTC, INTERVAL, TRUNCATE]),
    ("default-schema", &[NEVER, UNKNOWN, PRECISE, UTC, INTERVAL, TRUNCATE]),
    ("adaptive_us_unknown-noschema", &[NEVER, PRECISE, UTC, INTERVAL]),
    ("unknown_bytes-schema", &[NEVER, PRECISE, UTC, INTERVAL]),
    ("string_connect-noschema", &[NEVER, UNKNOWN, CONNECT, UTC, TRUNCATE]),
    ("double_isostring_hex-schema", &[NEVER, UNKNOWN, DOUBLE, MIDNIGHT, UTC, TRUNCATE]),
    ("time_structured-noschema", &[NEVER, UNKNOWN, PRECISE, MIDNIGHT]),
    ("time_microseconds-noschema", &[NEVER, UNKNOWN, PRECISE, UTC, INTERVAL]),
    ("time_nanoseconds-schema", &[NEVER, UNKNOWN, PRECISE, UTC, INTERVAL, "all_types.c_ts"]),
    ("debezium2.7.4-default-noschema", &[NEVER, UNKNOWN, UNKNOWN_TO_2_7, PRECISE, UTC, INTERVAL, TRUNCATE, OF_2_7]),
    ("debezium1.9.8-default-schema", &[TRUNCATE]),
    ("extras-noschema", &[]),
    ("no_tombstones-noschema", &[TRUNCATE]),
    ("skip_unchanged-noschema", &[TRUNCATE]),
    ("partition_root-noschema", &[]),
    ("routed-noschema", &[]),
    ("one_topic-noschema", &[]),
    ("mixed_key_string", &[]),
];

#[test]
fn what_debezium_wrote_is_stored_as_by_the_direct_pipeline() {
    let direct = Direct::new("samples_direct");
    let mut wrong = String::new();
    for (name, lists) in SAMPLES {
        let (stage, outcome) = replay(&direct, name, &modes(name));
        let expected: BTreeSet<String> = lists.iter().flat_map(|list| names(list)).collect();
        let found = match outcome.status {
            Some(0) => differences(&direct, &stage, &Sample::read(name)),
            _ => BTreeSet::from([outcome.to_string()]),
        };
        if found != expected {
            writeln!(wrong, "{name}\n  too much: {:?}", found.difference(&expected)).unwrap();
            writeln!(wrong, "  missing: {:?}\n{outcome}", expected.difference(&found)).unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// The one table with a blank in its name stands last in its list.
fn names(list: &str) -> Vec<String> {
    let (list, odd) = list.split_once("Odd").map_or((list, None), |(list, rest)| (list, Some(format!("Odd{rest}"))));
    list.split_whitespace().map(str::to_owned).chain(odd).collect()
}

#[test]
fn what_could_only_be_guessed_is_refused_by_its_setting() {
    let direct = Direct::new("samples_guess");
    for setting in ["decimal.handling.mode", "time.precision.mode", "binary.handling.mode"] {
        let mut modes = modes("default-noschema");
        modes.remove(setting);
        let (_stage, outcome) = replay(&direct, "default-noschema", &modes);
        assert_eq!(outcome.status, Some(3), "{setting}: {outcome}");
        assert!(outcome.stderr.contains(&format!("the connector's {setting} is not known")), "{setting}: {outcome}");
    }
    // A schema says it all.
    let (_stage, outcome) = replay(&direct, "default-schema", &BTreeMap::new());
    assert_eq!(outcome.status, Some(0), "{outcome}");
}

#[test]
fn records_of_another_kind_are_told_apart() {
    let direct = Direct::new("samples_other");
    let (_stage, outcome) = replay(&direct, "unwrap_rewrite-noschema", &modes("unwrap_rewrite-noschema"));
    assert_ne!(outcome.status, Some(0), "{outcome}");
    assert!(outcome.stderr.contains("ExtractNewRecordState"), "{outcome}");
    let (stage, outcome) = replay(&direct, "cloudevents", &modes("cloudevents"));
    assert_eq!(outcome.status, Some(0), "{outcome}");
    assert!(outcome.stderr.contains("it is no change event of Debezium's"), "{outcome}");
    assert_eq!(stage.clickhouse.value("SELECT count() FROM {db}.pipectl_dead_letters FINAL"), "17");
}
