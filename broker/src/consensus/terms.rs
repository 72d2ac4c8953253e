//! The terms of a log's entries, in memory, with explicit bounds: outside them there is no answer.

use crate::ids::{Index, Term};

/// Which term each index from `first - 1` to `last` has.
#[derive(Debug, Clone)]
pub(super) struct Terms {
    first: Index,
    prev_term: Term,
    last: Index,
    /// The first index of each term, rising in both.
    runs: Vec<(Index, Term)>,
}

impl Terms {
    /// A log that begins at `first`, behind an entry of `prev_term`, and ends at `last`.
    pub(super) fn new(first: Index, prev_term: Term, last: Index, runs: Vec<(Index, Term)>) -> Terms {
        Terms { first, prev_term, last, runs }
    }

    pub(super) fn first(&self) -> Index {
        self.first
    }

    pub(super) fn last(&self) -> Index {
        self.last
    }

    pub(super) fn last_term(&self) -> Term {
        self.runs.last().map_or(self.prev_term, |(_, term)| *term)
    }

    /// The term of an entry, or of the one before the first; `None` outside.
    pub(super) fn get(&self, index: Index) -> Option<Term> {
        if index > self.last || index < self.first.prev() {
            return None;
        }
        let run = self.runs.partition_point(|(first, _)| *first <= index);
        Some(run.checked_sub(1).map_or(self.prev_term, |run| self.runs[run].1))
    }

    /// Adds the next entry.
    pub(super) fn push(&mut self, index: Index, term: Term) {
        debug_assert_eq!(index, self.last.next());
        if self.last_term() != term || self.runs.is_empty() {
            self.runs.push((index, term));
        }
        self.last = index;
    }

    /// Drops the entries from `from` on.
    pub(super) fn truncate(&mut self, from: Index) {
        self.runs.retain(|(first, _)| *first < from);
        self.last = from.prev();
    }

    /// Drops the entries before `first`.
    pub(super) fn compact(&mut self, first: Index) {
        if first <= self.first {
            return;
        }
        if let Some(term) = self.get(first.prev()) {
            self.prev_term = term;
            self.first = first;
            let keep = self.runs.partition_point(|(start, _)| *start <= first).saturating_sub(1);
            self.runs.drain(..keep);
            if let Some(run) = self.runs.first_mut() {
                run.0 = run.0.max(first);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone)]
    enum Op {
        Push(u64),
        Truncate(u64),
        Compact(u64),
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            6 => (0..3u64).prop_map(Op::Push),
            1 => (0..40u64).prop_map(Op::Truncate),
            1 => (0..40u64).prop_map(Op::Compact),
        ]
    }

    proptest! {
        #[test]
        fn answers_like_a_vec(ops in prop::collection::vec(op(), 0..120)) {
            let mut terms = Terms::new(Index(11), Term(5), Index(10), Vec::new());
            let mut model: Vec<(u64, u64)> = vec![(10, 5)]; // (index, term), the first being the one before the log
            for op in ops {
                match op {
                    Op::Push(rise) => {
                        let (last, term) = *model.last().unwrap();
                        model.push((last + 1, term + rise));
                        terms.push(Index(last + 1), Term(term + rise));
                    }
                    Op::Truncate(back) => {
                        let first = model[0].0 + 1;
                        let from = (model.last().unwrap().0 + 1).saturating_sub(back).max(first);
                        model.retain(|(index, _)| *index < from);
                        terms.truncate(Index(from));
                    }
                    Op::Compact(ahead) => {
                        let to = (model[0].0 + 1 + ahead).min(model.last().unwrap().0 + 1);
                        model.retain(|(index, _)| *index + 1 >= to);
                        terms.compact(Index(to));
                    }
                }
                prop_assert_eq!(terms.last().0, model.last().unwrap().0);
                prop_assert_eq!(terms.first().0, model[0].0 + 1);
                prop_assert_eq!(terms.last_term().0, model.last().unwrap().1);
                for index in 0..80 {
                    let known = model.iter().find(|(i, _)| *i == index).map(|(_, t)| Term(*t));
                    prop_assert_eq!(terms.get(Index(index)), known, "index {}", index);
                }
            }
        }
    }
}
