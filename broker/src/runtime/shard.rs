//! One shard: the machine with the logs it writes. No thread, no clock, no socket: the event loop drives it, and so
//! does the simulator.
//!
//! ```text
//!   pass:  handle(…)*  ──▶  flush  ──▶  effects  ──▶  take_round ──▶ disk thread
//!                                                                        │
//!   later: round_done  ◀─────────────────────────────────────────────────┘   then flush, effects, take_round again
//! ```
//!
//! One round is on its way at a time; what the next passes write gathers for the next one.

mod heirs;
mod jumps;
mod outputs;
mod reading;
mod repairs;
mod rounds;

pub use reading::LogRead;
pub use repairs::RepairStep;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;

use caudal_proto::peer;

use crate::ids::{Index, NodeId, Offset, PartitionId, ReplicaId, ShardId, Term};
use crate::limits::{RETENTION_TICKS, SECOND_TICKS};
use crate::log::{
    FRAME_HEADER_BYTES, Fatal, Fs, Log, LogConfig, LogStart, MetaChange, MetaField, OpenError, PartitionMeta,
    Reader, Recovered, Round, Voters,
};
use crate::node::{Acks, Batch, Election, Input, Node, Now, Options, Published, Reply, ShardMessage, Ticket};
use crate::state::{Catalog, TopicConfig};

/// What happens to a shard.
#[derive(Debug)]
pub enum ShardInput {
    /// A tenth of a second has passed.
    Tick,
    /// A producer's batch.
    Produce {
        /// Who waits.
        ticket: Ticket,
        /// Where to.
        partition: PartitionId,
        /// The batch.
        batch: Batch,
        /// When to answer.
        acks: Acks,
    },
    /// Records before an offset may go.
    Trim {
        /// Who waits.
        ticket: Ticket,
        /// Whose.
        partition: PartitionId,
        /// The first offset that stays.
        before: Offset,
        /// Checks everything, changes nothing.
        validate_only: bool,
    },
    /// A message of another broker.
    Peer {
        /// Who sent it.
        from: NodeId,
        /// The message.
        message: Box<peer::Message>,
    },
    /// A step of a repair that was done off the shard's thread.
    Repair(RepairStep),
    /// Everything that needs neither room on the disk nor the shard's own clock: the machine's as it is.
    Machine(Input),
}

/// What a shard wants the shell to do.
pub enum Effect {
    /// An answer.
    Reply {
        /// Who waits.
        ticket: Ticket,
        /// The answer.
        reply: Reply,
    },
    /// A message to another shard of this broker, in order.
    ToShard {
        /// Which.
        shard: ShardId,
        /// The message.
        message: ShardMessage,
    },
    /// A log can be read.
    Opened {
        /// Whose.
        partition: PartitionId,
        /// Its topic's name.
        topic: Arc<str>,
        /// Its topic's configuration.
        config: Arc<TopicConfig>,
        /// Reads it, also after rolls and retention.
        reader: Reader,
    },
    /// The topic's configuration has changed.
    Configured {
        /// Whose.
        partition: PartitionId,
        /// The configuration.
        config: Arc<TopicConfig>,
    },
    /// What readers may see has changed.
    Publish {
        /// Whose.
        partition: PartitionId,
        /// What is there to see.
        view: Published,
    },
    /// The partition is deleted.
    Deleted {
        /// Whose.
        partition: PartitionId,
    },
    /// The topics have changed.
    Catalog(Arc<Catalog>),
    /// This broker's id is known.
    Registered(NodeId),
    /// A message for another broker.
    Send {
        /// Which.
        to: NodeId,
        /// What it travels with.
        class: peer::Class,
        /// The message.
        message: Box<peer::Message>,
    },
    /// What this broker says of partitions that it leads: for all brokers, and for the first shard of this one.
    Statuses(Vec<peer::PartitionStatus>),
    /// Work on a log's files off the shard's thread: entries for a follower, or a repair.
    Read(LogRead),
}

/// What a shard is born with.
pub struct ShardOptions {
    /// The machine's options.
    pub node: Options,
    /// Where the logs are.
    pub fs: Arc<dyn Fs>,
    /// The data folder.
    pub root: PathBuf,
    /// This shard's logs that the meta log knows, opened.
    pub recovered: BTreeMap<PartitionId, (PartitionMeta, Result<Recovered, OpenError>)>,
    /// Replicas that were here and are deleted.
    pub deleted: BTreeMap<PartitionId, ReplicaId>,
}

