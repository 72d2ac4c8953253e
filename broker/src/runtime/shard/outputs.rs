//! What the machine wants done, done to the logs.

use std::sync::Arc;

use super::reading::{LogRead, Work};
use super::{Creating, Effect, OpenLog, Owner, Shard, Snapshotting, Unsynced, log_config};
use crate::consensus::{self, FIRST_INDEX, FOUNDING_TERM};
use crate::ids::{Index, Offset, PartitionId, ReplicaId, Term};
use crate::limits::{CONTROL_SEGMENT_BYTES, DISK_STALL_TICKS, TICK_MS};
use crate::log::{
    Entry, Fatal, Job, Log, LogConfig, LogStart, MetaChange, MetaField, OpenError, PartitionMeta, Place,
    Recovered, Voters, read_snapshot,
};
use crate::node::{Boot, Input, Now, Output};
use crate::state::{Heir, TopicConfig};

/// A replica whose log shall be open.
struct Wanted {
    replica: ReplicaId,
    /// All replicas of the partition at its birth; none for one that is told by a leader.
    voters: Vec<u64>,
    /// Where it takes over the log of another one, or goes on without.
    heir: Option<Heir>,
}

impl Shard {
    pub(super) fn carry_out(&mut self, now: Now, output: Output) -> Result<(), Fatal> {
        match output {
            Output::Persist { partition, incarnation, ready, entries, hard_state } => {
                self.persist(now, partition, incarnation, ready, &entries, hard_state)?;
            }
            Output::Read { partition, incarnation, from, to } => {
                self.read(partition, from, to, Work::Fetch { incarnation });
            }
            Output::Lend { partition, to, first, last } => {
                self.read(partition, first, last.next(), Work::Lend { to });
            }
            Output::Borrowed { partition, entries } => self.borrowed(now, partition, entries),
            Output::Send { to, class, message } => {
                self.effects.push_back(Effect::Send { to, class, message })
            }
            Output::Statuses(statuses) => self.effects.push_back(Effect::Statuses(statuses)),
            Output::Jump { partition, term, vote, snapshot } => self.jump(partition, term, vote, snapshot),
            Output::Commit { partition, index } => self.change(partition, MetaField::Commit(index)),
            Output::Conf { partition, applied, voters } => {
                self.change(partition, MetaField::Conf { applied, voters });
                let round = self.rounds + 1;
                if let Some(open) = self.logs.get_mut(&partition) {
                    open.confs.push_back((round, applied));
                    self.touched.insert(partition);
                }
            }
            Output::Reply { ticket, reply } => self.effects.push_back(Effect::Reply { ticket, reply }),
            Output::Publish { partition, view } => {
                self.effects.push_back(Effect::Publish { partition, view })
            }
            Output::Open { partition, replica, voters, heir, config, topic } => {
                self.open(now, partition, Wanted { replica, voters, heir }, config, topic);
            }
            Output::Reopen { partition } => self.reopen(now, partition),
            Output::Closed { partition, why } => tracing::error!(%partition, %why, "the partition is closed"),
            Output::Configure { partition, config } => {
                if let Some(open) = self.logs.get_mut(&partition) {
                    open.log.set_config(log_config(&config));
                    open.config = Arc::clone(&config);
                    self.look_at_segments(now, partition);
                }
                self.effects.push_back(Effect::Configured { partition, config });
            }
            Output::Delete { partition, replica } => self.delete(partition, replica),
            Output::SetLogStart { partition, offset, applied } => {
                self.set_log_start(partition, offset, applied)
            }
            Output::Snapshot { partition, index, term, data } => {
                let before =
                    self.logs.get(&partition).map_or(Index(0), |open| Index(open.meta.snapshot_index));
                self.snapshots.insert(partition, Snapshotting { index, term, before });
                self.job(Owner::Snapshot(partition), Job::Snapshot { partition, index, term, data });
            }
            Output::ToShard { shard, message } => self.effects.push_back(Effect::ToShard { shard, message }),
            Output::Catalog(catalog) => self.effects.push_back(Effect::Catalog(catalog)),
            Output::Registered(node) => self.effects.push_back(Effect::Registered(node)),
            Output::DiskStalled(true) => {
                tracing::warn!(
                    "the disk has not finished a write for {} ms: other brokers lead where they can",
                    DISK_STALL_TICKS * TICK_MS
                );
            }
            Output::DiskStalled(false) => tracing::info!("the disk finishes what it is asked for again"),
        }
        Ok(())
    }

