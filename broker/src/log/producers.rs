//! The producers' batches of a log, folded from the batch headers in log order.
//!
//! The log keeps, for each producer, its last batches: what the state machine needs to know a retry again after a
//! restart, without reading the whole log. It judges nothing; `state` folds these into its own table.

use std::collections::{BTreeMap, VecDeque};

use super::frame::BATCH_HEADER_BYTES;
use super::{FrameHeader, Kind};
use crate::ids::{Index, Offset, Term};
use crate::limits::{PRODUCER_BATCHES_REMEMBERED, PRODUCER_EXPIRY_MS, PRODUCERS_PER_PARTITION_MAX};

/// A batch that an idempotent producer wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProducerFrame {
    /// The producer's id, 0 or above.
    pub producer_id: i64,
    /// Its epoch.
    pub epoch: i16,
    /// The sequence of the batch's first record.
    pub first_sequence: i32,
    /// The batch's records.
    pub count: u32,
    /// The offset of its first record.
    pub base_offset: Offset,
    /// Its place in the Raft log.
    pub index: Index,
    /// Its term.
    pub term: Term,
    /// When the leader took it, in ms.
    pub append_time: i64,
}

impl ProducerFrame {
    /// Reads the producer's fields of a batch; `None` for other entries and for batches without a producer.
    pub fn of(header: &FrameHeader, payload: &[u8]) -> Option<ProducerFrame> {
        if header.kind != Kind::Batch || payload.len() < BATCH_HEADER_BYTES {
            return None;
        }
        let producer_id = i64::from_be_bytes(payload[43..51].try_into().ok()?);
        if producer_id < 0 {
            return None;
        }
        Some(ProducerFrame {
            producer_id,
            epoch: i16::from_be_bytes(payload[51..53].try_into().ok()?),
            first_sequence: i32::from_be_bytes(payload[53..57].try_into().ok()?),
            count: header.count,
            base_offset: header.base_offset,
            index: header.index,
            term: header.term,
            append_time: header.append_time,
        })
    }
}

/// The last batches of each producer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ProducerFold {
    producers: BTreeMap<i64, VecDeque<ProducerFrame>>,
}

impl ProducerFold {
    /// Takes the next batch of the log.
    pub(super) fn push(&mut self, batch: ProducerFrame) {
        let batches = self.producers.entry(batch.producer_id).or_default();
        // A log that begins elsewhere may know its first batches already.
        if batches.back().is_some_and(|last| last.index >= batch.index) {
            return;
        }
        // Twice what is remembered: the newest may still be cut, and then those before them count.
        if batches.len() == 2 * PRODUCER_BATCHES_REMEMBERED {
            batches.pop_front();
        }
        batches.push_back(batch);
        // A quarter above the limit, so that forgetting costs little for each batch.
        if self.producers.len() > PRODUCERS_PER_PARTITION_MAX + PRODUCERS_PER_PARTITION_MAX / 4 {
            self.forget(batch.append_time);
        }
    }

    /// Forgets producers that have expired at `now`, an append time, and those that wrote longest ago above the limit.
    pub(super) fn forget(&mut self, now_ms: i64) {
        self.producers.retain(|_, batches| {
            batches.back().is_some_and(|last| last.append_time.saturating_add(PRODUCER_EXPIRY_MS) >= now_ms)
        });
        let Some(surplus) = self.producers.len().checked_sub(PRODUCERS_PER_PARTITION_MAX).filter(|&n| n > 0)
        else {
            return;
        };
        let mut last: Vec<(Index, i64)> = self
            .producers
            .iter()
            .map(|(&id, batches)| (batches.back().map_or(Index(0), |batch| batch.index), id))
            .collect();
        last.sort_unstable();
        for (_, id) in &last[..surplus] {
            self.producers.remove(id);
        }
    }

    /// Without the batches behind an index: what is known of the time before is less than was known then.
    pub(super) fn until(&self, last: Index) -> ProducerFold {
        let mut before = ProducerFold::default();
        self.batches().into_iter().filter(|batch| batch.index <= last).for_each(|batch| before.push(batch));
        before
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.producers.is_empty()
    }

    /// All batches, in log order.
    pub(super) fn batches(&self) -> Vec<ProducerFrame> {
        let mut batches: Vec<_> = self.producers.values().flatten().copied().collect();
        batches.sort_unstable_by_key(|batch| batch.index);
        batches
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(producer_id: i64, index: u64, append_time: i64) -> ProducerFrame {
        ProducerFrame {
            producer_id,
            epoch: 0,
            first_sequence: index as i32,
            count: 1,
            base_offset: Offset(index as i64),
            index: Index(index),
            term: Term(1),
            append_time,
        }
    }

    #[test]
    fn keeps_the_last_batches_of_each_producer_in_log_order() {
        let mut fold = ProducerFold::default();
        for index in 0..24 {
            fold.push(batch(index as i64 % 2, index, 0));
        }
        let indexes: Vec<u64> = fold.batches().iter().map(|batch| batch.index.0).collect();
        assert_eq!(indexes, (4..24).collect::<Vec<_>>());
    }

    #[test]
    fn forgets_by_append_time_and_never_by_a_clock() {
        let mut fold = ProducerFold::default();
        fold.push(batch(1, 1, 0));
        fold.push(batch(2, 2, 10));
        fold.forget(PRODUCER_EXPIRY_MS + 1);
        assert_eq!(fold.batches(), vec![batch(2, 2, 10)]);
    }

    #[test]
    fn above_the_limit_the_one_that_wrote_longest_ago_is_forgotten() {
        let mut fold = ProducerFold::default();
        let all = PRODUCERS_PER_PARTITION_MAX as u64 + PRODUCERS_PER_PARTITION_MAX as u64 / 4 + 1;
        for index in 0..all {
            fold.push(batch(all as i64 - index as i64, index, 0));
        }
        let batches = fold.batches();
        assert_eq!(batches.len(), PRODUCERS_PER_PARTITION_MAX);
        assert_eq!(batches[0].index, Index(all - PRODUCERS_PER_PARTITION_MAX as u64));
    }
}
