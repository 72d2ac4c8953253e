//! What goes into the machine and what comes out of it: one closed set each.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use caudal_proto::batch::Header;
use caudal_proto::peer;

use super::reply::{Published, Reply};
use super::seats::Seats;
use crate::consensus;
use crate::ids::{Index, NodeId, Offset, PartitionId, ReplicaId, ShardId, Term};
use crate::log::{Entry, LogStart, SegmentFacts, Voters};
use crate::state::Request as ControlRequest;
use crate::state::{Catalog, Heir, ProducerFrame, ReplicaReport, TopicConfig};

/// Why a partition is closed whose log there was no room for. It is opened when there is some.
pub const NO_ROOM_FOR_LOG: &str = "no room on the disk for a new log: free some space, then it is made";

/// The time, as an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Milliseconds since the epoch; may jump.
    pub wall_ms: i64,
    /// Milliseconds since some start; never goes back.
    pub mono_ms: u64,
}

/// Who waits for a reply. Chosen by the shell; the machine only hands it back.
pub type Ticket = u64;

/// When a batch is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acks {
    /// Synced on a majority; with `durability=memory`, written on a majority.
    All,
    /// Written on the leader.
    Leader,
    /// Not at all; the shell still hears when it is written, to give its bytes back.
    None,
}

/// A batch that passed [`caudal_proto::batch::check`].
#[derive(Debug, Clone)]
pub struct Batch {
    /// Its header.
    pub header: Header,
    /// All of it, as the producer made it.
    pub bytes: Bytes,
}

/// What happens to a machine.
#[derive(Debug)]
pub enum Input {
    /// A tenth of a second has passed.
    Tick,
    /// A log is open; the partition starts.
    Opened {
        /// Whose.
        partition: PartitionId,
        /// What the disk knows.
        boot: Box<Boot>,
    },
    /// A log cannot be opened or made.
    OpenFailed {
        /// Whose.
        partition: PartitionId,
        /// For people; [`NO_ROOM_FOR_LOG`] where that is the cause.
        why: String,
    },
    /// A log was here and is gone.
    Lost {
        /// Whose.
        partition: PartitionId,
        /// For people.
        why: String,
        /// Entries up to here were durable in it.
        durable: Index,
    },
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
        /// Whether the disk has room for it: taken by the shell before the machine decides.
        room: bool,
    },
    /// A request to the control partition.
    Control {
        /// Who waits.
        ticket: Ticket,
        /// What is asked for.
        request: ControlRequest,
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
        /// Whether the disk has room for the entry.
        room: bool,
    },
    /// Entries up to an index are written, not synced.
    Written {
        /// Whose.
        partition: PartitionId,
        /// The last one.
        index: Index,
        /// Its term.
        term: Term,
    },
    /// Everything of a `Persist` is durable.
    Persisted {
        /// Whose.
        partition: PartitionId,
        /// The partition's life that asked for it; others are stale.
        incarnation: u64,
        /// The number of the `Persist`.
        ready: u64,
    },
    /// Entries that a `Read` asked for; none when they cannot be read.
    Fetched {
        /// Whose.
        partition: PartitionId,
        /// The partition's life that asked for it; others are stale.
        incarnation: u64,
        /// The first that was asked for.
        from: Index,
        /// The chain value of the entry before the first, where it is known.
        prev: Option<u32>,
        /// The entries.
        entries: Vec<Entry>,
    },
    /// The segments of a partition, for retention.
    Segments {
        /// Whose.
        partition: PartitionId,
        /// From the oldest.
        segments: Vec<SegmentFacts>,
        /// Whether the disk has room for the entry that moves the log start.
        room: bool,
    },
    /// A snapshot that was asked for is durable, or there was no room.
    SnapshotDone {
        /// Whose.
        partition: PartitionId,
        /// Its last index.
        index: Index,
        /// Whether it is there.
        done: bool,
    },
    /// A configuration is durable.
    ConfKept {
        /// Whose.
        partition: PartitionId,
        /// The index that it was applied at.
        applied: Index,
    },
    /// The log begins elsewhere: files below are no longer referred to.
    Began {
        /// Whose.
        partition: PartitionId,
        /// Where.
        start: LogStart,
    },
    /// A message of another broker.
    Peer {
        /// Who sent it.
        from: NodeId,
        /// The message.
        message: Box<peer::Message>,
    },
    /// Committed entries of a log are damaged on the disk: another replica may have them.
    Damaged {
        /// Whose.
        partition: PartitionId,
        /// The first one.
        first: Index,
        /// The last one.
        last: Index,
        /// How often they were asked for before.
        attempt: u64,
    },
    /// Entries that another replica lost, read for it; none where they cannot be.
    Lent {
        /// Whose.
        partition: PartitionId,
        /// Who asked.
        to: ReplicaId,
        /// The entries.
        entries: Vec<Entry>,
    },
    /// What another broker, or this one, says of the partitions that it leads.
    Statuses {
        /// Who.
        from: NodeId,
        /// One for each.
        statuses: Vec<peer::PartitionStatus>,
    },
    /// A broker answers again.
    PeerUp(NodeId),
    /// A broker is silent, or refuses.
    PeerDown(NodeId),
    /// Messages did not fit their queue, or their connection is gone.
    Dropped {
        /// Whose.
        partition: PartitionId,
        /// Whom they were for.
        replica: ReplicaId,
    },
    /// Leadership shall go to another broker.
    Transfer {
        /// Who waits.
        ticket: Ticket,
        /// Whose.
        partition: PartitionId,
        /// Where to.
        to: NodeId,
    },
    /// A partition without an intact majority shall go on from what is left.
    Recover {
        /// Who waits.
        ticket: Ticket,
        /// The topic's name.
        topic: String,
        /// The partition.
        partition: i32,
        /// Says what that would mean, changes nothing.
        validate_only: bool,
    },
    /// A message of another shard of this broker.
    Shard(ShardMessage),
    /// The broker stops: refuse what is new, finish what is begun.
    Stop,
}

