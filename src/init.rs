//! A first configuration, from what is in Postgres: every table with its size and key, and what stands in the way of following it.

use crate::change::{Column, ReplicaIdentity, SourceType, TableSchema};
use crate::error::{Error, Kind, Result};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

/// Names of columns that are listed for one table at most.
const MOST_NAMES: usize = 4;

/// What the file names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// The pipeline.
    pub pipeline: String,
    /// The database at the destination.
    pub database: String,
}

/// A pipeline's name made of a database's: lower-case letters, digits and `_`, at most 41, a letter first.
pub fn pipeline_name(database: &str) -> String {
    let letters = database.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' });
    let name: String = letters.skip_while(|c| !c.is_ascii_lowercase()).take(41).collect();
    if name.is_empty() { "pipeline".to_owned() } else { name }
}

/// The text of a configuration for some tables.
pub fn configuration(tables: &[TableSchema], names: &Names) -> String {
    let Names { pipeline, database } = names;
    let mut text = format!(
        "# Written by `pipectl init`. ${{VAR}} is filled from the environment, or a file `.env` next to this one.\n\n\
         # The slot and the publication in Postgres are named after it: pipectl_{pipeline}.\n\
         pipeline: {pipeline}\n\n\
         postgres:\n  url: ${{POSTGRES_URL}}     # postgres://user:password@host:port/database?sslmode=verify-full\n\n\
         clickhouse:\n  url: ${{CLICKHOUSE_URL}}   # http(s)://user:password@host:port\n  \
         database: {}   # made if it is missing\n\ntables:\n",
        scalar(database)
    );
    let mut schemas: BTreeMap<&str, Vec<&TableSchema>> = BTreeMap::new();
    for table in tables {
        schemas.entry(&table.name.schema).or_default().push(table);
    }
    for (schema, tables) in &schemas {
        section(&mut text, schema, tables);
    }
    if schemas.is_empty() {
        text.push_str(
            "  # There are no tables yet; a pattern also takes those that come later.\n  - source: public.*\n",
        );
    }
    text.push_str(
        "\n# Plain SQL for ClickHouse, run by `pipectl create-tables` as it is written, in this order.\n\
         # statements:\n#   - name: daily_revenue\n#     sql: CREATE VIEW IF NOT EXISTS …\n\n\
         # Shown are the defaults.\n\
         sync:\n  batch: {max_rows: 100000, max_bytes: 16MiB, max_age: 1s}\n  snapshot: {parallel: 4}\n  \
         memory: 192MiB     # of all waiting rows together\n  heartbeat: 30s     # keeps an idle database from holding back its \
         write-ahead log; 0 for none\n  stop_timeout: 20s  # for the last batch, when it is told to stop\n",
    );
    text
}

/// The entry of one schema, and those of its tables that need a decision.
fn section(text: &mut String, schema: &str, tables: &[&TableSchema]) {
    let counted: u64 = tables.iter().map(|table| table.estimated_rows).sum();
    let bytes: u64 = tables.iter().map(|table| table.bytes).sum();
    let count = if tables.len() == 1 { "1 table".to_owned() } else { format!("{} tables", tables.len()) };
    line(text, &format!("  # Schema {}: {count}, about {} rows, {}.", shown(schema), grouped(counted), size(bytes)));
    if tables.iter().any(|table| uncounted(table)) {
        line(text, "  # Tables with ? were never counted: ANALYZE does that.");
    }
    line(text, "  # table                            rows, about  key");
    for table in tables {
        let key: Vec<String> = table.key_columns().map(|column| shown(&column.name)).collect();
        let key = if key.is_empty() { "none".to_owned() } else { key.join(", ") };
        let rows = if uncounted(table) { "?".to_owned() } else { grouped(table.estimated_rows) };
        line(text, &format!("  # {:<30} {rows:>13}  {key}", shown(&table.name.name)));
    }
    line(text, &format!("  - source: {}", scalar(&format!("{schema}.*"))));
    line(text, "    # exclude: [audit_*]");
    long_values(text, tables);
    for table in tables {
        if let Some((reason, entry)) = decision(table) {
            line(text, &format!("  # {}: {reason}", shown(&table.name.to_string())));
            let source = table.name.to_string();
            line(text, &format!("  - source: {}\n    {entry}", scalar(&source)));
        }
    }
}

/// Where an UPDATE may leave long values out of what Postgres sends.
fn long_values(text: &mut String, tables: &[&TableSchema]) {
    let exposed: Vec<String> = tables
        .iter()
        .filter(|table| table.identity != ReplicaIdentity::Full && !table.key.is_empty())
        .filter_map(|table| {
            let names: Vec<&Column> = table.columns.iter().filter(|column| may_be_long(column)).collect();
            let more = names.len().saturating_sub(MOST_NAMES);
            let mut list: Vec<String> = names.iter().take(MOST_NAMES).map(|column| shown(&column.name)).collect();
            if more > 0 {
                list.push(format!("{more} more"));
            }
            (!list.is_empty()).then(|| format!("{}: {}", shown(&table.name.name), list.join(", ")))
        })
        .collect();
    if exposed.is_empty() {
        return;
    }
    line(
        text,
        "    # Long values (TOAST) that an UPDATE does not touch are not sent by Postgres; pipectl looks them up, which costs",
    );
    line(
        text,
        "    # time where such updates are many. ALTER TABLE … REPLICA IDENTITY FULL sends them, for more write-ahead log.",
    );
    for table in exposed {
        line(text, &format!("    #   {table}"));
    }
}

