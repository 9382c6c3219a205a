//! What differs between versions of Postgres. Each test knows the server's version: what an older one does not have has to be refused, or to be
//! absent, and is told so. `make matrix` runs them on 14, 16, 17 and 18.

use crate::doctor::Document;
use crate::support::{OtherServers, Postgres, Stage, variable};
use crate::sync_changes::Pipeline;
use std::process::Command;
use std::sync::OnceLock;

/// The major version of the tests' server.
pub(crate) fn major() -> u32 {
    static MAJOR: OnceLock<u32> = OnceLock::new();
    *MAJOR.get_or_init(|| {
        let session = Postgres::connect(&variable("POSTGRES_URL"));
        session.value("SELECT current_setting('server_version_num')::int / 10000").parse().unwrap()
    })
}

/// Whether the server has a type as it is written: before 15 the scale of a numeric lies between 0 and its precision.
pub(crate) fn can_declare(kind: &str) -> bool {
    let Some((_, words)) = kind.split_once("numeric(") else { return true };
    let Some((precision, scale)) = words.split(')').next().and_then(|words| words.split_once(',')) else { return true };
    let (precision, scale): (i32, i32) = (precision.trim().parse().unwrap(), scale.trim().parse().unwrap());
    major() >= 15 || (0..=precision).contains(&scale)
}

#[test]
fn scales_beyond_the_precision_came_with_15() {
    let stage = Stage::new("version_scales");
    for kind in ["numeric(3,-2)", "numeric(2, 5)", "numeric(4,2)", "numeric(4)", "numeric", "int"] {
        let made = stage.postgres.try_execute(&format!("CREATE TEMPORARY TABLE t (v {kind}); DROP TABLE t"));
        assert_eq!(made.is_ok(), can_declare(kind), "{kind}: {made:?}");
    }
}

#[test]
fn a_row_filter_is_followed_since_15_and_refused_before() {
    let config = "tables:\n  - source: public.*\n  - source: public.t\n    where: region = 'EU'\n";
    let schema = "CREATE TABLE t (id int, region text, v int, PRIMARY KEY (id, region));
        INSERT INTO t SELECT g, CASE g % 2 WHEN 0 THEN 'EU' ELSE 'US' END, g FROM generate_series(1, 10) g;
        CREATE TABLE other (id int PRIMARY KEY); INSERT INTO other VALUES (1);";
    let pipeline = Pipeline::new("version_row_filter", schema, config);
    if major() < 15 {
        pipeline.try_sync().refused(3, &["public.t has a row filter, which Postgres knows since version 15"]);
        let made = "SELECT (SELECT count(*) FROM pg_publication) + (SELECT count(*) FROM pg_replication_slots WHERE database = current_database())";
        assert_eq!(pipeline.stage.admin.value(made), "0", "nothing was made");
        return;
    }
    pipeline.equal();
    // A filter that came into the configuration alone.
    let before = pipeline.stage.directory.read("clickhouse_config.yml");
    pipeline
        .stage
        .directory
        .write("clickhouse_config.yml", &format!("{before}  - source: public.other\n    where: id > 0\n"));
    let words = "sends all rows, not only those that the configuration says, of public.other";
    pipeline.try_sync().refused(5, &[words, "ADD TABLE \"public\".\"other\" WHERE (id > 0)"]);
    pipeline.stage.directory.write("clickhouse_config.yml", &before);
    // Into the filter, out of it, and the same outside.
    pipeline.pg(
        "UPDATE t SET region = 'EU' WHERE id = 1; UPDATE t SET region = 'US' WHERE id = 2; UPDATE t SET v = 0 WHERE id IN (3, 4);
         DELETE FROM t WHERE id IN (5, 6); INSERT INTO t VALUES (20, 'EU', 20), (21, 'US', 21);",
    );
    pipeline.equal();
    assert_eq!(pipeline.ch("SELECT groupArray(id) FROM (SELECT id FROM {db}.t FINAL ORDER BY id)"), "[1,4,8,10,20]");
}

