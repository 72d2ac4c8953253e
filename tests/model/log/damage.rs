//! A log at rest that the disk damages.

use std::path::Path;

use bytes::Bytes;
use caudal_broker::ids::{Index, Offset};
use caudal_broker::log::{Disk, Entry, Fs, MetaLog, OffsetRange, ReadError, Recovered, SegmentFacts, paths};
use caudal_harness::lying_fs::ROOT;

use super::entries::stored;
use super::world::{PARTITION, World};

/// What cannot be read when one sector of it cannot.
const BLOCK_BYTES: u64 = 4096;

/// Where the frames of a segment begin.
const FRAMES_AT: u64 = 4096;

/// What a reader finds in a whole log.
struct Findings {
    batches: Vec<Bytes>,
    damaged: Vec<OffsetRange>,
}

fn read_all(recovered: &Recovered, end: Offset) -> Findings {
    let reader = recovered.log.reader();
    let mut found = Findings { batches: Vec::new(), damaged: Vec::new() };
    let mut at = Offset(0);
    while at < end {
        match reader.read(at, end, 1, true) {
            Ok(read) => {
                found.batches.extend(read.batches);
                at = read.next_offset;
            }
            Err(ReadError::Damaged { first, last }) => {
                found.damaged.push(OffsetRange { first, last });
                at = Offset(last.0 + 1);
            }
            Err(error) => panic!("{error}"),
        }
    }
    found
}

impl World {
    /// Flips a byte of a frame at rest and looks what comes of it; says whether it cost the end of the log.
    pub(crate) fn flip_and_check(&mut self) -> bool {
        let (facts, position) = self.place();
        let path = paths::segment_path(&self.folder(), facts.sequence);
        let mask = 1 << self.draw(8);
        self.stop();
        self.disk_of_test().flip(&path, position, mask).expect("a file");
        if self.draw(2) == 0 {
            // There is one for sealed segments only.
            self.disk_of_test().remove_file(&paths::index_path(&self.folder(), facts.sequence)).ok();
        }
        let (entry, inside) = self.entries_within(&facts, position, position + 1).remove(0);
        let recovered = self.open_damaged().expect("damage is no error");
        if recovered.lost_end {
            assert!(entry.index == self.last().0 && inside < 72, "only the last header holds the end");
            assert_eq!(recovered.last_index, entry.index.prev());
        }
        let end = if recovered.lost_end { recovered.next_offset } else { self.last().1 };
        let found = read_all(&recovered, end);
        // Without its header nothing tells the entry's offsets from those that were given up around it.
        let before = self.entry(entry.index.prev()).map_or(Offset(0), Entry::next_offset);
        let behind = self.entry(entry.index.next()).map_or(entry.next_offset(), |next| next.base_offset);
        for range in &found.damaged {
            assert!(before <= range.first && range.last < behind, "{range:?} is not in {before}..{behind}");
        }
        assert_eq!(found.batches, self.batches_but(&[entry.index], end), "everything else is served");
        recovered.lost_end
    }

    /// Makes a block of frames at rest unreadable and looks what comes of it; says whether the log opened whole.
    pub(crate) fn lose_block_and_check(&mut self) -> bool {
        let (facts, position) = self.place();
        let path = paths::segment_path(&self.folder(), facts.sequence);
        let start = position / BLOCK_BYTES * BLOCK_BYTES;
        self.stop();
        self.disk_of_test().make_unreadable(&path, start, start + BLOCK_BYTES).expect("a file");
        let hit = self.entries_within(&facts, start, start + BLOCK_BYTES);
        let hit: Vec<Index> = hit.into_iter().map(|(entry, _)| entry.index).collect();
        let at_end = hit.last() == Some(&self.last().0);
        let recovered = match self.open_damaged() {
            Ok(recovered) => recovered,
            Err(error) => {
                assert!(at_end, "only where the log may end it must be read: {error:?}");
                return false;
            }
        };
        let end = if recovered.lost_end { recovered.next_offset } else { self.last().1 };
        assert!(at_end || !recovered.lost_end);
        let found = read_all(&recovered, end);
        assert_eq!(found.batches, self.batches_but(&hit, end), "everything else is served");
        !recovered.lost_end
    }

    /// A place among the frames of the log.
    fn place(&mut self) -> (SegmentFacts, u64) {
        let mut facts = self.segments();
        facts.retain(|facts| facts.bytes > 0);
        let facts = facts[self.draw(facts.len() as u64) as usize];
        (facts, FRAMES_AT + self.draw(facts.bytes))
    }

    fn folder(&self) -> std::path::PathBuf {
        paths::partition_dir(Path::new(ROOT), PARTITION, 1)
    }

    fn open_damaged(&self) -> Result<Recovered, Option<String>> {
        let meta = MetaLog::open(self.shared_fs(), Path::new(ROOT)).expect("the meta log opens");
        self.open(&Disk::new(self.shared_fs(), ROOT.into(), meta))
    }

    /// The entries of a segment whose frames have bytes in a range of its file, and where in the first the range begins.
    fn entries_within(&self, facts: &SegmentFacts, from: u64, to: u64) -> Vec<(Entry, u64)> {
        let (mut at, mut index) = (FRAMES_AT, facts.first_index);
        let mut within = Vec::new();
        while index <= facts.last_index && at < to {
            let entry = self.entry(index).expect("an entry of the segment");
            let end = at + 72 + entry.payload.len() as u64;
            if end > from {
                within.push((entry.clone(), from.saturating_sub(at)));
            }
            (at, index) = (end, index.next());
        }
        within
    }

    /// All batches below `end` as they are stored, but for some entries.
    fn batches_but(&self, without: &[Index], end: Offset) -> Vec<Bytes> {
        let batches = self.history().iter().filter(|entry| entry.count > 0 && entry.next_offset() <= end);
        batches.filter(|entry| !without.contains(&entry.index)).map(|entry| stored(entry).payload).collect()
    }
}
