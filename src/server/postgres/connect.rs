//! Connections to Postgres.
//!
//! Every session pins the settings that decide what values look like as text, and those that end a long-running session: an
//! `ALTER DATABASE … SET datestyle` must not change what is stored. See the client connection defaults in
//! <https://www.postgresql.org/docs/current/runtime-config-client.html>.

use super::quote::quote_ident;
use super::tls;
use crate::config::{PostgresSettings, SslMode};
use crate::error::{Error, Kind, Result};
use crate::server::tls_fault::TlsFault;
use pgwire_replication::{ReplicationConfig, TlsConfig};
use std::future::poll_fn;
use std::net::IpAddr;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio_postgres::error::SqlState;
use tokio_postgres::{AsyncMessage, Client};

/// Settings of every session, in the form of libpq's `options`. The time-outs of later versions are set after connecting, since
/// an older server refuses a name that it does not know.
pub const SESSION_OPTIONS: &str = "-c DateStyle=ISO,MDY -c IntervalStyle=postgres -c bytea_output=hex \
     -c extra_float_digits=3 -c TimeZone=UTC -c lc_monetary=C -c search_path= -c quote_all_identifiers=off -c row_security=off -c statement_timeout=0 \
     -c lock_timeout=0 -c idle_in_transaction_session_timeout=0 -c default_transaction_read_only=off";

const NEWER_TIMEOUTS: &str = include_str!("../../../sql/postgres/session_timeouts.sql");
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// An open session; its background task ends with it.
#[derive(Debug)]
pub struct Connection {
    client: Client,
    task: tokio::task::JoinHandle<()>,
}

