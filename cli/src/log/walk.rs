//! Reads the frames of one segment in order, and names the bytes that do not validate.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use bytes::Bytes;
use caudal_broker::ids::Index;
use caudal_broker::log::segment::SEGMENT_HEADER_BYTES;
use caudal_broker::log::{FRAME_HEADER_BYTES, FrameError, FrameHeader, SegmentHeader, Tip};

use super::resync::{last_byte, resync};

/// One thing found in a segment.
#[derive(Debug)]
pub(super) enum Step {
    /// An intact frame.
    Frame {
        /// Where it begins.
        position: u64,
        header: FrameHeader,
        payload: Bytes,
    },
    /// Bytes that do not validate and are no torn tail.
    Bad(BadRange),
    /// A write that was cut short, behind the last frame: so many bytes.
    Torn { position: u64, bytes: u64 },
}

/// Bytes that do not validate.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub(super) struct BadRange {
    /// The first bad byte.
    pub(super) from: u64,
    /// The byte behind the last one.
    pub(super) to: u64,
    /// What is wrong.
    pub(super) why: String,
    /// The offset behind the last intact record before it, where one is known.
    pub(super) after_offset: Option<i64>,
}

/// What is known of a segment beside its bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Surroundings {
    /// What the entry before it left behind, where that is known.
    pub(super) before: Option<Tip>,
    /// Whether it is the newest of its log: only there can a tail be torn.
    pub(super) newest: bool,
    /// The last entry that was surely synced; 0 where nobody knows.
    pub(super) durable: Index,
}

/// A segment being read.
pub(super) struct Walk {
    file: File,
    length: u64,
    position: u64,
    around: Surroundings,
    tip: Option<Tip>,
    header: Result<SegmentHeader, String>,
    header_told: bool,
    ended: bool,
}

impl Walk {
    /// Opens a segment for reading.
    pub(super) fn open(path: &Path, around: Surroundings) -> io::Result<Walk> {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        let mut block = vec![0; usize::try_from(length.min(SEGMENT_HEADER_BYTES)).unwrap_or(0)];
        file.read_exact_at(&mut block, 0)?;
        let header = SegmentHeader::parse(&block).map_err(|error| error.to_string());
        let tip = around.before;
        Ok(Walk {
            file,
            length,
            position: SEGMENT_HEADER_BYTES,
            around,
            tip,
            header,
            header_told: false,
            ended: false,
        })
    }

    /// Whose segment it is, where its header says so.
    pub(super) fn header(&self) -> Option<SegmentHeader> {
        self.header.as_ref().ok().copied()
    }

    /// What the last intact frame left behind, or what lay before the segment.
    pub(super) fn tip(&self) -> Option<Tip> {
        self.tip
    }

    /// The next thing; `None` at the end.
    pub(super) fn step(&mut self) -> io::Result<Option<Step>> {
        if let (Err(why), false) = (&self.header, self.header_told) {
            self.header_told = true;
            return Ok(Some(self.bad(0, SEGMENT_HEADER_BYTES.min(self.length), why.clone())));
        }
        if self.ended {
            return Ok(None);
        }
        let position = self.position;
        let header = match self.frame_header(position)? {
            Ok(header) => header,
            Err(FrameError::Version { version, .. }) => {
                self.ended = true;
                let why = format!(
                    "a frame of version {version}, which this program does not know: it reads no further"
                );
                return Ok(Some(self.bad(position, self.length, why)));
            }
            Err(_) => return self.no_frame(),
        };
        match self.tip {
            Some(tip) if !tip.is_followed_by(&header) => {
                if position == SEGMENT_HEADER_BYTES && header.index > tip.index.next() {
                    return Ok(Some(self.gap(tip, &header)));
                }
                return self.no_frame();
            }
            _ => {}
        }
        if header.frame_bytes() > self.length - position {
            return self.no_frame();
        }
        let payload = self.read(position + FRAME_HEADER_BYTES as u64, u64::from(header.payload_len))?;
        let end = position + header.frame_bytes();
        if header.check_payload(&payload) {
            self.position = end;
            self.tip = Some(Tip::of(&header));
            return Ok(Some(Step::Frame { position, header, payload: payload.into() }));
        }
        let torn = self.around.newest && header.index > self.around.durable;
        if torn && resync(&self.file, self.length, Some(&Tip::of(&header)), end)?.is_none() {
            return self.no_frame();
        }
        let why = format!("the payload of entry {} does not match its checksum", header.index);
        let bad = self.bad(position, end, why);
        self.position = end;
        self.tip = Some(Tip::of(&header));
        Ok(Some(bad))
    }

    /// The position holds no frame: damage if frames follow or must have been there, else the end.
    fn no_frame(&mut self) -> io::Result<Option<Step>> {
        let position = self.position;
        if let Some((next, at)) = resync(&self.file, self.length, self.tip.as_ref(), position + 1)? {
            let bad = self.bad(position, at, "no frame can be read here, and frames follow".to_owned());
            self.position = at;
            self.tip = Some(Tip {
                index: next.index.prev(),
                term: next.term,
                next_offset: next.base_offset,
                append_time: next.append_time,
                chain: next.prev,
            });
            return Ok(Some(bad));
        }
        self.ended = true;
        let end = last_byte(&self.file, position, self.length)?;
        let next = self.tip.map(|tip| tip.index.next());
        if self.around.newest && next.is_some_and(|next| next <= self.around.durable) {
            let why = format!("the end is lost: entries up to {} were synced", self.around.durable);
            return Ok(Some(self.bad(position, end.max(position), why)));
        }
        if end <= position {
            return Ok(None);
        }
        if self.around.newest {
            return Ok(Some(Step::Torn { position, bytes: end - position }));
        }
        Ok(Some(self.bad(position, end, "no frame can be read here".to_owned())))
    }

    /// The first frame does not follow the segment before.
    fn gap(&mut self, tip: Tip, first: &FrameHeader) -> Step {
        let (from, to) = (tip.index.next(), first.index.prev());
        let why = format!("entries {from} to {to} are missing between this segment and the one before");
        let bad = self.bad(self.position, self.position, why);
        self.tip = None;
        bad
    }

    fn bad(&self, from: u64, to: u64, why: String) -> Step {
        Step::Bad(BadRange { from, to, why, after_offset: self.tip.map(|tip| tip.next_offset.0) })
    }

    fn frame_header(&self, position: u64) -> io::Result<Result<FrameHeader, FrameError>> {
        let bytes = self.read(position, FRAME_HEADER_BYTES as u64)?;
        Ok(FrameHeader::parse(&bytes))
    }

    /// Reads up to `length` bytes, fewer at the end of the file. The file's length bounds the memory.
    fn read(&self, position: u64, length: u64) -> io::Result<Vec<u8>> {
        let length = length.min(self.length.saturating_sub(position));
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
        self.file.read_exact_at(&mut bytes, position)?;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests;
