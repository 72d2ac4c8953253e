//! The bytes of a meta log file: its header, its records, and what a file found on the disk is worth.
//!
//! All numbers are little-endian. `docs/FORMAT.md` draws both and argues why they are enough.

use std::collections::BTreeMap;
use std::io;

use prost::Message;
use uuid::Uuid;

use crate::ids::{PartitionId, TopicId};
use crate::log::PartitionMeta;

/// Where the records begin: a sector, so that rewriting the header never touches them.
pub(super) const HEADER_BYTES: usize = 512;

/// The format that this broker writes and reads.
pub(super) const VERSION: u32 = 1;

const MAGIC: &[u8; 8] = b"CAUDMETA";
const HEADER_SUMMED: usize = 60;
const FIXED: usize = 32;
const PARTITION_BYTES: usize = 20;
const ALIGNMENT: usize = 8;

/// The largest payload of a record: hundreds of voters fit.
const PAYLOAD_MAX: usize = 64 * 1024;

const ZEROS: &[u8; 512] = &[0; 512];

/// The one kind of record: a partition and all that is known of it.
const KIND_PARTITION: u32 = 1;

/// The first bytes of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    /// Rising by one at each rewrite.
    pub(super) sequence: u64,
    /// The number of the file's first record.
    pub(super) first_record: u64,
    /// The bytes of records that were written together with the header.
    pub(super) live_bytes: u64,
}

/// What a file's first bytes say.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Zeros, or nothing: the file is free.
    Empty,
    /// A file of this version, and its header's checksum.
    Valid(Header, u32),
    /// A file of another version.
    Version(u32),
    /// Neither.
    Broken,
}

impl Header {
    /// The header's sector, and its checksum, from which the chain of records begins.
    pub(super) fn encode(&self) -> ([u8; HEADER_BYTES], u32) {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.sequence.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.first_record.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.live_bytes.to_le_bytes());
        let sum = crc32fast::hash(&bytes[..HEADER_SUMMED]);
        bytes[HEADER_SUMMED..HEADER_SUMMED + 4].copy_from_slice(&sum.to_le_bytes());
        (bytes, sum)
    }

    /// Reads the first bytes of a file.
    pub(super) fn find(file: &[u8]) -> Found {
        let head = &file[..file.len().min(HEADER_BYTES)];
        if head.iter().all(|byte| *byte == 0) {
            return Found::Empty;
        }
        if head.len() < HEADER_BYTES || &head[..8] != MAGIC {
            return Found::Broken;
        }
        let sum = u32_at(head, HEADER_SUMMED);
        if sum != crc32fast::hash(&head[..HEADER_SUMMED]) {
            return Found::Broken;
        }
        match u32_at(head, 8) {
            VERSION => Found::Valid(
                Header {
                    sequence: u64_at(head, 16),
                    first_record: u64_at(head, 24),
                    live_bytes: u64_at(head, 32),
                },
                sum,
            ),
            other => Found::Version(other),
        }
    }
}

/// Appends records to bytes that go to one file.
pub(super) struct Encoder {
    /// The file's header: part of every checksum, so that nothing validates that an earlier use of the file left, or
    /// a rewrite that was cut short.
    pub(super) header: Header,
    /// The checksum of the record before.
    pub(super) chain: u32,
    /// The next record's number.
    pub(super) next: u64,
    /// How far the file was covered by a completed sync.
    pub(super) synced: u64,
}

impl Encoder {
    /// Adds one record, padded to 8 bytes.
    pub(super) fn push(&mut self, out: &mut Vec<u8>, partition: PartitionId, meta: &PartitionMeta) {
        let start = out.len();
        let length = PARTITION_BYTES + meta.encoded_len();
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&self.chain.to_le_bytes());
        out.extend_from_slice(&(length as u32).to_le_bytes());
        out.extend_from_slice(&KIND_PARTITION.to_le_bytes());
        out.extend_from_slice(&self.next.to_le_bytes());
        out.extend_from_slice(&self.synced.to_le_bytes());
        out.extend_from_slice(&partition.to_bytes());
        out.extend_from_slice(&meta.encode_to_vec());
        let sum = checksum(&self.header, &out[start + 4..]);
        out[start..start + 4].copy_from_slice(&sum.to_le_bytes());
        out.resize(start + padded(FIXED + length), 0);
        (self.chain, self.next) = (sum, self.next + 1);
    }
}

/// Refuses what could not be read again.
pub(super) fn check_size(meta: &PartitionMeta) -> io::Result<()> {
    let length = PARTITION_BYTES + meta.encoded_len();
    if length <= PAYLOAD_MAX {
        return Ok(());
    }
    let text = format!("a meta record of {length} bytes is above the limit of {PAYLOAD_MAX}");
    Err(io::Error::new(io::ErrorKind::InvalidInput, text))
}

/// The bytes that a record takes.
pub(super) fn record_bytes(meta: &PartitionMeta) -> u64 {
    padded(FIXED + PARTITION_BYTES + meta.encoded_len()) as u64
}

