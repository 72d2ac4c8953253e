//! What a leader does for its partition beside records: voters as the placement says, leadership where it belongs,
//! word to the others.

use std::collections::BTreeSet;

use caudal_proto::peer;

use super::Node;
use super::event::{Output, Ticket};
use super::partition::{Life, Live, Partition};
use super::peers::status;
use super::reply::Reply;
use super::seats::Seats;
use crate::consensus::{Change, Follower};
use crate::ids::{Index, NodeId, PartitionId, ReplicaId};
use crate::limits::{BALANCE_TICKS, CAUGHT_UP_ENTRIES, SECOND_TICKS, STATUS_TICKS};
use crate::refusal::Refusal;

impl Node {
    /// Once a second: each leader looks after its partition.
    pub(super) fn steer(&mut self) {
        let all = self.ticks.is_multiple_of(STATUS_TICKS);
        let mut statuses = Vec::new();
        let mut handed_over = false;
        for (id, partition) in &mut self.partitions {
            let Life::Live(live) = &mut partition.life else { continue };
            if !live.replica.is_ready_leader() {
                live.led_since = None;
                continue;
            }
            let since = *live.led_since.get_or_insert(self.ticks);
            let lacks_room = std::mem::take(&mut live.lacks_room);
            live.replica.probe_snapshots();
            live.replica.leave_joint();
            let followers = live.replica.followers();
            let standing = Standing {
                followers: &followers,
                seats: &partition.seats,
                unfit: &self.unfit,
                down: &self.down,
            };
            if self.stopping || self.disk.is_stalled() {
                if let Some(next) = standing.successor(live) {
                    live.replica.transfer_to(next);
                }
            } else if partition.seats.heir.is_some_and(|heir| live.lost_from(heir.resume_at).is_some()) {
                // Nobody joins before the lost offsets are left out.
            } else if let Some(change) = standing.change(live) {
                // Also where it should not lead: perhaps nobody can take over before the replicas have moved.
                live.replica.propose_change(&change);
            } else if live.replica.is_changing() {
                // Who takes over now might be the one that is on its way out.
            } else if (lacks_room || self.unfit.contains(&standing.own_node()))
                && let Some(next) = standing.successor(live)
            {
                live.replica.transfer_to(next);
            } else if let Some(next) = standing.rightful(live)
                && !handed_over
                && (standing.is_outsider() || self.ticks - since >= BALANCE_TICKS)
            {
                handed_over = live.replica.transfer_to(next);
            }
            let told = live.status(*id, &partition.seats, &followers, self.ticks);
            if self.has_peers && (all || live.told.as_ref() != Some(&told)) {
                live.told = Some(told.clone());
                statuses.push(told);
            }
            self.dirty.insert(*id);
        }
        if !statuses.is_empty() {
            self.outputs.push_back(Output::Statuses(statuses));
        }
    }

    /// Somebody may have missed what was said of the partitions here: it is said again with the next look.
    pub(super) fn tell_anew(&mut self) {
        for partition in self.partitions.values_mut() {
            if let Life::Live(live) = &mut partition.life {
                live.told = None;
            }
        }
    }

    /// Word of a leader that has just become one, so that nobody looks for it longer than needed.
    pub(super) fn tell_new_leader(&mut self, id: PartitionId) {
        let ticks = self.ticks;
        let Some(partition) = self.partitions.get_mut(&id) else { return };
        let Life::Live(live) = &mut partition.life else { return };
        if !live.replica.is_ready_leader() || live.led_since.is_some() {
            return;
        }
        live.led_since = Some(ticks);
        if self.has_peers {
            let told = live.status(id, &partition.seats, &live.replica.followers(), ticks);
            live.told = Some(told.clone());
            self.outputs.push_back(Output::Statuses(vec![told]));
        }
    }

    /// Hands a partition's leadership to another broker.
    pub(super) fn transfer(&mut self, ticket: Ticket, id: PartitionId, to: NodeId) {
        let result = self.begin_transfer(id, to);
        self.outputs.push_back(Output::Reply { ticket, reply: Reply::Transferring(result) });
    }

    fn begin_transfer(&mut self, id: PartitionId, to: NodeId) -> Result<(), Refusal> {
        let down = self.down.contains(&to);
        self.writable(id)?;
        let Some(Partition { life: Life::Live(live), seats, .. }) = self.partitions.get_mut(&id) else {
            return Err(Refusal::LeaderNotReady);
        };
        let refuse = |why: String| Refusal::InvalidArgument { field: "node".into(), why };
        let Some((replica, _)) = seats.nodes.iter().find(|(_, node)| **node == to) else {
            return Err(refuse(format!("node {to} has no replica of the partition")));
        };
        if *replica == seats.here {
            return Ok(());
        }
        let followers = live.replica.followers();
        let behind = live.commit_before;
        match followers.iter().find(|follower| follower.replica == *replica) {
            Some(follower) if !follower.voter => {
                Err(refuse(format!("the replica on node {to} does not vote yet")))
            }
            Some(follower) if down || !follower.active => Err(refuse(format!("node {to} does not answer"))),
            Some(follower) if live.slow.contains(&follower.replica) => {
                Err(refuse(format!("the disk of node {to} does not finish its writes in time")))
            }
            Some(follower) if follower.matched < behind => {
                Err(refuse(format!("the replica on node {to} is behind: wait until it is in step")))
            }
            Some(_) if live.replica.transfer_to(*replica) => {
                self.dirty.insert(id);
                Ok(())
            }
            // It is on its way to somebody already.
            Some(_) => Err(Refusal::LeaderNotReady),
            None => Err(refuse(format!("the replica on node {to} does not vote yet"))),
        }
    }
}

