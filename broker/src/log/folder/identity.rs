//! The identity file: five lines of text, so that a person can read it, the last one a checksum of the others.

use std::fs;
use std::io::{self, Read, Write};
use std::path::Path;

use uuid::Uuid;

use super::{FolderError, sync};
use crate::ids::NodeId;
use crate::log::paths;

/// The format of the data folder that this broker writes and reads.
pub(super) const FORMAT: u32 = 1;

/// The longest file that is read.
const BYTES_MAX: u64 = 4096;

/// Who a data folder is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The cluster it belongs to.
    pub cluster_id: Uuid,
    /// This folder: a new one is a new node.
    pub node_uuid: Uuid,
    /// The node's number in the cluster, once it has one.
    pub node_id: Option<NodeId>,
}

impl Identity {
    /// Reads the identity of a data folder, without a lock; `None` where there is none.
    ///
    /// # Errors
    /// `Version`, `Damaged`, or from the disk.
    pub fn read(root: &Path) -> Result<Option<Identity>, FolderError> {
        let path = paths::identity_path(root);
        let mut text = String::new();
        let read = fs::File::open(&path).and_then(|file| file.take(BYTES_MAX).read_to_string(&mut text));
        match read {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                return Err(FolderError::Damaged { file: path, why: "it is not text".to_owned() });
            }
            Err(source) => return Err(FolderError::Io { file: path, source }),
        }
        match parse(&text) {
            Ok(identity) => Ok(Some(identity)),
            Err(Wrong::Format(found)) => Err(FolderError::Version { root: root.to_owned(), found }),
            Err(Wrong::Text(why)) => Err(FolderError::Damaged { file: path, why }),
        }
    }

    /// Writes the file durably: under another name, sync, rename, sync of the folder.
    pub(super) fn write(&self, root: &Path) -> Result<(), FolderError> {
        let path = paths::identity_path(root);
        let unfinished = paths::unfinished(&path);
        let written = fs::File::create(&unfinished)
            .and_then(|mut file| file.write_all(self.to_text().as_bytes()).and_then(|()| file.sync_all()))
            .and_then(|()| fs::rename(&unfinished, &path));
        written.map_err(|source| FolderError::Io { file: path, source })?;
        sync(root)
    }

    fn to_text(&self) -> String {
        let node = self.node_id.map_or("none".to_owned(), |id| id.to_string());
        let lines = format!(
            "caudal data folder, format {FORMAT}\ncluster {}\nnode-uuid {}\nnode-id {node}\n",
            self.cluster_id, self.node_uuid
        );
        let sum = crc32fast::hash(lines.as_bytes());
        format!("{lines}crc32 {sum:08x}\n")
    }
}

enum Wrong {
    Format(u32),
    Text(String),
}

fn parse(text: &str) -> Result<Identity, Wrong> {
    let wrong = |why: &str| Wrong::Text(why.to_owned());
    let sum_at = text.rfind("crc32 ").ok_or(wrong("it has no checksum"))?;
    let (lines, sum) = text.split_at(sum_at);
    if sum != format!("crc32 {:08x}\n", crc32fast::hash(lines.as_bytes())) {
        return Err(wrong("its checksum does not hold"));
    }
    let mut lines = lines.lines();
    let mut value = |key: &str| {
        let line = lines.next().and_then(|line| line.strip_prefix(key));
        line.ok_or(Wrong::Text(format!("it has no {:?} where that belongs", key.trim())))
    };
    match value("caudal data folder, format ")?.parse() {
        Ok(FORMAT) => {}
        Ok(other) => return Err(Wrong::Format(other)),
        Err(_) => return Err(wrong("its format is no number")),
    }
    let uuid = |text: &str| Uuid::parse_str(text).map_err(|_| Wrong::Text(format!("{text:?} is no UUID")));
    let cluster_id = uuid(value("cluster ")?)?;
    let node_uuid = uuid(value("node-uuid ")?)?;
    let node_id = match value("node-id ")? {
        "none" => None,
        number => Some(NodeId(number.parse().map_err(|_| wrong("its node id is no number"))?)),
    };
    Ok(Identity { cluster_id, node_uuid, node_id })
}
