//! Whether slot, stored state and server still belong together, before anything is read.

use crate::change::{Lsn, Position};
use crate::checkpoint::{CheckpointRecord, PipelineRecord, State};
use crate::error::{Error, Kind, Result};
use crate::source::postgres::{ReplicationServer, SlotState};

/// What has to be done first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Start {
    /// Everything anew: make the slot and copy.
    Fresh,
    /// A slot of an earlier attempt that stored nothing yet: drop it and begin.
    Orphan,
    /// The slot is there, the first copy is not complete.
    ResumeCopy,
    /// Stream on behind this position.
    Stream(Position),
}

/// Refuses where a resync of all tables was interrupted: some tables may be of before it, others of after it.
pub(super) fn refuse_unfinished(pipeline: &PipelineRecord) -> Result<()> {
    if !pipeline.resync_all {
        return Ok(());
    }
    Err(gap("a resync of all tables was begun and not completed".to_owned()).hint("run `pipectl resync --all` again"))
}

/// Decides how to start, or why not to.
///
/// # Errors
/// [`Kind::SourceGap`] where changes are missing between what is stored and what the slot still has, or where the server is another one.
pub(super) fn decide(
    slot_name: &str,
    state: &State,
    slot: Option<&SlotState>,
    server: &ReplicationServer,
) -> Result<Start> {
    let Some(pipeline) = &state.pipeline else {
        return match slot {
            None => Ok(Start::Fresh),
            Some(_) => Err(gap(format!("replication slot \"{slot_name}\" exists, but nothing is stored of it"))
                .hint("ClickHouse was restored or emptied: `pipectl resync --all` makes the slot anew and copies everything again; or the slot is somebody else's: set `postgres.slot` to another name")),
        };
    };
    refuse_unfinished(pipeline)?;
    same_server(pipeline, server)?;
    let Some(consistent) = pipeline.consistent_point.as_deref().and_then(|text| text.parse::<Lsn>().ok()) else {
        return Ok(if slot.is_some() { Start::Orphan } else { Start::Fresh });
    };
    let Some(slot) = slot else {
        return Err(gap(format!(
            "replication slot \"{slot_name}\" is gone, and with it the changes since the last sync"
        ))
        .hint("`pipectl resync --all` makes a new slot and copies everything again"));
    };
    if slot.plugin != "pgoutput" {
        return Err(gap(format!(
            "replication slot \"{slot_name}\" uses the plug-in \"{}\", not pgoutput",
            slot.plugin
        )));
    }
    if slot.wal_status.as_deref() == Some("lost") {
        return Err(gap(format!(
            "replication slot \"{slot_name}\" has lost its log: max_slot_wal_keep_size was exceeded"
        ))
        .hint("`pipectl resync --all` makes a new slot and copies everything again; raise max_slot_wal_keep_size"));
    }
    if !pipeline.snapshot_done {
        return Ok(Start::ResumeCopy);
    }
    position(state, slot, server, consistent).map(Start::Stream)
}

/// Whether a server is the one that the pipeline reads.
///
/// # Errors
/// [`Kind::SourceGap`] where it is not.
pub(super) fn same_server(pipeline: &PipelineRecord, server: &ReplicationServer) -> Result<()> {
    if pipeline.system_identifier == server.system_identifier {
        return Ok(());
    }
    Err(gap(format!(
        "the server is another one: its system identifier is {}, the stored one {}",
        server.system_identifier, pipeline.system_identifier
    ))
    .hint("if it replaces the old one, `pipectl resync --all` copies everything again"))
}

/// The position to stream on from, where it lies between what the slot has let go and what the server has.
fn position(state: &State, slot: &SlotState, server: &ReplicationServer, consistent: Lsn) -> Result<Position> {
    let position = state
        .checkpoint
        .as_ref()
        .map_or(Position { commit: Lsn::ZERO, end: consistent, xid: 0 }, CheckpointRecord::position);
    if slot.confirmed > position.end {
        return Err(gap(format!(
            "changes from {} to {} are missing: the slot was acknowledged further than ClickHouse has stored",
            position.end, slot.confirmed
        ))
        .hint("ClickHouse was restored from a backup, or something else reads this slot: `pipectl resync --all` copies everything again"));
    }
    if position.end > server.flushed {
        return Err(gap(format!(
            "ClickHouse is ahead of Postgres: it has stored up to {}, the server's log ends at {}",
            position.end, server.flushed
        ))
        .hint("Postgres was restored from a backup or failed over with a loss: `pipectl resync --all` copies everything again"));
    }
    Ok(position)
}

fn gap(message: String) -> Error {
    Error::new(Kind::SourceGap, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server() -> ReplicationServer {
        ReplicationServer { system_identifier: "7".into(), timeline: 1, flushed: Lsn(1000) }
    }

    fn slot(confirmed: u64) -> SlotState {
        SlotState {
            plugin: "pgoutput".into(),
            database: "shop".into(),
            active_pid: None,
            wal_status: Some("reserved".into()),
            confirmed: Lsn(confirmed),
        }
    }

    fn state(end: u64) -> State {
        let mut pipeline = PipelineRecord::intended("7".into(), 1, true);
        pipeline.consistent_point = Some(Lsn(10).to_string());
        pipeline.snapshot_done = true;
        let checkpoint = CheckpointRecord::from(Position { commit: Lsn(end - 1), end: Lsn(end), xid: 5 });
        State { pipeline: Some(pipeline), checkpoint: Some(checkpoint), ..State::default() }
    }

    fn refusal(state: &State, slot: Option<&SlotState>) -> String {
        let error = decide("s", state, slot, &server()).unwrap_err();
        assert_eq!(error.kind(), Kind::SourceGap);
        assert!(error.hint_text().is_some());
        error.to_string()
    }

    #[test]
    fn goes_on_where_both_sides_agree() {
        let start = decide("s", &state(500), Some(&slot(500)), &server()).unwrap();
        assert_eq!(start, Start::Stream(Position { commit: Lsn(499), end: Lsn(500), xid: 5 }));
        assert_eq!(decide("s", &State::default(), None, &server()).unwrap(), Start::Fresh);
        let mut intended = state(500);
        intended.pipeline.as_mut().unwrap().consistent_point = None;
        assert_eq!(decide("s", &intended, Some(&slot(1)), &server()).unwrap(), Start::Orphan);
    }

    #[test]
    fn names_every_gap() {
        assert!(refusal(&state(500), Some(&slot(501))).contains("missing"));
        assert!(refusal(&state(1001), Some(&slot(1))).contains("ahead"));
        assert!(refusal(&state(500), None).contains("gone"));
        assert!(refusal(&State::default(), Some(&slot(1))).contains("nothing is stored"));
        let lost = SlotState { wal_status: Some("lost".into()), ..slot(1) };
        assert!(refusal(&state(500), Some(&lost)).contains("lost"));
        let mut other = state(500);
        other.pipeline.as_mut().unwrap().system_identifier = "8".into();
        assert!(refusal(&other, Some(&slot(1))).contains("another one"));
    }
}
