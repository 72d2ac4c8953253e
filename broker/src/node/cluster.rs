//! The cluster: who belongs to it, who votes in the control partition, which replicas move. The leader of the control
//! partition decides, by commands; every broker acts on what is committed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use caudal_proto::peer;
use uuid::Uuid;

use super::Node;
use super::event::{Now, Output, ShardMessage};
use super::partition::Life;
use super::peers::letter;
use super::seats::Seats;
use crate::consensus::voters_from_peer;
use crate::ids::{NodeId, PartitionId, ReplicaId, ShardId};
use crate::limits::{CONTROL_VOTERS, CONTROL_VOTERS_OF_FIVE, MOVES_AT_ONCE};
use crate::state::{Catalog, Command, FIRST_CONTROL_REPLICA, FIRST_NODE, LEVEL, Member, NewMember};

impl Node {
    /// What this broker says of itself.
    fn own_entry(&self) -> NewMember {
        let identity = &self.options.identity;
        NewMember {
            uuid: identity.node_uuid,
            address: identity.address.clone(),
            peer_address: identity.peer_address.clone(),
            rack: identity.rack.clone(),
            level: LEVEL,
        }
    }

    /// The brokers that the cluster began with, in the order of their numbers.
    fn founding_members(&self) -> Vec<NewMember> {
        let own = self.own_entry();
        let founders = self.options.identity.founders.iter();
        founders
            .map(|founder| match founder.uuid == own.uuid {
                true => own.clone(),
                false => NewMember {
                    uuid: founder.uuid,
                    address: String::new(),
                    peer_address: founder.peer_address.clone(),
                    rack: None,
                    level: LEVEL,
                },
            })
            .collect()
    }

    /// Tells the leader of the control partition what this broker says of itself, as long as the catalog says another
    /// thing.
    pub(super) fn announce(&mut self) {
        let Some(control) = &self.control else { return };
        let own = self.own_entry();
        let known = control.catalog.member_by_uuid(own.uuid);
        if known.is_none_or(|member| member.is(&own)) {
            return;
        }
        let Some((mut message, to)) = self.to_control_leader() else { return };
        message.announce = Some(peer::Join {
            node_uuid: bytes::Bytes::copy_from_slice(own.uuid.as_bytes()),
            grpc_address: own.address,
            peer_address: own.peer_address,
            rack: own.rack.unwrap_or_default(),
            level: own.level,
        });
        self.outputs.push_back(Output::Send { to, class: peer::Class::Control, message: Box::new(message) });
    }

    /// A message to the replica that leads the control partition, where that is another broker's, and the broker.
    pub(super) fn to_control_leader(&self) -> Option<(peer::Message, NodeId)> {
        let partition = self.partitions.get(&PartitionId::CONTROL)?;
        let Life::Live(live) = &partition.life else { return None };
        let leader = live.replica.leader().filter(|leader| *leader != live.replica.id())?;
        let message = letter(PartitionId::CONTROL, live.replica.id(), leader);
        Some((message, *partition.seats.nodes.get(&leader)?))
    }

    /// A broker of the cluster says something new of itself.
    pub(super) fn announced(&mut self, now: Now, id: PartitionId, from: NodeId, said: peer::Join) {
        let Some(control) = self.control.as_ref().filter(|_| id == PartitionId::CONTROL) else { return };
        let Ok(uuid) = Uuid::from_slice(&said.node_uuid) else { return };
        let rack = Some(said.rack).filter(|rack| !rack.is_empty());
        let (address, peer_address) = (said.grpc_address, said.peer_address);
        let said = NewMember { uuid, address, peer_address, rack, level: said.level };
        let member = control.catalog.member_by_uuid(uuid).filter(|member| member.id == from);
        if member.is_some_and(|member| !member.is(&said)) {
            self.propose_own(now, &Command::RegisterNode(said));
        }
    }

    /// Where the control partition's replicas are, and which of them shall vote.
    pub(super) fn control_seats(&self) -> Seats {
        let identity = &self.options.identity;
        let founders = (0..).zip(&identity.founders);
        let mut nodes: BTreeMap<ReplicaId, NodeId> = founders
            .map(|(at, _)| (ReplicaId(FIRST_CONTROL_REPLICA.0 + at), NodeId(FIRST_NODE.0 + at as i32)))
            .collect();
        let original = nodes.contains_key(&identity.control);
        let mut voters: Vec<ReplicaId> = nodes.keys().copied().collect();
        let mut learners = Vec::new();
        if let Some(catalog) = self.control.as_ref().map(|control| &control.catalog)
            && catalog.members().len() > 0
        {
            nodes = catalog.members().map(|member| (member.control, member.id)).collect();
            voters = self.control_voters(catalog);
            learners = nodes.keys().copied().filter(|replica| !voters.contains(replica)).collect();
        }
        nodes.insert(identity.control, identity.node);
        Seats { here: identity.control, nodes, voters, learners, original, heir: None }
    }

