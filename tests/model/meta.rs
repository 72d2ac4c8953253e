//! The meta log against a `BTreeMap`: crashes at every call, torn and lost writes, failing calls.
//!
//! Whatever happens, what is found is one of the states that there were, no older than the last synced one, and
//! opening makes it last.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use caudal_broker::ids::{Index, PartitionId, ReplicaId, Term, TopicId};
use caudal_broker::log::meta::Error;
use caudal_broker::log::{
    Fs, LogStart, MetaChange, MetaField, MetaLog, OpenMode, PartitionMeta, Voters, paths,
};
use caudal_harness::lying_fs::{Crash, Fault, LyingFs, Op, ROOT, is_power_cut};
use proptest::prelude::*;

/// Small, so that a few dozen records make a rewrite.
const REWRITE_BYTES: u64 = 2_000;

type State = BTreeMap<PartitionId, PartitionMeta>;

/// Of one partition, a number: what changes, and to what.
type Change = (u8, u8, u64);

#[derive(Debug, Clone)]
enum Step {
    Append(Vec<Change>),
    Sync,
    Crash(Crash),
    /// The power fails in the middle of a call to come.
    CutAfter(u64),
    /// The power fails in the middle of the next start.
    CutInOpen(u64),
    Fail(Op, u64, Fault),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let change = (0..4u8, 0..6u8, 1..1000u64);
    let crash = prop_oneof![Just(Crash::ProcessDies), Just(Crash::PowerDies)];
    let op = prop_oneof![
        3 => Just(Op::Sync), 3 => Just(Op::Write), 1 => Just(Op::Allocate), 1 => Just(Op::Create), 1 => Just(Op::SyncFolder)
    ];
    let fault = prop_oneof![3 => Just(Fault::Io), 1 => Just(Fault::NoSpace)];
    let step = prop_oneof![
        12 => prop::collection::vec(change, 1..8).prop_map(Step::Append),
        6 => Just(Step::Sync),
        3 => crash.prop_map(Step::Crash),
        2 => (0..6u64).prop_map(Step::CutAfter),
        2 => (0..12u64).prop_map(Step::CutInOpen),
        1 => (op, 0..3u64, fault).prop_map(|(op, after, fault)| Step::Fail(op, after, fault)),
    ];
    prop::collection::vec(step, 1..60)
}

fn partition(number: u8) -> PartitionId {
    PartitionId { topic: TopicId::CONTROL, partition: i32::from(number) }
}

/// What a change means, and what the meta log is told.
fn apply(state: &mut State, (number, field, value): Change) -> MetaChange {
    let partition = partition(number);
    let fresh = state.get(&partition).is_none_or(|meta| meta.removed);
    let meta = state.entry(partition).or_default();
    let what = if fresh {
        let start = LogStart::genesis(partition, Index(1), Term(0));
        let voters = Voters { voters: vec![value; value as usize % 40], ..Default::default() };
        let (replica_id, term) = (meta.replica_id + value, value);
        let first = PartitionMeta { replica_id, term, voters: Some(voters.clone()), ..Default::default() };
        *meta = PartitionMeta { generation: 1, first_index: 1, chain: start.chain, ..first };
        MetaField::Created { replica: ReplicaId(replica_id), start, voters, term: Term(term) }
    } else {
        match field {
            0 | 1 => {
                (meta.term, meta.vote) = (meta.term + value, value);
                MetaField::HardState { term: Term(meta.term), vote: value }
            }
            2 | 3 => {
                (meta.durable_index, meta.durable_term) = (value, value / 2);
                MetaField::Durable { index: Index(value), term: Term(value / 2) }
            }
            4 => {
                meta.commit = value;
                MetaField::Commit(Index(value))
            }
            _ => {
                *meta = PartitionMeta { replica_id: meta.replica_id, removed: true, ..Default::default() };
                MetaField::Removed
            }
        }
    };
    MetaChange { partition, what }
}

struct World {
    fs: LyingFs,
    log: Option<MetaLog>,
    /// The states that may be found: the last synced one, and all after it.
    possible: Vec<State>,
}

impl World {
    fn new(seed: u64) -> World {
        let mut world = World { fs: LyingFs::new(seed), log: None, possible: vec![State::new()] };
        world.open(true);
        world
    }