/// One shard of a broker.
pub struct Shard {
    node: Node,
    fs: Arc<dyn Fs>,
    root: PathBuf,
    logs: BTreeMap<PartitionId, OpenLog>,
    recovered: BTreeMap<PartitionId, (PartitionMeta, Result<Recovered, OpenError>)>,
    deleted: BTreeMap<PartitionId, ReplicaId>,
    /// Logs that are being made.
    creating: BTreeMap<PartitionId, Creating>,
    /// Logs that go on elsewhere.
    jumping: BTreeMap<PartitionId, jumps::Jumping>,
    /// Logs that go on under another replica id.
    inheriting: BTreeMap<PartitionId, heirs::Inheriting>,
    /// Logs with damaged entries that are asked for.
    repairs: BTreeMap<PartitionId, repairs::Repair>,
    /// Snapshots that are being written: their index, and the one before.
    snapshots: BTreeMap<PartitionId, Snapshotting>,
    /// What the next round takes along beside the logs' own.
    gathering: Round,
    owners: Vec<Owner>,
    in_flight: Option<InFlight>,
    rounds: u64,
    /// Logs that may have something for the next round.
    touched: BTreeSet<PartitionId>,
    /// Logs that synced since the last look at their durable marks.
    unmarked: BTreeSet<PartitionId>,
    effects: VecDeque<Effect>,
    ticks: u64,
}

struct OpenLog {
    log: Log,
    config: Arc<TopicConfig>,
    topic: Arc<str>,
    meta: PartitionMeta,
    /// `Persist`s that are not durable yet, oldest first.
    unsynced: VecDeque<Unsynced>,
    /// Configurations that are not durable yet, and the rounds that carry them.
    confs: VecDeque<(u64, Index)>,
    /// The last entry written, as the machine knows.
    written: (Index, Term),
    /// The segment that was active at the last look at its segments.
    sequence: u64,
    /// Where it began when the machine was last told.
    start: LogStart,
}

struct Unsynced {
    incarnation: u64,
    ready: u64,
    /// Its last entry, or the last below a later truncation.
    last: Index,
    /// The round that carries its hard state.
    meta_round: u64,
}

struct Creating {
    replica: ReplicaId,
    start: LogStart,
    voters: Voters,
    config: Arc<TopicConfig>,
    topic: Arc<str>,
    /// The log is made and its creation is being recorded.
    made: bool,
    /// There was no room for it: it is tried again once a second, until there is.
    no_room: bool,
    /// The machine knows that there was no room.
    told: bool,
    /// The meta log knows the replica already: an earlier start recorded it and its log was never made.
    recorded: Option<PartitionMeta>,
}

struct Snapshotting {
    index: Index,
    term: Term,
    before: Index,
}

/// Whose a job of a round is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    Log(PartitionId),
    Create(PartitionId, ReplicaId),
    Snapshot(PartitionId),
    Jump(PartitionId),
    Install(PartitionId, u64),
    Nobody,
}

struct InFlight {
    number: u64,
    owners: Vec<Owner>,
    /// Logs that hear of it when it is done.
    logs: BTreeSet<PartitionId>,
    /// Replicas whose creation it records.
    created: Vec<(PartitionId, ReplicaId)>,
}

impl Shard {
    /// A shard with its logs opened and nothing begun.
    pub fn new(options: ShardOptions) -> Shard {
        Shard {
            node: Node::new(options.node),
            fs: options.fs,
            root: options.root,
            logs: BTreeMap::new(),
            recovered: options.recovered,
            deleted: options.deleted,
            creating: BTreeMap::new(),
            jumping: BTreeMap::new(),
            inheriting: BTreeMap::new(),
            repairs: BTreeMap::new(),
            snapshots: BTreeMap::new(),
            gathering: Round::default(),
            owners: Vec::new(),
            in_flight: None,
            rounds: 0,
            touched: BTreeSet::new(),
            unmarked: BTreeSet::new(),
            effects: VecDeque::new(),
            ticks: 0,
        }
    }

