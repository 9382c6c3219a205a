//! Rows read again: values that lie out of line, that a change left out and that the destination does not have.
//!
//! Postgres counts only once the change's transaction is visible: its commit record may be sent before other sessions see it.

use crate::batch::Layout;
use crate::change::TableSchema;
use crate::config::PostgresSettings;
use crate::error::{Error, Kind, Result};
use crate::flow::{CurrentRow, Refetch};
use crate::server::postgres::{Connection, connect, quote_ident, quote_table, server_error, table};
use std::collections::HashMap;
use std::time::Duration;

const VISIBLE: &str = include_str!("../../../sql/postgres/xid_visible.sql");
const VISIBLE_WAIT: Duration = Duration::from_secs(60);

/// A session for such reads, opened when it is first needed.
#[derive(Debug)]
pub struct PostgresRefetch {
    settings: PostgresSettings,
    client: Option<Connection>,
}

impl PostgresRefetch {
    /// Reads at these settings' server.
    pub fn new(settings: PostgresSettings) -> Self {
        Self { settings, client: None }
    }

    async fn client(&mut self) -> Result<&Connection> {
        if self.client.as_ref().is_none_or(|client| client.is_closed()) {
            self.client = Some(connect(&self.settings).await?);
        }
        self.client.as_ref().ok_or_else(|| Error::new(Kind::Unexpected, "no session"))
    }
}

impl Refetch for PostgresRefetch {
    async fn current(
        &mut self,
        layout: &Layout,
        columns: &[usize],
        keys: &[Vec<Vec<u8>>],
        xids: &[u32],
    ) -> Result<Vec<Option<CurrentRow>>> {
        let client = self.client().await?;
        wait_visible(client, xids).await?;
        let Some(schema) = table(client, layout.relation).await? else {
            return Ok(vec![None; keys.len()]);
        };
        let sql = statement(layout, columns, &schema)?;
        let width = layout.key.len();
        let arrays: Vec<Vec<String>> = (0..width)
            .map(|place| {
                keys.iter()
                    .map(|key| {
                        key.get(place).map(|part| String::from_utf8_lossy(part).into_owned()).unwrap_or_default()
                    })
                    .collect()
            })
            .collect();
        let parameters: Vec<&(dyn tokio_postgres::types::ToSql + Sync)> =
            arrays.iter().map(|array| array as &(dyn tokio_postgres::types::ToSql + Sync)).collect();
        let rows = client
            .query(&sql, &parameters)
            .await
            .map_err(|error| server_error(&format!("could not read rows of {} again", schema.name), error))?;
        let mut found: HashMap<i64, CurrentRow> = HashMap::new();
        for row in rows {
            let values =
                (0..columns.len()).map(|index| row.get::<_, Option<String>>(index + 1).map(String::into_bytes));
            found.insert(row.get(0), values.collect());
        }
        Ok((1..=keys.len() as i64).map(|place| found.remove(&place)).collect())
    }
}

/// Which of the keys the table holds, with the columns' texts; keys come as one array of texts a column.
fn statement(layout: &Layout, columns: &[usize], schema: &TableSchema) -> Result<String> {
    let column = |index: &usize| {
        let name = &layout.columns.get(*index).ok_or_else(|| Error::new(Kind::Unexpected, "no such column"))?.name;
        schema.column(name).ok_or_else(|| {
            Error::new(Kind::Value, format!("column \"{name}\" of {} is no longer there to be read again", schema.name))
                .hint("`pipectl resync` copies the table again")
        })
    };
    let mut values = vec!["wanted.place".to_owned()];
    for index in columns {
        let column = column(index)?;
        values.push(format!("pg_catalog.textin({}(t.{}))", column.output_function, quote_ident(&column.name)));
    }
    let (mut arrays, mut names, mut joins) = (Vec::new(), Vec::new(), Vec::new());
    for (place, index) in layout.key.iter().enumerate() {
        let column = column(index)?;
        arrays.push(format!("pg_catalog.unnest(${}::pg_catalog.text[])", place + 1));
        names.push(format!("k{place}"));
        joins.push(format!("t.{} = wanted.k{place}::{}", quote_ident(&column.name), column.type_name));
    }
    Ok(format!(
        "SELECT {} FROM ROWS FROM ({}) WITH ORDINALITY AS wanted({}, place) JOIN {} AS t ON {}",
        values.join(", "),
        arrays.join(", "),
        names.join(", "),
        quote_table(&schema.name),
        joins.join(" AND "),
    ))
}

async fn wait_visible(client: &Connection, xids: &[u32]) -> Result<()> {
    let xids: Vec<i64> = xids.iter().copied().map(i64::from).collect();
    let deadline = tokio::time::Instant::now() + VISIBLE_WAIT;
    let mut pause = Duration::from_millis(1);
    loop {
        let row = client
            .query_one(VISIBLE, &[&xids])
            .await
            .map_err(|error| server_error("could not ask for transactions", error))?;
        if row.get(0) {
            return Ok(());
        }
        if tokio::time::Instant::now() >= deadline {
            return Err(Error::new(
                Kind::SourceUnreachable,
                "a transaction that was sent is still not visible at the source",
            ));
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(200));
    }
}
