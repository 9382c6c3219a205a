//! Postgres as the source: the slot, the first copy, the stream of changes.

mod copy;
mod refetch;
mod slot;
mod stream;
mod timeline;

pub use copy::{CopyReader, CopySession, HeapRange, plan_ranges, select_list};
pub use refetch::PostgresRefetch;
pub use slot::{
    CreatedSlot, Patience, ReplicationServer, SlotState, Waiting, create_slot, end_slot_reader, identify,
    identify_again, identify_logical, slot_state,
};
pub use stream::PostgresStream;
pub use timeline::{Fork, timeline_history};
