//! What can be wrong with a batch.

use super::Codec;

/// Why bytes are not a batch that may be stored or read, or why records do not make one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Fewer bytes than a header.
    #[error("{bytes} bytes are too few for a record batch, whose header alone takes 61")]
    TooShort {
        /// The bytes there are.
        bytes: usize,
    },
    /// The length in the header is not the length of the bytes.
    #[error("the batch says it has {claimed} bytes, there are {bytes}")]
    Length {
        /// The size that the header claims, in bytes, with the 12 bytes the field does not count.
        claimed: i64,
        /// The bytes there are.
        bytes: usize,
    },
    /// Another format.
    #[error("record batch format {magic} is not supported: use format 2 (Kafka 0.11 and later)")]
    Magic {
        /// The format's number.
        magic: i8,
    },
    /// The bytes are not those the producer summed.
    #[error("the batch's checksum is {stored:#010x}, its bytes give {computed:#010x}")]
    Checksum {
        /// The checksum in the header.
        stored: u32,
        /// The checksum of the bytes.
        computed: u32,
    },
    /// Attributes that a producer may not set.
    #[error("attribute bits {bits:#06x} are not a producer's to set")]
    Attributes {
        /// The bits in question.
        bits: u16,
    },
    /// No codec has this number.
    #[error("codec {codec} is unknown: use none (0), gzip (1), snappy (2), lz4 (3) or zstd (4)")]
    UnknownCodec {
        /// The number, 5 to 7.
        codec: u8,
    },
    /// This program was built without the codecs.
    #[error("the batch is compressed with {codec}, and this program was built without the feature `codecs`")]
    CodecNotBuilt {
        /// The batch's codec.
        codec: Codec,
    },
    /// No record, or a count and a last offset that do not fit each other.
    #[error(
        "the batch says it has {count} records and a last offset of base + {last_offset_delta}: at least one \
         record is needed, and the last one is base + count - 1"
    )]
    Count {
        /// The records that the header claims.
        count: i32,
        /// The distance from the first offset to the last that the header claims.
        last_offset_delta: i32,
    },
    /// The largest timestamp is not the largest.
    #[error("the batch's largest timestamp is {max}, and it has one of {found}")]
    Timestamps {
        /// The largest timestamp by the header, in ms since the epoch.
        max: i64,
        /// The base timestamp, or that of a record, which lies above it.
        found: i64,
    },
    /// Producer id, epoch and sequence do not fit each other.
    #[error(
        "producer id {id}, epoch {epoch} and sequence {sequence} do not fit each other: all are at least 0, or the \
         id is -1 and the batch not transactional"
    )]
    Producer {
        /// The producer id.
        id: i64,
        /// Its epoch.
        epoch: i16,
        /// The sequence of the first record.
        sequence: i32,
    },
    /// A record is malformed.
    #[error("record {record} of the batch: {lie}")]
    Record {
        /// Which one, from 0.
        record: u32,
        /// What is wrong with it.
        lie: Lie,
    },
    /// The records inflate to more than the caller allows.
    #[error("the batch's records inflate to more than {max} bytes")]
    InflatesTooLarge {
        /// The caller's limit in bytes.
        max: usize,
    },
    /// The compressed bytes are not what the codec writes.
    #[error("the batch's records do not inflate as {codec}: {why}")]
    Inflate {
        /// The batch's codec.
        codec: Codec,
        /// What the codec says.
        why: String,
    },
    /// The records do not compress.
    #[error("the batch's records could not be compressed as {codec}: {why}")]
    Deflate {
        /// The codec asked for.
        codec: Codec,
        /// What the codec says.
        why: String,
    },
    /// A batch under construction would pass what its length field can say.
    #[error("the record would make a batch of {bytes} bytes, more than the 2147483647 a batch may have")]
    TooLarge {
        /// The size it would have.
        bytes: u64,
    },
}

/// What is wrong with one record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Lie {
    /// The bytes end before the record, or before the first of its fields.
    #[error("the bytes end before it does")]
    Ends,
    /// A varint is longer than its type can be.
    #[error("a number is longer than its type")]
    Number,
    /// A length below 0 that does not stand for null, or null where none may be.
    #[error("a length is negative")]
    NegativeLength,
    /// The fields do not fill the record.
    #[error("it has {bytes} bytes more than its fields")]
    Slack {
        /// The bytes left over.
        bytes: usize,
    },
    /// More headers than its bytes can hold.
    #[error("it says it has {count} headers, more than its bytes can hold")]
    HeaderCount {
        /// The headers it claims.
        count: i32,
    },
    /// Its offset does not follow that of the record before.
    #[error("its offset is base + {found}, which does not follow the record before it")]
    OffsetDelta {
        /// The distance from the batch's first offset.
        found: i32,
    },
    /// Its timestamp is outside what 64 bits can hold.
    #[error("its timestamp, base + {delta} ms, overflows")]
    Timestamp {
        /// The distance from the batch's base timestamp, in ms.
        delta: i64,
    },
    /// It would be the first record after the last.
    #[error("{bytes} bytes follow the last record")]
    Follows {
        /// The bytes left over.
        bytes: usize,
    },
}
