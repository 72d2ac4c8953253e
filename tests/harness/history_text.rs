//! A history as lines of text: what fault scripts and end-to-end runs write, read into [`history`](crate::history).
//!
//! Fields are separated by tabs. Values are text without tab or newline, and no two records have the same, so that a
//! value names its record and a changed byte is a record that nobody sent:
//!
//! ```text
//! send  WRITER PARTITION VALUE        a writer is about to send; those of one writer to one partition are in order
//! ack   PARTITION OFFSET VALUE        an acknowledgement was seen
//! scan                                a reader begins at the start of every partition
//! read  PARTITION OFFSET VALUE        it sees a record
//! end                                 it has seen every partition to its end
//! ```
//!
//! The last scan is the one that must find everything.

use std::collections::BTreeMap;
use std::fmt;

use crate::history::{Event, Partition, RecordId, Violation, check};

/// A history as it is read, line by line.
#[derive(Default)]
pub struct TextHistory {
    events: Vec<Event>,
    /// Where the last scan begins.
    last_scan: Option<usize>,
    scanning: bool,
    ids: BTreeMap<Box<str>, RecordId>,
    last_read: BTreeMap<Partition, i64>,
    out_of_order: Vec<(Partition, i64)>,
    acks: u64,
    reads: u64,
    scans: u64,
}

/// What came of a history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Acknowledgements seen.
    pub acks: u64,
    /// Records read, over all scans.
    pub reads: u64,
    /// Scans that came to their end.
    pub scans: u64,
    /// What the checker found.
    pub violations: Vec<Violation>,
    /// Partition and offset of records that a scan saw at or below the one before.
    pub out_of_order: Vec<(Partition, i64)>,
}

impl Report {
    /// Whether something is not as promised.
    pub fn is_bad(&self) -> bool {
        !self.violations.is_empty() || !self.out_of_order.is_empty()
    }

    /// Whether a history without violations would prove something: a scan, and acknowledged records for it to find.
    pub fn proves_something(&self) -> bool {
        self.acks > 0 && self.scans > 0
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN_MAX: usize = 20;
        let bad = self.violations.len() + self.out_of_order.len();
        write!(f, "acknowledged={} read={} scans={} violations={bad}", self.acks, self.reads, self.scans)?;
        for violation in self.violations.iter().take(SHOWN_MAX) {
            write!(f, "\n{violation:?}")?;
        }
        for (partition, offset) in self.out_of_order.iter().take(SHOWN_MAX) {
            write!(f, "\nOutOfOrder {{ partition: {partition}, offset: {offset} }}")?;
        }
        Ok(())
    }
}

impl TextHistory {
    /// Takes one line; `false` when it is no event.
    pub fn line(&mut self, line: &str) -> bool {
        self.event(line).is_some()
    }

