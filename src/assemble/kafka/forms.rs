//! What the connector's settings make of values: known from Kafka Connect, or from the configuration.

use super::kafka;
use crate::config::Settings;
use crate::decode::debezium::Forms;
use crate::error::Result;
use crate::server::connect::Connect;
use crate::sync::Progress;
use std::collections::BTreeMap;

/// The forms of values in records without a schema.
///
/// # Errors
/// What is wrong with the configuration; that Connect cannot be reached is none, since records may carry schemas.
pub(super) async fn forms(settings: &Settings, progress: &Progress) -> Result<Forms> {
    let kafka = kafka(settings)?;
    if kafka.connect_url.is_some() {
        let name = settings.connector_name();
        match Connect::new(kafka)?.config(&name).await {
            Ok(Some(config)) => return Ok(Forms::from_connector(&config.0)),
            Ok(None) => progress.note(format!(
                "warning: Kafka Connect has no connector \"{name}\": what the values of records without a schema mean is read from `kafka.connector`"
            )),
            Err(error) => progress.note(format!(
                "warning: {}: what the values of records without a schema mean is read from `kafka.connector`",
                error.with_causes()
            )),
        }
    }
    let written = kafka.connector.iter().map(|(name, value)| (name.clone(), value.expose().to_owned())).collect();
    Ok(written_out(&written))
}

/// Only what is written out counts: what Debezium's default would be is guesswork.
fn written_out(config: &BTreeMap<String, String>) -> Forms {
    let mut forms = Forms::from_connector(config);
    let missing = |name: &str| !config.contains_key(name);
    if missing("decimal.handling.mode") {
        forms.decimal = None;
    }
    if missing("time.precision.mode") {
        forms.time = None;
    }
    if missing("binary.handling.mode") {
        forms.binary = None;
    }
    if missing("interval.handling.mode") {
        forms.interval = None;
    }
    forms
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_written_out_is_not_guessed() {
        let config = BTreeMap::from([("decimal.handling.mode".to_owned(), "string".to_owned())]);
        let forms = written_out(&config);
        assert!(forms.decimal.is_some() && forms.time.is_none() && forms.binary.is_none());
    }
}
