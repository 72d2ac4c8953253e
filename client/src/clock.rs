//! The client's only reader of clocks and of randomness.
//!
//! The policy modules get both as arguments.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The monotonic clock.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads the clock; policy gets it as an argument"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Milliseconds since the epoch, for records that carry no timestamp.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads the clock; policy gets it as an argument"
)]
pub(crate) fn wall_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// A random number for jitter and for the choice of a partition. Never for secrets: where the system has no
/// randomness it is the clock's.
pub(crate) fn random() -> u64 {
    getrandom::u64().unwrap_or_else(|_| u64::try_from(wall_ms()).unwrap_or(0))
}
