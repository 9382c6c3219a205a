//! pipectl: the whole life of a Postgres to ClickHouse pipeline.
//!
//! ```text
//! Postgres ── source::postgres ──> decode ──> change ──> batch ──> sink::clickhouse ──> ClickHouse
//!     ^         (COPY, pgoutput)     (borrowed fields)  (typed columns)  (Native, LZ4)       │
//!     │                                                                                  durable
//!     └────────────── acknowledge: the slot's LSN <── checkpoint <──────────────────────────┘
//! ```
//!
//! The modules stand in the order of that way; none imports a later one.

pub mod error;

mod failpoint;

pub mod change;

pub mod config;

pub mod decode;

pub mod batch;

pub mod server;

pub mod flow;

pub mod source;

pub mod sink;

pub mod checkpoint;

pub mod sync;

pub mod init;

pub mod tables;

pub mod seed;

pub mod tail;

pub mod doctor;

pub mod verify;

pub mod dead_letters;

pub mod connector;

pub mod assemble;

pub mod http;
