//! Logs that are copied again where their changes come by topics: records tell which transaction they are of, not where it was committed.

use crate::recopy::{resync, stop};
use crate::recopy_logs::{
    FIXED, LOGS, RULES, across_the_copy, copied_under_load, interrupted, killed_at_each_place, shadows, transaction,
};
use crate::support::{Piped, Proxy, Running};
use crate::sync_recovery::{Load, kill};

const NUMBERED: &[(&str, &str)] = &[("provide.transaction.metadata", "true")];
const TABLES: [&str; 4] = ["bag", "emptied", "moves", "visits"];

fn piped(test: &str) -> Piped {
    let piped = Piped::new(test, LOGS, NUMBERED);
    // Whoever was killed comes back as the same member of the group, without a rebalance.
    let member = "  properties: {group.instance.id: one, session.timeout.ms: 6000}\n";
    piped.configure(member, &format!("tables:\n  - source: {RULES}"));
    piped.sync();
    piped.stage.postgres.execute(FIXED);
    piped.sync();
    piped.equal();
    piped
}

fn reading(piped: &Piped) -> Running {
    let mut running = piped.call(&["sync"]).spawn();
    running.wait_for("partitions of");
    running
}

/// Everything that the topics hold once more: of each change one is stored, by the copy or as itself.
fn equal_when_all_is_read_again(piped: &Piped) {
    piped.sync();
    piped.equal();
    piped.rewind(&TABLES);
    piped.sync();
    piped.equal();
    assert_eq!(shadows(&piped.stage), "0");
    let inserted = piped.stage.postgres.value("SELECT count(*) || ' ' || sum(n) FROM visits");
    assert_eq!(piped.stage.clickhouse.value("SELECT concat(count(), ' ', sum(n)) FROM {db}.visits FINAL"), inserted);
}

#[test]
fn logs_of_topics_are_copied_again_beside_the_stream() {
    let piped = piped("recopy_topics_beside");
    let stage = &piped.stage;
    copied_under_load(stage, || reading(&piped), 2);
    equal_when_all_is_read_again(&piped);
    assert_eq!(stage.clickhouse.value("SELECT count() FROM {db}.bag WHERE n < 0"), "1000");
}

#[cfg(feature = "failpoints")]
#[test]
fn a_copy_of_a_log_of_topics_that_is_killed_counts_nothing_twice() {
    let piped = piped("recopy_topics_killed");
    let stage = &piped.stage;
    killed_at_each_place(
        (stage, "partitions of"),
        |arguments| piped.call(arguments),
        |_| {
            let outcome = piped.sync();
            piped.equal();
            outcome
        },
    );
    let load = Load::of(&stage.postgres.url, transaction);
    let running = reading(&piped);
    let mut asking = piped.call(&["resync", "bag", "--max-rows-per-second", "300"]).spawn();
    asking.wait_for("is being copied");
    kill(running);
    interrupted(asking);
    load.stop();
    equal_when_all_is_read_again(&piped);
}

/// Which of the transactions around its snapshot a copy has is told by their ids alone: the one that is committed first behind it says of itself no more
/// than that it follows one which is in the copy.
#[test]
fn a_transaction_across_the_copy_of_a_log_of_topics_counts_once() {
    let piped = piped("recopy_topics_across");
    let stage = &piped.stage;
    // Committed behind the snapshot: before the copy has the table's place, and when it has it.
    let source = Proxy::to(&stage.postgres.url);
    let mut running = piped.call(&["sync"]).env("POSTGRES_URL", &source.plain_url(&stage.postgres.url)).spawn();
    running.wait_for("partitions of");
    source.hold(&["COPY (SELECT", "bag"]);
    across_the_copy(stage, || piped.call(&["resync", "bag"]).spawn(), Some(&source));
    assert_eq!(stage.clickhouse.value("SELECT count() FROM {db}.bag WHERE n = 104"), "1", "it stays");
    stop(running);
    piped.sync();
    piped.equal();
    let running = reading(&piped);
    across_the_copy(stage, || piped.call(&["resync", "bag"]).spawn(), None);
    stop(running);
    equal_when_all_is_read_again(&piped);
}

