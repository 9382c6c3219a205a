//! `--fix`: runs what can be run without a restart, without another role and without taking anything away.

use super::finding::Place;
use super::report::Report;
use crate::checkpoint::{PipelineRecord, StateStore};
use crate::config::Settings;
use crate::error::Result;
use crate::server::clickhouse::quote_ident;
use crate::server::{clickhouse, postgres};
use crate::sink::clickhouse::ddl;
use crate::source::postgres::identify;
use std::time::Duration;

const RELOAD: Duration = Duration::from_millis(300);

/// A statement of a remedy that was run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mended {
    /// The check that it belongs to.
    pub check: &'static str,
    /// Where it was run.
    pub place: Place,
    /// The statement.
    pub statement: String,
    /// Why it failed; none where it did not.
    pub error: Option<String>,
}

/// Runs the automatic remedies of a report, in the order of its checks. `before` is told of each statement before it is run. A
/// statement that fails ends its own remedy only.
pub async fn mend(settings: &Settings, report: &Report, before: &(dyn Fn(Place, &str) + Sync)) -> Vec<Mended> {
    let mut done = Vec::new();
    for check in &report.checks {
        let Some(remedy) = check.remedy.as_ref().filter(|remedy| remedy.automatic) else {
            continue;
        };
        for statement in &remedy.statements {
            before(remedy.place, statement);
            let error = run(settings, remedy.place, statement).await.err().map(|error| error.with_causes());
            if statement.contains("pg_reload_conf") {
                // The server reads its files a moment after it has answered.
                tokio::time::sleep(RELOAD).await;
            }
            let failed = error.is_some();
            done.push(Mended { check: check.id, place: remedy.place, statement: statement.clone(), error });
            if failed {
                break;
            }
        }
    }
    let made = |one: &Mended| one.error.is_none() && one.statement.starts_with("CREATE PUBLICATION");
    if let Some(check) = done.iter().find(|one| made(one)).map(|one| one.check) {
        let statement = format!(
            "INSERT INTO {}.`pipectl_state` (this pipeline made the publication)",
            quote_ident(&settings.clickhouse.database)
        );
        before(Place::ClickHouse, &statement);
        let error = remember_publication(settings).await.err().map(|error| error.with_causes());
        done.push(Mended { check, place: Place::ClickHouse, statement, error });
    }
    done
}

/// Stores that the publication is pipectl's own: `sync` adds tables to no other, and `drop` removes no other.
async fn remember_publication(settings: &Settings) -> Result<()> {
    let Some(postgres) = &settings.postgres else { return Ok(()) };
    let server = clickhouse::connect(&settings.clickhouse)?;
    server.execute(&ddl::create_database(&settings.clickhouse), &[]).await?;
    let mut store = StateStore::new(server, &settings.clickhouse.database, &settings.pipeline, &postgres.slot);
    store.create().await?;
    let record = if let Some(record) = store.load().await?.pipeline {
        PipelineRecord { owns_publication: true, ..record }
    } else {
        let source = identify(postgres).await?;
        PipelineRecord::intended(source.system_identifier, source.timeline, true)
    };
    store.save_pipeline(&record).await
}

async fn run(settings: &Settings, place: Place, statement: &str) -> Result<()> {
    match (place, &settings.postgres) {
        (Place::Postgres, Some(settings)) => {
            let connection = postgres::connect(settings).await?;
            connection
                .batch_execute(statement)
                .await
                .map_err(|error| postgres::server_error("could not run the statement", error))
        }
        (Place::ClickHouse, _) => clickhouse::connect(&settings.clickhouse)?.execute(statement, &[]).await,
        (Place::Postgres, None) | (Place::Hand, _) => Ok(()),
    }
}
