//! What every verb stands on.

use crate::support::{Directory, Invocation, Stage};
use std::process::{Command, Stdio};

#[test]
fn help_and_version_go_to_stdout() {
    let directory = Directory::new("help");
    for arguments in [["--help"], ["--version"]] {
        let outcome = Invocation::new(&directory, &arguments).run();
        assert_eq!((outcome.status, outcome.stderr.as_str()), (Some(0), ""), "{outcome}");
        assert!(outcome.stdout.contains("pipectl"), "{outcome}");
    }
}

#[test]
fn a_misspelt_command_is_a_usage_error() {
    let directory = Directory::new("usage");
    let outcome = Invocation::new(&directory, &["sinc"]).run();
    assert_eq!((outcome.status, outcome.stdout.as_str()), (Some(2), ""), "{outcome}");
}

#[test]
fn a_stage_has_two_databases_of_its_own() {
    let stage = Stage::new("a_stage_has_two");
    stage.postgres.execute("CREATE TABLE t (id bigint PRIMARY KEY); INSERT INTO t VALUES (7)");
    assert_eq!(stage.admin.rows("SELECT id, NULL FROM t"), [[Some("7".to_owned()), None]]);
    assert_eq!(stage.postgres.value("SELECT current_database()"), stage.name);
    stage.clickhouse.execute("CREATE DATABASE {db}");
    assert_eq!(stage.clickhouse.value("SELECT count() FROM system.tables WHERE database = currentDatabase()"), "0");
    assert_eq!(stage.clickhouse.rows("SELECT 1 AS one")[0]["one"], 1);
}

#[test]
fn a_signal_ends_a_long_verb_and_its_summary_is_told() {
    let stage = Stage::new("signal");
    let outcome = stage.pipectl(&["seed", "--create", "--rows", "500", "--yes"]);
    assert_eq!(outcome.status, Some(0), "{outcome}");
    let mut running = stage.invocation(&["seed", "--live", "--rate", "50"]).spawn();
    running.wait_for("live: ");
    assert!(running.pid() > 0);
    running.signal("TERM");
    let outcome = running.ended();
    assert_eq!(outcome.status, Some(0), "{outcome}");
    assert!(!outcome.stdout.is_empty(), "{outcome}");
}

#[test]
fn a_closed_stdout_is_a_quiet_success() {
    let stage = Stage::new("closed_stdout");
    stage.config("tables: [public.*]\n");
    let mut child = Command::new(env!("CARGO_BIN_EXE_pipectl"))
        .args(["init", "--output", "json", "-c", "new.yml"])
        .current_dir(&stage.directory.0)
        .env("POSTGRES_URL", &stage.postgres.url)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let outcome = child.wait_with_output().unwrap();
    assert_eq!(outcome.status.code(), Some(0), "{outcome:?}");
    assert!(!String::from_utf8_lossy(&outcome.stderr).contains("error"), "{outcome:?}");
}
