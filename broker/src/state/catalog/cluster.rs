//! Brokers come and go, and replicas move between them.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::ids::{NodeId, PartitionId, ReplicaId, TopicId};
use crate::refusal::Refusal;
use crate::state::member::{Member, NewMember};
use crate::state::placement::{Rack, Site};
use crate::state::request::Registered;
use crate::state::topic::{PartitionPlacement, Topic};
use crate::state::topic_config::Values;

use super::bounds::REPLICA_COUNTS;
use super::{Catalog, Delta, FIRST_CONTROL_REPLICA};

/// The name of the control partition's topic.
const CONTROL: &str = "__control";

impl Catalog {
    /// The brokers that a cluster begins with: their numbers and their replicas of the control partition are their
    /// places in the list, from 1. Only where there is no broker.
    pub(super) fn found(&mut self, members: Vec<NewMember>, deltas: &mut Vec<Delta>) {
        if self.members.is_empty() {
            self.next_replica = FIRST_CONTROL_REPLICA;
            for member in members {
                self.register(member, deltas);
            }
        }
    }

    /// A broker is known, or says something new of itself.
    pub(super) fn register(&mut self, said: NewMember, deltas: &mut Vec<Delta>) -> Registered {
        let known = self.member_by_uuid(said.uuid);
        if let Some(known) = known.filter(|known| known.is(&said)) {
            return Registered { node: known.id, replica: known.control };
        }
        let (id, control) = match known {
            Some(known) => (known.id, known.control),
            None => (self.next_node, self.next_replica),
        };
        let (draining, removing) = known.map_or((false, false), |known| (known.draining, known.removing));
        let NewMember { uuid, address, peer_address, rack, level } = said;
        let member = Member { id, uuid, address, peer_address, rack, level, control, draining, removing };
        if id == self.next_node {
            self.next_node = NodeId(id.0 + 1);
            self.next_replica = ReplicaId(control.0 + 1);
        }
        self.put_member(member, deltas);
        Registered { node: id, replica: control }
    }

    fn put_member(&mut self, member: Member, deltas: &mut Vec<Delta>) {
        Arc::make_mut(&mut self.members).insert(member.id, member.clone());
        self.put(Arc::new(self.control_topic()));
        deltas.push(Delta::Registered(member));
    }

    /// The control partition's topic: a replica on every broker.
    fn control_topic(&self) -> Topic {
        let replicas = self.members.values().map(|member| (member.id, member.control)).collect();
        Topic {
            id: TopicId::CONTROL,
            name: CONTROL.into(),
            partitions: vec![PartitionPlacement::new(replicas)],
            config: Arc::default(),
            values: Values::new(),
            internal: true,
        }
    }

    /// A replica id, never given before.
    pub(super) fn new_replica(&mut self) -> ReplicaId {
        let replica = self.next_replica;
        self.next_replica = ReplicaId(replica.0 + 1);
        replica
    }

    /// Replicas shall be on other brokers: those that stay keep their ids.
    pub(super) fn start_move(
        &mut self,
        id: PartitionId,
        to: &[NodeId],
        deltas: &mut Vec<Delta>,
    ) -> Result<(), Refusal> {
        let placement = self.placement(id)?;
        if placement.moving.is_some() {
            return Err(Refusal::MoveUnderWay { partition: id.to_string() });
        }
        self.check_targets(&placement, to)?;
        let mut target = Vec::with_capacity(to.len());
        for node in to {
            let stays = placement.replicas.iter().find(|(home, _)| home == node).copied();
            target.push(stays.unwrap_or_else(|| (*node, self.new_replica())));
        }
        self.place(id, PartitionPlacement { moving: Some(target), moved: true, ..placement }, deltas);
        Ok(())
    }

    /// The leader's voters are those of the target: the move is done, or undone.
    pub(super) fn finish_move(&mut self, id: PartitionId, replicas: &[ReplicaId], deltas: &mut Vec<Delta>) {
        let Ok(PartitionPlacement { moving: Some(target), .. }) = self.placement(id) else { return };
        let same =
            target.len() == replicas.len() && target.iter().all(|(_, replica)| replicas.contains(replica));
        // Another target may have been set since the leader said so.
        if same {
            self.place(id, PartitionPlacement { moved: true, ..PartitionPlacement::new(target) }, deltas);
        }
    }