/// Whether Postgres may keep values of the column outside of the row: only those of some two thousand bytes are.
fn may_be_long(column: &Column) -> bool {
    let limit = column.type_modifier;
    column.toastable
        && match &column.source_type {
            SourceType::String => !(0..500).contains(&limit),
            SourceType::Bytea | SourceType::Array(_) | SourceType::Vector => true,
            SourceType::Hstore | SourceType::Json => true,
            SourceType::Text => column.type_name != "cidr",
            _ => false,
        }
}

/// Whether the planner has no number of rows for the table.
fn uncounted(table: &TableSchema) -> bool {
    table.estimated_rows == 0 && table.bytes > 0
}

/// What is to be decided about a table that cannot be followed as it is, and the setting that decides it.
fn decision(table: &TableSchema) -> Option<(&'static str, &'static str)> {
    if table.unlogged {
        return Some(("is unlogged, so its changes cannot be followed: it is left out", "keyless: refuse"));
    }
    table.key.is_empty().then_some((
        "has no key that rows can be told apart by: it is left out until it has a primary key,\n  # or its inserts alone are \
         taken (insert_only), or all changes under REPLICA IDENTITY FULL (multiset)",
        "keyless: refuse",
    ))
}

/// The text of a `.env` for the connections that are known; the others as a comment.
pub fn variables(postgres_url: Option<&str>, clickhouse_url: Option<&str>) -> String {
    let mut text =
        "# Read by pipectl next to clickhouse_config.yml; the environment of the process goes before it.\n".to_owned();
    let examples = [
        ("POSTGRES_URL", postgres_url, "postgres://user:password@localhost:5432/database"),
        ("CLICKHOUSE_URL", clickhouse_url, "http://default:password@localhost:8123"),
    ];
    for (name, url, example) in examples {
        match url {
            // Between single quotes nothing has a meaning but the quote itself, which a URL can write in another way.
            Some(url) => line(&mut text, &format!("{name}='{}'", url.replace('\'', "%27"))),
            None => line(&mut text, &format!("# {name}='{example}'")),
        }
    }
    text
}

/// The text of a `.env` for docker-compose.yml: the example, with a random password of 24 bytes where it leaves one to be filled in.
pub fn stack_variables() -> String {
    let mut text = String::new();
    for example in include_str!("../.env.example").lines() {
        let name = example.strip_suffix('=').filter(|name| !name.starts_with('#'));
        match name {
            Some(name) => line(&mut text, &format!("{name}={}", random_password())),
            None if example.starts_with("# Copy to .env") => {
                line(
                    &mut text,
                    "# Written by `pipectl init --env`, with random passwords. Only its owner can read it.",
                );
            }
            None => line(&mut text, example),
        }
    }
    text
}

/// In letters and digits, so that it may stand in a URL.
fn random_password() -> String {
    let bytes: [u8; 24] = rand::random();
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

/// Writes a file that must not be there yet; `secret` lets its owner alone read it.
///
/// # Errors
/// [`Kind::Config`] where it is there, or cannot be written.
pub fn write_new(path: &Path, text: &str, secret: bool) -> Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    if secret {
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    }
    let written = options.open(path).and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => already_there(path),
        _ => Error::new(Kind::Config, format!("could not write \"{}\"", path.display())).because(error),
    })
}

/// Says that a file is there, if it is: before anything else is done.
///
/// # Errors
/// [`Kind::Config`] where it is there.
pub fn must_be_new(path: &Path) -> Result<()> {
    if path.symlink_metadata().is_ok() { Err(already_there(path)) } else { Ok(()) }
}

fn already_there(path: &Path) -> Error {
    Error::new(Kind::Config, format!("\"{}\" is already there", path.display()))
        .hint("it is never written over: move it away, or name another file with -c")
}

fn line(text: &mut String, line: &str) {
    // Writing to a String cannot fail.
    writeln!(text, "{line}").ok();
}

/// A name for a comment: without what would end the line.
fn shown(name: &str) -> String {
    name.chars()
        .map(|c| if c.is_control() || matches!(c, '\u{85}' | '\u{2028}' | '\u{2029}') { '?' } else { c })
        .collect()
}

