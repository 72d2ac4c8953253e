//! Walks the frames of one segment through its map.

use std::io;

use bytes::Bytes;

use crate::ids::{Offset, Position};
use crate::log::index::IndexEntry;
use crate::log::pages::{From, Pages, is_bad_sector};
use crate::log::scan::resync;
use crate::log::segment::SEGMENT_HEADER_BYTES;
use crate::log::shared::View;
use crate::log::{FRAME_HEADER_BYTES, FrameHeader, Tip};

/// Bytes brought into memory at a time.
const POPULATE_BYTES: u64 = 1024 * 1024;

/// What lies at a place.
pub(super) enum Step {
    /// An intact header. The payload is [`Walk::payload`]'s.
    Frame { header: FrameHeader, position: u64 },
    /// Frames that cannot be told any more, with the records from `first` to before `next`. The walk goes on behind.
    Damaged { first: Offset, next: Offset },
    /// The end of the segment.
    End,
}

/// A place between two frames.
pub(super) struct Walk<'a> {
    view: &'a View,
    position: u64,
    /// What the frame before leaves behind; behind an index entry only the next one's index and offset are known.
    tip: Tip,
    /// Whether `tip` has the chain value.
    chained: bool,
    /// Whether pages are brought in first, and payloads checked.
    verify: bool,
    populated: u64,
}

/// A payload that does not validate, or that the disk does not give.
pub(super) struct BadPayload;

impl<'a> Walk<'a> {
    /// From the last indexed frame at or before an offset.
    pub(super) fn from_offset(view: &'a View, offset: Offset, verify: bool) -> Walk<'a> {
        let entry = view.indexes.read().0.by_offset(offset);
        Walk::from_entry(view, entry, verify)
    }

    /// From the last indexed frame at or before a place; from the first without one.
    pub(super) fn from_position(view: &'a View, position: Option<Position>, verify: bool) -> Walk<'a> {
        let entry = position.and_then(|position| view.indexes.read().0.by_position(position));
        Walk::from_entry(view, entry, verify)
    }

    fn from_entry(view: &'a View, entry: Option<IndexEntry>, verify: bool) -> Walk<'a> {
        let (position, tip, chained) = match entry {
            Some(entry) if entry.position.0 > SEGMENT_HEADER_BYTES => {
                (entry.position.0, before(&entry), false)
            }
            _ => (SEGMENT_HEADER_BYTES, view.base, true),
        };
        Walk { view, position, tip, chained, verify, populated: position }
    }

    /// The next frame. The caller knows that records below `end` are still to come, so that there is one.
    pub(super) fn step(&mut self, end: Offset) -> io::Result<Step> {
        if self.position >= self.view.end {
            return Ok(Step::End);
        }
        let position = self.position;
        if let Some(header) = self.header()? {
            self.position += header.frame_bytes();
            (self.tip, self.chained) = (Tip::of(&header), true);
            return Ok(Step::Frame { header, position });
        }
        self.skip(end)
    }

    /// The payload of a frame of this walk.
    pub(super) fn payload(&mut self, header: &FrameHeader, position: u64) -> Result<Bytes, BadPayload> {
        let start = position + FRAME_HEADER_BYTES as u64;
        self.populate(start, u64::from(header.payload_len)).map_err(|_| BadPayload)?;
        let payload = self.view.map.slice(start, header.payload_len as usize);
        if self.verify && !header.check_payload(&payload) {
            return Err(BadPayload);
        }
        Ok(payload)
    }

    /// The header at this place; `None` where there is no intact one that follows.
    fn header(&mut self) -> io::Result<Option<FrameHeader>> {
        let length = FRAME_HEADER_BYTES as u64;
        if self.position + length > self.view.end {
            return Ok(None);
        }
        match self.populate(self.position, length) {
            Ok(()) => {}
            Err(error) if is_bad_sector(&error) => return Ok(None),
            Err(error) => return Err(error),
        }
        let bytes = self.view.map.slice(self.position, FRAME_HEADER_BYTES);
        let Ok(header) = FrameHeader::parse(&bytes) else { return Ok(None) };
        let follows = if self.chained {
            self.tip.is_followed_by(&header)
        } else {
            header.index == self.tip.index.next() && header.base_offset == self.tip.next_offset
        };
        Ok((follows && self.position + header.frame_bytes() <= self.view.end).then_some(header))
    }

    /// Goes on behind frames that cannot be told: at the next that can be.
    fn skip(&mut self, end: Offset) -> io::Result<Step> {
        let first = self.tip.next_offset;
        let known = self.view.indexes.read().0.after(Position(self.position));
        let limit = known.map_or(self.view.end, |entry| entry.position.0);
        let mut pages = Pages::new(self.view.file.clone(), From::Cache)?.cut(limit);
        if let Some((header, position)) = resync(&mut pages, &self.tip, self.position)? {
            self.position = position;
            self.tip = Tip { chain: header.prev, index: header.index.prev(), ..self.tip };
            self.tip.next_offset = header.base_offset;
            return Ok(Step::Damaged { first, next: header.base_offset });
        }
        self.position = limit;
        self.populated = self.populated.max(limit);
        let next = match known {
            Some(entry) => {
                (self.tip, self.chained) = (before(&entry), false);
                entry.offset
            }
            None => self.view.next_offset.min(end),
        };
        Ok(Step::Damaged { first, next: next.max(first) })
    }

    /// Brings a range into memory, with what follows it: a bad sector is an error here and a signal later.
    fn populate(&mut self, position: u64, length: u64) -> io::Result<()> {
        if !self.verify || position + length <= self.populated {
            return Ok(());
        }
        let start = position.max(self.populated);
        let ahead = POPULATE_BYTES.max(position + length - start).min(self.view.end - start);
        match self.view.map.populate(start, ahead as usize) {
            Ok(()) => self.populated = start + ahead,
            // Something ahead is bad; this range may not be.
            Err(_) => self.view.map.populate(position, length as usize)?,
        }
        Ok(())
    }
}

/// What lies before an indexed frame, as far as its entry says.
fn before(entry: &IndexEntry) -> Tip {
    Tip {
        index: entry.index.prev(),
        term: crate::ids::Term(0),
        next_offset: entry.offset,
        append_time: i64::MIN,
        chain: 0,
    }
}
