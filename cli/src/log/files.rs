//! Finds the segment files behind a path.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use caudal_broker::ids::PartitionId;
use caudal_broker::log::{DiskFs, MetaLog, PartitionMeta, paths};

use crate::failure::Failure;

/// Folders between a data folder and its segments: `topics`, the topic, the partition, the generation.
const DEPTH: usize = 4;

/// The segments of one generation of a log, in order.
#[derive(Debug)]
pub(super) struct LogFiles {
    /// Never empty.
    pub(super) segments: Vec<PathBuf>,
    /// Whether the newest segment of the log is among them, as far as a path can tell.
    pub(super) has_newest: bool,
}

/// What lies behind a path.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) logs: Vec<LogFiles>,
    /// What the data folder says of each partition; empty without a data folder.
    pub(super) meta: BTreeMap<PartitionId, PartitionMeta>,
}

/// Finds segments: of a file, of a folder, or of a data folder.
pub(super) fn find(path: &Path) -> Result<Found, Failure> {
    let meta = match data_folder(path) {
        Some(root) => MetaLog::peek(&DiskFs, &root).map_err(|error| failure(&root, error))?,
        None => BTreeMap::new(),
    };
    let mut logs = Vec::new();
    if path.is_dir() {
        search(path, DEPTH, &mut logs)?;
    } else {
        std::fs::metadata(path).map_err(|error| failure(path, error))?;
        logs.push(LogFiles { segments: vec![path.to_owned()], has_newest: !has_successor(path) });
    }
    if logs.is_empty() {
        return Err(Failure::refused(format!(
            "{} holds no segments: name a segment file, a partition's folder, or a data folder",
            path.display()
        )));
    }
    Ok(Found { logs, meta })
}

/// The data folder that a path lies in.
fn data_folder(path: &Path) -> Option<PathBuf> {
    let absolute = path.canonicalize().ok()?;
    let root = absolute.ancestors().take(DEPTH + 2).find(|folder| paths::identity_path(folder).is_file());
    root.map(Path::to_owned)
}

fn has_successor(segment: &Path) -> bool {
    let sequence = segment.file_name().and_then(|name| name.to_str()).and_then(paths::segment_sequence);
    match (sequence, segment.parent()) {
        (Some(sequence), Some(dir)) => paths::segment_path(dir, sequence + 1).is_file(),
        _ => false,
    }
}

fn search(dir: &Path, depth: usize, logs: &mut Vec<LogFiles>) -> Result<(), Failure> {
    let (mut segments, mut folders) = (Vec::new(), Vec::new());
    for entry in std::fs::read_dir(dir).map_err(|error| failure(dir, error))? {
        let entry = entry.map_err(|error| failure(dir, error))?;
        let kind = entry.file_type().map_err(|error| failure(&entry.path(), error))?;
        let name = entry.file_name();
        if kind.is_dir() {
            folders.push(entry.path());
        } else if let Some(sequence) = name.to_str().and_then(paths::segment_sequence) {
            segments.push((sequence, entry.path()));
        }
    }
    if !segments.is_empty() {
        segments.sort();
        let segments = segments.into_iter().map(|(_, path)| path).collect();
        logs.push(LogFiles { segments, has_newest: true });
    }
    if depth > 0 {
        folders.sort();
        for folder in folders {
            search(&folder, depth - 1, logs)?;
        }
    }
    Ok(())
}

fn failure(path: &Path, error: std::io::Error) -> Failure {
    Failure::refused(format!("{}: {error}", path.display())).caused_by(error)
}
