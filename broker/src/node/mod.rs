//! The machine: one shard of a broker, without clock, disk, network or randomness.
//!
//! ```text
//!              Input                                  Output
//!   shell ───────────────▶ Node::handle(now, …)
//!         ◀─────────────── Node::poll(now) ─────────▶ Persist, Reply, Publish, Open, ToShard, …
//! ```
//!
//! The shell hands in any number of inputs and then drains [`Node::poll`] to `None`: that is a pass. Batches of one
//! pass go to the disk together. A broker is several machines; they speak through [`Output::ToShard`] only.
//!
//! # Invariants
//! * The same inputs give the same outputs.
//! * A refused request changes nothing.
//! * A batch is answered when it is as durable as its `acks` promise, and a duplicate not before its original.
//! * A panic in one partition fails that partition's waiters and nothing else; it is opened again once.

mod assign;
mod census;
mod cluster;
mod control;
mod elections;
mod event;
mod identity;
mod partition;
mod peers;
mod produce;
mod recover;
mod repairs;
mod reply;
mod reports;
mod seats;
mod stall;
mod steer;
mod waiters;
mod written;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

pub use census::{Census, Lag, Led};
use control::Control;
pub use control::Probe;
use elections::Chronicle;
pub use elections::{Cause, Election, Elections, Step};
pub use event::{Acks, Batch, Boot, Input, NO_ROOM_FOR_LOG, Now, Output, ShardMessage, Ticket};
pub use identity::{Founder, Identity};
use partition::{Life, Live, Partition};
pub use peers::{producers_of, start_of, voters_of};
pub use reply::{Published, Receipt, Reply};
pub use seats::Seats;
use stall::DiskWatch;

use crate::consensus;
use crate::ids::{Index, NodeId, PartitionId, ReplicaId, ShardId};
use crate::limits::{HAND_OVER_TICKS, REOPEN_INTERVAL_MS, SHARD_UNCOMMITTED_BYTES_MAX};
use crate::log::Kind;
use crate::refusal::Refusal;
use crate::state::{TopicConfig, TopicDefaults};

/// The shard that a partition lives on; the control partition on the first. Nothing on disk depends on it.
pub fn shard_of(partition: PartitionId, shards: u32) -> ShardId {
    if partition == PartitionId::CONTROL {
        return ShardId(0);
    }
    ShardId(crc32fast::hash(&partition.to_bytes()) % shards.max(1))
}

/// What a machine is born with.
#[derive(Debug, Clone)]
pub struct Options {
    /// Which shard it is.
    pub shard: ShardId,
    /// How many there are.
    pub shards: u32,
    /// For the election timeouts.
    pub seed: u64,
    /// Who this broker is.
    pub identity: Identity,
    /// What a topic gets that asks for nothing else.
    pub defaults: TopicDefaults,
    /// Commands of the control partition between two snapshots.
    pub snapshot_entries: u64,
}

/// One shard of a broker.
pub struct Node {
    options: Options,
    node: Option<NodeId>,
    partitions: BTreeMap<PartitionId, Partition>,
    /// Partitions with something to drain.
    dirty: BTreeSet<PartitionId>,
    /// On the first shard: the topics.
    control: Option<Control>,
    outputs: VecDeque<Output>,
    /// Bytes proposed and not committed, over all partitions.
    uncommitted_bytes: u64,
    ticks: u64,
    incarnations: u64,
    stopping: bool,
    /// The tick at which it was told to stop.
    stopped_at: u64,
    /// Brokers that do not answer.
    down: BTreeSet<NodeId>,
    /// Brokers that shall not lead.
    unfit: Arc<BTreeSet<NodeId>>,
    /// Replicas of the control partition that spoke and are not known here yet, by their brokers.
    strangers: BTreeMap<NodeId, ReplicaId>,
    disk: DiskWatch,
    /// Whether there ever was another broker: one alone has nobody to tell.
    has_peers: bool,
    chronicle: Chronicle,
    /// Whether the last look found replicas to speak of.
    reported: bool,
}

