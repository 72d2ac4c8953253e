//! Partitions without a leader: each broker says how its own replicas of them stand, and whoever leads the control
//! partition listens. A replica that lost what it had synced is replaced, as soon as its partition's leader is heard.

use std::collections::BTreeMap;

use caudal_proto::peer;

use super::Node;
use super::event::{Now, Output, ShardMessage};
use super::partition::{Life, Partition};
use crate::consensus::{voters_from_peer, voters_to_peer};
use crate::ids::{Index, NodeId, Offset, PartitionId, ReplicaId, ShardId, Term, TopicId};
use crate::limits::{
    ELECTION_TICKS, MOVES_AT_ONCE, REPORT_TICKS, REPORTS_PER_SECOND_MAX, SECOND_TICKS, STATUS_TICKS,
};
use crate::state::{Catalog, Command, Condition, Evidence, ReplicaReport};

/// The reports of one shard.
pub(super) type Reports = Vec<(PartitionId, ReplicaReport)>;

/// What was heard of partitions, by the shard that has the control partition.
#[derive(Default)]
pub(super) struct Heard {
    leaders: BTreeMap<PartitionId, Word>,
    replicas: BTreeMap<(PartitionId, ReplicaId), (u64, ReplicaReport)>,
    /// What this broker's shards say of its own replicas.
    own: BTreeMap<ShardId, Reports>,
}

/// The newest word of a partition's leader.
struct Word {
    tick: u64,
    leader: ReplicaId,
    term: Term,
    high_watermark: Offset,
}

impl Heard {
    /// A leader speaks.
    pub(super) fn note_leader(&mut self, catalog: &Catalog, status: &peer::PartitionStatus, tick: u64) {
        let Some(id) = PartitionId::of_fields(&status.topic_id, status.partition) else { return };
        if catalog.topic_by_id(id.topic).is_none_or(|topic| topic.internal) {
            return;
        }
        let (leader, term) = (ReplicaId(status.leader), Term(status.term));
        let before = self.leaders.get(&id);
        if before.is_some_and(|before| before.term > term) {
            return;
        }
        // A reader may have seen what an earlier leader said.
        let high_watermark =
            Offset(status.high_watermark).max(before.map(|before| before.high_watermark).unwrap_or_default());
        self.leaders.insert(id, Word { tick, leader, term, high_watermark });
        // Who said before that it has no leader has one, or will say so again.
        let all = (id, ReplicaId(0))..=(id, ReplicaId(u64::MAX));
        let whole = self.replicas.range(all).filter(|(_, (_, report))| report.condition == Condition::Whole);
        for key in whole.map(|(key, _)| *key).collect::<Vec<_>>() {
            self.replicas.remove(&key);
        }
    }

    /// Replicas are spoken of, by one broker or by this one.
    fn note(&mut self, catalog: &Catalog, from: NodeId, reports: Reports, tick: u64) {
        for (id, report) in reports {
            let seat = (from, report.replica);
            let topic = catalog.topic_by_id(id.topic);
            let placement = topic.and_then(|topic| topic.partitions.get(usize::try_from(id.partition).ok()?));
            if placement.is_some_and(|placement| placement.all().any(|known| known == seat)) {
                self.replicas.insert((id, report.replica), (tick, report));
            }
        }
    }

    /// A second has passed: what was not said again is forgotten, and what was said of topics that are gone.
    fn forget(&mut self, catalog: &Catalog, tick: u64) {
        self.replicas.retain(|_, (said, _)| *said + REPORT_TICKS >= tick);
        if tick.is_multiple_of(STATUS_TICKS) {
            self.leaders.retain(|id, _| catalog.topic_by_id(id.topic).is_some());
        }
    }

    fn reports_of(&self, id: PartitionId) -> impl Iterator<Item = &ReplicaReport> {
        let all = (id, ReplicaId(0))..=(id, ReplicaId(u64::MAX));
        self.replicas.range(all).map(|(_, (_, report))| report)
    }
}