    fn try_open(&self) -> Result<MetaLog, Error> {
        MetaLog::open_with(Arc::new(self.fs.clone()), Path::new(ROOT), REWRITE_BYTES)
    }

    /// Opens, checks what is found, and that it stays.
    fn open(&mut self, all: bool) {
        let log = self.try_open().expect("the log opens");
        let in_use = [1, 2].map(|sequence| is_in_use(&self.fs, sequence));
        assert_ne!(in_use[0], in_use[1], "one file is in use: no older one can be taken for it later");
        let found = log.partitions().clone();
        if all {
            assert_eq!(Some(&found), self.possible.last(), "the process died, or nothing was lost");
        } else {
            assert!(self.possible.contains(&found), "{found:?} never was, or is older than the last sync");
        }
        self.possible = vec![found];
        self.log = Some(log);
    }

    fn crash(&mut self, crash: Crash) {
        let unharmed = self.log.take().is_some();
        self.fs.crash(crash);
        self.open(unharmed && crash == Crash::ProcessDies);
    }

    /// Appends; where that fails, the process is dead.
    fn append(&mut self, changes: &[Change]) {
        let Some(log) = &mut self.log else { return };
        let mut state = log.partitions().clone();
        let before = state.clone();
        let told: Vec<MetaChange> = changes.iter().map(|change| apply(&mut state, *change)).collect();
        let done = log.append(&told);
        // Each changed partition is one record, and the log may end behind any of them.
        let mut partial = before;
        for change in changes.iter().map(|(number, ..)| *number).collect::<std::collections::BTreeSet<_>>() {
            partial.insert(partition(change), state[&partition(change)].clone());
            self.possible.push(partial.clone());
        }
        match done {
            Ok(()) => assert_eq!(log.partitions(), &state),
            Err(_) => self.die(),
        }
    }

    fn sync(&mut self) {
        let Some(log) = &mut self.log else { return };
        match log.sync() {
            Ok(()) => self.possible = vec![log.partitions().clone()],
            Err(_) => self.die(),
        }
    }

    /// After a failure nothing more is taken.
    fn die(&mut self) {
        let mut log = self.log.take().expect("it was alive");
        let operations = self.fs.operations();
        assert!(log.sync().is_err());
        assert!(
            log.append(&[MetaChange { partition: partition(0), what: MetaField::Commit(Index(1)) }]).is_err()
        );
        assert_eq!(self.fs.operations(), operations, "nothing is tried again");
    }

