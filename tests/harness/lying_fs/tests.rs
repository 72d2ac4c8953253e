//! The lying file system is shown to lose, tear and reorder, and to keep what is synced.

use std::collections::BTreeSet;
use std::io::IoSlice;
use std::path::PathBuf;

use super::*;

const SECTOR: usize = 512;

fn path(name: &str) -> PathBuf {
    Path::new(ROOT).join(name)
}

/// A file under a durable name.
fn durable_file(fs: &LyingFs, name: &str) -> Arc<dyn File> {
    let file = fs.open(&path(name), OpenMode::CreateNew).unwrap();
    fs.sync_dir(Path::new(ROOT)).unwrap();
    file
}

fn write(file: &dyn File, position: u64, bytes: &[u8]) -> io::Result<()> {
    file.write_at(&[IoSlice::new(bytes)], position)
}

fn content(fs: &LyingFs, name: &str) -> Vec<u8> {
    let file = fs.open(&path(name), OpenMode::Read).unwrap();
    let mut bytes = vec![0; file.len().unwrap() as usize];
    assert_eq!(file.read_at(&mut bytes, 0).unwrap(), bytes.len());
    bytes
}

/// What a power cut leaves of three sectors, written over synced ones, as letters: `o` old, `n` new.
fn outcome(seed: u64) -> String {
    let fs = LyingFs::new(seed);
    let file = durable_file(&fs, "f");
    write(&*file, 0, &[b'o'; 3 * SECTOR]).unwrap();
    file.sync().unwrap();
    write(&*file, 0, &[b'n'; 3 * SECTOR]).unwrap();
    fs.crash(Crash::PowerDies);
    let bytes = content(&fs, "f");
    for sector in bytes.chunks(SECTOR) {
        assert!(sector.iter().all(|byte| *byte == sector[0]), "a sector is whole");
    }
    bytes.chunks(SECTOR).map(|sector| char::from(sector[0])).collect()
}

#[test]
fn unsynced_writes_are_lost_torn_and_reordered() {
    let seen: BTreeSet<String> = (0..200).map(outcome).collect();
    let all: BTreeSet<String> =
        ["ooo", "oon", "ono", "onn", "noo", "non", "nno", "nnn"].map(str::to_owned).into();
    assert_eq!(seen, all);
}

#[test]
fn the_newest_write_may_be_lost_and_an_older_one_kept() {
    let seen: BTreeSet<u8> = (0..200)
        .map(|seed| {
            let fs = LyingFs::new(seed);
            let file = durable_file(&fs, "f");
            write(&*file, 0, b"0").unwrap();
            file.sync().unwrap();
            write(&*file, 0, b"1").unwrap();
            write(&*file, 0, b"2").unwrap();
            fs.crash(Crash::PowerDies);
            content(&fs, "f")[0]
        })
        .collect();
    assert_eq!(seen, BTreeSet::from(*b"012"));
}

#[test]
fn what_is_synced_is_kept() {
    for seed in 0..200 {
        let fs = LyingFs::new(seed);
        let file = durable_file(&fs, "f");
        write(&*file, 3, b"kept").unwrap();
        file.sync().unwrap();
        write(&*file, 2000, b"more").unwrap();
        for crash in [Crash::PowerDies, Crash::ProcessDies, Crash::PowerDies] {
            fs.crash(crash);
            assert_eq!(content(&fs, "f")[..7], *b"\0\0\0kept");
        }
    }
}

#[test]
fn the_size_is_lost_or_comes_without_its_bytes() {
    let seen: BTreeSet<Vec<u8>> = (0..200)
        .map(|seed| {
            let fs = LyingFs::new(seed);
            let file = durable_file(&fs, "f");
            write(&*file, 0, b"new").unwrap();
            fs.crash(Crash::PowerDies);
            content(&fs, "f")
        })
        .collect();
    assert_eq!(seen, BTreeSet::from([b"".to_vec(), b"\0\0\0".to_vec(), b"new".to_vec()]));
}

