//! Where sync does not start: the reason, the way out, and the exit code 5.

use crate::support::{Invocation, OtherServers, Outcome, Postgres, Stage};
use std::process::{Command, Stdio};

const CONFIG: &str = "tables:\n  - source: public.*\n";

fn stage(test: &str) -> Stage {
    let stage = Stage::new(test);
    stage.config(CONFIG);
    stage.postgres.execute(
        "CREATE TABLE public.t (id int PRIMARY KEY, v text); INSERT INTO public.t SELECT g, 'first' FROM generate_series(1, 500) AS g",
    );
    stage
}

fn slot(stage: &Stage) -> String {
    format!("pipectl_{}", stage.name)
}

/// Runs it, and expects a refusal of the source with these words.
fn refused(invocation: Invocation, words: &[&str]) -> Outcome {
    let outcome = invocation.run();
    assert_eq!(outcome.status, Some(5), "{outcome}");
    for word in words {
        assert!(outcome.stderr.contains(word), "no \"{word}\": {outcome}");
    }
    outcome
}

/// Only `resync --all` helps, and it does.
fn refused_until_resync(stage: &Stage, word: &str) {
    refused(stage.invocation(&["sync", "--until-caught-up"]), &[word, "resync --all"]);
    let outcome = stage.pipectl(&["resync", "--all"]);
    assert_eq!(outcome.status, Some(0), "{outcome}");
    stage.postgres.execute("UPDATE public.t SET v = 'after' WHERE id % 3 = 0; DELETE FROM public.t WHERE id % 7 = 0");
    stage.catch_up_and_verify();
}

#[test]
fn what_no_longer_joins_is_refused_and_mended_by_a_resync_of_all() {
    let stage = stage("no_longer_joins");
    stage.catch_up_and_verify();
    let change = "INSERT INTO public.t SELECT max(id) + 1, 'missed' FROM public.t";

    stage.admin.value(&format!("SELECT pg_drop_replication_slot('{}')", slot(&stage)));
    stage.postgres.execute(change);
    refused_until_resync(&stage, "is gone, and with it the changes");

    stage.postgres.execute(&format!("DROP PUBLICATION {}", slot(&stage)));
    stage.postgres.execute(change);
    refused_until_resync(&stage, "publication");

    // An older backup of ClickHouse: the positions since are gone.
    stage.postgres.execute(change);
    let before = stage.clickhouse.value("SELECT max(sequence) FROM {db}.pipectl_state");
    stage.catch_up_and_verify();
    stage.clickhouse.execute(&format!(
        "ALTER TABLE {{db}}.pipectl_state DELETE WHERE kind = 'checkpoint' SETTINGS mutations_sync = 2; -- behind {before}"
    ));
    refused_until_resync(&stage, "are missing");

    // The state is gone with or without the slot, the tables are filled.
    stage.clickhouse.execute("DROP TABLE {db}.pipectl_state SYNC");
    refused_until_resync(&stage, "nothing is stored of it");
    stage.clickhouse.execute("DROP TABLE {db}.pipectl_state SYNC");
    stage.admin.value(&format!("SELECT pg_drop_replication_slot('{}')", slot(&stage)));
    refused_until_resync(&stage, "holds rows already");
}

