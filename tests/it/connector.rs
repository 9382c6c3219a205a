//! `pipectl connector` on a real Kafka Connect with Debezium.

use crate::support::{Connect, Kafka, Outcome, Stage, variable};
use serde_json::Value;

const KAFKA: &str = "kafka: {brokers: '${KAFKA_BROKERS}', connect_url: '${CONNECT_URL}'}\n";

/// A stage whose configuration has a connector; its topics and the connector go with the test.
struct Fixture {
    connect: Connect,
    kafka: Kafka,
    stage: Stage,
}

impl Fixture {
    fn new(test: &str) -> Self {
        let stage = Stage::new(test);
        let kafka = Kafka::of(&stage);
        let connect = Connect::of(&stage);
        stage.config(&format!("{KAFKA}tables: [public.*]\n"));
        Self { connect, kafka, stage }
    }

    fn pipectl(&self, arguments: &[&str]) -> Outcome {
        invocation(&self.stage, arguments).run()
    }

    fn good(&self, arguments: &[&str]) -> Outcome {
        let outcome = self.pipectl(arguments);
        assert_eq!(outcome.status, Some(0), "{arguments:?}: {outcome}");
        outcome
    }

    fn slots(&self) -> String {
        self.stage.admin.value(&format!(
            "SELECT count(*) FROM pg_replication_slots WHERE slot_name = 'pipectl_{}'",
            self.stage.name
        ))
    }
}

fn invocation(stage: &Stage, arguments: &[&str]) -> crate::support::Invocation {
    stage
        .invocation(arguments)
        .env("KAFKA_BROKERS", &variable("KAFKA_BROKERS"))
        .env("CONNECT_URL", &variable("CONNECT_URL"))
}

fn json(outcome: &Outcome) -> Value {
    let document: Value = serde_json::from_str(&outcome.stdout).unwrap_or_else(|error| panic!("{error}: {outcome}"));
    assert_eq!(document["version"], 1);
    document
}

#[test]
fn applying_twice_changes_nothing_and_a_change_is_shown_first() {
    let it = Fixture::new("connector_twice");
    it.stage.postgres.execute("CREATE TABLE public.orders (id bigint PRIMARY KEY, note text, secret text)");
    let password = &it.stage.postgres.settings.password.expose().to_owned();
    let dry = it.good(&["connector", "apply", "--dry-run"]);
    assert!(dry.stdout.contains("table.include.list=public\\.orders\n"), "{dry}");
    assert!(!dry.stdout.contains(password.as_str()), "the password is shown");
    assert_eq!(it.slots(), "0", "--dry-run did something");
    let missing = it.pipectl(&["connector", "apply", "--check"]);
    assert_eq!(missing.status, Some(4), "{missing}");
    let made = it.good(&["connector", "apply", "--output", "json"]);
    let document = json(&made);
    assert_eq!((&document["action"], &document["state"]), (&"created".into(), &"streaming".into()), "{made}");
    // The stack's worker knows the password by its own variable, so it is not sent.
    assert_eq!(document["config"]["database.password"], "${env:POSTGRES_PASSWORD}");
    let again = it.good(&["connector", "apply", "--output", "json"]);
    assert_eq!(json(&again)["action"], "unchanged");
    it.good(&["connector", "apply", "--check"]);
    it.stage.config(&format!(
        "{KAFKA_WITH}tables:\n  - {{source: public.orders, columns: {{secret: {{exclude: true}}}}}}\n",
        KAFKA_WITH = KAFKA.replace("'}\n", "', connector: {max.batch.size: 1024}}\n")
    ));
    let differs = it.pipectl(&["connector", "apply", "--check"]);
    assert_eq!(differs.status, Some(4), "{differs}");
    assert!(differs.stdout.contains("\n  column.exclude.list: (not set) -> public\\.orders\\.secret"), "{differs}");
    assert!(differs.stdout.contains("\n  max.batch.size: 8192 -> 1024"), "{differs}");
    let unasked = it.pipectl(&["connector", "apply"]);
    assert_eq!(unasked.status, Some(2), "nobody said yes: {unasked}");
    let changed = it.good(&["connector", "apply", "--yes", "--output", "json"]);
    assert_eq!((&json(&changed)["action"], &json(&changed)["state"]), (&"changed".into(), &"streaming".into()));
    it.good(&["connector", "apply", "--check"]);
    // The connector captures the table, and nobody sends it.
    let check = |wrong: &str| {
        let differs = it.pipectl(&["connector", "apply", "--check"]);
        assert_eq!(differs.status, Some(4), "{differs}");
        assert!(
            differs.stdout.contains(&format!("is as configured\nthe publication differs:\n  {wrong}")),
            "{differs}"
        );
        let differs = it.pipectl(&["connector", "apply", "--check", "--output", "json"]);
        assert_eq!((&json(&differs)["as_configured"], differs.status), (&false.into(), Some(4)), "{differs}");
    };
    let publication = format!("pipectl_{}", it.stage.name);
    it.stage.postgres.execute(&format!("ALTER PUBLICATION {publication} DROP TABLE public.orders"));
    check("it lacks public.orders");
    it.good(&["connector", "apply", "--yes"]);
    it.good(&["connector", "apply", "--check"]);
    it.stage.postgres.execute(&format!("ALTER PUBLICATION {publication} SET (publish = 'insert')"));
    check("it does not send every kind of change");
    it.stage
        .postgres
        .execute(&format!("ALTER PUBLICATION {publication} SET (publish = 'insert, update, delete, truncate')"));
    it.good(&["connector", "apply", "--check"]);
}

