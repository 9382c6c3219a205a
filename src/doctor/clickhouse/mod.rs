//! The checks of ClickHouse.

mod facts;
mod grants;
mod tables;

use super::finding::{Finding, Place, Remedy, bytes, seconds};
use super::postgres::Source;
use super::report::Findings;
use crate::batch::Ranges;
use crate::config::Settings;
use crate::decode::time::MICROS_PER_DAY;
use crate::error::Result;
use crate::server::clickhouse::{Server, connect};
use crate::sink::clickhouse::{DeadLetterTable, LetterFilter, ddl, ranges};
use crate::tables::{Facts as TableFacts, gather};
use facts::{Cluster, Disk, ServerFacts, ask, ask_one};
use std::time::{Instant, SystemTime};

/// A clock this far off (s) makes lag and times of commits misleading.
const CLOCK_TOLERANCE: f64 = 5.0;
/// What is not looked at before there is a database.
const CHECKS_OF_DATABASE: [&str; 4] =
    ["clickhouse.tables", "clickhouse.version_columns", "clickhouse.parts", "clickhouse.dead_letters"];
/// Databases whose tables can be exchanged, which a resync does.
const EXCHANGING: [&str; 3] = ["Atomic", "Replicated", "Shared"];

/// What ClickHouse told, for the checks that need both servers.
#[derive(Debug, Default)]
pub(super) struct Destination {
    pub(super) findings: Findings,
    clock_ahead: Option<f64>,
    disks: Vec<Disk>,
    /// What `create-tables` plans from, but for the source's tables.
    facts: Option<TableFacts>,
}

/// Makes the checks of ClickHouse.
pub(super) async fn examine(settings: &Settings) -> Destination {
    let mut destination = Destination::default();
    let server = match reach(settings).await {
        Ok(server) => server,
        Err(error) => {
            let hint = error.hint_text().unwrap_or("check the `clickhouse` section of the configuration");
            let finding = Finding::fail(error.with_causes()).mend(Remedy::advice(hint));
            destination.findings.put("clickhouse.reachable", finding);
            return destination;
        }
    };
    let seen = format!("{}, user {}", server.address, settings.clickhouse.user);
    destination.findings.put("clickhouse.reachable", Finding::pass(seen));
    if let Err(error) = look(settings, &server, &mut destination).await {
        // A read-only profile lets SELECT 1 pass and refuses every setting of a query.
        if error.with_causes().contains("readonly") {
            destination
                .findings
                .put("clickhouse.writable", Finding::fail(error.with_causes()).mend(writable_profile()));
        }
        destination.findings.stop(&error);
    }
    destination
}

async fn reach(settings: &Settings) -> Result<Server> {
    let server = connect(&settings.clickhouse)?;
    server.execute("SELECT 1", &[]).await?;
    Ok(server)
}

async fn look(settings: &Settings, server: &Server, destination: &mut Destination) -> Result<()> {
    let asked = SystemTime::now();
    let begun = Instant::now();
    let facts: ServerFacts = ask_one(server, facts::SERVER, &[]).await?.unwrap_or_default();
    let middle = asked + begun.elapsed() / 2;
    destination.clock_ahead =
        middle.duration_since(SystemTime::UNIX_EPOCH).ok().map(|here| facts.clock - here.as_secs_f64());
    let findings = &mut destination.findings;
    findings.put("clickhouse.version", version(&facts.version));
    findings.put("clickhouse.writable", writable(&facts.readonly));
    findings.put("clickhouse.async_insert", async_insert(&facts.async_insert));
    findings.put("clickhouse.grants", grants::check(settings, server).await);
    findings.put_result("clickhouse.cluster", cluster(settings, server).await);
    findings.put_result("clickhouse.dates", ranges(server).await.map(|found| dates(&found)));
    if database(settings, server, findings).await? {
        let name = settings.clickhouse.database.as_str();
        let parts = ask(server, facts::PARTS, &[("database", name)]).await;
        findings.put_result("clickhouse.parts", parts.map(|found| tables::parts(&found)));
        let waiting = DeadLetterTable::new(server.clone(), name, &settings.pipeline);
        let waiting = waiting.count(&LetterFilter::default()).await;
        findings.put_result("clickhouse.dead_letters", waiting.map(dead_letters));
        match gather(settings, None, server).await {
            Ok(facts) => destination.facts = Some(facts),
            Err(error) => findings.put_result("clickhouse.tables", Err(error)),
        }
    } else {
        for id in CHECKS_OF_DATABASE {
            findings.put(id, Finding::not_run("there is no database yet"));
        }
    }
    destination.disks = ask(server, facts::DISKS, &[]).await?;
    Ok(())
}

