//! Version, settings and limits of the server, and what the role may do.

use super::facts::Facts;
use crate::doctor::finding::{Finding, Place, Remedy, bytes};
use crate::doctor::report::Findings;
use crate::server::postgres::quote_ident;

/// Sessions that `sync` holds besides the readers of its snapshot.
const OTHER_SESSIONS: i64 = 3;
/// WAL senders of `sync`: the one that keeps the snapshot, and the stream.
const SENDERS: i64 = 2;
/// A time-out below this (ms) ends sessions of a client that is only busy.
const SHORTEST_SENDER_TIMEOUT: i64 = 10_000;
/// Less WAL than this (MB) is written in minutes.
const SMALLEST_SLOT_KEEP: i64 = 1024;

pub(super) fn check(facts: &Facts<'_>, findings: &mut Findings) {
    findings.put("postgres.version", version(facts));
    findings.put("postgres.primary", primary(facts));
    findings.put("postgres.wal_level", wal_level(facts));
    findings.put("postgres.max_replication_slots", replication_slots(facts));
    findings.put("postgres.max_wal_senders", wal_senders(facts));
    findings.put("postgres.connections", connections(facts));
    findings.put("postgres.wal_sender_timeout", wal_sender_timeout(facts));
    findings.put("postgres.max_slot_wal_keep_size", slot_keep(facts));
    findings.put("postgres.idle_replication_slot_timeout", idle_slot(facts));
}

/// A change of the server's configuration; only a superuser may make it.
fn alter_system(facts: &Facts<'_>, name: &str, value: &str) -> Remedy {
    let statements =
        vec![format!("ALTER SYSTEM SET {name} = {value}"), "SELECT pg_catalog.pg_reload_conf()".to_owned()];
    let remedy = Remedy::automatic(Place::Postgres, statements).automatic_if(facts.server.superuser);
    if facts.server.superuser { remedy } else { remedy.note("as a superuser") }
}

/// The same where the server must be started again.
fn alter_system_and_restart(facts: &Facts<'_>, name: &str, value: &str) -> Remedy {
    let statement = format!("ALTER SYSTEM SET {name} = {value}");
    let remedy = Remedy::shown(Place::Postgres, vec![statement]).needs_restart();
    if facts.waits_for_restart(name) {
        remedy.note("the file was changed already: only the restart is missing")
    } else {
        remedy
            .note("as a superuser; managed services have a parameter of that name, or one like rds.logical_replication")
    }
}

fn version(facts: &Facts<'_>) -> Finding {
    let seen = &facts.server.version;
    match facts.server.version_number {
        140_000.. => Finding::pass(seen),
        130_000.. => Finding::warn(format!("{seen}: each range of a snapshot reads the whole table")),
        _ => Finding::fail(format!("{seen}: it does not know publish_via_partition_root"))
            .mend(Remedy::advice("upgrade Postgres to a version that is still maintained")),
    }
}

fn primary(facts: &Facts<'_>) -> Finding {
    if facts.server.standby {
        Finding::fail("a standby, in recovery").mend(Remedy::advice("name the primary in `postgres.url`"))
    } else {
        Finding::pass("primary")
    }
}

fn wal_level(facts: &Facts<'_>) -> Finding {
    match facts.setting("wal_level") {
        Some("logical") => Finding::pass("logical"),
        Some(level) => Finding::fail(level).mend(alter_system_and_restart(facts, "wal_level", "'logical'")),
        None => Finding::not_run("the server does not show wal_level"),
    }
}

/// The finding on a limit of which `used` are taken and `wanted` more are needed now; one more than that is for later.
fn headroom(facts: &Facts<'_>, name: &'static str, used: i64, wanted: i64) -> Finding {
    let Some(limit) = facts.number(name) else {
        return Finding::not_run(format!("the server does not show {name}"));
    };
    let seen = format!("{used} of {limit} in use");
    let free = limit - used;
    let remedy = || alter_system_and_restart(facts, name, &(used + wanted + 4).max(10).to_string());
    if free < wanted {
        Finding::fail(seen).mend(remedy())
    } else if free <= wanted {
        Finding::warn(format!("{seen}: none is left for a later copy of a table")).mend(remedy())
    } else {
        Finding::pass(seen)
    }
}

fn replication_slots(facts: &Facts<'_>) -> Finding {
    headroom(facts, "max_replication_slots", facts.server.slots_used, i64::from(facts.slot().is_none()))
}

