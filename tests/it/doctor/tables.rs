//! Tables, the publication, slots and open transactions.

use super::{ALL_OF_PUBLIC, Document};
use crate::support::{PATIENCE, Postgres, Stage, run};
use pipectl::change::Version;
use pipectl::checkpoint::{PipelineRecord, StateStore};
use pipectl::flow::CheckpointStore;
use std::time::Instant;

#[test]
fn tables_that_cannot_be_carried_are_named() {
    let stage = Stage::new("doctor_tables");
    stage.postgres.execute(
        "CREATE TABLE good (id int PRIMARY KEY, twice int GENERATED ALWAYS AS (id * 2) STORED);
         CREATE TABLE bare (note text);
         CREATE TABLE deferred (id int PRIMARY KEY DEFERRABLE);
         CREATE TABLE nothing (id int PRIMARY KEY); ALTER TABLE nothing REPLICA IDENTITY NOTHING;
         CREATE UNLOGGED TABLE fast (id int PRIMARY KEY)",
    );
    stage.config("tables:\n  - source: public.*\n  - source: public.missing\n");
    let document = Document::new(&stage, &[]);
    assert_eq!(document.outcome.status, Some(4), "{}", document.outcome);
    document.expect(&[
        ("postgres.tables", "fail"),
        ("postgres.keyless", "warn"),
        ("postgres.unlogged", "warn"),
        ("postgres.generated_columns", "warn"),
        ("postgres.replica_identity", "fail"),
    ]);
    assert_eq!(document.objects("postgres.tables"), ["public.missing"]);
    assert_eq!(document.objects("postgres.keyless"), ["public.bare", "public.deferred"]);
    assert_eq!(document.objects("postgres.unlogged"), ["public.fast"]);
    assert_eq!(document.objects("postgres.generated_columns"), ["public.good.twice"]);
    assert_eq!(document.objects("postgres.replica_identity"), ["public.nothing"]);

    stage.config("tables:\n  - source: public.fast\n");
    let document = Document::new(&stage, &[]);
    document.expect(&[("postgres.unlogged", "fail")]);
    assert_eq!(document.statements("postgres.unlogged"), ["ALTER TABLE \"public\".\"fast\" SET LOGGED"]);
}

#[test]
fn a_published_table_without_a_key_breaks_the_application_and_fails() {
    let stage = Stage::new("doctor_keyless");
    stage.postgres.execute(
        "CREATE TABLE bare (note text); INSERT INTO bare VALUES ('a');
         CREATE TABLE good (id int PRIMARY KEY)",
    );
    stage.postgres.execute(&format!(
        "CREATE PUBLICATION \"pipectl_{}\" FOR TABLE bare, good WITH (publish_via_partition_root = true)",
        stage.name
    ));
    stage.config(ALL_OF_PUBLIC);
    assert!(stage.postgres.try_execute("UPDATE bare SET note = 'b'").is_err(), "Postgres refuses it");
    let document = Document::new(&stage, &["--fix"]);
    assert_eq!(document.outcome.status, Some(4), "{}", document.outcome);
    document.expect(&[("postgres.keyless_published", "fail"), ("postgres.publication_publish", "pass")]);
    assert_eq!(document.objects("postgres.keyless_published"), ["public.bare"]);
    assert_eq!(document.check("postgres.keyless_published")["fix"]["automatic"], false);
    assert_eq!(stage.postgres.value("SELECT relreplident FROM pg_class WHERE relname = 'bare'"), "d");

    for statement in document.statements("postgres.keyless_published") {
        stage.postgres.execute(statement);
    }
    stage.postgres.execute("UPDATE bare SET note = 'b'");
    Document::new(&stage, &[]).expect(&[("postgres.keyless_published", "pass"), ("postgres.keyless", "warn")]);
}

