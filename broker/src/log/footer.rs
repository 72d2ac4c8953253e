//! The `.idx` file of a segment: what its frames add up to, so that opening a log need not read them again.
//!
//! A cache: written when a segment is sealed and when a log is closed, never synced, checked by its own checksum,
//! and never believed against a frame. One that does not fit is made anew by a scan.

use std::io::{self, IoSlice};
use std::path::Path;
use std::sync::Arc;

use prost::Message;

use super::contents::{Contents, Indexes, OtherEntry};
use super::damage::Hole;
use super::index::{IndexEntry, SparseIndex};
use super::producers::{ProducerFold, ProducerFrame};
use super::segment::SegmentHeader;
use super::time_index::{TimeEntry, TimeIndex};
use super::{File, Fs, Kind, OpenMode, Tip, paths};
use crate::ids::{Index, Offset, Position, Term};

const MAGIC: [u8; 4] = *b"CDLI";

const VERSION: u32 = 1;

/// Magic, version, length and checksum of what follows.
const HEAD_BYTES: usize = 16;

/// A footer larger than this is not read: no segment has one.
const BYTES_MAX: u64 = 256 * 1024 * 1024;

#[derive(Clone, PartialEq, Message)]
struct TipRecord {
    #[prost(uint64, tag = "1")]
    index: u64,
    #[prost(uint64, tag = "2")]
    term: u64,
    #[prost(int64, tag = "3")]
    next_offset: i64,
    #[prost(int64, tag = "4")]
    append_time: i64,
    #[prost(fixed32, tag = "5")]
    chain: u32,
}

#[derive(Clone, PartialEq, Message)]
struct ProducerRecord {
    #[prost(int64, tag = "1")]
    producer_id: i64,
    #[prost(int32, tag = "2")]
    epoch: i32,
    #[prost(int32, tag = "3")]
    first_sequence: i32,
    #[prost(uint32, tag = "4")]
    count: u32,
    #[prost(int64, tag = "5")]
    base_offset: i64,
    #[prost(uint64, tag = "6")]
    index: u64,
    #[prost(uint64, tag = "7")]
    term: u64,
    #[prost(int64, tag = "8")]
    append_time: i64,
}

#[derive(Clone, PartialEq, Message)]
struct HoleRecord {
    #[prost(uint64, tag = "1")]
    first_index: u64,
    #[prost(uint64, tag = "2")]
    last_index: u64,
    #[prost(int64, tag = "3")]
    first_offset: i64,
    #[prost(int64, tag = "4")]
    next_offset: i64,
}

/// Lists of equal length stand side by side; they are small as packed numbers.
#[derive(Clone, PartialEq, Message)]
struct FooterRecord {
    #[prost(bytes = "vec", tag = "1")]
    partition: Vec<u8>,
    #[prost(uint64, tag = "2")]
    generation: u64,
    #[prost(uint64, tag = "3")]
    sequence: u64,
    #[prost(message, optional, tag = "4")]
    base: Option<TipRecord>,
    #[prost(message, optional, tag = "5")]
    tip: Option<TipRecord>,
    #[prost(uint64, optional, tag = "6")]
    last_position: Option<u64>,
    #[prost(uint64, tag = "7")]
    end: u64,
    #[prost(int64, optional, tag = "8")]
    first_append_time: Option<i64>,
    #[prost(int64, optional, tag = "9")]
    max_timestamp: Option<i64>,
    #[prost(uint64, repeated, tag = "10")]
    index_indexes: Vec<u64>,
    #[prost(int64, repeated, tag = "11")]
    index_offsets: Vec<i64>,
    #[prost(uint64, repeated, tag = "12")]
    index_positions: Vec<u64>,
    #[prost(int64, repeated, tag = "13")]
    time_timestamps: Vec<i64>,
    #[prost(uint64, repeated, tag = "14")]
    time_positions: Vec<u64>,
    #[prost(uint64, repeated, tag = "15")]
    term_indexes: Vec<u64>,
    #[prost(uint64, repeated, tag = "16")]
    terms: Vec<u64>,
    #[prost(uint64, repeated, tag = "17")]
    other_indexes: Vec<u64>,
    #[prost(uint32, repeated, tag = "18")]
    other_kinds: Vec<u32>,
    #[prost(uint64, repeated, tag = "19")]
    other_positions: Vec<u64>,
    #[prost(message, repeated, tag = "20")]
    producers: Vec<ProducerRecord>,
    #[prost(message, repeated, tag = "21")]
    holes: Vec<HoleRecord>,
}

