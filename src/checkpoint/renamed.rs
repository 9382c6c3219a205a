//! Tables that were renamed at the source: known by their id, they go on into the table they went into before.

use super::State;
use crate::change::TableSchema;
use crate::config::Settings;

/// The settings with an entry for each table that has another name by now: the old name's entry, with its place at the destination.
pub fn follow(settings: &Settings, state: &State, schemas: &[TableSchema]) -> Settings {
    let mut settings = settings.clone();
    // Beside those that are there, until all are known: one table may have the name that another one had.
    let mut followed = Vec::new();
    for schema in schemas {
        let name = schema.name.to_string();
        let Some(record) = state.tables.get(&schema.relid).filter(|record| record.source != name) else { continue };
        let old = record.source_name();
        let rule = old.as_ref().and_then(|old| settings.rule_for(old)).or_else(|| settings.rule_for(&schema.name));
        let Some(mut rule) = rule.cloned() else { continue };
        settings.tables.retain(|other| other.source != record.source);
        rule.source = name;
        rule.exclude.clear();
        // A log's own name is made of its view's.
        rule.target = Some(record.view.as_ref().unwrap_or(&record.target).clone());
        followed.push(rule);
    }
    settings.tables.extend(followed);
    settings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::fixtures::table;
    use crate::checkpoint::{TablePhase, TableRecord};
    use crate::config::TableRule;
    use crate::config::fixtures::settings;

    #[test]
    fn a_renamed_table_keeps_its_place() {
        let settings = settings(vec![TableRule::new("public.*")]);
        let schema = TableSchema { relid: 7, ..table("new", Vec::new()) };
        let record = TableRecord {
            source: "public.old".into(),
            target: "old".into(),
            phase: TablePhase::Ready,
            ..TableRecord::default()
        };
        let mut state = State::default();
        state.tables.insert(7, record);
        let followed = follow(&settings, &state, std::slice::from_ref(&schema));
        let rule = followed.rule_for(&schema.name).unwrap();
        assert_eq!(rule.target_of(&schema.name), "old");
        let counted = state.tables.get_mut(&7).unwrap();
        (counted.target, counted.view) = ("old__log".into(), Some("old".into()));
        let followed = follow(&settings, &state, std::slice::from_ref(&schema));
        assert_eq!(followed.rule_for(&schema.name).unwrap().target_of(&schema.name), "old", "its log has its place");
        let mut other = schema.clone();
        other.relid = 8;
        assert_eq!(follow(&settings, &state, &[other]), settings);
        // Two that change their names go on where each was.
        let named = |relid, name| TableSchema { relid, ..table(name, Vec::new()) };
        let record = |name: &str| TableRecord {
            source: format!("public.{name}"),
            target: name.into(),
            ..TableRecord::default()
        };
        state.tables = [(1, record("t")), (2, record("t_new"))].into();
        let swapped = [named(2, "t"), named(1, "t_old")];
        let followed = follow(&settings, &state, &swapped);
        let targets = swapped.map(|schema| followed.rule_for(&schema.name).unwrap().target_of(&schema.name));
        assert_eq!(targets, ["t_new", "t"]);
    }
}
