//! One log, its model, and the disk under both.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use caudal_broker::ids::{Index, Offset, PartitionId, ReplicaId, Term, TopicId};
use caudal_broker::log::{
    Disk, Entry, Fs, Job, Log, LogConfig, LogStart, MetaChange, MetaField, MetaLog, OpenError, PartitionMeta,
    ReadError, Recovered, Round, RoundDone, SegmentFacts, Voters,
};
use caudal_harness::lying_fs::{Crash, Fault, LyingFs, Op, ROOT};
use caudal_harness::seeded::Seeded;

use super::entries::{Maker, by_time, stored};

pub(crate) const PARTITION: PartitionId = PartitionId { topic: TopicId::CONTROL, partition: 9 };

pub(crate) const FIRST: Index = Index(11);

#[derive(Debug, Clone, Copy)]
pub(crate) enum Step {
    Append { count: usize, bytes: usize },
    Plan,
    Finish,
    Overwrite { back: u64, count: usize },
    Commit,
    Read { at: u16, bytes: usize },
    ReadEntries { at: u16 },
    ByTime { at: u16 },
    MoveStart { at: u16 },
    Roll,
    Configure { size: u64 },
    Reserve { bytes: u64 },
    Crash { power: bool },
    Close,
    CutAfter { after: u64, power: bool },
    Fail { after: u64, write: bool },
    FullDisk { room: u64 },
}

/// What is open while the process lives.
struct Process {
    disk: Disk,
    log: Log,
    in_flight: Option<Round>,
}

pub(crate) struct World {
    fs: LyingFs,
    random: Seeded,
    maker: Maker,
    process: Option<Process>,
    config: LogConfig,
    term: u64,
    now_ms: i64,
    /// The history that the last append made, from [`FIRST`] on.
    pub(super) entries: Vec<Entry>,
    /// Histories whose rest may still be on the disk, since the last start.
    pub(super) histories: Vec<Vec<Entry>>,
    /// Entries up to here were reported as synced.
    pub(super) synced: Index,
    /// Entries up to here are committed: never cut, and shown to readers.
    committed: Index,
    /// Where readers begin, and the lowest that a start may find.
    pub(super) log_start: Offset,
    pub(super) log_start_before: Offset,
    /// Batches that a reader still holds, and what they were.
    held: Vec<(Bytes, Bytes)>,
    power_on_cut: bool,
}

impl World {
    /// A new, empty log.
    pub(crate) fn new(seed: u64) -> World {
        let mut world = World {
            fs: LyingFs::new(seed),
            random: Seeded::stream(seed, "world"),
            maker: Maker::new(seed),
            process: None,
            config: LogConfig { segment_bytes: 4096 + 3000, segment_ms: 1000 },
            term: 6,
            now_ms: 0,
            entries: Vec::new(),
            histories: Vec::new(),
            synced: FIRST.prev(),
            committed: FIRST.prev(),
            log_start: Offset(0),
            log_start_before: Offset(0),
            held: Vec::new(),
            power_on_cut: true,
        };
        world.start();
        world
    }

    pub(crate) fn shared_fs(&self) -> Arc<dyn Fs> {
        Arc::new(self.fs.clone())
    }

    /// Starts the process, again and again until nothing kills it.
    fn start(&mut self) {
        for _ in 0..100 {
            match self.try_start() {
                Ok(()) => return,
                Err(error) => self.die(&error),
            }
        }
        panic!("the log never opens");
    }

    fn try_start(&mut self) -> Result<(), String> {
        let meta = MetaLog::open(self.shared_fs(), Path::new(ROOT)).map_err(|error| error.to_string())?;
        let mut disk = Disk::new(self.shared_fs(), ROOT.into(), meta);
        disk.sweep().map_err(|error| error.to_string())?;
        let recovered = match self.open(&disk) {
            Ok(recovered) => recovered,
            Err(None) => {
                self.create(&mut disk)?;
                self.open(&disk).map_err(|error| error.unwrap_or_else(|| "was not made".to_owned()))?
            }
            Err(Some(error)) => return Err(error),
        };
        self.check_recovered(&recovered);
        self.process = Some(Process { disk, log: recovered.log, in_flight: None });
        self.check_entries();
        Ok(())
    }