    fn event(&mut self, line: &str) -> Option<()> {
        let mut fields = line.split('\t');
        match fields.next()? {
            "send" => {
                let (writer, partition) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
                let record = self.id(fields.next()?);
                self.events.push(Event::Sent { writer, partition, record });
            }
            "ack" => {
                let (_, offset): (Partition, _) =
                    (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
                let record = self.id(fields.next()?);
                self.acks += 1;
                self.events.push(Event::Acked { record, offset });
            }
            "read" if self.scanning => {
                let (partition, offset) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
                let record = self.id(fields.next()?);
                self.reads += 1;
                if self.last_read.insert(partition, offset).is_some_and(|before| before >= offset) {
                    self.out_of_order.push((partition, offset));
                }
                self.events.push(Event::Read { partition, offset, record });
            }
            "scan" if !self.scanning => {
                self.scanning = true;
                self.last_read.clear();
                self.last_scan = Some(self.events.len());
            }
            "end" if self.scanning => {
                self.scanning = false;
                self.scans += 1;
            }
            _ => return None,
        }
        fields.next().is_none().then_some(())
    }

    fn id(&mut self, value: &str) -> RecordId {
        let next = self.ids.len() as RecordId;
        *self.ids.entry(value.into()).or_insert(next)
    }

    /// Judges what was taken.
    pub fn report(mut self) -> Report {
        if let Some(at) = self.last_scan {
            self.events.insert(at, Event::FinalReads);
        }
        Report {
            acks: self.acks,
            reads: self.reads,
            scans: self.scans,
            violations: check(&self.events),
            out_of_order: self.out_of_order,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SENT: &str = "send 1 0 a|send 1 0 b|send 2 0 x|send 1 1 c|ack 0 0 a|ack 1 0 c|ack 0 1 x";

    fn report(events: &str) -> Report {
        let mut history = TextHistory::default();
        for event in events.split('|') {
            assert!(history.line(&event.replace(' ', "\t")), "{event:?}");
        }
        history.report()
    }

    #[test]
    fn a_good_history_passes_and_proves_something() {
        let report = report(&format!("{SENT}|scan|read 0 0 a|read 0 1 x|read 0 7 b|read 1 0 c|end"));
        assert!(!report.is_bad() && report.proves_something(), "{report}");
        assert_eq!((report.acks, report.reads, report.scans), (3, 4, 1));
    }

    #[test]
    fn each_lie_is_found() {
        let found = |reads: &str| report(&format!("{SENT}|scan|{reads}|end")).violations;
        let lost = found("read 0 0 a|read 0 1 x");
        assert!(matches!(lost[..], [Violation::Lost { partition: 1, offset: 0, .. }]), "{lost:?}");
        let changed = found("read 0 0 A|read 0 1 x|read 1 0 c");
        assert!(changed.iter().any(|v| matches!(v, Violation::Phantom { offset: 0, .. })), "{changed:?}");
        assert!(changed.iter().any(|v| matches!(v, Violation::Lost { offset: 0, .. })), "{changed:?}");
        let twice = found("read 0 0 a|read 0 1 x|read 0 2 b|read 0 3 b|read 1 0 c");
        assert!(matches!(twice[..], [Violation::Duplicated { first: 2, second: 3, .. }]), "{twice:?}");
        let moved = found("read 0 0 b|read 0 1 x|read 1 0 c");
        assert!(moved.iter().any(|v| matches!(v, Violation::OffsetReused { offset: 0, .. })), "{moved:?}");
        let swapped = report("send 1 0 a|send 1 0 b|ack 0 1 a|scan|read 0 0 b|read 0 1 a|end").violations;
        assert!(matches!(swapped[..], [Violation::Reordered { writer: 1, .. }]), "{swapped:?}");
    }

    #[test]
    fn offsets_that_do_not_rise_are_found() {
        let report = report(&format!("{SENT}|scan|read 0 1 x|read 0 0 a|read 1 0 c|end"));
        assert_eq!((report.violations, report.out_of_order), (vec![], vec![(0, 0)]));
    }

    #[test]
    fn only_the_last_scan_must_find_everything() {
        let all = "scan|read 0 0 a|read 0 1 x|read 1 0 c|end";
        assert!(!report(&format!("send 1 0 q|scan|end|{SENT}|{all}")).is_bad());
        assert!(report(&format!("{SENT}|{all}|scan|read 0 0 a|read 0 1 x|end")).is_bad());
    }

    #[test]
    fn a_history_without_acknowledgement_or_scan_proves_nothing() {
        assert!(!report("send 1 0 a|scan|end").proves_something());
        assert!(!report("send 1 0 a|ack 0 0 a").proves_something());
    }

    #[test]
    fn lines_that_are_no_events() {
        for line in
            ["", "sent 1 0 a", "send 1 0", "send 1 x a", "ack 0 a", "ack 0 0 a b", "read 0 0 a", "end"]
        {
            assert!(!TextHistory::default().line(&line.replace(' ', "\t")), "{line:?}");
        }
        let mut history = TextHistory::default();
        assert!(history.line("scan") && !history.line("scan"));
    }
}
