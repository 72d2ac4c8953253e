//! One file's content: what programs see, what the disk has, and what lies between.

use std::collections::{BTreeMap, BTreeSet};

use crate::seeded::Seeded;

use super::image::{Image, Ranges, SECTOR, Sector};
use super::keep::Keep;

/// A change that was not synced.
#[derive(Debug, Clone)]
enum Pending {
    Sector(u64, Sector),
    Length(u64),
}

/// A file without its names.
#[derive(Debug, Default)]
pub(super) struct Content {
    /// What reads through the cache see.
    pub(super) cached: Image,
    /// What is there after the power went.
    pub(super) durable: Image,
    pending: Vec<Pending>,
    /// What was written since the file was made, and what of it is durable.
    written: Ranges,
    written_durable: Ranges,
    /// Sectors that a dead process left in the cache and nobody has synced since.
    inherited: BTreeSet<u64>,
    /// Slices of maps that someone holds, by number: start and end.
    pub(super) slices: BTreeMap<u64, (u64, u64)>,
    /// Places that cannot be read.
    pub(super) unreadable: Ranges,
    /// The room that the file has.
    pub(super) room: u64,
    /// Whether a failed sync left pages in the cache that the disk does not have.
    lost: bool,
}

impl Content {
    pub(super) fn write(&mut self, position: u64, bytes: &[u8]) {
        let before = self.cached.length;
        for (number, sector) in self.cached.write(position, bytes) {
            self.pending.push(Pending::Sector(number, sector));
        }
        if self.cached.length > before {
            self.pending.push(Pending::Length(self.cached.length));
        }
        self.written.insert(position, position + bytes.len() as u64);
    }

    pub(super) fn set_length(&mut self, length: u64) {
        self.cached.set_length(length);
        self.pending.push(Pending::Length(length));
        self.written.cut(length);
    }

    /// Makes the file longer, with zeros.
    pub(super) fn extend(&mut self, length: u64) {
        self.cached.set_length(length);
        self.pending.push(Pending::Length(length));
    }

    /// Everything so far is durable, apart from what an earlier failed sync lost.
    pub(super) fn sync(&mut self) {
        for pending in std::mem::take(&mut self.pending) {
            apply(&mut self.durable, pending);
        }
        self.inherited.clear();
        self.written_durable = self.written.clone();
    }

    /// Some of it is; the rest counts as clean, and is gone with the cache. Not so the size: it is in the file
    /// system's journal, whose failure would end the file system, and the next sync that succeeds makes it durable.
    pub(super) fn fail_sync(&mut self, random: &mut Seeded) {
        self.keep_some(random);
        if self.cached.length != self.durable.length {
            self.pending.push(Pending::Length(self.cached.length));
        }
        self.inherited.clear();
        self.lost = true;
    }

    /// The power goes.
    pub(super) fn power_dies(&mut self, random: &mut Seeded) {
        if !self.pending.is_empty() || self.lost {
            self.keep_some(random);
            self.cached = self.durable.clone();
            self.written = self.written_durable.clone();
            self.room = self.durable.length;
            self.lost = false;
        }
        self.inherited.clear();
        self.slices.clear();
    }

    /// The process goes, the cache stays.
    pub(super) fn process_dies(&mut self) {
        for pending in &self.pending {
            if let Pending::Sector(number, _) = pending {
                self.inherited.insert(*number);
            }
        }
        self.slices.clear();
    }

    /// Applies a random part of what is pending to the disk, and forgets the rest.
    fn keep_some(&mut self, random: &mut Seeded) {
        let mut keep = Keep::draw(random);
        for pending in std::mem::take(&mut self.pending) {
            if !keep.next(random) {
                continue;
            }
            if let Pending::Sector(number, _) = &pending {
                let (start, end) = (number * SECTOR as u64, (number + 1) * SECTOR as u64);
                for (from, to) in self.written.within(start, end) {
                    self.written_durable.insert(from, to);
                }
            }
            apply(&mut self.durable, pending);
        }
        // A sector may have been written before the size that it needs.
        let length = self.durable.length;
        self.durable.sectors.split_off(&length.div_ceil(SECTOR as u64));
        self.written_durable.cut(length);
    }

    /// What a read past the cache finds, which writes out what is dirty but syncs nothing; or, where the cache cannot
    /// be passed, what that has.
    pub(super) fn read_past_cache(&self, position: u64, length: usize, direct: bool) -> Vec<u8> {
        let written_out;
        let image = if !direct {
            &self.cached
        } else if self.pending.is_empty() {
            &self.durable
        } else {
            let mut image = self.durable.clone();
            self.pending.iter().for_each(|pending| apply(&mut image, pending.clone()));
            written_out = image;
            &written_out
        };
        let mut bytes = vec![0; length.min(image.length.saturating_sub(position) as usize)];
        image.read(position, &mut bytes);
        bytes
    }

    /// Clean pages leave the cache: what a failed sync lost is seen no more.
    pub(super) fn drop_cache(&mut self) {
        if self.pending.is_empty() && self.lost {
            self.cached = self.durable.clone();
            self.written = self.written_durable.clone();
            self.lost = false;
        }
    }

    /// Bytes were read from the disk. A frame's last bytes may be zeros whose sector was never written: room that was
    /// taken reads the same, so they count as written up to a sector behind the last byte that is not zero.
    pub(super) fn know(&mut self, position: u64, bytes: &[u8]) {
        if let Some(last) = bytes.iter().rposition(|&byte| byte != 0) {
            let end = (last + SECTOR).min(bytes.len());
            self.written.insert(position, position + end as u64);
            self.written_durable.insert(position, position + end as u64);
        }
    }

    pub(super) fn is_dirty(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Flips bits at rest.
    pub(super) fn flip(&mut self, position: u64, mask: u8) {
        for image in [&mut self.cached, &mut self.durable] {
            let mut byte = [0];
            if image.read(position, &mut byte) == 1 {
                image.write(position, &[byte[0] ^ mask]);
            }
        }
    }

    /// Why a slice of these bytes must not be handed out.
    pub(super) fn forbids_slice(&self, start: u64, end: u64) -> Option<&'static str> {
        let mut sectors = self.inherited.range(start / SECTOR as u64..end.div_ceil(SECTOR as u64));
        if !self.written.contains(start, end) {
            Some("it was never written")
        } else if end > self.cached.length {
            Some("it is beyond the end of the file")
        } else if self.unreadable.touches(start, end) {
            Some("it cannot be read: a SIGBUS")
        } else if start < end && sectors.next().is_some() {
            Some("a dead process left it in the cache and it is not synced")
        } else {
            None
        }
    }

    /// A live slice that a change of these bytes would show through.
    pub(super) fn slice_in(&self, start: u64, end: u64) -> Option<(u64, u64)> {
        self.slices.values().copied().find(|(from, to)| *from < end && start < *to)
    }
}

fn apply(image: &mut Image, pending: Pending) {
    match pending {
        Pending::Sector(number, sector) => {
            image.sectors.insert(number, sector);
        }
        Pending::Length(length) => image.set_length(length),
    }
}
