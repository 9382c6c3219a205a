//! What a test stands on: its own databases on the servers of the stack, and the binary in a directory of its own.
//!
//! ```ignore
//! let stage = Stage::new("orders_arrive");
//! stage.postgres.execute("CREATE TABLE public.orders (id bigint PRIMARY KEY)");
//! stage.config("tables:\n  - source: public.*\n");
//! let outcome = stage.pipectl(&["sync", "--until-caught-up"]);
//! assert_eq!(outcome.status, Some(0), "{outcome}");
//! assert_eq!(stage.clickhouse.value("SELECT count() FROM orders FINAL"), "0");
//! ```

mod binary;
mod clickhouse;
mod connect;
mod kafka;
mod mark;
mod piped;
mod postgres;
mod proxy;
mod samples;
mod servers;
mod topics;

pub(crate) use binary::{Invocation, Outcome, Running};
pub(crate) use clickhouse::ClickHouse;
pub(crate) use connect::Connect;
pub(crate) use kafka::{Kafka, Record};
pub(crate) use mark::Mark;
pub(crate) use piped::Piped;
pub(crate) use postgres::Postgres;
pub(crate) use proxy::{Proxy, Verdict};
pub(crate) use samples::Sample;
pub(crate) use servers::{OtherServers, Urls};
pub(crate) use topics::Topics;

use std::fs;
use std::future::Future;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

/// How long a test waits for what has to come. Nothing is proved by how fast that is: the machine may be ten times slower than this one.
pub(crate) const PATIENCE: Duration = Duration::from_mins(8);
/// Between two looks at what is waited for.
const PAUSE: Duration = Duration::from_millis(10);

/// Runs async code of the library; one runtime serves all tests.
pub(crate) fn run<F: Future>(future: F) -> F::Output {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| Runtime::new().expect("a runtime")).block_on(future)
}

/// A variable that `dev/stack env` sets.
pub(crate) fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        panic!("{name} is not set: run `make test`, or `dev/stack up` and then eval \"$(dev/stack env)\"")
    })
}

/// An empty directory that goes when it is dropped.
pub(crate) struct Directory(pub(crate) PathBuf);

impl Directory {
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("pipectl-{}", unique(name)));
        fs::create_dir_all(&path).expect("a temporary directory");
        Self(path)
    }

    /// Writes a file and returns its path.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, text).expect("a file in the temporary directory");
        path
    }

    /// Reads a file.
    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.0.join(name)).expect("the file is there")
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

/// A name that also fits a pipeline, at most 41 characters.
fn unique(test: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name: String =
        test.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' }).collect();
    let name: String = name.chars().take(26).collect();
    format!("it_{name}_{}_{}", std::process::id() % 10_000_000, NEXT.fetch_add(1, Ordering::Relaxed))
}

/// The databases and the directory of one test.
pub(crate) struct Stage {
    /// The pipeline's name, and that of both databases.
    pub(crate) name: String,
    /// The new Postgres database as pipectl's role, its owner.
    pub(crate) postgres: Postgres,
    /// The same database as superuser.
    pub(crate) admin: Postgres,
    /// ClickHouse; its own database is not made yet.
    pub(crate) clickhouse: ClickHouse,
    /// Where the binary runs.
    pub(crate) directory: Directory,
    /// Where its Postgres database is dropped; none where it is another stage's.
    admin_url: Option<String>,
}

impl Stage {
    /// Makes an empty Postgres database and a name for one in ClickHouse.
    pub(crate) fn new(test: &str) -> Self {
        let urls = Urls {
            postgres: variable("POSTGRES_URL"),
            admin: variable("PIPECTL_PG_ADMIN_URL"),
            clickhouse: variable("CLICKHOUSE_URL"),
        };
        Self::on(&urls, test)
    }

