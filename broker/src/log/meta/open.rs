//! Opening a meta log: sync, read the disk, take the newest whole file, cut the torn tail.

use super::record::Stop;
use super::*;

/// Bytes looked at in one step for what a torn tail left.
const ZEROING_STEP: usize = 4096;

pub(super) fn open(fs: Arc<dyn Fs>, root: &Path, rewrite_bytes: u64) -> Result<MetaLog, Error> {
    let at = |file: &Path, source| Error::Io { file: file.to_owned(), source };
    let (a, b) = (Side::read(&*fs, root, 1)?, Side::read(&*fs, root, 2)?);
    let verified = a.verified && b.verified;
    if a.is_free() && b.is_free() {
        if fs.exists(&paths::topics_dir(root)).map_err(|e| at(root, e))? {
            return Err(Error::Missing { root: root.to_owned() });
        }
        return create(fs, root, rewrite_bytes);
    }
    fs.sync_dir(root).map_err(|e| at(root, e))?;
    let (newest, other) = pick(a, b)?;
    if let Some(file) = &other.file {
        clear_header(&**file).map_err(|e| at(&other.path, e))?;
    }
    let Side { path, file: Some(file), bytes, state: State::Whole(header, scan), .. } = newest else {
        return Err(Error::Missing { root: root.to_owned() });
    };
    cut(&*file, &bytes, scan.end).map_err(|e| at(&path, e))?;
    let room = rewrite_bytes + ROOM_AHEAD;
    prepare_spare(&*fs, &other.path, room).map_err(|e| at(&other.path, e))?;
    let room = take_room(&*file, room, bytes.len() as u64).map_err(|e| at(&path, e))?;
    Ok(MetaLog {
        fs,
        root: root.to_owned(),
        rewrite_bytes,
        partitions: scan.partitions,
        file,
        header,
        end: scan.end,
        synced: scan.end,
        room,
        limit: rewrite_bytes,
        chain: scan.chain,
        next_record: scan.next,
        verified,
        failed: false,
    })
}

/// Makes both files with their room, the first with its header. Only that one need be durable.
fn create(fs: Arc<dyn Fs>, root: &Path, rewrite_bytes: u64) -> Result<MetaLog, Error> {
    let header = Header { sequence: 1, first_record: 1, live_bytes: 0 };
    let (head, chain) = header.encode();
    let room = rewrite_bytes + ROOM_AHEAD;
    let path = paths::meta_path(root, 1);
    let made = open_or_create(&*fs, &path).and_then(|file| {
        file.allocate(room)?;
        file.write_at(&[IoSlice::new(&head)], 0)?;
        file.sync()?;
        Ok(file)
    });
    let file = made.map_err(|source| Error::Io { file: path, source })?;
    let spare = paths::meta_path(root, 2);
    prepare_spare(&*fs, &spare, room).map_err(|source| Error::Io { file: spare, source })?;
    fs.sync_dir(root).map_err(|source| Error::Io { file: root.to_owned(), source })?;
    let end = HEADER_BYTES as u64;
    Ok(MetaLog {
        fs,
        root: root.to_owned(),
        rewrite_bytes,
        partitions: BTreeMap::new(),
        file,
        header,
        end,
        synced: end,
        room,
        limit: rewrite_bytes,
        chain,
        next_record: 1,
        verified: true,
        failed: false,
    })
}

/// One of the two files as the disk has it.
struct Side {
    path: PathBuf,
    file: Option<Arc<dyn File>>,
    bytes: Vec<u8>,
    verified: bool,
    state: State,
}

enum State {
    /// Missing, or cleared.
    Free,
    /// All that was written together with its header is there.
    Whole(Header, Scan),
    /// Not so.
    Unusable(Stop),
}

impl Side {
    fn read(fs: &dyn Fs, root: &Path, sequence: u64) -> Result<Side, Error> {
        let path = paths::meta_path(root, sequence);
        let mut side = Side { path, file: None, bytes: Vec::new(), verified: true, state: State::Free };
        match fs.open(&side.path, OpenMode::ReadWrite) {
            Ok(file) => side.load(file).map_err(|source| Error::Io { file: side.path.clone(), source })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(side),
            Err(source) => return Err(Error::Io { file: side.path, source }),
        }
        side.state = match Header::find(&side.bytes) {
            Found::Empty => State::Free,
            Found::Broken => {
                State::Unusable(Stop { position: 0, why: "the file's header does not validate" })
            }
            Found::Version(found) => return Err(Error::Version { file: side.path, found }),
            Found::Valid(header, _) if header.sequence % 2 != sequence % 2 => {
                State::Unusable(Stop { position: 0, why: "the file has the header of the other one" })
            }
            Found::Valid(header, sum) => match record::scan(&side.bytes, &header, sum) {
                Ok(scan) if scan.end >= HEADER_BYTES as u64 + header.live_bytes => State::Whole(header, scan),
                Ok(scan) => State::Unusable(Stop { position: scan.end, why: "a record does not validate" }),
                Err(stop) => State::Unusable(stop),
            },
        };
        Ok(side)
    }

