//! The publications: which tables' changes the source sends.
//!
//! They are made before the slot: a publication younger than the slot ends the stream for good. One that pipectl did not make is accepted as it is and
//! never altered.

use crate::checkpoint::State;
use crate::config::{Settings, inserts_publication};
use crate::error::{Error, Kind, Result};
use crate::server::postgres::{quote_ident, quote_table, server_error};
use crate::sink::clickhouse::TablePlan;
use crate::sync::Progress;
use std::collections::BTreeMap;
use tokio_postgres::Client;

const STATE: &str = include_str!("../../sql/postgres/publication_state.sql");
const PARTS: &str = include_str!("../../sql/postgres/publication_parts.sql");
/// The version of Postgres since which a publication may send a part of a table's rows or columns.
const KNOWS_PARTS: &str = "SELECT current_setting('server_version_num')::int >= 150000";

struct Existing {
    maker: Maker,
    all_tables: bool,
    via_root: bool,
    sends: bool,
    relations: Vec<u32>,
    tables: Vec<String>,
}

impl Existing {
    /// Whether it sends the table, whole or in part.
    fn has(&self, plan: &TablePlan) -> bool {
        let schema = &plan.schema;
        self.all_tables || self.relations.contains(&schema.relid) || self.tables.contains(&schema.name.to_string())
    }
}

/// Who made a publication, by what is noted in it.
#[derive(PartialEq, Eq)]
enum Maker {
    Pipectl,
    Unknown,
}

/// What is done about a publication.
struct Wanted<'a> {
    name: String,
    tables: Vec<&'a TablePlan>,
    inserts_only: bool,
}

/// What a pipeline's publications are made or altered under.
#[derive(Clone, Copy)]
pub(super) struct Terms<'a> {
    /// Whether pipectl made them, and so may alter them.
    pub(super) owned: bool,
    /// Whether the slot is still to be made: a publication that is younger than the slot ends the stream.
    pub(super) before_slot: bool,
    /// Who is told.
    pub(super) progress: &'a Progress,
}

/// Makes the publications that the tables need, or adds tables to them. Returns their names, and whether pipectl made the first. The one for tables
/// without a key is made with the other, empty, so that such a table can join later.
pub(super) async fn ensure(
    client: &Client,
    settings: &Settings,
    publication: &str,
    plans: &[TablePlan],
    terms: Terms<'_>,
) -> Result<(Vec<String>, bool)> {
    refuse_unknown_filters(client, settings, plans).await?;
    let (keyless, keyed): (Vec<_>, Vec<_>) = plans.iter().partition(|plan| plan.insert_only);
    let main = Wanted { name: publication.to_owned(), tables: keyed, inserts_only: false };
    let inserts = Wanted { name: inserts_publication(publication), tables: keyless, inserts_only: true };
    let mut names = Vec::new();
    let mut made = terms.owned;
    for wanted in [main, inserts] {
        let may_be_empty = wanted.inserts_only && !names.is_empty() && made && terms.before_slot;
        if wanted.tables.is_empty() && !may_be_empty {
            if read(client, &wanted).await?.is_some() {
                names.push(wanted.name);
            }
            continue;
        }
        made |= ensure_one(client, settings, &wanted, terms).await?;
        names.push(wanted.name);
    }
    Ok((names, made))
}

/// As [`ensure`], for a reader that follows one publication alone: all tables go into it.
pub(super) async fn ensure_single(
    client: &Client,
    settings: &Settings,
    publication: &str,
    plans: &[TablePlan],
    terms: Terms<'_>,
) -> Result<()> {
    refuse_unknown_filters(client, settings, plans).await?;
    let wanted = Wanted { name: publication.to_owned(), tables: plans.iter().collect(), inserts_only: false };
    ensure_one(client, settings, &wanted, terms).await.map(|_| ())
}

