//! Entries for Raft: copies, read through the file, so that nothing of the map is held.

use bytes::Bytes;

use super::{ReadError, Reader, below_start};
use crate::ids::{Index, Position};
use crate::log::pages::{From, Pages};
use crate::log::segment::SEGMENT_HEADER_BYTES;
use crate::log::shared::View;
use crate::log::{Entry, FRAME_HEADER_BYTES, FrameHeader, Place};

impl Reader {
    /// The entries `from` to before `to`, which is at most one behind the last written one: about `max_bytes`, but at
    /// least one. Each is verified, payload included.
    ///
    /// # Errors
    /// The first entry is damaged, or lies below the log's first; or the file system fails.
    pub fn entries(&self, from: Index, to: Index, max_bytes: usize) -> Result<Vec<Entry>, ReadError> {
        self.chained_entries(from, to, max_bytes).map(|(_, entries)| entries)
    }

    /// As [`Reader::entries`], with the chain value of the entry before the first.
    ///
    /// # Errors
    /// As [`Reader::entries`].
    pub fn chained_entries(
        &self,
        from: Index,
        to: Index,
        max_bytes: usize,
    ) -> Result<(Option<u32>, Vec<Entry>), ReadError> {
        let mut entries: Vec<Entry> = Vec::new();
        let (mut bytes, mut prev) = (0, None);
        let walked = self.walk(from, to, |pages, header, position| {
            let payload = pages.get(position.0 + FRAME_HEADER_BYTES as u64, header.payload_len as usize)?;
            if !header.check_payload(payload) {
                return Err(ReadError::DamagedEntry { index: header.index });
            }
            bytes += FRAME_HEADER_BYTES + payload.len();
            prev = prev.or(Some(header.prev));
            entries.push(header.entry(Bytes::copy_from_slice(payload)));
            Ok(bytes < max_bytes)
        });
        match walked {
            Err(ReadError::DamagedEntry { .. }) if !entries.is_empty() => Ok((prev, entries)),
            walked => walked.map(|()| (prev, entries)),
        }
    }

    /// What the entries `from` to before `to` leave behind, as [`Reader::entries`] bounds them; payloads are not read.
    ///
    /// # Errors
    /// An entry is damaged, or `from` lies below the log's first; or the file system fails.
    pub fn places(&self, from: Index, to: Index) -> Result<Vec<Place>, ReadError> {
        let mut places = Vec::new();
        self.walk(from, to, |_, header, _| {
            let (next_offset, append_time) = (header.next_offset(), header.append_time);
            places.push(Place { next_offset, append_time, chain: Some(header.crc) });
            Ok(true)
        })?;
        Ok(places)
    }

    /// Visits the frames `from` to before `to`, until there are no more or the visitor has had enough.
    fn walk(
        &self,
        from: Index,
        to: Index,
        mut visit: impl FnMut(&mut Pages, &FrameHeader, Position) -> Result<bool, ReadError>,
    ) -> Result<(), ReadError> {
        let segments = self.shared.segments();
        let mut next = from;
        while next < to {
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
            match walk_segment(&view, next, to, &mut visit)? {
                Some(index) => next = index,
                None => break,
            }
        }
        Ok(())
    }
}

/// Visits the frames of one segment; the index behind them, or nothing where the visitor had enough.
fn walk_segment(
    view: &View,
    from: Index,
    to: Index,
    visit: &mut impl FnMut(&mut Pages, &FrameHeader, Position) -> Result<bool, ReadError>,
) -> Result<Option<Index>, ReadError> {
    let mut pages = Pages::new(view.file.clone(), From::Cache)?.cut(view.end);
    let known = view.indexes.read().0.by_index(from);
    let (mut position, mut index) = known
        .map_or((Position(SEGMENT_HEADER_BYTES), view.base.index.next()), |entry| {
            (entry.position, entry.index)
        });
    while index < to && index <= view.last_index {
        let damaged = || ReadError::DamagedEntry { index: index.max(from) };
        let header = FrameHeader::parse(pages.get(position.0, FRAME_HEADER_BYTES)?).map_err(|_| damaged())?;
        if header.index != index {
            return Err(damaged());
        }
        if index >= from && !visit(&mut pages, &header, position)? {
            return Ok(None);
        }
        position.0 += header.frame_bytes();
        index = index.next();
    }
    Ok(Some(index))
}
