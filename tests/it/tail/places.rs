//! Where reading begins and ends.

use super::objects;
use crate::support::{Record, Topics};
use std::time::{SystemTime, UNIX_EPOCH};

/// Noon of 2026-01-01, UTC.
const NOON: i64 = 1_767_268_800_000;

/// A topic of two partitions: ten records, one a minute from noon on, the even ones in partition 0.
fn ten(topics: &Topics) -> String {
    let topic = topics.kafka.topic("ten", 2);
    topics.kafka.send((0..10_i32).map(|n| {
        let mut record = Record::new(&topic, &n.to_string(), &format!("{{\"n\":{n}}}")).at(n % 2);
        record.timestamp = Some(NOON + i64::from(n) * 60_000);
        record
    }));
    topic
}

/// The numbers that come, in their order.
fn numbers(topics: &Topics, arguments: &[&str]) -> Vec<i64> {
    topics.objects(arguments).iter().map(|object| object["value"]["n"].as_i64().unwrap()).collect()
}

#[test]
fn every_form_of_a_place_begins_and_ends_where_it_says() {
    let topics = Topics::new("tail_places");
    let topic = ten(&topics);
    let read = |arguments: &[&str]| numbers(&topics, &[&[topic.as_str()], arguments].concat());
    let all: Vec<i64> = (0..10).collect();
    // Two partitions, merged by time.
    assert_eq!(read(&["--until-end"]), all);
    assert_eq!(read(&["--from", "beginning", "--to", "end"]), all);
    assert_eq!(read(&["--from", "end", "--until-end"]), Vec::<i64>::new());
    assert_eq!(read(&["--from", "-2", "--until-end"]), [6, 7, 8, 9]);
    assert_eq!(read(&["--from", "-100", "--until-end"]), all);
    assert_eq!(read(&["--from", "3", "--until-end"]), [6, 7, 8, 9]);
    assert_eq!(read(&["--from", "1", "--to", "3"]), [2, 3, 4, 5]);
    assert_eq!(read(&["--to", "-3"]), [0, 1, 2, 3]);
    assert_eq!(read(&["--to", "beginning"]), Vec::<i64>::new());
    assert_eq!(read(&["--from", "@2026-01-01T12:07", "--until-end"]), [7, 8, 9]);
    assert_eq!(read(&["--from", "@2026-01-01T13:02:30+01:00", "--to", "@2026-01-01 12:05"]), [3, 4]);
    assert_eq!(read(&["--from", "@2027-01-01", "--until-end"]), Vec::<i64>::new());
    assert_eq!(read(&["--from", "-10s", "--until-end"]), Vec::<i64>::new());
    assert_eq!(read(&["--partition", "1", "--until-end"]), [1, 3, 5, 7, 9]);
    assert_eq!(read(&["--from", "beginning", "-n", "3"]), [0, 1, 2]);
    assert_eq!(read(&["--key", "4", "--until-end"]), [4]);
    assert_eq!(read(&["--where", "value.n>=8 or offset=0", "--until-end"]), [0, 1, 8, 9]);
    let beyond = topics.tail(&[&topic, "--from", "7", "--until-end"]);
    assert!(beyond.stderr.contains("has the offsets 0 to 5"), "{beyond}");
    let missing = topics.invocation(&[&topic, "--partition", "2"]).run();
    assert_eq!(missing.status, Some(5), "{missing}");
    assert!(missing.stderr.contains("has no partition 2"), "{missing}");
}

#[test]
fn following_shows_the_last_ones_and_what_comes_in() {
    let topics = Topics::new("tail_follow");
    let topic = ten(&topics);
    let running = topics.invocation(&[&topic, "-n", "12", "--output", "json"]).spawn();
    // The last ten of each partition: all there is, then two that come in.
    let more = |n: i32| Record::new(&topic, &n.to_string(), &format!("{{\"n\":{n}}}")).at(0);
    topics.kafka.send([more(10), more(11)]);
    let outcome = running.ended();
    assert_eq!(outcome.status, Some(0), "{outcome}");
    let mut found: Vec<i64> = objects(&outcome).iter().map(|object| object["value"]["n"].as_i64().unwrap()).collect();
    found.sort_unstable();
    assert_eq!(found, (0..12).collect::<Vec<i64>>());
}

