//! Maps of files for reading: the one place with `unsafe`.
#![expect(
    unsafe_code,
    reason = "a map is memory that the kernel fills; the crate's only unsafe block makes one"
)]

use std::fs;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;
use memmap2::{Advice, Mmap, MmapOptions};

use super::Map;

/// The first bytes of a file, mapped.
///
/// It lives as long as a slice of it does, also when the file is removed.
pub(super) struct FileMap {
    map: Arc<Mmap>,
    /// The whole map; slices are counted references into it, made without taking memory.
    whole: Bytes,
    file: Arc<fs::File>,
}

struct Owner(Arc<Mmap>);

impl AsRef<[u8]> for Owner {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl FileMap {
    /// Maps the first `length` bytes, also beyond the end of the file.
    pub(super) fn new(file: &Arc<fs::File>, length: u64) -> io::Result<FileMap> {
        let length = usize::try_from(length).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        // SAFETY: the memory must not change while it is borrowed, and must be there when it is read. The log
        // hands out a range only once it is written, never writes it again while a slice of it lives, and never
        // cuts a file below a mapped length (`File::set_len`); the folder's lock keeps other brokers out. What lies
        // beyond the end of the file is mapped and never read.
        let map = Arc::new(unsafe { MmapOptions::new().len(length).map(&**file)? });
        let whole = Bytes::from_owner(Owner(Arc::clone(&map)));
        Ok(FileMap { map, whole, file: Arc::clone(file) })
    }
}

impl Map for FileMap {
    fn slice(&self, position: u64, length: usize) -> Bytes {
        let start = usize::try_from(position).expect("invariant: positions in a map fit the address space");
        self.whole.slice(start..start + length)
    }

    fn populate(&self, position: u64, length: usize) -> io::Result<()> {
        let start = usize::try_from(position).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        if start.checked_add(length).is_none_or(|end| end > self.whole.len()) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        if length == 0 {
            return Ok(());
        }
        match self.map.advise_range(Advice::PopulateRead, start, length) {
            // Kernels before 5.14 do not know the advice.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => self.read_through(position, length),
            done => done,
        }
    }
}

impl FileMap {
    /// Brings a range into the page cache by reading it.
    fn read_through(&self, position: u64, length: usize) -> io::Result<()> {
        let mut buffer = [0; 16 * 1024];
        let (mut at, end) = (position, position + length as u64);
        while at < end {
            let step = buffer.len().min((end - at) as usize);
            self.file.read_exact_at(&mut buffer[..step], at)?;
            at += step as u64;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(bytes: &[u8]) -> Arc<fs::File> {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(bytes, 0).unwrap();
        Arc::new(file)
    }

    #[test]
    fn slices_outlive_map_and_see_later_writes() {
        let file = file(b"first");
        let map = FileMap::new(&file, 1 << 20).unwrap();
        let first = map.slice(0, 5);
        file.write_all_at(b"second", 5).unwrap();
        let second = map.slice(5, 6);
        drop(map);
        assert_eq!((&first[..], &second[..]), (&b"first"[..], &b"second"[..]));
    }

    #[test]
    fn slices_of_one_map_share_its_memory() {
        let map = FileMap::new(&file(b"0123456789"), 10).unwrap();
        let (a, b) = (map.slice(2, 4), map.slice(4, 2));
        assert_eq!(a[2..].as_ptr(), b.as_ptr());
    }

    #[test]
    fn populating_beyond_the_end_is_an_error_and_not_a_signal() {
        let file = file(&[7; 4096]);
        let map = FileMap::new(&file, 1 << 20).unwrap();
        map.populate(0, 4096).unwrap();
        map.populate(100, 0).unwrap();
        assert!(map.populate(8192, 4096).is_err());
        assert!(map.populate(1 << 20, 1).is_err());
        assert!(map.read_through(4000, 200).is_err());
        map.read_through(10, 4086).unwrap();
    }
}
