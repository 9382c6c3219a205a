use super::*;
use crate::change::SourceType;
use crate::change::fixtures::{column, table};
use crate::config::ColumnRule;
use crate::config::fixtures::clickhouse as settings;
use crate::sink::clickhouse::ddl;

fn orders() -> TableSchema {
    let columns = vec![
        column("id", SourceType::Int8),
        column("at", SourceType::TimestampTz),
        column("no`te", SourceType::String),
    ];
    table("orders", columns)
}

fn refusal(schema: &TableSchema, rule: &TableRule) -> String {
    let error = plan_table(schema, rule, &settings()).unwrap_err();
    assert_eq!(error.kind(), Kind::Config);
    error.to_string()
}

#[test]
fn a_keyed_table() {
    let plan = plan_table(&orders(), &TableRule::new("public.orders"), &settings()).unwrap();
    assert_eq!((plan.key.as_slice(), plan.sorting_key.as_slice()), (&[0][..], &[0][..]));
    assert_eq!(
        ddl::create_table(&plan.shape(), &settings()),
        "CREATE TABLE IF NOT EXISTS `shop`.`orders`\n(\n    `id` Int64,\n    `at` Nullable(DateTime64(6, 'UTC')),\n    \
         `no\\`te` Nullable(String),\n    `_version` UInt128,\n    `_deleted` UInt8\n)\n\
         ENGINE = ReplacingMergeTree(`_version`, `_deleted`)\nORDER BY (`id`)"
    );
    assert_eq!(
        ddl::create_current_view(&plan.shape(), &settings()),
        "CREATE OR REPLACE VIEW `shop`.`orders_current` AS\nSELECT `id`, `at`, `no\\`te`\nFROM `shop`.`orders` FINAL"
    );
}

#[test]
fn a_partitioned_table_on_a_cluster() {
    let mut rule = TableRule::new("public.orders");
    rule.partition_by = Some("toYYYYMM(at)".to_owned());
    let mut settings = settings();
    settings.cluster = Some("main".to_owned());
    let plan = plan_table(&orders(), &rule, &settings).unwrap();
    let sql = ddl::create_table(&plan.shape(), &settings);
    assert!(sql.starts_with("CREATE TABLE IF NOT EXISTS `shop`.`orders` ON CLUSTER `main`\n"), "{sql}");
    assert!(
        sql.ends_with(
            "ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}', \
             `_version`, `_deleted`)\nPARTITION BY toYYYYMM(at)\nORDER BY (`id`)\nSETTINGS allow_nullable_key = 1"
        ),
        "{sql}"
    );
}

#[test]
fn names_come_from_the_rule_or_the_schema() {
    let outside = TableName::new("audit", "log");
    assert_eq!(target_name(&outside, &TableRule::new("audit.*")), "audit_log");
    let named = TableRule { target: Some("elsewhere".to_owned()), ..TableRule::new("audit.log") };
    assert_eq!(target_name(&outside, &named), "elsewhere");
}

#[test]
fn a_sorting_key_holds_the_identity_and_more_only_under_full() {
    let sorted = |names: &[&str]| TableRule {
        order_by: Some(names.iter().map(|name| (*name).to_owned()).collect()),
        ..TableRule::new("public.orders")
    };
    let mut full = orders();
    full.identity = ReplicaIdentity::Full;
    let plan = plan_table(&full, &sorted(&["at", "id"]), &settings()).unwrap();
    assert_eq!((plan.key.as_slice(), plan.sorting_key.as_slice()), (&[0][..], &[1, 0][..]));
    assert_eq!(plan.columns[1].column_type.to_string(), "String", "a time in the sorting key");
    assert!(refusal(&orders(), &sorted(&["at", "id"])).contains("sends no old values"));
    assert!(refusal(&full, &sorted(&["at"])).contains("leaves out \"id\""));
    assert!(refusal(&full, &sorted(&["id", "ad"])).contains("\"ad\""));
    assert!(refusal(&full, &sorted(&["id", "id"])).contains("twice"));
}

#[test]
fn names_that_pipectl_needs_must_be_free() {
    let mut schema = orders();
    schema.columns.push(column("_version", SourceType::Int4));
    let error = plan_table(&schema, &TableRule::new("public.orders"), &settings()).unwrap_err();
    assert!(
        error.message().contains("\"_version\"") && error.hint_text().unwrap().contains("clickhouse.version_column")
    );
    let renamed = ClickHouseSettings { version_column: "_pipectl_version".to_owned(), ..settings() };
    let plan = plan_table(&schema, &TableRule::new("public.orders"), &renamed).unwrap();
    assert!(ddl::create_table(&plan.shape(), &renamed).contains("ReplacingMergeTree(`_pipectl_version`, `_deleted`)"));
}

#[test]
fn tables_without_a_key_are_left_out_or_keep_inserts_alone() {
    let mut schema = orders();
    schema.key.clear();
    assert!(left_out(&schema, &TableRule::new("public.*")).unwrap().contains("no primary key"));
    let inserts = TableRule { keyless: Keyless::InsertOnly, ..TableRule::new("public.*") };
    assert_eq!(left_out(&schema, &inserts), None);
    let plan = plan_table(&schema, &inserts, &settings()).unwrap();
    assert!(plan.insert_only);
    let sql = ddl::create_table(&plan.shape(), &settings());
    assert!(
        sql.ends_with(
            "    `_version` UInt128,\n    `_ordinal` UInt64\n)\nENGINE = ReplacingMergeTree(`_version`)\nORDER BY (`_version`, `_ordinal`)"
        ),
        "{sql}"
    );
    schema.unlogged = true;
    assert!(left_out(&schema, &inserts).unwrap().contains("unlogged"));
}