    /// The target of a move is where the replicas were before it: the leader undoes what it has begun. What it moved to
    /// stays until that is done: those replicas may be the only voters by now. Cancelled twice is cancelled once.
    pub(super) fn cancel_move(&mut self, id: PartitionId, deltas: &mut Vec<Delta>) -> Result<(), Refusal> {
        let placement = self.placement(id)?;
        let Some(target) = placement.moving.clone() else {
            return Err(Refusal::NoMove { partition: id.to_string() });
        };
        if target != placement.replicas {
            let before = Some(placement.replicas.clone());
            self.place(id, PartitionPlacement { moving: before, cancelled: target, ..placement }, deltas);
        }
        Ok(())
    }

    pub(super) fn drain(&mut self, node: NodeId, on: bool, deltas: &mut Vec<Delta>) -> Result<(), Refusal> {
        let member = self.known_member(node)?;
        if member.draining != on {
            self.put_member(Member { draining: on, ..member }, deltas);
        }
        Ok(())
    }

    pub(super) fn remove_node(&mut self, node: NodeId, deltas: &mut Vec<Delta>) -> Result<(), Refusal> {
        let member = self.known_member(node)?;
        self.check_removal(node)?;
        if !member.removing {
            self.put_member(Member { removing: true, ..member }, deltas);
        }
        Ok(())
    }

    /// A broker without replicas is taken out; its number is never given again.
    pub(super) fn forget(&mut self, node: NodeId, deltas: &mut Vec<Delta>) {
        let gone = self.members.get(&node).is_some_and(|member| member.removing) && !self.has_replicas(node);
        if gone {
            Arc::make_mut(&mut self.members).remove(&node);
            self.put(Arc::new(self.control_topic()));
            deltas.push(Delta::Forgotten(node));
        }
    }

    /// Whether a replica of a topic is, or shall be, on a broker.
    pub fn has_replicas(&self, node: NodeId) -> bool {
        let topics = self.topics().filter(|topic| !topic.internal);
        topics
            .flat_map(|topic| &topic.partitions)
            .any(|placement| placement.all().any(|(home, _)| home == node))
    }

    /// Whether a broker can be taken out: the others hold what there is.
    pub(super) fn check_removal(&self, node: NodeId) -> Result<(), Refusal> {
        let refuse = |why: String| Err(Refusal::CannotRemove { node, why });
        if let Some(other) = self.members.values().find(|member| member.removing && member.id != node) {
            return refuse(format!("node {} is being removed: wait until that is done", other.id));
        }
        let left =
            self.members.values().filter(|member| member.id != node && member.takes_replicas()).count();
        if left == 0 {
            return refuse("no other broker takes its replicas".to_owned());
        }
        // After moves the partitions of one topic may differ; a move that is cancelled brings the replicas back.
        let most = |it: &PartitionPlacement| it.wanted().len().max(it.replicas.len());
        let widest = |topic: &Topic| topic.partitions.iter().map(most).max().unwrap_or(0);
        let topics = self.topics().filter(|topic| !topic.internal);
        match topics.map(|topic| (topic, widest(topic))).find(|(_, replicas)| *replicas > left) {
            Some((topic, replicas)) => refuse(format!(
                "topic {:?} has {replicas} replicas and {left} brokers would be left to take them: add a broker \
                 first, or delete the topic",
                topic.name,
            )),
            None => Ok(()),
        }
    }

    /// Whether the replicas of one partition may be on these brokers. A replica that is on a draining one may stay.
    pub(super) fn check_targets(&self, placement: &PartitionPlacement, to: &[NodeId]) -> Result<(), Refusal> {
        let refuse = |why: String| Err(Refusal::InvalidArgument { field: "to".into(), why });
        if !REPLICA_COUNTS.iter().any(|count| *count as usize == to.len()) {
            return refuse(format!("{} replicas: 1, 3 or 5 can be", to.len()));
        }
        for (at, node) in to.iter().enumerate() {
            if to[..at].contains(node) {
                return refuse(format!("node {node} is named twice"));
            }
            let member = self.known_member(*node)?;
            let stays = placement.replicas.iter().any(|(home, _)| home == node);
            if member.removing || (member.draining && !stays) {
                return refuse(format!("node {node} is draining or being removed: it takes no replicas"));
            }
        }
        Ok(())
    }

    pub(super) fn known_member(&self, node: NodeId) -> Result<Member, Refusal> {
        let unknown = || {
            let known = self.members.keys().map(NodeId::to_string).collect::<Vec<_>>().join(", ");
            Refusal::UnknownNode { node, known }
        };
        self.members.get(&node).cloned().ok_or_else(unknown)
    }