    /// Syncs the file and reads it from the disk; of a free one, only the header.
    fn load(&mut self, file: Arc<dyn File>) -> io::Result<()> {
        file.sync()?;
        let length = file.len()?;
        if length > FILE_BYTES_MAX {
            return Err(io::Error::other(format!(
                "{length} bytes are more than a meta log has ({FILE_BYTES_MAX})"
            )));
        }
        (self.bytes, self.verified) = file.read_disk(0, HEADER_BYTES)?;
        if Header::find(&self.bytes) != Found::Empty {
            (self.bytes, self.verified) = file.read_disk(0, length as usize)?;
        }
        self.file = Some(file);
        Ok(())
    }

    fn is_free(&self) -> bool {
        matches!(self.state, State::Free)
    }

    fn sequence(&self) -> Option<u64> {
        match &self.state {
            State::Whole(header, _) => Some(header.sequence),
            State::Free | State::Unusable(_) => None,
        }
    }
}

/// The file to go on with, and the other one.
///
/// Where both could be: a rewrite was cut short, before the old file was cleared and thus before the new one took
/// anything that the old one lacks. So the newest whole one has everything.
fn pick(a: Side, b: Side) -> Result<(Side, Side), Error> {
    let (first, second) = if a.sequence() > b.sequence() { (a, b) } else { (b, a) };
    if first.sequence().is_some() {
        return Ok((first, second));
    }
    let broken = if first.is_free() { second } else { first };
    let State::Unusable(Stop { position, why }) = broken.state else {
        return Err(Error::Missing { root: broken.path });
    };
    Err(Error::Damaged { file: broken.path, position, why })
}

/// Clears what lies behind the records, and syncs.
fn cut(file: &dyn File, bytes: &[u8], end: u64) -> io::Result<()> {
    let mut at = end as usize;
    let mut cleared = false;
    while at < bytes.len() {
        let step = &bytes[at..bytes.len().min(at + ZEROING_STEP)];
        if !record::is_zero(step) {
            file.write_at(&[IoSlice::new(&vec![0; step.len()])], at as u64)?;
            cleared = true;
        }
        at += step.len();
    }
    if cleared { file.sync() } else { Ok(()) }
}

/// Marks a file as free: its header becomes zeros, and its room stays.
pub(super) fn clear_header(file: &dyn File) -> io::Result<()> {
    let mut head = [0; HEADER_BYTES];
    let read = file.read_at(&mut head, 0)?;
    if Header::find(&head[..read]) == Found::Empty {
        return Ok(());
    }
    file.write_at(&[IoSlice::new(&[0; HEADER_BYTES])], 0)?;
    file.sync()
}

/// Takes the room of the next rewrite now. Where the disk is full, the rewrite will see.
fn prepare_spare(fs: &dyn Fs, path: &Path, room: u64) -> io::Result<()> {
    match open_or_create(fs, path).and_then(|file| take_room(&*file, room, 0)) {
        Err(error) if !is_no_space(&error) => Err(error),
        _ => Ok(()),
    }
}

/// Takes room up to `wanted`; where the disk is full, what is there must do for `needed`.
pub(super) fn take_room(file: &dyn File, wanted: u64, needed: u64) -> io::Result<u64> {
    let length = file.len()?;
    if length >= wanted {
        return Ok(length);
    }
    match file.allocate(wanted) {
        Ok(()) => Ok(wanted),
        Err(error) if is_no_space(&error) && length >= needed => Ok(length),
        Err(error) => Err(error),
    }
}

pub(super) fn open_or_create(fs: &dyn Fs, path: &Path) -> io::Result<Arc<dyn File>> {
    match fs.open(path, OpenMode::ReadWrite) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => fs.open(path, OpenMode::CreateNew),
        opened => opened,
    }
}

/// What the newest whole file says, through the cache; nothing is written or synced.
pub(super) fn peek(fs: &dyn Fs, root: &Path) -> io::Result<BTreeMap<PartitionId, PartitionMeta>> {
    let mut newest: Option<(u64, BTreeMap<PartitionId, PartitionMeta>)> = None;
    for sequence in [1, 2] {
        let file = match fs.open(&paths::meta_path(root, sequence), OpenMode::Read) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        let mut bytes = vec![0; file.len()?.min(FILE_BYTES_MAX) as usize];
        let read = file.read_at(&mut bytes, 0)?;
        bytes.truncate(read);
        let Found::Valid(header, sum) = Header::find(&bytes) else { continue };
        let Ok(scan) = record::scan(&bytes, &header, sum) else { continue };
        if newest.as_ref().is_none_or(|(other, _)| header.sequence > *other) {
            newest = Some((header.sequence, scan.partitions));
        }
    }
    Ok(newest.map(|(_, partitions)| partitions).unwrap_or_default())
}
