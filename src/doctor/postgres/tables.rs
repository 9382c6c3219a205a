//! The tables of the configuration: whether each can be read, copied and followed.

use super::facts::{Facts, Table};
use crate::config::{Keyless, TableRule};
use crate::doctor::finding::{Finding, Place, Remedy, count, some_of};
use crate::doctor::report::Findings;
use crate::server::postgres::{quote_ident, quote_table};

pub(super) fn check(facts: &Facts<'_>, findings: &mut Findings) {
    findings.put("postgres.tables", matched(facts));
    findings.put("postgres.select", select(facts));
    findings.put("postgres.row_security", row_security(facts));
    findings.put("postgres.keyless", keyless(facts));
    findings.put("postgres.replica_identity", replica_identity(facts));
    findings.put("postgres.toast", toast(facts));
    findings.put("postgres.unlogged", unlogged(facts));
    findings.put("postgres.generated_columns", generated(facts));
}

/// Names of tables, for messages.
pub(super) fn names<'t>(tables: impl IntoIterator<Item = &'t Table>) -> Vec<String> {
    tables.into_iter().map(|table| table.table_name().to_string()).collect()
}

fn matched(facts: &Facts<'_>) -> Finding {
    let chosen = facts.chosen().count();
    let idle: Vec<&TableRule> = facts
        .configuration
        .tables
        .iter()
        .filter(|rule| rule.written_out.is_none())
        .filter(|rule| !facts.chosen().any(|(_, used)| std::ptr::eq(used, *rule)))
        .collect();
    let sources: Vec<String> = idle.iter().map(|rule| rule.source.clone()).collect();
    let advice = || Remedy::advice("check the spelling, the schema and the database; names are case-sensitive");
    if idle.iter().any(|rule| !rule.is_pattern()) {
        return Finding::fail(format!("not in the database: {}", some_of(&sources))).about(sources).mend(advice());
    }
    if chosen == 0 && !idle.is_empty() {
        return Finding::fail(format!("no table matches {}", some_of(&sources))).about(sources).mend(advice());
    }
    if idle.is_empty() {
        Finding::pass(count(chosen, "table"))
    } else {
        Finding::warn(format!("{}; no table matches {}", count(chosen, "table"), some_of(&sources))).about(sources)
    }
}

/// The tables whose rows are copied: those without a key are left out unless their inserts are asked for.
fn copied<'f>(facts: &'f Facts<'_>) -> impl Iterator<Item = &'f Table> {
    facts
        .leaves()
        .filter(|(table, rule)| {
            table.has_key || table.identity_has_key || table.is_followed(rule) || rule.keyless == Keyless::InsertOnly
        })
        .map(|(table, _)| table)
}

fn select(facts: &Facts<'_>) -> Finding {
    let closed: Vec<&Table> = copied(facts).filter(|table| !table.readable).collect();
    if closed.is_empty() {
        return Finding::pass("all of them");
    }
    let role = quote_ident(&facts.server.role);
    let mut statements: Vec<String> = closed
        .iter()
        .filter(|table| !table.schema_usable)
        .map(|table| format!("GRANT USAGE ON SCHEMA {} TO {role}", quote_ident(&table.schema)))
        .collect();
    statements.dedup();
    statements
        .extend(closed.iter().map(|table| format!("GRANT SELECT ON {} TO {role}", quote_table(&table.table_name()))));
    let names = names(closed);
    Finding::fail(format!("not: {}", some_of(&names)))
        .about(names)
        .mend(Remedy::shown(Place::Postgres, statements).note("as the owner of the tables or a superuser"))
}

fn row_security(facts: &Facts<'_>) -> Finding {
    let bound: Vec<&Table> = copied(facts).filter(|table| table.row_security).collect();
    if bound.is_empty() {
        return Finding::pass("none binds the role");
    }
    let names = names(bound);
    let statement = format!("ALTER ROLE {} BYPASSRLS", quote_ident(&facts.server.role));
    Finding::fail(format!("binds the role on {}", some_of(&names)))
        .about(names)
        .mend(Remedy::shown(Place::Postgres, vec![statement]).note("as a superuser"))
}

