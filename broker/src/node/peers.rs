//! What other brokers send, and what goes to them.

use std::collections::BTreeSet;

use caudal_proto::batch::Header;
use caudal_proto::peer;

use super::Node;
use super::control::Control;
use super::event::{Now, Output};
use super::partition::{Life, Live, Partition};
use super::seats::Seats;
use crate::consensus::{APPEND, Jump, SNAPSHOT, voters_from_peer, voters_to_peer};
use crate::ids::{Index, NodeId, Offset, PartitionId, ReplicaId, Term};
use crate::limits::{FAST_TICKS, PRODUCER_BATCHES_REMEMBERED, PRODUCERS_PER_PARTITION_MAX};
use crate::log::{Kind, LogStart, ProducerFrame, Voters};
use crate::refusal::Refusal;
use crate::state::Producers;

impl Node {
    /// A message of another broker's replica. One for a replica that is not here, or from one that is not known here, is
    /// dropped: it is late, or early, or forged. Of the control partition every broker of the cluster has a replica, and
    /// one that is behind knows only some of them: there a replica that nothing is known of is heard, and answered where
    /// it spoke from.
    pub(super) fn peer_message(&mut self, now: Now, from: NodeId, message: Box<peer::Message>) {
        let Some(id) = PartitionId::of_fields(&message.topic_id, message.partition) else { return };
        let Some(partition) = self.partitions.get_mut(&id) else { return };
        let sender = ReplicaId(message.from);
        let known = match partition.seats.nodes.get(&sender) {
            Some(home) => *home == from,
            None => id == PartitionId::CONTROL,
        };
        let meant = partition.seats.here == ReplicaId(message.to);
        if let Some(said) = message.announce {
            return self.announced(now, id, from, said);
        }
        if !message.reports.is_empty() {
            return self.reports_from(id, from, message.reports);
        }
        let lives = matches!(partition.life, Life::Live(_));
        if !(known && meant && lives && is_whole(&message)) {
            return;
        }
        let seated = partition.seats.nodes.contains_key(&sender);
        if let Some(wanted) = &message.wanted {
            return self.lend(id, sender, wanted);
        }
        if !message.lent.is_empty() {
            return self.borrowed(id, message.lent);
        }
        if message.written > 0 {
            if seated {
                self.written_elsewhere(id, sender, Term(message.term), Index(message.written));
            }
            return;
        }
        if !seated {
            // One for each broker, so that nobody makes this grow.
            self.strangers.insert(from, sender);
        }
        self.guarded(now, id, |node| {
            let mut stepped = Ok(());
            node.with_live(id, |live, _, _| {
                if seated {
                    let kept = live.voters_kept_at.entry(sender).or_default();
                    *kept = Index(message.voters_index).max(*kept);
                    match message.slow {
                        true => live.slow.insert(sender),
                        false => live.slow.remove(&sender),
                    };
                }
                // Raft goes on with the first one that it takes, and what came with another would not fit: a leader whose
                // word is dropped says it again.
                if message.snapshot.is_some() && live.replica.is_jumping() {
                    return;
                }
                if let Some(snapshot) = &message.snapshot {
                    live.arriving = Some(Box::new(snapshot.clone()));
                }
                let (term, commit) = (Term(message.term), Index(message.committed));
                stepped = live.replica.step(*message);
                let leads = live.replica.leader() == Some(sender) && live.replica.term() == term;
                if leads && commit > Index(0) {
                    live.leader_commit.get_or_insert(commit);
                }
            });
            stepped
        });
        self.dirty.insert(id);
    }

    /// A broker answers again.
    pub(super) fn peer_up(&mut self, node: NodeId) {
        self.down.remove(&node);
        self.has_peers = true;
        self.tell_anew();
    }

    /// A broker is silent, or refuses: what it leads shall soon have another leader.
    pub(super) fn peer_down(&mut self, node: NodeId) {
        self.down.insert(node);
    }

    /// Messages for a replica were dropped.
    pub(super) fn dropped(&mut self, id: PartitionId, replica: ReplicaId) {
        self.with_live(id, |live, _, _| live.replica.unreachable(replica));
        self.dirty.insert(id);
    }

