//! Tables that get another name at the source, and tables that come later.

use crate::sync_changes::Pipeline;

#[test]
fn a_renamed_table_goes_on_where_it_was() {
    let pipeline = Pipeline::new(
        "renamed_table",
        "CREATE TABLE before (id int PRIMARY KEY, n int); INSERT INTO before SELECT g, g FROM generate_series(1, 20) AS g;",
        "",
    );
    pipeline.sync();
    pipeline
        .pg("ALTER TABLE before RENAME TO after; INSERT INTO after VALUES (21, 21); DELETE FROM after WHERE id = 1;");
    pipeline.sync();
    assert_eq!(pipeline.ch("SELECT count(), sum(n) FROM {db}.before FINAL"), "20\t230");
    // The same after a restart, where all tables are planned at once.
    pipeline.pg("UPDATE after SET n = 0 WHERE id = 21");
    pipeline.sync();
    assert_eq!(pipeline.ch("SELECT count(), sum(n) FROM {db}.before FINAL"), "20\t209");
    assert_eq!(pipeline.ch("SELECT count() FROM system.tables WHERE database = '{db}' AND name = 'after'"), "0");
}

#[test]
fn a_table_without_a_key_can_join_later() {
    let config = "tables:\n  - source: public.*\n    keyless: insert_only\n";
    let pipeline =
        Pipeline::new("keyless_later", "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1);", config);
    pipeline.sync();
    // A backlog of the stream lies before the new table: what sends its rows must not be younger than the slot.
    pipeline.pg("INSERT INTO t SELECT generate_series(2, 500); CREATE TABLE log (n int); INSERT INTO log SELECT generate_series(1, 100) % 3;");
    pipeline.sync();
    pipeline.pg("INSERT INTO log SELECT 7 FROM generate_series(1, 50); INSERT INTO t VALUES (1000);");
    pipeline.sync();
    assert_eq!(pipeline.ch("SELECT count() FROM {db}.log FINAL"), "150");
    assert_eq!(pipeline.ch("SELECT count() FROM {db}.t FINAL"), "501");
}
