//! The pipeline's slot, and slots that nobody reads.

use super::facts::{Facts, Slot, slots};
use crate::doctor::finding::{Finding, Place, Remedy, bytes, seconds, some_of};
use crate::doctor::report::Findings;
use tokio_postgres::Client;

/// What `sync` names its slots and pipectl's temporary ones.
const PREFIX: &str = "pipectl_";
/// Less time than this until the server gives the slot up calls for somebody.
const SHORT_OF_TIME: f64 = 3600.0;
/// More WAL than this held by the slot calls for somebody.
const MUCH_HELD: u64 = 10 << 30;

/// Looks at the slots; `rate` is the write-ahead log's growth in bytes a second.
pub(super) async fn check(facts: &Facts<'_>, client: &Client, rate: f64, findings: &mut Findings) {
    let now = match slots(client).await {
        Ok(now) => now,
        Err(error) => {
            findings.put_result("postgres.slot", Err(error));
            return;
        }
    };
    findings.put("postgres.abandoned_slots", abandoned(&now, &facts.postgres.slot));
    let Some(slot) = now.iter().find(|slot| slot.name == facts.postgres.slot) else {
        findings.put(
            "postgres.slot",
            Finding::pass(format!("\"{}\" is not there yet; `sync` makes it", facts.postgres.slot)),
        );
        let nothing = || Finding::not_run("there is no slot yet");
        findings.put("postgres.slot_wal", nothing());
        findings.put("postgres.slot_lag", nothing());
        return;
    };
    let state = state(slot, &facts.server.database);
    findings.put("postgres.slot", state);
    if findings.is_good("postgres.slot") {
        findings.put("postgres.slot_wal", kept(slot));
        findings.put("postgres.slot_lag", lag(slot, rate));
    }
}

fn drop_slot(name: &str) -> String {
    // A slot's name holds lower case letters, digits and underscores only.
    format!("SELECT pg_catalog.pg_drop_replication_slot('{name}')")
}

fn state(slot: &Slot, database: &str) -> Finding {
    let other_name = || Remedy::advice("name another slot in `postgres.slot`, or drop this one if nobody needs it");
    match (slot.plugin.as_deref(), slot.database.as_deref()) {
        (None, _) => return Finding::fail("a physical slot, of a standby").mend(other_name()),
        (Some(plugin), _) if plugin != "pgoutput" => {
            return Finding::fail(format!("of the plugin {plugin}")).mend(other_name());
        }
        (_, Some(other)) if other != database => {
            return Finding::fail(format!("of the database \"{other}\"")).mend(other_name());
        }
        _ if slot.temporary => return Finding::fail("temporary: it goes with its session").mend(other_name()),
        _ => {}
    }
    Finding::pass(match (slot.active, slot.active_pid) {
        (true, Some(pid)) => format!("\"{}\", read by pid {pid}", slot.name),
        _ => format!("\"{}\", not read now", slot.name),
    })
}

fn kept(slot: &Slot) -> Finding {
    let safe = match slot.safe_wal_size {
        Some(size) if size >= 0 => format!(", {} left until it is lost", bytes(size.unsigned_abs())),
        Some(_) => ", nothing left".to_owned(),
        None => ", without limit".to_owned(),
    };
    let again = "drop the slot, and copy the tables again with `pipectl sync`";
    match (slot.wal_status.as_deref(), slot.invalidation_reason.as_deref()) {
        (_, Some(reason)) => Finding::fail(format!("the slot is invalid: {reason}"))
            .mend(Remedy::shown(Place::Postgres, vec![drop_slot(&slot.name)]).note(again)),
        (Some("lost"), _) => Finding::fail("lost: the server removed WAL that it needs").mend(
            Remedy::shown(Place::Postgres, vec![drop_slot(&slot.name)])
                .note(format!("{again}; raise max_slot_wal_keep_size")),
        ),
        (Some("unreserved"), _) => Finding::warn(format!("unreserved{safe}")).mend(Remedy::advice(
            "start `pipectl sync` now: the next checkpoint of Postgres may lose the slot; raise max_slot_wal_keep_size",
        )),
        (Some(status), _) => Finding::pass(format!("{status}{safe}")),
        (None, _) => Finding::not_run("this version does not tell"),
    }
}