    /// Entries below `to` are read beside the shard's work.
    fn read(&mut self, partition: PartitionId, from: Index, to: Index, work: Work) {
        if let Some(open) = self.logs.get(&partition) {
            let reader = open.log.reader();
            self.effects.push_back(Effect::Read(LogRead { partition, from, to, reader, work }));
        }
    }

    fn persist(
        &mut self,
        now: Now,
        partition: PartitionId,
        incarnation: u64,
        ready: u64,
        entries: &[Entry],
        hard_state: Option<(Term, u64)>,
    ) -> Result<(), Fatal> {
        let mut meta_round = 0;
        if let Some((term, vote)) = hard_state {
            self.change(partition, MetaField::HardState { term, vote });
            meta_round = self.rounds + 1;
        }
        let Some(open) = self.logs.get_mut(&partition) else { return Ok(()) };
        if let Some(first) = entries.first() {
            // What a later leader cuts can no longer be waited for.
            for unsynced in &mut open.unsynced {
                unsynced.last = unsynced.last.min(first.index.prev());
            }
            open.log.append(entries)?;
        }
        let last = entries.last().map_or(Index(0), |entry| entry.index);
        open.unsynced.push_back(Unsynced { incarnation, ready, last, meta_round });
        self.touched.insert(partition);
        self.tell_written(now, partition);
        Ok(())
    }

    /// Tells the machine how far the log is written, if that changed.
    pub(super) fn tell_written(&mut self, now: Now, partition: PartitionId) {
        let Some(open) = self.logs.get_mut(&partition) else { return };
        let (index, term) = open.log.last_written();
        if (index, term) != open.written {
            open.written = (index, term);
            self.node.handle(now, Input::Written { partition, index, term });
        }
    }

    /// Opens a log that was there at start, or makes one.
    fn open(
        &mut self,
        now: Now,
        partition: PartitionId,
        Wanted { replica, voters, heir }: Wanted,
        config: Arc<TopicConfig>,
        topic: Arc<str>,
    ) {
        let held = self.held(partition);
        if self.deleted.get(&partition).copied().max(held.filter(|held| *held != replica)) >= Some(replica) {
            // An old command of the control log: the one that deletes it follows.
            return;
        }
        if let Some(before) = held.filter(|held| *held < replica) {
            if let Some(heir) = heir.filter(|heir| heir.of == Some(before)) {
                return self.inherit(now, partition, heir, config, topic);
            }
            // The command that deleted it was before the snapshot that this start began with.
            self.delete(partition, before);
        }
        match self.recovered.remove(&partition) {
            Some((meta, Ok(recovered))) => self.opened(now, partition, meta, recovered, config, topic),
            Some((meta, Err(error))) if !matches!(error, OpenError::NotMade { .. }) => {
                self.open_failed(now, partition, &error);
                // Its record is there until it is deleted.
                self.recovered.insert(partition, (meta, Err(error)));
            }
            recorded => {
                // A replica without voters knows nothing: it is behind every entry, and is told where to begin.
                let start = match (voters.is_empty(), heir) {
                    (true, _) => LogStart::genesis(partition, Index(1), Term(0)),
                    (false, None) => LogStart::genesis(partition, FIRST_INDEX, FOUNDING_TERM),
                    (false, Some(Heir { term, resume_at, .. })) => LogStart {
                        next_offset: resume_at,
                        log_start: resume_at,
                        ..LogStart::genesis(partition, FIRST_INDEX, term.max(FOUNDING_TERM))
                    },
                };
                let voters = Voters { voters, ..Voters::default() };
                let recorded = recorded.map(|(meta, _)| meta);
                let creating = Creating {
                    replica,
                    start,
                    voters,
                    config,
                    topic,
                    made: false,
                    no_room: false,
                    told: false,
                    recorded,
                };
                self.creating.insert(partition, creating);
                self.job(
                    Owner::Create(partition, replica),
                    Job::Create { partition, start, producers: Vec::new() },
                );
            }
        }
    }

