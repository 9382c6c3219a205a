//! The connection to ClickHouse over HTTP.

use crate::config::ClickHouseSettings;
use crate::error::{Error, Kind, Result};
use crate::server::http::tls;
use crate::server::tls_fault::TlsFault;
use clickhouse::{Client, Compression};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use std::time::Duration;

/// A ClickHouse server as the settings name it.
#[derive(Clone)]
pub struct Server {
    client: Client,
    /// Where it is, for messages.
    pub address: String,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("address", &self.address).finish_non_exhaustive()
    }
}

/// A client for the server; nothing is sent yet. Names in statements must carry their database: the client has none of its own,
/// so that it also works before the database exists.
///
/// # Errors
/// [`Kind::Config`] where the certificate file cannot be used.
pub fn connect(settings: &ClickHouseSettings) -> Result<Server> {
    let scheme = if settings.secure { "https" } else { "http" };
    let address = format!("{scheme}://{}:{}", settings.host, settings.port);
    let mut connector = HttpConnector::new();
    connector.set_keepalive(Some(Duration::from_secs(30)));
    connector.set_connect_timeout(Some(Duration::from_secs(10)));
    connector.set_nodelay(true);
    connector.enforce_http(false);
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(tls(settings.ca_file.as_deref(), "clickhouse.ca_file")?)
        .https_or_http()
        .enable_http1()
        .wrap_connector(connector);
    // ClickHouse closes idle connections after 3 s by default; a connection is given up before that.
    let http = HttpClient::builder(TokioExecutor::new()).pool_idle_timeout(Duration::from_secs(2)).build(connector);
    let client = Client::with_http_client(http)
        .with_url(&address)
        .with_user(&settings.user)
        .with_password(settings.password.expose())
        .with_compression(Compression::Lz4)
        .with_product_info("pipectl", env!("CARGO_PKG_VERSION"));
    Ok(Server { client, address })
}

impl Server {
    /// The client itself, for inserts.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Runs a statement to its end; `?` has no meaning in it, parameters are `{name:Type}`.
    ///
    /// # Errors
    /// As [`server_error`] sorts them.
    pub async fn execute(&self, sql: &str, parameters: &[(&str, &str)]) -> Result<()> {
        let mut query = self.client.query_raw(sql).with_setting("wait_end_of_query", "1");
        for (name, value) in parameters {
            query = query.param(name, value);
        }
        let tried = format!("could not run a statement in ClickHouse at {}", self.address);
        query.execute().await.map_err(|error| server_error(&tried, error))
    }

    /// Runs a query and returns its rows, one JSON object a row (`JSONEachRow`, 64-bit integers as text).
    ///
    /// # Errors
    /// As [`server_error`] sorts them.
    pub async fn rows(
        &self,
        sql: &str,
        parameters: &[(&str, &str)],
    ) -> Result<Vec<serde_json::Map<String, serde_json::Value>>> {
        let bytes = self.bytes(sql, parameters, "JSONEachRow").await?;
        serde_json::Deserializer::from_slice(&bytes)
            .into_iter::<serde_json::Map<String, serde_json::Value>>()
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| Error::new(Kind::Destination, "could not read ClickHouse's answer").because(error))
    }

    /// Runs a query and returns its whole answer in a format of ClickHouse's.
    ///
    /// # Errors
    /// As [`server_error`] sorts them.
    pub async fn bytes(&self, sql: &str, parameters: &[(&str, &str)], format: &str) -> Result<Vec<u8>> {
        let tried = format!("could not query ClickHouse at {}", self.address);
        let failed = |error| server_error(&tried, error);
        let mut query = self
            .client
            .query_raw(sql)
            .with_setting("wait_end_of_query", "1")
            .with_setting("output_format_json_quote_64bit_integers", "1");
        for (name, value) in parameters {
            query = query.param(name, value);
        }
        let mut cursor = query.fetch_bytes(format).map_err(failed)?;
        Ok(cursor.collect().await.map_err(failed)?.to_vec())
    }
}