    fn meta(disk: &Disk) -> Option<PartitionMeta> {
        disk.meta().partitions().get(&PARTITION).cloned()
    }

    /// Opens the log; an error without text says that it is to be made.
    pub(crate) fn open(&self, disk: &Disk) -> Result<Recovered, Option<String>> {
        let Some(meta) = World::meta(disk) else { return Err(None) };
        match Log::open(self.shared_fs(), Path::new(ROOT), PARTITION, &meta, self.config) {
            Err(OpenError::NotMade { .. }) => Err(None),
            other => other.map_err(|error| Some(error.to_string())),
        }
    }

    fn create(&self, disk: &mut Disk) -> Result<(), String> {
        assert_eq!(self.synced, FIRST.prev(), "a log with entries is not made anew");
        let start = LogStart::genesis(PARTITION, FIRST, Term(5));
        let (replica, voters) = (ReplicaId(1), Voters { voters: vec![1], ..Voters::default() });
        let created = MetaField::Created { replica, start, voters, term: Term(5) };
        let meta = if World::meta(disk).is_some() {
            Vec::new()
        } else {
            vec![MetaChange { partition: PARTITION, what: created }]
        };
        let jobs = vec![Job::Create { partition: PARTITION, start, producers: Vec::new() }];
        disk.run(vec![Round { meta, jobs, ..Round::default() }]).map(drop).map_err(|error| error.to_string())
    }

    /// The last entry: index, next offset, append time.
    pub(crate) fn last(&self) -> (Index, Offset, i64) {
        self.entries
            .last()
            .map_or((FIRST.prev(), Offset(0), 0), |last| (last.index, last.next_offset(), last.append_time))
    }

    pub(crate) fn entry(&self, index: Index) -> Option<&Entry> {
        self.entries.get((index.0.checked_sub(FIRST.0)?) as usize)
    }

    /// The first offset that readers may not see.
    fn end(&self) -> Offset {
        self.entry(self.committed).map_or(Offset(0), Entry::next_offset)
    }

    fn died(&mut self, error: &str) {
        self.die(error);
        self.start();
    }

    /// Something failed: the process ends.
    fn die(&mut self, error: &str) {
        let planned = ["planned", "no storage space", "failed before", "is full"];
        assert!(planned.iter().any(|text| error.contains(text)), "not planned: {error}");
        self.end_process(self.power_on_cut);
    }

    fn end_process(&mut self, power: bool) {
        self.process = None;
        self.held.clear();
        self.fs.set_quota(None);
        self.fs.crash(if power { Crash::PowerDies } else { Crash::ProcessDies });
    }

    /// Runs one step; a planned fault ends the process, and the next one is started.
    pub(crate) fn run(&mut self, step: &Step) {
        let done = match *step {
            Step::Append { count, bytes } => self.append(self.last().0.next(), count, bytes),
            Step::Overwrite { back, count } => {
                let from = self.last().0.0.saturating_sub(back).max(self.committed.0) + 1;
                self.term += 1;
                self.append(Index(from), count, 100)
            }
            Step::Plan => self.plan(),
            Step::Finish => self.finish_round(),
            Step::Commit => {
                self.committed = self.synced;
                Ok(())
            }
            Step::Read { at, bytes } => self.read(at, bytes),
            Step::ReadEntries { at } => self.read_entries(at),
            Step::ByTime { at } => self.by_time(at),
            Step::MoveStart { at } => self.move_start(at),
            Step::Crash { power } => {
                self.end_process(power);
                self.start();
                Ok(())
            }
            Step::Close => self.close(),
            _ => {
                self.arrange(step);
                Ok(())
            }
        };
        if let Err(error) = done {
            self.died(&error);
        }
        self.look_back();
    }

