//! What must hold between replicas at every moment, whoever leads: checked after every step.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use caudal_broker::ids::{Index, NodeId, PartitionId, ReplicaId, Term};
use caudal_broker::log::Entry;
use caudal_broker::node::Probe;
use caudal_broker::state::{Catalog, PartitionPlacement};

use crate::broker::Broker;
use crate::hosts::{Host, node};
use crate::world::{PARTITIONS, partition_id};

/// What has been seen of each partition so far.
#[derive(Default)]
pub(crate) struct Agreement {
    /// Who led in which term.
    led: BTreeMap<(PartitionId, Term), u64>,
    /// The entries that some replica took for committed: a hash of each.
    committed: BTreeMap<PartitionId, BTreeMap<Index, u32>>,
    /// Up to where each host's committed entries were compared.
    compared: BTreeMap<(usize, PartitionId, ReplicaId), Index>,
}

pub(crate) fn partitions() -> Vec<PartitionId> {
    let topics = (0..PARTITIONS as u32).map(partition_id);
    [PartitionId::CONTROL].into_iter().chain(topics).collect()
}

fn hash(entry: &Entry) -> u32 {
    let head = format!(
        "{} {} {:?} {} {} {} ",
        entry.index, entry.term, entry.kind, entry.base_offset, entry.count, entry.append_time
    );
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(head.as_bytes());
    hasher.update(&entry.payload);
    hasher.finalize()
}

/// The entries from an index on, as a host's log has them.
fn entries(host: &Host, partition: PartitionId, from: Index, to: Index) -> Vec<Entry> {
    let mut all: Vec<Entry> = Vec::new();
    let Some(view) = host.broker.as_ref().and_then(|broker| broker.views.get(&partition)) else { return all };
    let mut next = from;
    while next < to {
        match view.reader.entries(next, to, 1 << 20) {
            Ok(read) if !read.is_empty() => {
                next = read[read.len() - 1].index.next();
                all.extend(read);
            }
            _ => break,
        }
    }
    all
}

impl Agreement {
    /// How many leaders there were, each term counted once.
    pub(crate) fn leaders(&self) -> u64 {
        self.led.len() as u64
    }

    /// One leader a term; what one replica took for committed no other takes for something else; no offset has two
    /// owners.
    pub(crate) fn check(&mut self, hosts: &[Host]) -> Result<(), String> {
        for partition in partitions() {
            for (at, host) in hosts.iter().enumerate() {
                let Some(probe) = host.broker.as_ref().and_then(|broker| broker.probe(partition)) else {
                    continue;
                };
                if probe.leads {
                    let leader = self.led.entry((partition, probe.term)).or_insert(probe.replica.0);
                    if *leader != probe.replica.0 {
                        return Err(format!(
                            "partition {partition} has two leaders in term {}: {leader} and {}",
                            probe.term, probe.replica
                        ));
                    }
                }
                // What is committed elsewhere may not be in this log yet, and what it replaces still be.
                self.compare(at, host, partition, &probe)?;
            }
        }
        Ok(())
    }

    fn compare(
        &mut self,
        at: usize,
        host: &Host,
        partition: PartitionId,
        probe: &Probe,
    ) -> Result<(), String> {
        let compared = self.compared.entry((at, partition, probe.replica)).or_default();
        let from = compared.next().max(probe.first);
        let commit = probe.commit.min(probe.persisted);
        if from > commit {
            return Ok(());
        }
        let known = self.committed.entry(partition).or_default();
        for entry in entries(host, partition, from, commit.next()) {
            let found = hash(&entry);
            let agreed = known.entry(entry.index).or_insert(found);
            if *agreed != found {
                return Err(format!(
                    "entry {} of partition {partition} is committed twice: broker {at} has {:?} of term {} at \
                     offset {}, another broker something else",
                    entry.index, entry.kind, entry.term, entry.base_offset
                ));
            }
            *compared = entry.index;
        }
        Ok(())
    }

