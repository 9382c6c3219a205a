//! Reading topics: partitions are assigned, no consumer group is joined, and nothing is committed.
//!
//! Each partition has a queue of its own, so that its end is known to be its own. What lies behind is merged by the records' timestamps;
//! what comes in while following is shown as it comes.

use super::bound::Bound;
use super::choose::Choice;
use super::entry::Record;
use super::lane::{Lane, Limits};
use crate::config::KafkaSettings;
use crate::error::{Error, Kind, Result};
use crate::server::kafka::{Cluster, KafkaContext, Topic, client_config, kafka_error};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How long one partition is waited for while others have something to show.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long one call waits for something new.
const WAIT: Duration = Duration::from_millis(50);
/// How often topics that appear later are looked for.
const LOOK_AROUND: Duration = Duration::from_secs(5);
/// How often it is told that brokers are away.
const TELL_AGAIN: Duration = Duration::from_secs(30);
/// Records that are handed out at once.
const MOST: usize = 500;

/// What to read.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Which topics.
    pub choice: Choice,
    /// Where to begin.
    pub from: Bound,
    /// Where to end; none follows without end.
    pub to: Option<Bound>,
    /// Only these partitions; all where empty.
    pub partitions: Vec<i32>,
}

/// Reads topics. Its calls block: not for a task of the runtime.
pub struct Reader {
    consumer: Arc<BaseConsumer<KafkaContext>>,
    cluster: Cluster,
    plan: Plan,
    lanes: Vec<Lane>,
    notes: Vec<String>,
    /// What was there at the start has been shown.
    following: bool,
    /// The moment that `to` names lies ahead.
    until: Option<i64>,
    waited_since: Option<Instant>,
    looked_around: Instant,
    told: Option<Instant>,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").field("plan", &self.plan).finish_non_exhaustive()
    }
}

impl Reader {
    /// Finds the topics and the offsets, and begins to read.
    ///
    /// # Errors
    /// [`Kind::SourceUnreachable`] where no broker answers, [`Kind::Source`] where there is no such topic or partition, or the
    /// brokers refuse; [`Kind::Config`] for a property that librdkafka does not know.
    pub fn open(settings: &KafkaSettings, plan: Plan) -> Result<Self> {
        // librdkafka assigns partitions only to a consumer that names a group; it is never joined.
        let group = settings.properties.get("group.id").map_or("pipectl_tail", |group| group.expose());
        let overrides = [
            ("group.id", group),
            ("enable.auto.commit", "false"),
            ("enable.auto.offset.store", "false"),
            ("enable.partition.eof", "true"),
            ("auto.offset.reset", "earliest"),
            ("queued.max.messages.kbytes", "8192"),
        ];
        let mut config = client_config(settings, &overrides);
        for (name, value) in &settings.properties {
            if ["auto.offset.reset", "queued.max.messages.kbytes"].contains(&name.as_str()) {
                config.set(name, value.expose());
            }
        }
        let consumer = config
            .create_with_context(KafkaContext::default())
            .map_err(|error| kafka_error("could not set up a Kafka client", &error))?;
        let cluster = Cluster::new(&config)?;
        let mut reader = Self {
            consumer: Arc::new(consumer),
            cluster,
            until: None,
            plan,
            lanes: Vec::new(),
            notes: Vec::new(),
            following: false,
            waited_since: None,
            looked_around: Instant::now(),
            told: None,
        };
        reader.begin()?;
        Ok(reader)
    }

    fn begin(&mut self) -> Result<()> {
        if let Some(Bound::Time(at)) = self.plan.to
            && at > now()
        {
            self.until = Some(at);
        }
        let topics = self.chosen()?;
        let places: Vec<(String, i32)> = topics
            .iter()
            .flat_map(|topic| topic.partitions.iter().map(|partition| (topic.name.clone(), *partition)))
            .filter(|(_, partition)| self.plan.partitions.is_empty() || self.plan.partitions.contains(partition))
            .collect();
        if let Some(missing) =
            self.plan.partitions.iter().find(|wanted| !places.iter().any(|(_, found)| found == *wanted))
        {
            let names: Vec<&str> = topics.iter().map(|topic| topic.name.as_str()).collect();
            return Err(Error::new(Kind::Source, format!("{} has no partition {missing}", names.join(", "))));
        }
        let limits = self.limits(&places)?;
        self.add(limits)
    }

