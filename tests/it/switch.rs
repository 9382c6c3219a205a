//! `pipectl switch`: from topics to the direct stream and back, while the application goes on.

use crate::support::{Connect, Kafka, Outcome, Running, Stage};
use crate::sync_recovery::{DOCS, Load};

/// One row that counts: in the order of the versions it may only grow.
const COUNTER: &str =
    "CREATE TABLE public.counter (id int PRIMARY KEY, n int NOT NULL); INSERT INTO public.counter VALUES (1, 0)";

fn stage(test: &str) -> (Stage, Kafka, Connect) {
    let stage = Stage::new(test);
    let kafka = Kafka::of(&stage);
    let connect = Connect::of(&stage);
    stage.config(&format!(
        "kafka:\n  brokers: {}\n  connect_url: {}\n  topic_prefix: {}\ntables:\n  - source: public.*\nsync:\n  heartbeat: 1s\n  batch: {{max_age: 100ms}}\n",
        kafka.brokers, connect.url, stage.name
    ));
    stage.postgres.execute(DOCS);
    stage.postgres.execute(COUNTER);
    (stage, kafka, connect)
}

fn good(outcome: Outcome) -> Outcome {
    assert_eq!(outcome.status, Some(0), "{outcome}");
    outcome
}

fn refused(outcome: &Outcome, words: &[&str]) {
    assert_eq!(outcome.status, Some(5), "{outcome}");
    for word in words {
        assert!(outcome.stderr.contains(word), "no \"{word}\": {outcome}");
    }
}

/// A sync of a side that has taken in changes of now.
fn running(stage: &Stage, source: &str) -> Running {
    let running = stage.invocation(&["sync", "--source", source]).spawn();
    let count = stage.postgres.value("UPDATE public.counter SET n = n + 1 RETURNING n");
    stage.wait_until("changes arrive", |stage| {
        stage.clickhouse.value("SELECT max(n) FROM {db}.counter").parse::<i64>().unwrap_or(0)
            >= count.parse::<i64>().unwrap()
    });
    running
}

fn stop(running: Running) {
    running.signal("TERM");
    good(running.ended());
}

fn equal(stage: &Stage, source: &str) {
    good(stage.pipectl(&["sync", "--source", source, "--until-caught-up"]));
    good(stage.pipectl(&["verify"]));
    let backwards = "SELECT count() FROM (SELECT n, max(n) OVER (ORDER BY _version ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS most \
                     FROM {db}.counter) WHERE n < most";
    assert_eq!(stage.clickhouse.value(backwards), "0", "the order of versions is the order of changes");
}

#[test]
fn a_pipeline_changes_its_transport_and_back_under_live_changes() {
    let (stage, _kafka, connect) = stage("switched");
    good(stage.pipectl(&["connector", "apply", "--yes"]));
    connect.wait_until_it_streams(&stage);
    good(stage.pipectl(&["sync", "--source", "kafka", "--until-caught-up"]));
    let load = Load::start(&stage.postgres.url);
    let by_kafka = running(&stage, "kafka");
    refused(&stage.pipectl(&["switch", "--to", "postgres"]), &["another pipectl works on slot", "pid"]);
    stop(by_kafka);

    let planned = good(stage.pipectl(&["switch", "--to", "postgres", "--dry-run"]));
    assert!(planned.stdout.contains("1. stop connector") && planned.stdout.contains("3. store"), "{planned}");
    assert_eq!(connect.status()["connector"]["state"], "RUNNING", "nothing was done");
    good(stage.pipectl(&["switch", "--to", "postgres"]));
    assert_eq!(connect.status()["connector"]["state"], "STOPPED");
    refused(&stage.pipectl(&["sync", "--source", "kafka"]), &["come by postgres", "switch --to kafka"]);

    let direct = running(&stage, "postgres");
    refused(&stage.pipectl(&["switch", "--to", "kafka"]), &["another pipectl works on slot", "pid"]);
    stop(direct);
    good(stage.pipectl(&["switch", "--to", "kafka"]));
    assert!(good(stage.pipectl(&["switch", "--to", "kafka"])).stdout.contains("already"));
    refused(&stage.pipectl(&["sync", "--source", "postgres"]), &["come by kafka", "switch --to postgres"]);
    let by_kafka = running(&stage, "kafka");
    load.stop();
    stop(by_kafka);
    equal(&stage, "kafka");
    good(stage.pipectl(&["switch", "--to", "postgres"]));
    stage.postgres.execute("UPDATE public.docs SET n = n + 1 WHERE id < 300; UPDATE public.counter SET n = n + 1");
    equal(&stage, "postgres");
}

