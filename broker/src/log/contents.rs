//! What a segment holds, folded frame by frame: by the writer as it writes, by a scan as it reads.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use super::damage::Hole;
use super::index::{IndexEntry, SparseIndex};
use super::producers::{ProducerFold, ProducerFrame};
use super::segment::SEGMENT_HEADER_BYTES;
use super::time_index::{TimeEntry, TimeIndex};
use super::{FrameHeader, Kind, Tip};
use crate::ids::{Index, Position, Term};

/// The two indexes of a segment. The writer adds to them while readers look things up.
#[derive(Debug, Default)]
pub(super) struct Indexes(RwLock<(SparseIndex, TimeIndex)>);

impl Indexes {
    pub(super) fn new(sparse: SparseIndex, time: TimeIndex) -> Indexes {
        Indexes(RwLock::new((sparse, time)))
    }

    /// Both, to look something up. Held for a binary search.
    pub(super) fn read(&self) -> RwLockReadGuard<'_, (SparseIndex, TimeIndex)> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, entry: IndexEntry, timestamp: Option<i64>) {
        let mut indexes = self.0.write().unwrap_or_else(PoisonError::into_inner);
        indexes.0.push(entry);
        if let Some(timestamp) = timestamp {
            indexes.1.push(TimeEntry { timestamp, position: entry.position });
        }
    }
}

/// An entry that is not a batch, and where its frame begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OtherEntry {
    pub(super) index: Index,
    pub(super) kind: Kind,
    pub(super) position: Position,
}

/// What the frames of a segment, from its first on, add up to.
#[derive(Debug, Clone)]
pub(super) struct Contents {
    /// What lies before the first frame.
    pub(super) base: Tip,
    /// What the last frame leaves behind.
    pub(super) tip: Tip,
    /// Where the last frame begins, if there is one.
    pub(super) last_position: Option<u64>,
    /// Where the next frame begins.
    pub(super) end: u64,
    /// The append time of the first entry that a leader took from someone; Raft's own repeat that of the entry before.
    pub(super) first_append_time: Option<i64>,
    /// The largest timestamp of a record, if there is one.
    pub(super) max_timestamp: Option<i64>,
    /// The first index of each term that begins here.
    pub(super) terms: Vec<(Index, Term)>,
    /// The entries that are not batches.
    pub(super) others: Vec<OtherEntry>,
    /// The producers, from the beginning of the log on.
    pub(super) producers: ProducerFold,
    /// Damaged entries.
    pub(super) holes: Vec<Hole>,
    /// Where frames begin.
    pub(super) indexes: Arc<Indexes>,
    /// The first frame from here on gets an index entry.
    pub(super) due: u64,
    /// The next frame gets an index entry wherever it is: it lies behind a hole.
    pub(super) forced: bool,
}

impl Contents {
    /// Nothing yet, behind `base` and the producers before it.
    pub(super) fn empty(base: Tip, producers: ProducerFold) -> Contents {
        Contents {
            base,
            tip: base,
            last_position: None,
            end: SEGMENT_HEADER_BYTES,
            first_append_time: None,
            max_timestamp: None,
            terms: Vec::new(),
            others: Vec::new(),
            producers,
            holes: Vec::new(),
            indexes: Arc::default(),
            due: SEGMENT_HEADER_BYTES,
            forced: false,
        }
    }

    /// What a footer remembers, to go on from there.
    pub(super) fn resume(self, indexes: Arc<Indexes>) -> Contents {
        let due =
            indexes.read().0.entries().last().map_or(0, |last| last.position.0 + super::INDEX_STEP_BYTES);
        Contents { indexes, due, ..self }
    }

    /// Whether there is no frame.
    pub(super) fn is_empty(&self) -> bool {
        self.end == SEGMENT_HEADER_BYTES
    }

    /// The first index that the segment holds or will hold.
    pub(super) fn first_index(&self) -> Index {
        self.base.index.next()
    }

    /// Takes the frame at `end`, with the payload it came with.
    pub(super) fn push(&mut self, header: &FrameHeader, payload: &[u8]) {
        let position = Position(self.end);
        self.push_header(header);
        if header.count > 0 {
            self.max_timestamp = Some(self.max_timestamp.unwrap_or(i64::MIN).max(header.max_timestamp));
        }
        match ProducerFrame::of(header, payload) {
            Some(batch) => self.producers.push(batch),
            None if header.kind != Kind::Batch => {
                self.others.push(OtherEntry { index: header.index, kind: header.kind, position });
            }
            None => {}
        }
    }

    /// Takes the frame at `end`, whose payload is damaged.
    pub(super) fn push_damaged(&mut self, header: &FrameHeader) {
        self.holes.push(Hole {
            first_index: header.index,
            last_index: header.index,
            first_offset: header.base_offset,
            next_offset: header.next_offset(),
        });
        self.push_header(header);
    }

    /// Skips what cannot be read: the frame `next` begins at `position` behind it.
    pub(super) fn skip_to(&mut self, next: &FrameHeader, position: u64) {
        self.holes.push(Hole {
            first_index: self.tip.index.next(),
            last_index: next.index.prev(),
            first_offset: self.tip.next_offset,
            next_offset: next.base_offset,
        });
        self.tip = Tip {
            index: next.index.prev(),
            term: self.tip.term,
            next_offset: next.base_offset,
            append_time: self.tip.append_time,
            chain: next.prev,
        };
        self.end = position;
        self.forced = true;
    }

    /// Everything up to `next`, what lies before the following segment, is missing or damaged.
    pub(super) fn skip_rest(&mut self, next: &Tip) {
        self.holes.push(Hole {
            first_index: self.tip.index.next(),
            last_index: next.index,
            first_offset: self.tip.next_offset,
            next_offset: next.next_offset,
        });
        self.tip = *next;
    }

    fn push_header(&mut self, header: &FrameHeader) {
        if self.end >= self.due || self.forced {
            let entry =
                IndexEntry { index: header.index, offset: header.base_offset, position: Position(self.end) };
            self.indexes.push(entry, self.max_timestamp);
            self.due = self.end + super::INDEX_STEP_BYTES;
            self.forced = false;
        }
        if header.term > self.tip.term {
            self.terms.push((header.index, header.term));
        }
        if !matches!(header.kind, Kind::Noop | Kind::ConfChange | Kind::ConfChangeV2) {
            self.first_append_time.get_or_insert(header.append_time);
        }
        self.last_position = Some(self.end);
        self.end += header.frame_bytes();
        self.tip = Tip::of(header);
    }
}
