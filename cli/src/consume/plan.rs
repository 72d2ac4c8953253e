//! From the offsets that were typed to where each partition begins and stops.

use std::collections::BTreeMap;

use caudal_client::{Admin, EachPartition, Error, ListedOffset, OffsetSpec, Start};

use crate::failure::Failure;
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
///
/// # Errors
/// What looking up offsets brings, and a start beyond an end that reading should stop at: nothing would be read, and
/// nobody would hear of it.
pub(super) async fn courses(
    admin: &Admin,
    topic: &str,
    partitions: &[i32],
    range: OffsetRange,
    exit_at_end: bool,
    now_ms: i64,
) -> Result<Vec<Course>, Failure> {
    let look_up = async |spec| offsets(admin.list_offsets(topic, partitions, spec).await?);
    let needs_end = exit_at_end || range.to.is_some() || matches!(range.from, Begin::BeforeEnd(_));
    let needs_start = matches!(range.from, Begin::BeforeEnd(_) | Begin::AfterStart(_));
    let starts = if needs_start { look_up(OffsetSpec::Start).await? } else { BTreeMap::new() };
    let ends = if needs_end { look_up(OffsetSpec::End).await? } else { BTreeMap::new() };
    let stops = match range.to {
        Some(Until::Time(time)) => look_up(OffsetSpec::TimestampMs(time.resolve(now_ms))).await?,
        _ => BTreeMap::new(),
    };
    let mut courses = Vec::with_capacity(partitions.len());
    for &partition in partitions {
        let marks = Marks {
            start: starts.get(&partition).copied().flatten(),
            end: ends.get(&partition).copied().flatten(),
            stop: stops.get(&partition).copied().flatten(),
        };
        let course = marks.course(partition, range, exit_at_end, now_ms);
        if let Some((offset, end)) = marks.beyond(course) {
            let first = offsets(admin.list_offsets(topic, &[partition], OffsetSpec::Start).await?)?;
            let first = first.get(&partition).copied().flatten().unwrap_or(0);
            let what = format!("{topic}:{partition}: offset {offset} is outside {first}..={end}");
            return Err(Failure::refused(format!("{what}: begin at one that is there, or at start or end")));
        }
        courses.push(course);
    }
    Ok(courses)
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

    /// Where a course begins that begins beyond the end, and the end, where that was looked up.
    fn beyond(self, course: Course) -> Option<(i64, i64)> {
        match (course.start, self.end) {
            (Start::Offset(offset), Some(end)) if offset > end => Some((offset, end)),
            _ => None,
        }
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
        for (range, beyond) in [
            ("100", None),
            ("101", Some((101, 100))),
            ("+91", Some((101, 100))),
            ("end", None),
            ("@-1s", None),
        ] {
            let course = MARKS.course(3, range.parse().unwrap(), true, 1_000_000);
            assert_eq!(MARKS.beyond(course), beyond, "{range}");
        }
        assert_eq!(course(Marks { stop: None, ..MARKS }, "@5:@6", false), (Start::TimestampMs(5), Some(100)));
    }
}