impl From<Tip> for TipRecord {
    fn from(tip: Tip) -> TipRecord {
        TipRecord {
            index: tip.index.0,
            term: tip.term.0,
            next_offset: tip.next_offset.0,
            append_time: tip.append_time,
            chain: tip.chain,
        }
    }
}

impl From<TipRecord> for Tip {
    fn from(record: TipRecord) -> Tip {
        Tip {
            index: Index(record.index),
            term: Term(record.term),
            next_offset: Offset(record.next_offset),
            append_time: record.append_time,
            chain: record.chain,
        }
    }
}

impl From<ProducerFrame> for ProducerRecord {
    fn from(batch: ProducerFrame) -> ProducerRecord {
        ProducerRecord {
            producer_id: batch.producer_id,
            epoch: i32::from(batch.epoch),
            first_sequence: batch.first_sequence,
            count: batch.count,
            base_offset: batch.base_offset.0,
            index: batch.index.0,
            term: batch.term.0,
            append_time: batch.append_time,
        }
    }
}

impl ProducerRecord {
    fn batch(&self) -> Option<ProducerFrame> {
        Some(ProducerFrame {
            producer_id: self.producer_id,
            epoch: i16::try_from(self.epoch).ok()?,
            first_sequence: self.first_sequence,
            count: self.count,
            base_offset: Offset(self.base_offset),
            index: Index(self.index),
            term: Term(self.term),
            append_time: self.append_time,
        })
    }
}

fn record(header: &SegmentHeader, contents: &Contents) -> FooterRecord {
    let indexes = contents.indexes.read();
    let (sparse, time) = (indexes.0.entries(), indexes.1.entries());
    FooterRecord {
        partition: header.partition.to_bytes().to_vec(),
        generation: header.generation,
        sequence: header.sequence,
        base: Some(contents.base.into()),
        tip: Some(contents.tip.into()),
        last_position: contents.last_position,
        end: contents.end,
        first_append_time: contents.first_append_time,
        max_timestamp: contents.max_timestamp,
        index_indexes: sparse.iter().map(|entry| entry.index.0).collect(),
        index_offsets: sparse.iter().map(|entry| entry.offset.0).collect(),
        index_positions: sparse.iter().map(|entry| entry.position.0).collect(),
        time_timestamps: time.iter().map(|entry| entry.timestamp).collect(),
        time_positions: time.iter().map(|entry| entry.position.0).collect(),
        term_indexes: contents.terms.iter().map(|(index, _)| index.0).collect(),
        terms: contents.terms.iter().map(|(_, term)| term.0).collect(),
        other_indexes: contents.others.iter().map(|other| other.index.0).collect(),
        other_kinds: contents.others.iter().map(|other| other.kind as u32).collect(),
        other_positions: contents.others.iter().map(|other| other.position.0).collect(),
        producers: contents.producers.batches().into_iter().map(ProducerRecord::from).collect(),
        holes: contents
            .holes
            .iter()
            .map(|hole| HoleRecord {
                first_index: hole.first_index.0,
                last_index: hole.last_index.0,
                first_offset: hole.first_offset.0,
                next_offset: hole.next_offset.0,
            })
            .collect(),
    }
}

impl FooterRecord {
    fn sparse(&self) -> SparseIndex {
        let keys = self.index_indexes.iter().zip(&self.index_offsets).zip(&self.index_positions);
        SparseIndex::from_entries(
            keys.map(|((&index, &offset), &position)| IndexEntry {
                index: Index(index),
                offset: Offset(offset),
                position: Position(position),
            })
            .collect(),
        )
    }

    fn time(&self) -> TimeIndex {
        let pairs = self.time_timestamps.iter().zip(&self.time_positions);
        TimeIndex::from_entries(
            pairs
                .map(|(&timestamp, &position)| TimeEntry { timestamp, position: Position(position) })
                .collect(),
        )
    }

    fn others(&self) -> Option<Vec<OtherEntry>> {
        let fields = self.other_indexes.iter().zip(&self.other_kinds).zip(&self.other_positions);
        fields
            .map(|((&index, &kind), &position)| {
                let kind = Kind::from_byte(u8::try_from(kind).ok()?)?;
                Some(OtherEntry { index: Index(index), kind, position: Position(position) })
            })
            .collect()
    }

