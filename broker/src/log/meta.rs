//! The meta log: terms, votes, configurations and marks of all partitions of a data folder.
//!
//! One file of records, each the whole [`PartitionMeta`] of one partition. When it has grown, the newest record of
//! each partition goes to the other file, strictly in turns: `meta.a` has the odd sequences, `meta.b` the even ones.
//! The new file is whole and synced before the header of the old one is cleared, and it takes no further record before
//! that: so an older file that is still valid never misses anything.

mod apply;
mod record;

use std::collections::BTreeMap;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use record::{Encoder, Found, HEADER_BYTES, Header, Scan};

use super::{File, Fs, MetaChange, OpenMode, PartitionMeta, is_no_space, paths};
use crate::ids::{PartitionId, ReplicaId};

/// A file past this size is rewritten, unless most of it is still live.
pub const META_REWRITE_BYTES: u64 = 4 * 1024 * 1024;

/// Room taken ahead, so that a full disk never stops the meta log.
const ROOM_AHEAD: u64 = 1024 * 1024;

/// The largest file that is read: more than a million partitions.
const FILE_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// Why a meta log cannot be opened. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Bytes that were synced do not validate.
    #[error(
        "meta log {} is damaged at byte {position}: {why}; it holds votes that cannot be guessed: restore the data \
         folder, or start with an empty one and let the broker join as a new node", file.display()
    )]
    Damaged {
        /// The file.
        file: PathBuf,
        /// Where, in bytes.
        position: u64,
        /// What is wrong there.
        why: &'static str,
    },
    /// There are logs and no meta log.
    #[error(
        "{} has topics and no meta log (meta.a, meta.b): restore the data folder, or start with an empty one and let \
         the broker join as a new node", root.display()
    )]
    Missing {
        /// The data folder.
        root: PathBuf,
    },
    /// Another version wrote the file.
    #[error("meta log {} has format {found}, this broker reads {}: start a newer broker", file.display(), record::VERSION)]
    Version {
        /// The file.
        file: PathBuf,
        /// Its version.
        found: u32,
    },
    /// The disk failed, or is full at the first start.
    #[error("meta log {}: {source}; look at the disk before starting again", file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// The meta log, open. One thread owns it.
pub struct MetaLog {
    fs: Arc<dyn Fs>,
    root: PathBuf,
    rewrite_bytes: u64,
    partitions: BTreeMap<PartitionId, PartitionMeta>,
    file: Arc<dyn File>,
    /// The header of the file in use.
    header: Header,
    /// Where the next record goes.
    end: u64,
    /// Up to where a completed sync covers the file.
    synced: u64,
    /// Up to where the file has room.
    room: u64,
    /// Past this the file is rewritten.
    limit: u64,
    chain: u32,
    next_record: u64,
    verified: bool,
    failed: bool,
}

impl MetaLog {
    /// Opens the meta log of a data folder, or makes it where there are neither files nor topics.
    ///
    /// Reads the disk and not the cache, cuts a torn tail, and returns with everything synced.
    pub fn open(fs: Arc<dyn Fs>, root: &Path) -> Result<MetaLog, Error> {
        MetaLog::open_with(fs, root, META_REWRITE_BYTES)
    }

    /// What the meta log of a data folder says, for tools: read through the cache, nothing is changed, and what does
    /// not validate is left out.
    ///
    /// # Errors
    /// From the disk.
    pub fn peek(fs: &dyn Fs, root: &Path) -> io::Result<BTreeMap<PartitionId, PartitionMeta>> {
        open::peek(fs, root)
    }

    /// As [`MetaLog::open`], rewriting at another size.
    pub fn open_with(fs: Arc<dyn Fs>, root: &Path, rewrite_bytes: u64) -> Result<MetaLog, Error> {
        open::open(fs, root, rewrite_bytes)
    }

    /// What is known of each partition, with all changes that were appended. Deleted ones stay, marked `removed`.
    pub fn partitions(&self) -> &BTreeMap<PartitionId, PartitionMeta> {
        &self.partitions
    }

    /// The replicas that were here and are deleted.
    pub fn deleted(&self) -> BTreeMap<PartitionId, ReplicaId> {
        let deleted = self.partitions.iter().filter(|(_, meta)| meta.removed);
        deleted.map(|(partition, meta)| (*partition, ReplicaId(meta.replica_id))).collect()
    }

    /// Whether opening could read the disk and not the cache.
    pub fn verified(&self) -> bool {
        self.verified
    }

