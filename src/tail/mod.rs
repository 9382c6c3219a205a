//! `pipectl tail`: topics as people want to read them, and the same straight from Postgres.
//!
//! Nothing here changes anything: no consumer group is joined, no offset is committed, and Postgres' slot is a temporary one. What is read is
//! taken apart generically, by the names that stand in it, and shown as it is spelled: this is no step of the pipeline, and knows nothing of how
//! rows are stored.

mod bound;
mod choose;
mod connect;
mod document;
mod entry;
mod filter;
mod follow;
mod json;
mod kafka;
mod lane;
mod line;
mod moment;
mod overview;
mod postgres;
mod reading;
mod registry;
mod rows;

pub use bound::Bound;
pub use choose::Choice;
pub use document::document;
pub use entry::{Change, Column, Entry, Op, Place, Record, What};
pub use filter::Filter;
pub use follow::{Batch, Follow, KeyFilter, Shown, Wanted};
pub use kafka::{Plan, Reader};
pub use line::{Lines, Style, escape};
pub use overview::{GroupView, Overview, PartitionLag, TopicView, groups, topics};
pub use postgres::{PostgresTail, Tables};
