//! The writer of a log: takes entries in order, writes them as far as no gate is closed.
//!
//! Three gates hold entries back, in memory, until a round of the disk opens them:
//! * a full segment is synced and sealed before the first frame of the next one is written;
//! * the next segment exists, durably, before it is used;
//! * a truncation waits until no durable mark speaks of what it overwrites.

mod cut;
mod plan;
mod roll;
mod room;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;

use self::cut::Cut;
use self::plan::Planned;
use super::gather::Gather;
use super::reader::Reader;
use super::segment::{Active, SegmentHeader};
use super::shared::Shared;
use super::{
    Entry, FRAME_HEADER_BYTES, Fatal, FrameHeader, Fs, Kind, LogStart, OffsetRange, SegmentFacts, Tip,
    is_no_space,
};
use crate::ids::{Index, Offset, PartitionId, Term};
use crate::limits::RECENT_TAIL_BYTES;

pub(super) use plan::Mark;
pub(super) use roll::{Next, Prepared};
pub use room::NoSpace;

/// What of a topic's configuration concerns its logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogConfig {
    /// A segment file grows to so many bytes.
    pub segment_bytes: u64,
    /// A segment is sealed so long after its first entry that is not Raft's own, in ms.
    pub segment_ms: i64,
}

/// A log, for its one writer. [`Log::reader`] gives handles for readers.
pub struct Log {
    pub(super) fs: Arc<dyn Fs>,
    pub(super) dir: PathBuf,
    pub(super) partition: PartitionId,
    pub(super) config: LogConfig,
    pub(super) shared: Arc<Shared>,
    pub(super) start: LogStart,
    pub(super) active: Active,
    pub(super) next: Next,
    /// Entries taken and not written: a gate is closed.
    pub(super) waiting: VecDeque<Entry>,
    pub(super) waiting_bytes: u64,
    /// Bytes that room was taken for and that are not appended yet.
    pub(super) reserved: u64,
    /// What the last entry taken leaves behind; its chain value is meaningless while entries wait.
    pub(super) appended: Tip,
    pub(super) cut: Option<Cut>,
    /// The active segment shall be sealed as soon as that can be.
    pub(super) roll: bool,
    pub(super) synced: Index,
    pub(super) truncations: u64,
    /// The first index of each term in the log.
    pub(super) terms: Vec<(Index, Term)>,
    pub(super) mark: Mark,
    pub(super) planned: Option<Planned>,
    pub(super) start_changed: bool,
    /// Entries up to here are not needed by this node's state machine.
    pub(super) applied: Index,
    pub(super) removals: Vec<PathBuf>,
    /// The producers before where the log begins, until they are written down: no record says before that it begins there.
    pub(super) producers_before: Option<super::producers::ProducerFold>,
    pub(super) recent: Recent,
    pub(super) gather: Gather,
    pub(super) lost_end: bool,
}

/// Where the recent tail begins: bytes that this process wrote, the last [`RECENT_TAIL_BYTES`].
#[derive(Default)]
pub(super) struct Recent {
    /// An offset, and the bytes written before it, for each write.
    points: VecDeque<(Offset, u64)>,
    written: u64,
}

/// Bytes between two points of the recent tail.
const RECENT_STEP_BYTES: u64 = RECENT_TAIL_BYTES / 64;

impl Recent {
    /// Takes a write that began at `offset`; says where the tail begins if that changed.
    fn push(&mut self, offset: Offset, bytes: u64) -> Option<Offset> {
        if self.points.back().is_none_or(|&(_, before)| self.written - before >= RECENT_STEP_BYTES) {
            self.points.push_back((offset, self.written));
        }
        self.written += bytes;
        let mut moved = None;
        while self.points.len() > 1 && self.written - self.points[0].1 > RECENT_TAIL_BYTES {
            self.points.pop_front();
            moved = self.points.front().map(|&(offset, _)| offset);
        }
        moved
    }
}

