//! Which entry of `tables` holds for which table, and what a table is called at the destination.

use super::{Deletes, DroppedPartitions, Keyless, Settings, TableMode, TableRule};
use crate::change::TableName;
use crate::error::{Error, Kind, Result};
use std::collections::{BTreeMap, HashMap};

/// A table that takes part: its entry, and its name at the destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selected<'a> {
    /// The table.
    pub name: TableName,
    /// What applies to it.
    pub rule: &'a TableRule,
    /// Its name at the destination.
    pub target: String,
}

impl Settings {
    /// The entry that holds for a table: an exact name goes before a pattern, a pattern that begins with more letters before one that
    /// begins with fewer, and what this entry excludes takes no part. None where the table takes no part.
    pub fn rule_for(&self, table: &TableName) -> Option<&TableRule> {
        let best = self
            .tables
            .iter()
            .enumerate()
            .filter(|(_, rule)| matches(&rule.source, "public", table))
            .max_by_key(|(index, rule)| (specificity(&rule.source), std::cmp::Reverse(*index)));
        best.map(|(_, rule)| rule).filter(|rule| !rule.excludes(table))
    }

    /// Those of some tables that take part, in their order.
    ///
    /// # Errors
    /// [`Kind::Config`] that names both where two tables would go to one at the destination, or one to another's current view.
    pub fn select<'a>(&'a self, tables: impl IntoIterator<Item = &'a TableName>) -> Result<Vec<Selected<'a>>> {
        let mut selected: Vec<Selected<'a>> = Vec::new();
        let mut taken: HashMap<String, String> = HashMap::new();
        for name in tables {
            let Some(rule) = self.rule_for(name) else { continue };
            let target = rule.target_of(name);
            let mut names = vec![(target.clone(), format!("the table \"{name}\""))];
            if rule.current_view {
                names.push((format!("{target}_current"), format!("the current view of \"{name}\"")));
            }
            for (at_destination, what) in names {
                if let Some(other) = taken.get(&at_destination) {
                    let message = format!("{other} and {what} would both be \"{at_destination}\" in ClickHouse");
                    return Err(Error::new(Kind::Config, message)
                        .hint("give one of them an entry in `tables` with another `target`, or `exclude` it"));
                }
                taken.insert(at_destination, what);
            }
            selected.push(Selected { name: name.clone(), rule, target });
        }
        Ok(selected)
    }
}

impl TableRule {
    /// An entry that says nothing but which tables it is for.
    pub fn new(source: impl Into<String>) -> Self {
        Self {
            source: source.into(),
            exclude: Vec::new(),
            keyless: Keyless::default(),
            target: None,
            order_by: None,
            partition_by: None,
            mode: TableMode::default(),
            deletes: Deletes::default(),
            dropped_partitions: DroppedPartitions::default(),
            current_view: false,
            row_filter: None,
            columns: BTreeMap::new(),
            written_out: None,
            displaced: None,
        }
    }

    /// Whether the entry matches a table and does not exclude it.
    pub fn takes(&self, table: &TableName) -> bool {
        matches(&self.source, "public", table) && !self.excludes(table)
    }

    /// Whether one of its `exclude` patterns matches; without a schema they have the entry's own.
    fn excludes(&self, table: &TableName) -> bool {
        let (schema, _) = parts(&self.source, "public");
        self.exclude.iter().any(|pattern| matches(pattern, schema, table))
    }

    /// The name at the destination: as set, else the table's name, or `schema_table` outside `public`.
    pub fn target_of(&self, table: &TableName) -> String {
        match &self.target {
            Some(target) => target.clone(),
            None if table.schema == "public" => table.name.clone(),
            None => format!("{}_{}", table.schema, table.name),
        }
    }

    /// Whether the entry may be for several tables.
    pub fn is_pattern(&self) -> bool {
        is_pattern(&self.source)
    }
}

/// Whether a text holds `*` or `?`.
pub(super) fn is_pattern(source: &str) -> bool {
    source.contains(['*', '?'])
}

/// A source with its schema.
pub(super) fn qualified(source: &str) -> String {
    if source.contains('.') { source.to_owned() } else { format!("public.{source}") }
}

/// Schema and name of a pattern. A schema that holds a dot can only be written with `?` in the dot's place.
fn parts<'a>(pattern: &'a str, schema: &'a str) -> (&'a str, &'a str) {
    pattern.split_once('.').unwrap_or((schema, pattern))
}

fn matches(pattern: &str, schema: &str, table: &TableName) -> bool {
    let (schema, name) = parts(pattern, schema);
    like(schema, &table.schema) && like(name, &table.name)
}

/// An exact name is more than any pattern; a pattern counts by the letters before its first wildcard, then by all its letters.
fn specificity(source: &str) -> (bool, usize, usize) {
    let source = qualified(source);
    let prefix = source.chars().take_while(|c| !matches!(c, '*' | '?')).count();
    let letters = source.chars().filter(|c| !matches!(c, '*' | '?')).count();
    (!is_pattern(&source), prefix, letters)
}