#[test]
fn an_end_that_lies_ahead_is_waited_for() {
    let topics = Topics::new("tail_ahead");
    let topic = ten(&topics);
    let by_offset =
        topics.invocation(&[&topic, "--partition", "0", "--from", "4", "--to", "6", "--output", "json"]).spawn();
    let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap();
    let moment = format!("@{}", now + 1_200_000);
    let mut by_time = topics.invocation(&[&topic, "--from", "end", "--to", &moment, "--output", "json"]).spawn();
    by_time.wait_for("reading");
    let mut late = Record::new(&topic, "11", "{\"n\":11}").at(0);
    // A broker takes what is up to an hour ahead.
    late.timestamp = Some(now + 1_800_000);
    let mut other = late.clone().at(1);
    other.timestamp = late.timestamp;
    topics.kafka.send([Record::new(&topic, "10", "{\"n\":10}").at(0), late, other]);
    let soon = topics.invocation(&[&topic, "--from", "end", "--to", &format!("@{}", now + 1000)]).run();
    assert_eq!((soon.status, soon.stdout.as_str()), (Some(0), ""), "{soon}");
    let outcome = by_offset.ended();
    let found: Vec<i64> = objects(&outcome).iter().map(|object| object["value"]["n"].as_i64().unwrap()).collect();
    assert_eq!((outcome.status, found), (Some(0), vec![8, 10]));
    let outcome = by_time.ended();
    let found: Vec<i64> = objects(&outcome).iter().map(|object| object["value"]["n"].as_i64().unwrap()).collect();
    assert_eq!((outcome.status, found), (Some(0), vec![10]));
}

#[test]
fn a_signal_or_a_closed_stdout_ends_it_quietly() {
    let topics = Topics::new("tail_ends");
    let topic = ten(&topics);
    let follow = |name: &str| {
        let mut running = topics.invocation(&[&topic, "--from", "beginning", "-v"]).spawn();
        running.wait_for("reading");
        running.signal(name);
        running.ended()
    };
    let outcome = follow("INT");
    assert_eq!(outcome.status, Some(0), "{outcome}");
    assert_eq!(follow("TERM").status, Some(0));
    let script = format!("\"$0\" tail {topic} --from beginning | head -n 1; echo ${{PIPESTATUS[0]}}");
    let output = std::process::Command::new("timeout")
        .args(["240", "bash", "-c", &script, env!("CARGO_BIN_EXE_pipectl")])
        .env("KAFKA_BROKERS", &topics.kafka.brokers)
        .current_dir(&topics.stage.directory.0)
        .output()
        .unwrap();
    let lines: Vec<String> = String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect();
    assert_eq!((lines.len(), lines.last().map(String::as_str)), (2, Some("0")), "{output:?}");
}

#[test]
fn topics_and_partitions_that_appear_later_are_read() {
    let topics = Topics::new("tail_later");
    let first = topics.kafka.topic("public.a", 1);
    topics.kafka.send([Record::new(&first, "1", "{\"n\":0}")]);
    let pattern = format!("{}.*", topics.kafka.prefix);
    let mut running = topics.invocation(&[&pattern, "-n", "3", "--output", "json"]).spawn();
    running.wait_for("reading 1 topic");
    let second = topics.kafka.topic("public.b", 1);
    topics.kafka.add_partitions(&first, 2);
    topics.kafka.send([Record::new(&second, "1", "{\"n\":1}"), Record::new(&first, "1", "{\"n\":2}").at(1)]);
    let outcome = running.ended();
    assert_eq!(outcome.status, Some(0), "{outcome}");
    let mut found: Vec<i64> = objects(&outcome).iter().map(|object| object["value"]["n"].as_i64().unwrap()).collect();
    found.sort_unstable();
    assert_eq!(found, [0, 1, 2]);
}
