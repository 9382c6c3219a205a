//! What `connector apply` would do.

use super::super::publication::lacking;
use super::{connect, postgres};
use crate::config::Settings;
use crate::connector::{
    CLASS, Captured, Difference, captured, differences, fit, hint, lossy_columns, wanted, with_probe,
};
use crate::error::{Error, Kind, Result};
use crate::server::connect::{Connect, ConnectorConfig};
use crate::server::postgres::{self as source, Connection};
use crate::source::postgres::{SlotState, slot_state};
use std::time::Duration;

/// What the command line says beyond the settings.
#[derive(Debug, Clone, Default)]
pub struct ApplyOptions {
    /// Goes on from a slot that is there already, though the connector is new.
    pub use_existing_slot: bool,
    /// Another `snapshot.mode`, such as `no_data` for a pipeline whose rows were copied otherwise.
    pub snapshot_mode: Option<String>,
    /// How long to wait for the connector to stream; not at all where absent.
    pub wait: Option<Duration>,
}

/// What is to be done.
#[derive(Debug)]
pub struct ConnectorPlan {
    /// The connector's name.
    pub name: String,
    /// Where Connect is.
    pub address: String,
    /// The configuration as it should be.
    pub config: ConnectorConfig,
    /// The configuration that Connect has, where it knows the connector.
    pub existing: Option<ConnectorConfig>,
    /// How that differs.
    pub differences: Vec<Difference>,
    /// How the publication is not what the tables need, a line each.
    pub publication: Vec<String>,
    /// What the owner should know.
    pub notes: Vec<String>,
    /// The tables that are captured.
    pub tables: Vec<String>,
    pub(super) captured: Captured,
    pub(super) connect: Connect,
    pub(super) session: Connection,
    pub(super) slot: Option<SlotState>,
}

impl ConnectorPlan {
    /// Whether Connect has the connector as it should be.
    pub fn is_done(&self) -> bool {
        self.existing.is_some() && self.differences.is_empty()
    }

    /// Whether the publication is as it should be, too.
    pub fn is_as_configured(&self) -> bool {
        self.is_done() && self.publication.is_empty()
    }
}

/// Asks Postgres for the tables, and Connect for the plug-in and the connector. Nothing is changed.
///
/// # Errors
/// [`Kind::Config`] where the configuration cannot be served, [`Kind::Source`] where the plug-in is missing or refuses it, or the slot belongs to
/// somebody else.
pub async fn plan(settings: &Settings, options: &ApplyOptions) -> Result<ConnectorPlan> {
    let name = settings.connector_name();
    let server = postgres(settings)?;
    let session = source::connect(server).await?;
    let captured = captured(settings, &source::tables(&session).await?)?;
    if captured.tables.is_empty() {
        return Err(Error::new(Kind::Config, "no table takes part").hint(
            captured
                .warnings
                .first()
                .cloned()
                .unwrap_or_else(|| "`tables:` in the configuration matches none".to_owned()),
        ));
    }
    let mut config = wanted(settings, &captured)?;
    if let Some(mode) = &options.snapshot_mode {
        config.insert("snapshot.mode".to_owned(), mode.clone());
    }
    let connect = connect(settings)?;
    let existing = connect.config(&name).await?;
    if let Some(existing) = existing.as_ref().filter(|_| options.snapshot_mode.is_none()) {
        keep_snapshot_mode(settings, existing, &mut config);
    }
    let (config, mut notes) = fitted(&connect, &config).await?;
    let slot = slot_state(&session, &server.slot).await?;
    refuse_slot(settings, options, slot.as_ref(), existing.as_ref())?;
    notes.splice(0..0, captured.warnings.iter().cloned().chain(lossy_columns(&captured, &config)));
    let differences = existing.as_ref().map(|existing| differences(existing, &config)).unwrap_or_default();
    let publication = lacking(&session, settings, &server.publication, &captured.tables).await?;
    let tables = captured.tables.iter().map(|table| table.schema.name.to_string()).collect();
    let address = connect.address().to_owned();
    Ok(ConnectorPlan {
        name,
        address,
        config,
        existing,
        differences,
        publication,
        notes,
        tables,
        captured,
        connect,
        session,
        slot,
    })
}

/// A connector that took over from another way of copying keeps its mode: it says how it began, and counts only then.
fn keep_snapshot_mode(settings: &Settings, existing: &ConnectorConfig, config: &mut ConnectorConfig) {
    const MODE: &str = "snapshot.mode";
    let set = settings.kafka.as_ref().is_some_and(|kafka| kafka.connector.contains_key(MODE));
    if let Some(mode) = existing.get(MODE).filter(|mode| !set && *mode == "no_data") {
        config.insert(MODE.to_owned(), mode.clone());
    }
}

/// The configuration as worker and plug-in take it.
async fn fitted(connect: &Connect, config: &ConnectorConfig) -> Result<(ConnectorConfig, Vec<String>)> {
    let plugins = connect.plugins().await?;
    if !plugins.iter().any(|plugin| plugin.class == CLASS) {
        return Err(Error::new(
            Kind::Source,
            format!("Kafka Connect at {} does not have Debezium's Postgres connector", connect.address()),
        )
        .hint("unpack debezium-connector-postgres into a directory of the workers' plugin.path, and restart them"));
    }
    let said = connect.validate(CLASS, &with_probe(config)).await?;
    let fitted = fit(config, &said);
    if fitted.errors.is_empty() {
        return Ok((fitted.config, fitted.notes));
    }
    let text = fitted.errors.join("; ");
    let error = Error::new(Kind::Source, "Debezium refuses the configuration").because(text.clone());
    Err(match hint(&text) {
        Some(hint) => error.hint(hint),
        None => error,
    })
}

/// A slot that is there before its connector is somebody's place in the log.
fn refuse_slot(
    settings: &Settings,
    options: &ApplyOptions,
    slot: Option<&SlotState>,
    existing: Option<&ConnectorConfig>,
) -> Result<()> {
    let Some(slot) = slot else { return Ok(()) };
    let name = &postgres(settings)?.slot;
    if slot.plugin != "pgoutput" {
        return Err(Error::new(Kind::Source, format!("replication slot \"{name}\" is of the plug-in {}", slot.plugin))
            .hint("set `postgres.slot` to another name"));
    }
    let same = existing.is_some_and(|existing| existing.get("slot.name") == Some(name));
    if same || options.use_existing_slot {
        return Ok(());
    }
    Err(Error::new(Kind::Source, format!("replication slot \"{name}\" is there already, and no connector that reads it")).hint(
        "it may be the place of `pipectl sync --source postgres`, which a connector would take from it; a slot that a deleted connector left \
         behind goes with `pipectl connector delete --drop-slot`; --use-existing-slot goes on from where it stands",
    ))
}
