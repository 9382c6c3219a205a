//! `--source postgres`.

use super::objects;
use crate::support::Stage;

#[test]
fn changes_come_straight_from_a_slot_that_goes_again() {
    let stage = Stage::new("tail_postgres");
    stage.postgres.execute(
        "CREATE TABLE public.orders (id bigint PRIMARY KEY, status text, total numeric(10,2), note text);
         CREATE TABLE public.full_rows (id bigint PRIMARY KEY, status text);
         ALTER TABLE public.full_rows REPLICA IDENTITY FULL;
         CREATE TABLE public.other (id bigint PRIMARY KEY);
         CREATE PUBLICATION mine FOR TABLE public.orders, public.full_rows, public.other",
    );
    let arguments =
        ["tail", "orders", "full*", "--source", "postgres", "--publication", "mine", "--output", "json", "-n", "8"];
    let mut running = stage.invocation(&arguments).spawn();
    running.wait_for("showing what is committed from now on");
    assert_eq!(stage.admin.value("SELECT count(*) FROM pg_replication_slots WHERE temporary AND slot_name LIKE 'pipectl_tail_%' AND database = current_database()"), "1");
    stage.postgres.execute(
        "INSERT INTO public.other VALUES (1);
         INSERT INTO public.orders SELECT 1, 'new', 10.00, string_agg(md5(n::text), '') FROM generate_series(1, 300) n;
         UPDATE public.orders SET status = 'paid';
         UPDATE public.orders SET id = 2;
         DELETE FROM public.orders;
         INSERT INTO public.full_rows VALUES (1, 'a');
         UPDATE public.full_rows SET status = 'b';
         DELETE FROM public.full_rows;
         TRUNCATE public.orders, public.other",
    );
    let outcome = running.ended();
    assert_eq!(outcome.status, Some(0), "{outcome}");
    let found = objects(&outcome);
    let ops: Vec<&str> = found.iter().map(|object| object["op"].as_str().unwrap()).collect();
    assert_eq!(ops, ["c", "u", "u", "d", "c", "u", "d", "t"], "{outcome}");
    assert!(outcome.stdout.contains("\"total\":10.00"), "{outcome}");
    assert_eq!(found[1]["unchanged"], serde_json::json!(["note"]));
    assert_eq!((&found[2]["other_key"], &found[2]["key"]["id"]), (&"{\"id\":1}".into(), &2.into()));
    assert_eq!((&found[3]["key"]["id"], found[3].get("before")), (&2.into(), None));
    assert_eq!((&found[5]["changed"], &found[5]["before"]["status"]), (&serde_json::json!(["status"]), &"a".into()));
    assert_eq!(found[6]["before"]["status"], "b");
    stage.wait_until("the slot is gone", |stage| {
        stage.admin.value("SELECT count(*) FROM pg_replication_slots WHERE database = current_database()") == "0"
    });
}

#[test]
fn without_a_publication_it_says_what_to_do() {
    let stage = Stage::new("tail_publication");
    let none = stage.pipectl(&["tail", "--source", "postgres"]);
    assert_eq!(none.status, Some(5), "{none}");
    assert!(none.stderr.contains("CREATE PUBLICATION"), "{none}");
    stage.postgres.execute("CREATE TABLE t (id int PRIMARY KEY); CREATE PUBLICATION another FOR TABLE t");
    let named = stage.pipectl(&["tail", "--source", "postgres"]);
    assert!(named.status == Some(5) && named.stderr.contains("there are: another"), "{named}");
}

#[test]
fn a_signal_ends_it_and_its_slot() {
    let stage = Stage::new("tail_pg_signal");
    stage.postgres.execute("CREATE TABLE t (id int PRIMARY KEY); CREATE PUBLICATION mine FOR TABLE t");
    let mut running = stage.invocation(&["tail", "--source", "postgres", "--publication", "mine"]).spawn();
    running.wait_for("showing what is committed from now on");
    running.signal("INT");
    let outcome = running.ended();
    assert_eq!(outcome.status, Some(0), "{outcome}");
    stage.wait_until("the slot is gone", |stage| {
        stage.admin.value("SELECT count(*) FROM pg_replication_slots WHERE database = current_database()") == "0"
    });
}
