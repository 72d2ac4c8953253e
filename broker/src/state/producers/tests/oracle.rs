//! The table against a naive one that keeps the whole log and looks through it each time.

use proptest::prelude::*;

use super::*;

const LIMIT: usize = 3;

/// The whole log, and how much of it is committed.
#[derive(Debug, Default)]
struct Oracle {
    frames: Vec<ProducerFrame>,
    committed: usize,
}

impl Oracle {
    /// The batches of a producer that count at the commit index, and all those above it.
    fn batches(&self, id: i64) -> (Vec<ProducerFrame>, Vec<ProducerFrame>) {
        let of_producer = |frame: &&ProducerFrame| frame.producer_id == id;
        let pending = self.frames[self.committed..].iter().filter(of_producer).copied().collect();
        let committed = &self.frames[..self.committed];
        // The distinct producers that wrote last, and the time of the last batch.
        let mut recent: Vec<i64> = Vec::new();
        for frame in committed.iter().rev() {
            if !recent.contains(&frame.producer_id) {
                recent.push(frame.producer_id);
            }
        }
        recent.truncate(LIMIT);
        let now = committed.last().map_or(0, |frame| frame.append_time);
        let own: Vec<ProducerFrame> = committed.iter().filter(of_producer).copied().collect();
        let alive = own.last().is_some_and(|last| now - last.append_time <= DAY_MS) && recent.contains(&id);
        if !alive {
            return (Vec::new(), pending);
        }
        // The longest end of its batches in which each goes on from the one before and finds it remembered.
        let mut from = own.len() - 1;
        while from > 0 && own.len() - from < 5 && self.goes_on(own[from - 1], own[from]) {
            from -= 1;
        }
        (own[from..].to_vec(), pending)
    }

    fn goes_on(&self, before: ProducerFrame, after: ProducerFrame) -> bool {
        let next = (i64::from(before.first_sequence) + i64::from(before.count)) % (1 << 31);
        let between = &self.frames[before.index.0 as usize..after.index.0 as usize - 1];
        let others: std::collections::BTreeSet<i64> = between.iter().map(|frame| frame.producer_id).collect();
        before.epoch == after.epoch
            && next == i64::from(after.first_sequence)
            && after.append_time - before.append_time <= DAY_MS
            && others.len() < LIMIT
    }

    fn check(&self, id: i64, epoch: i16, first: i32, count: u32) -> Verdict {
        let (committed, pending) = self.batches(id);
        let Some(last) = pending.last().or(committed.last()) else {
            return if first == 0 {
                Verdict::Accept
            } else {
                Verdict::Refuse(Refusal::ProducerUnknown { producer_id: id })
            };
        };
        let current_epoch = last.epoch;
        if epoch < current_epoch {
            return Verdict::Refuse(Refusal::ProducerFenced { producer_id: id, epoch, current_epoch });
        }
        let next = ((i64::from(last.first_sequence) + i64::from(last.count)) % (1 << 31)) as i32;
        let expected = if epoch == current_epoch { next } else { 0 };
        let refused = Refusal::OutOfOrderSequence { producer_id: id, sequence: first, expected };
        if first == expected {
            return Verdict::Accept;
        }
        let same = |frame: &&ProducerFrame| {
            frame.epoch == epoch && frame.first_sequence == first && frame.count == count
        };
        if let Some(frame) = pending.iter().rev().find(same) {
            return Verdict::DuplicatePending(*frame);
        }
        if let Some(frame) = committed.iter().rev().find(same) {
            return super::committed(*frame);
        }
        let oldest = committed.iter().chain(&pending).find(|frame| frame.epoch == epoch);
        match oldest {
            // Small sequences in these tests: no way around.
            Some(oldest) if first + count as i32 <= oldest.first_sequence => {
                Verdict::Refuse(Refusal::DuplicateSequence { producer_id: id, sequence: first })
            }
            _ => Verdict::Refuse(refused),
        }
    }
}

#[derive(Debug, Clone)]
enum Step {
    /// What a client sends; appended when accepted, or when `forced` (an entry of another leader).
    Send {
        id: i64,
        epoch: i16,
        sequence: Sequence,
        count: u32,
        later_ms: i64,
    },
    Commit {
        share: f64,
    },
    Truncate {
        share: f64,
    },
    /// Through a snapshot, the overlay appended again.
    Restart,
    /// The last batches of each producer alone, as a log gives them back, make the same table.
    Recover,
}

/// A sequence relative to what a producer wrote.
#[derive(Debug, Clone)]
enum Sequence {
    Next,
    Zero,
    Back(u32),
    Gap(u32),
}

