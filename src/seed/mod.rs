//! Made-up data for Postgres: a demo shop filled by COPY, then changed while somebody watches; or rows for a table of the user's own.
//!
//! Everything follows from the seed: the same seed on the same tables makes the same rows, byte for byte.

mod binary;
mod copy;
mod live;
mod random;
mod shop;
mod table;
mod vocabulary;

pub use live::{Change, Live, LiveReport, Mix, live};
pub use shop::{Fill, MIN_ROWS, Presence, ShopTable, Sizes, create, drop, fill, presence, truncate};
pub use table::{LeftOut, TableFill, TablePlan, fill_table, plan_table};

use std::time::{Duration, Instant};

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<'a> {
    /// A table will get so many rows.
    Planned {
        /// Its name.
        table: &'a str,
        /// How many.
        rows: u64,
    },
    /// So many more rows were sent to a table.
    Rows {
        /// Its name.
        table: &'a str,
        /// How many.
        rows: u64,
    },
}

/// Rows that a table got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableRows {
    /// The table's name.
    pub table: String,
    /// How many rows.
    pub rows: u64,
    /// From its first row to its last.
    pub elapsed: Duration,
}

impl TableRows {
    fn new(table: &str, rows: u64) -> Self {
        Self { table: table.to_owned(), rows, elapsed: Duration::ZERO }
    }

    fn add(&mut self, rows: u64, started: Instant) {
        self.rows += rows;
        self.elapsed = started.elapsed();
    }
}
