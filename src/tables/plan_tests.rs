use super::*;
use crate::batch::Ranges;
use crate::change::{Column, SourceType, fixtures};
use crate::config::WrittenColumn;
use crate::config::fixtures::settings;
use crate::server::clickhouse::{StoredColumn, StoredDatabase, StoredTable};

fn column(name: &str, source_type: SourceType, not_null: bool) -> Column {
    Column { not_null, ..fixtures::column(name, source_type) }
}

fn schema(name: &str) -> TableSchema {
    let columns = vec![
        column("id", SourceType::Int8, true),
        column("count", SourceType::Int4, true),
        column("note", SourceType::String, false),
    ];
    fixtures::table(name, columns)
}

fn facts(source: Vec<TableSchema>, tables: Vec<(&str, StoredTable)>) -> Facts {
    Facts {
        source: Some(source),
        stored: StoredDatabase {
            exists: true,
            tables: tables.into_iter().map(|(name, table)| (name.to_owned(), table)).collect(),
        },
        ranges: Ranges { date_days: (-719_162, 2_932_896), datetime_micros: (i64::MIN, i64::MAX) },
        type_names: BTreeMap::new(),
        instead: None,
    }
}

fn stored(columns: &[(&str, &str)]) -> StoredTable {
    let column = |(name, column_type): &(&str, &str)| StoredColumn {
        name: (*name).to_owned(),
        column_type: (*column_type).to_owned(),
        ..StoredColumn::default()
    };
    StoredTable {
        engine: "ReplacingMergeTree".to_owned(),
        engine_arguments: vec!["_version".to_owned(), "_deleted".to_owned()],
        sorting_key: vec!["id".to_owned()],
        rows: Some(3),
        columns: columns.iter().chain(&[("_version", "UInt128"), ("_deleted", "UInt8")]).map(column).collect(),
        ..StoredTable::default()
    }
}

const AS_PLANNED: [(&str, &str); 3] = [("id", "Int64"), ("count", "Int32"), ("note", "Nullable(String)")];

fn planned(source: TableSchema, table: StoredTable) -> Plan {
    plan(&settings(vec![TableRule::new("public.t")]), &facts(vec![source], vec![("t", table)]))
}

fn refusal(table: StoredTable) -> String {
    let plan = planned(schema("t"), table);
    assert!(plan.steps.is_empty() && plan.tables.is_empty(), "{plan:?}");
    assert_eq!(plan.refusals[0].error.kind(), Kind::Destination);
    plan.refused().unwrap_err().to_string()
}

#[test]
fn what_is_there_is_left_alone() {
    let plan = planned(schema("t"), stored(&AS_PLANNED));
    assert!(plan.is_done() && plan.warnings.is_empty(), "{plan:?}");
    assert_eq!(plan.tables.len(), 1);
}

#[test]
fn a_missing_database_comes_first() {
    let mut facts = facts(vec![schema("t")], Vec::new());
    facts.stored.exists = false;
    let plan = plan(&settings(vec![TableRule::new("public.t")]), &facts);
    let actions: Vec<&Action> = plan.steps.iter().map(|step| &step.action).collect();
    assert_eq!(actions, [&Action::CreateDatabase, &Action::CreateTable]);
}

#[test]
fn another_table_is_refused_with_the_reason() {
    let engine = StoredTable { engine: "MergeTree".to_owned(), ..stored(&AS_PLANNED) };
    assert!(refusal(engine).contains("its engine is MergeTree, not ReplacingMergeTree(_version, _deleted)"));
    let arguments = StoredTable { engine_arguments: vec!["_version".to_owned()], ..stored(&AS_PLANNED) };
    assert!(refusal(arguments).contains("its engine goes by (_version), not (_version, _deleted)"));
    let sorting = StoredTable { sorting_key: vec!["note".to_owned()], ..stored(&AS_PLANNED) };
    assert!(refusal(sorting).contains("it is sorted by (note), not by (id)"));
    let other = stored(&[("id", "Int64"), ("count", "UUID"), ("note", "Nullable(String)")]);
    assert!(refusal(other).contains("its column \"count\" is UUID, not Int32"));
    let key = stored(&[("id", "Int32"), ("count", "Int32"), ("note", "Nullable(String)")]);
    assert!(refusal(key).contains("its column \"id\" is Int32, not Int64"));
    let mut version = stored(&AS_PLANNED);
    version.columns[3].column_type = "UInt64".to_owned();
    assert!(refusal(version).contains("\"_version\" is UInt64, not UInt128"));
    let mut computed = stored(&AS_PLANNED);
    computed.columns[1].default_kind = "MATERIALIZED".to_owned();
    assert!(refusal(computed).contains("\"count\" is MATERIALIZED"));
}

