//! The real file system.

use std::fs;
use std::io::{self, IoSlice};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Advice, FallocateFlags, Mode, OFlags};

use super::mmap::FileMap;
use super::{File, Fs, Map, OpenMode};

/// Slices of one `pwritev`: Linux takes no more.
const SLICES_MAX: usize = 1024;

/// What direct reads are aligned to: a page, which no disk asks more than.
const DIRECT_ALIGNMENT: usize = 4096;

/// Bytes of one direct read.
const DIRECT_CHUNK: usize = 1024 * 1024;

/// Files synced at once: a disk with a queue takes them together.
const PARALLEL_SYNCS: usize = 8;

/// The file system of this machine.
#[derive(Debug, Default, Clone, Copy)]
pub struct DiskFs;

impl Fs for DiskFs {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        let mut options = fs::OpenOptions::new();
        options.read(true).write(mode != OpenMode::Read).create_new(mode == OpenMode::CreateNew);
        let file = options.open(path).map_err(full)?;
        Ok(Arc::new(DiskFile { file: Arc::new(file), path: path.to_owned() }))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        fs::create_dir_all(path).map_err(full)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(path)? {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
        names.sort();
        Ok(names)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        path.try_exists()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to).map_err(full)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir_all(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        fs::File::open(path)?.sync_all().map_err(full)
    }

    fn parallel_syncs(&self) -> usize {
        PARALLEL_SYNCS
    }
}

struct DiskFile {
    file: Arc<fs::File>,
    path: PathBuf,
}

impl File for DiskFile {
    fn write_at(&self, slices: &[IoSlice<'_>], position: u64) -> io::Result<()> {
        write_all(slices, position, |rest, at| Ok(rustix::io::pwritev(&self.file, rest, at)?)).map_err(full)
    }

    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        read_full(&self.file, buffer, position)
    }

    fn read_disk(&self, position: u64, length: usize) -> io::Result<(Vec<u8>, bool)> {
        let size = self.len()?;
        let length = size.saturating_sub(position).min(length as u64) as usize;
        rustix::fs::fadvise(&self.file, 0, None, Advice::DontNeed)?;
        if let Some(bytes) = self.read_direct(position, length)? {
            return Ok((bytes, true));
        }
        // The advice may be ignored, and nothing tells for certain: the bytes count as unverified.
        let mut bytes = vec![0; length];
        let read = read_full(&self.file, &mut bytes, position)?;
        bytes.truncate(read);
        Ok((bytes, false))
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_data().map_err(full)
    }

    fn allocate(&self, length: u64) -> io::Result<()> {
        let before = self.len()?;
        if length == 0 {
            return Ok(());
        }
        let room = rustix::io::retry_on_intr(|| {
            rustix::fs::fallocate(&self.file, FallocateFlags::empty(), 0, length)
        });
        let room = match room {
            Err(rustix::io::Errno::OPNOTSUPP) => self.write_zeros(before, length),
            other => other.map_err(io::Error::from),
        };
        if room.is_err() {
            // A part may have been taken: it goes back, so that a refusal changes nothing.
            self.file.set_len(before)?;
        }
        room.map_err(full)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.file.set_len(length).map_err(full)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn map(&self, length: u64) -> io::Result<Arc<dyn Map>> {
        Ok(Arc::new(FileMap::new(&self.file, length)?))
    }
}

impl DiskFile {
    /// Reads around the cache; `None` where the file system refuses that.
    fn read_direct(&self, position: u64, length: usize) -> io::Result<Option<Vec<u8>>> {
        let flags = OFlags::RDONLY | OFlags::DIRECT | OFlags::CLOEXEC;
        let Ok(direct) = rustix::fs::open(&self.path, flags, Mode::empty()) else {
            return Ok(None);
        };
        let direct = fs::File::from(direct);
        let (ours, theirs) = (self.file.metadata()?, direct.metadata()?);
        if (ours.dev(), ours.ino()) != (theirs.dev(), theirs.ino()) {
            return Ok(None); // renamed or replaced since it was opened
        }
        let mut memory = vec![0; DIRECT_CHUNK + DIRECT_ALIGNMENT];
        let shift = memory.as_ptr().align_offset(DIRECT_ALIGNMENT);
        let Some(buffer) = memory.get_mut(shift..shift + DIRECT_CHUNK) else {
            return Ok(None);
        };
        let mut bytes = Vec::with_capacity(length);
        while bytes.len() < length {
            let at = position + bytes.len() as u64;
            let skip = (at % DIRECT_ALIGNMENT as u64) as usize;
            let read = match direct.read_at(buffer, at - skip as u64) {
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => return Ok(None),
                Err(error) => return Err(error),
            };
            let Some(new) = buffer.get(skip..read).filter(|new| !new.is_empty()) else {
                break; // the end of the file
            };
            bytes.extend_from_slice(&new[..new.len().min(length - bytes.len())]);
        }
        Ok(Some(bytes))
    }

    /// Takes room by writing zeros, for file systems that know no other way.
    fn write_zeros(&self, from: u64, to: u64) -> io::Result<()> {
        let zeros = [0; 64 * 1024];
        let mut at = from;
        while at < to {
            let step = (to - at).min(zeros.len() as u64);
            self.file.write_all_at(&zeros[..step as usize], at)?;
            at += step;
        }
        Ok(())
    }
}

/// Writes all the slices through `pwritev`, which may take fewer bytes and slices than it is given.
fn write_all(
    slices: &[IoSlice<'_>],
    mut position: u64,
    mut pwritev: impl FnMut(&[IoSlice<'_>], u64) -> io::Result<usize>,
) -> io::Result<()> {
    let (mut first, mut inside) = (0, 0); // the next byte: slice and place in it
    loop {
        while slices.get(first).is_some_and(|slice| slice.len() == inside) {
            (first, inside) = (first + 1, 0);
        }
        let Some(slice) = slices.get(first) else {
            return Ok(());
        };
        let written = if inside == 0 {
            pwritev(&slices[first..slices.len().min(first + SLICES_MAX)], position)
        } else {
            pwritev(&[IoSlice::new(&slice[inside..])], position)
        };
        let mut written = match written {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => written,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        position += written as u64;
        while let Some(slice) = slices.get(first).filter(|slice| written >= slice.len() - inside) {
            written -= slice.len() - inside;
            (first, inside) = (first + 1, 0);
        }
        inside += written;
    }
}

/// Reads until the buffer is full or the file ends.
fn read_full(file: &fs::File, buffer: &mut [u8], position: u64) -> io::Result<usize> {
    let mut done = 0;
    while done < buffer.len() {
        match file.read_at(&mut buffer[done..], position + done as u64) {
            Ok(0) => break,
            Ok(read) => done += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

/// A used-up quota is a full disk.
fn full(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::QuotaExceeded => io::Error::new(io::ErrorKind::StorageFull, error),
        _ => error,
    }
}

#[cfg(test)]
mod tests;
