//! What the meta log keeps of a partition, and how it changes.
//!
//! One record of the meta log holds the whole [`PartitionMeta`] of one partition, so that the conf state and the index
//! it was applied at, or the marks of a log and its generation, can never part. Fields are only added; their numbers
//! are never used again.

use crate::ids::{Index, PartitionId, ReplicaId, Term};

use super::round::LogStart;

/// The voters and learners of a partition, as Raft's `ConfState`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Voters {
    /// Replica ids that vote.
    #[prost(uint64, repeated, tag = "1")]
    pub voters: Vec<u64>,
    /// Replica ids that do not vote.
    #[prost(uint64, repeated, tag = "2")]
    pub learners: Vec<u64>,
    /// The voters of the other half of a joint configuration.
    #[prost(uint64, repeated, tag = "3")]
    pub voters_outgoing: Vec<u64>,
    /// Voters that become learners when the joint configuration ends.
    #[prost(uint64, repeated, tag = "4")]
    pub learners_next: Vec<u64>,
    /// Whether Raft leaves the joint configuration by itself.
    #[prost(bool, tag = "5")]
    pub auto_leave: bool,
}

/// Everything the meta log knows of one partition.
#[derive(Clone, PartialEq, prost::Message)]
pub struct PartitionMeta {
    /// This node's replica of the partition; a log is created once for each replica id.
    #[prost(uint64, tag = "1")]
    pub replica_id: u64,
    /// The current term.
    #[prost(uint64, tag = "2")]
    pub term: u64,
    /// The replica voted for in this term; 0 for none.
    #[prost(uint64, tag = "3")]
    pub vote: u64,
    /// The commit index; lazy, never above what is synced here.
    #[prost(uint64, tag = "4")]
    pub commit: u64,
    /// The index up to which conf changes (and a state machine's commands) are in `voters` (and in the snapshot).
    #[prost(uint64, tag = "5")]
    pub applied: u64,
    /// The configuration at `applied`.
    #[prost(message, optional, tag = "6")]
    pub voters: Option<Voters>,
    /// The log's generation.
    #[prost(uint64, tag = "7")]
    pub generation: u64,
    /// The first index that the log holds.
    #[prost(uint64, tag = "8")]
    pub first_index: u64,
    /// The term of the entry before it.
    #[prost(uint64, tag = "9")]
    pub prev_term: u64,
    /// The chain value of the entry before it.
    #[prost(fixed32, tag = "10")]
    pub chain: u32,
    /// The append time of the entry before it.
    #[prost(int64, tag = "11")]
    pub append_time: i64,
    /// The offset of the first record at or after `first_index`.
    #[prost(int64, tag = "12")]
    pub next_offset: i64,
    /// The first offset that readers may see.
    #[prost(int64, tag = "13")]
    pub log_start: i64,
    /// The last index covered by a completed sync, written lazily; read only by recovery.
    #[prost(uint64, tag = "14")]
    pub durable_index: u64,
    /// Its term.
    #[prost(uint64, tag = "15")]
    pub durable_term: u64,
    /// The index of the newest state machine snapshot; 0 for none.
    #[prost(uint64, tag = "16")]
    pub snapshot_index: u64,
    /// Its term.
    #[prost(uint64, tag = "17")]
    pub snapshot_term: u64,
    /// The partition is deleted, by a committed tombstone; its folder may go.
    #[prost(bool, tag = "18")]
    pub removed: bool,
}

impl PartitionMeta {
    /// Where the partition's log begins.
    pub fn start(&self) -> LogStart {
        LogStart {
            generation: self.generation,
            first_index: Index(self.first_index),
            prev_term: Term(self.prev_term),
            chain: self.chain,
            append_time: self.append_time,
            next_offset: crate::ids::Offset(self.next_offset),
            log_start: crate::ids::Offset(self.log_start),
        }
    }

