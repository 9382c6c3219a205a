//! The client.

use super::places;
use crate::config::{HttpUrl, KafkaSettings};
use crate::error::{Error, Kind, Result};
use crate::server::http::{Answer, Call, Http, segment};
use axum::http::{Method, StatusCode};
use serde::Deserialize;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(20);
/// Schemas that refer to others do so a few levels deep; a circle ends here.
const DEEPEST_REFERENCE: usize = 16;

/// How a record names its schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SchemaId {
    /// The four bytes of Confluent's framing.
    Confluent(u32),
    /// Apicurio's `globalId`.
    GlobalId(i64),
    /// Apicurio's `contentId`.
    ContentId(i64),
}

impl std::fmt::Display for SchemaId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Confluent(id) => write!(f, "schema id {id}"),
            Self::GlobalId(id) => write!(f, "global id {id}"),
            Self::ContentId(id) => write!(f, "content id {id}"),
        }
    }
}

/// The language of a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SchemaKind {
    /// Avro.
    Avro,
    /// JSON Schema.
    Json,
    /// Protocol buffers.
    Protobuf,
}

/// A schema as the registry has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schema {
    /// Its language.
    pub kind: SchemaKind,
    /// Its text.
    pub text: String,
    /// The texts of the schemas that it refers to, those that others need before them.
    pub references: Vec<String>,
}

/// A schema registry. Schemas never change under their id, so each is asked for once.
#[derive(Debug, Clone)]
pub struct Registry {
    http: Http,
    /// The interface's path that the URL names.
    own: Option<String>,
    known: Arc<Mutex<HashMap<SchemaId, Arc<Schema>>>>,
}

#[derive(Deserialize)]
struct Confluent {
    schema: String,
    #[serde(rename = "schemaType", default)]
    kind: Option<String>,
    #[serde(default)]
    references: Vec<Reference>,
}

#[derive(Deserialize)]
struct Reference {
    subject: String,
    version: i64,
}

impl Registry {
    /// A client for the registry of the settings; nothing is sent yet. None where no URL is configured.
    ///
    /// # Errors
    /// [`Kind::Config`] where the URL or the certificate file cannot be used.
    pub fn new(settings: &KafkaSettings) -> Result<Option<Self>> {
        let Some(url) = settings.schema_registry_url.as_ref().filter(|url| !url.is_empty()) else { return Ok(None) };
        let mut url = HttpUrl::parse(url.expose()).map_err(|what| {
            Error::new(Kind::Config, format!("`kafka.schema_registry_url` (SCHEMA_REGISTRY_URL) {what}"))
        })?;
        let (root, own) = places::root(&url.path);
        let (root, own) = (root.to_owned(), own.map(str::to_owned));
        url.path = root;
        let http = Http::new("the schema registry", &url, settings.ca_file.as_deref())?;
        Ok(Some(Self { http, own, known: Arc::default() }))
    }

    /// Where it is, without the login.
    pub fn address(&self) -> &str {
        self.http.address()
    }