/// The verdict on records that could not be carried.
fn dead_letters(waiting: u64) -> Finding {
    match waiting {
        0 => Finding::pass("none"),
        waiting => Finding::warn(format!("{waiting} are waiting")).mend(Remedy::advice(
            "`pipectl dead-letters list` tells why; mend that, then `pipectl dead-letters replay`, or `drop` what nobody needs",
        )),
    }
}

/// The checks that need both servers.
pub(super) fn compare(settings: &Settings, source: &Source, destination: &Destination, findings: &mut Findings) {
    if !destination.findings.is_good("clickhouse.reachable") {
        return;
    }
    findings.put("clickhouse.disk", disk(&destination.disks, source.bytes));
    if let Some(facts) = &destination.facts {
        findings.put("clickhouse.tables", tables::differences(settings, facts, source.catalog.as_ref()));
        let finding = match &source.plans {
            Some(plans) => tables::version_columns(plans, &facts.stored),
            None => Finding::not_run("which tables there are to be was not seen in Postgres"),
        };
        findings.put("clickhouse.version_columns", finding);
    }
    let Some(ahead) = destination.clock_ahead else { return };
    let of_postgres = source.clock_ahead.map(|postgres| ahead - postgres);
    let finding = clock_verdict(ahead);
    findings.put(
        "clickhouse.clock",
        match of_postgres.filter(|difference| difference.abs() > CLOCK_TOLERANCE) {
            Some(difference) => Finding::warn(format!("{}; {} off Postgres'", finding.seen, seconds(difference.abs())))
                .mend(Remedy::advice("set the clocks by NTP")),
            None => finding,
        },
    );
}

/// The verdict on a clock that is so many seconds ahead of this machine's.
pub(super) fn clock_verdict(ahead: f64) -> Finding {
    let seen = format!("{} {}", seconds(ahead.abs()), if ahead < 0.0 { "behind" } else { "ahead" });
    if ahead.abs() > CLOCK_TOLERANCE {
        Finding::warn(seen).mend(Remedy::advice("set the clocks by NTP: lag in seconds is told by them"))
    } else {
        Finding::pass(seen)
    }
}

fn version(seen: &str) -> Finding {
    let mut numbers = seen.split('.').map_while(|part| part.parse::<u32>().ok());
    let upgrade = || Remedy::advice("upgrade ClickHouse to a version that is still maintained");
    match (numbers.next(), numbers.next()) {
        (Some(major), Some(minor)) if (major, minor) >= (23, 8) => Finding::pass(seen),
        (Some(major), Some(minor)) if (major, minor) >= (23, 2) => Finding::warn(seen).mend(upgrade()),
        (Some(_), Some(_)) => {
            Finding::fail(format!("{seen}: ReplacingMergeTree knows no deleted column")).mend(upgrade())
        }
        _ => Finding::warn(format!("\"{seen}\" is no version that pipectl knows")),
    }
}

fn writable_profile() -> Remedy {
    Remedy::advice("give pipectl's user a settings profile with readonly = 0")
}

fn writable(readonly: &str) -> Finding {
    if readonly == "0" {
        Finding::pass("readonly = 0")
    } else {
        Finding::fail(format!("readonly = {readonly}")).mend(writable_profile())
    }
}

fn async_insert(value: &str) -> Finding {
    let on = matches!(value, "1" | "true");
    Finding::pass(if on { "1 for others; pipectl's own inserts set 0" } else { "0" })
}

async fn cluster(settings: &Settings, server: &Server) -> Result<Finding> {
    let Some(name) = &settings.clickhouse.cluster else {
        return Ok(Finding::pass("none is configured"));
    };
    let found: Cluster = ask_one(server, facts::CLUSTER, &[("cluster", name)]).await?.unwrap_or_default();
    if found.servers < 1.0 {
        return Ok(Finding::fail(format!("the server knows no cluster \"{name}\""))
            .mend(Remedy::advice("check `clickhouse.cluster` against SELECT cluster FROM system.clusters")));
    }
    let lacking: Vec<&str> =
        ["shard", "replica"].into_iter().filter(|name| !found.macros.iter().any(|known| known == name)).collect();
    if lacking.is_empty() {
        return Ok(Finding::pass(format!("\"{name}\", {} servers", found.servers)));
    }
    Ok(Finding::fail(format!("\"{name}\", but no macro {}", lacking.join(", ")))
        .mend(Remedy::advice("define <macros> with shard and replica on each server")))
}

