//! How fast records are read. Not run with the other tests: `cargo test --release --lib -- --ignored --nocapture records_a_second`.

use super::json::{Cursor, Json};
use super::*;
use crate::change::{Column, Field, SourceType};
use std::hint::black_box;
use std::time::Instant;

const RECORD: &str = r#"{"before":null,"after":{"id":123456,"n":98765,"note":"a note of thirty or so letters","amount":"BBo=","hash":"0123456789abcdef0123456789abcdef","at":"2024-01-02T03:04:05.678901Z","uid":"6f1c1a52-7c1c-4f6b-9c53-8a0c7b5b0f0a"},"source":{"version":"3.7.0.Final","connector":"postgresql","name":"bench","ts_ms":1795340440889,"snapshot":"false","db":"bench","sequence":"[\"29355200\",\"29355200\"]","ts_us":1795340440889300,"ts_ns":1795340440889300000,"schema":"public","table":"bench","txId":775,"lsn":29183160,"xmin":null,"origin":null,"origin_lsn":null},"transaction":null,"op":"c","ts_ms":1795340441400,"ts_us":1795340441400605,"ts_ns":1795340441400605790}"#;

fn shape(text: bool) -> RecordShape {
    let forms = Forms::from_connector(&std::collections::BTreeMap::new());
    let types = [
        ("id", SourceType::Int8, false),
        ("n", SourceType::Int4, false),
        ("note", SourceType::String, true),
        ("amount", SourceType::Numeric { precision: 12, scale: 2 }, true),
        ("hash", SourceType::String, true),
        ("at", SourceType::TimestampTz, false),
        ("uid", SourceType::Uuid, false),
    ];
    let fields = types.into_iter().map(|(name, source_type, toastable)| {
        let column = Column {
            name: name.to_owned(),
            number: 1,
            type_oid: 0,
            type_modifier: -1,
            type_name: "bigint".to_owned(),
            source_type,
            output_function: "pg_catalog.int8out".to_owned(),
            not_null: false,
            generated: false,
            toastable,
            missing_value: None,
        };
        ShapeField { name: name.to_owned(), form: form(&column, None, &forms, text).unwrap() }
    });
    RecordShape { fields: fields.collect() }
}

#[expect(clippy::print_stdout, reason = "a measurement that is read by the one who starts it")]
fn rate(name: &str, mut read: impl FnMut()) {
    const COUNT: u32 = 1_000_000;
    for _ in 0..COUNT / 10 {
        read();
    }
    let started = Instant::now();
    for _ in 0..COUNT {
        read();
    }
    let elapsed = started.elapsed();
    println!(
        "{name:20} {:>9.0} records/s, {:>4} ns",
        f64::from(COUNT) / elapsed.as_secs_f64(),
        (elapsed / COUNT).as_nanos()
    );
}

#[test]
#[ignore = "a measurement"]
fn records_a_second() {
    let mut reader = RowReader::new();
    let after = || match record(black_box(RECORD.as_bytes())) {
        Ok(Parsed::Change(change)) => change.after.unwrap(),
        other => panic!("{other:?}"),
    };
    rate("UTF-8 alone", || {
        black_box(std::str::from_utf8(black_box(RECORD.as_bytes())).is_ok());
    });
    rate("JSON alone", || {
        let Ok(Json::Object(object)) = Cursor::new(black_box(RECORD.as_bytes())).value() else { panic!() };
        black_box(object);
    });
    rate("envelope", || {
        black_box(after());
    });
    for text in [false, true] {
        let shape = shape(text);
        let mut whole = || {
            let row = reader.read(after(), &shape).unwrap();
            let len: usize = row
                .fields()
                .map(|field| match field {
                    Field::Text(bytes) | Field::Binary(bytes) => bytes.len(),
                    Field::Null | Field::Unchanged => 0,
                })
                .sum();
            black_box(len);
        };
        rate(if text { "with text" } else { "with fields" }, &mut whole);
    }
}