/// A multiset that shows rows which the source no longer has is left behind, and comes back while the others go on; so does a table that is made again.
#[test]
fn a_log_of_topics_comes_back_while_the_others_run() {
    let piped = piped("recopy_topics_back");
    let stage = &piped.stage;
    let mut running = reading(&piped);
    stage.postgres.execute("ALTER TABLE bag ALTER n TYPE int USING n * 2");
    running.wait_for("table \"bag__log\" is parked, the others go on: an ALTER TABLE rewrote it");
    stage
        .postgres
        .execute("DELETE FROM bag WHERE n = 2; INSERT INTO bag VALUES (77, 'unseen'); INSERT INTO other VALUES (77)");
    stage.wait_until("the others go on", |stage| stage.clickhouse.value("SELECT count() FROM {db}.other FINAL") == "1");
    resync(stage, &["bag"]);
    let unseen = "SELECT count() FROM {db}.bag WHERE n = 77";
    assert_eq!(stage.clickhouse.value(unseen), "1");
    stage.postgres.execute("UPDATE bag SET n = 78 WHERE n = 77");
    stage.wait_until("it follows", |stage| stage.clickhouse.value(unseen) == "0");
    stage.postgres.execute("DROP TABLE visits; CREATE TABLE visits (n int); INSERT INTO visits VALUES (5), (5)");
    running.wait_for("public.visits is copied again: 2 rows");
    stage.admin.execute(&format!("ALTER PUBLICATION pipectl_{} ADD TABLE visits", stage.name));
    stage.postgres.execute("INSERT INTO visits VALUES (6)");
    stop(running);
    equal_when_all_is_read_again(&piped);
}

/// Beside the stream that is another matter than behind what it stored, and before what it is to read.
#[test]
fn logs_of_topics_are_copied_while_sync_stands_still() {
    let piped = Piped::new(
        "recopy_topics_still",
        "CREATE TABLE bag (n int); ALTER TABLE bag REPLICA IDENTITY FULL; INSERT INTO bag VALUES (1), (1), (2);
         CREATE TABLE moves (id int PRIMARY KEY, n int); INSERT INTO moves VALUES (1, 1), (2, 2)",
        NUMBERED,
    );
    piped
        .configure("", "tables:\n  - {source: public.bag, keyless: multiset}\n  - {source: public.moves, mode: log}\n");
    let stage = &piped.stage;
    stage.catch_up_and_verify();
    // Read only after the copy that has them already.
    stage.postgres.execute("INSERT INTO bag VALUES (3), (3); UPDATE bag SET n = 4 WHERE n = 1; DELETE FROM bag WHERE n = 2; UPDATE moves SET n = n + 1; DELETE FROM moves WHERE id = 2");
    across_the_copy(stage, || piped.call(&["resync", "bag", "moves", "--yes"]).spawn(), None);
    stage.postgres.execute("INSERT INTO bag VALUES (5), (5); UPDATE moves SET n = 9");
    stage.catch_up_and_verify();
    let moves = "SELECT groupArray((_op, n)) FROM (SELECT * FROM {db}.moves FINAL ORDER BY _version, _ordinal)";
    assert_eq!(stage.clickhouse.value(moves), "[('r',2),('u',9)]");
    // All of it anew, behind what the topics hold then.
    stage.postgres.execute("INSERT INTO bag VALUES (6); DELETE FROM bag WHERE n = 5");
    across_the_copy(stage, || piped.call(&["resync", "--all", "--yes"]).spawn(), None);
    stage.postgres.execute("UPDATE bag SET n = 7 WHERE n = 6");
    stage.catch_up_and_verify();
}
