//! The only reader of time in the broker; everything else takes it as an argument.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::node::Now;

/// The system's clocks, read together.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// A clock whose monotonic time begins here.
    #[allow(clippy::disallowed_methods, reason = "this is the file that reads the time")]
    pub fn start() -> Clock {
        Clock { start: Instant::now() }
    }

    /// The time.
    #[allow(clippy::disallowed_methods, reason = "this is the file that reads the time")]
    pub fn now(&self) -> Now {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let wall_ms = i64::try_from(wall.as_millis()).unwrap_or(i64::MAX);
        let mono_ms = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        Now { wall_ms, mono_ms }
    }

    /// Microseconds since the clock began: for measuring, never for deciding.
    #[allow(clippy::disallowed_methods, reason = "this is the file that reads the time")]
    pub fn micros(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}
