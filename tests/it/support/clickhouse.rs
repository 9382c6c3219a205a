//! ClickHouse in a test.

use super::run;
use pipectl::config::{ClickHouseSettings, Flags, Sources, load_clickhouse};
use pipectl::server::clickhouse::{Server, connect, quote_ident};
use serde_json::{Map, Value};

/// ClickHouse, with the name of the test's database.
pub(crate) struct ClickHouse {
    /// Where it is.
    pub(crate) url: String,
    /// The database of the test.
    pub(crate) database: String,
    /// The same for the library.
    pub(crate) settings: ClickHouseSettings,
    /// The connection.
    pub(crate) server: Server,
}

impl ClickHouse {
    /// Connects, and makes sure that somebody answers.
    pub(crate) fn connect(url: &str, database: &str) -> Self {
        let flags = Flags { clickhouse_url: Some(url.to_owned()), ..Flags::default() };
        let mut settings = load_clickhouse(&Sources { flags, ..Sources::default() }).expect("a ClickHouse URL");
        database.clone_into(&mut settings.database);
        let server = connect(&settings).expect("a client");
        let clickhouse = Self { url: url.to_owned(), database: database.to_owned(), settings, server };
        run(clickhouse.server.execute("SELECT 1", &[]))
            .unwrap_or_else(|error| panic!("no ClickHouse for the tests: {error:?}"));
        clickhouse
    }

    /// Runs a statement; `{db}` in it is the test's database, quoted.
    pub(crate) fn execute(&self, sql: &str) {
        let sql = self.fill_in(sql);
        run(self.server.execute(&sql, &[])).unwrap_or_else(|error| panic!("{error:?} in {sql}"));
    }

    /// The rows of a query, 64-bit integers as text; `{db}` in it is the test's database, quoted.
    pub(crate) fn rows(&self, sql: &str) -> Vec<Map<String, Value>> {
        let sql = self.fill_in(sql);
        run(self.server.rows(&sql, &[])).unwrap_or_else(|error| panic!("{error:?} in {sql}"))
    }

    /// The answer to a query as tab-separated text, without the last line end.
    pub(crate) fn value(&self, sql: &str) -> String {
        let sql = self.fill_in(sql);
        let bytes =
            run(self.server.bytes(&sql, &[], "TabSeparated")).unwrap_or_else(|error| panic!("{error:?} in {sql}"));
        String::from_utf8_lossy(&bytes).trim_end_matches('\n').to_owned()
    }

    /// The same where the server answers, and knows what is asked for.
    pub(crate) fn try_value(&self, sql: &str) -> Option<String> {
        let bytes = run(self.server.bytes(&self.fill_in(sql), &[], "TabSeparated")).ok()?;
        Some(String::from_utf8_lossy(&bytes).trim_end_matches('\n').to_owned())
    }

    pub(super) fn drop_database(&self) {
        let sql = self.fill_in("DROP DATABASE IF EXISTS {db} SYNC");
        if let Err(error) = run(self.server.execute(&sql, &[])) {
            eprintln!("cleaning up: {error:?} in {sql}");
        }
    }

    fn fill_in(&self, sql: &str) -> String {
        sql.replace("{db}", &quote_ident(&self.database))
    }
}
