//! Records of Debezium's Postgres connector: from the bytes of a Kafka record to [`Field`](crate::change::Field)s.
//!
//! Pure: no I/O, no panic, no allocation for a value. A record is read in two steps. [`record`] finds the envelope and says what the record
//! is; the rows in it stay as they are. [`RowReader`] then reads a row by a [`RecordShape`], which says of each field how its JSON is spelled
//! ([`Form`]) and so what Postgres' own text of the value is. How a type is spelled depends on the connector's settings: it is known from the
//! record's schema ([`ConnectSchema`]) or, where records carry none, from the settings themselves ([`Forms`]).
//!
//! What a record holds: <https://debezium.io/documentation/reference/stable/connectors/postgresql.html#postgresql-events>.

pub mod avro;

mod connect;
mod envelope;
mod form;
mod forms;
mod json;
mod row;
#[cfg(test)]
mod samples;
#[cfg(test)]
mod speed;
mod target;
mod value;

pub use connect::{ConnectField, ConnectSchema, ConnectType, Kind};
pub use envelope::{
    Envelope, Marker, MarkerStatus, Message, Op, Origin, Parsed, SchemaText, Snapshot, TransactionBlock, record,
    record_known,
};
pub use form::{Form, Guesswork, column, form};
pub use forms::{BinaryMode, DEFAULT_PLACEHOLDER, DecimalMode, Forms, IntervalMode, TimeMode};
pub use json::{Array, Json, Object, Text};
pub use row::{RecordShape, Row, RowFields, RowProblem, RowReader, ShapeField};
