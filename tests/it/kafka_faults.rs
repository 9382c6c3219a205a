//! Faults on the way through Kafka: whatever is killed, rewound or shared out anew, both sides are equal in the end.

use crate::support::{Connect, Kafka, OtherServers, Outcome, PATIENCE, Running, Stage};
use crate::sync_faults::stop;
use crate::sync_recovery::{DOCS, Load};
use std::time::{Duration, Instant};

/// A pipeline through Kafka, its servers' ends in the order in which they have to end.
struct Way {
    connect: Connect,
    kafka: Kafka,
    stage: Stage,
}

impl Way {
    fn new(test: &str) -> Self {
        let stage = Stage::new(test);
        let kafka = Kafka::of(&stage);
        Self { connect: Connect::of(&stage), kafka, stage }
    }

    fn on(servers: &OtherServers, test: &str) -> Self {
        let stage = Stage::on(&servers.urls(), test);
        let kafka = Kafka::at(&servers.variable("KAFKA_BROKERS"), &stage);
        Self { connect: Connect::at(&servers.variable("CONNECT_URL"), &stage), kafka, stage }
    }

    /// Tables with rows, the connector, and a process that has copied the rows.
    fn start(&self) -> Running {
        let Self { connect, kafka, stage } = self;
        stage.config(&format!(
            "tables:\n  - source: public.*\nkafka:\n  brokers: {}\n  connect_url: {}\n  connector: {{database.password: '$${{env:POSTGRES_PASSWORD}}'}}\n  \
             properties: {{session.timeout.ms: 6000}}\nsync:\n  source: kafka\n  heartbeat: 1s\n  batch: {{max_age: 100ms}}\n",
            kafka.brokers, connect.url
        ));
        stage.postgres.execute(DOCS);
        connect.apply(&Connect::debezium(
            stage,
            &[("skipped.operations", "none"), ("heartbeat.interval.ms", "1000"), ("offset.flush.interval.ms", "500")],
        ));
        let running = self.sync();
        self.wait_for_rows();
        running
    }

    fn sync(&self) -> Running {
        self.stage.invocation(&["sync"]).spawn()
    }

    fn wait_for_rows(&self) {
        let there = "SELECT count() FROM system.tables WHERE database = currentDatabase() AND name = 'docs'";
        self.stage.wait_until("the rows are copied", |stage| {
            let clickhouse = &stage.clickhouse;
            clickhouse.value(&there.replace("currentDatabase()", &format!("'{}'", stage.name))) == "1"
                && clickhouse.value("SELECT count() >= 2000 FROM {db}.docs") == "1"
        });
    }