    /// Sets where the partition's log begins.
    pub(super) fn set_start(&mut self, start: &LogStart) {
        self.generation = start.generation;
        self.first_index = start.first_index.0;
        self.prev_term = start.prev_term.0;
        self.chain = start.chain;
        self.append_time = start.append_time;
        self.next_offset = start.next_offset.0;
        self.log_start = start.log_start.0;
    }
}

/// One change of a partition's meta record.
#[derive(Debug, Clone, PartialEq)]
pub struct MetaChange {
    /// Whose.
    pub partition: PartitionId,
    /// What changes.
    pub what: MetaField,
}

/// What a log that begins elsewhere makes of its meta record: all of it at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Jumped {
    /// Where the new generation begins. What is before counts as committed and durable.
    pub start: LogStart,
    /// The configuration, and the index up to which changes are in it.
    pub voters: Voters,
    /// See `voters`; it may lie behind the log's first index.
    pub applied: Index,
    /// The term.
    pub term: Term,
    /// The replica voted for in it; 0 for none.
    pub vote: u64,
    /// The state machine's snapshot that comes with it: index, or 0, and term.
    pub snapshot: (Index, Term),
}

/// What a log becomes that another replica goes on with, alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inherited {
    /// The other replica, its only voter.
    pub replica: ReplicaId,
    /// Its term, above every one that the log has.
    pub term: Term,
    /// The last entry: everything up to it counts as committed, applied and durable, and nothing behind it.
    pub last: Index,
    /// Its term.
    pub last_term: Term,
    /// The first offset that readers may see.
    pub log_start: crate::ids::Offset,
}

/// What changes in a [`PartitionMeta`]. Those that must be durable before the round completes say so.
#[derive(Debug, Clone, PartialEq)]
pub enum MetaField {
    /// A replica comes to be: once for each replica id, when its log is made, durable before that is opened.
    Created {
        /// Its id.
        replica: ReplicaId,
        /// Where its log begins.
        start: LogStart,
        /// The first configuration.
        voters: Voters,
        /// The first term, and the index that counts as committed and applied.
        term: Term,
    },
    /// A new term or vote; durable.
    HardState {
        /// The term.
        term: Term,
        /// The replica voted for; 0 for none.
        vote: u64,
    },
    /// Commit alone rides along with the next sync.
    Commit(Index),
    /// A configuration and the index it was applied at; durable, together.
    Conf {
        /// The index of the change.
        applied: Index,
        /// The configuration from there.
        voters: Voters,
    },
    /// The log's first index or the readers' start moved; durable before files go.
    Start(LogStart),
    /// The last entry covered by a completed sync; rides along.
    Durable {
        /// Its index.
        index: Index,
        /// Its term.
        term: Term,
    },
    /// The durable mark goes back, before a truncation overwrites; durable.
    LowerDurable {
        /// The new index.
        index: Index,
        /// Its term.
        term: Term,
    },
    /// A state machine's snapshot is durable; durable before files go.
    Snapshot {
        /// The last index in it.
        index: Index,
        /// Its term.
        term: Term,
    },
    /// The log goes on in another generation, with everything that belongs to it; durable before that is used.
    Jumped(Box<Jumped>),
    /// The log goes on under another replica id; durable before that one takes part.
    Inherited(Box<Inherited>),
    /// The partition is deleted; durable before its folder goes.
    Removed,
}

impl MetaField {
    /// Whether the round must sync the meta log for it.
    pub fn must_sync(&self) -> bool {
        match self {
            MetaField::Commit(_) | MetaField::Durable { .. } => false,
            MetaField::Created { .. }
            | MetaField::HardState { .. }
            | MetaField::Conf { .. }
            | MetaField::Start(_)
            | MetaField::LowerDurable { .. }
            | MetaField::Snapshot { .. }
            | MetaField::Jumped(_)
            | MetaField::Inherited(_)
            | MetaField::Removed => true,
        }
    }
}
