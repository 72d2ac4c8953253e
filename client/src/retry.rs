//! Retrying: what an error means for a batch, and how long to wait.

use std::time::Duration;

use caudal_proto::v1::Reason;

use crate::config::{BACKOFF_MAX, BACKOFF_MIN};
use crate::error::{Error, ErrorKind};

/// The wait before retry number `round` (0 is the first): doubling, bounded, and spread by the random number
/// `jitter` over its upper half, so that clients do not return together.
pub(crate) fn backoff(round: u32, jitter: u64) -> Duration {
    let full = BACKOFF_MIN.saturating_mul(1 << round.min(10)).min(BACKOFF_MAX);
    let half = full / 2;
    let span = u64::try_from(half.as_nanos()).unwrap_or(u64::MAX).max(1);
    half + Duration::from_nanos(jitter % span)
}

/// What the answer to a batch means for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Not written; the same bytes go again after a wait. `refresh`: the leader may be another.
    Retry {
        /// Ask who leads first.
        refresh: bool,
    },
    /// Written or not; an idempotent batch goes again, any other is given up as unknown.
    InDoubt,
    /// Not written, and never will be as it is.
    Refused,
    /// Not written: the broker misses what came before, or knows nothing of the producer.
    Sequence,
    /// In the log already, at an offset no longer remembered.
    Duplicate,
}

/// Judges the error that answered a batch.
pub(crate) fn judge(error: &Error) -> Verdict {
    match error.reason() {
        Some(
            Reason::NotLeader
            | Reason::LeaderNotReady
            | Reason::FencedLeaderEpoch
            | Reason::UnknownLeaderEpoch,
        )
        | Some(Reason::ShuttingDown | Reason::PartitionClosed) => Verdict::Retry { refresh: true },
        Some(Reason::UnknownOutcome | Reason::TimedOut) => Verdict::InDoubt,
        Some(Reason::ProducerUnknown | Reason::OutOfOrderSequence) => Verdict::Sequence,
        Some(Reason::DuplicateSequence) => Verdict::Duplicate,
        // A partition just created may not have reached this broker.
        Some(Reason::UnknownPartition) => Verdict::Retry { refresh: true },
        // What the broker did when it failed is not known.
        Some(Reason::Internal | Reason::Unspecified) => Verdict::InDoubt,
        Some(_) if error.is_retriable() => Verdict::Retry { refresh: false },
        Some(_) => Verdict::Refused,
        None if error.kind() == ErrorKind::Busy => Verdict::Retry { refresh: false },
        None => Verdict::InDoubt,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_doubles_is_bounded_and_never_zero() {
        let mut before = Duration::ZERO;
        for round in 0..40 {
            let low = backoff(round, 0);
            let high = backoff(round, u64::MAX);
            assert!(low >= BACKOFF_MIN / 2 && high <= BACKOFF_MAX, "round {round}: {low:?}..{high:?}");
            assert!(low >= before);
            before = low;
        }
        assert_eq!(before, BACKOFF_MAX / 2);
    }

    #[test]
    fn every_reason_has_a_verdict_and_only_some_go_again() {
        use caudal_proto::v1::PartitionError;
        let judged = |reason: Reason, retriable| {
            let error = PartitionError { reason: reason as i32, retriable, ..Default::default() };
            judge(&Error::refused(error))
        };
        let all: Vec<Reason> = (0..100).filter_map(|number| Reason::try_from(number).ok()).collect();
        assert!(all.len() > 35);
        for reason in all {
            let verdict = judged(reason, false);
            let expected = match reason {
                Reason::NotLeader
                | Reason::LeaderNotReady
                | Reason::FencedLeaderEpoch
                | Reason::UnknownLeaderEpoch => Verdict::Retry { refresh: true },
                Reason::ShuttingDown | Reason::PartitionClosed | Reason::UnknownPartition => {
                    Verdict::Retry { refresh: true }
                }
                Reason::UnknownOutcome | Reason::TimedOut | Reason::Internal | Reason::Unspecified => {
                    Verdict::InDoubt
                }
                Reason::ProducerUnknown | Reason::OutOfOrderSequence => Verdict::Sequence,
                Reason::DuplicateSequence => Verdict::Duplicate,
                _ => Verdict::Refused,
            };
            assert_eq!(verdict, expected, "{reason:?}");
        }
        assert_eq!(judged(Reason::DiskFull, true), Verdict::Retry { refresh: false });
        assert_eq!(judge(&Error::new(ErrorKind::Unreachable, "cut")), Verdict::InDoubt);
    }
}