impl Node {
    /// A machine with no partition but, on the first shard, the control partition.
    pub fn new(options: Options) -> Node {
        let mut node = Node {
            control: (options.shard == ShardId(0)).then(Control::default),
            node: None,
            partitions: BTreeMap::new(),
            dirty: BTreeSet::new(),
            outputs: VecDeque::new(),
            uncommitted_bytes: 0,
            ticks: 0,
            incarnations: 0,
            stopping: false,
            stopped_at: 0,
            down: BTreeSet::new(),
            unfit: Arc::default(),
            strangers: BTreeMap::new(),
            disk: DiskWatch::default(),
            has_peers: false,
            chronicle: Chronicle::default(),
            reported: false,
            options,
        };
        if node.control.is_some() {
            let seats = Arc::new(node.control_seats());
            node.assign(PartitionId::CONTROL, seats, Arc::new(TopicConfig::default()), "__control".into());
        }
        node
    }

    /// Takes one input. Drain [`Node::poll`] when the pass has no more of them.
    pub fn handle(&mut self, now: Now, input: Input) {
        match input {
            Input::Tick => self.tick(),
            Input::Opened { partition, boot } => self.opened(now, partition, *boot),
            Input::OpenFailed { partition, why } => self.close(partition, &why),
            Input::Lost { partition, why, durable } => self.lost(partition, &why, durable),
            Input::Produce { ticket, partition, batch, acks, room } => {
                self.produce(now, ticket, partition, batch, acks, room);
            }
            Input::Trim { ticket, partition, before, validate_only, room } => {
                let trimmed = self.trim(now, ticket, partition, before, validate_only, room);
                if let Some(result) = trimmed.transpose() {
                    self.outputs.push_back(Output::Reply { ticket, reply: Reply::Trimmed(result) });
                }
            }
            Input::Control { ticket, request } => self.control_request(now, ticket, request),
            Input::Written { partition, index, term } => self.written(partition, index, term),
            Input::Persisted { partition, incarnation, ready } => {
                self.disk.moved();
                if self.partitions.get(&partition).is_some_and(|p| p.incarnation == incarnation) {
                    self.guarded(now, partition, |node| {
                        node.with_live(partition, |live, _, _| live.replica.persisted(ready));
                        Ok(())
                    });
                    self.dirty.insert(partition);
                }
            }
            Input::Fetched { partition, incarnation, from, prev, entries } => {
                if self.partitions.get(&partition).is_some_and(|p| p.incarnation == incarnation) {
                    self.with_live(partition, |live, _, _| live.replica.fetched(from, prev, entries));
                    self.dirty.insert(partition);
                }
            }
            Input::Segments { partition, segments, room } => self.retain(now, partition, &segments, room),
            Input::SnapshotDone { index, done, .. } => self.snapshot_done(index, done),
            Input::ConfKept { partition, applied } => {
                self.with_live(partition, |live, _, _| live.voters_kept = live.voters_kept.max(applied));
            }
            Input::Began { partition, start } => self.with_live(partition, |live, _, _| {
                live.start = start;
                live.replica.compact(start.first_index);
            }),
            Input::Peer { from, message } => self.peer_message(now, from, message),
            Input::Statuses { statuses, .. } => self.statuses(now, &statuses),
            Input::PeerUp(node) => self.peer_up(node),
            Input::PeerDown(node) => self.peer_down(node),
            Input::Dropped { partition, replica } => self.dropped(partition, replica),
            Input::Damaged { partition, first, last, attempt } => {
                self.ask_for_entries(partition, (first, last), attempt);
            }
            Input::Lent { partition, to, entries } => self.lent(partition, to, &entries),
            Input::Transfer { ticket, partition, to } => self.transfer(ticket, partition, to),
            Input::Recover { ticket, topic, partition, validate_only } => {
                self.recover(now, ticket, &topic, partition, validate_only);
            }
            Input::Shard(message) => self.shard_message(message),
            Input::Stop => {
                (self.stopping, self.stopped_at) = (true, self.ticks);
                self.steer();
            }
        }
    }

    /// The next output of this pass.
    pub fn poll(&mut self, now: Now) -> Option<Output> {
        loop {
            if let Some(output) = self.outputs.pop_front() {
                return Some(output);
            }
            let partition = self.dirty.pop_first()?;
            self.guarded(now, partition, |node| node.advance(now, partition));
        }
    }

    /// Whether nothing that was begun is unfinished.
    pub fn is_settled(&self) -> bool {
        let hands_over = self.ticks - self.stopped_at < HAND_OVER_TICKS
            && self.partitions.values().any(Partition::leads_others);
        !hands_over
            && self.dirty.is_empty()
            && self.outputs.is_empty()
            && self.partitions.values().all(|partition| match &partition.life {
                Life::Live(live) => {
                    live.waiters.is_empty() && live.replica.persisted_index() == live.replica.last_index()
                }
                Life::Opening | Life::Closed { .. } => true,
            })
    }

