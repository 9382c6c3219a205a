//! What readers are used to see: built here, taken from the samples of Debezium, and the inputs that once failed.

use serde_json::Value;
use std::fs;
use std::path::Path;

/// The inputs that a target begins with.
pub(crate) fn of(target: &str) -> Vec<Vec<u8>> {
    let mut corpus = match target {
        "pgoutput" => pgoutput(),
        "copy" => copy(),
        "assignment" => assignments(),
        "values" => values(),
        "columns" => values()
            .into_iter()
            .flat_map(|value| [[b"t", &value[..]].concat(), [b"\x01", &value[..]].concat()])
            .collect(),
        "documents" => documents(),
        "debezium" => debezium(),
        "avro" => avro(),
        "avro_schema" => schemas(),
        _ => Vec::new(),
    };
    corpus.extend(kept(&crate::root().join("tests/fixtures/fuzz").join(target)));
    corpus
}

/// The inputs that once failed.
fn kept(folder: &Path) -> Vec<Vec<u8>> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

fn tuple(fields: &[(u8, &[u8])]) -> Vec<u8> {
    let mut bytes = (fields.len() as u16).to_be_bytes().to_vec();
    for (kind, value) in fields {
        bytes.push(*kind);
        if matches!(kind, b't' | b'b') {
            bytes.extend((value.len() as u32).to_be_bytes());
            bytes.extend(*value);
        }
    }
    bytes
}

fn pgoutput() -> Vec<Vec<u8>> {
    let row = tuple(&[(b't', b"1"), (b'n', b""), (b'u', b""), (b'b', &[0, 0, 0, 7]), (b't', "ä \\ ' {}".as_bytes())]);
    let key = tuple(&[(b't', b"1"), (b'n', b"")]);
    let mut relation = b"R\0\0\x40\x01public\0orders\0d\0\x03".to_vec();
    for (flag, name, oid) in [(1, "id", 23_u32), (0, "note", 25), (0, "total", 1700)] {
        relation.push(flag);
        relation.extend(name.as_bytes());
        relation.push(0);
        relation.extend(oid.to_be_bytes());
        relation.extend((-1_i32).to_be_bytes());
    }
    let begin = [b"B", &[0; 8][..], &[1; 8], &[0, 0, 2, 1]].concat();
    let commit = [b"C\0", &[0; 24][..]].concat();
    let message = [b"M\x01", &[0; 8][..], b"pipectl\0\0\0\0\x02hi"].concat();
    vec![
        relation,
        [b"I\0\0\x40\x01N", &row[..]].concat(),
        [b"U\0\0\x40\x01N", &row[..]].concat(),
        [b"U\0\0\x40\x01K", &key[..], b"N", &row].concat(),
        [b"U\0\0\x40\x01O", &row[..], b"N", &row].concat(),
        [b"D\0\0\x40\x01K", &key[..]].concat(),
        [b"D\0\0\x40\x01O", &row[..]].concat(),
        b"T\0\0\0\x02\x01\0\0\x40\x01\0\0\x40\x02".to_vec(),
        b"Y\0\0\x40\x02public\0mood\0".to_vec(),
        begin,
        commit,
        message,
    ]
}

fn copy() -> Vec<Vec<u8>> {
    let row = b"\0\x03\0\0\0\x04\0\0\0\x01\xff\xff\xff\xff\0\0\0\x02hi".to_vec();
    let head = [b"PGCOPY\n\xff\r\n\0", &[0; 8][..]].concat();
    vec![row.clone(), [&head[..], &row].concat(), head, b"\xff\xff".to_vec()]
}

/// A number as `numeric_send` writes it.
fn numeric(weight: i16, sign: u16, scale: u16, digits: &[i16]) -> Vec<u8> {
    let mut bytes = (digits.len() as u16).to_be_bytes().to_vec();
    bytes.extend(weight.to_be_bytes());
    bytes.extend(sign.to_be_bytes());
    bytes.extend(scale.to_be_bytes());
    bytes.extend(digits.iter().flat_map(|digit| digit.to_be_bytes()));
    bytes
}

