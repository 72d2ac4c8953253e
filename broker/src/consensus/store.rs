//! What Raft may ask of the log, answered from memory.
//!
//! The store holds the terms of all entries and, whole, the entries above `applied`: those are not settled, Raft may
//! still cut them, and the node still applies them. It never touches the disk: older entries that a follower needs are
//! asked for ([`Store::take_wanted`]) and come back later ([`Store::fetched`]).

use std::cell::RefCell;
use std::collections::VecDeque;

use raft::eraftpb::{self, ConfState, HardState};
use raft::{GetEntriesContext, RaftState, Storage, StorageError};

use super::context::{Before, from_raft, stub, to_raft};
use super::terms::Terms;
use crate::ids::{Index, Offset, ReplicaId, Term};
use crate::log::{Entry, LogStart, Voters};

/// What a replica starts from.
#[derive(Debug, Clone)]
pub struct Boot {
    /// This replica.
    pub replica: ReplicaId,
    /// The term, at least the last entry's.
    pub term: Term,
    /// The vote in it; 0 for none.
    pub vote: u64,
    /// The commit index.
    pub commit: Index,
    /// Everything up to here is applied and in `voters`; at most `commit`.
    pub applied: Index,
    /// The configuration at `applied`.
    pub voters: Voters,
    /// Where the log begins.
    pub start: LogStart,
    /// The last entry.
    pub last_index: Index,
    /// The first index of each term.
    pub terms: Vec<(Index, Term)>,
    /// The offset of the record behind the last entry.
    pub next_offset: Offset,
    /// The append time of the last entry.
    pub append_time: i64,
    /// The entries above `applied` that are not batches.
    pub entries: Vec<Entry>,
}

/// Raft's view of one partition's log.
pub(super) struct Store {
    hard_state: HardState,
    conf: ConfState,
    terms: Terms,
    /// Entries above `settled`, without gaps but for batches that were in the log at start.
    tail: VecDeque<Entry>,
    /// What the entry before the tail leaves behind.
    settled: Before,
    /// What the last entry leaves behind.
    end: Before,
    /// Settled entries that came from the disk for a follower; answered once more and forgotten.
    fetched: Vec<Entry>,
    /// Settled entries that Raft wants to send. Behind a cell because Raft asks through a shared reference.
    wanted: RefCell<Vec<Wanted>>,
}

/// Entries that are to be read from the disk, and Raft's reason.
pub(super) struct Wanted {
    pub(super) from: Index,
    /// The first one that is not wanted.
    pub(super) to: Index,
    pub(super) context: GetEntriesContext,
}

fn conf_state(voters: &Voters) -> ConfState {
    ConfState {
        voters: voters.voters.clone(),
        learners: voters.learners.clone(),
        voters_outgoing: voters.voters_outgoing.clone(),
        learners_next: voters.learners_next.clone(),
        auto_leave: voters.auto_leave,
        ..Default::default()
    }
}

pub(super) fn voters(conf: &ConfState) -> Voters {
    Voters {
        voters: conf.voters.clone(),
        learners: conf.learners.clone(),
        voters_outgoing: conf.voters_outgoing.clone(),
        learners_next: conf.learners_next.clone(),
        auto_leave: conf.auto_leave,
    }
}

impl Store {
    pub(super) fn new(boot: Boot) -> Store {
        let hard_state =
            HardState { term: boot.term.0, vote: boot.vote, commit: boot.commit.0, ..Default::default() };
        let end = Before { next_offset: boot.next_offset, append_time: boot.append_time };
        Store {
            hard_state,
            conf: conf_state(&boot.voters),
            terms: Terms::new(boot.start.first_index, boot.start.prev_term, boot.last_index, boot.terms),
            tail: boot.entries.into(),
            settled: end,
            end,
            fetched: Vec::new(),
            wanted: RefCell::new(Vec::new()),
        }
    }

    pub(super) fn last_index(&self) -> Index {
        self.terms.last()
    }

    /// The offset that the next record takes, behind everything that is in the log.
    pub(super) fn next_offset(&self) -> Offset {
        self.end.next_offset
    }

    pub(super) fn append_time(&self) -> i64 {
        self.end.append_time
    }

    pub(super) fn set_conf(&mut self, conf: ConfState) {
        self.conf = conf;
    }

    /// Takes entries of a `Ready`, cutting what they replace; gives them back as the log writes them.
    pub(super) fn append(&mut self, raft: &[eraftpb::Entry]) -> Result<Vec<Entry>, String> {
        let mut entries = Vec::with_capacity(raft.len());
        for raft in raft {
            let index = Index(raft.index);
            if index <= self.terms.last() {
                self.truncate(index);
            }
            let entry = from_raft(raft, self.end)
                .ok_or_else(|| format!("entry {index} carries a context that this version does not know"))?;
            if entry.base_offset != self.end.next_offset {
                return Err(format!(
                    "entry {index} begins at offset {}, the log goes on at {}",
                    entry.base_offset, self.end.next_offset
                ));
            }
            self.terms.push(index, entry.term);
            self.end = Before::of(&entry);
            self.tail.push_back(entry.clone());
            entries.push(entry);
        }
        Ok(entries)
    }

