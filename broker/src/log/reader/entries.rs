//! Entries for Raft: copies, read through the file, so that nothing of the map is held.

use bytes::Bytes;

use super::{ReadError, Reader, below_start};
use crate::ids::{Index, Position};
use crate::log::pages::{From, Pages};
use crate::log::segment::SEGMENT_HEADER_BYTES;
use crate::log::shared::View;
use crate::log::{Entry, FRAME_HEADER_BYTES, FrameHeader};

impl Reader {
    /// The entries `from` to before `to`, which is at most one behind the last written one: about `max_bytes`, but at
    /// least one. Each is verified, payload included.
    ///
    /// # Errors
    /// The first entry is damaged, or lies below the log's first; or the file system fails.
    pub fn entries(&self, from: Index, to: Index, max_bytes: usize) -> Result<Vec<Entry>, ReadError> {
        let segments = self.shared.segments();
        let mut entries: Vec<Entry> = Vec::new();
        let mut next = from;
        let mut bytes = 0;
        while next < to && (bytes < max_bytes || entries.is_empty()) {
            let view = match segments.sealed_at(next) {
                Some(sealed) => self.shared.load(sealed)?,
                None => segments.live(),
            };
            if next <= view.base.index {
                let first = segments.sealed.first().map_or(segments.active.base, |sealed| sealed.base);
                let lost = ReadError::DamagedEntry { index: next };
                return Err(if next <= first.index { below_start(&segments) } else { lost });
            }
            if next > view.last_index {
                break;
            }
            match read_segment(&view, next, to, max_bytes, &mut bytes, &mut entries) {
                Err(ReadError::DamagedEntry { .. }) if !entries.is_empty() => break,
                done => done?,
            }
            next = entries.last().map_or(next, |entry| entry.index.next());
        }
        Ok(entries)
    }
}

fn read_segment(
    view: &View,
    from: Index,
    to: Index,
    max_bytes: usize,
    bytes: &mut usize,
    entries: &mut Vec<Entry>,
) -> Result<(), ReadError> {
    let mut pages = Pages::new(view.file.clone(), From::Cache)?.cut(view.end);
    let known = view.indexes.read().0.by_index(from);
    let (mut position, mut index) = known
        .map_or((Position(SEGMENT_HEADER_BYTES), view.base.index.next()), |entry| {
            (entry.position, entry.index)
        });
    while index < to && index <= view.last_index && (*bytes < max_bytes || entries.is_empty()) {
        let damaged = || ReadError::DamagedEntry { index: index.max(from) };
        let header = FrameHeader::parse(pages.get(position.0, FRAME_HEADER_BYTES)?).map_err(|_| damaged())?;
        if header.index != index {
            return Err(damaged());
        }
        if index >= from {
            let payload = pages.get(position.0 + FRAME_HEADER_BYTES as u64, header.payload_len as usize)?;
            if !header.check_payload(payload) {
                return Err(damaged());
            }
            *bytes += FRAME_HEADER_BYTES + payload.len();
            entries.push(header.entry(Bytes::copy_from_slice(payload)));
        }
        position.0 += header.frame_bytes();
        index = index.next();
    }
    Ok(())
}
