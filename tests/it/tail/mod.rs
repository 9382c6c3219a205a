//! `pipectl tail` on a real broker and a real Postgres.

mod lists;
mod places;
mod postgres;
mod records;
pub(crate) mod registry;

use crate::support::{Invocation, Outcome, Topics};
use serde_json::Value;

impl Topics {
    /// `pipectl tail` with arguments.
    fn invocation(&self, arguments: &[&str]) -> Invocation {
        self.stage.invocation(&[&["tail"], arguments].concat()).env("KAFKA_BROKERS", &self.kafka.brokers)
    }

    /// Runs it to its end.
    fn tail(&self, arguments: &[&str]) -> Outcome {
        let outcome = self.invocation(arguments).run();
        assert_eq!(outcome.status, Some(0), "{arguments:?}: {outcome}");
        outcome
    }

    /// The objects that it prints.
    fn objects(&self, arguments: &[&str]) -> Vec<Value> {
        objects(&self.tail(&[arguments, &["--output", "json"]].concat()))
    }
}

fn objects(outcome: &Outcome) -> Vec<Value> {
    let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line}"));
    outcome.stdout.lines().map(parse).collect()
}