    fn open_failed(&mut self, now: Now, partition: PartitionId, error: &OpenError) {
        let why = error.to_string();
        let input = match error {
            OpenError::Missing { durable, .. } => Input::Lost { partition, why, durable: *durable },
            _ => Input::OpenFailed { partition, why },
        };
        self.node.handle(now, input);
    }

    /// A log that is new and recorded: opens it like any other.
    pub(super) fn created(&mut self, now: Now, partition: PartitionId, replica: ReplicaId) {
        // Another replica may come already where this one went.
        if self.creating.get(&partition).is_none_or(|creating| creating.replica != replica) {
            return;
        }
        let Some(creating) = self.creating.remove(&partition) else { return };
        let what = created_field(&creating);
        let change = MetaChange { partition, what };
        let meta = match creating.recorded.clone().map_or_else(|| PartitionMeta::after(None, &change), Ok) {
            Ok(meta) => meta,
            Err(error) => {
                return self.node.handle(now, Input::OpenFailed { partition, why: error.to_string() });
            }
        };
        self.open_again(now, partition, meta, creating.config, creating.topic);
    }

    /// Opens a log from the disk while the broker runs.
    pub(super) fn open_again(
        &mut self,
        now: Now,
        partition: PartitionId,
        meta: PartitionMeta,
        config: Arc<TopicConfig>,
        topic: Arc<str>,
    ) {
        let of_log = log_config_of(partition, &config);
        match Log::open(Arc::clone(&self.fs), &self.root, partition, &meta, of_log) {
            Ok(recovered) => self.opened(now, partition, meta, recovered, config, topic),
            Err(error) => self.open_failed(now, partition, &error),
        }
    }

    fn opened(
        &mut self,
        now: Now,
        partition: PartitionId,
        meta: PartitionMeta,
        mut recovered: Recovered,
        config: Arc<TopicConfig>,
        topic: Arc<str>,
    ) {
        let snapshot = match self.read_snapshot(partition, &meta) {
            Ok(snapshot) => snapshot,
            Err(why) => return self.node.handle(now, Input::OpenFailed { partition, why }),
        };
        // A command that cannot be read would leave this broker with other topics than were agreed on.
        let lost = recovered.holes.iter().find(|hole| hole.last_index > Index(meta.snapshot_index));
        if let Some(hole) = lost.filter(|_| partition == PartitionId::CONTROL) {
            let (first, last) = (hole.first_index, hole.last_index);
            let why =
                format!("entries {first}..={last} of the control log are damaged: restore the data folder");
            return self.node.handle(now, Input::OpenFailed { partition, why });
        }
        for range in recovered.damage.iter() {
            tracing::error!(%partition, first = %range.first, last = %range.last, "stored records are damaged: they are refused, the others are served");
        }
        recovered.log.set_config(log_config_of(partition, &config));
        let boot = match boot(partition, &meta, &mut recovered, snapshot) {
            Ok(boot) => Box::new(boot),
            Err(why) => return self.node.handle(now, Input::OpenFailed { partition, why }),
        };
        let log = recovered.log;
        self.effects.push_back(Effect::Opened {
            partition,
            topic: Arc::clone(&topic),
            config: Arc::clone(&config),
            reader: log.reader(),
        });
        let (written, sequence, start) = (log.last_written(), log.sequence(), log.start());
        let (unsynced, confs) = Default::default();
        let open = OpenLog { log, config, topic, meta, unsynced, confs, written, sequence, start };
        self.logs.insert(partition, open);
        self.node.handle(now, Input::Opened { partition, boot });
    }

