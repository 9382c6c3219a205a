//! `status`, `resync`, `drop`, and what a running sync serves over HTTP.

use crate::support::{Outcome, Postgres, Stage};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::TcpStream;

fn stage(test: &str) -> Stage {
    let stage = Stage::new(test);
    stage.config("tables:\n  - source: public.*\n");
    stage.postgres.execute(
        "CREATE TABLE public.t (id int PRIMARY KEY, v text); INSERT INTO public.t SELECT g, 'first' FROM generate_series(1, 500) AS g",
    );
    stage
}

fn document(outcome: &Outcome) -> Value {
    assert_eq!(outcome.status, Some(0), "{outcome}");
    let value: Value = serde_json::from_str(&outcome.stdout).unwrap_or_else(|_| panic!("no JSON: {outcome}"));
    assert_eq!(value["version"], 1, "{outcome}");
    value
}

/// The code and the body of an answer.
pub(crate) fn get(address: &str, path: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().to_owned(), body.to_owned())
}

#[test]
fn a_running_sync_tells_of_itself() {
    let stage = stage("serves");
    // Until this ends the slot cannot be made: the copy is not done.
    let writer = Postgres::connect(&stage.postgres.url);
    writer.execute("BEGIN; INSERT INTO public.t VALUES (1000, 'open')");
    let mut running = stage.invocation(&["sync", "--http", "127.0.0.1:0"]).spawn();
    let line = running.wait_for("serving http://");
    let address = line.split("http://").nth(1).unwrap().split('/').next().unwrap().to_owned();
    running.wait_for("first copy:");
    assert_eq!(get(&address, "/readyz").0, "503");
    assert_eq!(get(&address, "/healthz").0, "200");
    assert_eq!(stage.pipectl(&["status", "--ready"]).status, Some(4));
    writer.execute("COMMIT");
    running.wait_for("streaming from");
    stage.wait_until("it is ready", |_| get(&address, "/readyz").0 == "200");
    stage.postgres.execute("UPDATE public.t SET v = 'second' WHERE id <= 10");
    let status = || serde_json::from_str::<Value>(&get(&address, "/status.json").1).unwrap();
    stage.wait_until("ten rows", |_| status()["changed_rows"] == 10);
    assert_eq!((&status()["version"], &status()["phase"]), (&Value::from(1), &Value::from("stream")));
    let (code, metrics) = get(&address, "/metrics");
    assert_eq!(code, "200");
    assert!(metrics.contains("pipectl_lag_bytes{") && metrics.contains("pipectl_changed_rows{"), "{metrics}");
    stage.wait_until("status says so", |stage| stage.pipectl(&["status", "--ready"]).status == Some(0));
    let status = document(&stage.pipectl(&["status", "--output", "json"]));
    assert_eq!((&status["ready"], &status["tables"][0]["state"]), (&Value::Bool(true), &Value::from("ready")));
    running.signal("TERM");
    let outcome = running.ended();
    assert_eq!(outcome.status, Some(0), "{outcome}");
    assert_eq!(stage.pipectl(&["status", "--ready"]).status, Some(4), "nobody reads the slot");
    stage.catch_up_and_verify();
}

#[test]
fn a_spoiled_table_is_copied_again_and_all_can_be_taken_away() {
    let stage = stage("mended");
    stage.catch_up_and_verify();
    stage.clickhouse.execute("INSERT INTO {db}.t (id, v, _version, _deleted) VALUES (7, 'spoiled', 340282366920938463463374607431768211455, 0)");
    assert_eq!(stage.pipectl(&["verify"]).status, Some(4));
    stage.postgres.execute("UPDATE public.t SET v = 'second' WHERE id < 100; DELETE FROM public.t WHERE id = 8");
    let resync = document(&stage.pipectl(&["resync", "t", "--output", "json"]));
    assert_eq!(resync["copied_rows"], 499);
    stage.postgres.execute("UPDATE public.t SET v = 'third' WHERE id < 50");
    stage.catch_up_and_verify();
    assert_eq!(stage.pipectl(&["resync", "nowhere"]).status, Some(3));

    let asked = stage.pipectl(&["drop"]);
    assert_eq!(asked.status, Some(2), "{asked}");
    assert!(asked.stderr.contains("--yes"), "{asked}");
    document(&stage.pipectl(&["drop", "--yes", "--tables", "--output", "json"]));
    let slots = format!("SELECT count(*) FROM pg_replication_slots WHERE database = '{}'", stage.name);
    assert_eq!(stage.admin.value(&slots), "0");
    assert_eq!(stage.admin.value("SELECT count(*) FROM pg_publication"), "0");
    let tables = "SELECT count() FROM system.tables WHERE database = '{name}' AND name != 'pipectl_state'";
    assert_eq!(stage.clickhouse.value(&tables.replace("{name}", &stage.name)), "0");
    assert_eq!(stage.pipectl(&["drop", "--yes"]).status, Some(3), "nothing is left");
    let outcome = stage.catch_up_and_verify();
    assert!(outcome.stderr.contains("created replication slot"), "{outcome}");
}