    fn truncate(&mut self, from: Index) {
        while self.tail.back().is_some_and(|entry| entry.index >= from) {
            self.tail.pop_back();
        }
        self.terms.truncate(from);
        self.end = self.tail.back().map_or(self.settled, Before::of);
    }

    /// The entries up to `to` are applied: gives back those of the tail and forgets them.
    pub(super) fn settle(&mut self, to: Index) -> Vec<Entry> {
        let count = self.tail.partition_point(|entry| entry.index <= to);
        if let Some(last) = count.checked_sub(1).and_then(|last| self.tail.get(last)) {
            self.settled = Before::of(last);
        }
        self.tail.drain(..count).collect()
    }

    /// The offset behind the entry at `index`, where `index` is `applied` or above.
    pub(super) fn offset_after(&self, index: Index) -> Offset {
        let count = self.tail.partition_point(|entry| entry.index <= index);
        count
            .checked_sub(1)
            .and_then(|last| self.tail.get(last))
            .map_or(self.settled.next_offset, Entry::next_offset)
    }

    /// The log begins at `first` from here on.
    pub(super) fn compact(&mut self, first: Index) {
        self.terms.compact(first);
    }

    /// What Raft asked for and did not get.
    pub(super) fn take_wanted(&mut self) -> Vec<Wanted> {
        self.wanted.take()
    }

    pub(super) fn has_wanted(&self) -> bool {
        !self.wanted.borrow().is_empty()
    }

    /// Entries from the disk. Those that have been cut since are of no use and dropped.
    pub(super) fn fetched(&mut self, entries: Vec<Entry>) {
        self.fetched = entries;
        self.fetched.retain(|entry| self.terms.get(entry.index) == Some(entry.term));
    }

    pub(super) fn forget_fetched(&mut self) {
        self.fetched = Vec::new();
    }

    fn find(&self, index: u64) -> Option<&Entry> {
        let at = self.tail.partition_point(|entry| entry.index.0 < index);
        self.tail.get(at).filter(|entry| entry.index.0 == index)
    }

    fn find_to_send(&self, index: u64) -> Option<&Entry> {
        self.find(index).or_else(|| self.fetched.iter().find(|entry| entry.index.0 == index))
    }
}

impl Storage for Store {
    fn initial_state(&self) -> raft::Result<RaftState> {
        Ok(RaftState::new(self.hard_state.clone(), self.conf.clone()))
    }

    fn entries(
        &self,
        low: u64,
        high: u64,
        max_size: impl Into<Option<u64>>,
        context: GetEntriesContext,
    ) -> raft::Result<Vec<eraftpb::Entry>> {
        if low < self.terms.first().0 {
            return Err(StorageError::Compacted.into());
        }
        if high > self.terms.last().0 + 1 {
            return Err(StorageError::Unavailable.into());
        }
        let max_size = max_size.into().unwrap_or(u64::MAX);
        let (mut entries, mut size) = (Vec::new(), 0u64);
        for index in low..high {
            let entry = if context.can_async() {
                match self.find_to_send(index) {
                    Some(entry) => to_raft(entry),
                    None if entries.is_empty() => {
                        self.wanted.borrow_mut().push(Wanted { from: Index(low), to: Index(high), context });
                        return Err(StorageError::LogTemporarilyUnavailable.into());
                    }
                    None => break,
                }
            } else {
                match self.find(index) {
                    Some(entry) => stub(entry),
                    None => eraftpb::Entry { index, term: self.term(index)?, ..Default::default() },
                }
            };
            size += (entry.data.len() + entry.context.len() + 24) as u64;
            if size > max_size && !entries.is_empty() {
                break;
            }
            entries.push(entry);
        }
        Ok(entries)
    }

    fn term(&self, index: u64) -> raft::Result<u64> {
        match self.terms.get(Index(index)) {
            Some(term) => Ok(term.0),
            None if index < self.terms.first().0 => Err(StorageError::Compacted.into()),
            None => Err(StorageError::Unavailable.into()),
        }
    }

    fn first_index(&self) -> raft::Result<u64> {
        Ok(self.terms.first().0)
    }

    fn last_index(&self) -> raft::Result<u64> {
        Ok(self.terms.last().0)
    }

    fn snapshot(&self, _request_index: u64, _to: u64) -> raft::Result<eraftpb::Snapshot> {
        Err(StorageError::SnapshotTemporarilyUnavailable.into())
    }
}