    /// The topics that are meant, of those that there are now.
    fn chosen(&self) -> Result<Vec<Topic>> {
        let topics = self.cluster.topics()?;
        let names: Vec<&str> = topics.iter().map(|topic| topic.name.as_str()).collect();
        let chosen: Vec<String> = self.plan.choice.topics(&names)?.into_iter().map(str::to_owned).collect();
        Ok(topics.into_iter().filter(|topic| chosen.contains(&topic.name)).collect())
    }

    /// Where reading each partition begins and ends.
    fn limits(&mut self, places: &[(String, i32)]) -> Result<Vec<Limits>> {
        let by_time = |bound: Option<Bound>| -> Result<BTreeMap<(String, i32), i64>> {
            let at = match bound {
                Some(Bound::Time(at)) => at,
                Some(Bound::Ago(millis)) => now() - millis,
                _ => return Ok(BTreeMap::new()),
            };
            self.cluster.offsets_at(places.iter().map(|(topic, partition)| (topic.as_str(), *partition)), at)
        };
        let from_time = by_time(Some(self.plan.from))?;
        let to_time = by_time(self.plan.to.filter(|_| self.until.is_none()))?;
        let mut limits = Vec::new();
        for place in places {
            let (low, high) = self.cluster.watermarks(&place.0, place.1)?;
            let resolve = |bound: Bound, by_time: &BTreeMap<(String, i32), i64>| match bound {
                Bound::Beginning => low,
                Bound::End => high,
                Bound::Last(records) => high - records,
                Bound::Time(_) | Bound::Ago(_) => by_time.get(place).copied().unwrap_or(high),
                Bound::Offset(offset) => offset,
            };
            let wanted = resolve(self.plan.from, &from_time);
            let begin = wanted.clamp(low, high);
            if begin != wanted && matches!(self.plan.from, Bound::Offset(_)) {
                self.notes
                    .push(format!("{}[{}] has the offsets {low} to {high}: reading from {begin}", place.0, place.1));
            }
            let end = self.plan.to.filter(|_| self.until.is_none()).map(|bound| resolve(bound, &to_time));
            limits.push(Limits { topic: place.0.clone(), partition: place.1, begin, end, high });
        }
        Ok(limits)
    }

    /// Adds partitions. Their queues are split off before they are assigned, so that nothing comes another way.
    fn add(&mut self, limits: Vec<Limits>) -> Result<()> {
        let mut list = TopicPartitionList::new();
        for limits in limits {
            let Some(queue) = self.consumer.split_partition_queue(&limits.topic, limits.partition) else {
                return Err(Error::new(Kind::Unexpected, format!("could not read topic \"{}\"", limits.topic)));
            };
            let lane = Lane::new(limits, queue);
            if !lane.is_done() {
                list.add_partition_offset(lane.topic(), lane.partition(), Offset::Offset(lane.next()))
                    .map_err(|error| kafka_error("could not name a partition", &error))?;
            }
            self.lanes.push(lane);
        }
        if list.count() == 0 {
            return Ok(());
        }
        self.consumer.incremental_assign(&list).map_err(|error| kafka_error("could not begin to read", &error))
    }

    /// Notes which topics are read: several may be meant by one word.
    pub(super) fn tell_what_is_read(&mut self) {
        let mut topics: Vec<&str> = self.lanes.iter().map(Lane::topic).collect();
        topics.dedup();
        let names = if topics.len() > 8 { String::new() } else { format!(": {}", topics.join(", ")) };
        let word = if topics.len() == 1 { "topic" } else { "topics" };
        self.notes.push(format!("reading {} {word}{names}", topics.len()));
    }

