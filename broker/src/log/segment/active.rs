//! The active segment: the one that takes frames.

use std::io::{self, IoSlice};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use super::SegmentFacts;
use crate::ids::{Index, Offset};
use crate::log::contents::{Contents, Indexes};
use crate::log::gather::Gather;
use crate::log::pages::{From, Pages};
use crate::log::producers::ProducerFold;
use crate::log::scan::{ScanError, scan};
use crate::log::{Entry, FRAME_HEADER_BYTES, File, Map, Tip};

/// What readers see of the active segment. It only grows; a truncation replaces it as a whole.
pub(in crate::log) struct Live {
    pub(in crate::log) file: Arc<dyn File>,
    pub(in crate::log) map: Arc<dyn Map>,
    pub(in crate::log) base: Tip,
    pub(in crate::log) indexes: Arc<Indexes>,
    end: AtomicU64,
    next_offset: AtomicI64,
    last_index: AtomicU64,
    max_timestamp: AtomicI64,
}

impl Live {
    fn publish(&self, contents: &Contents) {
        self.max_timestamp.store(contents.max_timestamp.unwrap_or(i64::MIN), Ordering::Relaxed);
        self.last_index.store(contents.tip.index.0, Ordering::Relaxed);
        self.next_offset.store(contents.tip.next_offset.0, Ordering::Relaxed);
        // Whoever sees the end also sees the bytes and numbers before it.
        self.end.store(contents.end, Ordering::Release);
    }

    /// Where the next frame begins.
    pub(in crate::log) fn end(&self) -> u64 {
        self.end.load(Ordering::Acquire)
    }

    /// The offset of the next record.
    pub(in crate::log) fn next_offset(&self) -> Offset {
        Offset(self.next_offset.load(Ordering::Relaxed))
    }

    /// The last entry.
    pub(in crate::log) fn last_index(&self) -> Index {
        Index(self.last_index.load(Ordering::Relaxed))
    }

    /// The largest timestamp of a record; the smallest number there is when there are no records.
    pub(in crate::log) fn max_timestamp(&self) -> i64 {
        self.max_timestamp.load(Ordering::Relaxed)
    }
}

/// A segment that takes frames. Only the log's writer has it.
pub(in crate::log) struct Active {
    pub(in crate::log) sequence: u64,
    pub(in crate::log) path: PathBuf,
    pub(in crate::log) file: Arc<dyn File>,
    pub(in crate::log) live: Arc<Live>,
    pub(in crate::log) contents: Contents,
    /// Whether there may be an `.idx` file of these frames.
    pub(in crate::log) indexed: bool,
    /// The producers before the first frame, to fold anew after a truncation.
    pub(in crate::log) base_producers: ProducerFold,
    /// The file's length: room that is taken.
    allocated: u64,
    /// Bytes that are mapped.
    mapped: u64,
    /// Behind here the file was never written: zeros.
    written_end: u64,
    /// Writes so far, and how many of them a completed sync covers.
    writes: u64,
    synced_writes: u64,
}

impl Active {
    /// Takes over an open file whose frames are `contents`. The map is `map_bytes` long, or as long as the file.
    ///
    /// `written_end` is the end of what may not be zeros.
    pub(in crate::log) fn new(
        (sequence, path, file): (u64, PathBuf, Arc<dyn File>),
        contents: Contents,
        base_producers: ProducerFold,
        map_bytes: u64,
        written_end: u64,
    ) -> io::Result<Active> {
        let allocated = file.len()?;
        let mapped = map_bytes.max(allocated);
        let map = file.map(mapped)?;
        let live = live(&file, map, &contents);
        Ok(Active {
            sequence,
            path,
            file,
            live,
            contents,
            indexed: false,
            base_producers,
            allocated,
            mapped,
            written_end,
            writes: 0,
            synced_writes: 0,
        })
    }

    /// Whether a frame of so many bytes lies within `limit` bytes of file, and within the map.
    pub(in crate::log) fn fits(&self, frame_bytes: u64, limit: u64) -> bool {
        self.contents.end + frame_bytes <= limit.min(self.mapped)
    }

    /// The room that is taken, in bytes of file.
    pub(in crate::log) fn allocated(&self) -> u64 {
        self.allocated
    }

