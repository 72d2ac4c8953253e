//! Reads the frames of one segment in order, and tells a torn tail from damage.
//!
//! A *torn tail* is invalid bytes between the durable mark and the end of the log. Every other invalid byte is
//! *damage*: a frame whose header is intact and whose payload is not, or a stretch behind which intact frames go on
//! (a hole); or the end of the log itself, when it lies below the durable mark (a lost end).

use std::io;

use super::contents::Contents;
use super::frame::MAGIC;
use super::pages::Pages;
use super::{FRAME_HEADER_BYTES, FrameError, FrameHeader, Tip};
use crate::ids::Index;

/// How the frames of a segment end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ScanEnd {
    /// With everything that was durable: what follows are zeros or a torn tail.
    Whole,
    /// Below the durable mark.
    Lost,
}

/// Why a scan cannot say.
#[derive(Debug, thiserror::Error)]
pub(super) enum ScanError {
    #[error(transparent)]
    Io(#[from] io::Error),
    /// An intact frame of a form or kind that this broker does not know.
    #[error("position {position}: {error}")]
    Unknown { position: u64, error: FrameError },
    /// The place where the log may end cannot be read, so nothing says whether it ends there.
    #[error("position {position} cannot be read, above everything known to be durable")]
    Unreadable { position: u64 },
}

/// Folds the frames from `contents.end` on into `contents`. Everything up to index `durable` must be there.
///
/// Stops before index `stop`, if there is one.
pub(super) fn scan(
    pages: &mut Pages,
    contents: &mut Contents,
    durable: Index,
    stop: Option<Index>,
) -> Result<ScanEnd, ScanError> {
    loop {
        let next = contents.tip.index.next();
        if stop.is_some_and(|stop| next >= stop) {
            return Ok(ScanEnd::Whole);
        }
        let position = contents.end;
        match frame_at(pages, contents, position)? {
            Found::Intact(header) => {
                let payload = payload(pages, position, &header)?;
                contents.push(&header, payload);
            }
            Found::BadPayload(header) if header.index <= durable => contents.push_damaged(&header),
            Found::BadPayload(header) => {
                return torn(pages, position, header.frame_bytes());
            }
            Found::Nothing if next > durable => {
                return torn(pages, position, FRAME_HEADER_BYTES as u64);
            }
            Found::Nothing => match resync(pages, &contents.tip, position)? {
                Some((next, position)) => contents.skip_to(&next, position),
                None => return Ok(ScanEnd::Lost),
            },
        }
    }
}

enum Found {
    Intact(FrameHeader),
    BadPayload(FrameHeader),
    Nothing,
}

fn frame_at(pages: &mut Pages, contents: &Contents, position: u64) -> Result<Found, ScanError> {
    let bytes = pages.get(position, FRAME_HEADER_BYTES)?;
    let header = match FrameHeader::parse(bytes) {
        Ok(header) if contents.tip.is_followed_by(&header) => header,
        Err(error @ (FrameError::Version { .. } | FrameError::Kind(_)))
            if bytes[64..68] == contents.tip.chain.to_le_bytes() =>
        {
            return Err(ScanError::Unknown { position, error });
        }
        _ => return Ok(Found::Nothing),
    };
    if position + header.frame_bytes() > pages.length() {
        return Ok(Found::Nothing);
    }
    let intact = header.check_payload(payload(pages, position, &header)?);
    Ok(if intact { Found::Intact(header) } else { Found::BadPayload(header) })
}

fn payload<'a>(pages: &'a mut Pages, position: u64, header: &FrameHeader) -> io::Result<&'a [u8]> {
    pages.get(position + FRAME_HEADER_BYTES as u64, header.payload_len as usize)
}

fn torn(pages: &Pages, position: u64, length: u64) -> Result<ScanEnd, ScanError> {
    if pages.is_unreadable(position, length) {
        return Err(ScanError::Unreadable { position });
    }
    Ok(ScanEnd::Whole)
}

/// Looks behind a place where no frame can be read for frames that may follow the last one.
///
/// A payload may hold bytes that look like frames, made by whoever sent it. They cannot lead to the end of the log,
/// because its writer did not know the checksums of the frames around it. So of all the runs of frames that validate
/// among themselves the one that ends last is believed.
pub(super) fn resync(pages: &mut Pages, tip: &Tip, from: u64) -> io::Result<Option<(FrameHeader, u64)>> {
    let mut best: Option<(FrameHeader, u64, u64)> = None;
    let mut visited: Vec<u64> = Vec::new();
    let mut at = from + 1;
    while let Some(position) = pages.find(MAGIC, at)? {
        at = position + 1;
        if visited.binary_search(&position).is_ok() {
            continue;
        }
        let Ok(header) = FrameHeader::parse(pages.get(position, FRAME_HEADER_BYTES)?) else { continue };
        let missing = header.index.0.wrapping_sub(tip.index.0).wrapping_sub(1);
        let fits = missing >= 1 && missing <= (position - from).div_ceil(FRAME_HEADER_BYTES as u64);
        if !fits
            || !tip.admits(&header)
            || position + header.frame_bytes() > pages.length()
            || !header.check_payload(payload(pages, position, &header)?)
        {
            continue;
        }
        let run = run_of(pages, &header, position)?;
        let end = run.last().copied().unwrap_or(position);
        if best.is_none_or(|(_, _, best_end)| end > best_end) {
            best = Some((header, position, end));
            visited = run;
        }
    }
    Ok(best.map(|(header, position, _)| (header, position)))
}

/// The places of the frames of an unbroken run, then the place behind the last one.
fn run_of(pages: &mut Pages, first: &FrameHeader, position: u64) -> io::Result<Vec<u64>> {
    let mut places = vec![position];
    let (mut tip, mut at) = (Tip::of(first), position + first.frame_bytes());
    loop {
        places.push(at);
        let Ok(header) = FrameHeader::parse(pages.get(at, FRAME_HEADER_BYTES)?) else { return Ok(places) };
        if !tip.is_followed_by(&header) || at + header.frame_bytes() > pages.length() {
            return Ok(places);
        }
        tip = Tip::of(&header);
        at += header.frame_bytes();
    }
}
