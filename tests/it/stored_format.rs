//! What is stored, byte for byte: the contract of `docs/stored-format.md`. What fails here is felt by every pipeline that exists; the files of
//! `tests/fixtures/stored_format` change together with that page, and where an earlier version must not read on, with the format's version.

use crate::support::{Outcome, Stage, run};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;

const SCHEMA: &str =
    "CREATE TABLE orders (id int PRIMARY KEY, note text NOT NULL, total numeric(10,2), at timestamptz);
    INSERT INTO orders SELECT i, 'copied', i + 0.5, '2024-02-29 12:00:00.000001Z' FROM generate_series(1, 4) i;
    CREATE TABLE visits (path text NOT NULL, pages int[]);
    INSERT INTO visits VALUES ('/', '{1,2}'), ('/', NULL);
    CREATE TABLE moves (id int PRIMARY KEY, place text NOT NULL);
    INSERT INTO moves VALUES (1, 'copied'), (2, 'copied');
    CREATE TABLE clicks (page text NOT NULL, n int); ALTER TABLE clicks REPLICA IDENTITY FULL;
    INSERT INTO clicks VALUES ('/', 1), ('/', 1), ('/c', NULL);
    CREATE TABLE guests (id int PRIMARY KEY, name text NOT NULL);
    INSERT INTO guests VALUES (1, 'stays'), (2, 'goes'), (3, 'goes');";
const CONFIG: &str = "tables:\n  - source: public.*\n    keyless: insert_only\n  - source: public.orders\n    current_view: true\n  - source: public.moves\n    mode: log\n  \
     - source: public.clicks\n    keyless: multiset\n  - source: public.guests\n    deletes: keep\n    current_view: true\n";
/// Each element is a transaction.
const CHANGES: [&str; 3] = [
    "INSERT INTO orders VALUES (5, 'new', NULL, NULL); UPDATE orders SET note = 'changed' WHERE id = 1;
     INSERT INTO moves VALUES (3, 'new'); UPDATE moves SET place = 'changed' WHERE id = 1; UPDATE moves SET id = 20 WHERE id = 2;
     INSERT INTO clicks VALUES ('/', 1); UPDATE clicks SET n = 2 WHERE page = '/c'; INSERT INTO guests VALUES (4, 'new')",
    "BEGIN; DELETE FROM orders WHERE id = 2; UPDATE orders SET id = 30 WHERE id = 3; DELETE FROM moves WHERE id = 1;
     DELETE FROM clicks WHERE ctid = '(0,1)'; DELETE FROM guests WHERE id = 2; UPDATE guests SET id = 30 WHERE id = 3; COMMIT",
    "INSERT INTO visits VALUES ('/a', NULL), ('/b', '{}'); TRUNCATE moves, clicks; INSERT INTO moves VALUES (5, 'behind it');
     INSERT INTO clicks VALUES ('/', 3); UPDATE guests SET name = 'changed' WHERE id = 1",
];

fn pipeline(test: &str) -> Stage {
    let stage = Stage::new(test);
    stage.postgres.execute(SCHEMA);
    stage.config(CONFIG);
    stage.catch_up_and_verify();
    stage
}

fn pinned(file: &str, found: &str) {
    let path = format!("{}/tests/fixtures/stored_format/{file}", env!("CARGO_MANIFEST_DIR"));
    let wanted = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == wanted, "{path} says otherwise; found was\n{found}");
}

/// What Postgres itself says of the log's places: a name for each commit and each record of a change, by its LSN.
fn places(stage: &Stage) -> BTreeMap<String, String> {
    let rows = stage.admin.rows(&format!(
        "SELECT chr(get_byte(data, 0)), lsn - '0/0'::pg_lsn, ('x' || encode(substr(data, 2, 8), 'hex'))::bit(64)::bigint
         FROM pg_logical_slot_peek_binary_changes('{0}_places', NULL, NULL, 'proto_version', '1', 'publication_names',
            (SELECT string_agg(pubname, ',') FROM pg_publication))
         WHERE chr(get_byte(data, 0)) IN ('B', 'I', 'U', 'D', 'T')",
        stage.name
    ));
    let (mut places, mut commit, mut commits, mut records) = (BTreeMap::new(), String::new(), 0, 0);
    for row in rows {
        let [Some(kind), Some(record), begin] = row.as_slice() else { panic!("{row:?}") };
        if kind == "B" {
            (commit, records) = (begin.clone().unwrap_or_default(), 0);
            continue;
        }
        if records == 0 {
            commits += 1;
            places.insert(commit.clone(), format!("commit {commits}"));
        }
        records += 1;
        places.insert(record.clone(), format!("record {commits}.{records}"));
    }
    places
}

