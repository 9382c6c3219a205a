//! `pipectl seed`: the demo shop in bulk and live, and tables of the user's own.

use crate::support::{Outcome, Stage};
use crate::versions;
use serde_json::Value;

const TABLES: [&str; 7] = ["customers", "products", "orders", "order_items", "payments", "reviews", "events"];

fn json(outcome: &Outcome) -> Value {
    assert_eq!(outcome.status, Some(0), "{outcome}");
    let document: Value = serde_json::from_str(&outcome.stdout).unwrap_or_else(|error| panic!("{error}: {outcome}"));
    assert_eq!(document["version"], 1);
    document
}

fn seed(stage: &Stage, arguments: &[&str]) -> Value {
    json(&stage.pipectl(&[&["seed", "--output", "json"], arguments].concat()))
}

/// A hash over all rows of each table of the shop.
fn hashes(stage: &Stage) -> Vec<String> {
    let hash = |table: &&str| {
        stage
            .postgres
            .value(&format!("SELECT md5(string_agg(t::text, E'\\n' ORDER BY t::text COLLATE \"C\")) FROM {table} t"))
    };
    TABLES.iter().map(hash).collect()
}

fn refused(stage: &Stage, arguments: &[&str], status: i32, says: &str) {
    let outcome = stage.pipectl(arguments);
    assert_eq!(outcome.status, Some(status), "{outcome}");
    assert!(outcome.stderr.contains(says), "no \"{says}\" in {outcome}");
}

#[test]
fn the_same_seed_makes_the_same_rows() {
    let stage = Stage::new("seed_repeats");
    let first = seed(&stage, &["--create", "--rows", "3000", "--yes"]);
    assert_eq!((&first["created"], &first["rows"]), (&Value::from(true), &Value::from(3000)));
    let rows = hashes(&stage);
    let again = seed(&stage, &["--create", "--truncate", "--rows", "3000", "--yes"]);
    assert_eq!((&again["created"], &again["truncated"]), (&Value::from(false), &Value::from(true)));
    assert_eq!(hashes(&stage), rows);
    seed(&stage, &["--truncate", "--rows", "3000", "--random-seed", "43", "--yes"]);
    assert!(hashes(&stage).iter().zip(&rows).all(|(one, other)| one != other));
}

#[test]
fn rows_are_spread_and_refer_to_each_other() {
    let stage = Stage::new("seed_spreads");
    let done = seed(&stage, &["--create", "--rows", "5000", "--yes"]);
    let counts: Vec<String> =
        TABLES.iter().map(|table| stage.postgres.value(&format!("SELECT count(*) FROM {table}"))).collect();
    assert_eq!(counts, ["500", "50", "1000", "2000", "800", "100", "550"]);
    assert_eq!(done["tables"][2]["rows"], 1000);
    // Postgres checks the keys of what COPY writes; here is what it cannot know.
    let amounts = "SELECT count(*) FROM orders o JOIN payments p ON p.order_id = o.id WHERE p.amount = o.total";
    assert_eq!(stage.postgres.value(amounts), "800");
    let totals = "SELECT count(*) FROM orders o WHERE abs(total - (SELECT sum(quantity * unit_price) FROM order_items \
                  WHERE order_id = o.id) * (1 - coalesce(discount_percent, 0) / 100)) < 0.01";
    assert_eq!(stage.postgres.value(totals), "1000");
    assert_eq!(stage.postgres.value("SELECT count(DISTINCT status) FROM orders"), "6");
    assert!(
        stage
            .postgres
            .value("SELECT count(*) FROM customers WHERE phone IS NULL OR birthday IS NULL")
            .parse::<u32>()
            .unwrap()
            > 50
    );
    // Two of three reviews lie out of line, as they are.
    let toast = stage.admin.value("SELECT reltoastrelid::regclass FROM pg_class WHERE relname = 'reviews'");
    assert_eq!(stage.admin.value(&format!("SELECT count(DISTINCT chunk_id) FROM {toast}")), "67");
    // A second fill goes on behind the first; so do the sequences.
    seed(&stage, &["--rows", "1000"]);
    assert_eq!(stage.postgres.value("SELECT count(*), max(id) FROM orders"), "1200");
    stage.postgres.execute("INSERT INTO events (session_id, kind, payload) VALUES (gen_random_uuid(), 'x', '{}')");
    assert_eq!(stage.postgres.value("SELECT max(id) - count(*) FROM events"), "0");
}

#[test]
fn live_changes_are_of_every_kind() {
    let stage = Stage::new("seed_live");
    let mix = ["--live", "--rate", "800", "--duration", "5s", "--mix", "insert=50,update=40,delete=10"];
    let done = seed(&stage, &[&["--create", "--yes", "--rows", "2000"], &mix[..]].concat());
    let live = &done["live"];
    let count = |name: &str| live[name].as_u64().unwrap_or_else(|| panic!("no {name} in {live}"));
    for name in ["inserts", "updates", "deletes", "key_changes", "toast_unchanged", "toast_changed", "rolled_back"] {
        assert!(count(name) > 0, "no {name} in {live}");
    }
    assert!((0.3..0.5).contains(&(count("updates") as f64 / count("changes") as f64)), "{live}");
    assert!(count("changes") <= 4100, "{live}");
    let rows: u64 = TABLES
        .iter()
        .map(|table| stage.postgres.value(&format!("SELECT count(*) FROM {table}")).parse::<u64>().unwrap())
        .sum();
    assert_eq!(rows, 2000 + count("inserts") - count("deletes"));
}

