//! What is read from Postgres before anything is judged.

use crate::change::TableName;
use crate::config::{Keyless, PostgresSettings, Settings, TableMode, TableRule, inserts_publication};
use crate::error::{Error, Kind, Result};
use crate::server::postgres::server_error;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::BTreeMap;
use tokio_postgres::Client;
use tokio_postgres::types::ToSql;

const SERVER: &str = include_str!("../../../sql/postgres/doctor_server.sql");
const SETTINGS: &str = include_str!("../../../sql/postgres/doctor_settings.sql");
const TABLES: &str = include_str!("../../../sql/postgres/doctor_tables.sql");
const PUBLICATION: &str = include_str!("../../../sql/postgres/doctor_publication.sql");
const NARROWED: &str = include_str!("../../../sql/postgres/doctor_publication_narrowed.sql");
const SLOTS: &str = include_str!("../../../sql/postgres/doctor_slots.sql");
pub(super) const WAL_POSITION: &str = include_str!("../../../sql/postgres/doctor_wal_position.sql");
pub(super) const OPEN_TRANSACTIONS: &str = include_str!("../../../sql/postgres/doctor_open_transactions.sql");
pub(super) const PREPARED_TRANSACTIONS: &str = include_str!("../../../sql/postgres/doctor_prepared_transactions.sql");

/// The server and the role that asks.
#[derive(Debug, Clone, Default, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "they are columns of the catalog, each a fact of its own")]
pub(super) struct Server {
    pub(super) version: String,
    pub(super) version_number: u32,
    pub(super) standby: bool,
    pub(super) database: String,
    pub(super) role: String,
    pub(super) superuser: bool,
    pub(super) replication: bool,
    pub(super) role_connection_limit: i64,
    pub(super) may_create: bool,
    pub(super) sees_all_sessions: bool,
    pub(super) client_address: Option<String>,
    pub(super) slots_used: i64,
    pub(super) senders_used: i64,
    pub(super) connections_used: i64,
    pub(super) role_connections_used: i64,
}

#[derive(Debug, Deserialize)]
struct Setting {
    name: String,
    #[serde(rename = "setting")]
    value: String,
    pending_restart: bool,
}

/// A table of the database.
#[derive(Debug, Clone, Default, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "they are columns of the catalog, each a fact of its own")]
pub(super) struct Table {
    pub(super) schema: String,
    pub(super) name: String,
    pub(super) partitioned: bool,
    pub(super) partition: bool,
    pub(super) root_schema: Option<String>,
    pub(super) root_name: Option<String>,
    pub(super) unlogged: bool,
    pub(super) published: bool,
    pub(super) published_inserts: bool,
    pub(super) identity: String,
    pub(super) identity_has_key: bool,
    pub(super) has_key: bool,
    pub(super) deferrable_key: bool,
    pub(super) key_columns: Vec<String>,
    pub(super) owned: bool,
    pub(super) owner: String,
    pub(super) schema_usable: bool,
    pub(super) readable: bool,
    pub(super) row_security: bool,
    pub(super) long_columns: Vec<String>,
    pub(super) generated_columns: Vec<String>,
    pub(super) bytes: u64,
}

impl Table {
    pub(super) fn table_name(&self) -> TableName {
        TableName::new(&self.schema, &self.name)
    }

    /// The partitioned table that it is a part of, or itself.
    pub(super) fn root(&self) -> TableName {
        match (&self.root_schema, &self.root_name) {
            (Some(schema), Some(name)) => TableName::new(schema, name),
            _ => self.table_name(),
        }
    }

    /// Whether Postgres can tell an old row of it: else it refuses UPDATE and DELETE where they are published.
    pub(super) fn identifies_rows(&self) -> bool {
        self.identity == "full" || self.identity_has_key
    }

    /// Whether all changes of it are followed although it may have no key.
    pub(super) fn is_followed(&self, rule: &TableRule) -> bool {
        let asked =
            rule.keyless == Keyless::Multiset || (rule.mode == TableMode::Log && rule.keyless == Keyless::Refuse);
        self.identity == "full" && asked
    }
}

/// The publication.
#[derive(Debug, Clone, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "they are columns of the catalog, each a fact of its own")]
pub(super) struct Publication {
    pub(super) owned: bool,
    pub(super) owner: String,
    pub(super) all_tables: bool,
    pub(super) inserts: bool,
    pub(super) updates: bool,
    pub(super) deletes: bool,
    pub(super) truncates: bool,
    pub(super) via_root: bool,
}

/// A table that a publication sends only in part.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Narrowed {
    pub(super) schema: String,
    pub(super) name: String,
    pub(super) filtered: bool,
    pub(super) columns_listed: bool,
}

/// A replication slot.
#[derive(Debug, Clone, Default, Deserialize)]
pub(in crate::doctor) struct Slot {
    pub(super) name: String,
    pub(super) plugin: Option<String>,
    pub(super) database: Option<String>,
    pub(super) temporary: bool,
    pub(in crate::doctor) active: bool,
    pub(super) active_pid: Option<i32>,
    /// `confirmed_flush_lsn`, as Postgres writes it.
    pub(in crate::doctor) confirmed: Option<String>,
    pub(super) wal_status: Option<String>,
    pub(super) safe_wal_size: Option<i64>,
    pub(super) invalidation_reason: Option<String>,
    pub(super) held_bytes: Option<i64>,
    pub(super) lag_bytes: Option<i64>,
}

