//! The data folder: whose it is, and that only one broker uses it.

mod identity;

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use uuid::Uuid;

pub use identity::{Home, Identity};

use super::paths;
use crate::ids::NodeId;

/// What may lie in a folder that is not a data folder yet: what a start that was cut short left, and what a new file
/// system has.
const NOBODYS: &[&str] = &["LOCK", "identity.tmp", "lost+found"];

/// Why a data folder cannot be used. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// A file, or something below a file.
    #[error("{} is not a folder: name another as data.dir", root.display())]
    NotAFolder {
        /// The path.
        root: PathBuf,
    },
    /// It cannot be written.
    #[error("the data folder {} cannot be written ({source}): give this user the right to, or name another as data.dir", root.display())]
    NotWritable {
        /// The folder.
        root: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Other things lie in it.
    #[error(
        "{} is not empty (there is {found:?}) and has no identity file, so it is no data folder: name an empty or a \
         new one as data.dir, or restore the file `identity`", root.display()
    )]
    NotOurs {
        /// The folder.
        root: PathBuf,
        /// The first thing in it.
        found: String,
    },
    /// Another version made it.
    #[error("the data folder {} has format {found}, this broker reads {}: start the broker that fits", root.display(), identity::FORMAT)]
    Version {
        /// The folder.
        root: PathBuf,
        /// Its format.
        found: u32,
    },
    /// The identity does not validate.
    #[error("{} is damaged ({why}): restore it, or start with an empty data folder and let the broker join as a new node", file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// Another broker runs on it.
    #[error("the data folder {} is in use by {}: stop that one, or name another as data.dir", root.display(), holder(*pid))]
    InUse {
        /// The folder.
        root: PathBuf,
        /// The other one's process id, where it is known.
        pid: Option<u32>,
    },
    /// It is another node's.
    #[error("the data folder {} belongs to node {has} of its cluster, not to node {asked}", root.display())]
    OtherNode {
        /// The folder.
        root: PathBuf,
        /// The node it belongs to.
        has: NodeId,
        /// The one asked for.
        asked: NodeId,
    },
    /// The disk failed.
    #[error("{}: {source}", file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or("another process".to_owned(), |pid| format!("process {pid}"))
}

/// A data folder, locked until this is dropped.
#[derive(Debug)]
pub struct Folder {
    root: PathBuf,
    identity: Identity,
    _lock: fs::File,
}

impl Folder {
    /// Opens and locks a data folder; an empty or missing one becomes the data folder of a node with the id given, which
    /// belongs to no cluster yet.
    ///
    /// # Errors
    /// See [`FolderError`].
    pub fn open(root: &Path, node_uuid: Uuid) -> Result<Folder, FolderError> {
        make(root)?;
        let known = Identity::read(root)?;
        if known.is_none() {
            nothing_in_it(root)?;
        }
        let lock = lock(root)?;
        // Another broker may have made it one until the lock was ours.
        let identity = match Identity::read(root)? {
            Some(identity) => identity,
            None => {
                nothing_in_it(root)?;
                let new = Identity { node_uuid, home: None };
                new.write(root)?;
                new
            }
        };
        Ok(Folder { root: root.to_owned(), identity, _lock: lock })
    }

    /// Where it is.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Who it is.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Writes down, durably, where it belongs. It stays there.
    ///
    /// # Errors
    /// `OtherNode` when it belongs elsewhere already; from the disk.
    pub fn settle(&mut self, home: &Home) -> Result<(), FolderError> {
        match &self.identity.home {
            Some(has) if has == home => Ok(()),
            Some(has) => {
                let (has, asked) = (has.node_id, home.node_id);
                Err(FolderError::OtherNode { root: self.root.clone(), has, asked })
            }
            None => {
                let settled = Identity { home: Some(home.clone()), ..self.identity.clone() };
                settled.write(&self.root)?;
                self.identity = settled;
                Ok(())
            }
        }
    }
}

/// Makes the folder durably, if it is missing, and checks that it is one and can be written.
fn make(root: &Path) -> Result<(), FolderError> {
    let not_writable = |source| FolderError::NotWritable { root: root.to_owned(), source };
    match fs::metadata(root) {
        Ok(facts) if facts.is_dir() => {}
        Ok(_) => return Err(FolderError::NotAFolder { root: root.to_owned() }),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            return Err(FolderError::NotAFolder { root: root.to_owned() });
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs::create_dir_all(root).map_err(not_writable)?;
            let above = root.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
            sync(above)?;
        }
        Err(source) => return Err(not_writable(source)),
    }
    let access = rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK | rustix::fs::Access::READ_OK;
    rustix::fs::access(root, access).map_err(|errno| not_writable(errno.into()))
}

fn nothing_in_it(root: &Path) -> Result<(), FolderError> {
    let io = |source| FolderError::Io { file: root.to_owned(), source };
    let mut names = Vec::new();
    for entry in fs::read_dir(root).map_err(io)? {
        names.push(entry.map_err(io)?.file_name().to_string_lossy().into_owned());
    }
    names.retain(|name| !NOBODYS.contains(&name.as_str()));
    match names.into_iter().min() {
        None => Ok(()),
        Some(found) => Err(FolderError::NotOurs { root: root.to_owned(), found }),
    }
}

/// Takes the folder's lock and writes down whose it is.
fn lock(root: &Path) -> Result<fs::File, FolderError> {
    let path = paths::lock_path(root);
    let mut file = match fs::File::options().read(true).write(true).create(true).truncate(false).open(&path) {
        Ok(file) => file,
        Err(source) => return Err(FolderError::NotWritable { root: root.to_owned(), source }),
    };
    let io = |source| FolderError::Io { file: path.clone(), source };
    match file.try_lock() {
        Ok(()) => {}
        Err(fs::TryLockError::WouldBlock) => {
            let pid = fs::read_to_string(&path).ok().and_then(|text| text.trim().parse().ok());
            return Err(FolderError::InUse { root: root.to_owned(), pid });
        }
        Err(fs::TryLockError::Error(source)) => return Err(io(source)),
    }
    file.set_len(0).map_err(io)?;
    writeln!(file, "{}", std::process::id()).map_err(io)?;
    Ok(file)
}

fn sync(folder: &Path) -> Result<(), FolderError> {
    let synced = fs::File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(|source| FolderError::Io { file: folder.to_owned(), source })
}

#[cfg(test)]
mod tests;
