//! Tables for tests.

use super::{Column, ReplicaIdentity, SourceType, TableName, TableSchema};

/// A column that bears NULL.
pub(crate) fn column(name: &str, source_type: SourceType) -> Column {
    Column {
        name: name.to_owned(),
        number: 1,
        type_oid: 0,
        type_modifier: -1,
        type_name: "t".to_owned(),
        source_type,
        output_function: "pg_catalog.textout".to_owned(),
        not_null: false,
        generated: false,
        toastable: false,
        missing_value: None,
    }
}

/// A table of the schema public whose key is its first column, where it has one.
pub(crate) fn table(name: &str, columns: Vec<Column>) -> TableSchema {
    TableSchema {
        relid: 1,
        name: TableName::new("public", name),
        key: (0..columns.len().min(1)).collect(),
        columns,
        identity: ReplicaIdentity::Default,
        newest_column: 0,
        partitioned: false,
        unlogged: false,
        estimated_rows: 0,
        bytes: 0,
    }
}
