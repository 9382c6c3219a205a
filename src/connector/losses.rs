//! Settings of a connector that lose data, or that a pipeline cannot rest on.

use std::collections::BTreeMap;

/// A setting that is not as a pipeline needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    /// The setting and its value, `name=value`.
    pub setting: String,
    /// What it costs.
    pub what: &'static str,
    /// What it should be, `name=value`.
    pub better: String,
    /// Whether data is lost or changed by it; else it only may be, or costs something else.
    pub certain: bool,
}

/// When a value counts.
enum When {
    /// Any but these; the first is what is recommended, and Debezium's default counts as one where it is named last.
    Not(&'static [&'static str]),
    /// One of these.
    Is(&'static [&'static str]),
}
use When::{Is, Not};

struct Rule {
    name: &'static str,
    default: &'static str,
    when: When,
    better: &'static str,
    what: &'static str,
    certain: bool,
}

const fn rule(
    (name, default): (&'static str, &'static str),
    when: When,
    better: &'static str,
    what: &'static str,
    certain: bool,
) -> Rule {
    Rule { name, default, when, better, what, certain }
}

/// Debezium's defaults are those of version 3.7.
const RULES: [Rule; 26] = [
    rule(
        ("plugin.name", "decoderbufs"),
        Not(&["pgoutput"]),
        "pgoutput",
        "events of another plug-in are not read",
        true,
    ),
    rule(
        ("decimal.handling.mode", "precise"),
        Is(&["double"]),
        "string",
        "numeric values lose digits beyond the 15th",
        true,
    ),
    rule(
        ("decimal.handling.mode", "precise"),
        Is(&["precise"]),
        "string",
        "NaN and Infinity of numeric columns become NULL, with a line in the worker's log",
        true,
    ),
    rule(("time.precision.mode", "adaptive"), Is(&["connect"]), "microseconds", "times lose their microseconds", true),
    rule(
        ("time.precision.mode", "adaptive"),
        Is(&["nanoseconds"]),
        "microseconds",
        "timestamps before 1677 and after 2262 do not fit",
        true,
    ),
    rule(
        ("time.precision.mode", "adaptive"),
        Is(&["isostring"]),
        "microseconds",
        "the time 24:00:00 becomes 00:00:00",
        true,
    ),
    rule(
        ("time.precision.mode", "adaptive"),
        Is(&["structured"]),
        "microseconds",
        "the time 24:00:00 becomes NULL",
        true,
    ),
    rule(
        ("binary.handling.mode", "bytes"),
        Is(&["base64", "base64-url-safe"]),
        "bytes",
        "a long bytea that an UPDATE leaves out becomes NULL",
        true,
    ),
    rule(
        ("interval.handling.mode", "numeric"),
        Is(&["numeric"]),
        "string",
        "months and days of intervals become microseconds by an average",
        true,
    ),
    rule(
        ("include.unknown.datatypes", "false"),
        Not(&["true"]),
        "true",
        "columns of composite types, multiranges, tsquery, pg_lsn and others are left out without a word",
        true,
    ),
    rule(
        ("value.converter.replace.null.with.default", "true"),
        Not(&["false"]),
        "false",
        "NULL in a column that has a default becomes that default",
        true,
    ),
    rule(("skipped.operations", "t"), Not(&["none"]), "none", "TRUNCATE, or whatever else is skipped, is lost", true),
    rule(
        ("event.processing.failure.handling.mode", "fail"),
        Not(&["fail"]),
        "fail",
        "an event that cannot be processed is lost, with a line in the worker's log",
        true,
    ),
    rule(
        ("event.converting.failure.handling.mode", "warn"),
        Not(&["fail"]),
        "fail",
        "a value that cannot be converted becomes NULL, with a line in the worker's log",
        true,
    ),
    rule(("errors.tolerance", "none"), Not(&["none"]), "none", "a record that cannot be converted is lost", true),
    rule(
        ("slot.drop.on.stop", "false"),
        Not(&["false"]),
        "false",
        "changes made while the connector is stopped are lost",
        true,
    ),
    rule(
        ("snapshot.mode", "initial"),
        Is(&["initial_only", "custom", "configuration_based"]),
        "initial",
        "it does not both copy the tables and follow them",
        true,
    ),
    rule(
        ("snapshot.mode", "initial"),
        Is(&["when_needed", "always"]),
        "initial",
        "a later snapshot hides that changes were missed: rows deleted meanwhile stay",
        true,
    ),
    rule(
        ("snapshot.mode", "initial"),
        Is(&["no_data", "never"]),
        "initial",
        "rows that were there before are not sent: right only for a pipeline that had them before",
        false,
    ),
    rule(
        ("publish.via.partition.root", "false"),
        Not(&["true"]),
        "true",
        "rows of partitions are sent under the partition's own name",
        false,
    ),
    rule(
        ("publication.autocreate.mode", "all_tables"),
        Not(&["disabled"]),
        "disabled",
        "Debezium makes or alters the publication, which `pipectl` then does not own",
        false,
    ),
    rule(
        ("heartbeat.interval.ms", "0"),
        Is(&["0"]),
        "30000",
        "while none of its tables changes, the slot holds the server's whole write-ahead log back",
        false,
    ),
    rule(
        ("heartbeat.action.query", ""),
        Is(&[""]),
        "SELECT pg_logical_emit_message(true, 'pipectl', 'heartbeat')",
        "a heartbeat without it does not move the slot of a database that nobody writes to",
        false,
    ),
    rule(
        ("topic.creation.default.cleanup.policy", "delete"),
        Not(&["delete"]),
        "delete",
        "in a compacted topic changes of a key disappear, and values that an UPDATE leaves out cannot be filled in",
        false,
    ),
    rule(
        ("flush.lsn.source", "true"),
        Not(&["true"]),
        "true",
        "the slot does not move: the server keeps its write-ahead log for ever",
        false,
    ),
    rule(
        ("lsn.flush.mode", "connector"),
        Is(&["manual"]),
        "connector",
        "the slot does not move: the server keeps its write-ahead log for ever",
        false,
    ),
];