    fn run(&mut self, step: &Step) {
        match step {
            Step::Append(changes) => self.append(changes),
            Step::Sync => self.sync(),
            Step::Crash(crash) => self.crash(*crash),
            Step::CutAfter(operations) => self.fs.cut_after(*operations),
            Step::Fail(op, after, fault) => self.fs.fail(*op, "meta", *after, *fault),
            Step::CutInOpen(operations) => {
                self.log = None;
                self.fs.crash(Crash::PowerDies);
                self.fs.cut_after(*operations);
                match self.try_open() {
                    Ok(log) => assert!(self.possible.contains(log.partitions())),
                    Err(error) => assert!(is_power_cut(&error), "{error}"),
                }
                self.crash(Crash::PowerDies);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_end_leaves_a_state_that_was(seed: u64, steps in steps()) {
        let mut world = World::new(seed);
        for step in &steps {
            world.run(step);
        }
        world.crash(Crash::ProcessDies);
        for _ in 0..3 {
            world.crash(Crash::PowerDies);
            assert_eq!(world.possible.len(), 1, "opening makes what it found last");
        }
        assert_eq!(world.fs.violations(), Vec::<String>::new());
    }

    #[test]
    fn no_flipped_bit_is_believed(seed: u64, appends in prop::collection::vec((0..3u8, 0..5u8, 1..99u64), 1..40), at: u64, bit in 0..8u8) {
        let mut world = World::new(seed);
        let mut states = vec![State::new()];
        for change in &appends {
            world.append(&[*change]);
            world.sync();
            states.push(world.possible[0].clone());
        }
        world.log = None;
        for name in [1, 2] {
            let path = paths::meta_path(Path::new(ROOT), name);
            world.fs.flip(&path, at % 3000, 1 << bit).expect("both files are there");
        }
        match world.try_open() {
            // The last record, which no later one vouches for, looks like a torn tail.
            Ok(log) => assert!(states[states.len() - 2..].contains(log.partitions())),
            Err(Error::Damaged { .. }) => {}
            Err(other) => panic!("{other}"),
        }
    }
}

/// Every call of a run of appends, syncs and rewrites is once the last one.
#[test]
fn a_cut_at_every_call() {
    let script: Vec<Step> = (0..60)
        .flat_map(|n| {
            let changes = (0..3).map(|k| ((n + k) as u8 % 4, (n * k) as u8 % 5, 1 + n)).collect();
            [Step::Append(changes), Step::Sync]
        })
        .collect();
    let mut world = World::new(1);
    let before = world.fs.operations();
    script.iter().for_each(|step| world.run(step));
    let calls = world.fs.operations() - before;
    assert!(calls > 150, "{calls} calls: too few for several rewrites");
    for cut in 0..calls {
        for crash in [Crash::ProcessDies, Crash::PowerDies] {
            let mut world = World::new(cut);
            world.fs.cut_after(cut);
            script.iter().for_each(|step| world.run(step));
            assert!(world.log.is_none(), "the cut came");
            world.crash(crash);
            world.crash(Crash::PowerDies);
        }
    }
}

#[test]
fn its_room_is_its_own_when_the_disk_is_full() {
    let mut world = World::new(1);
    world.fs.set_quota(Some(world.fs.used()));
    for n in 0..2000u64 {
        world.append(&[((n % 4) as u8, (n % 5) as u8, n)]);
        assert!(world.log.is_some(), "append {n}");
    }
    world.sync();
    world.crash(Crash::PowerDies);
}

#[test]
fn a_cache_that_cannot_be_passed_is_said() {
    let mut world = World::new(1);
    world.append(&[(0, 0, 1)]);
    world.sync();
    world.crash(Crash::ProcessDies);
    assert!(world.log.as_ref().is_some_and(MetaLog::verified));
    world.fs.set_direct_reads(false);
    world.crash(Crash::ProcessDies);
    assert!(world.log.as_ref().is_some_and(|log| !log.verified()));
}

#[test]
fn after_a_failed_sync_the_cache_is_not_believed() {
    let lost = (0..100).filter(|seed| {
        let mut world = World::new(*seed);
        world.append(&[(0, 0, 1)]);
        world.sync();
        let durable = world.possible[0].clone();
        world.append(&[(0, 0, 7)]);
        world.fs.fail(Op::Sync, "meta", 0, Fault::Io);
        world.sync();
        assert!(world.log.is_none());
        world.crash(Crash::ProcessDies);
        let found = world.possible[0].clone();
        world.crash(Crash::PowerDies);
        assert_eq!(world.possible, std::slice::from_ref(&found));
        found == durable
    });
    assert!(lost.count() > 20, "a sync that fails loses something in many worlds");
}

/// A rewrite is cut, the live set shrinks, and the same file is written again under the same sequence.
#[test]
fn what_a_cut_rewrite_left_is_not_met_again() {
    for seed in 0..200 {
        let mut world = World::new(seed);
        let all: Vec<Change> = (0..20).map(|number| (number, 0, 500)).collect();
        world.append(&all);
        world.sync();
        world.fs.fail(Op::Sync, "meta", 0, Fault::Io);
        let mut left = 1000;
        while world.log.is_some() && left > 0 {
            world.append(&[(0, 0, 1)]);
            left -= 1;
        }
        assert!(left > 0, "a rewrite came, and its sync failed");
        world.crash(Crash::PowerDies);
        let in_use = [1, 2].map(|sequence| is_in_use(&world.fs, sequence));
        let removals: Vec<Change> = (1..20).map(|number| (number, 5, 1)).collect();
        world.append(&removals);
        while [1, 2].map(|sequence| is_in_use(&world.fs, sequence)) == in_use {
            world.append(&[(0, 0, 1)]);
        }
        world.sync();
        world.crash(Crash::PowerDies);
        assert_eq!(world.possible[0].values().filter(|meta| meta.removed).count(), 19);
    }
}

fn is_in_use(fs: &LyingFs, sequence: u64) -> bool {
    let mut first = [0];
    let file =
        fs.open(&paths::meta_path(Path::new(ROOT), sequence), OpenMode::Read).expect("the file is there");
    file.read_at(&mut first, 0).expect("it can be read") == 1 && first != [0]
}
