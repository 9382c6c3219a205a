//! Which tables are compared: those of the configuration that are replicated.

use super::compared::Table;
use crate::checkpoint::{StateStore, TableRecord, follow};
use crate::config::{Settings, TableRule};
use crate::error::{Error, Kind, Result};
use crate::server::clickhouse;
use crate::server::postgres::{Connection, tables};
use crate::sink::clickhouse::{left_out, plan_table};

/// What is to be compared.
#[derive(Debug, Default)]
pub struct Selected {
    /// The tables, in the order of their names.
    pub tables: Vec<Table>,
    /// Why tables of the configuration are not replicated, a sentence each.
    pub left_out: Vec<String>,
}

/// The tables of the configuration, and those that were among them under another name; where patterns are given, only those that match one of them by
/// either name.
///
/// # Errors
/// [`Kind::Usage`] where a pattern matches none, [`Kind::Config`] where there is nothing to compare; the kinds of both servers.
pub async fn select(settings: &Settings, connection: &Connection, patterns: &[String]) -> Result<Selected> {
    let wanted: Vec<TableRule> = patterns.iter().map(TableRule::new).collect();
    let mut met = vec![false; wanted.len()];
    let mut selected = Selected::default();
    let schemas = tables(connection).await?;
    let state = StateStore::of_settings(settings, clickhouse::connect(&settings.clickhouse)?).load().await?;
    let settings = &follow(settings, &state, &schemas);
    for schema in schemas {
        let Some(rule) = settings.rule_for(&schema.name) else { continue };
        let before = state.tables.get(&schema.relid).and_then(TableRecord::source_name);
        let takes = |pattern: &TableRule| {
            pattern.takes(&schema.name) || before.as_ref().is_some_and(|name| pattern.takes(name))
        };
        let matching: Vec<bool> = wanted.iter().map(takes).collect();
        if !wanted.is_empty() && !matching.contains(&true) {
            continue;
        }
        met.iter_mut().zip(&matching).for_each(|(met, matches)| *met |= matches);
        match left_out(&schema, rule) {
            Some(reason) => selected.left_out.push(reason),
            None => selected.tables.push(Table {
                plan: plan_table(&schema, rule, &settings.clickhouse)?,
                row_filter: rule.row_filter.clone(),
            }),
        }
    }
    if let Some((pattern, _)) = patterns.iter().zip(&met).find(|(_, met)| !**met) {
        return Err(Error::new(Kind::Usage, format!("no table of the pipeline matches \"{pattern}\""))
            .hint("write it as schema.table, as in the configuration's `tables`"));
    }
    if selected.tables.is_empty() {
        return Err(Error::new(Kind::Config, "there are no tables to compare")
            .hint("name the pipeline's tables under `tables` in the configuration"));
    }
    Ok(selected)
}
