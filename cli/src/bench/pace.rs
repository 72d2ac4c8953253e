//! When each record should be sent, and a thread that says when it is time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::clock;
use crate::failure::Failure;
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
            Rate::PerSecond(records) => {
                Pace { interval: Some((senders.saturating_mul(1_000_000_000), records)) }
            }
        }
    }

    /// When record number `sequence` should be sent, since the run began; `None` as soon as it is taken.
    pub(crate) fn intended(self, sequence: u64) -> Option<Duration> {
        let (nanos, records) = self.interval?;
        let at = u128::from(sequence) * u128::from(nanos) / u128::from(records);
        Some(Duration::from_nanos(u64::try_from(at).unwrap_or(u64::MAX)))
    }
}

/// Says how many records should have been sent by now. The runtime's own timer counts whole milliseconds, which
/// would be most of a latency; this thread sleeps to the microsecond.
pub(crate) struct Pacer(Arc<Shared>);

struct Shared {
    due: AtomicU64,
    changed: Notify,
}

impl Pacer {
    /// Starts at `began`. The thread ends after the `Pacer`.
    pub(crate) fn start(pace: Pace, began: Instant) -> Result<Pacer, Failure> {
        let shared = Arc::new(Shared { due: AtomicU64::new(0), changed: Notify::new() });
        if pace.interval.is_none() {
            shared.due.store(u64::MAX, Ordering::Relaxed);
            return Ok(Pacer(shared));
        }
        let weak = Arc::downgrade(&shared);
        let tick = move || {
            let mut next = 0;
            while let Some(shared) = weak.upgrade() {
                let now = clock::now().saturating_duration_since(began);
                while pace.intended(next).is_some_and(|at| at <= now) {
                    next += 1;
                }
                shared.due.store(next, Ordering::Release);
                shared.changed.notify_one();
                drop(shared);
                let wait = pace.intended(next).map_or(Duration::ZERO, |at| at.saturating_sub(now));
                clock::sleep(wait.min(Duration::from_millis(100)));
            }
        };
        thread::Builder::new()
            .name("pacer".to_owned())
            .spawn(tick)
            .map_err(|error| Failure::io("starting a thread", error))?;
        Ok(Pacer(shared))
    }

    /// Records that should have been sent by now.
    pub(crate) fn due(&self) -> u64 {
        self.0.due.load(Ordering::Acquire)
    }

    /// Waits until more than `sent` records are due. Cancel safe.
    pub(crate) async fn wait(&self, sent: u64) {
        while self.due() <= sent {
            self.0.changed.notified().await;
        }
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
