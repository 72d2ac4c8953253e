//! A broker of the cluster, as the catalog knows it.

use uuid::Uuid;

use crate::ids::NodeId;

/// A broker that has registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its number, from 1, never given twice.
    pub id: NodeId,
    /// The identity in its data folder: an emptied folder is another broker.
    pub uuid: Uuid,
    /// HOST:PORT of its gRPC listener, as clients reach it.
    pub address: String,
    /// The newest command level that it knows.
    pub level: u32,
}