    /// Waits until rows arrive that were not there before; tells what it can where they do not.
    fn changes_arrive(&self, after: &str, running: &Running) {
        const NEWEST: &str = "SELECT max(id) FROM {db}.docs WHERE id < 900000000";
        let before = self.stage.clickhouse.value(NEWEST);
        let deadline = Instant::now() + PATIENCE;
        while self.stage.clickhouse.value(NEWEST) == before {
            assert!(
                Instant::now() < deadline,
                "no changes arrive after {after}\n--- connector {}\n--- ends {:?}, committed {:?}\n--- sync\n{}",
                self.connect.status(),
                self.kafka.ends(&self.topic()),
                self.kafka.committed(&self.connect.name(), &self.topic()),
                running.told()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn topic(&self) -> String {
        self.kafka.name("public.docs")
    }

    /// As a crash would, in the middle of what it does; then again.
    fn kill_and_start_again(&self, running: Running) -> Running {
        running.signal("KILL");
        drop(running);
        self.sync()
    }

    /// Has it end by itself. Before it reads it does not listen to signals.
    fn stop(mut running: Running) {
        running.wait_for("partitions of");
        stop(running);
    }

    /// Both sides are equal, after everything that was written has gone through.
    fn prove(&self) -> Outcome {
        self.connect.wait_until_it_has_caught_up(&self.stage);
        self.stage.catch_up_and_verify()
    }
}

#[test]
fn a_broker_and_a_worker_that_are_killed_cost_nothing_but_time() {
    let servers = OtherServers::with_kafka("kafka-faults");
    let way = Way::on(&servers, "kafka_killed");
    let mut running = way.start();
    let load = Load::start(&way.stage.postgres.url);
    way.changes_arrive("the start", &running);
    for killed_meanwhile in [false, true] {
        for server in ["kafka", "connect"] {
            servers.kill(server);
            if killed_meanwhile {
                running = way.kill_and_start_again(running);
            }
            servers.start(server);
            way.changes_arrive(&format!("a kill of {server}, itself killed: {killed_meanwhile}"), &running);
        }
    }
    load.stop();
    Way::stop(running);
    way.prove();
}

#[test]
fn processes_that_come_and_go_share_the_partitions() {
    let way = Way::new("kafka_shared");
    way.kafka.topic("public.docs", 4);
    let first = way.start();
    let load = Load::start(&way.stage.postgres.url);
    way.changes_arrive("the start", &first);
    let second = way.sync();
    way.changes_arrive("another has joined", &first);
    // The group learns of it when the session has timed out.
    let first = way.kill_and_start_again(first);
    way.changes_arrive("a kill", &first);
    Way::stop(second);
    way.changes_arrive("the other has left", &first);
    let second = way.sync();
    let first = way.kill_and_start_again(first);
    let second = way.kill_and_start_again(second);
    way.changes_arrive("a kill of both", &first);
    load.stop();
    Way::stop(first);
    Way::stop(second);
    way.prove();
}

#[test]
fn partitions_that_are_added_are_read_too() {
    let way = Way::new("kafka_more");
    let mut running = way.start();
    let load = Load::start(&way.stage.postgres.url);
    let topic = way.topic();
    for partitions in [2, 5] {
        way.kafka.add_partitions(&topic, partitions);
        // The producer hears of them when it asks again, every five minutes unless it starts anew.
        way.connect.restart();
        way.stage.wait_until("records in every partition", |_| way.kafka.ends(&topic).iter().all(|end| *end > 0));
        way.changes_arrive("partitions were added", &running);
        running = way.kill_and_start_again(running);
    }
    load.stop();
    Way::stop(running);
    way.prove();
}

#[test]
fn everything_again_from_offset_0_changes_nothing() {
    let way = Way::new("kafka_rewound");
    let running = way.start();
    let load = Load::start(&way.stage.postgres.url);
    way.changes_arrive("the start", &running);
    load.stop();
    Way::stop(running);
    way.prove();
    let topics: Vec<String> = ["docs", "scratch"].map(|table| way.kafka.name(&format!("public.{table}"))).to_vec();
    for killed in [false, true] {
        let ends: Vec<Vec<i64>> = topics.iter().map(|topic| way.kafka.ends(topic)).collect();
        for topic in &topics {
            way.kafka.commit(&way.connect.name(), topic, 0);
        }
        way.stage
            .clickhouse
            .execute("ALTER TABLE {db}.pipectl_state DELETE WHERE kind = 'offset' SETTINGS mutations_sync = 2");
        if killed {
            let running = way.sync();
            way.stage.wait_until("it reads", |_| way.kafka.committed(&way.connect.name(), &topics[0])[0] > 0);
            running.signal("KILL");
        }
        let outcome = way.prove();
        let is_committed = |_: &Stage| {
            topics.iter().zip(&ends).all(|(topic, ends)| way.kafka.committed(&way.connect.name(), topic) >= *ends)
        };
        if killed {
            // It may have stored everything and committed nothing of it: whoever reads next commits.
            let running = way.sync();
            way.stage.wait_until("everything is committed", is_committed);
            Way::stop(running);
        } else {
            assert!(!outcome.stderr.contains(" 0 rows of changes stored"), "{outcome}");
            assert!(is_committed(&way.stage));
        }
    }
}
