//! Points in time: RFC 3339, a date, milliseconds since the epoch, or `-1h`.

use std::str::FromStr;
use std::time::Duration;

use jiff::{Timestamp, civil::Date, tz::TimeZone};

use super::parse_duration;

/// A point in time as it was typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Time {
    /// Milliseconds since the epoch.
    At(i64),
    /// So long before the command began.
    Ago(Duration),
}

impl Time {
    /// Milliseconds since the epoch, where the command began at `now_ms`.
    pub(crate) fn resolve(self, now_ms: i64) -> i64 {
        match self {
            Time::At(ms) => ms,
            Time::Ago(duration) => {
                now_ms.saturating_sub(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX))
            }
        }
    }
}

impl FromStr for Time {
    type Err = String;

    fn from_str(text: &str) -> Result<Time, String> {
        let fail = || {
            format!(
                "{text:?} is not a time: write 2026-11-25T08:00:00Z, 2026-11-25, milliseconds since the epoch, or -1h"
            )
        };
        if let Some(ago) = text.strip_prefix('-') {
            return parse_duration(ago).map(Time::Ago).map_err(|_| fail());
        }
        if text.bytes().all(|byte| byte.is_ascii_digit()) {
            return text.parse().map(Time::At).map_err(|_| fail());
        }
        if let Ok(timestamp) = text.parse::<Timestamp>() {
            return Ok(Time::At(timestamp.as_millisecond()));
        }
        if text.len() != "2026-11-25".len() {
            return Err(fail());
        }
        let date = text.parse::<Date>().map_err(|_| fail())?;
        let midnight = date.to_zoned(TimeZone::UTC).map_err(|_| fail())?;
        Ok(Time::At(midnight.timestamp().as_millisecond()))
    }
}

/// Writes milliseconds since the epoch as RFC 3339 in UTC; what no calendar holds stays a number.
pub(crate) fn show_time(ms: i64) -> String {
    Timestamp::from_millisecond(ms).map_or_else(|_| ms.to_string(), |timestamp| format!("{timestamp:.3}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_four_forms() {
        for (text, time) in [
            ("2026-11-25T08:00:00Z", Time::At(1_795_593_600_000)),
            ("2026-11-25T09:00:00.250+01:00", Time::At(1_795_593_600_250)),
            ("2026-11-25", Time::At(1_795_564_800_000)),
            ("1795593600000", Time::At(1_795_593_600_000)),
            ("-1h", Time::Ago(Duration::from_secs(3600))),
        ] {
            assert_eq!(text.parse::<Time>().unwrap(), time, "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in ["", "now", "-5", "-", "1h", "2026-13-01", "2026-11-25T08:00:00", "99999999999999999999"]
        {
            assert!(text.parse::<Time>().is_err(), "{text}");
        }
    }

    #[test]
    fn ago_counts_from_the_commands_start() {
        assert_eq!(Time::Ago(Duration::from_millis(250)).resolve(1000), 750);
        assert_eq!(show_time(1_795_593_600_250), "2026-11-25T08:00:00.250Z");
    }
}
