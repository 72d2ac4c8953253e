//! What clients did and saw, and the checker that judges it: one format for the simulator and for real processes.
//!
//! Every record carries a number that no other record has, so that each can be followed. The checker is O(n) in the
//! records and knows nothing of the broker.

use std::collections::{BTreeMap, BTreeSet};

/// A record, by the number in its value.
pub type RecordId = u64;

/// A partition, by any number the test likes.
pub type Partition = u32;

/// One thing that a client did or saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A record was handed to a producer. Records of one `writer` to one partition are in its order.
    Sent {
        /// Who.
        writer: u32,
        /// Where to.
        partition: Partition,
        /// Which.
        record: RecordId,
    },
    /// It was acknowledged at an offset, as durably as the topic promises.
    Acked {
        /// Which.
        record: RecordId,
        /// Where.
        offset: i64,
    },
    /// It was refused: it is not in the log and never will be.
    Refused {
        /// Which.
        record: RecordId,
    },
    /// A reader saw it.
    Read {
        /// Where.
        partition: Partition,
        /// At which offset.
        offset: i64,
        /// Which.
        record: RecordId,
    },
    /// A reader was told where the log starts: records before may be gone.
    LogStart {
        /// Whose.
        partition: Partition,
        /// The first offset there is.
        offset: i64,
    },
    /// A reader was told where the log ends.
    HighWatermark {
        /// Whose.
        partition: Partition,
        /// The first offset that is not to be seen yet.
        offset: i64,
    },
    /// From here on reads are the final ones: of everything there is, after all faults have ended.
    FinalReads,
}

/// What is wrong with a history.
#[allow(missing_docs, reason = "the variants say what their fields are")]
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Violation {
    /// A record that was acknowledged, or that a reader saw, is not there at the end.
    Lost { record: RecordId, partition: Partition, offset: i64 },
    /// One offset held two records.
    OffsetReused { partition: Partition, offset: i64, first: RecordId, second: RecordId },
    /// One record is at two offsets.
    Duplicated { record: RecordId, first: i64, second: i64 },
    /// A record that nobody sent there.
    Phantom { record: RecordId, partition: Partition, offset: i64 },
    /// A refused record is in the log.
    RefusedButThere { record: RecordId, offset: i64 },
    /// Two records of one writer are in the wrong order.
    Reordered { writer: u32, first: RecordId, second: RecordId },
    /// The end that readers are told went back.
    WatermarkWentBack { partition: Partition, from: i64, to: i64 },
    /// The start that readers are told went back.
    LogStartWentBack { partition: Partition, from: i64, to: i64 },
    /// A reader saw a record at or beyond the end it was told.
    BeyondWatermark { partition: Partition, offset: i64 },
}

#[derive(Default)]
struct Judge {
    sent: BTreeMap<RecordId, (u32, Partition, usize)>,
    refused: BTreeSet<RecordId>,
    place: BTreeMap<(Partition, i64), RecordId>,
    offset: BTreeMap<RecordId, i64>,
    finally: BTreeSet<RecordId>,
    log_start: BTreeMap<Partition, i64>,
    watermark: BTreeMap<Partition, i64>,
    found: BTreeSet<Violation>,
}

/// Everything that is wrong with a history, in a fixed order; empty when nothing is.
pub fn check(events: &[Event]) -> Vec<Violation> {
    let mut judge = Judge::default();
    let mut last = false;
    for (number, event) in events.iter().enumerate() {
        judge.take(number, event, &mut last);
    }
    judge.losses();
    judge.order();
    judge.found.into_iter().collect()
}

impl Judge {
    fn take(&mut self, number: usize, event: &Event, last: &mut bool) {
        match *event {
            Event::Sent { writer, partition, record } => {
                self.sent.insert(record, (writer, partition, number));
            }
            Event::Refused { record } => {
                self.refused.insert(record);
            }
            Event::Acked { record, offset } => match self.sent.get(&record).copied() {
                Some((_, partition, _)) => self.at(partition, offset, record),
                None => {
                    self.found.insert(Violation::Phantom { record, partition: 0, offset });
                }
            },
            Event::Read { partition, offset, record } => {
                if self.watermark.get(&partition).is_some_and(|watermark| offset >= *watermark) {
                    self.found.insert(Violation::BeyondWatermark { partition, offset });
                }
                self.at(partition, offset, record);
                if *last {
                    self.finally.insert(record);
                }
            }
            Event::LogStart { partition, offset } => {
                let before = self.log_start.insert(partition, offset);
                if let Some(from) = before.filter(|from| *from > offset) {
                    self.found.insert(Violation::LogStartWentBack { partition, from, to: offset });
                }
            }
            Event::HighWatermark { partition, offset } => {
                let before = self.watermark.insert(partition, offset);
                if let Some(from) = before.filter(|from| *from > offset) {
                    self.found.insert(Violation::WatermarkWentBack { partition, from, to: offset });
                }
            }
            Event::FinalReads => *last = true,
        }
    }