/// Wraps an error of the client with what was being tried. What the network did, and codes that mean overload or a time-out, is
/// [`Kind::DestinationUnreachable`]; every other verdict of the server is [`Kind::Destination`].
///
/// The codes are those of <https://github.com/ClickHouse/ClickHouse/blob/master/src/Common/ErrorCodes.cpp>.
pub fn server_error(tried: &str, error: clickhouse::error::Error) -> Error {
    use clickhouse::error::Error as E;
    if let Some(fault) = TlsFault::of(&error) {
        let kind = if fault.may_pass() { Kind::DestinationUnreachable } else { Kind::Destination };
        return Error::new(kind, tried).because(error).hint(fault.hint(
            "clickhouse.ca_file",
            "https:// in `clickhouse.url` belongs to its port for HTTPS (8443 by default), http:// to the other one (8123)",
        ));
    }
    let (kind, hint) = match &error {
        E::Network(_) | E::TimedOut => (
            Kind::DestinationUnreachable,
            Some("check `clickhouse.url`, and that ClickHouse is running and its HTTP port reachable"),
        ),
        E::BadResponse(text) => verdict(error_code(text), text),
        _ => (Kind::Destination, None),
    };
    let wrapped = Error::new(kind, tried);
    let wrapped = match hint {
        Some(hint) => wrapped.hint(hint),
        None => wrapped,
    };
    match error {
        E::BadResponse(text) => wrapped.because(first_line(&text)),
        E::Network(source) => wrapped.because(source),
        other => wrapped.because(other),
    }
}

/// The number after `Code:`, whole: 53 is not 531.
pub(super) fn error_code(text: &str) -> Option<u32> {
    let rest = text.split_once("Code: ")?.1;
    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

fn verdict(code: Option<u32>, text: &str) -> (Kind, Option<&'static str>) {
    match code {
        // TIMEOUT_EXCEEDED, TOO_MANY_SIMULTANEOUS_QUERIES, SOCKET_TIMEOUT, NETWORK_ERROR, ABORTED, MEMORY_LIMIT_EXCEEDED,
        // TABLE_IS_READ_ONLY, NOT_ENOUGH_SPACE, TOO_MANY_PARTS, ALL_CONNECTION_TRIES_FAILED, KEEPER_EXCEPTION
        Some(159 | 202 | 209 | 210 | 236 | 241 | 242 | 243 | 252 | 279 | 999) => (Kind::DestinationUnreachable, None),
        // CANNOT_WRITE_TO_FILE_DESCRIPTOR, CANNOT_WRITE_TO_OSTREAM and others: the disk is full, where that was not noticed before
        Some(_) if text.contains("errno: 28") => (Kind::DestinationUnreachable, None),
        // UNKNOWN_USER, WRONG_PASSWORD, REQUIRED_PASSWORD, AUTHENTICATION_FAILED
        Some(192..=194 | 516) => (
            Kind::Destination,
            Some("check user and password (`clickhouse.url` in the configuration, or CLICKHOUSE_URL)"),
        ),
        // ACCESS_DENIED
        Some(497) => {
            (Kind::Destination, Some("grant the named privilege to pipectl's user; `pipectl doctor` lists them all"))
        }
        Some(_) => (Kind::Destination, None),
        None if text.starts_with("50") => (Kind::DestinationUnreachable, None),
        None => (Kind::Destination, Some("is this ClickHouse's HTTP port (8123 by default), not the native one?")),
    }
}

/// ClickHouse's messages end in a stack of details; the first line says what happened. Values it quotes stay out.
fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().chars().take(600).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_whole_code() {
        assert_eq!(error_code("Code: 531. DB::Exception: x"), Some(531));
        assert_eq!(error_code("Code: 53. DB::Exception"), Some(53));
        assert_eq!(error_code("502 Bad Gateway"), None);
    }

    #[test]
    fn overload_is_worth_another_try_and_a_wrong_password_is_not() {
        assert_eq!(verdict(Some(252), "").0, Kind::DestinationUnreachable);
        assert_eq!(verdict(Some(516), "").0, Kind::Destination);
        let full = "Code: 75. DB::ErrnoException: Cannot write to file: , errno: 28, strerror: No space left on device";
        assert_eq!(verdict(error_code(full), full).0, Kind::DestinationUnreachable);
        assert_eq!(verdict(Some(75), "Code: 75. DB::Exception").0, Kind::Destination);
        assert_eq!(verdict(None, "503 Service Unavailable").0, Kind::DestinationUnreachable);
    }
}
