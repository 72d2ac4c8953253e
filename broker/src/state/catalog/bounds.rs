//! How many partitions and replicas there may be.

use crate::ids::NodeId;
use crate::limits::{PARTITIONS_PER_TOPIC_MAX, REPLICAS_PER_BROKER_MAX};
use crate::refusal::Refusal;
use crate::state::placement::{Site, place};

/// Replicas of a topic. An even number costs one more and survives no more deaths.
pub(super) const REPLICA_COUNTS: [i32; 3] = [1, 3, 5];

/// What is there, with what the request would add so far.
pub(super) struct Room<'a> {
    pub(super) partitions: u64,
    pub(super) replicas: u64,
    pub(super) sites: Vec<Site<'a>>,
}

impl Room<'_> {
    /// Places partitions, if there is room for their replicas.
    pub(super) fn take(&mut self, partitions: i32, replicas: i32) -> Result<Vec<Vec<NodeId>>, Refusal> {
        let new = u64::from(partitions.unsigned_abs()) * u64::from(replicas.unsigned_abs());
        check_room(self.replicas, new, i64::from(partitions), self.sites.len())?;
        let placed = place(partitions, replicas.unsigned_abs() as usize, &mut self.sites, self.partitions);
        self.partitions += u64::from(partitions.unsigned_abs());
        self.replicas += new;
        Ok(placed)
    }
}

/// A number of partitions for a new topic.
pub(super) fn check_partitions(asked: i32) -> Result<i32, Refusal> {
    if (1..=PARTITIONS_PER_TOPIC_MAX).contains(&asked) {
        return Ok(asked);
    }
    let why = format!("a topic has 1 to {PARTITIONS_PER_TOPIC_MAX}");
    Err(Refusal::InvalidPartitions { asked: i64::from(asked), why })
}

/// A number of replicas, or the default where none is asked for.
pub(super) fn check_replicas(asked: Option<i32>, brokers: usize) -> Result<i32, Refusal> {
    let brokers = i32::try_from(brokers).unwrap_or(i32::MAX);
    let Some(asked) = asked else { return Ok(if brokers >= 3 { 3 } else { 1 }) };
    let possible = REPLICA_COUNTS.into_iter().filter(|count| *count <= brokers);
    // Of two that are equally near, the larger: it loses less.
    let nearest = possible.min_by_key(|count| (count.abs_diff(asked), -count)).unwrap_or(1);
    if asked == nearest && brokers > 0 {
        return Ok(asked);
    }
    let why = if REPLICA_COUNTS.contains(&asked) {
        format!("there are {brokers} brokers, each takes one; the nearest that fits is {nearest}")
    } else {
        format!("a topic has 1, 3 or 5, so that a majority can be had; the nearest that fits is {nearest}")
    };
    Err(Refusal::InvalidReplicas { asked, why })
}

/// Refuses more replicas than the brokers may have together. `partitions` is the number asked for, for the message.
pub(super) fn check_room(there: u64, new: u64, partitions: i64, brokers: usize) -> Result<(), Refusal> {
    let most = REPLICAS_PER_BROKER_MAX.saturating_mul(brokers.max(1) as u64);
    if there.saturating_add(new) <= most {
        return Ok(());
    }
    let why =
        format!("{brokers} brokers hold at most {most} replicas and have {there}: {new} more do not fit");
    Err(Refusal::InvalidPartitions { asked: partitions, why })
}

/// Refuses to add `more` partitions to `there` where the sum is above the limit of a topic, or nothing is added.
pub(super) fn check_growth(there: i32, more: i64) -> Result<(), Refusal> {
    let why = if more < 1 {
        "at least one is added".to_owned()
    } else if i64::from(there).saturating_add(more) > i64::from(PARTITIONS_PER_TOPIC_MAX) {
        format!("a topic has at most {PARTITIONS_PER_TOPIC_MAX} and this one has {there}")
    } else {
        return Ok(());
    };
    Err(Refusal::InvalidPartitions { asked: more, why })
}
