//! Tables that are copied again while the stream goes on.

use crate::support::{ClickHouse, Connect, Kafka, Proxy, Running, Stage};
use crate::sync_recovery::{DOCS, Load, kill};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

pub(crate) const SOON: Duration = Duration::from_secs(60);
pub(crate) const QUICK: &str = "tables:\n  - source: public.*\nsync:\n  batch: {max_age: 50ms, max_rows: 500}\n";
const STEADY: &str = "CREATE TABLE steady (id int PRIMARY KEY, v text); INSERT INTO steady SELECT g, 'v' || g FROM generate_series(1, 3000) AS g";

/// Counts rows again and again, and remembers how few and how many there ever were.
pub(crate) struct Reader {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<(u64, u64, u64)>,
}

impl Reader {
    pub(crate) fn start(stage: &Stage, counting: &str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (server, stopping) = (ClickHouse::connect(&stage.clickhouse.url, &stage.name), Arc::clone(&stop));
        let sql = counting.to_owned();
        let thread = std::thread::spawn(move || {
            let (mut fewest, mut most, mut reads) = (u64::MAX, 0, 0);
            while !stopping.load(Ordering::Relaxed) {
                let rows = server.value(&sql).parse().unwrap();
                (fewest, most) = (fewest.min(rows), most.max(rows));
                reads += 1;
            }
            (fewest, most, reads)
        });
        Self { stop, thread }
    }

    pub(crate) fn fewest_and_most(self) -> (u64, u64) {
        self.stop.store(true, Ordering::Relaxed);
        let (fewest, most, reads) = self.thread.join().unwrap();
        assert!(reads > 3, "only {reads} reads");
        (fewest, most)
    }
}

pub(crate) fn streaming(stage: &Stage) -> Running {
    let mut running = stage.invocation(&["sync"]).spawn();
    running.wait_for("streaming from");
    running
}

pub(crate) fn stop(running: Running) -> String {
    running.signal("TERM");
    let outcome = running.finish(SOON);
    assert_eq!(outcome.status, Some(0), "{outcome}");
    outcome.stderr
}

pub(crate) fn resync(stage: &Stage, arguments: &[&str]) -> String {
    let outcome = stage.pipectl(&[&["resync"], arguments].concat());
    assert_eq!(outcome.status, Some(0), "{outcome}");
    outcome.stderr
}

#[test]
fn a_running_sync_copies_tables_again() {
    let stage = Stage::new("recopy_running");
    stage.postgres.execute(DOCS);
    stage.postgres.execute(STEADY);
    stage.postgres.execute("CREATE TABLE log (n int)");
    stage.config(&QUICK.replace("public.*\n", "public.*\n  - {source: public.log, keyless: insert_only}\n"));
    stage.catch_up_and_verify();
    let load = Load::start(&stage.postgres.url);
    let running = streaming(&stage);
    // Rows that only a copy mends.
    for table in ["docs", "steady"] {
        stage
            .clickhouse
            .execute(&format!("ALTER TABLE {{db}}.{table} DELETE WHERE id = 1000 SETTINGS mutations_sync = 2"));
    }
    stage.postgres.execute("INSERT INTO log SELECT g FROM generate_series(1, 100) AS g");
    let reader = Reader::start(&stage, "SELECT count() FROM {db}.steady FINAL WHERE id > 0");
    let began = Instant::now();
    let told = resync(&stage, &["steady", "public.docs", "scratch", "log", "--max-rows-per-second", "1500"]);
    assert!(began.elapsed() > Duration::from_secs(1), "3000 rows at 1500 a second");
    assert!(told.contains("public.docs is copied again"), "{told}");
    assert_eq!(reader.fewest_and_most(), (2999, 3000), "readers saw the old rows, then the new ones");
    stage.postgres.execute("INSERT INTO log SELECT g FROM generate_series(1, 100) AS g");
    // Two who want the same are both answered.
    let mut first = stage.invocation(&["resync", "steady", "--max-rows-per-second", "1500"]).spawn();
    first.wait_for("asking the running sync");
    resync(&stage, &["steady"]);
    let first = first.finish(SOON);
    assert_eq!(first.status, Some(0), "{first}");
    load.stop();
    let all = stage.pipectl(&["resync", "--all"]);
    assert!(all.status == Some(5) && all.stderr.contains("while sync is stopped"), "{all}");
    let told = stop(running);
    assert!(told.contains("public.steady is copied again: 3000 rows"), "{told}");
    stage.catch_up_and_verify();
    assert_eq!(stage.clickhouse.value("SELECT count(), sum(n) FROM {db}.log FINAL"), "200\t10100");
    let shadows = "SELECT count() FROM system.tables WHERE database = '{}' AND name LIKE '%pipectl_copy%'";
    let shadows = stage.clickhouse.value(&shadows.replace("{}", &stage.name));
    assert_eq!(shadows, "0");
}

