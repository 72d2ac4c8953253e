//! The meta log on a real file system; its crashes are in `tests/model/meta.rs`.

use std::fs;
use std::os::unix::fs::FileExt;

use super::*;
use crate::ids::{Index, ReplicaId, Term, TopicId};
use crate::log::{DiskFs, LogStart, MetaField, Voters};

const SMALL: u64 = 8 * 1024;

fn open(root: &Path) -> Result<MetaLog, Error> {
    MetaLog::open_with(Arc::new(DiskFs), root, SMALL)
}

fn partition(number: i32) -> PartitionId {
    PartitionId { topic: TopicId::CONTROL, partition: number }
}

fn created(number: i32) -> MetaChange {
    let start = LogStart::genesis(partition(number), Index(6), Term(5));
    let voters = Voters { voters: vec![1], ..Default::default() };
    let what = MetaField::Created { replica: ReplicaId(1), start, voters, term: Term(5) };
    MetaChange { partition: partition(number), what }
}

fn term(number: i32, term: u64) -> MetaChange {
    MetaChange { partition: partition(number), what: MetaField::HardState { term: Term(term), vote: 1 } }
}

/// A log of one partition, whose first record and each of `terms` were synced one by one.
fn filled(root: &Path, terms: std::ops::Range<u64>) {
    let mut log = open(root).unwrap();
    log.append(&[created(0)]).unwrap();
    log.sync().unwrap();
    for number in terms {
        log.append(&[term(0, number)]).unwrap();
        log.sync().unwrap();
    }
}

/// Where each record of a file begins; the last number is their end.
fn positions(file: &Path) -> Vec<u64> {
    let bytes = fs::read(file).unwrap();
    let mut at = HEADER_BYTES;
    let mut starts = vec![at as u64];
    while bytes[at..at + 4] != [0; 4] {
        let length = u32::from_le_bytes(bytes[at + 8..at + 12].try_into().unwrap()) as usize;
        at += (32 + length).next_multiple_of(8);
        starts.push(at as u64);
    }
    starts
}

fn flip(file: &Path, position: u64) {
    let file = fs::File::options().read(true).write(true).open(file).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, position).unwrap();
    file.write_all_at(&[byte[0] ^ 4], position).unwrap();
}

#[test]
fn what_was_appended_is_there_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path()).unwrap();
    assert!(log.partitions().is_empty() && !log.is_dirty());
    log.append(&[]).unwrap();
    log.append(&[created(1), created(0), term(1, 7), term(1, 8)]).unwrap();
    assert!(log.is_dirty());
    log.sync().unwrap();
    assert!(!log.is_dirty());
    log.append(&[term(0, 9)]).unwrap();
    let expected = log.partitions().clone();
    assert_eq!((expected[&partition(0)].term, expected[&partition(1)].term), (9, 8));
    drop(log);
    assert_eq!(open(dir.path()).unwrap().partitions(), &expected);
    assert_eq!(
        positions(&dir.path().join("meta.a")).len(),
        1 + 3,
        "one record for each partition and append"
    );
}

#[test]
fn files_take_turns_and_keep_everything() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path()).unwrap();
    log.append(&(0..5).map(created).collect::<Vec<_>>()).unwrap();
    let mut turns = Vec::new();
    for number in 6..600 {
        log.append(&[term((number % 5) as i32, number)]).unwrap();
        let mut heads = Vec::new();
        for name in ["meta.a", "meta.b"] {
            heads.push(fs::read(dir.path().join(name)).unwrap()[0] != 0);
        }
        assert_ne!(heads[0], heads[1], "one file is in use and the other is free");
        if turns.last() != Some(&heads[0]) {
            turns.push(heads[0]);
        }
        if number % 97 == 0 {
            let expected = log.partitions().clone();
            drop(log);
            log = open(dir.path()).unwrap();
            assert_eq!(log.partitions(), &expected);
        }
    }
    assert!(turns.len() > 5, "{turns:?}");
    assert!(log.header.sequence as usize == turns.len());
}

#[test]
fn a_live_set_above_the_limit_is_not_rewritten_all_the_time() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path()).unwrap();
    log.append(&(0..200).map(created).collect::<Vec<_>>()).unwrap();
    let live = log.live_bytes();
    assert!(live > SMALL);
    let before = log.header.sequence;
    let appends = live / record::record_bytes(&log.partitions[&partition(0)]);
    for number in 0..appends {
        log.append(&[term(0, 6 + number)]).unwrap();
    }
    assert!(
        log.header.sequence <= before + 1,
        "{} rewrites in one live set's worth of records",
        log.header.sequence - before
    );
}