/// How such a publication is not what the tables need, a line each: what [`ensure_single`] would make, add or refuse. Tables that it has beyond them cost
/// log to be read, and nothing else.
pub(super) async fn lacking(
    client: &Client,
    settings: &Settings,
    publication: &str,
    plans: &[TablePlan],
) -> Result<Vec<String>> {
    let wanted = Wanted { name: publication.to_owned(), tables: plans.iter().collect(), inserts_only: false };
    let Some(existing) = read(client, &wanted).await? else { return Ok(vec!["it is missing".to_owned()]) };
    let mut lacking = Vec::new();
    if !existing.sends {
        lacking.push("it does not send every kind of change".to_owned());
    }
    if !existing.via_root && wanted.tables.iter().any(|plan| plan.schema.partitioned) {
        lacking.push("it sends partitions' changes under the partitions' own names".to_owned());
    }
    let missing = wanted.tables.iter().filter(|plan| !existing.has(plan));
    lacking.extend(missing.map(|plan| format!("it lacks {}", plan.schema.name)));
    let misfits = misfits(client, settings, &wanted, &existing).await?;
    lacking.extend(misfits.into_iter().map(|(table, what, _)| format!("it {what} of {table}")));
    Ok(lacking)
}

/// Refuses where the publication of tables that are streamed already is gone: one that is made now is younger than what the slot still has to send.
pub(super) async fn refuse_lost(client: &Client, publication: &str, plans: &[TablePlan], state: &State) -> Result<()> {
    let tables: Vec<&TablePlan> =
        plans.iter().filter(|plan| !plan.insert_only && state.tables.contains_key(&plan.schema.relid)).collect();
    let wanted = Wanted { name: publication.to_owned(), tables, inserts_only: false };
    if wanted.tables.is_empty() || read(client, &wanted).await?.is_some() {
        return Ok(());
    }
    Err(Error::new(
        Kind::SourceGap,
        format!("publication \"{publication}\" is gone, and with it the changes since the last sync"),
    )
    .hint("`pipectl resync --all` makes it and the slot anew and copies everything again"))
}

async fn ensure_one(client: &Client, settings: &Settings, wanted: &Wanted<'_>, terms: Terms<'_>) -> Result<bool> {
    let progress = terms.progress;
    let Some(existing) = read(client, wanted).await? else {
        if !terms.before_slot {
            return Err(Error::new(
                Kind::SourceGap,
                format!("publication \"{}\" is missing, and one made now is younger than the slot", wanted.name),
            )
            .hint("`pipectl resync --all` makes it and the slot anew and copies everything again"));
        }
        let statement = create_statement(settings, wanted);
        run(client, &statement, &format!("could not create publication \"{}\"", wanted.name)).await?;
        note_ours(client, &wanted.name).await?;
        progress.note(format!("created publication \"{}\" of {} tables", wanted.name, wanted.tables.len()));
        return Ok(true);
    };
    if !existing.sends {
        return Err(Error::new(
            Kind::Source,
            format!("publication \"{}\" does not send every kind of change", wanted.name),
        )
        .hint(format!(
            "run in Postgres: ALTER PUBLICATION {} SET (publish = 'insert, update, delete, truncate')",
            quote_ident(&wanted.name)
        )));
    }
    if !existing.via_root && wanted.tables.iter().any(|plan| plan.schema.partitioned) {
        return Err(Error::new(
            Kind::Source,
            format!("publication \"{}\" sends partitions' changes under the partitions' own names", wanted.name),
        )
        .hint(format!(
            "run in Postgres: ALTER PUBLICATION {} SET (publish_via_partition_root = true)",
            quote_ident(&wanted.name)
        )));
    }
    refuse_parts(client, settings, wanted, &existing).await?;
    let missing: Vec<&TablePlan> = wanted.tables.iter().copied().filter(|plan| !existing.has(plan)).collect();
    if missing.is_empty() {
        return Ok(false);
    }
    let statement = format!("ALTER PUBLICATION {} ADD TABLE {}", quote_ident(&wanted.name), list(settings, &missing));
    let names = missing.iter().map(|plan| plan.schema.name.to_string()).collect::<Vec<_>>().join(", ");
    if !terms.owned && existing.maker != Maker::Pipectl {
        return Err(Error::new(Kind::Source, format!("publication \"{}\" lacks {names}", wanted.name)).hint(format!(
            "pipectl did not make this publication and does not alter it. Run in Postgres: {statement}; or leave the tables out of the configuration"
        )));
    }
    run(client, &statement, &format!("could not add tables to publication \"{}\"", wanted.name)).await?;
    progress.note(format!("added {names} to publication \"{}\"", wanted.name));
    Ok(false)
}

