//! Lists of topics and groups, and what is not there.

use crate::support::{Record, Topics, variable};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::{Offset, TopicPartitionList};

#[test]
fn topics_and_groups_are_listed_with_their_lag() {
    let topics = Topics::new("tail_lists");
    let topic = topics.kafka.topic("public.orders", 2);
    topics.kafka.send((0..5).map(|n| Record::new(&topic, &n.to_string(), "{}").at(0)));
    let group = format!("pipectl_{}", topics.kafka.prefix);
    let consumer: BaseConsumer =
        crate::support::Kafka::client(&topics.kafka.brokers).set("group.id", &group).create().unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(&topic, 0, Offset::Offset(2)).unwrap();
    consumer.commit(&list, CommitMode::Sync).unwrap();
    let listed = topics.tail(&["--topics", "--output", "json"]);
    let document: serde_json::Value = serde_json::from_str(&listed.stdout).unwrap();
    assert_eq!(document["version"], 1);
    let own = document["topics"].as_array().unwrap().iter().find(|found| found["topic"] == topic.as_str()).unwrap();
    assert_eq!((own["partitions"].as_i64(), own["records"].as_i64()), (Some(2), Some(5)), "{own}");
    assert_eq!((own["cleanup_policy"].as_str(), own["lag"][&group].as_i64()), (Some("delete"), Some(3)), "{own}");
    let drawn = topics.tail(&["orders", "--topics"]).stdout;
    assert!(drawn.contains("retention") && drawn.contains(&format!("{group}: 3")), "{drawn}");
    let groups = topics.tail(&["--groups"]).stdout;
    let line = groups.lines().find(|line| line.contains(&group)).unwrap();
    let words: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(words, [group.as_str(), "Empty", topic.as_str(), "0", "2", "5", "3"], "{groups}");
}

#[test]
fn what_is_not_there_or_makes_no_sense_is_refused() {
    let topics = Topics::new("tail_refused");
    let topic = topics.kafka.topic("public.orders", 1);
    let refused = |arguments: &[&str], status: i32, text: &str| {
        let outcome = topics.invocation(arguments).run();
        assert_eq!(outcome.status, Some(status), "{arguments:?}: {outcome}");
        assert!(outcome.stderr.contains(text), "{arguments:?}: {outcome}");
        assert_eq!(outcome.stdout, "", "{arguments:?}");
    };
    refused(&["ordres"], 5, &topic);
    refused(&[], 2, "say which topics");
    refused(&["/(/"], 2, "no regular expression");
    refused(&["orders", "--where", "op=u and status"], 2, "         ^ there is no \"status\"");
    refused(&["orders", "--from", "soon"], 2, "write beginning, end");
    refused(&["orders", "-X", "no.such.property=1"], 3, "no.such.property");
    refused(&["orders", "-X", "nonsense"], 2, "name=value");
    refused(&["orders", "--source", "postgres", "--from", "end"], 2, "--source postgres");
    refused(&["orders", "--publication", "p"], 2, "--source postgres");
    let nowhere = topics.invocation(&["orders"]).without("KAFKA_BROKERS").run();
    assert_eq!(nowhere.status, Some(3), "{nowhere}");
    assert!(nowhere.stderr.contains("nothing says where Kafka is"), "{nowhere}");
    refused(&["orders", "--brokers", "127.0.0.1:1"], 5, "could not list the topics of 127.0.0.1:1");
}

/// Any property of librdkafka can be given: here a login and TLS.
#[test]
fn properties_lead_to_brokers_with_a_login() {
    let topics = Topics::new("tail_login");
    let topic = topics.kafka.topic("public.orders", 1);
    topics.kafka.send([Record::new(&topic, "1", "{}")]);
    let brokers = variable("PIPECTL_KAFKA_SASL_BROKERS");
    let tail = |password: &str| {
        let properties = [
            "security.protocol=SASL_SSL".to_owned(),
            "sasl.mechanism=SCRAM-SHA-256".to_owned(),
            format!("sasl.username={}", variable("PIPECTL_KAFKA_USER")),
            format!("sasl.password={password}"),
            format!("ssl.ca.location={}", variable("PIPECTL_KAFKA_CA")),
        ];
        let mut arguments = vec![topic.as_str(), "--until-end", "--brokers", &brokers];
        arguments.extend(properties.iter().flat_map(|property| ["-X", property]));
        topics.invocation(&arguments).run()
    };
    let outcome = tail(&variable("PIPECTL_KAFKA_PASSWORD"));
    assert_eq!((outcome.status, outcome.stdout.lines().count()), (Some(0), 1), "{outcome}");
    let refused = tail("hunter2");
    assert_eq!((refused.status, refused.stderr.contains("hunter2")), (Some(5), false), "{refused}");
    assert!(refused.stderr.contains("check the login"), "{refused}");
}

#[test]
fn the_configuration_says_where_kafka_is_and_which_topics_are_meant() {
    let topics = Topics::new("tail_config");
    let topic = topics.kafka.topic("public.orders", 1);
    topics.kafka.send([Record::new(&topic, "1", "{}")]);
    topics.stage.config(&format!("kafka:\n  brokers: {}\ntables:\n  - source: public.*\n", topics.kafka.brokers));
    // The pipeline's name is what its topics begin with.
    let outcome = topics.invocation(&["--until-end", "--output", "json"]).without("KAFKA_BROKERS").run();
    assert_eq!(outcome.status, Some(0), "{outcome}");
    assert_eq!(super::objects(&outcome)[0]["topic"], topic.as_str());
    topics.stage.directory.write("clickhouse_config.yml", "pipeline: x\nkafka:\n  brokerz: y\n");
    let outcome = topics.invocation(&["--until-end"]).run();
    assert_eq!(outcome.status, Some(3), "{outcome}");
}
