//! From the offsets that were typed to where each partition begins and stops.

use std::collections::BTreeMap;

use caudal_client::{Admin, EachPartition, Error, ListedOffset, OffsetSpec, Start};

use crate::values::{Begin, OffsetRange, Until};

/// Where one partition begins and stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Course {
    pub(super) partition: i32,
    pub(super) start: Start,
    /// The first offset that is not read; `None` follows the log.
    pub(super) stop: Option<i64>,
}

/// Lays out the partitions of one topic. `now_ms` is when the command began.
pub(super) async fn courses(
    admin: &Admin,
    topic: &str,
    partitions: &[i32],
    range: OffsetRange,
    exit_at_end: bool,
    now_ms: i64,
) -> Result<Vec<Course>, Error> {
    let look_up = async |spec| offsets(admin.list_offsets(topic, partitions, spec).await?);
    let needs_end = exit_at_end || range.to.is_some() || matches!(range.from, Begin::BeforeEnd(_));
    let needs_start = matches!(range.from, Begin::BeforeEnd(_) | Begin::AfterStart(_));
    let starts = if needs_start { look_up(OffsetSpec::Start).await? } else { BTreeMap::new() };
    let ends = if needs_end { look_up(OffsetSpec::End).await? } else { BTreeMap::new() };
    let stops = match range.to {
        Some(Until::Time(time)) => look_up(OffsetSpec::TimestampMs(time.resolve(now_ms))).await?,
        _ => BTreeMap::new(),
    };
    let courses = partitions.iter().map(|&partition| {
        let marks = Marks {
            start: starts.get(&partition).copied().flatten(),
            end: ends.get(&partition).copied().flatten(),
            stop: stops.get(&partition).copied().flatten(),
        };
        marks.course(partition, range, exit_at_end, now_ms)
    });
    Ok(courses.collect())
}

/// What was looked up for one partition, as far as it was needed.
#[derive(Debug, Clone, Copy, Default)]
struct Marks {
    start: Option<i64>,
    end: Option<i64>,
    /// The first record at or after the time to stop at; `None` when there is none yet.
    stop: Option<i64>,
}

impl Marks {
    fn course(self, partition: i32, range: OffsetRange, exit_at_end: bool, now_ms: i64) -> Course {
        let first = self.start.unwrap_or(0);
        let end = self.end.unwrap_or(first);
        let start = match range.from {
            Begin::Start => Start::Start,
            Begin::End => self.end.map_or(Start::End, Start::Offset),
            Begin::At(offset) => Start::Offset(offset),
            Begin::AfterStart(count) => Start::Offset(first.saturating_add(count)),
            Begin::BeforeEnd(count) => Start::Offset(end.saturating_sub(count).max(first)),
            Begin::Time(time) => Start::TimestampMs(time.resolve(now_ms)),
        };
        let asked = match range.to {
            None => None,
            Some(Until::End) => Some(end),
            Some(Until::At(offset)) => Some(offset),
            // No record is as young: everything there is now is before that time.
            Some(Until::Time(_)) => Some(self.stop.unwrap_or(end)),
        };
        let stop = if exit_at_end { Some(asked.map_or(end, |asked| asked.min(end))) } else { asked };
        Course { partition, start, stop }
    }
}

fn offsets(answers: EachPartition<ListedOffset>) -> Result<BTreeMap<i32, Option<i64>>, Error> {
    answers.into_iter().map(|(partition, answer)| Ok((partition, answer?.offset))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARKS: Marks = Marks { start: Some(10), end: Some(100), stop: Some(40) };

    fn course(marks: Marks, range: &str, exit_at_end: bool) -> (Start, Option<i64>) {
        let course = marks.course(3, range.parse().unwrap(), exit_at_end, 1_000_000);
        assert_eq!(course.partition, 3);
        (course.start, course.stop)
    }

    #[test]
    fn each_offset_has_its_course() {
        for (range, exit_at_end, expected) in [
            ("start", false, (Start::Start, None)),
            ("start", true, (Start::Start, Some(100))),
            ("end", true, (Start::Offset(100), Some(100))),
            ("17", false, (Start::Offset(17), None)),
            ("+5", false, (Start::Offset(15), None)),
            ("-5", false, (Start::Offset(95), None)),
            ("-500", false, (Start::Offset(10), None)),
            ("20:30", false, (Start::Offset(20), Some(30))),
            ("20:300", false, (Start::Offset(20), Some(300))),
            ("20:300", true, (Start::Offset(20), Some(100))),
            ("@-1s", false, (Start::TimestampMs(999_000), None)),
            ("@5:@-1s", false, (Start::TimestampMs(5), Some(40))),
        ] {
            assert_eq!(course(MARKS, range, exit_at_end), expected, "{range}");
        }
        assert_eq!(course(Marks::default(), "end", false), (Start::End, None));
        assert_eq!(course(Marks { stop: None, ..MARKS }, "@5:@6", false), (Start::TimestampMs(5), Some(100)));
    }
}
