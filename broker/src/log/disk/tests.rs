//! The order of a round, and what jobs leave behind. Crashes between two steps are in `tests/model/`.

use std::io::IoSlice;

use bytes::Bytes;

use super::*;
use crate::ids::{Index, ReplicaId, Term, TopicId};
use crate::log::snapshot;
use crate::log::{DiskFs, Job, JobDone, LogStart, Map, MetaField, OpenMode, Voters};

/// The steps taken, and the one whose call fails.
#[derive(Default)]
struct Steps {
    taken: Mutex<Vec<String>>,
    fails: Mutex<Option<(&'static str, io::ErrorKind)>>,
}

impl Steps {
    fn note(&self, step: String) -> io::Result<()> {
        let failed = self.fails.lock().unwrap().filter(|(which, _)| *which == step);
        self.taken.lock().unwrap().push(step);
        failed.map_or(Ok(()), |(_, kind)| Err(kind.into()))
    }

    fn fail(&self, step: &'static str, kind: io::ErrorKind) {
        *self.fails.lock().unwrap() = Some((step, kind));
    }
}

/// The real file system, which notes writes, syncs and changes of names.
struct NotingFs {
    steps: Arc<Steps>,
    threads: usize,
}

struct NotingFile {
    name: String,
    file: Arc<dyn File>,
    steps: Arc<Steps>,
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

impl Fs for NotingFs {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        let file = DiskFs.open(path, mode)?;
        Ok(Arc::new(NotingFile { name: name(path), file, steps: Arc::clone(&self.steps) }))
    }
    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        DiskFs.create_dir_all(path)
    }
    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        DiskFs.list(path)
    }
    fn exists(&self, path: &Path) -> io::Result<bool> {
        DiskFs.exists(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.steps.note(format!("rename {}", name(to)))?;
        DiskFs.rename(from, to)
    }
    fn remove_file(&self, path: &Path) -> io::Result<()> {
        DiskFs.remove_file(path)
    }
    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        DiskFs.remove_dir_all(path)
    }
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.steps.note(format!("sync folder {}", name(path)))
    }
    fn parallel_syncs(&self) -> usize {
        self.threads
    }
}

impl File for NotingFile {
    fn write_at(&self, slices: &[IoSlice<'_>], position: u64) -> io::Result<()> {
        self.steps.note(format!("write {}", self.name))?;
        self.file.write_at(slices, position)
    }
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        self.file.read_at(buffer, position)
    }
    fn read_disk(&self, position: u64, length: usize) -> io::Result<(Vec<u8>, bool)> {
        self.file.read_disk(position, length)
    }
    fn sync(&self) -> io::Result<()> {
        self.steps.note(format!("sync {}", self.name))
    }
    fn allocate(&self, length: u64) -> io::Result<()> {
        self.steps.note(format!("allocate {}", self.name))?;
        self.file.allocate(length)
    }
    fn set_len(&self, length: u64) -> io::Result<()> {
        self.file.set_len(length)
    }
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }
    fn map(&self, length: u64) -> io::Result<Arc<dyn Map>> {
        self.file.map(length)
    }
}

struct Setup {
    dir: tempfile::TempDir,
    steps: Arc<Steps>,
    fs: Arc<NotingFs>,
    disk: Disk,
}

impl Setup {
    fn new(threads: usize) -> Setup {
        let dir = tempfile::tempdir().unwrap();
        drop(MetaLog::open(Arc::new(DiskFs), dir.path()).unwrap());
        let steps = Arc::new(Steps::default());
        let fs = Arc::new(NotingFs { steps: Arc::clone(&steps), threads });
        let meta = MetaLog::open(Arc::clone(&fs) as Arc<dyn Fs>, dir.path()).unwrap();
        let disk = Disk::new(Arc::clone(&fs) as Arc<dyn Fs>, dir.path().to_owned(), meta);
        steps.taken.lock().unwrap().clear();
        Setup { dir, steps, fs, disk }
    }

    fn segment(&self, name: &str) -> SyncFile {
        let file = self.fs.open(&self.dir.path().join(name), OpenMode::CreateNew).unwrap();
        SyncFile { partition: partition(0), file }
    }

    fn steps(&self) -> Vec<String> {
        std::mem::take(&mut *self.steps.taken.lock().unwrap())
    }

    fn one(&mut self, round: Round) -> Result<JobDone, Fatal> {
        Ok(self.disk.run(vec![round])?.remove(0).jobs.remove(0))
    }
}

