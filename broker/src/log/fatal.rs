//! What ends the process: a write or sync that failed, or an invariant that does not hold.

use std::io;
use std::path::Path;

/// A failure after which nothing more is written. The process logs it and stops; the next start reads the disk.
///
/// It is never retried: after a failed sync the kernel may show bytes that the disk does not have.
#[derive(Debug, thiserror::Error)]
#[error("{what} failed: {source}; the broker stops and reads the disk at its next start")]
pub struct Fatal {
    /// What failed, and on which file or partition: `sync of segment …`.
    pub what: String,
    /// What the system said.
    #[source]
    pub source: io::Error,
}

impl Fatal {
    /// A failure of `action` (a noun: "sync", "write") on something that names itself.
    pub fn new(action: &str, on: impl std::fmt::Display, source: io::Error) -> Fatal {
        Fatal { what: format!("{action} of {on}"), source }
    }

    /// A failure of `action` on a file.
    pub fn file(action: &str, path: &Path, source: io::Error) -> Fatal {
        Fatal::new(action, path.display(), source)
    }
}

/// Whether an error only says that the disk is full.
pub fn is_no_space(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::StorageFull
}
