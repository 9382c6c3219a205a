//! The checks of Kafka and Kafka Connect; only where the configuration has a section `kafka`.

mod brokers;
mod connector;

use super::finding::{Finding, Remedy};
use super::postgres::Source;
use super::report::Findings;
use crate::config::{KafkaSettings, Settings};
use crate::error::Error;

/// Makes the checks.
pub(super) async fn examine(settings: &Settings, kafka: &KafkaSettings, source: &Source, findings: &mut Findings) {
    let worker = connector::examine(settings, kafka, source, findings).await;
    brokers::examine(settings, kafka, &worker, findings).await;
}

/// A server that does not answer, with the way out that its error names.
fn unreachable(error: &Error, advice: &str) -> Finding {
    Finding::fail(error.with_causes()).mend(Remedy::advice(error.hint_text().unwrap_or(advice)))
}