fn partition(number: i32) -> PartitionId {
    PartitionId { topic: TopicId(uuid::Uuid::from_u128(77)), partition: number }
}

fn start(number: i32) -> LogStart {
    LogStart::genesis(partition(number), Index(6), Term(5))
}

fn change(number: i32, what: MetaField) -> MetaChange {
    MetaChange { partition: partition(number), what }
}

fn created(number: i32) -> MetaChange {
    let (replica, voters) = (ReplicaId(1), Voters::default());
    change(number, MetaField::Created { replica, start: start(number), voters, term: Term(5) })
}

fn job(job: Job) -> Round {
    Round { jobs: vec![job], ..Default::default() }
}

fn create(number: i32) -> Round {
    job(Job::Create { partition: partition(number), start: start(number), producers: Vec::new() })
}

#[test]
fn meta_then_files_then_meta_sync_then_jobs() {
    let mut setup = Setup::new(1);
    let shared = setup.segment("shared");
    let again = SyncFile { partition: partition(0), file: Arc::clone(&shared.file) };
    let rounds = vec![
        Round {
            number: 5,
            meta: vec![created(0)],
            sync: vec![setup.segment("one"), shared],
            ..Default::default()
        },
        Round { number: 9, meta: vec![created(1)], sync: vec![again, setup.segment("two")], ..create(1) },
    ];
    let done = setup.disk.run(rounds).unwrap();
    assert_eq!(done.iter().map(|done| (done.number, done.jobs.len())).collect::<Vec<_>>(), [(5, 0), (9, 1)]);
    let steps = setup.steps();
    let before_jobs = ["write meta.a", "sync one", "sync shared", "sync two", "sync meta.a"];
    assert_eq!(steps[..5], before_jobs);
    let create_steps = [
        "sync folder 1",
        "sync folder 00000000-0000-0000-0000-00000000004d",
        "sync folder topics",
        &format!("sync folder {}", name(setup.dir.path())),
        "allocate 0000000001.log",
        "write 0000000001.log",
        "sync 0000000001.log",
        "sync folder 1",
    ];
    assert_eq!(steps[5..], create_steps);
}

#[test]
fn what_rides_along_waits_for_the_next_sync_or_for_settle() {
    let mut setup = Setup::new(1);
    setup.disk.run(vec![Round { meta: vec![created(0)], ..Default::default() }]).unwrap();
    setup.steps();
    let lazy = change(0, MetaField::Durable { index: Index(7), term: Term(5) });
    setup.disk.run(vec![Round { meta: vec![lazy], ..Default::default() }]).unwrap();
    assert_eq!(setup.steps(), ["write meta.a"]);
    setup.disk.settle().unwrap();
    setup.disk.settle().unwrap();
    assert_eq!(setup.steps(), ["sync meta.a"]);
    setup.disk.run(Vec::new()).unwrap();
    assert!(setup.steps().is_empty());
}

#[test]
fn threads_sync_each_file_once_and_before_the_meta_log() {
    let mut setup = Setup::new(8);
    let sync = (0..20).map(|n| setup.segment(&format!("{n:02}"))).collect();
    setup.disk.run(vec![Round { meta: vec![created(0)], sync, ..Default::default() }]).unwrap();
    let mut steps = setup.steps();
    assert_eq!(steps.pop().unwrap(), "sync meta.a");
    assert_eq!(steps.remove(0), "write meta.a");
    steps.sort();
    assert_eq!(steps, (0..20).map(|n| format!("sync {n:02}")).collect::<Vec<_>>());
}

#[test]
fn a_failed_sync_is_the_end() {
    for threads in [1, 8] {
        let mut setup = Setup::new(threads);
        setup.steps.fail("sync bad", io::ErrorKind::Other);
        let sync = vec![setup.segment("good"), setup.segment("bad")];
        let fatal = setup.disk.run(vec![Round { meta: vec![created(0)], sync, ..create(0) }]).err().unwrap();
        assert!(fatal.to_string().starts_with("sync of a segment of partition 00000000-"), "{fatal}");
        assert!(!setup.steps().iter().any(|step| step == "sync meta.a" || step.starts_with("allocate")));
        assert!(setup.disk.run(Vec::new()).is_err() && setup.disk.settle().is_err());
        assert!(setup.steps().is_empty(), "nothing is tried again");
    }
}

