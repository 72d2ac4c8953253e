//! Commands change the catalog.

use std::sync::Arc;

use crate::ids::{NodeId, TopicId};
use crate::refusal::Refusal;
use crate::state::command::{Alteration, Command, Growth, TopicSpec};
use crate::state::request::{ConfigChange, CreatedTopic, DeletedTopic, Reply};
use crate::state::topic::{PartitionPlacement, Topic};
use crate::state::topic_config::{ConfigValue, TopicConfig, Values, check_against_replicas};

use super::bounds::{check_growth, check_room};
use super::{Catalog, Delta};

impl Catalog {
    /// Carries out a committed command. Deterministic. What may have changed since the command was planned is checked
    /// again; what no longer holds is refused in the reply and changes nothing.
    pub fn apply(&mut self, command: Command) -> (Reply, Vec<Delta>) {
        let mut deltas = Vec::new();
        let before = self.next_producer;
        let reply = match command {
            Command::CreateTopics { topics, if_not_exists } => Reply::CreateTopics(each(topics, |spec| {
                (spec.name.clone(), self.create(spec, if_not_exists, &mut deltas))
            })),
            Command::DeleteTopics { topics } => Reply::DeleteTopics(each(topics, |(name, id)| {
                let deleted = self.delete(&name, id, &mut deltas);
                (name, deleted)
            })),
            Command::AlterTopics { topics } => Reply::AlterTopics(each(topics, |alteration| {
                (alteration.name.clone(), self.alter(alteration, &mut deltas))
            })),
            Command::AddPartitions(growth) => Reply::AddPartitions(self.grow(growth, &mut deltas)),
            Command::InitProducer => {
                self.next_producer += 1;
                Reply::InitProducer(Ok((before, 0)))
            }
            Command::Found { members } => {
                self.found(members, &mut deltas);
                Reply::Done(Ok(()))
            }
            Command::RegisterNode(member) => Reply::RegisterNode(self.register(member, &mut deltas)),
            Command::StartMove { partition, to } => Reply::Done(self.start_move(partition, &to, &mut deltas)),
            Command::FinishMove { partition, replicas } => {
                self.finish_move(partition, &replicas, &mut deltas);
                Reply::Done(Ok(()))
            }
            Command::CancelMove { partition } => Reply::Done(self.cancel_move(partition, &mut deltas)),
            Command::Drain { node, on } => Reply::Done(self.drain(node, on, &mut deltas)),
            Command::RemoveNode { node } => Reply::Done(self.remove_node(node, &mut deltas)),
            Command::Replace { partition, replica } => {
                self.replace(partition, replica, &mut deltas);
                Reply::Done(Ok(()))
            }
            Command::Recover(spec) => Reply::Done(self.recover(&spec, &mut deltas)),
            Command::Forget { node } => {
                self.forget(node, &mut deltas);
                Reply::Done(Ok(()))
            }
        };
        if !deltas.is_empty() || self.next_producer != before {
            self.revision += 1;
        }
        (reply, deltas)
    }

    fn create(
        &mut self,
        spec: TopicSpec,
        if_not_exists: bool,
        deltas: &mut Vec<Delta>,
    ) -> Result<CreatedTopic, Refusal> {
        if let Some(topic) = self.topic(&spec.name) {
            return existing(topic, if_not_exists);
        }
        if self.by_id.contains_key(&spec.id) || self.deleted.contains(&spec.id) {
            let why = format!("{} is or was another topic's: draw a new one", spec.id);
            return Err(Refusal::InvalidArgument { field: "topic id".to_owned(), why });
        }
        self.check_room(&spec.partitions)?;
        self.check_nodes(&spec.partitions)?;
        let config = Arc::new(TopicConfig::from_values(&spec.values)?);
        let topic = Arc::new(Topic {
            id: spec.id,
            name: spec.name.into(),
            partitions: self.number(spec.partitions),
            config,
            values: spec.values,
            internal: false,
        });
        self.put(Arc::clone(&topic));
        let created = existing(&topic, true).map(|topic| CreatedTopic { existed: false, ..topic });
        deltas.push(Delta::Created(topic));
        created
    }

    fn delete(&mut self, name: &str, id: TopicId, deltas: &mut Vec<Delta>) -> Result<DeletedTopic, Refusal> {
        let topic = self.still(name, id)?;
        let deleted = DeletedTopic { id, partitions: topic.partition_count() };
        self.take(id);
        Arc::make_mut(&mut self.deleted).insert(id);
        deltas.push(Delta::Deleted(topic));
        Ok(deleted)
    }

