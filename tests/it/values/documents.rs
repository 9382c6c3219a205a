//! Documents in columns of the type `JSON`: each comes back as Postgres has it, or is NULL and counted. Postgres itself says what equal is.

use crate::support::{Outcome, Stage};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::Value;
use std::collections::BTreeSet;

/// Without keys whose value is null or an empty object: what the type does not tell from absent ones.
const STRIPPED: &str = "
    CREATE FUNCTION stripped(d jsonb) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN CASE jsonb_typeof(d)
        WHEN 'object' THEN (SELECT coalesce(jsonb_object_agg(key, stripped(value))
            FILTER (WHERE value <> 'null' AND stripped(value) <> '{}'), '{}') FROM jsonb_each(d))
        WHEN 'array' THEN (SELECT coalesce(jsonb_agg(stripped(e) ORDER BY n), '[]') FROM jsonb_array_elements(d) WITH ORDINALITY AS u(e, n))
        ELSE d END; END $$;";

/// Keys of which some are everywhere, so that other documents have other types under them.
const KEYS: [&str; 20] = [
    "a", "b", "c", "d", "", "é", "🎈", "null", "a b", "x\"y", "\\", "[]", "^a", ":Int64", "size0", "%2E", "a%2Eb", "@",
    "0", "_",
];
const TEXTS: [&str; 16] = [
    "",
    "2020-01-01",
    "2020-01-01 00:00:00",
    "1",
    "1.5",
    "true",
    "null",
    "é✓🎈",
    "\u{1}\u{7f}",
    "\\\"/",
    "\t\n",
    "{}",
    "[1]",
    "a.b",
    "\u{202e}",
    "12:00:00",
];
const NUMBERS: [&str; 22] = [
    "0",
    "-0",
    "-0.0",
    "1.10",
    "1e2",
    "100.0",
    "9007199254740992",
    "9007199254740993",
    "9223372036854775807",
    "-9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "12345678901234567890123",
    "1e20",
    "1e21",
    "1e-7",
    "5e-324",
    "1e400",
    "0.30000000000000004",
    "0.1234567890123456789",
    "-1",
    "7",
];

/// Documents from a seed.
struct Documents(StdRng);

impl Documents {
    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.0.random_range(0..of.len())]
    }

    /// Now and then with half of its characters escaped.
    fn text(&mut self, text: &str) -> String {
        if self.0.random_ratio(3, 4) {
            return Value::from(text).to_string();
        }
        let units: Vec<String> = text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
        format!("\"{}\"", units.concat())
    }

    fn number(&mut self) -> String {
        match self.0.random_range(0..5) {
            0 => self.one(&NUMBERS).to_owned(),
            1 => self.0.random::<i64>().to_string(),
            2 => format!("{:e}", f64::from_bits(self.0.random::<u64>() & !(1 << 62))),
            3 => format!("{:.2}", self.0.random_range(-1000.0..1000.0)),
            _ => self.0.random_range(-3..3).to_string(),
        }
    }

    fn value(&mut self, depth: u32) -> String {
        match self.0.random_range(0..if depth == 0 { 6 } else { 10 }) {
            0 => self.one(&["null", "true", "false"]).to_owned(),
            1 | 2 => self.number(),
            3..6 => {
                let text = self.one(&TEXTS);
                self.text(text)
            }
            6 if self.0.random_ratio(1, 2) => {
                let elements: Vec<&str> =
                    (0..3).map(|_| self.one(&["[1]", "[]", "[null, 2]", "[1.5]", "null"])).collect();
                format!("[{}]", elements.join(", "))
            }
            6 | 7 => {
                let elements: Vec<String> = (0..self.0.random_range(0..4)).map(|_| self.value(depth - 1)).collect();
                format!("[{}]", elements.join(", "))
            }
            _ => self.object(depth - 1),
        }
    }

    fn object(&mut self, depth: u32) -> String {
        let mut keys: Vec<&str> = (0..self.0.random_range(0..5)).map(|_| self.one(&KEYS)).collect();
        if self.0.random_ratio(19, 20) {
            keys = keys.into_iter().collect::<BTreeSet<_>>().into_iter().collect();
        }
        if self.0.random_ratio(1, 40) {
            keys.push("a.b");
        }
        let members: Vec<String> = keys
            .into_iter()
            .map(|key| {
                let key = self.text(key);
                format!("{key}:  {}", self.value(depth))
            })
            .collect();
        format!("{{{}}}", members.join(", "))
    }

    /// Most are objects.
    fn document(&mut self) -> String {
        let depth = self.0.random_range(0..5);
        if self.0.random_ratio(1, 30) { self.value(depth) } else { self.object(depth) }
    }
}

fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn done(outcome: Outcome) -> Outcome {
    assert_eq!(outcome.status, Some(0), "{outcome}");
    outcome
}

/// Rows from a number on: the same documents as `json` and `jsonb`, out of line where they are not short.
fn insert(stage: &Stage, documents: &mut Documents, first: usize, tables: &[&str]) {
    let rows: Vec<String> = (first..first + 150)
        .map(|id| {
            let document = quote(&documents.document());
            format!("({id}, 0, repeat(md5({id}::text), 100), {document}::json, CASE {id} % 9 WHEN 0 THEN NULL ELSE {document}::jsonb END)")
        })
        .collect();
    for table in tables {
        stage.postgres.execute(&format!("INSERT INTO {table} VALUES {}", rows.join(", ")));
    }
}

/// Every document that is stored is Postgres'. Returns how many of a column are NULL although Postgres has one.
fn prove(stage: &Stage, table: &str, column: &str, seed: u64) -> u64 {
    let rows = stage.clickhouse.value(&format!(
        "SELECT id, base64Encode(ifNull(toString({column}), '')) FROM {{db}}.{table} FINAL WHERE _deleted = 0 ORDER BY id \
         SETTINGS output_format_json_quote_64bit_integers = 0"
    ));
    let values: Vec<String> = rows
        .lines()
        .map(|row| {
            let (id, text) = row.split_once('\t').unwrap();
            format!("({id}, nullif(convert_from(decode('{text}', 'base64'), 'UTF8'), '')::jsonb)")
        })
        .collect();
    let joined = format!("{table} AS t FULL JOIN (VALUES {}) AS s(id, d) USING (id)", values.join(", "));
    let wrong = stage.postgres.rows(&format!(
        "SELECT id, t.{column}, s.d FROM {joined} WHERE num_nulls(t.id, s.id) > 0 OR num_nulls(s.d) = 0 \
         AND stripped(t.{column}::jsonb) IS DISTINCT FROM stripped(s.d) LIMIT 5"
    ));
    assert!(wrong.is_empty(), "PIPECTL_VALUES_SEED={seed}, {table}.{column}: {wrong:?}");
    let lost = format!("SELECT count(*) FROM {joined} WHERE num_nulls(t.{column}) = 0 AND num_nulls(s.d) = 1");
    let lost = stage.postgres.value(&lost).parse().unwrap();
    let all: u64 = stage.postgres.value(&format!("SELECT count({column}) FROM {table}")).parse().unwrap();
    assert!(lost > 0 && lost * 2 < all, "PIPECTL_VALUES_SEED={seed}: {lost} of {all} are NULL");
    lost
}

fn found(stage: &Stage, arguments: &[&str]) -> Value {
    let outcome = stage.pipectl(arguments);
    serde_json::from_str(&outcome.stdout).unwrap_or_else(|error| panic!("{error}: {outcome}"))
}

