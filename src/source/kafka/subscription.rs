//! Which topics a pipeline reads.

use crate::config::{KafkaSettings, TableRule};
use crate::error::Result;
use crate::server::kafka::{Cluster, Topic};
use regex::Regex;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

/// What to subscribe to: the topics that Debezium's connector names after the configuration's tables, and those that the configuration names
/// itself. Regular expressions begin with `^`, as librdkafka has it; a topic that appears later is joined when it matches.
///
/// Debezium puts `_` for each character that a topic's name cannot hold
/// (<https://debezium.io/documentation/reference/stable/connectors/postgresql.html#postgresql-topic-names>).
pub fn subscription(settings: &KafkaSettings, topic_prefix: &str, tables: &[TableRule]) -> Vec<String> {
    let mut found: Vec<String> = settings.topics.iter().map(|pattern| expression(pattern, false)).collect();
    // Whoever names topics alone has a router that names all of them.
    if settings.topics.is_empty() || settings.topic_prefix.is_some() {
        for rule in tables {
            let source =
                if rule.source.contains('.') { rule.source.clone() } else { format!("public.{}", rule.source) };
            found.push(expression(&format!("{topic_prefix}.{source}"), true));
        }
    }
    found.sort();
    found.dedup();
    found
}

/// The topics among all that are subscribed to.
pub fn subscribed<'a>(topics: &'a [Topic], subscription: &[String]) -> impl Iterator<Item = &'a Topic> {
    let patterns: Vec<Regex> = subscription.iter().filter_map(|text| Regex::new(text).ok()).collect();
    topics.iter().filter(move |topic| patterns.iter().any(|pattern| pattern.is_match(&topic.name)))
}

/// The end offsets of all partitions that are subscribed to and hold anything. Blocks.
///
/// # Errors
/// As [`crate::server::kafka::kafka_error`] sorts them.
pub fn ends(cluster: &Cluster, subscription: &[String]) -> Result<BTreeMap<(Arc<str>, i32), i64>> {
    let mut ends = BTreeMap::new();
    for topic in subscribed(&cluster.topics()?, subscription) {
        let name: Arc<str> = topic.name.as_str().into();
        for partition in &topic.partitions {
            let (low, high) = cluster.watermarks(&name, *partition)?;
            if high > low {
                ends.insert((Arc::clone(&name), *partition), high);
            }
        }
    }
    Ok(ends)
}

/// The regular expression (POSIX, extended) of a pattern with `*` and `?`; of a table's name as Debezium spells it in a topic's.
fn expression(pattern: &str, sanitized: bool) -> String {
    let mut text = "^".to_owned();
    for c in pattern.chars() {
        match c {
            '*' => text.push_str(".*"),
            '?' => text.push('.'),
            '.' => text.push_str("\\."),
            c if c.is_ascii_alphanumeric() || c == '_' || c == '-' => text.push(c),
            _ if sanitized => text.push('_'),
            // Writing to a String cannot fail.
            c => write!(text, "[{c}]").unwrap_or_default(),
        }
    }
    text.push('$');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(topics: &[&str], prefix: Option<&str>) -> KafkaSettings {
        KafkaSettings {
            topics: topics.iter().map(|topic| (*topic).to_owned()).collect(),
            topic_prefix: prefix.map(str::to_owned),
            ..KafkaSettings::new("h:1")
        }
    }

    #[test]
    fn tables_become_topics() {
        let rules = [TableRule::new("public.*"), TableRule::new("sales.Odd Täble"), TableRule::new("orders")];
        assert_eq!(
            subscription(&settings(&[], None), "shop", &rules),
            ["^shop\\.public\\..*$", "^shop\\.public\\.orders$", "^shop\\.sales\\.Odd_T_ble$"]
        );
    }

    #[test]
    fn named_topics_stand_alone_unless_a_prefix_is_set() {
        let rules = [TableRule::new("public.orders")];
        assert_eq!(subscription(&settings(&["all_*"], None), "shop", &rules), ["^all_.*$"]);
        assert_eq!(subscription(&settings(&["all"], Some("s")), "s", &rules), ["^all$", "^s\\.public\\.orders$"]);
    }
}
