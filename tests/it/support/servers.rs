//! Servers of a test's own, which it may kill.

use super::{Directory, variable};
use std::path::Path;
use std::process::Command;

/// Where servers are, as `dev/stack env` names it.
pub(crate) struct Urls {
    /// Postgres, as pipectl's role.
    pub(crate) postgres: String,
    /// Postgres, as superuser.
    pub(crate) admin: String,
    /// ClickHouse.
    pub(crate) clickhouse: String,
}

/// Both servers once more, for one test alone; they end with the value.
pub(crate) struct OtherServers {
    directory: Directory,
    name: &'static str,
    /// Further variables of `dev/stack`.
    variables: Vec<(&'static str, &'static str)>,
}

impl OtherServers {
    /// Starts both.
    pub(crate) fn up(name: &'static str) -> Self {
        Self::up_with(name, &[], |_| {})
    }

    /// Starts both, with variables of `dev/stack`, once their folder is prepared.
    pub(crate) fn up_with(
        name: &'static str,
        variables: &[(&'static str, &'static str)],
        prepare: impl FnOnce(&Path),
    ) -> Self {
        let servers = Self { directory: Directory::new(name), name, variables: variables.to_vec() };
        prepare(&servers.directory.0.join(name));
        servers.stack(&["up"]);
        servers
    }

    /// Starts both, Kafka and Kafka Connect.
    pub(crate) fn with_kafka(name: &'static str) -> Self {
        let servers = Self { directory: Directory::new(name), name, variables: Vec::new() };
        servers.stack(&["up", "--kafka"]);
        servers
    }

    /// Kills a server as a crash would: `postgres`, `clickhouse`, `kafka` or `connect`.
    pub(crate) fn kill(&self, server: &str) {
        self.stack(&["kill", server]);
    }

    /// Starts a server that was killed.
    pub(crate) fn start(&self, server: &str) {
        self.stack(&["start", server]);
    }

    /// Where they are.
    pub(crate) fn urls(&self) -> Urls {
        Urls {
            postgres: self.variable("POSTGRES_URL"),
            admin: self.variable("PIPECTL_PG_ADMIN_URL"),
            clickhouse: self.variable("CLICKHOUSE_URL"),
        }
    }

    /// What `dev/stack env` says of a variable.
    pub(crate) fn variable(&self, name: &str) -> String {
        let text = self.stack(&["env"]);
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("export {name}=")));
        line.unwrap_or_else(|| panic!("dev/stack env says nothing of {name}")).trim_matches('\'').to_owned()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(variable("PIPECTL_STACK"));
        command.args(arguments).args(["--name", self.name]);
        command.env("PIPECTL_STACK_DIR", &self.directory.0).env("PG_FSYNC", "off");
        for name in ["PG_PASSWORD", "PG_ADMIN_PASSWORD", "CH_PASSWORD", "KAFKA_PASSWORD", "PIPECTL_STACK_NAME"] {
            command.env_remove(name);
        }
        for (name, _) in std::env::vars().filter(|(name, _)| name.ends_with("_PORT")) {
            command.env_remove(name);
        }
        command.envs(self.variables.iter().copied());
        command
    }

    fn stack(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

impl Drop for OtherServers {
    fn drop(&mut self) {
        self.command(&["down", "--wipe"]).output().ok();
    }
}
