//! Rolling: the active segment is sealed, the prepared one takes its place.

use std::path::PathBuf;
use std::sync::Arc;

use super::Log;
use crate::ids::{Index, Offset};
use crate::log::contents::Contents;
use crate::log::segment::{Active, Loaded, SEGMENT_HEADER_BYTES, Sealed};
use crate::log::shared::Segments;
use crate::log::{Fatal, File, LogStart, OpenMode, footer, paths};

/// The segment behind the active one.
pub(in crate::log) enum Next {
    /// Not asked for.
    None,
    /// There was no room for it, at a time in ms.
    Refused { at_ms: i64 },
    /// A job makes it.
    Preparing,
    /// It is there, durably, and has no frames.
    Ready(Prepared),
}

/// A segment file without frames.
pub(in crate::log) struct Prepared {
    pub(in crate::log) sequence: u64,
    pub(in crate::log) path: PathBuf,
    pub(in crate::log) file: Arc<dyn File>,
    /// Room that is taken, in bytes of file.
    pub(in crate::log) allocated: u64,
    /// The end of what may not be zeros.
    pub(in crate::log) written_end: u64,
}

impl Next {
    pub(in crate::log) fn is_ready(&self) -> bool {
        matches!(self, Next::Ready(_))
    }
}

impl Log {
    /// Asks for the active segment to be sealed when its first entry is older than the configuration says.
    pub fn roll_if_old(&mut self, now_ms: i64) {
        let first = self.active.contents.first_append_time;
        if first.is_some_and(|first| now_ms.saturating_sub(first) >= self.config.segment_ms) {
            self.roll = true;
        }
    }

    /// Readers may not see below `log_start`, by an entry that is committed and applied; entries up to `applied` are
    /// not needed by this node's state machine any more. Segments wholly below both are dropped: the next plan says
    /// so to the meta log, and then removes their files.
    pub fn set_log_start(&mut self, log_start: Offset, applied: Index) {
        if log_start > self.start.log_start {
            self.start.log_start = log_start;
            self.start_changed = true;
        }
        self.applied = self.applied.max(applied);
        self.drop_segments();
    }

    fn drop_segments(&mut self) {
        let applied = self.applied;
        let log_start = self.start.log_start;
        let below = |next_offset: Offset, last: Index| next_offset <= log_start && last <= applied;
        let segments = self.shared.segments();
        let count = segments
            .sealed
            .iter()
            .take_while(|sealed| below(sealed.tip.next_offset, sealed.tip.index))
            .count();
        let tip = self.active.contents.tip;
        if count == segments.sealed.len()
            && !self.active.contents.is_empty()
            && below(tip.next_offset, tip.index)
        {
            self.roll = true;
        }
        for sealed in &segments.sealed[..count] {
            let sequence = sealed.header.sequence;
            self.removals.push(paths::segment_path(&self.dir, sequence));
            self.removals.push(paths::index_path(&self.dir, sequence));
            self.shared.forget(sequence);
        }
        if count > 0 {
            // Nothing of the log that stays names those who wrote only before.
            let last = &segments.sealed[count - 1];
            let producers = match last.footer(&*self.fs, &self.dir) {
                Some(contents) => contents.producers,
                None => self.active.base_producers.until(last.tip.index),
            };
            self.producers_before = (!producers.is_empty()).then_some(producers);
            let base = segments.sealed.get(count).map_or(self.active.contents.base, |sealed| sealed.base);
            self.start = LogStart {
                first_index: base.index.next(),
                prev_term: base.term,
                chain: base.chain,
                append_time: base.append_time,
                next_offset: base.next_offset,
                ..self.start
            };
            self.start_changed = true;
            self.terms_from(base.index.next());
        }
        self.shared.publish(Segments {
            sealed: segments.sealed[count..].to_vec(),
            active: self.active.live.clone(),
            log_start,
        });
        self.shared.damage().forget_before(log_start);
    }

    /// Forgets the terms that end before an index.
    fn terms_from(&mut self, first: Index) {
        let at = self.terms.partition_point(|&(begin, _)| begin <= first);
        if at > 0 {
            self.terms.drain(..at - 1);
            if let Some(term) = self.terms.first_mut() {
                term.0 = term.0.max(first);
            }
        }
    }

    /// Seals the active segment if every byte of it is durable and the next one is ready; says whether it did.
    pub(super) fn seal(&mut self) -> Result<bool, Fatal> {
        if self.active.contents.is_empty() {
            self.roll = false;
            return Ok(true);
        }
        if !self.active.is_clean() || !self.next.is_ready() {
            return Ok(false);
        }
        let Next::Ready(next) = std::mem::replace(&mut self.next, Next::None) else { return Ok(false) };
        let contents = &mut self.active.contents;
        contents.producers.forget(contents.tip.append_time);
        let producers = std::mem::take(&mut contents.producers);
        let header = self.header(self.active.sequence);
        let empty = Contents::empty(self.active.contents.tip, producers.clone());
        let file = (next.sequence, next.path.clone(), next.file);
        let map_bytes = self.limit().max(SEGMENT_HEADER_BYTES);
        let new = Active::new(file, empty, producers.clone(), map_bytes, next.written_end)
            .map_err(|error| Fatal::file("map", &next.path, error))?;
        let old = std::mem::replace(&mut self.active, new);
        let contents = Contents { producers, ..old.contents };
        footer::write(&*self.fs, &self.dir, &header, &contents);
        let loaded =
            Loaded { file: old.file.clone(), map: old.live.map.clone(), indexes: contents.indexes.clone() };
        self.shared.keep(old.sequence, Arc::new(loaded));
        let segments = self.shared.segments();
        let mut sealed = segments.sealed.clone();
        sealed.push(Arc::new(Sealed::new(header, &contents)));
        self.shared.publish(Segments {
            sealed,
            active: self.active.live.clone(),
            log_start: segments.log_start,
        });
        self.roll = false;
        self.mark.due = true;
        // What was sealed because all of it lies below the marks goes at once.
        self.drop_segments();
        Ok(true)
    }

    /// Opens the segment that a job has prepared.
    pub(super) fn take_prepared(&mut self, sequence: u64) -> Result<(), Fatal> {
        let path = paths::segment_path(&self.dir, sequence);
        let open = || {
            let file = self.fs.open(&path, OpenMode::ReadWrite)?;
            let allocated = file.len()?;
            Ok((file, allocated))
        };
        let (file, allocated) = open().map_err(|error| Fatal::file("open", &path, error))?;
        let written_end = SEGMENT_HEADER_BYTES;
        self.next = Next::Ready(Prepared { sequence, path, file, allocated, written_end });
        Ok(())
    }

    /// Shows readers the active segment as it is now.
    pub(super) fn publish_active(&self) {
        let segments = self.shared.segments();
        self.shared.publish(Segments {
            sealed: segments.sealed.clone(),
            active: self.active.live.clone(),
            log_start: segments.log_start,
        });
    }
}
