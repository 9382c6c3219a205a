//! The tables that are there already.

use super::facts::Parts;
use crate::change::TableSchema;
use crate::config::Settings;
use crate::doctor::finding::{Finding, Place, Remedy, count, some_of};
use crate::error::Kind;
use crate::server::clickhouse::{StoredDatabase, StoredTable};
use crate::sink::clickhouse::{SOURCE_DELETED_COLUMN, TablePlan, TableShape};
use crate::tables::{Action, Facts, Step, plan};

/// The share of parts_to_throw_insert from which on there is something to do, …
const MANY_PARTS: f64 = 0.5;
/// … and from which on inserts are about to be refused.
const TOO_MANY_PARTS: f64 = 0.9;

/// How many parts the fullest partitions have.
pub(super) fn parts(found: &[Parts]) -> Finding {
    let share = |one: &Parts| one.most / one.refused_from.max(1.0);
    let full: Vec<&Parts> = found.iter().filter(|one| share(one) >= MANY_PARTS).collect();
    if full.is_empty() {
        let most = found.iter().map(|one| one.most).fold(0.0, f64::max);
        return Finding::pass(format!("at most {most} in a partition of {}", count(found.len(), "table")));
    }
    let texts: Vec<String> =
        full.iter().map(|one| format!("{} ({} of {})", one.name, one.most, one.refused_from)).collect();
    let seen = format!("close to parts_to_throw_insert: {}", some_of(&texts));
    let names = full.iter().map(|one| one.name.clone()).collect();
    let remedy =
        Remedy::advice("see system.merges and system.mutations for what holds merges up; larger batches: `sync.batch`");
    let refused = full.iter().any(|one| share(one) >= TOO_MANY_PARTS);
    if refused { Finding::fail(seen) } else { Finding::warn(seen) }.about(names).mend(remedy)
}

/// What `create-tables` would say of the tables that are there already; those that are not are left to it and to `sync`.
pub(super) fn differences(settings: &Settings, facts: &Facts, source: Option<&Vec<TableSchema>>) -> Finding {
    if source.is_none() && settings.tables.iter().all(|rule| rule.written_out.is_none()) {
        return Finding::not_run("which tables there are to be was not seen in Postgres");
    }
    let planned = plan(settings, &Facts { source: source.cloned(), ..facts.clone() });
    // A refusal of another kind lies in the configuration, and is told with the types.
    let refused: Vec<_> = planned.refusals.iter().filter(|refusal| refusal.error.kind() == Kind::Destination).collect();
    if !refused.is_empty() {
        let reasons: Vec<String> = refused.iter().map(|refusal| refusal.reason()).collect();
        let hint = refused.iter().find_map(|refusal| refusal.error.hint_text());
        return Finding::fail(some_of(&reasons))
            .about(refused.iter().map(|refusal| refusal.table.clone()).collect())
            .mend(Remedy::advice(hint.unwrap_or("`pipectl create-tables --dry-run` shows what it should be")));
    }
    let to_make = planned.steps.iter().filter(|step| step.action == Action::CreateTable).count();
    let altered: Vec<&Step> = planned
        .steps
        .iter()
        .filter(|step| {
            matches!(
                step.action,
                Action::AddColumn(_) | Action::WidenColumn(_) | Action::DescribeColumn(_) | Action::CreateView
            )
        })
        .collect();
    let there = format!("{} as configured", count(planned.tables.len().saturating_sub(to_make), "table"));
    let seen = if to_make == 0 { there } else { format!("{there}, {to_make} to be made by `sync`") };
    if altered.is_empty() {
        return Finding::pass(seen);
    }
    let names: Vec<String> = altered.iter().map(|step| step.target.clone()).collect();
    let statements = altered.iter().flat_map(|step| step.statements.iter().cloned()).collect();
    Finding::warn(format!("to be altered: {}", some_of(&names))).about(names).mend(
        Remedy::shown(Place::ClickHouse, statements).note("`pipectl create-tables` runs these, and so does `sync`"),
    )
}

/// Whether each table that is there has what makes a replay harmless: the version and the mark of deleted rows, known to its engine.
pub(super) fn version_columns(plans: &[TablePlan], stored: &StoredDatabase) -> Finding {
    let mut there = 0;
    let mut wrong = Vec::new();
    for shape in plans.iter().map(TablePlan::shape) {
        let Some(table) = stored.tables.get(&shape.name) else { continue };
        there += 1;
        if !is_versioned(&shape, table) {
            wrong.push(shape.name);
        }
    }
    if wrong.is_empty() {
        return Finding::pass(count(there, "table"));
    }
    Finding::fail(format!("missing, of another type or unknown to the engine: {}", some_of(&wrong))).about(wrong).mend(
        Remedy::advice("rename or drop these tables, or give pipectl's another name (`target`): `sync` makes them"),
    )
}

fn is_versioned(shape: &TableShape, table: &StoredTable) -> bool {
    let has =
        |name: &str, column_type: &str| table.column(name).is_some_and(|column| column.column_type == column_type);
    let told = |name: &String| table.engine_arguments.contains(name);
    // The time of a deletion is added to a table that is there already.
    let mut own = shape.added.iter().filter(|column| column.name != SOURCE_DELETED_COLUMN);
    own.all(|column| has(&column.name, &column.column_type)) && shape.engine_columns.iter().all(told)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Outcome;
    use crate::server::clickhouse::StoredColumn;
    use crate::sink::clickhouse::ColumnShape;

    #[test]
    fn parts_are_judged_by_their_share() {
        let one = |most: f64| vec![Parts { name: "t".to_owned(), most, refused_from: 300.0 }];
        assert_eq!(parts(&one(10.0)).outcome, Outcome::Pass);
        assert_eq!(parts(&one(200.0)).outcome, Outcome::Warn);
        assert_eq!(parts(&one(290.0)).outcome, Outcome::Fail);
    }

    #[test]
    fn a_table_must_have_both_columns_and_tell_its_engine() {
        let column = |name: &str, column_type: &str| StoredColumn {
            name: name.to_owned(),
            column_type: column_type.to_owned(),
            ..StoredColumn::default()
        };
        let shape_column = |name: &str, column_type: &str| ColumnShape {
            name: name.to_owned(),
            column_type: column_type.to_owned(),
            comment: None,
        };
        let shape = TableShape {
            name: "t".to_owned(),
            columns: Vec::new(),
            added: vec![shape_column("_version", "UInt128"), shape_column("_deleted", "UInt8")],
            engine_columns: vec!["_version".to_owned(), "_deleted".to_owned()],
            sorting_key: vec!["id".to_owned()],
            partition_by: None,
            current_view: false,
            counted_in: None,
        };
        let good = StoredTable {
            engine: "ReplacingMergeTree".to_owned(),
            engine_arguments: vec!["_version".to_owned(), "_deleted".to_owned()],
            columns: vec![column("_version", "UInt128"), column("_deleted", "UInt8")],
            ..StoredTable::default()
        };
        assert!(is_versioned(&shape, &good));
        let untold = StoredTable { engine_arguments: vec!["_version".to_owned()], ..good.clone() };
        assert!(!is_versioned(&shape, &untold));
        let narrow = StoredTable { columns: vec![column("_version", "UInt64"), column("_deleted", "UInt8")], ..good };
        assert!(!is_versioned(&shape, &narrow));
    }
}
