//! A small HTTP client for the servers that speak JSON: Kafka Connect and schema registries. One request at a time, whole answers.

use crate::config::{HttpUrl, Secret};
use crate::error::{Error, Kind, Result, chain};
use crate::server::tls_fault::TlsFault;
use axum::body::{Body, Bytes, to_bytes};
use axum::http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use axum::http::{HeaderValue, Method, Request, StatusCode};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest answer that is taken in, in bytes.
const LARGEST_ANSWER: usize = 64 << 20;

/// A server, and how to speak to it.
#[derive(Clone)]
pub(super) struct Http {
    client: Client<HttpsConnector<HttpConnector>, Body>,
    authorization: Option<HeaderValue>,
    /// What it is, for messages.
    server: &'static str,
    /// Where it is, without the login.
    address: String,
}

impl std::fmt::Debug for Http {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Http").field("server", &self.server).field("address", &self.address).finish_non_exhaustive()
    }
}

/// What a server answered, whatever its status.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
}

/// A request.
#[derive(Debug)]
pub(super) struct Call<'a> {
    pub(super) method: Method,
    /// Below the server's address, with its leading slash.
    pub(super) path: &'a str,
    pub(super) body: Option<Vec<u8>>,
    pub(super) timeout: Duration,
}

impl Http {
    /// A client for a server; nothing is sent yet. `server` is its name in messages.
    pub(super) fn new(server: &'static str, url: &HttpUrl, ca_file: Option<&Path>) -> Result<Self> {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        connector.set_nodelay(true);
        connector.enforce_http(false);
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls(ca_file, "kafka.ca_file")?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector);
        let client = Client::builder(TokioExecutor::new()).pool_idle_timeout(Duration::from_secs(2)).build(connector);
        let authorization = match &url.user {
            Some(user) => Some(basic(user, &url.password)?),
            None => None,
        };
        Ok(Self { client, authorization, server, address: url.address() })
    }

    /// Where the server is, without the login.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// Sends a request and reads the whole answer, also one that says no.
    ///
    /// # Errors
    /// [`Kind::SourceUnreachable`] where nobody answered in time.
    pub(super) async fn call(&self, call: Call<'_>) -> Result<Answer> {
        let uri = format!("{}{}", self.address, call.path);
        let mut request = Request::builder().method(call.method).uri(&uri).header(ACCEPT, "application/json, */*");
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization.clone());
        }
        if call.body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let request = request
            .body(call.body.map_or_else(Body::empty, Body::from))
            .map_err(|error| Error::new(Kind::Config, format!("could not ask {}", self.server)).because(error))?;
        let answer = async {
            let response = self.client.request(request).await.map_err(|error| self.failed(&error))?;
            let status = response.status();
            let body = to_bytes(Body::new(response.into_body()), LARGEST_ANSWER)
                .await
                .map_err(|error| self.unreachable(chain(&error)))?;
            Ok(Answer { status, body })
        };
        match tokio::time::timeout(call.timeout, answer).await {
            Ok(answer) => answer,
            Err(_) => Err(self.unreachable(format!("no answer within {} s", call.timeout.as_secs()))),
        }
    }

    fn failed(&self, error: &hyper_util::client::legacy::Error) -> Error {
        // The client's own text is only that it failed.
        let unreachable = self.unreachable(chain(error));
        match TlsFault::of(error) {
            Some(fault) => unreachable.hint(fault.hint("kafka.ca_file", "is it http:// instead of https://?")),
            None => unreachable,
        }
    }

    fn unreachable(&self, cause: String) -> Error {
        Error::new(Kind::SourceUnreachable, format!("could not reach {} at {}", self.server, self.address))
            .because(cause)
    }
}

/// TLS that trusts the authorities of a file, or else the Mozilla set; `key` names the file's place in the configuration.
pub(super) fn tls(ca_file: Option<&Path>, key: &str) -> Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    if let Some(path) = ca_file {
        let certificates = CertificateDer::pem_file_iter(path)
            .and_then(Iterator::collect::<std::result::Result<Vec<_>, _>>)
            .map_err(|error| {
                Error::new(Kind::Config, format!("could not read \"{}\"", path.display()))
                    .because(error)
                    .hint(format!("`{key}` must be a readable PEM file"))
            })?;
        roots.add_parsable_certificates(certificates);
    } else {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::new(Kind::Unexpected, "could not set up TLS").because(error))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

/// The header of basic authentication (RFC 7617); marked as sensitive, so that nothing logs it.
fn basic(user: &str, password: &Secret) -> Result<HeaderValue> {
    let text = format!("Basic {}", base64(format!("{user}:{}", password.expose()).as_bytes()));
    let mut value = HeaderValue::from_str(&text)
        .map_err(|error| Error::new(Kind::Unexpected, "could not write the login into a header").because(error))?;
    value.set_sensitive(true);
    Ok(value)
}

/// Base64 with padding (RFC 4648).
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let at = |index: usize| chunk.get(index).copied().map_or(0, u32::from);
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        for place in 0..4 {
            let letter = ALPHABET.get((bits >> (18 - 6 * place) & 63) as usize).filter(|_| place <= chunk.len());
            out.push(letter.map_or('=', |letter| char::from(*letter)));
        }
    }
    out
}

/// A name as one segment of a path, percent-encoded (RFC 3986).
pub(super) fn segment(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.extend(
                [byte >> 4, byte & 15].map(|digit| {
                    char::from_digit(u32::from(digit), 16).map_or('0', |digit| digit.to_ascii_uppercase())
                }),
            );
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_rfc() {
        let vectors =
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE=")];
        for (plain, encoded) in vectors {
            assert_eq!(base64(plain.as_bytes()), encoded);
        }
        assert_eq!(base64(b"u:p@:/%#"), "dTpwQDovJSM=");
    }

    #[test]
    fn a_segment_holds_no_slash() {
        assert_eq!(segment("pipectl_shop"), "pipectl_shop");
        assert_eq!(segment("a/b c?é"), "a%2Fb%20c%3F%C3%A9");
    }

    #[test]
    fn the_login_is_not_shown() {
        let url = HttpUrl::parse("https://me:hunter2@connect.example:8443/kafka/").unwrap();
        let http = Http::new("Kafka Connect", &url, None).unwrap();
        assert_eq!(http.address(), "https://connect.example:8443/kafka");
        assert!(!format!("{http:?}").contains("hunter2"));
        assert!(!format!("{:?}", http.authorization).contains("aHVudGVyMg"));
    }
}
