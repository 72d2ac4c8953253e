//! The control partition on the first shard: requests become commands, commands become topics, topics become
//! assignments to the shards.

use std::sync::Arc;

use bytes::Bytes;

use super::event::{Boot, Now, Output, ShardMessage, Ticket};
use super::partition::Life;
use super::reply::Reply;
use super::reports::Heard;
use super::seats::Seats;
use super::waiters::Awaited;
use super::{Node, shard_of};
use crate::consensus::Proposal;
use crate::ids::{Index, NodeId, PartitionId, ReplicaId, ShardId, Term, TopicId};
use crate::log::{Entry, FRAME_HEADER_BYTES, Kind};
use crate::refusal::Refusal;
use crate::state::{Catalog, Command, Delta, PartitionPlacement, Plan, Request, Topic};

/// The topics, and how far they are applied.
#[derive(Default)]
pub(super) struct Control {
    pub(super) catalog: Catalog,
    pub(super) applied: Index,
    applied_term: Term,
    /// The index that the newest snapshot contains.
    snapshot: Index,
    snapshot_asked: bool,
    /// The last command that this broker proposed by itself, in the leadership that it has.
    pub(super) own_command: Index,
    told_number: bool,
    changed: bool,
    /// What brokers say of partitions.
    pub(super) heard: Heard,
}

impl Node {
    /// The control log is open: the topics of the snapshot are there, the commands behind it follow as they commit.
    pub(super) fn control_opened(&mut self, boot: &Boot) -> Result<(), String> {
        let Some(control) = &mut self.control else { return Ok(()) };
        control.own_command = Index(0);
        // A log that began elsewhere may end before what its snapshot contains.
        control.applied = boot.snapshot_index.max(boot.group.applied);
        control.snapshot = boot.snapshot_index.max(boot.group.start.first_index.prev());
        let before = std::mem::take(&mut control.catalog);
        if let Some(snapshot) = &boot.snapshot {
            control.catalog = Catalog::restore(snapshot).map_err(|error| error.to_string())?;
        }
        for entry in &boot.commands {
            let command =
                Command::decode(&entry.payload).map_err(|error| format!("entry {}: {error}", entry.index))?;
            control.catalog.apply(command);
        }
        control.changed = true;
        let topics: Vec<Arc<Topic>> = control.catalog.topics().cloned().collect();
        let gone = before.topics().filter(|topic| control.catalog.topic_by_id(topic.id).is_none());
        let gone: Vec<Arc<Topic>> = gone.cloned().collect();
        for topic in gone {
            self.tell_deleted(&topic);
        }
        for topic in topics {
            self.tell_shards(before.topic_by_id(topic.id).map(Arc::as_ref), &topic);
        }
        self.members_changed();
        Ok(())
    }

    /// Answers a request at once, or puts its command into the log.
    pub(super) fn control_request(&mut self, now: Now, ticket: Ticket, request: Request) {
        let result = self.plan_request(now, ticket, request);
        if let Some(result) = result.transpose() {
            self.outputs.push_back(Output::Reply { ticket, reply: Reply::Control(result) });
        }
    }

    fn plan_request(
        &mut self,
        now: Now,
        ticket: Ticket,
        request: Request,
    ) -> Result<Option<crate::state::Reply>, Refusal> {
        if self.stopping {
            return Err(Refusal::ShuttingDown);
        }
        let Some(control) = &self.control else { return Err(Refusal::LeaderNotReady) };
        if self.node.is_none() {
            return Err(Refusal::LeaderNotReady);
        }
        let takers = control.catalog.members().filter(|member| member.takes_replicas());
        let nodes: Vec<NodeId> = takers.map(|member| member.id).collect();
        match control.catalog.plan(request, &self.options.defaults, &nodes) {
            Plan::Answer(reply) => Ok(Some(reply)),
            Plan::Propose { command, answered } => {
                let index = self.propose_command(now, &command).ok_or(Refusal::LeaderNotReady)?;
                self.with_live(PartitionId::CONTROL, |live, _, _| {
                    live.waiters.await_commit(ticket, index, Awaited::Command(answered));
                });
                Ok(None)
            }
        }
    }