#[test]
fn a_time_without_its_zone_is_another_type() {
    let mut source = schema("t");
    source.columns[1].source_type = SourceType::TimestampTz;
    let zoned = [AS_PLANNED[0], ("count", "Nullable(DateTime64(6, 'UTC'))"), AS_PLANNED[2]];
    assert!(planned(source.clone(), stored(&zoned)).is_done());
    let zoneless = [AS_PLANNED[0], ("count", "Nullable(DateTime64(6))"), AS_PLANNED[2]];
    assert_eq!(planned(source, stored(&zoneless)).refusals.len(), 1);
}

#[test]
fn the_engines_of_a_cluster_will_do() {
    let mut replicated = stored(&AS_PLANNED);
    replicated.engine = "ReplicatedReplacingMergeTree".to_owned();
    replicated.engine_arguments.splice(0..0, ["'/path'".to_owned(), "'{replica}'".to_owned()]);
    assert!(planned(schema("t"), replicated).is_done());
}

#[test]
fn a_wider_type_is_taken_over_and_a_narrower_one_widened() {
    let wider = stored(&[("id", "Int64"), ("count", "Nullable(Int64)"), ("note", "LowCardinality(Nullable(String))")]);
    let plan = planned(schema("t"), wider);
    assert!(plan.is_done(), "{plan:?}");
    let types: Vec<String> = plan.tables[0].columns.iter().map(|column| column.column_type.to_string()).collect();
    assert_eq!(types, ["Int64", "Nullable(Int64)", "LowCardinality(Nullable(String))"]);
    let narrower = stored(&[("id", "Int64"), ("count", "Int16"), ("note", "String")]);
    let plan = planned(schema("t"), narrower);
    let statements: Vec<&String> = plan.steps.iter().flat_map(|step| &step.statements).collect();
    assert_eq!(
        statements,
        [
            "ALTER TABLE `shop`.`t` MODIFY COLUMN `count` Int32 SETTINGS mutations_sync = 2",
            "ALTER TABLE `shop`.`t` MODIFY COLUMN `note` Nullable(String) SETTINGS mutations_sync = 2",
        ]
    );
}

#[test]
fn a_column_is_added_with_what_old_rows_answer() {
    let before = stored(&[("id", "Int64"), ("note", "Nullable(String)")]);
    let mut source = schema("t");
    source.columns[1].missing_value = Some("7".to_owned());
    let plan = planned(source.clone(), before.clone());
    assert_eq!(
        plan.steps[0].statements,
        [
            "ALTER TABLE `shop`.`t` ADD COLUMN IF NOT EXISTS `count` Int32 DEFAULT 7",
            "ALTER TABLE `shop`.`t` MATERIALIZE COLUMN `count` SETTINGS mutations_sync = 2",
            "ALTER TABLE `shop`.`t` MODIFY COLUMN `count` REMOVE DEFAULT",
        ]
    );
    let mut interrupted = stored(&AS_PLANNED);
    interrupted.columns[1].default_kind = "DEFAULT".to_owned();
    interrupted.columns[1].default_expression = "7".to_owned();
    let plan = planned(source, interrupted);
    assert_eq!(plan.steps[0].statements.len(), 2, "it goes on after the first statement: {plan:?}");
}