#[test]
fn a_torn_tail_is_cut_and_cleared() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path(), 6..9);
    let path = dir.path().join("meta.a");
    let starts = positions(&path);
    flip(&path, starts[3] + 40);
    let mut log = open(dir.path()).unwrap();
    assert_eq!(log.partitions()[&partition(0)].term, 7);
    assert!(fs::read(&path).unwrap()[starts[3] as usize..].iter().all(|byte| *byte == 0));
    log.append(&[term(0, 30)]).unwrap();
    drop(log);
    assert_eq!(open(dir.path()).unwrap().partitions()[&partition(0)].term, 30);
}

#[test]
fn damage_before_the_end_is_named_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path(), 6..9);
    let path = dir.path().join("meta.a");
    let starts = positions(&path);
    for record in 0..3 {
        for position in [starts[record], starts[record] + 9, starts[record + 1] - 9] {
            flip(&path, position);
            let before = fs::read(&path).unwrap();
            match open(dir.path()).err().unwrap() {
                Error::Damaged { file, position, .. } => {
                    assert_eq!((file, position), (path.clone(), starts[record]))
                }
                other => panic!("{other}"),
            }
            assert_eq!(fs::read(&path).unwrap(), before);
            flip(&path, position);
        }
    }
    assert_eq!(open(dir.path()).unwrap().partitions()[&partition(0)].term, 8);
}

#[test]
fn a_damaged_header_is_damage() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path(), 6..9);
    let path = dir.path().join("meta.a");
    for position in [0, 9, 17, 33, 60] {
        flip(&path, position);
        assert!(matches!(open(dir.path()), Err(Error::Damaged { position: 0, .. })), "byte {position}");
        flip(&path, position);
    }
    let head: Vec<u8> = fs::read(&path).unwrap()[..HEADER_BYTES].to_vec();
    fs::File::options().write(true).open(dir.path().join("meta.b")).unwrap().write_all_at(&head, 0).unwrap();
    assert_eq!(open(dir.path()).unwrap().partitions().len(), 1, "a copy under the other name does not count");
}

#[test]
fn another_version_is_not_read() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path(), 6..7);
    let path = dir.path().join("meta.a");
    let mut head: Vec<u8> = fs::read(&path).unwrap()[..HEADER_BYTES].to_vec();
    head[8] = 2;
    let sum = crc32fast::hash(&head[..60]);
    head[60..64].copy_from_slice(&sum.to_le_bytes());
    fs::File::options().write(true).open(&path).unwrap().write_all_at(&head, 0).unwrap();
    assert!(matches!(open(dir.path()), Err(Error::Version { found: 2, .. })));
}

#[test]
fn topics_without_a_meta_log_are_not_taken_for_a_new_folder() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path(), 6..7);
    fs::create_dir(dir.path().join("topics")).unwrap();
    fs::remove_file(dir.path().join("meta.a")).unwrap();
    assert!(matches!(open(dir.path()), Err(Error::Missing { .. })));
    fs::remove_file(dir.path().join("meta.b")).unwrap();
    assert!(matches!(open(dir.path()), Err(Error::Missing { .. })));
    assert_eq!(DiskFs.list(dir.path()).unwrap(), ["topics"]);
}

#[test]
fn a_refused_change_closes_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path()).unwrap();
    log.append(&[created(0)]).unwrap();
    assert_eq!(log.append(&[created(0)]).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    assert!(log.append(&[created(1)]).is_err() && log.sync().is_err());
    drop(log);
    assert_eq!(open(dir.path()).unwrap().partitions().len(), 1);
}

#[test]
fn a_record_that_could_not_be_read_is_not_written() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path()).unwrap();
    log.append(&[created(0)]).unwrap();
    let voters = Voters { voters: vec![u64::MAX; 7000], ..Default::default() };
    let change = MetaChange { partition: partition(0), what: MetaField::Conf { applied: Index(7), voters } };
    assert_eq!(log.append(&[change]).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    drop(log);
    assert_eq!(open(dir.path()).unwrap().partitions()[&partition(0)].applied, 5);
}

#[test]
fn both_files_have_their_room_from_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let log = MetaLog::open(Arc::new(DiskFs), dir.path()).unwrap();
    assert_eq!(log.room, META_REWRITE_BYTES + ROOM_AHEAD);
    assert_eq!(fs::metadata(dir.path().join("meta.b")).unwrap().len(), META_REWRITE_BYTES + ROOM_AHEAD);
}
