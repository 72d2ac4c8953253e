//! The real file system keeps the contract of `Fs`.

use super::*;

fn new_file(dir: &Path) -> Arc<dyn File> {
    DiskFs.open(&dir.join("file"), OpenMode::CreateNew).unwrap()
}

fn read(file: &dyn File, position: u64, length: usize) -> Vec<u8> {
    let mut buffer = vec![0; length];
    let read = file.read_at(&mut buffer, position).unwrap();
    buffer.truncate(read);
    buffer
}

/// A `pwritev` that takes at most `step` bytes a call, and is interrupted every third time.
fn short_writes(slices: &[&[u8]], step: usize) -> (Vec<u8>, usize) {
    let (mut out, mut calls) = (Vec::new(), 0);
    let slices: Vec<IoSlice<'_>> = slices.iter().map(|s| IoSlice::new(s)).collect();
    write_all(&slices, 100, |rest, at| {
        calls += 1;
        assert!(rest.len() <= SLICES_MAX);
        if calls % 3 == 0 {
            return Err(io::ErrorKind::Interrupted.into());
        }
        assert_eq!(at, 100 + out.len() as u64);
        let bytes: Vec<u8> = rest.iter().flat_map(|s| s.iter().copied()).take(step).collect();
        out.extend_from_slice(&bytes);
        Ok(bytes.len())
    })
    .unwrap();
    (out, calls)
}

#[test]
fn partial_writes_go_on_where_they_stopped() {
    let whole = b"abcdefghijklm".to_vec();
    for step in 1..=whole.len() {
        assert_eq!(
            short_writes(&[b"", b"abc", b"", b"defgh", b"i", b"jklm", b""], step).0,
            whole,
            "step {step}"
        );
    }
    assert_eq!(short_writes(&[], 4), (Vec::new(), 0));
    assert_eq!(short_writes(&[b"", b""], 4), (Vec::new(), 0));
}

#[test]
fn a_write_that_takes_nothing_is_an_error() {
    let error = write_all(&[IoSlice::new(b"x")], 0, |_, _| Ok(0)).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::WriteZero);
}

#[test]
fn more_slices_than_one_call_takes() {
    let dir = tempfile::tempdir().unwrap();
    let file = new_file(dir.path());
    let bytes: Vec<[u8; 3]> = (0..5000u32).map(|n| [n as u8, (n >> 8) as u8, 7]).collect();
    let slices: Vec<IoSlice<'_>> = bytes.iter().map(|b| IoSlice::new(b)).collect();
    file.write_at(&slices, 11).unwrap();
    assert_eq!(file.len().unwrap(), 11 + 15_000);
    assert_eq!(read(&*file, 11, 20_000), bytes.concat());
}

#[test]
fn the_disk_is_read_at_any_place_and_length() {
    let dir = tempfile::tempdir().unwrap();
    let file = new_file(dir.path());
    let bytes: Vec<u8> = (0..2_500_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    file.write_at(&[IoSlice::new(&bytes)], 0).unwrap();
    file.sync().unwrap();
    for (position, length) in
        [(0, 10), (1, 4096), (4095, 2), (5000, 2_000_000), (2_499_999, 100), (0, 1 << 30)]
    {
        let end = bytes.len().min(position + length);
        assert_eq!(
            file.read_disk(position as u64, length).unwrap().0,
            bytes[position..end],
            "{position} {length}"
        );
    }
    assert_eq!(file.read_disk(2_500_000, 10).unwrap().0, b"");
    assert_eq!(file.read_disk(u64::MAX, 10).unwrap().0, b"");
}

#[test]
fn a_replaced_name_is_not_read_for_the_open_file() {
    let dir = tempfile::tempdir().unwrap();
    let file = new_file(dir.path());
    file.write_at(&[IoSlice::new(b"ours")], 0).unwrap();
    file.sync().unwrap();
    fs::remove_file(dir.path().join("file")).unwrap();
    fs::write(dir.path().join("file"), b"theirs").unwrap();
    assert_eq!(file.read_disk(0, 10).unwrap(), (b"ours".to_vec(), false));
}

#[test]
fn allocated_room_reads_as_zeros_and_keeps_what_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let file = new_file(dir.path());
    file.write_at(&[IoSlice::new(b"kept")], 0).unwrap();
    file.allocate(10_000).unwrap();
    assert_eq!(file.len().unwrap(), 10_000);
    assert_eq!(read(&*file, 0, 8), b"kept\0\0\0\0");
    file.allocate(100).unwrap();
    assert_eq!(file.len().unwrap(), 10_000);
    file.set_len(4).unwrap();
    assert_eq!(read(&*file, 0, 8), b"kept");
}

#[test]
fn a_refused_allocation_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let file = new_file(dir.path());
    file.write_at(&[IoSlice::new(b"kept")], 0).unwrap();
    assert!(file.allocate(1 << 62).is_err());
    assert_eq!(read(&*file, 0, 8), b"kept");
}

#[test]
fn zeros_take_room_where_nothing_else_does() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    let file = fs::File::options().read(true).write(true).create_new(true).open(&path).unwrap();
    let file = DiskFile { file: Arc::new(file), path };
    file.write_at(&[IoSlice::new(b"kept")], 0).unwrap();
    file.write_zeros(4, 200_000).unwrap();
    assert_eq!(file.len().unwrap(), 200_000);
    assert_eq!(read(&file, 0, 5), b"kept\0");
}

#[test]
fn a_map_reaches_beyond_the_end_and_follows_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let file = new_file(dir.path());
    let map = file.map(1 << 20).unwrap();
    file.write_at(&[IoSlice::new(b"later")], 0).unwrap();
    map.populate(0, 5).unwrap();
    assert_eq!(&map.slice(0, 5)[..], b"later");
}

#[test]
fn names() {
    let dir = tempfile::tempdir().unwrap();
    let deep = dir.path().join("a/b");
    DiskFs.create_dir_all(&deep).unwrap();
    DiskFs.create_dir_all(&deep).unwrap();
    assert_eq!(
        DiskFs.open(&deep.join("x"), OpenMode::ReadWrite).err().unwrap().kind(),
        io::ErrorKind::NotFound
    );
    DiskFs.open(&deep.join("x"), OpenMode::CreateNew).unwrap();
    let again = DiskFs.open(&deep.join("x"), OpenMode::CreateNew).err().unwrap();
    assert_eq!(again.kind(), io::ErrorKind::AlreadyExists);
    DiskFs.open(&deep.join("w"), OpenMode::CreateNew).unwrap();
    DiskFs.rename(&deep.join("x"), &deep.join("y")).unwrap();
    DiskFs.sync_dir(&deep).unwrap();
    assert_eq!(DiskFs.list(&deep).unwrap(), ["w", "y"]);
    DiskFs.remove_file(&deep.join("w")).unwrap();
    assert!(!DiskFs.exists(&deep.join("w")).unwrap() && DiskFs.exists(&deep.join("y")).unwrap());
    DiskFs.remove_dir_all(&dir.path().join("a")).unwrap();
    assert_eq!(DiskFs.list(&deep).err().unwrap().kind(), io::ErrorKind::NotFound);
}

#[test]
fn a_file_opened_for_reading_cannot_be_written() {
    let dir = tempfile::tempdir().unwrap();
    new_file(dir.path());
    let file = DiskFs.open(&dir.path().join("file"), OpenMode::Read).unwrap();
    assert!(file.is_empty().unwrap());
    assert!(file.write_at(&[IoSlice::new(b"x")], 0).is_err());
}
