//! The arguments of `pipectl tail`, and what they ask for.

use clap::ValueEnum;
use pipectl::config::{KafkaSettings, Secret};
use pipectl::error::{Error, Kind, Result};
use pipectl::tail::{Bound, Choice, Filter, KeyFilter, Plan, Wanted};

/// Records of each partition that are shown before what comes in, where nothing is said.
const A_FEW: i64 = 10;

/// Show topics and changes as they come, one readable line each
///
/// Debezium's records are shown as what they are: INSERT, UPDATE, DELETE, TRUNCATE, READ (by a snapshot), MESSAGE, BEGIN, COMMIT, TOMBSTONE,
/// HEARTBEAT; those of other topics as JSON, text or bytes. Nothing is changed: no consumer group is joined, nothing is committed. Times are in
/// UTC. What the topics hold is shown, also in columns that the configuration excludes. Ctrl-C ends it.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(crate) struct Args {
    /// Tables, topics, patterns with * and ?, or /regular expressions/ [default: all topics of the pipeline]
    #[arg(value_name = "TABLE|TOPIC")]
    pub(super) names: Vec<String>,
    /// Where to read: Kafka, or Postgres itself by a temporary replication slot
    #[arg(long, value_name = "SOURCE", default_value = "kafka")]
    pub(super) source: Source,
    /// Where to begin: beginning, end, -100 (records of each partition), -15m, @2026-11-22T10:00, or an offset [default: -10; beginning with
    /// --to or --until-end]
    #[arg(long, value_name = "PLACE", allow_hyphen_values = true)]
    pub(super) from: Option<Bound>,
    /// Where to end, in the same forms; what is at the place itself is not shown
    #[arg(long, value_name = "PLACE", allow_hyphen_values = true)]
    pub(super) to: Option<Bound>,
    /// End at what was the end when the command started
    #[arg(long, conflicts_with = "to")]
    pub(super) until_end: bool,
    /// End after so many lines
    #[arg(short = 'n', long, value_name = "LINES")]
    pub(super) count: Option<u64>,
    /// Only these partitions
    #[arg(long, value_delimiter = ',', value_name = "NUMBER,…")]
    pub(super) partition: Vec<i32>,
    /// Only records of this key: 42, or order_id=100,line_no=1
    #[arg(long, value_name = "KEY")]
    pub(super) key: Option<String>,
    /// Only what meets a condition, such as 'op=u and after.status=paid': = != < <= > >= ~ (regular expression), and, or, not, ( ) on op, table,
    /// schema, topic, partition, offset, lsn, xid, key.x, before.x, after.x, changed.x, value.x
    #[arg(long = "where", value_name = "CONDITION")]
    pub(super) condition: Option<String>,
    /// All columns, transaction and place of each change, and nothing cut
    #[arg(long)]
    pub(super) full: bool,
    /// Do not cut lines at the terminal's width
    #[arg(long)]
    pub(super) no_cut: bool,
    /// The values' bytes as they are, each with a line end behind it
    #[arg(long)]
    pub(super) raw: bool,
    /// With --raw: the key and a tab before each value
    #[arg(long, requires = "raw")]
    pub(super) with_key: bool,
    /// List the topics instead: partitions, records, retention, and how far groups are behind
    #[arg(long, conflicts_with_all = ["groups", "from", "to", "until_end", "count", "partition", "key", "condition", "full", "raw"])]
    pub(super) topics: bool,
    /// List the consumer groups instead, and how far they are behind
    #[arg(long, conflicts_with_all = ["names", "from", "to", "until_end", "count", "partition", "key", "condition", "full", "raw"])]
    pub(super) groups: bool,
    /// Kafka's brokers, host:port,…; goes before the configuration and KAFKA_BROKERS
    #[arg(long, value_name = "HOST:PORT,…")]
    brokers: Option<String>,
    /// The schema registry; goes before the configuration and SCHEMA_REGISTRY_URL
    #[arg(long, value_name = "URL")]
    registry: Option<String>,
    /// A property of librdkafka, such as security.protocol=SSL; more than once for several
    #[arg(short = 'X', long = "property", value_name = "NAME=VALUE")]
    properties: Vec<String>,
    /// With --source postgres: the publication to read [default: the pipeline's]
    #[arg(long, value_name = "NAME")]
    pub(super) publication: Option<String>,
}

/// Where changes are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Source {
    /// Topics of Kafka
    Kafka,
    /// Postgres' log
    Postgres,
}

impl Args {
    /// How to reach Kafka, by everything that says so.
    pub(super) fn kafka(&self, context: &super::super::Context) -> Result<KafkaSettings> {
        let mut settings = pipectl::config::load_kafka(context.sources(), self.brokers.as_deref())?;
        if let Some(registry) = &self.registry {
            settings.schema_registry_url = Some(Secret::new(registry));
        }
        for property in &self.properties {
            let Some((name, value)) = property.split_once('=') else {
                return Err(Error::new(Kind::Usage, "-X takes name=value, such as -X security.protocol=SSL"));
            };
            settings.properties.insert(name.trim().to_owned(), Secret::new(value));
        }
        Ok(settings)
    }

    /// What to read of which topics.
    pub(super) fn plan(&self, settings: &KafkaSettings) -> Result<Plan> {
        let to = if self.until_end { Some(Bound::End) } else { self.to };
        let from = self.from.unwrap_or(if to.is_some() { Bound::Beginning } else { Bound::Last(A_FEW) });
        let choice = Choice::new(&self.names, settings.topic_prefix.as_deref())?;
        Ok(Plan { choice, from, to, partitions: self.partition.clone() })
    }

    /// Which of it to show.
    pub(super) fn wanted(&self) -> Result<Wanted> {
        let filter = self.condition.as_deref().map(Filter::parse).transpose()?;
        Ok(Wanted { filter, key: self.key.clone().map(KeyFilter::new) })
    }

    /// Whether it ends by itself.
    pub(super) fn ends(&self) -> bool {
        self.until_end || self.to.is_some() || self.count.is_some()
    }

    /// Refuses what only goes together with Kafka.
    pub(super) fn check_source(&self) -> Result<()> {
        let for_kafka = [
            ("--from", self.from.is_some()),
            ("--to", self.to.is_some()),
            ("--until-end", self.until_end),
            ("--partition", !self.partition.is_empty()),
            ("--raw", self.raw),
            ("--topics", self.topics),
            ("--groups", self.groups),
        ];
        if self.source == Source::Kafka {
            if self.publication.is_some() {
                return Err(Error::new(Kind::Usage, "--publication goes together with --source postgres"));
            }
            return Ok(());
        }
        match for_kafka.iter().find(|(_, given)| *given) {
            Some((name, _)) => {
                Err(Error::new(Kind::Usage, format!("{name} does not go together with --source postgres"))
                    .hint("a temporary slot shows what happens from now on"))
            }
            None => Ok(()),
        }
    }
}