/// A transaction that has written and is still open.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct OpenTransaction {
    pub(super) pid: i32,
    pub(super) xid: String,
    pub(super) role: Option<String>,
    pub(super) seconds: Option<f64>,
    pub(super) since: Option<String>,
}

/// A prepared transaction.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct PreparedTransaction {
    pub(super) gid: String,
    pub(super) role: String,
    pub(super) database: String,
    pub(super) seconds: f64,
    pub(super) since: String,
}

/// Where the write-ahead log ends, and the server's time.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Place {
    /// Bytes since its beginning.
    pub(super) position: i64,
    /// Seconds since 1970.
    pub(super) clock: f64,
}

/// All that most verdicts rest on.
#[derive(Debug)]
pub(super) struct Facts<'a> {
    pub(super) configuration: &'a Settings,
    pub(super) postgres: &'a PostgresSettings,
    pub(super) server: Server,
    settings: BTreeMap<String, Setting>,
    pub(super) tables: Vec<Table>,
    pub(super) publication: Option<Publication>,
    /// The publication of tables without a key.
    pub(super) inserts: Option<Publication>,
    /// Whether `sync` made the publications, and so alters them by itself.
    pub(super) owns_publication: bool,
    pub(super) narrowed: Vec<Narrowed>,
    pub(super) slots: Vec<Slot>,
}

impl<'a> Facts<'a> {
    /// Reads them all.
    pub(super) async fn read(
        configuration: &'a Settings,
        postgres: &'a PostgresSettings,
        client: &Client,
        owns_publication: bool,
    ) -> Result<Self> {
        let settings = ask::<Setting>(client, SETTINGS, &[]).await?;
        let publication: &[&(dyn ToSql + Sync)] = &[&postgres.publication];
        let inserts = inserts_publication(&postgres.publication);
        Ok(Self {
            configuration,
            postgres,
            server: ask_one(client, SERVER, &[])
                .await?
                .ok_or_else(|| Error::new(Kind::Source, "Postgres does not know the session's own role"))?,
            settings: settings.into_iter().map(|setting| (setting.name.clone(), setting)).collect(),
            tables: ask(client, TABLES, &[&postgres.publication, &inserts]).await?,
            publication: ask_one(client, PUBLICATION, publication).await?,
            inserts: ask_one(client, PUBLICATION, &[&inserts]).await?,
            owns_publication,
            narrowed: ask(client, NARROWED, publication).await?,
            slots: slots(client).await?,
        })
    }

    /// The value of a setting, as pg_settings has it; none where this version does not know it.
    pub(super) fn setting(&self, name: &str) -> Option<&str> {
        self.settings.get(name).map(|setting| setting.value.as_str())
    }

    /// The number that a setting is.
    pub(super) fn number(&self, name: &str) -> Option<i64> {
        self.setting(name)?.parse().ok()
    }

    /// Whether a setting was changed in the file and waits for a restart.
    pub(super) fn waits_for_restart(&self, name: &str) -> bool {
        self.settings.get(name).is_some_and(|setting| setting.pending_restart)
    }

    /// The rule of a table that is replicated; one that is written out in the configuration is not.
    pub(super) fn rule(&self, table: &TableName) -> Option<&'a TableRule> {
        self.configuration.rule_for(table).filter(|rule| rule.written_out.is_none())
    }

    /// The tables of the pipeline with their rules; partitions are part of their table.
    pub(super) fn chosen(&self) -> impl Iterator<Item = (&Table, &'a TableRule)> {
        self.tables
            .iter()
            .filter(|table| !table.partition)
            .filter_map(|table| Some((table, self.rule(&table.table_name())?)))
    }

    /// The tables that hold the pipeline's rows, with the rules of their roots: partitions are read one by one.
    pub(super) fn leaves(&self) -> impl Iterator<Item = (&Table, &'a TableRule)> {
        self.tables
            .iter()
            .filter(|table| !table.partitioned)
            .filter_map(|table| Some((table, self.rule(&table.root())?)))
    }

    /// The pipeline's own slot.
    pub(super) fn slot(&self) -> Option<&Slot> {
        self.slots.iter().find(|slot| slot.name == self.postgres.slot)
    }
}

/// The slots as they are now.
pub(super) async fn slots(client: &Client) -> Result<Vec<Slot>> {
    ask(client, SLOTS, &[]).await
}

/// Runs a query that answers one `jsonb` a row.
pub(super) async fn ask<T: DeserializeOwned>(
    client: &Client,
    sql: &str,
    parameters: &[&(dyn ToSql + Sync)],
) -> Result<Vec<T>> {
    let failed = |error| server_error("could not read Postgres' catalog", error);
    let rows = client.query(sql, parameters).await.map_err(failed)?;
    rows.iter()
        .map(|row| {
            let value: Value = row.try_get(0).map_err(failed)?;
            serde_json::from_value(value)
                .map_err(|error| Error::new(Kind::Unexpected, "could not understand Postgres' catalog").because(error))
        })
        .collect()
}

/// Runs a query that answers at most one row.
pub(super) async fn ask_one<T: DeserializeOwned>(
    client: &Client,
    sql: &str,
    parameters: &[&(dyn ToSql + Sync)],
) -> Result<Option<T>> {
    Ok(ask(client, sql, parameters).await?.into_iter().next())
}
