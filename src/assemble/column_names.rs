//! Columns that were renamed at the source: known by their numbers, they are renamed at the destination, too, where that is certain to be right.
//!
//! It is where every name that the table's columns ever had stands for one column alone: then what the stream still has of the time before is told by its
//! names, whatever it says of them and how often it is sent again. Everything else is answered by a copy.

use crate::change::TableSchema;
use crate::checkpoint::TableRecord;
use crate::config::Settings;
use crate::decode::pgoutput::Relation;
use crate::error::Result;
use crate::failpoint;
use crate::server::clickhouse::{self, Server, StoredTable};
use crate::sink::clickhouse::{TablePlan, ddl, plan_table};
use crate::sync::Progress;

/// A column's number, the name it had, and the one it has.
type Renamed = (i16, String, String);

/// Renames a table's columns at the destination. The table's record with their new names; nothing where it has to be copied.
///
/// Can be called again after an attempt that was interrupted: what the destination has tells what is done.
///
/// # Errors
/// What ClickHouse answers, where another attempt can help.
pub(super) async fn rename(
    server: &Server,
    settings: &Settings,
    (record, schema): (&TableRecord, &TableSchema),
    progress: &Progress,
) -> Result<Option<TableRecord>> {
    let Some(rule) = settings.rule_for(&schema.name) else { return Ok(None) };
    let Ok(plan) = plan_table(schema, rule, &settings.clickhouse) else { return Ok(None) };
    let stored = clickhouse::table(server, &settings.clickhouse.database, &record.target).await?;
    let Some(stored) = stored.tables.get(&record.target) else { return Ok(None) };
    let Some(renamed) = in_place(record, &plan, stored) else { return Ok(None) };
    let mut record = record.clone();
    for (number, before, now) in renamed {
        if stored.column(&before).is_some() {
            let statement = ddl::rename_column(&record.target, &before, &now, &settings.clickhouse);
            match server.execute(&statement, &[]).await {
                Ok(()) => progress.note(format!("renamed column {before} of {} to {now}", record.target)),
                Err(error) if error.kind().policy().retry => return Err(error),
                // Something at the destination rests on the name.
                Err(error) => {
                    progress.note(format!("warning: {}", error.with_causes()));
                    return Ok(None);
                }
            }
        }
        record.former.remove(&now);
        record.former.insert(before, number);
        record.columns.insert(number, now);
    }
    failpoint::die("columns.renamed");
    Ok(Some(record))
}

/// What is to be renamed, where that is all that is other in the names, and can be done.
fn in_place(record: &TableRecord, plan: &TablePlan, stored: &StoredTable) -> Option<Vec<Renamed>> {
    let is_of_another = |name: &String, number: i16| {
        record.columns.iter().any(|(other, known)| known == name && *other != number)
            || record.former.get(name).is_some_and(|other| *other != number)
    };
    if record.missed(&plan.schema) {
        return None;
    }
    let mut renamed = Vec::new();
    for column in &plan.schema.columns {
        if is_of_another(&column.name, column.number) {
            return None;
        }
        if let Some(before) = record.columns.get(&column.number).filter(|before| **before != column.name) {
            renamed.push((column.number, before.clone(), column.name.clone()));
        }
    }
    let partitioned = plan.shape().partition_by.unwrap_or_default() + &stored.partition_key;
    let can_be = |(_, before, now): &Renamed| {
        let of_both = [before, now].map(|name| stored.column(name));
        let ([Some(found), None] | [None, Some(found)]) = of_both else { return false };
        plan.column(now).is_some()
            && !plan.sorts(now)
            && !stored.sorting_key.contains(before)
            && !partitioned.contains(before.as_str())
            && !partitioned.contains(now.as_str())
            && found.default_kind.is_empty()
            // What stands in the place of its values goes by its name.
            && !found.comment.starts_with("pipectl: ")
    };
    (plan.log.is_none() && !renamed.is_empty() && renamed.iter().all(can_be)).then_some(renamed)
}

/// A table of the stream under the names that its columns have by now.
pub(super) fn present(record: Option<&TableRecord>, relation: &Relation) -> Relation {
    let mut relation = relation.clone();
    let Some(record) = record else { return relation };
    for column in &mut relation.columns {
        let now = record.former.get(&column.name).and_then(|number| record.columns.get(number));
        if let Some(now) = now {
            column.name.clone_from(now);
        }
    }
    relation
}

/// Whether a table of the stream, under its present names, has a column by a name that was never seen: between two that were, where it was renamed twice.
pub(super) fn has_unknown(record: Option<&TableRecord>, relation: &Relation) -> bool {
    record.is_some_and(|record| {
        let is_known = |name: &String| record.columns.values().any(|known| known == name);
        !record.former.is_empty() && !relation.columns.iter().all(|column| is_known(&column.name))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::pgoutput::RelationColumn;

    fn record() -> TableRecord {
        TableRecord {
            columns: [(1, "id".to_owned()), (2, "now".to_owned())].into(),
            former: [("before".to_owned(), 2)].into(),
            ..TableRecord::default()
        }
    }

    fn relation(names: &[&str]) -> Relation {
        let column = |name: &&str| RelationColumn { name: (*name).to_owned(), type_oid: 25, type_modifier: -1 };
        Relation { id: 7, schema: "public".into(), name: "t".into(), columns: names.iter().map(column).collect() }
    }

    #[test]
    fn an_older_name_is_the_column_that_it_was() {
        let record = record();
        for names in [["id", "before"], ["id", "now"]] {
            let now = present(Some(&record), &relation(&names));
            assert_eq!(now, relation(&["id", "now"]));
            assert!(!has_unknown(Some(&record), &now));
        }
        assert!(has_unknown(Some(&record), &present(Some(&record), &relation(&["id", "between"]))));
        assert!(!has_unknown(Some(&TableRecord::default()), &relation(&["any"])));
    }
}
