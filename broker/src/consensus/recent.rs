//! Applied entries that a leader keeps in memory for followers that are a little behind.

use std::collections::VecDeque;

use crate::ids::Index;
use crate::limits::RECENT_ENTRIES_BYTES;
use crate::log::Entry;

/// The last applied entries, bounded in bytes. Batches that were in the log at start are not among them.
#[derive(Debug, Default)]
pub(super) struct Recent {
    /// Each with its chain value, where that is known.
    entries: VecDeque<(Entry, Option<u32>)>,
    bytes: usize,
}

impl Recent {
    pub(super) fn push(&mut self, entry: &Entry, chain: Option<u32>) {
        self.bytes += size_of::<Entry>() + entry.payload.len();
        self.entries.push_back((entry.clone(), chain));
        while self.bytes > RECENT_ENTRIES_BYTES
            && let Some((oldest, _)) = self.entries.pop_front()
        {
            self.bytes -= size_of::<Entry>() + oldest.payload.len();
        }
    }

    pub(super) fn clear(&mut self) {
        *self = Recent::default();
    }

    pub(super) fn get(&self, index: Index) -> Option<&Entry> {
        self.find(index).map(|(entry, _)| entry)
    }

    /// The chain value of an entry.
    pub(super) fn chain(&self, index: Index) -> Option<u32> {
        self.find(index).and_then(|(_, chain)| *chain)
    }

    fn find(&self, index: Index) -> Option<&(Entry, Option<u32>)> {
        let at = self.entries.partition_point(|(entry, _)| entry.index < index);
        self.entries.get(at).filter(|(entry, _)| entry.index == index)
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
        (1..10).for_each(|index| recent.push(&entry(index), Some(index as u32)));
        assert_eq!((recent.chain(Index(9)), recent.chain(Index(1))), (Some(9), None));
        assert_eq!(recent.get(Index(9)).map(|entry| entry.index), Some(Index(9)));
        assert_eq!(recent.get(Index(1)), None);
        assert!(recent.bytes <= RECENT_ENTRIES_BYTES);
        recent.clear();
        assert_eq!(recent.get(Index(9)), None);
    }
}