/// The rows of a table with both halves of their versions, each named by its place.
fn rows(stage: &Stage, table: &str, columns: &str, places: &BTreeMap<String, String>) -> String {
    let text = stage.clickhouse.value(&format!(
        "SELECT {columns}, '|', toUInt64(bitShiftRight(_version, 64)) AS high, toUInt64(_version) AS low
         FROM {{db}}.{table} ORDER BY _version, {columns}"
    ));
    let mut out = format!("{table}: {columns}, the halves of _version\n");
    for line in text.lines() {
        let (values, halves) = line.split_once("\t|\t").unwrap();
        let halves: Vec<&str> = halves.split('\t').map(|half| places.get(half).map_or(half, String::as_str)).collect();
        writeln!(out, "{values}\t| {} | {}", halves[0], halves[1]).unwrap();
    }
    out
}

#[test]
fn tables_and_rows_are_stored_as_the_contract_says() {
    let stage = pipeline("stored_rows");
    stage.admin.execute(&format!("SELECT pg_create_logical_replication_slot('{}_places', 'pgoutput')", stage.name));
    // Each in an insert of its own, so that no row takes another's place before it is looked at.
    for table in ["orders", "moves", "clicks__log", "guests"] {
        stage.clickhouse.execute(&format!("SYSTEM STOP MERGES {{db}}.{table}"));
    }
    for change in CHANGES {
        stage.postgres.execute(change);
        stage.catch_up_and_verify();
    }
    let places = places(&stage);
    let rows = [
        rows(&stage, "orders", "id, note, total, at, _deleted", &places),
        rows(&stage, "visits", "path, pages, _ordinal", &places),
        rows(&stage, "moves", "id, place, _ordinal, _op, isNull(_committed_at), _unsent", &places),
        rows(&stage, "clicks__log", "page, n, _ordinal, _sign", &places),
        rows(&stage, "guests", "id, name, _deleted, isNull(_source_deleted_at)", &places),
    ];
    pinned("rows.txt", &rows.concat());
    let dead_letters = include_str!("../../sql/clickhouse/create_dead_letters.sql");
    run(stage.clickhouse.server.execute(dead_letters, &[("database", &stage.name)])).unwrap();
    let tables = stage.clickhouse.value(&format!(
        "SELECT formatQuery(create_table_query) || ';\n' FROM system.tables WHERE database = '{}' ORDER BY name FORMAT TSVRaw",
        stage.name
    ));
    pinned("tables.sql", &format!("{}\n", tables.replace(&stage.name, "shop")));
    pinned("state.txt", &state(&stage));
}

/// The state's rows as text, with names for what differs from run to run.
fn state(stage: &Stage) -> String {
    let ids = stage.postgres.rows("SELECT oid, relname FROM pg_class WHERE relnamespace = 'public'::regnamespace");
    let table_of = |id: &str| ids.iter().find(|row| row[0].as_deref() == Some(id)).map(|row| row[1].clone().unwrap());
    let text = stage.clickhouse.value(
        "SELECT pipeline, transport, slot, kind, name, argMax(value, sequence) FROM {db}.pipectl_state
         WHERE kind <> 'marks' GROUP BY ALL ORDER BY ALL FORMAT TSVRaw",
    );
    let mut out = String::new();
    for line in text.lines() {
        let mut fields: Vec<String> = line.split('\t').map(str::to_owned).collect();
        let value: Value = serde_json::from_str(&fields[5]).unwrap();
        for (key, value) in value.as_object().unwrap() {
            let (found, name) = match (key.as_str(), value) {
                ("system_identifier", Value::String(_)) => (value, "\"SYSTEM\"".to_owned()),
                ("consistent_point" | "commit" | "end", Value::String(_)) => (value, "\"LSN\"".to_owned()),
                ("filenode" | "heap" | "xid", Value::Number(_)) => (value, "N".to_owned()),
                _ => continue,
            };
            fields[5] = fields[5].replace(&format!("\"{key}\":{found}"), &format!("\"{key}\":{name}"));
        }
        fields[4] = match fields[4].split_once(':') {
            Some((id, number)) => format!("<{}>:{number}", table_of(id).unwrap()),
            None => table_of(&fields[4]).map(|name| format!("<{name}>")).unwrap_or_default(),
        };
        writeln!(out, "{}", fields.join(" ").replace(&stage.name, "shop").replace("  ", " ")).unwrap();
    }
    let mut lines: Vec<&str> = out.lines().collect();
    lines.sort_unstable();
    lines.join("\n") + "\n"
}

/// Writes a newer row of each of the state's records that `which` names, with what `value`, an expression, makes of it.
fn rewrite(stage: &Stage, which: &str, value: &str) {
    stage.clickhouse.execute(&format!(
        "INSERT INTO {{db}}.pipectl_state (pipeline, transport, slot, kind, name, value, sequence)
         SELECT pipeline, transport, slot, kind, name, {value}, (SELECT max(sequence) FROM {{db}}.pipectl_state) + 1
         FROM (SELECT pipeline, transport, slot, kind, name, argMax(value, sequence) AS value FROM {{db}}.pipectl_state GROUP BY ALL)
         WHERE {which}"
    ));
}

