//! The publication: whether it is there, what it sends, and what it does to the application.

use super::facts::{Facts, Publication, Table};
use super::inserts;
use super::tables::names;
use crate::config::TableRule;
use crate::doctor::finding::{Finding, Place, Remedy, count, some_of};
use crate::doctor::report::Findings;
use crate::server::postgres::{quote_ident, quote_table};

pub(super) fn check(facts: &Facts<'_>, findings: &mut Findings) {
    findings.put("postgres.publication_privileges", privileges(facts));
    findings.put("postgres.publication_inserts", inserts::check(facts));
    let Some(publication) = &facts.publication else {
        findings.put("postgres.publication", missing(facts));
        let nothing = || Finding::not_run("there is no publication yet");
        for id in [
            "postgres.publication_tables",
            "postgres.keyless_published",
            "postgres.publication_publish",
            "postgres.publication_via_root",
            "postgres.publication_narrowed",
        ] {
            findings.put(id, nothing());
        }
        return;
    };
    let seen = format!("{}, owned by {}", facts.postgres.publication, publication.owner);
    findings.put("postgres.publication", Finding::pass(seen));
    findings.put("postgres.publication_tables", tables(facts, publication));
    findings.put("postgres.keyless_published", keyless(facts, publication));
    findings.put("postgres.publication_publish", publish(facts, publication));
    findings.put("postgres.publication_via_root", via_root(facts, publication));
    findings.put("postgres.publication_narrowed", narrowed(facts));
}

/// The tables that belong in the publication: an unlogged one is refused by Postgres, one without a key would break the application.
fn publishable<'f>(facts: &'f Facts<'_>) -> impl Iterator<Item = (&'f Table, &'f TableRule)> {
    facts
        .chosen()
        .filter(|(table, _)| !table.unlogged && table.identifies_rows())
        .filter(|(table, rule)| table.has_key || table.identity_has_key || table.is_followed(rule))
}

/// Tables as a publication's statement names them, with their row filters.
pub(super) fn list<'t>(facts: &Facts<'_>, tables: impl Iterator<Item = (&'t Table, &'t TableRule)>) -> String {
    let one = |(table, rule): (&Table, &TableRule)| {
        let name = quote_table(&table.table_name());
        match &rule.row_filter {
            Some(filter) if facts.server.version_number >= 150_000 => format!("{name} WHERE ({filter})"),
            _ => name,
        }
    };
    tables.map(one).collect::<Vec<_>>().join(", ")
}

pub(super) fn may_alter(facts: &Facts<'_>, publication: &Publication) -> bool {
    facts.server.superuser || publication.owned
}

/// An ALTER PUBLICATION, for `--fix` where the role may.
fn alter(facts: &Facts<'_>, publication: &Publication, what: &str) -> Remedy {
    let statement = format!("ALTER PUBLICATION {} {what}", quote_ident(&facts.postgres.publication));
    let may = may_alter(facts, publication);
    let remedy = Remedy::automatic(Place::Postgres, vec![statement]).automatic_if(may);
    if may { remedy } else { remedy.note("as the owner of publication and tables, or a superuser") }
}

fn create(facts: &Facts<'_>) -> Option<String> {
    let tables = list(facts, publishable(facts));
    (!tables.is_empty()).then(|| {
        format!(
            "CREATE PUBLICATION {} FOR TABLE {tables} \
             WITH (publish = 'insert, update, delete, truncate', publish_via_partition_root = true)",
            quote_ident(&facts.postgres.publication)
        )
    })
}

fn missing(facts: &Facts<'_>) -> Finding {
    let name = &facts.postgres.publication;
    let Some(statement) = create(facts) else {
        return Finding::warn(format!("\"{name}\" is not there, and no table could be put into it"));
    };
    to_be_made(facts, name, statement, lacks_ownership(facts).is_empty())
}

