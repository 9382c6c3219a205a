//! What is there to be run by hand is run: the SQL files as they are, and the calls of pipectl in docker-compose.yml as far as their words.

use crate::support::{Directory, Invocation, Stage, variable};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The files of a folder, by name, with their texts.
fn files(folder: &str) -> Vec<(String, String)> {
    let entries = fs::read_dir(root().join(folder)).unwrap_or_else(|error| panic!("{folder}: {error}"));
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| name.strip_suffix(".sql").is_some()).collect();
    names.sort();
    assert!(!names.is_empty(), "{folder} is empty");
    names.into_iter().map(|name| (name.clone(), read(&format!("{folder}/{name}")))).collect()
}

/// The project's own configuration for the databases of a stage, with its pipeline named after them.
fn configure(stage: &Stage) {
    let text = read("clickhouse_config.yml");
    let text = text.replace("pipeline: shop\n", &format!("pipeline: {}\n", stage.name));
    stage
        .directory
        .write("clickhouse_config.yml", &text.replace("  database: shop\n", &format!("  database: {}\n", stage.name)));
}

/// A shop in both servers, with an order changed and another deleted since it was copied.
fn followed(test: &str) -> Stage {
    let stage = Stage::new(test);
    configure(&stage);
    let run = |arguments: &[&str]| {
        let outcome = stage.pipectl(arguments);
        assert_eq!(outcome.status, Some(0), "{outcome}");
    };
    run(&["seed", "--create", "--yes", "--rows", "2000"]);
    run(&["sync", "--until-caught-up"]);
    stage.postgres.execute(
        "UPDATE orders SET status = 'returned' WHERE id = 1;
         DELETE FROM order_items WHERE order_id = 2; DELETE FROM payments WHERE order_id = 2; DELETE FROM orders WHERE id = 2",
    );
    run(&["sync", "--until-caught-up"]);
    stage
}

#[test]
fn queries_of_clickhouse_answer() {
    let stage = followed("sql_queries");
    // The table of dead letters is made by the first pipeline through Kafka.
    let letters = read("sql/clickhouse/create_dead_letters.sql").replace("{database:Identifier}", "{db}");
    stage.clickhouse.execute(&letters);
    stage.clickhouse.execute(
        "INSERT INTO {db}.pipectl_dead_letters (pipeline, topic, partition, offset, error) VALUES ('p', 't', 0, 1, 'e')",
    );
    for (name, text) in files("sql/clickhouse/queries") {
        let here = text.replace("shop.", "{db}.").replace("'shop'", &format!("'{}'", stage.name));
        assert_ne!(here, text, "{name} does not ask of the shop");
        let answer = stage.clickhouse.value(here.trim_end().trim_end_matches(';'));
        assert!(!answer.is_empty(), "{name} has no row");
    }
    let answer = |name: &str| {
        let text = read(&format!("sql/clickhouse/queries/{name}.sql")).replace("shop.", "{db}.");
        stage.clickhouse.value(text.trim_end().trim_end_matches(';'))
    };
    let counted: Vec<u64> = answer("versions").split('\t').map(|number| number.parse().unwrap()).collect();
    let [stored, keys, older, shown, deleted] = counted[..] else { panic!("{counted:?}") };
    assert_eq!(stage.postgres.value("SELECT count(*) FROM orders"), shown.to_string());
    assert_eq!((deleted, keys - shown, older), (1, 1, stored - keys));
    assert!(answer("deleted_rows").starts_with("2\t"));
    assert!(answer("tables_of_the_pipeline").lines().all(|line| line.contains("\tready\t")));
}

#[test]
fn queries_of_postgres_answer() {
    let stage = Stage::new("sql_postgres");
    configure(&stage);
    let seeded = stage.pipectl(&["seed", "--create", "--yes"]);
    assert_eq!(seeded.status, Some(0), "{seeded}");
    stage.postgres.execute("CREATE TABLE keyless (a int)");
    stage.postgres.execute(&read("sql/postgres/shop/publication.sql").replace("pipectl_shop", &stage.name));
    let slot = format!("SELECT pg_create_logical_replication_slot('{}', 'pgoutput')", stage.name);
    stage.postgres.rows(&slot);
    for (name, text) in files("sql/postgres/queries") {
        let rows = stage.admin.rows(&text);
        // Who follows the server is the other tests' affair, and may be nobody.
        assert!(!rows.is_empty() || name == "lag.sql", "{name} has no row");
    }
    let told = |name: &str| format!("{:?}", stage.admin.rows(&read(&format!("sql/postgres/queries/{name}.sql"))));
    let slots = told("slots");
    assert!(slots.contains(&stage.name), "{slots}");
    let identities = told("replica_identity");
    assert!(identities.contains("\"public.keyless\"), Some(\"nothing: no primary key\")"), "{identities}");
    assert!(identities.contains("\"public.orders\"), Some(\"the primary key\")"), "{identities}");
    assert_eq!(told("published").matches("insert, update, delete, truncate").count(), 7);
    stage.postgres.rows(&format!("SELECT pg_drop_replication_slot('{}')", stage.name));
}

