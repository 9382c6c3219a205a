//! `verify` on real sides. What ClickHouse holds is written here by hand, never by pipectl.

mod command;
mod live;
mod pipeline;
mod repair;
mod repair_topics;
mod types;

use crate::support::{Postgres, Stage, run};
use pipectl::config::{Keyless, Settings, SyncSettings, TableRule};
use pipectl::server::postgres::{connect, tables};
use pipectl::sink::clickhouse::plan_table;
use pipectl::verify::{Event, Fault, Options, Report, Table, TableReport, verify};
use std::collections::BTreeMap;
use std::time::Duration;
use types::{Case, OVERRIDES, PRELUDE, cases};

/// Both servers, each with an empty database of the test's.
struct Sides {
    stage: Stage,
    settings: Settings,
}

impl Sides {
    fn new(test: &str) -> Self {
        let stage = Stage::new(test);
        stage.clickhouse.execute("CREATE DATABASE {db}");
        let mut postgres = stage.postgres.settings.clone();
        postgres.slot.clone_from(&stage.name);
        let settings = Settings {
            pipeline: stage.name.clone(),
            postgres: Some(postgres),
            clickhouse: stage.clickhouse.settings.clone(),
            tables: Vec::new(),
            kafka: None,
            statements: Vec::new(),
            sync: SyncSettings::default(),
        };
        Self { stage, settings }
    }

    fn pg(&self, sql: &str) {
        self.stage.postgres.execute(sql);
    }

    /// Runs a statement in ClickHouse; `db.` stands for the test's database.
    fn ch(&self, sql: &str) {
        self.stage.clickhouse.execute(&sql.replace("db.", "{db}."));
    }

    /// The tables of the test's database, in the order of their names.
    fn tables(&self, rule_of: impl Fn(&str) -> TableRule) -> Vec<Table> {
        let schemas = run(async {
            let connection = connect(self.settings.postgres.as_ref().unwrap()).await.unwrap();
            tables(&connection).await.unwrap()
        });
        let plan = |schema: &pipectl::change::TableSchema| {
            let rule = rule_of(&schema.name.name);
            let plan = plan_table(schema, &rule, &self.settings.clickhouse).unwrap();
            Table { plan, row_filter: rule.row_filter }
        };
        schemas.iter().map(plan).collect()
    }