/// Tables without a key that are not published: left out, or their inserts alone.
fn keyless(facts: &Facts<'_>) -> Finding {
    let without: Vec<(&Table, &TableRule)> =
        facts.chosen().filter(|(table, _)| !table.identity_has_key && !table.has_key).collect();
    let refused: Vec<&Table> = without
        .iter()
        .filter(|(table, rule)| rule.keyless != Keyless::InsertOnly && !table.is_followed(rule))
        .map(|(table, _)| *table)
        .collect();
    if without.is_empty() {
        return Finding::pass("every table has a key");
    }
    if refused.is_empty() {
        return Finding::pass(format!(
            "{}: followed by whole rows, or their inserts alone",
            some_of(&names(tables_of(&without)))
        ));
    }
    let deferrable = refused.iter().any(|table| table.deferrable_key);
    let names = names(refused);
    let note = if deferrable {
        "a DEFERRABLE primary key is no key to replication: make it NOT DEFERRABLE; or set `keyless: insert_only` (`multiset` under REPLICA IDENTITY FULL), or exclude the table"
    } else {
        "give them a primary key; or set `keyless: insert_only` (`multiset` under REPLICA IDENTITY FULL), or exclude them"
    };
    Finding::warn(format!("left out: {}", some_of(&names))).about(names).mend(Remedy::advice(note))
}

fn tables_of<'t>(pairs: &[(&'t Table, &TableRule)]) -> Vec<&'t Table> {
    pairs.iter().map(|(table, _)| *table).collect()
}

/// Tables that have a key which their replica identity does not use, and sorting keys that need the whole old row.
fn replica_identity(facts: &Facts<'_>) -> Finding {
    let mut names = Vec::new();
    let mut statements = Vec::new();
    for (table, _) in facts.leaves().filter(|(table, _)| table.has_key && !table.identifies_rows()) {
        names.push(table.table_name().to_string());
        statements.push(format!("ALTER TABLE {} REPLICA IDENTITY DEFAULT", quote_table(&table.table_name())));
    }
    for (table, _) in facts.leaves().filter(|(table, rule)| sorts_beyond_key(table, rule) && table.identity != "full") {
        names.push(table.table_name().to_string());
        statements.push(format!("ALTER TABLE {} REPLICA IDENTITY FULL", quote_table(&table.table_name())));
    }
    if statements.is_empty() {
        let full = facts.chosen().filter(|(table, _)| table.identity == "full").count();
        return Finding::pass(if full == 0 {
            "the key".to_owned()
        } else {
            format!("the key; {} FULL", count(full, "table"))
        });
    }
    Finding::fail(format!("does not give what is needed: {}", some_of(&names)))
        .about(names)
        .mend(Remedy::shown(Place::Postgres, statements).note("as the owner; it briefly locks the table"))
}

fn sorts_beyond_key(table: &Table, rule: &TableRule) -> bool {
    rule.order_by.as_ref().is_some_and(|columns| {
        !table.key_columns.is_empty() && columns.iter().any(|column| !table.key_columns.contains(column))
    })
}

fn toast(facts: &Facts<'_>) -> Finding {
    let exposed: Vec<&Table> = facts
        .chosen()
        .map(|(table, _)| table)
        .filter(|table| !table.long_columns.is_empty() && table.identity != "full")
        .collect();
    if exposed.is_empty() {
        return Finding::pass("no table has such columns");
    }
    let blind: Vec<&Table> = exposed.iter().copied().filter(|table| !table.readable).collect();
    if blind.is_empty() {
        let seen =
            format!("{} can have them; values that an UPDATE leaves out are read again", count(exposed.len(), "table"));
        return Finding::pass(seen).about(names(exposed));
    }
    let names = names(blind);
    Finding::warn(format!("cannot be read again: {}", some_of(&names)))
        .about(names)
        .mend(Remedy::advice("see postgres.select"))
}

fn unlogged(facts: &Facts<'_>) -> Finding {
    let without_log: Vec<(&Table, &TableRule)> = facts.leaves().filter(|(table, _)| table.unlogged).collect();
    if without_log.is_empty() {
        return Finding::pass("none");
    }
    let statements = without_log
        .iter()
        .map(|(table, _)| format!("ALTER TABLE {} SET LOGGED", quote_table(&table.table_name())))
        .collect();
    let remedy =
        Remedy::shown(Place::Postgres, statements).note("it rewrites the table under a lock; or exclude the table");
    let names = names(tables_of(&without_log));
    let seen = format!("cannot be followed: {}", some_of(&names));
    let asked_for = without_log.iter().any(|(_, rule)| !rule.is_pattern());
    if asked_for { Finding::fail(seen) } else { Finding::warn(seen) }.about(names).mend(remedy)
}

fn generated(facts: &Facts<'_>) -> Finding {
    let missed: Vec<String> = facts
        .chosen()
        .flat_map(|(table, rule)| {
            table
                .generated_columns
                .iter()
                .filter(|column| !rule.columns.get(*column).is_some_and(|column| column.exclude))
                .map(|column| format!("{}.{column}", table.table_name()))
        })
        .collect();
    if missed.is_empty() {
        return Finding::pass("none");
    }
    Finding::warn(format!("left out: {}", some_of(&missed))).about(missed).mend(Remedy::advice(
        "compute them in ClickHouse (a view, or an ALIAS column), or exclude them to silence this",
    ))
}
