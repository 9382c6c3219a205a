//! How a sync ends that is told to, and what it takes when nobody listens to it any more.

use crate::support::{OtherServers, Postgres, Proxy, Running, Stage};
use crate::sync_recovery::{ALL, DOCS, kill};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

#[test]
fn signals_end_a_sync_with_their_own_exit_codes() {
    let stage = Stage::new("signals");
    stage.config(ALL);
    stage.postgres.execute(DOCS);
    // A writer that does not end keeps the slot from being made: nothing can be reached.
    let writer = Postgres::connect(&stage.postgres.url);
    writer.execute("BEGIN; INSERT INTO public.scratch VALUES (100, 'open')");
    for (signal, code) in [("TERM", 143), ("INT", 130), ("HUP", 129)] {
        let mut running = stage.invocation(&["sync", "--until-caught-up"]).minding_hangup().spawn();
        running.wait_for("first copy:");
        running.signal(signal);
        running.wait_for("stopping");
        let outcome = running.ended();
        assert_eq!(outcome.status, Some(code), "{outcome}");
    }
    let mut running = stage.invocation(&["sync"]).spawn();
    running.wait_for("first copy:");
    kill(running);
    writer.execute("COMMIT");
    // What the killed one left at the server is taken away.
    let outcome = stage.catch_up_and_verify();
    assert!(outcome.stderr.contains("created replication slot"), "{outcome}");
    let mut running = stage.invocation(&["sync"]).spawn();
    running.wait_for("streaming from");
    running.signal("INT");
    assert_eq!(running.ended().status, Some(0));
}

#[test]
fn a_closed_terminal_ends_it_cleanly_unless_it_was_told_otherwise() {
    let stage = Stage::new("hangup");
    stage.config(ALL);
    stage.postgres.execute(DOCS);
    let mut running = stage.invocation(&["sync"]).minding_hangup().spawn();
    running.wait_for("streaming from");
    stage.postgres.execute("UPDATE public.docs SET n = n + 1 WHERE id < 100");
    running.signal("HUP");
    running.wait_for("stopping");
    let outcome = running.ended();
    assert_eq!(outcome.status, Some(0), "{outcome}");

    let mut running = stage.invocation(&["sync"]).ignoring_hangup().spawn();
    running.wait_for("streaming from");
    running.signal("HUP");
    stage.postgres.execute("UPDATE public.docs SET n = -5 WHERE id = 7");
    stage
        .wait_until("it goes on", |stage| stage.clickhouse.value("SELECT n FROM {db}.docs FINAL WHERE id = 7") == "-5");
    running.signal("TERM");
    let outcome = running.ended();
    assert_eq!(outcome.status, Some(0), "{outcome}");
    stage.catch_up_and_verify();
}

#[test]
fn a_reader_of_stdout_that_went_away_costs_nothing() {
    let stage = Stage::new("closed_stdout");
    stage.config(ALL);
    stage.postgres.execute(DOCS);
    let arguments = ["sync", "--until-caught-up", "--output", "json"];
    let outcome = stage.invocation(&arguments).closed_stdout().run();
    assert_eq!(outcome.status, Some(0), "{outcome}");
    assert!(outcome.stderr.contains("caught up") && !outcome.stderr.contains("error"), "{outcome}");
    assert_eq!(stage.clickhouse.value("SELECT count() FROM {db}.docs"), "2000");
    // What is wrong with the pipeline is not hidden by that.
    stage.postgres.execute("ALTER TABLE public.scratch ADD many int[]; UPDATE public.scratch SET many = '{1}'");
    stage.catch_up_and_verify();
    stage.postgres.execute("UPDATE public.scratch SET many = '{{1,2},{3,4}}'");
    let outcome = stage.invocation(&arguments).closed_stdout().run();
    assert_eq!(outcome.status, Some(7), "{outcome}");
}

#[test]
fn a_second_signal_stops_it_at_once_while_clickhouse_hangs() {
    let stage = Stage::new("second_signal");
    stage.config("tables:\n  - source: public.*\nsync:\n  stop_timeout: 10m\n  batch: {max_age: 50ms}\n");
    stage.postgres.execute(DOCS);
    let proxy = Proxy::to(&stage.clickhouse.url);
    let mut running = stage.invocation(&["sync"]).env("CLICKHOUSE_URL", &proxy.url(&stage.clickhouse.url)).spawn();
    running.wait_for("streaming from");
    proxy.hang();
    stage.postgres.execute("UPDATE public.docs SET n = n + 1");
    stage.wait_until("an insert waits", |_| proxy.holds());
    running.signal("INT");
    running.wait_for("a second signal stops at once");
    running.signal("INT");
    let outcome = running.ended();
    assert_eq!(outcome.status, Some(130), "{outcome}");
    stage.catch_up_and_verify();
}

/// A file system that goes with the value.
struct SmallDisk(std::path::PathBuf);

impl SmallDisk {
    /// A disk of this size at a folder; none where this user may not mount one.
    fn mount(folder: &Path, size: &str) -> Option<Self> {
        std::fs::create_dir_all(folder).unwrap();
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]).arg(folder);
        command.output().is_ok_and(|output| output.status.success()).then(|| Self(folder.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        Command::new("umount").arg("--lazy").arg(&self.0).status().ok();
    }
}