impl Node {
    /// Once a second: what this shard has to say of its replicas goes to the shard with the control partition.
    pub(super) fn report(&mut self) {
        let down = &self.down;
        let stranded = self.partitions.iter().filter(|(id, _)| id.topic != TopicId::CONTROL);
        let reports: Reports =
            stranded.filter_map(|(id, partition)| Some((*id, partition.report(down)?))).collect();
        if reports.is_empty() && !std::mem::take(&mut self.reported) {
            return;
        }
        self.reported = !reports.is_empty();
        let shard = self.options.shard;
        let message = ShardMessage::Reports { shard, reports };
        self.outputs.push_back(Output::ToShard { shard: ShardId(0), message });
    }

    /// A shard of this broker speaks of its replicas.
    pub(super) fn own_reports(&mut self, shard: ShardId, reports: Reports) {
        let (here, tick) = (self.options.identity.node, self.ticks);
        if let Some(control) = &mut self.control {
            control.heard.note(&control.catalog, here, reports.clone(), tick);
            control.heard.own.insert(shard, reports);
        }
    }

    /// Once a second: this broker's replicas are told to the leader of the control partition, where that is another one.
    pub(super) fn tell_reports(&mut self) {
        let tick = self.ticks;
        let Some(control) = &mut self.control else { return };
        control.heard.forget(&control.catalog, tick);
        let reports = || control.heard.own.values().flatten();
        let count = reports().count();
        if count == 0 {
            return;
        }
        // With more of them than fit, each gets its turn.
        let first = (tick / SECOND_TICKS) as usize * REPORTS_PER_SECOND_MAX % count;
        let some = reports().cycle().skip(first).take(count.min(REPORTS_PER_SECOND_MAX));
        let some = some.map(|(id, report)| report_to_peer(*id, report)).collect();
        let Some((mut message, to)) = self.to_control_leader() else { return };
        message.reports = some;
        self.outputs.push_back(Output::Send { to, class: peer::Class::Control, message: Box::new(message) });
    }

    /// Another broker speaks of its replicas.
    pub(super) fn reports_from(&mut self, id: PartitionId, from: NodeId, reports: Vec<peer::ReplicaReport>) {
        let tick = self.ticks;
        if let Some(control) = self.control.as_mut().filter(|_| id == PartitionId::CONTROL) {
            let reports = reports.into_iter().take(REPORTS_PER_SECOND_MAX).filter_map(report_from_peer);
            control.heard.note(&control.catalog, from, reports.collect(), tick);
        }
    }

    /// A leader has spoken of its partition: where one of its replicas lost what it had synced, another one takes that
    /// one's place. A majority lives, so nothing but what is lost already is given up.
    pub(super) fn replace_lost(&mut self, now: Now, status: &peer::PartitionStatus) {
        let Some(control) = &self.control else { return };
        let Some(id) = PartitionId::of_fields(&status.topic_id, status.partition) else { return };
        let lost = |report: &&ReplicaReport| {
            report.condition.is_lost()
                && report.replica.0 != status.leader
                && control.catalog.is_to_be_replaced(id, report.replica)
        };
        let Some(replica) = control.heard.reports_of(id).find(lost).map(|report| report.replica) else {
            return;
        };
        // A move under way goes on with the new one.
        let room =
            control.catalog.moving().count() < MOVES_AT_ONCE || control.catalog.moving().any(|it| it == id);
        if room {
            self.propose_own(now, &Command::Replace { partition: id, replica });
        }
    }

