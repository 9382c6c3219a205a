//! Values whose schema a registry holds.

use crate::support::{Record, Sample, Topics};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};

/// A registry that answers from the samples' schemas; it ends with the process. Confluent's way of asking, and Apicurio's by global id.
pub(crate) fn registry() -> String {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/debezium/avro_schemas.json");
    let schemas: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            answer(&stream, &schemas);
        }
    });
    url
}

fn answer(mut stream: &TcpStream, schemas: &Value) {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let request = lines.next().unwrap_or_default();
    lines.take_while(|line| !line.is_empty()).for_each(drop);
    let path = request.split(' ').nth(1).unwrap_or_default();
    let (rest, id) = path.rsplit_once('/').unwrap_or_default();
    let confluent = schemas["confluent_content_ids"].get(id).filter(|_| rest == "/schemas/ids");
    let global = schemas["header_global_ids"].get(id).filter(|_| rest == "/apis/registry/v2/ids/globalIds");
    let body =
        confluent.map(|schema| json!({ "schema": schema.to_string() }).to_string()).or(global.map(Value::to_string));
    let status = if body.is_some() { "200 OK" } else { "404 Not Found" };
    let body = body.unwrap_or_default();
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    stream.write_all(format!("{head}{body}").as_bytes()).ok();
}

#[test]
fn avro_is_read_by_both_framings() {
    let url = registry();
    for name in ["avro_apicurio_confluent", "avro_apicurio_headers"] {
        let topics = Topics::new("tail_avro");
        let sample = Sample::read(name);
        let replayed = sample.replay(&topics.kafka);
        let names: Vec<&str> = replayed.iter().map(String::as_str).collect();
        let arguments = [names.as_slice(), &["--until-end", "--registry", &url]].concat();
        let text = topics.tail(&arguments);
        assert!(!text.stderr.contains("could not be read"), "{name}: {text}");
        let found = topics.objects(&arguments);
        assert_eq!(found.len(), sample.records.len(), "{name}");
        assert!(
            found.iter().all(|object| object["op"] != "record" && object["key"].is_object() != object["key"].is_null())
        );
        // By the schema's logical types, for people.
        let order = text.stdout.lines().find(|line| line.contains("inv.orders id=1 ")).unwrap();
        assert!(
            order.contains(" amount=10.50 ") && order.contains("updated_at=\"2024-01-02 03:04:05.678901\""),
            "{order}"
        );
        let paid =
            topics.objects(&[arguments.as_slice(), &["--where", "table=orders and after.amount>10 and op=r"]].concat());
        assert!(!paid.is_empty(), "{name}");
    }
}

#[test]
fn a_schema_that_is_not_there_is_told_with_its_number() {
    let topics = Topics::new("tail_no_schema");
    let topic = topics.kafka.topic("public.orders", 1);
    let framed = |bytes: &[u8]| Record { value: Some(bytes.to_vec()), ..Record::new(&topic, "1", "") };
    // JSON behind the name of a schema needs no registry.
    topics.kafka.send([framed(&[0, 0, 0, 15, 160, 2]), framed(b"\0\0\0\0\x01{\"n\":1}")]);
    let outcome = topics.tail(&[&topic, "--until-end", "--output", "json", "--registry", &registry()]);
    assert_eq!(super::objects(&outcome)[0]["value"]["n"], 1);
    assert!(outcome.stderr.contains("schema id 4000") && outcome.stderr.contains("1 could not be read"), "{outcome}");
}
