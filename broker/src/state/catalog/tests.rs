//! Requests against a catalog: planned, proposed as bytes, applied.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::*;
use crate::refusal::Refusal;
use crate::state::LEVEL;
use crate::state::command::Command;
use crate::state::member::NewMember;
use crate::state::request::{
    CreatedTopic, DeletedTopic, NewTopic, Plan, Registered, Reply, Request, TopicAlteration,
};
use crate::state::topic_defaults::TopicDefaults;

mod bad_input;
mod cluster;
mod configuration;
mod recover;
mod topics;

/// What a broker says of itself.
fn said(uuid: u128, address: &str) -> NewMember {
    NewMember {
        uuid: Uuid::from_u128(uuid),
        address: address.to_owned(),
        peer_address: address.replace("7171", "7172"),
        rack: None,
        level: LEVEL,
    }
}

/// A catalog with so many brokers, the way a leader uses it.
struct Control {
    catalog: Catalog,
    defaults: TopicDefaults,
    drawn: u128,
}

impl Control {
    fn with_brokers(count: u128) -> Control {
        let mut control =
            Control { catalog: Catalog::default(), defaults: TopicDefaults::default(), drawn: 100 };
        for broker in 1..=count {
            control.ask(Request::RegisterNode(said(broker, &format!("host{broker}:7171"))));
        }
        control
    }

    fn nodes(&self) -> Vec<NodeId> {
        self.catalog.members().filter(|member| member.takes_replicas()).map(|member| member.id).collect()
    }

    fn plan(&self, request: Request) -> Plan {
        self.catalog.plan(request, &self.defaults, &self.nodes())
    }

    /// Through bytes and a snapshot, as it happens on a follower that has just come.
    fn ask(&mut self, request: Request) -> (Reply, Vec<Delta>) {
        match self.plan(request) {
            Plan::Answer(reply) => (reply, Vec::new()),
            Plan::Propose { command, answered } => {
                let bytes = command.encode();
                let mut follower = Catalog::restore(&self.catalog.snapshot()).unwrap();
                let there = follower.apply(Command::decode(&bytes).unwrap());
                let (reply, deltas) = self.catalog.apply(command);
                assert_eq!(there, (reply.clone(), deltas.clone()), "leader and follower differ");
                assert_eq!(follower, self.catalog);
                assert_eq!(follower.snapshot(), self.catalog.snapshot());
                (answered.complete(reply), deltas)
            }
        }
    }

    fn new_topic(&mut self, name: &str) -> NewTopic {
        self.drawn += 1;
        NewTopic {
            id: TopicId(Uuid::from_u128(self.drawn)),
            name: name.to_owned(),
            partitions: None,
            replicas: None,
            configs: BTreeMap::new(),
        }
    }

    fn create_with(
        &mut self,
        name: &str,
        change: impl FnOnce(&mut NewTopic),
    ) -> (Result<CreatedTopic, Refusal>, Vec<Delta>) {
        let mut topic = self.new_topic(name);
        change(&mut topic);
        let (reply, deltas) = self.ask(create(vec![topic]));
        let mut created = created(reply);
        assert_eq!(created.len(), 1);
        (created.remove(0), deltas)
    }

    fn create(&mut self, name: &str) -> CreatedTopic {
        self.create_with(name, |_| {}).0.unwrap()
    }

    /// Nothing is changed by what `request` asks for; its answer.
    fn ask_in_vain(&mut self, request: Request) -> Reply {
        let before = self.catalog.clone();
        let (reply, deltas) = self.ask(request);
        assert!(deltas.is_empty() && self.catalog == before, "something has changed");
        reply
    }
}

fn create(topics: Vec<NewTopic>) -> Request {
    Request::CreateTopics { topics, if_not_exists: false, validate_only: false }
}

fn created(reply: Reply) -> Vec<Result<CreatedTopic, Refusal>> {
    match reply {
        Reply::CreateTopics(results) => results.into_iter().map(|(_, result)| result).collect(),
        other => panic!("{other:?}"),
    }
}

fn configs(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn alter(name: &str, set: &[(&str, &str)], unset: &[&str]) -> Request {
    let unset = unset.iter().map(|key| (*key).to_owned()).collect();
    let topics = vec![TopicAlteration { name: name.to_owned(), set: configs(set), unset }];
    Request::AlterTopics { topics, validate_only: false }
}

fn delete(names: &[&str]) -> Request {
    let names = names.iter().map(|name| (*name).to_owned()).collect();
    Request::DeleteTopics { names, validate_only: false }
}

fn grow(name: &str, count: i32) -> Request {
    Request::AddPartitions { name: name.to_owned(), count, validate_only: false }
}
