//! Kafka Connect in a test, over its REST interface.

use super::{PATIENCE, PAUSE, Stage, variable};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Instant;

/// A worker, and the connectors whose names contain that of a stage; these go when it ends.
pub(crate) struct Connect {
    /// Where it is.
    pub(crate) url: String,
    stage: String,
}

impl Connect {
    /// The worker of the stack; to be made after the stage and its `Kafka`, so that it ends before them.
    pub(crate) fn of(stage: &Stage) -> Self {
        Self::at(&variable("CONNECT_URL"), stage)
    }

    /// Another worker.
    pub(crate) fn at(url: &str, stage: &Stage) -> Self {
        let connect = Self { url: url.to_owned(), stage: stage.name.clone() };
        let (status, answer) = connect.request("GET", "/", &Value::Null);
        assert_eq!(status, 200, "no Kafka Connect for the tests at {url}: {answer}");
        connect
    }

    /// Debezium's connector for the database of a stage as a test needs it: everything default but what has to be said, and what a test adds.
    /// Its topics are those of `Kafka::name`, its slot and publication pipectl's, its password the worker's to fill in.
    pub(crate) fn debezium(stage: &Stage, further: &[(&str, &str)]) -> Value {
        let postgres = &stage.postgres.settings;
        let mut config = json!({
            "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
            "tasks.max": "1",
            "database.hostname": postgres.host,
            "database.port": postgres.port.to_string(),
            "database.user": postgres.user,
            "database.password": "${env:POSTGRES_PASSWORD}",
            "database.dbname": postgres.database,
            "topic.prefix": stage.name,
            "plugin.name": "pgoutput",
            "slot.name": format!("pipectl_{}", stage.name),
            "publication.name": format!("pipectl_{}", stage.name),
            "publication.autocreate.mode": "filtered",
            "poll.interval.ms": "20",
            "key.converter": "org.apache.kafka.connect.json.JsonConverter",
            "key.converter.schemas.enable": "false",
            "value.converter": "org.apache.kafka.connect.json.JsonConverter",
            "value.converter.schemas.enable": "false",
            "value.converter.replace.null.with.default": "false",
        });
        for (name, value) in further {
            config[*name] = Value::from(*value);
        }
        config
    }

    /// `pipectl_<name of the stage>`.
    pub(crate) fn name(&self) -> String {
        format!("pipectl_{}", self.stage)
    }

    /// Makes or changes the connector of this stage, and waits until it runs.
    pub(crate) fn apply(&self, config: &Value) {
        let (status, answer) = self.request("PUT", &format!("/connectors/{}/config", self.name()), config);
        assert!(matches!(status, 200 | 201), "{status}: {answer}");
        self.wait_until_it_runs();
    }

