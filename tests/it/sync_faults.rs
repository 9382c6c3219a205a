//! Servers that go away and come back, and connections that are cut: the same rows again, and no more than once in effect.

use crate::support::{OtherServers, Postgres, Proxy, Running, Stage};
use crate::sync_recovery::{ALL, DOCS, Load, connect_again};

const NEWEST: &str = "SELECT max(id) FROM {db}.docs WHERE id < 900000000";

fn changes_arrive(stage: &Stage) {
    let before = stage.clickhouse.value(NEWEST);
    stage.wait_until("changes arrive", |stage| stage.clickhouse.value(NEWEST) != before);
}

pub(crate) fn stop(running: Running) {
    running.signal("TERM");
    let outcome = running.ended();
    assert_eq!(outcome.status, Some(0), "{outcome}");
}

#[test]
fn servers_that_are_killed_and_come_back_cost_nothing_but_time() {
    let servers = OtherServers::up("faults");
    let stage = Stage::on(&servers.urls(), "faults");
    stage.config("tables:\n  - source: public.*\nsync:\n  snapshot: {parallel: 1}\n  batch: {max_age: 100ms}\n");
    stage.postgres.execute(DOCS);
    stage.postgres.execute(
        "CREATE TABLE public.big (id bigint PRIMARY KEY, v text); INSERT INTO public.big SELECT g, 'x' FROM generate_series(1, 1000) AS g",
    );

    // However fast the copy is, it stands before one table and before another while the servers are killed.
    let source = Proxy::to(&stage.postgres.url);
    source.hold(&["COPY (SELECT", "big"]);
    let mut running = stage.invocation(&["sync"]).env("POSTGRES_URL", &source.plain_url(&stage.postgres.url)).spawn();
    source.wait_until_held();
    servers.kill("clickhouse");
    source.release();
    running.wait_for("trying again in");
    source.hold(&["COPY (SELECT", "scratch"]);
    servers.start("clickhouse");
    running.wait_for("went on after");
    source.wait_until_held();
    servers.kill("postgres");
    running.wait_for("trying again in");
    source.release();
    servers.start("postgres");
    running.wait_for("streaming from");

    let load = Load::start(&stage.postgres.url);
    changes_arrive(&stage);
    servers.kill("clickhouse");
    running.wait_for("trying again in");
    servers.start("clickhouse");
    running.wait_for("went on after");
    changes_arrive(&stage);
    servers.kill("postgres");
    running.wait_for("trying again in");
    servers.start("postgres");
    changes_arrive(&stage);
    load.stop();
    stop(running);

    // Gone while it stops: what waits is read again at the next start.
    let mut running = stage.invocation(&["sync"]).spawn();
    running.wait_for("streaming from");
    servers.kill("clickhouse");
    connect_again(&stage.postgres.url).execute("UPDATE public.docs SET n = n + 1 WHERE id < 500");
    running.wait_for("trying again in");
    stop(running);
    servers.start("clickhouse");
    let outcome = stage.catch_up_and_verify();
    assert!(!outcome.stderr.contains(" 0 rows of changes stored"), "{outcome}");
}

#[test]
fn connections_that_are_cut_and_answers_that_are_lost_cost_nothing() {
    let stage = Stage::new("cut");
    stage.config("tables:\n  - source: public.*\nsync:\n  heartbeat: 1s\n  batch: {max_age: 100ms}\n");
    stage.postgres.execute(DOCS);
    let (source, destination) = (Proxy::to(&stage.postgres.url), Proxy::to(&stage.clickhouse.url));
    let mut running = stage
        .invocation(&["sync"])
        .env("POSTGRES_URL", &source.url(&stage.postgres.url))
        .env("CLICKHOUSE_URL", &destination.url(&stage.clickhouse.url))
        .spawn();
    running.wait_for("streaming from");
    let load = Load::start(&stage.postgres.url);
    changes_arrive(&stage);
    for _ in 0..3 {
        assert!(source.cut() > 0);
        running.wait_for("a new session goes on behind what is stored");
        changes_arrive(&stage);
        destination.cut();
        changes_arrive(&stage);
        destination.lose_answers(3);
        stage.wait_until("answers were lost", |_| destination.losses_left() == 0);
        changes_arrive(&stage);
    }
    load.stop();
    stop(running);
    stage.catch_up_and_verify();
}

