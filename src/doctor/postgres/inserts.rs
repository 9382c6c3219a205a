//! The publication of tables without a key, whose inserts alone are sent.

use super::facts::{Facts, Table};
use super::publication::{list, may_alter, to_be_added, to_be_made};
use crate::config::{Keyless, TableRule, inserts_publication};
use crate::doctor::finding::{Finding, Place, Remedy, count};
use crate::server::postgres::quote_ident;

/// Looks at it where a table needs it.
pub(super) fn check(facts: &Facts<'_>) -> Finding {
    let wanted: Vec<(&Table, &TableRule)> = facts
        .chosen()
        .filter(|(table, rule)| rule.keyless == Keyless::InsertOnly && !table.unlogged)
        .filter(|(table, _)| !table.has_key && !table.identity_has_key)
        .collect();
    if wanted.is_empty() {
        return Finding::pass("no table needs it");
    }
    let name = inserts_publication(&facts.postgres.publication);
    let quoted = quote_ident(&name);
    let Some(publication) = &facts.inserts else {
        let tables = list(facts, wanted.iter().copied());
        let statement = format!(
            "CREATE PUBLICATION {quoted} FOR TABLE {tables} WITH (publish = 'insert', publish_via_partition_root = true)"
        );
        let owned = facts.server.superuser || wanted.iter().all(|(table, _)| table.owned);
        return to_be_made(facts, &name, statement, owned);
    };
    if !publication.inserts || publication.updates || publication.deletes {
        let statement = format!("ALTER PUBLICATION {quoted} SET (publish = 'insert')");
        return Finding::fail(format!("\"{name}\" must send inserts, and inserts alone"))
            .mend(Remedy::automatic(Place::Postgres, vec![statement]).automatic_if(may_alter(facts, publication)));
    }
    let missing: Vec<(&Table, &TableRule)> =
        wanted.iter().copied().filter(|(table, _)| !table.published_inserts && !publication.all_tables).collect();
    if missing.is_empty() {
        return Finding::pass(format!("{name}, {}", count(wanted.len(), "table")));
    }
    to_be_added(facts, may_alter(facts, publication), &missing, &name)
}