#[test]
fn a_full_disk_of_clickhouse_is_waited_for() {
    let mut disk = None;
    let servers = OtherServers::up_with("full_disk", &[], |folder| {
        disk = SmallDisk::mount(&folder.join("clickhouse"), "192m");
    });
    let Some(disk) = disk else {
        eprintln!("this user may not mount a small disk: nothing is known of a full one");
        return;
    };
    let stage = Stage::on(&servers.urls(), "full_disk");
    stage.config("tables:\n  - source: public.*\nsync:\n  batch: {max_age: 50ms}\n");
    stage.postgres.execute(DOCS);
    let mut running = stage.invocation(&["sync"]).spawn();
    running.wait_for("streaming from");
    let ballast = disk.0.join("ballast");
    fill(&ballast);
    stage.postgres.execute("UPDATE public.docs SET n = n + 1, body = repeat(md5(id::text || 'x'), 200)");
    let line = running.wait_for("trying again in");
    assert!(line.to_lowercase().contains("space"), "{line}");
    std::fs::remove_file(&ballast).unwrap();
    running.wait_for("went on after");
    running.signal("TERM");
    let outcome = running.ended();
    assert_eq!(outcome.status, Some(0), "{outcome}");
    stage.catch_up_and_verify();
}

/// Writes a file until there is no room left.
fn fill(path: &Path) {
    let mut file = std::fs::File::create(path).unwrap();
    let piece = vec![1; 1 << 16];
    while std::io::Write::write_all(&mut file, &piece).is_ok() {}
}

#[test]
fn a_table_that_another_session_holds_is_told_of_and_a_signal_ends_the_wait() {
    let stage = Stage::new("held_table");
    stage.config(ALL);
    stage.postgres.execute(DOCS);
    let holder = Postgres::connect(&stage.postgres.url);
    let pid = holder.value("SELECT pg_backend_pid()");
    holder.execute("BEGIN");
    holder.execute("TRUNCATE public.scratch");
    let mut running = stage.invocation(&["sync", "--until-caught-up"]).spawn();
    let line = running.wait_for("waiting for a table");
    assert!(line.contains(&format!("pid {pid} has locked, open for ")), "{line}");
    assert!(
        line.contains(&format!(
            "idle after TRUNCATE; this goes on once it commits, or end it: SELECT pg_terminate_backend({pid})"
        )),
        "{line}"
    );
    running.signal("TERM");
    let ended = running.ended();
    assert_eq!(ended.status, Some(143), "{ended}");
    // Nothing of it waits on at the server, in the way of the next one, which waits as well and goes on by itself.
    let mut running = stage.invocation(&["sync", "--until-caught-up"]).spawn();
    running.wait_for("waiting for a table");
    holder.execute("COMMIT");
    let ended = running.ended();
    assert_eq!(ended.status, Some(0), "{ended}");
    stage.catch_up_and_verify();
    holder.execute("BEGIN");
    holder.execute("ALTER TABLE public.scratch ADD held int");
    let mut running = stage.invocation(&["resync", "public.docs"]).spawn();
    running.wait_for("waiting for a table");
    running.signal("TERM");
    let ended = running.ended();
    assert_eq!(ended.status, Some(143), "{ended}");
    holder.execute("ROLLBACK");
    stage.catch_up_and_verify();
}

/// Another session that locks a table which a copy is just about to read.
fn lock_before_its_copy(stage: &Stage, source: &Proxy, running: &mut Running) -> Postgres {
    source.wait_until_held();
    let holder = Postgres::connect(&stage.postgres.url);
    let pid = holder.value("SELECT pg_backend_pid()");
    holder.execute("BEGIN");
    holder.execute("LOCK TABLE public.docs IN ACCESS EXCLUSIVE MODE");
    source.release();
    let line = running.wait_for("waiting for a table");
    assert!(line.contains(&format!("pid {pid} has locked, open for ")) && line.contains("idle after LOCK"), "{line}");
    holder
}

/// Ends a process whose copy waits: that is not waited for, and nothing of it waits on at the server.
fn end_at_once(stage: &Stage, running: Running, code: i32) {
    let since = Instant::now();
    running.signal("TERM");
    let outcome = running.ended();
    assert_eq!(outcome.status, Some(code), "{outcome}");
    assert!(since.elapsed() < Duration::from_secs(10), "{outcome}");
    let waiting =
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    assert_eq!(stage.postgres.value(waiting), "0", "{outcome}");
}

#[test]
fn a_copy_that_waits_for_a_table_is_told_of_and_a_signal_ends_the_wait() {
    let stage = Stage::new("held_copy");
    stage.config(ALL);
    stage.postgres.execute(DOCS);
    let source = Proxy::to(&stage.postgres.url);
    let start = |arguments: &[&str]| {
        source.hold(&["COPY (SELECT", "docs"]);
        stage.invocation(arguments).env("POSTGRES_URL", &source.plain_url(&stage.postgres.url)).spawn()
    };
    let mut running = start(&["sync", "--until-caught-up"]);
    let holder = lock_before_its_copy(&stage, &source, &mut running);
    end_at_once(&stage, running, 143);
    holder.execute("COMMIT");

    // Where nobody ends it, it goes on by itself.
    let mut running = start(&["sync"]);
    let holder = lock_before_its_copy(&stage, &source, &mut running);
    holder.execute("COMMIT");
    running.wait_for("streaming from");

    // Beside the stream.
    for ends in [false, true] {
        source.hold(&["COPY (SELECT", "docs"]);
        let asking = stage.invocation(&["resync", "public.docs"]).spawn();
        let holder = lock_before_its_copy(&stage, &source, &mut running);
        stage.postgres.execute("UPDATE public.scratch SET v = v || '!'");
        if ends {
            end_at_once(&stage, running, 0);
            asking.signal("TERM");
            assert_eq!(asking.ended().status, Some(143));
            break;
        }
        holder.execute("COMMIT");
        let outcome = asking.ended();
        assert_eq!(outcome.status, Some(0), "{outcome}");
    }
    stage.catch_up_and_verify();

    // And while no sync runs.
    let mut running = start(&["resync", "public.docs"]);
    let _holder = lock_before_its_copy(&stage, &source, &mut running);
    end_at_once(&stage, running, 143);
}
