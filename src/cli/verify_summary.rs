//! What `pipectl verify` says when it is done.

use super::output::Output;
use comfy_table::{Cell, CellAlignment, Color, ContentArrangement, Table, presets};
use indicatif::HumanCount;
use pipectl::error::{Error, Kind, Result};
use pipectl::verify::{Fault, Options, Report, RowReport, TableReport};
use std::fmt::Write as _;
use std::io::IsTerminal;

/// Prints it: the finding to stdout, the verdict last.
pub(super) fn summarize(report: &Report, options: &Options, output: &Output) -> Result<()> {
    if output.is_json() {
        let document = serde_json::to_value(report)
            .map_err(|error| Error::new(Kind::Unexpected, "could not write the finding as JSON").because(error))?;
        return output.json(&document);
    }
    let mut text = format!("{}\n", table(report, options, output.color_stdout()));
    for found in &report.tables {
        remarks(&mut text, found);
    }
    verdict(&mut text, report);
    output.data(&text)
}

fn table(report: &Report, options: &Options, color: bool) -> Table {
    let mut table = Table::new();
    if std::io::stdout().is_terminal() {
        table.load_preset(presets::UTF8_HORIZONTAL_ONLY).set_content_arrangement(ContentArrangement::Dynamic);
    } else {
        table.load_preset(presets::NOTHING);
    }
    if color {
        table.enforce_styling();
    } else {
        table.force_no_tty();
    }
    table.set_header(vec!["table", "rows", "equal", "missing", "extra", "different", "policy NULLs", ""]);
    for found in &report.tables {
        let number = |number: u64| Cell::new(count(number)).set_alignment(CellAlignment::Right);
        let fault = |faults: u64| if faults > 0 { number(faults).fg(Color::Red) } else { number(faults) };
        let mark = if found.is_equal(options.strict) {
            Cell::new("equal").fg(Color::Green)
        } else {
            Cell::new("DIFFERENT").fg(Color::Red)
        };
        table.add_row(vec![
            Cell::new(&found.source),
            number(found.rows),
            number(found.equal),
            fault(found.missing),
            fault(found.extra),
            fault(found.different),
            number(found.policy_nulls.values().sum()),
            mark,
        ]);
    }
    table
}

/// What there is to say of a table beyond its numbers. Writing to a String cannot fail.
fn remarks(text: &mut String, found: &TableReport) {
    let name = &found.source;
    if let Some(problem) = &found.problem {
        writeln!(text, "{name}: {problem}").ok();
    }
    if let Some(reason) = &found.reason {
        writeln!(text, "{name}: {reason}").ok();
    }
    if let Some(repaired) = &found.repaired {
        let (rows, tombstones) = (count(repaired.rows), count(repaired.tombstones));
        writeln!(text, "{name}: repaired: {rows} rows written again, {tombstones} marked deleted").ok();
        if let Some(refused) = &repaired.refused {
            writeln!(text, "{name}: not repaired: {refused}").ok();
        } else if !found.is_equal(false) {
            writeln!(
                text,
                "{name}: what still differs was changed again meanwhile, or is stored as newer than anything that Postgres has written: \
                 repair it once more, else `pipectl resync {name}` copies it again"
            )
            .ok();
        }
    }
    for (column, why) in &found.not_compared {
        writeln!(text, "{name}: column \"{column}\" was not compared: {why}").ok();
    }
    for (column, values) in &found.policy_nulls {
        let values = count(*values);
        writeln!(
            text,
            "{name}: column \"{column}\": values that ClickHouse cannot hold, NULL or empty there: {values}"
        )
        .ok();
    }
    for row in &found.differences {
        row_lines(text, name, row);
    }
    let more = (found.missing + found.extra + found.different).saturating_sub(found.differences.len() as u64);
    if more > 0 {
        writeln!(text, "{name}: rows that are not named here: {}; --limit names more", count(more)).ok();
    }
    if found.unsettled > 0 {
        let rows = count(found.unsettled);
        writeln!(text, "{name}: rows that changed whenever they were looked at: {rows}; try again").ok();
    }
}

fn row_lines(text: &mut String, name: &str, row: &RowReport) {
    let key: Vec<String> =
        row.key.iter().map(|(column, value)| format!("{column}={}", value.as_deref().unwrap_or("NULL"))).collect();
    let fault = match row.fault {
        Fault::Missing => "missing in ClickHouse",
        Fault::Extra => "only in ClickHouse",
        Fault::Different => "different",
    };
    let columns: Vec<&str> = row.columns.iter().map(|column| column.name.as_str()).collect();
    let behind = if columns.is_empty() { String::new() } else { format!(": {}", columns.join(", ")) };
    writeln!(text, "{name}: {}: {fault}{behind}", key.join(", ")).ok();
    for column in &row.columns {
        if let Some(values) = &column.values {
            let shown = |value: &Option<String>| value.as_ref().map_or("NULL".to_owned(), |value| format!("{value:?}"));
            writeln!(text, "    {}", column.name).ok();
            writeln!(text, "        Postgres   {}", shown(&values.source)).ok();
            writeln!(text, "        ClickHouse {}", shown(&values.target)).ok();
        }
    }
}

fn verdict(text: &mut String, report: &Report) {
    let rows: u64 = report.tables.iter().map(|table| table.rows).sum();
    let tables = match report.tables.len() {
        1 => "1 table".to_owned(),
        number => format!("{number} tables"),
    };
    let part = match report.sample {
        Some(sample) => format!(", a sample of {} %", sample * 100.0),
        None => String::new(),
    };
    let verdict = if report.equal { "equal" } else { "NOT equal" };
    writeln!(text, "{verdict}: {tables}, {} rows{part}, at {}", count(rows), report.fence).ok();
    if let Some(behind) = report.behind_bytes {
        writeln!(text, "behind by {behind} bytes: no sync runs; let `pipectl sync --until-caught-up` run first").ok();
    }
}

fn count(number: u64) -> String {
    HumanCount(number).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use pipectl::verify::{ColumnReport, Values};

    #[test]
    fn a_row_says_its_key_and_columns_and_values_when_asked_for() {
        let values = Some(Values { source: Some("1\n".to_owned()), target: None });
        let row = RowReport {
            fault: Fault::Different,
            key: vec![("id".to_owned(), Some("7".to_owned())), ("region".to_owned(), Some("EU".to_owned()))],
            columns: vec![ColumnReport { name: "total".to_owned(), values }],
        };
        let mut text = String::new();
        row_lines(&mut text, "public.t", &row);
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        assert_eq!(lines[0], "public.t: id=7, region=EU: different: total");
        assert_eq!(lines[2..], ["Postgres   \"1\\n\"", "ClickHouse NULL"]);
    }

    #[test]
    fn the_verdict_says_how_far_behind() {
        let mut report = Report {
            version: 1,
            equal: false,
            sample: None,
            fence: "0/1".into(),
            behind_bytes: Some(9),
            tables: vec![],
        };
        let mut text = String::new();
        verdict(&mut text, &report);
        assert!(text.starts_with("NOT equal: 0 tables") && text.contains("behind by 9 bytes"), "{text}");
        report.sample = Some(0.01);
        text.clear();
        verdict(&mut text, &report);
        assert!(text.contains("a sample of 1 %"), "{text}");
    }
}
