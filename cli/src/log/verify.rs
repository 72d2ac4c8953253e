//! `caudal log verify`.

use std::path::{Path, PathBuf};

use caudal_broker::ids::{Index, PartitionId};
use caudal_broker::log::{PartitionMeta, Tip};
use serde::Serialize;

use super::files::{Found, LogFiles, find};
use super::walk::{BadRange, Step, Surroundings, Walk};
use crate::context::{Context, print};
use crate::counted::counted;
use crate::failure::Failure;
use crate::values::show_size;

const EXAMPLES: &str = "Examples:
  caudal log verify ./caudal-data
  caudal log verify ./caudal-data/topics/01890a5d-ac96-774b-bcce-b302099a8057/0
  caudal log verify 0000000001.log --output json";

/// Check every checksum and the chain from frame to frame
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// A segment, a partition's folder, or a data folder
    #[arg(value_name = "PATH")]
    path: PathBuf,
}

#[derive(Serialize)]
struct Document {
    segments: Vec<SegmentDocument>,
    bad_ranges: usize,
}

/// What was found in one segment.
#[derive(Serialize)]
struct SegmentDocument {
    path: String,
    entries: u64,
    records: u64,
    bytes: u64,
    first_offset: Option<i64>,
    next_offset: Option<i64>,
    torn_tail_bytes: u64,
    bad: Vec<BadRange>,
}

pub(super) fn run(context: &Context, args: &Args) -> Result<(), Failure> {
    let Found { logs, meta } = find(&args.path)?;
    let mut document = Document { segments: Vec::new(), bad_ranges: 0 };
    for log in &logs {
        let mut before = None;
        for (at, path) in log.segments.iter().enumerate() {
            let newest = log.has_newest && at + 1 == log.segments.len();
            let segment = check(path, newest, &meta_of(log, &meta), &mut before)?;
            if !context.json {
                print(segment.line().as_bytes())?;
            }
            document.bad_ranges += segment.bad.len();
            document.segments.push(segment);
        }
    }
    if context.json {
        context.print_json(&document)?;
    }
    match document.bad_ranges {
        0 => Ok(()),
        n => Err(Failure::refused(format!("{}: {}", args.path.display(), counted(n as u64, "bad range")))),
    }
}

/// What the data folder says of a log, by the header of any of its segments.
pub(super) fn meta_of(
    log: &LogFiles,
    meta: &std::collections::BTreeMap<PartitionId, PartitionMeta>,
) -> Option<PartitionMeta> {
    let around = Surroundings { before: None, newest: false, durable: Index(0) };
    let header = log.segments.iter().find_map(|path| Walk::open(path, around).ok()?.header())?;
    meta.get(&header.partition).filter(|meta| meta.generation == header.generation).cloned()
}

/// What is known of a segment from its neighbours and the data folder.
pub(super) fn surroundings(newest: bool, meta: &Option<PartitionMeta>, before: Option<Tip>) -> Surroundings {
    let durable = meta.as_ref().map_or(Index(0), |meta| Index(meta.durable_index));
    Surroundings { before, newest, durable }
}

/// Reads one segment; `before` becomes what it leaves behind.
fn check(
    path: &Path,
    newest: bool,
    meta: &Option<PartitionMeta>,
    before: &mut Option<Tip>,
) -> Result<SegmentDocument, Failure> {
    let failure =
        |error: std::io::Error| Failure::refused(format!("{}: {error}", path.display())).caused_by(error);
    let mut walk = Walk::open(path, surroundings(newest, meta, *before)).map_err(failure)?;
    let mut found = SegmentDocument {
        path: path.display().to_string(),
        entries: 0,
        records: 0,
        bytes: 0,
        first_offset: None,
        next_offset: None,
        torn_tail_bytes: 0,
        bad: Vec::new(),
    };
    while let Some(step) = walk.step().map_err(failure)? {
        match step {
            Step::Frame { header, .. } => {
                found.entries += 1;
                found.records += u64::from(header.count);
                found.bytes += header.frame_bytes();
                found.first_offset.get_or_insert(header.base_offset.0);
                found.next_offset = Some(header.next_offset().0);
            }
            Step::Bad(range) => found.bad.push(range),
            Step::Torn { bytes, .. } => found.torn_tail_bytes = bytes,
        }
    }
    // Behind damage at the end of a segment the next one may begin anywhere.
    let ends_bad =
        found.bad.last().is_some_and(|bad| bad.after_offset == walk.tip().map(|tip| tip.next_offset.0));
    *before = walk.tip().filter(|_| !ends_bad);
    Ok(found)
}

impl SegmentDocument {
    /// What a person reads: the segment, then its bad ranges.
    fn line(&self) -> String {
        let offsets = match (self.first_offset, self.next_offset) {
            (Some(first), Some(next)) => format!("offsets {first} to {next} excluded"),
            _ => "empty".to_owned(),
        };
        let state = if self.bad.is_empty() { "intact" } else { "DAMAGED" };
        let size = show_size(self.bytes);
        let entries =
            if self.entries == 1 { "1 entry".to_owned() } else { format!("{} entries", self.entries) };
        let records = counted(self.records, "record");
        let mut text = format!("{}: {state}, {entries}, {records}, {size}, {offsets}\n", self.path);
        if self.torn_tail_bytes > 0 {
            text.push_str(&format!(
                "  torn tail of {} bytes: the broker cuts it when it opens the log\n",
                self.torn_tail_bytes
            ));
        }
        for BadRange { from, to, why, after_offset } in &self.bad {
            let behind =
                after_offset.map_or(String::new(), |offset| format!(", behind offset {offset} excluded"));
            text.push_str(&format!("  bytes {from} to {to} excluded{behind}: {why}\n"));
        }
        text
    }
}
