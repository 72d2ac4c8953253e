//! Truncation: a suffix that a new leader overwrites.
//!
//! Order: the durable mark is lowered, durably; segments wholly behind the cut are removed, the newest first, and the
//! `.idx` file of the one that is cut; the rest of the suffix is overwritten. In between there is the old suffix, whole
//! or shorter, and never a mixture.

use std::path::PathBuf;
use std::sync::Arc;

use super::Log;
use super::roll::Next;
use crate::ids::Index;
use crate::log::contents::Contents;
use crate::log::pages::{From, Pages};
use crate::log::producers::ProducerFold;
use crate::log::scan::{ScanError, scan};
use crate::log::segment::{Active, Sealed, SegmentHeader};
use crate::log::shared::Segments;
use crate::log::{Fatal, File, OpenMode, Tip, footer, paths};

/// A truncation that waits for a round.
pub(in crate::log) struct Cut {
    /// The first index that goes.
    pub(in crate::log) from: Index,
    target: Target,
    /// Files that go first: segments wholly behind the cut, the newest first, and the index file of the one cut.
    pub(super) files: Vec<Vec<PathBuf>>,
}

enum Target {
    /// In the active segment, before which these frames lie.
    Active(Box<Contents>),
    /// In a sealed one, which becomes active again.
    Sealed(Box<Reopened>),
}

struct Reopened {
    sealed: Arc<Sealed>,
    file: Arc<dyn File>,
    contents: Contents,
    producers: ProducerFold,
}

impl Log {
    /// Cuts entries from an index on: waiting ones at once, written ones as soon as no durable mark speaks of them.
    pub(super) fn truncate(&mut self, from: Index) -> Result<(), Fatal> {
        if from < self.start.first_index {
            return Err(
                self.broken(&format!("entry {from} lies before the log's first, {}", self.start.first_index))
            );
        }
        self.truncations += 1;
        while self.waiting.back().is_some_and(|entry| entry.index >= from) {
            if let Some(entry) = self.waiting.pop_back() {
                self.waiting_bytes -= super::frame_bytes(&entry);
            }
        }
        self.appended = self.tip_before(from)?;
        if from > self.written() {
            return Ok(());
        }
        self.synced = self.synced.min(from.prev());
        if let Some(planned) = &mut self.planned {
            planned.limit_sync(from.prev());
        }
        let cut = self.cut_at(from)?;
        self.appended = match &cut.target {
            Target::Active(contents) => contents.tip,
            Target::Sealed(reopened) => reopened.contents.tip,
        };
        let waits = self.mark.recorded >= from || !cut.files.is_empty();
        self.cut = Some(cut);
        if waits { Ok(()) } else { self.carry_out_cut() }
    }

    /// What lies before `from`, where that is still waiting; otherwise any value: the cut brings its own.
    fn tip_before(&self, from: Index) -> Result<Tip, Fatal> {
        let written = match &self.cut {
            Some(Cut { target: Target::Active(contents), .. }) => contents.tip,
            Some(Cut { target: Target::Sealed(reopened), .. }) => reopened.contents.tip,
            None => self.active.contents.tip,
        };
        let tip = self.waiting.back().map_or(written, |entry| Tip {
            index: entry.index,
            term: entry.term,
            next_offset: entry.next_offset(),
            append_time: entry.append_time,
            chain: written.chain,
        });
        if tip.index < from.prev() {
            return Err(self.broken(&format!("entry {from} does not follow entry {}", tip.index)));
        }
        Ok(tip)
    }

