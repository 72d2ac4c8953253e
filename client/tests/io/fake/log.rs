//! A partition's log in memory, with a broker's checks of producer sequences.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use caudal_proto::batch::{Builder, Codec, Header, check, records, stamp};
use caudal_proto::v1::{PartitionError, Reason};

use super::refusal;

/// The log of one partition.
#[derive(Default)]
pub(crate) struct Log {
    pub(crate) batches: Vec<Bytes>,
    pub(crate) next_offset: i64,
    pub(crate) start: i64,
    /// Bytes that readers at the end get, whatever they are.
    pub(crate) raw: Option<Bytes>,
    /// The batches remembered of each producer: first sequence, count, base offset.
    producers: BTreeMap<i64, VecDeque<(i32, i32, i64)>>,
}

/// What became of a batch.
pub(crate) struct Written {
    pub(crate) base_offset: i64,
    pub(crate) last_offset: i64,
    pub(crate) duplicate: bool,
}

impl Log {
    /// Appends without looking at sequences. Returns the base offset.
    pub(crate) fn append(&mut self, batch: &Bytes, epoch: i32) -> i64 {
        let header = check(batch).expect("the client's batches are whole");
        let mut bytes = batch.to_vec();
        let base = self.next_offset;
        stamp(&mut bytes, base, epoch);
        self.batches.push(bytes.into());
        self.next_offset += i64::from(header.count);
        base
    }

    /// Appends as a broker does: in sequence, once.
    pub(crate) fn produce(&mut self, batch: &Bytes, epoch: i32) -> Result<Written, PartitionError> {
        let header = check(batch).map_err(|_| refusal(Reason::CorruptBatch, false))?;
        if header.has_producer()
            && let Some(written) = self.seen(&header)?
        {
            return Ok(written);
        }
        let base_offset = self.append(batch, epoch);
        if header.has_producer() {
            let remembered = self.producers.entry(header.producer_id).or_default();
            remembered.push_back((header.base_sequence, header.count, base_offset));
            if remembered.len() > 5 {
                remembered.pop_front();
            }
        }
        let last_offset = base_offset + i64::from(header.count) - 1;
        Ok(Written { base_offset, last_offset, duplicate: false })
    }

    /// Checks the sequence; the first receipt again for a batch that is there.
    fn seen(&self, header: &Header) -> Result<Option<Written>, PartitionError> {
        let Some(remembered) = self.producers.get(&header.producer_id) else {
            return match header.base_sequence {
                0 => Ok(None),
                _ => Err(refusal(Reason::ProducerUnknown, false)),
            };
        };
        for &(first, count, base_offset) in remembered {
            if first == header.base_sequence && count == header.count {
                let last_offset = base_offset + i64::from(count) - 1;
                return Ok(Some(Written { base_offset, last_offset, duplicate: true }));
            }
        }
        let &(first, count, _) = remembered.back().expect("a known producer wrote");
        match header.base_sequence == first + count {
            true => Ok(None),
            false => Err(refusal(Reason::OutOfOrderSequence, false)),
        }
    }

    pub(crate) fn forget_producers(&mut self) {
        self.producers.clear();
    }

    /// The batch that contains `offset`, or the next one.
    pub(crate) fn read(&self, offset: i64) -> Option<Bytes> {
        let header = |batch: &Bytes| Header::parse(batch).expect("the log holds whole batches");
        self.batches.iter().find(|batch| header(batch).last_offset() >= offset).cloned()
    }
}

/// A batch of these values, for logs that are filled directly.
pub(crate) fn batch(values: &[&str], codec: Codec) -> Bytes {
    let mut builder = Builder::new();
    for value in values {
        builder.push(1_700_000_000_000, Some(b"k"), Some(value.as_bytes()), []).unwrap();
    }
    builder.finish(codec, None).unwrap()
}

/// The values of all records of a log, in order.
pub(crate) fn values(log: &Log) -> Vec<String> {
    let mut all = Vec::new();
    for batch in &log.batches {
        for record in records(batch, 1 << 26).unwrap() {
            let value = record.unwrap().value.unwrap_or_default();
            all.push(String::from_utf8_lossy(&value).into_owned());
        }
    }
    all
}
