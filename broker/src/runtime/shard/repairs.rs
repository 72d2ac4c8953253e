//! Damaged entries of a log, repaired from another replica, one segment at a time.
//!
//! 1. the damaged entries of a sealed segment are found, off this thread;
//! 2. another replica is asked for them, message by message;
//! 3. the segment is built anew beside itself, off this thread, and checked against the chain value that it must end with;
//! 4. a round puts it into the place of the damaged one.

use super::reading::{LogRead, Work};
use super::{Effect, Owner, Shard};
use crate::ids::{Index, PartitionId};
use crate::limits::{REPAIR_BYTES_MAX, REPAIR_RETRY_TICKS};
use crate::log::{Entry, FRAME_HEADER_BYTES, Job, JobDone};
use crate::node::{Input, Now};

/// What came of work off the shard's thread.
#[derive(Debug)]
pub enum RepairStep {
    /// A segment was looked through.
    Surveyed {
        /// Whose.
        partition: PartitionId,
        /// Which segment.
        sequence: u64,
        /// Its damaged entries, in runs; nothing where it cannot be read.
        damaged: Option<Vec<(Index, Index)>>,
    },
    /// A segment was built anew.
    Rebuilt {
        /// Whose.
        partition: PartitionId,
        /// Which segment.
        sequence: u64,
        /// Whether it is what the log held.
        whole: bool,
    },
}

/// A repair under way.
pub(super) struct Repair {
    sequence: u64,
    /// Runs of entries that are still wanted, in order.
    wanted: Vec<(Index, Index)>,
    entries: Vec<Entry>,
    bytes: u64,
    attempt: u64,
    /// When the last step began; after a while without an answer another replica is asked.
    since: u64,
    /// Work off this thread, or a round, is under way.
    busy: bool,
}

impl Shard {
    /// Once a second: logs with damage that nobody works on.
    pub(super) fn look_for_damage(&mut self, now: Now) {
        let ticks = self.ticks;
        let stale = self.repairs.iter_mut().filter(|(_, repair)| !repair.busy);
        let stale = stale.filter(|(_, repair)| repair.since + REPAIR_RETRY_TICKS <= ticks);
        let mut asked = Vec::new();
        let mut given_up = Vec::new();
        for (partition, repair) in stale {
            (repair.since, repair.attempt) = (ticks, repair.attempt + 1);
            match repair.wanted.first() {
                Some(run) => asked.push((*partition, *run, repair.attempt)),
                None => given_up.push(*partition),
            }
        }
        given_up.iter().for_each(|partition| drop(self.repairs.remove(partition)));
        for (partition, (first, last), attempt) in asked {
            self.node.handle(now, Input::Damaged { partition, first, last, attempt });
        }
        for (partition, open) in &mut self.logs {
            if !open.log.is_damaged() {
                continue;
            }
            let voters = open.meta.voters.as_ref();
            let alone = voters.is_none_or(|voters| voters.voters.len() + voters.learners.len() < 2);
            if alone || self.repairs.contains_key(partition) {
                continue;
            }
            let committed = Index(open.meta.commit);
            let found = open.log.damaged_segment(committed);
            if open.log.has_work() {
                self.touched.insert(*partition);
            }
            let Some(sequence) = found else { continue };
            let (wanted, entries) = Default::default();
            let repair = Repair { sequence, wanted, entries, bytes: 0, attempt: 0, since: ticks, busy: true };
            self.repairs.insert(*partition, repair);
            self.effects.push_back(work(*partition, open.log.reader(), Work::Survey { sequence }));
        }
    }

    /// Work off this thread is done.
    pub(super) fn repair_step(&mut self, now: Now, step: RepairStep) {
        let (RepairStep::Surveyed { partition, sequence, .. }
        | RepairStep::Rebuilt { partition, sequence, .. }) = &step;
        let (partition, sequence, ticks) = (*partition, *sequence, self.ticks);
        let Some(repair) = self.repairs.get_mut(&partition).filter(|repair| repair.sequence == sequence)
        else {
            return;
        };
        (repair.busy, repair.since) = (false, ticks);
        match step {
            RepairStep::Surveyed { damaged: Some(damaged), .. } if damaged.is_empty() => {
                self.whole_again(partition, sequence);
            }
            RepairStep::Surveyed { damaged: Some(damaged), .. } => {
                let (first, last) = damaged[0];
                repair.wanted = damaged;
                self.node.handle(now, Input::Damaged { partition, first, last, attempt: 0 });
            }
            RepairStep::Rebuilt { whole: true, .. } => {
                let Some(open) = self.logs.get(&partition) else { return };
                repair.busy = true;
                let generation = open.meta.generation;
                self.job(
                    Owner::Install(partition, sequence),
                    Job::Install { partition, generation, sequence },
                );
            }
            // It is looked at again when some time has passed.
            RepairStep::Surveyed { damaged: None, .. } | RepairStep::Rebuilt { whole: false, .. } => {
                repair.wanted.clear();
                tracing::warn!(%partition, segment = sequence, "a damaged segment could not be repaired");
            }
        }
    }

    /// Another replica gave entries: the next ones are asked for, or the segment is built.
    pub(super) fn borrowed(&mut self, now: Now, partition: PartitionId, entries: Vec<Entry>) {
        let ticks = self.ticks;
        let Some(repair) = self.repairs.get_mut(&partition).filter(|repair| !repair.busy) else { return };
        for entry in entries {
            let Some((first, last)) = repair.wanted.first_mut() else { break };
            if entry.index != *first {
                break;
            }
            repair.bytes += (entry.payload.len() + FRAME_HEADER_BYTES) as u64;
            *first = entry.index.next();
            if *first > *last {
                repair.wanted.remove(0);
            }
            repair.entries.push(entry);
        }
        repair.since = ticks;
        if repair.bytes > REPAIR_BYTES_MAX {
            tracing::warn!(%partition, segment = repair.sequence, "too much of a segment is damaged to be repaired");
            (repair.wanted, repair.entries) = Default::default();
            return;
        }
        match repair.wanted.first() {
            Some((first, last)) => {
                let (first, last, attempt) = (*first, *last, repair.attempt);
                self.node.handle(now, Input::Damaged { partition, first, last, attempt });
            }
            None => {
                let Some(open) = self.logs.get(&partition) else { return };
                repair.busy = true;
                let (sequence, entries) = (repair.sequence, std::mem::take(&mut repair.entries));
                let rebuild = Work::Rebuild { sequence, entries };
                self.effects.push_back(work(partition, open.log.reader(), rebuild));
            }
        }
    }

    /// A segment that was built anew has taken its place.
    pub(super) fn installed(&mut self, partition: PartitionId, sequence: u64, done: &JobDone) {
        match done {
            JobDone::Done => self.whole_again(partition, sequence),
            // It is looked at again when some time has passed.
            JobDone::NoSpace => {
                if let Some(repair) = self.repairs.get_mut(&partition) {
                    (repair.busy, repair.since) = (false, self.ticks);
                }
            }
        }
    }

    fn whole_again(&mut self, partition: PartitionId, sequence: u64) {
        self.repairs.remove(&partition);
        let Some(open) = self.logs.get_mut(&partition) else { return };
        if let Some((first, next)) = open.log.repaired(sequence) {
            tracing::info!(%partition, segment = sequence, %first, %next, "a damaged segment is repaired");
        }
    }
}

fn work(partition: PartitionId, reader: crate::log::Reader, work: Work) -> Effect {
    Effect::Read(LogRead { partition, from: Index(0), to: Index(0), reader, work })
}