    fn verify(&self, tables: &[Table], options: &Options) -> Report {
        run(verify(&self.settings, tables, options, &|_: Event<'_>| ())).unwrap()
    }

    fn verify_all(&self, options: &Options) -> Report {
        self.verify(&self.tables(rule), options)
    }

    fn verify_one(&self, options: &Options) -> TableReport {
        let report = self.verify_all(options);
        assert_eq!(report.equal, report.tables[0].is_equal(options.strict));
        report.tables.into_iter().next().unwrap()
    }
}

/// The rule of a table by name, with nothing else said.
fn rule(source: &str) -> TableRule {
    TableRule::new(source)
}

fn options() -> Options {
    Options { sample: 1.0, limit: 100, strict: false, show_values: false, wait: Duration::from_mins(2) }
}

/// Fault, key and columns of each row, in the order of keys.
fn faults(table: &TableReport) -> Vec<(Fault, String, Vec<&str>)> {
    let mut all: Vec<_> = (table.differences.iter())
        .map(|row| {
            let key: Vec<&str> = row.key.iter().map(|(_, value)| value.as_deref().unwrap_or("NULL")).collect();
            (row.fault, key.join(","), row.columns.iter().map(|column| column.name.as_str()).collect())
        })
        .collect();
    all.sort_by(|one: &(Fault, String, Vec<&str>), other| one.1.cmp(&other.1));
    all
}

const ENGINE: &str = "`_version` UInt128, `_deleted` UInt8) ENGINE = ReplacingMergeTree(_version, _deleted) ORDER BY";

/// Table `t000` and so on: `id` and the case's value.
fn store(sides: &Sides, cases: &[Case]) {
    sides.pg(PRELUDE);
    for (number, case) in cases.iter().enumerate() {
        let source = (case.rows.iter().enumerate()).map(|(id, (value, _))| format!("({id}, {value})"));
        let source = source.collect::<Vec<_>>().join(", ");
        sides.pg(&format!(
            "CREATE TABLE t{number:03} (id int PRIMARY KEY, v {}); INSERT INTO t{number:03} VALUES {source}",
            case.source
        ));
        sides.ch(&format!("CREATE TABLE db.t{number:03} (id Int32, v {}, {ENGINE} id", case.target));
        for (id, (_, value)) in case.rows.iter().enumerate() {
            sides.ch(&format!("INSERT INTO db.t{number:03} SELECT {id}, {value}, 0, 0"));
        }
    }
}

fn check_types(test: &str, cases: &[Case], rule_of: impl Fn(&str) -> TableRule) {
    let sides = Sides::new(test);
    store(&sides, cases);
    let tables = sides.tables(rule_of);
    let report = sides.verify(&tables, &options());
    for (case, table) in cases.iter().zip(&report.tables) {
        let what = format!("{} as {}: {table:#?}", case.source, case.target);
        assert_eq!((table.rows, table.equal), (case.rows.len() as u64, case.rows.len() as u64), "{what}");
        assert_eq!(table.policy_nulls.get("v").copied().unwrap_or(0), case.policy, "{what}");
        assert!(table.not_compared.is_empty() && table.is_equal(false), "{what}");
    }
    assert!(report.equal);
    for (number, case) in cases.iter().enumerate() {
        for (id, value) in case.spoiled {
            sides.ch(&format!("INSERT INTO db.t{number:03} SELECT {id}, {value}, 1, 0"));
        }
    }
    let report = sides.verify(&tables, &options());
    for (case, table) in cases.iter().zip(&report.tables) {
        let expected: Vec<_> =
            case.spoiled.iter().map(|(id, _)| (Fault::Different, id.to_string(), vec!["v"])).collect();
        assert_eq!(faults(table), expected, "{} as {}", case.source, case.target);
        assert_eq!(table.different, case.spoiled.len() as u64, "{}", case.source);
    }
    assert!(!report.equal);
}

#[test]
fn every_type_is_equal_where_it_is_and_differs_where_it_does() {
    check_types("verify_types", &cases(), rule);
}

#[test]
fn types_of_the_configuration_are_compared_too() {
    // What the plan says of the types is not asked: the stored table is looked at.
    check_types("verify_overrides", OVERRIDES, rule);
}

#[test]
fn strictly_policy_nulls_are_differences() {
    let sides = Sides::new("verify_strict");
    store(&sides, &cases());
    let report = sides.verify_all(&Options { strict: true, ..options() });
    for (case, table) in cases().iter().zip(&report.tables) {
        // An array with several such values is one row that differs.
        let rows = if case.source.ends_with("[]") { case.policy.min(1) } else { case.policy };
        assert_eq!(table.different, rows, "{}", case.source);
    }
}

#[test]
fn the_calendar_of_the_server_decides_what_must_be_null() {
    let sides = Sides::new("verify_calendar");
    sides.pg("CREATE TABLE d (id int PRIMARY KEY, v date); CREATE TABLE t (id int PRIMARY KEY, v timestamp)");
    sides.pg("INSERT INTO d VALUES (1, '0001-01-01'), (2, '9999-12-31'), (3, '0001-12-31 BC'), (4, '10000-01-01')");
    sides.pg("INSERT INTO t VALUES (1, '0001-01-01'), (2, '9999-12-31 23:59:59.999999'), (3, '0001-12-31 BC'), \
         (4, '10000-01-01')");
    sides.ch(&format!("CREATE TABLE db.d (id Int32, v Nullable(Date32), {ENGINE} id"));
    sides.ch(&format!("CREATE TABLE db.t (id Int32, v Nullable(DateTime64(6, 'UTC')), {ENGINE} id"));
    let (first, last) = ("fromDaysSinceYearZero32(366)", "fromDaysSinceYearZero32(3652424)");
    let long_dates = sides.stage.clickhouse.value(&format!("SELECT toString({first})")) == "0001-01-01";
    let (start, end) =
        ("fromUnixTimestamp64Micro(-62135596800000000, 'UTC')", "fromUnixTimestamp64Micro(253402300799999999, 'UTC')");
    let long_times = sides.stage.clickhouse.value(&format!("SELECT toYear({start})")) == "1";
    for (table, long, low, high) in [("d", long_dates, first, last), ("t", long_times, start, end)] {
        let (low, high) = if long { (low, high) } else { ("NULL", "NULL") };
        sides.ch(&format!("INSERT INTO db.{table} SELECT 1, {low}, 0, 0"));
        sides.ch(&format!("INSERT INTO db.{table} SELECT 2, {high}, 0, 0"));
        sides.ch(&format!("INSERT INTO db.{table} VALUES (3, NULL, 0, 0), (4, NULL, 0, 0)"));
    }
    let report = sides.verify_all(&options());
    for (table, long) in report.tables.iter().zip([long_dates, long_times]) {
        assert_eq!((table.equal, table.policy_nulls["v"]), (4, if long { 2 } else { 4 }), "{table:#?}");
    }
}

#[test]
fn vectors_are_compared_by_their_bits() {
    let sides = Sides::new("verify_vector");
    sides.pg(
        "CREATE TABLE t (id int PRIMARY KEY, v real[]); INSERT INTO t VALUES (1, '{0.1,-0,3}'), (2, NULL), (3, '{1}')",
    );
    sides.ch(&format!("CREATE TABLE db.t (id Int32, v Array(Float32), {ENGINE} id"));
    sides.ch("INSERT INTO db.t VALUES (1, [0.1, -0., 3], 0, 0), (2, [], 0, 0), (3, [1.0000001], 0, 0)");
    let mut tables = sides.tables(rule);
    // The extension need not be installed: its values are cast to real[] before all else, which real[] are already.
    tables[0].plan.schema.columns[1].source_type = pipectl::change::SourceType::Vector;
    let report = sides.verify(&tables, &options());
    assert_eq!(faults(&report.tables[0]), [(Fault::Different, "3".to_owned(), vec!["v"])]);
}

#[test]
fn missing_extra_and_deleted_rows_are_told_apart() {
    let sides = Sides::new("verify_rows");
    sides.pg("CREATE TABLE t (id int PRIMARY KEY, a text, b text)");
    sides.pg("INSERT INTO t SELECT n, 'a' || n, 'b' || n FROM generate_series(1, 3000) AS n");
    sides.ch(&format!("CREATE TABLE db.t (id Int32, a Nullable(String), b Nullable(String), {ENGINE} id"));
    sides.ch("INSERT INTO db.t SELECT number + 1, 'a' || toString(number + 1), 'b' || toString(number + 1), 0, 0 FROM numbers(3000)");
    sides.ch("INSERT INTO db.t VALUES (4000, 'gone', 'gone', 5, 0), (4000, 'gone', 'gone', 6, 1)");
    let table = sides.verify_one(&options());
    assert_eq!((table.rows, table.equal, table.is_equal(true)), (3000, 3000, true), "{table:#?}");
    sides.ch("INSERT INTO db.t VALUES (17, '', '', 7, 1), (5000, 'new', 'new', 7, 0), (18, 'b18', 'a18', 7, 0)");
    let table = sides.verify_one(&options());
    let expected = [
        (Fault::Missing, "17".to_owned(), vec![]),
        (Fault::Different, "18".to_owned(), vec!["a", "b"]),
        (Fault::Extra, "5000".to_owned(), vec![]),
    ];
    assert_eq!(faults(&table), expected);
    assert_eq!((table.equal, table.missing, table.extra, table.different), (2998, 1, 1, 1));
}

#[test]
fn keys_are_compared_whatever_they_hold() {
    let sides = Sides::new("verify_keys");
    sides.pg("CREATE TABLE a (x text COLLATE \"C\", y text, z int, v int, PRIMARY KEY (y, x, z))");
    sides.ch(&format!("CREATE TABLE db.a (x String, y String, z Int32, v Nullable(Int32), {ENGINE} (y, x, z)"));
    let keys = [
        ("1:a;", "b", 1),
        ("1:a", ";b", 1),
        ("", "1:a;b", 1),
        ("1:a;b", "", 1),
        ("Ä", "ä", 1),
        ("ä", "Ä", 1),
        ("a", "B", -1),
        ("A", "b", -1),
        ("a b", "a-b", 0),
        ("ab", "ab", 0),
        ("null", "NULL", 0),
    ];
    for (x, y, z) in keys {
        sides.pg(&format!("INSERT INTO a VALUES ('{x}', '{y}', {z}, {z})"));
        sides.ch(&format!("INSERT INTO db.a VALUES ('{x}', '{y}', {z}, {z}, 0, 0)"));
    }
    sides.pg("CREATE TABLE b (k float8 PRIMARY KEY, v int); INSERT INTO b VALUES ('-0', 1), ('NaN', 2)");
    sides.ch(&format!("CREATE TABLE db.b (k Float64, v Nullable(Int32), {ENGINE} k"));
    sides.ch("INSERT INTO db.b VALUES (0., 1, 0, 0), (nan, 2, 0, 0)");
    sides.pg("CREATE TABLE c (k timestamptz PRIMARY KEY); INSERT INTO c VALUES ('infinity'), ('2024-01-01+00')");
    sides.ch(&format!("CREATE TABLE db.c (k String, {ENGINE} k"));
    sides.ch("INSERT INTO db.c VALUES ('infinity', 0, 0), ('2024-01-01 00:00:00+00', 0, 0)");
    let report = sides.verify_all(&options());
    assert_eq!((report.tables[0].equal, report.tables[0].is_equal(true)), (11, true), "{report:#?}");
    // One key for an index, but not one value.
    assert_eq!(faults(&report.tables[1]), [(Fault::Different, "-0".to_owned(), vec!["k"])]);
    assert!(report.tables[2].is_equal(true), "{report:#?}");
    sides.ch("INSERT INTO db.a VALUES ('1:a', ';b', 1, 99, 1, 0), ('Ä', 'ä', 1, 1, 1, 1), ('Ä', 'Ä', 1, 1, 1, 0)");
    let report = sides.verify_all(&options());
    let expected = [
        (Fault::Different, ";b,1:a,1".to_owned(), vec!["v"]),
        (Fault::Extra, "Ä,Ä,1".to_owned(), vec![]),
        (Fault::Missing, "ä,Ä,1".to_owned(), vec![]),
    ];
    assert_eq!(faults(&report.tables[0]), expected);
}

#[test]
fn rows_without_a_key_are_told_apart_by_all_they_hold() {
    let sides = Sides::new("verify_keyless");
    sides.pg("CREATE TABLE t (v text, n int); INSERT INTO t VALUES ('a', 1), ('a', 1), (NULL, NULL), ('b', 2)");
    sides.ch("CREATE TABLE db.t (v Nullable(String), n Nullable(Int32), `_version` UInt128, `_ordinal` UInt64) \
         ENGINE = ReplacingMergeTree(_version) ORDER BY (_version, _ordinal)");
    sides.ch("INSERT INTO db.t VALUES ('a', 1, 0, 1), ('a', 1, 0, 2), (NULL, NULL, 0, 3), ('b', 2, 5, 1)");
    let insert_only = |name: &str| TableRule { keyless: Keyless::InsertOnly, ..rule(name) };
    let tables = sides.tables(insert_only);
    assert!(sides.verify(&tables, &options()).equal);
    sides.pg("INSERT INTO t VALUES ('a', 1)");
    sides.ch("INSERT INTO db.t VALUES ('', NULL, 6, 1)");
    let report = sides.verify(&tables, &options());
    let expected = [(Fault::Extra, ",NULL".to_owned(), vec![]), (Fault::Missing, "a,1".to_owned(), vec![])];
    assert_eq!(faults(&report.tables[0]), expected);
    assert_eq!(report.tables[0].equal, 4);
}

#[test]
fn tables_that_cannot_be_compared_are_no_equal_tables() {
    let sides = Sides::new("verify_problems");
    sides.pg("CREATE TABLE a (id int PRIMARY KEY, v int); CREATE TABLE b (id int PRIMARY KEY, v int)");
    sides.pg("CREATE TABLE c (id int PRIMARY KEY, v int); CREATE TABLE d (id int PRIMARY KEY, v int)");
    sides.ch(&format!("CREATE TABLE db.b (id Int32, {ENGINE} id"));
    sides.ch(&format!("CREATE TABLE db.c (id Int32, v Array(Int32), {ENGINE} id"));
    sides.ch(&format!("CREATE TABLE db.d (id UUID, v Nullable(Int32), {ENGINE} id"));
    let report = sides.verify_all(&options());
    assert!(!report.equal);
    let problems: Vec<_> = report.tables.iter().map(|table| table.problem.as_deref()).collect();
    let expected = [
        Some("ClickHouse has no such table"),
        Some("ClickHouse has no column \"v\""),
        None,
        Some("its key cannot be compared"),
    ];
    assert_eq!(problems, expected);
    assert!(report.tables[2].is_equal(false) && !report.tables[2].is_equal(true));
    assert!(report.tables[2].not_compared.contains_key("v"));
}

#[test]
fn odd_names_empty_tables_partitions_and_filters() {
    let sides = Sides::new("verify_names");
    sides
        .pg("CREATE TABLE \"Odd \"\"t`able\" (\"pipectl_c0\" int PRIMARY KEY, \"h\" text, \"t\" text, \"a`b\"\"c\" text, e text[]);
             INSERT INTO \"Odd \"\"t`able\" VALUES (1, 'h', 't', 'x', '{e}');
             CREATE TABLE empty (id int PRIMARY KEY);
             CREATE TABLE parted (id int, region text, v text, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
             CREATE TABLE parted_eu PARTITION OF parted FOR VALUES IN ('EU');
             CREATE TABLE parted_us (v text, region text NOT NULL, id int NOT NULL);
             ALTER TABLE parted ATTACH PARTITION parted_us FOR VALUES IN ('US');
             INSERT INTO parted SELECT n, CASE WHEN n % 2 = 0 THEN 'EU' ELSE 'US' END, 'v' || n FROM generate_series(1, 100) AS n;
             CREATE TABLE kept (id int PRIMARY KEY, region text); INSERT INTO kept VALUES (1, 'EU'), (2, 'US')")
        ;
    sides
        .ch(&format!(
            "CREATE TABLE db.`Odd \"t\\`able` (pipectl_c0 Int32, h Nullable(String), t Nullable(String), `a\\`b\"c` Nullable(String), \
             e Array(Nullable(String)), {ENGINE} pipectl_c0"
        ))
        ;
    sides.ch("INSERT INTO db.`Odd \"t\\`able` VALUES (1, 'h', 't', 'x', ['e'], 0, 0)");
    sides.ch(&format!("CREATE TABLE db.empty (id Int32, {ENGINE} id"));
    sides.ch(&format!("CREATE TABLE db.parted (id Int32, region String, v Nullable(String), {ENGINE} (id, region)"));
    sides.ch("INSERT INTO db.parted SELECT number + 1, if(number % 2 = 1, 'EU', 'US'), 'v' || toString(number + 1), 0, 0 FROM numbers(100)");
    sides.ch(&format!("CREATE TABLE db.kept (id Int32, region Nullable(String), {ENGINE} id"));
    sides.ch("INSERT INTO db.kept VALUES (1, 'EU', 0, 0)");
    let filtered =
        |name: &str| TableRule { row_filter: (name == "kept").then(|| "region = 'EU'".to_owned()), ..rule(name) };
    let tables: Vec<Table> = sides.tables(filtered);
    let report = sides.verify(&tables, &options());
    assert!(report.equal, "{report:#?}");
    let rows: BTreeMap<&str, u64> = report.tables.iter().map(|table| (table.source.as_str(), table.rows)).collect();
    assert_eq!((rows["public.empty"], rows["public.parted"], rows["public.kept"]), (0, 100, 1));
    sides.ch("INSERT INTO db.parted VALUES (7, 'US', 'w7', 1, 0)");
    sides.ch("INSERT INTO db.empty VALUES (7, 1, 0)");
    let report = sides.verify(&tables, &options());
    let faults: Vec<_> = report.tables.iter().flat_map(faults).collect();
    assert_eq!(faults.len(), 2, "{faults:?}");
    assert!(faults.contains(&(Fault::Extra, "7".to_owned(), vec![])));
    assert!(faults.contains(&(Fault::Different, "7,US".to_owned(), vec!["v"])));
}

#[test]
fn a_sample_is_a_part_of_the_rows_on_both_sides() {
    let sides = Sides::new("verify_sample");
    numbers(&sides, 20_000);
    let table = sides.verify_one(&Options { sample: 0.1, ..options() });
    assert!((1700..2300).contains(&table.rows), "{}", table.rows);
    assert_eq!((table.equal, table.is_equal(true)), (table.rows, true));
    sides.ch("INSERT INTO db.t SELECT id, 'spoiled', 1, 0 FROM db.t");
    let table = sides.verify_one(&Options { sample: 0.1, limit: 3, ..options() });
    assert_eq!((table.different, table.equal, table.differences.len()), (table.rows, 0, 3));
}

#[test]
fn values_are_shown_only_when_asked_for() {
    let sides = Sides::new("verify_values");
    numbers(&sides, 2);
    sides.ch("INSERT INTO db.t VALUES (1, 'spoiled', 1, 0)");
    let table = sides.verify_one(&options());
    assert!(table.differences[0].columns[0].values.is_none());
    let table = sides.verify_one(&Options { show_values: true, ..options() });
    let values = table.differences[0].columns[0].values.as_ref().expect("values");
    assert_eq!((values.source.as_deref(), values.target.as_deref()), (Some("row 1"), Some("spoiled")));
    let json = serde_json::to_value(&table).expect("JSON");
    assert_eq!(json["differences"][0]["fault"], "different");
    assert_eq!(json["differences"][0]["key"][0][1], "1");
}

#[test]
fn texts_of_another_encoding_are_hashed_as_utf8() {
    let mut sides = Sides::new("verify_latin1");
    let name = format!("{}_latin1", sides.stage.name);
    let owner = sides.stage.postgres.settings.user.clone();
    let create = format!("CREATE DATABASE {name} OWNER {owner} TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'");
    sides.stage.admin.execute(&create);
    sides.settings.postgres.as_mut().unwrap().database.clone_from(&name);
    sides.stage.postgres = Postgres::connect(&Postgres::url_of(&sides.stage.postgres.url, &name));
    sides.pg("CREATE TABLE t (id text PRIMARY KEY, v text[]); INSERT INTO t VALUES ('ä', '{ö,u}'), ('b', '{}')");
    sides.ch(&format!("CREATE TABLE db.t (id String, v Array(Nullable(String)), {ENGINE} id"));
    sides.ch("INSERT INTO db.t VALUES ('ä', ['ö', 'u'], 0, 0), ('b', [], 0, 0)");
    let table = sides.verify_one(&options());
    sides.stage.admin.execute(&format!("DROP DATABASE {name} WITH (FORCE)"));
    assert_eq!((table.equal, table.is_equal(true)), (2, true), "{table:#?}");
}

/// A table `t (id, v)` of so many rows, equal on both sides.
fn numbers(sides: &Sides, rows: u32) {
    sides
        .pg(&format!(
            "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT n, 'row ' || n FROM generate_series(1, {rows}) AS n; \
             ANALYZE t"
        ))
        ;
    sides.ch(&format!("CREATE TABLE db.t (id Int32, v Nullable(String), {ENGINE} id"));
    sides.ch(&format!("INSERT INTO db.t SELECT number + 1, 'row ' || toString(number + 1), 0, 0 FROM numbers({rows})"));
}
