//! Where the replicas of a partition are, as seen from a broker that has one.

use std::collections::BTreeMap;

use crate::ids::{NodeId, ReplicaId};
use crate::state::Heir;

/// Where the replicas of a partition are, and which of them shall vote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seats {
    /// The replica here.
    pub here: ReplicaId,
    /// All replicas there are or shall be.
    pub nodes: BTreeMap<ReplicaId, NodeId>,
    /// Those that shall vote; the first is the one to lead where nothing speaks against it.
    pub voters: Vec<ReplicaId>,
    /// Those that shall learn and not vote.
    pub learners: Vec<ReplicaId>,
    /// Whether the replica here is one of those that the partition began with.
    pub original: bool,
    /// Where the replica here took over the log of another one.
    pub heir: Option<Heir>,
}

impl Seats {
    /// Whether the replica here has the log of this one: it is the same, or its heir.
    pub fn goes_on_from(&self, replica: ReplicaId) -> bool {
        self.here == replica || self.heir.is_some_and(|heir| heir.of == Some(replica))
    }
}