    /// Those that vote stay, as far as they are not removed; the lowest numbers join them.
    fn control_voters(&self, catalog: &Catalog) -> Vec<ReplicaId> {
        let voting: BTreeSet<u64> = match self.partitions.get(&PartitionId::CONTROL).map(|known| &known.life)
        {
            Some(Life::Live(live)) => live.replica.voters().voters.into_iter().collect(),
            _ => BTreeSet::new(),
        };
        let mut members: Vec<&Member> = catalog.members().filter(|member| !member.removing).collect();
        members.sort_by_key(|member| (!voting.contains(&member.control.0), member.id));
        let five = members.len() >= CONTROL_VOTERS_OF_FIVE && voting.len() >= CONTROL_VOTERS_OF_FIVE;
        members.truncate(if five { CONTROL_VOTERS_OF_FIVE } else { CONTROL_VOTERS });
        members.sort_by_key(|member| member.id);
        members.into_iter().map(|member| member.control).collect()
    }

    /// The brokers that there are have changed.
    pub(super) fn members_changed(&mut self) {
        let seats = Arc::new(self.control_seats());
        if let Some(partition) = self.partitions.get_mut(&PartitionId::CONTROL) {
            partition.seats = seats;
        }
        let Some(control) = &self.control else { return };
        let unfit: BTreeSet<NodeId> = control
            .catalog
            .members()
            .filter(|member| !member.takes_replicas())
            .map(|member| member.id)
            .collect();
        if unfit != *self.unfit {
            let unfit = Arc::new(unfit);
            self.unfit = Arc::clone(&unfit);
            for shard in 0..self.options.shards {
                let message = ShardMessage::Draining(Arc::clone(&unfit));
                self.outputs.push_back(Output::ToShard { shard: ShardId(shard), message });
            }
        }
    }

    /// What the leader of the control partition does by itself, one command at a time.
    pub(super) fn lead_cluster(&mut self, now: Now) {
        let Some(control) = &self.control else { return };
        if control.own_command > control.applied {
            return;
        }
        if control.catalog.members().len() == 0 {
            let members = self.founding_members();
            return self.propose_own(now, &Command::Found { members });
        }
        let own = self.own_entry();
        if control.catalog.member_by_uuid(own.uuid).is_some_and(|member| !member.is(&own)) {
            return self.propose_own(now, &Command::RegisterNode(own));
        }
        let moving = control.catalog.moving().count();
        if let Some((partition, to)) =
            control.catalog.wanted_moves(MOVES_AT_ONCE.saturating_sub(moving).min(1)).pop()
        {
            return self.propose_own(now, &Command::StartMove { partition, to });
        }
        if let Some(node) = control.catalog.to_forget().filter(|node| !self.votes_in_control(*node)) {
            self.propose_own(now, &Command::Forget { node });
        }
    }

    /// Whether the control partition may need a broker for an election.
    fn votes_in_control(&self, node: NodeId) -> bool {
        let Some(partition) = self.partitions.get(&PartitionId::CONTROL) else { return true };
        let Life::Live(live) = &partition.life else { return true };
        if !live.is_settled() {
            return true;
        }
        let voters = live.replica.voters();
        let votes = |replica: &ReplicaId| {
            voters.voters.contains(&replica.0) || voters.voters_outgoing.contains(&replica.0)
        };
        partition.seats.nodes.iter().any(|(replica, home)| *home == node && votes(replica))
    }

    pub(super) fn propose_own(&mut self, now: Now, command: &Command) {
        let index = self.propose_command(now, command);
        if let (Some(control), Some(index)) = (&mut self.control, index) {
            control.own_command = index;
        }
    }

    /// What brokers say of the partitions that they lead: a move whose target votes is done; a replica that is lost can be
    /// replaced.
    pub(super) fn statuses(&mut self, now: Now, statuses: &[peer::PartitionStatus]) {
        let tick = self.ticks;
        for status in statuses {
            let Some(control) = &mut self.control else { return };
            control.heard.note_leader(&control.catalog, status, tick);
            if control.own_command > control.applied {
                continue;
            }
            match finished(&control.catalog, status) {
                Some((partition, replicas)) => {
                    self.propose_own(now, &Command::FinishMove { partition, replicas });
                }
                None => self.replace_lost(now, status),
            }
        }
    }
}

