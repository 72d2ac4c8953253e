//! What happened in a life beside crashes: a run whose faults had no effect proves nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::AddAssign;

use caudal_broker::ids::{Index, PartitionId, ReplicaId};

use crate::agreement::{catalog, partitions};
use crate::hosts::Host;

/// How often.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Counts {
    pub(crate) crashes: u64,
    /// Records acknowledged.
    pub(crate) acked: u64,
    /// Batches acknowledged before a majority had synced them.
    pub(crate) early: u64,
    /// Disks that stalled under a broker that led something.
    pub(crate) stalls: u64,
    /// Leaders of the partitions, counting each term once.
    pub(crate) leaders: u64,
    /// Logs that went on elsewhere than they ended.
    pub(crate) jumps: u64,
    /// The same, of partitions of topics.
    pub(crate) data_jumps: u64,
    /// Logs whose end was cut by a leader.
    pub(crate) truncations: u64,
    /// Joint configurations that a leader was in.
    pub(crate) joints: u64,
    /// Moves that ended.
    pub(crate) moves: u64,
    /// Logs that a disk lost.
    pub(crate) lost: u64,
    /// Brokers that joined.
    pub(crate) joined: u64,
    /// Brokers that were removed.
    pub(crate) removed: u64,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Counts) {
        self.crashes += other.crashes;
        self.acked += other.acked;
        self.early += other.early;
        self.stalls += other.stalls;
        self.leaders += other.leaders;
        self.jumps += other.jumps;
        self.data_jumps += other.data_jumps;
        self.truncations += other.truncations;
        self.joints += other.joints;
        self.moves += other.moves;
        self.lost += other.lost;
        self.joined += other.joined;
        self.removed += other.removed;
    }
}

struct Seen {
    life: u64,
    replica: ReplicaId,
    last: Index,
    joint: bool,
}

/// Looks after every step.
#[derive(Default)]
pub(crate) struct Coverage {
    pub(crate) counts: Counts,
    seen: BTreeMap<(usize, PartitionId), Seen>,
    moving: BTreeSet<PartitionId>,
    revision: u64,
}

impl Coverage {
    pub(crate) fn look(&mut self, hosts: &[Host]) {
        for partition in partitions() {
            for (at, host) in hosts.iter().enumerate() {
                let Some(broker) = &host.broker else { continue };
                let Some(probe) = broker.probe(partition) else { continue };
                let joint = probe.leads
                    && broker.voters(partition).is_some_and(|voters| !voters.voters_outgoing.is_empty());
                let seen = Seen { life: host.lives, replica: probe.replica, last: probe.last, joint };
                let Some(before) = self.seen.insert((at, partition), seen) else { continue };
                if before.replica != probe.replica {
                    continue;
                }
                self.counts.joints += u64::from(joint && !before.joint);
                if before.life == host.lives {
                    let jumped = probe.first > before.last.next();
                    self.counts.jumps += u64::from(jumped);
                    self.counts.data_jumps += u64::from(jumped && partition != PartitionId::CONTROL);
                    self.counts.truncations += u64::from(probe.last < before.last);
                }
            }
        }
        let Some(catalog) = catalog(hosts).filter(|catalog| catalog.revision() > self.revision) else {
            return;
        };
        let moving: BTreeSet<PartitionId> = catalog.moving().collect();
        self.counts.moves += self.moving.difference(&moving).count() as u64;
        (self.moving, self.revision) = (moving, catalog.revision());
    }
}
