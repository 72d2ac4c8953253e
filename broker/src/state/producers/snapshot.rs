//! The committed part of the table as bytes: a protobuf message with a version in front.
//!
//! Field numbers are never used again. In a producer 3 to 15 are kept for an open transaction: the offset where it
//! began, when, and its coordinator's epoch.

use bytes::Bytes;
use prost::Message;

use crate::ids::{Index, Offset, Term};

use super::{Known, ProducerFrame, Producers, sequence};

/// The version that is written, and the newest that is read.
const VERSION: u32 = 1;

/// Why bytes are no snapshot of a table of producers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProducersError {
    /// Not the encoding of one.
    #[error("the bytes are no snapshot of producers: {0}")]
    Malformed(#[from] prost::DecodeError),
    /// Written by a newer broker.
    #[error(
        "the snapshot of producers has version {found}, this broker knows {VERSION}: install a newer release"
    )]
    Version {
        /// The snapshot's version.
        found: u32,
    },
    /// A producer whose batches do not follow each other, or who is there twice.
    #[error("the snapshot has batches of producer {producer_id} that cannot be")]
    Producer {
        /// Which.
        producer_id: i64,
    },
}

#[derive(Clone, PartialEq, Message)]
struct WireProducers {
    #[prost(uint32, tag = "1")]
    version: u32,
    /// The last index folded.
    #[prost(uint64, tag = "2")]
    folded: u64,
    /// By their last batch, oldest first.
    #[prost(message, repeated, tag = "3")]
    producers: Vec<WireProducer>,
}

#[derive(Clone, PartialEq, Message)]
struct WireProducer {
    #[prost(int64, tag = "1")]
    id: i64,
    #[prost(sint32, tag = "2")]
    epoch: i32,
    /// Oldest first, of one epoch.
    #[prost(message, repeated, tag = "16")]
    batches: Vec<WireBatch>,
}

#[derive(Clone, PartialEq, Message)]
struct WireBatch {
    #[prost(uint64, tag = "1")]
    index: u64,
    #[prost(uint64, tag = "2")]
    term: u64,
    #[prost(int64, tag = "3")]
    base_offset: i64,
    #[prost(uint32, tag = "4")]
    count: u32,
    #[prost(int64, tag = "5")]
    append_time: i64,
    #[prost(int32, tag = "6")]
    first_sequence: i32,
}

pub(super) fn write(table: &Producers) -> Bytes {
    let producers = table.by_age.values().filter_map(|id| table.known.get(id).map(|known| (id, known)));
    let wire = WireProducers {
        version: VERSION,
        folded: table.folded.0,
        producers: producers
            .map(|(id, known)| WireProducer {
                id: *id,
                epoch: i32::from(known.last().epoch),
                batches: known.batches.iter().map(write_batch).collect(),
            })
            .collect(),
    };
    wire.encode_to_vec().into()
}

pub(super) fn read(bytes: &[u8]) -> Result<Producers, ProducersError> {
    let wire = WireProducers::decode(bytes)?;
    if wire.version != VERSION {
        return Err(ProducersError::Version { found: wire.version });
    }
    let mut table = Producers { folded: Index(wire.folded), ..Producers::default() };
    for producer in wire.producers {
        let id = producer.id;
        let batches = read_batches(producer).ok_or(ProducersError::Producer { producer_id: id })?;
        let last = batches.last().map_or(Index(0), |batch| batch.index);
        let younger = table.by_age.last_key_value().is_none_or(|(index, _)| *index < last);
        if !younger || last > table.folded || table.known.contains_key(&id) {
            return Err(ProducersError::Producer { producer_id: id });
        }
        table.by_age.insert(last, id);
        table.known.insert(id, Known { batches });
    }
    Ok(table)
}

fn write_batch(frame: &ProducerFrame) -> WireBatch {
    WireBatch {
        index: frame.index.0,
        term: frame.term.0,
        base_offset: frame.base_offset.0,
        count: frame.count,
        append_time: frame.append_time,
        first_sequence: frame.first_sequence,
    }
}

/// At least one batch, each beginning where the one before ends.
fn read_batches(producer: WireProducer) -> Option<Vec<ProducerFrame>> {
    let epoch = i16::try_from(producer.epoch).ok()?;
    let read = |batch: WireBatch| ProducerFrame {
        index: Index(batch.index),
        term: Term(batch.term),
        base_offset: Offset(batch.base_offset),
        count: batch.count,
        append_time: batch.append_time,
        producer_id: producer.id,
        epoch,
        first_sequence: batch.first_sequence,
    };
    let batches: Vec<ProducerFrame> = producer.batches.into_iter().map(read).collect();
    let follows = |pair: &[ProducerFrame]| {
        pair[0].index < pair[1].index
            && pair[1].first_sequence == sequence::after(pair[0].first_sequence, pair[0].count)
    };
    (!batches.is_empty() && batches.windows(2).all(follows)).then_some(batches)
}