    /// An acknowledgement or a reader says that a record is at an offset.
    fn at(&mut self, partition: Partition, offset: i64, record: RecordId) {
        if self.sent.get(&record).is_none_or(|(_, to, _)| *to != partition) {
            self.found.insert(Violation::Phantom { record, partition, offset });
        }
        let first = *self.place.entry((partition, offset)).or_insert(record);
        if first != record {
            self.found.insert(Violation::OffsetReused { partition, offset, first, second: record });
        }
        let first = *self.offset.entry(record).or_insert(offset);
        if first != offset {
            self.found.insert(Violation::Duplicated { record, first, second: offset });
        }
    }

    fn losses(&mut self) {
        for (record, offset) in &self.offset {
            let Some((_, partition, _)) = self.sent.get(record) else { continue };
            let gone = self.log_start.get(partition).is_some_and(|start| offset < start);
            if !gone && !self.finally.contains(record) {
                self.found.insert(Violation::Lost {
                    record: *record,
                    partition: *partition,
                    offset: *offset,
                });
            }
        }
        for record in &self.refused {
            if let Some(offset) = self.offset.get(record) {
                self.found.insert(Violation::RefusedButThere { record: *record, offset: *offset });
            }
        }
    }

    fn order(&mut self) {
        let mut of_writer: BTreeMap<(u32, Partition), Vec<(usize, RecordId)>> = BTreeMap::new();
        for (record, (writer, partition, number)) in &self.sent {
            of_writer.entry((*writer, *partition)).or_default().push((*number, *record));
        }
        for ((writer, _), mut records) in of_writer {
            records.sort_unstable();
            let mut before: Option<(RecordId, i64)> = None;
            for (_, record) in records {
                let Some(offset) = self.offset.get(&record).copied() else { continue };
                if let Some((first, _)) = before.filter(|(_, earlier)| *earlier > offset) {
                    self.found.insert(Violation::Reordered { writer, first, second: record });
                }
                before = Some((record, offset));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(record: RecordId) -> Event {
        Event::Sent { writer: 1, partition: 0, record }
    }

    fn read(offset: i64, record: RecordId) -> Event {
        Event::Read { partition: 0, offset, record }
    }

    fn acked(offset: i64, record: RecordId) -> Event {
        Event::Acked { record, offset }
    }

    #[test]
    fn a_history_without_fault_passes() {
        let events = [
            sent(1),
            sent(2),
            sent(3),
            acked(0, 1),
            Event::HighWatermark { partition: 0, offset: 2 },
            read(0, 1),
            Event::Refused { record: 3 },
            Event::FinalReads,
            read(0, 1),
            read(1, 2),
        ];
        assert_eq!(check(&events), []);
    }

    #[test]
    fn each_violation_is_found() {
        let cases: Vec<(Vec<Event>, Violation)> = vec![
            (
                vec![sent(1), acked(0, 1), read(0, 1), Event::FinalReads],
                Violation::Lost { record: 1, partition: 0, offset: 0 },
            ),
            (
                vec![sent(1), read(0, 1), Event::FinalReads],
                Violation::Lost { record: 1, partition: 0, offset: 0 },
            ),
            (
                vec![sent(1), sent(2), acked(0, 1), acked(0, 2), Event::FinalReads, read(0, 1)],
                Violation::OffsetReused { partition: 0, offset: 0, first: 1, second: 2 },
            ),
            (
                vec![sent(1), Event::FinalReads, read(0, 1), read(1, 1)],
                Violation::Duplicated { record: 1, first: 0, second: 1 },
            ),
            (vec![Event::FinalReads, read(0, 9)], Violation::Phantom { record: 9, partition: 0, offset: 0 }),
            (
                vec![sent(1), Event::Refused { record: 1 }, Event::FinalReads, read(0, 1)],
                Violation::RefusedButThere { record: 1, offset: 0 },
            ),
            (
                vec![sent(1), sent(2), Event::FinalReads, read(0, 2), read(1, 1)],
                Violation::Reordered { writer: 1, first: 1, second: 2 },
            ),
            (
                vec![
                    Event::HighWatermark { partition: 0, offset: 5 },
                    Event::HighWatermark { partition: 0, offset: 4 },
                ],
                Violation::WatermarkWentBack { partition: 0, from: 5, to: 4 },
            ),
            (
                vec![
                    Event::LogStart { partition: 0, offset: 5 },
                    Event::LogStart { partition: 0, offset: 4 },
                ],
                Violation::LogStartWentBack { partition: 0, from: 5, to: 4 },
            ),
            (
                vec![sent(1), Event::HighWatermark { partition: 0, offset: 0 }, read(0, 1)],
                Violation::BeyondWatermark { partition: 0, offset: 0 },
            ),
        ];
        for (events, violation) in cases {
            assert!(check(&events).contains(&violation), "{violation:?} in {events:?}");
        }
    }

    #[test]
    fn what_is_before_the_log_start_is_not_lost() {
        let events = [sent(1), acked(0, 1), Event::LogStart { partition: 0, offset: 1 }, Event::FinalReads];
        assert_eq!(check(&events), []);
    }
}