#[test]
fn changes_arrive_and_an_idle_database_holds_no_log_back() {
    let it = Fixture::new("connector_arrive");
    it.stage.postgres.execute("CREATE TABLE public.orders (id bigint PRIMARY KEY, n numeric)");
    it.stage.postgres.execute("INSERT INTO public.orders VALUES (1, 'NaN')");
    it.stage.config(&format!("{KAFKA}tables: [public.*]\nsync: {{heartbeat: 1s}}\n"));
    it.good(&["connector", "apply"]);
    it.stage.postgres.execute("INSERT INTO public.orders VALUES (2, 1.50)");
    it.stage.postgres.execute("TRUNCATE public.orders");
    let topic = format!("{}.public.orders", it.stage.name);
    it.kafka.wait_for(&topic, 3);
    let records = it.kafka.read(&topic);
    let ops: Vec<(String, String)> = records
        .iter()
        .map(|record| {
            let value: Value = serde_json::from_str(&record.text()).unwrap();
            (value["op"].as_str().unwrap().to_owned(), value["after"]["n"].as_str().unwrap_or_default().to_owned())
        })
        .collect();
    let expected = [("r", "NAN"), ("c", "1.50"), ("t", "")].map(|(op, n)| (op.to_owned(), n.to_owned()));
    assert_eq!(ops, expected);
    // Nobody writes any more but the heartbeat, and what it writes moves the slot.
    let lsn = it.stage.admin.value("SELECT pg_current_wal_lsn()");
    let confirmed = format!(
        "SELECT confirmed_flush_lsn > '{lsn}'::pg_lsn FROM pg_replication_slots WHERE slot_name = 'pipectl_{}'",
        it.stage.name
    );
    it.stage.wait_until("the heartbeat moved the slot", |stage| stage.admin.value(&confirmed) == "t");
}

#[test]
fn a_wrong_password_is_said_and_not_shown() {
    let it = Fixture::new("connector_password");
    it.stage.postgres.execute("CREATE TABLE public.orders (id bigint PRIMARY KEY)");
    it.stage.config(&format!(
        "{}tables: [public.*]\n",
        KAFKA.replace("'}\n", "', connector: {database.password: hunter2hunter2}}\n")
    ));
    let refused = it.pipectl(&["connector", "apply"]);
    assert_eq!(refused.status, Some(5), "{refused}");
    assert!(refused.stderr.contains("password authentication failed"), "{refused}");
    assert!(refused.stderr.contains("hint: check `postgres.url`"), "{refused}");
    assert!(!refused.stderr.contains("hunter2"), "{refused}");
    assert_eq!(it.slots(), "0");
}