    /// What is known here of a partition.
    pub(super) fn evidence(&self, id: PartitionId) -> Evidence {
        let down = self.down.iter().copied().collect();
        let Some(control) = &self.control else { return Evidence { down, ..Evidence::default() } };
        let heard = &control.heard;
        let word = heard.leaders.get(&id);
        let home = |leader: ReplicaId| {
            let topic = control.catalog.topic_by_id(id.topic)?;
            let placement = topic.partitions.get(usize::try_from(id.partition).ok()?)?;
            placement.all().find(|(_, replica)| *replica == leader).map(|(node, _)| node)
        };
        let lately = |word: &&Word| word.tick + STATUS_TICKS + 2 * ELECTION_TICKS as u64 >= self.ticks;
        let reports: Vec<ReplicaReport> = heard.reports_of(id).cloned().collect();
        // A leader that says itself that it leads nothing any more does not lead.
        let leads = |word: &&Word| reports.iter().all(|report| report.replica != word.leader);
        let leader = word.filter(lately).filter(leads).and_then(|word| home(word.leader));
        Evidence {
            leader: leader.filter(|node| !self.down.contains(node)),
            told: word.map(|word| (word.term, word.high_watermark)),
            reports,
            down,
        }
    }
}

impl Partition {
    /// What is to be said of the replica: nothing while it has a leader.
    fn report(&self, down: &std::collections::BTreeSet<NodeId>) -> Option<ReplicaReport> {
        match &self.life {
            Life::Opening => None,
            Life::Closed { .. } => Some(self.left.clone().unwrap_or(ReplicaReport {
                replica: self.seats.here,
                condition: Condition::Closed,
                term: Term(0),
                last_index: Index(0),
                last_term: Term(0),
                log_start: Offset(0),
                next_offset: Offset(0),
                missing_entries: 0,
                voters: Default::default(),
            })),
            Life::Live(live) => {
                let replica = &live.replica;
                let home =
                    |leader: ReplicaId| self.seats.nodes.get(&leader).is_none_or(|node| down.contains(node));
                let stranded = !replica.is_leader() && replica.leader().is_none_or(home);
                stranded.then(|| ReplicaReport {
                    replica: replica.id(),
                    condition: Condition::Whole,
                    term: replica.term(),
                    last_index: replica.last_index(),
                    last_term: replica.last_term(),
                    log_start: live.log_start,
                    next_offset: replica.offset_after(replica.last_index()),
                    missing_entries: 0,
                    voters: replica.voters(),
                })
            }
        }
    }
}

fn report_to_peer(id: PartitionId, report: &ReplicaReport) -> peer::ReplicaReport {
    let condition = match report.condition {
        Condition::Whole => peer::Condition::Whole,
        Condition::LostEnd => peer::Condition::LostEnd,
        Condition::LostLog => peer::Condition::LostLog,
        Condition::Closed => peer::Condition::Closed,
    };
    peer::ReplicaReport {
        topic_id: bytes::Bytes::copy_from_slice(id.topic.as_bytes()),
        partition: id.partition,
        replica: report.replica.0,
        condition: condition.into(),
        term: report.term.0,
        last_index: report.last_index.0,
        last_term: report.last_term.0,
        log_start: report.log_start.0,
        next_offset: report.next_offset.0,
        missing_entries: report.missing_entries,
        voters: Some(voters_to_peer(&report.voters)),
    }
}

/// What another broker says; `None` where it is nothing that one would say.
fn report_from_peer(report: peer::ReplicaReport) -> Option<(PartitionId, ReplicaReport)> {
    let id = PartitionId::of_fields(&report.topic_id, report.partition)?;
    let condition = match report.condition() {
        peer::Condition::Whole => Condition::Whole,
        peer::Condition::LostEnd => Condition::LostEnd,
        peer::Condition::LostLog => Condition::LostLog,
        peer::Condition::Closed | peer::Condition::Unspecified => Condition::Closed,
    };
    let told = ReplicaReport {
        replica: ReplicaId(report.replica),
        condition,
        term: Term(report.term),
        last_index: Index(report.last_index),
        last_term: Term(report.last_term),
        log_start: Offset(report.log_start),
        next_offset: Offset(report.next_offset),
        missing_entries: report.missing_entries,
        voters: report.voters.map(voters_from_peer).unwrap_or_default(),
    };
    Some((id, told))
}
