//! Who leads what: learned from brokers, corrected by hints, asked for again when stale. Pure: time is given.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use caudal_proto::v1 as wire;

use crate::config::METADATA_AGE_MAX;
use crate::error::{Error, ErrorKind};
use crate::topic::TopicId;
use crate::topic_wire;

/// What is known of brokers and topics.
#[derive(Debug, Default)]
pub(crate) struct Metadata {
    addresses: BTreeMap<i32, Arc<str>>,
    topics: BTreeMap<Arc<str>, Arc<Topic>>,
    updated: Option<Instant>,
    /// An answer told of a leader that was not known.
    news: bool,
}

/// What an answer says of one topic.
pub(crate) type TopicAnswer = (Arc<str>, Result<Arc<Topic>, Error>);

/// What is known of one topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Topic {
    pub(crate) name: Arc<str>,
    pub(crate) id: TopicId,
    pub(crate) max_message_bytes: usize,
    /// In order: number 0 first.
    pub(crate) partitions: Vec<Partition>,
}

/// What is known of one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Partition {
    pub(crate) partition: i32,
    pub(crate) leader: Option<i32>,
    pub(crate) epoch: i32,
    pub(crate) shard: u32,
}

/// Where a partition's leader is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Leader {
    pub(crate) node: i32,
    pub(crate) address: Arc<str>,
    /// The shard that holds the partition there; `None` when only a hint named the leader.
    pub(crate) shard: u32,
    pub(crate) epoch: i32,
}

impl Topic {
    pub(crate) fn has(&self, partition: i32) -> bool {
        self.partition(partition).is_some()
    }

    pub(crate) fn partition(&self, partition: i32) -> Option<&Partition> {
        usize::try_from(partition).ok().and_then(|index| self.partitions.get(index))
    }

    /// The number of partitions.
    pub(crate) fn count(&self) -> i32 {
        i32::try_from(self.partitions.len()).unwrap_or(i32::MAX)
    }

    /// By its id, so that nothing meant for this topic reaches another one of its name.
    pub(crate) fn reference(&self) -> wire::TopicRef {
        let id = Bytes::copy_from_slice(self.id.as_bytes());
        wire::TopicRef { topic: Some(wire::topic_ref::Topic::Id(id)) }
    }

    pub(crate) fn unknown_partition(&self, partition: i32) -> Error {
        let (name, count) = (&self.name, self.partitions.len());
        Error::new(
            ErrorKind::NotFound,
            format!("topic {name:?} has no partition {partition}: it has {count}, counted from 0"),
        )
        .with("topic", name)
        .with("partition", partition)
    }
}

impl Metadata {
    /// Takes an answer in; returns what it says of each topic, in the order of the answer.
    pub(crate) fn update(&mut self, now: Instant, response: wire::GetMetadataResponse) -> Vec<TopicAnswer> {
        self.updated = Some(now);
        self.addresses =
            response.brokers.into_iter().map(|b| (b.node_id, Arc::from(b.address.as_str()))).collect();
        let mut answers = Vec::with_capacity(response.topics.len());
        for topic in response.topics {
            let name: Arc<str> = Arc::from(topic.name.as_str());
            let answer = self.update_topic(&name, topic);
            answers.push((name, answer));
        }
        answers
    }

    fn update_topic(&mut self, name: &Arc<str>, topic: wire::TopicMetadata) -> Result<Arc<Topic>, Error> {
        let fresh = match parse(name, topic) {
            Ok(fresh) => fresh,
            Err(error) => {
                if error.kind() == ErrorKind::NotFound {
                    self.topics.remove(name);
                }
                return Err(error);
            }
        };
        let topic = match self.topics.get(name) {
            Some(old) if old.id == fresh.id => Arc::new(merge(old, fresh)),
            _ => Arc::new(fresh),
        };
        self.news |= self.topics.get(name).is_none_or(|old| old.partitions != topic.partitions);
        self.topics.insert(name.clone(), topic.clone());
        Ok(topic)
    }