#[test]
fn a_dead_connect_is_named() {
    let it = Fixture::new("connector_dead");
    it.stage.postgres.execute("CREATE TABLE public.orders (id bigint PRIMARY KEY)");
    let dead = invocation(&it.stage, &["connector", "apply"]).env("CONNECT_URL", "http://me:hunter2@127.0.0.1:9").run();
    assert_eq!(dead.status, Some(5), "{dead}");
    assert!(dead.stderr.contains("could not reach Kafka Connect at http://127.0.0.1:9"), "{dead}");
    assert!(!dead.stderr.contains("hunter2"), "{dead}");
    let none = invocation(&it.stage, &["connector", "status"]).run();
    assert_eq!(none.status, Some(3), "{none}");
    assert!(none.stderr.contains("there is no connector"), "{none}");

    it.stage.config(&format!("{KAFKA}tables: [public.*]\nsync: {{source: kafka}}\n"));
    let none = it.good(&["status"]);
    assert!(none.stdout.contains(&format!("\nconnector   \"{}\" is not there: ", it.connect.name())), "{none}");
    let dead = invocation(&it.stage, &["status"]).env("CONNECT_URL", "http://me:hunter2@127.0.0.1:9").run();
    assert_eq!(dead.status, Some(0), "{dead}");
    let told = dead.stdout.contains("\", not asked: ")
        && dead.stdout.contains("could not reach Kafka Connect at http://127.0.0.1:9");
    assert!(told, "{dead}");
    assert!(!dead.stdout.contains("hunter2"), "{dead}");
}

#[test]
fn a_task_that_fails_says_why_and_a_restart_mends_it() {
    let it = Fixture::new("connector_fails");
    it.stage.postgres.execute("CREATE TABLE public.orders (id bigint PRIMARY KEY)");
    it.good(&["connector", "apply"]);
    it.stage.config(&format!("{KAFKA}tables: [public.*]\nsync: {{source: kafka}}\n"));
    let line = format!("\nconnector   \"{}\" running, its task running\n", it.connect.name());
    let status = it.good(&["status"]);
    assert!(status.stdout.contains(&line), "{status}");
    // The publication goes while the connector rests: the stream cannot begin again.
    it.good(&["connector", "pause"]);
    // Connect takes the order, and carries it out a little later.
    it.stage.wait_until("it rests", |_| {
        let paused = it.pipectl(&["connector", "status", "--output", "json"]);
        json(&paused)["state"]["state"] == "paused" && paused.status == Some(4)
    });
    it.stage.admin.execute(&format!("DROP PUBLICATION pipectl_{}", it.stage.name));
    it.good(&["connector", "resume"]);
    it.good(&["connector", "restart"]);
    let mut report = Value::Null;
    it.stage.wait_until("the task fails", |_| {
        report = json(&it.pipectl(&["connector", "status", "--output", "json"]));
        report["tasks"][0]["state"] == "failed"
    });
    let error = report["tasks"][0]["error"].as_str().unwrap();
    assert!(!error.contains("\tat ") && !error.contains('\n'), "{error}");
    assert!(error.to_lowercase().contains("publication"), "{error}");
    assert!(report["tasks"][0]["hint"].as_str().unwrap().contains("connector apply"), "{report}");
    let status = it.good(&["status"]);
    let line = format!("\nconnector   \"{}\" running, its task failed: {error}\n", it.connect.name());
    assert!(status.stdout.contains(&line), "{status}");
    let document = json(&it.good(&["status", "--output", "json"]));
    let connector = &document["connector"];
    assert_eq!((&connector["running"], &connector["tasks"][0]["error"]), (&false.into(), &error.into()), "{document}");
}