    /// Steps that change circumstances only.
    fn arrange(&mut self, step: &Step) {
        let Some(process) = &mut self.process else { return };
        match *step {
            Step::Roll => {
                self.now_ms += 5000;
                process.log.roll_if_old(self.now_ms);
            }
            Step::Configure { size } => {
                self.config.segment_bytes = 4096 + 1000 * (size + 1);
                process.log.set_config(self.config);
            }
            // A refusal is an answer.
            Step::Reserve { bytes } => drop(process.log.reserve(bytes)),
            Step::CutAfter { after, power } => {
                self.power_on_cut = power;
                self.fs.cut_after(after);
            }
            Step::Fail { after, write } => {
                self.power_on_cut = self.random.chance(1, 2);
                self.fs.fail(if write { Op::Write } else { Op::Sync }, "", after, Fault::Io);
            }
            Step::FullDisk { room } => self.fs.set_quota(Some(self.fs.used() + room)),
            _ => {}
        }
    }

    /// The process dies, the cache lives, and nothing starts again.
    pub(crate) fn stop(&mut self) {
        self.end_process(false);
    }

    pub(crate) fn disk_of_test(&self) -> &LyingFs {
        &self.fs
    }

    pub(crate) fn draw(&mut self, end: u64) -> u64 {
        self.random.below(end)
    }

    pub(crate) fn segments(&mut self) -> Vec<SegmentFacts> {
        self.process().log.segments()
    }

    pub(crate) fn history(&self) -> &[Entry] {
        &self.entries
    }

    fn process(&mut self) -> &mut Process {
        self.process.as_mut().expect("the process lives")
    }

    fn append(&mut self, from: Index, count: usize, bytes: usize) -> Result<(), String> {
        let kept = (from.0 - FIRST.0) as usize;
        if kept < self.entries.len() {
            self.histories.push(self.entries.clone());
            self.entries.truncate(kept);
            self.synced = self.synced.min(from.prev());
        }
        for _ in 0..count {
            let entry = self.maker.next(self.last(), Term(self.term), bytes);
            self.entries.push(entry);
        }
        let new = self.entries[kept..].to_vec();
        let log = &mut self.process().log;
        log.append(&new).map_err(|error| error.to_string())?;
        self.note_synced();
        Ok(())
    }

    fn note_synced(&mut self) {
        let (synced, written) = {
            let log = &self.process().log;
            (log.synced(), log.written())
        };
        assert!(synced <= written && written <= self.last().0);
        assert!(synced >= self.synced, "what was synced and not cut stays synced");
        self.synced = synced;
    }

    fn plan(&mut self) -> Result<(), String> {
        self.now_ms += 400;
        let now_ms = self.now_ms;
        let process = self.process();
        if process.in_flight.is_none() {
            let mut round = Round::default();
            process.log.plan(now_ms, &mut round);
            process.in_flight = Some(round);
        }
        Ok(())
    }

    fn finish_round(&mut self) -> Result<(), String> {
        let process = self.process();
        let Some(round) = process.in_flight.take() else { return Ok(()) };
        let starts = round.meta.iter().any(|change| matches!(change.what, MetaField::Start(_)));
        let done: Vec<RoundDone> = process.disk.run(vec![round]).map_err(|error| error.to_string())?;
        process.log.round_done(&done[0].jobs).map_err(|error| error.to_string())?;
        if starts {
            let durable = World::meta(&self.process().disk).expect("a record").log_start;
            self.log_start_before = Offset(durable);
        }
        self.note_synced();
        Ok(())
    }

    fn pick(at: u16, first: i64, end: i64) -> i64 {
        first + (end - first).max(0) * i64::from(at) / i64::from(u16::MAX)
    }