    pub(super) fn propose_command(&mut self, now: Now, command: &Command) -> Option<Index> {
        let partition = self.partitions.get_mut(&PartitionId::CONTROL)?;
        let Life::Live(live) = &mut partition.life else { return None };
        if !live.replica.is_ready_leader() {
            return None;
        }
        let payload = command.encode();
        let bytes = (payload.len() + FRAME_HEADER_BYTES) as u64;
        let proposal = Proposal { kind: Kind::Command, count: 0, max_timestamp: -1, payload };
        let entry = live.replica.propose(proposal, now.wall_ms)?;
        live.proposed(entry.index, bytes);
        self.uncommitted_bytes += bytes;
        self.dirty.insert(PartitionId::CONTROL);
        Some(entry.index)
    }

    /// Applies a committed command. Only the control partition has any.
    pub(super) fn apply_command(&mut self, id: PartitionId, entry: &Entry) -> Result<(), String> {
        let Some(control) = self.control.as_mut().filter(|_| id == PartitionId::CONTROL) else {
            return Err(format!(
                "entry {} is a command, and the partition has no state machine",
                entry.index
            ));
        };
        if entry.index <= control.applied {
            return Ok(());
        }
        let command =
            Command::decode(&entry.payload).map_err(|error| format!("entry {}: {error}", entry.index))?;
        let (reply, deltas) = control.catalog.apply(command);
        (control.applied, control.applied_term) = (entry.index, entry.term);
        control.changed = true;
        self.with_live(id, |live, _, _| live.waiters.applied(entry.index, reply));
        for delta in deltas {
            self.tell(delta);
        }
        Ok(())
    }

    fn tell(&mut self, delta: Delta) {
        match delta {
            Delta::Created(topic) | Delta::Grown { topic, .. } | Delta::Configured(topic) => {
                self.tell_shards(None, &topic);
            }
            Delta::Moved { topic, before, .. } => self.tell_shards(Some(&before), &topic),
            Delta::Deleted(topic) => self.tell_deleted(&topic),
            Delta::Registered(member) => {
                if member.uuid == self.options.identity.node_uuid {
                    self.tell_own_number(member.id);
                }
                self.members_changed();
            }
            Delta::Forgotten(_) => self.members_changed(),
        }
    }

    pub(super) fn tell_own_number(&mut self, id: NodeId) {
        let Some(control) = self.control.as_mut().filter(|control| !control.told_number) else { return };
        control.told_number = true;
        for shard in 0..self.options.shards {
            let message = ShardMessage::Registered(id);
            self.outputs.push_back(Output::ToShard { shard: ShardId(shard), message });
        }
    }

    /// Tells the shards of this broker what of a topic lives here, and what no longer does.
    fn tell_shards(&mut self, before: Option<&Topic>, topic: &Topic) {
        // Where the control partition is, the brokers' own entries say.
        if topic.id == TopicId::CONTROL {
            return;
        }
        let here = self.options.identity.node;
        for (partition, placement) in topic.placements() {
            let lived = before
                .and_then(|before| before.partitions.get(partition.partition as usize))
                .and_then(|placement| seats(placement, here));
            let lives = seats(placement, here);
            if let Some(gone) =
                lived.filter(|lived| lives.as_ref().is_none_or(|lives| !lives.goes_on_from(lived.here)))
            {
                self.tell_shard(partition, ShardMessage::Delete { partition, replica: gone.here });
            }
            if let Some(seats) = lives {
                let (config, topic) = (Arc::clone(&topic.config), Arc::clone(&topic.name));
                let message = ShardMessage::Assign { partition, seats: Arc::new(seats), config, topic };
                self.tell_shard(partition, message);
            }
        }
    }

    /// Tells the shards of this broker that a topic is gone.
    fn tell_deleted(&mut self, topic: &Topic) {
        let here = self.options.identity.node;
        for (partition, placement) in topic.placements() {
            if let Some(seats) = seats(placement, here) {
                self.tell_shard(partition, ShardMessage::Delete { partition, replica: seats.here });
            }
        }
    }

    fn tell_shard(&mut self, partition: PartitionId, message: ShardMessage) {
        let shard = shard_of(partition, self.options.shards);
        self.outputs.push_back(Output::ToShard { shard, message });
    }

    /// Says what the topics are, if they have changed: before it is published that the control partition is ready,
    /// from where on a topic that is not among them does not exist.
    pub(super) fn publish_catalog(&mut self) {
        if let Some(control) = &mut self.control
            && std::mem::take(&mut control.changed)
        {
            self.outputs.push_back(Output::Catalog(Arc::new(control.catalog.clone())));
        }
    }