    /// Whether there are records that no sync covers yet.
    pub fn is_dirty(&self) -> bool {
        self.synced < self.end
    }

    /// Appends changes, in order, without a sync. A partition that changes several times gets one record.
    ///
    /// # Errors
    /// `InvalidInput` for a change that cannot be, everything else from the disk. Each is final: the log takes
    /// nothing more.
    pub fn append(&mut self, changes: &[MetaChange]) -> io::Result<()> {
        if changes.is_empty() {
            return Ok(());
        }
        self.guarded(|log| {
            let mut changed = BTreeMap::new();
            for change in changes {
                let before = changed.remove(&change.partition);
                let before = before.or_else(|| log.partitions.get(&change.partition).cloned());
                changed.insert(change.partition, apply::apply(before, change)?);
            }
            changed.values().try_for_each(record::check_size)?;
            let bytes: u64 = changed.values().map(record::record_bytes).sum();
            if log.end + bytes > log.limit {
                log.limit = log.rewrite_bytes.max(2 * log.live_bytes());
            }
            let grown = log.end + bytes > log.limit;
            let written = if grown { None } else { log.write(&changed)? };
            log.partitions.append(&mut changed);
            if written.is_none() { log.rewrite() } else { Ok(()) }
        })
    }

    /// Makes all records durable.
    ///
    /// # Errors
    /// From the disk, and final: the log takes nothing more.
    pub fn sync(&mut self) -> io::Result<()> {
        self.guarded(|log| {
            if log.is_dirty() {
                log.file.sync()?;
                log.synced = log.end;
            }
            Ok(())
        })
    }

    /// Runs what must not be tried again once it failed.
    fn guarded(&mut self, run: impl FnOnce(&mut MetaLog) -> io::Result<()>) -> io::Result<()> {
        if self.failed {
            return Err(io::Error::other("the meta log failed before; only a restart reads what it holds"));
        }
        self.failed = true;
        run(self)?;
        self.failed = false;
        Ok(())
    }

    /// Writes records behind the others; `None` where the file has no room and the disk gives none.
    fn write(&mut self, changed: &BTreeMap<PartitionId, PartitionMeta>) -> io::Result<Option<()>> {
        let mut records = Vec::new();
        let mut encoder = self.encoder();
        for (partition, meta) in changed {
            encoder.push(&mut records, *partition, meta);
        }
        let end = self.end + records.len() as u64;
        if end > self.room {
            match self.file.allocate(end + ROOM_AHEAD) {
                Ok(()) => self.room = end + ROOM_AHEAD,
                Err(error) if is_no_space(&error) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        self.file.write_at(&[IoSlice::new(&records)], self.end)?;
        (self.end, self.chain, self.next_record) = (end, encoder.chain, encoder.next);
        Ok(Some(()))
    }

    /// Moves to the other file: whole and synced, then its name, then the old header is cleared.
    fn rewrite(&mut self) -> io::Result<()> {
        let sequence = self.header.sequence + 1;
        let bytes = self.live_bytes();
        let header = Header { sequence, first_record: self.next_record, live_bytes: bytes };
        let (head, chain) = header.encode();
        let mut content = Vec::with_capacity(HEADER_BYTES + bytes as usize);
        content.extend_from_slice(&head);
        let mut encoder =
            Encoder { header, chain, next: self.next_record, synced: HEADER_BYTES as u64 + bytes };
        for (partition, meta) in &self.partitions {
            encoder.push(&mut content, *partition, meta);
        }
        let file = open::open_or_create(&*self.fs, &paths::meta_path(&self.root, sequence))?;
        let end = content.len() as u64;
        let room = open::take_room(&*file, self.rewrite_bytes.max(end) + ROOM_AHEAD, end)?;
        file.write_at(&[IoSlice::new(&content)], 0)?;
        file.sync()?;
        self.fs.sync_dir(&self.root)?;
        open::clear_header(&*self.file)?;
        self.limit = self.rewrite_bytes.max(2 * (HEADER_BYTES as u64 + bytes));
        (self.file, self.header, self.room) = (file, header, room);
        (self.end, self.synced) = (end, end);
        (self.chain, self.next_record) = (encoder.chain, encoder.next);
        Ok(())
    }

    fn encoder(&self) -> Encoder {
        Encoder { header: self.header, chain: self.chain, next: self.next_record, synced: self.synced }
    }

    fn live_bytes(&self) -> u64 {
        self.partitions.values().map(record::record_bytes).sum()
    }
}

mod open;

#[cfg(test)]
mod tests;
