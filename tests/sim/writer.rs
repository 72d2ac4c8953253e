//! A producer in the simulator: idempotent or not, several batches in flight, retries in order.

use std::collections::VecDeque;

use bytes::Bytes;
use caudal_broker::node::{Acks, Batch, Ticket};
use caudal_broker::refusal::Refusal;
use caudal_harness::history::{Partition, RecordId};
use caudal_proto::batch::{self, Builder, Codec, Producer};

/// A batch that is not settled.
#[derive(Debug, Clone)]
pub(crate) struct Outstanding {
    /// Its place among all batches of the writer.
    number: u64,
    pub(crate) records: Vec<RecordId>,
    pub(crate) batch: Batch,
    /// The ticket of the newest try in this life of the broker.
    pub(crate) ticket: Option<Ticket>,
}

/// One producer of one partition.
pub(crate) struct Writer {
    pub(crate) number: u32,
    pub(crate) partition: Partition,
    pub(crate) idempotent: bool,
    pub(crate) acks: Acks,
    pub(crate) outstanding: VecDeque<Outstanding>,
    sequence: i32,
    made: u64,
    /// Why a batch was refused last.
    pub(crate) refused: Option<Refusal>,
}

impl Writer {
    pub(crate) fn new(number: u32, partition: Partition, idempotent: bool, acks: Acks) -> Writer {
        Writer {
            number,
            partition,
            idempotent,
            acks,
            outstanding: VecDeque::new(),
            sequence: 0,
            made: 0,
            refused: None,
        }
    }

    /// Whether it waits before it sends more: a broker remembers the last five batches of a producer, and so all from
    /// the oldest unsettled one on must be among them.
    pub(crate) fn is_full(&self) -> bool {
        self.outstanding.front().is_some_and(|oldest| self.made - oldest.number >= 4)
    }

    /// The answer to a batch will not come: an idempotent writer sends it again, another one never learns.
    pub(crate) fn lost(&mut self, ticket: Ticket) {
        let Some(at) = self.outstanding.iter().position(|batch| batch.ticket == Some(ticket)) else { return };
        match self.idempotent {
            true => self.outstanding[at].ticket = None,
            false => {
                self.outstanding.remove(at);
            }
        }
    }

    /// Waits for no answer any longer.
    pub(crate) fn lose_patience(&mut self) {
        if self.idempotent {
            self.outstanding.iter_mut().for_each(|batch| batch.ticket = None);
        } else {
            self.outstanding.clear();
        }
    }

    /// Makes the next batch, of the records given.
    pub(crate) fn make(&mut self, records: Vec<RecordId>, timestamp: i64, padding: usize) -> Outstanding {
        let mut builder = Builder::new();
        for record in &records {
            let mut value = record.to_le_bytes().to_vec();
            value.resize(8 + padding, padding_of(*record));
            // The header keeps the last byte of a batch from being a zero, which a lost sector would imitate.
            builder.push(timestamp, None, Some(&value), [("end", Some(&b"!"[..]))]).expect("a small record");
        }
        let producer = self.idempotent.then_some(Producer {
            id: 1000 + i64::from(self.number),
            epoch: 0,
            sequence: self.sequence,
        });
        self.sequence += records.len() as i32;
        let bytes = builder.finish(Codec::None, producer).expect("a small batch");
        let header = batch::check(&bytes).expect("a whole batch");
        self.made += 1;
        Outstanding { number: self.made, records, batch: Batch { header, bytes }, ticket: None }
    }
}

/// The records in a batch that was read, in order, with their offsets.
pub(crate) fn records_of(batch: &Bytes) -> Result<Vec<(i64, RecordId)>, String> {
    batch::check(batch).map_err(|error| error.to_string())?;
    let mut found = Vec::new();
    for record in batch::records(batch, 1 << 20).map_err(|error| error.to_string())? {
        let record = record.map_err(|error| error.to_string())?;
        let value = record.value.ok_or("a record without a value")?;
        let id = value.get(..8).and_then(|bytes| bytes.try_into().ok()).map(u64::from_le_bytes);
        let id = id.ok_or("a value without a number")?;
        if value[8..].iter().any(|byte| *byte != padding_of(id)) {
            return Err(format!("the value of record {id} is not what was sent"));
        }
        found.push((record.offset, id));
    }
    Ok(found)
}

/// Never zero: a sector that was lost reads as zeros, and must not be taken for one that was written.
fn padding_of(record: RecordId) -> u8 {
    record as u8 | 1
}
