//! Tables whose rows stand each for itself, and those whose deleted rows stay, copied again while the stream goes on.

use crate::recopy::{QUICK, Reader, SOON, resync, stop, streaming};
use crate::support::{Invocation, Outcome, Postgres, Proxy, Running, Stage};
use crate::sync_changes::Pipeline;
use crate::sync_recovery::{Load, kill};
use std::sync::{Mutex, PoisonError};

/// Rows that nobody changes, in a log that knows a truncation; a log that is emptied now and then; one with a key; and one that keeps inserts alone.
pub(crate) const LOGS: &str = "
    CREATE TABLE bag (n int, v text); ALTER TABLE bag REPLICA IDENTITY FULL; CREATE TABLE emptied (n int); ALTER TABLE emptied REPLICA IDENTITY FULL;
    CREATE TABLE moves (id int PRIMARY KEY, n int); CREATE TABLE visits (n int); CREATE TABLE other (id int PRIMARY KEY);
    INSERT INTO moves SELECT g, 0 FROM generate_series(1, 1000) AS g; INSERT INTO visits SELECT g FROM generate_series(1, 100) AS g;
    INSERT INTO bag SELECT -g, 'gone' FROM generate_series(1, 300) AS g; INSERT INTO emptied VALUES (1), (1)";
pub(crate) const FIXED: &str = "TRUNCATE bag; INSERT INTO bag SELECT -(g % 100) - 1, 'fixed' FROM generate_series(1, 1000) AS g; INSERT INTO bag SELECT g % 7, 'v' FROM generate_series(1, 200) AS g";
pub(crate) const RULES: &str = "public.*
  - {source: public.bag, keyless: multiset}
  - {source: public.emptied, keyless: multiset}
  - {source: public.moves, mode: log}
  - {source: public.visits, keyless: insert_only}
";

/// Each kind of change to each of them.
pub(crate) fn transaction(number: u32) -> String {
    let emptied =
        if number.is_multiple_of(15) { "TRUNCATE emptied; INSERT INTO emptied VALUES (1), (2), (2);" } else { "" };
    let end = if number.is_multiple_of(7) { "ROLLBACK" } else { "COMMIT" };
    format!(
        "BEGIN; INSERT INTO bag SELECT g % 5, 'v' FROM generate_series(1, 20) AS g; UPDATE bag SET v = 'w{number}' WHERE n = {number} % 7;
         DELETE FROM bag WHERE ctid IN (SELECT ctid FROM bag WHERE n >= 0 LIMIT 20); UPDATE bag SET n = n + 1 WHERE n = {number} % 3; SELECT pg_sleep(0.04);
         INSERT INTO emptied SELECT g % 3 FROM generate_series(1, 9) AS g; UPDATE emptied SET n = n + 1 WHERE n = 1; {emptied} DELETE FROM emptied WHERE n = 0;
         UPDATE moves SET n = n + 1 WHERE id % 100 = {number} % 100; DELETE FROM moves WHERE id = {number}; INSERT INTO moves VALUES ({number} + 100000, 1);
         UPDATE moves SET id = -id WHERE id = {number} + 500; INSERT INTO visits VALUES ({number}), ({number}); {end}"
    )
}

fn logs(test: &str) -> Stage {
    let stage = Stage::new(test);
    stage.postgres.execute(LOGS);
    stage.config(&QUICK.replace("public.*\n", RULES));
    let caught_up = stage.pipectl(&["sync", "--until-caught-up"]);
    assert_eq!(caught_up.status, Some(0), "{caught_up}");
    stage.postgres.execute(FIXED);
    stage.catch_up_and_verify();
    stage
}

pub(crate) fn shadows(stage: &Stage) -> String {
    let like = "SELECT count() FROM system.tables WHERE database = '{}' AND name LIKE '%\\_\\_pipectl\\_%'";
    stage.clickhouse.value(&like.replace("{}", &stage.name))
}

