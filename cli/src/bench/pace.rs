//! When each record should be sent.

use std::time::Duration;

use crate::values::Rate;

/// Records handed over between two looks at the clock where there is no rate.
pub(crate) const BURST: u64 = 256;

/// The intended send times of one sender.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// Nanoseconds between two records, as a fraction: `seconds × 10⁹ ÷ records`.
    interval: Option<(u64, u64)>,
}

impl Pace {
    /// The pace of one of `senders` that share a rate.
    pub(crate) fn new(rate: Rate, senders: u64) -> Pace {
        match rate {
            Rate::Max => Pace { interval: None },
            Rate::PerSecond(records) => Pace { interval: Some((senders.saturating_mul(1_000_000_000), records)) },
        }
    }

    /// When record number `sequence` should be sent, since the run began; `None` as soon as it is taken.
    pub(crate) fn intended(self, sequence: u64) -> Option<Duration> {
        let (nanos, records) = self.interval?;
        let at = u128::from(sequence) * u128::from(nanos) / u128::from(records);
        Some(Duration::from_nanos(u64::try_from(at).unwrap_or(u64::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intended_times_do_not_drift() {
        let pace = Pace::new(Rate::PerSecond(3), 1);
        assert_eq!(pace.intended(0), Some(Duration::ZERO));
        assert_eq!(pace.intended(1), Some(Duration::from_nanos(333_333_333)));
        assert_eq!(pace.intended(3_000_000), Some(Duration::from_secs(1_000_000)));
        assert_eq!(Pace::new(Rate::PerSecond(10), 2).intended(10), Some(Duration::from_secs(2)));
        assert_eq!(Pace::new(Rate::Max, 1).intended(5), None);
    }
}