/// Refuses row filters of the configuration on a server that has none: its publication would send all rows.
async fn refuse_unknown_filters(client: &Client, settings: &Settings, plans: &[TablePlan]) -> Result<()> {
    let filtered = |plan: &&TablePlan| filter_of(settings, plan).is_some();
    let Some(plan) = plans.iter().find(filtered) else { return Ok(()) };
    let row = client.query_one(KNOWS_PARTS, &[]).await;
    if row.map_err(|error| server_error("could not ask for the server's version", error))?.get(0) {
        return Ok(());
    }
    let message = format!("{} has a row filter, which Postgres knows since version 15", plan.schema.name);
    Err(Error::new(Kind::Config, message).hint("take `where` out of the configuration, or upgrade Postgres"))
}

/// Refuses a publication that leaves out what is to be stored, or sends what is not: changes would be missing, a value be NULL, or rows be stored that
/// no copy has, and nobody would be told.
async fn refuse_parts(client: &Client, settings: &Settings, wanted: &Wanted<'_>, existing: &Existing) -> Result<()> {
    match misfits(client, settings, wanted, existing).await?.into_iter().next() {
        Some((table, what, hint)) => {
            let message = format!("publication \"{}\" {what} of {table}", wanted.name);
            Err(Error::new(Kind::Source, message).hint(hint))
        }
        None => Ok(()),
    }
}

/// The tables of which a publication sends other rows or columns than are to be stored; each with what it does, and what helps.
async fn misfits(
    client: &Client,
    settings: &Settings,
    wanted: &Wanted<'_>,
    existing: &Existing,
) -> Result<Vec<(String, String, String)>> {
    let (parts, whole) = (parts(client, &wanted.name).await?, Part::default());
    let misfit = |plan: &&TablePlan| {
        let part = parts.get(&plan.schema.relid).unwrap_or(&whole);
        let (what, hint) = part.misfit(plan, filter_of(settings, plan), &wanted.name)?;
        Some((plan.schema.name.to_string(), what, hint))
    };
    Ok(wanted.tables.iter().filter(|plan| existing.has(plan)).filter_map(misfit).collect())
}

/// How what is sent of a table now is not what is to be stored, and what helps: a publication of somebody else's may be altered at any time.
pub(super) async fn narrowed(client: &Client, settings: &Settings, plan: &TablePlan) -> Result<Option<String>> {
    let Some(postgres) = &settings.postgres else { return Ok(None) };
    let name = if plan.insert_only { inserts_publication(&postgres.publication) } else { postgres.publication.clone() };
    let parts = parts(client, &name).await?;
    let misfit = parts.get(&plan.schema.relid).and_then(|part| part.misfit(plan, filter_of(settings, plan), &name));
    Ok(misfit.map(|(what, hint)| format!("publication \"{name}\" {what} of {} ({hint})", plan.schema.name)))
}

/// The tables that a publication sends in part.
async fn parts(client: &Client, publication: &str) -> Result<BTreeMap<u32, Part>> {
    let rows = client.query(PARTS, &[&publication]).await;
    let rows = rows.map_err(|error| server_error("could not read the publication's tables", error))?;
    let part = |row: &tokio_postgres::Row| Part { filtered: row.get("filtered"), columns: row.get("columns") };
    Ok(rows.iter().map(|row| (row.get("relation"), part(row))).collect())
}

/// What a publication sends of a table.
#[derive(Default)]
struct Part {
    filtered: bool,
    /// `pg_attribute.attnum` of the columns; empty where it sends all.
    columns: Vec<i16>,
}

