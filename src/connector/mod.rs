//! The Debezium connector of a pipeline: what its configuration has to be, how another differs, what in it loses data, and what its
//! failures mean. Nothing here talks to a server.

mod difference;
mod failure;
mod fitting;
mod losses;
mod tables;
mod wanted;

pub use difference::{Difference, differences};
pub use failure::hint;
pub use fitting::{Fitted, fit, with_probe};
pub use losses::{Loss, losses};
pub use tables::{Captured, captured, lossy_columns};
pub use wanted::{CLASS, wanted};
