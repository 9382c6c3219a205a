//! From bytes to fields and values. Pure: no I/O, no panic, no allocation for a value that needs none.

pub mod array;
pub mod assignment;
pub mod copy;
pub mod debezium;
pub mod document;
pub mod hstore;
pub mod number;
pub mod pgoutput;
pub mod time;

mod wire;

pub use wire::Malformed;