    fn tick(&mut self) {
        self.ticks += 1;
        self.watch_disk();
        let second = steer::is_second(self.ticks);
        for (id, partition) in &mut self.partitions {
            let Life::Live(live) = &mut partition.life else { continue };
            let ticks = live.ticks(&partition.seats, &self.down);
            live.campaign_if_first(&partition.seats);
            for _ in 0..ticks {
                if live.replica.tick() {
                    self.dirty.insert(*id);
                }
            }
            if live.replica.has_ready() {
                self.dirty.insert(*id);
            }
            if second && let Some(index) = live.commit_to_keep() {
                self.outputs.push_back(Output::Commit { partition: *id, index });
            }
        }
        if second {
            self.announce();
            self.steer();
            self.tell_reports();
            self.report();
            for partition in self.partitions.values_mut() {
                partition.note_commit();
            }
        }
    }

    /// The commit indexes that moved since they were last kept: with them the next start begins where this one ends.
    pub fn commits_to_keep(&mut self) -> Vec<(PartitionId, Index)> {
        let live = self.partitions.iter_mut().filter_map(|(id, partition)| match &mut partition.life {
            Life::Live(live) => Some((*id, live.commit_to_keep()?)),
            Life::Opening | Life::Closed { .. } => None,
        });
        live.collect()
    }

    /// The replica's log is gone: it never takes part again.
    fn lost(&mut self, id: PartitionId, why: &str, durable: Index) {
        if let Some(partition) = self.partitions.get_mut(&id) {
            partition.left = Some(partition.nothing_left(durable));
            self.close(id, why);
        }
    }

    fn opened(&mut self, now: Now, id: PartitionId, boot: Boot) {
        self.incarnations += 1;
        let (incarnation, seed) = (self.incarnations, self.options.seed);
        let Some(partition) = self.partitions.get_mut(&id) else { return };
        partition.incarnation = incarnation;
        partition.left = None;
        if boot.group.replica != partition.seats.here {
            // It could vote where it must not.
            let why =
                format!("the log on the disk is of replica {}, another one is wanted", boot.group.replica);
            return self.close(id, &why);
        }
        if boot.lost_end {
            partition.show_what_is_left(&boot);
            let why = "acknowledged records at its end are missing from the disk; what is left can be read";
            return self.close(id, why);
        }
        let draw =
            crc32fast::hash(&[&id.to_bytes()[..], &seed.to_le_bytes(), &incarnation.to_le_bytes()].concat());
        self.guarded(now, id, |node| {
            if id == PartitionId::CONTROL {
                node.control_opened(&boot)?;
            }
            let mut live = Live::new(boot, u64::from(draw))?;
            live.replica.hold_back(node.disk.is_stalled());
            live.replica.campaign_if_alone()?;
            if let Some(partition) = node.partitions.get_mut(&id) {
                partition.life = Life::Live(Box::new(live));
            }
            if id == PartitionId::CONTROL {
                // Who votes is known from here on, and those who do stay.
                node.members_changed();
            }
            Ok(())
        });
        self.dirty.insert(id);
    }

    fn shard_message(&mut self, message: ShardMessage) {
        match message {
            ShardMessage::Assign { partition, seats, config, topic } => {
                self.assign(partition, seats, config, topic);
            }
            ShardMessage::Delete { partition, replica } => self.remove(partition, replica),
            ShardMessage::Registered(node) => self.registered(node),
            ShardMessage::Draining(nodes) => self.unfit = nodes,
            ShardMessage::Reports { shard, reports } => self.own_reports(shard, reports),
        }
    }

    fn registered(&mut self, node: NodeId) {
        self.node = Some(node);
        self.dirty.extend(self.partitions.keys());
        self.outputs.push_back(Output::Registered(node));
        self.tell_anew();
    }

