//! Partitions that nobody in the group reads although it is stable, and the way to have them shared out.
//!
//! A static member that comes back before its session's time-out is given what it had, without a rebalance, and as a member of older protocols it is not told
//! that it leads the group (<https://cwiki.apache.org/confluence/display/KAFKA/KIP-814>). librdkafka joins again when the topics change that it subscribes
//! to; those that appeared while it was away are there from its start, so that for it nothing changes. When it joins again, by its own id, with
//! the generation and the partitions that it was given, the coordinator finds it changed, and has all members join.

use super::GroupOptions;
use super::subscription::subscribed;
use crate::decode::assignment;
use crate::server::kafka::{Topic, topics};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaResult;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// How often a static member looks.
const LOOK: Duration = Duration::from_secs(3);
/// How long one question to the brokers may take.
const QUESTION: Duration = Duration::from_secs(3);
/// How long a member waits for what came of it before it joins anew once more: this long, then twice as long each time.
const PAUSE: Duration = Duration::from_secs(30);
const LONGEST_PAUSE: Duration = Duration::from_mins(10);
/// A pattern that no topic's name matches.
const NOTHING: &str = "^$";

type Partitions = BTreeSet<(String, i32)>;

/// What a static member saw of its group.
#[derive(Debug)]
pub(super) struct Unassigned {
    /// When to look again.
    next: Instant,
    /// What nobody read at the last look. A partition on its way from one member to another has no reader for a moment.
    before: Partitions,
    pause: Duration,
}

impl Unassigned {
    pub(super) fn new() -> Self {
        Self { next: Instant::now() + LOOK, before: Partitions::new(), pause: PAUSE }
    }

    /// Looks, when it is time to; what nobody reads twice in a row is shared out anew.
    pub(super) fn look<C: ConsumerContext>(&mut self, consumer: &BaseConsumer<C>, options: &GroupOptions) {
        if Instant::now() < self.next {
            return;
        }
        self.next = Instant::now() + LOOK;
        let looked = group(consumer, options);
        let Some((topics, assigned)) = looked.unwrap_or_else(|error| {
            tracing::debug!(%error, "could not ask what the group's members read");
            None
        }) else {
            self.before.clear();
            return;
        };
        let left: Partitions = all(&topics, options).difference(&assigned).cloned().collect();
        if left.is_empty() {
            self.pause = PAUSE;
        } else if left == self.before {
            tracing::info!(?left, "nobody in the group reads these partitions: they are shared out anew");
            if let Err(error) = join_again(consumer, &topics, &left, options) {
                tracing::info!(%error, "could not join the group again");
            }
            self.next += self.pause;
            self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        }
        self.before = left;
    }
}

/// All topics, and what the members of the group read; nothing while they are being told.
fn group<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    options: &GroupOptions,
) -> KafkaResult<Option<(Vec<Topic>, Partitions)>> {
    let list = consumer.fetch_group_list(Some(&options.group), QUESTION)?;
    let Some(group) = list.groups().iter().find(|group| group.name() == options.group && group.state() == "Stable")
    else {
        return Ok(None);
    };
    let mut assigned = Partitions::new();
    for member in group.members() {
        match assignment::partitions(member.assignment().unwrap_or_default()) {
            Ok(topics) => assigned.extend(
                topics.iter().flat_map(|(topic, numbers)| numbers.iter().map(|number| ((*topic).to_owned(), *number))),
            ),
            // Of a protocol of its own: who reads what is not known.
            Err(malformed) => {
                tracing::debug!(%malformed, "a member's assignment");
                return Ok(None);
            }
        }
    }
    Ok(Some((topics(&consumer.fetch_metadata(None, QUESTION)?), assigned)))
}

fn all(topics: &[Topic], options: &GroupOptions) -> Partitions {
    let of = |topic: &Topic| topic.partitions.iter().map(|number| (topic.name.clone(), *number)).collect::<Vec<_>>();
    subscribed(topics, &options.subscription).flat_map(of).collect()
}

/// Joins the group again: for librdkafka only another subscription is an occasion. What is given up for a moment is what nobody reads; where
/// partitions were added to topics of which this member reads others, these are drained and come back.
fn join_again<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    topics: &[Topic],
    left: &Partitions,
    options: &GroupOptions,
) -> KafkaResult<()> {
    let names: BTreeSet<&str> = left.iter().map(|(topic, _)| topic.as_str()).collect();
    let own = consumer.assignment()?;
    let is_ours = |name: &str| own.elements().iter().any(|element| element.topic() == name);
    let foreign: BTreeSet<&str> = names.iter().copied().filter(|name| !is_ours(name)).collect();
    let given_up = if foreign.is_empty() { names } else { foreign };
    let mut kept: Vec<&str> = subscribed(topics, &options.subscription)
        .map(|topic| topic.name.as_str())
        .filter(|name| !given_up.contains(name))
        .collect();
    kept.push(NOTHING);
    consumer.subscribe(&kept)?;
    let whole: Vec<&str> = options.subscription.iter().map(String::as_str).collect();
    consumer.subscribe(&whole)
}
