//! What `pipectl seed` says when it is done.

use super::output::Output;
use indicatif::HumanCount;
use pipectl::error::Result;
use pipectl::seed::{LeftOut, LiveReport, TableRows};
use serde_json::{Value, json};
use std::time::Duration;

/// What was done.
#[derive(Debug, Default)]
pub(super) struct Done {
    pub(super) created: bool,
    pub(super) truncated: bool,
    pub(super) dropped: bool,
    pub(super) tables: Vec<TableRows>,
    pub(super) left_out: Vec<LeftOut>,
    pub(super) live: Option<LiveReport>,
    /// A signal ended it: the exit code.
    pub(super) given_up: Option<u8>,
}

impl Done {
    fn rows(&self) -> u64 {
        self.tables.iter().map(|table| table.rows).sum()
    }
}

/// Prints it.
pub(super) fn summarize(done: &Done, elapsed: Duration, output: &Output) -> Result<()> {
    if output.is_json() {
        return output.json(&document(done, elapsed));
    }
    let said = [
        (done.dropped, "took the demo shop's tables away"),
        (done.created, "made the demo shop's tables"),
        (done.truncated, "emptied the demo shop's tables"),
        (done.given_up.is_some(), "given up: rows that were committed before the signal stay"),
    ];
    said.iter().filter(|(so, _)| *so).for_each(|(_, text)| output.message(text));
    if !done.tables.is_empty() {
        output.data(&tables(done))?;
    }
    done.live.map_or(Ok(()), |live| output.data(&changes(&live)))
}

fn tables(done: &Done) -> String {
    let mut lines = vec![line("table", "rows", "rows/s")];
    let all: Duration = done.tables.iter().map(|table| table.elapsed).sum();
    for table in &done.tables {
        lines.push(line(&table.table, &count(table.rows), &count(per_second(table.rows, table.elapsed))));
    }
    if done.tables.len() > 1 {
        lines.push(line("all", &count(done.rows()), &count(per_second(done.rows(), all))));
    }
    lines.join("\n")
}

fn line(table: &str, rows: &str, rate: &str) -> String {
    format!("{table:<24} {rows:>14} {rate:>12}")
}

fn changes(live: &LiveReport) -> String {
    let LiveReport { transactions, rolled_back, inserts, updates, deletes, .. } = *live;
    let LiveReport { key_changes, toast_unchanged, toast_changed, .. } = *live;
    format!(
        "{} changes in {:.1} s: {:.0} a second, in {} transactions ({rolled_back} more rolled back)\n\
         {inserts} inserts, {updates} updates, {deletes} deletes\n\
         among the updates: {key_changes} of a key, {toast_unchanged} beside a long text, {toast_changed} of a long text",
        count(live.rows()),
        live.elapsed.as_secs_f64(),
        live.rate(),
        count(transactions),
    )
}

fn document(done: &Done, elapsed: Duration) -> Value {
    json!({
        "version": 1,
        "created": done.created,
        "truncated": done.truncated,
        "dropped": done.dropped,
        "finished": done.given_up.is_none(),
        "seconds": seconds(elapsed),
        "rows": done.rows(),
        "tables": done.tables.iter().map(|table| {
            json!({"table": table.table, "rows": table.rows, "seconds": seconds(table.elapsed)})
        }).collect::<Vec<_>>(),
        "left_out": done.left_out.iter().map(|left| {
            json!({"column": left.column, "why": left.why, "instead": left.instead})
        }).collect::<Vec<_>>(),
        "live": done.live.map(|live| json!({
            "seconds": seconds(live.elapsed),
            "changes": live.rows(),
            "changes_per_second": (live.rate() * 10.0).round() / 10.0,
            "transactions": live.transactions,
            "rolled_back": live.rolled_back,
            "inserts": live.inserts,
            "updates": live.updates,
            "deletes": live.deletes,
            "key_changes": live.key_changes,
            "toast_unchanged": live.toast_unchanged,
            "toast_changed": live.toast_changed,
        })),
    })
}

fn seconds(elapsed: Duration) -> f64 {
    (elapsed.as_secs_f64() * 1000.0).round() / 1000.0
}

fn per_second(rows: u64, elapsed: Duration) -> u64 {
    (rows as f64 / elapsed.as_secs_f64().max(0.001)) as u64
}

fn count(rows: u64) -> String {
    HumanCount(rows).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_adds_up() {
        let table = |table: &str, rows| TableRows { table: table.to_owned(), rows, elapsed: Duration::from_secs(1) };
        let done = Done { tables: vec![table("public.orders", 1200), table("public.events", 300)], ..Done::default() };
        let text = tables(&done);
        let words: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(words[1], ["public.orders", "1,200", "1,200"]);
        assert_eq!(words[3], ["all", "1,500", "750"]);
        assert_eq!(document(&done, Duration::from_secs(2))["rows"], 1500);
    }
}
