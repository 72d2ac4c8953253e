//! What must hold between replicas at every moment, whoever leads: checked after every step.

use std::collections::{BTreeMap, BTreeSet};

use caudal_broker::ids::{Index, PartitionId, Term};
use caudal_broker::log::Entry;

use crate::hosts::Host;
use crate::world::{PARTITIONS, partition_id};

/// What has been seen of each partition so far.
#[derive(Default)]
pub(crate) struct Agreement {
    /// Who led in which term.
    led: BTreeMap<(PartitionId, Term), u64>,
    /// The entries that some replica took for committed: a hash of each.
    committed: BTreeMap<PartitionId, BTreeMap<Index, u32>>,
    /// Up to where each host's committed entries were compared.
    compared: BTreeMap<(usize, PartitionId), Index>,
}

fn partitions() -> Vec<PartitionId> {
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
                self.compare(at, host, partition, probe.first, probe.commit.min(probe.persisted))?;
            }
        }
        Ok(())
    }

    fn compare(
        &mut self,
        at: usize,
        host: &Host,
        partition: PartitionId,
        first: Index,
        commit: Index,
    ) -> Result<(), String> {
        let compared = self.compared.entry((at, partition)).or_default();
        let from = compared.next().max(first);
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

    /// Why the replicas are not all the same yet, after the faults have ended.
    pub(crate) fn disagreement(&self, hosts: &[Host]) -> Option<String> {
        for partition in partitions() {
            let probes: Vec<_> = hosts
                .iter()
                .map(|host| host.broker.as_ref().and_then(|broker| broker.probe(partition)))
                .collect();
            if probes.iter().any(Option::is_none) {
                return Some(format!("partition {partition} takes no part on some broker"));
            }
            let probes: Vec<_> = probes.into_iter().flatten().collect();
            if probes.iter().filter(|probe| probe.ready).count() != 1 {
                return Some(format!("partition {partition} has no leader: {probes:?}"));
            }
            let ends: BTreeSet<(Index, Index)> =
                probes.iter().map(|probe| (probe.last, probe.persisted)).collect();
            if ends.len() != 1 || probes.iter().any(|probe| probe.persisted != probe.last) {
                return Some(format!("the replicas of partition {partition} end apart: {probes:?}"));
            }
            let first = probes.iter().map(|probe| probe.first).max().unwrap_or_default();
            let last = probes[0].last.next();
            let logs: BTreeSet<Vec<u32>> = hosts
                .iter()
                .map(|host| entries(host, partition, first, last).iter().map(hash).collect())
                .collect();
            if logs.len() != 1 {
                return Some(format!(
                    "the replicas of partition {partition} differ between {first} and {last}"
                ));
            }
        }
        let states: BTreeSet<_> =
            hosts.iter().flat_map(|host| &host.broker).map(|broker| broker.control_state()).collect();
        (states.len() != 1).then(|| "the brokers know different topics".to_owned())
    }
}
