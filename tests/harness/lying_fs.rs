//! A file system in memory that does what disks do to programs that do not sync.
//!
//! Everything comes from a seed. What was not synced can be lost, torn and reordered by sector of 512 bytes when the
//! power dies, and lives on in the cache when only the process dies. Names are durable once their folder is synced.
//! After a failed sync the pages count as clean: reads through the cache still see them, the disk does not have them.
//! Slices of maps are watched: one that is written over, or that shows what nobody wrote, is a violation.

mod content;
mod image;
mod keep;
mod names;
mod open_file;
mod state;

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use caudal_broker::log::{File, Fs, OpenMode};

use names::Node;
use open_file::OpenFile;
use state::{Plan, State, Step, power_cut};

/// The folder that is always there.
pub const ROOT: &str = "/data";

/// How a world ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crash {
    /// The process dies, the cache lives.
    ProcessDies,
    /// The power dies: of what was not synced, a random part is kept.
    PowerDies,
}

/// What a call does, to name it in a plan of faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    /// Makes a file.
    Create,
    /// Writes a file.
    Write,
    /// Syncs a file.
    Sync,
    /// Takes room.
    Allocate,
    /// Cuts or extends a file.
    SetLength,
    /// Makes folders.
    CreateFolder,
    /// Renames a file.
    Rename,
    /// Removes a file or a folder.
    Remove,
    /// Syncs a folder.
    SyncFolder,
    /// Opens, reads or asks for facts.
    Read,
}

impl Op {
    /// Whether it counts for [`LyingFs::cut_after`].
    fn changes(self) -> bool {
        self != Op::Read
    }
}

/// How a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The disk has a fault.
    Io,
    /// The disk is full.
    NoSpace,
}

impl From<Fault> for io::Error {
    fn from(fault: Fault) -> io::Error {
        match fault {
            Fault::Io => io::Error::other("the disk has a fault (planned)"),
            Fault::NoSpace => io::ErrorKind::StorageFull.into(),
        }
    }
}

#[derive(Debug)]
struct PowerCut;

impl std::fmt::Display for PowerCut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the power is off (planned)")
    }
}

impl std::error::Error for PowerCut {}

/// Whether an error is the power cut that [`LyingFs::cut_after`] planned, also below other errors.
pub fn is_power_cut(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        let io = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        if error.is::<PowerCut>() || io.is_some_and(|inner| inner.is::<PowerCut>()) {
            return true;
        }
        next = error.source();
    }
    false
}

/// The file system. Clones are the same one.
#[derive(Clone)]
pub struct LyingFs(Arc<Mutex<State>>);

impl LyingFs {
    /// A file system with nothing but the folder [`ROOT`].
    pub fn new(seed: u64) -> LyingFs {
        LyingFs(Arc::new(Mutex::new(State::new(seed, Path::new(ROOT)))))
    }

    /// Ends the world: open files are dead, planned faults are forgotten, and the next process finds what is left.
    pub fn crash(&self, crash: Crash) {
        self.state().crash(crash == Crash::PowerDies);
    }

    /// Lets a call fail: the one after `after` others of its kind whose path contains `path_has`.
    ///
    /// A failed write leaves some of its sectors in the cache, a failed sync some of them on the disk.
    pub fn fail(&self, op: Op, path_has: &str, after: u64, fault: Fault) {
        self.state().plans.push(Plan { op, path_has: path_has.to_owned(), after, fault });
    }

    /// Cuts the power in the middle of the changing call after the next `operations`: that and all later calls fail
    /// until [`LyingFs::crash`].
    pub fn cut_after(&self, operations: u64) {
        self.state().left = Some(operations);
    }

    /// The changing calls so far.
    pub fn operations(&self) -> u64 {
        self.state().operations
    }

    /// Limits the room that all files take together, in bytes.
    pub fn set_quota(&self, bytes: Option<u64>) {
        self.state().quota = bytes;
    }

    /// The room that all files take, in bytes.
    pub fn used(&self) -> u64 {
        self.state().used()
    }

    /// Whether reads can go past the cache.
    pub fn set_direct_reads(&self, possible: bool) {
        self.state().direct_reads = possible;
    }

    /// Flips bits of a byte at rest.
    ///
    /// # Errors
    /// When there is no such file.
    pub fn flip(&self, path: &Path, position: u64, mask: u8) -> io::Result<()> {
        let mut state = self.state();
        let file = state.names.file(path)?;
        state.content(file).flip(position, mask);
        Ok(())
    }

    /// Makes a range of a file unreadable, until it is removed.
    ///
    /// # Errors
    /// When there is no such file.
    pub fn make_unreadable(&self, path: &Path, start: u64, end: u64) -> io::Result<()> {
        let mut state = self.state();
        let file = state.names.file(path)?;
        state.content(file).unreadable.insert(start, end);
        Ok(())
    }

    /// What must never happen and did: writes over slices that someone holds, slices of what nobody wrote or a dead
    /// process left unsynced, reads of the disk before a sync.
    pub fn violations(&self) -> Vec<String> {
        self.state().violations.clone()
    }

    /// A number that stands for all durable names and bytes.
    pub fn durable_hash(&self) -> u64 {
        self.state().durable_hash()
    }

    /// Writes down the changing calls from here on, or stops; those so far come back.
    pub fn trace(&self, on: bool) -> Vec<String> {
        std::mem::replace(&mut self.state().trace, on.then(Vec::new)).unwrap_or_default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read<T>(&self, path: &Path, run: impl FnOnce(&mut State) -> io::Result<T>) -> io::Result<T> {
        let mut state = self.state();
        match state.step(Op::Read, path, String::new)? {
            Step::Goes => run(&mut state),
            Step::Fails(fault) => Err(fault.into()),
            Step::Cut => Err(power_cut()),
        }
    }

    fn change(
        &self,
        op: Op,
        path: &Path,
        verb: &str,
        run: impl FnOnce(&mut State) -> io::Result<()>,
    ) -> io::Result<()> {
        let what = || format!("{verb} {}", path.display());
        self.state().all_or_nothing((op, path), what, run)
    }
}

impl Fs for LyingFs {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        if mode == OpenMode::CreateNew {
            self.change(Op::Create, path, "create", |state| state.new_file(path).map(drop))?;
        }
        let (file, epoch) = self.read(path, |state| Ok((state.names.file(path)?, state.epoch)))?;
        let writable = mode != OpenMode::Read;
        Ok(Arc::new(OpenFile { fs: self.clone(), file, epoch, path: path.to_owned(), writable }))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        if self.read(path, |state| Ok(state.names.get(path) == Some(Node::Folder)))? {
            return Ok(());
        }
        self.change(Op::CreateFolder, path, "create folder", |state| state.names.create_folders(path))
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        self.read(path, |state| state.names.list(path))
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        self.read(path, |state| Ok(state.names.get(path).is_some()))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.change(Op::Rename, to, "rename to", |state| state.names.rename(from, to))
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.change(Op::Remove, path, "remove", |state| state.names.remove_file(path))
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        self.change(Op::Remove, path, "remove folder", |state| state.names.remove_all(path))
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.change(Op::SyncFolder, path, "sync folder", |state| state.names.sync(path))
    }
}

#[cfg(test)]
mod tests;