impl Log {
    /// Takes entries: contiguous, the first at most one behind the last.
    ///
    /// Where the first lies lower, what is there from its index on is cut; entries below the readers' end must not
    /// be. Writes what no gate holds back, with one `pwritev` for each segment.
    ///
    /// # Errors
    /// A failed write; entries that do not follow each other; a log with a lost end.
    pub fn append(&mut self, entries: &[Entry]) -> Result<(), Fatal> {
        let Some(first) = entries.first() else { return Ok(()) };
        if self.lost_end {
            return Err(self.broken("the end of this log is lost: it takes no entries"));
        }
        if first.index <= self.appended.index {
            self.truncate(first.index)?;
        }
        for entry in entries {
            self.check(entry)?;
            self.appended = Tip {
                index: entry.index,
                term: entry.term,
                next_offset: entry.next_offset(),
                append_time: entry.append_time,
                chain: self.appended.chain,
            };
        }
        let bytes: u64 = entries.iter().map(frame_bytes).sum();
        self.reserved = self.reserved.saturating_sub(bytes);
        let written = if self.waiting.is_empty() && self.cut.is_none() { self.write(entries)? } else { 0 };
        for entry in &entries[written..] {
            self.waiting_bytes += frame_bytes(entry);
            self.waiting.push_back(entry.clone());
        }
        self.advance()
    }

    /// The last entry written: every one up to it is in the file, and in the kernel's cache at least.
    pub fn written(&self) -> Index {
        let tip = self.active.contents.tip.index;
        self.cut.as_ref().map_or(tip, |cut| tip.min(cut.from.prev()))
    }

    /// [`Log::written`], and its term.
    pub fn last_written(&self) -> (Index, Term) {
        let index = self.written();
        (index, self.term_of(index))
    }

    /// The number of the segment that is written to.
    pub fn sequence(&self) -> u64 {
        self.active.sequence
    }

    /// The last entry covered by a completed sync.
    pub fn synced(&self) -> Index {
        self.synced
    }

    /// How often the log was truncated. A sync begun before a truncation does not raise [`Log::synced`] past it.
    pub fn truncations(&self) -> u64 {
        self.truncations
    }

    /// Where the log begins.
    pub fn start(&self) -> LogStart {
        self.start
    }

    /// What the last entry taken leaves behind, written or waiting.
    pub fn last(&self) -> (Index, Term, Offset) {
        (self.appended.index, self.appended.term, self.appended.next_offset)
    }

    /// The chain value of the last entry written.
    pub fn chain(&self) -> u32 {
        self.active.contents.tip.chain
    }

    /// The damaged offsets that are known.
    pub fn damage(&self) -> Vec<OffsetRange> {
        self.shared.damage().ranges().to_vec()
    }

    /// The segments, from the oldest; the last one is active.
    pub fn segments(&self) -> Vec<SegmentFacts> {
        let segments = self.shared.segments();
        let mut facts: Vec<_> = segments.sealed.iter().map(|sealed| sealed.facts).collect();
        facts.push(self.active.facts());
        facts
    }

    /// How many segments there are.
    pub fn segments_len(&self) -> usize {
        self.shared.segments().sealed.len() + 1
    }

    /// A handle for readers; it stays valid over rolls and retention.
    pub fn reader(&self) -> Reader {
        Reader::new(self.shared.clone())
    }

    /// Takes a new configuration; it holds from the next entry on.
    pub fn set_config(&mut self, config: LogConfig) {
        self.config = config;
    }

    /// Writes waiting entries as far as no gate is closed, opening those that need no round.
    pub(super) fn advance(&mut self) -> Result<(), Fatal> {
        loop {
            if self.cut.is_some() {
                return Ok(());
            }
            if self.roll && self.next.is_ready() && !self.seal()? {
                return Ok(());
            }
            if self.waiting.is_empty() {
                return Ok(());
            }
            let mut waiting = std::mem::take(&mut self.waiting);
            let written = self.write(waiting.make_contiguous());
            self.waiting = waiting;
            let written = written?;
            for entry in self.waiting.drain(..written) {
                self.waiting_bytes -= frame_bytes(&entry);
            }
            let Some(next) = self.waiting.front() else { continue };
            if self.active.fits(frame_bytes(next), self.limit()) && !self.roll {
                return Ok(()); // no room on the disk
            }
            self.roll = true;
            if !self.next.is_ready() {
                return Ok(());
            }
        }
    }

