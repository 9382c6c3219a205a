//! `pipectl create-tables` on real servers.

use crate::support::{Invocation, Stage};
use crate::versions;
use serde_json::Value;

const ORDERS: &str = "CREATE TYPE mood AS ENUM ('good', 'bad');
    CREATE TABLE orders (
        id bigint PRIMARY KEY,
        mood mood NOT NULL,
        total numeric(12, 2) NOT NULL,
        note text,
        at timestamptz NOT NULL
    )";

fn json(stage: &Stage, arguments: &[&str], status: i32) -> Value {
    let mut arguments = arguments.to_vec();
    arguments.extend(["--output", "json"]);
    let outcome = stage.pipectl(&arguments);
    assert_eq!(outcome.status, Some(status), "{outcome}");
    let document: Value = serde_json::from_str(&outcome.stdout).unwrap_or_else(|error| panic!("{error}: {outcome}"));
    assert_eq!(document["version"], 1);
    document
}

/// Runs `create-tables` and wants it to work.
fn create(stage: &Stage) -> String {
    let outcome = stage.pipectl(&["create-tables"]);
    assert_eq!((outcome.status, outcome.stdout.as_str()), (Some(0), ""), "{outcome}");
    outcome.stderr
}

/// Runs it and wants it to be refused; returns what stderr says.
fn refused(stage: &Stage, status: i32) -> String {
    let outcome = stage.pipectl(&["create-tables"]);
    assert_eq!((outcome.status, outcome.stdout.as_str()), (Some(status), ""), "{outcome}");
    outcome.stderr
}

fn column_type(stage: &Stage, table: &str, column: &str) -> String {
    let rows = stage.clickhouse.rows(&format!(
        "SELECT type FROM system.columns WHERE database = '{}' AND table = '{table}' AND name = '{column}'",
        stage.clickhouse.database
    ));
    rows[0]["type"].as_str().unwrap().to_owned()
}

fn tables(stage: &Stage) -> String {
    let database = &stage.clickhouse.database;
    stage.clickhouse.value(&format!("SELECT name FROM system.tables WHERE database = '{database}' ORDER BY name"))
}

