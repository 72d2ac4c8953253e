//! A topic: its partitions, where their replicas are, and its configuration.

use std::sync::Arc;

use crate::ids::{NodeId, PartitionId, ReplicaId, TopicId};

use super::recovery::Heir;
use super::topic_config::{ConfigSource, ConfigValue, Effect, KEYS, TopicConfig, Values};

/// One topic. Never changed in place: a change makes a new one, so that who holds the old one sees it whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topic {
    /// Its id, for as long as it lives.
    pub id: TopicId,
    /// Its name.
    pub name: Arc<str>,
    /// Its partitions, by number.
    pub partitions: Vec<PartitionPlacement>,
    /// What its configuration makes the broker do.
    pub config: Arc<TopicConfig>,
    /// Its configuration as text, with the source of each value.
    pub values: Values,
    /// Whether it is the broker's own.
    pub internal: bool,
}

/// The replicas of a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionPlacement {
    /// Node and replica id of each; the first is the one that leads where nothing speaks against it.
    pub replicas: Vec<(NodeId, ReplicaId)>,
    /// What `replicas` shall be, while the partition moves.
    pub moving: Option<Vec<(NodeId, ReplicaId)>>,
    /// Where it moved to before that was cancelled: these may vote, and are needed until the way back is done.
    pub cancelled: Vec<(NodeId, ReplicaId)>,
    /// Whether it ever moved: then a replica that has no log yet is not one of those that it began with.
    pub moved: bool,
    /// The one of `replicas` that took over the log of an earlier group, until the others have joined it.
    pub heir: Option<Heir>,
}

impl PartitionPlacement {
    /// Of a partition that is new.
    pub fn new(replicas: Vec<(NodeId, ReplicaId)>) -> PartitionPlacement {
        PartitionPlacement { replicas, moving: None, cancelled: Vec::new(), moved: false, heir: None }
    }

    /// The replicas that shall vote: where it moves, those that it moves to.
    pub fn wanted(&self) -> &[(NodeId, ReplicaId)] {
        self.moving.as_deref().unwrap_or(&self.replicas)
    }

    /// Every replica that there is, shall be or may be, each once.
    pub fn all(&self) -> impl Iterator<Item = (NodeId, ReplicaId)> {
        let new = self.moving.iter().flatten().chain(&self.cancelled);
        let new = new.filter(|other| !self.replicas.contains(other));
        self.replicas.iter().chain(new).copied()
    }
}

impl Topic {
    /// Number of partitions.
    pub fn partition_count(&self) -> i32 {
        i32::try_from(self.partitions.len()).unwrap_or(i32::MAX)
    }

    /// Replicas of each partition.
    pub fn replica_count(&self) -> i32 {
        let first = self.partitions.first().map_or(0, |partition| partition.replicas.len());
        i32::try_from(first).unwrap_or(i32::MAX)
    }

    /// Every partition with its placement, by number.
    pub fn placements(&self) -> impl Iterator<Item = (PartitionId, &PartitionPlacement)> {
        let topic = self.id;
        (0..)
            .zip(&self.partitions)
            .map(move |(partition, placement)| (PartitionId { topic, partition }, placement))
    }

    /// The configuration as a reader wants to see it: every key that acts or says what the broker does, in the order
    /// of the table, then what else was set.
    pub fn describe(&self) -> Vec<(&'static str, ConfigValue)> {
        let mut shown = Vec::new();
        for key in KEYS {
            let built_in = || ConfigValue { value: key.default.to_owned(), source: ConfigSource::Default };
            match (self.values.get(key.name), &key.effect) {
                (Some(value), _) => shown.push((key.name, value.clone())),
                (None, Effect::Stored) => {}
                (None, Effect::Acts(_) | Effect::Only { .. }) => shown.push((key.name, built_in())),
            }
        }
        shown
    }
}
