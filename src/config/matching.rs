//! Which entry of `tables` is for a table.

use super::settings::{Deletes, DroppedPartitions, Keyless, Settings, TableMode, TableRule};
use crate::change::TableName;
use std::collections::BTreeMap;

impl Settings {
    /// The entry for a table: among those that match it and do not exclude it the most specific one, that is the one with the fewest
    /// wildcards' freedom: a name before a pattern, a pattern with more of its characters fixed before one with fewer. Of equals the first.
    pub fn rule_for(&self, table: &TableName) -> Option<&TableRule> {
        let matching = self.tables.iter().filter(|rule| rule.takes(table));
        // `max_by_key` keeps the last of equals, so the order is turned round.
        matching.rev().max_by_key(|rule| (!is_pattern(&rule.source), fixed_characters(&rule.source)))
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
        }
    }

    /// Whether the entry matches a table and does not exclude it.
    pub fn takes(&self, table: &TableName) -> bool {
        let (schema, name) = parts(&self.source, "public");
        let excluded = |pattern: &String| {
            let (schema, name) = parts(pattern, schema);
            matches(schema, &table.schema) && matches(name, &table.name)
        };
        matches(schema, &table.schema) && matches(name, &table.name) && !self.exclude.iter().any(excluded)
    }

    /// Whether the entry may be for several tables.
    pub fn is_pattern(&self) -> bool {
        is_pattern(&self.source)
    }
}

/// Schema and name: a schema that holds a dot can only be written with `?` in its place.
fn parts<'a>(pattern: &'a str, schema: &'a str) -> (&'a str, &'a str) {
    pattern.split_once('.').unwrap_or((schema, pattern))
}

fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?'])
}

fn fixed_characters(pattern: &str) -> usize {
    pattern.chars().filter(|c| !matches!(c, '*' | '?')).count()
}

/// Whether a pattern matches a text, in which `*` stands for any characters and `?` for one. Going back to the last `*` is enough: what an
/// earlier one could take in more, the last one can as well.
fn matches(pattern: &str, text: &str) -> bool {
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

    #[test]
    fn wildcards_stand_for_any_characters() {
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
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [("a", "ab"), ("a?", "a"), ("a*c", "abcd"), ("", "a"), ("A", "a"), ("a*bb", "abab")] {
            assert!(!matches(pattern, text), "{pattern} {text}");
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
