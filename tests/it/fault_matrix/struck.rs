//! What a fault left, and the proof that nothing came of it.

use super::places::Place;
use crate::support::{Mark, Postgres, Proxy, Running, Stage};
use crate::sync_recovery::connect_again;

/// Every kind of change.
pub(super) const CHANGES: &str = "
    UPDATE public.cellrows SET n = n + 1 WHERE id % 3 = 0; DELETE FROM public.cellrows WHERE id % 10 = 1;
    UPDATE public.cellrows SET id = id + 1000, n = n + 1 WHERE id % 10 = 2 AND id < 1000; UPDATE public.cellrows SET v = 'short' WHERE id % 10 = 4;
    INSERT INTO public.cellrows (id, n, v) SELECT max(id) + 1, 7, repeat('x', 5000) FROM public.cellrows";
const LOG_CHANGES: &str = "
    INSERT INTO public.cellbag SELECT 7, 'v' FROM generate_series(1, 5); UPDATE public.cellbag SET v = 'w' WHERE n = 3; DELETE FROM public.cellbag WHERE n = 7";

/// What a fault left.
pub(super) struct Struck {
    pub(super) place: Place,
    pub(super) stage: Stage,
    /// Where the stream was before.
    pub(super) mark: Mark,
    /// The process, where it was not killed: it may go on, or have ended with an error.
    pub(super) running: Option<Running>,
    /// The process that nothing was done to.
    pub(super) other: Option<Running>,
    /// Where an answer is to be lost.
    pub(super) lost: Option<Proxy>,
}

impl Struck {
    /// The source goes on, the process too, or it is started again; then all is as it should be.
    pub(super) fn prove(self) {
        let Self { place, stage, mark, running, other, lost } = self;
        let session = connect_again(&stage.postgres.url);
        if place.has_bag() {
            session.execute(LOG_CHANGES);
        }
        session.execute(CHANGES);
        let written = session.value("SELECT pg_current_wal_lsn()");
        if let Some(proxy) = lost {
            stage.wait_until("the answer is lost", |_| proxy.lost_an_answer());
        }
        stage.merge_all();
        // Whoever asks goes first: it waits for the one that copies.
        let asks = |is_other: bool| {
            place == Place::InResync || place.is_asked() && is_other != (place == Place::WaitingForRecopy)
        };
        let mut processes: Vec<(bool, Running)> = running
            .map(|running| (asks(false), running))
            .into_iter()
            .chain(other.map(|other| (asks(true), other)))
            .collect();
        processes.sort_by_key(|(asks, _)| !asks);
        for (asks, process) in processes {
            end(&stage, process, asks, &session);
        }
        stage.catch_up_and_verify();
        let shadows = "SELECT count() FROM system.tables WHERE database = '{}' AND name LIKE '%pipectl_copy%'";
        assert_eq!(stage.clickhouse.value(&shadows.replace("{}", &stage.name)), "0");
        moved_on(&stage, &session, &written);
        // Once more; then everything that was stored twice is there once.
        mark.rewind(&stage);
        let replayed = stage.pipectl(&["sync", "--until-caught-up"]);
        let from = format!("streaming from {}", mark.end());
        assert!(replayed.status == Some(0) && replayed.stderr.contains(&from), "{from}: {replayed}");
        stage.merge_all();
        let verified = stage.pipectl(&["verify"]);
        assert_eq!(verified.status, Some(0), "{verified}");
        moved_on(&stage, &session, &written);
    }
}

/// The server takes in the last word of a session that has ended in its own time.
fn moved_on(stage: &Stage, session: &Postgres, written: &str) {
    stage.wait_until("the slot moves on", |stage| {
        session.value(&format!("SELECT '{}'::pg_lsn >= '{written}'::pg_lsn", slot(stage))) == "t"
    });
}

/// Waits until a sync is where the source is, or has ended by itself; then ends it. Who asks for a copy ends by itself.
fn end(stage: &Stage, mut running: Running, asks: bool, session: &Postgres) {
    if !asks {
        let newest = session.value("SELECT max(id) FROM public.cellrows");
        let arrived = format!("SELECT count() FROM {{db}}.cellrows FINAL WHERE id = {newest} AND n = 7");
        stage.wait_until("it goes on or ends", |stage| {
            running.has_ended() || stage.clickhouse.try_value(&arrived).is_some_and(|count| count == "1")
        });
        if !running.has_ended() {
            running.signal("TERM");
        }
    }
    let outcome = running.ended();
    // What can be tried again has a code of its own for each server.
    assert!(matches!(outcome.status, Some(0 | 5 | 6)), "{outcome}");
}

pub(super) fn checkpoint(stage: &Stage) -> String {
    stage.clickhouse.value(
        "SELECT JSONExtractString(argMax(value, sequence), 'end') FROM {db}.pipectl_state WHERE kind = 'checkpoint'",
    )
}

/// How far the slot is confirmed.
pub(super) fn slot(stage: &Stage) -> String {
    connect_again(&stage.admin.url).value(&format!(
        "SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = 'pipectl_{}'",
        stage.name
    ))
}