/// Logs are copied while their tables change; whoever reads them has all rows at every moment.
pub(crate) fn copied_under_load(stage: &Stage, start: impl Fn() -> Running, times: usize) {
    let load = Load::of(&stage.postgres.url, transaction);
    let running = start();
    let fixed = Reader::start(stage, "SELECT count() FROM {db}.bag WHERE n < 0");
    let all = Reader::start(stage, "SELECT count() FROM {db}.bag");
    let refused = stage.pipectl(&["resync", "moves"]);
    assert!(
        refused.status == Some(2) && refused.stderr.contains("history that is stored of public.moves"),
        "{refused}"
    );
    // One too many, which only a copy mends.
    stage.clickhouse.execute("INSERT INTO {db}.bag__log (n, v, _version, _ordinal, _sign) VALUES (-1, 'stray', toUInt128('99999999999999999999'), 0, 1)");
    for _ in 0..times {
        resync(stage, &["bag", "emptied", "visits", "--max-rows-per-second", "2000"]);
    }
    resync(stage, &["moves", "--yes", "--max-rows-per-second", "1000"]);
    load.stop();
    let (fewest, most) = fixed.fewest_and_most();
    assert!(fewest >= 1000 && most <= 1001, "{fewest} to {most} rows that nobody changes");
    assert!(all.fewest_and_most().0 >= 1000);
    let told = stop(running);
    assert_eq!(told.matches("public.bag is copied again: ").count(), times, "{told}");
}

/// Whoever waits for a copy is ended; what it asked for is not.
pub(crate) fn interrupted(asking: Running) {
    asking.signal("INT");
    let asked = asking.finish(SOON);
    assert!(asked.stderr.contains("the request stands"), "{asked}");
}

/// A sync that is asked to copy logs dies at a place of it, under load; `goes_on` starts it again.
pub(crate) fn killed_at_each_place(
    (stage, streams): (&Stage, &str),
    call: impl Fn(&[&str]) -> Invocation,
    mut goes_on: impl FnMut(&str) -> Outcome,
) {
    for failpoint in ["recopy.begun", "recopy.copied", "recopy.noted", "recopy.exchanged"] {
        let load = Load::of(&stage.postgres.url, transaction);
        let mut running = call(&["sync"]).env("PIPECTL_FAILPOINTS", failpoint).spawn();
        running.wait_for(streams);
        let mut asking = call(&["resync", "moves", "bag", "emptied", "--yes"]).spawn();
        asking.wait_for("asking the running sync");
        assert_eq!(running.finish(SOON).status, None, "it was to die at {failpoint}");
        interrupted(asking);
        load.stop();
        let outcome = goes_on(failpoint);
        let copies = outcome.stderr.matches(" is copied again while the stream goes on").count();
        assert_eq!(copies, if failpoint == "recopy.exchanged" { 2 } else { 3 }, "{failpoint}: {outcome}");
    }
}

#[test]
fn logs_are_copied_again_beside_the_stream() {
    let stage = logs("recopy_logs_beside");
    copied_under_load(&stage, || streaming(&stage), 3);
    stage.catch_up_and_verify();
    assert_eq!(stage.clickhouse.value("SELECT count() FROM {db}.bag WHERE n < 0"), "1000");
    let inserted = stage.postgres.value("SELECT count(*) || ' ' || sum(n) FROM visits");
    assert_eq!(stage.clickhouse.value("SELECT concat(count(), ' ', sum(n)) FROM {db}.visits FINAL"), inserted);
    assert_eq!(shadows(&stage), "0");
    // The same again is the same, also under other batches: each row has the place that it had.
    for table in ["bag__log", "emptied__log", "moves", "visits"] {
        stage.clickhouse.execute(&format!("OPTIMIZE TABLE {{db}}.{table} FINAL"));
    }
    stage.catch_up_and_verify();
}

#[cfg(feature = "failpoints")]
#[test]
fn a_copy_of_a_log_that_is_killed_counts_nothing_twice() {
    let pipeline = Pipeline { stage: logs("recopy_logs_killed") };
    let (stage, mark) = (&pipeline.stage, pipeline.mark());
    killed_at_each_place(
        (stage, "streaming from"),
        |arguments| stage.invocation(arguments),
        |failpoint| {
            let outcome = stage.catch_up_and_verify();
            let again = stage.catch_up_and_verify();
            assert!(!again.stderr.contains("copied again"), "{failpoint}: {again}");
            outcome
        },
    );
    let load = Load::of(&stage.postgres.url, transaction);
    let running = streaming(stage);
    let mut asking = stage.invocation(&["resync", "bag", "--max-rows-per-second", "300"]).spawn();
    asking.wait_for("is being copied");
    kill(running);
    interrupted(asking);
    load.stop();
    stage.catch_up_and_verify();
    assert_eq!(shadows(stage), "0");
    pipeline.replay(&mark);
    pipeline.verify();
}

