//! The third look: which columns of a row differ.

use super::clickhouse_text::ClickHouseText;
use super::compared::ComparedTable;
use super::document::{Print, expected, stored};
use super::hex;
use super::opened::{Difference, Key};
use super::postgres_text::PostgresText;
use super::report::{ColumnReport, Fault, RowReport, Values};
use crate::error::{Error, Kind, Result};
use crate::server::clickhouse::Server;
use crate::server::postgres::{Connection, server_error};
use serde_json::{Map, Value};
use std::collections::HashMap;

/// A row as one side shows it, column by column.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Shown {
    /// Part of the hash of each value's text; empty for NULL.
    prints: Vec<String>,
    /// The values as the server writes them.
    values: Vec<Option<String>>,
}

type Rows = HashMap<String, Shown>;

/// Names the columns of rows that differ, and with `values` what both sides hold.
pub(super) async fn describe(
    session: &Connection,
    relation: &str,
    (source, target): (&PostgresText<'_>, &ClickHouseText<'_>),
    server: &Server,
    (rows, values): (&[Difference], bool),
) -> Result<Vec<RowReport>> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let keys: Vec<Key> = rows.iter().map(|row| row.key).collect();
    let mut of_source = source_rows(session, &source.details(relation, &[source.has_key(1)]), &keys).await?;
    let mut of_target = target_rows(server, &target.details(&[target.has_key()]), &keys).await?;
    let (table, strict) = (source.table, source.strict);
    print_documents(table, &mut of_source, |document| expected(document, strict).print(strict));
    print_documents(table, &mut of_target, |document| Some(stored(document, strict)));
    let report = |row: &Difference| {
        let key = hex(&row.key.0);
        let sides = (of_source.get(&key), of_target.get(&key));
        let either = sides.0.or(sides.1);
        let key_columns = table.key_columns().map(|column| {
            let index = table.columns.iter().position(|other| other.source == column.source);
            (column.source.clone(), either.zip(index).and_then(|(shown, index)| shown.values.get(index)?.clone()))
        });
        RowReport {
            fault: fault(row),
            key: key_columns.collect(),
            columns: match sides {
                (Some(source), Some(target)) => {
                    let names = table.columns.iter().map(|column| column.source.as_str());
                    differing(names, source, target, values)
                }
                _ => Vec::new(),
            },
        }
    };
    Ok(rows.iter().map(report).collect())
}

fn fault(row: &Difference) -> Fault {
    match (row.source, row.target) {
        (_, None) => Fault::Missing,
        (None, _) => Fault::Extra,
        _ => Fault::Different,
    }
}

fn differing<'a>(
    names: impl Iterator<Item = &'a str>,
    source: &Shown,
    target: &Shown,
    values: bool,
) -> Vec<ColumnReport> {
    let prints = source.prints.iter().zip(&target.prints);
    let shown = source.values.iter().zip(&target.values);
    names
        .zip(prints.zip(shown))
        .filter(|(_, ((source, target), _))| source != target)
        .map(|(name, (_, (source, target)))| ColumnReport {
            name: name.to_owned(),
            values: values.then(|| Values { source: source.clone(), target: target.clone() }),
        })
        .collect()
}

/// Fills in the prints that no server makes.
fn print_documents(table: &ComparedTable, rows: &mut Rows, print: impl Fn(&[u8]) -> Option<Print>) {
    for index in table.documents() {
        for row in rows.values_mut() {
            let value = row.values.get(index).and_then(Option::as_ref);
            let found = value.and_then(|document| print(document.as_bytes()));
            if let Some(place) = row.prints.get_mut(index) {
                *place = found.map_or_else(String::new, |print| hex(&print));
            }
        }
    }
}

async fn source_rows(session: &Connection, sql: &str, keys: &[Key]) -> Result<Rows> {
    let failed = |error| server_error("could not look at the rows that differ in Postgres", error);
    let rows = session.query(sql, &[&keys]).await.map_err(failed)?;
    rows.iter()
        .map(|row| {
            let key: Key = row.try_get("key").map_err(failed)?;
            let prints = row.try_get("prints").map_err(failed)?;
            Ok((hex(&key.0), Shown { prints, values: row.try_get("shown").map_err(failed)? }))
        })
        .collect()
}

async fn target_rows(server: &Server, sql: &str, keys: &[Key]) -> Result<Rows> {
    // An array of texts would need quotes, which the client escapes.
    let keys: Vec<String> = keys.iter().map(|key| u128::from_be_bytes(key.0).to_string()).collect();
    let rows = server.rows(sql, &[("keys", &format!("[{}]", keys.join(",")))]).await?;
    rows.iter()
        .map(|row| {
            shown(row).ok_or_else(|| Error::new(Kind::Unexpected, "could not read the rows that ClickHouse answered"))
        })
        .collect()
}

fn shown(row: &Map<String, Value>) -> Option<(String, Shown)> {
    let texts = |name: &str| {
        let values = row.get(name)?.as_array()?;
        Some(values.iter().map(|value| value.as_str().map(str::to_owned)).collect::<Vec<_>>())
    };
    let prints = texts("prints")?.into_iter().collect::<Option<Vec<String>>>()?;
    Some((row.get("key")?.as_str()?.to_owned(), Shown { prints, values: texts("shown")? }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_columns_whose_prints_differ() {
        let side = |prints: [&str; 2], value: &str| Shown {
            prints: prints.map(str::to_owned).to_vec(),
            values: vec![Some("1".to_owned()), Some(value.to_owned())],
        };
        let (source, target) = (side(["aa", "bb"], "x"), side(["aa", ""], "y"));
        let found = differing(["id", "name"].into_iter(), &source, &target, false);
        assert_eq!(found, vec![ColumnReport { name: "name".to_owned(), values: None }]);
        let found = differing(["id", "name"].into_iter(), &source, &target, true);
        let values = found[0].values.as_ref().unwrap();
        assert_eq!((values.source.as_deref(), values.target.as_deref()), (Some("x"), Some("y")));
    }
}
