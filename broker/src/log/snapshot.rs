//! The file of a state machine's snapshot: whole under its name or not there.
//!
//! A header of 72 bytes, then the snapshot, opaque here. Numbers are little-endian (`docs/FORMAT.md`).

use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::{Fs, OpenMode, paths};
use crate::ids::{Index, PartitionId, Term};

/// The largest snapshot that is written or read.
pub const SNAPSHOT_BYTES_MAX: u64 = 1024 * 1024 * 1024;

const MAGIC: &[u8; 8] = b"CAUDSNAP";
const VERSION: u32 = 1;
const HEADER_BYTES: usize = 72;
const SUMMED_BYTES: usize = 68;

/// A state machine's snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The last index in it.
    pub index: Index,
    /// Its term.
    pub term: Term,
    /// The snapshot.
    pub data: Bytes,
}

/// Why a snapshot cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// No such file.
    #[error("snapshot {} is missing", file.display())]
    Missing {
        /// The file.
        file: PathBuf,
    },
    /// The file does not validate.
    #[error("snapshot {} is damaged: {why}", file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        why: &'static str,
    },
    /// Another version wrote it.
    #[error("snapshot {} has format {found}, this broker reads {VERSION}: start a newer broker", file.display())]
    Version {
        /// The file.
        file: PathBuf,
        /// Its version.
        found: u32,
    },
    /// The disk failed.
    #[error("snapshot {}: {source}", file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Writes a snapshot durably: under another name, sync, rename, sync of the folder, which must exist.
///
/// # Errors
/// `StorageFull` when there is no room: then nothing remains. Everything else is final for the process.
pub fn write(fs: &dyn Fs, root: &Path, partition: PartitionId, snapshot: &Snapshot) -> io::Result<()> {
    let home = paths::partition_home(root, partition);
    let path = paths::snapshot_path(&home, snapshot.index);
    let unfinished = paths::unfinished(&path);
    remove(fs, &unfinished)?;
    if let Err(error) = write_unfinished(fs, &unfinished, partition, snapshot) {
        if super::is_no_space(&error) {
            remove(fs, &unfinished)?;
        }
        return Err(error);
    }
    fs.rename(&unfinished, &path)?;
    fs.sync_dir(&home)
}

fn write_unfinished(fs: &dyn Fs, path: &Path, partition: PartitionId, snapshot: &Snapshot) -> io::Result<()> {
    let header = header(partition, snapshot);
    let file = fs.open(path, OpenMode::CreateNew)?;
    file.allocate((HEADER_BYTES + snapshot.data.len()) as u64)?;
    file.write_at(&[IoSlice::new(&header), IoSlice::new(&snapshot.data)], 0)?;
    file.sync()
}

/// Reads a snapshot and checks all of it.
///
/// # Errors
/// When it is missing, damaged, another partition's, or of another version.
pub fn read(
    fs: &dyn Fs,
    root: &Path,
    partition: PartitionId,
    index: Index,
) -> Result<Snapshot, SnapshotError> {
    let path = paths::snapshot_path(&paths::partition_home(root, partition), index);
    let bytes = match read_file(fs, &path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(SnapshotError::Missing { file: path });
        }
        Err(source) => return Err(SnapshotError::Io { file: path, source }),
    };
    let damaged = |why| SnapshotError::Damaged { file: path.clone(), why };
    let bytes = bytes.ok_or(damaged("its length cannot be"))?;
    let head = &bytes[..HEADER_BYTES];
    if &head[..8] != MAGIC || u32_at(head, SUMMED_BYTES) != crc32fast::hash(&head[..SUMMED_BYTES]) {
        return Err(damaged("its header does not validate"));
    }
    if u32_at(head, 8) != VERSION {
        return Err(SnapshotError::Version { file: path, found: u32_at(head, 8) });
    }
    let data = bytes.slice(HEADER_BYTES..);
    let snapshot = Snapshot { index: Index(u64_at(head, 40)), term: Term(u64_at(head, 48)), data };
    if snapshot.index != index || head[16..36] != partition.to_bytes() {
        return Err(damaged("it is the snapshot of another partition or index"));
    }
    if u64_at(head, 56) != snapshot.data.len() as u64 || u32_at(head, 64) != crc32c::crc32c(&snapshot.data) {
        return Err(damaged("its content does not validate"));
    }
    Ok(snapshot)
}

/// What a snapshot holds; as [`read`].
///
/// # Errors
/// As [`read`].
pub fn read_snapshot(
    fs: &dyn Fs,
    root: &Path,
    partition: PartitionId,
    index: Index,
) -> Result<Bytes, SnapshotError> {
    read(fs, root, partition, index).map(|snapshot| snapshot.data)
}

/// The files of a partition's home that no record of the meta log refers to: unfinished ones, and the snapshots of
/// other indexes. `NotFound` when there is no home.
pub fn stale(fs: &dyn Fs, root: &Path, partition: PartitionId, index: Index) -> io::Result<Vec<PathBuf>> {
    let home = paths::partition_home(root, partition);
    let stale = |name: &String| {
        paths::is_unfinished(name) || paths::snapshot_index(name).is_some_and(|at| at != index)
    };
    Ok(fs.list(&home)?.iter().filter(|name| stale(name)).map(|name| home.join(name)).collect())
}