    /// Drains one partition: what Raft hands out, what is committed, what may be answered.
    fn advance(&mut self, now: Now, id: PartitionId) -> Result<(), String> {
        let Some(partition) = self.partitions.get_mut(&id) else { return Ok(()) };
        let Life::Live(live) = &mut partition.life else { return Ok(()) };
        let before = live.uncommitted_bytes;
        let (mut commands, mut outgoing) = (Vec::new(), Vec::new());
        while live.replica.has_ready() {
            let mut ready = live.replica.ready()?;
            if let Some(jump) = ready.jump.take() {
                let snapshot = live.take_jump(&jump)?;
                return self.jump(id, &jump, snapshot);
            }
            partition::persist(id, partition.incarnation, live, &mut ready, &mut self.outputs);
            partition::fetch(id, partition.incarnation, &ready, &mut self.outputs);
            for entry in &ready.committed {
                match entry.kind {
                    Kind::Command => commands.push(entry.clone()),
                    _ => partition::apply(id, live, entry, &mut self.outputs)?,
                }
            }
            if let Some(to) = ready.committed_to {
                live.committed(to);
            }
            outgoing.append(&mut ready.messages);
        }
        self.uncommitted_bytes = self.uncommitted_bytes + live.uncommitted_bytes - before;
        for command in commands {
            self.apply_command(id, &command)?;
        }
        self.with_live(id, Live::answer_committed);
        self.leave_out_lost(now, id);
        if id == PartitionId::CONTROL {
            self.publish_catalog();
        }
        self.note_elections(id);
        self.publish(id);
        self.send(id, outgoing);
        self.tell_new_leader(id);
        if id == PartitionId::CONTROL {
            self.control_turn(now);
        }
        Ok(())
    }

    fn publish(&mut self, id: PartitionId) {
        let Some(partition) = self.partitions.get_mut(&id) else { return };
        if let Some(view) = partition.view(self.node) {
            self.outputs.push_back(Output::Publish { partition: id, view });
        }
    }

    /// Runs a step of one partition; a panic or an error in it ends that partition's life and no other.
    fn guarded(&mut self, now: Now, id: PartitionId, step: impl FnOnce(&mut Node) -> Result<(), String>) {
        match catch_unwind(AssertUnwindSafe(|| step(self))) {
            Ok(Ok(())) => {}
            Ok(Err(why)) => self.close(id, &why),
            Err(_) => self.reopen_once(now, id),
        }
    }

    fn reopen_once(&mut self, now: Now, id: PartitionId) {
        let Some(partition) = self.partitions.get_mut(&id) else { return };
        if partition.panicked_ms.is_some_and(|at| now.mono_ms.saturating_sub(at) < REOPEN_INTERVAL_MS) {
            return self.close(id, "it failed twice within a minute; the broker's log has the cause");
        }
        partition.panicked_ms = Some(now.mono_ms);
        self.uncommitted_bytes -= partition.uncommitted_bytes();
        partition.fail_waiters(&Refusal::UnknownOutcome, &mut self.outputs);
        partition.life = Life::Opening;
        partition.incarnation = 0;
        self.outputs.push_back(Output::Reopen { partition: id });
    }

    fn close(&mut self, id: PartitionId, why: &str) {
        let Some(partition) = self.partitions.get_mut(&id) else { return };
        self.uncommitted_bytes -= partition.uncommitted_bytes();
        partition.fail_waiters(&Refusal::UnknownOutcome, &mut self.outputs);
        partition.life = Life::Closed { why: why.into() };
        self.outputs.push_back(Output::Closed { partition: id, why: why.into() });
        self.publish(id);
    }

    fn with_live(
        &mut self,
        id: PartitionId,
        act: impl FnOnce(&mut Live, &BTreeMap<ReplicaId, NodeId>, &mut VecDeque<Output>),
    ) {
        if let Some(Partition { life: Life::Live(live), seats, .. }) = self.partitions.get_mut(&id) {
            act(live, &seats.nodes, &mut self.outputs);
        }
    }

    fn over_budget(&self, bytes: u64) -> bool {
        self.uncommitted_bytes + bytes > SHARD_UNCOMMITTED_BYTES_MAX
    }
}

/// What a replica's Raft group starts from. Everything up to the commit index is applied at start, but for entries that
/// still have an effect here: those are handed out again.
fn raft_boot(boot: consensus::Boot) -> consensus::Boot {
    let unapplied = boot.entries.iter().map(|entry| entry.index).find(|index| *index > boot.applied);
    let commit = boot.commit.min(boot.last_index);
    let applied = unapplied.map_or(commit, Index::prev).min(commit).max(boot.applied.min(commit));
    let entries = boot.entries.into_iter().filter(|entry| entry.index > applied).collect();
    consensus::Boot { commit, applied, entries, ..boot }
}