    /// Takes room up to `end`: twice what there is, at most `limit`, or just `end` when the disk has no more.
    pub(in crate::log) fn reserve(&mut self, end: u64, limit: u64) -> io::Result<()> {
        if end <= self.allocated {
            return Ok(());
        }
        let mut doubled = self.allocated.max(1);
        while doubled < end {
            doubled = doubled.saturating_mul(2);
        }
        let doubled = doubled.min(limit).max(end);
        let taken = match self.file.allocate(doubled) {
            Ok(()) => doubled,
            Err(_) if doubled > end => {
                self.file.allocate(end)?;
                end
            }
            Err(error) => return Err(error),
        };
        self.allocated = taken;
        Ok(())
    }

    /// Maps more, for a frame that is larger than a whole segment.
    pub(in crate::log) fn remap(&mut self, bytes: u64) -> io::Result<()> {
        let bytes = bytes.max(self.mapped);
        let map = self.file.map(bytes)?;
        self.mapped = bytes;
        self.live = live(&self.file, map, &self.contents);
        Ok(())
    }

    /// Writes the frames of entries behind the last one, in one go. They fit, and room for them is taken.
    pub(in crate::log) fn write(&mut self, gather: &mut Gather, entries: &[Entry]) -> io::Result<()> {
        gather.clear();
        let start = self.contents.end;
        for entry in entries {
            let header = gather.push(entry, self.contents.tip.chain);
            self.contents.push(&header, &entry.payload);
        }
        let end = self.contents.end;
        if end < self.written_end {
            // Old bytes follow: the next header's place must not hold a frame of theirs.
            gather.push_zeros((self.written_end - end).min(FRAME_HEADER_BYTES as u64) as usize);
        }
        self.file.write_at(&gather.slices(), start)?;
        self.written_end = self.written_end.max(end);
        self.writes += 1;
        self.live.publish(&self.contents);
        Ok(())
    }

    /// The frames before index `from`, read anew.
    pub(in crate::log) fn contents_before(&self, from: Index) -> Result<Contents, ScanError> {
        let mut contents = Contents::empty(self.contents.base, self.base_producers.clone());
        let mut pages = Pages::new(self.file.clone(), From::Cache)?;
        scan(&mut pages, &mut contents, from.prev(), Some(from))?;
        Ok(contents)
    }

    /// Cuts what lies behind `contents`, frames of this file: the next header's place becomes zeros.
    pub(in crate::log) fn cut(&mut self, contents: Contents) -> io::Result<()> {
        self.contents = contents;
        self.live = live(&self.file, self.live.map.clone(), &self.contents);
        self.zero_next_header()
    }

    /// Writes zeros where the next header will be.
    pub(in crate::log) fn zero_next_header(&mut self) -> io::Result<()> {
        let end = self.contents.end;
        let length = self.allocated.saturating_sub(end).min(FRAME_HEADER_BYTES as u64) as usize;
        if length > 0 {
            self.file.write_at(&[IoSlice::new(&[0; FRAME_HEADER_BYTES][..length])], end)?;
            self.writes += 1;
        }
        Ok(())
    }

    /// The count of writes, for [`Active::synced`].
    pub(in crate::log) fn writes(&self) -> u64 {
        self.writes
    }

    /// A sync that began after so many writes is complete.
    pub(in crate::log) fn synced(&mut self, writes: u64) {
        self.synced_writes = self.synced_writes.max(writes);
    }

    /// Whether a completed sync covers every write.
    pub(in crate::log) fn is_clean(&self) -> bool {
        self.synced_writes == self.writes
    }

    /// What retention needs to know.
    pub(in crate::log) fn facts(&self) -> SegmentFacts {
        SegmentFacts::of(self.sequence, &self.contents, false)
    }
}

fn live(file: &Arc<dyn File>, map: Arc<dyn Map>, contents: &Contents) -> Arc<Live> {
    let live = Live {
        file: file.clone(),
        map,
        base: contents.base,
        indexes: contents.indexes.clone(),
        end: AtomicU64::new(0),
        next_offset: AtomicI64::new(0),
        last_index: AtomicU64::new(0),
        max_timestamp: AtomicI64::new(0),
    };
    live.publish(contents);
    Arc::new(live)
}
