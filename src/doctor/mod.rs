//! `doctor`: every setting of the servers that a pipeline rests on, with what mends it.
//!
//! A check has a stable id and one of four outcomes; one that could not be made is [`Outcome::NotRun`], which is not a failure.
//! Reading needs no superuser, and nothing is written unless [`mend()`] is called.

mod catalogue;
mod clickhouse;
mod finding;
mod kafka;
mod mend;
mod pipeline;
mod postgres;
mod report;

pub use catalogue::Part;
pub use finding::{Outcome, Place, Remedy};
pub use mend::{Mended, mend};
pub use report::{Check, Report, Summary};

use crate::config::Settings;
use finding::{Finding, Remedy as Mending};
use report::Findings;

/// Makes every check. A server that does not answer is a finding, never an error.
pub async fn examine(settings: &Settings) -> Report {
    let mut findings = Findings::default();
    let mut parts = vec![Part::Configuration, Part::ClickHouse];
    findings.put(
        "config.clickhouse_password",
        password(settings.clickhouse.password_in_file, "clickhouse", "CLICKHOUSE_URL"),
    );
    let destination = clickhouse::examine(settings).await;
    if let Some(postgres) = &settings.postgres {
        parts.extend([Part::Postgres, Part::Pipeline]);
        findings.put("config.postgres_password", password(postgres.password_in_file, "postgres", "POSTGRES_URL"));
        let reached = destination.findings.is_good("clickhouse.reachable");
        let stored = if reached { pipeline::load(settings, postgres).await.ok() } else { None };
        let owned = stored.and_then(|state| state.pipeline).is_some_and(|pipeline| pipeline.owns_publication);
        let source = postgres::examine(settings, postgres, owned).await;
        clickhouse::compare(settings, &source, &destination, &mut findings);
        if reached {
            pipeline::check(settings, postgres, &source, &mut findings).await;
        }
        if let Some(kafka) = &settings.kafka {
            parts.extend([Part::Kafka, Part::Connect]);
            kafka::examine(settings, kafka, &source, &mut findings).await;
        }
        findings.join(Part::Postgres, source.findings);
    } else {
        findings.put("config.postgres_password", Finding::pass("none is configured"));
        clickhouse::compare(settings, &postgres::Source::default(), &destination, &mut findings);
    }
    findings.join(Part::ClickHouse, destination.findings);
    findings.report(&settings.pipeline, &parts)
}

fn password(in_file: bool, section: &str, variable: &str) -> Finding {
    if in_file {
        Finding::warn("written in the configuration file").mend(Mending::advice(format!(
            "write `{section}: {{url: ${{{variable}}}}}` and keep the password in .env or the environment"
        )))
    } else {
        Finding::pass("not in the file")
    }
}