/// The partition whose move a leader's word ends, and its voters.
fn finished(catalog: &Catalog, status: &peer::PartitionStatus) -> Option<(PartitionId, Vec<ReplicaId>)> {
    let partition = PartitionId::of_fields(&status.topic_id, status.partition)?;
    let at = usize::try_from(partition.partition).ok()?;
    let placement = catalog.topic_by_id(partition.topic)?.partitions.get(at)?;
    let target = placement.moving.as_ref()?;
    let voters = voters_from_peer(status.voters.clone()?);
    let settled = status.settled && voters.voters_outgoing.is_empty() && voters.learners.is_empty();
    let same = voters.voters.len() == target.len()
        && target.iter().all(|(_, replica)| voters.voters.contains(&replica.0));
    let leader = target.iter().any(|(_, replica)| replica.0 == status.leader);
    // A word from before the newest change of the placement says nothing of what the leader does since.
    let all: BTreeSet<u64> = placement.all().map(|(_, replica)| replica.0).collect();
    let newest = status.wanted.iter().copied().eq(target.iter().map(|(_, replica)| replica.0))
        && status.replicas.iter().copied().eq(all);
    (settled && same && leader && newest)
        .then(|| (partition, target.iter().map(|(_, replica)| *replica).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::TopicId;
    use crate::state::TopicSpec;

    const TOPIC: TopicId = TopicId(Uuid::from_u128(9));

    fn catalog(commands: impl IntoIterator<Item = Command>) -> Catalog {
        let member = |number: i32| NewMember {
            uuid: Uuid::from_u128(number as u128),
            address: format!("n{number}:7171"),
            peer_address: format!("n{number}:7172"),
            rack: None,
            level: LEVEL,
        };
        let nodes = (1..=3).map(NodeId).collect();
        let spec =
            TopicSpec { id: TOPIC, name: "t".into(), partitions: vec![nodes], values: Default::default() };
        let found = Command::Found { members: (1..=4).map(member).collect() };
        let mut catalog = Catalog::default();
        for command in [found, Command::CreateTopics { topics: vec![spec], if_not_exists: false }]
            .into_iter()
            .chain(commands)
        {
            catalog.apply(command);
        }
        catalog
    }

    /// What a leader says that acts on this placement, and whose voters are these of its replicas.
    fn word(acts_on: &Catalog, voters: &[u64]) -> peer::PartitionStatus {
        let placement = &acts_on.topic_by_id(TOPIC).unwrap().partitions[0];
        let mut replicas: Vec<u64> = placement.all().map(|(_, replica)| replica.0).collect();
        replicas.sort_unstable();
        peer::PartitionStatus {
            topic_id: bytes::Bytes::copy_from_slice(TOPIC.as_bytes()),
            leader: voters[0],
            voters: Some(peer::Voters { voters: voters.to_vec(), ..Default::default() }),
            settled: true,
            replicas,
            wanted: placement.wanted().iter().map(|(_, replica)| replica.0).collect(),
            ..Default::default()
        }
    }

    #[test]
    fn a_move_ends_by_the_word_of_a_leader_that_acts_on_it() {
        let id = PartitionId { topic: TOPIC, partition: 0 };
        let begin = || Command::StartMove { partition: id, to: [1, 2, 4].map(NodeId).to_vec() };
        let cancel = || Command::CancelMove { partition: id };
        let (before, moving) = (catalog([]), catalog([begin()]));
        let cancelled = catalog([begin(), cancel()]);
        let ends = |catalog: &Catalog, status: peer::PartitionStatus| finished(catalog, &status).is_some();
        // Members have the replicas 1 to 4 of the control partition; the topic's are 5, 6, 7, and 8 is new.
        assert!(!ends(&before, word(&before, &[5, 6, 7])), "nothing moves");
        assert!(!ends(&moving, word(&moving, &[5, 6, 7])));
        assert!(ends(&moving, word(&moving, &[5, 6, 8])));
        assert!(ends(&cancelled, word(&cancelled, &[5, 6, 7])));
        for old in [&before, &moving] {
            assert!(!ends(&cancelled, word(old, &[5, 6, 7])), "it may have moved on since");
        }
        let waits = peer::PartitionStatus { settled: false, ..word(&moving, &[5, 6, 8]) };
        assert!(!ends(&moving, waits));
        assert!(!ends(&moving, word(&moving, &[7, 5, 6, 8])));
    }
}