#[test]
fn a_destination_that_hangs_does_not_cost_the_session() {
    let stage = Stage::new("late_answers");
    stage.config(ALL);
    stage.postgres.execute(DOCS);
    stage.admin.execute(&format!("ALTER DATABASE {} SET wal_sender_timeout = '2s'", stage.name));
    let destination = Proxy::to(&stage.clickhouse.url);
    let mut running =
        stage.invocation(&["sync"]).env("CLICKHOUSE_URL", &destination.url(&stage.clickhouse.url)).spawn();
    running.wait_for("streaming from");
    destination.hold(&["INSERT", "docs"]);
    stage.postgres.execute("UPDATE public.docs SET n = n + 1");
    destination.wait_until_held();
    let since = stage.postgres.value("SELECT clock_timestamp()");
    let is_over = format!("SELECT clock_timestamp() > '{since}'::timestamptz + interval '6s'");
    stage.wait_until("three times as long has passed", |stage| stage.postgres.value(&is_over) == "t");
    let kept = format!(
        "SELECT count(*) FROM pg_stat_activity
         WHERE datname = current_database() AND backend_type = 'walsender' AND backend_start < '{since}'::timestamptz"
    );
    assert_eq!(stage.postgres.value(&kept), "1", "the server gave the session up");
    destination.release();
    stage.wait_until("the changes are stored", |stage| {
        stage.clickhouse.value("SELECT sum(n = id + 1) FROM {db}.docs FINAL") == "2000"
    });
    running.signal("TERM");
    let outcome = running.ended();
    assert!(outcome.status == Some(0) && !outcome.stderr.contains("a new session"), "{outcome}");
    stage.catch_up_and_verify();
}

#[test]
fn wrong_credentials_are_not_tried_again() {
    let stage = Stage::new("credentials");
    stage.config(ALL);
    stage.postgres.execute(DOCS);
    let spoiled = |url: &str| {
        let (head, server) = url.rsplit_once('@').unwrap();
        let (user, _) = head.rsplit_once(':').unwrap();
        format!("{user}:wrong@{server}")
    };
    for (name, url, code) in
        [("POSTGRES_URL", spoiled(&stage.postgres.url), 5), ("CLICKHOUSE_URL", spoiled(&stage.clickhouse.url), 6)]
    {
        let outcome = stage.invocation(&["sync"]).env(name, &url).run();
        assert_eq!(outcome.status, Some(code), "{outcome}");
        assert!(outcome.stderr.contains("hint: check user and password"), "{outcome}");
        assert!(!outcome.stderr.contains("trying again") && !outcome.stderr.contains("wrong@"), "{outcome}");
    }
    // In the midst of the stream, too.
    stage.admin.execute(&format!("CREATE ROLE {0} LOGIN REPLICATION PASSWORD 'first' IN ROLE pipectl", stage.name));
    let (_, server) = stage.postgres.url.rsplit_once('@').unwrap();
    let url = format!("postgres://{}:first@{server}", stage.name);
    let mut running = stage.invocation(&["sync"]).env("POSTGRES_URL", &url).spawn();
    running.wait_for("streaming from");
    stage.admin.execute(&format!("ALTER ROLE {} PASSWORD 'second'", stage.name));
    stage
        .admin
        .execute(&format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{}'", stage.name));
    let outcome = running.ended();
    Postgres::connect(&stage.postgres.url).execute("SELECT 1");
    stage.admin.execute(&format!("REASSIGN OWNED BY {0} TO pipectl; DROP OWNED BY {0}; DROP ROLE {0}", stage.name));
    assert_eq!(outcome.status, Some(5), "{outcome}");
    assert!(outcome.stderr.contains("hint: check user and password"), "{outcome}");
}

#[test]
fn a_server_that_does_not_say_who_it_is_is_asked_again() {
    let stage = Stage::new("silent_server");
    stage.config("tables:\n  - source: public.*\n");
    stage.postgres.execute("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)");
    let proxy = Proxy::to(&stage.postgres.url);
    proxy.hold(&["IDENTIFY_SYSTEM"]);
    let mut running = stage.invocation(&["sync"]).env("POSTGRES_URL", &proxy.plain_url(&stage.postgres.url)).spawn();
    proxy.wait_until_held();
    running.wait_for("no answer within 10 s; trying again");
    proxy.release();
    running.wait_for("streaming from");
    running.signal("TERM");
    let outcome = running.ended();
    assert_eq!(outcome.status, Some(0), "{outcome}");
    stage.catch_up_and_verify();
}