    /// Waits until the connector and its tasks run; fails the test where one of them failed.
    pub(crate) fn wait_until_it_runs(&self) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let status = self.status();
            let tasks = status["tasks"].as_array().cloned().unwrap_or_default();
            let found: Vec<&Value> =
                std::iter::once(&status["connector"]["state"]).chain(tasks.iter().map(|task| &task["state"])).collect();
            if found.len() > 1 && found.iter().all(|state| *state == "RUNNING") {
                return;
            }
            assert!(!found.contains(&&Value::from("FAILED")), "the connector failed: {status}");
            assert!(Instant::now() < deadline, "the connector does not run: {status}");
            std::thread::sleep(PAUSE);
        }
    }

    /// Its status as Connect tells it; where there is none, the error.
    pub(crate) fn status(&self) -> Value {
        self.request("GET", &format!("/connectors/{}/status", self.name()), &Value::Null).1
    }

    /// Waits until the connector streams: the slot's `active` is true already while it is being made.
    pub(crate) fn wait_until_it_streams(&self, stage: &Stage) {
        let streams = format!(
            "SELECT count(*) FROM pg_stat_replication r JOIN pg_replication_slots s ON s.active_pid = r.pid
             WHERE s.slot_name = 'pipectl_{}' AND r.state = 'streaming'",
            stage.name
        );
        stage.wait_until("the connector streams", |stage| {
            let status = self.status();
            assert!(!status.to_string().contains("FAILED"), "the connector failed: {status}");
            stage.admin.value(&streams) == "1"
        });
    }

    /// Waits until everything committed so far is in Kafka: the slot is confirmed that far. It writes two messages into the log, the
    /// second since a connector confirms what came before the last one.
    pub(crate) fn wait_until_it_has_caught_up(&self, stage: &Stage) {
        let message = "SELECT pg_logical_emit_message(true, 'test', 'caught up')";
        let target = stage.postgres.value(message);
        stage.postgres.value(message);
        let slot = self.name();
        let confirmed = format!(
            "SELECT confirmed_flush_lsn >= '{target}'::pg_lsn FROM pg_replication_slots WHERE slot_name = '{slot}'"
        );
        stage.wait_until("the connector has caught up", |stage| stage.admin.value(&confirmed) == "t");
    }

    /// Starts the connector and its tasks again, and waits until it runs.
    pub(crate) fn restart(&self) {
        let path = format!("/connectors/{}/restart?includeTasks=true", self.name());
        let (status, answer) = self.request("POST", &path, &Value::Null);
        assert!(matches!(status, 202 | 204), "{status}: {answer}");
        self.wait_until_it_runs();
    }

    /// Stops the connector, and waits until it has left the slot.
    pub(crate) fn stop(&self, stage: &Stage) {
        let (status, answer) = self.request("PUT", &format!("/connectors/{}/stop", self.name()), &Value::Null);
        assert_eq!(status, 204, "{answer}");
        Self::wait_until_its_slot_is_left(stage);
    }

    /// Lets a connector go on that was stopped, and waits until it streams.
    pub(crate) fn resume(&self, stage: &Stage) {
        let (status, answer) = self.request("PUT", &format!("/connectors/{}/resume", self.name()), &Value::Null);
        assert_eq!(status, 202, "{answer}");
        self.wait_until_it_streams(stage);
    }

    /// Deletes the connector, and waits until it is gone and has left the slot.
    pub(crate) fn delete(&self, stage: &Stage) {
        let (status, answer) = self.request("DELETE", &format!("/connectors/{}", self.name()), &Value::Null);
        assert!(matches!(status, 204 | 404), "{status}: {answer}");
        // Connect answers before it has forgotten how the connector was.
        stage.wait_until("the connector is gone", |_| self.status()["error_code"] == 404);
        Self::wait_until_its_slot_is_left(stage);
    }

    fn wait_until_its_slot_is_left(stage: &Stage) {
        let active =
            format!("SELECT count(*) FROM pg_replication_slots WHERE slot_name = 'pipectl_{}' AND active", stage.name);
        stage.wait_until("the connector has left its slot", |stage| stage.admin.value(&active) == "0");
    }

    /// Any request; the code and the answer as JSON, or as text where it is none.
    pub(crate) fn request(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = self.try_request(method, path, body);
            // While the group of workers shares out its work (409), or one has just been started.
            if matches!(&answer, Ok((code, _)) if !matches!(code, 409 | 503)) || Instant::now() > deadline {
                return answer.unwrap_or_else(|error| panic!("{method} {path} at {}: {error}", self.url));
            }
            std::thread::sleep(PAUSE);
        }
    }

    fn try_request(&self, method: &str, path: &str, body: &Value) -> std::io::Result<(u16, Value)> {
        let server = self.url.trim_start_matches("http://");
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let mut stream = TcpStream::connect(server)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        // HTTP 1.0: no chunks, and the answer ends with the connection.
        let head = format!(
            "{method} {path} HTTP/1.0\r\nHost: {server}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes())?;
        stream.write_all(body.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        let code = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
        Ok((code, serde_json::from_str(body).unwrap_or_else(|_| Value::from(body))))
    }
}

impl Drop for Connect {
    fn drop(&mut self) {
        let Ok((_, names)) = self.try_request("GET", "/connectors", &Value::Null) else { return };
        for name in names.as_array().into_iter().flatten().filter_map(Value::as_str) {
            if name.contains(&self.stage) {
                self.try_request("DELETE", &format!("/connectors/{name}"), &Value::Null).ok();
            }
        }
    }
}
