//! Tables that get another name at the source.

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
