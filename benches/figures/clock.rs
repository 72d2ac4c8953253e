//! The clock of the figures: the only place here that reads it, or waits by it.

use std::time::{Duration, Instant};

/// The time.
#[expect(clippy::disallowed_methods, reason = "what is measured here is time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Waits.
#[expect(clippy::disallowed_methods, reason = "an idle broker is watched for a while")]
pub(crate) fn sleep(duration: Duration) {
    std::thread::sleep(duration);
}