    /// Hands out what Raft wants sent.
    pub(super) fn send(&mut self, id: PartitionId, messages: Vec<peer::Message>) {
        for mut message in messages {
            let Some(Partition { life: Life::Live(live), seats, .. }) = self.partitions.get(&id) else {
                return;
            };
            let to = ReplicaId(message.to);
            let stranger =
                || self.strangers.iter().find(|(_, replica)| **replica == to).map(|(node, _)| *node);
            let to =
                seats.nodes.get(&to).copied().or_else(|| stranger().filter(|_| id == PartitionId::CONTROL));
            let Some(to) = to else { continue };
            let class = match message.r#type {
                APPEND => peer::Class::Appends,
                SNAPSHOT => peer::Class::Bulk,
                _ => peer::Class::Control,
            };
            message.voters_index = live.voters_kept.0;
            if live.replica.is_ready_leader() {
                message.committed = live.replica.commit().0;
            }
            message.slow = self.disk.is_slow();
            if message.r#type == SNAPSHOT {
                let state = self.control.as_ref().filter(|_| id == PartitionId::CONTROL).map(Control::state);
                // What Raft knows of it may be older than where the log begins by now: it will ask again.
                let Some(whole) = live.snapshot(message.snapshot.take(), state) else { continue };
                message.snapshot = Some(whole);
            }
            self.outputs.push_back(Output::Send { to, class, message: Box::new(message) });
        }
    }

    /// The log begins elsewhere: this life of the replica ends, and the next one begins when that is durable.
    pub(super) fn jump(
        &mut self,
        id: PartitionId,
        jump: &Jump,
        snapshot: Box<peer::Snapshot>,
    ) -> Result<(), String> {
        if producers_of(&snapshot).is_none() {
            return Err(format!("a jump to entry {} says what no leader would", jump.index));
        }
        let Some(partition) = self.partitions.get_mut(&id) else { return Ok(()) };
        self.uncommitted_bytes -= partition.uncommitted_bytes();
        partition.fail_waiters(&Refusal::UnknownOutcome, &mut self.outputs);
        partition.life = Life::Opening;
        partition.incarnation = 0;
        let (term, vote) = (jump.term, jump.vote);
        self.outputs.push_back(Output::Jump { partition: id, term, vote, snapshot });
        Ok(())
    }
}

/// Whether the batches of a message are what their producers made: a follower frames what it received, and must not
/// make damage valid by summing it anew.
fn is_whole(message: &peer::Message) -> bool {
    message.entries.iter().all(|entry| {
        let is_batch = entry.context.first() == Some(&(Kind::Batch as u8));
        !is_batch || Header::parse(&entry.data).is_ok_and(|header| header.matches(&entry.data).is_ok())
    })
}

impl Live {
    /// Ticks that the replica lives through in one of the shard's: more where its leader's broker is `down`, so that
    /// agreement need not wait as long as it must where nothing is known.
    pub(super) fn ticks(&self, seats: &Seats, down: &BTreeSet<NodeId>) -> usize {
        if self.replica.is_leader() || down.is_empty() {
            return 1;
        }
        let leader = self.replica.leader().and_then(|leader| seats.nodes.get(&leader));
        if leader.is_some_and(|node| !down.contains(node)) { 1 } else { FAST_TICKS }
    }

    /// What a replica needs to know that is to begin where this log does.
    fn snapshot(
        &self,
        raft: Option<peer::Snapshot>,
        state: Option<(bytes::Bytes, Index, Term)>,
    ) -> Option<peer::Snapshot> {
        let raft = raft?;
        let start = &self.start;
        if (raft.index, raft.term) != (start.first_index.prev().0, start.prev_term.0) {
            return None;
        }
        let (state, state_index, state_term) = state.unwrap_or_default();
        Some(peer::Snapshot {
            voters_index: self.voters_index.0,
            chain: start.chain,
            append_time: start.append_time,
            next_offset: start.next_offset.0,
            log_start: self.log_start.0,
            producers: self.producers.frames().iter().map(producer_to_peer).collect(),
            state,
            state_index: state_index.0,
            state_term: state_term.0,
            ..raft
        })
    }

