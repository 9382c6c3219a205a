//! The shop's tables: made, emptied, taken away. What does not carry the shop's mark is never touched.

use super::ShopTable;
use crate::error::{Error, Kind, Result};
use crate::server::postgres::{Connection, server_error};

const CREATE: &str = include_str!("../../../sql/postgres/shop/create.sql");
const TRUNCATE: &str = include_str!("../../../sql/postgres/shop/truncate.sql");
const DROP: &str = include_str!("../../../sql/postgres/shop/drop.sql");
const PRESENT: &str = include_str!("../../../sql/postgres/shop/present.sql");

/// Whether the shop is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Presence {
    /// No table of one of its names.
    Absent,
    /// All of its tables.
    Complete,
    /// Some of its tables, but not these.
    Incomplete(Vec<&'static str>),
    /// These names belong to tables that are not the shop's.
    Foreign(Vec<String>),
}

impl Presence {
    /// Says that the shop is complete.
    ///
    /// # Errors
    /// [`Kind::Source`], with what is in the way or missing.
    pub fn require_complete(&self) -> Result<()> {
        let error = |message: String, hint: &str| Err(Error::new(Kind::Source, message).hint(hint));
        match self {
            Self::Complete => Ok(()),
            Self::Absent => {
                error("the demo shop's tables are not there".to_owned(), "make them: `pipectl seed --create`")
            }
            Self::Incomplete(missing) => error(
                format!("some of the demo shop's tables are missing: {}", missing.join(", ")),
                "take the others away with `pipectl seed --drop`, and make all of them with `--create`",
            ),
            Self::Foreign(tables) => error(
                format!("tables of the demo shop's names are there, but are not its own: {}", tables.join(", ")),
                "use another database for the demo, or `pipectl seed --table` for tables of your own",
            ),
        }
    }
}

/// Looks whether the shop is there.
///
/// # Errors
/// As [`server_error`].
pub async fn presence(connection: &Connection) -> Result<Presence> {
    let rows = connection
        .query(PRESENT, &[])
        .await
        .map_err(|error| server_error("could not look for the demo shop's tables", error))?;
    let found: Vec<(String, bool)> =
        rows.iter().map(|row| (format!("public.{}", row.get::<_, &str>(0)), row.get(1))).collect();
    let foreign: Vec<String> = found.iter().filter(|(_, ours)| !ours).map(|(name, _)| name.clone()).collect();
    if !foreign.is_empty() {
        return Ok(Presence::Foreign(foreign));
    }
    if found.is_empty() {
        return Ok(Presence::Absent);
    }
    let missing: Vec<&'static str> = ShopTable::ALL
        .iter()
        .map(|table| table.name())
        .filter(|name| found.iter().all(|(other, _)| other != name))
        .collect();
    Ok(if missing.is_empty() { Presence::Complete } else { Presence::Incomplete(missing) })
}

/// Makes the shop's tables, where none of them is there yet; says whether it had to.
///
/// # Errors
/// [`Kind::Source`] where some are there, or where the server refuses.
pub async fn create(connection: &Connection) -> Result<bool> {
    let found = presence(connection).await?;
    if found != Presence::Absent {
        return found.require_complete().map(|()| false);
    }
    run(connection, CREATE, "could not make the demo shop's tables").await.map(|()| true)
}

/// Empties the shop's tables.
///
/// # Errors
/// [`Kind::Source`] where they are not there or not the shop's own, or where the server refuses.
pub async fn truncate(connection: &Connection) -> Result<()> {
    presence(connection).await?.require_complete()?;
    run(connection, TRUNCATE, "could not empty the demo shop's tables").await
}

/// Takes the shop's tables away, those of them that are there.
///
/// # Errors
/// [`Kind::Source`] where a table of one of their names is not the shop's own, or where the server refuses.
pub async fn drop(connection: &Connection) -> Result<()> {
    let found = presence(connection).await?;
    if matches!(found, Presence::Foreign(_)) {
        found.require_complete()?;
    }
    run(connection, DROP, "could not take the demo shop's tables away").await
}

/// A text of several statements is one transaction: all of it happens, or nothing.
async fn run(connection: &Connection, sql: &str, tried: &str) -> Result<()> {
    connection.batch_execute(sql).await.map_err(|error| server_error(tried, error))
}