    /// The same on other servers.
    pub(crate) fn on(urls: &Urls, test: &str) -> Self {
        let name = unique(test);
        let url = Postgres::url_of(&urls.postgres, &name);
        Postgres::connect(&urls.admin).create_database(&name, &url);
        Self {
            postgres: Postgres::connect(&url),
            admin: Postgres::connect(&Postgres::url_of(&urls.admin, &name)),
            clickhouse: ClickHouse::connect(&urls.clickhouse, &name),
            directory: Directory::new(test),
            name,
            admin_url: Some(urls.admin.clone()),
        }
    }

    /// Another one on the same Postgres database, for what only reads it: making a database is the slowest part of a stage.
    pub(crate) fn beside(&self, test: &str) -> Self {
        let name = unique(test);
        Self {
            postgres: Postgres::connect(&self.postgres.url),
            admin: Postgres::connect(&self.admin.url),
            clickhouse: ClickHouse::connect(&self.clickhouse.url, &name),
            directory: Directory::new(test),
            name,
            admin_url: None,
        }
    }

    /// Writes `clickhouse_config.yml` for these databases: `pipeline`, `postgres` and `clickhouse`, then what is given.
    pub(crate) fn config(&self, rest: &str) {
        let name = &self.name;
        let head = format!(
            "pipeline: {name}\npostgres:\n  url: ${{POSTGRES_URL}}\nclickhouse:\n  url: ${{CLICKHOUSE_URL}}\n  database: {name}\n"
        );
        self.directory.write("clickhouse_config.yml", &format!("{head}{rest}"));
    }

    /// The binary with arguments, in the test's directory, with POSTGRES_URL and CLICKHOUSE_URL set; more can be said before it runs.
    pub(crate) fn invocation(&self, arguments: &[&str]) -> Invocation {
        Invocation::new(&self.directory, arguments)
            .env("POSTGRES_URL", &self.postgres.url)
            .env("CLICKHOUSE_URL", &self.clickhouse.url)
    }

    /// Waits until a condition holds; fails the test where it does not.
    pub(crate) fn wait_until(&self, what: &str, mut holds: impl FnMut(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !holds(self) {
            assert!(Instant::now() < deadline, "still not: {what}");
            std::thread::sleep(PAUSE);
        }
    }

    /// Has ClickHouse merge everything of every table that is there, the state too.
    pub(crate) fn merge_all(&self) {
        let tables =
            "SELECT name, toString(uuid) AS id FROM system.tables WHERE database = '{}' AND engine LIKE '%MergeTree'";
        for row in self.clickhouse.rows(&tables.replace("{}", &self.name)) {
            let (name, id) = (row["name"].as_str().unwrap(), row["id"].as_str().unwrap());
            if self.clickhouse.try_value(&format!("OPTIMIZE TABLE {{db}}.`{name}` FINAL")).is_none() {
                // One that was being copied may have gone meanwhile.
                let left =
                    format!("SELECT count() FROM system.tables WHERE database = '{}' AND uuid = '{id}'", self.name);
                assert_eq!(self.clickhouse.value(&left), "0", "{name} could not be merged");
            }
        }
    }

    /// Catches up, and proves that both sides are equal.
    pub(crate) fn catch_up_and_verify(&self) -> Outcome {
        let caught_up = self.pipectl(&["sync", "--until-caught-up"]);
        assert_eq!(caught_up.status, Some(0), "{caught_up}");
        let verified = self.pipectl(&["verify"]);
        assert_eq!(verified.status, Some(0), "{verified}\n--- sync\n{caught_up}");
        caught_up
    }

    /// Runs the binary to its end.
    pub(crate) fn pipectl(&self, arguments: &[&str]) -> Outcome {
        self.invocation(arguments).run()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.clickhouse.drop_database();
        // The server ends the sessions of this stage with the database.
        let Some(admin_url) = &self.admin_url else { return };
        match Postgres::try_connect(admin_url) {
            Ok(admin) => admin.drop_database(&self.name),
            Err(error) => eprintln!("cleaning up: {error:?}"),
        }
    }
}
