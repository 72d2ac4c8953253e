//! What a leader knows of the others, and what it may do about them.

use raft::eraftpb::{ConfChangeSingle, ConfChangeType, ConfChangeV2};
use raft::{ProgressState, SnapshotStatus};

use super::replica::Replica;
use crate::ids::{Index, ReplicaId};

/// Another replica, as its leader sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Follower {
    /// Which.
    pub replica: ReplicaId,
    /// Whether it votes: in a joint configuration, in either half.
    pub voter: bool,
    /// The last entry known to be synced there.
    pub matched: Index,
    /// Whether it was heard from within the last two election timeouts.
    pub active: bool,
    /// Whether it is to begin its log anew, or be looked for.
    pub waits_for_snapshot: bool,
}

/// A change of the voters. One replica alone is a simple change; more go through a joint configuration, which Raft
/// leaves by itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Change {
    /// Replicas that begin to learn.
    pub learners: Vec<ReplicaId>,
    /// Replicas that begin to vote.
    pub voters: Vec<ReplicaId>,
    /// Replicas that take part no longer. Never the leader.
    pub removed: Vec<ReplicaId>,
}

impl Change {
    fn singles(&self) -> Vec<ConfChangeSingle> {
        let single = |kind: ConfChangeType| {
            move |replica: &ReplicaId| {
                let mut single = ConfChangeSingle { node_id: replica.0, ..Default::default() };
                single.set_change_type(kind);
                single
            }
        };
        let learners = self.learners.iter().map(single(ConfChangeType::AddLearnerNode));
        let voters = self.voters.iter().map(single(ConfChangeType::AddNode));
        let removed = self.removed.iter().map(single(ConfChangeType::RemoveNode));
        learners.chain(voters).chain(removed).collect()
    }
}

impl Replica {
    /// The other replicas of the configuration; empty where this one does not lead.
    pub fn followers(&self) -> Vec<Follower> {
        if !self.is_leader() {
            return Vec::new();
        }
        let raft = &self.raw().raft;
        let voters = raft.prs().conf().to_conf_state();
        let mut followers: Vec<Follower> = raft
            .prs()
            .iter()
            .filter(|(id, _)| **id != raft.id)
            .map(|(id, progress)| Follower {
                replica: ReplicaId(*id),
                voter: voters.voters.contains(id) || voters.voters_outgoing.contains(id),
                matched: Index(progress.matched),
                active: self.has_heard(*id),
                waits_for_snapshot: progress.state == ProgressState::Snapshot,
            })
            .collect();
        // Raft keeps them in a hash map.
        followers.sort_unstable_by_key(|follower| follower.replica);
        followers
    }

    /// The last entry known to be synced at another replica; only a leader knows.
    pub fn matched(&self, replica: ReplicaId) -> Index {
        Index(self.raw().raft.prs().get(replica.0).map_or(0, |progress| progress.matched))
    }

    /// The last entry that a majority of the voters has, where `has` says up to where each has them: in a joint
    /// configuration, a majority of either half.
    pub fn by_majority(&self, has: impl Fn(ReplicaId) -> Index) -> Index {
        let conf = self.voters();
        let of_half = |half: &Vec<u64>| {
            let mut all: Vec<Index> = half.iter().map(|id| has(ReplicaId(*id))).collect();
            all.sort_unstable();
            all.len().checked_sub(1).map(|last| all[last / 2])
        };
        [&conf.voters, &conf.voters_outgoing].into_iter().filter_map(of_half).min().unwrap_or_default()
    }

    /// The last entry that was handed out to be applied.
    pub fn applied(&self) -> Index {
        Index(self.raw().raft.raft_log.applied)
    }

    /// Hands leadership to a voter; it may not come to pass. Nothing can be proposed until it is decided, at most an
    /// election timeout. Whether it was begun.
    pub fn transfer_to(&mut self, to: ReplicaId) -> bool {
        let is_voter = self.voters().voters.contains(&to.0);
        if self.is_ready_leader() && to != self.id() && is_voter && !self.is_transferring() {
            self.raw_mut().transfer_leader(to.0);
            return true;
        }
        false
    }

    /// Whether leadership is being handed over.
    pub fn is_transferring(&self) -> bool {
        self.raw().raft.lead_transferee.is_some()
    }

    /// Messages to a replica were dropped: Raft sends less until it hears from it.
    pub fn unreachable(&mut self, replica: ReplicaId) {
        self.raw_mut().report_unreachable(replica.0);
    }

    /// Looks whether replicas that were told to begin their logs anew have done so: Raft asks them where they are, and
    /// tells them again where they have not.
    pub fn probe_snapshots(&mut self) {
        for follower in self.followers().into_iter().filter(|follower| follower.waits_for_snapshot) {
            self.raw_mut().report_snapshot(follower.replica.0, SnapshotStatus::Finish);
        }
    }

    /// Whether a change of voters is under way: proposed and not applied here, or joint.
    pub fn is_changing(&self) -> bool {
        self.raw().raft.has_pending_conf() || !self.voters().voters_outgoing.is_empty()
    }

    /// Proposes a change of voters. Whether it is in the log: not while another one is under way, nor where this replica
    /// does not lead or would remove itself, nor where nothing would change.
    pub fn propose_change(&mut self, change: &Change) -> bool {
        let singles = change.singles();
        let removes_itself = change.removed.contains(&self.id());
        if singles.is_empty() || removes_itself || !self.is_ready_leader() {
            return false;
        }
        if self.is_changing() || self.is_transferring() {
            return false;
        }
        let proposal = ConfChangeV2 { changes: singles.into(), ..Default::default() };
        self.raw_mut().propose_conf_change(Vec::new(), proposal).is_ok()
    }

    /// Leaves a joint configuration that Raft did not leave by itself.
    pub fn leave_joint(&mut self) {
        let stuck = !self.voters().voters_outgoing.is_empty() && !self.raw().raft.has_pending_conf();
        if stuck && self.is_ready_leader() {
            // Refused only while a leader is on its way, who will do the same.
            let _ = self.raw_mut().propose_conf_change(Vec::new(), ConfChangeV2::default());
        }
    }

    /// Stands for election without waiting, where it votes and nothing of its own is unsynced.
    pub fn campaign(&mut self) {
        if !self.is_leader()
            && !self.holds_back()
            && self.is_persisted()
            && self.voters().voters.contains(&self.id().0)
        {
            // Raft refuses where a change of voters is not applied yet; the election timeout tries again.
            let _ = self.raw_mut().campaign();
        }
    }
}