/// The finding on a publication that is not there; `owned` tells whether its tables are the role's.
pub(super) fn to_be_made(facts: &Facts<'_>, name: &str, statement: String, owned: bool) -> Finding {
    let seen = format!("\"{name}\" is not there");
    let remedy = Remedy::automatic(Place::Postgres, vec![statement]);
    if facts.slot().is_some() {
        // What was written before the publication was made cannot be decoded with it.
        return Finding::fail(format!("{seen}, but slot \"{}\" is", facts.postgres.slot)).mend(
            remedy
                .automatic_if(false)
                .note("a slot older than its publication cannot be read: drop the slot too and copy the tables again"),
        );
    }
    if owned && (facts.server.may_create || facts.server.superuser) {
        return Finding::warn(format!("{seen}; `sync` makes it")).mend(remedy);
    }
    Finding::fail(format!("{seen}, and the role may not make it"))
        .mend(remedy.automatic_if(false).note("as the owner of the tables or a superuser"))
}

/// The finding on tables that a publication lacks: `sync` adds them only to one of its own.
pub(super) fn to_be_added(facts: &Facts<'_>, may: bool, missing: &[(&Table, &TableRule)], name: &str) -> Finding {
    let names = names(missing.iter().map(|(table, _)| *table));
    let statement =
        format!("ALTER PUBLICATION {} ADD TABLE {}", quote_ident(name), list(facts, missing.iter().copied()));
    let may = facts.server.superuser || (may && missing.iter().all(|(table, _)| table.owned));
    let remedy = Remedy::automatic(Place::Postgres, vec![statement]).automatic_if(may);
    let seen = format!("not in it: {}", some_of(&names));
    let finding = if may && facts.owns_publication {
        Finding::warn(format!("{seen}; `sync` adds them"))
    } else {
        Finding::fail(format!("{seen}; `sync` does not alter a publication that it did not make"))
    };
    let remedy = if may { remedy } else { remedy.note("as the owner of publication and tables, or a superuser") };
    finding.about(names).mend(remedy)
}

/// Tables that belong in the publication and are not the role's.
fn lacks_ownership<'f>(facts: &'f Facts<'_>) -> Vec<&'f Table> {
    if facts.server.superuser {
        return Vec::new();
    }
    publishable(facts).map(|(table, _)| table).filter(|table| !table.owned).collect()
}

fn privileges(facts: &Facts<'_>) -> Finding {
    let all_in = publishable(facts).all(|(table, _)| table.published);
    match &facts.publication {
        Some(_) if all_in => return Finding::pass("not needed: the publication is complete"),
        Some(publication) if !may_alter(facts, publication) => {
            return Finding::fail(format!("the publication belongs to {}", publication.owner))
                .mend(Remedy::advice("have its owner run what postgres.publication_tables shows"));
        }
        None if !facts.server.may_create && !facts.server.superuser => {
            let statement = format!(
                "GRANT CREATE ON DATABASE {} TO {}",
                quote_ident(&facts.server.database),
                quote_ident(&facts.server.role)
            );
            return Finding::fail(format!("no CREATE on database \"{}\"", facts.server.database)).mend(
                Remedy::shown(Place::Postgres, vec![statement])
                    .note("as the owner of the database; or have somebody make the publication"),
            );
        }
        _ => {}
    }
    let foreign = lacks_ownership(facts);
    if foreign.is_empty() {
        return Finding::pass(if facts.server.superuser {
            "superuser"
        } else {
            "CREATE on the database, owner of the tables"
        });
    }
    let mut owners: Vec<String> = foreign.iter().map(|table| table.owner.clone()).collect();
    owners.sort();
    owners.dedup();
    let names = names(foreign);
    Finding::fail(format!("owned by {}: {}", owners.join(", "), some_of(&names)))
        .about(names)
        .mend(Remedy::advice("have the owner or a superuser run what postgres.publication shows"))
}

fn tables(facts: &Facts<'_>, publication: &Publication) -> Finding {
    let published = facts.tables.iter().filter(|table| table.published && !table.partition).count();
    let missing: Vec<(&Table, &TableRule)> = publishable(facts).filter(|(table, _)| !table.published).collect();
    if !missing.is_empty() {
        return to_be_added(facts, may_alter(facts, publication), &missing, &facts.postgres.publication);
    }
    if publication.all_tables {
        return Finding::pass("all tables of the database");
    }
    let chosen: Vec<String> = names(facts.chosen().map(|(table, _)| table));
    let extra: Vec<String> = names(facts.tables.iter().filter(|table| table.published && !table.partition))
        .into_iter()
        .filter(|name| !chosen.contains(name))
        .collect();
    if extra.is_empty() {
        return Finding::pass(count(published, "table"));
    }
    Finding::warn(format!("{}; sent for nothing: {}", count(published, "table"), some_of(&extra)))
        .about(extra)
        .mend(Remedy::advice("take them out with ALTER PUBLICATION … DROP TABLE if nobody else reads this publication"))
}