    fn read_snapshot(
        &self,
        partition: PartitionId,
        meta: &PartitionMeta,
    ) -> Result<Option<bytes::Bytes>, String> {
        if meta.snapshot_index == 0 {
            return Ok(None);
        }
        read_snapshot(&*self.fs, &self.root, partition, Index(meta.snapshot_index))
            .map(Some)
            .map_err(|error| error.to_string())
    }

    /// Opens a log again after the machine lost its group to a panic.
    fn reopen(&mut self, now: Now, partition: PartitionId) {
        let Some(open) = self.logs.remove(&partition) else { return };
        drop(open.log);
        self.repairs.remove(&partition);
        self.open_again(now, partition, open.meta, open.config, open.topic);
    }

    /// The replica of a partition that the disk holds.
    fn held(&self, partition: PartitionId) -> Option<ReplicaId> {
        let recovered = self.recovered.get(&partition).map(|(meta, _)| meta.replica_id);
        let open = self.logs.get(&partition).map(|open| open.meta.replica_id);
        let jumping = self.jumping.get(&partition).map(super::jumps::Jumping::replica);
        let inheriting = self.heir_here(partition);
        recovered.or(open).or(jumping).map(ReplicaId).or(inheriting)
    }

    fn delete(&mut self, partition: PartitionId, replica: ReplicaId) {
        let creating = self.creating.get(&partition).map(|creating| creating.replica);
        if self.held(partition).max(creating) > Some(replica) {
            // An old command of the control log, told anew at a start: what is here came after it.
            return;
        }
        let deleted = self.deleted.entry(partition).or_insert(replica);
        *deleted = replica.max(*deleted);
        let in_flight =
            self.in_flight.as_ref().is_some_and(|round| round.created.iter().any(|(id, _)| *id == partition));
        let creating = self.creating.remove(&partition);
        let recorded = self.logs.remove(&partition).is_some()
            | self.recovered.remove(&partition).is_some()
            | self.jumping.remove(&partition).is_some()
            | self.disinherit(partition)
            | creating.is_some_and(|creating| in_flight || creating.recorded.is_some());
        if recorded {
            self.change(partition, MetaField::Removed);
        }
        self.touched.remove(&partition);
        self.unmarked.remove(&partition);
        self.repairs.remove(&partition);
        self.job(Owner::Nobody, Job::RemoveLog { partition });
        self.effects.push_back(Effect::Deleted { partition });
    }

    pub(super) fn set_log_start(&mut self, partition: PartitionId, offset: Offset, applied: Index) {
        if let Some(open) = self.logs.get_mut(&partition) {
            open.log.set_log_start(offset, applied);
            self.touched.insert(partition);
        }
    }

    /// Adds a change to the next round, and to what is known of the partition here.
    pub(super) fn change(&mut self, partition: PartitionId, what: MetaField) {
        let change = MetaChange { partition, what };
        if let Some(open) = self.logs.get_mut(&partition) {
            note(&mut open.meta, &change);
        }
        self.gathering.meta.push(change);
    }

    pub(super) fn job(&mut self, owner: Owner, job: Job) {
        self.gathering.jobs.push(job);
        self.owners.push(owner);
    }
}

pub(super) fn created_field(creating: &Creating) -> MetaField {
    MetaField::Created {
        replica: creating.replica,
        start: creating.start,
        voters: creating.voters.clone(),
        term: creating.start.prev_term,
    }
}

