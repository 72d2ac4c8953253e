//! Reads a log, beside its writer: whole batches for consumers, entries for Raft, offsets by time.
//!
//! Consumers get slices of the map, only of bytes below the end that the caller gives. Raft gets copies.

mod by_time;
mod entries;
mod walk;

use std::io;
use std::sync::Arc;

use bytes::Bytes;

use self::walk::{Step, Walk};
use super::OffsetRange;
use super::scan::ScanError;
use super::shared::{Segments, Shared, View};
use crate::ids::{Index, Offset};

/// A handle for readers; it stays valid over rolls and retention. Cheap to clone.
#[derive(Clone)]
pub struct Reader {
    shared: Arc<Shared>,
}

/// What a read gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadBatches {
    /// Whole batches in order, each a slice of the map.
    pub batches: Vec<Bytes>,
    /// Where to go on.
    pub next_offset: Offset,
    /// Bytes of all batches.
    pub bytes: usize,
}

/// Why a read gives nothing.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Stored bytes do not validate. What lies before and behind can be read.
    #[error("offsets {first}..={last} are damaged")]
    Damaged {
        /// The first damaged offset.
        first: Offset,
        /// The last one.
        last: Offset,
    },
    /// An entry that Raft asks for is damaged.
    #[error("entry {index} is damaged")]
    DamagedEntry {
        /// Its index.
        index: Index,
    },
    /// Below what the log holds.
    #[error("the log begins at offset {log_start}, entry {first_index}")]
    BelowStart {
        /// The first offset there is.
        log_start: Offset,
        /// The first entry there is.
        first_index: Index,
    },
    /// A file cannot be opened, mapped or read.
    #[error("reading a segment failed: {0}")]
    Io(#[from] io::Error),
}

impl From<ScanError> for ReadError {
    fn from(error: ScanError) -> ReadError {
        match error {
            ScanError::Io(error) => ReadError::Io(error),
            other => ReadError::Io(io::Error::other(other.to_string())),
        }
    }
}

impl Reader {
    pub(super) fn new(shared: Arc<Shared>) -> Reader {
        Reader { shared }
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Whole batches from the one that contains `from`, or else the next one, all below `end`: about `max_bytes`, but
    /// at least one batch.
    ///
    /// `end` is what the caller may show, at most the committed end; bytes behind it are not handed out. With `verify`
    /// each payload's checksum is checked too: always, but for the [recent tail](Reader::is_recent).
    ///
    /// # Errors
    /// The first batch is damaged (the range is marked), `from` lies below the log's start, or the file system fails.
    pub fn read(
        &self,
        from: Offset,
        end: Offset,
        max_bytes: usize,
        verify: bool,
    ) -> Result<ReadBatches, ReadError> {
        let mut segments = self.shared.segments();
        let mut out = ReadBatches { batches: Vec::new(), next_offset: from, bytes: 0 };
        let mut reloaded = false;
        while out.next_offset < end && (out.bytes < max_bytes || out.batches.is_empty()) {
            if from < segments.log_start {
                return Err(below_start(&segments));
            }
            let view = match self.view(&segments, out.next_offset) {
                Ok(Some(view)) => view,
                // The segments have changed since: rolled, or dropped by retention.
                _ if !reloaded => {
                    reloaded = true;
                    segments = self.shared.segments();
                    continue;
                }
                Ok(None) => break,
                Err(_) if !out.batches.is_empty() => break,
                Err(error) => return Err(error),
            };
            if !self.read_segment(&view, end, max_bytes, verify, &mut out)? {
                break;
            }
        }
        Ok(out)
    }

    /// Whether the bytes from an offset on were written lately by this process: they are in the cache, so the shard's
    /// own thread may read them, and they need no check.
    pub fn is_recent(&self, from: Offset) -> bool {
        from >= self.shared.recent_from()
    }

    /// The damaged offsets that are known.
    pub fn damage(&self) -> Vec<OffsetRange> {
        self.shared.damage().ranges().to_vec()
    }

    /// Bytes of the frames that the log holds.
    pub fn bytes(&self) -> u64 {
        let segments = self.shared.segments();
        let sealed: u64 = segments.sealed.iter().map(|sealed| sealed.facts.bytes).sum();
        sealed + segments.active.end() - super::segment::SEGMENT_HEADER_BYTES
    }

    /// The segment with a record at or behind an offset; `None` when none has one.
    fn view(&self, segments: &Segments, offset: Offset) -> Result<Option<View>, ReadError> {
        if let Some(sealed) = segments.sealed_with(offset) {
            return Ok(Some(self.shared.load(sealed)?));
        }
        let view = segments.live();
        Ok((offset < view.next_offset).then_some(view))
    }

    /// Adds a segment's batches; says whether the next segment is to be read too.
    fn read_segment(
        &self,
        view: &View,
        end: Offset,
        max_bytes: usize,
        verify: bool,
        out: &mut ReadBatches,
    ) -> Result<bool, ReadError> {
        let known = self.shared.damage().clone();
        let damaged = |from: Offset, to: Offset| known.from(from).filter(|range| range.first < to);
        let mut walk = Walk::from_offset(view, out.next_offset, verify);
        while out.next_offset < end && (out.bytes < max_bytes || out.batches.is_empty()) {
            let bad = match walk.step(end)? {
                Step::End => {
                    // Nothing of the segment is left below `end`.
                    let next = view.next_offset.min(end);
                    let Some(range) = damaged(out.next_offset, next) else {
                        out.next_offset = out.next_offset.max(next);
                        return Ok(true);
                    };
                    range
                }
                Step::Frame { header, .. }
                    if header.count == 0 || header.next_offset() <= out.next_offset =>
                {
                    continue;
                }
                Step::Frame { header, .. } if header.next_offset() > end => {
                    out.next_offset = out.next_offset.max(header.base_offset.min(end));
                    return Ok(false);
                }
                Step::Frame { header, position } => match damaged(out.next_offset, header.next_offset()) {
                    Some(range) => range,
                    None => match walk.payload(&header, position) {
                        Ok(batch) => {
                            out.bytes += batch.len();
                            out.batches.push(batch);
                            out.next_offset = header.next_offset();
                            continue;
                        }
                        Err(_) => self.mark(header.base_offset, header.next_offset()),
                    },
                },
                Step::Damaged { first, next } if next <= out.next_offset || next == first => continue,
                Step::Damaged { first, next } => self.mark(first, next),
            };
            if out.batches.is_empty() {
                return Err(ReadError::Damaged { first: bad.first.max(out.next_offset), last: bad.last });
            }
            return Ok(false);
        }
        Ok(false)
    }

    /// Marks damaged offsets; gives the whole range they are in.
    fn mark(&self, first: Offset, next: Offset) -> OffsetRange {
        let range = OffsetRange { first, last: Offset(next.0 - 1) };
        let mut damage = self.shared.damage();
        damage.mark(range);
        damage.at(first).unwrap_or(range)
    }
}

fn below_start(segments: &Segments) -> ReadError {
    let first = segments.sealed.first().map_or(segments.active.base, |sealed| sealed.base);
    ReadError::BelowStart { log_start: segments.log_start, first_index: first.index.next() }
}

#[cfg(test)]
mod tests;