/// ClickHouse is not asked again and again whether somebody wants a copy; who does calls.
#[test]
fn an_idle_sync_is_called_when_a_copy_is_wanted() {
    let stage = Stage::new("recopy_called");
    stage.postgres.execute(STEADY);
    stage.config(QUICK);
    stage.catch_up_and_verify();
    let destination = Proxy::to(&stage.clickhouse.url);
    let url = destination.url(&stage.clickhouse.url);
    let mut running = stage.invocation(&["sync"]).env("CLICKHOUSE_URL", &url).spawn();
    running.wait_for("streaming from");
    let heard = |stage: &Stage, what: &str, is_called: bool| {
        // Of the catalog's looks each is five seconds behind the one before: by the second one wishes were read that came before the first.
        for _ in 0..2 {
            let look = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE '-- What changes in the catalog%' AND query_start > '{}'";
            let look = look.replace("{}", &stage.admin.value("SELECT clock_timestamp()"));
            stage.wait_until("it looks into the catalog", |stage| stage.admin.value(&look) == "1");
        }
        // Half a minute after it was done last it is asked without a call, but not twice in a row.
        let is_idle = (0..2).any(|_| {
            destination.hold(&["'resynced'"]);
            let idle = Instant::now();
            stage.wait_until("some seconds pass", |_| idle.elapsed() > Duration::from_secs(4));
            let asked = destination.held_back() > 0;
            if asked {
                destination.release();
            }
            !asked
        });
        assert!(is_idle, "{what}: it asks, and nobody called");
        if !is_called {
            // Nobody listens for a while.
            stage.admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE '-- What changes in the catalog%'");
        }
        let began = Instant::now();
        let asking = stage.invocation(&["resync", "steady"]).spawn();
        destination.wait_until_held();
        let took = began.elapsed();
        destination.release();
        let asked = asking.finish(SOON);
        assert_eq!(asked.status, Some(0), "{what}: {asked}");
        assert!(took < Duration::from_secs(12), "{what}: {took:?}");
    };
    heard(&stage, "called", true);
    heard(&stage, "called again", true);
    heard(&stage, "unheard", false);
    stop(running);
    stage.catch_up_and_verify();
}

#[cfg(feature = "failpoints")]
#[test]
fn a_copy_that_is_killed_is_made_at_the_next_start() {
    let stage = Stage::new("recopy_killed");
    stage.config(QUICK);
    stage.postgres.execute(DOCS);
    stage.postgres.execute(STEADY);
    stage.catch_up_and_verify();
    for failpoint in ["recopy.begun", "recopy.copied", "recopy.noted", "recopy.exchanged"] {
        stage.clickhouse.execute("ALTER TABLE {db}.steady DELETE WHERE id = 1000 SETTINGS mutations_sync = 2");
        let load = Load::start(&stage.postgres.url);
        let mut running = stage.invocation(&["sync"]).env("PIPECTL_FAILPOINTS", failpoint).spawn();
        running.wait_for("streaming from");
        let mut asking = stage.invocation(&["resync", "steady"]).spawn();
        asking.wait_for("asking the running sync");
        assert_eq!(running.finish(SOON).status, None, "it was to die at {failpoint}");
        asking.signal("INT");
        let asked = asking.finish(SOON);
        let stands = asked.stderr.contains("the request stands");
        assert!(stands && matches!(asked.status, Some(5 | 130)), "{failpoint}: {asked}");
        let whole: u32 = stage.clickhouse.value("SELECT count() FROM {db}.steady FINAL").parse().unwrap();
        assert!(whole >= 2999, "{failpoint}: {whole}");
        load.stop();
        let outcome = stage.catch_up_and_verify();
        assert!(outcome.stderr.contains("public.steady is copied again"), "{failpoint}: {outcome}");
        let again = stage.catch_up_and_verify();
        assert!(!again.stderr.contains("copied again"), "{failpoint}: {again}");
    }
    // The same by a signal, in the middle of the rows.
    let running = streaming(&stage);
    stage.clickhouse.execute("ALTER TABLE {db}.steady DELETE WHERE id = 1000 SETTINGS mutations_sync = 2");
    let mut asking = stage.invocation(&["resync", "steady", "--max-rows-per-second", "100"]).spawn();
    asking.wait_for("is being copied");
    kill(running);
    asking.signal("INT");
    assert!(asking.finish(SOON).stderr.contains("the request stands"));
    // Done while it stands still, the wish is fulfilled.
    resync(&stage, &["steady"]);
    let outcome = stage.catch_up_and_verify();
    assert!(outcome.stderr.contains("steady") || !outcome.stderr.contains("begins again"), "{outcome}");
}

