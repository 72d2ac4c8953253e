//! The disk's rounds and jobs under a power cut at every call: what was answered is there, what a meta record names
//! is there, and what no record names is swept.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use caudal_broker::ids::{Index, Offset, PartitionId, ReplicaId, Term, TopicId};
use caudal_broker::log::segment::SegmentHeader;
use caudal_broker::log::{
    Disk, Fs, Job, JobDone, LogStart, MetaChange, MetaField, MetaLog, OpenMode, Round, Voters, paths,
    read_snapshot,
};
use caudal_harness::lying_fs::{Crash, Fault, LyingFs, Op, ROOT};

fn root() -> &'static Path {
    Path::new(ROOT)
}

fn partition(number: i32) -> PartitionId {
    PartitionId { topic: TopicId::CONTROL, partition: number }
}

fn start(number: i32, generation: u64) -> LogStart {
    LogStart { generation, log_start: Offset(0), ..LogStart::genesis(partition(number), Index(6), Term(5)) }
}

fn open(fs: &LyingFs) -> Disk {
    let fs: Arc<dyn Fs> = Arc::new(fs.clone());
    let meta = MetaLog::open_with(Arc::clone(&fs), root(), 2_000).expect("the meta log opens");
    Disk::new(fs, root().to_owned(), meta)
}

fn change(number: i32, what: MetaField) -> Round {
    Round { meta: vec![MetaChange { partition: partition(number), what }], ..Round::default() }
}

fn job(job: Job) -> Round {
    Round { jobs: vec![job], ..Round::default() }
}

fn create(number: i32) -> Round {
    let (replica, voters) = (ReplicaId(1), Voters::default());
    let start = start(number, 1);
    let created = change(number, MetaField::Created { replica, start, voters, term: Term(5) });
    Round {
        jobs: vec![Job::Create { partition: partition(number), start, producers: Vec::new() }],
        ..created
    }
}

fn state(index: u64) -> Bytes {
    Bytes::from(vec![index as u8; 1500])
}

fn snapshot(number: i32, index: u64) -> Round {
    job(Job::Snapshot {
        partition: partition(number),
        index: Index(index),
        term: Term(5),
        data: state(index),
    })
}

fn snapshot_made(number: i32, index: u64, before: u64) -> Round {
    let old = paths::snapshot_path(&paths::partition_home(root(), partition(number)), Index(before));
    let made = change(number, MetaField::Snapshot { index: Index(index), term: Term(5) });
    Round { jobs: vec![Job::Remove { partition: partition(number), files: vec![old] }], ..made }
}

/// The life of three partitions. Each line is one run of the disk.
fn script() -> Vec<Vec<Round>> {
    let prepare = Job::Prepare { partition: partition(0), generation: 1, sequence: 2, bytes: 20_000 };
    let next = start(1, 2);
    vec![
        vec![create(0)],
        vec![create(1), create(2)],
        vec![job(prepare), snapshot(0, 9)],
        vec![snapshot_made(0, 9, 0)],
        vec![
            snapshot(0, 12),
            job(Job::Create { partition: partition(1), start: next, producers: Vec::new() }),
        ],
        vec![snapshot_made(0, 12, 9), change(1, MetaField::Start(next))],
        vec![change(2, MetaField::Removed)],
        vec![job(Job::RemoveLog { partition: partition(2) })],
    ]
}

/// Runs the script until it fails; the runs that were answered.
fn run(disk: &mut Disk) -> usize {
    let script = script();
    let lines = script.len();
    for (line, rounds) in script.into_iter().enumerate() {
        match disk.run(rounds) {
            Ok(done) => {
                let jobs = done.iter().flat_map(|round| &round.jobs);
                assert!(jobs.into_iter().all(|job| matches!(job, JobDone::Done)), "line {line}");
            }
            Err(_) => return line,
        }
    }
    lines
}

fn has_segment(fs: &LyingFs, number: i32, generation: u64, sequence: u64) -> bool {
    let partition = partition(number);
    let path = paths::segment_path(&paths::partition_dir(root(), partition, generation), sequence);
    let Ok(file) = fs.open(&path, OpenMode::Read) else { return false };
    let mut head = vec![0; 4096];
    let read = file.read_at(&mut head, 0).expect("the file can be read");
    SegmentHeader { partition, generation, sequence }.check(&head[..read]).is_ok()
}

