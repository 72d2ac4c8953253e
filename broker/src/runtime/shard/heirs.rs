//! A log that goes on under another replica id: what its group lost is given up, what is there stays.
//!
//! 1. what the log holds is read from the disk;
//! 2. a round writes the record that makes it the heir's: id, term, voters, and its end as the durable mark;
//! 3. the log is opened; what lies behind its end is cut like a torn tail.
//!
//! Until the record is durable a crash leaves the old replica, which is closed or has no leader; behind it, the heir.

use std::sync::Arc;

use super::Shard;
use super::outputs::log_config_of;
use crate::ids::{Index, Offset, PartitionId, ReplicaId, Term};
use crate::log::{Inherited, Kind, Log, MetaChange, MetaField, PartitionMeta, Recovered};
use crate::node::{Input, Now};
use crate::state::{Heir, TopicConfig};

/// A log on its way to another replica.
pub(super) struct Inheriting {
    heir: Heir,
    /// The record; the old replica's until it is replaced.
    meta: PartitionMeta,
    config: Arc<TopicConfig>,
    topic: Arc<str>,
    /// The round that carries the record, once it has left.
    recorded: Option<u64>,
}

impl Shard {
    /// The replica that is taking over the log here.
    pub(super) fn heir_here(&self, partition: PartitionId) -> Option<ReplicaId> {
        self.inheriting.get(&partition).map(|inheriting| inheriting.heir.replica)
    }

    /// Begins to hand the log here to another replica.
    pub(super) fn inherit(
        &mut self,
        now: Now,
        partition: PartitionId,
        heir: Heir,
        config: Arc<TopicConfig>,
        topic: Arc<str>,
    ) {
        let open = self.logs.remove(&partition).map(|open| open.meta);
        let closed = self.recovered.remove(&partition).map(|(meta, _)| meta);
        let moving = self.jumping.remove(&partition).map(|jumping| jumping.into_meta(partition));
        let Some(meta) = open.or(closed).or(moving) else { return };
        self.touched.remove(&partition);
        self.unmarked.remove(&partition);
        self.repairs.remove(&partition);
        self.inheriting.insert(partition, Inheriting { heir, meta, config, topic, recorded: None });
        if self.in_flight.is_none() {
            self.inherit_all(now);
        }
    }

    /// Reads logs that are to be handed over. Only while no round is on its way, which could still work on their files.
    pub(super) fn inherit_all(&mut self, now: Now) {
        let waiting = self.inheriting.iter().filter(|(_, inheriting)| inheriting.recorded.is_none());
        let waiting: Vec<PartitionId> = waiting.map(|(partition, _)| *partition).collect();
        for partition in waiting {
            if let Err(why) = self.record_heir(partition) {
                self.inheriting.remove(&partition);
                self.node.handle(now, Input::OpenFailed { partition, why });
            }
        }
    }

    fn record_heir(&mut self, partition: PartitionId) -> Result<(), String> {
        let Some(inheriting) = self.inheriting.get_mut(&partition) else { return Ok(()) };
        let config = log_config_of(partition, &inheriting.config);
        let recovered = Log::open(Arc::clone(&self.fs), &self.root, partition, &inheriting.meta, config)
            .map_err(|error| error.to_string())?;
        let what = MetaField::Inherited(Box::new(inherited(&inheriting.heir, &inheriting.meta, &recovered)));
        let change = MetaChange { partition, what };
        inheriting.meta = PartitionMeta::after(Some(inheriting.meta.clone()), &change)
            .map_err(|error| error.to_string())?;
        inheriting.recorded = Some(self.rounds + 1);
        self.gathering.meta.push(change);
        Ok(())
    }

    /// A round is done: logs whose record it carried are their heirs', and opened.
    pub(super) fn heirs_done(&mut self, now: Now, number: u64) {
        let done = self.inheriting.iter().filter(|(_, heir)| heir.recorded.is_some_and(|at| at <= number));
        let done: Vec<PartitionId> = done.map(|(partition, _)| *partition).collect();
        for partition in done {
            if let Some(Inheriting { meta, config, topic, .. }) = self.inheriting.remove(&partition) {
                self.open_again(now, partition, meta, config, topic);
            }
        }
    }

    /// Lets go of a log on its way to an heir.
    pub(super) fn disinherit(&mut self, partition: PartitionId) -> bool {
        self.inheriting.remove(&partition).is_some()
    }
}

/// What an heir begins with.
fn inherited(heir: &Heir, meta: &PartitionMeta, recovered: &Recovered) -> Inherited {
    let moved = recovered.control.iter().filter(|entry| entry.kind == Kind::SetLogStart);
    let starts = moved.filter_map(|entry| entry.payload.as_ref().try_into().ok().map(i64::from_le_bytes));
    Inherited {
        replica: heir.replica,
        term: heir.term.max(Term(meta.term + 1)).max(Term(recovered.last_term.0 + 1)),
        last: recovered.last_index.max(Index(meta.first_index).prev()),
        last_term: recovered.last_term,
        log_start: Offset(starts.fold(meta.log_start, i64::max)),
    }
}
