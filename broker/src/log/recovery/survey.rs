//! The files of a log, and which of them has the newest frames.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::OpenError;
use crate::ids::{Index, PartitionId};
use crate::log::frame::MAGIC;
use crate::log::pages::{From, Pages};
use crate::log::round::FIRST_GENERATION;
use crate::log::scan::resync;
use crate::log::segment::{HeaderError, SEGMENT_HEADER_BYTES, SegmentHeader};
use crate::log::{FRAME_HEADER_BYTES, File, FrameHeader, Fs, OpenMode, PartitionMeta, Tip, footer, paths};

/// The header block and the place of the first frame's header.
const USED_BYTES: usize = SEGMENT_HEADER_BYTES as usize + FRAME_HEADER_BYTES;

/// What lies where a segment's first frame would.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum First {
    /// Zeros: no frame was written, or it was cut.
    Zeros,
    /// An intact header.
    Frame(FrameHeader),
    /// Something else: a torn first frame, or a damaged one.
    Other,
}

/// A segment file, synced.
pub(super) struct Found {
    pub(super) sequence: u64,
    pub(super) path: PathBuf,
    pub(super) file: Arc<dyn File>,
    pub(super) length: u64,
    pub(super) first: First,
}

/// The files of a log.
pub(super) struct Survey {
    /// In order; never empty.
    pub(super) segments: Vec<Found>,
    /// The newest one with frames, in `segments`; the first when none has any. It is the last of them.
    pub(super) active: usize,
    /// The segment prepared behind it.
    pub(super) next: Option<Found>,
}

impl Survey {
    /// Takes the prepared segment for the newest one if frames lie in it behind a first header that became zeros;
    /// `tip` is where the log ends otherwise, below its durable mark. Says whether it did.
    pub(super) fn take_next(&mut self, tip: &Tip) -> Result<bool, OpenError> {
        let Some(next) = &self.next else { return Ok(false) };
        let found = Pages::new(next.file.clone(), From::Disk)
            .and_then(|mut pages| resync(&mut pages, tip, SEGMENT_HEADER_BYTES))
            .map_err(OpenError::io(&next.path))?;
        if found.is_none() {
            return Ok(false);
        }
        if let Some(next) = self.next.take() {
            self.segments.push(Found { first: First::Other, ..next });
            self.active += 1;
        }
        Ok(true)
    }
}

/// Opens and syncs the files of a log, and sweeps what an interrupted job left behind.
pub(super) fn survey(
    fs: &dyn Fs,
    dir: &Path,
    partition: PartitionId,
    meta: &PartitionMeta,
) -> Result<Survey, OpenError> {
    let names = match fs.list(dir) {
        Ok(names) => names,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(OpenError::io(dir)(error)),
    };
    let mut sequences: Vec<u64> = names.iter().filter_map(|name| paths::segment_sequence(name)).collect();
    sequences.sort_unstable();
    let mut segments = Vec::new();
    for sequence in sequences {
        let header = SegmentHeader { partition, generation: meta.generation, sequence };
        segments.extend(find(fs, dir, &header)?);
    }
    if segments.is_empty() {
        return Err(none(dir, meta));
    }
    // The names are believed from here on.
    fs.sync_dir(dir).map_err(OpenError::io(dir))?;
    sweep_below_start(fs, dir, partition, meta, &mut segments)?;
    let active = segments.iter().rposition(|found| found.first != First::Zeros).unwrap_or(0);
    let mut empty = segments.split_off(active + 1).into_iter();
    let next = empty.next().filter(|next| next.sequence == segments[active].sequence + 1);
    for left in empty {
        remove(fs, dir, left.sequence)?;
    }
    Ok(Survey { segments, active, next })
}

fn none(dir: &Path, meta: &PartitionMeta) -> OpenError {
    let path = dir.to_owned();
    // A commit of its own says that the replica has lived, and so does a generation that a record switched to: its
    // files were durable before the record.
    let switched = meta.generation > FIRST_GENERATION;
    if switched || meta.durable_index >= meta.first_index || meta.commit >= meta.first_index {
        return OpenError::Missing { path, durable: Index(meta.durable_index.max(meta.commit)) };
    }
    OpenError::NotMade { path }
}

/// One file; `None` when it is one that was never finished, which goes.
fn find(fs: &dyn Fs, dir: &Path, header: &SegmentHeader) -> Result<Option<Found>, OpenError> {
    let path = paths::segment_path(dir, header.sequence);
    let io = |source| OpenError::Io { path: path.clone(), source };
    let file = fs.open(&path, OpenMode::ReadWrite).map_err(io)?;
    file.sync().map_err(io)?;
    let length = file.len().map_err(io)?;
    let mut pages = Pages::new(file.clone(), From::Disk).map_err(io)?;
    let block = pages.head(USED_BYTES).map_err(io)?;
    let frame = block.get(SEGMENT_HEADER_BYTES as usize..).unwrap_or_default();
    let mut first = match FrameHeader::parse(frame) {
        Ok(frame) => First::Frame(frame),
        Err(_) if frame.iter().all(|&byte| byte == 0) => First::Zeros,
        Err(_) => First::Other,
    };
    let named = header.check(&block);
    if pages.is_unreadable(0, USED_BYTES as u64) && first == First::Zeros {
        first = First::Other; // nothing says that these are zeros
    }
    if named == Err(HeaderError::NotAHeader) && first == First::Zeros {
        if pages.find(MAGIC, SEGMENT_HEADER_BYTES).map_err(io)?.is_none() {
            remove(fs, dir, header.sequence)?;
            return Ok(None);
        }
        first = First::Other;
    }
    match named {
        // A damaged header block hides nothing: the frames name the partition by their chain.
        Ok(()) | Err(HeaderError::NotAHeader) => {
            Ok(Some(Found { sequence: header.sequence, path, file, length, first }))
        }
        Err(error) => Err(OpenError::Header { path, error }),
    }
}

/// Removes segments wholly below the log's first index: the meta record was durable, the removal was not.
fn sweep_below_start(
    fs: &dyn Fs,
    dir: &Path,
    partition: PartitionId,
    meta: &PartitionMeta,
    segments: &mut Vec<Found>,
) -> Result<(), OpenError> {
    while segments.len() > 1 {
        let last = match segments[1].first {
            First::Frame(frame) => frame.index.0.saturating_sub(1),
            First::Zeros | First::Other => {
                let sequence = segments[0].sequence;
                let header = SegmentHeader { partition, generation: meta.generation, sequence };
                footer::read(fs, dir, &header).map_or(u64::MAX, |contents| contents.tip.index.0)
            }
        };
        if last >= meta.first_index {
            return Ok(());
        }
        remove(fs, dir, segments.remove(0).sequence)?;
    }
    Ok(())
}

fn remove(fs: &dyn Fs, dir: &Path, sequence: u64) -> Result<(), OpenError> {
    for path in [paths::segment_path(dir, sequence), paths::index_path(dir, sequence)] {
        match fs.remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(OpenError::io(&path)(error)),
            _ => {}
        }
    }
    Ok(())
}
