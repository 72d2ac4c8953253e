//! Bytes: one partition's log on disk. Blocking, no async, no Raft, no wire.

mod disk;
mod disk_fs;
mod entry;
mod fatal;
mod folder;
mod fs;
pub mod meta;
mod meta_change;
mod mmap;
pub mod paths;
mod round;
pub mod segment;
pub mod snapshot;

pub use disk::Disk;
pub use disk_fs::DiskFs;
pub use entry::{Entry, Kind};
pub use fatal::{Fatal, is_no_space};
pub use folder::{Folder, FolderError, Identity};
pub use fs::{File, Fs, Map, OpenMode};
pub use meta::MetaLog;
pub use meta_change::{MetaChange, MetaField, PartitionMeta, Voters};
pub use round::{Job, JobDone, LogStart, Round, RoundDone, SyncFile};
pub use snapshot::{SnapshotError, read_snapshot};

/// The bytes of a frame before its payload.
pub const FRAME_HEADER_BYTES: usize = 72;
