//! The brokers, the connector's topics and the pipeline's consumer group.

use super::connector::Worker;
use super::unreachable;
use crate::config::{KafkaSettings, Settings};
use crate::doctor::finding::{Finding, Remedy, bytes, count, seconds, some_of};
use crate::doctor::report::Findings;
use crate::error::{Error, Kind, Result};
use crate::server::kafka::{Cluster, Topic, TopicSettings, client_config, topic_settings};
use crate::source::kafka::subscription;
use regex::Regex;
use std::collections::BTreeMap;

/// Records that are kept for less than this, in milliseconds, are gone after a short outage of `sync`.
const LONG_ENOUGH: i64 = 24 * 3600 * 1000;
/// What the brokers take in one record, unless set.
const SMALL_RECORD: u64 = 1 << 20;

/// A topic of the pipeline's, and how its consumer group stands.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Read {
    topic: Topic,
    settings: TopicSettings,
    /// Records behind the group's position; none where it has committed nothing.
    behind: Option<i64>,
    /// Records that were removed before the group read them.
    missed: i64,
}

/// Makes the checks of the brokers.
pub(super) async fn examine(settings: &Settings, kafka: &KafkaSettings, worker: &Worker, findings: &mut Findings) {
    let group = format!("pipectl_{}", settings.pipeline);
    let config = client_config(kafka, &[("group.id", &group)]);
    let patterns = subscription(kafka, &settings.topic_prefix(), &settings.tables);
    let asked = tokio::task::spawn_blocking(move || -> Result<_> {
        let cluster = Cluster::new(&config)?;
        let all = cluster.topics()?;
        let brokers = all.len();
        let topics: Vec<Topic> = all.into_iter().filter(|topic| is_read(&patterns, &topic.name)).collect();
        let read = positions(&cluster, topics);
        Ok((brokers, read, cluster.groups(Some(&group)), config))
    });
    let asked = asked
        .await
        .unwrap_or_else(|error| Err(Error::new(Kind::Unexpected, "could not ask the brokers").because(error)));
    let (all, read, groups, config) = match asked {
        Ok(asked) => asked,
        Err(error) => {
            findings.put("kafka.reachable", unreachable(&error, "check `kafka.brokers`, and that the brokers run"));
            return;
        }
    };
    findings.put("kafka.reachable", Finding::pass(format!("{}, {}", kafka.brokers, count(all, "topic"))));
    let mut read = match read {
        Ok(read) => read,
        Err(error) => return findings.put_result("kafka.topics", Err(error)),
    };
    let names: Vec<String> = read.iter().map(|read| read.topic.name.clone()).collect();
    match topic_settings(&config, &names).await {
        Ok(mut found) => {
            for one in &mut read {
                one.settings = found.remove(&one.topic.name).unwrap_or_default();
            }
            findings.put("kafka.retention", retention(&read));
            findings.put("kafka.compaction", compaction(&read));
            findings.put("kafka.record_size", record_size(&read, worker));
        }
        Err(error) => findings.put_result("kafka.retention", Err(error)),
    }
    findings.put("kafka.topics", topics(&read));
    findings.put_result("kafka.group", groups.map(|groups| self::group(&groups)));
    findings.put("kafka.lag", lag(&read));
}

fn is_read(patterns: &[String], topic: &str) -> bool {
    patterns.iter().any(|pattern| Regex::new(pattern).is_ok_and(|pattern| pattern.is_match(topic)))
}

/// How far the group is in each topic.
fn positions(cluster: &Cluster, topics: Vec<Topic>) -> Result<Vec<Read>> {
    let partitions = || topics.iter().flat_map(|topic| topic.partitions.iter().map(|one| (topic.name.as_str(), *one)));
    let committed = cluster.committed(partitions())?;
    let mut ends: BTreeMap<(String, i32), (i64, i64)> = BTreeMap::new();
    for (topic, partition) in partitions() {
        ends.insert((topic.to_owned(), partition), cluster.watermarks(topic, partition)?);
    }
    let one = |topic: Topic| {
        let (mut behind, mut missed) = (None, 0);
        for partition in &topic.partitions {
            let key = (topic.name.clone(), *partition);
            if let (Some(position), Some((first, end))) = (committed.get(&key), ends.get(&key)) {
                *behind.get_or_insert(0) += (end - position).max(0);
                missed += (first - position).max(0);
            }
        }
        Read { topic, settings: TopicSettings::new(), behind, missed }
    };
    Ok(topics.into_iter().map(one).collect())
}

fn topics(read: &[Read]) -> Finding {
    if read.is_empty() {
        return Finding::pass("none yet; Debezium makes a table's topic with its first record");
    }
    let partitions: usize = read.iter().map(|read| read.topic.partitions.len()).sum();
    Finding::pass(format!("{} with {}", count(read.len(), "topic"), count(partitions, "partition")))
        .about(names(read.iter()))
}

fn names<'a>(read: impl Iterator<Item = &'a Read>) -> Vec<String> {
    read.map(|read| read.topic.name.clone()).collect()
}

fn number(read: &Read, name: &str) -> Option<i64> {
    read.settings.get(name).and_then(|value| value.parse().ok())
}