#[test]
fn a_pipeline_that_began_directly_changes_over_and_a_table_without_a_key_keeps_it() {
    let (stage, _kafka, connect) = stage("switched_direct");
    stage.catch_up_and_verify();
    stage.postgres.execute("UPDATE public.docs SET n = n + 1 WHERE id < 300");
    stage.postgres.execute("CREATE TABLE public.nokey (v int)");
    let config = stage.directory.0.join("clickhouse_config.yml");
    let text = std::fs::read_to_string(&config).unwrap();
    let keyless = text.replace("tables:\n", "tables:\n  - {source: public.nokey, keyless: insert_only}\n");
    std::fs::write(&config, keyless).unwrap();
    let refusal = stage.pipectl(&["switch", "--to", "kafka"]);
    assert_eq!(refusal.status, Some(3), "{refusal}");
    assert!(refusal.stderr.contains("without a key") && refusal.stderr.contains("public.nokey"), "{refusal}");
    std::fs::write(&config, text).unwrap();
    stage.postgres.execute("DROP TABLE public.nokey");
    good(stage.pipectl(&["switch", "--to", "kafka"]));
    connect.wait_until_it_streams(&stage);
    stage
        .postgres
        .execute("UPDATE public.docs SET n = n + 1 WHERE id < 500; DELETE FROM public.docs WHERE id % 50 = 0");
    equal(&stage, "kafka");
}

#[cfg(feature = "failpoints")]
#[test]
fn a_switch_that_is_broken_off_goes_on() {
    let (stage, _kafka, connect) = stage("switch_broken");
    stage.catch_up_and_verify();
    let die = |to: &str, failpoint: &str| {
        let died = stage.invocation(&["switch", "--to", to]).env("PIPECTL_FAILPOINTS", failpoint).run();
        assert_eq!(died.status, None, "{died}");
    };
    for failpoint in ["switch.left", "switch.prepared", "switch.stored"] {
        stage.postgres.execute("UPDATE public.docs SET n = n + 1 WHERE id < 300");
        die("kafka", failpoint);
        assert_eq!(stage.pipectl(&["sync", "--source", "postgres"]).status, Some(5), "{failpoint}");
        stage.postgres.execute("UPDATE public.docs SET n = n + 1 WHERE id < 400; UPDATE public.counter SET n = n + 1");
    }
    good(stage.pipectl(&["switch", "--to", "kafka"]));
    connect.wait_until_it_streams(&stage);
    equal(&stage, "kafka");
    for failpoint in ["switch.stopped", "switch.left"] {
        stage.postgres.execute("UPDATE public.docs SET n = n + 1 WHERE id < 300");
        die("postgres", failpoint);
        stage.postgres.execute("UPDATE public.docs SET n = n + 1 WHERE id < 400; UPDATE public.counter SET n = n + 1");
    }
    good(stage.pipectl(&["switch", "--to", "postgres"]));
    equal(&stage, "postgres");
}

#[test]
fn a_connector_that_is_made_anew_on_an_old_topic_is_caught() {
    let (stage, _kafka, connect) = stage("made_anew");
    good(stage.pipectl(&["connector", "apply", "--yes"]));
    connect.wait_until_it_streams(&stage);
    stage.postgres.execute("UPDATE public.docs SET n = n + 1 WHERE id < 100");
    equal(&stage, "kafka");
    good(stage.pipectl(&["connector", "delete", "--drop-slot", "--yes"]));
    // What happens now is in no topic.
    stage.postgres.execute("DELETE FROM public.docs WHERE id % 10 = 0");
    good(stage.pipectl(&["connector", "apply", "--yes"]));
    connect.wait_until_it_streams(&stage);
    let caught = stage.pipectl(&["sync", "--source", "kafka", "--until-caught-up"]);
    assert_eq!(caught.status, Some(7), "{caught}");
    assert!(caught.stderr.contains("made anew"), "{caught}");
}