#[test]
fn a_column_of_unknown_old_values_is_added_as_nullable() {
    let before = stored(&[("id", "Int64"), ("note", "Nullable(String)")]);
    let plan = planned(schema("t"), before.clone());
    let statement = "ALTER TABLE `shop`.`t` ADD COLUMN IF NOT EXISTS `count` Nullable(Int32)";
    assert_eq!(plan.steps[0].statements, [statement]);
    assert!(plan.warnings[0].contains("pipectl resync public.t"), "{:?}", plan.warnings);
    assert_eq!(plan.tables[0].columns[1].column_type.to_string(), "Nullable(Int32)");
    let empty = StoredTable { rows: Some(0), ..before };
    let plan = planned(schema("t"), empty);
    assert_eq!(plan.steps[0].statements, ["ALTER TABLE `shop`.`t` ADD COLUMN IF NOT EXISTS `count` Int32"]);
}

#[test]
fn views_are_made_anew_only_where_they_are_ours() {
    let with_view = settings(vec![TableRule { current_view: true, ..TableRule::new("public.t") }]);
    let view = |query: &str, columns: &[(&str, &str)]| {
        let columns = stored(columns).columns.into_iter().take(columns.len()).collect();
        StoredTable { engine: "View".to_owned(), query: query.to_owned(), columns, ..StoredTable::default() }
    };
    let planned = |view: StoredTable| {
        plan(&with_view, &facts(vec![schema("t")], vec![("t", stored(&AS_PLANNED)), ("t_current", view)]))
    };
    assert!(planned(view("SELECT id FROM shop.t FINAL", &AS_PLANNED)).is_done());
    let old = planned(view("SELECT id FROM shop.t FINAL", &AS_PLANNED[..1]));
    assert_eq!(old.steps[0].action, Action::CreateView);
    let other = planned(view("SELECT 1", &[("1", "UInt8")]));
    assert!(other.refused().unwrap_err().to_string().contains("is not the view of t"));
}

#[test]
fn names_must_differ_at_the_destination() {
    let mut other = schema("t");
    other.name = TableName::new("a", "x");
    let rules = vec![TableRule::new("public.t"), TableRule { target: Some("t".to_owned()), ..TableRule::new("a.x") }];
    let plan = plan(&settings(rules), &facts(vec![schema("t"), other], Vec::new()));
    assert!(plan.refused().unwrap_err().to_string().contains("a.x and public.t would both be stored as \"t\""));
}

#[test]
fn a_table_that_is_not_there_is_an_error_and_a_pattern_without_tables_a_warning() {
    let plan = plan(
        &settings(vec![TableRule::new("public.T"), TableRule::new("audit.*")]),
        &facts(vec![schema("t")], Vec::new()),
    );
    assert_eq!(plan.refused().unwrap_err().hint_text(), Some("did you mean public.t?"));
    assert_eq!(plan.warnings, ["no table of Postgres is taken by \"audit.*\""]);
}

#[test]
fn several_refusals_are_told_at_once() {
    let plan =
        plan(&settings(vec![TableRule::new("public.a"), TableRule::new("public.b")]), &facts(Vec::new(), Vec::new()));
    let error = plan.refused().unwrap_err();
    assert_eq!(error.kind(), Kind::Config);
    let text = error.to_string();
    assert!(text.starts_with("2 tables cannot be made") && text.contains("public.a") && text.contains("public.b"));
}

#[test]
fn a_table_that_is_written_out_needs_no_postgres() {
    let written =
        |name: &str, column_type: &str| WrittenColumn { name: name.to_owned(), column_type: column_type.to_owned() };
    let columns = Some(vec![written("id", "UInt64"), written("kind", "Enum8('a'=1)")]);
    let order_by = Some(vec!["id".to_owned()]);
    let rules = vec![TableRule { written_out: columns, order_by, ..TableRule::new("log.clicks") }];
    let mut facts = facts(Vec::new(), Vec::new());
    facts.source = None;
    facts.type_names.insert("Enum8('a'=1)".to_owned(), "Enum8('a' = 1)".to_owned());
    let plan = plan(&settings(rules), &facts);
    assert!(plan.refusals.is_empty() && plan.tables.is_empty());
    let statement = &plan.steps[0].statements[0];
    assert!(statement.starts_with("CREATE TABLE IF NOT EXISTS `shop`.`log_clicks`"), "{statement}");
    assert!(statement.contains("`kind` Enum8('a' = 1),\n    `_version` UInt128"), "{statement}");
}
