//! `create-tables`: what ClickHouse should hold by the configuration, how that differs from what it holds, and the way from the one to
//! the other. Nothing is ever dropped, and a table that would have to be made anew is refused.

mod apply;
mod compare;
mod facts;
mod literal;
mod plan;

pub use apply::apply;
pub use facts::{Facts, gather, needs_postgres};
pub use plan::{Action, Plan, Refusal, Step, plan};
