//! One replica of one partition inside the machine: its Raft group, its producers, its waiters.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use super::elections::Part;
use super::event::{Boot, Output};
use super::peers::producers_at;
use super::produce::producer_frame;
use super::raft_boot;
use super::reply::{Published, Reply};
use super::seats::Seats;
use super::waiters::{Awaited, Waiters};
use super::written::Words;
use caudal_proto::batch::Header;
use caudal_proto::peer;

use crate::consensus::{FIRST_INDEX, Ready, Replica};
use crate::ids::{Index, NodeId, Offset, PartitionId, ReplicaId, Term};
use crate::log::{Entry, Kind, LogStart};
use crate::refusal::Refusal;
use crate::state::{Condition, Producers, ReplicaReport, TopicConfig};

/// A partition that this shard has a replica of.
pub(super) struct Partition {
    pub(super) topic: Arc<str>,
    pub(super) config: Arc<TopicConfig>,
    pub(super) seats: Arc<Seats>,
    pub(super) life: Life,
    /// Distinguishes this life's completions from those of an earlier one.
    pub(super) incarnation: u64,
    /// When it panicked last.
    pub(super) panicked_ms: Option<u64>,
    published: Option<Published>,
    /// What a replica has left that lost what it had synced.
    pub(super) left: Option<ReplicaReport>,
}

/// Where in its life a replica is.
pub(super) enum Life {
    /// Its log is being opened.
    Opening,
    /// It takes part.
    Live(Box<Live>),
    /// It takes part in nothing.
    Closed { why: Arc<str> },
}

/// A replica that takes part.
pub(super) struct Live {
    pub(super) replica: Replica,
    pub(super) producers: Producers,
    pub(super) waiters: Waiters,
    /// The first offset that readers may see.
    pub(super) log_start: Offset,
    /// The last entry written here, synced or not.
    pub(super) written: Index,
    /// Bytes of entries above commit.
    pub(super) uncommitted_bytes: u64,
    /// The newest log start proposed.
    pub(super) log_start_on_its_way: Option<Offset>,
    /// Replicas whose disks do not finish their syncs in time, as they say.
    pub(super) slow: BTreeSet<ReplicaId>,
    /// What the others have written, as far as they say so.
    pub(super) words: Words,
    sizes: VecDeque<(Index, u64)>,
    /// The term in which this replica led at the last look.
    pub(super) leading: Option<Term>,
    high_watermark: Offset,
    /// Everything that was committed when it opened is applied.
    current: bool,
    /// What was committed when a leader first spoke to it: that and more was before it opened.
    pub(super) leader_commit: Option<Index>,
    kept_commit: Index,
    /// Where the log begins.
    pub(super) start: LogStart,
    /// Changes of voters up to here are applied.
    pub(super) voters_index: Index,
    /// Those up to here are durable.
    pub(super) voters_kept: Index,
    /// The same of the other replicas, as far as they have said so.
    pub(super) voters_kept_at: BTreeMap<ReplicaId, Index>,
    /// What came with the newest word that the log begins elsewhere.
    pub(super) arriving: Option<Box<peer::Snapshot>>,
    /// The commit index a second ago: who lacks none of it is in step.
    pub(super) commit_before: Index,
    /// The tick since which it leads, as far as the looks once a second tell.
    pub(super) led_since: Option<u64>,
    /// A batch was refused since the last look, because the disk here is full.
    pub(super) lacks_room: bool,
    /// What was last said of the partition to the others.
    pub(super) told: Option<peer::PartitionStatus>,
    /// What was last seen of its part in elections.
    pub(super) part: Part,
}

impl Partition {
    pub(super) fn new(topic: Arc<str>, config: Arc<TopicConfig>, seats: Arc<Seats>) -> Partition {
        Partition {
            topic,
            config,
            seats,
            life: Life::Opening,
            incarnation: 0,
            panicked_ms: None,
            published: None,
            left: None,
        }
    }

    pub(super) fn uncommitted_bytes(&self) -> u64 {
        match &self.life {
            Life::Live(live) => live.uncommitted_bytes,
            Life::Opening | Life::Closed { .. } => 0,
        }
    }

    /// Whether it leads replicas of other brokers.
    pub(super) fn leads_others(&self) -> bool {
        let Life::Live(live) = &self.life else { return false };
        live.replica.is_leader() && live.replica.voters().voters.len() > 1
    }

    /// A second has passed.
    pub(super) fn note_commit(&mut self) {
        if let Life::Live(live) = &mut self.life {
            live.commit_before = live.replica.commit();
        }
    }

    pub(super) fn fail_waiters(&mut self, refusal: &Refusal, out: &mut VecDeque<Output>) {
        if let Life::Live(live) = &mut self.life {
            live.waiters.fail(refusal, out);
        }
    }

