//! A batch that was fetched, read record by record.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use caudal_proto::batch::{self, Records};

use super::buffer::{Key, Shared};
use crate::cursor::Window;
use crate::error::{Error, ErrorKind};
use crate::record::{Header, Record};

/// A batch of one partition: an iterator of its records, in order. After an error nothing follows, and the partition
/// stands still at the record that could not be read.
pub struct RecordBatch {
    shared: Arc<Shared>,
    key: Key,
    version: u64,
    leader_epoch: i32,
    records: Records,
    window: Window,
    /// The offset the next record has, at least.
    next: i64,
    last_offset: i64,
    ended: bool,
}

impl RecordBatch {
    /// Opens a batch: checks its checksum, inflates it.
    ///
    /// # Errors
    /// `Damaged` when it does not validate, and `Invalid` when it inflates beyond the limit; with `topic`,
    /// `partition` and `offset` in the metadata. The partition stands still then.
    pub(super) fn open(
        shared: &Arc<Shared>,
        key: Key,
        version: u64,
        bytes: &Bytes,
        window: Window,
    ) -> Result<RecordBatch, Error> {
        match batch::records(bytes, shared.config.inflate_bytes_max) {
            Ok(records) => {
                let header = *records.header();
                Ok(RecordBatch {
                    shared: shared.clone(),
                    key,
                    version,
                    leader_epoch: header.leader_epoch,
                    records,
                    window,
                    next: window.from.max(header.base_offset),
                    last_offset: header.last_offset(),
                    ended: false,
                })
            }
            Err(error) => {
                let error = unreadable(&key, window.from, error);
                shared.halt(&key, version, window.from, &error);
                Err(error)
            }
        }
    }

    /// The topic's name and the partition.
    pub fn topic_partition(&self) -> (&str, i32) {
        (&self.key.0, self.key.1)
    }

    /// The offset the next record has, at least: one past the batch when all were taken.
    pub fn next_offset(&self) -> i64 {
        self.next
    }

    fn record(&mut self, record: batch::Record) -> Record {
        self.next = record.offset + 1;
        Record {
            topic: self.key.0.clone(),
            partition: self.key.1,
            offset: record.offset,
            leader_epoch: self.leader_epoch,
            timestamp_ms: record.timestamp,
            key: record.key,
            value: record.value,
            headers: record.headers.iter().map(|(key, value)| Header { key, value }).collect(),
        }
    }

    fn end(&mut self) {
        self.ended = true;
        self.next = self.next.max(self.last_offset.saturating_add(1).min(self.window.to));
    }
}

impl Iterator for RecordBatch {
    type Item = Result<Record, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.ended {
            match self.records.next() {
                Some(Ok(record)) if record.offset < self.window.from => {}
                Some(Ok(record)) if record.offset >= self.window.to => self.end(),
                Some(Ok(record)) => return Some(Ok(self.record(record))),
                Some(Err(error)) => {
                    self.ended = true;
                    let error = unreadable(&self.key, self.next, error);
                    self.shared.halt(&self.key, self.version, self.next, &error);
                    return Some(Err(error));
                }
                None => self.end(),
            }
        }
        None
    }
}

impl fmt::Debug for RecordBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordBatch")
            .field("topic", &self.key.0)
            .field("partition", &self.key.1)
            .field("next_offset", &self.next)
            .finish_non_exhaustive()
    }
}

/// A batch or a record that does not validate, at this offset.
pub(super) fn unreadable(key: &Key, offset: i64, cause: batch::Error) -> Error {
    let (topic, partition) = key;
    let kind = match cause {
        batch::Error::InflatesTooLarge { .. } => ErrorKind::Invalid,
        batch::Error::CodecNotBuilt { .. } | batch::Error::UnknownCodec { .. } => ErrorKind::Unsupported,
        _ => ErrorKind::Damaged,
    };
    Error::new(
        kind,
        format!("partition {partition} of topic {topic:?} is not readable at offset {offset}: {cause}"),
    )
    .with("topic", topic)
    .with("partition", partition)
    .with("offset", offset)
    .caused_by(cause)
}