/// Published tables of which Postgres refuses UPDATE and DELETE, the application's own: partitions and tables of others too.
fn keyless(facts: &Facts<'_>, publication: &Publication) -> Finding {
    let broken: Vec<&Table> =
        facts.tables.iter().filter(|table| table.published && !table.partitioned && !table.identifies_rows()).collect();
    if broken.is_empty() {
        return Finding::pass("none");
    }
    if !publication.updates && !publication.deletes {
        return Finding::pass("their inserts alone are published");
    }
    let name = quote_ident(&facts.postgres.publication);
    let statements = broken
        .iter()
        .map(|table| {
            let table_name = quote_table(&table.table_name());
            if table.has_key {
                format!("ALTER TABLE {table_name} REPLICA IDENTITY DEFAULT")
            } else if publication.all_tables || table.partition {
                format!("ALTER TABLE {table_name} REPLICA IDENTITY FULL")
            } else {
                format!("ALTER PUBLICATION {name} DROP TABLE {table_name}")
            }
        })
        .collect();
    let names = names(broken);
    Finding::fail(format!("UPDATE and DELETE fail in the application: {}", some_of(&names))).about(names).mend(
        Remedy::shown(Place::Postgres, statements)
            .note("or give the table a primary key, or ALTER TABLE … REPLICA IDENTITY FULL, which logs whole old rows"),
    )
}

fn publish(facts: &Facts<'_>, publication: &Publication) -> Finding {
    let kinds = [
        ("insert", publication.inserts),
        ("update", publication.updates),
        ("delete", publication.deletes),
        ("truncate", publication.truncates),
    ];
    let lacking: Vec<&str> = kinds.iter().filter(|(_, on)| !on).map(|(kind, _)| *kind).collect();
    if lacking.is_empty() {
        return Finding::pass("insert, update, delete, truncate");
    }
    Finding::fail(format!("without {}", lacking.join(", "))).mend(alter(
        facts,
        publication,
        "SET (publish = 'insert, update, delete, truncate')",
    ))
}

fn via_root(facts: &Facts<'_>, publication: &Publication) -> Finding {
    if publication.via_root {
        return Finding::pass("true");
    }
    let partitioned = names(facts.chosen().map(|(table, _)| table).filter(|table| table.partitioned));
    let remedy = alter(facts, publication, "SET (publish_via_partition_root = true)");
    if partitioned.is_empty() {
        return Finding::warn("false; no table is partitioned now").mend(remedy);
    }
    Finding::fail(format!("false, and partitioned: {}", some_of(&partitioned))).about(partitioned).mend(remedy)
}

fn narrowed(facts: &Facts<'_>) -> Finding {
    let mut filtered = Vec::new();
    let mut listed = Vec::new();
    for part in &facts.narrowed {
        let name = crate::change::TableName::new(&part.schema, &part.name);
        let rule = facts.configuration.rule_for(&name);
        if part.filtered && rule.is_some_and(|rule| rule.row_filter.is_none()) {
            filtered.push(name.to_string());
        }
        if part.columns_listed && rule.is_some_and(|rule| !rule.columns.values().any(|column| column.exclude)) {
            listed.push(name.to_string());
        }
    }
    let advice = || {
        Remedy::advice(
            "take the table out of the publication and add it again without WHERE and without a list of columns, or say the same in the configuration",
        )
    };
    if !filtered.is_empty() {
        return Finding::fail(format!("changes of some rows are not sent: {}", some_of(&filtered)))
            .about(filtered)
            .mend(advice());
    }
    if !listed.is_empty() {
        return Finding::fail(format!("some columns are not sent: {}", some_of(&listed))).about(listed).mend(advice());
    }
    Finding::pass(if facts.narrowed.is_empty() { "none" } else { "as configured" })
}