    /// Takes one input; any number in a pass.
    pub fn handle(&mut self, now: Now, input: ShardInput) {
        let input = match input {
            ShardInput::Tick => {
                self.tick(now);
                Input::Tick
            }
            ShardInput::Produce { ticket, partition, batch, acks } => {
                let needed = self.node.needs_room(now, partition, &batch);
                let room = !needed || self.take_room(partition, batch.bytes.len());
                Input::Produce { ticket, partition, batch, acks, room }
            }
            ShardInput::Trim { ticket, partition, before, validate_only } => {
                let needed = self.node.trim_needs_room(partition, before, validate_only);
                let room = !needed || self.take_room(partition, size_of::<Offset>());
                Input::Trim { ticket, partition, before, validate_only, room }
            }
            ShardInput::Peer { from, message } => {
                // A follower cannot refuse what Raft has taken.
                let bytes: usize =
                    message.entries.iter().map(|entry| entry.data.len() + FRAME_HEADER_BYTES).sum();
                let partition = PartitionId::of_fields(&message.topic_id, message.partition);
                if bytes > 0 && !partition.is_some_and(|partition| self.take_room(partition, bytes)) {
                    return;
                }
                Input::Peer { from, message }
            }
            ShardInput::Repair(step) => return self.repair_step(now, step),
            ShardInput::Machine(input) => input,
        };
        self.node.handle(now, input);
    }

    /// Space is taken before Raft sees an entry, so that a full disk is a refusal and not a crash; and only for what
    /// nothing else stands against, so that a refused request changes nothing.
    fn take_room(&mut self, partition: PartitionId, payload: usize) -> bool {
        let bytes = (payload + FRAME_HEADER_BYTES) as u64;
        self.logs.get_mut(&partition).is_none_or(|open| open.log.reserve(bytes).is_ok())
    }

    fn tick(&mut self, now: Now) {
        self.ticks += 1;
        if self.ticks.is_multiple_of(SECOND_TICKS) {
            self.touched.append(&mut self.unmarked);
            self.create_again();
            self.jump_again();
            self.look_for_damage(now);
        }
        if self.ticks.is_multiple_of(RETENTION_TICKS) {
            let all: Vec<PartitionId> = self.logs.keys().copied().collect();
            for partition in all {
                self.look_at_segments(now, partition);
            }
        }
    }

    /// Seals a segment that is old, and lets the machine judge what may go.
    fn look_at_segments(&mut self, now: Now, partition: PartitionId) {
        let Some(open) = self.logs.get_mut(&partition) else { return };
        open.log.roll_if_old(now.wall_ms);
        let segments = open.log.segments();
        open.sequence = open.log.sequence();
        let room = open.log.reserve((size_of::<Offset>() + FRAME_HEADER_BYTES) as u64).is_ok();
        self.touched.insert(partition);
        self.node.handle(now, Input::Segments { partition, segments, room });
    }

    /// The end of a pass: drains the machine and writes what it wants written.
    ///
    /// # Errors
    /// A write failed: the process must stop.
    pub fn flush(&mut self, now: Now) -> Result<(), Fatal> {
        while let Some(output) = self.node.poll(now) {
            self.carry_out(now, output)?;
        }
        Ok(())
    }

    /// What the shell has to do, in order.
    pub fn effects(&mut self) -> impl Iterator<Item = Effect> {
        self.effects.drain(..)
    }

    /// Whether nothing that was begun is unfinished: after [`Input::Stop`], the time to close.
    pub fn is_drained(&self) -> bool {
        self.node.is_settled()
            && self.in_flight.is_none()
            && self.gathering.is_empty()
            && self.touched.is_empty()
    }

    /// The last round: the commit indexes, so that the next start begins with what this one published, and the marks of
    /// logs that are whole.
    pub fn close(&mut self) -> Option<Round> {
        let mut round = Round { number: self.next_round(), ..Round::default() };
        for (partition, index) in self.node.commits_to_keep() {
            round.meta.push(MetaChange { partition, what: MetaField::Commit(index) });
        }
        for open in self.logs.values_mut() {
            open.log.close(&mut round);
        }
        (!round.is_empty()).then_some(round)
    }

    fn next_round(&mut self) -> u64 {
        self.rounds += 1;
        self.rounds
    }

    /// Steps of elections since the last call, for the log.
    pub fn take_elections(&mut self) -> Vec<Election> {
        self.node.take_elections()
    }

    /// The machine, to be looked at.
    pub fn node(&self) -> &Node {
        &self.node
    }
}

fn log_config(config: &TopicConfig) -> LogConfig {
    LogConfig { segment_bytes: config.segment_bytes, segment_ms: config.segment_ms }
}