fn dates(found: &Ranges) -> Finding {
    // 1970 lies 719162 days after the first day that Postgres and ClickHouse share.
    let wide_days = found.date_days.0 <= -719_162;
    let wide_times = found.datetime_micros.0 <= -719_162 * MICROS_PER_DAY;
    let range = |wide| if wide { "0001 to 9999" } else { "1900 to 2299" };
    if wide_days && wide_times {
        return Finding::pass(range(true));
    }
    Finding::warn(format!(
        "Date32 from {}, DateTime64 from {}; others are stored as NULL and counted",
        range(wide_days),
        range(wide_times)
    ))
    .mend(Remedy::advice("newer versions of ClickHouse hold more; a column with such dates can be stored as String"))
}

/// Whether the database is there.
async fn database(settings: &Settings, server: &Server, findings: &mut Findings) -> Result<bool> {
    let name = &settings.clickhouse.database;
    let found: Option<facts::Database> = ask_one(server, facts::DATABASE, &[("database", name)]).await?;
    let Some(found) = found else {
        let statement = ddl::create_database(&settings.clickhouse);
        findings.put(
            "clickhouse.database",
            Finding::warn(format!("\"{name}\" is not there; `sync` makes it"))
                .mend(Remedy::automatic(Place::ClickHouse, vec![statement])),
        );
        return Ok(false);
    };
    let seen = format!("\"{name}\", {}", found.engine);
    findings.put(
        "clickhouse.database",
        if EXCHANGING.contains(&found.engine.as_str()) {
            Finding::pass(seen)
        } else {
            Finding::warn(format!("{seen}: tables of it cannot be exchanged, so `resync` cannot work"))
                .mend(Remedy::advice("name a database of the engine Atomic, the default"))
        },
    );
    Ok(true)
}

fn disk(disks: &[Disk], wanted: Option<u64>) -> Finding {
    let Some(widest) = disks.iter().max_by(|a, b| a.free.total_cmp(&b.free)) else {
        return Finding::pass("no local disk");
    };
    let seen = format!("{} of {} free on {}", bytes(widest.free as u64), bytes(widest.total as u64), widest.name);
    let advice = || Remedy::advice("make room, or add a disk: ClickHouse also needs room to merge");
    if widest.free < widest.total / 10.0 {
        return Finding::warn(seen).mend(advice());
    }
    match wanted.filter(|wanted| *wanted as f64 > widest.free) {
        Some(wanted) => Finding::warn(format!("{seen}; the tables hold {} in Postgres", bytes(wanted))).mend(advice()),
        None => Finding::pass(seen),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Outcome;

    #[test]
    fn versions_compare_as_numbers() {
        for (text, outcome) in [
            ("26.7.2.1", Outcome::Pass),
            ("23.8.1.1", Outcome::Pass),
            ("23.10.1.1", Outcome::Pass),
            ("23.3.1.1", Outcome::Warn),
            ("22.8.1.1", Outcome::Fail),
            ("unknown", Outcome::Warn),
        ] {
            assert_eq!(version(text).outcome, outcome, "{text}");
        }
    }

    #[test]
    fn clocks_apart_are_told_by_direction() {
        assert_eq!(clock_verdict(0.2).outcome, Outcome::Pass);
        assert_eq!(clock_verdict(-90.0).outcome, Outcome::Warn);
        assert_eq!(clock_verdict(-90.0).seen, "90 s behind");
    }

    #[test]
    fn a_disk_must_hold_the_source() {
        let disk_of = |free: f64| vec![Disk { name: "default".to_owned(), free, total: 1000.0 }];
        assert_eq!(disk(&disk_of(500.0), Some(400)).outcome, Outcome::Pass);
        assert_eq!(disk(&disk_of(500.0), Some(600)).outcome, Outcome::Warn);
        assert_eq!(disk(&disk_of(50.0), None).outcome, Outcome::Warn);
    }
}
