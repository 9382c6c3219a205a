//! How the connection to Postgres is protected, by real certificates.

use crate::support::{Outcome, Stage, variable};
use std::io::{Read, Write};
use std::net::TcpListener;

fn init(stage: &Stage, url: &str, parameters: &str) -> Outcome {
    let file = format!("{}.yml", parameters.len());
    std::fs::remove_file(stage.directory.0.join(&file)).ok();
    stage.pipectl(&["init", "-c", &file, "--postgres-url", &format!("{url}?{parameters}")])
}

#[test]
fn a_certificate_is_checked_against_its_authority_and_its_name() {
    let stage = Stage::new("tls_authority");
    let right = variable("PIPECTL_PG_CA");
    let wrong = variable("PIPECTL_PG_WRONG_CA");
    let url = &stage.postgres.url;
    for mode in ["disable", "prefer", "require"] {
        let outcome = init(&stage, url, &format!("sslmode={mode}"));
        assert_eq!(outcome.status, Some(0), "{mode}: {outcome}");
    }
    for mode in ["verify-ca", "verify-full"] {
        let outcome = init(&stage, url, &format!("sslmode={mode}&sslrootcert={right}"));
        assert_eq!(outcome.status, Some(0), "{mode}: {outcome}");
        let outcome = init(&stage, url, &format!("sslmode={mode}&sslrootcert={wrong}"));
        assert_eq!(outcome.status, Some(5), "{mode}: {outcome}");
        assert!(outcome.stderr.contains("name its file in `postgres.sslrootcert`"), "{mode}: {outcome}");
        // The authorities that everyone trusts have not signed it.
        let outcome = init(&stage, url, &format!("sslmode={mode}"));
        assert_eq!(outcome.status, Some(5), "{mode}: {outcome}");
    }
    let outcome = init(&stage, url, "sslmode=verify-full&sslrootcert=none.pem");
    assert_eq!(outcome.status, Some(3), "{outcome}");
}

#[test]
fn a_stream_checks_the_certificate_of_an_address_too() {
    let stage = Stage::new("tls_stream");
    stage.config("tables:\n  - source: public.*\n");
    stage.postgres.execute("CREATE TABLE public.t (id int PRIMARY KEY); INSERT INTO public.t VALUES (1)");
    let sync = |authority: &str| {
        let url = format!("{}?sslmode=verify-full&sslrootcert={}", stage.postgres.url, variable(authority));
        stage.invocation(&["sync", "--until-caught-up"]).env("POSTGRES_URL", &url).run()
    };
    let wrong = sync("PIPECTL_PG_WRONG_CA");
    assert_eq!(wrong.status, Some(5), "{wrong}");
    assert!(wrong.stderr.contains("certificate"), "{wrong}");
    let right = sync("PIPECTL_PG_CA");
    assert_eq!(right.status, Some(0), "{right}");
    assert_eq!(stage.clickhouse.value("SELECT count() FROM {db}.t"), "1");
}

#[test]
fn a_client_certificate_logs_in() {
    let stage = Stage::new("tls_client");
    stage.admin.execute("DROP ROLE IF EXISTS pipectl_cert; CREATE ROLE pipectl_cert LOGIN");
    let (_, place) = stage.postgres.url.rsplit_once('@').unwrap();
    let url = format!("postgres://pipectl_cert@{place}");
    let key = variable("PIPECTL_PG_CLIENT_KEY");
    let certificate = variable("PIPECTL_PG_CLIENT_CERT");
    let with = init(&stage, &url, &format!("sslmode=require&sslcert={certificate}&sslkey={key}"));
    let without = init(&stage, &url, "sslmode=require");
    let half = init(&stage, &url, &format!("sslmode=require&sslcert={certificate}"));
    stage.admin.execute("DROP ROLE pipectl_cert");
    assert_eq!(with.status, Some(0), "{with}");
    assert_eq!(without.status, Some(5), "{without}");
    assert_eq!(half.status, Some(3), "{half}");
}

/// A port that answers everything as a server of plain HTTP does to a client of TLS.
fn plain_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let read = client.read(&mut [0; 4096]);
            assert!(read.is_ok_and(|bytes| bytes > 0));
            client.write_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n").ok();
        }
    });
    port
}

#[test]
fn https_to_a_port_of_http_is_told() {
    let stage = Stage::new("tls_scheme");
    stage.config("tables:\n  - source: public.*\n");
    stage.postgres.execute("CREATE TABLE public.t (id int PRIMARY KEY)");
    let url = format!("https://default@127.0.0.1:{}", plain_port());
    let verify = stage.invocation(&["verify"]).env("CLICKHOUSE_URL", &url).run();
    assert_eq!(verify.status, Some(6), "{verify}");
    let told = "hint: what answers there does not speak TLS: https:// in `clickhouse.url`";
    assert!(verify.stderr.contains(told), "{verify}");
    // Who waits for a server is told what to do, once.
    let mut sync = stage.invocation(&["sync"]).env("CLICKHOUSE_URL", &url).spawn();
    sync.wait_for(told);
    sync.wait_for("trying again in 0.8 s");
    sync.signal("TERM");
    let sync = sync.ended();
    assert_eq!(sync.stderr.matches(told).count(), 1, "{sync}");
}
