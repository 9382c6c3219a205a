//! Servers that are down, rights that are missing, and ClickHouse's own tables.

use super::{ALL_OF_PUBLIC, Document};
use crate::support::{Invocation, Stage, variable};

/// The URL with other credentials, or another port.
fn with_credentials(url: &str, credentials: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap();
    let (_, server) = rest.rsplit_once('@').unwrap();
    format!("{scheme}://{credentials}@{server}")
}

/// A port that nobody listens on: it was free a moment ago.
fn closed_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A role that goes with the test.
struct Role<'s> {
    stage: &'s Stage,
    name: String,
    url: String,
}

impl<'s> Role<'s> {
    fn new(stage: &'s Stage, attributes: &str) -> Self {
        let name = format!("{}_role", stage.name);
        stage.admin.execute(&format!("CREATE ROLE \"{name}\" LOGIN PASSWORD 'secret-of-the-role' {attributes}"));
        let url = with_credentials(&stage.postgres.url, &format!("{name}:secret-of-the-role"));
        Self { stage, name, url }
    }
}

impl Drop for Role<'_> {
    fn drop(&mut self) {
        let name = &self.name;
        self.stage.admin.try_execute(&format!("DROP OWNED BY \"{name}\"; DROP ROLE \"{name}\"")).ok();
    }
}

#[test]
fn a_wrong_password_is_a_finding_and_is_not_printed() {
    let stage = Stage::new("doctor_password");
    stage.config(ALL_OF_PUBLIC);
    let user = &stage.postgres.settings.user;
    let url = with_credentials(&stage.postgres.url, &format!("{user}:wrong-secret"));
    let wrong = stage.invocation(&["doctor", "--output", "json"]).env("POSTGRES_URL", &url);
    let document = Document::of(wrong);
    assert_eq!(document.outcome.status, Some(4), "{}", document.outcome);
    document.expect(&[
        ("postgres.reachable", "fail"),
        ("postgres.wal_level", "not_run"),
        ("postgres.select", "not_run"),
        ("clickhouse.reachable", "pass"),
        ("clickhouse.version", "pass"),
    ]);
    assert_eq!(document.check("postgres.wal_level")["why"], "postgres.reachable failed");
    assert!(!document.outcome.to_string().contains("wrong-secret"), "{}", document.outcome);

    let url = with_credentials(&stage.clickhouse.url, "pipectl:wrong-secret");
    let wrong = stage.invocation(&["doctor", "--output", "json"]).env("CLICKHOUSE_URL", &url);
    let document = Document::of(wrong);
    assert_eq!(document.outcome.status, Some(4), "{}", document.outcome);
    document.expect(&[
        ("clickhouse.reachable", "fail"),
        ("clickhouse.grants", "not_run"),
        ("clickhouse.disk", "not_run"),
        ("postgres.reachable", "pass"),
    ]);
    assert!(!document.outcome.to_string().contains("wrong-secret"), "{}", document.outcome);
}

#[test]
fn dead_servers_fail_once_each_and_the_rest_is_not_run() {
    let stage = Stage::new("doctor_dead");
    stage.config(ALL_OF_PUBLIC);
    let dead = stage
        .invocation(&["doctor", "--output", "json"])
        .env("POSTGRES_URL", &format!("postgres://nobody:x@127.0.0.1:{}/shop", closed_port()))
        .env("CLICKHOUSE_URL", &format!("http://nobody:x@127.0.0.1:{}", closed_port()));
    let document = Document::of(dead);
    assert_eq!(document.outcome.status, Some(4), "{}", document.outcome);
    assert_eq!(document.others("fail", &[]), ["postgres.reachable", "clickhouse.reachable"]);
    let config = ["config.postgres_password", "config.clickhouse_password"];
    assert_eq!(document.others("pass", &config), [] as [&str; 0]);
    assert_eq!(document.others("warn", &[]), [] as [&str; 0]);
}

