//! Which topics are meant.

use crate::error::{Error, Kind, Result};
use regex::Regex;

/// Topics that Kafka and Connect keep for themselves, and which a pattern does not mean.
const INTERNAL: [&str; 3] = ["__consumer_offsets", "__transaction_state", "__share_group_state"];

/// One word of the command line.
#[derive(Debug, Clone)]
enum Wanted {
    /// A topic, or a table with or without its schema.
    Name(String),
    /// A pattern with `*` and `?`, as a regular expression of the whole name.
    Pattern(Regex),
    /// A regular expression between slashes.
    Regex(Regex),
}

/// What the command line asks for.
#[derive(Debug, Clone)]
pub struct Choice {
    wanted: Vec<(String, Wanted)>,
    /// What the names of the pipeline's topics begin with.
    prefix: Option<String>,
}

impl Choice {
    /// Reads names of topics, names of tables, patterns with `*` and `?`, and `/regular expressions/`.
    ///
    /// # Errors
    /// [`Kind::Usage`] for a broken regular expression.
    pub fn new(words: &[String], prefix: Option<&str>) -> Result<Self> {
        let wanted = words.iter().map(|word| Ok((word.clone(), read(word)?))).collect::<Result<Vec<_>>>()?;
        Ok(Self { wanted, prefix: prefix.map(|prefix| format!("{prefix}.")) })
    }

    /// The topics meant among those that there are, in their order; all of the pipeline's where nothing was asked for.
    ///
    /// # Errors
    /// [`Kind::Source`] for a name that fits nothing, with those that are close to it.
    pub fn topics<'a>(&self, all: &[&'a str]) -> Result<Vec<&'a str>> {
        if self.wanted.is_empty() {
            let Some(prefix) = &self.prefix else {
                return Err(Error::new(Kind::Usage, "say which topics: by table, topic, pattern or /regular expression/")
                    .hint("`pipectl tail --topics` lists what there is; with `kafka.topic_prefix` in the configuration all of its topics are meant"));
            };
            let mine: Vec<&str> = all.iter().copied().filter(|topic| topic.starts_with(prefix.as_str())).collect();
            if mine.is_empty() {
                return Err(Error::new(Kind::Source, format!("there is no topic that begins with \"{prefix}\""))
                    .hint("`pipectl tail --topics` lists what there is"));
            }
            return Ok(mine);
        }
        for (word, wanted) in &self.wanted {
            if matches!(wanted, Wanted::Name(_)) && !all.iter().any(|topic| self.means(wanted, topic, all)) {
                return Err(unknown(word, all));
            }
        }
        let chosen: Vec<&str> = all
            .iter()
            .copied()
            .filter(|topic| self.wanted.iter().any(|(_, wanted)| self.means(wanted, topic, all)))
            .collect();
        if chosen.is_empty() {
            let words: Vec<&str> = self.wanted.iter().map(|(word, _)| word.as_str()).collect();
            return Err(Error::new(Kind::Source, format!("no topic fits {}", words.join(", ")))
                .hint("`pipectl tail --topics` lists what there is"));
        }
        Ok(chosen)
    }

    /// Whether one name is meant, whatever others there are.
    pub(super) fn takes(&self, name: &str) -> bool {
        self.wanted.iter().any(|(_, wanted)| self.means(wanted, name, &[name]))
    }

    /// A topic of this very name goes before tables of the name, and those of the pipeline before others.
    fn means(&self, wanted: &Wanted, topic: &str, all: &[&str]) -> bool {
        let is_table = |topic: &str, name: &str| topic.strip_suffix(name).is_some_and(|head| head.ends_with('.'));
        match wanted {
            Wanted::Name(name) => {
                if all.contains(&name.as_str()) {
                    return topic == name;
                }
                let is_own =
                    |topic: &str| self.prefix.as_ref().is_some_and(|prefix| topic.starts_with(prefix.as_str()));
                let own_is_there = all.iter().any(|other| is_own(other) && is_table(other, name));
                is_table(topic, name) && (is_own(topic) || !own_is_there)
            }
            Wanted::Pattern(pattern) => {
                !INTERNAL.contains(&topic)
                    && (pattern.is_match(topic) || tails(topic).any(|tail| pattern.is_match(tail)))
            }
            Wanted::Regex(regex) => !INTERNAL.contains(&topic) && regex.is_match(topic),
        }
    }
}

/// What stands behind each of a name's dots: the table, then schema and table.
fn tails(topic: &str) -> impl Iterator<Item = &str> {
    topic.match_indices('.').filter_map(|(at, _)| topic.get(at + 1..))
}