fn wal_senders(facts: &Facts<'_>) -> Finding {
    let running = facts.slot().is_some_and(|slot| slot.active);
    headroom(facts, "max_wal_senders", facts.server.senders_used, if running { 0 } else { SENDERS })
}

fn connections(facts: &Facts<'_>) -> Finding {
    let wanted = facts.configuration.sync.snapshot_parallel as i64 + OTHER_SESSIONS;
    let server = &facts.server;
    let reserved = ["superuser_reserved_connections", "reserved_connections"];
    let reserved: i64 = reserved.iter().filter_map(|name| facts.number(name)).sum();
    let Some(limit) = facts.number("max_connections") else {
        return Finding::not_run("the server does not show max_connections");
    };
    let limit = if server.superuser { limit } else { limit - reserved };
    let seen = format!("{} of {limit} in use, {wanted} needed", server.connections_used);
    if server.role_connection_limit >= 0 && server.role_connection_limit - server.role_connections_used < wanted {
        let statement = format!("ALTER ROLE {} CONNECTION LIMIT -1", quote_ident(&server.role));
        return Finding::warn(format!(
            "the role is limited to {} connections, {wanted} needed",
            server.role_connection_limit
        ))
        .mend(Remedy::shown(Place::Postgres, vec![statement]));
    }
    if limit - server.connections_used < wanted {
        return Finding::warn(seen).mend(Remedy::advice(
            "lower `sync.snapshot.parallel`, close sessions, or raise max_connections (restart)",
        ));
    }
    Finding::pass(seen)
}

fn wal_sender_timeout(facts: &Facts<'_>) -> Finding {
    let Some(timeout) = facts.number("wal_sender_timeout") else {
        return Finding::not_run("the server does not show wal_sender_timeout");
    };
    let seen = format!("{timeout} ms");
    if timeout == 0 {
        return Finding::warn("0: a client that vanished keeps its slot busy").mend(alter_system(
            facts,
            "wal_sender_timeout",
            "'60s'",
        ));
    }
    if timeout < SHORTEST_SENDER_TIMEOUT {
        return Finding::warn(seen).mend(alter_system(facts, "wal_sender_timeout", "'60s'"));
    }
    Finding::pass(seen)
}

fn slot_keep(facts: &Facts<'_>) -> Finding {
    match facts.number("max_slot_wal_keep_size") {
        None => Finding::pass("this version keeps all WAL that a slot needs"),
        Some(..0) => Finding::pass("-1: all WAL that a slot needs is kept, whatever the disk"),
        Some(megabytes) => {
            let seen = bytes(megabytes.unsigned_abs() << 20);
            if megabytes < SMALLEST_SLOT_KEEP {
                Finding::warn(format!("{seen}: a short outage of pipectl or ClickHouse loses the slot"))
                    .mend(alter_system(facts, "max_slot_wal_keep_size", "'16GB'"))
            } else {
                Finding::pass(seen)
            }
        }
    }
}

fn idle_slot(facts: &Facts<'_>) -> Finding {
    match facts.number("idle_replication_slot_timeout") {
        None => Finding::pass("not in this version"),
        Some(0) => Finding::pass("0: never"),
        Some(timeout) => {
            Finding::warn(format!("{timeout} (as pg_settings counts it): a slot unread for that long is lost"))
                .mend(alter_system(facts, "idle_replication_slot_timeout", "0"))
        }
    }
}

/// `let_in` tells whether a replication session was opened: managed services give the right by other means.
pub(super) fn role(facts: &Facts<'_>, let_in: bool) -> Finding {
    let server = &facts.server;
    let kind = if server.superuser { "superuser" } else { "not a superuser" };
    if let_in && !server.replication && !server.superuser {
        return Finding::pass(format!("{}: no attribute REPLICATION, but let in, {kind}", server.role));
    }
    if server.replication || server.superuser {
        return Finding::pass(format!("{}: REPLICATION, {kind}", server.role));
    }
    let statement = format!("ALTER ROLE {} REPLICATION", quote_ident(&server.role));
    Finding::fail(format!("{}: no REPLICATION, {kind}", server.role)).mend(
        Remedy::shown(Place::Postgres, vec![statement])
            .note("as a superuser; on Amazon RDS: GRANT rds_replication TO the role"),
    )
}