#[test]
fn columns_can_be_left_out_but_not_the_key() {
    let excluded = |name: &str| {
        let mut rule = TableRule::new("public.orders");
        rule.columns.insert(name.to_owned(), ColumnRule { exclude: true, ..ColumnRule::default() });
        rule
    };
    let plan = plan_table(&orders(), &excluded("at"), &settings()).unwrap();
    let kept: Vec<(usize, &str)> = plan.columns.iter().map(|column| (column.source, column.name.as_str())).collect();
    assert_eq!(kept, [(0, "id"), (2, "no`te")]);
    assert!(refusal(&orders(), &excluded("id")).contains("part of the key"));
    assert!(refusal(&orders(), &excluded("aat")).contains("\"aat\""));
    let mut generated = orders();
    generated.columns[1].generated = true;
    let plan = plan_table(&generated, &TableRule::new("public.orders"), &settings()).unwrap();
    assert_eq!(plan.columns.len(), 2);
    assert!(plan.warnings[0].contains("\"at\""), "{:?}", plan.warnings);
}

#[test]
fn a_log_is_sorted_by_the_order_of_changes() {
    let mut orders = orders();
    orders.columns[1].not_null = true;
    let log = TableRule { mode: TableMode::Log, ..TableRule::new("public.orders") };
    let plan = plan_table(&orders, &log, &settings()).unwrap();
    assert!(plan.key.is_empty() && plan.columns.iter().all(|column| column.column_type.nullable), "{plan:?}");
    let shape = plan.shape();
    assert_eq!(shape.sorting_key, ["_version", "_ordinal"]);
    let added: Vec<&str> = shape.added.iter().map(|column| column.name.as_str()).collect();
    assert_eq!(added, ["_version", "_ordinal", "_op", "_committed_at", "_unsent"]);
}

#[test]
fn a_table_without_a_key_needs_whole_rows_to_be_counted() {
    let mut keyless = TableSchema { key: Vec::new(), ..orders() };
    let counted = TableRule { keyless: Keyless::Multiset, ..TableRule::new("public.orders") };
    assert!(left_out(&keyless, &counted).unwrap().contains("REPLICA IDENTITY FULL"));
    keyless.identity = ReplicaIdentity::Full;
    let plan = plan_table(&keyless, &counted, &settings()).unwrap();
    assert_eq!((plan.target.as_str(), plan.view.as_deref(), plan.insert_only), ("orders__log", Some("orders"), false));
    assert!(
        ddl::create_current_view(&plan.shape(), &settings()).starts_with("CREATE OR REPLACE VIEW `shop`.`orders` AS")
    );
    assert_eq!(plan_table(&orders(), &counted, &settings()).unwrap().log, None, "one with a key is as ever");
}

#[test]
fn documents_need_a_key_beside_them() {
    let mut schema = orders();
    schema.columns[2].source_type = SourceType::Json;
    let mut rule = TableRule { keyless: Keyless::InsertOnly, ..TableRule::new("public.orders") };
    let document = ColumnRule { column_type: Some("JSON".to_owned()), ..ColumnRule::default() };
    rule.columns.insert("no`te".to_owned(), document);
    let plan = plan_table(&schema, &rule, &settings()).unwrap();
    assert_eq!(plan.columns[2].column_type.to_string(), "Nullable(JSON)");
    schema.key = Vec::new();
    assert!(refusal(&schema, &rule).contains("has no key"));
}

#[test]
fn a_column_tells_when_a_row_that_stays_was_deleted() {
    let keep = TableRule { deletes: Deletes::Keep, current_view: true, ..TableRule::new("public.orders") };
    let shape = plan_table(&orders(), &keep, &settings()).unwrap().shape();
    let added: Vec<&str> = shape.added.iter().map(|column| column.name.as_str()).collect();
    assert_eq!(added, ["_version", "_deleted", "_source_deleted_at"]);
    assert!(ddl::create_current_view(&shape, &settings()).ends_with("WHERE `_source_deleted_at` IS NULL"));
}

#[test]
fn a_table_that_is_written_out_is_taken_at_its_word() {
    let write = |columns: &[(&str, &str)]| {
        let columns = columns.iter().map(|(name, column_type)| WrittenColumn {
            name: (*name).to_owned(),
            column_type: (*column_type).to_owned(),
        });
        TableRule {
            written_out: Some(columns.collect()),
            order_by: Some(vec!["id".to_owned()]),
            ..TableRule::new("public.orders")
        }
    };
    let plan =
        plan_table(&orders(), &write(&[("at", "Nullable(DateTime64(3))"), ("id", "Int64")]), &settings()).unwrap();
    let names: Vec<(usize, usize)> = plan.columns.iter().enumerate().map(|(at, column)| (at, column.source)).collect();
    assert_eq!(names, [(0, 1), (1, 0)], "in the order that is written");
    let error = plan_table(&orders(), &write(&[("at", "DateTime64(3)"), ("id", "Int64")]), &settings()).unwrap_err();
    assert_eq!(error.hint_text(), Some("write it as Nullable(DateTime64(3, 'UTC'))"));
    assert!(refusal(&orders(), &write(&[("id", "Int64"), ("x", "String")])).contains("\"x\""));
    assert!(refusal(&orders(), &write(&[("at", "String")])).contains("part of the key"));
}
