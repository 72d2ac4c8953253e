//! What was written to a topic and read from it, at this broker.

use std::sync::atomic::{AtomicU64, Ordering};

/// The counters of one topic, shared by its partitions here: ten thousand of them would be too many series, and a
/// counter must not go back when a partition moves away.
#[derive(Debug, Default)]
pub struct Traffic {
    produced_records: AtomicU64,
    produced_bytes: AtomicU64,
    fetched_records: AtomicU64,
    fetched_bytes: AtomicU64,
}

/// What [`Traffic`] held when it was read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TrafficReading {
    /// Records written.
    pub produced_records: u64,
    /// Bytes of their batches, as they were sent.
    pub produced_bytes: u64,
    /// Records handed to consumers.
    pub fetched_records: u64,
    /// Bytes of their batches.
    pub fetched_bytes: u64,
}

impl Traffic {
    /// A batch was written.
    pub fn produced(&self, records: u64, bytes: u64) {
        self.produced_records.fetch_add(records, Ordering::Relaxed);
        self.produced_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Batches were handed to a consumer.
    pub fn fetched(&self, records: u64, bytes: u64) {
        self.fetched_records.fetch_add(records, Ordering::Relaxed);
        self.fetched_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// What it holds.
    pub fn read(&self) -> TrafficReading {
        TrafficReading {
            produced_records: self.produced_records.load(Ordering::Relaxed),
            produced_bytes: self.produced_bytes.load(Ordering::Relaxed),
            fetched_records: self.fetched_records.load(Ordering::Relaxed),
            fetched_bytes: self.fetched_bytes.load(Ordering::Relaxed),
        }
    }
}
