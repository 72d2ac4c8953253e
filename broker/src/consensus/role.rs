//! What a replica is in its term.

use raft::StateRole;

use super::replica::Replica;

/// A replica's part.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Role {
    /// It follows, or would.
    #[default]
    Follows,
    /// It asks whether it would be elected, in no new term yet.
    Canvasses,
    /// It stands for election, in a term of its own.
    Stands,
    /// It leads.
    Leads,
}

impl Replica {
    /// Its part.
    pub fn role(&self) -> Role {
        match self.raw().raft.state {
            StateRole::Follower => Role::Follows,
            StateRole::PreCandidate => Role::Canvasses,
            StateRole::Candidate => Role::Stands,
            StateRole::Leader => Role::Leads,
        }
    }
}
