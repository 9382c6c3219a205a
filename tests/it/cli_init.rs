//! `pipectl init`.

use crate::support::{Directory, Invocation, Stage, variable};
use std::os::unix::fs::PermissionsExt;

const TABLES: &str = "CREATE TABLE orders (id bigint PRIMARY KEY, note text);
CREATE TABLE visits (at timestamptz, path text);
CREATE SCHEMA sales; CREATE TABLE sales.\"Big Deals\" (a int, b int, PRIMARY KEY (b, a));
INSERT INTO orders SELECT n, 'x' FROM generate_series(1, 2000) n; ANALYZE orders;";

#[test]
fn writes_what_is_there_and_loads_again() {
    let stage = Stage::new("init_writes");
    stage.postgres.execute(TABLES);
    let outcome = stage.pipectl(&["init", "--env", "--pipeline", "shop"]);
    assert_eq!(outcome.status, Some(0), "{outcome}");
    let text = stage.directory.read("clickhouse_config.yml");
    for expected in
        ["pipeline: shop\n", "2,000  id", "public.visits: has no key", "Big Deals", "b, a", "#   orders: note"]
    {
        assert!(text.contains(expected), "no {expected} in\n{text}");
    }
    assert!(!text.contains(stage.postgres.settings.password.expose()), "{text}");
    let mode = std::fs::metadata(stage.directory.0.join(".env")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    // Both files are enough for what comes next: no variable is needed any more.
    let outcome = stage.invocation(&["doctor"]).without("POSTGRES_URL").without("CLICKHOUSE_URL").run();
    assert_ne!(outcome.status, Some(3), "{outcome}");
}

#[test]
fn never_writes_over_a_file() {
    let directory = Directory::new("init_over");
    directory.write("clickhouse_config.yml", "mine");
    let call = |arguments: &[&str]| {
        Invocation::new(&directory, arguments).env("POSTGRES_URL", "postgres://u@localhost:1/d").run()
    };
    let outcome = call(&["init"]);
    assert_eq!(outcome.status, Some(3), "{outcome}");
    assert!(outcome.stderr.contains("already there") && outcome.stderr.contains("hint: "), "{outcome}");
    assert_eq!(directory.read("clickhouse_config.yml"), "mine");
    directory.write(".env", "A=mine");
    let outcome = call(&["init", "--env", "-c", "other.yml"]);
    assert_eq!(outcome.status, Some(3), "{outcome}");
    assert!(outcome.stderr.contains("\".env\" is already there"), "{outcome}");
    assert!(!directory.0.join("other.yml").exists());
}

#[test]
fn makes_up_passwords_where_there_are_no_servers_yet() {
    let directory = Directory::new("init_passwords");
    directory.write("clickhouse_config.yml", "mine");
    let outcome = Invocation::new(&directory, &["init", "--env"]).run();
    assert_eq!(outcome.status, Some(0), "{outcome}");
    assert_eq!(directory.read("clickhouse_config.yml"), "mine");
    let text = directory.read(".env");
    let mode = std::fs::metadata(directory.0.join(".env")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(text.contains("\nPOSTGRES_URL=") && !text.lines().any(|line| line.ends_with('=')), "{text}");
    let password = text.lines().find_map(|line| line.strip_prefix("POSTGRES_PASSWORD=")).unwrap();
    assert!(!outcome.stdout.contains(password) && !outcome.stderr.contains(password), "{outcome}");
    // The file is read like any other: the server that it names is tried, with the password filled in.
    let outcome = Invocation::new(&directory, &["doctor", "-c", "none.yml"]).run();
    assert!(!outcome.stderr.contains("${"), "{outcome}");
    let again = Invocation::new(&directory, &["init", "--env", "-c", "new.yml"]).run();
    assert_eq!(again.status, Some(3), "{again}");
    assert_eq!(directory.read(".env"), text);
}

#[test]
fn says_that_nothing_says_where_postgres_is() {
    let outcome = Invocation::new(&Directory::new("init_nowhere"), &["init"]).run();
    assert_eq!(outcome.status, Some(3), "{outcome}");
    assert!(outcome.stderr.contains("nothing says where Postgres is"), "{outcome}");
}

#[test]
fn an_unreachable_server_and_a_wrong_password_are_the_sources_fault() {
    let directory = Directory::new("init_refused");
    let outcome = Invocation::new(&directory, &["init", "--postgres-url", "postgres://u@127.0.0.1:1/d"]).run();
    assert_eq!(outcome.status, Some(5), "{outcome}");
    assert!(outcome.stderr.contains("error: could not connect to Postgres at 127.0.0.1:1"), "{outcome}");
    assert!(outcome.stderr.contains("hint: "), "{outcome}");
    let url = variable("POSTGRES_URL");
    let (user, rest) = url.split_once("://").and_then(|(_, rest)| rest.split_once(':')).unwrap();
    let (_, place) = rest.rsplit_once('@').unwrap();
    let wrong = format!("postgres://{user}:hunter2@{place}");
    let outcome = Invocation::new(&directory, &["init", "--postgres-url", &wrong]).run();
    assert_eq!(outcome.status, Some(5), "{outcome}");
    assert!(outcome.stderr.contains("password") && !outcome.stderr.contains("hunter2"), "{outcome}");
    assert!(!directory.0.join("clickhouse_config.yml").exists());
}

#[test]
fn a_difficult_password_gets_in_encoded_and_raw() {
    let stage = Stage::new("init_password");
    let role = format!("{}_role", stage.name);
    stage.admin.execute(&format!("CREATE ROLE {role} LOGIN PASSWORD 'p@:/%#'"));
    let (_, place) = stage.postgres.url.rsplit_once('@').unwrap();
    let outcomes = ["p%40%3A%2F%25%23", "p@:/%#"].map(|password| {
        let url = format!("postgres://{role}:{password}@{place}");
        let file = format!("{}.yml", password.len());
        stage.pipectl(&["init", "-c", &file, "--postgres-url", &url])
    });
    stage.admin.execute(&format!("DROP ROLE {role}"));
    for outcome in outcomes {
        assert_eq!(outcome.status, Some(0), "{outcome}");
    }
}