/// Of what is rewritten under a copy the stream does not tell, and rows that were read before cannot be told from those that are read again.
#[test]
fn a_log_that_is_rewritten_while_it_is_copied_is_copied_from_its_beginning() {
    let stage = Stage::new("recopy_logs_rewritten");
    stage.postgres.execute(
        "CREATE TABLE parts (kind int, n int) PARTITION BY LIST (kind); ALTER TABLE parts REPLICA IDENTITY FULL;
         CREATE TABLE parts_0 PARTITION OF parts FOR VALUES IN (0); ALTER TABLE parts_0 REPLICA IDENTITY FULL;
         CREATE TABLE parts_1 PARTITION OF parts FOR VALUES IN (1); ALTER TABLE parts_1 REPLICA IDENTITY FULL;
         INSERT INTO parts SELECT g % 2, g FROM generate_series(1, 1000) AS g; CREATE TABLE flat (n int); ALTER TABLE flat REPLICA IDENTITY FULL;
         INSERT INTO flat SELECT g % 10 FROM generate_series(1, 500) AS g",
    );
    let rules = "tables:\n  - {source: public.*, keyless: multiset}\nsync:\n  snapshot: {parallel: 1}\n  batch: {max_age: 50ms}\n";
    stage.config(rules);
    stage.catch_up_and_verify();
    let mut running = streaming(&stage);
    let copying = |table: &str| {
        let mut asking = stage.invocation(&["resync", table, "--max-rows-per-second", "250"]).spawn();
        asking.wait_for("is being copied");
        asking
    };
    // The reader is in the first partition.
    let asking = copying("parts");
    stage.postgres.execute("TRUNCATE parts_1; INSERT INTO parts VALUES (1, 7), (1, 7), (0, 1)");
    running.wait_for("public.parts was rewritten while it was copied; its copy begins again");
    stage.postgres.execute("DELETE FROM parts WHERE n = 1");
    let asked = asking.finish(SOON);
    assert_eq!(asked.status, Some(0), "{asked}");
    // Waits for the reader, and comes behind what it has read.
    let asking = copying("flat");
    stage.postgres.execute("INSERT INTO flat VALUES (77); TRUNCATE flat; INSERT INTO flat VALUES (1), (1), (2)");
    let asked = asking.finish(SOON);
    assert_eq!(asked.status, Some(0), "{asked}");
    stop(running);
    stage.catch_up_and_verify();
    assert_eq!(stage.clickhouse.value("SELECT groupArray(n) FROM (SELECT n FROM {db}.flat ORDER BY n)"), "[1,1,2]");
    assert_eq!(stage.clickhouse.value("SELECT count(), countIf(n = 7) FROM {db}.parts WHERE kind = 1"), "2\t2");
}