#[test]
fn the_cache_outlives_the_process_but_not_the_power() {
    let lost = (0..50).filter(|seed| {
        let fs = LyingFs::new(*seed);
        let file = durable_file(&fs, "f");
        write(&*file, 0, b"unsynced").unwrap();
        fs.crash(Crash::ProcessDies);
        assert!(write(&*file, 0, b"x").is_err(), "the handle died with the process");
        assert_eq!(content(&fs, "f"), b"unsynced");
        fs.crash(Crash::PowerDies);
        content(&fs, "f") != b"unsynced"
    });
    assert!((10..=45).contains(&lost.count()));
}

#[test]
fn names_are_durable_once_their_folder_is_synced() {
    let names = |seed: u64, sync: bool| {
        let fs = LyingFs::new(seed);
        drop(durable_file(&fs, "old"));
        drop(durable_file(&fs, "gone"));
        fs.open(&path("new"), OpenMode::CreateNew).unwrap();
        fs.rename(&path("old"), &path("renamed")).unwrap();
        fs.remove_file(&path("gone")).unwrap();
        if sync {
            fs.sync_dir(Path::new(ROOT)).unwrap();
        }
        fs.crash(Crash::PowerDies);
        fs.list(Path::new(ROOT)).unwrap().join(" ")
    };
    let synced: BTreeSet<String> = (0..50).map(|seed| names(seed, true)).collect();
    assert_eq!(synced, BTreeSet::from(["new renamed".to_owned()]));
    let seen: BTreeSet<String> = (0..300).map(|seed| names(seed, false)).collect();
    assert_eq!(seen.len(), 8, "{seen:?}");
    assert!(seen.iter().all(|names| names.contains("old") != names.contains("renamed")), "{seen:?}");
}

#[test]
fn a_rename_between_folders_needs_both_synced() {
    let (from, to) = (path("a"), path("b"));
    let setup = |seed| {
        let fs = LyingFs::new(seed);
        for folder in [&from, &to] {
            fs.create_dir_all(folder).unwrap();
        }
        fs.open(&from.join("f"), OpenMode::CreateNew).unwrap();
        for folder in [Path::new(ROOT), &from, &to] {
            fs.sync_dir(folder).unwrap();
        }
        fs.rename(&from.join("f"), &to.join("f")).unwrap();
        fs.sync_dir(&to).unwrap();
        fs
    };
    let undone = (0..50).filter(|seed| {
        let fs = setup(*seed);
        fs.crash(Crash::PowerDies);
        let places = [fs.exists(&from.join("f")).unwrap(), fs.exists(&to.join("f")).unwrap()];
        assert_ne!(places[0], places[1]);
        places[0]
    });
    assert!(undone.count() > 5);
    for seed in 0..50 {
        let fs = setup(seed);
        fs.sync_dir(&from).unwrap();
        fs.crash(Crash::PowerDies);
        assert!(fs.exists(&to.join("f")).unwrap());
    }
}

#[test]
fn a_file_goes_with_a_folder_that_was_not_synced() {
    let seen: BTreeSet<bool> = (0..50)
        .map(|seed| {
            let fs = LyingFs::new(seed);
            let folder = path("a/b");
            fs.create_dir_all(&folder).unwrap();
            fs.open(&folder.join("f"), OpenMode::CreateNew).unwrap().sync().unwrap();
            fs.sync_dir(&folder).unwrap();
            fs.crash(Crash::PowerDies);
            let there = fs.exists(&folder.join("f")).unwrap();
            assert_eq!(there, fs.exists(&folder).unwrap());
            there
        })
        .collect();
    assert_eq!(seen.len(), 2);
}

