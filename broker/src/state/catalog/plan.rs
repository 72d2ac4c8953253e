//! Requests are checked and become commands or answers.

use std::collections::BTreeSet;

use caudal_proto::name::TopicName;

use crate::ids::{NodeId, PartitionId, TopicId};
use crate::refusal::Refusal;
use crate::state::command::{Alteration, Command, Growth, TopicSpec};
use crate::state::member::NewMember;
use crate::state::request::{
    Answered, ConfigChange, CreatedTopic, DeletedTopic, NewTopic, Plan, Registered, Reply, Request,
    TopicAlteration,
};
use crate::state::topic::Topic;
use crate::state::topic_config::{self, ConfigSource, ConfigValue, TopicConfig};
use crate::state::topic_defaults::TopicDefaults;

use super::Catalog;
use super::apply::{altered, changes, existing};
use super::bounds::{Room, check_growth, check_partitions, check_replicas};
use super::items::{Item, Items, cut, gather, too_many, twice};

impl Catalog {
    /// Checks a request against the catalog as it is, and resolves every default into the command. `defaults` are the
    /// planning broker's; `nodes` are those that take new replicas, by number.
    pub fn plan(&self, request: Request, defaults: &TopicDefaults, nodes: &[NodeId]) -> Plan {
        match request {
            Request::CreateTopics { topics, if_not_exists, validate_only } => {
                let items = self.plan_creations(topics, if_not_exists, validate_only, defaults, nodes);
                gather(items, Reply::CreateTopics, |topics| Command::CreateTopics { topics, if_not_exists })
            }
            Request::DeleteTopics { names, validate_only } => {
                let items = self.plan_deletions(names, validate_only);
                gather(items, Reply::DeleteTopics, |topics| Command::DeleteTopics { topics })
            }
            Request::AlterTopics { topics, validate_only } => {
                let items = self.plan_alterations(topics, validate_only, defaults);
                gather(items, Reply::AlterTopics, |topics| Command::AlterTopics { topics })
            }
            Request::AddPartitions { name, count, validate_only } => {
                match self.plan_growth(name, count, nodes) {
                    Ok((growth, _)) if !validate_only => propose(Command::AddPartitions(growth)),
                    checked => Plan::Answer(Reply::AddPartitions(checked.map(|(_, sum)| sum))),
                }
            }
            Request::InitProducer { continue_from } => self.plan_producer(continue_from),
            Request::RegisterNode(member) => self.plan_registration(member),
            Request::MovePartition { topic, partition, to, validate_only } => {
                self.plan_move(&topic, partition, to, validate_only).unwrap_or_else(refuse)
            }
            Request::CancelMove { topic, partition } => {
                self.plan_cancel(&topic, partition).unwrap_or_else(refuse)
            }
            Request::Drain { node, on } => match self.known_member(node) {
                Ok(member) if member.draining == on => done(),
                Ok(_) => propose(Command::Drain { node, on }),
                Err(refusal) => refuse(refusal),
            },
            Request::RemoveNode { node, validate_only } => {
                match self.known_member(node).and_then(|_| self.check_removal(node)) {
                    Ok(()) if validate_only => done(),
                    Ok(()) => propose(Command::RemoveNode { node }),
                    Err(refusal) => refuse(refusal),
                }
            }
        }
    }

    fn plan_creations(
        &self,
        topics: Vec<NewTopic>,
        if_not_exists: bool,
        validate_only: bool,
        defaults: &TopicDefaults,
        nodes: &[NodeId],
    ) -> Items<CreatedTopic, TopicSpec> {
        let twice = twice(topics.iter().map(|topic| topic.name.as_str()));
        let too_many = too_many(topics.len());
        let sites = self.sites(nodes);
        let mut room = Room { partitions: self.partitions, replicas: self.replicas, sites };
        let mut plan_one = |topic: NewTopic| {
            if let Some(refusal) = too_many.clone().or_else(|| twice.get(&topic.name).cloned()) {
                return Item::from(refusal);
            }
            match self.plan_creation(topic, if_not_exists, defaults, &mut room) {
                Ok(Item::Part(spec)) if validate_only => Item::Known(Ok(CreatedTopic {
                    id: spec.id,
                    partitions: spec.partitions.len() as i32,
                    replicas: spec.partitions.first().map_or(0, Vec::len) as i32,
                    existed: false,
                })),
                Ok(item) => item,
                Err(refusal) => Item::from(refusal),
            }
        };
        topics.into_iter().map(|topic| (topic.name.clone(), plan_one(topic))).collect()
    }