#[test]
fn ctrl_c_ends_live_changes_cleanly() {
    let stage = Stage::new("seed_ctrl_c");
    seed(&stage, &["--create", "--rows", "500", "--yes"]);
    let running = stage.invocation(&["seed", "--live", "--rate", "1000", "--output", "json"]).spawn();
    let changed = "SELECT (SELECT count(*) FROM orders) > 100";
    stage.wait_until("there are changes", |stage| stage.postgres.value(changed) == "t");
    running.signal("INT");
    let done = json(&running.ended());
    assert!(done["live"]["inserts"].as_u64().unwrap() > 0, "{done}");
    assert_eq!(done["finished"], true);
}

#[test]
fn a_fill_that_is_given_up_leaves_whole_batches() {
    let stage = Stage::new("seed_given_up");
    seed(&stage, &["--create", "--yes"]);
    let running = stage.invocation(&["seed", "--rows", "3000000", "--output", "json"]).spawn();
    stage.wait_until("there are rows", |stage| stage.postgres.value("SELECT count(*) FROM customers") != "0");
    running.signal("INT");
    let outcome = running.ended();
    assert_eq!(outcome.status, Some(130), "{outcome}");
    assert!(outcome.stdout.contains("\"finished\": false"), "{outcome}");
    assert_eq!(stage.postgres.value("SELECT count(*) % 50000 FROM customers"), "0");
}