#[test]
fn a_document_comes_back_or_is_null_and_counted() {
    let seed = super::number("PIPECTL_VALUES_SEED").unwrap_or(20_262);
    let seed = if seed == 0 { rand::random() } else { seed };
    eprintln!("PIPECTL_VALUES_SEED={seed}");
    let stage = Stage::new("documents");
    let mut documents = Documents(StdRng::seed_from_u64(seed));
    stage.postgres.execute(STRIPPED);
    let tables = ["plain", "kept", "logged"];
    for table in tables {
        stage.postgres.execute(&format!(
            "CREATE TABLE {table} (id int PRIMARY KEY, n int, pad text, j json NOT NULL, b jsonb) WITH (toast_tuple_target = 128);
             ALTER TABLE {table} ALTER j SET STORAGE EXTERNAL, ALTER b SET STORAGE EXTERNAL;"
        ));
    }
    let types = "columns: {j: {type: JSON}, b: {type: Nullable(JSON)}}";
    stage.config(&format!(
        "tables:\n  - source: public.plain\n    {types}\n  - source: public.kept\n    deletes: keep\n    {types}\n  - source: public.logged\n    mode: log\n    {types}\n"
    ));
    insert(&stage, &mut documents, 0, &tables);
    done(stage.pipectl(&["sync", "--until-caught-up"]));
    prove(&stage, "plain", "j", seed);
    insert(&stage, &mut documents, 1000, &tables);
    done(stage.pipectl(&["sync", "--until-caught-up"]));
    prove(&stage, "plain", "b", seed);
    // Documents out of line are not sent, and come back from ClickHouse; rows go, and all of a table's.
    for table in tables {
        stage
            .postgres
            .execute(&format!("UPDATE {table} SET n = 1 WHERE id % 2 = 0; DELETE FROM {table} WHERE id % 10 = 3"));
    }
    let out_of_line =
        stage.admin.value("SELECT reltoastrelid::regclass FROM pg_class WHERE oid = 'public.plain'::regclass");
    let out_of_line = stage.admin.value(&format!("SELECT count(DISTINCT chunk_id) > 100 FROM {out_of_line}"));
    assert_eq!(out_of_line, "t");
    done(stage.pipectl(&["sync", "--until-caught-up"]));
    let lost = [("j", prove(&stage, "plain", "j", seed)), ("b", prove(&stage, "plain", "b", seed))];
    stage.clickhouse.execute("OPTIMIZE TABLE {db}.plain FINAL");
    for (column, lost) in lost {
        assert_eq!(prove(&stage, "plain", column, seed), lost, "merged: {column}");
    }
    // All three tables have the same rows now.
    let equal = found(&stage, &["verify", "--output", "json"]);
    assert_eq!(equal["equal"], true, "PIPECTL_VALUES_SEED={seed}: {equal:#}");
    for table in equal["tables"].as_array().unwrap() {
        for (column, lost) in lost {
            assert_eq!(table["policy_nulls"][column], lost, "PIPECTL_VALUES_SEED={seed}, {column}: {table:#}");
        }
    }
    let strictly = found(&stage, &["verify", "--strict", "--output", "json"]);
    assert_eq!(
        (&strictly["equal"], &strictly["tables"][0]["policy_nulls"]["j"]),
        (&Value::from(false), &Value::from(lost[0].1))
    );
    stage.postgres.execute("TRUNCATE plain, kept, logged");
    stage.catch_up_and_verify();
    assert_eq!(
        stage.clickhouse.value("SELECT count(), countIf(_source_deleted_at IS NOT NULL) FROM {db}.kept FINAL"),
        "300\t300"
    );
}

/// What pipectl's own inserts say of the documents that these tests are about.
const SETTINGS: &str = "SETTINGS input_format_try_infer_dates = 0, input_format_try_infer_datetimes = 0, input_format_null_as_default = 0, \
    input_format_json_read_bools_as_numbers = 0, input_format_json_read_bools_as_strings = 0, output_format_json_quote_64bit_integers = 0";