#[test]
fn fix_mends_a_publication_that_sends_too_little() {
    let stage = Stage::new("doctor_publication");
    stage.postgres.execute(
        "CREATE TABLE one (id int PRIMARY KEY);
         CREATE TABLE two (id int PRIMARY KEY, note text);
         CREATE TABLE split (id int PRIMARY KEY) PARTITION BY RANGE (id);
         CREATE TABLE split_1 PARTITION OF split FOR VALUES FROM (0) TO (1000)",
    );
    stage.postgres.execute(&format!(
        "CREATE PUBLICATION \"pipectl_{}\" FOR TABLE one, split WITH (publish = 'insert, update')",
        stage.name
    ));
    stage.config(ALL_OF_PUBLIC);
    let document = Document::new(&stage, &[]);
    assert_eq!(document.outcome.status, Some(4), "{}", document.outcome);
    document.expect(&[
        ("postgres.publication_tables", "fail"),
        ("postgres.publication_publish", "fail"),
        ("postgres.publication_via_root", "fail"),
    ]);
    assert_eq!(document.objects("postgres.publication_tables"), ["public.two"]);

    let fixed = stage.pipectl(&["doctor", "--fix"]);
    assert_eq!(fixed.status, Some(0), "{fixed}");
    for part in ["ADD TABLE \"public\".\"two\"", "SET (publish = ", "SET (publish_via_partition_root = true)"] {
        assert!(fixed.stderr.contains(part), "{fixed}");
    }
    let all_on = "SELECT pubdelete AND pubtruncate AND pubviaroot FROM pg_publication";
    assert_eq!(stage.postgres.value(all_on), "t");
    Document::new(&stage, &[])
        .expect(&[("postgres.publication_tables", "pass"), ("postgres.keyless_published", "pass")]);
}

#[test]
fn tables_without_a_key_can_have_their_inserts_sent() {
    let stage = Stage::new("doctor_inserts");
    stage.postgres.execute("CREATE TABLE bare (note text); INSERT INTO bare VALUES ('a')");
    stage.config("tables:\n  - source: public.*\n    keyless: insert_only\n");
    let document = Document::new(&stage, &[]);
    document.expect(&[("postgres.publication_inserts", "warn"), ("postgres.keyless", "pass")]);
    let fixed = Document::new(&stage, &["--fix"]);
    assert_eq!(fixed.outcome.status, Some(0), "{}", fixed.outcome);
    fixed.expect(&[("postgres.publication_inserts", "pass")]);
    stage.postgres.execute("UPDATE bare SET note = 'b'");

    let name = format!("pipectl_{}_inserts", stage.name);
    stage.postgres.execute(&format!("ALTER PUBLICATION \"{name}\" SET (publish = 'insert, update')"));
    assert!(stage.postgres.try_execute("UPDATE bare SET note = 'c'").is_err(), "Postgres refuses it");
    Document::new(&stage, &[]).expect(&[("postgres.publication_inserts", "fail")]);
    Document::new(&stage, &["--fix"]).expect(&[("postgres.publication_inserts", "pass")]);
    stage.postgres.execute("UPDATE bare SET note = 'c'");
}

#[test]
fn what_is_stored_must_fit_what_the_slot_has() {
    let stage = Stage::new("doctor_stored");
    stage.postgres.execute("CREATE TABLE t (id int PRIMARY KEY)");
    stage.config(ALL_OF_PUBLIC);
    stage.clickhouse.execute("CREATE DATABASE {db}");
    let own = format!("pipectl_{}", stage.name);
    let mut store = StateStore::new(stage.clickhouse.server.clone(), &stage.name, &stage.name, &own);
    run(store.create()).unwrap();
    let mut record =
        PipelineRecord::intended(stage.postgres.value("SELECT system_identifier FROM pg_control_system()"), 1, true);
    record.consistent_point = Some("0/10".to_owned());
    record.snapshot_done = true;
    run(store.save_pipeline(&record)).unwrap();
    let document = Document::new(&stage, &[]);
    assert_eq!(document.outcome.status, Some(4), "{}", document.outcome);
    document.expect(&[("pipeline.position", "fail"), ("pipeline.parked", "pass")]);
    assert!(document.check("pipeline.position")["seen"].as_str().unwrap().contains("is gone"));

    // A slot that is further than what is stored: ClickHouse was set back.
    stage.postgres.execute(&format!("SELECT pg_create_logical_replication_slot('{own}', 'pgoutput')"));
    let document = Document::new(&stage, &[]);
    document.expect(&[("pipeline.position", "fail")]);
    assert!(document.check("pipeline.position")["seen"].as_str().unwrap().contains("are missing"));

    let reached = stage
        .postgres
        .value(&format!("SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = '{own}'"));
    record.consistent_point = Some(reached);
    run(store.save_pipeline(&record)).unwrap();
    run(store.park(7, "its type cannot be carried", Version::SNAPSHOT)).unwrap();
    let document = Document::new(&stage, &[]);
    document.expect(&[("pipeline.position", "pass"), ("pipeline.parked", "fail")]);
}

