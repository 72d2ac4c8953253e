//! What the log asks of a file system, so that a test can lie about it.
//!
//! Everything is blocking. A failed `write_at` or `sync` is final for the process (`docs/GUARANTEES.md`): it is never
//! retried, the next start reads the disk.

use std::io::{self, IoSlice};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

/// How a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenMode {
    /// Must not exist; read and write.
    CreateNew,
    /// Must exist; read and write.
    ReadWrite,
    /// Must exist; read.
    Read,
}

/// A file system, or what a test makes of one.
pub trait Fs: Send + Sync {
    /// Opens a file.
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>>;
    /// Makes a folder and those above it; an existing one is fine. Durable after [`Fs::sync_dir`] of each parent.
    fn create_dir_all(&self, path: &Path) -> io::Result<()>;
    /// The names in a folder, sorted. `NotFound` when there is no folder.
    fn list(&self, path: &Path) -> io::Result<Vec<String>>;
    /// Whether there is a file or folder.
    fn exists(&self, path: &Path) -> io::Result<bool>;
    /// Renames a file over another. Durable after [`Fs::sync_dir`].
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file. Durable after [`Fs::sync_dir`].
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    /// Removes a folder with all that is in it.
    fn remove_dir_all(&self, path: &Path) -> io::Result<()>;
    /// Makes the names of a folder durable.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    /// How many files are worth syncing at once. More than 1 means threads, so it stays 1 where a run must replay.
    fn parallel_syncs(&self) -> usize {
        1
    }
}

/// An open file.
pub trait File: Send + Sync {
    /// Writes all the slices, one behind the other, from `position`.
    fn write_at(&self, slices: &[IoSlice<'_>], position: u64) -> io::Result<()>;
    /// Reads up to `buffer.len()` bytes through the cache; fewer only at the end of the file.
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize>;
    /// Reads the disk and not the cache, up to `length` bytes from `position`; fewer only at the end of the file. What
    /// the cache held of the file is dropped, so that later reads and maps see what the disk has too, and a write does
    /// not carry what it lost back to it.
    ///
    /// Only after [`File::sync`] and before [`File::map`]. Where the file system cannot read past the cache, `false`
    /// comes back: then the bytes are unverified.
    fn read_disk(&self, position: u64, length: usize) -> io::Result<(Vec<u8>, bool)>;
    /// Makes content and size durable (`fdatasync`).
    fn sync(&self) -> io::Result<()>;
    /// Takes room for the file up to `length` bytes, reading as zeros beyond what was written.
    fn allocate(&self, length: u64) -> io::Result<()>;
    /// Cuts or extends the file. Never below a mapped length.
    fn set_len(&self, length: u64) -> io::Result<()>;
    /// The length in bytes.
    fn len(&self) -> io::Result<u64>;
    /// Whether the file has no bytes.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
    /// Maps the first `length` bytes for reading; `length` may be beyond the end of the file.
    fn map(&self, length: u64) -> io::Result<Arc<dyn Map>>;
}

/// A read-only map of a file.
pub trait Map: Send + Sync {
    /// The bytes of a range that has been written, uncopied. They are never written again while someone holds them.
    fn slice(&self, position: u64, length: usize) -> Bytes;
    /// Brings a range into memory, or says why that fails (a bad sector would be a SIGBUS later).
    fn populate(&self, position: u64, length: usize) -> io::Result<()>;
}