fn read(word: &str) -> Result<Wanted> {
    let broken = |error: regex::Error| {
        Error::new(Kind::Usage, format!("\"{word}\" is no regular expression")).because(error.to_string())
    };
    if let Some(inner) =
        word.strip_prefix('/').and_then(|rest| rest.strip_suffix('/')).filter(|inner| !inner.is_empty())
    {
        return Regex::new(inner).map(Wanted::Regex).map_err(broken);
    }
    if !word.contains(['*', '?']) {
        return Ok(Wanted::Name(word.to_owned()));
    }
    let pattern = regex::escape(word).replace("\\*", ".*").replace("\\?", ".");
    Regex::new(&format!("^(?:{pattern})$")).map(Wanted::Pattern).map_err(broken)
}

fn unknown(word: &str, all: &[&str]) -> Error {
    let mut close: Vec<(usize, &str)> = all
        .iter()
        .filter(|topic| !topic.starts_with("__"))
        .filter_map(|topic| {
            let nearest = tails(topic).chain([*topic]).map(|name| distance(word, name)).min()?;
            (nearest <= 1 + word.chars().count() / 3).then_some((nearest, *topic))
        })
        .collect();
    close.sort_unstable();
    let names: Vec<&str> = close.into_iter().map(|(_, topic)| topic).take(5).collect();
    let error = Error::new(Kind::Source, format!("there is no topic or table \"{word}\""));
    if names.is_empty() {
        return error.hint("`pipectl tail --topics` lists what there is");
    }
    error.hint(format!("is one of these meant: {}?", names.join(", ")))
}

/// How many letters two names are apart: Levenshtein's distance, regardless of case.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.to_lowercase().chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (above, c) in left.to_lowercase().chars().enumerate() {
        let mut diagonal = above;
        let mut before = above + 1;
        for (cell, other) in row.iter_mut().skip(1).zip(&right) {
            let best = (diagonal + usize::from(c != *other)).min(before + 1).min(*cell + 1);
            diagonal = *cell;
            *cell = best;
            before = best;
        }
        if let Some(first) = row.first_mut() {
            *first = above + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [&str; 7] = [
        "__consumer_offsets",
        "logs",
        "other.public.orders",
        "shop.public.order_items",
        "shop.public.orders",
        "shop.sales.orders",
        "shop.transaction",
    ];

    fn chosen(words: &[&str], prefix: Option<&str>) -> Result<Vec<&'static str>> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        Choice::new(&words, prefix)?.topics(&ALL)
    }

    #[test]
    fn topics_are_found_by_table_topic_pattern_and_regex() {
        let found = |words: &[&str], prefix| chosen(words, prefix).unwrap();
        assert_eq!(found(&["logs"], None), ["logs"]);
        assert_eq!(found(&["orders"], None), ["other.public.orders", "shop.public.orders", "shop.sales.orders"]);
        assert_eq!(found(&["orders"], Some("shop")), ["shop.public.orders", "shop.sales.orders"]);
        assert_eq!(found(&["public.orders"], Some("shop")), ["shop.public.orders"]);
        assert_eq!(found(&["order*"], Some("shop")).len(), 4);
        assert_eq!(found(&["shop.*", "logs"], None).len(), 5);
        assert_eq!(found(&["/s$/"], None).len(), 5);
        assert_eq!(found(&["*.order?items"], None), ["shop.public.order_items"]);
        assert_eq!(found(&["__consumer_offsets"], None), ["__consumer_offsets"]);
        assert_eq!(found(&[], Some("shop")).len(), 4);
    }

    #[test]
    fn a_name_that_fits_nothing_is_told_with_those_close_to_it() {
        let error = chosen(&["ordres"], None).unwrap_err();
        assert_eq!(error.kind(), Kind::Source);
        assert!(error.hint_text().unwrap().contains("shop.public.orders"), "{error:?}");
        assert!(chosen(&["zzzzzz"], None).unwrap_err().hint_text().unwrap().contains("--topics"));
        assert_eq!(chosen(&["/(/"], None).unwrap_err().kind(), Kind::Usage);
        assert_eq!(chosen(&[], None).unwrap_err().kind(), Kind::Usage);
        assert_eq!(chosen(&["x*"], None).unwrap_err().kind(), Kind::Source);
    }

    #[test]
    fn distances_count_letters() {
        assert_eq!((distance("", "abc"), distance("abc", "abc"), distance("kitten", "sitting")), (3, 0, 3));
    }
}