    fn plan_creation(
        &self,
        topic: NewTopic,
        if_not_exists: bool,
        defaults: &TopicDefaults,
        room: &mut Room<'_>,
    ) -> Result<Item<CreatedTopic, TopicSpec>, Refusal> {
        TopicName::new(&topic.name)
            .map_err(|error| Refusal::InvalidTopicName { name: cut(&topic.name), why: error.to_string() })?;
        if let Some(topic) = self.topic(&topic.name) {
            return existing(topic, if_not_exists).map(|topic| Item::Known(Ok(topic)));
        }
        let partitions = check_partitions(topic.partitions.unwrap_or(1))?;
        let replicas = check_replicas(topic.replicas, room.sites.len())?;
        let values = topic_config::resolve(&topic.configs, defaults)?;
        topic_config::check_against_replicas(&values, replicas)?;
        let partitions = room.take(partitions, replicas)?;
        Ok(Item::Part(TopicSpec { id: topic.id, name: topic.name, partitions, values }))
    }

    fn plan_deletions(
        &self,
        names: Vec<String>,
        validate_only: bool,
    ) -> Items<DeletedTopic, (String, TopicId)> {
        let twice = twice(names.iter().map(String::as_str));
        let too_many = too_many(names.len());
        let plan_one = |name: &String| {
            if let Some(refusal) = too_many.clone().or_else(|| twice.get(name).cloned()) {
                return Item::from(refusal);
            }
            match self.changeable(name) {
                Ok(topic) if validate_only => {
                    Item::Known(Ok(DeletedTopic { id: topic.id, partitions: topic.partition_count() }))
                }
                Ok(topic) => Item::Part((name.clone(), topic.id)),
                Err(refusal) => Item::from(refusal),
            }
        };
        let items: Vec<_> = names.iter().map(plan_one).collect();
        names.into_iter().zip(items).collect()
    }

    fn plan_alterations(
        &self,
        topics: Vec<TopicAlteration>,
        validate_only: bool,
        defaults: &TopicDefaults,
    ) -> Items<Vec<ConfigChange>, Alteration> {
        let twice = twice(topics.iter().map(|topic| topic.name.as_str()));
        let too_many = too_many(topics.len());
        let plan_one = |alteration: TopicAlteration| {
            if let Some(refusal) = too_many.clone().or_else(|| twice.get(&alteration.name).cloned()) {
                return Item::from(refusal);
            }
            match self.plan_alteration(alteration, defaults) {
                Ok(Change { command: Some(command), .. }) if !validate_only => Item::Part(command),
                checked => Item::Known(checked.map(|change| change.told)),
            }
        };
        topics.into_iter().map(|topic| (topic.name.clone(), plan_one(topic))).collect()
    }

    fn plan_alteration(&self, wanted: TopicAlteration, defaults: &TopicDefaults) -> Result<Change, Refusal> {
        let topic = self.changeable(&wanted.name)?;
        let mut values = Vec::with_capacity(wanted.set.len());
        for (key, value) in &wanted.set {
            let value = topic_config::check(key, value)?;
            values.push((key.clone(), Some(ConfigValue { value, source: ConfigSource::Topic })));
        }
        for key in wanted.unset.into_iter().collect::<BTreeSet<_>>() {
            topic_config::key(&key)?;
            if wanted.set.contains_key(&key) {
                let why = format!("{key} is both set and unset");
                return Err(Refusal::InvalidArgument { field: "unset".to_owned(), why });
            }
            let default = defaults.resolve(&key);
            values.push((key, default));
        }
        let after = altered(&topic.values, &values);
        TopicConfig::from_values(&after)?;
        topic_config::check_against_replicas(&after, topic.replica_count())?;
        let told = changes(&topic.values, &after);
        let command = Alteration { id: topic.id, name: wanted.name, values };
        Ok(Change { command: (after != topic.values).then_some(command), told })
    }