    /// Where a partition of a topic that clients may change is.
    pub(super) fn placement(&self, id: PartitionId) -> Result<PartitionPlacement, Refusal> {
        let topic =
            self.topic_by_id(id.topic).ok_or_else(|| Refusal::UnknownTopicId { id: id.topic.to_string() })?;
        if topic.internal {
            return Err(Refusal::InternalTopic { name: topic.name.to_string() });
        }
        let at = usize::try_from(id.partition).ok();
        at.and_then(|at| topic.partitions.get(at)).cloned().ok_or_else(|| Refusal::UnknownPartition {
            topic: topic.name.to_string(),
            partition: id.partition,
        })
    }

    pub(super) fn place(&mut self, id: PartitionId, placement: PartitionPlacement, deltas: &mut Vec<Delta>) {
        let Some(topic) = self.topic_by_id(id.topic) else { return };
        let before = Arc::clone(topic);
        let mut placed = Topic::clone(topic);
        placed.partitions[id.partition as usize] = placement;
        let topic = Arc::new(placed);
        self.put(Arc::clone(&topic));
        deltas.push(Delta::Moved { topic, before, partition: id.partition });
    }

    /// Partitions with a replica on a broker that is being removed, and where their replicas shall be: the others stay;
    /// who takes over is in another rack than they where one is, and has the fewest replicas. At most `limit`, and none
    /// that moves already.
    pub fn wanted_moves(&self, limit: usize) -> Vec<(PartitionId, Vec<NodeId>)> {
        let mut moves = Vec::new();
        // The control partition's leader asks after each command: most of the time nobody is being removed.
        if limit == 0 || !self.members.values().any(|member| member.removing) {
            return moves;
        }
        let takers: Vec<NodeId> =
            self.members.values().filter(|member| member.takes_replicas()).map(|member| member.id).collect();
        let mut sites = self.sites(&takers);
        let leaving = |node: &NodeId| self.members.get(node).is_none_or(|member| member.removing);
        for (id, placement) in
            self.topics().filter(|topic| !topic.internal).flat_map(|topic| topic.placements())
        {
            if moves.len() == limit {
                break;
            }
            if placement.moving.is_some() || !placement.replicas.iter().any(|(node, _)| leaving(node)) {
                continue;
            }
            let mut to: Vec<NodeId> = placement.replicas.iter().map(|(node, _)| *node).collect();
            for at in 0..to.len() {
                if leaving(&to[at]) {
                    let stay: Vec<Rack<'_>> =
                        to.iter().filter(|node| !leaving(node)).map(|node| self.rack_of(*node)).collect();
                    let shared = |site: &Site<'_>| stay.iter().filter(|rack| **rack == site.rack).count();
                    let free = sites.iter_mut().filter(|site| !to.contains(&site.node));
                    let Some(site) = free.min_by_key(|site| (shared(site), site.replicas, site.node)) else {
                        break;
                    };
                    site.replicas += 1;
                    to[at] = site.node;
                }
            }
            // What would be refused would be asked for again without end.
            if !to.iter().any(leaving) && self.check_targets(placement, &to).is_ok() {
                moves.push((id, to));
            }
        }
        moves
    }

    /// These brokers, with what decides where replicas go.
    pub(super) fn sites(&self, nodes: &[NodeId]) -> Vec<Site<'_>> {
        let mut replicas: BTreeMap<NodeId, u64> = nodes.iter().map(|node| (*node, 0)).collect();
        for placement in self.topics().flat_map(|topic| &topic.partitions) {
            for (node, _) in placement.all() {
                replicas.entry(node).and_modify(|there| *there += 1);
            }
        }
        let site = |node: &NodeId| Site {
            node: *node,
            rack: self.rack_of(*node),
            replicas: replicas.get(node).copied().unwrap_or(0),
        };
        nodes.iter().map(site).collect()
    }

    fn rack_of(&self, node: NodeId) -> Rack<'_> {
        let rack = self.members.get(&node).and_then(|member| member.rack.as_deref());
        rack.map_or(Rack::Own(node), Rack::Named)
    }

    /// The partitions that move.
    pub fn moving(&self) -> impl Iterator<Item = PartitionId> {
        let placements = self.topics().flat_map(|topic| topic.placements());
        placements.filter(|(_, placement)| placement.moving.is_some()).map(|(id, _)| id)
    }

    /// A broker that is being removed and has no replicas left.
    pub fn to_forget(&self) -> Option<NodeId> {
        let removing = self.members.values().filter(|member| member.removing);
        removing.map(|member| member.id).find(|node| !self.has_replicas(*node))
    }
}
