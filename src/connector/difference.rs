//! How a connector's configuration differs from another.

use crate::server::connect::ConnectorConfig;
use std::collections::BTreeSet;

/// A property that two configurations have differently, as it may be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The property.
    pub name: String,
    /// What Connect has.
    pub theirs: Option<String>,
    /// What it should have.
    pub ours: Option<String>,
}

/// Every property that differs, by name. Values of secrets are hidden, and still compared.
pub fn differences(theirs: &ConnectorConfig, ours: &ConnectorConfig) -> Vec<Difference> {
    let names: BTreeSet<&String> = theirs.keys().chain(ours.keys()).collect();
    let shown = |config: &ConnectorConfig, name: &str| config.shown(name).map(str::to_owned);
    names
        .into_iter()
        .filter(|name| theirs.get(*name) != ours.get(*name))
        .map(|name| Difference { name: name.clone(), theirs: shown(theirs, name), ours: shown(ours, name) })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(pairs: &[(&str, &str)]) -> ConnectorConfig {
        ConnectorConfig(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn what_differs_is_told_and_no_secret() {
        let theirs = config(&[("a", "1"), ("b", "2"), ("database.password", "old")]);
        let ours = config(&[("a", "1"), ("c", "3"), ("database.password", "new")]);
        let one = |name: &str, theirs: Option<&str>, ours: Option<&str>| Difference {
            name: name.to_owned(),
            theirs: theirs.map(str::to_owned),
            ours: ours.map(str::to_owned),
        };
        assert_eq!(
            differences(&theirs, &ours),
            [one("b", Some("2"), None), one("c", None, Some("3")), one("database.password", Some("***"), Some("***"))]
        );
        assert!(differences(&ours, &ours).is_empty());
    }
}
