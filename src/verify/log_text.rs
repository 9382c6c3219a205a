//! The rows that a log of changes comes to, as ClickHouse's own SQL reads them out of it.

use super::compared::ComparedTable;
use crate::server::clickhouse::{quote_ident, quote_text};
use crate::sink::clickhouse::{ORDINAL_COLUMN, TablePlan};

/// The rows that are left by the changes of a log, `log` being its quoted name, with the version of each row's last change where rows have a key.
pub(super) fn rows_of_log(log: &str, table: &ComparedTable, plan: &TablePlan) -> String {
    let version = quote_ident(&plan.version_column);
    // What lies behind the newest truncation; where there was none, everything.
    let changes =
        format!("{log} FINAL WHERE _op != 't' AND {version} >= (SELECT max({version}) FROM {log} WHERE _op = 't')");
    if table.key.is_empty() { counted(&changes, table) } else { last(&changes, &version, table) }
}

/// Of each key the rows since it came last, and of each column the newest value that was sent since then: an update leaves out long values that it did not
/// touch. A key that has gone has no such rows.
fn last(changes: &str, version: &str, table: &ComparedTable) -> String {
    let ordinal = quote_ident(ORDINAL_COLUMN);
    let place = format!("({version}, {ordinal})");
    let names: Vec<String> = table.columns.iter().map(|column| quote_ident(&column.target)).collect();
    let keys: Vec<&str> = table.key.iter().filter_map(|&index| names.get(index)).map(String::as_str).collect();
    let values = table.columns.iter().zip(&names).enumerate().map(|(index, (column, name))| {
        if table.key.contains(&index) {
            return format!("{name} AS pipectl_v{index}");
        }
        let sent = format!("NOT has(_unsent, {})", quote_text(&column.target));
        format!("argMaxIf(tuple({name}), {place}, {sent}).1 AS pipectl_v{index}")
    });
    let values: Vec<String> = values.collect();
    let aliases: Vec<String> =
        names.iter().enumerate().map(|(index, name)| format!("pipectl_v{index} AS {name}")).collect();
    let keys = keys.join(", ");
    format!(
        "(SELECT {aliases}, pipectl_last AS {version} FROM (SELECT {values}, max({version}) AS pipectl_last FROM \
         (SELECT *, maxIf(({version}, {ordinal} + 1), _op IN ('b', 'd')) OVER (PARTITION BY {keys}) AS pipectl_gone FROM {changes}) \
         WHERE {place} >= pipectl_gone GROUP BY {keys}))",
        aliases = aliases.join(", "),
        values = values.join(", "),
    )
}

/// Each row as often as it came and did not go.
fn counted(changes: &str, table: &ComparedTable) -> String {
    let names: Vec<String> = table.columns.iter().map(|column| quote_ident(&column.target)).collect();
    let names = names.join(", ");
    format!(
        "(SELECT {names} FROM (SELECT {names}, sum(if(_op IN ('b', 'd'), -1, 1)) AS pipectl_copies FROM {changes} \
         GROUP BY {names} HAVING pipectl_copies > 0) ARRAY JOIN range(toUInt64(pipectl_copies)) AS pipectl_copy)"
    )
}
