//! Kafka Connect and the pipeline's connector.

use super::unreachable;
use crate::config::{KafkaSettings, Settings, SyncSource};
use crate::connector::{CLASS, Loss, captured, differences, fit, hint, losses, wanted, with_probe};
use crate::doctor::finding::{Finding, Remedy, count, some_of};
use crate::doctor::postgres::Source;
use crate::doctor::report::Findings;
use crate::error::Result;
use crate::server::connect::{Connect, ConnectorConfig, ConnectorState, ConnectorStatus, readable};

/// What Connect told.
#[derive(Debug, Default)]
pub(super) struct Worker {
    /// The connector's configuration, where it is there.
    pub(super) config: Option<ConnectorConfig>,
}

/// Makes the checks of Connect.
pub(super) async fn examine(
    settings: &Settings,
    kafka: &KafkaSettings,
    source: &Source,
    findings: &mut Findings,
) -> Worker {
    let mut worker = Worker::default();
    if kafka.connect_url.is_none() {
        findings.put("connect.reachable", Finding::not_run("`kafka.connect_url` is not set"));
        return worker;
    }
    let connect = match Connect::new(kafka) {
        Ok(connect) => connect,
        Err(error) => {
            findings.put("connect.reachable", unreachable(&error, "check `kafka.connect_url`"));
            return worker;
        }
    };
    match connect.worker().await {
        Ok(found) => {
            let seen = format!("{}, Kafka {}", connect.address(), found.version);
            findings.put("connect.reachable", Finding::pass(seen));
        }
        Err(error) => {
            let advice = "check `kafka.connect_url`, and that Kafka Connect runs and its REST port is reachable";
            findings.put("connect.reachable", unreachable(&error, advice));
            return worker;
        }
    }
    findings.put_result("connect.plugin", plugin(&connect).await);
    let name = settings.connector_name();
    match connect.config(&name).await {
        Ok(Some(config)) => {
            findings.put_result("connect.connector", configured(settings, &connect, source, &config).await);
            findings.put_result("connect.tasks", connect.status(&name).await.map(|status| tasks(status.as_ref())));
            findings.put("connect.settings", lossless(&losses(&config)));
            findings.put("connect.slot", slot(settings, source, &config));
            worker.config = Some(config);
        }
        Ok(None) => findings.put("connect.connector", absent(settings, &name)),
        Err(error) => findings.put_result("connect.connector", Err(error)),
    }
    worker
}

async fn plugin(connect: &Connect) -> Result<Finding> {
    let plugins = connect.plugins().await?;
    let found = plugins.into_iter().find(|plugin| plugin.class == CLASS);
    Ok(match found {
        Some(plugin) => {
            let version = plugin.version.unwrap_or_else(|| "of an unknown version".to_owned());
            match version.split('.').next().and_then(|major| major.parse::<u32>().ok()) {
                Some(..=1) => Finding::warn(format!("Debezium {version}")).mend(Remedy::advice(
                    "use Debezium 2.7 or later: older ones leave out types, and some of their values differ between snapshot and stream",
                )),
                _ => Finding::pass(format!("Debezium {version}")),
            }
        }
        None => Finding::fail(format!("{CLASS} is not there")).mend(Remedy::advice(
            "unpack debezium-connector-postgres into a directory of the workers' plugin.path, and restart them",
        )),
    })
}

fn absent(settings: &Settings, name: &str) -> Finding {
    let seen = format!("\"{name}\" is not there");
    match settings.sync.source {
        SyncSource::Kafka => Finding::fail(seen).mend(Remedy::advice("run `pipectl connector apply`")),
        SyncSource::Postgres => Finding::pass(format!("{seen}, and `sync.source` is postgres")),
    }
}

/// How the connector differs from what `connector apply` would make.
async fn configured(
    settings: &Settings,
    connect: &Connect,
    source: &Source,
    config: &ConnectorConfig,
) -> Result<Finding> {
    let Some(catalog) = &source.catalog else {
        return Ok(Finding::not_run("the tables of Postgres could not be read"));
    };
    let wanted = wanted(settings, &captured(settings, catalog)?)?;
    let said = connect.validate(CLASS, &with_probe(&wanted)).await?;
    let differences = differences(config, &fit(&wanted, &said).config);
    if differences.is_empty() {
        return Ok(Finding::pass(format!("\"{}\", as configured", settings.connector_name())));
    }
    let names: Vec<String> = differences.into_iter().map(|difference| difference.name).collect();
    let seen = format!("\"{}\" differs in {}", settings.connector_name(), some_of(&names));
    Ok(Finding::warn(seen).about(names).mend(Remedy::advice(
        "`pipectl connector apply` shows how, and changes it; a property that is meant so belongs into `kafka.connector`",
    )))
}