#[test]
fn a_second_run_finds_nothing_to_do() {
    let stage = Stage::new("create_twice");
    stage.postgres.execute(ORDERS);
    stage.config("tables:\n  - source: public.orders\n    current_view: true\n");
    let before = json(&stage, &["create-tables", "--check"], 4);
    let actions: Vec<&str> =
        before["steps"].as_array().unwrap().iter().map(|step| step["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["create_database", "create_table", "create_view"]);
    assert_eq!(before["differs"], true);
    assert!(create(&stage).contains("1 table created, 1 view created"));
    assert!(create(&stage).contains("nothing to do"));
    let after = json(&stage, &["create-tables", "--check"], 0);
    assert_eq!((&after["differs"], after["steps"].as_array().unwrap().len()), (&Value::Bool(false), 0));
    assert_eq!(column_type(&stage, "orders", "mood"), "LowCardinality(String)");
    assert_eq!(column_type(&stage, "orders", "total"), "Nullable(Decimal(12, 2))");
    stage.clickhouse.execute(
        "INSERT INTO {db}.orders VALUES (1, 'good', 1.5, NULL, '2024-01-01 00:00:00', 0, 0), (2, 'bad', 2, 'x', NULL, 0, 0), \
         (2, 'bad', 2, 'x', NULL, 9, 1), (1, 'bad', 1.5, NULL, NULL, 8, 0)",
    );
    assert_eq!(stage.clickhouse.value("SELECT id, mood FROM {db}.orders_current"), "1\tbad");
}

#[test]
fn a_dry_run_prints_what_would_be_run() {
    let stage = Stage::new("dry_run");
    stage.postgres.execute(ORDERS);
    stage.config(
        "tables:\n  - source: public.*\n    partition_by: toYYYYMM(at)\n    current_view: true\nstatements:\n  - name: totals\n    \
         sql: CREATE VIEW IF NOT EXISTS `${DB}`.totals AS SELECT sum(total) AS sum FROM `${DB}`.orders FINAL\n",
    );
    let invoke = |arguments: &[&str]| stage.invocation(arguments).env("DB", &stage.name).run();
    let dry = invoke(&["create-tables", "--dry-run"]);
    assert_eq!(dry.status, Some(0), "{dry}");
    assert_eq!(tables(&stage), "", "nothing was run");
    for lossy in ["-- lossy: orders.total: NaN becomes NULL", "-- lossy: orders.at: infinity, BC"] {
        assert!(dry.stdout.contains(lossy), "{dry}");
    }
    let shown = || {
        let database = &stage.clickhouse.database;
        stage.clickhouse.value(&format!(
            "SELECT name, create_table_query FROM system.tables WHERE database = '{database}' ORDER BY name"
        ))
    };
    assert_eq!(invoke(&["create-tables"]).status, Some(0));
    let applied = shown();
    assert_eq!(applied.lines().count(), 3, "{applied}");
    stage.clickhouse.execute("DROP DATABASE {db} SYNC");
    for statement in dry.stdout.split(";\n") {
        let sql: Vec<&str> = statement.lines().filter(|line| !line.starts_with("--")).collect();
        let sql = sql.join("\n");
        if !sql.trim().is_empty() {
            stage.clickhouse.execute(sql.trim_end_matches(';'));
        }
    }
    assert_eq!(shown(), applied);
    assert_eq!(invoke(&["create-tables", "--check"]).status, Some(0));
}

/// Each type, with a default that a column of it may be added with.
const TYPES: [(&str, &str, &str); 31] = [
    ("boolean", "true", "Nullable(Bool)"),
    ("smallint", "-32768", "Nullable(Int16)"),
    ("integer", "-2147483648", "Nullable(Int32)"),
    ("bigint", "-9223372036854775808", "Nullable(Int64)"),
    ("oid", "4294967295", "Nullable(UInt32)"),
    ("real", "3.4028235e38", "Nullable(Float32)"),
    ("double precision", "5e-324", "Nullable(Float64)"),
    ("numeric(12, 2)", "-1234.5", "Nullable(Decimal(12, 2))"),
    ("numeric(76, 10)", "1", "Nullable(Decimal(76, 10))"),
    ("numeric(5, -2)", "12300", "Nullable(String)"),
    ("numeric", "1.10", "Nullable(String)"),
    ("text", "E'it''s \\\\ \"q\"\\n\\t{},'", "Nullable(String)"),
    ("varchar(10)", "'ü'", "Nullable(String)"),
    ("char(5)", "'ab'", "Nullable(String)"),
    ("name", "'n'", "Nullable(String)"),
    ("json", "'{\"a\": 1.10, \"a\": 2}'", "Nullable(String)"),
    ("jsonb", "'{\"a\": [1, null]}'", "Nullable(String)"),
    ("xml", "'<a/>'", "Nullable(String)"),
    ("bytea", "'\\x00ff27'", "Nullable(String)"),
    ("date", "'1969-12-31'", "Nullable(Date32)"),
    ("timestamp", "'1969-12-31 23:59:59.999999'", "Nullable(DateTime64(6, 'UTC'))"),
    ("timestamptz", "'2024-02-29 12:00:00+05:30'", "Nullable(DateTime64(6, 'UTC'))"),
    ("uuid", "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'", "Nullable(UUID)"),
    ("mood", "'bad'", "LowCardinality(Nullable(String))"),
    ("interval", "'1 year 2 days'", "Nullable(String)"),
    ("inet", "'10.0.0.1/8'", "Nullable(String)"),
    ("int4range", "'[1,5)'", "Nullable(String)"),
    ("box", "'(1,1),(0,0)'", "Nullable(String)"),
    ("integer[]", "'{1,NULL,-3}'", "Array(Nullable(Int32))"),
    ("text[]", "'{\"a,b\",NULL,\"c\\\"d\"}'", "Array(Nullable(String))"),
    ("price", "9.99", "Nullable(Decimal(10, 2))"),
];

/// The types that this server can declare.
fn types() -> Vec<(&'static str, &'static str, &'static str)> {
    TYPES.into_iter().filter(|(kind, ..)| versions::can_declare(kind)).collect()
}

/// The same text on both sides: how each server writes a column for the comparison.
fn as_text(kind: &str, column: &str) -> (String, String) {
    let (postgres, clickhouse) = match kind {
        "boolean" => (format!("{column}::text"), format!("toString({column})")),
        "bytea" => (format!("encode({column}, 'hex')"), format!("lower(hex({column}))")),
        "real" => (
            format!("float8send({column}::float8)"),
            format!("'\\\\x' || lower(hex(reverse(reinterpretAsString(toFloat64({column})))))"),
        ),
        "double precision" => (
            format!("float8send({column})"),
            format!("'\\\\x' || leftPad(lower(hex(reinterpretAsUInt64({column}))), 16, '0')"),
        ),
        "timestamp" => (format!("to_char({column}, 'YYYY-MM-DD HH24:MI:SS.US')"), format!("toString({column})")),
        "timestamptz" => {
            (format!("to_char({column} AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')"), format!("toString({column})"))
        }
        "numeric(12, 2)" | "numeric(76, 10)" | "price" => {
            (format!("trim_scale({column})::text"), format!("toString({column})"))
        }
        "char(5)" => (format!("bpcharout({column})"), column.to_owned()),
        "integer[]" | "text[]" => (format!("array_to_json({column})::text"), format!("toJSONString({column})")),
        _ => (format!("{column}::text"), format!("toString({column})")),
    };
    (format!("coalesce({postgres}::text, '<null>')"), format!("ifNull({clickhouse}, '<null>')"))
}

#[test]
fn every_type_has_its_column_and_old_rows_answer_its_default() {
    let stage = Stage::new("every_type");
    stage.postgres.execute("CREATE TYPE mood AS ENUM ('good', 'bad'); CREATE DOMAIN price AS numeric(10, 2)");
    let types = types();
    let columns: Vec<String> = types.iter().enumerate().map(|(at, (kind, ..))| format!("c{at} {kind}")).collect();
    stage.postgres.execute(&format!("CREATE TABLE fresh (id int PRIMARY KEY, {})", columns.join(", ")));
    stage.postgres.execute("CREATE TABLE grown (id int PRIMARY KEY); INSERT INTO grown VALUES (1)");
    stage.config("tables:\n  - source: public.*\n");
    create(&stage);
    for (at, (kind, _, stored)) in types.iter().enumerate() {
        assert_eq!(column_type(&stage, "fresh", &format!("c{at}")), *stored, "{kind}");
    }
    stage.clickhouse.execute("INSERT INTO {db}.grown VALUES (1, 0, 0)");
    let added: Vec<String> = types
        .iter()
        .enumerate()
        .map(|(at, (kind, default, _))| format!("ADD c{at} {kind} DEFAULT {default}"))
        .collect();
    stage.postgres.execute(&format!("ALTER TABLE grown {}", added.join(", ")));
    let told = create(&stage);
    assert!(told.contains(&format!("{} columns added", types.len())) && !told.contains("warning"), "{told}");
    for (at, (kind, ..)) in types.iter().enumerate() {
        let (postgres, clickhouse) = as_text(kind, &format!("c{at}"));
        let there = stage.postgres.value(&format!("SELECT {postgres} FROM grown"));
        let here = stage.clickhouse.rows(&format!("SELECT {clickhouse} AS value FROM {{db}}.grown FINAL"));
        assert_eq!(here[0]["value"].as_str(), Some(there.as_str()), "{kind}");
    }
    let left = format!("SELECT count() FROM system.columns WHERE database = '{}' AND default_kind != ''", stage.name);
    assert_eq!(stage.clickhouse.value(&left), "0", "no default is left behind");
    assert_eq!(stage.pipectl(&["create-tables", "--check"]).status, Some(0));
}

#[test]
fn columns_whose_old_values_nobody_knows_are_told() {
    let stage = Stage::new("unknown_values");
    stage.postgres.execute("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)");
    stage.config("tables:\n  - source: public.t\n");
    create(&stage);
    stage.clickhouse.execute("INSERT INTO {db}.t VALUES (1, 0, 0)");
    // A volatile default rewrites the table and sends nothing.
    stage.postgres.execute("ALTER TABLE t ADD a float8 NOT NULL DEFAULT random(), ADD b int NOT NULL DEFAULT 5");
    let told = create(&stage);
    assert!(told.contains("warning: columns \"a\", \"b\"") && told.contains("pipectl resync"), "{told}");
    assert_eq!(column_type(&stage, "t", "b"), "Nullable(Int32)");
    assert_eq!(stage.clickhouse.value("SELECT a, b FROM {db}.t"), "\\N\t\\N", "never a plausible wrong value");
    assert_eq!(stage.pipectl(&["create-tables", "--check"]).status, Some(0));
}

#[test]
fn an_interrupted_column_is_finished() {
    let stage = Stage::new("interrupted_column");
    stage.postgres.execute("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)");
    stage.config("tables:\n  - source: public.t\n");
    create(&stage);
    stage.clickhouse.execute("INSERT INTO {db}.t VALUES (1, 0, 0)");
    stage.postgres.execute("ALTER TABLE t ADD word text NOT NULL DEFAULT E'a\\nb', ADD age int NOT NULL DEFAULT 5");
    stage.clickhouse.execute("ALTER TABLE {db}.t ADD COLUMN word String DEFAULT 'a\\nb'");
    assert_eq!(stage.pipectl(&["create-tables", "--check"]).status, Some(4));
    create(&stage);
    assert_eq!(stage.clickhouse.value("SELECT * EXCEPT (_version, _deleted) FROM {db}.t"), "1\ta\\nb\t5");
    assert_eq!(stage.pipectl(&["create-tables", "--check"]).status, Some(0));
}

#[test]
fn tables_that_are_written_out_need_no_postgres() {
    let stage = Stage::new("written_out");
    let config = |columns: &str| {
        let text = format!(
            "pipeline: {0}\nclickhouse:\n  url: ${{CLICKHOUSE_URL}}\n  database: {0}\ntables:\n  - source: clicks\n    \
             order_by: [id]\n    current_view: true\n    columns:\n{columns}",
            stage.name
        );
        stage.directory.write("clickhouse_config.yml", &text);
    };
    let invoke = |arguments: &[&str]| {
        Invocation::new(&stage.directory, arguments).env("CLICKHOUSE_URL", &stage.clickhouse.url).run()
    };
    let columns = "      - {name: id, type: UInt64}\n      - {name: kind, type: \"Enum8('a'=1)\"}\n";
    config(columns);
    let outcome = invoke(&["create-tables"]);
    assert_eq!(outcome.status, Some(0), "{outcome}");
    assert_eq!(column_type(&stage, "clicks", "kind"), "Enum8('a' = 1)");
    assert_eq!(invoke(&["create-tables", "--check"]).status, Some(0));
    config(&format!("{columns}      - {{name: at, type: DateTime64(6)}}\n"));
    assert_eq!(invoke(&["create-tables", "--check"]).status, Some(4));
    assert_eq!(invoke(&["create-tables"]).status, Some(0));
    assert_eq!(invoke(&["create-tables", "--check"]).status, Some(0), "the view has the new column too");
    config("      - {name: id, type: Intt64}\n");
    let outcome = invoke(&["create-tables"]);
    assert_eq!(outcome.status, Some(3), "{outcome}");
    assert!(outcome.stderr.contains("\"id\"") && outcome.stderr.contains("Intt64"), "{outcome}");
}

#[test]
fn statements_run_last_and_in_order() {
    let stage = Stage::new("statements");
    stage.postgres.execute(ORDERS);
    let head = "tables:\n  - source: public.orders\nstatements:\n";
    let statements = format!(
        "  - name: copy\n    sql: CREATE TABLE IF NOT EXISTS {0}.copy AS {0}.orders\n  - name: fill\n    sql: INSERT INTO {0}.copy \
         (id) VALUES (1);\n",
        stage.name
    );
    stage.config(&format!("{head}{statements}"));
    assert!(create(&stage).contains("1 table created, 2 statements run"));
    assert_eq!(stage.clickhouse.value("SELECT id FROM {db}.copy"), "1");
    stage.config(&format!("{head}{statements}  - name: broken\n    sql: SELEC 1\n"));
    let told = refused(&stage, 6);
    assert!(told.contains("could not run the statement \"broken\"") && told.contains("Syntax error"), "{told}");
}

#[test]
fn a_table_of_another_shape_is_refused_and_nothing_is_made() {
    let stage = Stage::new("another_shape");
    stage.postgres.execute(ORDERS);
    stage.postgres.execute("CREATE TABLE fine (id int PRIMARY KEY); CREATE TABLE other (id int PRIMARY KEY, a int)");
    stage.config("tables:\n  - source: public.*\n");
    stage.clickhouse.execute("CREATE DATABASE {db}");
    stage.clickhouse.execute("CREATE TABLE {db}.orders (id Int64) ENGINE = MergeTree ORDER BY id");
    stage.clickhouse.execute(
        "CREATE TABLE {db}.other (id Int32, a Date, _version UInt128, _deleted UInt8) \
         ENGINE = ReplacingMergeTree(_version, _deleted) ORDER BY id",
    );
    let told = refused(&stage, 6);
    for reason in
        ["2 tables cannot be made", "its engine is MergeTree", "its column \"a\" is Date, not Nullable(Int32)"]
    {
        assert!(told.contains(reason), "{told}");
    }
    assert_eq!(tables(&stage), "orders\nother");
    let found = json(&stage, &["create-tables", "--check"], 4);
    assert_eq!(found["refusals"].as_array().unwrap().len(), 2);
    assert_eq!(found["steps"][0]["target"], "fine");
}

#[test]
fn narrower_columns_are_widened_in_place() {
    let stage = Stage::new("widened");
    stage.postgres.execute("CREATE TABLE t (id int PRIMARY KEY, n smallint NOT NULL, d numeric(5, 2))");
    stage.config("tables:\n  - source: public.t\n");
    create(&stage);
    stage.clickhouse.execute("INSERT INTO {db}.t VALUES (1, 7, 1.25, 0, 0)");
    stage.postgres.execute("ALTER TABLE t ALTER n TYPE bigint, ALTER n DROP NOT NULL, ALTER d TYPE numeric(20, 4)");
    assert!(create(&stage).contains("2 columns widened"));
    assert_eq!(column_type(&stage, "t", "n"), "Nullable(Int64)");
    assert_eq!(stage.clickhouse.value("SELECT id, n, d FROM {db}.t"), "1\t7\t1.25");
    assert_eq!(stage.pipectl(&["create-tables", "--check"]).status, Some(0));
}

#[test]
fn a_column_with_the_name_of_pipectls_own_is_told_with_the_way_out() {
    let stage = Stage::new("clash");
    stage.postgres.execute("CREATE TABLE t (id int PRIMARY KEY, _version int)");
    stage.config("tables:\n  - source: public.t\n");
    let told = refused(&stage, 3);
    assert!(told.contains("its column \"_version\"") && told.contains("clickhouse.version_column"), "{told}");
    stage.config("  version_column: _pipectl_version\ntables:\n  - source: public.t\n");
    create(&stage);
    assert_eq!(column_type(&stage, "t", "_pipectl_version"), "UInt128");
}

#[test]
fn awkward_names_arrive_as_they_are() {
    let stage = Stage::new("awkward_names");
    let columns = [
        "Case",
        "case",
        "a`b",
        "q\"uote's",
        "back\\slash",
        "Ünï ツ",
        "select",
        "dot.ted",
        "new\nline",
        "{x:Int32}",
        "?",
    ];
    let quoted: Vec<String> =
        columns.iter().map(|name| format!("\"{}\" int DEFAULT 3", name.replace('"', "\"\""))).collect();
    stage.postgres.execute(&format!(
        "CREATE SCHEMA \"Odd `schema\"; CREATE TABLE \"Odd `schema\".\"T.'b\"\"le?\" ({}, \
         PRIMARY KEY (\"a`b\", \"Ünï ツ\", \"Case\"))",
        quoted.join(", ")
    ));
    stage.config("tables:\n  - source: Odd `schema.*\n    current_view: true\n");
    create(&stage);
    let database = &stage.clickhouse.database;
    let found = stage
        .clickhouse
        .rows(&format!("SELECT name FROM system.columns WHERE database = '{database}' AND table NOT LIKE '%current'"));
    let found: Vec<&str> = found.iter().map(|row| row["name"].as_str().unwrap()).collect();
    assert_eq!(found[..columns.len()], columns);
    let table = stage
        .clickhouse
        .rows(&format!("SELECT name FROM system.tables WHERE database = '{database}' AND engine != 'View'"));
    assert_eq!(table[0]["name"], "Odd `schema_T.'b\"le?");
    assert_eq!(stage.pipectl(&["create-tables", "--check"]).status, Some(0));
    stage.clickhouse.execute("INSERT INTO {db}.`Odd \\`schema_T.\\'b\"le?` (`a\\`b`) VALUES (1)");
    stage.postgres.execute("ALTER TABLE \"Odd `schema\".\"T.'b\"\"le?\" ADD \"n`ew\" int DEFAULT 4");
    create(&stage);
    assert_eq!(
        stage.clickhouse.value("SELECT `a\\`b`, `n\\`ew` FROM {db}.`Odd \\`schema_T.\\'b\"le?_current`"),
        "1\t4"
    );
}

#[test]
fn the_ddl_of_a_cluster_is_what_clickhouse_understands() {
    let stage = Stage::new("cluster_ddl");
    stage.postgres.execute(ORDERS);
    stage.config("  cluster: my cluster\ntables:\n  - source: public.orders\n    current_view: true\n    partition_by: toYYYYMM(at)\n");
    let steps = json(&stage, &["create-tables", "--dry-run"], 0)["steps"].clone();
    let statements: Vec<&str> = steps
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|step| step["statements"].as_array().unwrap())
        .map(|sql| sql.as_str().unwrap())
        .collect();
    assert_eq!(statements.len(), 3);
    for sql in statements {
        assert!(sql.contains(" ON CLUSTER `my cluster`"), "{sql}");
        stage.clickhouse.execute(&format!("EXPLAIN AST {sql}"));
        let literal = sql.replace('\\', "\\\\").replace('\'', "\\'");
        let formatted = stage.clickhouse.rows(&format!("SELECT formatQuery('{literal}') AS sql"));
        assert!(formatted[0]["sql"].as_str().unwrap().contains("ON CLUSTER `my cluster`"), "{formatted:?}");
    }
}

#[test]
fn tables_without_a_key_are_left_out_or_take_inserts_alone() {
    let stage = Stage::new("keyless");
    stage.postgres.execute("CREATE TABLE log (line text); CREATE UNLOGGED TABLE cache (id int PRIMARY KEY)");
    stage.postgres.execute("CREATE TABLE swap (id int PRIMARY KEY DEFERRABLE); CREATE TABLE t (id int PRIMARY KEY)");
    stage.config("tables:\n  - source: public.*\n  - source: public.log\n    keyless: insert_only\n");
    let told = create(&stage);
    assert!(told.contains("public.swap is left out") && told.contains("public.cache is left out"), "{told}");
    assert_eq!(tables(&stage), "log\nt");
    let sorted = format!("SELECT sorting_key FROM system.tables WHERE database = '{}' AND name = 'log'", stage.name);
    assert_eq!(stage.clickhouse.value(&sorted), "_version, _ordinal");
    assert_eq!(stage.pipectl(&["create-tables", "--check"]).status, Some(0));
}

#[test]
fn a_partitioned_table_is_one_table() {
    let stage = Stage::new("partitioned");
    stage.postgres.execute(
        "CREATE TABLE m (id int, at date, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
         CREATE TABLE m_24 PARTITION OF m FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
         INSERT INTO m VALUES (1, '2024-05-05'); ALTER TABLE m ADD z text NOT NULL DEFAULT 'zz'",
    );
    stage.config("tables:\n  - source: public.*\n");
    stage.clickhouse.execute("CREATE DATABASE {db}");
    stage.clickhouse.execute(
        "CREATE TABLE {db}.m (id Int32, at String, _version UInt128, _deleted UInt8) \
         ENGINE = ReplacingMergeTree(_version, _deleted) ORDER BY (id, at)",
    );
    stage.clickhouse.execute("INSERT INTO {db}.m VALUES (1, '2024-05-05', 0, 0)");
    create(&stage);
    assert_eq!(tables(&stage), "m");
    assert_eq!(stage.clickhouse.value("SELECT z FROM {db}.m"), "zz", "the value lies with the leaf, not with the root");
}

#[test]
fn mistakes_in_tables_are_configuration_errors() {
    let stage = Stage::new("mistakes");
    stage.postgres.execute(ORDERS);
    for (rest, reason) in [
        ("  - source: public.Orders\n", "did you mean public.orders?"),
        (
            "  - source: public.orders\n    columns: {total: {type: Int32}}\n",
            "column \"total\" of type numeric(12,2) cannot be stored as Int32",
        ),
        ("  - source: public.orders\n    columns: {totl: {exclude: true}}\n", "\"totl\""),
        ("  - source: public.orders\n    order_by: [at, id]\n", "REPLICA IDENTITY FULL"),
        ("  - source: public.orders\n    order_by: [at]\n", "leaves out \"id\""),
        ("  - source: public.orders\n    mode: log\n    order_by: [id]\n", "only goes with `mode: replica`"),
    ] {
        stage.config(&format!("tables:\n{rest}"));
        let told = refused(&stage, 3);
        assert!(told.contains(reason), "{rest}: {told}");
        assert_eq!(stage.pipectl(&["create-tables", "--check"]).status, Some(3), "{rest}");
    }
    assert_eq!(tables(&stage), "");
}