    /// Writes as many of the entries as the active segment takes; says how many.
    fn write(&mut self, entries: &[Entry]) -> Result<usize, Fatal> {
        if self.roll && self.next.is_ready() {
            return Ok(0);
        }
        let limit = self.limit();
        let mut bytes = 0;
        let mut count = 0;
        for entry in entries {
            let frame = frame_bytes(entry);
            if !self.active.fits(bytes + frame, limit) {
                break;
            }
            bytes += frame;
            count += 1;
        }
        if count == 0 && self.active.contents.is_empty() {
            // Larger than a whole segment: it gets one of its own.
            let Some(first) = entries.first() else { return Ok(0) };
            bytes = frame_bytes(first);
            count = 1;
            let end = self.active.contents.end + bytes;
            self.active.remap(end).map_err(|error| Fatal::file("map", &self.active.path, error))?;
            self.publish_active();
        }
        if count == 0 {
            return Ok(0);
        }
        match self.active.reserve(self.active.contents.end + bytes, limit) {
            Ok(()) => {}
            // Room was not taken before, or not enough: entries wait in memory until there is some.
            Err(error) if is_no_space(&error) => return Ok(0),
            Err(error) => return Err(Fatal::file("allocation", &self.active.path, error)),
        }
        let (offset, terms) = (entries[0].base_offset, self.active.contents.terms.len());
        self.active
            .write(&mut self.gather, &entries[..count])
            .map_err(|error| Fatal::file("write", &self.active.path, error))?;
        self.gather.clear();
        self.terms.extend_from_slice(&self.active.contents.terms[terms..]);
        if let Some(from) = self.recent.push(offset, bytes) {
            self.shared.set_recent_from(from);
        }
        Ok(count)
    }

    /// Bytes that the active segment's file may have.
    pub(super) fn limit(&self) -> u64 {
        self.config.segment_bytes
    }

    pub(super) fn header(&self, sequence: u64) -> SegmentHeader {
        SegmentHeader { partition: self.partition, generation: self.start.generation, sequence }
    }

    /// The term of an entry in the log, or of the one before the first.
    pub(super) fn term_of(&self, index: Index) -> Term {
        let at = self.terms.partition_point(|&(first, _)| first <= index);
        at.checked_sub(1).map_or(self.start.prev_term, |at| self.terms[at].1)
    }

    pub(super) fn broken(&self, what: &str) -> Fatal {
        Fatal::new("append", format!("partition {}", self.partition), std::io::Error::other(what))
    }

    fn check(&self, entry: &Entry) -> Result<(), Fatal> {
        let wrong = if entry.index != self.appended.index.next() {
            "index"
        } else if entry.term < self.appended.term {
            "term"
        } else if entry.base_offset < self.appended.next_offset {
            "base offset"
        } else if entry.append_time < self.appended.append_time {
            "append time"
        } else if (entry.count > 0) != (entry.kind == Kind::Batch) {
            "count"
        } else if entry.kind == Kind::Batch && entry.payload.len() < super::frame::BATCH_HEADER_BYTES
            || u32::try_from(entry.payload.len()).is_err()
        {
            "payload length"
        } else {
            return Ok(());
        };
        Err(self.broken(&format!(
            "the {wrong} of entry {} does not follow entry {:?}",
            entry.index, self.appended
        )))
    }
}

/// Bytes of an entry's frame.
fn frame_bytes(entry: &Entry) -> u64 {
    (FRAME_HEADER_BYTES + entry.payload.len()) as u64
}

/// The chain value of an entry that follows `prev`, without writing it: for comparing replicas.
pub fn chain_of(entry: &Entry, prev: u32) -> u32 {
    FrameHeader::of(entry, prev).crc
}

#[cfg(test)]
mod tests;