    fn contents(&self, header: &SegmentHeader) -> Option<Contents> {
        let named = self.partition[..] == header.partition.to_bytes()
            && (self.generation, self.sequence) == (header.generation, header.sequence);
        if !named {
            return None;
        }
        let mut producers = ProducerFold::default();
        for producer in &self.producers {
            producers.push(producer.batch()?);
        }
        let indexes = Arc::new(Indexes::new(self.sparse(), self.time()));
        let contents = Contents {
            tip: self.tip.clone()?.into(),
            last_position: self.last_position,
            end: self.end,
            first_append_time: self.first_append_time,
            max_timestamp: self.max_timestamp,
            terms: self.term_indexes.iter().zip(&self.terms).map(|(&i, &t)| (Index(i), Term(t))).collect(),
            others: self.others()?,
            holes: self
                .holes
                .iter()
                .map(|hole| Hole {
                    first_index: Index(hole.first_index),
                    last_index: Index(hole.last_index),
                    first_offset: Offset(hole.first_offset),
                    next_offset: Offset(hole.next_offset),
                })
                .collect(),
            ..Contents::empty(self.base.clone()?.into(), producers)
        };
        Some(contents.resume(indexes))
    }
}

/// The bytes of a segment's `.idx` file.
fn encode(header: &SegmentHeader, contents: &Contents) -> Vec<u8> {
    let body = record(header, contents).encode_to_vec();
    let mut bytes = Vec::with_capacity(HEAD_BYTES + body.len());
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&(body.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&crc32fast::hash(&body).to_le_bytes());
    bytes.extend_from_slice(&body);
    bytes
}

fn decode(header: &SegmentHeader, bytes: &[u8]) -> Option<Contents> {
    let (head, body) = bytes.split_at_checked(HEAD_BYTES)?;
    let field = |at: usize| Some(u32::from_le_bytes(head[at..at + 4].try_into().ok()?));
    let fits = head[..4] == MAGIC && field(4)? == VERSION && field(8)? as usize == body.len();
    if !fits || field(12)? != crc32fast::hash(body) {
        return None;
    }
    FooterRecord::decode(body).ok()?.contents(header)
}

/// Writes a segment's `.idx` file anew, without a sync. When that fails there is none: it is a cache.
pub(super) fn write(fs: &dyn Fs, dir: &Path, header: &SegmentHeader, contents: &Contents) {
    let path = paths::index_path(dir, header.sequence);
    if write_file(fs, &path, &encode(header, contents)).is_err() {
        // A part of a file is told by its checksum, so it does no harm either.
        let _ = fs.remove_file(&path);
    }
}

fn write_file(fs: &dyn Fs, path: &Path, bytes: &[u8]) -> io::Result<()> {
    if fs.exists(path)? {
        fs.remove_file(path)?;
    }
    let file = fs.open(path, OpenMode::CreateNew)?;
    file.write_at(&[IoSlice::new(bytes)], 0)
}

/// Writes down the producers of a log that begins behind `base`, durably: no frame of it says who they are. The file is
/// the `.idx` of a segment 0, which there never is.
pub(super) fn write_producers(
    fs: &dyn Fs,
    dir: &Path,
    header: &SegmentHeader,
    base: Tip,
    producers: &[ProducerFrame],
) -> io::Result<()> {
    let mut fold = ProducerFold::default();
    producers.iter().for_each(|batch| fold.push(*batch));
    let path = paths::index_path(dir, header.sequence);
    let new = path.with_extension("new");
    write_file(fs, &new, &encode(header, &Contents::empty(base, fold)))?;
    fs.open(&new, OpenMode::ReadWrite)?.sync()?;
    fs.rename(&new, &path)?;
    fs.sync_dir(dir)
}

/// Reads a segment's `.idx` file; `None` when there is none or it is not to be believed.
pub(super) fn read(fs: &dyn Fs, dir: &Path, header: &SegmentHeader) -> Option<Contents> {
    let file = fs.open(&paths::index_path(dir, header.sequence), OpenMode::Read).ok()?;
    let length = file.len().ok().filter(|&length| length <= BYTES_MAX)?;
    let mut bytes = vec![0; usize::try_from(length).ok()?];
    let read = read_whole(&*file, &mut bytes).ok()?;
    bytes.truncate(read);
    decode(header, &bytes)
}

fn read_whole(file: &dyn File, bytes: &mut [u8]) -> io::Result<usize> {
    file.read_at(bytes, 0)
}
