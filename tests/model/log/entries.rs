//! Entries as a leader makes them, from a seed.

use bytes::Bytes;
use caudal_broker::ids::{Index, Offset, Term};
use caudal_broker::log::{Entry, FrameHeader, Kind, ProducerFrame};
use caudal_harness::seeded::Seeded;
use caudal_proto::batch::{Builder, Codec, Producer};

/// Makes entries that follow each other.
pub(crate) struct Maker {
    random: Seeded,
    sequence: i32,
}

impl Maker {
    pub(crate) fn new(seed: u64) -> Maker {
        Maker { random: Seeded::stream(seed, "entries"), sequence: 0 }
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.random.below(end)
    }

    /// The entry behind `last`, of `term`; about one in six is no batch.
    pub(crate) fn next(&mut self, last: (Index, Offset, i64), term: Term, bytes: usize) -> Entry {
        let (index, offset, append_time) = (last.0.next(), last.1, last.2 + self.below(3) as i64);
        let (kind, payload, count, max_timestamp) = match self.below(12) {
            0 => (Kind::Noop, Bytes::new(), 0, -1),
            1 => (Kind::Command, Bytes::from(vec![7; bytes / 2]), 0, -1),
            _ => {
                let (payload, count, newest) = self.batch(bytes);
                (Kind::Batch, payload, count, newest)
            }
        };
        // A record in twenty is of an offset that was given up.
        let gap = if self.below(20) == 0 { 5 } else { 0 };
        let base_offset = Offset(offset.0 + gap);
        Entry { index, term, kind, base_offset, count, max_timestamp, append_time, payload }
    }

    fn batch(&mut self, bytes: usize) -> (Bytes, u32, i64) {
        let count = 1 + self.below(3) as u32;
        let producer = (self.below(2) == 0).then(|| Producer {
            id: self.random.below(4) as i64,
            epoch: 0,
            sequence: self.sequence,
        });
        self.sequence += count as i32;
        let mut builder = Builder::new();
        let mut newest = i64::MIN;
        for _ in 0..count {
            let timestamp = self.below(1000) as i64;
            newest = newest.max(timestamp);
            let value: Vec<u8> = (0..bytes / count as usize).map(|_| self.random.below(256) as u8).collect();
            builder.push(timestamp, None, Some(&value), []).expect("a record fits");
        }
        let codec = if self.below(4) == 0 { Codec::Lz4 } else { Codec::None };
        (builder.finish(codec, producer).expect("a batch is made"), count, newest)
    }
}

/// The entry as a log gives it back: a batch is stamped.
pub(crate) fn stored(entry: &Entry) -> Entry {
    let mut payload = entry.payload.to_vec();
    if entry.kind == Kind::Batch {
        caudal_proto::batch::stamp(&mut payload, entry.base_offset.0, entry.term.0 as i32);
    }
    Entry { payload: payload.into(), ..entry.clone() }
}

/// The last ten batches of each producer, in log order.
pub(crate) fn producers(entries: &[Entry]) -> Vec<ProducerFrame> {
    let mut all: Vec<ProducerFrame> = Vec::new();
    for entry in entries {
        all.extend(ProducerFrame::of(&FrameHeader::of(entry, 0), &entry.payload));
    }
    let behind = |at: usize| all[at + 1..].iter().filter(|b| b.producer_id == all[at].producer_id).count();
    let kept = (0..all.len()).filter(|&at| behind(at) < 10);
    kept.map(|at| all[at]).collect()
}

/// The first record below `end` at or after a time.
pub(crate) fn by_time(entries: &[Entry], start: Offset, end: Offset, time: i64) -> Option<(Offset, i64)> {
    let batches = entries.iter().filter(|entry| entry.count > 0 && entry.next_offset() <= end);
    batches
        .flat_map(|entry| {
            let records = caudal_proto::batch::records(&stored(entry).payload, 1 << 20).expect("a batch");
            records.map(|record| record.expect("a record")).collect::<Vec<_>>()
        })
        .map(|record| (Offset(record.offset), record.timestamp))
        .find(|&(offset, timestamp)| offset >= start && timestamp >= time)
}