#[test]
fn a_folder_made_in_the_place_of_a_removed_one_is_another_folder() {
    let names = |seed: u64, sync_above: bool| {
        let fs = LyingFs::new(seed);
        let folder = path("a");
        fs.create_dir_all(&folder).unwrap();
        fs.open(&folder.join("old"), OpenMode::CreateNew).unwrap().sync().unwrap();
        for folder in [&folder, Path::new(ROOT)] {
            fs.sync_dir(folder).unwrap();
        }
        fs.remove_dir_all(&folder).unwrap();
        fs.create_dir_all(&folder).unwrap();
        fs.open(&folder.join("new"), OpenMode::CreateNew).unwrap().sync().unwrap();
        fs.sync_dir(&folder).unwrap();
        if sync_above {
            fs.sync_dir(Path::new(ROOT)).unwrap();
        }
        fs.crash(Crash::PowerDies);
        if fs.exists(&folder).unwrap() { fs.list(&folder).unwrap().join(" ") } else { "gone".into() }
    };
    let synced: BTreeSet<String> = (0..50).map(|seed| names(seed, true)).collect();
    assert_eq!(synced, BTreeSet::from(["new".to_owned()]));
    let seen: BTreeSet<String> = (0..200).map(|seed| names(seed, false)).collect();
    assert!(seen.contains("new") && seen.contains("gone"), "{seen:?}");
    assert!(!seen.contains("new old"), "{seen:?}");
}

#[test]
fn after_a_failed_sync_the_cache_lies() {
    let lost = (0..50).filter(|seed| {
        let fs = LyingFs::new(*seed);
        let file = durable_file(&fs, "f");
        write(&*file, 0, b"old").unwrap();
        file.sync().unwrap();
        write(&*file, 0, b"new").unwrap();
        fs.fail(Op::Sync, "f", 0, Fault::Io);
        file.sync().unwrap_err();
        file.sync().unwrap();
        assert_eq!(content(&fs, "f"), b"new");
        fs.crash(Crash::ProcessDies);
        assert_eq!(content(&fs, "f"), b"new");
        let file = fs.open(&path("f"), OpenMode::Read).unwrap();
        let (disk, verified) = file.read_disk(0, 100).unwrap();
        assert!(verified);
        assert_eq!(content(&fs, "f"), disk, "reading the disk leaves nothing else in the cache");
        fs.crash(Crash::PowerDies);
        assert_eq!(content(&fs, "f"), disk);
        disk == b"old"
    });
    assert!(lost.count() > 10);
}

#[test]
fn planned_faults_hit_the_call_they_name_once() {
    let fs = LyingFs::new(1);
    let (a, b) = (durable_file(&fs, "a"), durable_file(&fs, "b"));
    fs.fail(Op::Write, "/a", 1, Fault::NoSpace);
    write(&*b, 0, b"1").unwrap();
    write(&*a, 0, b"1").unwrap();
    assert_eq!(write(&*a, 0, b"2").unwrap_err().kind(), io::ErrorKind::StorageFull);
    write(&*a, 0, b"3").unwrap();
    fs.fail(Op::Allocate, "", 0, Fault::Io);
    assert!(a.allocate(9).is_err() && a.len().unwrap() == 1);
}

#[test]
fn the_power_stays_off_until_the_crash() {
    let mut parts = BTreeSet::new();
    for seed in 0..100 {
        let fs = LyingFs::new(seed);
        let file = durable_file(&fs, "f");
        let before = fs.operations();
        fs.cut_after(1);
        write(&*file, 0, &[1; 4 * SECTOR]).unwrap();
        let error = write(&*file, 0, &[2; 4 * SECTOR]).unwrap_err();
        assert!(is_power_cut(&error) && fs.operations() == before + 2);
        assert!(
            is_power_cut(&fs.list(Path::new(ROOT)).unwrap_err()) && is_power_cut(&file.sync().unwrap_err())
        );
        fs.crash(Crash::ProcessDies);
        parts.insert(content(&fs, "f").iter().filter(|byte| **byte == 2).count());
    }
    assert_eq!(parts, BTreeSet::from([0, SECTOR, 2 * SECTOR, 3 * SECTOR, 4 * SECTOR]));
}

