//! Which tables the connector captures.

use crate::change::{Column, ReplicaIdentity, TableSchema};
use crate::config::Settings;
use crate::decode::debezium::{Forms, form};
use crate::error::Result;
use crate::server::connect::ConnectorConfig;
use crate::sink::clickhouse::{TablePlan, left_out, plan_table};

/// The tables that the connector captures, and what their owner should know.
#[derive(Debug, Default)]
pub struct Captured {
    /// The tables as they will be stored.
    pub tables: Vec<TablePlan>,
    /// What is left out, and what comes changed.
    pub warnings: Vec<String>,
}

impl Captured {
    /// Whether rows of one of the tables stand each for itself: they are told apart by their place in the transaction, which the connector then has to
    /// write down.
    pub fn needs_transaction_metadata(&self) -> bool {
        self.tables.iter().any(|table| table.log.is_some())
    }
}

/// Those of the catalog's tables that take part.
///
/// # Errors
/// [`crate::error::Kind::Config`] where the configuration asks for something impossible.
pub fn captured(settings: &Settings, catalog: &[TableSchema]) -> Result<Captured> {
    let mut found = Captured::default();
    for chosen in settings.select(catalog.iter().map(|schema| &schema.name))? {
        let Some(schema) = catalog.iter().find(|schema| schema.name == chosen.name) else { continue };
        if let Some(reason) = left_out(schema, chosen.rule) {
            found.warnings.push(reason);
            continue;
        }
        if schema.key.is_empty() && schema.identity != ReplicaIdentity::Full {
            found.warnings.push(format!(
                "table {name} is left out: it has no key, and Debezium reads one publication, in which Postgres would refuse its UPDATE and \
                 DELETE; ALTER TABLE {name} REPLICA IDENTITY FULL lets it take part",
                name = schema.name
            ));
            continue;
        }
        let plan = plan_table(schema, chosen.rule, &settings.clickhouse)?;
        found.tables.push(plan);
    }
    Ok(found)
}

/// Columns whose values Debezium changes or leaves out under these settings, each with what becomes of it.
pub fn lossy_columns(captured: &Captured, config: &ConnectorConfig) -> Vec<String> {
    let forms = Forms::from_connector(&config.0);
    let of_table = |table: &TablePlan| -> Vec<String> {
        let stored = table.columns.iter().filter_map(|stored| table.schema.columns.get(stored.source));
        stored
            .filter_map(|column| {
                Some(format!("column {}.{}: {}", table.schema.name, column.name, loss(column, &forms)?))
            })
            .collect()
    };
    captured.tables.iter().flat_map(of_table).collect()
}

fn loss(column: &Column, forms: &Forms) -> Option<&'static str> {
    // Nothing in a record tells that such a column was left out of it.
    if column.type_name.starts_with("interval") && column.type_name.ends_with("[]") {
        return Some("Debezium leaves out columns of interval[]");
    }
    form(column, None, forms, true).ok()?.loss()
}
