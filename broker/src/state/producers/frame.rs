//! What a frame says of the producer of its batch.

use crate::ids::{Index, Offset, Term};

/// The producer's fields of a batch, with its place in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProducerFrame {
    /// The batch's place in the Raft log.
    pub index: Index,
    /// The term of the leader that took it.
    pub term: Term,
    /// The offset of its first record.
    pub base_offset: Offset,
    /// Its records, at least 1.
    pub count: u32,
    /// When the leader took it, in ms since the epoch.
    pub append_time: i64,
    /// The producer.
    pub producer_id: i64,
    /// The producer's epoch.
    pub epoch: i16,
    /// The sequence of its first record.
    pub first_sequence: i32,
}
