//! What a machine tells of itself when it is asked: numbers for people. Read, never acted on.

use super::Node;
use super::elections::Elections;
use super::partition::{Life, Partition};
use crate::ids::{NodeId, PartitionId};

/// One shard, counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Census {
    /// Replicas that take part.
    pub live: u64,
    /// Replicas whose logs are being opened.
    pub opening: u64,
    /// Replicas that take part in nothing.
    pub closed: u64,
    /// Replicas that take part and know no leader.
    pub leaderless: u64,
    /// Partitions that are led here.
    pub led: Vec<Led>,
    /// Bytes of batches that are proposed and not committed.
    pub uncommitted_bytes: u64,
    /// Producers that are remembered, over all partitions.
    pub producers: u64,
    /// Since the start.
    pub elections: Elections,
}

/// A partition that is led here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Led {
    /// Which.
    pub partition: PartitionId,
    /// Whether it serves: its leader has committed in its term.
    pub serves: bool,
    /// Its other replicas.
    pub followers: Vec<Lag>,
}

/// How far another replica is behind its leader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lag {
    /// The broker that has it.
    pub node: NodeId,
    /// Entries of the leader's log that it is not known to have synced.
    pub entries: u64,
    /// Whether it is heard and lacks nothing that was committed a second ago.
    pub in_step: bool,
}

impl Node {
    /// Counts: about as much work as a tick.
    pub fn census(&self) -> Census {
        let mut census = Census {
            uncommitted_bytes: self.uncommitted_bytes,
            elections: self.chronicle.counts,
            ..Census::default()
        };
        for (id, partition) in &self.partitions {
            self.count(*id, partition, &mut census);
        }
        census
    }

    fn count(&self, id: PartitionId, partition: &Partition, census: &mut Census) {
        let live = match &partition.life {
            Life::Opening => return census.opening += 1,
            Life::Closed { .. } => return census.closed += 1,
            Life::Live(live) => live,
        };
        census.live += 1;
        census.producers += live.producers.len() as u64;
        if !live.replica.is_leader() {
            census.leaderless += u64::from(live.replica.leader().is_none());
            return;
        }
        let (last, behind) = (live.replica.last_index(), live.behind(self.ticks));
        let followers = live.replica.followers().into_iter().filter_map(|follower| {
            Some(Lag {
                node: *partition.seats.nodes.get(&follower.replica)?,
                entries: last.0.saturating_sub(follower.matched.0),
                in_step: !behind(&follower),
            })
        });
        let followers = followers.collect();
        census.led.push(Led { partition: id, serves: live.replica.is_ready_leader(), followers });
    }
}
