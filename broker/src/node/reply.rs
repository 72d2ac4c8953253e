//! What the machine answers, and what it shows to readers.

use std::sync::Arc;

use crate::ids::{Index, NodeId, Offset, PartitionId, ReplicaId, Term};
use crate::refusal::Refusal;
use crate::state::Reply as ControlReply;

/// An answer of the machine.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// To `Produce`.
    Produced(Result<Receipt, Refusal>),
    /// To `Control`.
    Control(Result<ControlReply, Refusal>),
    /// To `Trim`: the log start before and after.
    Trimmed(Result<(Offset, Offset), Refusal>),
    /// To `Transfer`: begun, or why not.
    Transferring(Result<(), Refusal>),
}

/// What is known when an acknowledgement leaves, and nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// Where the batch is.
    pub partition: PartitionId,
    /// The offset of its first record.
    pub base_offset: Offset,
    /// The offset of its last record.
    pub last_offset: Offset,
    /// When the leader took it, in ms since the epoch.
    pub append_time: i64,
    /// The leader's term.
    pub term: Term,
    /// Its place in the Raft log.
    pub index: Index,
    /// The replicas whose majority counts.
    pub voters: Vec<(NodeId, ReplicaId)>,
    /// Replicas known to have it synced.
    pub synced: Vec<(NodeId, ReplicaId)>,
    /// In the weaker modes: replicas known to have it written.
    pub written: Vec<(NodeId, ReplicaId)>,
    /// It was in the log before.
    pub duplicate: bool,
}

/// What readers may know of a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// The leader, where known.
    pub leader: Option<NodeId>,
    /// The leader's epoch.
    pub epoch: Term,
    /// This broker leads and has committed in its term: offsets are exact.
    pub ready: bool,
    /// The first offset that readers may not see.
    pub high_watermark: Offset,
    /// The first offset that readers may see.
    pub log_start: Offset,
    /// What was committed before this replica opened is applied here.
    pub current: bool,
    /// Where the replicas are.
    pub replicas: Arc<[NodeId]>,
    /// Why the partition takes no writes, where it does not.
    pub closed: Option<Arc<str>>,
}