    /// What there is to tell: brokers that are away, topics that appeared.
    pub fn notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
    }

    /// The next records, or none within a moment; `None` when all that was asked for has been read.
    ///
    /// # Errors
    /// What the brokers refuse; that they are away is only noted.
    pub fn read(&mut self) -> Result<Option<Vec<Record>>> {
        if self.plan.to.is_some() && self.lanes.iter().all(|lane| lane.is_done() && lane.is_empty()) {
            // What was noted has to be handed out first.
            return Ok((!self.notes.is_empty()).then(Vec::new));
        }
        self.serve_events()?;
        for index in 0..self.lanes.len() {
            self.fill(index, Duration::ZERO)?;
        }
        if !self.following && self.lanes.iter().all(Lane::has_caught_up) {
            self.following = true;
        }
        let records = if self.following { self.merge(|_| true) } else { self.history()? };
        if records.is_empty() {
            self.idle()?;
        }
        Ok(Some(records))
    }

    /// Records of the time before the start: the oldest of all partitions first, as long as each has one to compare.
    fn history(&mut self) -> Result<Vec<Record>> {
        let waited = self.waited_since.is_some_and(|since| since.elapsed() > PATIENCE);
        let records = self.merge(|lanes| waited || lanes.iter().all(|lane| lane.has_caught_up() || !lane.is_empty()));
        if !records.is_empty() {
            self.waited_since = None;
            return Ok(records);
        }
        self.waited_since.get_or_insert_with(Instant::now);
        let missing = self.lanes.iter().position(|lane| lane.is_empty() && !lane.has_caught_up());
        if let Some(index) = missing {
            self.fill(index, WAIT)?;
        }
        Ok(Vec::new())
    }

    /// Takes the oldest record of all heads, again and again while a condition holds.
    fn merge(&mut self, holds: impl Fn(&[Lane]) -> bool) -> Vec<Record> {
        let mut records = Vec::new();
        while records.len() < MOST && holds(&self.lanes) {
            let oldest = self.lanes.iter_mut().filter(|lane| !lane.is_empty()).min_by_key(|lane| lane.timestamp());
            match oldest.and_then(Lane::pop) {
                Some(record) => records.push(record),
                None => break,
            }
        }
        records
    }

    fn fill(&mut self, index: usize, wait: Duration) -> Result<()> {
        let Some(lane) = self.lanes.get_mut(index) else { return Ok(()) };
        match lane.fill(wait, self.until) {
            Ok(()) => Ok(()),
            Err(error) => self.failed(&error),
        }
    }

    /// Events that belong to no partition.
    fn serve_events(&mut self) -> Result<()> {
        while let Some(event) = self.consumer.poll(Duration::ZERO) {
            match event {
                // Every partition has its own queue.
                Ok(_) | Err(KafkaError::PartitionEOF(_)) => {}
                Err(error) => {
                    let error = error.clone();
                    return self.failed(&error);
                }
            }
        }
        Ok(())
    }

    fn idle(&mut self) -> Result<()> {
        if self.until.is_some_and(|until| now() >= until) {
            return self.end_now();
        }
        if self.following {
            if self.plan.to.is_none() && self.looked_around.elapsed() > LOOK_AROUND {
                self.look_around();
            }
            let open = self.lanes.iter().position(|lane| !lane.is_done());
            match open {
                // One queue can wait for its own only, so no wait is long.
                Some(index) if self.lanes.len() == 1 => self.fill(index, WAIT)?,
                _ => std::thread::sleep(WAIT),
            }
        }
        Ok(())
    }

    /// The moment that was waited for has come: what is there up to it is the end.
    fn end_now(&mut self) -> Result<()> {
        let Some(until) = self.until.take() else { return Ok(()) };
        let places: Vec<(String, i32)> =
            self.lanes.iter().map(|lane| (lane.topic().to_owned(), lane.partition())).collect();
        let ends =
            self.cluster.offsets_at(places.iter().map(|(topic, partition)| (topic.as_str(), *partition)), until)?;
        for (lane, place) in self.lanes.iter_mut().zip(&places) {
            if let Some(end) = ends.get(place) {
                lane.end_at(*end);
            }
        }
        Ok(())
    }

    /// Takes in topics and partitions that have appeared. That brokers do not answer is told by reading itself.
    fn look_around(&mut self) {
        self.looked_around = Instant::now();
        let Ok(topics) = self.chosen() else { return };
        let mut limits = Vec::new();
        for topic in topics {
            for partition in topic.partitions {
                let known = self.lanes.iter().any(|lane| lane.topic() == topic.name && lane.partition() == partition);
                let wanted = self.plan.partitions.is_empty() || self.plan.partitions.contains(&partition);
                if !known && wanted {
                    self.notes.push(format!("reading {}[{partition}], which is new", topic.name));
                    limits.push(Limits { topic: topic.name.clone(), partition, begin: 0, end: None, high: 0 });
                }
            }
        }
        if let Err(error) = self.add(limits) {
            self.notes.push(format!("warning: {}", error.with_causes()));
        }
    }

    /// What passes by itself is told now and then; the rest ends the reading.
    fn failed(&mut self, error: &KafkaError) -> Result<()> {
        // Nothing here needs a right on the group that is named.
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::GroupAuthorizationFailed) {
            return Ok(());
        }
        let sorted = kafka_error("could not read from Kafka", error);
        if !sorted.kind().policy().retry {
            return Err(sorted);
        }
        if self.told.is_none_or(|told| told.elapsed() > TELL_AGAIN) {
            self.told = Some(Instant::now());
            self.notes.push(format!("{}; trying again", sorted.with_causes()));
        }
        Ok(())
    }
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}