/// What must hold after a start, when so many runs were answered.
fn check(fs: &LyingFs, disk: &Disk, answered: usize) {
    let known = disk.meta().partitions();
    for (number, line) in [(0, 1), (1, 2), (2, 2)] {
        assert!(answered < line || known.contains_key(&partition(number)), "created {number}");
    }
    if answered >= 1 {
        assert!(has_segment(fs, 0, 1, 1));
    }
    assert!(answered < 3 || has_segment(fs, 0, 1, 2), "prepared");
    if let Some(meta) = known.get(&partition(0)) {
        let least = if answered >= 6 {
            12
        } else if answered >= 4 {
            9
        } else {
            0
        };
        assert!(meta.snapshot_index >= least);
        if meta.snapshot_index > 0 {
            let index = Index(meta.snapshot_index);
            let data =
                read_snapshot(fs, root(), partition(0), index).expect("the snapshot of the record is whole");
            assert_eq!(data, state(index.0));
        }
    }
    if let Some(meta) = known.get(&partition(1)).filter(|_| answered >= 2) {
        assert!(meta.generation == 2 || answered < 6);
        assert!(has_segment(fs, 1, meta.generation, 1), "the generation of the record is there");
    }
    if answered >= 7 {
        assert!(known[&partition(2)].removed);
    }
}

/// What must hold after the sweep: only what the records name.
fn check_swept(fs: &LyingFs, disk: &Disk) {
    for (partition, meta) in disk.meta().partitions() {
        let home = paths::partition_home(root(), *partition);
        let names = fs.list(&home).unwrap_or_default();
        assert!(!meta.removed || names.is_empty(), "{names:?}");
        for name in names {
            let kept = name == meta.generation.to_string()
                || paths::snapshot_index(&name).is_some_and(|index| index.0 == meta.snapshot_index);
            assert!(kept, "{name} of {partition} is not named by {meta:?}");
        }
    }
}

#[test]
fn a_cut_at_every_call_keeps_what_was_answered() {
    let fs = LyingFs::new(0);
    let mut disk = open(&fs);
    let before = fs.operations();
    assert_eq!(run(&mut disk), script().len());
    let calls = fs.operations() - before;
    assert!(calls > 60, "{calls} calls");
    for cut in 0..calls {
        for (seed, crash) in [(0, Crash::ProcessDies), (1, Crash::PowerDies), (2, Crash::PowerDies)] {
            let fs = LyingFs::new(cut * 8 + seed);
            let mut disk = open(&fs);
            fs.cut_after(cut);
            let answered = run(&mut disk);
            assert!(answered < script().len());
            fs.crash(crash);
            check(&fs, &open(&fs), answered);
            fs.crash(Crash::PowerDies);
            let mut disk = open(&fs);
            check(&fs, &disk, answered);
            disk.sweep().expect("nothing fails");
            check(&fs, &disk, answered);
            check_swept(&fs, &disk);
        }
    }
}

#[test]
fn a_call_that_fails_ends_it_or_is_a_full_disk_and_changes_nothing() {
    let calls = [Op::Create, Op::Write, Op::Sync, Op::Allocate, Op::CreateFolder, Op::Rename, Op::SyncFolder];
    for op in calls {
        for after in 0..12 {
            let fs = LyingFs::new(after);
            let mut disk = open(&fs);
            fs.fail(op, "", after, Fault::Io);
            let answered = run(&mut disk);
            if answered < script().len() {
                let operations = fs.operations();
                assert!(disk.run(vec![create(5)]).is_err());
                assert_eq!(fs.operations(), operations, "nothing is tried again");
            }
            fs.crash(Crash::ProcessDies);
            check(&fs, &open(&fs), answered);
            fs.crash(Crash::PowerDies);
            check(&fs, &open(&fs), answered);
        }
    }
}

#[test]
fn the_same_seed_ends_in_the_same_bytes() {
    let end = |seed: u64| {
        let fs = LyingFs::new(seed);
        fs.trace(true);
        let mut disk = open(&fs);
        fs.cut_after(40);
        run(&mut disk);
        fs.crash(Crash::PowerDies);
        open(&fs).sweep().expect("nothing fails");
        (fs.durable_hash(), fs.trace(false))
    };
    assert_eq!(end(3), end(3));
}

#[test]
fn a_full_disk_is_an_answer() {
    let fs = LyingFs::new(1);
    let mut disk = open(&fs);
    disk.run(vec![create(0)]).expect("there is room");
    fs.set_quota(Some(fs.used() + 10_000));
    let names =
        |fs: &LyingFs| fs.list(&paths::topic_dir(root(), TopicId::CONTROL)).expect("the topic is there");
    let before = (fs.used(), names(&fs));
    let prepare = Job::Prepare { partition: partition(0), generation: 1, sequence: 2, bytes: 20_000 };
    let large = Bytes::from(vec![1; 20_000]);
    let large = Job::Snapshot { partition: partition(0), index: Index(9), term: Term(5), data: large };
    let done =
        disk.run(vec![create(1), job(prepare), job(large), snapshot(0, 3)]).expect("a full disk is no end");
    let jobs: Vec<bool> =
        done.iter().flat_map(|done| &done.jobs).map(|job| matches!(job, JobDone::NoSpace)).collect();
    assert_eq!(jobs, [true, true, true, false]);
    assert_eq!(names(&fs), before.1);
    assert!(fs.used() - before.0 <= 4096, "only the small snapshot took room");
}