    pub(super) fn show_what_is_left(&mut self, boot: &Boot) {
        let group = &boot.group;
        let last_term = group.terms.last().map_or(group.start.prev_term, |(_, term)| *term);
        self.left = Some(ReplicaReport {
            replica: group.replica,
            condition: Condition::LostEnd,
            term: group.term,
            last_index: group.last_index,
            last_term,
            log_start: group.start.log_start,
            next_offset: boot.next_offset,
            missing_entries: boot.missing_entries,
            voters: group.voters.clone(),
        });
    }

    /// What there is to say of the replica when its log is gone.
    pub(super) fn nothing_left(&self, durable: Index) -> ReplicaReport {
        ReplicaReport {
            replica: self.seats.here,
            condition: Condition::LostLog,
            term: Term(0),
            last_index: Index(0),
            last_term: Term(0),
            log_start: Offset(0),
            next_offset: Offset(0),
            missing_entries: durable.0.saturating_sub(FIRST_INDEX.0 - 1),
            voters: Default::default(),
        }
    }

    /// What readers may know, if it is not what they know already.
    pub(super) fn view(&mut self, node: Option<NodeId>) -> Option<Published> {
        let before = self.published.as_ref();
        let (log_start, high_watermark, epoch) =
            before.map(|view| (view.log_start, view.high_watermark, view.epoch)).unwrap_or_default();
        let mut view = Published {
            leader: None,
            epoch,
            ready: false,
            current: false,
            high_watermark,
            log_start,
            replicas: self.seats.nodes.values().copied().collect(),
            closed: None,
        };
        match &mut self.life {
            Life::Opening => return None,
            Life::Closed { why } => {
                view.closed = Some(Arc::clone(why));
                if let Some(left) = self.left.as_ref().filter(|left| left.condition == Condition::LostEnd) {
                    (view.log_start, view.high_watermark, view.epoch) =
                        (left.log_start, left.next_offset, left.term);
                }
            }
            Life::Live(live) => {
                live.look();
                view.ready = live.replica.is_ready_leader();
                view.current = live.current;
                let leader =
                    live.replica.leader().and_then(|replica| self.seats.nodes.get(&replica).copied());
                view.leader = if live.replica.is_leader() { node } else { leader };
                view.epoch = live.replica.term();
                view.high_watermark = live.high_watermark.max(high_watermark);
                view.log_start = live.log_start.max(log_start);
            }
        }
        if before == Some(&view) {
            return None;
        }
        self.published = Some(view.clone());
        Some(view)
    }
}

impl Live {
    pub(super) fn new(boot: Boot, seed: u64) -> Result<Live, String> {
        let producers = producers_at(boot.producers, boot.group.commit);
        let (voters_index, start) = (boot.voters_index, boot.group.start);
        let (log_start, written, commit) =
            (boot.group.start.log_start, boot.group.last_index, boot.group.commit);
        Ok(Live {
            replica: Replica::new(raft_boot(boot.group), seed)?,
            producers,
            waiters: Waiters::default(),
            log_start,
            written,
            uncommitted_bytes: 0,
            log_start_on_its_way: None,
            slow: BTreeSet::new(),
            words: Words::default(),
            sizes: VecDeque::new(),
            leading: None,
            high_watermark: log_start,
            current: false,
            leader_commit: None,
            kept_commit: commit,
            start,
            voters_index,
            voters_kept: voters_index,
            voters_kept_at: BTreeMap::new(),
            arriving: None,
            commit_before: Index(0),
            led_since: None,
            lacks_room: false,
            told: None,
            part: Part::default(),
        })
    }

    /// A partition that has just been made need not wait for an election timeout: the replica that is meant to lead it
    /// stands for election until there is a leader.
    pub(super) fn campaign_if_first(&mut self, seats: &Seats) {
        let new = self.replica.last_index() < FIRST_INDEX && seats.original;
        if new && seats.voters.first() == Some(&seats.here) && self.replica.leader().is_none() {
            self.replica.campaign();
        }
    }

    /// A proposal of so many bytes is on its way.
    pub(super) fn proposed(&mut self, index: Index, bytes: u64) {
        self.uncommitted_bytes += bytes;
        self.sizes.push_back((index, bytes));
    }

    fn note_producer(&mut self, entry: &Entry) {
        if let Ok(header) = Header::parse(&entry.payload)
            && header.has_producer()
        {
            self.producers.append(producer_frame(entry, &header));
        }
    }

    /// Everything up to `to` is committed.
    pub(super) fn committed(&mut self, to: Index) {
        self.producers.commit(to);
        while let Some((_, bytes)) = self.sizes.pop_front_if(|(index, _)| *index <= to) {
            self.uncommitted_bytes -= bytes;
        }
    }

    pub(super) fn high_watermark(&self) -> Offset {
        self.high_watermark
    }

