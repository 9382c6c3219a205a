//! What the brokers' own settings of a topic are.

use super::client::{KafkaContext, kafka_error};
use crate::error::Result;
use rdkafka::admin::{AdminClient, AdminOptions, ResourceSpecifier};
use rdkafka::config::ClientConfig;
use std::collections::BTreeMap;
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(10);

/// The settings of a topic by their names (<https://kafka.apache.org/documentation/#topicconfigs>), the brokers' defaults filled in.
pub type TopicSettings = BTreeMap<String, String>;

/// The settings of topics, by name; a topic that may not be described is left out.
///
/// # Errors
/// As [`kafka_error`] sorts them.
pub async fn topic_settings(config: &ClientConfig, topics: &[String]) -> Result<BTreeMap<String, TopicSettings>> {
    let failed = |error| kafka_error("could not read the topics' settings", &error);
    if topics.is_empty() {
        return Ok(BTreeMap::new());
    }
    let admin: AdminClient<KafkaContext> = config.create_with_context(KafkaContext::default()).map_err(failed)?;
    let asked: Vec<ResourceSpecifier<'_>> = topics.iter().map(|topic| ResourceSpecifier::Topic(topic)).collect();
    let options = AdminOptions::new().request_timeout(Some(TIMEOUT));
    let found = admin.describe_configs(&asked, &options).await.map_err(failed)?;
    let settings = topics.iter().zip(found).filter_map(|(topic, found)| {
        let entries = found.ok()?.entries.into_iter();
        Some((topic.clone(), entries.filter_map(|entry| Some((entry.name, entry.value?))).collect()))
    });
    Ok(settings.collect())
}