#[test]
fn slots_are_judged_by_what_they_are() {
    let stage = Stage::new("doctor_slots");
    stage.postgres.execute("CREATE TABLE t (id int PRIMARY KEY)");
    stage.config(ALL_OF_PUBLIC);
    let (own, old) = (format!("pipectl_{}", stage.name), format!("pipectl_{}_old", stage.name));
    stage.postgres.execute(&format!("SELECT pg_create_logical_replication_slot('{old}', 'pgoutput')"));
    stage.postgres.execute(&format!("SELECT pg_create_logical_replication_slot('{own}', 'pgoutput')"));
    stage.postgres.execute("INSERT INTO t SELECT generate_series(1, 1000)");

    let document = Document::new(&stage, &["--fix"]);
    document.expect(&[
        ("postgres.abandoned_slots", "warn"),
        ("postgres.slot", "pass"),
        ("postgres.slot_wal", "pass"),
        ("postgres.slot_lag", "pass"),
        ("postgres.publication", "fail"),
    ]);
    assert!(document.objects("postgres.abandoned_slots").contains(&old.as_str()));
    assert!(!document.objects("postgres.abandoned_slots").contains(&own.as_str()));
    assert!(document.check("postgres.slot_lag")["seen"].as_str().unwrap().contains("behind"));
    // Neither slots are dropped nor is a publication made that its slot could not be read with.
    assert_eq!(stage.postgres.value("SELECT count(*) FROM pg_publication"), "0");
    assert_eq!(
        stage.postgres.value("SELECT count(*) FROM pg_replication_slots WHERE database = current_database()"),
        "2"
    );

    stage.postgres.execute(&format!("SELECT pg_drop_replication_slot('{own}')"));
    stage.postgres.execute(&format!("SELECT pg_create_logical_replication_slot('{own}', 'test_decoding')"));
    let document = Document::new(&stage, &[]);
    document.expect(&[("postgres.slot", "fail"), ("postgres.slot_lag", "not_run")]);
}

#[test]
fn transactions_that_a_slot_would_wait_for_are_named() {
    let stage = Stage::new("doctor_transactions");
    stage.postgres.execute("CREATE TABLE t (id int PRIMARY KEY)");
    stage.config(ALL_OF_PUBLIC);
    let writer = Postgres::connect(&stage.postgres.url);
    writer.execute("BEGIN; INSERT INTO t VALUES (1)");
    let pid = writer.value("SELECT pg_backend_pid()");
    let gid = format!("{}'s", stage.name);
    let literal = gid.replace('\'', "''");
    stage.postgres.execute(&format!("BEGIN; INSERT INTO t VALUES (2); PREPARE TRANSACTION '{literal}'"));
    let deadline = Instant::now() + PATIENCE;
    let document = loop {
        let document = Document::new(&stage, &[]);
        if document.objects("postgres.open_transactions").contains(&pid.as_str()) {
            break document;
        }
        assert!(Instant::now() < deadline, "{}", document.outcome);
    };
    document.expect(&[("postgres.open_transactions", "warn"), ("postgres.prepared_transactions", "warn")]);
    assert!(document.objects("postgres.prepared_transactions").contains(&gid.as_str()));
    let seen = document.check("postgres.open_transactions")["seen"].as_str().unwrap();
    assert!(seen.contains(&format!("pid {pid} of")) && seen.contains("since 20"), "{seen}");
    writer.execute("ROLLBACK");
    stage.postgres.execute(&format!("ROLLBACK PREPARED '{literal}'"));
}
