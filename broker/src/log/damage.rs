//! Damage: stored bytes that do not validate and are no torn tail. It is marked, never cut and never served.

use crate::ids::{Index, Offset};

/// Offsets, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct OffsetRange {
    /// The first one.
    pub first: Offset,
    /// The last one.
    pub last: Offset,
}

/// Damaged entries with intact ones behind them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hole {
    /// The first damaged entry.
    pub first_index: Index,
    /// The last one.
    pub last_index: Index,
    /// The offset of the first damaged record.
    pub first_offset: Offset,
    /// The offset behind the last one; equal to `first_offset` when no records were in these entries.
    pub next_offset: Offset,
}

impl Hole {
    /// The damaged offsets, if there are any.
    pub fn offsets(&self) -> Option<OffsetRange> {
        (self.next_offset > self.first_offset)
            .then(|| OffsetRange { first: self.first_offset, last: Offset(self.next_offset.0 - 1) })
    }
}

/// The damaged offsets of a log: rising, apart from each other.
#[derive(Debug, Clone, Default)]
pub(super) struct Damage {
    ranges: Vec<OffsetRange>,
}

impl Damage {
    /// Marks a range; ranges that touch become one.
    pub(super) fn mark(&mut self, range: OffsetRange) {
        let from = self.ranges.partition_point(|other| other.last.0 < range.first.0.saturating_sub(1));
        let to = self.ranges.partition_point(|other| other.first.0 <= range.last.0.saturating_add(1));
        let touched = &self.ranges[from..to.max(from)];
        let merged = OffsetRange {
            first: touched.first().map_or(range.first, |other| other.first.min(range.first)),
            last: touched.last().map_or(range.last, |other| other.last.max(range.last)),
        };
        self.ranges.splice(from..to.max(from), [merged]);
    }

    /// The range that holds an offset.
    pub(super) fn at(&self, offset: Offset) -> Option<OffsetRange> {
        self.from(offset).filter(|range| range.first <= offset)
    }

    /// The first range that reaches to an offset or lies behind it.
    pub(super) fn from(&self, offset: Offset) -> Option<OffsetRange> {
        self.ranges.get(self.ranges.partition_point(|range| range.last < offset)).copied()
    }

    /// Forgets what lies before an offset: nobody can read it.
    pub(super) fn forget_before(&mut self, offset: Offset) {
        self.ranges.retain(|range| range.last >= offset);
    }

    /// Forgets what lies at an offset or behind it: it was cut, and other records take these offsets.
    pub(super) fn forget_from(&mut self, offset: Offset) {
        self.ranges.retain(|range| range.first < offset);
        if let Some(range) = self.ranges.last_mut() {
            range.last = range.last.min(Offset(offset.0 - 1));
        }
    }

    /// Forgets what lies from `first` to before `next`: it is whole again.
    pub(super) fn heal(&mut self, first: Offset, next: Offset) {
        let left = |range: &OffsetRange| {
            let before = OffsetRange { last: range.last.min(Offset(first.0 - 1)), ..*range };
            let behind = OffsetRange { first: range.first.max(next), ..*range };
            [before, behind].into_iter().filter(|part| part.first <= part.last).collect::<Vec<_>>()
        };
        self.ranges = self.ranges.iter().flat_map(left).collect();
    }

    /// All ranges.
    pub(super) fn ranges(&self) -> &[OffsetRange] {
        &self.ranges
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(first: i64, last: i64) -> OffsetRange {
        OffsetRange { first: Offset(first), last: Offset(last) }
    }

    fn damage(ranges: &[(i64, i64)]) -> Damage {
        let mut damage = Damage::default();
        for &(first, last) in ranges {
            damage.mark(range(first, last));
        }
        damage
    }

    #[test]
    fn ranges_that_touch_become_one() {
        assert_eq!(damage(&[(10, 12), (13, 14)]).ranges(), [range(10, 14)]);
        assert_eq!(damage(&[(13, 14), (10, 12)]).ranges(), [range(10, 14)]);
        assert_eq!(damage(&[(1, 2), (8, 9), (2, 8)]).ranges(), [range(1, 9)]);
        assert_eq!(damage(&[(5, 5), (5, 5)]).ranges(), [range(5, 5)]);
    }

    #[test]
    fn ranges_apart_stay_apart_and_are_found() {
        let damage = damage(&[(20, 22), (10, 12), (15, 15)]);
        assert_eq!(damage.ranges(), [range(10, 12), range(15, 15), range(20, 22)]);
        assert_eq!(damage.at(Offset(15)), Some(range(15, 15)));
        assert_eq!(damage.at(Offset(13)), None);
        assert_eq!(damage.at(Offset(22)), Some(range(20, 22)));
        assert_eq!(damage.at(Offset(23)), None);
    }

    #[test]
    fn what_nobody_can_read_is_forgotten() {
        let mut damage = damage(&[(10, 12), (20, 22)]);
        damage.forget_before(Offset(12));
        assert_eq!(damage.ranges().len(), 2);
        damage.forget_before(Offset(13));
        assert_eq!(damage.ranges(), [range(20, 22)]);
    }

    #[test]
    fn what_is_whole_again_is_forgotten() {
        let mut damage = damage(&[(10, 12), (20, 22), (30, 31)]);
        damage.heal(Offset(11), Offset(21));
        assert_eq!(damage.ranges(), [range(10, 10), range(21, 22), range(30, 31)]);
        damage.heal(Offset(0), Offset(40));
        assert_eq!(damage.ranges(), []);
    }

    #[test]
    fn what_was_cut_is_forgotten() {
        let mut damage = damage(&[(10, 12), (20, 22), (30, 31)]);
        damage.forget_from(Offset(21));
        assert_eq!(damage.ranges(), [range(10, 12), range(20, 20)]);
        damage.forget_from(Offset(20));
        assert_eq!(damage.ranges(), [range(10, 12)]);
    }
}
