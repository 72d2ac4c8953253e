//! The Ready loop: what Raft hands out, in the order in which it may leave.

use std::collections::{BTreeSet, VecDeque};

use bytes::Bytes;
use caudal_proto::peer;
use protobuf::Message as _;
use raft::eraftpb::{ConfChange, ConfChangeV2, Message, MessageType};
use raft::{Config, RawNode};

use super::context::to_raft;
use super::draws::Draws;
use super::store::{Boot, Store};
use super::wire::{from_peer, voters};
use crate::ids::{Index, Offset, PartitionId, Term};
use crate::limits::{ELECTION_TICKS, PEER_MESSAGE_BYTES_MAX, PEER_MESSAGES_IN_FLIGHT};
use crate::log::{Entry, Kind, Voters};

/// What a leader wants in the log; Raft gives it index and term.
#[derive(Debug, Clone)]
pub struct Proposal {
    /// What it is.
    pub kind: Kind,
    /// Its records.
    pub count: u32,
    /// The largest timestamp of its records; −1 without records.
    pub max_timestamp: i64,
    /// The batch or the command.
    pub payload: Bytes,
}

/// What one turn of the loop wants done.
#[derive(Debug, Default)]
pub struct Ready {
    /// For [`Replica::persisted`], once `entries` and `hard_state` are durable; `None` when there is nothing to write.
    pub number: Option<u64>,
    /// To be written; the first may lie below the end of the log, which then is cut.
    pub entries: Vec<Entry>,
    /// A new term or vote.
    pub hard_state: Option<(Term, u64)>,
    /// To be sent at once.
    pub messages: Vec<peer::Message>,
    /// To be applied, in order. Batches that were in the log at start are left out.
    pub committed: Vec<Entry>,
    /// Everything up to here is committed and handed out.
    pub committed_to: Option<Index>,
    /// Entries to be read from the log for a follower, from the first index to before the second.
    pub fetches: Vec<(Index, Index)>,
    /// The log begins elsewhere: this life ends, and the next one starts from what is told here.
    pub jump: Option<Jump>,
}

/// A leader's word that the log goes on behind `index`, where this replica's own does not reach or has other entries.
#[derive(Debug, Clone)]
pub struct Jump {
    /// The last entry that is not needed any more.
    pub index: Index,
    /// Its term.
    pub entry_term: Term,
    /// The voters that the leader knew.
    pub voters: Voters,
    /// The term.
    pub term: Term,
    /// The vote in it; 0 for none.
    pub vote: u64,
}

struct Unpersisted {
    number: u64,
    /// A later `Ready` without anything to write is durable with this one.
    covers: u64,
    held: Vec<Message>,
    changes_term_or_vote: bool,
}

/// One replica of one partition.
pub struct Replica {
    partition: PartitionId,
    raw: RawNode<Store>,
    unpersisted: VecDeque<Unpersisted>,
    /// Messages that a completed sync set free.
    freed: Vec<Message>,
    /// Why Raft wants the entries that are being read, with the first index of each.
    fetching: Vec<(Index, raft::GetEntriesContext)>,
    /// Term and vote as last handed out.
    hard_state: (Term, u64),
    /// Offset and time behind the last entry proposed, which may not have come out of a `Ready` yet.
    proposed: (Offset, i64),
    draws: Draws,
    /// Whom a leader heard from in the election timeout before this one.
    heard: BTreeSet<u64>,
    holds_back: bool,
}

