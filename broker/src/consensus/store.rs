//! What Raft may ask of the log, answered from memory.
//!
//! The store holds the terms of all entries and, whole, the entries above `applied`: Raft may still cut them, and the
//! node still applies them; a leader keeps some of those before for followers that are a little behind. It never touches the disk: older entries that a follower needs are
//! asked for ([`Store::take_wanted`]) and come back later ([`Store::fetched`]).

use std::cell::RefCell;
use std::collections::{BTreeSet, VecDeque};

use raft::eraftpb::{self, ConfState, HardState};
use raft::{GetEntriesContext, RaftState, Storage, StorageError};

use super::context::{from_raft, stub, to_raft};
use super::places::Places;
use super::recent::Recent;
use super::terms::Terms;
use super::wire::conf_state;
use crate::ids::{Index, Offset, PartitionId, ReplicaId, Term};
use crate::log::{BATCH_HEADER_BYTES, Entry, Kind, LogStart, Place, Voters};

/// What a replica starts from.
#[derive(Debug, Clone)]
pub struct Boot {
    /// Whose it is.
    pub partition: PartitionId,
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
    /// What the entries from `commit` to the last leave behind, that of `commit` first.
    pub places: Vec<Place>,
    /// The entries above `applied` that are not batches.
    pub entries: Vec<Entry>,
}

/// Raft's view of one partition's log.
pub(super) struct Store {
    hard_state: HardState,
    conf: ConfState,
    terms: Terms,
    /// Entries above `applied`, without gaps but for batches that were in the log at start.
    tail: VecDeque<Entry>,
    /// Where the entries above commit end.
    places: Places,
    /// Applied entries that a follower may still need.
    recent: Recent,
    /// Settled entries that came from the disk for a follower; answered once more and forgotten.
    fetched: Vec<Entry>,
    /// Chain values that came with them, until the messages are out that need them.
    read_chains: Vec<(Index, u32)>,
    /// Settled entries that Raft wants to send. Behind a cell because Raft asks through a shared reference.
    wanted: RefCell<Vec<Wanted>>,
    /// The first index of each read that is asked for or under way.
    reading: RefCell<BTreeSet<Index>>,
}

/// Entries that are to be read from the disk, and Raft's reason.
pub(super) struct Wanted {
    pub(super) from: Index,
    /// The first one that is not wanted.
    pub(super) to: Index,
    pub(super) context: GetEntriesContext,
}

impl Store {
    pub(super) fn new(boot: Boot) -> Store {
        let hard_state =
            HardState { term: boot.term.0, vote: boot.vote, commit: boot.commit.0, ..Default::default() };
        let places = Places::new(boot.commit, &boot.places);
        Store {
            hard_state,
            conf: conf_state(&boot.voters),
            terms: Terms::new(boot.start.first_index, boot.start.prev_term, boot.last_index, boot.terms),
            tail: boot.entries.into(),
            places,
            recent: Recent::default(),
            fetched: Vec::new(),
            read_chains: Vec::new(),
            wanted: RefCell::new(Vec::new()),
            reading: RefCell::new(BTreeSet::new()),
        }
    }

    pub(super) fn last_index(&self) -> Index {
        self.terms.last()
    }

    pub(super) fn term_of(&self, index: Index) -> Option<Term> {
        self.terms.get(index)
    }

    /// The offset that the next record takes, behind everything that is in the log.
    pub(super) fn next_offset(&self) -> Offset {
        self.places.end().next_offset
    }

    pub(super) fn append_time(&self) -> i64 {
        self.places.end().append_time
    }

    pub(super) fn set_conf(&mut self, conf: ConfState) {
        self.conf = conf;
    }

    /// The configuration in force.
    pub(super) fn conf(&self) -> &ConfState {
        &self.conf
    }

