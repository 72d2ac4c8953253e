//! What a benchmark sends: values half random, half not, that can be known again when they are read.
//!
//! A value is a 24-byte stamp (run, sender and sequence, nanoseconds), then bytes of a pool: each pool value is random
//! in its first half and letters in its second, so that codecs have something to do and cannot do wonders.

use crate::failure::Failure;

/// Bytes of the stamp, and so the smallest value.
pub(crate) const STAMP_BYTES: usize = 24;

/// The largest value: with its header it fits the largest batch there can be.
pub(crate) const VALUE_BYTES_MAX: u64 = 15 * 1024 * 1024;

/// Bytes of the pool, about.
const POOL_BYTES: usize = 4 * 1024 * 1024;

/// Values in the pool, at most.
const POOL_VALUES_MAX: usize = 1000;

/// What a value says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// Drawn for each run, so that a run does not take another's records for its own.
    pub(crate) run: u32,
    /// The sender, from 0.
    pub(crate) sender: u32,
    /// Rising by one from 0 at each sender.
    pub(crate) sequence: u64,
    /// When it should have been sent, in nanoseconds since the run began.
    pub(crate) intended_ns: u64,
}

/// The values of a run.
#[derive(Debug)]
pub(crate) struct Pool {
    run: u32,
    size: usize,
    values: Vec<u8>,
}

impl Pool {
    /// Makes the values of a run: the same for the same run and size.
    pub(crate) fn new(run: u32, size: u64) -> Result<Pool, Failure> {
        if !(STAMP_BYTES as u64..=VALUE_BYTES_MAX).contains(&size) {
            return Err(Failure::usage(format!(
                "--size {size} is outside {STAMP_BYTES} to {VALUE_BYTES_MAX} bytes"
            )));
        }
        let size = usize::try_from(size).map_err(|_| Failure::usage("--size is too large"))?;
        let count = (POOL_BYTES / size).clamp(1, POOL_VALUES_MAX);
        let mut values = vec![0; count * size];
        let mut random = SplitMix(u64::from(run));
        for value in values.chunks_exact_mut(size) {
            let (noise, letters) = value.split_at_mut(size / 2);
            for bytes in noise.chunks_mut(8) {
                bytes.copy_from_slice(&random.next().to_le_bytes()[..bytes.len()]);
            }
            for (at, byte) in letters.iter_mut().enumerate() {
                *byte = b"abcdefghijklmnopqrstuvwxyz"[at % 26];
            }
        }
        Ok(Pool { run, size, values })
    }

    /// The run these values belong to.
    pub(crate) fn run(&self) -> u32 {
        self.run
    }

    /// Bytes of each value.
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// Puts a value into a buffer of [`Pool::size`] bytes.
    pub(crate) fn fill(&self, sender: u32, sequence: u64, intended_ns: u64, buffer: &mut [u8]) {
        buffer.copy_from_slice(self.value(sequence));
        buffer[..4].copy_from_slice(&self.run.to_le_bytes());
        buffer[4..8].copy_from_slice(&sender.to_le_bytes());
        buffer[8..16].copy_from_slice(&sequence.to_le_bytes());
        buffer[16..24].copy_from_slice(&intended_ns.to_le_bytes());
    }

    /// The stamp of a value of this run that arrived byte for byte; `None` for every other one.
    pub(crate) fn check(&self, value: &[u8]) -> Option<Stamp> {
        let stamp = stamp(value)?;
        let intact = stamp.run == self.run
            && value.len() == self.size
            && value[STAMP_BYTES..] == self.value(stamp.sequence)[STAMP_BYTES..];
        intact.then_some(stamp)
    }

    /// The stamp of a value of this run, whatever the rest of it.
    pub(crate) fn stamp(&self, value: &[u8]) -> Option<Stamp> {
        stamp(value).filter(|stamp| stamp.run == self.run)
    }

    fn value(&self, sequence: u64) -> &[u8] {
        let count = self.values.len() / self.size;
        let at = usize::try_from(sequence % count as u64).unwrap_or(0);
        &self.values[at * self.size..][..self.size]
    }
}

fn stamp(value: &[u8]) -> Option<Stamp> {
    Some(Stamp {
        run: u32::from_le_bytes(value.get(..4)?.try_into().ok()?),
        sender: u32::from_le_bytes(value.get(4..8)?.try_into().ok()?),
        sequence: u64::from_le_bytes(value.get(8..16)?.try_into().ok()?),
        intended_ns: u64::from_le_bytes(value.get(16..24)?.try_into().ok()?),
    })
}

/// A number for a run.
pub(crate) fn draw_run() -> Result<u32, Failure> {
    getrandom::u32().map_err(|error| Failure::refused(format!("the system gives no random numbers: {error}")))
}

/// SplitMix64: good enough for noise, and the same everywhere.
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_known_again_and_a_changed_one_is_not() {
        let pool = Pool::new(7, 100).unwrap();
        let mut value = vec![0; 100];
        pool.fill(2, 12_345, 99, &mut value);
        let stamp = Stamp { run: 7, sender: 2, sequence: 12_345, intended_ns: 99 };
        assert_eq!(pool.check(&value), Some(stamp));
        for at in [0, 24, 60, 99] {
            let mut changed = value.clone();
            changed[at] ^= 1;
            assert_eq!(pool.check(&changed), None, "byte {at}");
        }
        assert_eq!(pool.check(&value[..99]), None);
        assert_eq!(pool.check(b""), None);
        assert_eq!(Pool::new(8, 100).unwrap().check(&value), None);
    }

    #[test]
    fn values_have_a_smallest_and_a_largest_size() {
        assert!(Pool::new(1, 23).is_err());
        assert!(Pool::new(1, 24).is_ok());
        assert!(Pool::new(1, VALUE_BYTES_MAX + 1).is_err());
    }
}
