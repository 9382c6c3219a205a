//! A session that prepares each statement once.

use crate::server::postgres::Connection;
use std::collections::HashMap;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Error, Row, Statement};

/// Values of a statement.
pub(super) type Values<'a> = &'a [&'a (dyn ToSql + Sync)];

pub(super) struct Session<'a> {
    connection: &'a Connection,
    prepared: HashMap<&'static str, Statement>,
}

impl<'a> Session<'a> {
    pub(super) fn new(connection: &'a Connection) -> Self {
        Self { connection, prepared: HashMap::new() }
    }

    pub(super) async fn begin(&self) -> Result<(), Error> {
        self.connection.batch_execute("BEGIN").await
    }

    pub(super) async fn commit(&self) -> Result<(), Error> {
        self.connection.batch_execute("COMMIT").await
    }

    pub(super) async fn roll_back(&self) -> Result<(), Error> {
        self.connection.batch_execute("ROLLBACK").await
    }

    /// Runs a statement; says how many rows it changed.
    pub(super) async fn execute(&mut self, sql: &'static str, values: Values<'_>) -> Result<u64, Error> {
        let statement = self.statement(sql).await?;
        self.connection.execute(&statement, values).await
    }

    /// All rows that a statement returns.
    pub(super) async fn query(&mut self, sql: &'static str, values: Values<'_>) -> Result<Vec<Row>, Error> {
        let statement = self.statement(sql).await?;
        self.connection.query(&statement, values).await
    }

    async fn statement(&mut self, sql: &'static str) -> Result<Statement, Error> {
        if let Some(statement) = self.prepared.get(sql) {
            return Ok(statement.clone());
        }
        let statement = self.connection.prepare(sql).await?;
        self.prepared.insert(sql, statement.clone());
        Ok(statement)
    }
}

/// Whether another session was in the way, so that the next transaction may do better: a deadlock, or a row that was deleted in
/// between.
pub(super) fn lost_race(error: &Error) -> bool {
    error.code().is_some_and(|code| {
        [SqlState::T_R_DEADLOCK_DETECTED, SqlState::T_R_SERIALIZATION_FAILURE, SqlState::FOREIGN_KEY_VIOLATION]
            .contains(code)
    })
}
