//! The time index of a segment: from where on to look for the first record at or after a time.
//!
//! Clients choose timestamps, so they need not rise. What rises is the largest timestamp so far: an entry says that
//! every record before `position` has at most `timestamp`.

use crate::ids::Position;

/// Every record before `position` has at most `timestamp`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeEntry {
    /// In ms since the epoch.
    pub timestamp: i64,
    /// A frame's place in the file.
    pub position: Position,
}

/// Entries in rising order of both.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TimeIndex {
    entries: Vec<TimeEntry>,
}

impl TimeIndex {
    /// An index of these entries, which rise.
    pub fn from_entries(entries: Vec<TimeEntry>) -> TimeIndex {
        TimeIndex { entries }
    }

    /// All entries.
    pub fn entries(&self) -> &[TimeEntry] {
        &self.entries
    }

    /// Adds an entry behind the others; one with the timestamp of the last takes its place.
    pub fn push(&mut self, entry: TimeEntry) {
        match self.entries.last_mut() {
            Some(last) if last.timestamp >= entry.timestamp => last.position = entry.position,
            _ => self.entries.push(entry),
        }
    }

    /// The last place before which every record is older than `timestamp`, if an entry names one.
    pub fn before(&self, timestamp: i64) -> Option<Position> {
        let at = self.entries.partition_point(|entry| entry.timestamp < timestamp);
        at.checked_sub(1).map(|at| self.entries[at].position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(entries: &[(i64, u64)]) -> TimeIndex {
        let mut index = TimeIndex::default();
        for &(timestamp, position) in entries {
            index.push(TimeEntry { timestamp, position: Position(position) });
        }
        index
    }

    #[test]
    fn names_the_last_place_with_only_older_records_before_it() {
        let index = index(&[(100, 10), (100, 20), (150, 30), (900, 40)]);
        assert_eq!(index.before(100), None);
        assert_eq!(index.before(101), Some(Position(20)));
        assert_eq!(index.before(150), Some(Position(20)));
        assert_eq!(index.before(151), Some(Position(30)));
        assert_eq!(index.before(i64::MAX), Some(Position(40)));
    }

    #[test]
    fn keeps_one_entry_for_a_timestamp() {
        assert_eq!(index(&[(1, 1), (1, 2), (1, 3)]).entries().len(), 1);
    }
}