    /// After each drain of the control partition: register, snapshot.
    pub(super) fn control_turn(&mut self, now: Now) {
        let ready = matches!(
            &self.partitions[&PartitionId::CONTROL].life,
            Life::Live(live) if live.replica.is_ready_leader()
        );
        let Some(control) = &mut self.control else { return };
        let behind = control.applied.0.saturating_sub(control.snapshot.0);
        if behind >= self.options.snapshot_entries && !control.snapshot_asked {
            control.snapshot_asked = true;
            self.outputs.push_back(Output::Snapshot {
                partition: PartitionId::CONTROL,
                index: control.applied,
                term: control.applied_term,
                data: control.catalog.snapshot(),
            });
        }
        if !ready {
            // What it proposed as an earlier leader is applied, or cut, before it leads again.
            control.own_command = Index(0);
        }
        let uuid = self.options.identity.node_uuid;
        if let Some(id) = control.catalog.member_by_uuid(uuid).map(|member| member.id) {
            self.tell_own_number(id);
        }
        if ready {
            self.lead_cluster(now);
        }
    }

    /// The log below a snapshot that is durable may go.
    pub(super) fn snapshot_done(&mut self, index: Index, done: bool) {
        let Some(control) = &mut self.control else { return };
        control.snapshot_asked = false;
        if done {
            control.snapshot = index;
        }
    }
}

impl Control {
    /// The topics as bytes, for a replica that begins with them, and the last command in them.
    pub(super) fn state(&self) -> (Bytes, Index, Term) {
        (self.catalog.snapshot(), self.applied, self.applied_term)
    }
}

/// Where a partition's replicas are, as seen from a broker that has one of them.
fn seats(placement: &PartitionPlacement, node: NodeId) -> Option<Seats> {
    let here = placement.all().find(|(home, _)| *home == node)?.1;
    Some(Seats {
        here,
        nodes: placement.all().map(|(node, replica)| (replica, node)).collect(),
        voters: placement.wanted().iter().map(|(_, replica)| *replica).collect(),
        learners: Vec::new(),
        original: !placement.moved,
        heir: placement.heir.filter(|heir| heir.replica == here),
    })
}

/// What a replica knows of its group, for tests that compare brokers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probe {
    /// The replica.
    pub replica: ReplicaId,
    /// Its term.
    pub term: Term,
    /// Whether it leads.
    pub leads: bool,
    /// Whether it also has committed an entry of its term.
    pub ready: bool,
    /// The commit index.
    pub commit: Index,
    /// The first index that its log holds.
    pub first: Index,
    /// The last.
    pub last: Index,
    /// The last that is synced.
    pub persisted: Index,
}

impl Node {
    /// What the replica here knows of its group; `None` where it takes no part.
    pub fn probe(&self, id: PartitionId) -> Option<Probe> {
        let Life::Live(live) = &self.partitions.get(&id)?.life else { return None };
        Some(Probe {
            replica: live.replica.id(),
            term: live.replica.term(),
            leads: live.replica.is_leader(),
            ready: live.replica.is_ready_leader(),
            commit: live.replica.commit(),
            first: live.replica.first_index(),
            last: live.replica.last_index(),
            persisted: live.replica.persisted_index(),
        })
    }

    /// The voters that the replica here knows of its group; `None` where it takes no part.
    pub fn voters(&self, id: PartitionId) -> Option<crate::log::Voters> {
        match &self.partitions.get(&id)?.life {
            Life::Live(live) => Some(live.replica.voters()),
            Life::Opening | Life::Closed { .. } => None,
        }
    }

    /// The topics as the control partition would snapshot them; empty on other shards.
    pub fn control_state(&self) -> Bytes {
        self.control.as_ref().map(|control| control.catalog.snapshot()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::{Identity, Options};
    use crate::state::TopicDefaults;

    #[test]
    fn a_command_of_an_earlier_leadership_is_not_waited_for() {
        let mut node = Node::new(Options {
            shard: ShardId(0),
            shards: 1,
            seed: 1,
            identity: Identity::alone(uuid::Uuid::from_u128(7), "h:7171".into()),
            defaults: TopicDefaults::default(),
            snapshot_entries: 100,
        });
        // It was cut with others before it, and the log may never be so long again.
        node.control.as_mut().unwrap().own_command = Index(1000);
        let now = Now { wall_ms: 0, mono_ms: 0 };
        node.control_turn(now);
        assert_eq!(node.control.as_ref().unwrap().own_command, Index(0), "it does not lead");
    }
}