#[test]
fn deleting_takes_slot_and_offsets_away() {
    let it = Fixture::new("connector_delete");
    it.stage.postgres.execute("CREATE TABLE public.orders (id bigint PRIMARY KEY)");
    it.stage.postgres.execute("INSERT INTO public.orders VALUES (1)");
    it.good(&["connector", "apply"]);
    let topic = format!("{}.public.orders", it.stage.name);
    it.kafka.wait_for(&topic, 1);
    let unasked = it.pipectl(&["connector", "delete"]);
    assert_eq!(unasked.status, Some(2), "nobody said yes: {unasked}");
    let deleted = it.good(&["connector", "delete", "--drop-slot", "--drop-publication", "--yes", "--output", "json"]);
    let document = json(&deleted);
    assert_eq!((&document["offsets"], it.slots().as_str()), (&true.into(), "0"), "{deleted}");
    assert_eq!(document["publication"], format!("pipectl_{}", it.stage.name));
    assert_eq!(it.connect.status()["error_code"], 404);
    // With its stored position a connector of this name would go on, and copy nothing.
    it.good(&["connector", "apply"]);
    it.kafka.wait_for(&topic, 2);
    assert!(it.kafka.read(&topic).iter().all(|record| record.text().contains("\"op\":\"r\"")));
    let dropped = it.good(&["drop", "--yes", "--output", "json"]);
    assert_eq!(json(&dropped)["connector"], format!("pipectl_{}", it.stage.name));
    assert_eq!(it.slots(), "0");
}

#[test]
fn a_slot_of_somebody_else_is_not_taken() {
    let it = Fixture::new("connector_slot");
    it.stage.postgres.execute("CREATE TABLE public.orders (id bigint PRIMARY KEY)");
    it.good(&["sync", "--until-caught-up"]);
    let refused = it.pipectl(&["connector", "apply"]);
    assert_eq!(refused.status, Some(5), "{refused}");
    assert!(refused.stderr.contains("is there already, and no connector that reads it"), "{refused}");
    let taken = it.good(&["connector", "apply", "--use-existing-slot", "--wait", "90s", "--output", "json"]);
    assert_eq!(json(&taken)["state"], "streaming");
}

#[test]
fn a_table_that_joins_is_published_and_captured() {
    let it = Fixture::new("connector_join");
    it.stage.postgres.execute("CREATE TABLE public.orders (id bigint PRIMARY KEY)");
    it.stage.postgres.execute("CREATE TABLE public.bare (v int)");
    it.stage.config(&format!("{KAFKA}tables: [{{source: public.*, keyless: insert_only}}]\n"));
    let first = it.good(&["connector", "apply"]);
    assert!(first.stderr.contains("public.bare is left out"), "{first}");
    it.stage.postgres.execute("ALTER TABLE public.bare REPLICA IDENTITY FULL");
    let joined = it.good(&["connector", "apply", "--yes", "--output", "json"]);
    assert_eq!(json(&joined)["config"]["provide.transaction.metadata"], "true");
    assert!(joined.stderr.contains("added public.bare to publication"), "{joined}");
    it.stage.postgres.execute("INSERT INTO public.bare VALUES (7)");
    it.kafka.wait_for(&format!("{}.public.bare", it.stage.name), 1);
}

/// Values at the edges of what their types hold, as far as ClickHouse holds them.
const EDGES: &str = "CREATE TYPE public.mood AS ENUM ('sad', 'ok, very');
    CREATE TABLE public.edges (id int PRIMARY KEY, amount numeric(20, 4), free numeric, cash money, real4 real,
        real8 double precision, day date, at timestamp, at0 timestamp(0), at3 timestamptz(3), clock time, clock3 time(3),
        span interval, raw bytea, flags bit(8), flag bit(1), uid uuid, doc jsonb, plain json, net inet, mac macaddr,
        mood public.mood, low int4range, many int4multirange, lsn pg_lsn, query tsquery, area box, words text[],
        numbers numeric[], days date[], title name, fixed char(5), long text);
    ALTER TABLE public.edges ALTER long SET STORAGE EXTERNAL;";
