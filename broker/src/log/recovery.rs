//! Opening a log: sync, read the disk and not the cache, scan, cut and zero the torn tail, sync.
//!
//! Only the newest segment with frames is scanned: the others were synced before it got its first one. Each of them
//! must end where the next begins, by index and chain, as its `.idx` says or as a scan finds.

mod fold;
mod survey;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use self::fold::Fold;
use self::survey::{Found, Survey, survey};
use super::damage::{Damage, Hole};
use super::pages::{Pages, is_bad_sector};
use super::scan::ScanError;
use super::segment::{Active, HeaderError, SegmentHeader};
use super::shared::{Segments, Shared};
use super::writer::{Log, LogConfig, Mark, Next, Prepared};
use super::{
    Entry, FRAME_HEADER_BYTES, FrameHeader, Fs, Kind, OffsetRange, PartitionMeta, ProducerFrame, Tip, paths,
};
use crate::ids::{Index, Offset, PartitionId, Term};

/// A log, and what it holds.
pub struct Recovered {
    /// The log.
    pub log: Log,
    /// The last entry; the one before the log's first when it is empty.
    pub last_index: Index,
    /// Its term.
    pub last_term: Term,
    /// The first index of each term the log holds, the log's first index with its term at the front.
    pub terms: Vec<(Index, Term)>,
    /// The offset of the next record.
    pub next_offset: Offset,
    /// The append time of the last entry, in ms.
    pub append_time: i64,
    /// The chain value of the last entry.
    pub chain: u32,
    /// The last batches of each idempotent producer, in log order.
    pub producers: Vec<ProducerFrame>,
    /// Every entry that is not a batch, above both the newest snapshot and the last applied configuration.
    pub control: Vec<Entry>,
    /// Commands above the newest snapshot and not above the last applied configuration.
    pub commands: Vec<Entry>,
    /// Damaged offsets: not served, everything else is.
    pub damage: Vec<OffsetRange>,
    /// Damaged entries, those without records included.
    pub holes: Vec<Hole>,
    /// The log ends below its durable mark: acknowledged entries may be missing. It takes no entries.
    pub lost_end: bool,
    /// Whether all that was read came from the disk itself: where the file system refuses that, a failed write-back
    /// of the last run may be hidden by the cache.
    pub verified: bool,
}

/// Why a log is not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The log was made on this disk, and is gone: a lost end. It is never made anew under the same replica id.
    #[error(
        "no segments in {path}, although entries up to {durable} were durable there: the replica's log is lost"
    )]
    Missing {
        /// The folder.
        path: PathBuf,
        /// The durable mark.
        durable: Index,
    },
    /// There is no log and never was an entry: it is to be made.
    #[error("no segments in {path}: the log is not made yet")]
    NotMade {
        /// The folder.
        path: PathBuf,
    },
    /// A file that is not what its place says.
    #[error("{path}: {error}; the file does not belong here, move it away")]
    Header {
        /// The file.
        path: PathBuf,
        /// What is wrong with its header.
        error: HeaderError,
    },
    /// Intact frames that do not fit together.
    #[error("{path}: {why}; the segments of this folder are not of one log")]
    Order {
        /// The segment.
        path: PathBuf,
        /// What does not fit.
        why: String,
    },
    /// An intact frame of an unknown form or kind, or an unreadable place where the log may end.
    #[error("{path}: {why}")]
    Frame {
        /// The segment.
        path: PathBuf,
        /// What was found.
        why: String,
    },
    /// The file system failed.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl OpenError {
    fn io(path: &Path) -> impl FnOnce(io::Error) -> OpenError {
        |source| OpenError::Io { path: path.to_owned(), source }
    }

    fn scan(path: &Path) -> impl FnOnce(ScanError) -> OpenError {
        |error| match error {
            ScanError::Io(source) => OpenError::Io { path: path.to_owned(), source },
            other => OpenError::Frame { path: path.to_owned(), why: other.to_string() },
        }
    }
}

impl Log {
    /// Opens and recovers a log. Ends with everything durable that it believes.
    ///
    /// # Errors
    /// See [`OpenError`]; damage is no error.
    pub fn open(
        fs: Arc<dyn Fs>,
        root: &Path,
        partition: PartitionId,
        meta: &PartitionMeta,
        config: LogConfig,
    ) -> Result<Recovered, OpenError> {
        let dir = paths::partition_dir(root, partition, meta.generation);
        let mut survey = survey(&*fs, &dir, partition, meta)?;
        let header = SegmentHeader { partition, generation: meta.generation, sequence: 0 };
        let (mut fold, active) = loop {
            let mut fold = Fold::new(&*fs, &dir, header, meta, config);
            for pair in survey.segments.windows(2) {
                fold.sealed(&pair[0], &pair[1])?;
            }
            let active = fold.active(&survey.segments[survey.active])?;
            if !(fold.lost_end && survey.take_next(&active.contents.tip)?) {
                break (fold, active);
            }
        };
        let (entries, commands) = others(&mut fold, &survey, &active, meta)?;
        Ok(assemble(
            Parts { fs: fs.clone(), dir: dir.clone(), partition, meta, config, survey },
            fold,
            active,
            entries,
            commands,
        ))
    }
}