#[test]
fn a_role_without_rights_is_told_each_grant() {
    let stage = Stage::new("doctor_role");
    stage.postgres.execute(
        "CREATE TABLE orders (id int PRIMARY KEY);
         CREATE TABLE hidden (id int PRIMARY KEY); ALTER TABLE hidden ENABLE ROW LEVEL SECURITY",
    );
    stage.config(ALL_OF_PUBLIC);
    let role = Role::new(&stage, "NOREPLICATION");
    stage.admin.execute(&format!("GRANT SELECT ON hidden TO \"{}\"", role.name));
    let document = Document::of(stage.invocation(&["doctor", "--output", "json"]).env("POSTGRES_URL", &role.url));
    assert_eq!(document.outcome.status, Some(4), "{}", document.outcome);
    document.expect(&[
        ("postgres.reachable", "pass"),
        ("postgres.role_replication", "fail"),
        ("postgres.replication_connection", "fail"),
        ("postgres.select", "fail"),
        ("postgres.row_security", "fail"),
        ("postgres.publication", "fail"),
        ("postgres.publication_privileges", "fail"),
    ]);
    assert_eq!(document.objects("postgres.select"), ["public.orders"]);
    assert_eq!(document.outcome.stderr, "");
    assert_eq!(document.objects("postgres.row_security"), ["public.hidden"]);
    assert_eq!(document.statements("postgres.role_replication"), [format!("ALTER ROLE \"{}\" REPLICATION", role.name)]);
    assert_eq!(document.check("postgres.publication")["fix"]["automatic"], false);

    // What it shows is what helps.
    for id in ["postgres.role_replication", "postgres.select", "postgres.row_security", "postgres.publication"] {
        for statement in document.statements(id) {
            stage.admin.execute(statement);
        }
    }
    let document = Document::of(stage.invocation(&["doctor", "--output", "json"]).env("POSTGRES_URL", &role.url));
    assert_eq!(document.others("fail", &[]), [] as [&str; 0], "{}", document.outcome);
    document.expect(&[("postgres.publication_privileges", "pass"), ("postgres.replication_connection", "pass")]);
}

#[test]
fn clickhouse_tables_and_grants_are_judged() {
    let stage = Stage::new("doctor_clickhouse");
    stage.postgres.execute("CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE u (id int PRIMARY KEY)");
    stage.config(ALL_OF_PUBLIC);
    stage.clickhouse.execute("CREATE DATABASE {db}");
    stage.clickhouse.execute("CREATE TABLE {db}.t (id Int32) ENGINE = MergeTree ORDER BY id");
    stage.clickhouse.execute(
        "CREATE TABLE {db}.u (id Int32, _version UInt64, _deleted UInt8) \
         ENGINE = ReplacingMergeTree(_version, _deleted) ORDER BY id",
    );
    let document = Document::new(&stage, &[]);
    assert_eq!(document.outcome.status, Some(4), "{}", document.outcome);
    document.expect(&[
        ("clickhouse.tables", "fail"),
        ("clickhouse.version_columns", "fail"),
        ("clickhouse.parts", "pass"),
    ]);
    assert_eq!(document.objects("clickhouse.version_columns"), ["t", "u"]);

    let reader = variable("PIPECTL_CH_READER_URL");
    let document = Document::of(stage.invocation(&["doctor", "--output", "json"]).env("CLICKHOUSE_URL", &reader));
    assert_eq!(document.outcome.status, Some(4), "{}", document.outcome);
    document.expect(&[("clickhouse.reachable", "pass"), ("clickhouse.grants", "fail")]);
    assert!(document.statements("clickhouse.grants")[0].starts_with("GRANT SELECT, INSERT"), "{}", document.outcome);
}

#[test]
fn a_password_in_the_file_is_a_warning_that_does_not_show_it() {
    let stage = Stage::new("doctor_in_file");
    stage.directory.write(
        "clickhouse_config.yml",
        &format!(
            "pipeline: {name}\npostgres:\n  url: {postgres}\nclickhouse:\n  url: {clickhouse}\n  database: {name}\n{ALL_OF_PUBLIC}",
            name = stage.name,
            postgres = stage.postgres.url,
            clickhouse = stage.clickhouse.url,
        ),
    );
    let document = Document::of(Invocation::new(&stage.directory, &["doctor", "--output", "json"]));
    document.expect(&[("config.postgres_password", "warn"), ("config.clickhouse_password", "warn")]);
    for secret in [stage.postgres.settings.password.expose(), stage.clickhouse.settings.password.expose()] {
        assert!(!document.outcome.to_string().contains(secret));
    }
}