#[test]
fn a_table_of_all_kinds_of_columns_is_filled() {
    let stage = Stage::new("seed_table");
    let kinds =
        "CREATE TYPE mood AS ENUM ('sad', 'it''s \"ok\"', 'happy, very');
         CREATE DOMAIN small AS smallint NOT NULL;
         CREATE TABLE countries (code char(2) PRIMARY KEY);
         INSERT INTO countries VALUES ('DE'), ('FR');
         CREATE TABLE kinds (
            id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            number int UNIQUE, short_code varchar(6) UNIQUE, email text NOT NULL, name varchar(12) NOT NULL,
            country char(2) NOT NULL REFERENCES countries, mood mood NOT NULL, moods mood[] NOT NULL, small small,
            price numeric(6, 2), tiny numeric(2, 4), coarse numeric(3, -2), ratio real, balance money, flag boolean NOT NULL,
            created_at timestamptz NOT NULL, updated_at timestamp NOT NULL, day date, clock time, zoned timetz, span interval,
            token uuid UNIQUE, address inet, network cidr, mac macaddr, mac8 macaddr8, data jsonb, raw json, bytes bytea,
            bits bit(5), varbits bit varying(20), doc xml, search tsvector, point point, area circle, frame box, numbers int[],
            texts text[], span4 int4range, spann numrange, spand daterange, spant tstzrange, doubled int GENERATED ALWAYS AS (small * 2) STORED,
            parent bigint REFERENCES kinds, line line, \"Odd \"\"Name\" text NOT NULL DEFAULT 'x', CHECK (updated_at >= created_at));
         CREATE UNIQUE INDEX ON kinds (lower(email));";
    let odd = ["numeric(2, 4)", "numeric(3, -2)"].into_iter().filter(|kind| !versions::can_declare(kind));
    stage.postgres.execute(&odd.fold(kinds.to_owned(), |sql, kind| sql.replace(kind, "numeric(3, 1)")));
    let done = seed(&stage, &["--table", "public.kinds", "--rows", "400"]);
    assert_eq!(done["rows"], 400);
    let left: Vec<&str> =
        done["left_out"].as_array().unwrap().iter().map(|left| left["column"].as_str().unwrap()).collect();
    assert_eq!(left, ["parent", "line"], "{done}");
    let all = "SELECT count(DISTINCT number), count(DISTINCT short_code), count(DISTINCT email), count(DISTINCT mood), \
               count(DISTINCT country), count(DISTINCT token), count(*) FROM kinds";
    let values: Vec<String> = stage.postgres.rows(all)[0].iter().flatten().cloned().collect();
    assert_eq!(values, ["400", "400", "400", "3", "2", "400", "400"]);
    assert!(stage.postgres.value("SELECT email FROM kinds LIMIT 1").ends_with("@example.com"));
    // Again: unique values go on, and there are rows to refer to now.
    let done = seed(&stage, &["--table", "kinds", "--rows", "300"]);
    assert_eq!(done["left_out"].as_array().map(Vec::len), Some(1), "{done}");
    assert_eq!(stage.postgres.value("SELECT max(number) FROM kinds"), "700");
    assert!(stage.postgres.value("SELECT count(parent) FROM kinds").parse::<u32>().unwrap() > 200);
}

#[test]
fn keys_are_combined_where_none_is_free() {
    let stage = Stage::new("seed_combines");
    stage.postgres.execute(
        "CREATE TABLE a (id int PRIMARY KEY); INSERT INTO a SELECT generate_series(1, 10);
         CREATE TABLE b (x text, y date, PRIMARY KEY (x, y)); INSERT INTO b SELECT 'b' || n, date '2024-01-01' + n FROM generate_series(1, 5) n;
         CREATE TABLE ab (a int REFERENCES a, x text, y date, FOREIGN KEY (x, y) REFERENCES b, PRIMARY KEY (a, x, y));
         CREATE TABLE lines (a int REFERENCES a, line int, PRIMARY KEY (a, line));
         CREATE TABLE tree (id int PRIMARY KEY, root int NOT NULL REFERENCES tree);
         CREATE TABLE counted (id serial PRIMARY KEY, n int); INSERT INTO counted VALUES (7), (8);",
    );
    seed(&stage, &["--table", "ab", "--rows", "30"]);
    seed(&stage, &["--table", "ab", "--rows", "20"]);
    refused(&stage, &["seed", "--table", "ab", "--rows", "1"], 7, "only 0 more that differ in a, x, y");
    seed(&stage, &["--table", "lines", "--rows", "100"]);
    seed(&stage, &["--table", "tree", "--rows", "10"]);
    assert_eq!(stage.postgres.value("SELECT count(*) FROM tree WHERE root = id"), "10");
    seed(&stage, &["--table", "counted", "--rows", "10"]);
    assert_eq!(stage.postgres.value("SELECT max(id) FROM counted"), "18");
}

#[test]
fn what_cannot_be_filled_is_said() {
    let stage = Stage::new("seed_refuses");
    stage.postgres.execute(
        "CREATE TABLE parent (id int PRIMARY KEY); CREATE TABLE child (id int REFERENCES parent NOT NULL);
         CREATE TABLE shape (id int, outline polygon NOT NULL); CREATE VIEW v AS SELECT 1 AS id;
         CREATE TABLE tight (id smallint PRIMARY KEY); CREATE TABLE yes (is_so boolean PRIMARY KEY);
         CREATE TABLE picky (id int, n int CONSTRAINT n_is_odd CHECK (n = -1)); CREATE TABLE orders (id int)",
    );
    let table = |name: &'static str| ["seed", "--rows", "40000", "--table", name];
    refused(&stage, &table("child"), 7, "public.parent has no rows to refer to");
    refused(&stage, &table("shape"), 7, "column \"outline\" of public.shape: no values are known for type polygon");
    refused(&stage, &table("tight"), 7, "no room for 40000 values");
    refused(&stage, &table("yes"), 7, "only 2 more that differ in is_so");
    refused(&stage, &table("v"), 5, "public.v is no table");
    refused(&stage, &table("nowhere"), 5, "there is no table public.nowhere");
    refused(&stage, &table("picky"), 5, "violates check constraint \"n_is_odd\"");
    // A table of the shop's name that is not the shop's is never touched.
    for arguments in [
        &["seed", "--create", "--yes"][..],
        &["seed", "--truncate", "--yes"],
        &["seed", "--drop", "--yes"],
        &["seed", "--live"],
    ] {
        refused(&stage, arguments, 5, "public.orders");
    }
    refused(&stage, &["seed", "--rows", "1000"], 5, "not its own: public.orders");
}

#[test]
fn wrong_arguments_are_usage_errors() {
    let stage = Stage::new("seed_usage");
    refused(&stage, &["seed"], 2, "nothing to do");
    refused(&stage, &["seed", "--create"], 2, "--yes");
    refused(&stage, &["seed", "--rows", "49", "--create", "--yes"], 2, "50 or more");
    refused(&stage, &["seed", "--rows", "0"], 2, "--rows");
    refused(&stage, &["seed", "--rate", "5"], 2, "--live");
    refused(&stage, &["seed", "--live", "--mix", "upsert=1"], 2, "\"upsert\" is no kind of change");
    refused(&stage, &["seed", "--live", "--duration", "soon"], 2, "90s");
    refused(&stage, &["seed", "--table", "t", "--live"], 2, "--live");
    refused(&stage, &["seed", "--rows", "1000"], 5, "pipectl seed --create");
    refused(&stage, &["seed", "--create", "--yes", "--live", "--mix", "delete=1"], 5, "nothing to delete");
    let outcome = stage.invocation(&["seed", "--rows", "1000"]).without("POSTGRES_URL").run();
    assert_eq!(outcome.status, Some(3), "{outcome}");
}

#[test]
fn the_shop_can_be_taken_away() {
    let stage = Stage::new("seed_drops");
    seed(&stage, &["--create", "--rows", "100", "--yes"]);
    assert_eq!(seed(&stage, &["--drop", "--yes"])["dropped"], true);
    assert_eq!(stage.postgres.value("SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace"), "0");
    assert_eq!(stage.postgres.value("SELECT count(*) FROM pg_type WHERE typname = 'order_status'"), "0");
}
