//! Work on a log's files off the shard's thread.

use super::ShardInput;
use super::repairs::RepairStep;
use crate::ids::{Index, PartitionId, ReplicaId};
use crate::limits::PEER_MESSAGE_BYTES_MAX;
use crate::log::{Entry, Reader};
use crate::node::Input;

/// Work on the files of one log: [`LogRead::run`], and its result back to the shard.
pub struct LogRead {
    /// Whose.
    pub partition: PartitionId,
    /// The first entry; 0 where it is not about one.
    pub from: Index,
    /// The first that is not wanted.
    pub to: Index,
    pub(super) reader: Reader,
    pub(super) work: Work,
}

/// What is to be done.
pub(super) enum Work {
    /// Entries for a follower; the partition's life that asked.
    Fetch { incarnation: u64 },
    /// Entries for a replica that lost them.
    Lend { to: ReplicaId },
    /// The damaged entries of a segment.
    Survey { sequence: u64 },
    /// A segment with these entries in the places of the damaged ones.
    Rebuild { sequence: u64, entries: Vec<Entry> },
}

impl LogRead {
    /// Does it. Entries are as many as fit a message.
    pub fn run(self) -> ShardInput {
        let LogRead { partition, from, to, reader, work } = self;
        let most = PEER_MESSAGE_BYTES_MAX as usize;
        match work {
            Work::Fetch { incarnation } => {
                let (prev, entries) = reader.chained_entries(from, to, most).unwrap_or_default();
                ShardInput::Machine(Input::Fetched { partition, incarnation, from, prev, entries })
            }
            Work::Lend { to: replica } => {
                let entries = reader.entries(from, to, most).unwrap_or_default();
                ShardInput::Machine(Input::Lent { partition, to: replica, entries })
            }
            Work::Survey { sequence } => {
                let damaged = reader.damaged_entries(sequence).ok();
                ShardInput::Repair(RepairStep::Surveyed { partition, sequence, damaged })
            }
            Work::Rebuild { sequence, entries } => {
                let whole = reader.rebuild(sequence, &entries).unwrap_or(false);
                ShardInput::Repair(RepairStep::Rebuilt { partition, sequence, whole })
            }
        }
    }
}