/// A publication of somebody else's that leaves out a column: what is not sent must not become a value.
#[test]
fn a_column_list_of_a_publication_is_noticed_since_15() {
    let stage = Stage::new("version_column_list");
    stage
        .postgres
        .execute("CREATE TABLE t (id int PRIMARY KEY, v int NOT NULL, w int); INSERT INTO t VALUES (1, 1, 1)");
    let made = stage.postgres.try_execute("CREATE PUBLICATION narrow FOR TABLE t (id, v)");
    if major() < 15 {
        assert!(made.is_err(), "Postgres 14 knows no column lists");
        return;
    }
    made.unwrap();
    stage.config("tables:\n  - source: public.*\n");
    let config = stage
        .directory
        .read("clickhouse_config.yml")
        .replace("${POSTGRES_URL}\n", "${POSTGRES_URL}\n  publication: narrow\n");
    stage.directory.write("clickhouse_config.yml", &config);
    let refused = |what: &str| {
        let checked = Document::of(stage.invocation(&["doctor", "--output", "json"]));
        checked.expect(&[("postgres.publication_narrowed", "fail")]);
        let message = format!("publication \"narrow\" {what} of public.t");
        stage.pipectl(&["sync", "--until-caught-up"]).refused(5, &[&message]);
    };
    refused("does not send the columns w");
    stage.postgres.execute("ALTER PUBLICATION narrow SET TABLE t WHERE (id > 1)");
    refused("does not send all rows");
    // What is said on both sides is meant so.
    stage.postgres.execute("ALTER PUBLICATION narrow SET TABLE t (id, v) WHERE (id > 1)");
    stage.directory.write(
        "clickhouse_config.yml",
        &format!("{config}  - source: public.t\n    where: id > 1\n    columns: {{w: {{exclude: true}}}}\n"),
    );
    stage.catch_up_and_verify();
    stage.postgres.execute("INSERT INTO t VALUES (2, 2, 2); UPDATE t SET v = 3");
    stage.catch_up_and_verify();
    assert_eq!(stage.clickhouse.value("SELECT id, v FROM {db}.t FINAL"), "2\t3");
    // The same while it runs: the table is left behind before a value is, and comes back.
    stage.directory.write("clickhouse_config.yml", &config);
    stage.postgres.execute("ALTER PUBLICATION narrow SET TABLE t");
    let resynced = || {
        let outcome = stage.pipectl(&["resync", "t"]);
        assert_eq!(outcome.status, Some(0), "{outcome}");
    };
    resynced();
    let mut running = stage.invocation(&["sync"]).spawn();
    running.wait_for("streaming from");
    stage.postgres.execute("UPDATE t SET w = 7 WHERE id = 1");
    stage.wait_until("it follows", |stage| stage.clickhouse.value("SELECT w FROM {db}.t FINAL WHERE id = 1") == "7");
    stage.postgres.execute("ALTER PUBLICATION narrow SET TABLE t (id, v)");
    stage.postgres.execute("UPDATE t SET v = 8 WHERE id = 1");
    running.wait_for("publication \"narrow\" does not send the columns w of public.t");
    assert_eq!(stage.clickhouse.value("SELECT v, w FROM {db}.t FINAL WHERE id = 1"), "3\t7");
    stage.postgres.execute("ALTER PUBLICATION narrow SET TABLE t");
    resynced();
    stage.postgres.execute("UPDATE t SET w = 9 WHERE id = 1");
    running.signal("TERM");
    running.ended();
    stage.catch_up_and_verify();
}

