//! What a partition knows of its idempotent producers: which sequence comes next, and where the last batches are.
//!
//! Two parts. The *committed* part is a fold of the batches of producers in log order, up to the commit index: a pure
//! function of the log, equal on every replica. The *overlay* holds the batches above it, by Raft index, since a leader
//! must know the sequences of entries that it took or inherited and that are not committed; a truncation takes them
//! back. A batch is checked against both.
//!
//! Producers are forgotten only while folding: those whose last batch is [`PRODUCER_EXPIRY_MS`] older, by append time,
//! than the one folded, and above a number of producers those that wrote longest ago. No clock is read.
//!
//! Sequences run from 0 to `i32::MAX` and then from 0 again.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::ids::{Index, Offset, Term};
use crate::limits::{PRODUCER_BATCHES_REMEMBERED, PRODUCER_EXPIRY_MS, PRODUCERS_PER_PARTITION_MAX};
use crate::refusal::Refusal;

pub use crate::log::ProducerFrame;

mod sequence;
mod snapshot;
#[cfg(test)]
mod tests;

pub use snapshot::ProducersError;

/// The table of one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Producers {
    /// The committed part.
    known: BTreeMap<i64, Known>,
    /// The producers of `known` by their last batch, oldest first.
    by_age: BTreeMap<Index, i64>,
    /// The last index folded.
    folded: Index,
    /// The overlay.
    pending: BTreeMap<Index, ProducerFrame>,
    /// The indexes of the overlay by producer, rising.
    pending_of: BTreeMap<i64, Vec<Index>>,
    /// The most producers in `known`.
    limit: usize,
}

/// A producer in the committed part.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Known {
    /// Its last batches, oldest first, at least one, of one epoch, each beginning where the one before ends.
    batches: Vec<ProducerFrame>,
}

/// What becomes of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is the next one.
    Accept,
    /// It is in the log and committed: answer its first receipt again.
    DuplicateCommitted {
        /// The offset of its first record.
        base_offset: Offset,
        /// Its place in the Raft log.
        index: Index,
        /// The term in which it was taken.
        term: Term,
        /// When it was taken.
        append_time: i64,
    },
    /// It is in the log and not committed: answer when its first copy is.
    DuplicatePending(ProducerFrame),
    /// It is not taken.
    Refuse(Refusal),
}

impl Default for Producers {
    fn default() -> Producers {
        Producers::with_limit(PRODUCERS_PER_PARTITION_MAX)
    }
}

impl Producers {
    /// An empty table that remembers at most `limit` producers, at least one.
    pub fn with_limit(limit: usize) -> Producers {
        Producers {
            known: BTreeMap::new(),
            by_age: BTreeMap::new(),
            folded: Index(0),
            pending: BTreeMap::new(),
            pending_of: BTreeMap::new(),
            limit: limit.max(1),
        }
    }

    /// Producers in the committed part.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether the committed part is empty.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// What becomes of a batch of `count` records, the first with sequence `first_sequence`, from producer `id` in `epoch`.
    /// Changes nothing: an accepted batch comes back through [`Producers::append`].
    pub fn check(&self, id: i64, epoch: i16, first_sequence: i32, count: u32) -> Verdict {
        let Some(last) = self.last_of(id) else {
            return match first_sequence {
                0 => Verdict::Accept,
                _ => Verdict::Refuse(Refusal::ProducerUnknown { producer_id: id }),
            };
        };
        if epoch < last.epoch {
            let current_epoch = last.epoch;
            return Verdict::Refuse(Refusal::ProducerFenced { producer_id: id, epoch, current_epoch });
        }
        let expected = if epoch > last.epoch { 0 } else { sequence::after(last.first_sequence, last.count) };
        if first_sequence == expected {
            return Verdict::Accept;
        }
        let out_of_order = Verdict::Refuse(Refusal::OutOfOrderSequence {
            producer_id: id,
            sequence: first_sequence,
            expected,
        });
        if epoch > last.epoch {
            return out_of_order;
        }
        let same = |frame: &&ProducerFrame| frame.first_sequence == first_sequence && frame.count == count;
        if let Some(frame) = self.pending_in(id, epoch).rev().find(same) {
            return Verdict::DuplicatePending(*frame);
        }
        if let Some(frame) = self.committed_in(id, epoch).iter().rev().find(same) {
            return Verdict::DuplicateCommitted {
                base_offset: frame.base_offset,
                index: frame.index,
                term: frame.term,
                append_time: frame.append_time,
            };
        }
        let oldest = self.committed_in(id, epoch).first().or_else(|| self.pending_in(id, epoch).next());
        let end = sequence::after(first_sequence, count);
        let before_all = oldest.is_some_and(|oldest| {
            sequence::is_before(first_sequence, oldest.first_sequence)
                && (end == oldest.first_sequence || sequence::is_before(end, oldest.first_sequence))
        });
        match before_all {
            true => Verdict::Refuse(Refusal::DuplicateSequence { producer_id: id, sequence: first_sequence }),
            false => out_of_order,
        }
    }