/// A file as psql runs it, with a password for the role in its environment or none.
fn psql(stage: &Stage, file: &str, password: Option<&str>) -> (bool, String) {
    let mut url = variable("PIPECTL_PG_ADMIN_URL");
    url.truncate(url.rfind('/').unwrap() + 1);
    let mut command = Command::new("psql");
    command
        .args(["-X", "-q", &format!("{url}{}", stage.name), "-f"])
        .arg(root().join(file))
        .env_remove("PIPECTL_PASSWORD");
    if let Some(password) = password {
        command.env("PIPECTL_PASSWORD", password);
    }
    let done = command.output().unwrap_or_else(|error| panic!("psql: {error}"));
    (done.status.success(), String::from_utf8_lossy(&done.stderr).into_owned())
}

#[test]
fn a_new_server_gets_its_role_and_the_shop() {
    let stage = Stage::new("sql_setup");
    let role = "sql/postgres/setup/1_replication_role.sql";
    let (good, said) = psql(&stage, role, None);
    assert!(!good && said.contains("PIPECTL_PASSWORD is not set"), "{said}");
    // Its own password: the role belongs to all tests.
    let password = stage.postgres.settings.password.expose();
    for _ in 0..2 {
        for (file, password) in [(role, Some(password)), ("sql/postgres/setup/2_shop.sql", None)] {
            let (good, said) = psql(&stage, file, password);
            assert!(good, "{file}: {said}");
        }
    }
    let owned = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public' AND tableowner = 'pipectl'";
    assert_eq!(stage.admin.value(owned), "7");
    assert_eq!(
        stage
            .admin
            .value("SELECT rolcanlogin AND rolreplication AND NOT rolsuper FROM pg_roles WHERE rolname = 'pipectl'"),
        "t"
    );
    configure(&stage);
    let seeded = stage.pipectl(&["seed", "--create", "--yes", "--rows", "700"]);
    assert_eq!(seeded.status, Some(0), "the shop is taken for what it is: {seeded}");
}

#[test]
fn the_written_schema_is_the_one_that_is_made() {
    let stage = Stage::new("sql_schema");
    configure(&stage);
    let seeded = stage.pipectl(&["seed", "--create", "--yes"]);
    assert_eq!(seeded.status, Some(0), "{seeded}");
    let planned = stage.pipectl(&["create-tables", "--dry-run"]);
    assert_eq!(planned.status, Some(0), "{planned}");
    let code = |text: &str| text.lines().filter(|line| !line.starts_with("--")).collect::<Vec<_>>().join("\n");
    let written = read("sql/clickhouse/shop.sql");
    assert_eq!(code(&written), code(&planned.stdout).replace(&stage.name, "shop"));
    for statement in code(&written).split(';').filter(|statement| !statement.trim().is_empty()) {
        stage.clickhouse.execute(&statement.replace("`shop`", "{db}"));
    }
    let checked = stage.pipectl(&["create-tables", "--check"]);
    assert_eq!(checked.status, Some(0), "{checked}");
}

#[test]
fn compose_calls_pipectl_with_what_it_knows() {
    let text = read("docker-compose.yml");
    let calls = text.lines().filter_map(|line| line.trim().strip_prefix("command: [")?.strip_suffix(']'));
    // Superset's image has an entry point of its own.
    let calls: Vec<Vec<&str>> = calls
        .map(|words| words.split(',').map(|word| word.trim().trim_matches('"')).collect())
        .filter(|words: &Vec<&str>| !matches!(words[..], ["init" | "serve"]))
        .collect();
    assert!(calls.len() >= 4, "only {calls:?} were found");
    let directory = Directory::new("sql_compose");
    for call in calls {
        let verbs: Vec<&str> = call.iter().copied().take_while(|word| !word.starts_with('-')).collect();
        let help = Invocation::new(&directory, &[&verbs[..], &["--help"]].concat()).run();
        assert_eq!(help.status, Some(0), "{call:?}: {help}");
        for flag in call.iter().filter(|word| word.starts_with("--")) {
            assert!(
                help.stdout.contains(&format!("{flag} ")) || help.stdout.contains(&format!("{flag}\n")),
                "{call:?}: no {flag}"
            );
        }
    }
    for flag in ["--create", "--yes", "--rows", "--live", "--rate"] {
        assert!(text.contains(&format!("- {flag}")), "the service seed has no {flag}");
    }
}