    fn look(&mut self) {
        let commit = self.replica.is_ready_leader().then(|| self.replica.commit()).or(self.leader_commit);
        self.current |= commit.is_some_and(|commit| self.replica.applied() >= commit);
        // Offsets are exact once an entry of the leader's term is committed; before that the watermark stands still.
        if self.replica.is_ready_leader() || !self.replica.is_leader() {
            // Others may have committed what is not written here yet: then it cannot be read here.
            let committed = self.replica.offset_after(self.replica.commit().min(self.written));
            self.high_watermark = self.high_watermark.max(committed);
        }
    }

    /// The commit index, if it moved since it was last kept. Never above what is synced here.
    pub(super) fn commit_to_keep(&mut self) -> Option<Index> {
        let commit = self.replica.commit().min(self.replica.persisted_index());
        (commit > self.kept_commit).then(|| {
            self.kept_commit = commit;
            commit
        })
    }

    /// Answers those whose entry is committed; fails all when leadership ended.
    pub(super) fn answer_committed(
        &mut self,
        replicas: &BTreeMap<ReplicaId, NodeId>,
        out: &mut VecDeque<Output>,
    ) {
        let leads = self.replica.is_leader().then(|| self.replica.term());
        if self.leading.is_some() && self.leading != leads {
            self.waiters.fail(&Refusal::UnknownOutcome, out);
            // What this leader proposed may be cut: the next one asks anew.
            self.log_start_on_its_way = None;
        }
        self.leading = leads;
        if !self.replica.is_ready_leader() {
            return;
        }
        self.answer_early(replicas, out);
        let commit = self.replica.commit();
        while let Some((ticket, awaited, result)) = self.waiters.pop_committed(commit) {
            let reply = match awaited {
                Awaited::Batch(place) => {
                    let (voters, synced) = self.replica.synced_at(place.index);
                    Reply::Produced(Ok(place.receipt(
                        located(&voters, replicas),
                        located(&synced, replicas),
                        Vec::new(),
                    )))
                }
                Awaited::Trim { before, after } => Reply::Trimmed(Ok((before, after))),
                Awaited::Command(answered) => Reply::Control(
                    result.map(|applied| answered.complete(applied)).ok_or(Refusal::UnknownOutcome),
                ),
            };
            out.push_back(Output::Reply { ticket, reply });
        }
    }
}

/// Where replicas live.
pub(super) fn located(ids: &[ReplicaId], replicas: &BTreeMap<ReplicaId, NodeId>) -> Vec<(NodeId, ReplicaId)> {
    ids.iter().map(|id| (replicas.get(id).copied().unwrap_or_default(), *id)).collect()
}

/// Asks for what a `Ready` wants written, and takes the entries out of it.
pub(super) fn persist(
    id: PartitionId,
    incarnation: u64,
    live: &mut Live,
    ready: &mut Ready,
    out: &mut VecDeque<Output>,
) {
    // A leader noted its batches when it took them; a follower does so here, and forgets those that are cut.
    if let Some(first) = ready.entries.first().filter(|_| !live.replica.is_leader()) {
        live.producers.truncate(first.index);
        for entry in ready.entries.iter().filter(|entry| entry.kind == Kind::Batch) {
            live.note_producer(entry);
        }
    }
    if let Some(number) = ready.number {
        out.push_back(Output::Persist {
            partition: id,
            incarnation,
            ready: number,
            entries: std::mem::take(&mut ready.entries),
            hard_state: ready.hard_state,
        });
    }
}

/// Asks for the entries that a follower needs.
pub(super) fn fetch(id: PartitionId, incarnation: u64, ready: &Ready, out: &mut VecDeque<Output>) {
    for (from, to) in &ready.fetches {
        out.push_back(Output::Read { partition: id, incarnation, from: *from, to: *to });
    }
}

/// Applies a committed entry that is not a command.
///
/// # Errors
/// The entry does not say what its kind demands: the partition must stop.
pub(super) fn apply(
    id: PartitionId,
    live: &mut Live,
    entry: &Entry,
    out: &mut VecDeque<Output>,
) -> Result<(), String> {
    match entry.kind {
        Kind::Batch | Kind::Noop | Kind::Command | Kind::Loss => {}
        Kind::SetLogStart => {
            let offset: [u8; 8] =
                entry.payload.as_ref().try_into().map_err(|_| {
                    format!("entry {} moves the log start and carries no offset", entry.index)
                })?;
            live.log_start = live.log_start.max(Offset(i64::from_le_bytes(offset)));
            out.push_back(Output::SetLogStart {
                partition: id,
                offset: live.log_start,
                applied: entry.index,
            });
        }
        // A replica whose log began elsewhere was told of changes that its log had not reached.
        Kind::ConfChange | Kind::ConfChangeV2 if entry.index <= live.voters_index => {}
        Kind::ConfChange | Kind::ConfChangeV2 => {
            live.voters_index = entry.index;
            let voters = live.replica.apply_conf_change(entry)?;
            out.push_back(Output::Conf { partition: id, applied: entry.index, voters });
        }
    }
    Ok(())
}