/// What the stream does not tell is no part of a log, and no copy of it is made that nobody asks for: it would take the place of what the log keeps.
#[test]
fn what_the_stream_does_not_tell_of_a_log_is_told_with_the_way_out() {
    let stage = Stage::new("recopy_logs_altered");
    stage.postgres.execute(
        "CREATE TABLE kept (id int PRIMARY KEY, n int); INSERT INTO kept VALUES (1, 1);
         CREATE TABLE counted (n int); ALTER TABLE counted REPLICA IDENTITY FULL; INSERT INTO counted VALUES (1), (1), (2);
         CREATE TABLE inserts (n int); INSERT INTO inserts VALUES (1), (2)",
    );
    let logs = "public.*\n  - {source: public.kept, mode: log}\n  - {source: public.counted, keyless: multiset}\n  - {source: public.inserts, keyless: insert_only}\n";
    stage.config(&QUICK.replace("public.*\n", logs));
    let sync = || {
        let outcome = stage.pipectl(&["sync", "--until-caught-up"]);
        assert_eq!(outcome.status, Some(0), "{outcome}");
    };
    sync();
    let mut running = streaming(&stage);
    let rewritten = |table: &str| format!("ALTER TABLE {table} ALTER n TYPE int USING n * 2");
    stage.postgres.execute("DELETE FROM inserts WHERE n = 1");
    for table in ["kept", "inserts"] {
        stage.postgres.execute(&rewritten(table));
        running.wait_for(&format!("public.{table}: an ALTER TABLE rewrote it"));
    }
    stage.postgres.execute(&rewritten("counted"));
    running.wait_for("table \"counted__log\" is parked, the others go on: an ALTER TABLE rewrote it");
    let status = stage.pipectl(&["status"]);
    assert!(status.stdout.contains("`pipectl resync public.counted`, while sync runs"), "{status}");
    stage.postgres.execute("UPDATE kept SET n = 5; INSERT INTO inserts VALUES (5); DELETE FROM counted WHERE n = 4");
    stage.wait_until("the others go on", |stage| {
        let last = |table: &str| stage.clickhouse.value(&format!("SELECT max(n) FROM {{db}}.{table} FINAL"));
        last("kept") == "5" && last("inserts") == "5"
    });
    let inserts = "SELECT groupArray(n) FROM (SELECT n FROM {db}.inserts FINAL ORDER BY n)";
    assert_eq!(stage.clickhouse.value(inserts), "[1,2,5]");
    assert_eq!(stage.clickhouse.value("SELECT count() FROM {db}.kept FINAL"), "2");
    // Readers have the rows as they were.
    let counted = "SELECT groupArray(n) FROM (SELECT n FROM {db}.counted ORDER BY n)";
    assert_eq!(stage.clickhouse.value(counted), "[1,1,2]");
    resync(&stage, &["counted"]);
    assert_eq!(stage.clickhouse.value(counted), "[2,2]");
    stage.postgres.execute("DELETE FROM counted WHERE ctid = (SELECT ctid FROM counted LIMIT 1); INSERT INTO counted VALUES (7), (7); ALTER TABLE counted ADD COLUMN later int DEFAULT 3; INSERT INTO counted VALUES (8)");
    stage.wait_until("it follows", |stage| stage.clickhouse.value(counted) == "[2,7,7,8]");
    // Into the form that it has now.
    stage.postgres.execute("ALTER TABLE counted DROP COLUMN later");
    resync(&stage, &["counted"]);
    let columns = "SELECT groupArray(name) FROM system.columns WHERE database = '{}' AND table = 'counted'";
    assert_eq!(stage.clickhouse.value(&columns.replace("{}", &stage.name)), "['n']");
    stop(running);
    sync();
    let verified = stage.pipectl(&["verify", "--table", "public.counted"]);
    assert_eq!(verified.status, Some(0), "{verified}");
}

/// Two tests with transactions of this kind would wait for each other: a new slot waits for those of every database.
static ACROSS: Mutex<()> = Mutex::new(());

/// Lets a transaction write on both sides of a copy's snapshot: one that began when the slot waited for others, and was still open when it had them all. It is
/// committed when the copy has the table's place, or while its rows are held back.
pub(crate) fn across_the_copy(stage: &Stage, copy: impl FnOnce() -> Running, source: Option<&Proxy>) {
    let _alone = ACROSS.lock().unwrap_or_else(PoisonError::into_inner);
    let open = |n: u8| {
        let session = Postgres::connect(&stage.postgres.url);
        session.execute(&format!("BEGIN; INSERT INTO bag VALUES ({n})"));
        let id = session.value("SELECT pg_current_xact_id()::xid::text");
        (session, id)
    };
    let is_waited_for = |id: &str| {
        let waits = format!(
            "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE locktype = 'transactionid' AND NOT granted
             AND transactionid::text = '{id}' AND query LIKE '%\"pipectl_{}_copy%'",
            stage.name
        );
        stage.wait_until("the slot waits", |stage| stage.admin.value(&waits) == "1");
    };
    let (first, id) = open(101);
    let copying = copy();
    is_waited_for(&id);
    let (second, id) = open(102);
    first.execute("COMMIT");
    is_waited_for(&id);
    let (third, _) = open(103);
    second.execute("COMMIT");
    let last = "INSERT INTO bag VALUES (104); DELETE FROM bag WHERE n = 101; COMMIT";
    if let Some(source) = source {
        source.wait_until_held();
        third.execute(last);
        let stored = "SELECT count() FROM {db}.bag WHERE n = 104";
        stage.wait_until("it is stored", |stage| stage.clickhouse.value(stored) == "1");
        assert_ne!(shadows(stage), "0", "the copy is under way still");
        source.release();
    }
    let outcome = copying.finish(SOON);
    assert_eq!(outcome.status, Some(0), "{outcome}");
    if source.is_none() {
        third.execute(last);
    }
}