impl Deref for Connection {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Connection {
    /// The client, where a mutable one is needed (a transaction).
    pub fn client_mut(&mut self) -> &mut Client {
        &mut self.client
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The process of a session at the server, by which others know it.
///
/// # Errors
/// What Postgres answers.
pub async fn backend_pid(session: &Client) -> Result<i32> {
    let row = session
        .query_one("SELECT pg_catalog.pg_backend_pid()", &[])
        .await
        .map_err(|error| server_error("could not ask for the session's process", error))?;
    Ok(row.get(0))
}

/// Opens an ordinary session.
///
/// # Errors
/// [`Kind::SourceUnreachable`] where nobody answered, [`Kind::Source`] where the server refused.
pub async fn connect(settings: &PostgresSettings) -> Result<Connection> {
    open(settings, None).await
}

/// Opens a session that is told when somebody calls on a channel (`NOTIFY`); calls that come at once count as one.
///
/// # Errors
/// As for [`connect`].
pub async fn connect_listening(settings: &PostgresSettings, channel: &str, called: &Arc<Notify>) -> Result<Connection> {
    let connection = open(settings, Some(Arc::clone(called))).await?;
    connection
        .batch_execute(&format!("LISTEN {}", quote_ident(channel)))
        .await
        .map_err(|error| server_error("could not listen for calls", error))?;
    Ok(connection)
}

async fn open(settings: &PostgresSettings, called: Option<Arc<Notify>>) -> Result<Connection> {
    let mut config = tokio_postgres::Config::new();
    config
        .host(&settings.host)
        .port(settings.port)
        .user(&settings.user)
        .dbname(&settings.database)
        .application_name("pipectl")
        .options(SESSION_OPTIONS)
        .connect_timeout(CONNECT_TIMEOUT)
        .keepalives_idle(Duration::from_secs(30))
        .ssl_mode(match settings.sslmode {
            SslMode::Disable => tokio_postgres::config::SslMode::Disable,
            SslMode::Prefer => tokio_postgres::config::SslMode::Prefer,
            SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => tokio_postgres::config::SslMode::Require,
        });
    if !settings.password.is_empty() {
        config.password(settings.password.expose());
    }
    let connector = tls::connector(settings)?;
    let (client, mut connection) =
        config.connect(connector).await.map_err(|error| could_not_connect(settings, error))?;
    let task = tokio::spawn(async move {
        while let Some(message) = poll_fn(|context| connection.poll_message(context)).await {
            match message {
                Ok(AsyncMessage::Notification(_)) => called.iter().for_each(|called| called.notify_one()),
                Ok(_) => {}
                Err(error) => {
                    tracing::debug!(%error, "connection to postgres ended");
                    break;
                }
            }
        }
    });
    let connection = Connection { client, task };
    connection
        .batch_execute(NEWER_TIMEOUTS)
        .await
        .map_err(|error| server_error("could not set up the session", error))?;
    Ok(connection)
}

/// The settings of a replication session on a slot, not yet started.
///
/// # Errors
/// [`Kind::Config`] where a certificate without its key is configured.
pub fn replication_config(settings: &PostgresSettings) -> Result<ReplicationConfig> {
    let mode = match settings.sslmode {
        SslMode::Disable => pgwire_replication::SslMode::Disable,
        SslMode::Prefer => pgwire_replication::SslMode::Prefer,
        SslMode::Require => pgwire_replication::SslMode::Require,
        SslMode::VerifyCa => pgwire_replication::SslMode::VerifyCa,
        SslMode::VerifyFull => pgwire_replication::SslMode::VerifyFull,
    };
    if settings.sslcert.is_some() != settings.sslkey.is_some() {
        return Err(Error::new(Kind::Config, "a client certificate needs its key, and a key its certificate")
            .hint("set both `postgres.sslcert` and `postgres.sslkey`, or neither"));
    }
    let mut config = ReplicationConfig::new(
        &settings.host,
        &settings.user,
        settings.password.expose(),
        &settings.database,
        &settings.slot,
        settings.publication.as_str(),
    );
    config.port = settings.port;
    config.tls = TlsConfig {
        mode,
        ca_pem_path: settings.sslrootcert.clone(),
        // A certificate can be made out to an address, too; the library checks one only where it is given as the name.
        sni_hostname: settings.host.parse::<IpAddr>().is_ok().then(|| settings.host.clone()),
        client_cert_pem_path: settings.sslcert.clone(),
        client_key_pem_path: settings.sslkey.clone(),
    };
    config.options = Some(SESSION_OPTIONS.to_owned());
    config.application_name = Some("pipectl".to_owned());
    Ok(config)
}

fn could_not_connect(settings: &PostgresSettings, error: tokio_postgres::Error) -> Error {
    let target = format!("could not connect to Postgres at {}:{}", settings.host, settings.port);
    let fault = TlsFault::of(&error);
    let mut wrapped = server_error(&target, error);
    if let Some(fault) = fault {
        wrapped = wrapped.hint(fault.hint("postgres.sslrootcert", "check `postgres.sslmode` and the port"));
    } else if wrapped.hint_text().is_none() {
        wrapped = match wrapped.kind() {
            Kind::SourceUnreachable => wrapped.hint("check host and port, and that Postgres is running and reachable"),
            _ => wrapped,
        };
    }
    wrapped
}

/// Wraps an error of a query with what was being tried. Lost connections and a server that is starting or stopping are
/// [`Kind::SourceUnreachable`]; every other verdict of the server is [`Kind::Source`].
pub fn server_error(tried: &str, error: tokio_postgres::Error) -> Error {
    let Some(db) = error.as_db_error() else {
        let kind = if is_refusal(&error) { Kind::Source } else { Kind::SourceUnreachable };
        return Error::new(kind, tried).because(error);
    };
    let hint = match *db.code() {
        SqlState::INVALID_PASSWORD | SqlState::INVALID_AUTHORIZATION_SPECIFICATION => {
            Some("check user and password (`postgres.url` in the configuration, or POSTGRES_URL), and pg_hba.conf")
        }
        SqlState::INVALID_CATALOG_NAME => Some("check the database's name in `postgres.url`"),
        SqlState::INSUFFICIENT_PRIVILEGE => Some("`pipectl doctor` shows which grants are missing"),
        _ => None,
    };
    let unreachable = matches!(
        *db.code(),
        SqlState::ADMIN_SHUTDOWN
            | SqlState::CRASH_SHUTDOWN
            | SqlState::CANNOT_CONNECT_NOW
            | SqlState::TOO_MANY_CONNECTIONS
            | SqlState::CONNECTION_FAILURE
            | SqlState::CONNECTION_EXCEPTION
    );
    let kind = if unreachable { Kind::SourceUnreachable } else { Kind::Source };
    let mut text = format!("{}: {} (SQLSTATE {})", db.severity(), db.message(), db.code().code());
    if let Some(detail) = db.detail().filter(|_| !db.code().code().starts_with("23")) {
        text.push_str("; ");
        text.push_str(detail);
    }
    let wrapped = Error::new(kind, tried).because(text);
    match hint.map(str::to_owned).or_else(|| db.hint().map(str::to_owned)) {
        Some(hint) => wrapped.hint(hint),
        None => wrapped,
    }
}

/// A failure before any answer that trying again does not mend: TLS verification, a missing password, a bad setting.
fn is_refusal(error: &tokio_postgres::Error) -> bool {
    let text = error.to_string();
    text.contains("TLS")
        || text.contains("authentication")
        || text.contains("configuration")
        || text.contains("password")
}
