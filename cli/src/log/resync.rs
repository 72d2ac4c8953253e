//! Looks behind bytes that are no frame for frames that follow.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use caudal_broker::log::{FRAME_HEADER_BYTES, FrameHeader, Tip};

/// What a frame begins with.
const MAGIC: &[u8; 4] = b"CDLF";

/// Bytes looked at in one step.
const STEP_BYTES: usize = 1024 * 1024;

/// The frame at which reading goes on, at or behind `from`.
///
/// A payload may hold bytes that look like frames, made by whoever sent it. They do not lead to the end of the log,
/// because their author did not know the checksums around them. So of all the runs of frames that validate among
/// themselves the one that ends last is believed.
pub(super) fn resync(
    file: &File,
    length: u64,
    tip: Option<&Tip>,
    from: u64,
) -> io::Result<Option<(FrameHeader, u64)>> {
    let mut best: Option<(FrameHeader, u64, u64)> = None;
    let mut visited = BTreeSet::new();
    let mut buffer = vec![0; STEP_BYTES];
    let mut start = from;
    while start + (FRAME_HEADER_BYTES as u64) <= length {
        let step = usize::try_from(length - start).unwrap_or(STEP_BYTES).min(STEP_BYTES);
        file.read_exact_at(&mut buffer[..step], start)?;
        for at in find_all(&buffer[..step]) {
            let position = start + at as u64;
            if visited.contains(&position) {
                continue;
            }
            let Some(first) = header_at(file, length, position)? else { continue };
            if tip.is_some_and(|tip| first.index <= tip.index) {
                continue;
            }
            let end = run(file, length, first, position, &mut visited)?;
            if best.as_ref().is_none_or(|(_, _, best)| end > *best) {
                best = Some((first, position, end));
            }
        }
        // The last three bytes may begin a frame that the step cuts.
        start += (step as u64).saturating_sub(3).max(1);
    }
    Ok(best.map(|(header, position, _)| (header, position)))
}

/// Where the run of frames that begins with `header` ends.
fn run(
    file: &File,
    length: u64,
    mut header: FrameHeader,
    mut position: u64,
    visited: &mut BTreeSet<u64>,
) -> io::Result<u64> {
    loop {
        visited.insert(position);
        position += header.frame_bytes();
        match header_at(file, length, position)? {
            Some(next) if Tip::of(&header).is_followed_by(&next) => header = next,
            _ => return Ok(position),
        }
    }
}

fn header_at(file: &File, length: u64, position: u64) -> io::Result<Option<FrameHeader>> {
    if position + FRAME_HEADER_BYTES as u64 > length {
        return Ok(None);
    }
    let mut bytes = [0; FRAME_HEADER_BYTES];
    file.read_exact_at(&mut bytes, position)?;
    Ok(FrameHeader::parse(&bytes).ok().filter(|header| header.frame_bytes() <= length - position))
}

fn find_all(bytes: &[u8]) -> impl Iterator<Item = usize> + '_ {
    bytes.windows(MAGIC.len()).enumerate().filter(|(_, window)| window == MAGIC).map(|(at, _)| at)
}

/// The byte behind the last one that is not zero, at or behind `from`; `from` when all are zero.
pub(super) fn last_byte(file: &File, from: u64, length: u64) -> io::Result<u64> {
    let mut end = length;
    let mut buffer = vec![0; STEP_BYTES];
    while end > from {
        let step = usize::try_from(end - from).unwrap_or(STEP_BYTES).min(STEP_BYTES);
        let start = end - step as u64;
        file.read_exact_at(&mut buffer[..step], start)?;
        if let Some(at) = buffer[..step].iter().rposition(|byte| *byte != 0) {
            return Ok(start + at as u64 + 1);
        }
        end = start;
    }
    Ok(from)
}
