//! Open files and their maps.

use std::io::{self, IoSlice};
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use caudal_broker::log::{File, Map};

use super::state::{State, Step, power_cut};
use super::{LyingFs, Op};

/// What Linux says of a sector that the disk does not give.
const EIO: i32 = 5;

/// A file, open since the last crash.
pub(super) struct OpenFile {
    pub(super) fs: LyingFs,
    pub(super) file: u64,
    pub(super) epoch: u64,
    pub(super) path: PathBuf,
    pub(super) writable: bool,
}

impl OpenFile {
    fn run<T>(&self, run: impl FnOnce(&mut State) -> io::Result<T>) -> io::Result<T> {
        let mut state = self.fs.state();
        if state.epoch != self.epoch {
            return Err(io::Error::other("the file was opened before a crash"));
        }
        run(&mut state)
    }

    fn change<T>(&self, run: impl FnOnce(&mut State) -> io::Result<T>) -> io::Result<T> {
        if !self.writable {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        self.run(run)
    }

    fn show(&self) -> std::path::Display<'_> {
        self.path.display()
    }

    fn fail_unreadable(&self, state: &mut State, position: u64, length: usize) -> io::Result<()> {
        match state.step(Op::Read, &self.path, String::new)? {
            Step::Goes => {}
            Step::Fails(fault) => return Err(fault.into()),
            Step::Cut => return Err(power_cut()),
        }
        let end = position.saturating_add(length as u64);
        if state.content(self.file).unreadable.touches(position, end) {
            return Err(io::Error::from_raw_os_error(EIO));
        }
        Ok(())
    }
}

impl File for OpenFile {
    fn write_at(&self, slices: &[IoSlice<'_>], position: u64) -> io::Result<()> {
        let bytes: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
        let end = position + bytes.len() as u64;
        self.change(|state| {
            let what = || format!("write {} {position}..{end}", self.show());
            let step = state.step(Op::Write, &self.path, what)?;
            if let Some((from, to)) = state.content(self.file).slice_in(position, end) {
                let text = format!("{}: {position}..{end} is written, {from}..{to} is held", self.show());
                state.violation(text);
            }
            match step {
                Step::Goes => {
                    state.take_room(self.file, end)?;
                    state.content(self.file).write(position, &bytes);
                    Ok(())
                }
                Step::Cut => {
                    state.write_part(self.file, position, &bytes);
                    Err(power_cut())
                }
                Step::Fails(fault) => {
                    state.write_part(self.file, position, &bytes);
                    Err(fault.into())
                }
            }
        })
    }

    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        self.run(|state| {
            self.fail_unreadable(state, position, buffer.len())?;
            Ok(state.content(self.file).cached.read(position, buffer))
        })
    }

    fn read_disk(&self, position: u64, length: usize) -> io::Result<(Vec<u8>, bool)> {
        self.run(|state| {
            self.fail_unreadable(state, position, length)?;
            if state.content(self.file).is_dirty() {
                let text = format!("{}: the disk is read before a sync", self.show());
                state.violation(text);
            }
            let direct = state.direct_reads;
            let content = state.content(self.file);
            if direct {
                content.drop_cache();
            }
            let bytes = content.read_past_cache(position, length, direct);
            content.know(position, &bytes);
            Ok((bytes, direct))
        })
    }

    fn sync(&self) -> io::Result<()> {
        self.run(|state| match state.step(Op::Sync, &self.path, || format!("sync {}", self.show()))? {
            Step::Goes => {
                state.content(self.file).sync();
                Ok(())
            }
            Step::Cut => Err(power_cut()),
            Step::Fails(fault) => {
                let mut random = state.random.clone();
                state.content(self.file).fail_sync(&mut random);
                state.random = random;
                Err(fault.into())
            }
        })
    }

    fn allocate(&self, length: u64) -> io::Result<()> {
        self.change(|state| {
            let what = || format!("allocate {} {length}", self.show());
            state.all_or_nothing((Op::Allocate, &self.path), what, |state| {
                state.take_room(self.file, length)?;
                let content = state.content(self.file);
                if content.cached.length < length {
                    content.extend(length);
                }
                Ok(())
            })
        })
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.change(|state| {
            let what = || format!("set length {} {length}", self.show());
            if let Some((from, to)) = state.content(self.file).slice_in(length, u64::MAX) {
                let text = format!("{}: cut at {length}, {from}..{to} is held", self.show());
                state.violation(text);
            }
            state.all_or_nothing((Op::SetLength, &self.path), what, |state| {
                let content = state.content(self.file);
                content.room = content.room.min(length);
                state.take_room(self.file, length)?;
                state.content(self.file).set_length(length);
                Ok(())
            })
        })
    }

    fn len(&self) -> io::Result<u64> {
        self.run(|state| {
            self.fail_unreadable(state, 0, 0)?;
            Ok(state.content(self.file).cached.length)
        })
    }

    fn map(&self, length: u64) -> io::Result<Arc<dyn Map>> {
        self.run(|state| self.fail_unreadable(state, 0, 0))?;
        let (fs, path) = (self.fs.clone(), self.path.clone());
        Ok(Arc::new(OpenMap { file: OpenFile { fs, path, writable: false, ..*self }, length }))
    }
}

struct OpenMap {
    file: OpenFile,
    length: u64,
}

impl Map for OpenMap {
    fn slice(&self, position: u64, length: usize) -> Bytes {
        let end = position + length as u64;
        assert!(end <= self.length, "{}: a slice to {end} of a map of {}", self.file.show(), self.length);
        let mut bytes = vec![0; length];
        let number = self.file.run(|state| {
            let content = state.content(self.file.file);
            content.cached.read(position, &mut bytes);
            if let Some(why) = content.forbids_slice(position, end) {
                let text = format!("{}: a slice of {position}..{end}: {why}", self.file.show());
                state.violation(text);
            }
            Ok(state.new_slice(self.file.file, position, end))
        });
        let number = number.unwrap_or(0); // after a crash nobody watches
        let (fs, file, epoch) = (self.file.fs.clone(), self.file.file, self.file.epoch);
        Bytes::from_owner(Slice { bytes, fs, file, epoch, number })
    }

    fn populate(&self, position: u64, length: usize) -> io::Result<()> {
        self.file.run(|state| {
            self.file.fail_unreadable(state, position, length)?;
            let end = position.saturating_add(length as u64);
            if end > self.length || end > state.content(self.file.file).cached.length {
                return Err(io::Error::other("beyond the end of the file"));
            }
            Ok(())
        })
    }
}

/// Bytes of a map that someone holds.
struct Slice {
    bytes: Vec<u8>,
    fs: LyingFs,
    file: u64,
    epoch: u64,
    number: u64,
}

impl AsRef<[u8]> for Slice {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Slice {
    fn drop(&mut self) {
        let mut state = self.fs.state();
        if state.epoch == self.epoch {
            state.content(self.file).slices.remove(&self.number);
        }
    }
}
