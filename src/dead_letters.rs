//! Records that could not be carried: where they are kept, and the way back.
//!
//! They go, whole, into a table beside the data and, where one is configured, into a topic. Once the cause is mended they are produced into the partition that
//! they came from and take the way of every other record: a row's version comes from the record, so what was stored since wins, and what was stored of it
//! already is overwritten by itself.

use crate::config::Settings;
use crate::error::{Error, Kind, Result};
use crate::flow::{DeadLetter, DeadLetters};
use crate::server::clickhouse;
use crate::server::kafka::{OutgoingRecord, Producer};
use crate::sink::clickhouse::DeadLetterTable;
use bytes::Bytes;

pub use crate::flow::REPLAYED;
pub use crate::sink::clickhouse::{LetterFilter, StoredLetter};

/// What the headers begin with that pipectl adds.
const OWN_HEADERS: &str = "pipectl.";
/// Records that are in memory at once, whole.
const WHOLE_AT_ONCE: usize = 100;
/// Records that are in memory at once, by their places alone.
const PLACES_AT_ONCE: usize = 10_000;

/// Both places where such records are kept.
#[derive(Debug)]
pub struct Places {
    table: DeadLetterTable,
    topic: Option<(String, Producer)>,
    /// The pipeline stops where more are waiting than this.
    most: Option<u64>,
}

impl Places {
    /// The places that the settings name; nothing is sent yet. The pipeline stops where more than `most` are waiting.
    ///
    /// # Errors
    /// [`Kind::Config`] for settings that a client refuses.
    pub fn new(settings: &Settings, most: Option<u64>) -> Result<Self> {
        let topic = settings.kafka.as_ref().and_then(|kafka| Some((kafka, kafka.dead_letter_topic.clone()?)));
        let topic = match topic {
            Some((kafka, topic)) => Some((topic, Producer::new(kafka)?)),
            None => None,
        };
        Ok(Self { table: table(settings)?, topic, most })
    }

    async fn refuse_too_many(&self) -> Result<()> {
        let Some(most) = self.most else { return Ok(()) };
        let waiting = self.table.count(&LetterFilter::default()).await?;
        if waiting <= most {
            return Ok(());
        }
        Err(Error::new(Kind::Value, format!("{waiting} records could not be carried, more than --max-dead-letters {most}"))
            .hint("`pipectl dead-letters list` tells why; mend that, then `pipectl dead-letters replay`, or `drop` what nobody needs"))
    }
}

impl DeadLetters for Places {
    async fn store(&self, letters: &[DeadLetter]) -> Result<()> {
        if letters.is_empty() {
            return Ok(());
        }
        self.table.store(letters).await?;
        if let Some((topic, producer)) = &self.topic {
            let told: Vec<DeadLetter> = letters.iter().map(explained).collect();
            send(producer, told.iter().map(|letter| outgoing(letter, topic, None))).await?;
        }
        self.refuse_too_many().await
    }
}

/// The same record with headers that say where it comes from and what was wrong.
fn explained(letter: &DeadLetter) -> DeadLetter {
    let mut letter = letter.clone();
    letter.headers.retain(|(name, _)| !name.starts_with(OWN_HEADERS));
    let mut add = |name: &str, value: String| {
        letter.headers.push((format!("{OWN_HEADERS}{name}"), Some(Bytes::from(value))));
    };
    add("error", letter.error.clone());
    add("topic", letter.topic.clone());
    add("partition", letter.partition.to_string());
    add("offset", letter.offset.to_string());
    if let Some(table) = letter.table.clone() {
        add("table", table);
    }
    letter
}

fn outgoing<'a>(letter: &'a DeadLetter, topic: &'a str, partition: Option<i32>) -> OutgoingRecord<'a> {
    OutgoingRecord {
        topic,
        partition,
        key: letter.key.as_deref(),
        value: letter.value.as_deref(),
        timestamp_ms: letter.timestamp_ms,
        headers: letter.headers.clone(),
    }
}

/// Sends records and waits for them all.
async fn send<'a>(producer: &Producer, records: impl Iterator<Item = OutgoingRecord<'a>>) -> Result<()> {
    let mut sent = Vec::new();
    for record in records {
        sent.push(producer.send(&record).await?);
    }
    for sending in sent {
        sending.arrived().await?;
    }
    Ok(())
}

fn table(settings: &Settings) -> Result<DeadLetterTable> {
    let server = clickhouse::connect(&settings.clickhouse)?;
    Ok(DeadLetterTable::new(server, &settings.clickhouse.database, &settings.pipeline))
}

/// How many are waiting.
///
/// # Errors
/// What ClickHouse answers.
pub async fn count(settings: &Settings, filter: &LetterFilter) -> Result<u64> {
    table(settings)?.count(filter).await
}

/// Those that are waiting, in the order of topic, partition and offset, with all they hold.
///
/// # Errors
/// What ClickHouse answers.
pub async fn list(settings: &Settings, filter: &LetterFilter, limit: usize, whole: bool) -> Result<Vec<StoredLetter>> {
    table(settings)?.read(filter, None, limit, whole).await
}

