//! Records that Debezium really wrote, replayed: what is stored of them is what the direct pipeline stores of the same statements, or it is said
//! here what is not, and why.

use crate::support::{Kafka, Outcome, Sample, Stage};
use crate::tail::registry::registry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};

/// The statements behind all samples.
const SCHEMA: &str = include_str!("../fixtures/debezium/schema.sql");
const ROWS: &str = include_str!("../fixtures/debezium/rows.sql");
const CHANGES: &str = include_str!("../fixtures/debezium/changes.sql");

/// The types of PostGIS as far as they are needed here: their text is well-known binary in hexadecimal.
const GEOMETRY: &str = "
    CREATE TYPE public.@;
    CREATE FUNCTION public.@_in(cstring) RETURNS public.@ AS 'textin' LANGUAGE internal IMMUTABLE STRICT;
    CREATE FUNCTION public.@_out(public.@) RETURNS cstring AS 'textout' LANGUAGE internal IMMUTABLE STRICT;
    CREATE TYPE public.@ (INPUT = public.@_in, OUTPUT = public.@_out, LIKE = text);";
/// The table of the samples of PostGIS, as the statements left it.
const GEO: &str = "
    CREATE TABLE inv.geo (id int PRIMARY KEY, g geometry, gp geometry, gg geography, ga geometry[]);
    INSERT INTO inv.geo VALUES
        (1, '01020000000300000000000000000000000000000000000000000000000000F03F000000000000F03F00000000000000400000000000000840',
            '0101000020E610000000000000000022400000000000002240', '0101000020E6100000CDCCCCCCCCCC2A400000000000404A40', NULL),
        (3, '0103000000010000000400000000000000000000000000000000000000000000000000F03F0000000000000000000000000000F03F000000000000F03F00000000000000000000000000000000',
            '0101000020E6100000000000000000F03F0000000000000040', '0101000020E610000000000000000008400000000000001040', NULL)";

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
        for name in ["geometry", "geography"] {
            stage.admin.execute(&GEOMETRY.replace('@', name));
        }
        stage.postgres.execute(GEO);
        for sql in [None, Some(CHANGES)] {
            if let Some(sql) = sql {
                execute(&stage, sql);
            }
            let outcome = stage.pipectl(&["sync", "--until-caught-up"]);
            assert_eq!(outcome.status, Some(0), "{outcome}");
        }
        let tables = stored(&stage);
        assert!(tables.len() == 12 && tables["inv_all_types"].rows.len() == 11, "{:?}", tables.keys());
        Self { stage, tables }
    }

    /// The tables that a sample has no records of, as further members of a list: there is no need to make them.
    fn others(&self, sample: &Sample) -> String {
        let names = self.tables.keys().map(|name| name.trim_start_matches("inv_"));
        names.filter(|name| !tells_of(sample, name)).fold(String::new(), |list, name| format!("{list}, 'inv.{name}'"))
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

/// Whether a sample has records of a table.
fn tells_of(sample: &Sample, table: &str) -> bool {
    let member = format!("\"table\":\"{table}\"");
    sample.records.iter().any(|record| record.topic.ends_with(&format!(".{table}")) || record.text().contains(&member))
}

/// `table.column` where any value differs, `table` where there are other rows; of the tables that the sample has records of.
fn differences(direct: &Direct, stage: &Stage, sample: &Sample) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (name, table) in stored(stage) {
        let expected = &direct.tables[&name];
        let name = name.trim_start_matches("inv_");
        if !tells_of(sample, name) {
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
/// `time.precision.mode=nanoseconds` has no room for years that are far away.
const NANOSECONDS: &str = "all_types.c_ts";
/// What is told of rows without their envelope.
const UNWRAPPED: &str = "ExtractNewRecordState";

/// The samples of which every row and value is stored as by the direct pipeline.
const EXACT: &[&str] = &[
    "extras-noschema",
    "extras-schema",
    "partition_root-noschema",
    "routed-noschema",
    "one_topic-noschema",
    "mixed_key_string",
    "postgis-noschema",
    "postgis-schema",
];

/// The samples of which all is stored so but these tables' rows and these columns.
const DIFFERENT: &[(&str, &[&str])] = &[
    ("default-noschema", &[NEVER, UNKNOWN, PRECISE, UTC, INTERVAL, TRUNCATE]),
    ("default-schema", &[NEVER, UNKNOWN, PRECISE, UTC, INTERVAL, TRUNCATE]),
    ("adaptive_us_unknown-noschema", &[NEVER, PRECISE, UTC, INTERVAL]),
    ("adaptive_us_unknown-schema", &[NEVER, PRECISE, UTC, INTERVAL]),
    ("unknown_bytes-noschema", &[NEVER, PRECISE, UTC, INTERVAL]),
    ("unknown_bytes-schema", &[NEVER, PRECISE, UTC, INTERVAL]),
    ("string_connect-noschema", &[NEVER, UNKNOWN, CONNECT, UTC, TRUNCATE]),
    ("string_connect-schema", &[NEVER, UNKNOWN, CONNECT, UTC, TRUNCATE]),
    ("double_isostring_hex-noschema", &[NEVER, UNKNOWN, DOUBLE, MIDNIGHT, UTC, TRUNCATE]),
    ("double_isostring_hex-schema", &[NEVER, UNKNOWN, DOUBLE, MIDNIGHT, UTC, TRUNCATE]),
    ("time_structured-noschema", &[NEVER, UNKNOWN, PRECISE, MIDNIGHT]),
    ("time_structured-schema", &[NEVER, UNKNOWN, PRECISE, MIDNIGHT]),
    ("time_microseconds-noschema", &[NEVER, UNKNOWN, PRECISE, UTC, INTERVAL]),
    ("time_microseconds-schema", &[NEVER, UNKNOWN, PRECISE, UTC, INTERVAL]),
    ("time_nanoseconds-noschema", &[NEVER, UNKNOWN, PRECISE, UTC, INTERVAL, NANOSECONDS]),
    ("time_nanoseconds-schema", &[NEVER, UNKNOWN, PRECISE, UTC, INTERVAL, NANOSECONDS]),
    ("propagate_source_type-schema", &[NEVER, UNKNOWN, PRECISE, UTC, INTERVAL]),
    ("debezium2.7.4-default-noschema", &[NEVER, UNKNOWN, UNKNOWN_TO_2_7, PRECISE, UTC, INTERVAL, TRUNCATE, OF_2_7]),
    ("debezium2.7.4-default-schema", &[NEVER, UNKNOWN, UNKNOWN_TO_2_7, PRECISE, UTC, INTERVAL, TRUNCATE, OF_2_7]),
    ("debezium1.9.8-default-noschema", &[TRUNCATE]),
    ("debezium1.9.8-default-schema", &[TRUNCATE]),
    ("avro_apicurio_confluent", &[NEVER, UNKNOWN, PRECISE, UTC, INTERVAL, TRUNCATE]),
    ("avro_apicurio_headers", &[TRUNCATE]),
    ("no_tombstones-noschema", &[TRUNCATE]),
    ("skip_unchanged-noschema", &[TRUNCATE]),
];

/// The samples that are not stored, with the exit code and what is said of them: rows that lost their envelope are refused, another format is set aside.
const REFUSED: &[(&str, i32, &str)] = &[
    ("unwrap_debezium2.7.4-default_rewrite-noschema", 5, UNWRAPPED),
    ("unwrap_default-noschema", 5, UNWRAPPED),
    ("unwrap_default-schema", 5, UNWRAPPED),
    ("unwrap_delete_to_tombstone-noschema", 5, UNWRAPPED),
    ("unwrap_drop-noschema", 5, UNWRAPPED),
    ("unwrap_rewrite-noschema", 5, UNWRAPPED),
    ("unwrap_rewrite-schema", 5, UNWRAPPED),
    ("unwrap_rewrite_with_tombstone-noschema", 5, UNWRAPPED),
    ("cloudevents", 0, "17 records are set aside"),
];

#[test]
fn every_sample_stands_in_one_list() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/debezium");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut found: Vec<String> = files.filter_map(|file| Some(file.strip_suffix(".json")?.to_owned())).collect();
    // What a registry would know, and no records.
    found.retain(|name| name != "avro_schemas");
    found.sort();
    let different = DIFFERENT.iter().map(|(name, _)| *name);
    let refused = REFUSED.iter().map(|(name, ..)| *name);
    let mut listed: Vec<&str> = EXACT.iter().copied().chain(different).chain(refused).collect();
    listed.sort_unstable();
    assert_eq!(found, listed);
}

/// A sample, how it is read, and what has to come of it.
struct Case {
    name: &'static str,
    modes: BTreeMap<String, String>,
    expected: Expected,
}

enum Expected {
    /// It is stored; these differ.
    Stored(BTreeSet<String>),
    /// An exit code, and what is said.
    Refused(i32, String),
}

fn cases() -> Vec<Case> {
    let stored = |lists: &[&str]| Expected::Stored(lists.iter().flat_map(|list| names(list)).collect());
    let case = |name, expected| Case { name, modes: modes(name), expected };
    let mut cases: Vec<Case> = EXACT.iter().map(|name| case(name, stored(&[]))).collect();
    cases.extend(DIFFERENT.iter().map(|(name, lists)| case(name, stored(lists))));
    cases.extend(REFUSED.iter().map(|(name, code, words)| case(name, Expected::Refused(*code, (*words).to_owned()))));
    // Without a schema, what could only be guessed is refused by the setting that decides it.
    for setting in ["decimal.handling.mode", "time.precision.mode", "binary.handling.mode"] {
        let words = format!("the connector's {setting} is not known");
        let mut case = case("default-noschema", Expected::Refused(3, words));
        case.modes.remove(setting);
        cases.push(case);
    }
    // A schema says it all.
    let by_schema = DIFFERENT.iter().find(|(name, _)| *name == "default-schema").unwrap();
    cases.push(Case { name: by_schema.0, modes: BTreeMap::new(), expected: stored(by_schema.1) });
    cases
}

impl Case {
    /// Replays the sample and syncs it; what is wrong with what comes of it.
    fn run(&self, direct: &Direct, registry: &str) -> Option<String> {
        let sample = Sample::read(self.name);
        let stage = direct.stage.beside(self.name);
        let kafka = Kafka::of(&stage);
        let topics = sample.replay(&kafka);
        let settings: Vec<String> = self.modes.iter().map(|(name, value)| format!("{name}: '{value}'")).collect();
        stage.config(&format!(
            "tables:\n  - source: inv.*\n    exclude: [inv.dbz_*, inv.evolving{}]\nkafka:\n  brokers: {}\n  topic_prefix: {}\n  topics: [{}]\n  connector: {{{}}}\n  schema_registry_url: {registry}\nsync:\n  source: kafka\n",
            direct.others(&sample),
            kafka.brokers,
            stage.name,
            topics.join(", "),
            settings.join(", "),
        ));
        let outcome = stage.pipectl(&["sync", "--until-caught-up"]);
        self.judge(direct, &stage, &sample, &outcome)
    }

    fn judge(&self, direct: &Direct, stage: &Stage, sample: &Sample, outcome: &Outcome) -> Option<String> {
        let wrong = match &self.expected {
            Expected::Refused(code, words) if outcome.status == Some(*code) && outcome.stderr.contains(words) => {
                return None;
            }
            Expected::Refused(code, words) => format!("no exit code {code} with \"{words}\""),
            Expected::Stored(_) if outcome.status != Some(0) => "it is not stored".to_owned(),
            Expected::Stored(expected) => {
                let found = differences(direct, stage, sample);
                if found == *expected {
                    return None;
                }
                let (more, less) = (found.difference(expected), expected.difference(&found));
                format!("differs: {:?}; does not: {:?}", more.collect::<Vec<_>>(), less.collect::<Vec<_>>())
            }
        };
        Some(format!("{}: {wrong}\n{outcome}", self.name))
    }
}

/// At the same time, since most of it is waiting.
const WORKERS: usize = 4;

#[test]
fn what_debezium_wrote_is_stored_as_by_the_direct_pipeline() {
    let direct = Direct::new("samples_direct");
    let (cases, registry, next) = (cases(), registry(), AtomicUsize::new(0));
    let work = || {
        let taken = std::iter::from_fn(|| cases.get(next.fetch_add(1, Ordering::Relaxed)));
        taken.filter_map(|case| case.run(&direct, &registry)).collect::<Vec<_>>()
    };
    let wrong: Vec<String> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..WORKERS).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The one table with a blank in its name stands last in its list.
fn names(list: &str) -> Vec<String> {
    let (list, odd) = list.split_once("Odd").map_or((list, None), |(list, rest)| (list, Some(format!("Odd{rest}"))));
    list.split_whitespace().map(str::to_owned).chain(odd).collect()
}