struct Parts<'a> {
    fs: Arc<dyn Fs>,
    dir: PathBuf,
    partition: PartitionId,
    meta: &'a PartitionMeta,
    config: LogConfig,
    survey: Survey,
}

fn assemble(
    parts: Parts<'_>,
    fold: Fold<'_>,
    active: Active,
    entries: Vec<Entry>,
    commands: Vec<Entry>,
) -> Recovered {
    let Parts { fs, dir, partition, meta, config, survey } = parts;
    let start = meta.start();
    let mut holes = fold.holes;
    holes.extend_from_slice(&active.contents.holes);
    let mut damage = Damage::default();
    holes.iter().filter_map(Hole::offsets).for_each(|range| damage.mark(range));
    damage.forget_before(start.log_start);
    let ranges = damage.ranges().to_vec();
    let mut terms = fold.terms;
    terms.extend_from_slice(&active.contents.terms);
    let tip = active.contents.tip;
    let producers = active.contents.producers.batches();
    let segments = Segments { sealed: fold.sealed, active: active.live.clone(), log_start: start.log_start };
    let next = survey.next.map_or(Next::None, |next| {
        Next::Ready(Prepared {
            sequence: next.sequence,
            path: next.path,
            written_end: next.length,
            allocated: next.length,
            file: next.file,
        })
    });
    let log = Log {
        shared: Arc::new(Shared::new(fs.clone(), dir.clone(), segments, damage)),
        fs,
        dir,
        partition,
        config,
        start,
        active,
        next,
        waiting: Default::default(),
        waiting_bytes: 0,
        reserved: 0,
        appended: tip,
        cut: None,
        roll: false,
        synced: tip.index,
        truncations: 0,
        terms: terms.clone(),
        mark: Mark { recorded: Index(meta.durable_index), last_ms: 0, due: true },
        planned: None,
        start_changed: false,
        applied: start.first_index.prev(),
        removals: Vec::new(),
        producers_before: None,
        recent: Default::default(),
        gather: Default::default(),
        lost_end: fold.lost_end,
    };
    if tip.index >= start.first_index && terms.first().is_none_or(|&(first, _)| first > start.first_index) {
        terms.insert(0, (start.first_index, start.prev_term));
    }
    Recovered {
        log,
        last_index: tip.index,
        last_term: tip.term,
        terms,
        next_offset: tip.next_offset,
        append_time: tip.append_time,
        chain: tip.chain,
        producers,
        control: entries,
        commands,
        damage: ranges,
        holes,
        lost_end: fold.lost_end,
        verified: fold.verified,
    }
}

/// The entries that are not batches: those above everything applied, and commands between the snapshot and that.
fn others(
    fold: &mut Fold<'_>,
    survey: &Survey,
    active: &Active,
    meta: &PartitionMeta,
) -> Result<(Vec<Entry>, Vec<Entry>), OpenError> {
    let snapshot = Index(meta.snapshot_index);
    let applied = Index(meta.applied).max(snapshot);
    let mut above = Vec::new();
    let mut commands = Vec::new();
    let mut holes = Vec::new();
    let sealed = fold.others.iter().zip(&survey.segments);
    for (others, segment) in sealed.chain([(&active.contents.others, &survey.segments[survey.active])]) {
        let wanted = others
            .iter()
            .filter(|other| other.index > applied || (other.kind == Kind::Command && other.index > snapshot));
        for other in wanted {
            let Some(entry) = read_entry(segment, other.position.0).map_err(OpenError::io(&segment.path))?
            else {
                // Damaged since its segment was folded. It has no records.
                let (first_offset, next_offset) = (Offset(0), Offset(0));
                let (first_index, last_index) = (other.index, other.index);
                holes.push(Hole { first_index, last_index, first_offset, next_offset });
                continue;
            };
            if entry.index > applied { above.push(entry) } else { commands.push(entry) }
        }
    }
    fold.holes.append(&mut holes);
    Ok((above, commands))
}

/// The entry whose frame begins at a place; `None` when it is damaged or cannot be read.
fn read_entry(segment: &Found, position: u64) -> io::Result<Option<Entry>> {
    let read = |bytes: &mut [u8], position: u64| match segment.file.read_at(bytes, position) {
        Ok(read) => Ok(read == bytes.len()),
        Err(error) if is_bad_sector(&error) => Ok(false),
        Err(error) => Err(error),
    };
    let mut header = [0; FRAME_HEADER_BYTES];
    let whole = read(&mut header, position)?;
    let Some(header) = FrameHeader::parse(&header).ok().filter(|_| whole) else { return Ok(None) };
    if position + header.frame_bytes() > segment.file.len()? {
        return Ok(None);
    }
    let mut payload = vec![0; header.payload_len as usize];
    let whole = read(&mut payload, position + FRAME_HEADER_BYTES as u64)?;
    Ok((whole && header.check_payload(&payload)).then(|| header.entry(payload.into())))
}

#[cfg(test)]
mod damage_tests;
#[cfg(test)]
mod tests;