    /// Whether no change of voters is under way, and every voter will start from the last one whatever happens: until then
    /// an election may need those who voted before it.
    pub(super) fn is_settled(&self) -> bool {
        let here = self.replica.id();
        let kept = |id: &u64| match ReplicaId(*id) {
            replica if replica == here => self.voters_kept,
            replica => self.voters_kept_at.get(&replica).copied().unwrap_or_default(),
        };
        let all = self.replica.voters().voters.iter().all(|id| kept(id) >= self.voters_index);
        all && !self.replica.is_changing()
    }

    /// The whole of a jump that Raft has taken: what arrived with it.
    pub(super) fn take_jump(&mut self, jump: &Jump) -> Result<Box<peer::Snapshot>, String> {
        let arrived = self.arriving.take().filter(|snapshot| {
            (snapshot.index, snapshot.term) == (jump.index.0, jump.entry_term.0)
                && snapshot.voters.clone().map(voters_from_peer).as_ref() == Some(&jump.voters)
        });
        arrived.ok_or_else(|| format!("a jump to entry {} came without what is before it", jump.index))
    }
}

fn producer_to_peer(frame: &ProducerFrame) -> peer::ProducerBatch {
    peer::ProducerBatch {
        producer_id: frame.producer_id,
        epoch: i32::from(frame.epoch),
        first_sequence: frame.first_sequence,
        count: frame.count,
        base_offset: frame.base_offset.0,
        index: frame.index.0,
        term: frame.term.0,
        append_time: frame.append_time,
    }
}

/// The producers that a snapshot names; `None` where they are not what a replica would send.
pub fn producers_of(snapshot: &peer::Snapshot) -> Option<Vec<ProducerFrame>> {
    if snapshot.producers.len() > PRODUCERS_PER_PARTITION_MAX * PRODUCER_BATCHES_REMEMBERED {
        return None;
    }
    let frame = |batch: &peer::ProducerBatch| {
        Some(ProducerFrame {
            producer_id: batch.producer_id,
            epoch: i16::try_from(batch.epoch).ok()?,
            first_sequence: batch.first_sequence,
            count: batch.count,
            base_offset: Offset(batch.base_offset),
            index: Index(batch.index),
            term: Term(batch.term),
            append_time: batch.append_time,
        })
    };
    snapshot.producers.iter().map(frame).collect()
}

/// Where the log of a snapshot begins, in a generation of its own.
pub fn start_of(snapshot: &peer::Snapshot, generation: u64) -> LogStart {
    LogStart {
        generation,
        first_index: Index(snapshot.index).next(),
        prev_term: Term(snapshot.term),
        chain: snapshot.chain,
        append_time: snapshot.append_time,
        next_offset: Offset(snapshot.next_offset),
        log_start: Offset(snapshot.log_start),
    }
}

/// The voters of a snapshot.
pub fn voters_of(snapshot: &peer::Snapshot) -> Voters {
    snapshot.voters.clone().map(voters_from_peer).unwrap_or_default()
}

/// The producers that a replica starts with. What is not known to be committed may still be cut.
pub(super) fn producers_at(frames: Vec<ProducerFrame>, commit: Index) -> Producers {
    let mut producers = Producers::default();
    for frame in frames {
        if frame.index <= commit { producers.fold(frame) } else { producers.append(frame) }
    }
    producers
}

/// A message of one replica to another, to be filled.
pub(super) fn letter(id: PartitionId, from: ReplicaId, to: ReplicaId) -> peer::Message {
    peer::Message {
        topic_id: bytes::Bytes::copy_from_slice(id.topic.as_bytes()),
        partition: id.partition,
        from: from.0,
        to: to.0,
        ..peer::Message::default()
    }
}

/// What a leader says of its partition.
pub(super) fn status(
    id: PartitionId,
    live: &Live,
    seats: &Seats,
    behind: Vec<u64>,
    high_watermark: Offset,
) -> peer::PartitionStatus {
    peer::PartitionStatus {
        topic_id: bytes::Bytes::copy_from_slice(id.topic.as_bytes()),
        partition: id.partition,
        term: live.replica.term().0,
        leader: live.replica.id().0,
        voters: Some(voters_to_peer(&live.replica.voters())),
        behind,
        high_watermark: high_watermark.0,
        settled: live.is_settled(),
        replicas: seats.nodes.keys().map(|replica| replica.0).collect(),
        wanted: seats.voters.iter().map(|replica| replica.0).collect(),
    }
}