impl Replica {
    /// Starts from what the disk knows, synced. Election timeouts are drawn from `seed`.
    ///
    /// # Errors
    /// What Raft finds wrong with the start: for people.
    pub fn new(boot: Boot, seed: u64) -> Result<Replica, String> {
        let config = Config {
            id: boot.replica.0,
            election_tick: ELECTION_TICKS,
            min_election_tick: ELECTION_TICKS,
            max_election_tick: 2 * ELECTION_TICKS,
            heartbeat_tick: 3,
            applied: boot.applied.0,
            max_size_per_msg: PEER_MESSAGE_BYTES_MAX,
            max_inflight_msgs: PEER_MESSAGES_IN_FLIGHT,
            check_quorum: true,
            pre_vote: true,
            batch_append: true,
            // Who reads the catalog elsewhere waits for the commit; followers of records are not read from.
            skip_bcast_commit: boot.partition != PartitionId::CONTROL,
            max_uncommitted_size: raft::NO_LIMIT,
            max_committed_size_per_ready: 256 * 1024,
            ..Default::default()
        };
        let logger = slog::Logger::root(slog::Discard, slog::o!());
        let (hard_state, partition) = ((boot.term, boot.vote), boot.partition);
        let store = Store::new(boot);
        let proposed = (store.next_offset(), store.append_time());
        let raw = RawNode::new(&config, store, &logger).map_err(|error| error.to_string())?;
        Ok(Replica {
            partition,
            raw,
            unpersisted: VecDeque::new(),
            freed: Vec::new(),
            fetching: Vec::new(),
            hard_state,
            proposed,
            draws: Draws::new(seed),
            heard: BTreeSet::new(),
            holds_back: false,
        })
    }

    pub(super) fn partition(&self) -> PartitionId {
        self.partition
    }

    pub(super) fn raw(&self) -> &RawNode<Store> {
        &self.raw
    }

    /// Whether a follower was heard from within two election timeouts.
    pub(super) fn has_heard(&self, replica: u64) -> bool {
        self.heard.contains(&replica)
            || self.raw.raft.prs().get(replica).is_some_and(|progress| progress.recent_active)
    }

    pub(super) fn raw_mut(&mut self) -> &mut RawNode<Store> {
        &mut self.raw
    }

    /// From here on it stands for no election, or does so again.
    pub fn hold_back(&mut self, on: bool) {
        self.holds_back = on;
    }

    pub(super) fn holds_back(&self) -> bool {
        self.holds_back
    }

    /// Whether everything handed out to be written is synced.
    pub fn is_persisted(&self) -> bool {
        self.unpersisted.is_empty()
    }

    /// A tenth of a second has passed. Whether there may be something to do.
    pub fn tick(&mut self) -> bool {
        // Raft draws its timeouts by itself, from the system: these replace them, so that a seed tells all.
        let waited = self.raw.raft.election_elapsed;
        let mut timeout = self.draws.timeout(waited);
        if self.holds_back {
            // It waits as long as it takes to give others its vote, and no longer.
            timeout = timeout.max(ELECTION_TICKS + 1);
            if !self.is_leader() && waited + 1 >= timeout {
                return false;
            }
        }
        self.raw.raft.set_randomized_election_timeout(timeout);
        // A leader forgets once in an election timeout whom it heard from: who asks just then must not find everybody
        // silent.
        if !self.is_leader() {
            self.heard.clear();
        } else if self.raw.raft.election_elapsed + 1 >= ELECTION_TICKS {
            let active = self.raw.raft.prs().iter().filter(|(_, progress)| progress.recent_active);
            self.heard = active.map(|(id, _)| *id).collect();
        }
        self.raw.tick()
    }

