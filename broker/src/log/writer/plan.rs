//! What a log asks of a round, and what it does when the round is done.

use super::Log;
use super::roll::Next;
use crate::ids::Index;
use crate::limits::{DURABLE_MARK_LAG_MS, PREPARE_RETRY_MS, SEGMENT_FIRST_BYTES};
use crate::log::segment::SEGMENT_HEADER_BYTES;
use crate::log::{Fatal, Job, JobDone, MetaChange, MetaField, Round, SyncFile, footer};

/// The durable mark, as the meta log has it or will have it after the round in flight.
pub(in crate::log) struct Mark {
    /// The highest index that a record of the meta log may speak of.
    pub(in crate::log) recorded: Index,
    /// When it was last written, in ms.
    pub(in crate::log) last_ms: i64,
    /// It shall be written with the next round.
    pub(in crate::log) due: bool,
}

/// What the round in flight does for this log.
#[derive(Default)]
pub(in crate::log) struct Planned {
    /// The segment synced, the writes it had, and the last entry that the sync covers.
    sync: Option<(u64, u64, Index)>,
    /// The cut whose mark is lowered and whose segments are removed.
    cut: Option<Index>,
    /// The jobs, in order.
    jobs: Vec<PlannedJob>,
    /// When the round was planned, in ms.
    now_ms: i64,
}

#[derive(Clone, Copy)]
enum PlannedJob {
    Prepare {
        sequence: u64,
    },
    /// Of a log that will begin there.
    Producers {
        first: Index,
    },
    Remove,
}

impl Planned {
    /// Entries above `index` were cut since: the sync does not speak of what takes their place.
    pub(super) fn limit_sync(&mut self, index: Index) {
        if let Some((_, _, synced)) = &mut self.sync {
            *synced = (*synced).min(index);
        }
    }
}

impl Log {
    /// Whether the next round has something to do for this log at once. What may wait is left out: the durable mark,
    /// and a next segment that there was no room for; a plan about once a second takes care of them.
    pub fn has_work(&self) -> bool {
        !self.active.is_clean()
            || self.cut.is_some()
            || self.start_changed
            || !self.removals.is_empty()
            || self.wants_seal()
            || (matches!(self.next, Next::None) && self.wants_next(0))
    }

    /// Adds what this log needs to the round that is about to leave. [`Log::round_done`] comes before the next plan.
    pub fn plan(&mut self, now_ms: i64, round: &mut Round) {
        let mut planned = Planned { now_ms, ..Planned::default() };
        self.plan_mark(now_ms, round);
        if let Some(producers) = &self.producers_before {
            let (partition, start, producers) = (self.partition, self.start, producers.batches());
            round.jobs.push(Job::Producers { partition, start, producers });
            planned.jobs.push(PlannedJob::Producers { first: self.start.first_index });
        } else if self.start_changed {
            round.meta.push(self.change(MetaField::Start(self.start)));
            self.start_changed = false;
        }
        // A segment that waits only to be sealed gets its turn when the round is done.
        if !self.active.is_clean() || self.wants_seal() {
            planned.sync = Some((self.active.sequence, self.active.writes(), self.written()));
            round.sync.push(SyncFile { partition: self.partition, file: self.active.file.clone() });
        }
        self.plan_cut(round, &mut planned);
        if !self.removals.is_empty() && self.producers_before.is_none() {
            let files = std::mem::take(&mut self.removals);
            round.jobs.push(Job::Remove { partition: self.partition, files });
            planned.jobs.push(PlannedJob::Remove);
        }
        if self.wants_next(now_ms) {
            self.plan_next(round, &mut planned);
        }
        self.planned = Some(planned);
        self.reserved = 0;
    }

