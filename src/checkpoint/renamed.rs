//! Tables that were renamed at the source: known by their id, they go on into the table they went into before.

use super::State;
use crate::change::{TableName, TableSchema};
use crate::config::{Settings, SyncSource, TableRule};

/// The settings with an entry for each table that has another name by now: the old name's entry, with its place at the destination. A table that has taken
/// the old name, and so asks for a place which is not free, is left out, until it is given one of its own.
pub fn follow(settings: &Settings, state: &State, schemas: &[TableSchema]) -> Settings {
    // Beside those that are there, until all are known: one table may have the name that another one had.
    let (mut followed, mut left) = (Vec::new(), Vec::new());
    for schema in schemas {
        let name = schema.name.to_string();
        let Some(record) = state.tables.get(&schema.relid).filter(|record| record.source != name) else { continue };
        let old = record.source_name();
        let rule = old.as_ref().and_then(|old| settings.rule_for(old)).or_else(|| settings.rule_for(&schema.name));
        let Some(mut rule) = rule.cloned() else { continue };
        rule.source = name;
        rule.exclude.clear();
        // A log's own name is made of its view's.
        rule.target = Some(record.view.as_ref().unwrap_or(&record.target).clone());
        left.extend(old.filter(|old| schemas.iter().all(|other| other.name != *old)));
        followed.push((&schema.name, rule));
    }
    let newcomers = schemas.iter().filter_map(|schema| newcomer(settings, state, (schema, schemas)));
    followed.extend(newcomers);
    let mut settings = settings.clone();
    let is_replaced = |rule: &TableRule| {
        let mut names = left.iter().chain(followed.iter().map(|(name, _)| *name));
        !rule.is_pattern() && names.any(|name| rule.takes(name))
    };
    settings.tables.retain(|rule| !is_replaced(rule));
    settings.tables.extend(followed.into_iter().map(|(_, rule)| rule));
    settings
}

/// The entry of a table that is new and cannot have its place, since a table that was renamed has it.
fn newcomer<'a>(
    settings: &Settings,
    state: &State,
    (schema, schemas): (&'a TableSchema, &[TableSchema]),
) -> Option<(&'a TableName, TableRule)> {
    if state.tables.contains_key(&schema.relid) {
        return None;
    }
    let rule = settings.rule_for(&schema.name)?;
    let others = schemas.iter().map(|other| (other.relid, &other.name));
    let reason = displaced((settings, state), &rule.target_of(&schema.name), others)?;
    let source = schema.name.to_string();
    Some((&schema.name, TableRule { source, exclude: Vec::new(), displaced: Some(reason), ..rule.clone() }))
}

/// Why a table of this name at the destination has no room there: one that was renamed since goes on into it. A topic has the name that its table had:
/// there the new one goes on in the place.
pub fn displaced<'a>(
    (settings, state): (&Settings, &State),
    target: &str,
    mut present: impl Iterator<Item = (u32, &'a TableName)>,
) -> Option<String> {
    if settings.sync.source != SyncSource::Postgres {
        return None;
    }
    let owner =
        |(relation, _): &(u32, &TableName)| state.tables.get(relation).is_some_and(|record| record.has_place(target));
    let (_, name) = present.find(owner)?;
    Some(format!(
        "\"{target}\" in ClickHouse holds the rows of {name}, which was renamed; give this one a `target` of its own"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::fixtures::table;
    use crate::checkpoint::{TablePhase, TableRecord};
    use crate::config::TableRule;
    use crate::config::fixtures::settings as settings_of;

    #[test]
    fn a_renamed_table_keeps_its_place() {
        let settings = settings_of(vec![TableRule::new("public.*")]);
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
        let targets = swapped.clone().map(|schema| followed.rule_for(&schema.name).unwrap().target_of(&schema.name));
        assert_eq!(targets, ["t_new", "t"]);
        // A new one that has taken the name has no place; with one of its own it has.
        let [mut new, old] = swapped;
        new.relid = 3;
        for rules in [vec![TableRule::new("public.*")], vec![TableRule::new("t")]] {
            let mut settings = settings_of(rules);
            let present = [new.clone(), old.clone()];
            let followed = follow(&settings, &state, &present);
            let reason = followed.rule_for(&new.name).unwrap().displaced.as_deref().unwrap();
            assert!(reason.starts_with("\"t\" in ClickHouse holds the rows of public.t_old"), "{reason}");
            assert_eq!(followed.rule_for(&old.name).unwrap().target.as_deref(), Some("t"));
            settings.tables.push(TableRule { target: Some("other".to_owned()), ..TableRule::new("public.t") });
            settings.tables.retain(|rule| rule.source != "t");
            let followed = follow(&settings, &state, &present);
            let rule = followed.rule_for(&new.name).unwrap();
            assert_eq!((rule.target.as_deref(), &rule.displaced), (Some("other"), &None));
            assert_eq!(followed.rule_for(&old.name).unwrap().target.as_deref(), Some("t"));
            // Nobody has the place any more.
            assert_eq!(
                follow(&settings_of(vec![TableRule::new("t")]), &state, &present[..1]).tables,
                [TableRule::new("t")]
            );
        }
    }
}