/// The tables' records as the first version wrote them.
fn oldest(stage: &Stage) {
    rewrite(stage, "kind = 'table'", "replaceRegexpOne(value, ',\"(reason|copied_rows)\":.*$', '}')");
    rewrite(stage, "kind = 'table'", "replaceRegexpOne(value, ',\"view\":\"[^\"]*\"', '')");
}

/// What an earlier version wrote of a table still leads to all that is there of it.
fn dropped_by_an_older_state(stage: &Stage) {
    oldest(stage);
    let outcome = stage.pipectl(&["drop", "--yes", "--tables"]);
    assert_eq!(outcome.status, Some(0), "{outcome}");
    let left = stage
        .clickhouse
        .value("SELECT groupArray(name) FROM system.tables WHERE database = '{db}' AND name NOT LIKE 'pipectl\\_%'");
    assert_eq!(left, "[]", "{outcome}");
}

#[test]
fn an_older_state_reads_on_and_a_later_one_is_refused() {
    let stage = pipeline("stored_state");
    let everything = || {
        stage
            .clickhouse
            .value("SELECT kind, name, argMax(value, sequence) FROM {db}.pipectl_state GROUP BY ALL ORDER BY ALL")
    };
    // The fewest fields that any version wrote.
    rewrite(&stage, "kind IN ('table', 'range')", "replaceOne(value, '\"version\":1,', '')");
    oldest(&stage);
    rewrite(&stage, "kind = 'pipeline'", "replaceRegexpOne(value, ',\"resync_all\":.*$', '}')");
    rewrite(&stage, "kind = 'checkpoint'", "replaceRegexpOne(value, ',\"xid\":.*$', '}')");
    stage.postgres.execute(CHANGES[0]);
    stage.catch_up_and_verify();
    // What is only more is overlooked: a field, and a kind.
    rewrite(&stage, "kind = 'pipeline'", "replaceOne(value, '{', '{\"colour\":\"blue\",')");
    rewrite(&stage, "kind = 'pipeline'", "value");
    stage.clickhouse.execute(
        "INSERT INTO {db}.pipectl_state (pipeline, transport, slot, kind, name, value, sequence)
         SELECT pipeline, transport, slot, 'weather', '', 'fine', sequence FROM {db}.pipectl_state LIMIT 1",
    );
    stage.postgres.execute(CHANGES[1]);
    stage.catch_up_and_verify();
    // A later version was here, and has gone on with one table in a way that this one cannot know.
    let before = everything();
    rewrite(&stage, "kind = 'table' AND value LIKE '%orders%'", "'{\"version\":2,\"name\":\"orders\"}'");
    let (later, slot) = (
        everything(),
        stage.admin.value("SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE database = current_database()"),
    );
    stage.postgres.execute(CHANGES[2]);
    let calls: [&[&str]; 6] = [
        &["sync", "--until-caught-up"],
        &["verify"],
        &["status"],
        &["resync", "--all", "--yes"],
        &["resync", "orders"],
        &["drop", "--yes"],
    ];
    for call in calls {
        let outcome: Outcome = stage.pipectl(call);
        assert_eq!(outcome.status, Some(6), "{call:?}: {outcome}");
        assert!(
            outcome.stderr.contains("written by a later version of pipectl: it has format 2"),
            "{call:?}: {outcome}"
        );
        assert!(outcome.stderr.contains("hint: "), "{call:?}: {outcome}");
    }
    assert_eq!(everything(), later, "nothing was written");
    let now =
        stage.admin.value("SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE database = current_database()");
    assert_eq!(now, slot, "nothing was acknowledged");
    // The way back is what was there before.
    let orders = before.lines().find(|line| line.starts_with("table") && line.contains("orders")).unwrap();
    let value = orders.split('\t').nth(2).unwrap().replace('\'', "\\'");
    rewrite(&stage, "kind = 'table' AND JSONExtractUInt(value, 'version') > 1", &format!("'{value}'"));
    assert_eq!(everything(), before);
    stage.catch_up_and_verify();
    assert!(everything().contains("\"target\":\"clicks__log\",\"view\":\"clicks\""), "{}", everything());
    dropped_by_an_older_state(&stage);
}

#[test]
fn the_page_has_the_statements_that_make_the_tables() {
    let page = include_str!("../../docs/stored-format.md");
    let statements = [
        include_str!("../../sql/clickhouse/create_state.sql"),
        include_str!("../../sql/clickhouse/create_dead_letters.sql"),
    ];
    for statement in statements {
        let lines: Vec<&str> = statement.lines().filter(|line| !line.starts_with("--")).collect();
        let statement = lines.join("\n").replace("IF NOT EXISTS {database:Identifier}", "shop");
        assert!(page.contains(&statement), "docs/stored-format.md lacks\n{statement}");
    }
}