    /// Takes in what a *not leader* answer says: who leads instead. Returns whether the leader is known now, from
    /// this answer or a newer one.
    pub(crate) fn hint(&mut self, topic: &str, partition: i32, refusal: &Error) -> bool {
        let metadata = refusal.metadata();
        let number = |key: &str| metadata.get(key).and_then(|value| value.parse::<i32>().ok());
        let (Some(node), Some(epoch)) = (number("leader_node"), number("leader_epoch")) else { return false };
        let Some(known) = self.topics.get_mut(topic) else { return false };
        let topic = Arc::make_mut(known);
        let Some(place) = usize::try_from(partition).ok().and_then(|index| topic.partitions.get_mut(index))
        else {
            return false;
        };
        let known = place.leader.is_some_and(|leader| self.addresses.contains_key(&leader));
        if epoch < place.epoch || (epoch == place.epoch && place.leader == Some(node)) {
            return known;
        }
        if epoch == place.epoch && place.leader.is_some() {
            // Two leaders of one epoch: somebody is wrong.
            return false;
        }
        if let Some(address) = metadata.get("leader_address").filter(|address| !address.is_empty()) {
            self.addresses.insert(node, Arc::from(address.as_str()));
        }
        place.leader = Some(node);
        place.epoch = epoch;
        place.shard = 0;
        self.addresses.contains_key(&node)
    }

    /// Whether an answer since the last call told of something that was not known.
    pub(crate) fn take_news(&mut self) -> bool {
        std::mem::take(&mut self.news)
    }

    /// The topic as last told.
    pub(crate) fn topic(&self, name: &str) -> Option<&Arc<Topic>> {
        self.topics.get(name)
    }

    /// Where the leader of a partition is, if both are known.
    pub(crate) fn leader(&self, topic: &Topic, partition: i32) -> Option<Leader> {
        let topic = self.topics.get(&topic.name).filter(|known| known.id == topic.id)?;
        let place = topic.partition(partition)?;
        let node = place.leader?;
        let address = self.addresses.get(&node)?.clone();
        Some(Leader { node, address, shard: place.shard, epoch: place.epoch })
    }

    /// How many brokers are known.
    pub(crate) fn brokers(&self) -> usize {
        self.addresses.len()
    }

    /// Whether it is time to ask again.
    pub(crate) fn is_stale(&self, now: Instant) -> bool {
        self.updated.is_none_or(|updated| now.saturating_duration_since(updated) >= METADATA_AGE_MAX)
    }
}

fn parse(name: &Arc<str>, topic: wire::TopicMetadata) -> Result<Topic, Error> {
    if let Some(error) = topic.error {
        return Err(Error::refused(error).with("topic", name));
    }
    let mut partitions: Vec<Partition> = Vec::with_capacity(topic.partitions.len());
    for (place, p) in topic.partitions.iter().enumerate() {
        if usize::try_from(p.partition) != Ok(place) {
            return Err(topic_wire::malformed("partitions are not numbered from 0 in order"));
        }
        partitions.push(Partition {
            partition: p.partition,
            leader: p.leader_node,
            epoch: p.leader_epoch,
            shard: p.shard,
        });
    }
    if partitions.is_empty() {
        return Err(topic_wire::malformed("a topic without partitions"));
    }
    Ok(Topic {
        name: name.clone(),
        id: topic_wire::topic_id(&topic.topic_id)?,
        max_message_bytes: usize::try_from(topic.max_message_bytes).unwrap_or(usize::MAX),
        partitions,
    })
}

/// The newer of two views, partition by partition: a broker that lags must not bring an old leader back.
fn merge(old: &Topic, mut fresh: Topic) -> Topic {
    for (old, fresh) in old.partitions.iter().zip(&mut fresh.partitions) {
        if old.epoch > fresh.epoch {
            *fresh = *old;
        }
    }
    fresh
}

#[cfg(test)]
mod tests;
