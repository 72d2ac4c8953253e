//! The catalog: topics, partitions, replicas, brokers, and the counters of ids. The control partition's state.
//!
//! A clone costs a few reference counts, and a change copies only what it touches: every change can be published to
//! all shards.
//!
//! * `plan.rs`: a request, checked, becomes a command or an answer (`items.rs`: topic by topic; `bounds.rs`: in number);
//! * `apply.rs`: a command changes the catalog (`cluster.rs`: brokers, and where replicas are);
//! * `recover.rs`: partitions whose replicas lost what they had synced;
//! * `snapshot.rs`: the catalog as bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use uuid::Uuid;

use crate::ids::{NodeId, ReplicaId, TopicId};

use super::member::Member;
use super::topic::Topic;

mod apply;
mod bounds;
mod cluster;
mod items;
mod plan;
mod recover;
mod snapshot;
#[cfg(test)]
mod tests;

pub use snapshot::SnapshotError;

/// The replica of the control partition on the broker that a cluster begins with.
pub const FIRST_CONTROL_REPLICA: ReplicaId = ReplicaId(1);

/// The broker that a cluster begins with.
pub const FIRST_NODE: NodeId = NodeId(1);

/// Everything the control partition knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Catalog {
    /// Commands applied that changed something.
    revision: u64,
    by_name: Arc<BTreeMap<Arc<str>, Arc<Topic>>>,
    by_id: Arc<BTreeMap<TopicId, Arc<Topic>>>,
    deleted: Arc<BTreeSet<TopicId>>,
    members: Arc<BTreeMap<NodeId, Member>>,
    /// Partitions and replicas of all topics together.
    partitions: u64,
    replicas: u64,
    next_node: NodeId,
    next_replica: ReplicaId,
    next_producer: i64,
}

/// What a command changed, for those who act on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delta {
    /// A topic is there.
    Created(Arc<Topic>),
    /// A topic has more partitions.
    Grown {
        /// The topic, with them.
        topic: Arc<Topic>,
        /// The first new partition.
        first: i32,
    },
    /// A topic's configuration is another one.
    Configured(Arc<Topic>),
    /// A topic is no more; its id never comes back.
    Deleted(Arc<Topic>),
    /// A broker is known, or what is known of it has changed.
    Registered(Member),
    /// A broker is no more.
    Forgotten(NodeId),
    /// A partition's replicas shall be elsewhere, or are.
    Moved {
        /// The topic, as it is.
        topic: Arc<Topic>,
        /// The topic, as it was.
        before: Arc<Topic>,
        /// The partition.
        partition: i32,
    },
}

impl Default for Catalog {
    /// The catalog of a cluster in which nothing has happened.
    fn default() -> Catalog {
        Catalog {
            revision: 0,
            by_name: Arc::default(),
            by_id: Arc::default(),
            deleted: Arc::default(),
            members: Arc::default(),
            partitions: 0,
            replicas: 0,
            next_node: FIRST_NODE,
            next_replica: FIRST_CONTROL_REPLICA,
            next_producer: 1,
        }
    }
}

impl Catalog {
    /// Rises with every command that changed something.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The topic of this name.
    pub fn topic(&self, name: &str) -> Option<&Arc<Topic>> {
        self.by_name.get(name)
    }

    /// The topic of this id.
    pub fn topic_by_id(&self, id: TopicId) -> Option<&Arc<Topic>> {
        self.by_id.get(&id)
    }

    /// Whether the id was a topic's that is deleted: what is left of it may go.
    pub fn is_deleted(&self, id: TopicId) -> bool {
        self.deleted.contains(&id)
    }

    /// All topics by name, the broker's own too.
    pub fn topics(&self) -> impl ExactSizeIterator<Item = &Arc<Topic>> {
        self.by_name.values()
    }

    /// Partitions of all topics together.
    pub fn partitions(&self) -> u64 {
        self.partitions
    }

    /// The brokers, by number.
    pub fn members(&self) -> impl ExactSizeIterator<Item = &Member> {
        self.members.values()
    }

    /// The number that the next new broker gets.
    pub fn next_node(&self) -> NodeId {
        self.next_node
    }

    /// The broker of this number.
    pub fn member(&self, id: NodeId) -> Option<&Member> {
        self.members.get(&id)
    }

    /// The broker with this identity in its data folder.
    pub fn member_by_uuid(&self, uuid: Uuid) -> Option<&Member> {
        self.members.values().find(|member| member.uuid == uuid)
    }

    /// The newest level of commands that every broker knows; 0 while there is no broker.
    pub fn level(&self) -> u32 {
        self.members.values().map(|member| member.level).min().unwrap_or(0)
    }

    /// Puts a topic in, in place of the one with its id.
    fn put(&mut self, topic: Arc<Topic>) {
        self.take(topic.id);
        self.count(&topic, u64::saturating_add);
        Arc::make_mut(&mut self.by_name).insert(Arc::clone(&topic.name), Arc::clone(&topic));
        Arc::make_mut(&mut self.by_id).insert(topic.id, topic);
    }

    /// Takes a topic out.
    fn take(&mut self, id: TopicId) -> Option<Arc<Topic>> {
        if !self.by_id.contains_key(&id) {
            return None;
        }
        let topic = Arc::make_mut(&mut self.by_id).remove(&id)?;
        Arc::make_mut(&mut self.by_name).remove(&topic.name);
        self.count(&topic, u64::saturating_sub);
        Some(topic)
    }

    fn count(&mut self, topic: &Topic, change: fn(u64, u64) -> u64) {
        let replicas: usize = topic.partitions.iter().map(|partition| partition.all().count()).sum();
        self.partitions = change(self.partitions, topic.partitions.len() as u64);
        self.replicas = change(self.replicas, replicas as u64);
    }
}
