//! Rounds: what leaves for the disk, and what its return sets free.

use std::collections::BTreeSet;

use super::outputs::{created_field, note};
use super::{InFlight, Owner, Shard};
use crate::ids::{Index, PartitionId, ReplicaId};
use crate::log::{Fatal, Job, JobDone, MetaField, Round, RoundDone, paths};
use crate::node::{Input, NO_ROOM_FOR_LOG, Now};

impl Shard {
    /// What the disk has to do next; `None` while it is busy with the last round, or when there is nothing.
    pub fn take_round(&mut self, now: Now) -> Option<Round> {
        if self.in_flight.is_some() {
            return None;
        }
        let mut created = Vec::new();
        for (partition, creating) in &self.creating {
            if creating.made && creating.recorded.is_none() {
                self.gathering
                    .meta
                    .push(crate::log::MetaChange { partition: *partition, what: created_field(creating) });
            }
            if creating.made {
                created.push((*partition, creating.replica));
            }
        }
        let mut round = std::mem::take(&mut self.gathering);
        let mut owners = std::mem::take(&mut self.owners);
        let mut logs = BTreeSet::new();
        for partition in std::mem::take(&mut self.touched) {
            let Some(open) = self.logs.get_mut(&partition) else { continue };
            let before = round.meta.len();
            open.log.plan(now.wall_ms, &mut round);
            logs.insert(partition);
            owners.resize(round.jobs.len(), Owner::Log(partition));
            for change in &round.meta[before..] {
                note(&mut open.meta, change);
            }
        }
        if round.is_empty() && created.is_empty() {
            return None;
        }
        round.number = self.next_round();
        self.in_flight = Some(InFlight { number: round.number, owners, logs, created });
        Some(round)
    }

    /// The round on its way is done. Flush, effects and the next round follow.
    ///
    /// # Errors
    /// A write failed: the process must stop.
    pub fn round_done(&mut self, now: Now, done: RoundDone) -> Result<(), Fatal> {
        let Some(in_flight) = self.in_flight.take_if(|in_flight| in_flight.number == done.number) else {
            return Ok(());
        };
        for (partition, replica) in in_flight.created {
            self.created(now, partition, replica);
        }
        let mut of_logs: std::collections::BTreeMap<PartitionId, Vec<JobDone>> = Default::default();
        for (owner, job) in in_flight.owners.into_iter().zip(done.jobs) {
            match owner {
                Owner::Log(partition) => of_logs.entry(partition).or_default().push(job),
                Owner::Create(partition, replica) => self.create_done(now, partition, replica, &job),
                Owner::Snapshot(partition) => self.snapshot_done(now, partition, &job),
                Owner::Jump(partition) => self.jump_job_done(partition, &job),
                Owner::Install(partition, sequence) => self.installed(partition, sequence, &job),
                Owner::Nobody => {}
            }
        }
        self.jumps_done(now, done.number);
        self.heirs_done(now, done.number);
        for partition in in_flight.logs {
            let jobs = of_logs.remove(&partition).unwrap_or_default();
            self.log_done(now, partition, &jobs, done.number)?;
        }
        self.inherit_all(now);
        Ok(())
    }

    fn log_done(
        &mut self,
        now: Now,
        partition: PartitionId,
        jobs: &[JobDone],
        number: u64,
    ) -> Result<(), Fatal> {
        let Some(open) = self.logs.get_mut(&partition) else { return Ok(()) };
        open.log.round_done(jobs)?;
        let synced = open.log.synced();
        let rolled = open.log.sequence() != open.sequence;
        while let Some(done) =
            open.unsynced.pop_front_if(|unsynced| unsynced.last <= synced && unsynced.meta_round <= number)
        {
            let (incarnation, ready) = (done.incarnation, done.ready);
            self.node.handle(now, Input::Persisted { partition, incarnation, ready });
        }
        while let Some((_, applied)) = open.confs.pop_front_if(|(round, _)| *round <= number) {
            self.node.handle(now, Input::ConfKept { partition, applied });
        }
        if open.log.has_work() {
            self.touched.insert(partition);
        }
        let start = open.log.start();
        if start != open.start {
            open.start = start;
            self.node.handle(now, Input::Began { partition, start });
        }
        self.unmarked.insert(partition);
        self.tell_written(now, partition);
        if rolled {
            self.look_at_segments(now, partition);
        }
        Ok(())
    }

    fn create_done(&mut self, now: Now, partition: PartitionId, replica: ReplicaId, job: &JobDone) {
        let creating = self.creating.get_mut(&partition).filter(|creating| creating.replica == replica);
        let Some(creating) = creating else { return };
        match job {
            JobDone::Done => creating.made = true,
            JobDone::NoSpace => {
                creating.no_room = true;
                if !std::mem::replace(&mut creating.told, true) {
                    let why = NO_ROOM_FOR_LOG.to_owned();
                    self.node.handle(now, Input::OpenFailed { partition, why });
                }
            }
        }
    }

    /// Logs that there was no room for may find some by now.
    pub(super) fn create_again(&mut self) {
        let mut again = Vec::new();
        for (partition, creating) in &mut self.creating {
            if std::mem::take(&mut creating.no_room) {
                again.push((*partition, creating.replica, creating.start));
            }
        }
        for (partition, replica, start) in again {
            self.job(
                Owner::Create(partition, replica),
                Job::Create { partition, start, producers: Vec::new() },
            );
        }
    }

    fn snapshot_done(&mut self, now: Now, partition: PartitionId, job: &JobDone) {
        let Some(snapshot) = self.snapshots.remove(&partition) else { return };
        let done = matches!(job, JobDone::Done);
        if done {
            self.change(partition, MetaField::Snapshot { index: snapshot.index, term: snapshot.term });
            if snapshot.before > Index(0) {
                let home = paths::partition_home(&self.root, partition);
                let files = vec![paths::snapshot_path(&home, snapshot.before)];
                self.job(Owner::Nobody, Job::Remove { partition, files });
            }
            let start = self.logs.get(&partition).map(|open| open.meta.start().log_start).unwrap_or_default();
            self.set_log_start(partition, start, snapshot.index);
        }
        self.node.handle(now, Input::SnapshotDone { partition, index: snapshot.index, done });
    }
}
