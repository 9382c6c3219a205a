use super::*;
use proptest::prelude::*;

const SOURCE: &str = r#"{"version":"3.7.0.Final","connector":"postgresql","name":"shop","ts_ms":1795340456875,"snapshot":"false","db":"d","sequence":"[\"24023119\",\"24023128\"]","ts_us":1795340456875637,"ts_ns":1795340456875637000,"schema":"inv","table":"Odd \"T\"","txId":1044,"lsn":43889856,"xmin":null}"#;

fn change(text: &str) -> Envelope<'_> {
    match record(text.as_bytes()) {
        Ok(Parsed::Change(envelope)) => *envelope,
        other => panic!("{other:?}"),
    }
}

#[test]
fn reads_an_envelope() {
    let text = format!(
        r#"{{"before":null,"after":{{"id":1,"t":"}}"}},"source":{SOURCE},"transaction":{{"id":"1044:43889856","total_order":2,"data_collection_order":1}},"op":"c","ts_ms":5}}"#
    );
    let envelope = change(&text);
    assert_eq!((envelope.op, envelope.ts_ms, envelope.before), (Op::Create, Some(5), None));
    assert_eq!(envelope.after.map(Object::bytes), Some(&br#"{"id":1,"t":"}"}"#[..]));
    let source = &envelope.source;
    assert_eq!((&*source.schema, &*source.table, &*source.database), ("inv", "Odd \"T\"", "d"));
    assert_eq!(
        (source.lsn, source.previous_commit, source.xid),
        (Some(Lsn(43_889_856)), Some(Lsn(24_023_119)), Some(1044))
    );
    assert_eq!((source.snapshot, source.ts_us), (Snapshot::False, Some(1_795_340_456_875_637)));
    let block = envelope.transaction.unwrap();
    assert_eq!((&*block.id, block.total_order, block.table_order), ("1044:43889856", 2, 1));
}

#[test]
fn a_schema_is_passed_over_where_it_is_known() {
    let schema = r#"{"type":"struct","fields":[{"field":"payload"}]}"#;
    let text =
        format!(r#"{{"schema":{schema},"payload":{{"op":"d","before":{{"id":1}},"after":null,"source":{SOURCE}}}}}"#);
    assert_eq!(change(&text).schema, SchemaText::New(schema.as_bytes()));
    let parsed = record_known(text.as_bytes(), schema.as_bytes()).unwrap();
    assert!(matches!(&parsed, Parsed::Change(change) if change.schema == SchemaText::Known && change.op == Op::Delete));
    assert!(
        matches!(record_known(text.as_bytes(), b"{}"), Ok(Parsed::Change(change)) if change.schema != SchemaText::Known)
    );
    let without = format!(r#"{{"schema":null,"payload":{{"op":"t","source":{SOURCE}}}}}"#);
    assert_eq!(change(&without).schema, SchemaText::Absent);
}

#[test]
fn tells_the_other_records_apart() {
    assert_eq!(record(br#"{"ts_ms":17}"#), Ok(Parsed::Heartbeat { ts_ms: 17 }));
    assert_eq!(record(br#"{"schema":{"type":"struct"},"payload":{"ts_ms":17}}"#), Ok(Parsed::Heartbeat { ts_ms: 17 }));
    let marker = record(br#"{"status":"END","id":"994:437","event_count":1,"data_collections":[],"ts_ms":5}"#);
    let Ok(Parsed::Transaction(marker)) = marker else { panic!("{marker:?}") };
    assert_eq!((marker.status, &*marker.id, marker.events), (MarkerStatus::End, "994:437", Some(1)));
    for flat in [
        r#"{"id":1,"op":"x"}"#,
        r#"{"id":1,"source":{"a":1},"op":"c"}"#,
        r#"{"schema":"public","payload":"x"}"#,
        r#"{"id":"1","status":"BEGIN"}"#,
        r#"{"ts_ms":1,"id":2}"#,
        "{}",
        r#"{"schema":{"a":1}}"#,
        r#"{"schema":{"a":1},"id":1}"#,
    ] {
        assert!(matches!(record(flat.as_bytes()), Ok(Parsed::Flat { .. })), "{flat}");
    }
    assert_eq!(record(br#"{"id":"x","source":"/debezium","specversion":"1.0"}"#), Ok(Parsed::Other));
    assert_eq!(record(b"12"), Ok(Parsed::Other));
    assert_eq!(record(b"null"), Ok(Parsed::Empty));
    assert_eq!(record(br#"{"schema":null,"payload":null}"#), Ok(Parsed::Empty));
}

#[test]
fn refuses_what_is_broken() {
    for bad in [
        String::new(),
        "Struct{id=1}".to_owned(),
        format!(r#"{{"op":"c","source":{SOURCE},"after":{{"id":1}}"#),
        format!(r#"{{"op":"c","source":{SOURCE},"after":{{"id":1}}}}}}"#),
        format!(r#"{{"op":"c","source":{SOURCE},"after":null}}"#),
        format!(r#"{{"op":"d","source":{SOURCE},"before":null,"after":{{"id":1}}}}"#),
        format!(r#"{{"op":"m","source":{SOURCE}}}"#),
        format!(r#"{{"schema":{{}},"payload":{{"op":"t","source":{SOURCE}}},"more":1}}"#),
        r#"{"schema":{},"payload":{"ts_ms":17}"#.to_owned(),
    ] {
        assert!(record(bad.as_bytes()).is_err(), "{bad}");
    }
    assert_eq!(record(b"{\"a\":\"\xff\"}"), Err(Malformed("UTF-8")));
}

#[test]
fn sequences() {
    assert_eq!(previous_commit(br#"[null,"24023128"]"#), Ok(None));
    assert_eq!(previous_commit(br#"["24023119","24023128"]"#), Ok(Some(Lsn(24_023_119))));
    assert_eq!(previous_commit(br#"["24023119", null]"#), Ok(Some(Lsn(24_023_119))));
    assert_eq!(previous_commit(br#"[\"24023119\",\"24023128\"]"#), Ok(Some(Lsn(24_023_119))));
    for bad in ["", "[]", "null", "[\"x\",\"1\"]", "[1,2]", "[\"-1\",\"1\"]"] {
        assert!(previous_commit(bad.as_bytes()).is_err(), "{bad}");
    }
}

proptest! {
    #[test]
    fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..80), cut in 0usize..400, change in 0usize..400, byte in any::<u8>()) {
        std::hint::black_box(record(&bytes)).ok();
        let mut text = format!(r#"{{"schema":{{"a":[1]}},"payload":{{"op":"u","after":{{"id":1}},"source":{SOURCE}}}}}"#).into_bytes();
        text.truncate(cut);
        if let Some(place) = text.get_mut(change) {
            *place = byte;
        }
        std::hint::black_box(record(&text)).ok();
        std::hint::black_box(record_known(&text, br#"{"a":[1]}"#)).ok();
    }
}
