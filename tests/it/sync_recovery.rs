//! A pipeline that is killed, or stopped, goes on where it was: nothing is lost, nothing stays twice.

use crate::support::{Mark, Postgres, Proxy, Running, Stage, Verdict};
use crate::sync_faults::stop;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Between two transactions of the load: more than what a busy machine cannot keep up with proves no more.
const PAUSE: Duration = Duration::from_millis(10);
pub(crate) const ALL: &str = "tables:\n  - source: public.*\n";
pub(crate) const ONE_READER: &str =
    "tables:\n  - source: public.*\nsync:\n  snapshot: {parallel: 1}\n  batch: {max_age: 100ms}\n";

/// A table of documents whose texts lie out of line, and one that is emptied now and then.
pub(crate) const DOCS: &str = "
    CREATE TABLE public.docs (id bigint PRIMARY KEY, n int NOT NULL, body text, at timestamptz NOT NULL DEFAULT now());
    ALTER TABLE public.docs ALTER body SET STORAGE EXTERNAL;
    INSERT INTO public.docs SELECT g, g, repeat(md5(g::text), 80) FROM generate_series(1, 2000) AS g;
    CREATE TABLE public.scratch (id int PRIMARY KEY, v text);
    INSERT INTO public.scratch SELECT g, 'old' FROM generate_series(1, 50) AS g";

/// Every kind of change, in one transaction after another, until it is stopped.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<u32>>,
}

impl Load {
    pub(crate) fn start(url: &str) -> Self {
        Self::of(url, transaction)
    }

