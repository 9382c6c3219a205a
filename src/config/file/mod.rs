//! The YAML file: from text to what it says, with everything that is wrong in it.

mod expand;
mod marked;
mod reader;
mod servers;
mod sync;
mod tables;
mod units;

use super::connections::{ClickHouseKeys, PostgresKeys};
use super::problems::Problems;
use super::{Flags, KafkaSettings, Statement, SyncSettings, TableRule};
use reader::{Place, Reader, Section};
use std::collections::BTreeMap;

/// What a file says.
#[derive(Debug, Default)]
pub(super) struct Document {
    pub(super) pipeline: Option<String>,
    pub(super) postgres: PostgresKeys,
    pub(super) clickhouse: ClickHouseKeys,
    pub(super) kafka: Option<KafkaSettings>,
    pub(super) tables: Vec<TableRule>,
    pub(super) statements: Vec<Statement>,
    pub(super) sync: SyncSettings,
}

/// How much of a file is read: a verb that talks to one server is not kept from it by what the file says of the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    All,
    Postgres,
    ClickHouse,
    Kafka,
}

/// Reads a file's text. What the flags set is not read from it, so that it need not be right there.
pub(super) fn read(
    text: &str,
    scope: Scope,
    flags: &Flags,
    variables: &BTreeMap<String, String>,
    problems: &Problems,
) -> Document {
    let root = match marked::parse(text) {
        Ok(root) => root,
        Err(error) => {
            problems.add(Some(error.line), "", format!("this is not YAML: {}", error.what));
            return Document::default();
        }
    };
    let reader = Reader { problems, variables };
    let place = Place { path: String::new(), node: &root };
    let Some(root) = reader.section(&place) else { return Document::default() };
    let mut document = Document { pipeline: pipeline(&root), ..Document::default() };
    if matches!(scope, Scope::All | Scope::Postgres)
        && let Some(section) = root.section("postgres")
    {
        document.postgres = servers::postgres(section, flags.postgres_url.is_some());
    }
    if matches!(scope, Scope::All | Scope::ClickHouse)
        && let Some(section) = root.section("clickhouse")
    {
        document.clickhouse = servers::clickhouse(section, flags.clickhouse_url.is_some());
    }
    if matches!(scope, Scope::All | Scope::Kafka) {
        document.kafka = root.section("kafka").map(servers::kafka);
    }
    if scope == Scope::All {
        rest(root, &mut document);
    }
    document
}

fn rest(root: Section<'_>, document: &mut Document) {
    document.tables = root.get("tables").map(|place| tables::rules(root.reader, &place)).unwrap_or_default();
    document.statements = root.get("statements").map(|place| sync::statements(root.reader, &place)).unwrap_or_default();
    document.sync = root.section("sync").map(sync::settings).unwrap_or_default();
    if !root.has("tables") && !root.has("statements") {
        root.problem("tables", "is missing; `- source: public.*` takes every table of the schema public");
    }
    root.finish();
}

fn pipeline(root: &Section<'_>) -> Option<String> {
    if root.get("pipeline").is_none() {
        root.problem("pipeline", "is missing: a name for this pipeline, such as shop");
        return None;
    }
    root.parse("pipeline", |name| {
        let letters = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        let good = letters && name.len() <= 41 && name.starts_with(|c: char| c.is_ascii_lowercase());
        good.then(|| name.to_owned()).ok_or_else(|| {
            format!("\"{name}\" must be a lower-case letter, then up to 40 lower-case letters, digits or _")
        })
    })
}
