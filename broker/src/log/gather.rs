//! Gathers the frames of a pass for one `pwritev`: no payload of 4 KiB or more is copied.

use std::io::IoSlice;
use std::ops::Range;

use bytes::Bytes;

use super::frame::STAMPED_BYTES;
use super::{Entry, FRAME_HEADER_BYTES, FrameHeader, Kind};

/// Payloads below this are copied beside their headers: a slice of their own would cost more than the copy.
const COPIED_BYTES_MAX: usize = 4096;

/// Scratch kept from one pass to the next.
const SCRATCH_BYTES_KEPT: usize = 256 * 1024;

/// The frames of one write, in order. Reused from pass to pass.
#[derive(Default)]
pub struct Gather {
    scratch: Vec<u8>,
    pieces: Vec<Piece>,
    bytes: u64,
}

enum Piece {
    Scratch(Range<usize>),
    Payload(Bytes),
}

impl Gather {
    /// Forgets all frames, and all payloads with them.
    pub fn clear(&mut self) {
        self.scratch.clear();
        self.scratch.shrink_to(SCRATCH_BYTES_KEPT);
        self.pieces.clear();
        self.bytes = 0;
    }

    /// Adds the frame of an entry that follows the chain value `prev`; gives its header back. The first bytes of a
    /// batch are stamped on the way, the entry's payload stays as it is.
    pub fn push(&mut self, entry: &Entry, prev: u32) -> FrameHeader {
        let header = FrameHeader::of(entry, prev);
        self.copy(&header.encode());
        let mut from = 0;
        if header.kind == Kind::Batch {
            self.copy(&header.stamp());
            from = STAMPED_BYTES;
        }
        if entry.payload.len() < COPIED_BYTES_MAX {
            self.copy(&entry.payload[from..]);
        } else {
            self.pieces.push(Piece::Payload(entry.payload.slice(from..)));
        }
        self.bytes += FRAME_HEADER_BYTES as u64 + entry.payload.len() as u64;
        header
    }

    /// Adds zeros behind the last frame, which are not counted: the place of the next header.
    pub fn push_zeros(&mut self, length: usize) {
        self.copy(&[0; FRAME_HEADER_BYTES][..length.min(FRAME_HEADER_BYTES)]);
    }

    /// Bytes of the frames.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What is to be written, in order.
    pub fn slices(&self) -> Vec<IoSlice<'_>> {
        self.pieces
            .iter()
            .map(|piece| match piece {
                Piece::Scratch(range) => IoSlice::new(&self.scratch[range.clone()]),
                Piece::Payload(bytes) => IoSlice::new(bytes),
            })
            .collect()
    }

    fn copy(&mut self, bytes: &[u8]) {
        let start = self.scratch.len();
        self.scratch.extend_from_slice(bytes);
        let end = self.scratch.len();
        match self.pieces.last_mut() {
            Some(Piece::Scratch(range)) if range.end == start => range.end = end,
            _ => self.pieces.push(Piece::Scratch(start..end)),
        }
    }
}
