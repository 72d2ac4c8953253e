//! One log, its model, and the disk under both.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use caudal_broker::ids::{Index, Offset, PartitionId, ReplicaId, Term, TopicId};
use caudal_broker::log::{
    Disk, Entry, Fs, Job, Log, LogConfig, LogStart, MetaChange, MetaField, MetaLog, OpenError, PartitionMeta,
    ReadError, Recovered, Round, RoundDone, Voters, paths,
};
use caudal_harness::lying_fs::{Crash, Fault, LyingFs, Op, ROOT};
use caudal_harness::seeded::Seeded;

use super::entries::{Maker, by_time, producers, stored};

const PARTITION: PartitionId = PartitionId { topic: TopicId::CONTROL, partition: 9 };

const FIRST: Index = Index(11);

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
    entries: Vec<Entry>,
    /// Histories whose rest may still be on the disk, since the last start.
    histories: Vec<Vec<Entry>>,
    /// Entries up to here were reported as synced.
    synced: Index,
    /// Entries up to here are committed: never cut, and shown to readers.
    committed: Index,
    /// Where readers begin, and the lowest that a start may find.
    log_start: Offset,
    log_start_before: Offset,
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

    fn shared_fs(&self) -> Arc<dyn Fs> {
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
    fn open(&self, disk: &Disk) -> Result<Recovered, Option<String>> {
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
        let jobs = vec![Job::Create { partition: PARTITION, start }];
        disk.run(vec![Round { meta, jobs, ..Round::default() }]).map(drop).map_err(|error| error.to_string())
    }

    /// What must hold when a log opens; the model then goes on from what is there.
    fn check_recovered(&mut self, recovered: &Recovered) {
        assert!(!recovered.lost_end && recovered.holes.is_empty(), "nothing was damaged");
        let last = recovered.last_index;
        assert!(last >= self.synced, "entries up to {} were synced, {last} is the last", self.synced);
        let start = recovered.log.start();
        assert!((self.log_start_before..=self.log_start).contains(&start.log_start));
        assert_eq!(recovered.log.synced(), last);
        let count = (last.0 - FIRST.prev().0) as usize;
        let reader = recovered.log.reader();
        let found = reader.entries(start.first_index, last.next(), usize::MAX).expect("entries are read");
        assert_eq!(found.len() as u64, last.next().0 - start.first_index.0);
        let first = (start.first_index.0 - FIRST.0) as usize;
        let history = std::iter::once(&self.entries)
            .chain(&self.histories)
            .find(|history| {
                history.len() >= count && history[first..count].iter().map(stored).eq(found.iter().cloned())
            })
            .unwrap_or_else(|| panic!("entries {} to {last} are of no history that was", start.first_index));
        self.entries = history[..count].to_vec();
        self.check_facts(recovered, first);
        self.histories.clear();
        self.synced = last;
        (self.log_start, self.log_start_before) = (start.log_start, start.log_start);
    }

    fn check_facts(&self, recovered: &Recovered, first: usize) {
        let last = self.last();
        assert_eq!((recovered.next_offset, recovered.append_time), (last.1, last.2));
        let kept = &self.entries[first..];
        if let Some(entry) = kept.last() {
            assert_eq!(recovered.last_term, entry.term);
        }
        let term_of = |index: Index| {
            recovered.terms.iter().rev().find(|(first, _)| *first <= index).map(|(_, term)| *term)
        };
        for entry in kept {
            assert_eq!(term_of(entry.index), Some(entry.term), "the term of entry {}", entry.index);
        }
        // Producers of segments that are gone may be forgotten with their index files, others not.
        let first_index = recovered.log.start().first_index;
        let known: Vec<_> =
            recovered.producers.iter().filter(|frame| frame.index >= first_index).copied().collect();
        let expected: Vec<_> =
            producers(&self.entries).into_iter().filter(|frame| frame.index >= first_index).collect();
        assert_eq!(known, expected);
        let control: Vec<Entry> = kept.iter().filter(|entry| entry.count == 0).cloned().collect();
        assert_eq!(recovered.control, control);
    }

    /// The last entry: index, next offset, append time.
    fn last(&self) -> (Index, Offset, i64) {
        self.entries
            .last()
            .map_or((FIRST.prev(), Offset(0), 0), |last| (last.index, last.next_offset(), last.append_time))
    }

    fn entry(&self, index: Index) -> Option<&Entry> {
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

    /// Flips a byte of a frame at rest and looks what comes of it; says whether it cost the end of the log.
    pub(crate) fn flip_and_check(&mut self) -> bool {
        let dir = paths::partition_dir(Path::new(ROOT), PARTITION, 1);
        let facts = self.process().log.segments();
        let facts = facts[self.random.below(facts.len() as u64) as usize];
        if facts.bytes == 0 {
            return false;
        }
        let position = 4096 + self.random.below(facts.bytes);
        self.end_process(false);
        self.fs
            .flip(&paths::segment_path(&dir, facts.sequence), position, 1 << self.random.below(8))
            .expect("a file");
        if self.random.chance(1, 2) {
            self.fs.remove_file(&paths::index_path(&dir, facts.sequence)).ok();
        }
        let (entry, inside) = self.entry_at(facts.first_index, position - 4096);
        let last = entry.index == self.last().0;
        let meta = MetaLog::open(self.shared_fs(), Path::new(ROOT)).expect("the meta log opens");
        let disk = Disk::new(self.shared_fs(), ROOT.into(), meta);
        let recovered = self.open(&disk).expect("damage is no error");
        if recovered.lost_end {
            assert!(last && inside < 72, "only the last header holds the end");
            assert_eq!(recovered.last_index, entry.index.prev());
        }
        let before = self.entry(entry.index.prev()).map_or(Offset(0), Entry::next_offset);
        let behind = self.entry(entry.index.next()).map_or(entry.next_offset(), |next| next.base_offset);
        let reader = recovered.log.reader();
        let end = if recovered.lost_end { recovered.next_offset } else { self.last().1 };
        let mut at = Offset(0);
        let mut served = Vec::new();
        while at < end {
            match reader.read(at, end, 1, true) {
                Ok(read) => {
                    served.extend(read.batches);
                    at = read.next_offset;
                }
                Err(ReadError::Damaged { first, last }) => {
                    // Without its header nothing tells the entry's offsets from those that were given up around it.
                    assert!(
                        before <= first && last < behind,
                        "{first}..={last} is not within {before}..{behind}"
                    );
                    assert!(last.0 + 1 >= entry.next_offset().0);
                    at = Offset(last.0 + 1);
                }
                Err(error) => panic!("{error}"),
            }
        }
        let intact = self.entries.iter().filter(|other| other.count > 0 && other.index != entry.index);
        let intact = intact.filter(|other| other.next_offset() <= end).map(|other| stored(other).payload);
        assert!(served.into_iter().eq(intact), "everything else is served");
        recovered.lost_end
    }

    /// The entry whose frame holds a byte, counted from the first frame of a segment, and where in the frame.
    fn entry_at(&self, first: Index, mut byte: u64) -> (Entry, u64) {
        let mut index = first;
        loop {
            let entry = self.entry(index).expect("the byte is in a frame");
            let bytes = 72 + entry.payload.len() as u64;
            if byte < bytes {
                return (entry.clone(), byte);
            }
            (byte, index) = (byte - bytes, index.next());
        }
    }
}
