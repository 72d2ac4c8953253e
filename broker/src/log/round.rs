//! A round: what one shard asks of the disk, in one go, and what comes back.
//!
//! The shard writes its segments itself and gathers what must become durable; the disk thread takes the rounds of
//! all shards, appends to the one meta log, syncs, and answers. While one round syncs the next one gathers: that is
//! the group commit. Order inside a round, which the crash-safety argument of `docs/FORMAT.md` rests on:
//!
//! 1. meta changes are appended to the meta log, in the order of the round;
//! 2. the segment files are synced;
//! 3. the meta log is synced, if one of the changes must be durable;
//! 4. the jobs run, in order.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;

use super::{File, MetaChange, ProducerFrame};
use crate::ids::{Index, Offset, PartitionId, Term};

/// What one shard asks of the disk.
#[derive(Default)]
pub struct Round {
    /// Rising by one at its shard.
    pub number: u64,
    /// Changes of the meta log, in order.
    pub meta: Vec<MetaChange>,
    /// Files whose bytes must be durable; written before the round leaves.
    pub sync: Vec<SyncFile>,
    /// Work on files beside the logs in use, after the syncs.
    pub jobs: Vec<Job>,
}

impl Round {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.meta.is_empty() && self.sync.is_empty() && self.jobs.is_empty()
    }
}

/// A file to sync, and whose it is.
pub struct SyncFile {
    /// The partition, for messages.
    pub partition: PartitionId,
    /// The file.
    pub file: Arc<dyn File>,
}

/// Work off the hot path. Each is idempotent after a crash.
pub enum Job {
    /// Makes the folder and the first segment of a log, or of another generation of it, durably.
    Create {
        /// Whose.
        partition: PartitionId,
        /// Where it begins.
        start: LogStart,
        /// The producers before it.
        producers: Vec<ProducerFrame>,
    },
    /// Writes down the producers before where a log begins, durably and as a whole, before a record says that it begins
    /// there: the files that they could be read from go.
    Producers {
        /// Whose.
        partition: PartitionId,
        /// Where it will begin.
        start: LogStart,
        /// The producers before it.
        producers: Vec<ProducerFrame>,
    },
    /// Removes a generation's folder, which no meta record refers to any more.
    RemoveGeneration {
        /// Whose.
        partition: PartitionId,
        /// Which.
        generation: u64,
    },
    /// Makes the next segment, durably, before it is needed.
    Prepare {
        /// Whose.
        partition: PartitionId,
        /// The log's generation.
        generation: u64,
        /// Numbers the segment files of a generation, from 1.
        sequence: u64,
        /// The file's first size.
        bytes: u64,
    },
    /// Writes a state machine's snapshot: new file, sync, rename, sync of the folder.
    Snapshot {
        /// Whose.
        partition: PartitionId,
        /// The last index that the snapshot contains.
        index: Index,
        /// Its term.
        term: Term,
        /// The snapshot, opaque here.
        data: Bytes,
    },
    /// Puts a segment that was built anew, and is synced, into the place of the damaged one, durably.
    Install {
        /// Whose.
        partition: PartitionId,
        /// The log's generation.
        generation: u64,
        /// The segment's number.
        sequence: u64,
    },
    /// Removes files that no meta record refers to any more. Missing ones are fine.
    Remove {
        /// Whose.
        partition: PartitionId,
        /// The files.
        files: Vec<PathBuf>,
    },
    /// Removes a deleted partition's folder, after its tombstone is durable.
    RemoveLog {
        /// Whose.
        partition: PartitionId,
    },
}

/// Where a log begins: what must be known about the entry before its first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogStart {
    /// The log's generation, from 1.
    pub generation: u64,
    /// The first index the log can hold (`raft_first`).
    pub first_index: Index,
    /// The term of the entry before it.
    pub prev_term: Term,
    /// The chain value of the entry before it: its header checksum, or [`LogStart::genesis`]'s.
    pub chain: u32,
    /// The append time of the entry before it.
    pub append_time: i64,
    /// The offset of the next record.
    pub next_offset: Offset,
    /// The first offset that readers may see.
    pub log_start: Offset,
}

/// The generation of a log that was never built anew.
pub(in crate::log) const FIRST_GENERATION: u64 = 1;

impl LogStart {
    /// The start of a new partition's log: its chain begins at the partition's id.
    ///
    /// Indexes begin at `first_index`, above the ones that Raft takes for "nothing yet", so that an empty replica
    /// always receives a snapshot first.
    pub fn genesis(partition: PartitionId, first_index: Index, prev_term: Term) -> LogStart {
        LogStart {
            generation: FIRST_GENERATION,
            first_index,
            prev_term,
            chain: crc32fast::hash(&partition.to_bytes()),
            append_time: 0,
            next_offset: Offset(0),
            log_start: Offset(0),
        }
    }
}

/// What came of a round. A round that failed does not come back: the process stops.
pub struct RoundDone {
    /// The round's number.
    pub number: u64,
    /// How each job ended, in order.
    pub jobs: Vec<JobDone>,
}

/// How a job ended.
#[derive(Debug)]
pub enum JobDone {
    /// Done, durably.
    Done,
    /// There was no room on the disk; nothing changed.
    NoSpace,
}
