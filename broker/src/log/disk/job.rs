//! The jobs of a round: work on files beside the logs in use.

use super::*;
use crate::ids::Index;
use crate::limits::SEGMENT_FIRST_BYTES;
use crate::log::segment::{self, SegmentHeader};
use crate::log::snapshot::{self, Snapshot};
use crate::log::{Job, JobDone, LogStart, PartitionMeta, ProducerFrame, Tip, footer, is_no_space};

/// Does one job. A full disk is an answer, everything else that fails is the end.
pub(super) fn run(fs: &dyn Fs, root: &Path, job: Job) -> Result<JobDone, Fatal> {
    let (what, partition, done) = match job {
        Job::Create { partition, start, producers } => {
            ("first segment", partition, create(fs, root, partition, &start, &producers))
        }
        Job::Producers { partition, start, producers } => {
            let dir = paths::partition_dir(root, partition, start.generation);
            let before = SegmentHeader { partition, generation: start.generation, sequence: 0 };
            let written = footer::write_producers(fs, &dir, &before, Tip::before(&start), &producers);
            ("producers", partition, written)
        }
        Job::RemoveGeneration { partition, generation } => {
            let dir = paths::partition_dir(root, partition, generation);
            ("old generation", partition, present(fs.remove_dir_all(&dir)))
        }
        Job::Prepare { partition, generation, sequence, bytes } => {
            let dir = paths::partition_dir(root, partition, generation);
            let header = SegmentHeader { partition, generation, sequence };
            ("next segment", partition, segment::create(fs, &dir, &header, bytes))
        }
        Job::Snapshot { partition, index, term, data } => {
            let snapshot = Snapshot { index, term, data };
            ("snapshot", partition, snapshot::write(fs, root, partition, &snapshot))
        }
        Job::Install { partition, generation, sequence } => {
            let dir = paths::partition_dir(root, partition, generation);
            ("repaired segment", partition, install(fs, &dir, sequence))
        }
        Job::Remove { partition, files } => ("old files", partition, remove(fs, &files)),
        Job::RemoveLog { partition } => ("deleted log", partition, remove_log(fs, root, partition)),
    };
    match done {
        Ok(()) => Ok(JobDone::Done),
        Err(error) if is_no_space(&error) => Ok(JobDone::NoSpace),
        Err(source) => Err(Fatal { what: format!("work on the {what} of partition {partition}"), source }),
    }
}

/// Makes the folders of a log, and its first segment.
fn create(
    fs: &dyn Fs,
    root: &Path,
    partition: PartitionId,
    start: &LogStart,
    producers: &[ProducerFrame],
) -> io::Result<()> {
    let generation = start.generation;
    let dir = paths::partition_dir(root, partition, generation);
    let header = SegmentHeader { partition, generation, sequence: 1 };
    let made = fs
        .create_dir_all(&dir)
        .and_then(|()| {
            let home = paths::partition_home(root, partition);
            for folder in [&home, &paths::topic_dir(root, partition.topic), &paths::topics_dir(root)] {
                fs.sync_dir(folder)?;
            }
            fs.sync_dir(root)
        })
        .and_then(|()| match producers {
            [] => Ok(()),
            _ => {
                let before = SegmentHeader { sequence: 0, ..header };
                footer::write_producers(fs, &dir, &before, Tip::before(start), producers)
            }
        })
        .and_then(|()| segment::create(fs, &dir, &header, SEGMENT_FIRST_BYTES));
    if made.as_ref().is_err_and(is_no_space) {
        present(fs.remove_dir_all(&dir))?;
        remove_if_empty(fs, &paths::partition_home(root, partition))?;
        remove_if_empty(fs, &paths::topic_dir(root, partition.topic))?;
    }
    made
}

/// The `.idx` file goes too: it names what was damaged.
fn install(fs: &dyn Fs, dir: &Path, sequence: u64) -> io::Result<()> {
    let path = paths::segment_path(dir, sequence);
    let built = paths::unfinished(&path);
    if !fs.exists(&built)? || !fs.exists(&path)? {
        // Retention was faster.
        return present(fs.remove_file(&built));
    }
    present(fs.remove_file(&paths::index_path(dir, sequence)))?;
    fs.rename(&built, &path)?;
    fs.sync_dir(dir)
}

/// Removes files, durably: the log overwrites a suffix only when the segments behind it can not come back.
fn remove(fs: &dyn Fs, files: &[PathBuf]) -> io::Result<()> {
    for file in files {
        present(fs.remove_file(file))?;
    }
    let folders: BTreeSet<&Path> = files.iter().filter_map(|file| file.parent()).collect();
    folders.into_iter().try_for_each(|folder| present(fs.sync_dir(folder)))
}

/// Removes a partition's folder, and its topic's with the last one.
fn remove_log(fs: &dyn Fs, root: &Path, partition: PartitionId) -> io::Result<()> {
    present(fs.remove_dir_all(&paths::partition_home(root, partition)))?;
    remove_if_empty(fs, &paths::topic_dir(root, partition.topic))
}

/// What [`Disk::sweep`] does for one partition.
pub(super) fn sweep(
    fs: &dyn Fs,
    root: &Path,
    partition: PartitionId,
    meta: &PartitionMeta,
) -> io::Result<()> {
    let home = paths::partition_home(root, partition);
    if meta.removed {
        return if fs.exists(&home)? { remove_log(fs, root, partition) } else { Ok(()) };
    }
    let names = match fs.list(&home) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        listed => listed?,
    };
    let other = |name: &&String| name.parse().is_ok_and(|generation: u64| generation != meta.generation);
    for name in names.iter().filter(other) {
        present(fs.remove_dir_all(&home.join(name)))?;
    }
    for file in snapshot::stale(fs, root, partition, Index(meta.snapshot_index))? {
        present(fs.remove_file(&file))?;
    }
    Ok(())
}

fn remove_if_empty(fs: &dyn Fs, folder: &Path) -> io::Result<()> {
    match fs.list(folder) {
        Ok(names) if names.is_empty() => present(fs.remove_dir_all(folder)),
        Ok(_) => Ok(()),
        Err(error) => present(Err(error)),
    }
}

/// What is gone already is fine.
fn present(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