#[test]
fn a_failed_meta_write_or_sync_is_the_end() {
    for step in ["write meta.a", "sync meta.a"] {
        let mut setup = Setup::new(1);
        setup.steps.fail(step, io::ErrorKind::StorageFull);
        let fatal = setup.disk.run(vec![Round { meta: vec![created(0)], ..create(0) }]).err().unwrap();
        assert!(fatal.what.ends_with("of the meta log"), "{fatal}");
        assert!(!setup.dir.path().join("topics").exists());
    }
}

#[test]
fn a_full_disk_is_an_answer_and_leaves_nothing() {
    let data = Bytes::from_static(b"state");
    let snapshot =
        || job(Job::Snapshot { partition: partition(0), index: Index(9), term: Term(5), data: data.clone() });
    let prepare =
        || job(Job::Prepare { partition: partition(0), generation: 1, sequence: 2, bytes: 100_000 });
    let cases = [
        ("allocate 0000000001.log", create(1)),
        ("sync 0000000001.log", create(1)),
        ("allocate 0000000002.log", prepare()),
        ("allocate snapshot-00000000000000000009.snap.tmp", snapshot()),
        ("sync snapshot-00000000000000000009.snap.tmp", snapshot()),
    ];
    for (step, round) in cases {
        let mut setup = Setup::new(1);
        setup.one(create(0)).unwrap();
        setup.steps.fail(step, io::ErrorKind::StorageFull);
        let before = tree(setup.dir.path());
        assert!(matches!(setup.one(round).unwrap(), JobDone::NoSpace), "{step}");
        assert_eq!(tree(setup.dir.path()), before, "{step}");
        setup.steps.fail("none", io::ErrorKind::Other);
        assert!(matches!(setup.one(prepare()).unwrap(), JobDone::Done));
        assert!(matches!(setup.one(snapshot()).unwrap(), JobDone::Done));
        assert_eq!(snapshot::read(&DiskFs, setup.dir.path(), partition(0), Index(9)).unwrap().data, data);
    }
}

/// All paths below a folder, sorted.
fn tree(root: &Path) -> Vec<PathBuf> {
    let mut paths = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path.clone());
            }
            paths.push(path);
        }
    }
    paths.sort();
    paths
}

#[test]
fn jobs_may_be_done_again() {
    let mut setup = Setup::new(1);
    for _ in 0..2 {
        setup.one(create(0)).unwrap();
        let files = vec![paths::segment_path(&paths::partition_dir(setup.dir.path(), partition(0), 1), 1)];
        setup.one(job(Job::Remove { partition: partition(0), files: files.clone() })).unwrap();
        setup.one(job(Job::Remove { partition: partition(0), files })).unwrap();
    }
    setup.one(create(1)).unwrap();
    for number in [0, 0, 1, 1] {
        setup.one(job(Job::RemoveLog { partition: partition(number) })).unwrap();
    }
    assert!(DiskFs.list(&paths::topics_dir(setup.dir.path())).unwrap().is_empty());
}

#[test]
fn the_start_sweeps_what_no_record_refers_to() {
    let mut setup = Setup::new(1);
    let root = setup.dir.path().to_owned();
    for number in 0..3 {
        setup.one(create(number)).unwrap();
    }
    let newer = LogStart { generation: 2, ..start(0) };
    setup.one(job(Job::Create { partition: partition(0), start: newer, producers: Vec::new() })).unwrap();
    for index in [7, 9] {
        let data = Bytes::from_static(b"state");
        setup
            .one(job(Job::Snapshot { partition: partition(0), index: Index(index), term: Term(5), data }))
            .unwrap();
    }
    std::fs::write(paths::partition_home(&root, partition(0)).join("snapshot-x.tmp"), b"").unwrap();
    let meta = vec![
        created(0),
        change(0, MetaField::Start(newer)),
        change(0, MetaField::Snapshot { index: Index(9), term: Term(5) }),
        created(1),
        change(1, MetaField::Removed),
        created(4),
    ];
    setup.disk.run(vec![Round { meta, ..Default::default() }]).unwrap();
    setup.disk.sweep().unwrap();
    let home = paths::partition_home(&root, partition(0));
    assert_eq!(DiskFs.list(&home).unwrap(), ["2", "snapshot-00000000000000000009.snap"]);
    assert!(!paths::partition_home(&root, partition(1)).exists());
    assert!(paths::partition_home(&root, partition(2)).exists(), "not known to the meta log: it stays");
}