#[test]
fn a_transaction_across_the_copy_of_a_log_counts_once() {
    let pipeline = Pipeline { stage: logs("recopy_logs_across") };
    let (stage, mark) = (&pipeline.stage, pipeline.mark());
    let running = streaming(stage);
    across_the_copy(stage, || stage.invocation(&["resync", "bag"]).spawn(), None);
    stop(running);
    pipeline.equal();
    across_the_copy(stage, || stage.invocation(&["resync", "bag"]).spawn(), None);
    pipeline.equal();
    pipeline.replay(&mark);
    pipeline.verify();
}

const KEPT: &str = "tables:\n  - {source: public.*, deletes: keep}\nsync:\n  batch: {max_age: 50ms}\n";

/// A table that is parked, or gets another form, is copied into a shadow that alone gets its changes.
#[test]
fn rows_that_stay_survive_the_copy_of_a_parked_table() {
    let stage = Stage::new("recopy_kept");
    stage.postgres.execute(
        "CREATE TABLE items (id int PRIMARY KEY, v text, tags int[], long text); ALTER TABLE items ALTER long SET STORAGE EXTERNAL;
         INSERT INTO items SELECT g, 'v' || g, '{1}', repeat(md5(g::text), 90) FROM generate_series(1, 1000) AS g; CREATE TABLE other (id int PRIMARY KEY)",
    );
    stage.config(KEPT);
    stage.catch_up_and_verify();
    let mut running = streaming(&stage);
    stage.postgres.execute("DELETE FROM items WHERE id = 1");
    stage.wait_until("it stays", |stage| {
        stage.clickhouse.value("SELECT count() FROM {db}.items FINAL WHERE id = 1 AND _source_deleted_at IS NOT NULL")
            == "1"
    });
    let first = stage.clickhouse.value("SELECT _source_deleted_at FROM {db}.items FINAL WHERE id = 1");
    stage.postgres.execute("INSERT INTO items VALUES (2000, 'x', '{{1,2},{3,4}}', '')");
    running.wait_for("table \"items\" is parked");
    // Nobody sees these.
    stage.postgres.execute("DELETE FROM items WHERE id IN (2, 2000); UPDATE items SET v = 'unseen', long = repeat('new', 1000) WHERE id IN (3, 6)");
    let mut asking = stage.invocation(&["resync", "items", "--max-rows-per-second", "250"]).spawn();
    asking.wait_for("is being copied");
    stage.postgres.execute(
        "UPDATE items SET v = 'last', long = 'l' WHERE id = 6; UPDATE items SET v = 'last' WHERE id = 990; DELETE FROM items WHERE id IN (5, 6); DELETE FROM items WHERE id IN (4, 991); INSERT INTO items VALUES (4, 'again', '{1}', 'short');
         UPDATE items SET v = 'seen' WHERE id IN (3, 992); INSERT INTO items VALUES (3000, 'new', '{1}', ''); DELETE FROM items WHERE id = 3000; UPDATE items SET id = -7 WHERE id = 7",
    );
    let asked = asking.finish(SOON);
    assert_eq!(asked.status, Some(0), "{asked}");
    stage.postgres.execute("DELETE FROM items WHERE id = 8");
    stop(running);
    stage.catch_up_and_verify();
    let gone = "SELECT groupArray((id, v)) FROM (SELECT id, v FROM {db}.items FINAL WHERE _source_deleted_at IS NOT NULL ORDER BY id)";
    assert_eq!(
        stage.clickhouse.value(gone),
        "[(1,'v1'),(2,'v2'),(5,'v5'),(6,'last'),(8,'v8'),(991,'v991'),(3000,'new')]"
    );
    assert_eq!(stage.clickhouse.value("SELECT _source_deleted_at FROM {db}.items FINAL WHERE id = 1"), first);
    assert_eq!(stage.clickhouse.value("SELECT count() FROM {db}.items FINAL WHERE long = repeat('new', 1000)"), "1");
    assert_eq!(shadows(&stage), "0");
    // Kept rows of columns that are others now have no place: that has to be asked for.
    let mut running = streaming(&stage);
    stage.postgres.execute("ALTER TABLE items ALTER v TYPE int USING id");
    running.wait_for("`pipectl resync public.items` copies it without them");
    stage.postgres.execute("DELETE FROM items WHERE id = 9");
    resync(&stage, &["items"]);
    running.wait_for("are not taken over: its columns are others now");
    stop(running);
    stage.catch_up_and_verify();
    assert_eq!(stage.clickhouse.value(gone), "[]");
}