fn lag(slot: &Slot, rate: f64) -> Finding {
    let behind = slot.lag_bytes.unwrap_or(0).max(0).unsigned_abs();
    let held = slot.held_bytes.unwrap_or(0).max(0).unsigned_abs();
    let time = if rate >= 1.0 {
        format!("{} of writing at {}/s", seconds(behind as f64 / rate), bytes(rate as u64))
    } else {
        "nothing is being written".to_owned()
    };
    let seen = format!("{} behind, {time}; {} of WAL held", bytes(behind), bytes(held));
    let left = slot.safe_wal_size.filter(|_| rate >= 1.0).map(|size| size.max(0) as f64 / rate);
    if let Some(left) = left.filter(|left| *left < SHORT_OF_TIME) {
        return Finding::warn(format!("{seen}; lost in {} at this rate", seconds(left)))
            .mend(Remedy::advice("see that `pipectl sync` runs and keeps up, or raise max_slot_wal_keep_size"));
    }
    if held > MUCH_HELD {
        return Finding::warn(seen).mend(Remedy::advice(if slot.active {
            "a long transaction or a slow destination holds it: see postgres.open_transactions and the log of `pipectl sync`"
        } else {
            "start `pipectl sync`, or drop what it made with `pipectl drop`"
        }));
    }
    Finding::pass(seen)
}

fn abandoned(all: &[Slot], own: &str) -> Finding {
    let idle: Vec<&Slot> =
        all.iter().filter(|slot| slot.name.starts_with(PREFIX) && slot.name != own && !slot.active).collect();
    if idle.is_empty() {
        return Finding::pass("none");
    }
    let names: Vec<String> = idle
        .iter()
        .map(|slot| format!("{} ({})", slot.name, bytes(slot.held_bytes.unwrap_or(0).max(0).unsigned_abs())))
        .collect();
    Finding::warn(format!("nobody reads {}", some_of(&names)))
        .about(idle.iter().map(|slot| slot.name.clone()).collect())
        .mend(
            Remedy::shown(Place::Postgres, idle.iter().map(|slot| drop_slot(&slot.name)).collect())
                .note("unless its pipeline only rests: then start it"),
        )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Outcome;

    fn slot() -> Slot {
        Slot {
            name: "pipectl_shop".to_owned(),
            plugin: Some("pgoutput".to_owned()),
            database: Some("shop".to_owned()),
            wal_status: Some("reserved".to_owned()),
            ..Slot::default()
        }
    }

    #[test]
    fn a_slot_of_another_kind_fails() {
        assert_eq!(state(&slot(), "shop").outcome, Outcome::Pass);
        assert_eq!(state(&slot(), "other").outcome, Outcome::Fail);
        assert_eq!(state(&Slot { plugin: Some("wal2json".to_owned()), ..slot() }, "shop").outcome, Outcome::Fail);
        assert_eq!(state(&Slot { plugin: None, database: None, ..slot() }, "shop").outcome, Outcome::Fail);
    }

    #[test]
    fn lost_wal_fails_and_an_unreserved_slot_warns() {
        assert_eq!(kept(&slot()).outcome, Outcome::Pass);
        for (status, outcome) in [("lost", Outcome::Fail), ("unreserved", Outcome::Warn), ("extended", Outcome::Pass)] {
            assert_eq!(kept(&Slot { wal_status: Some(status.to_owned()), ..slot() }).outcome, outcome, "{status}");
        }
        let idle = Slot { invalidation_reason: Some("idle_timeout".to_owned()), ..slot() };
        assert_eq!(kept(&idle).outcome, Outcome::Fail);
    }

    #[test]
    fn lag_is_told_in_bytes_and_in_time() {
        let slot = Slot { lag_bytes: Some(10 << 20), held_bytes: Some(20 << 20), ..slot() };
        assert_eq!(
            lag(&slot, f64::from(1 << 20)).seen,
            "10.0 MiB behind, 10 s of writing at 1.0 MiB/s; 20.0 MiB of WAL held"
        );
        assert_eq!(lag(&slot, 0.0).seen, "10.0 MiB behind, nothing is being written; 20.0 MiB of WAL held");
        let short = Slot { safe_wal_size: Some(60 << 20), ..slot };
        assert_eq!(lag(&short, f64::from(1 << 20)).outcome, Outcome::Warn);
    }

    #[test]
    fn only_idle_slots_of_pipectl_are_abandoned() {
        let others = [
            slot(),
            Slot { name: "pipectl_old".to_owned(), ..slot() },
            Slot { name: "pipectl_busy".to_owned(), active: true, ..slot() },
            Slot { name: "debezium".to_owned(), ..slot() },
        ];
        assert_eq!(abandoned(&others, "pipectl_shop").objects, ["pipectl_old"]);
    }
}
