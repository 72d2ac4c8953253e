//! A window over a file, for scans: from the disk itself or through the cache, with bad sectors told apart.

use std::io;
use std::sync::Arc;

use super::File;

/// Bytes fetched at a time, at least.
const WINDOW_BYTES: usize = 1024 * 1024;

/// What is fetched at a time where the window as a whole cannot be read.
const BLOCK_BYTES: usize = 4096;

/// Where the bytes come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum From {
    /// The disk, past the cache: opening believes nothing else.
    Disk,
    /// The cache: the file was synced by this process, or the disk was read before.
    Cache,
}

/// Reads a file in windows. A block that cannot be read counts as zeros and is remembered.
pub(super) struct Pages {
    file: Arc<dyn File>,
    from: From,
    length: u64,
    start: u64,
    window: Vec<u8>,
    verified: bool,
    unreadable: Vec<u64>,
}

impl Pages {
    /// Over a whole file.
    pub(super) fn new(file: Arc<dyn File>, from: From) -> io::Result<Pages> {
        let length = file.len()?;
        Ok(Pages { file, from, length, start: 0, window: Vec::new(), verified: true, unreadable: Vec::new() })
    }

    /// Nothing behind `length` is looked at.
    pub(super) fn cut(mut self, length: u64) -> Pages {
        self.length = self.length.min(length);
        self
    }

    /// The file's length.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Whether everything read came from the disk itself.
    pub(super) fn verified(&self) -> bool {
        self.verified
    }

    /// Whether a block of the range could not be read.
    pub(super) fn is_unreadable(&self, position: u64, length: u64) -> bool {
        let end = position.saturating_add(length);
        self.unreadable.iter().any(|&block| block < end && position < block + BLOCK_BYTES as u64)
    }

    /// Up to the first `length` bytes of the file, and no more than these: for files of which little else is read.
    pub(super) fn head(&mut self, length: usize) -> io::Result<Vec<u8>> {
        let whole = self.length;
        self.length = whole.min(length as u64);
        let head = self.get(0, length).map(<[u8]>::to_vec);
        self.length = whole;
        head
    }

    /// Up to `length` bytes from `position`; fewer only at the end of the file.
    pub(super) fn get(&mut self, position: u64, length: usize) -> io::Result<&[u8]> {
        let length =
            usize::try_from(self.length.saturating_sub(position)).map_or(length, |left| left.min(length));
        let end = position + length as u64;
        if position < self.start || end > self.start + self.window.len() as u64 {
            self.fill(position, length.max(WINDOW_BYTES))?;
        }
        let from = usize::try_from(position - self.start).unwrap_or(usize::MAX).min(self.window.len());
        let to = (from + length).min(self.window.len());
        Ok(&self.window[from..to])
    }

    /// Where `needle` begins next, at or behind `position`.
    pub(super) fn find(&mut self, needle: [u8; 4], position: u64) -> io::Result<Option<u64>> {
        let mut at = position;
        while at + 4 <= self.length {
            let window = self.get(at, WINDOW_BYTES)?;
            if window.len() < 4 {
                return Ok(None);
            }
            if let Some(found) = window.windows(4).position(|bytes| bytes == needle) {
                return Ok(Some(at + found as u64));
            }
            at += window.len() as u64 - 3;
        }
        Ok(None)
    }

    fn fill(&mut self, position: u64, length: usize) -> io::Result<()> {
        let left = usize::try_from(self.length - position.min(self.length)).unwrap_or(usize::MAX);
        let length = length.min(left);
        self.start = position;
        self.window = match self.fetch(position, length) {
            Ok(window) => window,
            Err(error) if is_bad_sector(&error) => self.fetch_blocks(position, length)?,
            Err(error) => return Err(error),
        };
        Ok(())
    }

    fn fetch(&mut self, position: u64, length: usize) -> io::Result<Vec<u8>> {
        match self.from {
            From::Disk => {
                let (bytes, verified) = self.file.read_disk(position, length)?;
                self.verified &= verified;
                Ok(bytes)
            }
            From::Cache => {
                let mut bytes = vec![0; length];
                let read = self.file.read_at(&mut bytes, position)?;
                bytes.truncate(read);
                Ok(bytes)
            }
        }
    }

    fn fetch_blocks(&mut self, position: u64, length: usize) -> io::Result<Vec<u8>> {
        let end = position + length as u64;
        let mut bytes = Vec::with_capacity(length);
        while bytes.len() < length {
            let at = position + bytes.len() as u64;
            // Blocks are aligned, so that one bad sector costs one block.
            let next = (at / BLOCK_BYTES as u64 + 1) * BLOCK_BYTES as u64;
            let step = (next.min(end) - at) as usize;
            match self.fetch(at, step) {
                Ok(block) if block.is_empty() => break,
                Ok(block) => bytes.extend_from_slice(&block),
                Err(error) if is_bad_sector(&error) => {
                    self.unreadable.push(next - BLOCK_BYTES as u64);
                    bytes.resize(bytes.len() + step, 0);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(bytes)
    }
}

/// Whether the disk does not give these bytes: `EIO` from a read, `EFAULT` where a page of a map cannot be brought in.
/// Anything else is an error of the call.
pub(super) fn is_bad_sector(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let bad = [Errno::IO, Errno::FAULT, Errno::HWPOISON].map(Errno::raw_os_error);
    error.raw_os_error().is_some_and(|code| bad.contains(&code))
}