    fn alter(
        &mut self,
        alteration: Alteration,
        deltas: &mut Vec<Delta>,
    ) -> Result<Vec<ConfigChange>, Refusal> {
        let topic = self.still(&alteration.name, alteration.id)?;
        let values = altered(&topic.values, &alteration.values);
        let config = TopicConfig::from_values(&values)?;
        check_against_replicas(&values, topic.replica_count())?;
        let changes = changes(&topic.values, &values);
        if values != topic.values {
            let config = Arc::new(config);
            let topic = Arc::new(Topic { config, values, ..Topic::clone(&topic) });
            self.put(Arc::clone(&topic));
            deltas.push(Delta::Configured(topic));
        }
        Ok(changes)
    }

    fn grow(&mut self, growth: Growth, deltas: &mut Vec<Delta>) -> Result<i32, Refusal> {
        let topic = self.still(&growth.name, growth.id)?;
        let first = topic.partition_count();
        check_growth(first, growth.partitions.len() as i64)?;
        self.check_room(&growth.partitions)?;
        self.check_nodes(&growth.partitions)?;
        let mut grown = Topic::clone(&topic);
        grown.partitions.extend(self.number(growth.partitions));
        let grown = Arc::new(grown);
        self.put(Arc::clone(&grown));
        let count = grown.partition_count();
        deltas.push(Delta::Grown { topic: grown, first });
        Ok(count)
    }

    /// The topic, if it is still the one that was meant.
    fn still(&self, name: &str, id: TopicId) -> Result<Arc<Topic>, Refusal> {
        match self.topic_by_id(id) {
            Some(topic) if topic.internal => Err(Refusal::InternalTopic { name: name.to_owned() }),
            Some(topic) => Ok(Arc::clone(topic)),
            None => Err(Refusal::UnknownTopic { name: name.to_owned() }),
        }
    }

    fn check_room(&self, partitions: &[Vec<NodeId>]) -> Result<(), Refusal> {
        let replicas: usize = partitions.iter().map(Vec::len).sum();
        check_room(self.replicas, replicas as u64, partitions.len() as i64, self.members.len())
    }

    /// Refuses partitions on a broker that went since they were planned: they would never have a leader. Of one that
    /// is being removed they are moved away.
    fn check_nodes(&self, partitions: &[Vec<NodeId>]) -> Result<(), Refusal> {
        partitions.iter().flatten().try_for_each(|node| self.known_member(*node).map(drop))
    }

    /// Gives each replica its id.
    fn number(&mut self, partitions: Vec<Vec<NodeId>>) -> Vec<PartitionPlacement> {
        let mut placed = |nodes: Vec<NodeId>| {
            PartitionPlacement::new(nodes.into_iter().map(|node| (node, self.new_replica())).collect())
        };
        partitions.into_iter().map(&mut placed).collect()
    }
}

/// The answer to the creation of a topic that is there.
pub(super) fn existing(topic: &Topic, if_not_exists: bool) -> Result<CreatedTopic, Refusal> {
    if !if_not_exists {
        return Err(Refusal::TopicExists { name: topic.name.to_string() });
    }
    Ok(CreatedTopic {
        id: topic.id,
        partitions: topic.partition_count(),
        replicas: topic.replica_count(),
        existed: true,
    })
}

/// The values with an alteration carried out.
pub(super) fn altered(values: &Values, changes: &[(String, Option<ConfigValue>)]) -> Values {
    let mut altered = values.clone();
    for (key, value) in changes {
        match value {
            Some(value) => altered.insert(key.clone(), value.clone()),
            None => altered.remove(key),
        };
    }
    altered
}

/// What differs, by key.
pub(super) fn changes(before: &Values, after: &Values) -> Vec<ConfigChange> {
    let text =
        |values: &Values, key: &str| values.get(key).map_or(String::new(), |value| value.value.clone());
    let mut changed: Vec<ConfigChange> = after
        .keys()
        .chain(before.keys().filter(|key| !after.contains_key(*key)))
        .map(|key| ConfigChange { key: key.clone(), before: text(before, key), after: text(after, key) })
        .filter(|change| change.before != change.after)
        .collect();
    changed.sort_by(|a, b| a.key.cmp(&b.key));
    changed
}

fn each<T, R>(items: Vec<T>, apply: impl FnMut(T) -> R) -> Vec<R> {
    items.into_iter().map(apply).collect()
}