/// What the records of a file say.
#[derive(Debug)]
pub(super) struct Scan {
    /// The newest record of each partition.
    pub(super) partitions: BTreeMap<PartitionId, PartitionMeta>,
    /// Where the valid records end.
    pub(super) end: u64,
    /// The checksum of the last one.
    pub(super) chain: u32,
    /// The number of the next one.
    pub(super) next: u64,
}

/// Why a file's records cannot be read on from a position.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Stop {
    /// The position in the file.
    pub(super) position: u64,
    /// What is wrong there.
    pub(super) why: &'static str,
}

/// Reads the records of a file from its header on, up to the first that does not continue the chain.
///
/// # Errors
/// When what follows cannot be a torn tail: a whole record of a kind or content that is not known, or a gap that
/// a later record knows to have been synced.
pub(super) fn scan(file: &[u8], header: &Header, header_sum: u32) -> Result<Scan, Stop> {
    let mut scan = Scan {
        partitions: BTreeMap::new(),
        end: HEADER_BYTES as u64,
        chain: header_sum,
        next: header.first_record,
    };
    while let Some(record) = Raw::at(file, scan.end as usize, header) {
        if record.chain != scan.chain || record.number != scan.next {
            break;
        }
        let stop = |why| Stop { position: scan.end, why };
        if record.kind != KIND_PARTITION {
            return Err(stop("a record of a kind that this version does not know"));
        }
        let (partition, meta) = record.partition().ok_or(stop("a whole record that does not decode"))?;
        scan.partitions.insert(partition, meta);
        (scan.end, scan.chain, scan.next) = (scan.end + record.bytes as u64, record.sum, scan.next + 1);
    }
    if synced_beyond(file, scan.end, header) {
        return Err(Stop {
            position: scan.end,
            why: "a record is missing that a later one knows to be synced",
        });
    }
    Ok(scan)
}

/// Whether a record behind `end` was written when a completed sync had covered more than `end`.
fn synced_beyond(file: &[u8], end: u64, header: &Header) -> bool {
    let mut at = end as usize;
    while let Some(next) = next_used(file, at) {
        at = next;
        if Raw::at(file, at, header).is_some_and(|record| record.synced > end) {
            return true;
        }
        at += ALIGNMENT;
    }
    false
}

/// The next place from `at` where a record could begin: its length is not 0.
fn next_used(file: &[u8], at: usize) -> Option<usize> {
    let rest = file.get(at..)?;
    let block = rest.chunks(ZEROS.len()).position(|block| !is_zero(block))?;
    let used = block * ZEROS.len() + rest[block * ZEROS.len()..].iter().position(|byte| *byte != 0)?;
    // The length is in the bytes 8 to 11 of a record.
    Some(at + (used.saturating_sub(11) / ALIGNMENT) * ALIGNMENT)
}

/// Whether bytes are all zero.
pub(super) fn is_zero(bytes: &[u8]) -> bool {
    bytes.chunks(ZEROS.len()).all(|part| part == &ZEROS[..part.len()])
}

/// A record whose checksum holds.
struct Raw<'a> {
    sum: u32,
    chain: u32,
    kind: u32,
    number: u64,
    synced: u64,
    payload: &'a [u8],
    bytes: usize,
}

impl<'a> Raw<'a> {
    fn at(file: &'a [u8], position: usize, header: &Header) -> Option<Raw<'a>> {
        let record = file.get(position..)?;
        let fixed = record.get(..FIXED)?;
        let length = u32_at(fixed, 8) as usize;
        if !(PARTITION_BYTES..=PAYLOAD_MAX).contains(&length) {
            return None;
        }
        let payload = record.get(FIXED..FIXED + length)?;
        let sum = u32_at(fixed, 0);
        (sum == checksum(header, &record[4..FIXED + length])).then(|| Raw {
            sum,
            chain: u32_at(fixed, 4),
            kind: u32_at(fixed, 12),
            number: u64_at(fixed, 16),
            synced: u64_at(fixed, 24),
            payload,
            bytes: padded(FIXED + length),
        })
    }

    fn partition(&self) -> Option<(PartitionId, PartitionMeta)> {
        let (id, meta) = self.payload.split_at_checked(PARTITION_BYTES)?;
        let (topic, partition) = id.split_at_checked(16)?;
        let topic = TopicId(Uuid::from_slice(topic).ok()?);
        let partition = i32::from_be_bytes(partition.try_into().ok()?);
        Some((PartitionId { topic, partition }, PartitionMeta::decode(meta).ok()?))
    }
}

fn checksum(header: &Header, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&header.sequence.to_le_bytes());
    hasher.update(&header.first_record.to_le_bytes());
    hasher.update(&header.live_bytes.to_le_bytes());
    hasher.update(bytes);
    hasher.finalize()
}

fn padded(bytes: usize) -> usize {
    bytes.next_multiple_of(ALIGNMENT)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes[at..at + 4].iter().rev().fold(0, |number, byte| number << 8 | u32::from(*byte))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes[at..at + 8].iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}
