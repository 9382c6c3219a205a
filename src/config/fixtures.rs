//! Settings for tests.

use super::{ClickHouseSettings, Secret, Settings, SyncSettings, TableRule};

/// A pipeline of these tables.
pub(crate) fn settings(tables: Vec<TableRule>) -> Settings {
    Settings {
        pipeline: "shop".to_owned(),
        postgres: None,
        kafka: None,
        clickhouse: clickhouse(),
        tables,
        statements: Vec::new(),
        sync: SyncSettings::default(),
    }
}

/// A destination that is never connected to.
pub(crate) fn clickhouse() -> ClickHouseSettings {
    ClickHouseSettings {
        host: "localhost".to_owned(),
        port: 8123,
        secure: false,
        user: "default".to_owned(),
        password: Secret::default(),
        database: "shop".to_owned(),
        cluster: None,
        ca_file: None,
        version_column: "_version".to_owned(),
        deleted_column: "_deleted".to_owned(),
        password_in_file: false,
    }
}