#[test]
fn a_full_disk_refuses_and_removing_helps() {
    let fs = LyingFs::new(1);
    fs.set_quota(Some(10 * 4096));
    let (a, b) = (durable_file(&fs, "a"), durable_file(&fs, "b"));
    a.allocate(8 * 4096).unwrap();
    assert_eq!(b.allocate(3 * 4096).unwrap_err().kind(), io::ErrorKind::StorageFull);
    assert_eq!((b.len().unwrap(), fs.used()), (0, 8 * 4096));
    write(&*a, 5 * 4096, &[1; 4096]).unwrap();
    write(&*b, 0, &[1; 2 * 4096]).unwrap();
    assert_eq!(write(&*b, 2 * 4096, &[1]).unwrap_err().kind(), io::ErrorKind::StorageFull);
    fs.remove_file(&path("a")).unwrap();
    b.allocate(10 * 4096).unwrap();
}

#[test]
fn slices_are_watched() {
    let fs = LyingFs::new(1);
    let file = durable_file(&fs, "f");
    let map = file.map(1 << 20).unwrap();
    write(&*file, 0, b"0123456789").unwrap();
    let slice = map.slice(2, 3);
    assert_eq!(&slice[..], b"234");
    let part = slice.slice(1..2);
    drop(slice);
    write(&*file, 5, b"5").unwrap();
    assert!(fs.violations().is_empty());
    write(&*file, 4, b"x").unwrap();
    file.set_len(3).unwrap();
    drop(part);
    write(&*file, 2, b"x").unwrap();
    map.slice(3, 1);
    file.allocate(100).unwrap();
    map.slice(50, 1);
    let seen = fs.violations();
    assert_eq!(seen.len(), 4, "{seen:?}");
    for (text, why) in seen.iter().zip(["is held", "cut at 3", "never written", "never written"]) {
        assert!(text.contains(why), "{seen:?}");
    }
}

#[test]
fn what_a_dead_process_left_must_be_synced_before_it_is_shown() {
    let fs = LyingFs::new(1);
    let file = durable_file(&fs, "f");
    write(&*file, 0, b"left behind").unwrap();
    fs.crash(Crash::ProcessDies);
    let file = fs.open(&path("f"), OpenMode::ReadWrite).unwrap();
    file.map(100).unwrap().slice(0, 4);
    file.read_disk(0, 4).unwrap();
    assert_eq!(fs.violations().len(), 2);
    file.sync().unwrap();
    file.map(100).unwrap().slice(0, 11);
    file.read_disk(0, 4).unwrap();
    assert_eq!(fs.violations().len(), 2);
}

#[test]
fn bits_flip_and_sectors_go_bad() {
    let fs = LyingFs::new(1);
    let file = durable_file(&fs, "f");
    write(&*file, 0, b"abc").unwrap();
    file.sync().unwrap();
    fs.flip(&path("f"), 1, 0x20).unwrap();
    assert_eq!((content(&fs, "f"), file.read_disk(0, 9).unwrap().0), (b"aBc".to_vec(), b"aBc".to_vec()));
    fs.make_unreadable(&path("f"), 0, 1).unwrap();
    assert!(file.read_at(&mut [0; 2], 0).is_err() && file.map(3).unwrap().populate(0, 3).is_err());
    assert!(file.read_at(&mut [0; 2], 1).is_ok() && file.map(3).unwrap().populate(1, 2).is_ok());
    assert!(file.map(3).unwrap().populate(1, 3).is_err());
}

#[test]
fn one_seed_one_world() {
    let run = |seed: u64| {
        let fs = LyingFs::new(seed);
        fs.trace(true);
        let mut hashes = Vec::new();
        for round in 0..20u8 {
            let name = format!("f{}", round % 3);
            let mode =
                if fs.exists(&path(&name)).unwrap() { OpenMode::ReadWrite } else { OpenMode::CreateNew };
            let file = fs.open(&path(&name), mode).unwrap();
            write(&*file, u64::from(round) * 300, &[round; 1000]).unwrap();
            if round % 4 == 0 {
                file.sync().unwrap();
                fs.sync_dir(Path::new(ROOT)).unwrap();
            }
            if round % 5 == 4 {
                fs.crash(if round % 2 == 0 { Crash::PowerDies } else { Crash::ProcessDies });
            }
            hashes.push(fs.durable_hash());
        }
        (hashes, fs.trace(false))
    };
    assert_eq!(run(5), run(5));
    assert_ne!(run(5).0, run(6).0);
}
