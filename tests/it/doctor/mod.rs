//! `doctor`: each finding is made on a real server, and what is right is left alone.

mod kafka;
mod restart;
mod servers;
mod tables;

use crate::support::{Invocation, Outcome, Stage};
use serde_json::Value;

const ALL_OF_PUBLIC: &str = "tables:\n  - source: public.*\n";

/// The JSON document of a run.
pub(crate) struct Document {
    pub(crate) outcome: Outcome,
    json: Value,
}

impl Document {
    pub(crate) fn of(invocation: Invocation) -> Self {
        let outcome = invocation.run();
        let json = serde_json::from_str(&outcome.stdout).unwrap_or_else(|error| panic!("{error}: {outcome}"));
        Self { outcome, json }
    }

    fn new(stage: &Stage, arguments: &[&str]) -> Self {
        let arguments: Vec<&str> = ["doctor", "--output", "json"].iter().chain(arguments).copied().collect();
        Self::of(stage.invocation(&arguments))
    }

    fn check(&self, id: &str) -> &Value {
        let checks = self.json["checks"].as_array().unwrap();
        checks.iter().find(|check| check["id"] == id).unwrap_or_else(|| panic!("no {id} in {}", self.outcome))
    }

    /// Asserts how checks came out.
    pub(crate) fn expect(&self, expected: &[(&str, &str)]) {
        for (id, outcome) in expected {
            assert_eq!(self.check(id)["outcome"], *outcome, "{id}: {:#}\n{}", self.check(id), self.outcome.stderr);
        }
    }

    fn objects(&self, id: &str) -> Vec<&str> {
        self.check(id)["objects"].as_array().unwrap().iter().map(|object| object.as_str().unwrap()).collect()
    }

    fn statements(&self, id: &str) -> Vec<&str> {
        self.check(id)["fix"]["statements"].as_array().unwrap().iter().map(|one| one.as_str().unwrap()).collect()
    }

    /// How many checks, but those named, came out so.
    fn others(&self, outcome: &str, but: &[&str]) -> Vec<&str> {
        let checks = self.json["checks"].as_array().unwrap().iter();
        checks
            .filter(|check| check["outcome"] == outcome)
            .map(|check| check["id"].as_str().unwrap())
            .filter(|id| !but.contains(id))
            .collect()
    }
}

#[test]
fn a_healthy_setup_passes_after_fix_and_shows_what_it_ran() {
    let stage = Stage::new("doctor_healthy");
    stage.postgres.execute("CREATE TABLE orders (id bigint PRIMARY KEY, note text, placed_at timestamptz NOT NULL)");
    stage.config(ALL_OF_PUBLIC);

    let before = Document::new(&stage, &[]);
    assert_eq!(before.outcome.status, Some(0), "{}", before.outcome);
    before.expect(&[("postgres.publication", "warn"), ("clickhouse.database", "warn")]);
    before.expect(&[("postgres.publication_publish", "not_run"), ("clickhouse.parts", "not_run")]);

    let fixed = Document::new(&stage, &["--fix"]);
    assert_eq!(fixed.outcome.status, Some(0), "{}", fixed.outcome);
    let statement = fixed.json["fixed"][0]["statement"].as_str().unwrap();
    assert!(
        statement.starts_with("CREATE PUBLICATION") && statement.contains("publish_via_partition_root"),
        "{statement}"
    );
    assert!(fixed.outcome.stderr.contains(statement), "{}", fixed.outcome);
    assert_eq!(fixed.json["fixed"][0]["error"], Value::Null);
    assert_eq!(stage.postgres.value("SELECT pubviaroot FROM pg_publication"), "t");
    fixed.expect(&[
        ("postgres.publication", "pass"),
        ("postgres.publication_tables", "pass"),
        ("postgres.replication_connection", "pass"),
        ("postgres.role_replication", "pass"),
        ("postgres.types", "pass"),
        ("postgres.toast", "pass"),
        ("clickhouse.database", "pass"),
        ("clickhouse.grants", "pass"),
    ]);
    assert_eq!(fixed.others("fail", &[]), [] as [&str; 0]);
    // Other tests of the same servers leave slots and transactions behind for a while; the dates depend on ClickHouse's version.
    let elsewhere = ["postgres.abandoned_slots", "postgres.open_transactions", "postgres.prepared_transactions"];
    let servers = ["clickhouse.dates", "clickhouse.disk", "clickhouse.tables"];
    assert_eq!(fixed.others("warn", &[elsewhere.as_slice(), &servers].concat()), [] as [&str; 0]);
    assert_eq!(fixed.others("not_run", &["postgres.slot_wal", "postgres.slot_lag"]), [] as [&str; 0]);

    let again = Document::new(&stage, &["--fix"]);
    assert_eq!(again.json["fixed"], Value::Array(Vec::new()), "{}", again.outcome);
}

#[test]
fn the_json_document_has_its_shape() {
    let stage = Stage::new("doctor_json");
    stage.postgres.execute("CREATE TABLE t (id int PRIMARY KEY)");
    stage.config(ALL_OF_PUBLIC);
    let document = Document::new(&stage, &[]);
    assert_eq!(document.json["version"], 1);
    assert_eq!(document.json["pipeline"], stage.name.as_str());
    let checks = document.json["checks"].as_array().unwrap();
    let mut counted = std::collections::BTreeMap::new();
    for check in checks {
        for key in ["id", "server", "title", "outcome", "why", "seen", "needed", "objects", "fix"] {
            assert!(check.get(key).is_some(), "{key} of {check}");
        }
        assert!(check["id"].as_str().unwrap().starts_with(check["server"].as_str().unwrap()), "{check}");
        assert_eq!(check["outcome"] == "not_run", !check["why"].is_null(), "{check}");
        *counted.entry(check["outcome"].as_str().unwrap().to_owned()).or_insert(0_u64) += 1;
    }
    for outcome in ["pass", "warn", "fail", "not_run"] {
        assert_eq!(document.json["summary"][outcome].as_u64().unwrap(), counted.get(outcome).copied().unwrap_or(0));
    }
    let publication = document.check("postgres.publication");
    assert_eq!(
        (&publication["fix"]["automatic"], &publication["fix"]["restart"]),
        (&Value::Bool(true), &Value::Bool(false))
    );

    let plain = stage.pipectl(&["doctor"]);
    assert!(plain.stdout.contains("postgres.wal_level") && !plain.stdout.contains('\u{1b}'), "{plain}");
    assert!(plain.stdout.contains("CREATE PUBLICATION"), "{plain}");
}