/// Generated columns are not stored: before 18 nobody sends them. A publication that does send them changes nothing.
#[test]
fn generated_columns_are_left_out_also_where_they_are_published() {
    let stage = Stage::new("version_generated");
    stage.postgres.execute(
        "CREATE TABLE t (id int PRIMARY KEY, v int, twice int GENERATED ALWAYS AS (v * 2) STORED, note text);
         INSERT INTO t (id, v, note) SELECT g, g, 'first' FROM generate_series(1, 5) g;",
    );
    let version = major();
    if version >= 18 {
        stage.postgres.execute("ALTER TABLE t ADD thrice int GENERATED ALWAYS AS (v * 3) VIRTUAL");
    }
    let made =
        stage.postgres.try_execute("CREATE PUBLICATION wide FOR ALL TABLES WITH (publish_generated_columns = stored)");
    let made = made.or_else(|_| {
        stage.admin.try_execute("CREATE PUBLICATION wide FOR ALL TABLES WITH (publish_generated_columns = stored)")
    });
    assert_eq!(made.is_ok(), version >= 18, "{made:?}");
    if version < 18 {
        stage.admin.execute("CREATE PUBLICATION wide FOR ALL TABLES");
    }
    stage.config("tables:\n  - source: public.*\n");
    let config = stage
        .directory
        .read("clickhouse_config.yml")
        .replace("${POSTGRES_URL}\n", "${POSTGRES_URL}\n  publication: wide\n");
    stage.directory.write("clickhouse_config.yml", &config);
    let outcome = stage.catch_up_and_verify();
    assert!(outcome.stderr.contains("generated columns of public.t are left out: \"twice\""), "{outcome}");
    stage.postgres.execute(
        "INSERT INTO t (id, v, note) VALUES (6, 60, 'new'); UPDATE t SET v = 100 WHERE id = 1; UPDATE t SET note = 'second' WHERE id = 2;
         UPDATE t SET id = 30 WHERE id = 3; DELETE FROM t WHERE id = 4;",
    );
    stage.catch_up_and_verify();
    let columns = "SELECT groupArray(name) FROM (SELECT name FROM system.columns WHERE database = '{name}' AND table = 't' ORDER BY position)";
    assert_eq!(
        stage.clickhouse.value(&columns.replace("{name}", &stage.name)),
        "['id','v','note','_version','_deleted']"
    );
    assert_eq!(
        stage.clickhouse.value("SELECT id, v, note FROM {db}.t FINAL ORDER BY id"),
        "1\t100\tfirst\n2\t2\tsecond\n5\t5\tfirst\n6\t60\tnew\n30\t3\tfirst"
    );
}

/// A slot that is to survive a failover is altered by its owner, since 17; `sync` goes on with it as it was.
#[test]
fn a_slot_can_be_made_to_fail_over_since_17() {
    let pipeline = Pipeline::new(
        "version_failover",
        "CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t VALUES (1, 1)",
        "",
    );
    pipeline.equal();
    let url = format!("{}?replication=database", pipeline.stage.postgres.url);
    let statement = format!("ALTER_REPLICATION_SLOT pipectl_{} (FAILOVER true)", pipeline.stage.name);
    let done = Command::new("psql")
        .args(["-XqAt", "-d", &url, "-c", &statement])
        .output()
        .unwrap_or_else(|error| panic!("psql: {error}"));
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    let version = major();
    assert_eq!(done.status.success(), version >= 17, "{said}");
    pipeline.pg("UPDATE t SET v = 2; INSERT INTO t VALUES (2, 2)");
    pipeline.equal();
    if version >= 17 {
        let slot = "SELECT failover FROM pg_replication_slots WHERE database = current_database()";
        assert_eq!(pipeline.stage.admin.value(slot), "t");
    }
}

/// Settings that came with a version, and a server that is a standby: refused on every version, also where it could decode.
#[test]
fn a_standby_is_refused_and_an_idle_slot_timeout_is_told() {
    let servers = OtherServers::up("versions");
    let stage = Stage::on(&servers.urls(), "versions");
    stage.config("tables:\n  - source: public.*\n");
    stage.postgres.execute("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)");
    stage.catch_up_and_verify();
    let set = stage.admin.try_execute("ALTER SYSTEM SET idle_replication_slot_timeout = '1d'");
    assert_eq!(set.is_ok(), major() >= 18, "{set:?}");
    stage.admin.execute("SELECT pg_reload_conf()");
    let doctor = || Document::of(stage.invocation(&["doctor", "--output", "json"]));
    if set.is_ok() {
        stage.wait_until("the setting holds", |stage| stage.admin.value("SHOW idle_replication_slot_timeout") == "1d");
        doctor().expect(&[("postgres.idle_replication_slot_timeout", "warn")]);
    } else {
        doctor().expect(&[("postgres.idle_replication_slot_timeout", "pass")]);
    }
    servers.kill("postgres");
    std::fs::write(format!("{}/standby.signal", servers.variable("PIPECTL_STACK_PG_DATA")), "").unwrap();
    servers.start("postgres");
    let checked = Document::of(stage.invocation(&["doctor", "--output", "json"]));
    checked.expect(&[("postgres.primary", "fail")]);
    for call in [&["sync", "--until-caught-up"][..], &["resync", "--all"]] {
        stage.pipectl(call).refused(5, &["is a standby, in recovery", "hint: name the primary"]);
    }
    let verified = stage.pipectl(&["verify"]);
    assert_eq!(verified.status, Some(0), "what is compared may be a standby: {verified}");
    drop((stage, servers));
}