/// The bytes of a file; `None` when it is shorter or longer than a snapshot.
fn read_file(fs: &dyn Fs, path: &Path) -> io::Result<Option<Bytes>> {
    let file = fs.open(path, OpenMode::Read)?;
    let length = file.len()?;
    if !(HEADER_BYTES as u64..=HEADER_BYTES as u64 + SNAPSHOT_BYTES_MAX).contains(&length) {
        return Ok(None);
    }
    let mut bytes = vec![0; length as usize];
    let read = file.read_at(&mut bytes, 0)?;
    Ok((read == bytes.len()).then(|| Bytes::from(bytes)))
}

fn header(partition: PartitionId, snapshot: &Snapshot) -> [u8; HEADER_BYTES] {
    let mut head = [0; HEADER_BYTES];
    head[..8].copy_from_slice(MAGIC);
    head[8..12].copy_from_slice(&VERSION.to_le_bytes());
    head[16..36].copy_from_slice(&partition.to_bytes());
    head[40..48].copy_from_slice(&snapshot.index.0.to_le_bytes());
    head[48..56].copy_from_slice(&snapshot.term.0.to_le_bytes());
    head[56..64].copy_from_slice(&(snapshot.data.len() as u64).to_le_bytes());
    head[64..68].copy_from_slice(&crc32c::crc32c(&snapshot.data).to_le_bytes());
    let sum = crc32fast::hash(&head[..SUMMED_BYTES]);
    head[SUMMED_BYTES..].copy_from_slice(&sum.to_le_bytes());
    head
}

fn remove(fs: &dyn Fs, path: &Path) -> io::Result<()> {
    match fs.remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes[at..at + 4].iter().rev().fold(0, |number, byte| number << 8 | u32::from(*byte))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes[at..at + 8].iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::DiskFs;

    fn home(root: &Path) -> PathBuf {
        let home = paths::partition_home(root, PartitionId::CONTROL);
        std::fs::create_dir_all(&home).unwrap();
        home
    }

    fn snapshot(index: u64) -> Snapshot {
        Snapshot { index: Index(index), term: Term(3), data: Bytes::from_static(b"all that is known") }
    }

    fn read_control(root: &Path, index: u64) -> Result<Snapshot, SnapshotError> {
        read(&DiskFs, root, PartitionId::CONTROL, Index(index))
    }

    #[test]
    fn written_twice_and_read() {
        let dir = tempfile::tempdir().unwrap();
        let home = home(dir.path());
        std::fs::write(paths::unfinished(&paths::snapshot_path(&home, Index(9))), b"cut short").unwrap();
        for _ in 0..2 {
            write(&DiskFs, dir.path(), PartitionId::CONTROL, &snapshot(9)).unwrap();
            assert_eq!(read_control(dir.path(), 9).unwrap(), snapshot(9));
        }
        let empty = Snapshot { data: Bytes::new(), ..snapshot(10) };
        write(&DiskFs, dir.path(), PartitionId::CONTROL, &empty).unwrap();
        assert_eq!(read_control(dir.path(), 10).unwrap(), empty);
        assert_eq!(DiskFs.list(&home).unwrap().len(), 2);
    }

    #[test]
    fn no_flipped_bit_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let home = home(dir.path());
        write(&DiskFs, dir.path(), PartitionId::CONTROL, &snapshot(9)).unwrap();
        let path = paths::snapshot_path(&home, Index(9));
        let whole = std::fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            std::fs::write(&path, &bytes).unwrap();
            assert!(matches!(read_control(dir.path(), 9), Err(SnapshotError::Damaged { .. })), "byte {at}");
            std::fs::write(&path, &whole[..at]).unwrap();
            assert!(matches!(read_control(dir.path(), 9), Err(SnapshotError::Damaged { .. })), "cut at {at}");
        }
        std::fs::write(&path, [&whole[..], b"x"].concat()).unwrap();
        assert!(read_control(dir.path(), 9).is_err());
    }

    #[test]
    fn a_snapshot_of_something_else_is_not_taken() {
        let dir = tempfile::tempdir().unwrap();
        let home = home(dir.path());
        write(&DiskFs, dir.path(), PartitionId::CONTROL, &snapshot(9)).unwrap();
        std::fs::rename(paths::snapshot_path(&home, Index(9)), paths::snapshot_path(&home, Index(8)))
            .unwrap();
        assert!(matches!(read_control(dir.path(), 8), Err(SnapshotError::Damaged { .. })));
        assert!(matches!(read_control(dir.path(), 9), Err(SnapshotError::Missing { .. })));
        let other = PartitionId { partition: 1, ..PartitionId::CONTROL };
        let theirs = paths::partition_home(dir.path(), other);
        std::fs::create_dir_all(&theirs).unwrap();
        std::fs::copy(paths::snapshot_path(&home, Index(8)), paths::snapshot_path(&theirs, Index(9)))
            .unwrap();
        assert!(matches!(read(&DiskFs, dir.path(), other, Index(9)), Err(SnapshotError::Damaged { .. })));
    }

    #[test]
    fn what_is_stale() {
        let dir = tempfile::tempdir().unwrap();
        let home = home(dir.path());
        std::fs::create_dir(home.join("1")).unwrap();
        for index in [7, 9, 11] {
            write(&DiskFs, dir.path(), PartitionId::CONTROL, &snapshot(index)).unwrap();
        }
        std::fs::write(home.join("snapshot-x.tmp"), b"").unwrap();
        let stale = stale(&DiskFs, dir.path(), PartitionId::CONTROL, Index(9)).unwrap();
        let expected = [
            paths::snapshot_path(&home, Index(7)),
            paths::snapshot_path(&home, Index(11)),
            home.join("snapshot-x.tmp"),
        ];
        assert_eq!(stale, expected);
    }
}
