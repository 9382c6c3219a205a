//! Which tables the connector captures.

use crate::change::{ReplicaIdentity, TableSchema};
use crate::config::Settings;
use crate::error::Result;
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
    /// Whether one of the tables has no key: its rows are told apart by their place in the transaction, which the connector then has to
    /// write down.
    pub fn needs_transaction_metadata(&self) -> bool {
        self.tables.iter().any(|table| table.insert_only)
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
        found.warnings.extend(changed(&plan));
        found.tables.push(plan);
    }
    Ok(found)
}

/// Columns that Debezium cannot send as they are, whatever its settings.
fn changed(plan: &TablePlan) -> Vec<String> {
    let column = |index: usize| plan.schema.columns.get(index);
    let stored = plan.columns.iter().filter_map(|stored| column(stored.source));
    let one = |name: &str, what: &str| format!("column {}.{name} {what}", plan.schema.name);
    stored
        .filter_map(|column| {
            let what = match column.type_name.as_str() {
                name if name.starts_with("time")
                    && name.ends_with("with time zone")
                    && !name.starts_with("timestamp") =>
                {
                    "comes in UTC: Debezium does not send the offset of a timetz"
                }
                name if name.starts_with("interval") && name.ends_with("[]") => {
                    "does not come: Debezium leaves out columns of interval[]"
                }
                _ => return None,
            };
            Some(one(&column.name, what))
        })
        .collect()
}