const ROWS: &str = "INSERT INTO public.edges VALUES
    (@ + 1, 9999999999999999.9999, 123456789012345678901234567890.123456789, '$1,234.56', 1.5e-30,
        0.1, '1970-01-01', '2024-02-29 13:14:15.123456', '2024-02-29 13:14:15', '2024-02-29 13:14:15.123+02', '24:00:00', '13:14:15.123',
        '1 year 2 mons 3 days 04:05:06.789', '\\x00ff10', B'10100000', B'1', '6f1c1a52-7c1c-4f6b-9c53-8a0c7b5b0f0a',
        '{\"b\": 1, \"a\": [1, 2.50, null]}', '{\"b\": 1,  \"b\": 2}', '192.168.1.5/24', '08:00:2b:01:02:03',
        'ok, very', '[1,10)', '{[1,3),[7,9)}', '16/B374D848', $$'fat' & 'rat'$$, '((2,3),(0,1))', ARRAY['a,b', NULL, ''],
        ARRAY[1.10, -2], ARRAY['2024-02-29'::date], 'a_name', 'ab', repeat(md5('x'), 200)),
    (@ + 2, -0.0001, -0.000001, '-$0.01', 'NaN',
        '-Infinity', '2149-06-06', '1970-01-01', '1970-01-01', '1970-01-01 00:00:00+00', '00:00:00', '23:59:59.999',
        '-1 mons +2 days -03:00:00', '', B'00000001', B'0', '00000000-0000-0000-0000-000000000000',
        '[]', 'null', '::1', '00:00:00:00:00:00',
        'sad', 'empty', '{}', '0/0', $$'a'$$, '((1,1),(1,1))', '{}',
        '{}', '{}', '', '', '');
    INSERT INTO public.edges (id) VALUES (@ + 3)";

#[test]
fn what_it_sets_loses_nothing() {
    let it = Fixture::new("connector_lossless");
    it.stage.postgres.execute(EDGES);
    it.stage.postgres.execute(&ROWS.replace('@', "0"));
    it.stage.postgres.execute(
        "CREATE TABLE public.\"Some Where\" (id int PRIMARY KEY, region text, n int DEFAULT 3, v text DEFAULT 'x');
         ALTER TABLE public.\"Some Where\" REPLICA IDENTITY FULL;
         INSERT INTO public.\"Some Where\" SELECT g, CASE g % 2 WHEN 0 THEN 'EU' ELSE 'US' END, NULLIF(g, 4), NULL FROM generate_series(1, 10) AS g",
    );
    // What a database sets for its sessions decides nothing.
    let hostile =
        "ALTER DATABASE \"@\" SET intervalstyle = 'iso_8601'; ALTER DATABASE \"@\" SET bytea_output = 'escape';
        ALTER DATABASE \"@\" SET datestyle = 'SQL, DMY'";
    it.stage.admin.execute(&hostile.replace('@', &it.stage.name));
    let tables = "tables: [edges, {source: public.Some Where, target: filtered, where: \"region = 'EU'\"}]";
    it.stage.config(&format!("{KAFKA}{tables}\nsync: {{source: kafka, heartbeat: 1s}}\n"));
    let applied = it.good(&["connector", "apply"]);
    assert!(!applied.stderr.contains("column public.edges"), "{applied}");
    it.stage.postgres.execute(&ROWS.replace('@', "100"));
    it.stage.postgres.execute("UPDATE public.\"Some Where\" SET n = NULL WHERE id = 6; UPDATE public.\"Some Where\" SET region = 'US' WHERE id = 8");
    it.stage.postgres.execute("INSERT INTO public.\"Some Where\" VALUES (11, 'US', 1, 'u'), (12, 'EU', NULL, NULL)");
    it.stage.postgres.execute("UPDATE public.edges SET flag = B'1'");
    it.good(&["sync", "--until-caught-up"]);
    let verified = it.pipectl(&["verify", "--show-values"]);
    assert_eq!(verified.status, Some(0), "{verified}");
    let count = format!("SELECT count() FROM `{}`.edges FINAL", it.stage.name);
    assert_eq!(it.stage.clickhouse.value(&count), "6");
    let filtered =
        format!("SELECT groupArray((id, n, v)) FROM (SELECT * FROM `{}`.filtered FINAL ORDER BY id)", it.stage.name);
    assert_eq!(
        it.stage.clickhouse.value(&filtered),
        "[(2,2,NULL),(4,NULL,NULL),(6,NULL,NULL),(10,10,NULL),(12,NULL,NULL)]"
    );
}