fn documents() -> Vec<Vec<u8>> {
    let texts = [
        r#"{"a": 1, "b": [true, null, "x", {"c": -1.5e-7}], "": {"\u00e9\ud83c\udf88": "\n"}}"#,
        r#"{"a": 1, "\u0061": 2}"#,
        r#"{"a": [[null], [[1, 9007199254740993]]], "d": 18446744073709551616}"#,
        r#"{"a": 0.12345678901234567, "b": 1e300, "c": [1.5, 12345678901234567890]}"#,
        "[]",
    ];
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

fn values() -> Vec<Vec<u8>> {
    let texts = [
        "0",
        "-1",
        "9223372036854775807",
        "-9223372036854775808",
        "3.4028235e+38",
        "1e-45",
        "NaN",
        "Infinity",
        "-Infinity",
        "12345678.90",
        "-0.0001",
        "2024-02-29",
        "0044-03-15 BC",
        "infinity",
        "294276-12-31",
        "2024-02-29 12:34:56.789012",
        "2024-02-29 12:34:56+05:30",
        "0001-01-01 00:00:00 BC",
        "{1,NULL,-3}",
        "{\"a,b\",NULL,\"c\\\"d\"}",
        "[0:1]={1,2}",
        "{{1,2},{3,4}}",
        "{}",
        "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
        "t",
        "f",
        "\\x00ff",
        "happy",
        "{1.50,NaN}",
        "{2024-01-01,infinity}",
    ];
    let mut all: Vec<Vec<u8>> = texts.iter().map(|text| text.as_bytes().to_vec()).collect();
    all.extend([
        vec![1],
        7_i16.to_be_bytes().to_vec(),
        (-7_i32).to_be_bytes().to_vec(),
        i64::MIN.to_be_bytes().to_vec(),
        i64::MAX.to_be_bytes().to_vec(),
        1.5_f32.to_be_bytes().to_vec(),
        f64::NAN.to_be_bytes().to_vec(),
        numeric(1, 0, 2, &[12, 3456, 7800]),
        numeric(-1, 0x4000, 8, &[1, 2]),
        numeric(0, 0xC000, 0, &[]),
        numeric(0x7FFF, 0, 0x3FFF, &[9999; 40]),
    ]);
    // Arrays of one dimension: of int4 with a NULL, of text, and a vector's dimensions.
    all.push(
        [
            &[0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 23, 0, 0, 0, 2, 0, 0, 0, 1][..],
            &[0, 0, 0, 4, 0, 0, 0, 9, 0xFF, 0xFF, 0xFF, 0xFF],
        ]
        .concat(),
    );
    all.push([&[0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 25, 0, 0, 0, 1, 0, 0, 0, 1][..], &[0, 0, 0, 2, b'h', b'i']].concat());
    all.push(vec![0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 23]);
    all.push(b"\0\x02\0\0\x3f\x80\0\0\x40\0\0\0".to_vec());
    all
}

fn json(name: &str) -> Value {
    let path = crate::root().join("tests/fixtures/debezium").join(name);
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// The records of samples, the short ones of each: they have the same members as the long ones.
fn debezium() -> Vec<Vec<u8>> {
    let samples = [
        "default-schema.json",
        "default-noschema.json",
        "debezium1.9.8-default-schema.json",
        "double_isostring_hex-schema.json",
        "string_connect-noschema.json",
        "time_microseconds-noschema.json",
        "extras-schema.json",
        "cloudevents.json",
        "one_topic-noschema.json",
        "postgis-schema.json",
    ];
    let mut records = Vec::new();
    for sample in samples {
        let sample = json(sample);
        let messages = sample["messages"].as_array().unwrap();
        let mut values: Vec<Vec<u8>> = messages
            .iter()
            .flat_map(|message| [&message["value"], &message["key"]])
            .filter(|value| value.is_object())
            .map(|value| value.to_string().into_bytes())
            .filter(|value| value.len() < 24 << 10)
            .collect();
        values.sort_by_key(Vec::len);
        let step = values.len().div_ceil(12).max(1);
        records.extend(values.into_iter().step_by(step));
    }
    records
}

/// What members of consumer groups were assigned.
fn assignments() -> Vec<Vec<u8>> {
    let of = |topics: &[(&str, &[i32])]| {
        let mut bytes = b"\0\x01".to_vec();
        bytes.extend((topics.len() as u32).to_be_bytes());
        for (topic, partitions) in topics {
            bytes.extend((topic.len() as u16).to_be_bytes());
            bytes.extend(topic.as_bytes());
            bytes.extend((partitions.len() as u32).to_be_bytes());
            bytes.extend(partitions.iter().flat_map(|number| number.to_be_bytes()));
        }
        bytes.extend((-1_i32).to_be_bytes());
        bytes
    };
    vec![Vec::new(), of(&[]), of(&[("shop.public.orders", &[0, 1, 2]), ("shop.public.ä", &[7])])]
}

/// Schemas of Avro: of samples, and odd ones.
pub(crate) fn schemas() -> Vec<Vec<u8>> {
    let stored = json("avro_schemas.json");
    let mut schemas: Vec<Vec<u8>> = Vec::new();
    for kind in stored.as_object().unwrap().values() {
        schemas.extend(kind.as_object().unwrap().values().map(|schema| schema.to_string().into_bytes()));
    }
    schemas.sort_by_key(Vec::len);
    schemas.truncate(24);
    let own = [
        r#"{"type":"record","name":"R","fields":[{"name":"a","type":"long"},{"name":"b","type":["null","string"]}]}"#,
        r#"{"type":"record","name":"R","fields":[{"name":"next","type":["null","R"]}]}"#,
        r#"{"type":"record","name":"R","fields":[{"name":"self","type":"R"}]}"#,
        r#"{"type":"array","items":{"type":"record","name":"E","fields":[]}}"#,
        r#"{"type":"array","items":"null"}"#,
        r#"{"type":"map","values":{"type":"array","items":"null"}}"#,
        r#"{"type":"fixed","name":"F","size":4611686018427387904}"#,
        r#"{"type":"enum","name":"M","symbols":["A","B"]}"#,
        r#"["null","int","bytes","double","float","boolean"]"#,
    ];
    schemas.extend(own.iter().map(|schema| schema.as_bytes().to_vec()));
    schemas
}

fn avro() -> Vec<Vec<u8>> {
    let values: [&[u8]; 5] =
        [&[0], &[2, 2, 6, b'a', b'b', b'c'], &[0xFE, 0xFF, 0xFF, 0xFF, 0x0F], &[1, 2, 3, 4, 5, 6, 7, 8, 9], &[0; 40]];
    let numbers = 0..schemas().len() as u8;
    numbers.flat_map(|number| values.map(|value| [&[number], value].concat())).collect()
}