    /// Stands for election at once, where it is the only voter and nothing of its own is unsynced.
    pub fn campaign_if_alone(&mut self) -> Result<(), String> {
        if self.is_alone() && self.unpersisted.is_empty() {
            self.raw.campaign().map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    /// A peer's message; one that no peer may send is dropped.
    ///
    /// # Errors
    /// The leader's log has something else before the entries that it sends: the partition must stop.
    pub fn step(&mut self, message: peer::Message) -> Result<(), String> {
        let prev = message.prev;
        if let Some(message) = from_peer(message) {
            self.compare(&message, prev)?;
            if self.holds_back && message.get_msg_type() == MessageType::MsgTimeoutNow {
                return Ok(());
            }
            // What Raft refuses here is a late or foreign message; dropping it is the protocol.
            let _ = self.raw.step(message);
        }
        Ok(())
    }

    /// Puts a proposal into the log, with `now_ms` as its append time unless that would go back. The entry as it will
    /// stand there, if this replica goes on leading; `None` when it does not lead.
    pub fn propose(&mut self, proposal: Proposal, now_ms: i64) -> Option<Entry> {
        self.propose_at(proposal, self.next_offset(), now_ms)
    }

    /// The offset that the next record takes, if this replica goes on leading.
    pub fn next_offset(&self) -> Offset {
        self.proposed.0
    }

    /// As [`Replica::propose`], at an offset that is not below the next one.
    pub fn propose_at(&mut self, proposal: Proposal, base_offset: Offset, now_ms: i64) -> Option<Entry> {
        if !self.is_leader() || self.raw.raft.lead_transferee.is_some() {
            return None;
        }
        let (_, last_time) = self.proposed;
        let entry = Entry {
            index: Index(self.raw.raft.raft_log.last_index()).next(),
            term: self.term(),
            kind: proposal.kind,
            base_offset,
            count: proposal.count,
            max_timestamp: proposal.max_timestamp,
            append_time: now_ms.max(last_time),
            payload: proposal.payload,
        };
        let mut message =
            Message { from: self.raw.raft.id, entries: vec![to_raft(&entry)].into(), ..Default::default() };
        message.set_msg_type(MessageType::MsgPropose);
        self.raw.step(message).ok()?;
        self.proposed = (entry.next_offset(), entry.append_time);
        Some(entry)
    }

    /// The `Ready` of this number, and all before it, are synced.
    pub fn persisted(&mut self, number: u64) {
        let mut covers = None;
        while let Some(front) = self.unpersisted.front() {
            if front.number > number {
                break;
            }
            covers = Some(front.covers);
            if let Some(done) = self.unpersisted.pop_front() {
                self.freed.extend(done.held);
            }
        }
        if let Some(covers) = covers {
            self.raw.on_persist_ready(covers);
        }
    }

    /// Whether [`Replica::ready`] has something.
    pub fn has_ready(&self) -> bool {
        !self.freed.is_empty() || self.raw.store().has_wanted() || self.raw.has_ready()
    }

    /// Whether Raft took a leader's word that the log begins elsewhere, and the next [`Replica::ready`] tells it.
    pub fn is_jumping(&self) -> bool {
        self.raw.snap().is_some()
    }

    /// A leader's word that the log begins elsewhere, taken and not carried out.
    fn jump(&self) -> Option<Jump> {
        let snapshot = self.raw.snap()?.get_metadata();
        Some(Jump {
            index: Index(snapshot.index),
            entry_term: Term(snapshot.term),
            voters: voters(snapshot.get_conf_state()),
            term: self.term(),
            vote: self.raw.raft.vote,
        })
    }

    /// One turn of the loop. Call until [`Replica::has_ready`] is false.
    ///
    /// # Errors
    /// The log would differ from the leader's, or holds what this version does not know: the partition must stop.
    pub fn ready(&mut self) -> Result<Ready, String> {
        let mut out = Ready { jump: self.jump(), ..Ready::default() };
        if out.jump.is_some() {
            return Ok(out);
        }
        for wanted in self.raw.mut_store().take_wanted() {
            out.fetches.push((wanted.from, wanted.to));
            self.fetching.push((wanted.from, wanted.context));
        }
        let mut messages = std::mem::take(&mut self.freed);
        if self.raw.has_ready() {
            self.take_ready(&mut out, &mut messages)?;
        }
        out.messages = messages.into_iter().filter_map(|message| self.outgoing(message)).collect();
        self.raw.mut_store().forget_chains();
        Ok(out)
    }

    fn take_ready(&mut self, out: &mut Ready, messages: &mut Vec<Message>) -> Result<(), String> {
        let mut ready = self.raw.ready();
        let number = ready.number();
        let entries = ready.take_entries();
        out.entries = self.raw.mut_store().append(&entries)?;
        // A hard state whose commit alone moved is never synced: it is recovered from the log.
        out.hard_state =
            ready.hs().map(|hs| (Term(hs.term), hs.vote)).filter(|state| *state != self.hard_state);
        self.hard_state = out.hard_state.unwrap_or(self.hard_state);
        let changes_term_or_vote = out.hard_state.is_some();
        let at_once = ready.take_messages();
        let mut held = ready.take_persisted_messages();
        let committed_to = ready.committed_entries().last().map(|entry| Index(entry.index));
        let must_write = ready.must_sync();
        self.raw.advance_append_async(ready);

        if changes_term_or_vote {
            held.extend(at_once);
        } else {
            messages.extend(at_once);
            self.let_heartbeat_answers_pass(&mut held, messages);
        }
        if must_write {
            out.number = Some(number);
            self.unpersisted.push_back(Unpersisted { number, covers: number, held, changes_term_or_vote });
        } else if let Some(last) = self.unpersisted.back_mut() {
            last.covers = number;
            last.held.extend(held);
        } else {
            messages.extend(held);
            self.raw.on_persist_ready(number);
        }
        if let Some(to) = committed_to {
            let keep = self.is_leader() && !self.is_alone();
            out.committed = self.raw.mut_store().settle(to, keep);
            out.committed_to = committed_to;
            self.raw.advance_apply_to(to.0);
        }
        let store = self.raw.store();
        self.proposed = (store.next_offset(), store.append_time());
        Ok(())
    }

    fn let_heartbeat_answers_pass(&self, held: &mut Vec<Message>, now: &mut Vec<Message>) {
        if self.unpersisted.iter().any(|ready| ready.changes_term_or_vote) {
            return;
        }
        let (pass, stay) = std::mem::take(held)
            .into_iter()
            .partition(|message| message.get_msg_type() == MessageType::MsgHeartbeatResponse);
        *held = stay;
        now.extend::<Vec<Message>>(pass);
    }

    /// The entries from `from` on, one of the [`Ready::fetches`], have been read, with the chain value before them; none
    /// when they cannot be.
    pub fn fetched(&mut self, from: Index, prev: Option<u32>, entries: Vec<Entry>) {
        let Some(at) = self.fetching.iter().position(|(first, _)| *first == from) else { return };
        let (_, context) = self.fetching.swap_remove(at);
        let read = !entries.is_empty();
        self.raw.mut_store().fetched(from, prev, entries);
        // Without entries Raft would only ask for them again, at once and for ever.
        if read {
            self.raw.on_entries_fetched(context);
        }
        self.raw.mut_store().forget_fetched();
    }

    /// Applies a committed change of voters; the configuration from there, to be made durable with its index.
    ///
    /// # Errors
    /// The entry does not decode, or Raft refuses it: the partition must stop.
    pub fn apply_conf_change(&mut self, entry: &Entry) -> Result<Voters, String> {
        let conf = match entry.kind {
            Kind::ConfChange => {
                let mut change = ConfChange::default();
                change.merge_from_bytes(&entry.payload).map_err(|error| error.to_string())?;
                self.raw.apply_conf_change(&change)
            }
            _ => {
                let mut change = ConfChangeV2::default();
                change.merge_from_bytes(&entry.payload).map_err(|error| error.to_string())?;
                // The leader and Raft by itself may both have put the end of a joint configuration into the log: the
                // second one ends nothing, on every replica alike.
                if change.changes.is_empty() && self.voters().voters_outgoing.is_empty() {
                    return Ok(self.voters());
                }
                self.raw.apply_conf_change(&change)
            }
        }
        .map_err(|error| error.to_string())?;
        self.raw.mut_store().set_conf(conf.clone());
        // A leader may find itself outside by a change that an earlier leader proposed; Raft would go on and then panic.
        let votes = [&conf.voters, &conf.voters_outgoing].iter().any(|half| half.contains(&self.raw.raft.id));
        if self.is_leader() && !votes {
            let term = self.raw.raft.term;
            self.raw.raft.become_follower(term, raft::INVALID_ID);
        }
        Ok(voters(&conf))
    }

    /// Whether it is the only voter, and there is no learner.
    fn is_alone(&self) -> bool {
        let conf = self.raw.store().conf();
        conf.voters == [self.raw.raft.id] && conf.voters_outgoing.is_empty() && conf.learners.is_empty()
    }

    /// The first index that the log holds for Raft.
    pub fn first_index(&self) -> Index {
        self.raw.store().first_index()
    }

    /// The log begins at `first` from here on; entries below it are applied.
    pub fn compact(&mut self, first: Index) {
        self.raw.mut_store().compact(first);
    }
}

#[cfg(test)]
mod tests;