/// Settings whose mere presence changes values, by how they begin.
const CHANGING: [(&str, &str); 4] = [
    ("column.mask.", "values are masked before they are sent"),
    ("column.truncate.to.", "values are cut before they are sent"),
    ("transforms", "a transformation may drop or change records; ExtractNewRecordState makes them unreadable for sync"),
    ("converters", "a converter of your own decides what values look like"),
];

/// What in a configuration loses data or is not as a pipeline needs it. What is left out has Debezium's default.
pub fn losses(config: &BTreeMap<String, String>) -> Vec<Loss> {
    let by_rule = RULES.iter().filter_map(|rule| {
        let value = config.get(rule.name).map_or(rule.default, String::as_str);
        let counts = match rule.when {
            Not(values) => !values.contains(&value),
            Is(values) => values.contains(&value),
        };
        counts.then(|| Loss {
            setting: format!("{}={value}", rule.name),
            what: rule.what,
            better: format!("{}={}", rule.name, rule.better),
            certain: rule.certain,
        })
    });
    let changing = config.iter().filter(|(_, value)| !value.is_empty()).filter_map(|(name, value)| {
        let (_, what) =
            CHANGING.iter().find(|(begin, _)| name == begin || begin.ends_with('.') && name.starts_with(begin))?;
        Some(Loss { setting: format!("{name}={value}"), what, better: format!("no {name}"), certain: false })
    });
    by_rule.chain(changing).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(pairs: &[(&str, &str)]) -> Vec<String> {
        let config = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        losses(&config).into_iter().filter(|loss| loss.certain).map(|loss| loss.setting).collect()
    }

    #[test]
    fn what_debezium_does_by_itself_loses_data() {
        assert_eq!(
            settings(&[]),
            [
                "plugin.name=decoderbufs",
                "decimal.handling.mode=precise",
                "interval.handling.mode=numeric",
                "include.unknown.datatypes=false",
                "value.converter.replace.null.with.default=true",
                "skipped.operations=t",
                "event.converting.failure.handling.mode=warn",
            ]
        );
    }

    #[test]
    fn a_changing_setting_is_named_whatever_its_value() {
        let pairs = [("column.mask.with.3.chars", "a"), ("transforms", "unwrap"), ("transforms.unwrap.type", "x")];
        let config = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let names: Vec<String> =
            losses(&config).into_iter().map(|loss| loss.better).filter(|it| it.starts_with("no ")).collect();
        assert_eq!(names, ["no column.mask.with.3.chars", "no transforms"]);
    }
}
