//! What a running sync tells over HTTP: `/metrics` for Prometheus, `/healthz`, `/readyz` and `/status.json`.

use crate::change::Lsn;
use crate::error::{Error, Kind, Result};
use crate::sync::Progress;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

type Labels = Vec<(String, String)>;

#[derive(Clone)]
struct Shared {
    pipeline: String,
    progress: Arc<Progress>,
}

/// A running server; it ends with the value.
#[derive(Debug)]
pub struct HttpServer {
    _task: JoinSet<()>,
    /// Where it listens.
    pub address: SocketAddr,
}

/// Serves a sync's numbers at an address; port 0 takes a free one.
///
/// # Errors
/// [`Kind::Config`] where the address cannot be listened on.
pub async fn serve(address: SocketAddr, pipeline: &str, progress: Arc<Progress>) -> Result<HttpServer> {
    let failed = |error: std::io::Error| {
        Error::new(Kind::Config, format!("could not listen on {address}"))
            .because(error)
            .hint("is the port taken? --http takes another one, or port 0 for a free one")
    };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    progress.note(format!("serving http://{address}/metrics"));
    let shared = Shared { pipeline: pipeline.to_owned(), progress };
    let app = Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/status.json", get(|State(shared): State<Shared>| async move { Json(status(&shared)) }))
        .with_state(shared);
    let mut task = JoinSet::new();
    task.spawn(async move {
        if let Err(error) = axum::serve(listener, app).await {
            tracing::warn!(%error, "the HTTP server ended");
        }
    });
    Ok(HttpServer { _task: task, address })
}

async fn ready(State(shared): State<Shared>) -> impl IntoResponse {
    let code = if shared.progress.ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, Json(status(&shared)))
}

fn status(shared: &Shared) -> Value {
    let progress = &shared.progress;
    let number = |value: &AtomicU64| value.load(Ordering::Relaxed);
    let tables: serde_json::Map<String, Value> = progress
        .tables()
        .into_iter()
        .map(|(name, table)| {
            let value = json!({
                "copied_rows": table.copied_rows,
                "expected_rows": table.expected_rows,
                "copied_bytes": table.copied_bytes,
                "copy_ended": table.copy_ended,
                "changed_rows": table.changed_rows,
                "policy_nulls": table.policy_nulls,
                "parked": table.parked,
            });
            (name, value)
        })
        .collect();
    let partitions: Vec<Value> = progress
        .partitions()
        .into_iter()
        .map(|((topic, partition), at)| json!({"topic": topic, "partition": partition, "stored": at.stored, "end": at.end}))
        .collect();
    json!({
        "version": 1,
        "pipeline": shared.pipeline,
        "ready": progress.ready(),
        "phase": if progress.copied.load(Ordering::Relaxed) { "stream" } else { "copy" },
        "uptime_seconds": progress.uptime().as_secs(),
        "copied_rows": number(&progress.copied_rows),
        "expected_rows": number(&progress.expected_rows),
        "copied_bytes": number(&progress.copied_bytes),
        "changed_rows": number(&progress.changed_rows),
        "batches": number(&progress.groups),
        "bytes": number(&progress.bytes),
        "confirmed_lsn": Lsn(number(&progress.confirmed)).to_string(),
        "source_lsn": Lsn(number(&progress.source_end)).to_string(),
        "lag_bytes": progress.lag_bytes(),
        "lag_seconds": progress.lag_seconds(),
        "retries": number(&progress.retries),
        "dead_letters": number(&progress.dead_letters),
        "partitions": partitions,
        "tables": tables,
    })
}

async fn metrics(State(shared): State<Shared>) -> impl IntoResponse {
    let mut text = String::new();
    match encode(&mut text, &registry(&shared)) {
        Ok(()) => {
            (StatusCode::OK, [(CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text)
                .into_response()
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// The numbers as they are now. Totals are gauges here: their sum is kept by the sync, not by the registry.
fn registry(shared: &Shared) -> Registry {
    let progress = &shared.progress;
    let pipeline = (std::borrow::Cow::from("pipeline"), std::borrow::Cow::from(shared.pipeline.clone()));
    let mut registry = Registry::with_labels(std::iter::once(pipeline));
    let number = |value: &AtomicU64| value.load(Ordering::Relaxed) as f64;
    let plain = [
        ("pipectl_ready", "1 while readers can rely on the destination", f64::from(u8::from(progress.ready()))),
        ("pipectl_lag_bytes", "Bytes of the source's log that are not stored yet", progress.lag_bytes() as f64),
        ("pipectl_lag_seconds", "Age of the newest stored transaction while others wait", progress.lag_seconds()),
        ("pipectl_copied_rows", "Rows that copies stored", number(&progress.copied_rows)),
        ("pipectl_expected_rows", "Rows that copies are expected to store", number(&progress.expected_rows)),
        ("pipectl_copied_bytes", "Bytes that copies stored, uncompressed", number(&progress.copied_bytes)),
        ("pipectl_changed_rows", "Rows that changes stored, tombstones included", number(&progress.changed_rows)),
        ("pipectl_batches", "Groups of batches that were stored", number(&progress.groups)),
        ("pipectl_stored_bytes", "Bytes of changes that were stored", number(&progress.bytes)),
        ("pipectl_confirmed_lsn", "Position up to which all is stored and acknowledged", number(&progress.confirmed)),
        ("pipectl_dead_letters", "Records that were set aside since the start", number(&progress.dead_letters)),
        ("pipectl_retries", "Attempts that failed in a row", number(&progress.retries)),
    ];
    for (name, help, value) in plain {
        let gauge = Gauge::<f64, AtomicU64>::default();
        gauge.set(value);
        registry.register(name, help, gauge);
    }
    let rows = Family::<Labels, Gauge<f64, AtomicU64>>::default();
    let nulls = Family::<Labels, Gauge<f64, AtomicU64>>::default();
    let parked = Family::<Labels, Gauge<f64, AtomicU64>>::default();
    for (name, table) in progress.tables() {
        let label = vec![("table".to_owned(), name.clone())];
        rows.get_or_create(&label).set((table.copied_rows + table.changed_rows) as f64);
        parked.get_or_create(&label).set(f64::from(u8::from(table.parked.is_some())));
        for (column, count) in table.policy_nulls {
            let labels = vec![("table".to_owned(), name.clone()), ("column".to_owned(), column)];
            nulls.get_or_create(&labels).set(count as f64);
        }
    }
    let lags = Family::<Labels, Gauge<f64, AtomicU64>>::default();
    for ((topic, partition), at) in progress.partitions() {
        let labels = vec![("topic".to_owned(), topic), ("partition".to_owned(), partition.to_string())];
        lags.get_or_create(&labels).set((at.end - at.stored).max(0) as f64);
    }
    registry.register("pipectl_partition_lag_records", "Records of a partition that are not stored yet", lags);
    registry.register("pipectl_table_rows", "Rows stored of a table", rows);
    registry.register("pipectl_table_parked", "1 while a table is left behind", parked);
    registry.register("pipectl_policy_nulls", "Values stored as NULL because ClickHouse cannot hold them", nulls);
    registry
}
