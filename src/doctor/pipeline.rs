//! What `sync` stored, held against what both servers have: whether it could go on.

use super::finding::{Finding, Remedy, count, some_of};
use super::postgres::Source;
use super::report::Findings;
use crate::change::Lsn;
use crate::checkpoint::{State, StateStore, TablePhase, Transport};
use crate::config::{PostgresSettings, Settings, SyncSource};
use crate::error::Result;
use crate::server::clickhouse;
use crate::source::postgres::{ReplicationServer, identify};

const ANEW: &str = "`pipectl resync --all` makes a new slot and copies everything again";

/// Makes the checks. What is stored is read after the slot and before the end of the log: a running `sync` moves all three on.
pub(super) async fn check(settings: &Settings, postgres: &PostgresSettings, source: &Source, findings: &mut Findings) {
    let state = match load(settings, postgres).await {
        Ok(state) => state,
        Err(error) => {
            for id in ["pipeline.position", "pipeline.parked"] {
                findings.put(id, Finding::not_run(error.with_causes()));
            }
            return;
        }
    };
    findings.put("pipeline.parked", parked(&state));
    if !source.findings.is_good("postgres.replication_connection") {
        let why = "postgres.replication_connection failed or was not run";
        findings.put("pipeline.position", Finding::not_run(why));
        return;
    }
    let server = identify(postgres).await;
    if settings.sync.source == SyncSource::Kafka {
        findings.put_result("pipeline.position", server.map(|server| offsets(&state, &server)));
        return;
    }
    let confirmed = source.slot.as_ref().and_then(|slot| slot.confirmed.as_deref()?.parse().ok());
    findings.put_result("pipeline.position", server.map(|server| position(&state, confirmed, &server, &postgres.slot)));
}

/// What `sync` stored; empty where it stored nothing yet.
///
/// # Errors
/// What ClickHouse answers.
pub(super) async fn load(settings: &Settings, postgres: &PostgresSettings) -> Result<State> {
    let server = clickhouse::connect(&settings.clickhouse)?;
    let store = StateStore::new(server, &settings.clickhouse.database, &settings.pipeline, &postgres.slot);
    match settings.sync.source {
        SyncSource::Postgres => store,
        SyncSource::Kafka => store.of(Transport::Kafka),
    }
    .load()
    .await
}

/// Through Kafka the slot is the connector's affair; what is stored are offsets.
fn offsets(state: &State, server: &ReplicationServer) -> Finding {
    let Some(pipeline) = &state.pipeline else {
        return Finding::pass("nothing is stored yet");
    };
    if pipeline.system_identifier != server.system_identifier {
        return of_another_server(&pipeline.system_identifier, server);
    }
    let lsn = state.offsets.0.values().map(|reached| reached.lsn).max().unwrap_or_default();
    Finding::pass(format!("stored up to {lsn}, in {}", count(state.offsets.0.len(), "partition")))
}

fn of_another_server(stored: &str, server: &ReplicationServer) -> Finding {
    let now = &server.system_identifier;
    Finding::fail(format!("stored is what came from another server: system {stored}, now {now}"))
        .mend(Remedy::advice(ANEW))
}

/// `confirmed` is what the slot acknowledged, none where there is no slot.
fn position(state: &State, confirmed: Option<Lsn>, server: &ReplicationServer, slot: &str) -> Finding {
    let fail = |seen: String| Finding::fail(seen).mend(Remedy::advice(ANEW));
    let Some(pipeline) = &state.pipeline else {
        return match confirmed {
            None => Finding::pass("nothing is stored yet"),
            Some(_) => fail(format!("slot \"{slot}\" is there, but nothing is stored of it")),
        };
    };
    if pipeline.system_identifier != server.system_identifier {
        return of_another_server(&pipeline.system_identifier, server);
    }
    let Some(begin) = pipeline.consistent_point.as_deref().and_then(|text| text.parse::<Lsn>().ok()) else {
        return Finding::pass("a start that stored nothing: `sync` begins again");
    };
    let Some(confirmed) = confirmed else {
        return fail(format!("slot \"{slot}\" is gone, and with it the changes since the last sync"));
    };
    if !pipeline.snapshot_done {
        return Finding::pass("the first copy is not complete: `sync` goes on with it");
    }
    let stored = state.checkpoint.as_ref().map_or(begin, |checkpoint| checkpoint.position().end);
    if confirmed > stored {
        return fail(format!(
            "changes are missing: the slot was acknowledged up to {confirmed}, stored is up to {stored}"
        ));
    }
    if stored > server.flushed {
        return fail(format!(
            "stored is up to {stored}, but Postgres' log ends at {}: it was set back",
            server.flushed
        ));
    }
    Finding::pass(format!("stored up to {stored}, acknowledged up to {confirmed}"))
}