    fn cut_at(&self, from: Index) -> Result<Cut, Fatal> {
        let broken =
            |error: ScanError| self.broken(&format!("reading before a cut at entry {from}: {error}"));
        let segments = self.shared.segments();
        let Some(sealed) = segments.sealed_at(from) else {
            let contents = self.active.contents_before(from).map_err(broken)?;
            let index = paths::index_path(&self.dir, self.active.sequence);
            let files = if self.active.indexed { vec![vec![index]] } else { Vec::new() };
            return Ok(Cut { from, target: Target::Active(Box::new(contents)), files });
        };
        let sequence = sealed.header.sequence;
        let last = match &self.next {
            Next::Ready(next) => next.sequence,
            _ => self.active.sequence,
        };
        let files = (sequence + 1..=last.max(self.active.sequence + 1))
            .rev()
            .map(|other| vec![paths::segment_path(&self.dir, other), paths::index_path(&self.dir, other)])
            .chain([vec![paths::index_path(&self.dir, sequence)]])
            .collect();
        let reopened = self.reopen(&segments, sealed.clone(), from).map_err(broken)?;
        Ok(Cut { from, target: Target::Sealed(Box::new(reopened)), files })
    }

    fn reopen(&self, segments: &Segments, sealed: Arc<Sealed>, from: Index) -> Result<Reopened, ScanError> {
        let path = paths::segment_path(&self.dir, sealed.header.sequence);
        let file = self.fs.open(&path, OpenMode::ReadWrite)?;
        let before = segments.sealed.iter().rfind(|other| other.header.sequence < sealed.header.sequence);
        let mut producers = match before {
            Some(before) => before.footer(&*self.fs, &self.dir),
            None => None,
        }
        .map(|contents| contents.producers);
        if producers.is_none() && before.is_some() {
            // Its index file is gone: what this one's remembers of the time before is the most that is known.
            producers = footer::read(&*self.fs, &self.dir, &sealed.header).map(|contents| {
                let mut known = ProducerFold::default();
                let first = sealed.base.index.next();
                contents
                    .producers
                    .batches()
                    .into_iter()
                    .filter(|b| b.index < first)
                    .for_each(|b| known.push(b));
                known
            });
        }
        let before_first = || {
            let before = SegmentHeader { sequence: 0, ..sealed.header };
            footer::read(&*self.fs, &self.dir, &before).map(|contents| contents.producers)
        };
        let producers = producers.or_else(before_first).unwrap_or_default();
        let mut contents = Contents::empty(sealed.base, producers.clone());
        let mut pages = Pages::new(file.clone(), From::Cache)?;
        scan(&mut pages, &mut contents, from.prev(), Some(from))?;
        Ok(Reopened { sealed, file, contents, producers })
    }

    /// Cuts: nothing on the disk speaks of the suffix any more. The first write over it follows.
    pub(super) fn carry_out_cut(&mut self) -> Result<(), Fatal> {
        let Some(cut) = self.cut.take() else { return Ok(()) };
        match cut.target {
            Target::Active(contents) => {
                self.active.indexed = false;
                self.active.cut(*contents).map_err(|error| Fatal::file("write", &self.active.path, error))?;
                self.publish_active();
            }
            Target::Sealed(reopened) => self.reactivate(*reopened)?,
        }
        self.terms.retain(|&(first, _)| first < cut.from);
        self.shared.damage().forget_from(self.active.contents.tip.next_offset);
        self.roll = false;
        self.advance()
    }

    fn reactivate(&mut self, reopened: Reopened) -> Result<(), Fatal> {
        let Reopened { sealed, file, contents, producers } = reopened;
        let sequence = sealed.header.sequence;
        let path = paths::segment_path(&self.dir, sequence);
        let wrong = |error| Fatal::file("truncation", &path, error);
        let written_end = file.len().map_err(wrong)?;
        let file = (sequence, path.clone(), file);
        let mut active = Active::new(file, contents, producers, self.limit(), written_end).map_err(wrong)?;
        active.zero_next_header().map_err(wrong)?;
        self.active = active;
        self.next = Next::None;
        let segments = self.shared.segments();
        for gone in segments.sealed.iter().filter(|other| other.header.sequence >= sequence) {
            self.shared.forget(gone.header.sequence);
        }
        self.shared.publish(Segments {
            sealed: segments
                .sealed
                .iter()
                .filter(|other| other.header.sequence < sequence)
                .cloned()
                .collect(),
            active: self.active.live.clone(),
            log_start: segments.log_start,
        });
        Ok(())
    }
}
