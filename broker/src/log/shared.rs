//! What the writer of a log shares with its readers.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;

use super::contents::Indexes;
use super::damage::Damage;
use super::scan::ScanError;
use super::segment::{Live, Loaded, Sealed};
use super::{File, Fs, Map, Tip};
use crate::ids::{Index, Offset};
use crate::limits::SEALED_MAPS_PER_LOG_MAX;

/// The segments of a log, from the oldest; replaced as a whole when one is sealed, cut or dropped.
pub(super) struct Segments {
    pub(super) sealed: Vec<Arc<Sealed>>,
    pub(super) active: Arc<Live>,
    /// The first offset that readers may see.
    pub(super) log_start: Offset,
}

/// One segment, as a reader needs it.
pub(super) struct View {
    pub(super) file: Arc<dyn File>,
    pub(super) map: Arc<dyn Map>,
    pub(super) indexes: Arc<Indexes>,
    /// What lies before the first frame.
    pub(super) base: Tip,
    /// Where the frames end.
    pub(super) end: u64,
    /// The offset behind the last record.
    pub(super) next_offset: Offset,
    /// The last entry.
    pub(super) last_index: Index,
}

pub(super) struct Shared {
    pub(super) fs: Arc<dyn Fs>,
    pub(super) dir: PathBuf,
    segments: ArcSwap<Segments>,
    damage: Mutex<Damage>,
    /// From this offset on the bytes were written lately, by this process.
    recent_from: AtomicI64,
    /// The sealed segments read last, the latest at the back.
    loaded: Mutex<VecDeque<(u64, Arc<Loaded>)>>,
}

impl Shared {
    pub(super) fn new(fs: Arc<dyn Fs>, dir: PathBuf, segments: Segments, damage: Damage) -> Shared {
        let recent_from = AtomicI64::new(segments.active.next_offset().0);
        let segments = ArcSwap::from_pointee(segments);
        Shared { fs, dir, segments, damage: Mutex::new(damage), recent_from, loaded: Mutex::default() }
    }

    pub(super) fn segments(&self) -> Arc<Segments> {
        self.segments.load_full()
    }

    pub(super) fn publish(&self, segments: Segments) {
        self.segments.store(Arc::new(segments));
    }

    pub(super) fn damage(&self) -> MutexGuard<'_, Damage> {
        self.damage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn recent_from(&self) -> Offset {
        Offset(self.recent_from.load(Ordering::Relaxed))
    }

    pub(super) fn set_recent_from(&self, offset: Offset) {
        self.recent_from.store(offset.0, Ordering::Relaxed);
    }

    fn loaded(&self) -> MutexGuard<'_, VecDeque<(u64, Arc<Loaded>)>> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a sealed segment at hand.
    pub(super) fn keep(&self, sequence: u64, segment: Arc<Loaded>) {
        let mut loaded = self.loaded();
        loaded.retain(|(other, _)| *other != sequence);
        loaded.push_back((sequence, segment));
        while loaded.len() > SEALED_MAPS_PER_LOG_MAX {
            loaded.pop_front();
        }
    }

    /// Lets go of segments that are not of the log any more.
    pub(super) fn forget(&self, sequence: u64) {
        self.loaded().retain(|(other, _)| *other != sequence);
    }

    /// A sealed segment, opened and mapped where it is not at hand.
    pub(super) fn load(&self, sealed: &Sealed) -> Result<View, ScanError> {
        let sequence = sealed.header.sequence;
        let known = self.loaded().iter().find(|(other, _)| *other == sequence).map(|(_, one)| one.clone());
        let segment = match known {
            Some(segment) => segment,
            None => Arc::new(sealed.load(&*self.fs, &self.dir)?),
        };
        self.keep(sequence, segment.clone());
        Ok(View {
            file: segment.file.clone(),
            map: segment.map.clone(),
            indexes: segment.indexes.clone(),
            base: sealed.base,
            end: sealed.end,
            next_offset: sealed.tip.next_offset,
            last_index: sealed.tip.index,
        })
    }
}

impl Segments {
    /// The active segment.
    pub(super) fn live(&self) -> View {
        let live = &self.active;
        // The end first: what it covers is at least as old as the numbers read after it.
        let end = live.end();
        View {
            file: live.file.clone(),
            map: live.map.clone(),
            indexes: live.indexes.clone(),
            base: live.base,
            end,
            next_offset: live.next_offset(),
            last_index: live.last_index(),
        }
    }

    /// The sealed segment with a record at or behind an offset; `None` for the active one.
    pub(super) fn sealed_with(&self, offset: Offset) -> Option<&Arc<Sealed>> {
        self.sealed.get(self.sealed.partition_point(|sealed| sealed.tip.next_offset <= offset))
    }

    /// The sealed segment with an index; `None` for the active one.
    pub(super) fn sealed_at(&self, index: Index) -> Option<&Arc<Sealed>> {
        self.sealed.get(self.sealed.partition_point(|sealed| sealed.tip.index < index))
    }
}