    /// Why the replicas are not all the same yet, where they shall be, after the faults have ended.
    pub(crate) fn disagreement(&self, hosts: &[Host]) -> Option<String> {
        let Some(catalog) = catalog(hosts) else {
            return Some(format!("nobody leads: {}", standing(hosts, PartitionId::CONTROL)));
        };
        if catalog.members().any(|member| member.removing) {
            let removing: Vec<NodeId> =
                catalog.members().filter(|member| member.removing).map(|member| member.id).collect();
            let placed = catalog.topic("t").map(|topic| topic.partitions.clone());
            let moving = catalog.moving().chain([PartitionId::CONTROL]);
            let moving: Vec<String> = moving.map(|partition| standing(hosts, partition)).collect();
            return Some(format!("{removing:?} is not removed yet: {placed:?}\n{}", moving.join("\n")));
        }
        let members: Vec<(NodeId, ReplicaId)> =
            catalog.members().map(|member| (member.id, member.control)).collect();
        let topic = catalog.topic("t")?;
        let placed = topic.placements().map(|(partition, placement)| (partition, placement.clone()));
        for (partition, placement) in
            [(PartitionId::CONTROL, PartitionPlacement::new(members.clone()))].into_iter().chain(placed)
        {
            if placement.moving.is_some() {
                let standing = standing(hosts, partition);
                return Some(format!("partition still moves: {placement:?}\n{standing}"));
            }
            if let Some(why) = differ(hosts, partition, &placement.replicas) {
                return Some(why);
            }
        }
        let home = |(node, _): &(NodeId, ReplicaId)| (node.0 - 1) as usize;
        let brokers = members.iter().flat_map(|member| &hosts[home(member)].broker);
        let states: BTreeSet<_> = brokers.map(|broker| broker.control_state()).collect();
        (states.len() != 1).then(|| "the brokers know different topics".to_owned())
    }
}

/// What each broker knows of a partition.
fn standing(hosts: &[Host], partition: PartitionId) -> String {
    let mut text = format!("partition {partition}:");
    for (at, host) in hosts.iter().enumerate() {
        let Some(broker) = &host.broker else {
            text += &format!("\nbroker {at}: {}", if host.gone { "gone" } else { "down" });
            continue;
        };
        let (Some(probe), Some(voters)) = (broker.probe(partition), broker.voters(partition)) else {
            let seen = broker.views.get(&partition).and_then(|view| view.published.as_ref());
            text += &format!("\nbroker {at}: takes no part: {:?}", seen.and_then(|view| view.closed.clone()));
            continue;
        };
        let (halves, learners) = ((voters.voters, voters.voters_outgoing), voters.learners);
        text += &format!("\nbroker {at}: {probe:?} votes {halves:?} learns {learners:?}");
    }
    text
}

/// The topics as the leader of the control partition knows them.
pub(crate) fn catalog(hosts: &[Host]) -> Option<Arc<Catalog>> {
    let mut brokers = hosts.iter().flat_map(|host| &host.broker);
    let leads = |broker: &&Broker| broker.probe(PartitionId::CONTROL).is_some_and(|probe| probe.ready);
    brokers.find(leads)?.catalog.clone()
}

/// What is different between the replicas of a partition, which are on these brokers and no others.
fn differ(hosts: &[Host], partition: PartitionId, replicas: &[(NodeId, ReplicaId)]) -> Option<String> {
    let mut found = Vec::new();
    for (at, host) in hosts.iter().enumerate().filter(|(_, host)| !host.gone) {
        let probe = host.broker.as_ref().and_then(|broker| broker.probe(partition));
        let replica = replicas.iter().find(|(home, _)| *home == node(at)).map(|(_, replica)| *replica);
        match (probe, replica) {
            (None, None) => {}
            (Some(probe), Some(replica)) if probe.replica == replica => found.push((host, probe)),
            (probe, replica) => {
                return Some(format!("broker {at} has {probe:?} of partition {partition}, not {replica:?}"));
            }
        }
    }
    let probes: Vec<&Probe> = found.iter().map(|(_, probe)| probe).collect();
    let leaders: Vec<&Host> = found.iter().filter(|(_, probe)| probe.ready).map(|(host, _)| *host).collect();
    let [leader] = leaders[..] else {
        return Some(format!("partition {partition} has {} leaders: {probes:?}", leaders.len()));
    };
    let voters = leader.broker.as_ref().and_then(|broker| broker.voters(partition)).unwrap_or_default();
    let known: BTreeSet<u64> = voters.voters.iter().chain(&voters.learners).copied().collect();
    let placed: BTreeSet<u64> = replicas.iter().map(|(_, replica)| replica.0).collect();
    let votes = partition == PartitionId::CONTROL || voters.learners.is_empty();
    if known != placed || !voters.voters_outgoing.is_empty() || !votes {
        let standing = standing(hosts, partition);
        return Some(format!("{placed:?} shall be the replicas, and the voters are {voters:?}\n{standing}"));
    }
    let ends: BTreeSet<(Index, Index)> = probes.iter().map(|probe| (probe.last, probe.persisted)).collect();
    if ends.len() != 1 || probes.iter().any(|probe| probe.persisted != probe.last) {
        return Some(format!("the replicas of partition {partition} end apart: {probes:?}"));
    }
    let first = probes.iter().map(|probe| probe.first).max().unwrap_or_default();
    let last = probes[0].last.next();
    let log = |host: &Host| -> Vec<u32> { entries(host, partition, first, last).iter().map(hash).collect() };
    let logs: BTreeSet<Vec<u32>> = found.iter().map(|(host, _)| log(host)).collect();
    (logs.len() != 1)
        .then(|| format!("the replicas of partition {partition} differ between {first} and {last}"))
}
