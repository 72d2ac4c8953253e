//! A broker of the cluster, as the catalog knows it.

use uuid::Uuid;

use crate::ids::{NodeId, ReplicaId};

/// A broker that has registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its number, from 1, never given twice.
    pub id: NodeId,
    /// The identity in its data folder: an emptied folder is another broker.
    pub uuid: Uuid,
    /// HOST:PORT of its gRPC listener, as clients reach it; empty until it has told.
    pub address: String,
    /// HOST:PORT of its peer listener, as other brokers reach it.
    pub peer_address: String,
    /// Where its machine stands.
    pub rack: Option<String>,
    /// The newest command level that it knows.
    pub level: u32,
    /// Its replica of the control partition.
    pub control: ReplicaId,
    /// It gives its leaderships away and takes no new replicas.
    pub draining: bool,
    /// Its replicas are moved away, and then it is forgotten.
    pub removing: bool,
}

impl Member {
    /// Whether new replicas may go there.
    pub fn takes_replicas(&self) -> bool {
        !self.draining && !self.removing
    }

    /// Whether what it says of itself is known.
    pub fn is(&self, said: &NewMember) -> bool {
        let NewMember { uuid, address, peer_address, rack, level } = said;
        (&self.uuid, &self.address, &self.peer_address, &self.rack, &self.level)
            == (uuid, address, peer_address, rack, level)
    }
}

/// What a broker says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMember {
    /// The identity in its data folder.
    pub uuid: Uuid,
    /// HOST:PORT of its gRPC listener; empty where it has not told yet.
    pub address: String,
    /// HOST:PORT of its peer listener.
    pub peer_address: String,
    /// Where its machine stands.
    pub rack: Option<String>,
    /// The newest command level that it knows.
    pub level: u32,
}
