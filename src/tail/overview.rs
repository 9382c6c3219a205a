//! What there is: topics, and who reads them.

use super::choose::Choice;
use crate::config::KafkaSettings;
use crate::error::{Error, Kind, Result};
use crate::server::kafka::{Cluster, KafkaContext, client_config, kafka_error};
use rdkafka::admin::{AdminClient, AdminOptions, OwnedResourceSpecifier, ResourceSpecifier};
use std::collections::BTreeMap;
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(10);

type Ends = BTreeMap<(String, i32), (i64, i64)>;

/// Topics, and what could not be learnt of them.
#[derive(Debug, Clone, Default)]
pub struct Overview {
    /// In the order of their names.
    pub topics: Vec<TopicView>,
    /// What the brokers did not tell, and why.
    pub notes: Vec<String>,
}

/// A topic.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TopicView {
    /// Its name.
    pub name: String,
    /// How many partitions it has.
    pub partitions: usize,
    /// Offsets that are still there: at most so many records, fewer where it is compacted or written in transactions.
    pub records: i64,
    /// `cleanup.policy`: `delete`, `compact` or both.
    pub cleanup: Option<String>,
    /// `retention.ms`; -1 keeps records for ever.
    pub retention_ms: Option<i64>,
    /// `retention.bytes` of each partition; -1 for no such limit.
    pub retention_bytes: Option<i64>,
    /// Groups that have read it, and how many offsets each has still to read.
    pub lag: BTreeMap<String, i64>,
}

/// A consumer group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GroupView {
    /// Its name.
    pub name: String,
    /// Its state, in Kafka's words: `Stable`, `Empty`, …
    pub state: String,
    /// Where it is in each partition that it has committed.
    pub partitions: Vec<PartitionLag>,
}

/// Where a group is in a partition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PartitionLag {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The next offset that it will read.
    pub committed: i64,
    /// Behind the last record.
    pub end: i64,
}

impl PartitionLag {
    /// Offsets still to read.
    pub fn lag(&self) -> i64 {
        (self.end - self.committed).max(0)
    }
}

/// The topics that are meant; all of them without a choice.
///
/// # Errors
/// Where brokers do not answer or refuse, as for every client; what concerns only groups or retention is noted.
pub async fn topics(settings: &KafkaSettings, choice: Option<Choice>) -> Result<Overview> {
    let own = settings.clone();
    let (mut overview, ends) = blocking(move || read_topics(&own, choice.as_ref())).await?;
    match retention(settings, &overview.topics).await {
        Ok(found) => {
            for topic in &mut overview.topics {
                let Some(values) = found.get(&topic.name) else { continue };
                topic.cleanup = values.get("cleanup.policy").cloned();
                topic.retention_ms = values.get("retention.ms").and_then(|value| value.parse().ok());
                topic.retention_bytes = values.get("retention.bytes").and_then(|value| value.parse().ok());
            }
        }
        Err(error) => overview.notes.push(format!("retention is not known: {}", error.with_causes())),
    }
    let own = settings.clone();
    match blocking(move || read_groups(&own, &ends)).await {
        Ok((groups, notes)) => {
            overview.notes.extend(notes);
            for group in groups {
                for partition in &group.partitions {
                    if let Some(topic) = overview.topics.iter_mut().find(|topic| topic.name == partition.topic) {
                        *topic.lag.entry(group.name.clone()).or_default() += partition.lag();
                    }
                }
            }
        }
        Err(error) => overview.notes.push(format!("groups are not known: {}", error.with_causes())),
    }
    Ok(overview)
}

/// All consumer groups, and what could not be learnt of them.
///
/// # Errors
/// Where brokers do not answer or refuse.
pub async fn groups(settings: &KafkaSettings) -> Result<(Vec<GroupView>, Vec<String>)> {
    let settings = settings.clone();
    blocking(move || {
        let (_, ends) = read_topics(&settings, None)?;
        read_groups(&settings, &ends)
    })
    .await
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Error::new(Kind::Unexpected, "a thread ended early").because(error))?
}

fn read_topics(settings: &KafkaSettings, choice: Option<&Choice>) -> Result<(Overview, Ends)> {
    let cluster = Cluster::new(&client_config(settings, &[]))?;
    let all = cluster.topics()?;
    let names: Vec<&str> = all.iter().map(|topic| topic.name.as_str()).collect();
    let chosen = choice.map(|choice| choice.topics(&names)).transpose()?;
    let (mut overview, mut ends) = (Overview::default(), Ends::new());
    for topic in &all {
        if chosen.as_ref().is_some_and(|chosen| !chosen.contains(&topic.name.as_str())) {
            continue;
        }
        let mut records = 0;
        for partition in &topic.partitions {
            let (low, high) = cluster.watermarks(&topic.name, *partition)?;
            records += high - low;
            ends.insert((topic.name.clone(), *partition), (low, high));
        }
        let view =
            TopicView { name: topic.name.clone(), partitions: topic.partitions.len(), records, ..TopicView::default() };
        overview.topics.push(view);
    }
    Ok((overview, ends))
}

/// Groups and their commits. A client is needed for each: it asks in the group's name, and joins nothing.
fn read_groups(settings: &KafkaSettings, ends: &Ends) -> Result<(Vec<GroupView>, Vec<String>)> {
    let (mut views, mut notes) = (Vec::new(), Vec::new());
    for (name, state) in Cluster::new(&client_config(settings, &[]))?.groups(None)? {
        let client = Cluster::new(&client_config(settings, &[("group.id", &name), ("enable.auto.commit", "false")]))?;
        let committed = client.committed(ends.keys().map(|(topic, partition)| (topic.as_str(), *partition)));
        let partitions = match committed {
            Ok(committed) => committed
                .into_iter()
                .filter_map(|((topic, partition), committed)| {
                    let (_, end) = *ends.get(&(topic.clone(), partition))?;
                    Some(PartitionLag { topic, partition, committed, end })
                })
                .collect(),
            Err(error) => {
                notes.push(format!("group \"{name}\": {}", error.with_causes()));
                Vec::new()
            }
        };
        views.push(GroupView { name, state, partitions });
    }
    views.sort_by(|left, right| left.name.cmp(&right.name));
    Ok((views, notes))
}

async fn retention(
    settings: &KafkaSettings,
    topics: &[TopicView],
) -> Result<BTreeMap<String, BTreeMap<String, String>>> {
    let failed = |error| kafka_error("could not read the topics' settings", &error);
    if topics.is_empty() {
        return Ok(BTreeMap::new());
    }
    let admin: AdminClient<KafkaContext> =
        client_config(settings, &[]).create_with_context(KafkaContext::default()).map_err(failed)?;
    let wanted: Vec<ResourceSpecifier<'_>> = topics.iter().map(|topic| ResourceSpecifier::Topic(&topic.name)).collect();
    let options = AdminOptions::new().request_timeout(Some(TIMEOUT));
    let answers = admin.describe_configs(&wanted, &options).await.map_err(failed)?;
    let mut found = BTreeMap::new();
    for answer in answers.into_iter().flatten() {
        if let OwnedResourceSpecifier::Topic(name) = answer.specifier {
            let entries = answer.entries.into_iter();
            found.insert(name, entries.filter_map(|entry| Some((entry.name, entry.value?))).collect());
        }
    }
    Ok(found)
}