/// Which of two tables has the name, and which record counts, is never told apart wrongly: rows of a log would be there twice, or not at all.
#[cfg(feature = "failpoints")]
#[test]
fn a_resync_that_is_killed_leaves_the_old_table_or_the_new_one() {
    let stage = Stage::new("recopy_alone");
    stage.postgres.execute(STEADY);
    stage.postgres.execute("CREATE TABLE log (n int); INSERT INTO log SELECT g FROM generate_series(1, 100) AS g");
    stage.config(&QUICK.replace("public.*\n", "public.*\n  - {source: public.log, keyless: insert_only}\n"));
    stage.catch_up_and_verify();
    let (mut rows, all) = (100, "SELECT count(), uniqExact(n) FROM {db}.log FINAL");
    for failpoint in ["resync.noted", "resync.exchanged"] {
        stage.postgres.execute(&format!("INSERT INTO log SELECT {rows} + g FROM generate_series(1, 100) AS g"));
        rows += 100;
        let killed = stage.invocation(&["resync", "log", "steady"]).env("PIPECTL_FAILPOINTS", failpoint).run();
        assert_eq!(killed.status, None, "it was to die at {failpoint}: {killed}");
        stage.catch_up_and_verify();
        assert_eq!(stage.clickhouse.value(all), format!("{rows}\t{rows}"), "{failpoint}");
        let shadows = "SELECT count() FROM system.tables WHERE database = '{}' AND name LIKE '%pipectl_copy%'";
        assert_eq!(stage.clickhouse.value(&shadows.replace("{}", &stage.name)), "0");
    }
    let killed = stage.invocation(&["resync", "--all"]).env("PIPECTL_FAILPOINTS", "resync.exchanged").run();
    assert_eq!(killed.status, None, "{killed}");
    let refused = stage.pipectl(&["sync", "--until-caught-up"]);
    assert!(refused.status == Some(5) && refused.stderr.contains("resync --all"), "{refused}");
    resync(&stage, &["--all"]);
    stage.catch_up_and_verify();
    assert_eq!(stage.clickhouse.value(all), format!("{rows}\t{rows}"));
}

#[test]
fn what_the_configuration_wants_otherwise_is_made_by_a_copy() {
    let stage = Stage::new("recopy_configured");
    stage.postgres.execute(
        "CREATE TABLE shaped (id int PRIMARY KEY, kind text NOT NULL, n bigint NOT NULL); ALTER TABLE shaped REPLICA IDENTITY FULL;
         INSERT INTO shaped SELECT g, 'k' || g % 3, g FROM generate_series(1, 300) AS g; CREATE TABLE other (id int PRIMARY KEY)",
    );
    stage.config(QUICK);
    stage.catch_up_and_verify();
    let form = format!(
        "SELECT partition_key, trim(BOTH '()' FROM sorting_key), (SELECT type FROM system.columns WHERE database = '{0}' AND table = 'shaped' AND name = 'n')
         FROM system.tables WHERE database = '{0}' AND name = 'shaped'",
        stage.name
    );
    let mut rule = "source: public.shaped".to_owned();
    for (more, code, made) in [
        ("partition_by: id % 4", 0, "id % 4\tid\tInt64"),
        ("order_by: [kind, id]", 6, "id % 4\tkind, id\tInt64"),
        ("columns: {n: {type: 'Decimal(20, 0)'}}", 6, "id % 4\tkind, id\tDecimal(20, 0)"),
        ("partition_by: id % 2", 0, "id % 2\tkind, id\tDecimal(20, 0)"),
    ] {
        rule = rule.replace(
            ", partition_by: id % 4",
            if more.starts_with("partition") { "" } else { ", partition_by: id % 4" },
        );
        rule = format!("{rule}, {more}");
        stage.config(&QUICK.replace("public.*\n", &format!("public.*\n  - {{{rule}}}\n")));
        let named = stage.pipectl(&["create-tables"]);
        assert!(named.status == Some(code) && named.stderr.contains("pipectl resync public.shaped"), "{named}");
        let is_beside = code != 0;
        let running = is_beside.then(|| streaming(&stage));
        stage.postgres.execute(
            "UPDATE shaped SET n = n + 1 WHERE id % 5 = 0; DELETE FROM shaped WHERE id = (SELECT max(id) FROM shaped)",
        );
        resync(&stage, &["shaped"]);
        running.map(stop);
        stage.catch_up_and_verify();
        assert_eq!(stage.clickhouse.value(&form), made);
    }
}