/// Produces those that are waiting into the partitions that they came from, and removes each once the broker has it. `tell` is told how many went so far.
///
/// # Errors
/// [`Kind::Config`] where no broker is configured; what ClickHouse and the broker answer.
pub async fn replay(settings: &Settings, filter: &LetterFilter, mut tell: impl FnMut(u64)) -> Result<u64> {
    let kafka = settings.kafka.as_ref().ok_or_else(|| {
        Error::new(Kind::Config, "no Kafka is configured").hint(
            "set `kafka.brokers` in the configuration, or KAFKA_BROKERS in the environment beside a section `kafka`",
        )
    })?;
    let (table, producer) = (table(settings)?, Producer::new(kafka)?);
    // What is set aside again meanwhile has been tried: those of the beginning are enough.
    let last = last_of_each(&table, filter).await?;
    let (mut done, mut after) = (0, None);
    loop {
        let page = table.read(filter, after.as_ref(), WHOLE_AT_ONCE, true).await?;
        let Some(end) = page.last() else { return Ok(done) };
        after = Some(end.letter.clone());
        let page: Vec<StoredLetter> = page.into_iter().filter(|stored| was_there(&last, &stored.letter)).collect();
        let again: Vec<DeadLetter> = page.iter().map(|stored| replayed(&stored.letter)).collect();
        send(&producer, again.iter().map(|letter| outgoing(letter, &letter.topic, Some(letter.partition)))).await?;
        table.remove(&page).await?;
        done += page.len() as u64;
        tell(done);
    }
}

type Last = std::collections::BTreeMap<(String, i32), i64>;

async fn last_of_each(table: &DeadLetterTable, filter: &LetterFilter) -> Result<Last> {
    let (mut last, mut after) = (Last::new(), None);
    loop {
        let page = table.read(filter, after.as_ref(), PLACES_AT_ONCE, false).await?;
        let Some(end) = page.last() else { return Ok(last) };
        after = Some(end.letter.clone());
        last.extend(
            page.into_iter().map(|StoredLetter { letter, .. }| ((letter.topic, letter.partition), letter.offset)),
        );
    }
}

fn was_there(last: &Last, letter: &DeadLetter) -> bool {
    last.get(&(letter.topic.clone(), letter.partition)).is_some_and(|offset| letter.offset <= *offset)
}

/// The record as it came, with a header that says where it was.
fn replayed(letter: &DeadLetter) -> DeadLetter {
    let mut letter = letter.clone();
    letter.headers.retain(|(name, _)| !name.starts_with(OWN_HEADERS));
    let place = format!("{}/{}/{}", letter.topic, letter.partition, letter.offset);
    letter.headers.push((REPLAYED.to_owned(), Some(Bytes::from(place))));
    letter
}

/// Removes those that are waiting, for good.
///
/// # Errors
/// What ClickHouse answers.
pub async fn remove(settings: &Settings, filter: &LetterFilter) -> Result<u64> {
    let table = table(settings)?;
    let last = last_of_each(&table, filter).await?;
    let (mut done, mut after) = (0, None);
    loop {
        let page = table.read(filter, after.as_ref(), PLACES_AT_ONCE, false).await?;
        let Some(end) = page.last() else { return Ok(done) };
        after = Some(end.letter.clone());
        let page: Vec<StoredLetter> = page.into_iter().filter(|stored| was_there(&last, &stored.letter)).collect();
        table.remove(&page).await?;
        done += page.len() as u64;
    }
}

/// Removes all of the pipeline, and their table where it is empty then. How many there were.
///
/// # Errors
/// What ClickHouse answers.
pub async fn forget(settings: &Settings) -> Result<u64> {
    table(settings)?.forget().await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter() -> DeadLetter {
        let header = |name: &str, value: &'static str| (name.to_owned(), Some(Bytes::from_static(value.as_bytes())));
        DeadLetter {
            topic: "shop.orders".to_owned(),
            partition: 2,
            offset: 7,
            timestamp_ms: Some(5),
            key: None,
            value: Some(Bytes::from_static(&[0, 255])),
            headers: vec![header("__debezium.newkey", "{}"), header("pipectl.error", "an older one")],
            table: Some("public.orders".to_owned()),
            error: "no such column".to_owned(),
        }
    }

    #[test]
    fn headers_say_where_it_comes_from_and_nothing_piles_up() {
        let names = |letter: DeadLetter| letter.headers.into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        let own = ["pipectl.error", "pipectl.topic", "pipectl.partition", "pipectl.offset", "pipectl.table"];
        assert_eq!(names(explained(&letter())), [&["__debezium.newkey"][..], &own].concat());
        assert_eq!(names(replayed(&explained(&letter()))), ["__debezium.newkey", REPLAYED]);
        let place = replayed(&letter()).headers.pop().unwrap().1.unwrap();
        assert_eq!(place, "shop.orders/2/7");
    }

    #[test]
    fn what_came_since_is_not_replayed_again() {
        let last = Last::from([(("shop.orders".to_owned(), 2), 7)]);
        assert!(was_there(&last, &letter()));
        assert!(!was_there(&last, &DeadLetter { offset: 8, ..letter() }));
        assert!(!was_there(&last, &DeadLetter { partition: 1, ..letter() }));
    }
}
