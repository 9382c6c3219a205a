//! A record of the state as text: JSON that begins with the version of the format.
//!
//! `docs/stored-format.md` is the contract. Kinds and fields are only ever added; what an earlier version may overlook leaves [`VERSION`] as it
//! is, what it must not overlook raises it, and then that earlier version refuses the whole state.

use crate::error::{Error, Kind, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The format that is written, and the latest one that is read.
pub(super) const VERSION: u32 = 1;

#[derive(Serialize)]
struct Versioned<'a, T> {
    version: u32,
    #[serde(flatten)]
    record: &'a T,
}

/// Read before the rest: what a later version wrote may not even have the fields of this one.
#[derive(Deserialize)]
struct Stamp {
    /// Absent in records of tables and ranges that were written before all had it.
    #[serde(default)]
    version: u32,
}

/// The text of a record.
pub(super) fn render(record: &impl Serialize) -> Result<String> {
    serde_json::to_string(&Versioned { version: VERSION, record })
        .map_err(|error| Error::new(Kind::Unexpected, "could not write a record").because(error))
}

/// The record of a text.
///
/// # Errors
/// [`Kind::Destination`] for what a later version wrote, and for what is no record of this kind.
pub(super) fn parse<T: DeserializeOwned>(kind: &str, text: &str) -> Result<T> {
    let unreadable = |error: serde_json::Error| {
        Error::new(Kind::Destination, format!("could not read the pipeline's state: a record of the kind {kind}"))
            .because(error)
            .hint("pipectl alone writes the table pipectl_state: restore it from a backup, together with the data")
    };
    let stamp: Stamp = serde_json::from_str(text).map_err(unreadable)?;
    if stamp.version > VERSION {
        return Err(Error::new(
            Kind::Destination,
            format!(
                "the pipeline's state was written by a later version of pipectl: it has format {}, and this one reads formats up to {VERSION}",
                stamp.version
            ),
        )
        .hint("use that version, or a later one; nothing was changed"));
    }
    serde_json::from_str(text).map_err(unreadable)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::{Lsn, Position, Reached};
    use crate::checkpoint::{
        CheckpointRecord, NullsRecord, OffsetRecord, PipelineRecord, RangeRecord, TablePhase, TableRecord,
    };
    use serde_json::Value;
    use std::fmt::Debug;

    /// Written as here, byte for byte, and read back as it was.
    fn pinned<T: Serialize + DeserializeOwned + PartialEq + Debug>(record: &T, text: &str) {
        assert_eq!(render(record).unwrap(), text);
        assert_eq!(&parse::<T>("some", text).unwrap(), record);
    }

    #[test]
    fn records_are_written_as_the_contract_says() {
        pinned(
            &PipelineRecord {
                consistent_point: Some("0/17526A0".into()),
                switched_at: Some("0/2".into()),
                switched_offsets: [("0:shop.public.orders".to_owned(), 7)].into(),
                ..PipelineRecord::intended("7410000000000000000".into(), 1, true)
            },
            r#"{"version":1,"system_identifier":"7410000000000000000","timeline":1,"consistent_point":"0/17526A0","snapshot_done":false,"owns_publication":true,"resync_all":false,"switched_at":"0/2","switched_offsets":{"0:shop.public.orders":7},"left":false}"#,
        );
        pinned(
            &CheckpointRecord::from(Position { commit: Lsn(0x10), end: Lsn(0x40), xid: 731 }),
            r#"{"version":1,"commit":"0/10","end":"0/40","xid":731}"#,
        );
        pinned(&OffsetRecord::from(Reached { next: 12, lsn: Lsn(0xFF) }), r#"{"version":1,"next":12,"lsn":"0/FF"}"#);
        pinned(
            &NullsRecord { columns: [("paid_at".to_owned(), 3)].into() },
            r#"{"version":1,"columns":{"paid_at":3}}"#,
        );
        pinned(
            &RangeRecord { filenode: 16_400, heap: 16_399, first: 8_192, end: None, rows: 3 },
            r#"{"version":1,"filenode":16400,"heap":16399,"first":8192,"end":null,"rows":3}"#,
        );
        pinned(
            &TableRecord {
                source: "public.t".into(),
                target: "t__log".into(),
                view: Some("t".into()),
                phase: TablePhase::Parked,
                reason: Some("why".into()),
                since: Some("0/10".into()),
                truncated: Some("340282366920938463463374607431768211455".into()),
                snapshot: Some("0/30".into()),
                copied_rows: 5,
                first_commit: Some("0/20".into()),
                missing: [(2, "x".to_owned())].into(),
                columns: [(1, "id".to_owned())].into(),
                ..TableRecord::default()
            },
            r#"{"version":1,"source":"public.t","target":"t__log","view":"t","phase":"parked","reason":"why","since":"0/10","truncated":"340282366920938463463374607431768211455","snapshot":"0/30","copied_rows":5,"first_commit":"0/20","missing":{"2":"x"},"columns":{"1":"id"}}"#,
        );
    }

    #[test]
    fn the_first_form_of_each_record_is_still_read() {
        let pipeline: PipelineRecord = parse("pipeline", r#"{"system_identifier":"7","timeline":2}"#).unwrap();
        assert_eq!(pipeline, PipelineRecord::intended("7".into(), 2, false));
        let checkpoint: CheckpointRecord = parse("checkpoint", r#"{"version":1,"commit":"0/1","end":"0/2"}"#).unwrap();
        assert_eq!(checkpoint.position(), Position { commit: Lsn(1), end: Lsn(2), xid: 0 });
        let table: TableRecord = parse("table", r#"{"source":"public.t","target":"t","phase":"ready"}"#).unwrap();
        assert_eq!((table.phase, table.view, table.copied_rows, table.columns.len()), (TablePhase::Ready, None, 0, 0));
        parse::<RangeRecord>("range", r#"{"filenode":1,"heap":2,"first":0,"end":8,"rows":9}"#).unwrap();
    }

    #[test]
    fn what_a_later_version_wrote_is_refused_and_what_it_added_is_overlooked() {
        let added = r#"{"version":1,"next":1,"lsn":"0/1","compacted":true}"#;
        assert_eq!(parse::<OffsetRecord>("offset", added).unwrap().next, 1);
        // Whatever else it says: of a later form nothing can be known.
        let error = parse::<OffsetRecord>("offset", r#"{"version":2,"place":{"next":1}}"#).unwrap_err();
        assert_eq!(error.kind(), Kind::Destination);
        assert!(
            error.to_string().contains("later version of pipectl") && error.to_string().contains("format 2"),
            "{error}"
        );
        for text in ["", "7", "[]", r#"{"version":"x"}"#, r#"{"version":1}"#, r#"{"version":-1}"#] {
            let error = parse::<OffsetRecord>("offset", text).unwrap_err();
            assert!(error.to_string().contains("kind offset"), "{text}: {error}");
        }
        // Nothing but an object has a place for the version.
        assert!(render(&Value::from(7)).is_err());
    }
}