#[test]
fn a_table_comes_back_while_the_others_run() {
    let stage = Stage::new("recopy_parked");
    stage.config(QUICK);
    stage.postgres.execute(
        "CREATE TABLE good (id int PRIMARY KEY, v text); CREATE TABLE bad (id int PRIMARY KEY, v int[], long text);
         CREATE TABLE sorted (id int PRIMARY KEY, kind text NOT NULL, v text); ALTER TABLE sorted REPLICA IDENTITY FULL;
         INSERT INTO bad VALUES (1, '{1}', repeat('x', 10)); INSERT INTO sorted SELECT g, 'k' || g % 3, 'v' FROM generate_series(1, 30) AS g",
    );
    stage.catch_up_and_verify();
    let running = streaming(&stage);
    stage.postgres.execute("INSERT INTO bad VALUES (2, '{{1,2},{3,4}}', 'y'); INSERT INTO good VALUES (1, 'x')");
    stage.wait_until("the others go on", |stage| stage.clickhouse.value("SELECT count() FROM {db}.good FINAL") == "1");
    let refused = stage.pipectl(&["resync", "bad"]);
    assert!(refused.status == Some(7) && refused.stderr.contains("dimension"), "{refused}");
    stage.postgres.execute("UPDATE bad SET v = '{9}' WHERE id = 2");
    resync(&stage, &["bad"]);
    stage.postgres.execute(
        "UPDATE bad SET v = '{10}' WHERE id = 1; INSERT INTO bad VALUES (4, '{}', 'z'); DELETE FROM bad WHERE id = 2",
    );
    let ids = "SELECT groupArray(id) FROM (SELECT id FROM {db}.bad FINAL ORDER BY id)";
    stage.wait_until("it follows", |stage| stage.clickhouse.value(ids) == "[1,4]");
    // Another sorting key in the configuration: the running sync has the old one, and says so; the next one has the new one.
    stage.config(&QUICK.replace("public.*\n", "public.*\n  - {source: public.sorted, order_by: [kind, id]}\n"));
    let refused = stage.pipectl(&["resync", "sorted"]);
    assert!(refused.status == Some(3) && refused.stderr.contains("restart sync"), "{refused}");
    stop(running);
    let running = streaming(&stage);
    stage.postgres.execute("UPDATE sorted SET kind = 'moved' WHERE id < 5; INSERT INTO sorted VALUES (50, 'new', 'n')");
    resync(&stage, &["sorted"]);
    stage.postgres.execute("UPDATE sorted SET kind = 'again' WHERE id = 7; DELETE FROM sorted WHERE id = 50");
    stop(running);
    stage.catch_up_and_verify();
    let key = format!("SELECT sorting_key FROM system.tables WHERE database = '{}' AND name = 'sorted'", stage.name);
    assert_eq!(stage.clickhouse.value(&key), "kind, id");
}

#[test]
fn a_running_sync_of_topics_copies_tables_again() {
    let stage = Stage::new("recopy_topics");
    stage.postgres.execute(STEADY);
    stage.postgres.execute(
        "ALTER TABLE steady ADD COLUMN n int DEFAULT 0, ADD COLUMN long text; ALTER TABLE steady ALTER long SET STORAGE EXTERNAL;
         UPDATE steady SET long = repeat('x', 3000) WHERE id < 200",
    );
    let (kafka, connect) = (Kafka::of(&stage), Connect::of(&stage));
    let settings =
        [("skipped.operations", "none"), ("schema.include.list", "public"), ("heartbeat.interval.ms", "200")];
    connect.apply(&Connect::debezium(&stage, &settings));
    connect.wait_until_it_streams(&stage);
    stage.config(&format!(
        "kafka:\n  brokers: {}\n  topic_prefix: {}\n  connect_url: {}\ntables:\n  - source: public.*\nsync:\n  source: kafka\n",
        kafka.brokers, stage.name, connect.url
    ));
    stage.catch_up_and_verify();
    let mut running = stage.invocation(&["sync"]).spawn();
    running.wait_for("partitions of");
    stage.clickhouse.execute("ALTER TABLE {db}.steady DELETE WHERE id = 1000 SETTINGS mutations_sync = 2");
    let mut asking = stage.invocation(&["resync", "steady", "--max-rows-per-second", "1000"]).spawn();
    asking.wait_for("is being copied");
    for round in 1..=20 {
        stage.postgres.execute(&format!(
            "UPDATE steady SET n = n + 1 WHERE id % 20 = {round} % 20; UPDATE steady SET n = {round} WHERE id < 100; DELETE FROM steady WHERE id = {round};
             UPDATE steady SET id = -id WHERE id = 100 + {round}; INSERT INTO steady VALUES (10000 + {round}, 'new', {round}, repeat('y', 3000))"
        ));
    }
    let asked = asking.finish(SOON);
    assert_eq!(asked.status, Some(0), "{asked}");
    stage.postgres.execute("UPDATE steady SET n = -1 WHERE id % 7 = 0; DELETE FROM steady WHERE id % 11 = 0");
    let told = stop(running);
    assert!(told.contains("public.steady is copied again"), "{told}");
    stage.catch_up_and_verify();
}
