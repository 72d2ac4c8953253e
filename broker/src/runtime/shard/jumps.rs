//! A log that goes on elsewhere: built beside the old one, durable as a whole, then switched to with one meta record.
//!
//! 1. a round makes the new generation's folder, its first segment, its producers, and the state machine's snapshot;
//! 2. a round writes the record that says all of it, durably;
//! 3. the log is opened, and a round removes the old generation.
//!
//! Until the record is durable a crash leaves the old log as it was; behind it, the new one.

use std::sync::Arc;

use caudal_proto::peer;

use super::{OpenLog, Owner, Shard};
use crate::ids::{Index, PartitionId, Term};
use crate::log::{Job, JobDone, Jumped, MetaField, PartitionMeta, paths};
use crate::node::{Input, Now, producers_of, start_of, voters_of};
use crate::state::TopicConfig;

/// A log on its way to another place.
pub(super) struct Jumping {
    jumped: Jumped,
    meta: PartitionMeta,
    snapshot: Box<peer::Snapshot>,
    config: Arc<TopicConfig>,
    topic: Arc<str>,
    /// Jobs that are not done.
    jobs: usize,
    /// One of them found no room: all are tried again once a second.
    no_room: bool,
    /// The round that carries the record, once it has left.
    recorded: Option<u64>,
}

impl Jumping {
    /// The replica whose log it is.
    pub(super) fn replica(&self) -> u64 {
        self.meta.replica_id
    }

    /// The record of the log, where the jump goes no further: what it was, unless what it shall be is on its way.
    pub(super) fn into_meta(self, partition: PartitionId) -> PartitionMeta {
        let what = MetaField::Jumped(Box::new(self.jumped));
        let change = crate::log::MetaChange { partition, what };
        let jumped = self.recorded.and_then(|_| PartitionMeta::after(Some(self.meta.clone()), &change).ok());
        jumped.unwrap_or(self.meta)
    }
}

impl Shard {
    /// Begins to build the log that a leader has told of.
    pub(super) fn jump(
        &mut self,
        partition: PartitionId,
        term: Term,
        vote: u64,
        snapshot: Box<peer::Snapshot>,
    ) {
        let Some(OpenLog { log, config, topic, meta, .. }) = self.logs.remove(&partition) else { return };
        drop(log);
        self.touched.remove(&partition);
        self.unmarked.remove(&partition);
        self.repairs.remove(&partition);
        let jumped = Jumped {
            start: start_of(&snapshot, meta.generation + 1),
            voters: voters_of(&snapshot),
            applied: Index(snapshot.voters_index).max(Index(snapshot.index)),
            term,
            vote,
            snapshot: (Index(snapshot.state_index), Term(snapshot.state_term)),
        };
        let mut jumping =
            Jumping { jumped, meta, snapshot, config, topic, jobs: 0, no_room: false, recorded: None };
        self.build(partition, &mut jumping);
        self.jumping.insert(partition, jumping);
    }

    fn build(&mut self, partition: PartitionId, jumping: &mut Jumping) {
        let start = jumping.jumped.start;
        let producers = producers_of(&jumping.snapshot).unwrap_or_default();
        self.job(Owner::Jump(partition), Job::Create { partition, start, producers });
        jumping.jobs = 1;
        let (index, term) = jumping.jumped.snapshot;
        if index > Index(0) {
            let data = jumping.snapshot.state.clone();
            self.job(Owner::Jump(partition), Job::Snapshot { partition, index, term, data });
            jumping.jobs = 2;
        }
    }

    /// A job of a jump is done: after the last one the record leaves.
    pub(super) fn jump_job_done(&mut self, partition: PartitionId, done: &JobDone) {
        let Some(jumping) = self.jumping.get_mut(&partition) else { return };
        jumping.jobs -= 1;
        jumping.no_room |= matches!(done, JobDone::NoSpace);
        if jumping.jobs == 0 && !jumping.no_room {
            jumping.recorded = Some(self.rounds + 1);
            let what = MetaField::Jumped(Box::new(jumping.jumped.clone()));
            self.change(partition, what);
        }
    }

    /// Jumps that there was no room for may find some by now.
    pub(super) fn jump_again(&mut self) {
        let waiting = self.jumping.iter().filter(|(_, jumping)| jumping.jobs == 0 && jumping.no_room);
        let waiting: Vec<PartitionId> = waiting.map(|(partition, _)| *partition).collect();
        for partition in waiting {
            if let Some(mut jumping) = self.jumping.remove(&partition) {
                jumping.no_room = false;
                self.build(partition, &mut jumping);
                self.jumping.insert(partition, jumping);
            }
        }
    }

    /// A round is done: logs whose record it carried are opened where they are now.
    pub(super) fn jumps_done(&mut self, now: Now, number: u64) {
        let done = self.jumping.iter().filter(|(_, jumping)| jumping.recorded.is_some_and(|at| at <= number));
        let done: Vec<PartitionId> = done.map(|(partition, _)| *partition).collect();
        for partition in done {
            let Some(Jumping { jumped, meta, config, topic, .. }) = self.jumping.remove(&partition) else {
                continue;
            };
            let (generation, before) = (meta.generation, meta.snapshot_index);
            let what = MetaField::Jumped(Box::new(jumped));
            match PartitionMeta::after(Some(meta), &crate::log::MetaChange { partition, what }) {
                Ok(meta) => {
                    self.job(Owner::Nobody, Job::RemoveGeneration { partition, generation });
                    if before > 0 && before != meta.snapshot_index {
                        let home = paths::partition_home(&self.root, partition);
                        let files = vec![paths::snapshot_path(&home, Index(before))];
                        self.job(Owner::Nobody, Job::Remove { partition, files });
                    }
                    self.open_again(now, partition, meta, config, topic);
                }
                Err(error) => self.node.handle(now, Input::OpenFailed { partition, why: error.to_string() }),
            }
        }
    }
}