    /// A schema by its id.
    ///
    /// # Errors
    /// [`Kind::SourceUnreachable`] where the registry does not answer, [`Kind::Source`] where it does not know the id or refuses.
    pub async fn schema(&self, id: SchemaId) -> Result<Arc<Schema>> {
        if let Some(schema) = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&id) {
            return Ok(Arc::clone(schema));
        }
        let schema = Arc::new(self.ask(id).await?);
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(id, Arc::clone(&schema));
        Ok(schema)
    }

    async fn ask(&self, id: SchemaId) -> Result<Schema> {
        let tried = format!("could not read the {id} from the schema registry");
        for base in places::bases(self.own.as_deref(), id) {
            let answer = self.get(&format!("{base}{}", places::of(id)), &tried).await?;
            if answer.status == StatusCode::NOT_FOUND || answer.status == StatusCode::METHOD_NOT_ALLOWED {
                continue;
            }
            refused(&answer, &tried)?;
            return match id {
                SchemaId::Confluent(_) => self.confluent(&base, &answer.body, &tried).await,
                SchemaId::GlobalId(_) | SchemaId::ContentId(_) => native(&answer.body, &tried),
            };
        }
        Err(Error::new(Kind::Source, tried)
            .because(format!("{} does not have it", self.address()))
            .hint("is `kafka.schema_registry_url` the registry that the connector's converter writes to?"))
    }

    async fn confluent(&self, base: &str, body: &[u8], tried: &str) -> Result<Schema> {
        let found: Confluent = read(body, tried)?;
        let kind = match found.kind.as_deref() {
            None | Some("AVRO") => SchemaKind::Avro,
            Some("JSON") => SchemaKind::Json,
            Some("PROTOBUF") => SchemaKind::Protobuf,
            Some(other) => return Err(Error::new(Kind::Value, tried).because(format!("it is of the type {other}"))),
        };
        let references = self.references(base, found.references, tried).await?;
        Ok(Schema { kind, text: found.schema, references })
    }

    /// The texts of referred schemas, innermost first, each once.
    async fn references(&self, base: &str, first: Vec<Reference>, tried: &str) -> Result<Vec<String>> {
        let mut texts: Vec<String> = Vec::new();
        let mut level = first;
        for _ in 0..DEEPEST_REFERENCE {
            if level.is_empty() {
                texts.reverse();
                return Ok(texts);
            }
            let mut next = Vec::new();
            for Reference { subject, version } in level {
                let path = format!("{base}/subjects/{}/versions/{version}", segment(&subject));
                let answer = self.get(&path, tried).await?;
                refused(&answer, tried)?;
                let found: Confluent = read(&answer.body, tried)?;
                // One that is referred to again from deeper down has to come earlier.
                texts.retain(|text| *text != found.schema);
                texts.push(found.schema);
                next.extend(found.references);
            }
            level = next;
        }
        Err(Error::new(Kind::Source, tried).because("its references lead in a circle"))
    }

    async fn get(&self, path: &str, tried: &str) -> Result<Answer> {
        let call = Call { method: Method::GET, path, body: None, timeout: TIMEOUT };
        self.http.call(call).await.map_err(|error| error.during(tried))
    }
}

/// Apicurio answers with the schema's own text; what it is shows in it.
fn native(body: &[u8], tried: &str) -> Result<Schema> {
    let text = String::from_utf8(body.to_vec())
        .map_err(|error| Error::new(Kind::Source, tried).because(error.utf8_error()))?;
    let kind = match serde_json::from_str::<serde_json::Value>(&text) {
        Err(_) => SchemaKind::Protobuf,
        Ok(value) => {
            let is_avro = match value.get("type") {
                Some(serde_json::Value::String(name)) => {
                    matches!(name.as_str(), "record" | "enum" | "fixed")
                        || value.get("items").is_some_and(|_| name == "array" && value.get("$schema").is_none())
                }
                _ => value.is_string() || value.is_array(),
            };
            if is_avro || value.get("connect.name").is_some() { SchemaKind::Avro } else { SchemaKind::Json }
        }
    };
    Ok(Schema { kind, text, references: Vec::new() })
}

fn read<T: serde::de::DeserializeOwned>(body: &[u8], tried: &str) -> Result<T> {
    serde_json::from_slice(body).map_err(|error| {
        Error::new(Kind::Source, tried).because(error).hint("is `kafka.schema_registry_url` a schema registry?")
    })
}

fn refused(answer: &Answer, tried: &str) -> Result<()> {
    if answer.status.is_success() {
        return Ok(());
    }
    let text: String = String::from_utf8_lossy(&answer.body)
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .chars()
        .take(200)
        .collect();
    let cause = format!("{text} ({})", answer.status.as_u16());
    Err(match answer.status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Error::new(Kind::Source, tried)
            .because(cause)
            .hint("check the login in `kafka.schema_registry_url`: http://user:password@host:port"),
        status if status.is_server_error() => Error::new(Kind::SourceUnreachable, tried).because(cause),
        _ => Error::new(Kind::Source, tried).because(cause),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_language_shows_in_the_text() {
        let kind = |text: &str| native(text.as_bytes(), "x").unwrap().kind;
        assert_eq!(kind(r#"{"type":"record","name":"Envelope","fields":[]}"#), SchemaKind::Avro);
        assert_eq!(kind(r#""string""#), SchemaKind::Avro);
        assert_eq!(kind(r#"["null",{"type":"record","name":"a","fields":[]}]"#), SchemaKind::Avro);
        assert_eq!(kind(r#"{"type":"object","properties":{}}"#), SchemaKind::Json);
        assert_eq!(kind("syntax = \"proto3\";"), SchemaKind::Protobuf);
    }
}
