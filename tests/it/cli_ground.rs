//! What every verb stands on.

use crate::support::{Directory, Invocation, Stage};
use std::time::Duration;

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
    let outcome = Invocation::new(&directory, &["sinc"]).timeout(Duration::from_secs(10)).run();
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
