//! Members of the group that are static: what appears while they are away is read when they are back.

use crate::support::{Outcome, Piped, Running};

/// The session outlives whatever the test takes: while it lasts, the group is not told that a member went away.
fn configure(piped: &Piped, member: &str) {
    let properties = format!("  properties: {{group.instance.id: {member}, session.timeout.ms: 300000}}\n");
    piped.configure(&properties, "tables:\n  - source: public.*\n");
}

fn start(piped: &Piped, member: &str) -> Running {
    configure(piped, member);
    let mut running = piped.call(&["sync"]).spawn();
    running.wait_for("partitions of");
    running
}

fn stop(running: Running) -> Outcome {
    running.signal("TERM");
    let ended = running.ended();
    assert_eq!(ended.status, Some(0), "{ended}");
    ended
}

#[test]
fn a_topic_that_appeared_while_a_static_member_was_away_is_read() {
    let tables = "CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY); INSERT INTO a VALUES (0)";
    let piped = Piped::new("static_topic", tables, &[]);
    configure(&piped, "only");
    piped.sync();
    piped.stage.postgres.execute("INSERT INTO b VALUES (1)");
    piped.kafka.wait_for(&piped.topic("b"), 1);
    piped.sync();
    piped.equal();
    // With nothing new, it goes on with what it has.
    piped.stage.postgres.execute("INSERT INTO a VALUES (2); INSERT INTO b VALUES (2)");
    let outcome = piped.sync();
    assert_eq!(outcome.stderr.matches("partitions of").count(), 1, "{outcome}");
    piped.equal();
}

#[test]
fn partitions_that_appeared_while_all_members_were_away_are_shared_out() {
    let tables =
        "CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY); CREATE TABLE c (id int PRIMARY KEY);
        INSERT INTO a SELECT generate_series(1, 9); INSERT INTO b SELECT generate_series(1, 9)";
    let piped = Piped::new("static_shared", tables, &[]);
    let members = ["one", "two"];
    for running in members.map(|member| start(&piped, member)) {
        stop(running);
    }
    let topic = piped.topic("a");
    piped.kafka.add_partitions(&topic, 3);
    // The producer hears of them when it starts anew.
    piped.connect.restart();
    piped.stage.postgres.execute("INSERT INTO c SELECT generate_series(1, 9)");
    let mut next = 10;
    piped.stage.wait_until("records in every partition", |stage| {
        stage.postgres.execute(&format!("INSERT INTO a SELECT generate_series({next}, {next} + 9)"));
        next += 10;
        piped.kafka.ends(&topic).iter().all(|end| *end > 0)
    });
    let both = members.map(|member| start(&piped, member));
    piped.connect.wait_until_it_has_caught_up(&piped.stage);
    let rows = piped.stage.postgres.value("SELECT count(*) FROM a");
    piped.stage.wait_until("all of it is stored", |stage| {
        let count = |table: &str| stage.clickhouse.try_value(&format!("SELECT count() FROM {{db}}.{table} FINAL"));
        count("a").as_deref() == Some(&rows) && count("c").as_deref() == Some("9")
    });
    piped.equal();
    for running in both {
        stop(running);
    }
}
