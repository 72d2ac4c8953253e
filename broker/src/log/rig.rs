//! A log on a real disk with its meta log, for tests: entries in, rounds run, crashes by hand.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use caudal_proto::batch::{Builder, Codec, Producer};

use super::segment::SEGMENT_HEADER_BYTES;
use super::{
    Disk, DiskFs, Entry, FRAME_HEADER_BYTES, FrameHeader, Fs, Job, Kind, Log, LogConfig, LogStart,
    MetaChange, MetaField, MetaLog, OpenError, OpenMode, PartitionMeta, Recovered, Round, Voters, paths,
};
use crate::ids::{Index, Offset, PartitionId, ReplicaId, Term, TopicId};

pub(super) const PARTITION: PartitionId =
    PartitionId { topic: TopicId(uuid::Uuid::from_u128(77)), partition: 3 };

/// The first index of the logs here.
pub(super) const FIRST: u64 = 11;

pub(super) const BIG: LogConfig = LogConfig { segment_bytes: 1 << 20, segment_ms: i64::MAX };

/// A segment for a handful of [`batch`]es.
pub(super) const SMALL: LogConfig = LogConfig { segment_bytes: 4096 + 1500, segment_ms: i64::MAX };

/// An uncompressed batch of records, each with a value of `bytes`.
pub(super) fn payload(count: u32, timestamp: i64, bytes: usize, producer: Option<Producer>) -> Bytes {
    let mut builder = Builder::new();
    for n in 0..count {
        let value = vec![b'a' + n as u8 % 26; bytes];
        builder.push(timestamp + i64::from(n), None, Some(&value[..]), []).unwrap();
    }
    builder.finish(Codec::None, producer).unwrap()
}

/// What follows what.
#[derive(Clone, Copy)]
pub(super) struct Script {
    pub(super) index: u64,
    pub(super) term: u64,
    pub(super) offset: i64,
}

impl Script {
    pub(super) fn start() -> Script {
        Script { index: FIRST, term: 6, offset: 0 }
    }

    fn entry(&mut self, kind: Kind, count: u32, max_timestamp: i64, payload: Bytes) -> Entry {
        let entry = Entry {
            index: Index(self.index),
            term: Term(self.term),
            kind,
            base_offset: Offset(self.offset),
            count,
            max_timestamp,
            append_time: 1000 + self.index as i64,
            payload,
        };
        self.index += 1;
        self.offset += i64::from(count);
        entry
    }

    /// A batch of three records, with the timestamps 10 × its index and on.
    pub(super) fn batch(&mut self) -> Entry {
        self.sized(100)
    }

    pub(super) fn sized(&mut self, bytes: usize) -> Entry {
        let timestamp = self.index as i64 * 10;
        self.entry(Kind::Batch, 3, timestamp + 2, payload(3, timestamp, bytes, None))
    }

    pub(super) fn produced(&mut self, id: i64, sequence: i32) -> Entry {
        let producer = Producer { id, epoch: 1, sequence };
        self.entry(Kind::Batch, 2, 5, payload(2, 4, 10, Some(producer)))
    }

    pub(super) fn noop(&mut self) -> Entry {
        self.entry(Kind::Noop, 0, -1, Bytes::new())
    }

    pub(super) fn command(&mut self, text: &'static str) -> Entry {
        self.entry(Kind::Command, 0, -1, Bytes::from_static(text.as_bytes()))
    }

    pub(super) fn batches(&mut self, count: usize) -> Vec<Entry> {
        (0..count).map(|_| self.batch()).collect()
    }
}

/// What a frame holds of an entry: a batch is stamped.
pub(super) fn stored(entry: &Entry) -> Entry {
    let header = FrameHeader::of(entry, 0);
    let mut payload = entry.payload.to_vec();
    if entry.kind == Kind::Batch {
        payload[..16].copy_from_slice(&header.stamp());
    }
    Entry { payload: payload.into(), ..entry.clone() }
}

pub(super) struct Rig {
    pub(super) dir: tempfile::TempDir,
    pub(super) fs: Arc<dyn Fs>,
    pub(super) disk: Disk,
    pub(super) log: Log,
    pub(super) config: LogConfig,
    pub(super) now_ms: i64,
}

impl Rig {
    /// An empty log.
    pub(super) fn new(config: LogConfig) -> Rig {
        let dir = tempfile::tempdir().unwrap();
        let fs: Arc<dyn Fs> = Arc::new(DiskFs);
        let meta = MetaLog::open(fs.clone(), dir.path()).unwrap();
        let mut disk = Disk::new(fs.clone(), dir.path().to_owned(), meta);
        let start = LogStart::genesis(PARTITION, Index(FIRST), Term(5));
        let created = MetaField::Created {
            replica: ReplicaId(1),
            start,
            voters: Voters { voters: vec![1], ..Voters::default() },
            term: Term(5),
        };
        let round = Round {
            meta: vec![MetaChange { partition: PARTITION, what: created }],
            jobs: vec![Job::Create { partition: PARTITION, start, producers: Vec::new() }],
            ..Round::default()
        };
        disk.run(vec![round]).unwrap();
        let meta = disk.meta().partitions()[&PARTITION].clone();
        let log = Log::open(fs.clone(), dir.path(), PARTITION, &meta, config).unwrap().log;
        Rig { dir, fs, disk, log, config, now_ms: 0 }
    }