/// What a log's folder and the meta log know of a partition when it opens.
#[derive(Debug, Clone)]
pub struct Boot {
    /// What its Raft group starts from; `applied` is what `voters` and the snapshot contain.
    pub group: consensus::Boot,
    /// The producers' batches, in log order.
    pub producers: Vec<ProducerFrame>,
    /// Commands that are applied and not in the snapshot.
    pub commands: Vec<Entry>,
    /// The newest snapshot of the state machine, if there is one.
    pub snapshot: Option<Bytes>,
    /// Changes of voters up to here are in the group's voters; the log may end before it.
    pub voters_index: Index,
    /// Commands up to here are in `snapshot`; the log may end before it.
    pub snapshot_index: Index,
    /// Acknowledged entries are missing at the end: read-only, no vote, no write.
    pub lost_end: bool,
    /// So many of them, at least.
    pub missing_entries: u64,
    /// The offset behind the last entry.
    pub next_offset: Offset,
}

/// What a machine wants done.
#[derive(Debug)]
pub enum Output {
    /// Write entries, and make them and the hard state durable.
    Persist {
        /// Whose.
        partition: PartitionId,
        /// The partition's life, for the answer.
        incarnation: u64,
        /// For the answer.
        ready: u64,
        /// In order; the first may lie below the end of the log, which then is cut.
        entries: Vec<Entry>,
        /// A new term or vote.
        hard_state: Option<(Term, u64)>,
    },
    /// Entries are to be read from the log, as many as fit a message to a peer, for `Fetched`.
    Read {
        /// Whose.
        partition: PartitionId,
        /// The partition's life, for the answer.
        incarnation: u64,
        /// The first entry.
        from: Index,
        /// The first that is not wanted.
        to: Index,
    },
    /// Entries are to be read that another replica lost, for `Lent`.
    Lend {
        /// Whose.
        partition: PartitionId,
        /// Who asked.
        to: ReplicaId,
        /// The first entry.
        first: Index,
        /// The last one.
        last: Index,
    },
    /// Entries that another replica gave for damaged ones.
    Borrowed {
        /// Whose.
        partition: PartitionId,
        /// The entries.
        entries: Vec<Entry>,
    },
    /// The commit index, to ride along with a sync.
    Commit {
        /// Whose.
        partition: PartitionId,
        /// The index.
        index: Index,
    },
    /// A configuration and the index it was applied at; durable, together.
    Conf {
        /// Whose.
        partition: PartitionId,
        /// The index of the change.
        applied: Index,
        /// The configuration from there.
        voters: Voters,
    },
    /// An answer.
    Reply {
        /// Who waits.
        ticket: Ticket,
        /// The answer.
        reply: Reply,
    },
    /// What readers may see has changed.
    Publish {
        /// Whose.
        partition: PartitionId,
        /// What is there to see.
        view: Published,
    },
    /// A message for another broker.
    Send {
        /// Which.
        to: NodeId,
        /// What it travels with.
        class: peer::Class,
        /// The message.
        message: Box<peer::Message>,
    },
    /// What this broker knows of partitions that it leads, for all brokers and for itself.
    Statuses(Vec<peer::PartitionStatus>),
    /// The log goes on elsewhere: build it there, switch to it, open it. The partition's life has ended.
    Jump {
        /// Whose.
        partition: PartitionId,
        /// The term.
        term: Term,
        /// The vote in it; 0 for none.
        vote: u64,
        /// Where, and what was before.
        snapshot: Box<peer::Snapshot>,
    },
    /// Open the log of a replica, making it if this node never did.
    Open {
        /// Whose.
        partition: PartitionId,
        /// The replica.
        replica: ReplicaId,
        /// All replicas of the partition at its birth; none for a replica that is told by a leader.
        voters: Vec<u64>,
        /// Where it takes over the log of another one.
        heir: Option<Heir>,
        /// The topic's configuration.
        config: Arc<TopicConfig>,
        /// The topic's name, for messages.
        topic: Arc<str>,
    },
    /// Open the log of a replica again, from the disk.
    Reopen {
        /// Whose.
        partition: PartitionId,
    },
    /// The partition takes part in nothing any more, until the next start.
    Closed {
        /// Whose.
        partition: PartitionId,
        /// For people.
        why: Arc<str>,
    },
    /// The topic's configuration has changed.
    Configure {
        /// Whose.
        partition: PartitionId,
        /// The topic's configuration.
        config: Arc<TopicConfig>,
    },
    /// The partition is deleted, or its replica here removed, by a committed command: its log may go.
    Delete {
        /// Whose.
        partition: PartitionId,
        /// Its replica here.
        replica: ReplicaId,
    },
    /// Readers begin here; files below may go once `applied` covers them.
    SetLogStart {
        /// Whose.
        partition: PartitionId,
        /// The first offset that readers may see.
        offset: Offset,
        /// The index of the entry that says so.
        applied: Index,
    },
    /// Keep a state machine's snapshot, then drop the log below it.
    Snapshot {
        /// Whose.
        partition: PartitionId,
        /// Its last index.
        index: Index,
        /// Its term.
        term: Term,
        /// The snapshot.
        data: Bytes,
    },
    /// A message to a shard of this broker, which may be this one.
    ToShard {
        /// Which.
        shard: ShardId,
        /// The message.
        message: ShardMessage,
    },
    /// The topics have changed.
    Catalog(Arc<Catalog>),
    /// This broker's id is known.
    Registered(NodeId),
    /// The disk does not finish what it was asked for, or does so again: for people.
    DiskStalled(bool),
}

/// What one shard of a broker tells another. Messages of the control partition's shard come in revision order.
#[derive(Debug, Clone)]
pub enum ShardMessage {
    /// This node has a replica of the partition, or its replicas or its configuration have changed.
    Assign {
        /// Whose.
        partition: PartitionId,
        /// The replicas, and where they live.
        seats: Arc<Seats>,
        /// The topic's configuration.
        config: Arc<TopicConfig>,
        /// The topic's name, for messages.
        topic: Arc<str>,
    },
    /// The topic is deleted, or the replica here removed.
    Delete {
        /// Whose.
        partition: PartitionId,
        /// The replica that was here.
        replica: ReplicaId,
    },
    /// This broker's id is known.
    Registered(NodeId),
    /// Brokers that give their leaderships away.
    Draining(Arc<BTreeSet<NodeId>>),
    /// Replicas of a shard that have no leader, or take no part: all that it has.
    Reports {
        /// Which shard.
        shard: ShardId,
        /// What it says of them.
        reports: Vec<(PartitionId, ReplicaReport)>,
    },
}
