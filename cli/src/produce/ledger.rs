//! Which input lines are acknowledged and which are not.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::counted::counted;
use crate::failure::{Code, code_of};
use crate::tally::ErrorDocument;

/// Failed ranges that are kept; beyond it they are only counted.
const RANGES_MAX: usize = 1000;

/// What became of the records so far.
#[derive(Default)]
pub(super) struct Ledger {
    pub(super) records: u64,
    pub(super) bytes: u64,
    partitions: BTreeSet<(String, i32)>,
    failed_records: u64,
    failed: Vec<FailedRange>,
    /// The last failed range of each partition and its place in `failed`, to be extended.
    last: BTreeMap<(String, i32), usize>,
    worst: Option<Code>,
}

/// Input lines whose records are not acknowledged. Lines of other partitions may lie between them.
#[derive(Debug, Serialize)]
pub(super) struct FailedRange {
    pub(super) topic: String,
    pub(super) partition: Option<i32>,
    pub(super) first_line: u64,
    pub(super) last_line: u64,
    pub(super) records: u64,
    pub(super) error: ErrorDocument,
}

/// Records of one batch, or one record that was not taken.
pub(super) struct Lines {
    pub(super) topic: String,
    /// Unknown where the record was refused before it had one.
    pub(super) partition: Option<i32>,
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) records: u64,
    pub(super) bytes: u64,
}

impl Ledger {
    /// These lines are acknowledged.
    pub(super) fn acknowledge(&mut self, lines: Lines) {
        self.records += lines.records;
        self.bytes += lines.bytes;
        if let Some(partition) = lines.partition {
            let place = (lines.topic, partition);
            self.last.remove(&place);
            self.partitions.insert(place);
        }
    }

    /// These lines are not.
    pub(super) fn fail(&mut self, lines: Lines, error: &caudal_client::Error) {
        self.failed_records += lines.records;
        self.worst = self.worst.or(Some(code_of(error)));
        let place = (lines.topic.clone(), lines.partition.unwrap_or(-1));
        let error = ErrorDocument::new(error);
        if let Some(range) = self.last.get(&place).and_then(|at| self.failed.get_mut(*at))
            && range.error.message == error.message
        {
            range.last_line = range.last_line.max(lines.last);
            range.records += lines.records;
            return;
        }
        if self.failed.len() == RANGES_MAX {
            return;
        }
        self.last.insert(place, self.failed.len());
        self.failed.push(FailedRange {
            topic: lines.topic,
            partition: lines.partition,
            first_line: lines.first,
            last_line: lines.last,
            records: lines.records,
            error,
        });
    }

    /// The failed ranges in the order of the input.
    pub(super) fn failed(&mut self) -> &[FailedRange] {
        self.failed.sort_by_key(|range| range.first_line);
        self.last.clear();
        &self.failed
    }

    /// Records that are not acknowledged.
    pub(super) fn failed_records(&self) -> u64 {
        self.failed_records
    }

    /// Partitions with acknowledged records.
    pub(super) fn partitions(&self) -> usize {
        self.partitions.len()
    }

    /// The exit code of what failed, if something did.
    pub(super) fn code(&self) -> Option<Code> {
        self.worst.map(|code| if self.records > 0 { Code::Partly } else { code })
    }
}

impl FailedRange {
    /// One line for stderr.
    pub(super) fn line(&self) -> String {
        let place = match self.partition {
            Some(partition) => format!("{}:{partition}", self.topic),
            None => self.topic.clone(),
        };
        let FailedRange { first_line: first, last_line: last, records, .. } = self;
        let lines = if first == last { format!("line {first}") } else { format!("lines {first} to {last}") };
        let records = counted(*records, "record");
        format!("input {lines}: {records} of {place} not acknowledged: {}", self.error.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(partition: i32, first: u64, last: u64) -> Lines {
        Lines {
            topic: "t".to_owned(),
            partition: Some(partition),
            first,
            last,
            records: last - first + 1,
            bytes: 10,
        }
    }

    /// An error as the SDK makes it, without a broker.
    fn error() -> caudal_client::Error {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(caudal_client::Client::connect("no port")).err().unwrap()
    }

    #[test]
    fn neighbours_in_a_partition_are_one_range() {
        let error = error();
        let mut ledger = Ledger::default();
        ledger.fail(lines(1, 10, 12), &error);
        ledger.fail(lines(0, 1, 2), &error);
        ledger.fail(lines(1, 13, 20), &error);
        assert_eq!(ledger.code(), Some(Code::Refused));
        ledger.acknowledge(lines(1, 21, 22));
        ledger.fail(lines(1, 23, 23), &error);
        let ranges: Vec<_> =
            ledger.failed().iter().map(|r| (r.partition, r.first_line, r.last_line, r.records)).collect();
        assert_eq!(ranges, [(Some(0), 1, 2, 2), (Some(1), 10, 20, 11), (Some(1), 23, 23, 1)]);
        assert_eq!((ledger.records, ledger.failed_records(), ledger.partitions()), (2, 14, 1));
        assert_eq!(ledger.code(), Some(Code::Partly));
        assert!(ledger.failed()[2].line().starts_with("input line 23: 1 record of t:1 not acknowledged: "));
    }

    #[test]
    fn nothing_failed_is_no_code() {
        let mut ledger = Ledger::default();
        ledger.acknowledge(lines(0, 1, 5));
        assert_eq!(ledger.code(), None);
    }
}
