//! A standby that takes over: sync goes on where the new timeline holds everything that is stored, and refuses where it does not.

use crate::support::{OtherServers, Postgres, Stage};
use crate::sync_recovery::connect_again;
use std::process::Command;

/// The primary becomes a standby that takes over at once: what it has goes on on a new timeline.
fn promote(servers: &OtherServers, stage: &Stage) {
    std::fs::write(format!("{}/standby.signal", data(servers)), "").unwrap();
    servers.start("postgres");
    let admin = connect_again(&stage.admin.url);
    assert_eq!(admin.value("SELECT pg_promote()"), "t");
}

fn data(servers: &OtherServers) -> String {
    servers.variable("PIPECTL_STACK_PG_DATA")
}

/// Copies a directory of Postgres over another, owners and all.
fn copy(from: &str, to: &str) {
    let status = Command::new("sh").args(["-c", "rm -rf \"$1\" && cp -a \"$0\" \"$1\"", from, to]).status().unwrap();
    assert!(status.success());
}

/// Has the log reach further than a place.
fn pass(session: &Postgres, place: &str) {
    while session.value(&format!("SELECT pg_current_wal_flush_lsn() > '{place}'::pg_lsn")) != "t" {
        session.execute("SELECT pg_logical_emit_message(true, 'test', 'x'), pg_switch_wal()");
    }
}

#[test]
fn a_standby_that_takes_over_is_followed_where_it_has_all_that_is_stored() {
    let servers = OtherServers::up("failover");
    let stage = Stage::on(&servers.urls(), "failover");
    stage.config("tables:\n  - source: public.*\nsync:\n  batch: {max_age: 100ms}\n");
    stage.postgres.execute("CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT g, 'first' FROM generate_series(1, 100) AS g");
    stage.catch_up_and_verify();

    // It has everything: at a start, and while the process runs.
    servers.kill("postgres");
    promote(&servers, &stage);
    connect_again(&stage.postgres.url).execute("UPDATE t SET v = 'second' WHERE id < 50");
    let outcome = stage.catch_up_and_verify();
    assert!(outcome.stderr.contains("timeline 2"), "{outcome}");
    let mut running = stage.invocation(&["sync"]).spawn();
    running.wait_for("streaming from");
    servers.kill("postgres");
    promote(&servers, &stage);
    running.wait_for("timeline 3");

    // One that lacks what is stored has other rows in its place, and a log that reaches further.
    servers.kill("postgres");
    let backup = format!("{}.backup", data(&servers));
    copy(&data(&servers), &backup);
    servers.start("postgres");
    let session = connect_again(&stage.postgres.url);
    session.execute("UPDATE t SET v = 'third' WHERE id < 30");
    stage.wait_until("the change is stored", |stage| {
        stage.clickhouse.value("SELECT count() FROM {db}.t FINAL WHERE v = 'third'") == "29"
    });
    let stored = session.value("SELECT pg_current_wal_flush_lsn()");
    servers.kill("postgres");
    copy(&backup, &data(&servers));
    promote(&servers, &stage);
    let session = connect_again(&stage.postgres.url);
    session.execute("UPDATE t SET v = 'other' WHERE id = 1");
    pass(&connect_again(&stage.admin.url), &stored);
    let ended = running.ended();
    ended.refused(5, &["timeline", "pipectl resync --all"]);
    stage.pipectl(&["sync", "--until-caught-up"]).refused(5, &["timeline", "pipectl resync --all"]);
    let outcome = stage.pipectl(&["resync", "--all"]);
    assert_eq!(outcome.status, Some(0), "{outcome}");
    session.execute("UPDATE t SET v = 'last' WHERE id = 2");
    stage.catch_up_and_verify();
    std::fs::remove_dir_all(backup).unwrap();
}