/// How long records are kept. -1 is for ever.
fn retention(read: &[Read]) -> Finding {
    let times = || read.iter().filter_map(|read| Some((read, number(read, "retention.ms")?)));
    let bounded: Vec<_> = times().filter(|(_, time)| *time >= 0).collect();
    let sized: Vec<_> =
        read.iter().filter(|read| number(read, "retention.bytes").is_some_and(|size| size >= 0)).collect();
    if read.is_empty() {
        return Finding::not_run("there are no topics yet");
    }
    let shortest = bounded.iter().map(|(_, time)| *time).min();
    let seen = shortest.map_or("for ever".to_owned(), |time| format!("{} or longer", seconds(time as f64 / 1000.0)));
    let short: Vec<_> = bounded.iter().filter(|(_, time)| *time < LONG_ENOUGH).map(|(read, _)| *read).collect();
    if !short.is_empty() {
        let names = names(short.into_iter());
        return Finding::warn(format!("{seen}: {}", some_of(&names))).about(names).mend(Remedy::advice(
            "a `sync` that is away for longer loses changes: raise retention.ms of these topics",
        ));
    }
    if let Some(smallest) = sized.iter().filter_map(|read| number(read, "retention.bytes")).min() {
        let names = names(sized.into_iter());
        let limit = bytes(smallest.unsigned_abs());
        return Finding::warn(format!("{seen}, but only {limit} a partition: {}", some_of(&names)))
            .about(names)
            .mend(Remedy::advice("a burst of changes removes records before they are read: set retention.bytes=-1"));
    }
    Finding::pass(seen)
}

fn compaction(read: &[Read]) -> Finding {
    let compacted = |read: &&Read| read.settings.get("cleanup.policy").is_some_and(|policy| policy.contains("compact"));
    let found = names(read.iter().filter(compacted));
    if found.is_empty() {
        return Finding::pass("no topic is compacted");
    }
    Finding::warn(some_of(&found)).about(found).mend(Remedy::advice(
        "changes of a key disappear, and values that an UPDATE leaves out are read from Postgres instead of ClickHouse: set cleanup.policy=delete",
    ))
}

/// Whether the topics take what the connector may send.
fn record_size(read: &[Read], worker: &Worker) -> Finding {
    let sent = worker.config.as_ref().and_then(|config| config.get("producer.override.max.request.size")?.parse().ok());
    let sent = sent.unwrap_or(SMALL_RECORD);
    let taken = |read: &&Read| number(read, "max.message.bytes").is_some_and(|taken| taken.unsigned_abs() < sent);
    let small = names(read.iter().filter(taken));
    if small.is_empty() {
        return Finding::pass(format!("records up to {}", bytes(sent)));
    }
    Finding::warn(format!("less than the {} that the connector may send: {}", bytes(sent), some_of(&small)))
        .about(small)
        .mend(Remedy::advice(format!(
            "a longer row ends the connector's task: set max.message.bytes={sent} of these topics"
        )))
}

fn group(groups: &[(String, String)]) -> Finding {
    match groups.first() {
        None => Finding::pass("not there yet; `sync` makes it"),
        Some((name, state)) => Finding::pass(format!("\"{name}\", {}", state.to_lowercase())),
    }
}

fn lag(read: &[Read]) -> Finding {
    let missed = names(read.iter().filter(|read| read.missed > 0));
    if !missed.is_empty() {
        let records: i64 = read.iter().map(|read| read.missed).sum();
        return Finding::fail(format!("{records} records were removed before they were read: {}", some_of(&missed)))
            .about(missed)
            .mend(Remedy::advice("`pipectl resync --all` copies everything again; raise retention.ms of the topics"));
    }
    let known: Vec<i64> = read.iter().filter_map(|read| read.behind).collect();
    if known.is_empty() {
        return Finding::pass("nothing is read yet");
    }
    let behind: i64 = known.iter().sum();
    Finding::pass(format!("{behind} records behind in {}", count(known.len(), "topic")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Outcome;

    fn read(pairs: &[(&str, &str)]) -> Read {
        Read {
            topic: Topic { name: "shop.public.t".to_owned(), partitions: vec![0] },
            settings: pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            behind: None,
            missed: 0,
        }
    }

    #[test]
    fn records_have_to_stay_for_a_day() {
        let outcome = |pairs: &[(&str, &str)]| retention(&[read(pairs)]);
        assert_eq!(outcome(&[("retention.ms", "604800000"), ("retention.bytes", "-1")]).seen, "7 days or longer");
        assert_eq!(outcome(&[("retention.ms", "-1")]).seen, "for ever");
        assert_eq!(outcome(&[("retention.ms", "3600000")]).outcome, Outcome::Warn);
        assert_eq!(outcome(&[("retention.ms", "-1"), ("retention.bytes", "1048576")]).outcome, Outcome::Warn);
    }

    #[test]
    fn compaction_and_small_topics_warn() {
        assert_eq!(compaction(&[read(&[("cleanup.policy", "delete,compact")])]).outcome, Outcome::Warn);
        assert_eq!(compaction(&[read(&[("cleanup.policy", "delete")])]).outcome, Outcome::Pass);
        let mut worker = Worker::default();
        assert_eq!(record_size(&[read(&[("max.message.bytes", "1048588")])], &worker).outcome, Outcome::Pass);
        let config = [("producer.override.max.request.size".to_owned(), "16777216".to_owned())];
        worker.config = Some(crate::server::connect::ConnectorConfig(config.into()));
        assert_eq!(record_size(&[read(&[("max.message.bytes", "1048588")])], &worker).outcome, Outcome::Warn);
    }

    #[test]
    fn removed_records_are_a_gap() {
        assert_eq!(lag(&[read(&[])]).seen, "nothing is read yet");
        assert_eq!(lag(&[Read { behind: Some(7), ..read(&[]) }]).seen, "7 records behind in 1 topic");
        assert_eq!(lag(&[Read { behind: Some(7), missed: 3, ..read(&[]) }]).outcome, Outcome::Fail);
    }
}