fn step() -> impl Strategy<Value = Step> {
    let sequence = prop_oneof![
        6 => Just(Sequence::Next),
        1 => Just(Sequence::Zero),
        2 => (1..40_u32).prop_map(Sequence::Back),
        1 => (1..5_u32).prop_map(Sequence::Gap),
    ];
    let later = prop_oneof![8 => 0..1000_i64, 1 => Just(DAY_MS / 2), 1 => Just(DAY_MS + 1)];
    let epoch = prop_oneof![6 => Just(0_i16), 1 => Just(1), 1 => Just(2)];
    prop_oneof![
        12 => (0..5_i64, epoch, sequence, 1..6_u32, later).prop_map(|(id, epoch, sequence, count, later_ms)| {
            Step::Send { id, epoch, sequence, count, later_ms }
        }),
        4 => (0.0..=1.0).prop_map(|share| Step::Commit { share }),
        2 => (0.0..=1.0).prop_map(|share| Step::Truncate { share }),
        1 => Just(Step::Restart),
        1 => Just(Step::Recover),
    ]
}

fn some(share: f64, of: usize) -> usize {
    (share * of as f64).round() as usize
}

struct Both {
    table: Producers,
    oracle: Oracle,
    now: i64,
}

impl Both {
    fn send(&mut self, id: i64, epoch: i16, sequence: &Sequence, count: u32) -> Result<(), TestCaseError> {
        let last = self.oracle.frames.iter().rev().find(|frame| frame.producer_id == id);
        let next = last.map_or(0, |frame| frame.first_sequence + frame.count as i32);
        let first = match sequence {
            Sequence::Next => next,
            Sequence::Zero => 0,
            Sequence::Back(by) => next.saturating_sub_unsigned(*by).max(0),
            Sequence::Gap(by) => next.saturating_add_unsigned(*by),
        };
        let verdict = self.table.check(id, epoch, first, count);
        prop_assert_eq!(&verdict, &self.oracle.check(id, epoch, first, count));
        if verdict == Verdict::Accept {
            let index = Index(self.oracle.frames.len() as u64 + 1);
            let frame = ProducerFrame {
                index,
                term: Term(1),
                base_offset: Offset(index.0 as i64 * 10),
                count,
                append_time: self.now,
                producer_id: id,
                epoch,
                first_sequence: first,
            };
            self.table.append(frame);
            self.oracle.frames.push(frame);
        }
        Ok(())
    }

    fn append_pending(&mut self) {
        self.oracle.frames[self.oracle.committed..].iter().for_each(|frame| self.table.append(*frame));
    }

    fn step(&mut self, step: &Step) -> Result<(), TestCaseError> {
        let pending = self.oracle.frames.len() - self.oracle.committed;
        match step {
            Step::Send { id, epoch, sequence, count, later_ms } => {
                self.now += later_ms;
                self.send(*id, *epoch, sequence, *count)?;
            }
            Step::Commit { share } => {
                self.oracle.committed += some(*share, pending);
                self.table.commit(Index(self.oracle.committed as u64));
            }
            Step::Truncate { share } => {
                let stay = self.oracle.committed + some(*share, pending);
                self.oracle.frames.truncate(stay);
                self.table.truncate(Index(stay as u64 + 1));
            }
            Step::Restart => {
                let restored = Producers::restore(&self.table.snapshot());
                self.table = Producers { limit: LIMIT, ..restored.unwrap() };
                self.append_pending();
            }
            Step::Recover => {
                let committed = &self.oracle.frames[..self.oracle.committed];
                let mut recovered = Producers::with_limit(LIMIT);
                for (at, frame) in committed.iter().enumerate() {
                    let same = |later: &&ProducerFrame| later.producer_id == frame.producer_id;
                    if committed[at + 1..].iter().filter(same).count() < 5 {
                        recovered.fold(*frame);
                    }
                }
                // A producer that was forgotten above the limit, and came back, may have more of its batches remembered.
                prop_assert_eq!(&recovered.by_age, &self.table.by_age);
                for (id, known) in &self.table.known {
                    prop_assert!(recovered.known[id].batches.ends_with(&known.batches));
                }
            }
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn the_table_says_what_the_whole_log_says(steps in prop::collection::vec(step(), 1..120)) {
        let mut both =
            Both { table: Producers::with_limit(LIMIT), oracle: Oracle::default(), now: 1_000_000 };
        for step in &steps {
            both.step(step)?;
            for id in 0..5 {
                for epoch in 0..3 {
                    for first in 0..12 {
                        let verdict = both.table.check(id, epoch, first, 2);
                        prop_assert_eq!(verdict, both.oracle.check(id, epoch, first, 2));
                    }
                }
            }
        }
    }
}