impl Part {
    /// How that is not what is to be stored, and what helps.
    fn misfit(&self, plan: &TablePlan, filter: Option<&str>, publication: &str) -> Option<(String, String)> {
        let (table, publication) = (quote_table(&plan.schema.name), quote_ident(publication));
        let again = |how: &str| {
            format!(
                "ALTER PUBLICATION {publication} DROP TABLE {table}; ALTER PUBLICATION {publication} ADD TABLE {table}{how}"
            )
        };
        match filter {
            Some(filter) if !self.filtered => {
                let hint = format!(
                    "run in Postgres: {}; then `pipectl resync {}`; or take `where` out of the configuration",
                    again(&format!(" WHERE ({filter})")),
                    plan.schema.name
                );
                return Some(("sends all rows, not only those that the configuration says,".to_owned(), hint));
            }
            None if self.filtered => {
                let hint = format!(
                    "say its row filter in the configuration too, as `where`; or run in Postgres: {}",
                    again("")
                );
                return Some(("does not send all rows".to_owned(), hint));
            }
            _ => {}
        }
        let stored = plan.columns.iter().filter_map(|column| plan.schema.columns.get(column.source));
        let lacking: Vec<&str> =
            stored.filter(|column| !self.columns.contains(&column.number)).map(|column| column.name.as_str()).collect();
        if self.columns.is_empty() || lacking.is_empty() {
            return None;
        }
        let hint = format!(
            "run in Postgres: {}; or leave the columns out: `columns: {{{}: {{exclude: true}}}}`",
            again(""),
            lacking.join(": {exclude: true}, ")
        );
        Some((format!("does not send the columns {}", lacking.join(", ")), hint))
    }
}

fn filter_of<'a>(settings: &'a Settings, plan: &TablePlan) -> Option<&'a str> {
    settings.rule_for(&plan.schema.name).and_then(|rule| rule.row_filter.as_deref())
}

/// Notes in a publication that pipectl made it: it may be altered and dropped also where nothing is stored yet.
async fn note_ours(client: &Client, publication: &str) -> Result<()> {
    let statement = format!("COMMENT ON PUBLICATION {} IS 'made by pipectl'", quote_ident(publication));
    client.batch_execute(&statement).await.map_err(|error| server_error("could not comment on the publication", error))
}

async fn read(client: &Client, wanted: &Wanted<'_>) -> Result<Option<Existing>> {
    let row = client
        .query_opt(STATE, &[&wanted.name])
        .await
        .map_err(|error| server_error("could not read the publication", error))?;
    Ok(row.map(|row| Existing {
        maker: if row.get("ours") { Maker::Pipectl } else { Maker::Unknown },
        all_tables: row.get("all_tables"),
        via_root: row.get("via_root"),
        sends: if wanted.inserts_only { row.get("inserts") } else { row.get("whole") },
        relations: row.get("relations"),
        tables: row.get("tables"),
    }))
}

fn create_statement(settings: &Settings, wanted: &Wanted<'_>) -> String {
    let publish = if wanted.inserts_only { "publish = 'insert', " } else { "" };
    let tables = list(settings, &wanted.tables);
    let tables = if tables.is_empty() { tables } else { format!(" FOR TABLE {tables}") };
    format!(
        "CREATE PUBLICATION {}{tables} WITH ({publish}publish_via_partition_root = true)",
        quote_ident(&wanted.name),
    )
}

/// The tables as the publication's statement names them, with their row filters.
fn list(settings: &Settings, plans: &[&TablePlan]) -> String {
    let one = |plan: &&TablePlan| {
        let filter = filter_of(settings, plan);
        let filter = filter.map_or(String::new(), |filter| format!(" WHERE ({filter})"));
        format!("{}{filter}", quote_table(&plan.schema.name))
    };
    plans.iter().map(one).collect::<Vec<_>>().join(", ")
}

async fn run(client: &Client, statement: &str, tried: &str) -> Result<()> {
    client.batch_execute(statement).await.map_err(|error| {
        let error = server_error(tried, error);
        if error.kind() == Kind::Source {
            error.hint(format!(
                "it needs CREATE on the database and ownership of the tables; or let their owner run: {statement}"
            ))
        } else {
            error
        }
    })
}
