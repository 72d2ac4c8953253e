//! An entry of a partition's log: what Raft agrees on and what a frame stores.

use bytes::Bytes;

use crate::ids::{Index, Offset, Term};

/// What an entry is. Unknown kinds stop the partition: skipping one would make replicas differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Kind {
    /// One record batch, format v2, as its producer made it. The only kind with a count above 0.
    Batch = 1,
    /// A new leader's first entry. No payload.
    Noop = 2,
    /// A command of a replicated state machine.
    Command = 3,
    /// A change of the voters, one step.
    ConfChange = 4,
    /// A change of the voters, joint.
    ConfChangeV2 = 5,
    /// Moves the first offset that readers may see. The payload is the offset, 8 bytes, little-endian.
    SetLogStart = 6,
    /// Records that were acknowledged are lost: those from the offset in the payload (8 bytes, little-endian) to before
    /// the entry's own. The only kind whose base offset may lie behind the end of the entry before, so that no record
    /// gets an offset of theirs.
    Loss = 7,
}

impl Kind {
    /// The kind that a frame's byte stands for.
    pub fn from_byte(byte: u8) -> Option<Kind> {
        Some(match byte {
            1 => Kind::Batch,
            2 => Kind::Noop,
            3 => Kind::Command,
            4 => Kind::ConfChange,
            5 => Kind::ConfChangeV2,
            6 => Kind::SetLogStart,
            7 => Kind::Loss,
            _ => return None,
        })
    }
}

/// What an entry leaves behind for the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Place {
    /// The offset of the next record.
    pub next_offset: Offset,
    /// Its append time: the next one's is not lower.
    pub append_time: i64,
    /// Its chain value; none where the entry is damaged.
    pub chain: Option<u32>,
}

/// One entry. A frame is a pure function of it and of the frame before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its place in the Raft log.
    pub index: Index,
    /// The term of the leader that made it.
    pub term: Term,
    /// What it is.
    pub kind: Kind,
    /// The offset of its first record; for a count of 0, of the next record.
    pub base_offset: Offset,
    /// Its records.
    pub count: u32,
    /// The largest timestamp of its records, the client's, in ms since the epoch; −1 where there is none.
    pub max_timestamp: i64,
    /// When the leader took it, in ms since the epoch: never decreasing in a log.
    pub append_time: i64,
    /// The producer's bytes, or the command. Offset and epoch of a batch are stamped when the frame is written.
    pub payload: Bytes,
}

impl Entry {
    /// The offset that follows the entry's records.
    pub fn next_offset(&self) -> Offset {
        self.base_offset.plus(self.count)
    }
}