/// The control log is cut often, so its segments are small.
pub(super) fn log_config_of(partition: PartitionId, config: &TopicConfig) -> LogConfig {
    if partition == PartitionId::CONTROL {
        return LogConfig { segment_bytes: CONTROL_SEGMENT_BYTES, ..log_config(config) };
    }
    log_config(config)
}

/// What the shard knows of a partition's meta record follows what it sends to the meta log.
pub(super) fn note(meta: &mut PartitionMeta, change: &MetaChange) {
    match PartitionMeta::after(Some(meta.clone()), change) {
        Ok(changed) => *meta = changed,
        Err(error) => tracing::error!(%error, "a change that the meta log will refuse"),
    }
}

/// What the machine starts a replica from.
fn boot(
    partition: PartitionId,
    meta: &PartitionMeta,
    recovered: &mut Recovered,
    snapshot: Option<bytes::Bytes>,
) -> Result<Boot, String> {
    // A log that goes beyond the recorded term proves that the term was reached; the vote of the older term is void.
    let term = Term(meta.term).max(recovered.last_term);
    let vote = if term.0 > meta.term { 0 } else { meta.vote };
    // The recorded commit index is lazy; what is applied, or cut from the log, was committed.
    let applied = meta.applied.max(meta.snapshot_index);
    let commit = Index(meta.commit.max(applied)).max(meta.start().first_index.prev());
    let commit = commit.min(recovered.last_index);
    let places = places(recovered, commit, &meta.start())?;
    let group = consensus::Boot {
        partition,
        replica: ReplicaId(meta.replica_id),
        term,
        vote,
        commit,
        applied: Index(applied).min(recovered.last_index),
        voters: meta.voters.clone().unwrap_or_default(),
        start: meta.start(),
        last_index: recovered.last_index,
        terms: std::mem::take(&mut recovered.terms),
        places,
        entries: std::mem::take(&mut recovered.control),
    };
    Ok(Boot {
        group,
        producers: std::mem::take(&mut recovered.producers),
        commands: std::mem::take(&mut recovered.commands),
        snapshot,
        voters_index: Index(meta.applied),
        snapshot_index: Index(meta.snapshot_index),
        lost_end: recovered.lost_end,
        missing_entries: meta.durable_index.saturating_sub(recovered.last_index.0),
        next_offset: recovered.next_offset,
    })
}

/// What the entries from the commit index on leave behind. Those that are damaged leave what the next intact one takes.
fn places(recovered: &Recovered, commit: Index, start: &LogStart) -> Result<Vec<Place>, String> {
    let (next_offset, append_time) = (start.next_offset, start.append_time);
    let before = Place { next_offset, append_time, chain: Some(start.chain) };
    let (mut places, mut next) = (Vec::new(), commit);
    if commit < start.first_index {
        (places, next) = (vec![before], start.first_index);
    }
    while next <= recovered.last_index {
        let damaged =
            recovered.holes.iter().find(|hole| (hole.first_index..=hole.last_index).contains(&next));
        if let Some(hole) = damaged {
            let append_time = places.last().copied().unwrap_or(before).append_time;
            let place = Place { next_offset: hole.next_offset, append_time, chain: None };
            places.extend(std::iter::repeat_n(place, (hole.last_index.0 + 1 - next.0) as usize));
            next = hole.last_index.next();
            continue;
        }
        let ahead = recovered.holes.iter().map(|hole| hole.first_index).filter(|first| *first > next).min();
        let end = ahead.unwrap_or(recovered.last_index.next()).min(recovered.last_index.next());
        let read = recovered.log.reader().places(next, end).map_err(|error| error.to_string())?;
        if read.is_empty() {
            return Err(format!("entries from {next} on are not where the log says"));
        }
        next = Index(next.0 + read.len() as u64);
        places.extend(read);
    }
    // The log goes on from here, also behind a damaged entry.
    if let Some(last) = places.last_mut() {
        last.chain = Some(recovered.chain);
    }
    Ok(places)
}
