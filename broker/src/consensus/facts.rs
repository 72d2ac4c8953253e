//! What a replica knows of its group and of itself, for whoever asks.

use raft::StateRole;

use super::replica::Replica;
use super::wire::voters;
use crate::ids::{Index, Offset, ReplicaId, Term};
use crate::log::Voters;

impl Replica {
    /// This replica.
    pub fn id(&self) -> ReplicaId {
        ReplicaId(self.raw().raft.id)
    }

    /// Whether this replica leads.
    pub fn is_leader(&self) -> bool {
        self.raw().raft.state == StateRole::Leader
    }

    /// Whether it leads and has committed an entry of its term: everything inherited is settled.
    pub fn is_ready_leader(&self) -> bool {
        self.is_leader() && self.raw().raft.commit_to_current_term()
    }

    /// The leader it knows of.
    pub fn leader(&self) -> Option<ReplicaId> {
        Some(self.raw().raft.leader_id).filter(|id| *id != raft::INVALID_ID).map(ReplicaId)
    }

    /// The term.
    pub fn term(&self) -> Term {
        Term(self.raw().raft.term)
    }

    /// The commit index. What is beyond it may still be cut.
    pub fn commit(&self) -> Index {
        Index(self.raw().raft.raft_log.committed)
    }

    /// The last entry that is synced here.
    pub fn persisted_index(&self) -> Index {
        Index(self.raw().raft.raft_log.persisted)
    }

    /// The last entry that came out of a `Ready`.
    pub fn last_index(&self) -> Index {
        self.raw().store().last_index()
    }

    /// The term of an entry that came out of a `Ready` and is in the log, or of the one before the first.
    pub fn term_of(&self, index: Index) -> Option<Term> {
        self.raw().store().term_of(index)
    }

    /// The term of the last entry.
    pub fn last_term(&self) -> Term {
        Term(self.raw().raft.raft_log.last_term())
    }

    /// The offset behind the entry at `index`, where `index` is not applied yet or the last applied one.
    pub fn offset_after(&self, index: Index) -> Offset {
        self.raw().store().offset_after(index)
    }

    /// The voters and, for a leader, which of them are known to have synced `index`.
    pub fn synced_at(&self, index: Index) -> (Vec<ReplicaId>, Vec<ReplicaId>) {
        let tracker = self.raw().raft.prs();
        let voters: Vec<ReplicaId> = self.voters().voters.iter().map(|id| ReplicaId(*id)).collect();
        let synced = voters
            .iter()
            .copied()
            .filter(|replica| {
                if replica.0 == self.raw().raft.id {
                    self.persisted_index() >= index
                } else {
                    tracker.get(replica.0).is_some_and(|progress| progress.matched >= index.0)
                }
            })
            .collect();
        (voters, synced)
    }

    /// The configuration in force.
    pub fn voters(&self) -> Voters {
        voters(&self.raw().raft.prs().conf().to_conf_state())
    }
}