/// Whether a pattern matches a text, in which `*` stands for any characters and `?` for one. Going back to the last `*` is enough: what an
/// earlier one could take in more, the last one can as well.
fn like(pattern: &str, text: &str) -> bool {
    let (mut pattern, mut text) = (pattern.chars(), text.chars());
    let mut retry = None;
    loop {
        let (mut next_pattern, mut next_text) = (pattern.clone(), text.clone());
        match (next_pattern.next(), next_text.next()) {
            (None, None) => return true,
            (Some('*'), _) => {
                retry = Some((next_pattern.clone(), text.clone()));
                pattern = next_pattern;
                continue;
            }
            (Some(wanted), Some(found)) if wanted == '?' || wanted == found => {
                (pattern, text) = (next_pattern, next_text);
                continue;
            }
            _ => {}
        }
        let Some((after_star, taken)) = &mut retry else { return false };
        if taken.next().is_none() {
            return false;
        }
        (pattern, text) = (after_star.clone(), taken.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Flags, Sources, parse};

    fn settings(tables: &str) -> Settings {
        let flags = Flags { postgres_url: Some("postgres://u@h/d".into()), clickhouse_url: Some("http://h".into()) };
        let sources = Sources { flags, ..Sources::default() };
        parse(&format!("pipeline: shop\ntables:\n{tables}"), &sources, &BTreeMap::new()).unwrap()
    }

    fn source_for(settings: &Settings, schema: &str, name: &str) -> Option<String> {
        settings.rule_for(&TableName::new(schema, name)).map(|rule| rule.source.clone())
    }

    #[test]
    fn the_most_specific_entry_wins() {
        let settings = settings(
            "  - {source: '*.*'}\n  - {source: public.*, exclude: [audit_*, public.tmp?]}\n  - orders*\n  - public.orders\n  - audit_log\n",
        );
        let found = |schema, name| source_for(&settings, schema, name);
        assert_eq!(found("public", "orders").as_deref(), Some("public.orders"));
        assert_eq!(found("public", "orders_old").as_deref(), Some("public.orders*"));
        assert_eq!(found("public", "items").as_deref(), Some("public.*"));
        assert_eq!(found("sales", "items").as_deref(), Some("*.*"));
        assert_eq!(found("public", "audit_log").as_deref(), Some("public.audit_log"));
        assert_eq!((found("public", "audit_old"), found("public", "tmp1")), (None, None));
        assert_eq!(found("public", "tmp").as_deref(), Some("public.*"));
    }

    #[test]
    fn tables_outside_public_keep_their_schema() {
        let settings = settings("  - '*.*'\n  - {source: a.c, target: renamed}\n");
        let names = [TableName::new("public", "t"), TableName::new("a", "b"), TableName::new("a", "c")];
        let targets: Vec<String> = settings.select(&names).unwrap().into_iter().map(|table| table.target).collect();
        assert_eq!(targets, ["t", "a_b", "renamed"]);
    }

    #[test]
    fn two_tables_in_one_place_are_both_named() {
        let two = settings("  - '*.*'\n");
        let names = [TableName::new("public", "a_b"), TableName::new("a", "b")];
        let error = two.select(&names).unwrap_err();
        assert_eq!(error.kind(), Kind::Config);
        assert!(error.message().contains("public.a_b") && error.message().contains("a.b"), "{error}");
        let view = settings("  - {source: public.*, current_view: true}\n");
        let names = [TableName::new("public", "t"), TableName::new("public", "t_current")];
        assert!(view.select(&names).unwrap_err().message().contains("current view of \"public.t\""));
    }

    #[test]
    fn patterns_match_as_a_shell_has_it() {
        for (pattern, text) in [
            ("*", ""),
            ("a*", "a"),
            ("a*c", "abcbc"),
            ("*b*d*", "abcde"),
            ("a?c", "abc"),
            ("?", "é"),
            ("", ""),
            ("a*b*c", "aXbYbZc"),
        ] {
            assert!(like(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [("a", "ab"), ("a?", "a"), ("a*c", "abcd"), ("", "a"), ("A", "a"), ("a*bb", "abab")] {
            assert!(!like(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn an_entry_takes_what_it_names_and_does_not_exclude() {
        let takes = |source: &str, exclude: &[&str], schema: &str, name: &str| {
            let exclude = exclude.iter().map(|pattern| (*pattern).to_owned()).collect();
            TableRule { exclude, ..TableRule::new(source) }.takes(&TableName::new(schema, name))
        };
        assert!(takes("orders", &[], "public", "orders"));
        assert!(!takes("orders", &[], "sales", "orders"));
        assert!(takes("*.*", &["public.*"], "sales", "a.b"));
        assert!(!takes("sales.*", &["audit_*"], "sales", "audit_log"), "without a schema it is the entry's");
        assert!(takes("sales.*", &["audit_*"], "sales", "orders"));
    }
}
