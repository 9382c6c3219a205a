use super::*;
use proptest::prelude::*;

const SCHEMA: &str = r#"{"type":"record","name":"Envelope","namespace":"a.b","fields":[
    {"name":"before","type":["null",{"type":"record","name":"Value","fields":[
        {"name":"id","type":{"type":"int","connect.type":"int16"}},
        {"name":"amount","type":["null",{"type":"bytes","scale":2,"precision":12,"connect.version":1,
            "connect.parameters":{"scale":"2","connect.decimal.precision":"12"},"connect.name":"org.apache.kafka.connect.data.Decimal","logicalType":"decimal"}],"default":null},
        {"name":"tags","type":["null",{"type":"array","items":["null","string"]}],"default":null},
        {"name":"pairs","type":{"type":"map","values":["null","string"]}},
        {"name":"ratio","type":["null","double"],"default":null}],"connect.name":"a.b.Value"}],"default":null},
    {"name":"after","type":["null","Value"],"default":null},
    {"name":"source","type":{"type":"record","name":"Source","fields":[]}},
    {"name":"op","type":"string"}]}"#;

/// `{"before":null,"after":{"id":-3,"amount":"BBo=",…},…}`
const RECORD: &[u8] = &[
    0, 2, 5, 2, 4, 0x04, 0x1A, 2, 4, 2, 4, b'a', b'"', 0, 0, 1, 10, 2, b'k', 2, 2, b'v', 0, 2, 0, 0, 0, 0, 0, 0, 0xF8,
    0x3F, 2, b'c',
];

#[test]
fn writes_a_record_as_json() {
    let schema = Schema::parse(SCHEMA.as_bytes()).unwrap();
    let mut out = Vec::new();
    to_json(&schema, RECORD, &mut out).unwrap();
    assert_eq!(
        String::from_utf8(out).unwrap(),
        r#"{"before":null,"after":{"id":-3,"amount":"BBo=","tags":["a\"",null],"pairs":{"k":"v"},"ratio":1.5},"source":{},"op":"c"}"#
    );
    for len in 0..RECORD.len() {
        assert!(to_json(&schema, &RECORD[..len], &mut Vec::new()).is_err(), "{len}");
    }
    let mut long = RECORD.to_vec();
    long.push(0);
    assert!(to_json(&schema, &long, &mut Vec::new()).is_err());
}

#[test]
fn says_what_connect_would() {
    let schema = Schema::parse(SCHEMA.as_bytes()).unwrap().connect().unwrap();
    let names: Vec<(&str, bool)> = schema.fields.iter().map(|field| (&*field.name, field.optional)).collect();
    assert_eq!(names, [("id", false), ("amount", true), ("tags", true), ("pairs", false), ("ratio", true)]);
    let amount = &schema.field("amount").unwrap().connect_type;
    assert_eq!((amount.logical(), &*amount.parameters["scale"]), ("org.apache.kafka.connect.data.Decimal", "2"));
    assert_eq!(schema.field("id").unwrap().connect_type.kind, crate::decode::debezium::Kind::Integer { bits: 16 });
}

#[test]
fn refuses_what_is_no_schema() {
    for bad in [
        "",
        "{}",
        "\"Other\"",
        r#"{"type":"record","name":"a"}"#,
        r#"{"type":"fixed","name":"a"}"#,
        "12",
        r#"{"type":"array"}"#,
    ] {
        assert!(Schema::parse(bad.as_bytes()).is_err(), "{bad}");
    }
    // One that holds itself is a schema all the same.
    let own = Schema::parse(br#"{"type":"record","name":"a","fields":[{"name":"next","type":["null","a"]}]}"#).unwrap();
    assert!(to_json(&own, &[2; 500], &mut Vec::new()).is_err());
    let endless = Schema::parse(br#"{"type":"record","name":"a","fields":[{"name":"next","type":"a"}]}"#).unwrap();
    assert!(to_json(&endless, &[2; 500], &mut Vec::new()).is_err());
    let nulls = Schema::parse(br#"{"type":"array","items":"null"}"#).unwrap();
    let many = [0xFE, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F, 0];
    assert!(to_json(&nulls, &many, &mut Vec::new()).is_err());
}

proptest! {
    #[test]
    fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..60), place in 0usize..40, byte in any::<u8>()) {
        let schema = Schema::parse(SCHEMA.as_bytes()).unwrap();
        std::hint::black_box(to_json(&schema, &bytes, &mut Vec::new())).ok();
        let mut record = RECORD.to_vec();
        if let Some(old) = record.get_mut(place) {
            *old = byte;
        }
        std::hint::black_box(to_json(&schema, &record, &mut Vec::new())).ok();
        std::hint::black_box(Schema::parse(&bytes)).ok();
    }
}
