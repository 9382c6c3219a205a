//! The engine: takes changes in, stores them in groups, and acknowledges what is stored. Knows only the contract of [`crate::flow`].

mod gaps;
mod intake;
mod progress;
mod records;
mod stream;
mod writer;
mod writing;

pub use gaps::Room;
pub use progress::{PartitionProgress, Progress, READY_LAG, TableProgress, ready};
pub use records::{Ends, RecordOptions, Records};
pub use stream::{Ended, Stream, StreamOptions};
pub use writer::{Writer, retrying};