    /// Takes entries of a `Ready`, cutting what they replace; gives them back as the log writes them.
    pub(super) fn append(&mut self, raft: &[eraftpb::Entry]) -> Result<Vec<Entry>, String> {
        let mut entries = Vec::with_capacity(raft.len());
        for raft in raft {
            let index = Index(raft.index);
            if index <= self.terms.last() {
                self.truncate(index);
            }
            let before = self.places.end();
            let entry = from_raft(raft, before)
                .ok_or_else(|| format!("entry {index} carries a context that this version does not know"))?;
            let left_out = entry.kind == Kind::Loss && entry.base_offset > before.next_offset;
            if entry.base_offset != before.next_offset && !left_out {
                return Err(format!(
                    "entry {index} begins at offset {}, the log goes on at {}",
                    entry.base_offset, before.next_offset
                ));
            }
            if entry.kind == Kind::Batch && entry.payload.len() < BATCH_HEADER_BYTES {
                return Err(format!("entry {index} is a batch of {} bytes", entry.payload.len()));
            }
            self.terms.push(index, entry.term);
            self.places.push(before.then(&entry));
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
        self.places.truncate(from);
    }

    /// The entries up to `to` are applied: gives back those of the tail. `keep` says that followers may need them.
    pub(super) fn settle(&mut self, to: Index, keep: bool) -> Vec<Entry> {
        let count = self.tail.partition_point(|entry| entry.index <= to);
        let settled: Vec<Entry> = self.tail.drain(..count).collect();
        if keep {
            for entry in &settled {
                self.recent.push(entry, self.places.chain(entry.index));
            }
        } else {
            self.recent.clear();
        }
        self.places.settle(to);
        settled
    }

    /// The offset behind the entry at `index`, which is committed and not below the last one applied.
    pub(super) fn offset_after(&self, index: Index) -> Offset {
        self.places.after(index).next_offset
    }

    /// The chain value of an entry, if the log has that entry and its chain value is in memory.
    pub(super) fn chain(&self, index: Index, term: Term) -> Option<u32> {
        if self.terms.get(index) != Some(term) {
            return None;
        }
        let read = || self.read_chains.iter().find(|(of, _)| *of == index).map(|(_, chain)| *chain);
        self.places.chain(index).or_else(|| self.recent.chain(index)).or_else(read)
    }

    /// Messages that needed chain values from the disk are out.
    pub(super) fn forget_chains(&mut self) {
        self.read_chains = Vec::new();
    }

    /// The log begins at `first` from here on.
    pub(super) fn compact(&mut self, first: Index) {
        self.terms.compact(first);
    }

    /// The first index that the log holds.
    pub(super) fn first_index(&self) -> Index {
        self.terms.first()
    }

    /// What Raft asked for and did not get.
    pub(super) fn take_wanted(&mut self) -> Vec<Wanted> {
        self.wanted.take()
    }

    pub(super) fn has_wanted(&self) -> bool {
        !self.wanted.borrow().is_empty()
    }

    /// Entries from the disk, from `from` on, and the chain value before them. Those that have been cut since are of no
    /// use and dropped.
    pub(super) fn fetched(&mut self, from: Index, prev: Option<u32>, entries: Vec<Entry>) {
        self.reading.borrow_mut().remove(&from);
        self.fetched = entries;
        self.fetched.retain(|entry| self.terms.get(entry.index) == Some(entry.term));
        if let Some(prev) = prev
            && self.fetched.first().is_some_and(|first| first.index == from)
        {
            self.read_chains.push((from.prev(), prev));
        }
    }

    pub(super) fn forget_fetched(&mut self) {
        self.fetched = Vec::new();
    }

    fn find(&self, index: u64) -> Option<&Entry> {
        let at = self.tail.partition_point(|entry| entry.index.0 < index);
        self.tail.get(at).filter(|entry| entry.index.0 == index)
    }

    fn find_to_send(&self, index: u64) -> Option<&Entry> {
        self.find(index)
            .or_else(|| self.recent.get(Index(index)))
            .or_else(|| self.fetched.iter().find(|entry| entry.index.0 == index))
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
                        // Raft asks again with every sign of life of the follower.
                        if self.reading.borrow_mut().insert(Index(low)) {
                            let (from, to) = (Index(low), Index(high));
                            self.wanted.borrow_mut().push(Wanted { from, to, context });
                        }
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

    /// The place before the log's first entry, with the voters in force: what has been applied since then and is no
    /// part of the log any more travels beside, and entries that a replica has applied with it are not applied again.
    fn snapshot(&self, _request_index: u64, _to: u64) -> raft::Result<eraftpb::Snapshot> {
        let before = self.terms.first().prev();
        let term = self.terms.get(before).ok_or(StorageError::SnapshotTemporarilyUnavailable)?;
        let mut snapshot = eraftpb::Snapshot::default();
        let metadata = snapshot.mut_metadata();
        (metadata.index, metadata.term) = (before.0, term.0);
        metadata.set_conf_state(self.conf.clone());
        Ok(snapshot)
    }
}
