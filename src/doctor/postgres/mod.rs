//! The checks of Postgres: facts are read by whole statements of sql/postgres, verdicts are pure functions of them.

mod facts;
mod inserts;
mod publication;
mod server;
mod slots;
mod tables;
mod transactions;
mod types;

use super::finding::{Finding, Remedy};
use super::report::Findings;
use crate::change::TableSchema;
use crate::config::{PostgresSettings, Settings};
use crate::error::{Error, Kind, Result};
use crate::server::postgres::{Connection, connect, tables as catalog};
use crate::sink::clickhouse::TablePlan;
use crate::source::postgres::identify;
pub(super) use facts::Slot;
use facts::{Facts, OpenTransaction, Place, ask, ask_one};
use std::time::{Duration, Instant, SystemTime};

/// Time between two looks at the end of the write-ahead log.
const SAMPLE: Duration = Duration::from_secs(1);
const REPLICATION_TIMEOUT: Duration = Duration::from_secs(10);

/// What Postgres told, for the checks that need both servers.
#[derive(Debug, Default)]
pub(super) struct Source {
    pub(super) findings: Findings,
    /// Whether `sync` made the publications, as it stored it.
    owns_publication: bool,
    /// The pipeline's slot, if there is one.
    pub(super) slot: Option<Slot>,
    /// Seconds that its clock is ahead of this machine's.
    pub(super) clock_ahead: Option<f64>,
    /// All tables, as the catalog describes them.
    pub(super) catalog: Option<Vec<TableSchema>>,
    /// What the pipeline's tables become at the destination.
    pub(super) plans: Option<Vec<TablePlan>>,
    /// Bytes that the pipeline's tables hold.
    pub(super) bytes: Option<u64>,
}

/// Makes the checks of Postgres.
pub(super) async fn examine(settings: &Settings, postgres: &PostgresSettings, owns_publication: bool) -> Source {
    let mut source = Source { owns_publication, ..Source::default() };
    match connect(postgres).await {
        Ok(connection) => {
            let seen =
                format!("{}:{}, database {}, role {}", postgres.host, postgres.port, postgres.database, postgres.user);
            source.findings.put("postgres.reachable", Finding::pass(seen));
            if let Err(error) = look(settings, postgres, &connection, &mut source).await {
                source.findings.stop(&error);
            }
        }
        Err(error) => {
            let hint = error.hint_text().unwrap_or("check the `postgres` section of the configuration");
            let finding = Finding::fail(error.with_causes()).mend(Remedy::advice(hint));
            source.findings.put("postgres.reachable", finding);
        }
    }
    source
}

async fn look(
    settings: &Settings,
    postgres: &PostgresSettings,
    connection: &Connection,
    source: &mut Source,
) -> Result<()> {
    let begun = Instant::now();
    let first = position(connection, &mut source.clock_ahead).await?;
    let open = ask::<OpenTransaction>(connection, facts::OPEN_TRANSACTIONS, &[]).await?;
    let facts = Facts::read(settings, postgres, connection, source.owns_publication).await?;
    source.slot = facts.slot().cloned();
    let findings = &mut source.findings;
    server::check(&facts, findings);
    findings.put("postgres.replication_connection", replication(postgres, &facts).await);
    let let_in = findings.is_good("postgres.replication_connection");
    findings.put("postgres.role_replication", server::role(&facts, let_in));
    findings.put("postgres.clock", clock(source.clock_ahead));
    source.bytes = Some(facts.chosen().map(|(table, _)| table.bytes).sum());
    tables::check(&facts, findings);
    match catalog(connection).await {
        Ok(catalog) => {
            let planned = types::plan(&facts, &catalog);
            findings.put("postgres.types", planned.finding());
            source.plans = Some(planned.tables);
            source.catalog = Some(catalog);
        }
        Err(error) => findings.put_result("postgres.types", Err(error)),
    }
    publication::check(&facts, findings);
    tokio::time::sleep(SAMPLE.saturating_sub(begun.elapsed())).await;
    let second = position(connection, &mut None).await?;
    slots::check(&facts, connection, rate(&first, &second), findings).await;
    transactions::check(&facts, connection, &open, findings).await;
    Ok(())
}

/// Where the write-ahead log ends; also how far the server's clock is ahead, by the middle of question and answer.
async fn position(connection: &Connection, ahead: &mut Option<f64>) -> Result<Place> {
    let asked = SystemTime::now();
    let begun = Instant::now();
    let place = ask_one::<Place>(connection, facts::WAL_POSITION, &[])
        .await?
        .ok_or_else(|| Error::new(Kind::Source, "Postgres did not say where its write-ahead log ends"))?;
    let middle = asked + begun.elapsed() / 2;
    if let Ok(here) = middle.duration_since(SystemTime::UNIX_EPOCH) {
        *ahead = Some(place.clock - here.as_secs_f64());
    }
    Ok(place)
}

/// Bytes of write-ahead log a second.
fn rate(first: &Place, second: &Place) -> f64 {
    let elapsed = (second.clock - first.clock).max(0.1);
    (second.position - first.position).max(0) as f64 / elapsed
}

fn clock(ahead: Option<f64>) -> Finding {
    ahead.map_or_else(|| Finding::not_run("its time could not be read"), super::clickhouse::clock_verdict)
}

/// Really opens a replication session, and asks it which server it is on.
async fn replication(postgres: &PostgresSettings, facts: &Facts<'_>) -> Finding {
    match tokio::time::timeout(REPLICATION_TIMEOUT, identify(postgres)).await {
        Ok(Ok(server)) => {
            Finding::pass(format!("let in; system {}, timeline {}", server.system_identifier, server.timeline))
        }
        Ok(Err(error)) => {
            let text = error.with_causes();
            let remedy = replication_remedy(&text, postgres, facts);
            Finding::fail(text).mend(remedy)
        }
        Err(_) => Finding::fail(format!("no answer within {} s", REPLICATION_TIMEOUT.as_secs())).mend(Remedy::advice(
            "a pooler between pipectl and Postgres passes no replication on: name the server itself",
        )),
    }
}

fn replication_remedy(error: &str, postgres: &PostgresSettings, facts: &Facts<'_>) -> Remedy {
    if error.contains("pg_hba.conf") {
        let from = facts.server.client_address.as_deref().unwrap_or("samehost");
        let mask = if from.contains(':') {
            "/128"
        } else if from.contains('.') {
            "/32"
        } else {
            ""
        };
        Remedy::advice(format!(
            "add the line `host {} {} {from}{mask} scram-sha-256` to pg_hba.conf, then run SELECT pg_reload_conf()",
            postgres.database, postgres.user
        ))
    } else if error.contains("max_wal_senders") {
        Remedy::advice("see postgres.max_wal_senders")
    } else {
        Remedy::advice(
            "see postgres.role_replication; a connection pooler does not pass replication on: name the server itself",
        )
    }
}
