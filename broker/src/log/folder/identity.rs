//! The identity file: a few lines of text, so that a person can read it, the last one a checksum of the others.

use std::fs;
use std::io::{self, Read, Write};
use std::path::Path;

use uuid::Uuid;

use super::{FolderError, sync};
use crate::ids::{NodeId, ReplicaId};
use crate::log::paths;

/// The format of the data folder that this broker writes and reads.
pub(super) const FORMAT: u32 = 1;

/// The longest file that is read.
const BYTES_MAX: u64 = 64 * 1024;

/// Who a data folder is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// This folder: a new one is a new node.
    pub node_uuid: Uuid,
    /// Where it belongs; nowhere while its broker looks for its cluster. It never changes.
    pub home: Option<Home>,
}

/// A node's place in a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    /// The cluster.
    pub cluster_id: Uuid,
    /// The node's number.
    pub node_id: NodeId,
    /// Its replica of the control partition.
    pub control: ReplicaId,
    /// The nodes that the cluster began with, in the order of their numbers: identity and HOST:PORT of the peer
    /// listener. None where this one joined later.
    pub founders: Vec<(Uuid, String)>,
    /// Nodes to begin with where this one joined later.
    pub contacts: Vec<(NodeId, String)>,
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
        let mut lines = format!("caudal data folder, format {FORMAT}\nnode-uuid {}\n", self.node_uuid);
        if let Some(home) = &self.home {
            let Home { cluster_id, node_id, control, founders, contacts } = home;
            lines += &format!("cluster {cluster_id}\nnode-id {node_id}\ncontrol-replica {control}\n");
            lines.extend(founders.iter().map(|(uuid, address)| format!("founder {uuid} {address}\n")));
            lines.extend(contacts.iter().map(|(node, address)| format!("contact {node} {address}\n")));
        }
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
    let mut lines = lines.lines().peekable();
    let mut value = |key: &str| {
        let line = lines.next_if(|line| line.starts_with(key)).and_then(|line| line.strip_prefix(key));
        line.ok_or(Wrong::Text(format!("it has no {:?} where that belongs", key.trim())))
    };
    match value("caudal data folder, format ")?.parse() {
        Ok(FORMAT) => {}
        Ok(other) => return Err(Wrong::Format(other)),
        Err(_) => return Err(wrong("its format is no number")),
    }
    let uuid = |text: &str| Uuid::parse_str(text).map_err(|_| Wrong::Text(format!("{text:?} is no UUID")));
    let node = |text: &str| text.parse().map(NodeId).map_err(|_| wrong("a node id is no number"));
    let pair = |text: &str| {
        let pair = text.split_once(' ').map(|(id, address)| (id.to_owned(), address.to_owned()));
        pair.ok_or(wrong("a node has no address"))
    };
    let node_uuid = uuid(value("node-uuid ")?)?;
    let Ok(cluster) = value("cluster ") else {
        return match lines.next() {
            None => Ok(Identity { node_uuid, home: None }),
            Some(line) => Err(Wrong::Text(format!("{line:?} is not known here"))),
        };
    };
    let mut home = Home {
        cluster_id: uuid(cluster)?,
        node_id: node(value("node-id ")?)?,
        control: ReplicaId(
            value("control-replica ")?.parse().map_err(|_| wrong("a replica id is no number"))?,
        ),
        founders: Vec::new(),
        contacts: Vec::new(),
    };
    while let Ok(founder) = value("founder ") {
        let (id, address) = pair(founder)?;
        home.founders.push((uuid(&id)?, address));
    }
    while let Ok(contact) = value("contact ") {
        let (id, address) = pair(contact)?;
        home.contacts.push((node(&id)?, address));
    }
    match lines.next() {
        None => Ok(Identity { node_uuid, home: Some(home) }),
        Some(line) => Err(Wrong::Text(format!("{line:?} is not known here"))),
    }
}
