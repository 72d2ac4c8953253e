//! The sparse index of a segment: two rising keys, Raft index and record offset, to a position.

use crate::ids::{Index, Offset, Position};

/// Bytes of frames between two entries.
pub const INDEX_STEP_BYTES: u64 = 32 * 1024;

/// Where a frame begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexEntry {
    /// Its index.
    pub index: Index,
    /// Its base offset.
    pub offset: Offset,
    /// Its place in the file.
    pub position: Position,
}

/// Entries in rising order of all three.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SparseIndex {
    entries: Vec<IndexEntry>,
}

impl SparseIndex {
    /// An index of these entries, which rise.
    pub fn from_entries(entries: Vec<IndexEntry>) -> SparseIndex {
        SparseIndex { entries }
    }

    /// All entries.
    pub fn entries(&self) -> &[IndexEntry] {
        &self.entries
    }

    /// Whether a frame at `position` is far enough behind the last entry to get one.
    pub fn is_due(&self, position: Position) -> bool {
        self.entries.last().is_none_or(|last| position.0 >= last.position.0 + INDEX_STEP_BYTES)
    }

    /// Adds an entry behind the others.
    pub fn push(&mut self, entry: IndexEntry) {
        self.entries.push(entry);
    }

    /// The last entry at or before an index.
    pub fn by_index(&self, index: Index) -> Option<IndexEntry> {
        last_where(&self.entries, |entry| entry.index <= index)
    }

    /// The last entry whose frame begins at or before an offset.
    pub fn by_offset(&self, offset: Offset) -> Option<IndexEntry> {
        last_where(&self.entries, |entry| entry.offset <= offset)
    }

    /// The last entry at or before a position.
    pub fn by_position(&self, position: Position) -> Option<IndexEntry> {
        last_where(&self.entries, |entry| entry.position <= position)
    }

    /// The first entry behind a position.
    pub fn after(&self, position: Position) -> Option<IndexEntry> {
        let at = self.entries.partition_point(|entry| entry.position <= position);
        self.entries.get(at).copied()
    }
}

fn last_where(entries: &[IndexEntry], holds: impl Fn(&IndexEntry) -> bool) -> Option<IndexEntry> {
    let at = entries.partition_point(holds);
    at.checked_sub(1).map(|at| entries[at])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(index: u64, offset: i64, position: u64) -> IndexEntry {
        IndexEntry { index: Index(index), offset: Offset(offset), position: Position(position) }
    }

    fn three() -> SparseIndex {
        SparseIndex::from_entries(vec![entry(5, 0, 4096), entry(9, 40, 40_000), entry(12, 40, 80_000)])
    }

    #[test]
    fn finds_the_last_entry_at_or_before_a_key() {
        let index = three();
        assert_eq!(index.by_index(Index(4)), None);
        assert_eq!(index.by_index(Index(5)), Some(entry(5, 0, 4096)));
        assert_eq!(index.by_index(Index(11)), Some(entry(9, 40, 40_000)));
        assert_eq!(index.by_offset(Offset(39)), Some(entry(5, 0, 4096)));
        assert_eq!(index.by_offset(Offset(i64::MAX)), Some(entry(12, 40, 80_000)));
        assert_eq!(index.by_offset(Offset(-1)), None);
        assert_eq!(index.by_position(Position(79_999)), Some(entry(9, 40, 40_000)));
    }

    #[test]
    fn of_equal_offsets_the_last_wins_because_the_others_hold_no_records() {
        assert_eq!(three().by_offset(Offset(40)), Some(entry(12, 40, 80_000)));
    }

    #[test]
    fn finds_the_first_entry_behind_a_position() {
        assert_eq!(three().after(Position(4096)), Some(entry(9, 40, 40_000)));
        assert_eq!(three().after(Position(80_000)), None);
    }

    #[test]
    fn an_entry_is_due_one_step_behind_the_last() {
        assert!(SparseIndex::default().is_due(Position(4096)));
        assert!(!three().is_due(Position(80_000 + INDEX_STEP_BYTES - 1)));
        assert!(three().is_due(Position(80_000 + INDEX_STEP_BYTES)));
    }
}
