//! A log with its meta log in a folder that goes when the log does: what a shard and its disk thread do, on one thread.

use std::sync::Arc;

use caudal_broker::consensus::{FIRST_INDEX, FOUNDING_TERM};
use caudal_broker::ids::{PartitionId, ReplicaId};
use caudal_broker::log::{
    Disk, DiskFs, Entry, FRAME_HEADER_BYTES, Fs, Job, Log, LogConfig, LogStart, MetaChange, MetaField,
    MetaLog, Round, Voters,
};

/// A log in a scratch folder, below `TMPDIR`.
pub(crate) struct ScratchLog {
    /// The log.
    pub(crate) log: Log,
    disk: Disk,
    _folder: tempfile::TempDir,
}

impl ScratchLog {
    /// An empty log with the default sizes of a topic.
    pub(crate) fn new() -> ScratchLog {
        let folder = tempfile::tempdir().expect("a scratch folder is made");
        let fs: Arc<dyn Fs> = Arc::new(DiskFs);
        let partition = PartitionId::CONTROL;
        let start = LogStart::genesis(partition, FIRST_INDEX, FOUNDING_TERM);
        let created = MetaField::Created {
            replica: ReplicaId(1),
            start,
            voters: Voters { voters: vec![1], ..Voters::default() },
            term: FOUNDING_TERM,
        };
        let meta = MetaLog::open(Arc::clone(&fs), folder.path()).expect("a meta log is made");
        let mut disk = Disk::new(Arc::clone(&fs), folder.path().to_owned(), meta);
        let round = Round {
            meta: vec![MetaChange { partition, what: created }],
            jobs: vec![Job::Create { partition, start, producers: Vec::new() }],
            ..Round::default()
        };
        disk.run(vec![round]).expect("a log is made");
        let config = LogConfig { segment_bytes: 128 * 1024 * 1024, segment_ms: i64::MAX };
        let meta = &disk.meta().partitions()[&partition];
        let log = Log::open(fs, folder.path(), partition, meta, config).expect("the log opens").log;
        ScratchLog { log, disk, _folder: folder }
    }

    /// Appends one entry: room for it, then one write.
    pub(crate) fn append(&mut self, entry: &Entry) {
        let bytes = (FRAME_HEADER_BYTES + entry.payload.len()) as u64;
        self.log.reserve(bytes).expect("there is room on the disk");
        self.log.append(std::slice::from_ref(entry)).expect("the entry is written");
    }

    /// A round of the disk; without `sync` everything but that.
    pub(crate) fn round(&mut self, sync: bool) {
        let mut round = Round::default();
        self.log.plan(0, &mut round);
        if !sync {
            round.sync.clear();
        }
        let done = self.disk.run(vec![round]).expect("the round is done");
        self.log.round_done(&done[0].jobs).expect("the round is taken");
    }
}
