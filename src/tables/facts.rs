//! What both servers say, read once before anything is planned.

use crate::batch::{ColumnType, Ranges};
use crate::change::TableSchema;
use crate::config::Settings;
use crate::error::{Error, Kind, Result};
use crate::server::clickhouse::{Server, StoredDatabase, database, type_name};
use crate::server::postgres;
use crate::sink::clickhouse::ranges;
use std::collections::BTreeMap;
use tokio_postgres::Client;

/// All that a plan rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The source's tables; none where Postgres was not asked.
    pub source: Option<Vec<TableSchema>>,
    /// The destination's database.
    pub stored: StoredDatabase,
    /// The dates that the destination holds.
    pub ranges: Ranges,
    /// Types of tables that are written out, from the configuration's spelling to ClickHouse's.
    pub type_names: BTreeMap<String, String>,
    /// The name that the tables have in the place of their own, such as a shadow's; then they have no views.
    pub instead: Option<String>,
}

/// Whether anything in the configuration has to be looked up in Postgres: not where every table is written out.
pub fn needs_postgres(settings: &Settings) -> bool {
    settings.tables.iter().any(|rule| rule.written_out.is_none())
}

/// Asks both servers; Postgres only where there is a session with it.
///
/// # Errors
/// Those of the servers; [`Kind::Config`] where a type is written out that ClickHouse does not know.
pub async fn gather(settings: &Settings, source: Option<&Client>, destination: &Server) -> Result<Facts> {
    let source = match source {
        Some(client) => Some(postgres::tables(client).await?),
        None => None,
    };
    let stored = database(destination, &settings.clickhouse.database).await?;
    let ranges = ranges(destination).await?;
    let mut type_names = BTreeMap::new();
    for rule in &settings.tables {
        for column in rule.written_out.iter().flatten() {
            let written = column.column_type.trim();
            if type_names.contains_key(written) {
                continue;
            }
            let name = match ColumnType::parse(written) {
                Some(known) => known.to_string(),
                None => type_name(destination, written).await.map_err(|error| {
                    let of = format!("column \"{}\" of table {}", column.name, rule.source);
                    match error.kind() {
                        Kind::Destination => {
                            Error::new(Kind::Config, format!("ClickHouse does not know the type of {of}"))
                                .because(error)
                        }
                        _ => error,
                    }
                })?,
            };
            type_names.insert(written.to_owned(), name);
        }
    }
    Ok(Facts { source, stored, ranges, type_names, instead: None })
}
