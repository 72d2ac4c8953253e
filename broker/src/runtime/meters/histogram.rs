//! A histogram of durations with fixed buckets: one atomic step for an observation, and one for the sum.

use std::sync::atomic::{AtomicU64, Ordering};

/// Upper bounds of the buckets, in microseconds; a last one has no bound. From what a memory acknowledgement takes to
/// what nobody waits for.
pub const BOUNDS_MICROS: [u64; 17] = [
    50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000,
    2_000_000, 5_000_000, 10_000_000,
];

const BUCKETS: usize = BOUNDS_MICROS.len() + 1;

/// The histogram.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [AtomicU64; BUCKETS],
    sum_micros: AtomicU64,
}

/// What a histogram held when it was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reading {
    /// Observations of each bucket, not of those below it.
    pub buckets: [u64; BUCKETS],
    /// All observations together, in microseconds.
    pub sum_micros: u64,
}

impl Histogram {
    /// Notes a duration.
    pub fn observe(&self, micros: u64) {
        let at = BOUNDS_MICROS.partition_point(|bound| *bound < micros);
        self.buckets[at].fetch_add(1, Ordering::Relaxed);
        self.sum_micros.fetch_add(micros, Ordering::Relaxed);
    }

    /// What it holds. An observation that comes meanwhile may be in the buckets and not in the sum.
    pub fn read(&self) -> Reading {
        Reading {
            buckets: std::array::from_fn(|at| self.buckets[at].load(Ordering::Relaxed)),
            sum_micros: self.sum_micros.load(Ordering::Relaxed),
        }
    }
}

impl Reading {
    /// Adds another histogram's.
    pub fn add(&mut self, other: &Reading) {
        self.sum_micros += other.sum_micros;
        self.buckets.iter_mut().zip(other.buckets).for_each(|(mine, theirs)| *mine += theirs);
    }

    /// How many observations there are.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_belongs_to_the_bucket_below_it() {
        let histogram = Histogram::default();
        for micros in [0, 50, 51, 1_000, 10_000_000, 10_000_001] {
            histogram.observe(micros);
        }
        let reading = histogram.read();
        assert_eq!((reading.buckets[0], reading.buckets[1], reading.buckets[4]), (2, 1, 1));
        assert_eq!((reading.buckets[BUCKETS - 2], reading.buckets[BUCKETS - 1]), (1, 1));
        assert_eq!((reading.count(), reading.sum_micros), (6, 20_001_102));
        let mut both = reading.clone();
        both.add(&reading);
        assert_eq!((both.count(), both.sum_micros, both.buckets[0]), (12, 40_002_204, 4));
    }
}