    fn read(&mut self, at: u16, bytes: usize) -> Result<(), String> {
        let (start, end) = (self.log_start, self.end());
        let from = Offset(World::pick(at, start.0, end.0));
        let reader = self.process().log.reader();
        let verify = !reader.is_recent(from) || at.is_multiple_of(2);
        let read = match reader.read(from, end, bytes, verify) {
            Err(ReadError::Io(error)) => return Err(error.to_string()),
            other => other.expect("nothing is damaged"),
        };
        let expected =
            self.entries.iter().filter(|e| e.count > 0 && e.next_offset() > from && e.next_offset() <= end);
        let expected: Vec<Bytes> = expected.map(|entry| stored(entry).payload).collect();
        assert!(!read.batches.is_empty() || expected.is_empty() || from >= end);
        assert_eq!(read.batches, expected[..read.batches.len()], "offsets {from} to {end}");
        if read.bytes < bytes {
            assert_eq!(read.batches.len(), expected.len(), "there was room for all");
            assert!(read.next_offset >= end);
        }
        self.held.extend(read.batches.into_iter().zip(expected));
        Ok(())
    }

    fn read_entries(&mut self, at: u16) -> Result<(), String> {
        let (first, written) = {
            let log = &self.process().log;
            (log.start().first_index, log.written())
        };
        let from = Index(World::pick(at, first.0 as i64, written.0 as i64 + 1) as u64);
        let read = match self.process().log.reader().entries(from, written.next(), usize::MAX) {
            Err(ReadError::Io(error)) => return Err(error.to_string()),
            other => other.expect("nothing is damaged"),
        };
        let (from, to) = ((from.0 - FIRST.0) as usize, (written.next().0 - FIRST.0) as usize);
        assert!(read.into_iter().eq(self.entries[from..to].iter().map(stored)));
        Ok(())
    }

    fn by_time(&mut self, at: u16) -> Result<(), String> {
        let (time, end) = (i64::from(at % 1100), self.end());
        let found = match self.process().log.reader().offset_for_time(time, end) {
            Err(ReadError::Io(error)) => return Err(error.to_string()),
            other => other.expect("nothing is damaged"),
        };
        assert_eq!(found, by_time(&self.entries, self.log_start, end, time));
        Ok(())
    }

    fn move_start(&mut self, at: u16) -> Result<(), String> {
        let to = Offset(World::pick(at, self.log_start.0, self.end().0));
        self.log_start = self.log_start.max(to);
        let committed = self.committed;
        self.process().log.set_log_start(to, committed);
        Ok(())
    }

    fn close(&mut self) -> Result<(), String> {
        self.settled()?;
        let process = self.process();
        let mut round = Round::default();
        process.log.close(&mut round);
        process.disk.run(vec![round]).map_err(|error| error.to_string())?;
        process.disk.settle().map_err(|error| error.to_string())?;
        self.end_process(true);
        self.start();
        Ok(())
    }

    fn settled(&mut self) -> Result<(), String> {
        for _ in 0..200 {
            self.finish_round()?;
            if !self.process().log.has_work() {
                return Ok(());
            }
            self.plan()?;
        }
        panic!("the log never comes to rest");
    }

    /// Rounds until everything is synced, then the durable mark.
    pub(crate) fn settle(&mut self) {
        self.settled().expect("nothing fails");
        self.now_ms += 10_000;
        self.plan().and_then(|()| self.finish_round()).expect("nothing fails");
    }

    /// Everything that the log says it holds is there.
    fn check_entries(&mut self) {
        self.read(0, usize::MAX).expect("a healthy disk");
        self.held.clear();
    }

    /// What readers hold is what they got.
    fn look_back(&mut self) {
        for (held, was) in &self.held {
            assert_eq!(held, was, "a batch changed in its reader's hand");
        }
        if self.held.len() > 30 {
            self.held.drain(..15);
        }
        assert!(self.fs.violations().is_empty(), "{:#?}", self.fs.violations());
    }

    /// The last end, and the last look; the calls that changed the disk so far.
    pub(crate) fn finish(&mut self) -> u64 {
        let calls = self.fs.operations();
        for power in [false, true] {
            self.end_process(power);
            self.start();
        }
        self.look_back();
        calls
    }
}
