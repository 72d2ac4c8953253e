//! Retention: where a log shall begin, by age and by size. Pure; the leader proposes what comes out.

use super::SegmentFacts;
use crate::ids::Offset;

/// What of a topic's configuration concerns retention.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetentionConfig {
    /// Records older than this by append time may go, in ms; −1 for never.
    pub retention_ms: i64,
    /// Segments before the last so many bytes may go; −1 for never.
    pub retention_bytes: i64,
}

/// The log start that retention asks for: above `log_start`, or `None` when nothing is to go.
///
/// `segments` come from the oldest. Whole segments go, and only below `end`, what readers may see. By age a segment
/// goes when its last entry is too old, the active one included; by size only sealed ones go, and what stays has at
/// least `retention_bytes`.
pub fn log_start(
    segments: &[SegmentFacts],
    config: RetentionConfig,
    log_start: Offset,
    end: Offset,
    now_ms: i64,
) -> Option<Offset> {
    let held = |segment: &&SegmentFacts| segment.next_offset > log_start;
    let mut bytes: u64 = segments.iter().filter(held).map(|segment| segment.bytes).sum();
    let mut start = log_start;
    for segment in segments.iter().filter(held) {
        let expired =
            config.retention_ms >= 0 && now_ms.saturating_sub(segment.last_append_time) > config.retention_ms;
        let left = bytes.saturating_sub(segment.bytes);
        let surplus =
            segment.sealed && u64::try_from(config.retention_bytes).is_ok_and(|limit| left >= limit);
        if segment.next_offset > end || !(expired || surplus) {
            break;
        }
        bytes = left;
        start = segment.next_offset;
    }
    (start > log_start).then_some(start)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Index;

    const NEVER: RetentionConfig = RetentionConfig { retention_ms: -1, retention_bytes: -1 };

    /// Four segments of ten records and 100 bytes, a second apart; the last is active.
    fn segments() -> Vec<SegmentFacts> {
        (0..4)
            .map(|n| SegmentFacts {
                sequence: n + 1,
                first_index: Index(n * 10 + 1),
                last_index: Index(n * 10 + 10),
                base_offset: Offset(n as i64 * 10),
                next_offset: Offset(n as i64 * 10 + 10),
                bytes: 100,
                last_append_time: n as i64 * 1000,
                max_timestamp: Some(i64::MAX),
                sealed: n < 3,
            })
            .collect()
    }

    fn start(config: RetentionConfig, from: i64, end: i64, now_ms: i64) -> Option<i64> {
        log_start(&segments(), config, Offset(from), Offset(end), now_ms).map(|offset| offset.0)
    }

    #[test]
    fn nothing_goes_without_a_limit() {
        assert_eq!(start(NEVER, 0, 40, i64::MAX), None);
    }

    #[test]
    fn by_age_segments_go_whose_last_entry_is_too_old_whatever_clients_wrote() {
        let config = RetentionConfig { retention_ms: 1000, ..NEVER };
        assert_eq!(start(config, 0, 40, 1000), None);
        assert_eq!(start(config, 0, 40, 1001), Some(10));
        assert_eq!(start(config, 0, 40, 3001), Some(30));
        assert_eq!(start(config, 0, 40, 9000), Some(40));
    }

    #[test]
    fn by_size_the_oldest_go_and_the_active_one_stays() {
        let by = |retention_bytes| RetentionConfig { retention_bytes, ..NEVER };
        assert_eq!(start(by(400), 0, 40, 0), None);
        assert_eq!(start(by(301), 0, 40, 0), None);
        assert_eq!(start(by(300), 0, 40, 0), Some(10));
        assert_eq!(start(by(0), 0, 40, 0), Some(30));
    }

    #[test]
    fn what_readers_cannot_see_yet_stays() {
        let config = RetentionConfig { retention_ms: 0, ..NEVER };
        assert_eq!(start(config, 0, 25, i64::MAX), Some(20));
    }

    #[test]
    fn a_start_that_a_trim_moved_is_not_moved_back() {
        let by = RetentionConfig { retention_bytes: 300, ..NEVER };
        assert_eq!(start(by, 15, 40, 0), None, "20 records in 3 segments are left");
        let all = RetentionConfig { retention_ms: 0, ..NEVER };
        assert_eq!(start(all, 35, 35, i64::MAX), None);
    }

    #[test]
    fn a_clock_that_jumps_back_drops_nothing() {
        let config = RetentionConfig { retention_ms: 1000, ..NEVER };
        assert_eq!(start(config, 0, 40, i64::MIN), None);
    }
}
