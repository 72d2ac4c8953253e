//! The one reader of clocks in this crate, and the one place that sleeps.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The monotonic clock.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Milliseconds since the epoch.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
pub(crate) fn wall_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Sleeps on this thread.
#[expect(
    clippy::disallowed_methods,
    reason = "a load generator keeps times that the runtime's timer is too coarse for"
)]
pub(crate) fn sleep(duration: Duration) {
    std::thread::sleep(duration);
}