    /// The round that the last plan added to is done: `jobs` says how those ended that the plan added, in order.
    ///
    /// # Errors
    /// A failed write of entries that the round let through; jobs that were not planned.
    pub fn round_done(&mut self, jobs: &[JobDone]) -> Result<(), Fatal> {
        let planned = self.planned.take().unwrap_or_default();
        if planned.jobs.len() != jobs.len() {
            return Err(self.broken("a round is done that was not planned"));
        }
        if let Some((sequence, writes, synced)) = planned.sync {
            if sequence == self.active.sequence {
                self.active.synced(writes);
            }
            self.synced = self.synced.max(synced);
        }
        for (job, done) in planned.jobs.iter().zip(jobs) {
            match (job, done) {
                (PlannedJob::Prepare { sequence }, JobDone::Done) => self.take_prepared(*sequence)?,
                (PlannedJob::Prepare { .. }, JobDone::NoSpace) => {
                    self.next = Next::Refused { at_ms: planned.now_ms };
                }
                // On a full disk the files go all the same: they are what makes room.
                (PlannedJob::Producers { first }, _) if *first == self.start.first_index => {
                    self.producers_before = None;
                }
                (PlannedJob::Producers { .. } | PlannedJob::Remove, _) => {}
            }
        }
        if planned.cut.is_some() && planned.cut == self.cut.as_ref().map(|cut| cut.from) {
            return self.carry_out_cut();
        }
        self.advance()
    }

    /// The last words to the meta log: the durable mark. Everything is synced by then. The active segment's index
    /// file is written too, so that the next start need not scan what is durable.
    pub fn close(&mut self, round: &mut Round) {
        self.mark.due = true;
        self.plan_mark(self.mark.last_ms, round);
        let contents = &self.active.contents;
        if !self.lost_end && self.cut.is_none() && contents.tip.index <= self.synced {
            footer::write(&*self.fs, &self.dir, &self.header(self.active.sequence), contents);
        }
    }

    fn change(&self, what: MetaField) -> MetaChange {
        MetaChange { partition: self.partition, what }
    }

    /// Whether only a round's end is missing for the active segment to be sealed.
    fn wants_seal(&self) -> bool {
        self.roll && self.next.is_ready() && !self.active.contents.is_empty() && self.cut.is_none()
    }

    fn wants_mark(&self, now_ms: i64) -> bool {
        self.synced > self.mark.recorded
            && (self.mark.due
                || now_ms.saturating_sub(self.mark.last_ms).saturating_abs() >= DURABLE_MARK_LAG_MS)
    }

    /// The mark speaks only of syncs that are complete before the round begins.
    fn plan_mark(&mut self, now_ms: i64, round: &mut Round) {
        if self.wants_mark(now_ms) {
            let (index, term) = (self.synced, self.term_of(self.synced));
            round.meta.push(self.change(MetaField::Durable { index, term }));
            self.mark = Mark { recorded: index, last_ms: now_ms, due: false };
        }
    }

    fn plan_cut(&mut self, round: &mut Round, planned: &mut Planned) {
        let Some(cut) = &self.cut else { return };
        let (from, index) = (cut.from, cut.from.prev());
        if self.mark.recorded >= from {
            let term = self.term_of(index);
            round.meta.push(self.change(MetaField::LowerDurable { index, term }));
            self.mark.recorded = index;
        }
        for files in &cut.files {
            round.jobs.push(Job::Remove { partition: self.partition, files: files.clone() });
            planned.jobs.push(PlannedJob::Remove);
        }
        planned.cut = Some(from);
    }

    /// The next segment is made when the active one is half full, or shall be sealed.
    fn wants_next(&self, now_ms: i64) -> bool {
        let asked = match self.next {
            Next::None => false,
            Next::Refused { at_ms } => now_ms.saturating_sub(at_ms).saturating_abs() < PREPARE_RETRY_MS,
            Next::Preparing | Next::Ready(_) => true,
        };
        let contents = &self.active.contents;
        let due = (self.roll && !contents.is_empty()) || contents.end >= self.limit() / 2;
        !asked && due && self.cut.is_none() && !self.lost_end
    }

    fn plan_next(&mut self, round: &mut Round, planned: &mut Planned) {
        let sequence = self.active.sequence + 1;
        let limit = self.limit().max(SEGMENT_HEADER_BYTES);
        let first = SEGMENT_FIRST_BYTES.min(limit);
        // A segment that fills is followed by one that will; after a refusal the least will do.
        let bytes = match self.next {
            Next::Refused { .. } => first,
            _ if self.active.contents.end >= limit / 2 => self.active.allocated().clamp(first, limit),
            _ => first,
        };
        let (partition, generation) = (self.partition, self.start.generation);
        round.jobs.push(Job::Prepare { partition, generation, sequence, bytes });
        planned.jobs.push(PlannedJob::Prepare { sequence });
        self.next = Next::Preparing;
    }
}