fn tasks(status: Option<&ConnectorStatus>) -> Finding {
    let Some(status) = status else {
        return Finding::fail("Connect knows no state of it")
            .mend(Remedy::advice("see the log of the Connect workers"));
    };
    if let Some(trace) = status.failure() {
        let advice = hint(trace).unwrap_or("when the cause is mended: `pipectl connector restart`");
        return Finding::fail(readable(trace)).mend(Remedy::advice(advice));
    }
    if status.running() {
        return Finding::pass(format!("running, {}", count(status.tasks.len(), "task")));
    }
    let state = status.connector.state;
    let seen = match status.tasks.iter().find(|task| task.state != ConnectorState::Running) {
        Some(task) if state == ConnectorState::Running => format!("a task is {}", task.state.word()),
        _ if state == ConnectorState::Running => "it has no task".to_owned(),
        _ => format!("it is {}", state.word()),
    };
    Finding::fail(seen).mend(Remedy::advice(match state {
        ConnectorState::Paused | ConnectorState::Stopped => {
            "`pipectl connector resume`: its slot holds the write-ahead log back meanwhile"
        }
        _ => "`pipectl connector status` shows it; then `pipectl connector restart`",
    }))
}

fn lossless(losses: &[Loss]) -> Finding {
    if losses.is_empty() {
        return Finding::pass("none loses anything");
    }
    let line = |loss: &Loss| format!("{}: {}", loss.setting, loss.what);
    let certain: Vec<&Loss> = losses.iter().filter(|loss| loss.certain).collect();
    let shown: Vec<String> = if certain.is_empty() {
        losses.iter().map(line).collect()
    } else {
        certain.iter().map(|loss| line(loss)).collect()
    };
    let better: Vec<&str> = losses.iter().map(|loss| loss.better.as_str()).collect();
    let remedy = Remedy::advice(format!(
        "`pipectl connector apply` sets {}; take them out of `kafka.connector` where they stand there",
        better.join(", ")
    ));
    let finding = if certain.is_empty() { Finding::warn(some_of(&shown)) } else { Finding::fail(some_of(&shown)) };
    finding.about(losses.iter().map(|loss| loss.setting.clone()).collect()).mend(remedy)
}

/// Whether slot and publication are the pipeline's, and the slot is read.
fn slot(settings: &Settings, source: &Source, config: &ConnectorConfig) -> Finding {
    let Some(postgres) = &settings.postgres else { return Finding::not_run("no Postgres is configured") };
    let of = |name: &str, default: &'static str| config.get(name).map_or(default, String::as_str).to_owned();
    let (slot, publication) = (of("slot.name", "debezium"), of("publication.name", "dbz_publication"));
    if slot != postgres.slot || publication != postgres.publication {
        return Finding::fail(format!("it reads slot \"{slot}\" and publication \"{publication}\"")).mend(Remedy::advice(
            format!(
                "the pipeline's are \"{}\" and \"{}\": set `postgres.slot` and `postgres.publication` to the connector's",
                postgres.slot, postgres.publication
            ),
        ));
    }
    match &source.slot {
        None => Finding::fail(format!("slot \"{slot}\" is not there")).mend(Remedy::advice(
            "the connector's task makes it at its first start; if it was dropped since, `pipectl connector delete`, then `pipectl connector apply`",
        )),
        Some(found) if found.active => Finding::pass(format!("\"{slot}\", read; publication \"{publication}\"")),
        Some(_) => Finding::warn(format!("nobody reads slot \"{slot}\"")).mend(Remedy::advice(
            "a connector that has just been started takes a moment; else see connect.tasks",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Outcome;

    fn status(text: &str) -> Finding {
        tasks(Some(&serde_json::from_str(text).unwrap()))
    }

    #[test]
    fn only_running_tasks_pass() {
        let part = |state: &str| format!(r#"{{"state":"{state}","worker_id":"w","id":0,"trace":"a.B: \ntrouble"}}"#);
        let all = |connector: &str, task: &str| {
            status(&format!(r#"{{"name":"c","connector":{},"tasks":[{}]}}"#, part(connector), part(task)))
        };
        assert_eq!(all("RUNNING", "RUNNING").outcome, Outcome::Pass);
        assert_eq!(all("RUNNING", "FAILED").outcome, Outcome::Fail);
        assert_eq!(all("PAUSED", "PAUSED").seen, "it is paused");
        assert_eq!(tasks(None).outcome, Outcome::Fail);
    }

    #[test]
    fn what_loses_data_fails_and_what_may_warns() {
        let loss = |certain| Loss { setting: "a=1".to_owned(), what: "x", better: "a=2".to_owned(), certain };
        assert_eq!(lossless(&[]).outcome, Outcome::Pass);
        assert_eq!(lossless(&[loss(false)]).outcome, Outcome::Warn);
        let both = lossless(&[loss(true), loss(false)]);
        assert_eq!((both.outcome, both.seen.as_str()), (Outcome::Fail, "a=1: x"));
    }
}
