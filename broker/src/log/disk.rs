//! The disk thread's work: the rounds of all shards, in the order that the crash-safety argument rests on.

mod job;

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Fatal, File, Fs, MetaChange, MetaLog, Round, RoundDone, SyncFile, paths};
use crate::ids::PartitionId;

/// The disk of one data folder. One thread owns it.
pub struct Disk {
    fs: Arc<dyn Fs>,
    root: PathBuf,
    meta: MetaLog,
    failed: bool,
}

impl Disk {
    /// The disk of the data folder at `root`.
    pub fn new(fs: Arc<dyn Fs>, root: PathBuf, meta: MetaLog) -> Disk {
        Disk { fs, root, meta, failed: false }
    }

    /// Carries out rounds of any number of shards, together: the meta log is synced once, and each file once.
    ///
    /// # Errors
    /// The first write or sync that failed. Nothing is tried again: neither the rest of the rounds nor another call.
    pub fn run(&mut self, rounds: Vec<Round>) -> Result<Vec<RoundDone>, Fatal> {
        self.guarded(|disk| disk.rounds(rounds))
    }

    /// Makes durable what rides along with later syncs: when there is nothing else to do, and at the end.
    ///
    /// # Errors
    /// As [`Disk::run`].
    pub fn settle(&mut self) -> Result<(), Fatal> {
        self.guarded(|disk| disk.meta.sync().map_err(|e| Fatal::new("sync", "the meta log", e)))
    }

    /// Removes what a crash left and no record refers to: folders of deleted partitions, other generations than the
    /// current one, unfinished and outdated snapshots. For the start, before any log is opened. Folders of
    /// partitions that the meta log does not know stay.
    ///
    /// # Errors
    /// As [`Disk::run`].
    pub fn sweep(&mut self) -> Result<(), Fatal> {
        self.guarded(|disk| {
            for (partition, meta) in disk.meta.partitions() {
                job::sweep(&*disk.fs, &disk.root, *partition, meta)
                    .map_err(|e| Fatal::file("sweep", &paths::partition_home(&disk.root, *partition), e))?;
            }
            Ok(())
        })
    }

    /// The meta log, to read.
    pub fn meta(&self) -> &MetaLog {
        &self.meta
    }

    fn guarded<T>(&mut self, run: impl FnOnce(&mut Disk) -> Result<T, Fatal>) -> Result<T, Fatal> {
        if self.failed {
            let before = io::Error::other("a write or sync failed before");
            return Err(Fatal::file("use", &self.root, before));
        }
        self.failed = true;
        let done = run(self)?;
        self.failed = false;
        Ok(done)
    }

    fn rounds(&mut self, mut rounds: Vec<Round>) -> Result<Vec<RoundDone>, Fatal> {
        let changes: Vec<MetaChange> = rounds.iter_mut().flat_map(|round| round.meta.drain(..)).collect();
        self.meta.append(&changes).map_err(|e| Fatal::new("write", "the meta log", e))?;
        sync_files(&*self.fs, rounds.iter().flat_map(|round| &round.sync))?;
        if changes.iter().any(|change| change.what.must_sync()) {
            self.meta.sync().map_err(|e| Fatal::new("sync", "the meta log", e))?;
        }
        let mut done = Vec::with_capacity(rounds.len());
        for round in rounds {
            let mut jobs = Vec::with_capacity(round.jobs.len());
            for job in round.jobs {
                jobs.push(job::run(&*self.fs, &self.root, job)?);
            }
            done.push(RoundDone { number: round.number, jobs });
        }
        Ok(done)
    }
}

/// Syncs each file once, several at a time where the file system says so.
fn sync_files<'a>(fs: &dyn Fs, files: impl Iterator<Item = &'a SyncFile>) -> Result<(), Fatal> {
    let mut seen = BTreeSet::new();
    let files: Vec<&SyncFile> = files.filter(|sync| seen.insert(address(&sync.file))).collect();
    let threads = fs.parallel_syncs().min(files.len());
    if threads <= 1 {
        return files.into_iter().try_for_each(sync_file);
    }
    let next = AtomicUsize::new(0);
    let failed = Mutex::new(None);
    let work = || {
        while let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
            if let Err(error) = sync_file(file) {
                let mut failed = failed.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                failed.get_or_insert(error);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(work);
        }
        work();
    });
    let failed = failed.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    failed.map_or(Ok(()), Err)
}

fn sync_file(sync: &SyncFile) -> Result<(), Fatal> {
    sync.file
        .sync()
        .map_err(|e| Fatal::new("sync", format_args!("a segment of partition {}", sync.partition), e))
}

/// Tells two open files apart.
fn address(file: &Arc<dyn File>) -> usize {
    Arc::as_ptr(file).cast::<()>() as usize
}

#[cfg(test)]
mod tests;