#[test]
fn one_reader_at_a_time_and_the_other_is_named() {
    let stage = stage("one_reader");
    let mut running = stage.invocation(&["sync"]).spawn();
    running.wait_for("streaming from");
    let holder = stage.admin.value(&format!(
        "SELECT pid FROM pg_locks JOIN pg_database d ON d.oid = database WHERE locktype = 'advisory' AND datname = '{}'",
        stage.name
    ));
    let pid = format!("pid {holder}");
    for verb in [&["sync"][..], &["resync", "--all"], &["drop", "--yes"]] {
        refused(stage.invocation(verb), &["another pipectl works on slot", &pid, "hint:"]);
    }
    running.signal("TERM");
    assert_eq!(running.ended().status, Some(0));

    let psql_free = Postgres::connect(&stage.admin.url);
    let mut other = Command::new("pg_recvlogical")
        .args(["--start", "-f", "-", "-o", "proto_version=1", "-o", &format!("publication_names={}", slot(&stage))])
        // It must hold the slot without acknowledging anything: that would be a gap.
        .args(["-S", &slot(&stage), "-d", &stage.admin.url, "-s", "0", "-F", "0"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("pg_recvlogical is there");
    let active = format!("SELECT active_pid FROM pg_replication_slots WHERE slot_name = '{}'", slot(&stage));
    stage.wait_until("the slot is taken", |_| !psql_free.value(&active).is_empty());
    let pid = format!("pid {}", psql_free.value(&active));
    refused(stage.invocation(&["sync"]), &["is read by the session with", &pid, "hint:"]);
    other.kill().unwrap();
    other.wait().unwrap();
    stage.catch_up_and_verify();
}

#[test]
fn open_transactions_are_named_while_the_slot_waits() {
    let stage = stage("slot_waits");
    let writer = Postgres::connect(&stage.postgres.url);
    writer.execute("BEGIN; INSERT INTO public.t VALUES (1000, 'open')");
    let pid = format!("pid {}", writer.value("SELECT pg_backend_pid()"));
    let mut running = stage.invocation(&["sync"]).spawn();
    let line = running.wait_for("the replication slot waits for");
    assert!(line.contains(&pid) && line.contains(" open for "), "{line}");
    running.signal("TERM");
    running.ended();
    refused(stage.invocation(&["sync", "--slot-timeout", "1s"]), &[&pid, "in time", "--slot-timeout"]);
    writer.execute("COMMIT");
    stage.catch_up_and_verify();
}

#[test]
fn rights_that_are_missing_come_with_the_statement_that_gives_them() {
    let stage = stage("rights");
    let role = &stage.name;
    stage.admin.execute(&format!("CREATE ROLE {role} LOGIN PASSWORD 'secret'"));
    stage.postgres.execute(&format!("GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}"));
    let (_, server) = stage.postgres.url.rsplit_once('@').unwrap();
    let url = format!("postgres://{role}:secret@{server}");
    let sync = || stage.invocation(&["sync", "--until-caught-up"]).env("POSTGRES_URL", &url);
    let without = sync().run();
    stage.admin.execute(&format!("ALTER ROLE {role} REPLICATION"));
    let not_owner = sync().run();
    let statement = format!(
        "CREATE PUBLICATION \"{0}\" FOR TABLE \"public\".\"t\" WITH (publish_via_partition_root = true)",
        slot(&stage)
    );
    stage.admin.execute(&statement);
    let accepted = sync().run();
    let verified = stage.pipectl(&["verify"]);
    stage.admin.execute(&format!("DROP OWNED BY {role}; DROP ROLE {role}"));
    assert_eq!(without.status, Some(5), "{without}");
    assert!(without.stderr.contains("ALTER ROLE … REPLICATION"), "{without}");
    assert_eq!(not_owner.status, Some(5), "{not_owner}");
    assert!(not_owner.stderr.contains(&statement), "{not_owner}");
    assert_eq!((accepted.status, verified.status), (Some(0), Some(0)), "{accepted}\n{verified}");
}

#[test]
fn a_server_without_logical_replication_is_refused_before_anything_is_made() {
    let servers = OtherServers::up_with("replica_level", &[("PG_SETTINGS", "-c wal_level=replica")], |_| {});
    let stage = Stage::on(&servers.urls(), "replica_level");
    stage.config(CONFIG);
    stage.postgres.execute("CREATE TABLE public.t (id int PRIMARY KEY)");
    for verb in [&["sync"][..], &["resync", "--all"]] {
        let outcome = refused(
            stage.invocation(verb),
            &["wal_level is replica", "hint:", "ALTER SYSTEM SET wal_level = 'logical'", "restart"],
        );
        assert!(!outcome.stderr.contains("created publication"), "{outcome}");
    }
    assert_eq!(stage.admin.value("SELECT count(*) FROM pg_publication"), "0");
}