/// A text as a YAML value: plain where that is safe, else in double quotes; `${` must not become a variable.
fn scalar(text: &str) -> String {
    let plain = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '*'))
        && !matches!(text, "null" | "Null" | "NULL" | "true" | "false" | "yes" | "no");
    if plain {
        return text.to_owned();
    }
    let mut quoted = String::from("\"");
    for c in text.replace("${", "$${").chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() || matches!(c, '\u{85}' | '\u{2028}' | '\u{2029}' | '\u{feff}') => {
                write!(quoted, "\\U{:08X}", u32::from(c)).ok();
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn size(bytes: u64) -> String {
    match bytes {
        0..=1_048_575 => format!("{} KiB", bytes.div_ceil(1 << 10)),
        1_048_576..=1_073_741_823 => format!("{} MiB", bytes >> 20),
        _ => format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::{TableName, fixtures};
    use crate::config::{Sources, load};
    use proptest::prelude::*;

    fn column(name: &str, toastable: bool) -> Column {
        Column { toastable, ..fixtures::column(name, SourceType::String) }
    }

    fn table(schema: &str, name: &str, key: &[usize]) -> TableSchema {
        TableSchema {
            name: TableName::new(schema, name),
            key: key.to_vec(),
            estimated_rows: 1_234_567,
            bytes: 300 << 20,
            ..fixtures::table(name, vec![column("id", false), column("body", true)])
        }
    }

    fn names() -> Names {
        Names { pipeline: "shop".to_owned(), database: "shop".to_owned() }
    }

    /// Loads what was written.
    fn loaded(case: &str, text: &str) -> crate::config::Settings {
        let directory = std::env::temp_dir().join(format!("pipectl-init-{case}-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let file = directory.join("clickhouse_config.yml");
        std::fs::write(&file, text).unwrap();
        let environment = [("POSTGRES_URL", "postgres://u@h/d"), ("CLICKHOUSE_URL", "http://h")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let settings = load(&Sources { file, environment: environment.into(), ..Sources::default() });
        std::fs::remove_dir_all(&directory).unwrap();
        settings.unwrap_or_else(|error| panic!("{error}\n{text}"))
    }

    #[test]
    fn says_what_there_is_and_what_stands_in_the_way() {
        let mut unlogged = table("public", "cache", &[0]);
        unlogged.unlogged = true;
        let mut tables =
            [table("public", "orders", &[0]), table("public", "visits", &[]), unlogged, table("Sales", "a b", &[0, 1])];
        tables[3].estimated_rows = 0;
        let text = configuration(&tables, &names());
        assert!(text.contains("a b                                        ?  id, body"), "{text}");
        assert!(text.contains("# Schema public: 3 tables, about 3,703,701 rows, 900 MiB."), "{text}");
        assert!(text.contains("orders                             1,234,567  id"), "{text}");
        assert!(text.contains("public.visits: has no key") && text.contains("public.cache: is unlogged"), "{text}");
        assert!(text.contains("#   orders: body"), "{text}");
        let sources: Vec<String> = loaded("says", &text).tables.into_iter().map(|rule| rule.source).collect();
        assert_eq!(sources, ["Sales.*", "public.*", "public.visits", "public.cache"]);
        assert_eq!(loaded("none", &configuration(&[], &names())).tables.len(), 1);
    }

    #[test]
    fn names_a_pipeline() {
        assert_eq!(pipeline_name("Shop-EU"), "shop_eu");
        assert_eq!(pipeline_name("1_2"), "pipeline");
        assert_eq!(pipeline_name(&"a".repeat(63)).len(), 41);
    }

    #[test]
    fn writes_the_variables_that_are_known() {
        let text = variables(Some("postgres://u:it's $HOME #1@h/d"), None);
        assert!(text.contains("POSTGRES_URL='postgres://u:it%27s $HOME #1@h/d'\n"), "{text}");
        assert!(text.contains("# CLICKHOUSE_URL="), "{text}");
        let read: Vec<_> = dotenvy::from_read_iter(text.as_bytes()).map(Result::unwrap).collect();
        assert_eq!(read, [("POSTGRES_URL".to_owned(), "postgres://u:it%27s $HOME #1@h/d".to_owned())]);
    }

    #[test]
    fn makes_up_every_password_of_the_stack() {
        let text = stack_variables();
        let read: BTreeMap<String, String> = dotenvy::from_read_iter(text.as_bytes()).map(Result::unwrap).collect();
        let secrets: Vec<&str> =
            include_str!("../.env.example").lines().filter_map(|line| line.strip_suffix('=')).collect();
        assert!(secrets.len() > 6 && read.values().all(|value| !value.is_empty()), "{text}");
        let mut values: Vec<&String> = secrets.iter().map(|name| &read[*name]).collect();
        assert!(values.iter().all(|value| value.len() == 48 && value.chars().all(|c| c.is_ascii_hexdigit())), "{text}");
        values.sort();
        values.dedup();
        assert_eq!(values.len(), secrets.len(), "a password stands there twice");
        // A variable in another's value is filled in by whoever reads the file.
        assert!(read["POSTGRES_URL"].contains(&format!(":{}@", read["POSTGRES_PASSWORD"])), "{text}");
    }

    // `*` and `?` in a name read as a pattern: they cannot be told apart there.
    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_name_comes_back(name in "[^.*?\0]{1,12}") {
            let text = configuration(&[table("public", &name, &[])], &names());
            let settings = loaded("any", &text);
            prop_assert_eq!(&settings.tables[1].source, &format!("public.{name}"));
        }
    }
}
