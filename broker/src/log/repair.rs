//! Damaged frames of a sealed segment, built anew from entries that another replica gave.
//!
//! A frame is a pure function of its entry and the frame before it, and a sealed segment's last chain value is known. So
//! whoever the entries came from: a file whose frames chain from what lies before the segment to exactly that value, in
//! exactly its length, holds what the log held. It is written beside the old one, synced, and takes its place by a
//! rename ([`super::Job::Install`]); who still reads the old one keeps it.

use std::io::{self, IoSlice};

use super::contents::Contents;
use super::gather::Gather;
use super::pages::{From, Pages};
use super::producers::ProducerFold;
use super::scan::scan;
use super::segment::{SEGMENT_HEADER_BYTES, Sealed};
use super::shared::Shared;
use super::{Entry, FRAME_HEADER_BYTES, FrameHeader, Log, OpenMode, ReadError, Reader, Tip, paths};
use crate::ids::{Index, Offset};

/// Bytes that are gathered for one write.
const WRITE_BYTES: u64 = 1024 * 1024;

impl Reader {
    /// The damaged entries of a sealed segment: runs of indexes, both ends included. None where all of it can be read.
    ///
    /// # Errors
    /// The segment is not there any more, or the file system fails.
    pub fn damaged_entries(&self, sequence: u64) -> Result<Vec<(Index, Index)>, ReadError> {
        let shared = self.shared();
        let sealed = find(shared, sequence)?;
        let path = paths::segment_path(&shared.dir, sequence);
        let mut pages = Pages::new(shared.fs.open(&path, OpenMode::Read)?, From::Cache)?.cut(sealed.end);
        let mut contents = Contents::empty(sealed.base, ProducerFold::default());
        scan(&mut pages, &mut contents, sealed.tip.index, Some(sealed.tip.index.next()))?;
        let mut damaged: Vec<_> =
            contents.holes.iter().map(|hole| (hole.first_index, hole.last_index)).collect();
        if contents.tip.index < sealed.tip.index {
            damaged.push((contents.tip.index.next(), sealed.tip.index));
        }
        Ok(damaged)
    }

    /// Builds a sealed segment anew beside itself, with `entries`, by rising index, in the places of the damaged ones, and
    /// syncs it. Whether it is what the log held: if not, nothing is left of it.
    ///
    /// # Errors
    /// The segment is not there any more, or the file system fails.
    pub fn rebuild(&self, sequence: u64, entries: &[Entry]) -> Result<bool, ReadError> {
        let shared = self.shared();
        let sealed = find(shared, sequence)?;
        let path = paths::segment_path(&shared.dir, sequence);
        let unfinished = paths::unfinished(&path);
        if shared.fs.exists(&unfinished)? {
            shared.fs.remove_file(&unfinished)?;
        }
        let built = build(shared, &sealed, entries);
        if !matches!(built, Ok(true)) && shared.fs.exists(&unfinished)? {
            shared.fs.remove_file(&unfinished)?;
        }
        Ok(built?)
    }
}

fn find(shared: &Shared, sequence: u64) -> io::Result<Sealed> {
    let segments = shared.segments();
    let found = segments.sealed.iter().find(|sealed| sealed.header.sequence == sequence);
    found.map(|sealed| sealed.as_ref().clone()).ok_or_else(|| io::ErrorKind::NotFound.into())
}

fn build(shared: &Shared, sealed: &Sealed, entries: &[Entry]) -> io::Result<bool> {
    let path = paths::segment_path(&shared.dir, sealed.header.sequence);
    let mut pages = Pages::new(shared.fs.open(&path, OpenMode::Read)?, From::Cache)?.cut(sealed.end);
    let file = shared.fs.open(&paths::unfinished(&path), OpenMode::CreateNew)?;
    file.allocate(sealed.end + FRAME_HEADER_BYTES as u64)?;
    file.write_at(&[IoSlice::new(&sealed.header.to_block())], 0)?;
    let (mut gather, mut tip, mut position) = (Gather::default(), sealed.base, SEGMENT_HEADER_BYTES);
    while tip.index < sealed.tip.index {
        let next = match entry_at(&mut pages, &tip, position + gather.bytes())? {
            Some(entry) => entry,
            None => match entries.binary_search_by_key(&tip.index.next(), |entry| entry.index) {
                Ok(at) => entries[at].clone(),
                Err(_) => return Ok(false),
            },
        };
        let header = gather.push(&next, tip.chain);
        let end = position + gather.bytes();
        if !tip.is_followed_by(&header) || end > sealed.end {
            return Ok(false);
        }
        tip = Tip::of(&header);
        if gather.bytes() >= WRITE_BYTES {
            file.write_at(&gather.slices(), position)?;
            gather.clear();
            position = end;
        }
    }
    if tip != sealed.tip || position + gather.bytes() != sealed.end {
        return Ok(false);
    }
    file.write_at(&gather.slices(), position)?;
    file.sync()?;
    Ok(true)
}

/// The intact entry behind `tip` whose frame begins behind the last one's; nothing where it is damaged.
fn entry_at(pages: &mut Pages, tip: &Tip, position: u64) -> io::Result<Option<Entry>> {
    let Ok(header) = FrameHeader::parse(pages.get(position, FRAME_HEADER_BYTES)?) else { return Ok(None) };
    if !tip.is_followed_by(&header) || position + header.frame_bytes() > pages.length() {
        return Ok(None);
    }
    let payload = pages.get(position + FRAME_HEADER_BYTES as u64, header.payload_len as usize)?;
    let intact = header.check_payload(payload);
    Ok(intact.then(|| header.entry(bytes::Bytes::copy_from_slice(payload))))
}

impl Log {
    /// Whether damaged records are known.
    pub fn is_damaged(&self) -> bool {
        !self.shared.damage().ranges().is_empty()
    }

    /// The oldest sealed segment with damaged records, if all its entries are at or below `committed`: nothing of it is
    /// ever cut. Damage in the segment that is written to is looked at when that is sealed, which begins now.
    pub fn damaged_segment(&mut self, committed: Index) -> Option<u64> {
        let first = self.shared.damage().ranges().first().copied().filter(|_| !self.lost_end)?;
        let segments = self.shared.segments();
        let Some(sealed) = segments.sealed_with(first.first) else {
            self.roll = !self.active.contents.is_empty();
            return None;
        };
        (sealed.tip.index <= committed).then_some(sealed.header.sequence)
    }

    /// A sealed segment's file is whole: it was built anew, or nothing was wrong with it. Says which offsets it has.
    pub fn repaired(&mut self, sequence: u64) -> Option<(Offset, Offset)> {
        self.shared.forget(sequence);
        let segments = self.shared.segments();
        let sealed = segments.sealed.iter().find(|sealed| sealed.header.sequence == sequence)?;
        let (first, next) = (sealed.base.next_offset, sealed.tip.next_offset);
        self.shared.damage().heal(first, next);
        Some((first, next))
    }
}

#[cfg(test)]
mod tests;
