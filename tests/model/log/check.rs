//! What must hold when a log opens.

use caudal_broker::ids::Index;
use caudal_broker::log::{Entry, Recovered};

use super::entries::{producers, stored};
use super::world::{FIRST, World};

impl World {
    /// What must hold when a log opens; the model then goes on from what is there.
    pub(super) fn check_recovered(&mut self, recovered: &Recovered) {
        assert!(!recovered.lost_end && recovered.holes.is_empty(), "nothing was damaged");
        let last = recovered.last_index;
        assert!(last >= self.synced, "entries up to {} were synced, {last} is the last", self.synced);
        let start = recovered.log.start();
        assert!((self.log_start_before..=self.log_start).contains(&start.log_start));
        assert_eq!(recovered.log.synced(), last);
        let count = (last.0 - FIRST.prev().0) as usize;
        let reader = recovered.log.reader();
        let found = reader.entries(start.first_index, last.next(), usize::MAX).expect("entries are read");
        assert_eq!(found.len() as u64, last.next().0 - start.first_index.0);
        let first = (start.first_index.0 - FIRST.0) as usize;
        let history = std::iter::once(&self.entries)
            .chain(&self.histories)
            .find(|history| {
                history.len() >= count && history[first..count].iter().map(stored).eq(found.iter().cloned())
            })
            .unwrap_or_else(|| panic!("entries {} to {last} are of no history that was", start.first_index));
        self.entries = history[..count].to_vec();
        self.check_facts(recovered, first);
        self.histories.clear();
        self.synced = last;
        (self.log_start, self.log_start_before) = (start.log_start, start.log_start);
    }

    fn check_facts(&self, recovered: &Recovered, first: usize) {
        let last = self.last();
        assert_eq!((recovered.next_offset, recovered.append_time), (last.1, last.2));
        let kept = &self.entries[first..];
        if let Some(entry) = kept.last() {
            assert_eq!(recovered.last_term, entry.term);
        }
        let term_of = |index: Index| {
            recovered.terms.iter().rev().find(|(first, _)| *first <= index).map(|(_, term)| *term)
        };
        for entry in kept {
            assert_eq!(term_of(entry.index), Some(entry.term), "the term of entry {}", entry.index);
        }
        // Producers of segments that are gone may be forgotten with their index files, others not.
        let first_index = recovered.log.start().first_index;
        let known: Vec<_> =
            recovered.producers.iter().filter(|frame| frame.index >= first_index).copied().collect();
        let expected: Vec<_> =
            producers(&self.entries).into_iter().filter(|frame| frame.index >= first_index).collect();
        assert_eq!(known, expected);
        let control: Vec<Entry> = kept.iter().filter(|entry| entry.count == 0).cloned().collect();
        assert_eq!(recovered.control, control);
    }
}
