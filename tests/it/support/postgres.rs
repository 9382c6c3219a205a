//! Postgres in a test.

use super::run;
use pipectl::config::{Flags, PostgresSettings, Sources, load_postgres};
use pipectl::error::Error;
use pipectl::server::postgres::{Connection, connect, quote_ident};
use tokio_postgres::SimpleQueryMessage;

/// A session in one database.
pub(crate) struct Postgres {
    /// Where it is.
    pub(crate) url: String,
    /// The same for the library.
    pub(crate) settings: PostgresSettings,
    connection: Connection,
}

impl Postgres {
    /// Connects; fails the test where that is not possible.
    pub(crate) fn connect(url: &str) -> Self {
        Self::try_connect(url).unwrap_or_else(|error| panic!("no Postgres for the tests: {error:?}"))
    }

    /// Connects where that is possible.
    pub(crate) fn try_connect(url: &str) -> Result<Self, Error> {
        let flags = Flags { postgres_url: Some(url.to_owned()), ..Flags::default() };
        let settings = load_postgres(&Sources { flags, ..Sources::default() }).expect("a Postgres URL");
        let connection = run(connect(&settings))?;
        let session = Self { url: url.to_owned(), settings, connection };
        // The library pins an empty search path.
        session.execute("SET search_path = public");
        Ok(session)
    }

    /// The URL with another database in it.
    pub(crate) fn url_of(url: &str, database: &str) -> String {
        let (server, _) = url.rsplit_once('/').expect("a database in the URL");
        format!("{server}/{database}")
    }

    /// Runs statements.
    pub(crate) fn execute(&self, sql: &str) {
        self.try_execute(sql).unwrap_or_else(|error| panic!("{error:?} in {sql}"));
    }

    /// Runs statements that may fail.
    pub(crate) fn try_execute(&self, sql: &str) -> Result<(), tokio_postgres::Error> {
        run(self.connection.batch_execute(sql))
    }

    /// The rows of a query, as text.
    pub(crate) fn rows(&self, sql: &str) -> Vec<Vec<Option<String>>> {
        let messages = run(self.connection.simple_query(sql)).unwrap_or_else(|error| panic!("{error:?} in {sql}"));
        messages
            .iter()
            .filter_map(|message| match message {
                SimpleQueryMessage::Row(row) => {
                    Some((0..row.len()).map(|index| row.get(index).map(str::to_owned)).collect())
                }
                _ => None,
            })
            .collect()
    }

    /// The one value of a query, as text; NULL is empty.
    pub(crate) fn value(&self, sql: &str) -> String {
        self.rows(sql)[0][0].clone().unwrap_or_default()
    }

    /// Makes a database that belongs to the role of a URL.
    pub(super) fn create_database(&self, name: &str, owner: &str) {
        let flags = Flags { postgres_url: Some(owner.to_owned()), ..Flags::default() };
        let owner = load_postgres(&Sources { flags, ..Sources::default() }).expect("a Postgres URL").user;
        self.execute(&format!("CREATE DATABASE {} OWNER {}", quote_ident(name), quote_ident(&owner)));
    }

    /// Drops a database, its sessions and its replication slots. A failure is told, since it may come during a panic.
    pub(super) fn drop_database(&self, name: &str) {
        let slots = format!("FROM pg_replication_slots WHERE database = '{name}'");
        let statements = [
            format!("SELECT pg_terminate_backend(active_pid, 5000) {slots} AND active"),
            format!("SELECT pg_drop_replication_slot(slot_name) {slots} AND NOT active"),
            format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", quote_ident(name)),
        ];
        for sql in statements {
            if let Err(error) = self.try_execute(&sql) {
                eprintln!("cleaning up: {error:?} in {sql}");
            }
        }
    }
}
