//! Applied entries that a leader keeps in memory for followers that are a little behind.

use std::collections::VecDeque;

use crate::ids::Index;
use crate::limits::RECENT_ENTRIES_BYTES;
use crate::log::Entry;

/// The last applied entries, bounded in bytes. Batches that were in the log at start are not among them.
#[derive(Debug, Default)]
pub(super) struct Recent {
    entries: VecDeque<Entry>,
    bytes: usize,
}

impl Recent {
    pub(super) fn extend(&mut self, entries: &[Entry]) {
        for entry in entries {
            self.bytes += size_of::<Entry>() + entry.payload.len();
            self.entries.push_back(entry.clone());
        }
        while self.bytes > RECENT_ENTRIES_BYTES
            && let Some(oldest) = self.entries.pop_front()
        {
            self.bytes -= size_of::<Entry>() + oldest.payload.len();
        }
    }

    pub(super) fn clear(&mut self) {
        *self = Recent::default();
    }

    pub(super) fn get(&self, index: Index) -> Option<&Entry> {
        let at = self.entries.partition_point(|entry| entry.index < index);
        self.entries.get(at).filter(|entry| entry.index == index)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::ids::{Offset, Term};
    use crate::log::Kind;

    #[test]
    fn the_newest_entries_are_kept_within_the_bound() {
        let entry = |index| Entry {
            index: Index(index),
            term: Term(1),
            kind: Kind::Batch,
            base_offset: Offset(index as i64),
            count: 1,
            max_timestamp: 0,
            append_time: 0,
            payload: Bytes::from(vec![0; RECENT_ENTRIES_BYTES / 4]),
        };
        let mut recent = Recent::default();
        recent.extend(&(1..10).map(entry).collect::<Vec<_>>());
        assert_eq!(recent.get(Index(9)).map(|entry| entry.index), Some(Index(9)));
        assert_eq!(recent.get(Index(1)), None);
        assert!(recent.bytes <= RECENT_ENTRIES_BYTES);
        recent.clear();
        assert_eq!(recent.get(Index(9)), None);
    }
}