/// Each of them is refused by the server, or comes back as another one, alone or beside another row, or when it is stored again as it came back; and what
/// it is compared with comes back.
#[test]
fn the_server_itself_cannot_hold_what_becomes_null() {
    let stage = Stage::new("documents_facts");
    stage.clickhouse.execute("CREATE DATABASE {db}");
    stage.clickhouse.execute("CREATE TABLE {db}.t (id Int32, d Nullable(JSON)) ENGINE = MergeTree ORDER BY id");
    let back = |documents: &[&str]| {
        stage.clickhouse.execute("TRUNCATE TABLE {db}.t");
        let text = |text: &str| format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"));
        let documents: Vec<String> = documents.iter().map(|document| text(document)).collect();
        // One block, and row after row, whatever constants would make of it.
        let inserted = format!(
            "INSERT INTO {{db}}.t SELECT rowNumberInAllBlocks(), CAST(materialize(d), 'JSON') FROM (SELECT arrayJoin([{}]) AS d) {SETTINGS}",
            documents.join(", ")
        );
        stage.clickhouse.try_value(&inserted)?;
        let sql = format!("SELECT toString(d) FROM {{db}}.t ORDER BY id DESC LIMIT 1 {SETTINGS}");
        Some(stage.clickhouse.value(&sql).replace("\\\\", "\\"))
    };
    let held = [
        r#"{"a":[true,1,"2020-01-01",1.5,null,{"b":[[]]}]}"#,
        r#"{"":{"null":18446744073709551615}}"#,
        r#"{"a":1e21}"#,
    ];
    for document in held {
        assert_eq!(back(&[document]).as_deref(), Some(document));
    }
    let lost: [&[&str]; 15] = [
        &["null"],
        &["[]"],
        &["1"],
        &[r#"{"a":1,"a":1}"#],
        &[r#"{"a.b":1}"#],
        &[r#"{"a":18446744073709551616}"#],
        &[r#"{"a":-9223372036854775809}"#],
        &[r#"{"a":1e400}"#],
        &[r#"{"a":0.1234567890123456789}"#],
        &[r#"{"a":"\ud800"}"#],
        &[r#"{"a":[null,[1]]}"#],
        &[r#"{"a":[[1],null]}"#],
        &[r#"{"a":[1.5]}"#, r#"{"a":[9007199254740993]}"#],
        &[r#"{"a":{}}"#],
        &[r#"{"a":null}"#],
    ];
    for documents in lost {
        assert_ne!(back(documents).as_deref(), documents.last().copied());
    }
    let written = back(&[r#"{"a":1e20}"#]).unwrap();
    assert_eq!((written.as_str(), back(&[&written])), (r#"{"a":100000000000000000000}"#, None));
}

/// Numbers are what they are by one of the server's two parsers alone: what is asked of it tells which it has.
#[test]
fn the_parser_that_rounds_is_told_from_the_one_that_does_not() {
    let stage = Stage::new("documents_parsers");
    let asked = include_str!("../../../sql/clickhouse/exact_documents.sql");
    let other = asked.replace("allow_simdjson = 1", "allow_simdjson = 0");
    assert_eq!((stage.clickhouse.value(asked), stage.clickhouse.value(&other)), ("1".into(), "0".into()));
}

/// A value inside of a document that somebody changed is found and mended.
#[test]
fn a_spoiled_document_is_found_and_mended() {
    let stage = Stage::new("documents_spoiled");
    stage.postgres.execute(
        r#"CREATE TABLE t (id int PRIMARY KEY, d jsonb NOT NULL, other text);
        INSERT INTO t SELECT n, jsonb_build_object('n', n, 'on', '2020-01-01', 'deep', jsonb_build_array(jsonb_build_object('at', '2020-01-01', 'x', n + 0.25), true, 1)), 'o'
            FROM generate_series(1, 3000) AS n;
        INSERT INTO t VALUES (4000, '[1]', 'o'), (4001, '{"a": null}', 'o');"#,
    );
    stage.config("tables:\n  - source: public.t\n    columns: {d: {type: JSON}}\n");
    stage.catch_up_and_verify();
    let read =
        |what: &str, id: u32| stage.clickhouse.value(&format!("SELECT {what} FROM {{db}}.t FINAL WHERE id = {id}"));
    assert_eq!(read("d.n, d.n.:Int64, d.deep[1].at, isNull(d.absent)", 7), "7\t7\t2020-01-01\t1");
    assert_eq!(read("JSONAllPathsWithTypes(d)", 7), "{'deep':'Array(Dynamic)','n':'Int64','on':'String'}");
    let spoiled = [
        (17, r#"{"n": 17, "on": "2020-01-01", "deep": [{"at": "2020-01-02", "x": 17.25}, true, 1]}"#),
        (18, r#"{"n": 18, "on": "2020-01-01", "deep": [{"at": "2020-01-01", "x": 18.25}, 1, 1]}"#),
        (19, r#"{"n": "19", "on": "2020-01-01", "deep": [{"at": "2020-01-01", "x": 19.25}, true, 1]}"#),
        (20, r#"{"n": 20}"#),
        (4000, "{}"),
        (4001, r#"{"a": 1}"#),
    ];
    for (id, document) in spoiled {
        stage.clickhouse.execute(&format!(
            "INSERT INTO {{db}}.t SELECT * REPLACE (CAST('{document}', 'Nullable(JSON)') AS d) FROM {{db}}.t FINAL WHERE id = {id} \
             SETTINGS input_format_try_infer_dates = 0, input_format_json_read_bools_as_numbers = 0"
        ));
    }
    stage.clickhouse.execute("INSERT INTO {db}.t SELECT * REPLACE (NULL AS d) FROM {db}.t FINAL WHERE id = 21");
    let differing = found(&stage, &["verify", "--show-values", "--output", "json"]);
    let rows = differing["tables"][0]["differences"].as_array().unwrap();
    let mut ids: Vec<&str> = rows.iter().map(|row| row["key"][0][1].as_str().unwrap()).collect();
    ids.sort_unstable();
    assert_eq!(ids, ["17", "18", "19", "20", "21", "4000", "4001"], "{differing:#}");
    for row in rows {
        assert_eq!(
            (row["columns"].as_array().unwrap().len(), &row["columns"][0]["name"]),
            (1, &Value::from("d")),
            "{row:#}"
        );
    }
    done(stage.pipectl(&["verify", "--repair", "--yes"]));
    assert_eq!(
        (read("d.n", 19), read("toString(d)", 4000), read("toString(d)", 4001)),
        ("19".into(), "\\N".into(), "{}".into())
    );
    let told = found(&stage, &["verify", "--output", "json"]);
    assert_eq!((&told["equal"], &told["tables"][0]["policy_nulls"]["d"]), (&Value::from(true), &Value::from(1)));
}