fn parked(state: &State) -> Finding {
    let parked: Vec<_> = state.tables.values().filter(|table| table.phase == TablePhase::Parked).collect();
    if parked.is_empty() {
        return Finding::pass(if state.tables.is_empty() {
            "no table is followed yet".to_owned()
        } else {
            format!("none of {}", count(state.tables.len(), "table"))
        });
    }
    let texts: Vec<String> = parked
        .iter()
        .map(|table| {
            let reason = table.reason.as_deref().unwrap_or("no reason is stored");
            let since = table.since.as_deref().map(|since| format!(" since {since}")).unwrap_or_default();
            format!("{}{since}: {reason}", table.source)
        })
        .collect();
    let commands = parked.iter().map(|table| format!("pipectl resync {}", table.source)).collect::<Vec<_>>().join("; ");
    Finding::fail(some_of(&texts))
        .about(parked.iter().map(|table| table.source.clone()).collect())
        .mend(Remedy::advice(format!("mend the cause, then: {commands}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::Position;
    use crate::checkpoint::{CheckpointRecord, PipelineRecord, TableRecord};
    use crate::doctor::finding::Outcome;

    fn server() -> ReplicationServer {
        ReplicationServer { system_identifier: "7".to_owned(), timeline: 1, flushed: Lsn(1000) }
    }

    fn state(end: u64) -> State {
        let mut pipeline = PipelineRecord::intended("7".to_owned(), 1, true);
        pipeline.consistent_point = Some(Lsn(10).to_string());
        pipeline.snapshot_done = true;
        let checkpoint = CheckpointRecord::from(Position { commit: Lsn(end - 1), end: Lsn(end), xid: 5 });
        State { pipeline: Some(pipeline), checkpoint: Some(checkpoint), ..State::default() }
    }

    #[test]
    fn every_gap_fails_and_what_fits_passes() {
        let outcome = |state: &State, confirmed| position(state, confirmed, &server(), "s").outcome;
        assert_eq!(outcome(&state(500), Some(Lsn(500))), Outcome::Pass);
        assert_eq!(outcome(&State::default(), None), Outcome::Pass);
        assert_eq!(outcome(&State::default(), Some(Lsn(1))), Outcome::Fail);
        assert_eq!(outcome(&state(500), Some(Lsn(501))), Outcome::Fail);
        assert_eq!(outcome(&state(1001), Some(Lsn(1))), Outcome::Fail);
        assert_eq!(outcome(&state(500), None), Outcome::Fail);
        let mut other = state(500);
        other.pipeline.as_mut().unwrap().system_identifier = "8".to_owned();
        assert_eq!(outcome(&other, Some(Lsn(1))), Outcome::Fail);
    }

    #[test]
    fn a_parked_table_is_named_with_its_reason() {
        let mut state = state(500);
        let record = TableRecord {
            source: "public.t".to_owned(),
            phase: TablePhase::Parked,
            reason: Some("its type cannot be carried".to_owned()),
            ..TableRecord::default()
        };
        state.tables.insert(1, record);
        let finding = parked(&state);
        assert_eq!((finding.outcome, finding.objects), (Outcome::Fail, vec!["public.t".to_owned()]));
        assert_eq!(finding.seen, "public.t: its type cannot be carried");
    }
}
