//! Where each entry above commit ends: a truncation goes back to one of them.

use std::collections::VecDeque;

use super::context::Before;
use crate::ids::Index;
use crate::log::Place;

/// What the entries from one that is committed on leave behind, without gaps.
#[derive(Debug)]
pub(super) struct Places {
    /// The entry that `settled` speaks of.
    base: Index,
    settled: Before,
    /// Of the entries behind it.
    above: VecDeque<Before>,
}

impl Places {
    /// `places` begins with that of the entry at `commit`; without any, nothing is known to be in the log.
    pub(super) fn new(commit: Index, places: &[Place]) -> Places {
        let mut all = places.iter().map(|&Place { next_offset, append_time, chain }| Before {
            next_offset,
            append_time,
            chain,
        });
        Places { base: commit, settled: all.next().unwrap_or_default(), above: all.collect() }
    }

    /// What the last entry leaves behind.
    pub(super) fn end(&self) -> Before {
        self.above.back().copied().unwrap_or(self.settled)
    }

    pub(super) fn push(&mut self, place: Before) {
        self.above.push_back(place);
    }

    /// Drops the entries from `from` on. What is committed stays.
    pub(super) fn truncate(&mut self, from: Index) {
        let keep = from.0.saturating_sub(self.base.0 + 1);
        self.above.truncate(usize::try_from(keep).unwrap_or(usize::MAX));
    }

    /// Entries up to `to` will not be cut any more.
    pub(super) fn settle(&mut self, to: Index) {
        while self.base < to
            && let Some(place) = self.above.pop_front()
        {
            (self.base, self.settled) = (self.base.next(), place);
        }
    }

    /// The chain value of the entry at `index`: the last settled one, or one behind it.
    pub(super) fn chain(&self, index: Index) -> Option<u32> {
        if index < self.base { None } else { self.after(index).chain }
    }

    /// What the entry at `index` leaves behind; of one that is settled, what the last settled one does.
    pub(super) fn after(&self, index: Index) -> Before {
        let nth = index.0.checked_sub(self.base.0 + 1).and_then(|nth| usize::try_from(nth).ok());
        nth.and_then(|nth| self.above.get(nth)).copied().unwrap_or(if nth.is_some() {
            self.end()
        } else {
            self.settled
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Offset;

    fn place(offset: i64) -> Place {
        Place { next_offset: Offset(offset), append_time: offset * 10, chain: Some(offset as u32) }
    }

    fn after(places: &Places, index: u64) -> i64 {
        places.after(Index(index)).next_offset.0
    }

    #[test]
    fn a_truncation_goes_back_to_what_the_entry_before_left() {
        let mut places = Places::new(Index(20), &[place(5), place(7), place(9)]);
        assert_eq!((after(&places, 19), after(&places, 20), after(&places, 21)), (5, 5, 7));
        assert_eq!(places.end().next_offset, Offset(9));
        places.truncate(Index(22));
        assert_eq!(places.end().next_offset, Offset(7));
        places.push(Before { next_offset: Offset(12), append_time: 0, chain: None });
        assert_eq!([19, 20, 21, 22].map(|index| places.chain(Index(index))), [None, Some(5), Some(7), None]);
        assert_eq!(after(&places, 22), 12);
        places.settle(Index(21));
        assert_eq!((after(&places, 20), after(&places, 21), after(&places, 22)), (7, 7, 12));
        places.truncate(Index(10));
        assert_eq!(places.end().next_offset, Offset(7), "what is committed is never cut");
    }
}
