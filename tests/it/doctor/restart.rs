//! Settings that need a restart, on a server of their own.

use super::{ALL_OF_PUBLIC, Document};
use crate::support::{Directory, Postgres, Stage, variable};
use serde_json::Value;
use std::process::Command;

/// A Postgres of its own, with settings that need a restart to be other than the tests'.
struct OtherServer {
    directory: Directory,
}

impl OtherServer {
    const NAME: &str = "replica";

    fn start(settings: &str) -> Self {
        let server = Self { directory: Directory::new("doctor_server") };
        let outcome = server.stack(&["start", "postgres"]).env("PG_SETTINGS", settings).env("PG_FSYNC", "off").output();
        let outcome = outcome.unwrap();
        assert!(outcome.status.success(), "{}", String::from_utf8_lossy(&outcome.stderr));
        server
    }

    fn stack(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(variable("PIPECTL_STACK"));
        command.args(arguments).args(["--name", Self::NAME]).env("PIPECTL_STACK_DIR", &self.directory.0);
        for name in ["PG_PORT", "CH_PORT", "CH_TCP_PORT", "PG_PASSWORD", "PG_ADMIN_PASSWORD", "PIPECTL_STACK_NAME"] {
            command.env_remove(name);
        }
        command
    }

    fn variable(&self, name: &str) -> String {
        let text = self.stack(&["env"]).output().unwrap().stdout;
        let text = String::from_utf8(text).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("export {name}="))).unwrap();
        line.trim_matches('\'').to_owned()
    }
}

impl Drop for OtherServer {
    fn drop(&mut self) {
        self.stack(&["down", "--wipe"]).output().ok();
    }
}

#[test]
fn what_needs_a_restart_is_said_and_the_rest_is_mended() {
    let server = OtherServer::start("-c wal_level=replica -c max_wal_senders=1 -c max_replication_slots=0");
    let stage = Stage::new("doctor_restart");
    stage.config(ALL_OF_PUBLIC);
    let (url, admin_url) = (server.variable("POSTGRES_URL"), server.variable("PIPECTL_PG_ADMIN_URL"));
    let admin_url = Postgres::url_of(&admin_url, url.rsplit_once('/').unwrap().1);
    let admin = Postgres::connect(&admin_url);
    for setting in ["wal_sender_timeout = '2s'", "max_slot_wal_keep_size = '64MB'"] {
        admin.execute(&format!("ALTER SYSTEM SET {setting}"));
    }
    admin.execute("SELECT pg_reload_conf()");
    admin.execute("CREATE TABLE public.t (id int PRIMARY KEY)");

    let document = Document::of(stage.invocation(&["doctor", "--output", "json"]).env("POSTGRES_URL", &url));
    assert_eq!(document.outcome.status, Some(4), "{}", document.outcome);
    document.expect(&[
        ("postgres.wal_level", "fail"),
        ("postgres.max_wal_senders", "fail"),
        ("postgres.max_replication_slots", "fail"),
        ("postgres.wal_sender_timeout", "warn"),
        ("postgres.max_slot_wal_keep_size", "warn"),
    ]);
    let wal_level = document.check("postgres.wal_level");
    assert_eq!((&wal_level["seen"], &wal_level["fix"]["restart"]), (&Value::from("replica"), &Value::Bool(true)));
    assert_eq!(document.statements("postgres.wal_level"), ["ALTER SYSTEM SET wal_level = 'logical'"]);
    assert_eq!(document.check("postgres.wal_sender_timeout")["fix"]["automatic"], false, "not a superuser");

    let fixed =
        Document::of(stage.invocation(&["doctor", "--fix", "--output", "json"]).env("POSTGRES_URL", &admin_url));
    assert_eq!(fixed.outcome.status, Some(4), "{}", fixed.outcome);
    assert!(fixed.outcome.stderr.contains("ALTER SYSTEM SET wal_sender_timeout = '60s'"), "{}", fixed.outcome);
    assert!(!fixed.outcome.stderr.contains("wal_level"), "{}", fixed.outcome);
    fixed.expect(&[
        ("postgres.wal_level", "fail"),
        ("postgres.wal_sender_timeout", "pass"),
        ("postgres.max_slot_wal_keep_size", "pass"),
    ]);
}
