//! Who a broker is, and with whom its cluster began.

use crate::ids::{NodeId, ReplicaId};
use crate::state::{FIRST_CONTROL_REPLICA, FIRST_NODE};

/// Who a broker is.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The identity in its data folder.
    pub node_uuid: uuid::Uuid,
    /// HOST:PORT of its gRPC listener, as clients reach it.
    pub address: String,
    /// HOST:PORT of its peer listener, as other brokers reach it.
    pub peer_address: String,
    /// Where its machine stands.
    pub rack: Option<String>,
    /// Its number.
    pub node: NodeId,
    /// Its replica of the control partition.
    pub control: ReplicaId,
    /// The brokers that the cluster began with, in the order of their numbers; none where this one joined it later.
    pub founders: Vec<Founder>,
}

/// A broker that its cluster began with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Founder {
    /// The identity in its data folder.
    pub uuid: uuid::Uuid,
    /// HOST:PORT of its peer listener.
    pub peer_address: String,
}

impl Identity {
    /// A broker that is a cluster alone.
    pub fn alone(node_uuid: uuid::Uuid, address: String) -> Identity {
        Identity {
            node_uuid,
            address,
            peer_address: String::new(),
            rack: None,
            node: FIRST_NODE,
            control: FIRST_CONTROL_REPLICA,
            founders: vec![Founder { uuid: node_uuid, peer_address: String::new() }],
        }
    }
}