/// What a leader looks at.
struct Standing<'a> {
    followers: &'a [Follower],
    seats: &'a Seats,
    /// Brokers that shall not lead.
    unfit: &'a BTreeSet<NodeId>,
    /// Brokers that do not answer.
    down: &'a BTreeSet<NodeId>,
}

impl Standing<'_> {
    fn node_of(&self, replica: ReplicaId) -> NodeId {
        self.seats.nodes.get(&replica).copied().unwrap_or_default()
    }

    fn own_node(&self) -> NodeId {
        self.node_of(self.seats.here)
    }

    /// Whether the replica here shall not vote any more.
    fn is_outsider(&self) -> bool {
        !self.seats.voters.contains(&self.seats.here)
    }

    fn is_able(&self, follower: &Follower, live: &Live) -> bool {
        let unfit = self.unfit.contains(&self.node_of(follower.replica));
        self.could_lead(follower, live) && !unfit && !live.slow.contains(&follower.replica)
    }

    /// Whether it can lead, be it that it shall not.
    fn could_lead(&self, follower: &Follower, live: &Live) -> bool {
        let down = self.down.contains(&self.node_of(follower.replica));
        follower.voter && follower.active && follower.matched >= live.commit_before && !down
    }

    /// The replica to lead when this one shall not.
    fn successor(&self, live: &Live) -> Option<ReplicaId> {
        let able = self.followers.iter().filter(|follower| self.is_able(follower, live));
        able.max_by_key(|follower| {
            (self.seats.voters.contains(&follower.replica), follower.matched, follower.replica)
        })
        .map(|follower| follower.replica)
    }

    /// The replica that is meant to lead, where it is not this one and can.
    fn rightful(&self, live: &Live) -> Option<ReplicaId> {
        let find = |replica: &ReplicaId| self.followers.iter().find(|follower| follower.replica == *replica);
        if self.is_outsider() {
            let mut seated = self.seats.voters.iter().filter_map(find);
            if let Some(able) = seated.clone().find(|follower| self.is_able(follower, live)) {
                return Some(able.replica);
            }
            // All that stay may be on brokers that shall not lead; once they all vote, only they can end the move.
            let now = live.replica.voters().voters;
            let settled = self.seats.voters.iter().all(|replica| now.contains(&replica.0));
            let next = seated.find(|follower| settled && self.could_lead(follower, live));
            return next.map(|follower| follower.replica);
        }
        let first = self.seats.voters.first().filter(|first| **first != self.seats.here)?;
        find(first).filter(|follower| self.is_able(follower, live)).map(|follower| follower.replica)
    }

    /// The next step from the voters that there are to those that there shall be.
    fn change(&self, live: &Live) -> Option<Change> {
        if live.replica.is_changing() || self.seats.voters.is_empty() {
            return None;
        }
        let now = live.replica.voters();
        let votes = |replica: &ReplicaId| now.voters.contains(&replica.0);
        let learns = |replica: &ReplicaId| now.learners.contains(&replica.0);
        let wanted = |id: &u64| self.seats.voters.contains(&ReplicaId(*id));
        let learner_wanted = |id: &u64| wanted(id) || self.seats.learners.contains(&ReplicaId(*id));
        let mut missing = self.seats.voters.iter().chain(&self.seats.learners).copied();
        if let Some(new) = missing.find(|replica| !votes(replica) && !learns(replica)) {
            return Some(Change { learners: vec![new], ..Change::default() });
        }
        if let Some(stray) = now.learners.iter().find(|id| !learner_wanted(id)) {
            return Some(Change { removed: vec![ReplicaId(*stray)], ..Change::default() });
        }
        let waiting: Vec<ReplicaId> =
            self.seats.voters.iter().copied().filter(|replica| !votes(replica)).collect();
        let last = live.replica.last_index();
        let ready = waiting.iter().all(|replica| {
            let follower = self.followers.iter().find(|follower| follower.replica == *replica);
            follower.is_some_and(|follower| {
                follower.active
                    && follower.matched.0 + CAUGHT_UP_ENTRIES >= last.0
                    && follower.matched > Index(0)
            })
        });
        if !ready {
            return None;
        }
        let extra = now.voters.iter().filter(|id| !wanted(id)).map(|id| ReplicaId(*id));
        let (demoted, removed): (Vec<ReplicaId>, Vec<ReplicaId>) = extra
            .filter(|replica| *replica != self.seats.here)
            .partition(|replica| self.seats.learners.contains(replica));
        let change = Change { learners: demoted, voters: waiting, removed };
        (change != Change::default()).then_some(change)
    }
}

impl Live {
    /// Tells who is not in step. Who has only begun to lead has not heard everybody yet, and says of nobody that it is
    /// behind.
    pub(super) fn behind(&self, ticks: u64) -> impl Fn(&Follower) -> bool {
        let new = self.led_since.is_none_or(|since| ticks - since < SECOND_TICKS);
        let commit = self.commit_before;
        move |follower| !new && (!follower.active || follower.matched < commit)
    }

    /// What is said of the partition; `followers` are Raft's.
    fn status(
        &self,
        id: PartitionId,
        seats: &Seats,
        followers: &[Follower],
        ticks: u64,
    ) -> peer::PartitionStatus {
        let is_behind = self.behind(ticks);
        let behind = followers.iter().filter(|follower| is_behind(follower));
        let behind = behind.map(|follower| follower.replica.0).collect();
        status(id, self, seats, behind, self.high_watermark())
    }
}

/// Whether a second has passed at a tick.
pub(super) fn is_second(ticks: u64) -> bool {
    ticks.is_multiple_of(SECOND_TICKS)
}
