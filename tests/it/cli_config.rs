//! What is said of a configuration that is not there, wrong, or names a server that does not let pipectl in.

use crate::support::{Directory, Invocation, Outcome, Stage};

const HEAD: &str = "pipeline: shop\npostgres: {url: '${POSTGRES_URL}'}\nclickhouse: {url: '${CLICKHOUSE_URL}'}\n";

fn doctor(test: &str, config: Option<&str>) -> Outcome {
    let directory = Directory::new(test);
    if let Some(text) = config {
        directory.write("clickhouse_config.yml", text);
    }
    Invocation::new(&directory, &["doctor"]).env("CLICKHOUSE_URL", "http://localhost:1").run()
}

#[test]
fn no_configuration() {
    let outcome = doctor("no_configuration", None);
    assert_eq!((outcome.status, outcome.stdout.as_str()), (Some(3), ""), "{outcome}");
    assert!(outcome.stderr.contains("error: there is no configuration \"clickhouse_config.yml\""), "{outcome}");
    assert!(outcome.stderr.contains("hint: `pipectl init` writes one"), "{outcome}");
}

#[test]
fn six_errors_are_told_at_once() {
    let text = "pipelin: shop\npostgres:\n  port: many\ntables:\n  - source: public.*\n    mode: lgo\n  - exclude: [a]\nsync:\n  batch:\n    max_bytes: 16Mib\n";
    let outcome = doctor("six_errors", Some(text));
    assert_eq!(outcome.status, Some(3), "{outcome}");
    let told: Vec<&str> = outcome.stderr.lines().filter(|line| line.starts_with("  line ")).collect();
    let expected = [
        "  line 1: pipelin: unknown key (did you mean pipeline?)",
        "  line 3: postgres.port: \"many\" is not a port, a number from 1 to 65535",
        "  line 6: tables[0].mode: \"lgo\" must be replica or log (did you mean log?)",
        "  line 7: tables[1].source: is missing: a table such as public.orders, or a pattern such as public.*",
        "  line 10: sync.batch.max_bytes: \"16Mib\" is not a number of bytes, such as 512KiB, 16MiB or 1GiB",
    ];
    for line in expected {
        assert!(told.contains(&line), "no {line} in\n{outcome}");
    }
    assert!(outcome.stderr.contains("pipeline: is missing"), "{outcome}");
}

#[test]
fn an_unset_variable_is_named() {
    let outcome = doctor("unset_variable", Some(&format!("{HEAD}tables: [public.*]\n")));
    assert_eq!(outcome.status, Some(3), "{outcome}");
    assert!(outcome.stderr.contains("line 2: postgres.url: the variable POSTGRES_URL is not set"), "{outcome}");
    assert!(!outcome.stderr.contains("CLICKHOUSE_URL"), "{outcome}");
}

#[test]
fn variables_come_from_the_file_beside_and_from_the_one_named() {
    let directory = Directory::new("env_file");
    directory.write("clickhouse_config.yml", &format!("{HEAD}tables: [public.*]\n"));
    let call = |arguments: &[&str]| Invocation::new(&directory, arguments).run();
    directory.write(".env", "POSTGRES_URL=mysql://u:hunter2@h/d\nCLICKHOUSE_URL=http://h\n");
    let outcome = call(&["doctor"]);
    assert_eq!(outcome.status, Some(3), "{outcome}");
    assert!(
        outcome.stderr.contains("postgres.url: must look like") && !outcome.stderr.contains("hunter2"),
        "{outcome}"
    );
    directory.write("other.env", "POSTGRES_URL=postgres://u@h/d\nthis is hunter2\n");
    let outcome = call(&["doctor", "--env-file", "other.env"]);
    assert_eq!(outcome.status, Some(3), "{outcome}");
    assert!(outcome.stderr.contains("could not read the variables in \"other.env\""), "{outcome}");
    assert!(!outcome.stderr.contains("hunter2"), "{outcome}");
    let outcome = call(&["doctor", "--env-file", "none.env"]);
    assert_eq!(outcome.status, Some(3), "{outcome}");
}

#[test]
fn a_wrong_password_and_an_unreachable_server_tell_which_side_it_was() {
    let stage = Stage::new("which_side");
    stage.postgres.execute("CREATE TABLE t (id bigint PRIMARY KEY)");
    stage.config("tables: [public.*]\n");
    let wrong = |url: &str| {
        let (scheme, rest) = url.split_once("://").unwrap();
        let (user, _) = rest.split_once(':').unwrap();
        let (_, place) = rest.rsplit_once('@').unwrap();
        format!("{scheme}://{user}:hunter2@{place}")
    };
    let (postgres, clickhouse) = (&stage.postgres.url, &stage.clickhouse.url);
    for (variable, url, status) in [
        ("POSTGRES_URL", wrong(postgres), 5),
        ("POSTGRES_URL", "postgres://u@127.0.0.1:1/d".to_owned(), 5),
        ("CLICKHOUSE_URL", wrong(clickhouse), 6),
        ("CLICKHOUSE_URL", "http://127.0.0.1:1".to_owned(), 6),
    ] {
        let outcome = stage.invocation(&["verify"]).env(variable, &url).run();
        assert_eq!(outcome.status, Some(status), "{variable}: {outcome}");
        assert!(outcome.stderr.contains("error: ") && outcome.stderr.contains("hint: "), "{variable}: {outcome}");
        assert!(!outcome.stderr.contains("hunter2"), "{variable}: {outcome}");
    }
}