    /// Transactions of one's own, each by its number.
    pub(crate) fn of(url: &str, transaction: impl Fn(u32) -> String + Send + 'static) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (url, stopping) = (url.to_owned(), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            let (mut session, mut number) = (Postgres::connect(&url), 1);
            while !stopping.load(Ordering::Relaxed) {
                if session.try_execute(&transaction(number)).is_err() {
                    // The server was killed: what had not been committed is done again.
                    session = connect_again(&url);
                    session.try_execute("ROLLBACK").ok();
                    number += 1_000_000;
                }
                number += 1;
                std::thread::sleep(PAUSE);
            }
            number
        });
        Self { stop, thread: Some(thread) }
    }

    /// Ends it.
    pub(crate) fn stop(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().expect("the load ran");
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

pub(crate) fn connect_again(url: &str) -> Postgres {
    for _ in 0..600 {
        if let Ok(session) = Postgres::try_connect(url) {
            return session;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("Postgres did not come back");
}

/// The changes of one transaction, on rows of its own and of the one before.
fn transaction(number: u32) -> String {
    let (own, last) = (1_000_000 + i64::from(number) * 10, 999_990 + i64::from(number) * 10);
    let scratch = match number % 20 {
        0 => "TRUNCATE public.scratch; INSERT INTO public.scratch SELECT g, 'new' FROM generate_series(1, 9) AS g;"
            .to_owned(),
        _ => {
            format!("INSERT INTO public.scratch VALUES ({}, 'x') ON CONFLICT (id) DO UPDATE SET v = 'y';", number % 30)
        }
    };
    let end = if number.is_multiple_of(7) { "ROLLBACK" } else { "COMMIT" };
    format!(
        "BEGIN;
         INSERT INTO public.docs (id, n, body) SELECT {own} + g, g, repeat(md5('{number}' || g), 80) FROM generate_series(0, 9) AS g
         ON CONFLICT (id) DO NOTHING;
         UPDATE public.docs SET n = n + 1 WHERE id BETWEEN {first} AND {first} + 20;
         UPDATE public.docs SET body = repeat(md5(n::text), 90) WHERE id = {last} + 1;
         UPDATE public.docs SET id = -id WHERE id = {last} + 2;
         DELETE FROM public.docs WHERE id = {last} + 3;
         {scratch}
         {end}",
        first = number % 1900,
    )
}

/// Ten partitions of equal size, each a range of the first copy.
fn partitions(stage: &Stage) {
    stage.postgres.execute(
        "CREATE TABLE public.parts (id bigint, kind int, v text, PRIMARY KEY (id, kind)) PARTITION BY LIST (kind)",
    );
    for kind in 0..10 {
        stage
            .postgres
            .execute(&format!("CREATE TABLE public.parts_{kind} PARTITION OF public.parts FOR VALUES IN ({kind})"));
    }
    stage.postgres.execute(
        "INSERT INTO public.parts SELECT g, g % 10, repeat(md5(g::text), 10) FROM generate_series(1, 200000) AS g",
    );
    stage.postgres.execute("ANALYZE");
}

/// How many ranges of the first copy are stored, and their rows.
fn ranges(stage: &Stage) -> (u64, u64) {
    let counts = stage.clickhouse.value(
        "SELECT count(), sum(JSONExtractUInt(value, 'rows')) FROM {db}.pipectl_state FINAL WHERE kind = 'range'",
    );
    let (count, rows) = counts.split_once('\t').unwrap();
    (count.parse().unwrap(), rows.parse().unwrap())
}

/// A sync that stands in the middle of its first copy, before one of the partitions, until the proxy lets it go on; and the rows it has stored.
fn held_in_the_copy(stage: &Stage) -> (Running, Proxy, u64) {
    let proxy = Proxy::to(&stage.postgres.url);
    proxy.hold(&["COPY (SELECT", "parts_5"]);
    let running = stage.invocation(&["sync"]).env("POSTGRES_URL", &proxy.plain_url(&stage.postgres.url)).spawn();
    proxy.wait_until_held();
    let (count, rows) = ranges(stage);
    assert!((1..8).contains(&count), "{count} ranges");
    (running, proxy, rows)
}

/// Lets the copy go on that a rewrite was waiting for: it tells of that, begins again, and streams.
fn goes_on_behind_the_rewrite(mut running: Running, proxy: &Proxy) {
    proxy.release();
    running.wait_for("was rewritten while it was copied");
    running.wait_for("streaming from");
    stop(running);
}

pub(crate) fn kill(running: Running) {
    running.signal("KILL");
    assert_eq!(running.ended().status, None);
}

#[test]
fn a_killed_copy_goes_on_behind_the_ranges_that_are_stored() {
    let stage = Stage::new("killed_copy");
    stage.config(ONE_READER);
    partitions(&stage);
    let (running, _proxy, rows) = held_in_the_copy(&stage);
    // Rows that are copied go, change, and move to other partitions; new ones come.
    stage.postgres.execute("DELETE FROM public.parts WHERE id % 7 = 0");
    stage.postgres.execute("UPDATE public.parts SET kind = 9 WHERE kind < 3 AND id % 9 = 1");
    stage.postgres.execute("UPDATE public.parts SET v = 'changed' WHERE id % 11 = 0");
    stage
        .postgres
        .execute("INSERT INTO public.parts SELECT g, g % 10, 'new' FROM generate_series(300001, 300500) AS g");
    kill(running);
    let left = stage.postgres.value("SELECT count(*) FROM public.parts").parse::<u64>().unwrap();
    let outcome = stage.catch_up_and_verify();
    let copied = outcome.stderr.lines().find_map(|line| line.split_once("caught up; ")).unwrap().1;
    let copied: u64 = copied.split(' ').next().unwrap().parse().unwrap();
    assert!(copied > 0 && copied + rows <= left + 200_000 / 7 + 1, "{copied} rows copied after {rows}: {outcome}");
    assert!(copied < left, "ranges were copied again: {copied} of {left}");
    assert_eq!(outcome.stderr.matches("created replication slot").count(), 0, "{outcome}");
}

/// Tables whose rows no key tells apart, beside one with many ranges whose every change is kept.
const NOT_TOLD_APART: &str = "tables:
  - source: public.*
  - source: public.parts
    mode: log
  - source: public.bag
    keyless: multiset
  - source: public.inserted
    keyless: insert_only
sync:
  snapshot: {parallel: 1}
  batch: {max_age: 100ms}
";

fn rows_that_are_not_told_apart(stage: &Stage) {
    stage.config(NOT_TOLD_APART);
    partitions(stage);
    stage.postgres.execute(
        "CREATE TABLE public.bag (a int, b text); ALTER TABLE public.bag REPLICA IDENTITY FULL;
         INSERT INTO public.bag SELECT g % 50, 'b' FROM generate_series(1, 200) AS g;
         CREATE TABLE public.inserted (a int); INSERT INTO public.inserted SELECT g % 5 FROM generate_series(1, 20) AS g",
    );
}

/// What is neither lost nor there twice: `verify` knows nothing of rows that only come.
fn as_often_as_in_postgres(stage: &Stage) {
    let outcome = stage.catch_up_and_verify();
    assert_eq!(outcome.stderr.matches("created replication slot").count(), 0, "{outcome}");
    assert_eq!(
        stage.clickhouse.value("SELECT count(), sum(a) FROM {db}.inserted FINAL"),
        stage.postgres.value("SELECT count(*) || chr(9) || sum(a) FROM public.inserted")
    );
    assert_eq!(
        stage.clickhouse.value("SELECT countIf(_op = 'r') + countIf(_op = 'c') - countIf(_op = 'd'), countIf(_op = 't') FROM {db}.parts FINAL"),
        stage.postgres.value("SELECT count(*) || chr(9) || 0 FROM public.parts")
    );
}

#[test]
fn a_killed_copy_of_rows_that_are_not_told_apart_begins_anew() {
    let stage = Stage::new("killed_logs");
    rows_that_are_not_told_apart(&stage);
    let (running, proxy, _) = held_in_the_copy(&stage);
    // Before the kill and behind it: what the slot has, and what the second copy has already.
    stage.postgres.execute("DELETE FROM public.bag WHERE a < 5; INSERT INTO public.bag VALUES (7, 'b'), (99, 'new')");
    stage.postgres.execute("INSERT INTO public.inserted VALUES (100), (100); DELETE FROM public.parts WHERE id < 1000");
    kill(running);
    // Its sessions end, and with them their locks.
    proxy.release_with(Verdict::Drop);
    stage.postgres.execute("UPDATE public.bag SET b = 'changed' WHERE a = 8; INSERT INTO public.inserted VALUES (200)");
    as_often_as_in_postgres(&stage);
    stage.postgres.execute("DELETE FROM public.bag WHERE a = 99; INSERT INTO public.inserted VALUES (300)");
    as_often_as_in_postgres(&stage);
    a_killed_copy_of_one_that_joins(&stage);
}

/// The same of a table that is new, and of one that was made again meanwhile under the name of another.
fn a_killed_copy_of_one_that_joins(stage: &Stage) {
    stage.config(&NOT_TOLD_APART.replace("public.bag\n", "public.bag*\n"));
    let leaf = |kind: u8| {
        format!(
            "CREATE TABLE public.bags_{kind} PARTITION OF public.bags FOR VALUES IN ({kind}); ALTER TABLE public.bags_{kind} REPLICA IDENTITY FULL"
        )
    };
    let leaves: Vec<String> = (0..5).map(leaf).collect();
    stage.postgres.execute(&format!(
        "CREATE TABLE public.bags (a int, kind int) PARTITION BY LIST (kind); ALTER TABLE public.bags REPLICA IDENTITY FULL; {};
         INSERT INTO public.bags SELECT g % 100, g % 5 FROM generate_series(1, 5000) AS g;
         DROP TABLE public.bag; CREATE TABLE public.bag (a int, b text); ALTER TABLE public.bag REPLICA IDENTITY FULL;
         INSERT INTO public.bag SELECT g % 3, 'again' FROM generate_series(1, 10) AS g",
        leaves.join("; ")
    ));
    let proxy = Proxy::to(&stage.postgres.url);
    proxy.hold(&["COPY (SELECT", "bags_3"]);
    let running = stage.invocation(&["sync"]).env("POSTGRES_URL", &proxy.plain_url(&stage.postgres.url)).spawn();
    proxy.wait_until_held();
    assert_eq!(stage.clickhouse.value("SELECT count() > 0 FROM {db}.bags__log"), "1");
    kill(running);
    stage.postgres.execute("DELETE FROM public.bags WHERE a = 7");
    as_often_as_in_postgres(stage);
    assert_eq!(stage.clickhouse.value("SELECT count() FROM {db}.bags"), "4950");
    assert_eq!(stage.clickhouse.value("SELECT count() FROM {db}.bag"), "10");
}

#[test]
fn a_rewritten_heap_of_rows_that_are_not_told_apart_is_copied_anew() {
    let stage = Stage::new("rewritten_logs");
    rows_that_are_not_told_apart(&stage);
    let (running, proxy, _) = held_in_the_copy(&stage);
    stage.postgres.execute("VACUUM FULL public.parts_9");
    stage.postgres.execute("DELETE FROM public.parts WHERE id < 1000");
    stage.postgres.execute("DELETE FROM public.bag WHERE a < 5; INSERT INTO public.inserted VALUES (100)");
    goes_on_behind_the_rewrite(running, &proxy);
    as_often_as_in_postgres(&stage);
}

#[test]
fn a_heap_that_is_rewritten_under_the_copy_loses_no_row() {
    let stage = Stage::new("rewritten");
    stage.config(ONE_READER);
    partitions(&stage);
    stage.postgres.execute("DELETE FROM public.parts WHERE kind = 9 AND id % 3 = 0");
    let (running, proxy, _) = held_in_the_copy(&stage);
    stage.postgres.execute("VACUUM FULL public.parts_9");
    stage.postgres.execute("TRUNCATE public.parts_8; INSERT INTO public.parts VALUES (8, 8, 'after')");
    goes_on_behind_the_rewrite(running, &proxy);
    stage.catch_up_and_verify();
}

#[test]
fn a_stream_that_is_killed_again_and_again_loses_nothing() {
    let stage = Stage::new("killed_stream");
    stage.config("tables:\n  - source: public.*\nsync:\n  batch: {max_age: 50ms, max_rows: 500}\n");
    stage.postgres.execute(DOCS);
    let outcome = stage.catch_up_and_verify();
    assert!(outcome.stderr.contains("created replication slot"), "{outcome}");
    let load = Load::start(&stage.postgres.url);
    for _ in 0..5 {
        let newest = "SELECT max(id) FROM {db}.docs";
        let before = stage.clickhouse.value(newest);
        let running = stage.invocation(&["sync"]).spawn();
        stage.wait_until("changes arrive", |stage| stage.clickhouse.value(newest) != before);
        kill(running);
    }
    let mut running = stage.invocation(&["sync"]).spawn();
    running.wait_for("streaming from");
    let before = stage.clickhouse.value("SELECT count() FROM {db}.docs");
    stage.wait_until("changes arrive", |stage| stage.clickhouse.value("SELECT count() FROM {db}.docs") != before);
    running.signal("TERM");
    let outcome = running.ended();
    assert_eq!(outcome.status, Some(0), "{outcome}");
    // The server takes in the last word of a session that has ended in its own time.
    stage.wait_until("everything stored is acknowledged", |stage| confirmed(stage) == checkpoint(stage));
    load.stop();
    stage.catch_up_and_verify();
    let outcome = stage.catch_up_and_verify();
    assert!(outcome.stderr.contains(" 0 rows of changes stored"), "nothing comes twice: {outcome}");
}

fn confirmed(stage: &Stage) -> String {
    stage.admin.value(&format!(
        "SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = 'pipectl_{}'",
        stage.name
    ))
}

pub(crate) fn checkpoint(stage: &Stage) -> String {
    stage.clickhouse.value(
        "SELECT JSONExtractString(argMax(value, sequence), 'end') FROM {db}.pipectl_state WHERE kind = 'checkpoint'",
    )
}

#[test]
fn the_whole_log_once_more_changes_nothing() {
    let stage = Stage::new("replayed");
    stage.config("tables:\n  - source: public.*\nsync:\n  batch: {max_rows: 300}\n");
    stage.postgres.execute(DOCS);
    stage.catch_up_and_verify();
    let mark = Mark::of(&stage);
    let load = Load::start(&stage.postgres.url);
    let before = stage.postgres.value("SELECT max(id) + 900 FROM public.docs WHERE id < 1000000000");
    stage.wait_until("there is a log", |stage| {
        stage.postgres.value(&format!("SELECT count(*) FROM public.docs WHERE id > {before}")) != "0"
    });
    load.stop();
    stage.catch_up_and_verify();
    for _ in 0..2 {
        mark.rewind(&stage);
        let outcome = stage.catch_up_and_verify();
        assert!(!outcome.stderr.contains(" 0 rows of changes stored"), "{outcome}");
    }
}

#[test]
fn an_idle_pipeline_lets_the_log_go() {
    let stage = Stage::new("idle");
    stage.config("tables:\n  - source: public.*\nsync:\n  heartbeat: 1s\n");
    stage.postgres.execute(DOCS);
    let other = Stage::new("busy_neighbour");
    let mut running = stage.invocation(&["sync"]).spawn();
    running.wait_for("streaming from");
    other.postgres.execute("CREATE TABLE t AS SELECT g FROM generate_series(1, 20000) AS g");
    let written = stage.admin.value("SELECT pg_current_wal_lsn()");
    stage.wait_until("the slot moves on", |stage| {
        stage.admin.value(&format!("SELECT '{}'::pg_lsn > '{written}'::pg_lsn", confirmed(stage))) == "t"
    });
    running.signal("TERM");
    assert_eq!(running.ended().status, Some(0));
    stage.wait_until("everything stored is acknowledged", |stage| confirmed(stage) == checkpoint(stage));
}

#[test]
fn settings_of_the_database_change_no_value() {
    let stage = Stage::new("hostile");
    stage.config(ALL);
    for setting in [
        "datestyle = 'German, DMY'",
        "intervalstyle = 'iso_8601'",
        "bytea_output = 'escape'",
        "extra_float_digits = -5",
        "timezone = 'Pacific/Apia'",
        "statement_timeout = '1ms'",
        "lock_timeout = '1ms'",
        "search_path = 'nowhere'",
        "idle_in_transaction_session_timeout = '1ms'",
        "default_transaction_read_only = on",
        "lc_monetary = 'C'",
    ] {
        stage.admin.execute(&format!("ALTER DATABASE {} SET {setting}", stage.name));
    }
    let insert = |first: u32| {
        format!(
            "SET search_path = public; SET statement_timeout = 0; SET default_transaction_read_only = off;
             INSERT INTO public.odd SELECT g, g * 0.1, g / 3.0, make_date(2000, 1, 1) + g, now() + g * interval '1 day', \
             g * interval '1 month 3 hours', decode(md5(g::text), 'hex'), ARRAY[g, g + 1] FROM generate_series({first}, {first} + 500) AS g"
        )
    };
    stage.postgres.execute(
        "CREATE TABLE public.odd (id int PRIMARY KEY, f float8, r float4, d date, t timestamptz, i interval, b bytea, a float8[])",
    );
    stage.postgres.execute(&insert(1));
    stage.catch_up_and_verify();
    stage.postgres.execute(&insert(1001));
    let outcome = stage.catch_up_and_verify();
    assert!(outcome.stderr.contains(" 501 rows of changes stored"), "{outcome}");
}
