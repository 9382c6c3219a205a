//! Reads rows again at Postgres, where there is one.

use crate::batch::Layout;
use crate::config::PostgresSettings;
use crate::error::{Error, Kind, Result};
use crate::flow::{CurrentRow, Refetch};
use crate::source::postgres::PostgresRefetch;

/// Postgres, or nobody.
#[derive(Debug)]
pub(super) struct MaybePostgres(Option<PostgresRefetch>);

impl MaybePostgres {
    pub(super) fn new(settings: Option<&PostgresSettings>) -> Self {
        Self(settings.cloned().map(PostgresRefetch::new))
    }
}

impl Refetch for MaybePostgres {
    async fn current(
        &mut self,
        layout: &Layout,
        columns: &[usize],
        keys: &[Vec<Vec<u8>>],
        xids: &[u32],
    ) -> Result<Vec<Option<CurrentRow>>> {
        match &mut self.0 {
            Some(postgres) => postgres.current(layout, columns, keys, xids).await,
            None => Err(Error::new(
                Kind::Value,
                "an update left out a long value that it did not change, and there is no connection to Postgres to read it again",
            )
            .hint("set `postgres.url`, then `pipectl resync` the table")),
        }
    }
}
