use super::*;

/// Changes, markers of transactions, heartbeats, rows without an envelope, others and tombstones: how many a sample has of each.
const CLASSES: &[(&str, [usize; 6])] = &[
    ("adaptive_us_unknown-noschema", [24, 0, 0, 0, 0, 3]),
    ("adaptive_us_unknown-schema", [24, 0, 0, 0, 0, 3]),
    ("cloudevents", [0, 0, 0, 0, 17, 5]),
    ("debezium1.9.8-default-noschema", [56, 0, 0, 0, 0, 11]),
    ("debezium1.9.8-default-schema", [56, 0, 0, 0, 0, 11]),
    ("debezium2.7.4-default-noschema", [88, 0, 0, 0, 0, 16]),
    ("debezium2.7.4-default-schema", [88, 0, 0, 0, 0, 16]),
    ("default-noschema", [88, 0, 0, 0, 0, 16]),
    ("default-schema", [88, 0, 0, 0, 0, 16]),
    ("double_isostring_hex-noschema", [88, 0, 0, 0, 0, 16]),
    ("double_isostring_hex-schema", [88, 0, 0, 0, 0, 16]),
    ("extras-noschema", [64, 84, 16, 0, 0, 6]),
    ("extras-schema", [66, 88, 18, 0, 0, 6]),
    ("mixed_key_string", [25, 0, 0, 0, 0, 5]),
    ("no_tombstones-noschema", [56, 0, 0, 0, 0, 0]),
    ("one_topic-noschema", [25, 0, 0, 0, 0, 5]),
    ("partition_root-noschema", [11, 0, 0, 0, 0, 1]),
    ("postgis-noschema", [9, 0, 0, 0, 0, 1]),
    ("postgis-schema", [9, 0, 0, 0, 0, 1]),
    ("propagate_source_type-schema", [33, 0, 0, 0, 0, 4]),
    ("routed-noschema", [25, 0, 0, 0, 0, 5]),
    ("skip_unchanged-noschema", [55, 0, 0, 0, 0, 11]),
    ("string_connect-noschema", [88, 0, 0, 0, 0, 16]),
    ("string_connect-schema", [88, 0, 0, 0, 0, 16]),
    ("time_microseconds-noschema", [18, 0, 0, 0, 0, 1]),
    ("time_microseconds-schema", [18, 0, 0, 0, 0, 1]),
    ("time_nanoseconds-noschema", [18, 0, 0, 0, 0, 1]),
    ("time_nanoseconds-schema", [18, 0, 0, 0, 0, 1]),
    ("time_structured-noschema", [18, 0, 0, 0, 0, 1]),
    ("time_structured-schema", [18, 0, 0, 0, 0, 1]),
    ("unknown_bytes-noschema", [18, 0, 0, 0, 0, 1]),
    ("unknown_bytes-schema", [18, 0, 0, 0, 0, 1]),
    ("unwrap_debezium2.7.4-default_rewrite-noschema", [2, 0, 0, 54, 0, 11]),
    ("unwrap_default-noschema", [2, 0, 0, 43, 0, 11]),
    ("unwrap_default-schema", [2, 0, 0, 43, 0, 11]),
    ("unwrap_delete_to_tombstone-noschema", [2, 0, 0, 43, 0, 11]),
    ("unwrap_drop-noschema", [2, 0, 0, 43, 0, 0]),
    ("unwrap_rewrite-noschema", [2, 0, 0, 54, 0, 0]),
    ("unwrap_rewrite-schema", [2, 0, 0, 54, 0, 0]),
    ("unwrap_rewrite_with_tombstone-noschema", [2, 0, 0, 54, 0, 11]),
];

#[test]
fn every_record_is_told_apart() {
    assert_eq!(names(), CLASSES.iter().map(|(name, _)| (*name).to_owned()).collect::<Vec<_>>());
    for (name, expected) in CLASSES {
        let mut found = [0; 6];
        let sample = fixture(&format!("{name}.json"));
        for value in values(&sample) {
            let class = match value.as_deref().map(record) {
                None | Some(Ok(Parsed::Empty)) => 5,
                Some(Ok(Parsed::Change(_))) => 0,
                Some(Ok(Parsed::Transaction(_))) => 1,
                Some(Ok(Parsed::Heartbeat { .. })) => 2,
                Some(Ok(Parsed::Flat { .. })) => 3,
                Some(Ok(Parsed::Other)) => 4,
                other => panic!("{name}: {other:?}"),
            };
            found[class] += 1;
        }
        assert_eq!(found, *expected, "{name}");
    }
}

#[test]
fn every_change_says_where_it_comes_from() {
    for name in names() {
        let sample = fixture(&format!("{name}.json"));
        let config = config(&sample);
        let prefix = config.get("topic.prefix").or(config.get("database.server.name")).unwrap();
        let mut last = None;
        for value in values(&sample).into_iter().flatten() {
            let Some(change) = change(&value) else { continue };
            let source = &change.source;
            assert_eq!((&*source.connector, &*source.name), ("postgresql", &**prefix), "{name}");
            assert!(source.lsn.is_some() && source.ts_us.is_some(), "{name}: {source:?}");
            let snapshot = source.snapshot != Snapshot::False;
            assert_eq!(snapshot, change.op == Op::Read, "{name}: {source:?}");
            assert!(source.previous_commit.is_none_or(|commit| Some(commit) <= source.lsn), "{name}: {source:?}");
            if change.op == Op::Message {
                let message = change.message.unwrap();
                assert_eq!(&*message.prefix, "app.prefix");
                last = Some(message.content.into_owned());
            } else {
                assert!(!source.table.is_empty() && source.schema == "inv", "{name}: {source:?}");
            }
            assert_eq!(
                change.transaction.is_some(),
                name.starts_with("extras") && !snapshot && source.xid.is_some(),
                "{name}"
            );
        }
        if name.starts_with("extras") {
            assert_eq!(last.as_deref(), Some(&b"AP8Q"[..]));
        }
    }
}

#[test]
fn markers_and_changes_of_a_transaction_agree_before_the_colon() {
    let sample = fixture("extras-noschema.json");
    let values: Vec<Vec<u8>> = values(&sample).into_iter().flatten().collect();
    let (mut events, mut counted) = (BTreeMap::<String, u64>::new(), BTreeMap::<String, u64>::new());
    let xid = |id: &str| id.split_once(':').unwrap().0.to_owned();
    for value in &values {
        match record(value).unwrap() {
            Parsed::Change(change) => {
                if let Some(block) = change.transaction {
                    let most = counted.entry(xid(&block.id)).or_default();
                    *most = (*most).max(block.total_order);
                }
            }
            Parsed::Transaction(Marker { status: MarkerStatus::End, id, events: Some(count), .. }) => {
                events.insert(xid(&id), count);
            }
            _ => {}
        }
    }
    assert!(!counted.is_empty());
    for (xid, most) in counted {
        assert_eq!(events.get(&xid), Some(&most), "{xid}");
    }
}