    pub(super) fn meta(&self) -> PartitionMeta {
        self.disk.meta().partitions()[&PARTITION].clone()
    }

    pub(super) fn append(&mut self, entries: &[Entry]) {
        self.log.append(entries).unwrap();
    }

    /// Plans a round; it is on its way until [`Rig::finish`].
    pub(super) fn plan(&mut self) -> Round {
        let mut round = Round::default();
        self.now_ms += 1;
        self.log.plan(self.now_ms, &mut round);
        round
    }

    pub(super) fn finish(&mut self, round: Round) {
        let done = self.disk.run(vec![round]).unwrap();
        self.log.round_done(&done[0].jobs).unwrap();
    }

    pub(super) fn round(&mut self) {
        let round = self.plan();
        self.finish(round);
    }

    /// Rounds until there is nothing left to do.
    pub(super) fn settle(&mut self) {
        for _ in 0..1000 {
            if !self.log.has_work() {
                return;
            }
            self.round();
        }
        panic!("the log never comes to rest");
    }

    /// Writes the durable mark up to what is synced.
    pub(super) fn mark(&mut self) {
        self.settle();
        self.now_ms += 10_000;
        self.round();
    }

    /// The process dies and starts again.
    pub(super) fn reopen(&mut self) -> Recovered {
        self.try_reopen().unwrap()
    }

    pub(super) fn try_reopen(&mut self) -> Result<Recovered, OpenError> {
        let meta = MetaLog::open(self.fs.clone(), self.dir.path()).unwrap();
        self.disk = Disk::new(self.fs.clone(), self.dir.path().to_owned(), meta);
        Log::open(self.fs.clone(), self.dir.path(), PARTITION, &self.meta(), self.config)
    }

    /// The log alone is opened again, with the meta record there is.
    pub(super) fn open_log(&self) -> Recovered {
        Log::open(self.fs.clone(), self.dir.path(), PARTITION, &self.meta(), self.config).unwrap()
    }

    /// As [`Rig::reopen`], and goes on with the log; what comes back holds the old one.
    pub(super) fn restart(&mut self) -> Recovered {
        let mut recovered = self.reopen();
        std::mem::swap(&mut self.log, &mut recovered.log);
        recovered
    }

    pub(super) fn close(&mut self) {
        let mut round = Round::default();
        self.log.close(&mut round);
        self.disk.run(vec![round]).unwrap();
        self.disk.settle().unwrap();
    }

    pub(super) fn folder(&self) -> PathBuf {
        paths::partition_dir(self.dir.path(), PARTITION, 1)
    }

    pub(super) fn segment(&self, sequence: u64) -> PathBuf {
        paths::segment_path(&self.folder(), sequence)
    }

    pub(super) fn remove_indexes(&self) {
        for name in self.fs.list(&self.folder()).unwrap() {
            if name.ends_with(".idx") {
                std::fs::remove_file(self.folder().join(name)).unwrap();
            }
        }
    }

    /// Changes bytes of a segment file behind the log's back.
    pub(super) fn damage(&self, sequence: u64, position: u64, change: impl FnOnce(&mut [u8])) {
        let path = self.segment(sequence);
        let mut bytes = std::fs::read(&path).unwrap();
        change(&mut bytes[position as usize..]);
        let file = self.fs.open(&path, OpenMode::ReadWrite).unwrap();
        file.write_at(&[std::io::IoSlice::new(&bytes)], 0).unwrap();
        file.sync().unwrap();
    }

    /// The places of the frames of a segment.
    pub(super) fn frames(&self, sequence: u64) -> Vec<(u64, FrameHeader)> {
        let bytes = std::fs::read(self.segment(sequence)).unwrap();
        let mut frames = Vec::new();
        let mut at = SEGMENT_HEADER_BYTES;
        while let Ok(header) = FrameHeader::parse(&bytes[(at as usize).min(bytes.len())..]) {
            frames.push((at, header));
            at += header.frame_bytes();
        }
        frames
    }

    /// Every entry, read as Raft does.
    pub(super) fn entries(&self) -> Vec<Entry> {
        let first = self.log.start().first_index;
        self.log.reader().entries(first, self.log.written().next(), usize::MAX).unwrap()
    }

    /// Every batch readers may see, up to the end.
    pub(super) fn offsets(&self) -> Vec<(i64, i64)> {
        let (end, reader) = (self.log.last().2, self.log.reader());
        let read = reader.read(self.log.start().log_start, end, usize::MAX, true).unwrap();
        read.batches
            .iter()
            .map(|batch| {
                let header = caudal_proto::batch::Header::parse(batch).unwrap();
                (header.base_offset, header.last_offset())
            })
            .collect()
    }
}

/// Where a frame's payload begins.
pub(super) fn payload_at(position: u64) -> u64 {
    position + FRAME_HEADER_BYTES as u64
}