    /// The growth and the partitions in all after it.
    fn plan_growth(&self, name: String, count: i32, nodes: &[NodeId]) -> Result<(Growth, i32), Refusal> {
        let topic = self.changeable(&name)?;
        check_growth(topic.partition_count(), i64::from(count))?;
        let replicas = check_replicas(Some(topic.replica_count()), nodes.len())?;
        let sites = self.sites(nodes);
        let mut room = Room { partitions: self.partitions, replicas: self.replicas, sites };
        let partitions = room.take(count, replicas)?;
        Ok((Growth { id: topic.id, name, partitions }, topic.partition_count() + count))
    }

    /// The next epoch of a producer needs no command: an id belongs to one producer, and partitions fence by epoch.
    fn plan_producer(&self, continue_from: Option<(i64, i16)>) -> Plan {
        let Some((id, epoch)) = continue_from else { return propose(Command::InitProducer) };
        if !(1..self.next_producer).contains(&id) || epoch < 0 {
            return Plan::Answer(Reply::InitProducer(Err(Refusal::ProducerUnknown { producer_id: id })));
        }
        match epoch.checked_add(1) {
            // The last epoch is left for a later fencing of the producer.
            Some(next) if next < i16::MAX => Plan::Answer(Reply::InitProducer(Ok((id, next)))),
            _ => propose(Command::InitProducer),
        }
    }

    fn plan_registration(&self, said: NewMember) -> Plan {
        match self.member_by_uuid(said.uuid) {
            Some(member) if member.is(&said) => {
                Plan::Answer(Reply::RegisterNode(Registered { node: member.id, replica: member.control }))
            }
            _ => propose(Command::RegisterNode(said)),
        }
    }

    fn plan_move(
        &self,
        topic: &str,
        partition: i32,
        to: Vec<NodeId>,
        validate_only: bool,
    ) -> Result<Plan, Refusal> {
        let id = PartitionId { topic: self.changeable(topic)?.id, partition };
        let placement = self.placement(id)?;
        let named = format!("{topic}:{partition}");
        if placement.moving.is_some() {
            return Err(Refusal::MoveUnderWay { partition: named });
        }
        self.check_targets(&placement, &to)?;
        if placement.replicas.iter().map(|(node, _)| *node).eq(to.iter().copied()) {
            let why = format!("the replicas of {named} are on these brokers, in this order");
            return Err(Refusal::InvalidArgument { field: "to".into(), why });
        }
        Ok(if validate_only { done() } else { propose(Command::StartMove { partition: id, to }) })
    }

    fn plan_cancel(&self, topic: &str, partition: i32) -> Result<Plan, Refusal> {
        let id = PartitionId { topic: self.changeable(topic)?.id, partition };
        match self.placement(id)?.moving {
            Some(_) => Ok(propose(Command::CancelMove { partition: id })),
            None => Err(Refusal::NoMove { partition: format!("{topic}:{partition}") }),
        }
    }

    /// The topic that a client wants to change.
    pub(super) fn changeable(&self, name: &str) -> Result<&Topic, Refusal> {
        match self.topic(name) {
            Some(topic) if topic.internal => Err(Refusal::InternalTopic { name: name.to_owned() }),
            Some(topic) => Ok(topic),
            None => Err(Refusal::UnknownTopic { name: cut(name) }),
        }
    }
}

/// A checked change of a configuration.
struct Change {
    /// `None` where every value is there already.
    command: Option<Alteration>,
    told: Vec<ConfigChange>,
}

fn done() -> Plan {
    Plan::Answer(Reply::Done(Ok(())))
}

fn refuse(refusal: Refusal) -> Plan {
    Plan::Answer(Reply::Done(Err(refusal)))
}

fn propose(command: Command) -> Plan {
    Plan::Propose { command, answered: Answered::default() }
}