    /// A batch was put at the end of the log. What the overlay holds from its index on is gone.
    pub fn append(&mut self, frame: ProducerFrame) {
        self.truncate(frame.index);
        // A replica whose log began elsewhere was told of batches that its log had not reached.
        if frame.index <= self.folded {
            return;
        }
        self.pending.insert(frame.index, frame);
        self.pending_of.entry(frame.producer_id).or_default().push(frame.index);
    }

    /// The entries up to `upto` are committed.
    pub fn commit(&mut self, upto: Index) {
        while let Some(first) = self.pending.first_entry().filter(|first| *first.key() <= upto) {
            let frame = first.remove();
            self.drop_pending_of(frame.producer_id, |indexes| {
                indexes.remove(0);
            });
            self.fold(frame);
        }
    }

    /// The entries from `from` on are gone.
    pub fn truncate(&mut self, from: Index) {
        while let Some(last) = self.pending.last_entry().filter(|last| *last.key() >= from) {
            let frame = last.remove();
            self.drop_pending_of(frame.producer_id, |indexes| {
                indexes.pop();
            });
        }
    }

    /// A committed batch goes into the committed part: in log order; what was folded before is passed over. The last
    /// [`PRODUCER_BATCHES_REMEMBERED`] batches of each producer alone make the same table as the whole log, but for
    /// more batches remembered of one that was forgotten above the limit while its next batch was on its way.
    pub fn fold(&mut self, frame: ProducerFrame) {
        if frame.index <= self.folded {
            return;
        }
        self.folded = frame.index;
        self.expire(frame.append_time);
        match self.known.get_mut(&frame.producer_id) {
            Some(known) => {
                self.by_age.remove(&known.last().index);
                known.push(frame);
            }
            None => {
                self.known.insert(frame.producer_id, Known { batches: vec![frame] });
            }
        }
        self.by_age.insert(frame.index, frame.producer_id);
        while self.known.len() > self.limit {
            self.forget_oldest();
        }
    }

    /// Forgets the producers whose last batch is too old at `append_time`.
    fn expire(&mut self, append_time: i64) {
        let oldest_kept = append_time.saturating_sub(PRODUCER_EXPIRY_MS);
        // Append times never decrease in a log: the oldest by index is the oldest by time.
        while let Some(id) = self.by_age.values().next() {
            if self.known.get(id).is_some_and(|known| known.last().append_time >= oldest_kept) {
                break;
            }
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some((_, id)) = self.by_age.pop_first() {
            self.known.remove(&id);
        }
    }

    /// The batches of the committed part, in log order: folded, they make it again.
    pub fn frames(&self) -> Vec<ProducerFrame> {
        let mut frames: Vec<ProducerFrame> =
            self.known.values().flat_map(|known| known.batches.iter().copied()).collect();
        frames.sort_unstable_by_key(|frame| frame.index);
        frames
    }

    /// The committed part as bytes: equal on every replica that has folded the same log.
    pub fn snapshot(&self) -> Bytes {
        snapshot::write(self)
    }

    /// The table that [`Producers::snapshot`] was called on, without its overlay and with the default limit.
    /// Errors: see [`ProducersError`].
    pub fn restore(bytes: &[u8]) -> Result<Producers, ProducersError> {
        snapshot::read(bytes)
    }

    /// The last batch of a producer in the log.
    fn last_of(&self, id: i64) -> Option<&ProducerFrame> {
        let pending = self.pending_of.get(&id).and_then(|indexes| self.pending.get(indexes.last()?));
        pending.or_else(|| self.known.get(&id).map(Known::last))
    }

    fn pending_in(&self, id: i64, epoch: i16) -> impl DoubleEndedIterator<Item = &ProducerFrame> {
        let indexes = self.pending_of.get(&id).map_or(&[][..], Vec::as_slice);
        indexes.iter().filter_map(|index| self.pending.get(index)).filter(move |frame| frame.epoch == epoch)
    }

    fn committed_in(&self, id: i64, epoch: i16) -> &[ProducerFrame] {
        match self.known.get(&id) {
            Some(known) if known.last().epoch == epoch => &known.batches,
            _ => &[],
        }
    }

    fn drop_pending_of(&mut self, id: i64, drop: impl FnOnce(&mut Vec<Index>)) {
        if let Some(indexes) = self.pending_of.get_mut(&id) {
            drop(indexes);
            if indexes.is_empty() {
                self.pending_of.remove(&id);
            }
        }
    }
}

impl Known {
    fn last(&self) -> &ProducerFrame {
        self.batches.last().expect("invariant: a known producer has a batch")
    }

    /// Takes the next batch. One that does not go on from the last (a new epoch, or a producer that was forgotten and
    /// came back) begins anew, so that the table does not depend on what else of the log was folded.
    fn push(&mut self, frame: ProducerFrame) {
        let last = self.last();
        if frame.epoch != last.epoch
            || frame.first_sequence != sequence::after(last.first_sequence, last.count)
        {
            self.batches.clear();
        }
        if self.batches.len() == PRODUCER_BATCHES_REMEMBERED {
            self.batches.remove(0);
        }
        self.batches.push(frame);
    }
}
