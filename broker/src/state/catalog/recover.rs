//! Replicas that lost what they had synced: each is replaced while a majority lives; without one, a partition goes on
//! from what is left, where an operator says so.

use std::collections::BTreeSet;

use crate::ids::{NodeId, Offset, PartitionId, ReplicaId, Term};
use crate::limits::RECOVERY_OFFSETS_LEFT_OUT;
use crate::log::Voters;
use crate::refusal::Refusal;
use crate::state::recovery::{Evidence, Heir, Recovery, RecoverySpec, ReplicaReport, Survivor};
use crate::state::topic::PartitionPlacement;

use super::bounds::REPLICA_COUNTS;
use super::{Catalog, Delta};

impl Catalog {
    /// A replica that shall vote is no more, and a new one takes its place on its broker. The partition's leader makes
    /// the new one a voter, as in any move. Nothing where the old one is not wanted by now.
    pub(super) fn replace(&mut self, id: PartitionId, old: ReplicaId, deltas: &mut Vec<Delta>) {
        let Ok(placement) = self.placement(id) else { return };
        if !placement.wanted().iter().any(|(_, replica)| *replica == old) {
            return;
        }
        let new = self.new_replica();
        let renew = |seats: &[(NodeId, ReplicaId)]| -> Vec<(NodeId, ReplicaId)> {
            let renewed = |(node, replica): &(NodeId, ReplicaId)| match *replica == old {
                true => (*node, new),
                false => (*node, *replica),
            };
            seats.iter().map(renewed).collect()
        };
        let replaced = PartitionPlacement {
            replicas: renew(&placement.replicas),
            moving: Some(renew(placement.wanted())),
            cancelled: renew(&placement.cancelled),
            moved: true,
            heir: placement.heir,
        };
        self.place(id, replaced, deltas);
    }

    /// Whether a replica shall be replaced that says it lost what it had synced.
    pub fn is_to_be_replaced(&self, id: PartitionId, replica: ReplicaId) -> bool {
        let Ok(placement) = self.placement(id) else { return false };
        let home = placement.wanted().iter().find(|(_, wanted)| *wanted == replica).map(|(node, _)| *node);
        // Of a broker that is being removed the replica goes anyway.
        home.and_then(|node| self.member(node)).is_some_and(|member| !member.removing)
    }

    /// What it would mean to go on from what is left of a partition, and the command that does it.
    ///
    /// # Errors
    /// A majority of its replicas is intact, or a broker that answers has not said how its replica stands.
    pub fn plan_recovery(
        &self,
        topic: &str,
        partition: i32,
        evidence: &dyn Fn(PartitionId) -> Evidence,
    ) -> Result<(Recovery, RecoverySpec), Refusal> {
        let id = PartitionId { topic: self.changeable(topic)?.id, partition };
        let placement = self.placement(id)?;
        let (named, evidence) = (format!("{topic}:{partition}"), evidence(id));
        let replicas = self.survivors(&placement, &evidence, &named)?;
        let best = evidence.best();
        refuse_intact(&placement, &evidence, best, &named)?;
        let to = self.recovered_on(&placement, &evidence, best);
        let Some(first) = to.first().copied() else {
            let why = format!("no broker that answers takes the replicas of {named}");
            return Err(Refusal::InvalidArgument { field: "partition".into(), why });
        };
        let lost_from = best.map_or(Offset(0), |best| best.next_offset);
        let ends = evidence.reports.iter().map(|report| report.next_offset);
        let known_end = ends.chain(evidence.told.map(|(_, end)| end)).fold(lost_from, Offset::max);
        let terms = evidence.reports.iter().map(|report| report.term);
        let term = terms.chain(evidence.told.map(|(term, _)| term)).fold(Term(0), Term::max);
        let resume_at = Offset(known_end.0.saturating_add(RECOVERY_OFFSETS_LEFT_OUT));
        let spec = RecoverySpec {
            partition: id,
            before: replica_ids(&placement),
            to: to.clone(),
            of: best.map(|best| best.replica),
            term: Term(term.0 + 1),
            resume_at,
        };
        let recovery = Recovery {
            node: first,
            replica: spec.of,
            log_start: best.map_or(resume_at, |best| best.log_start),
            lost_from,
            known_end,
            resume_at,
            replicas,
            to,
        };
        Ok((recovery, spec))
    }

    /// How the replicas stand. A broker that answers must have said so of its own.
    fn survivors(
        &self,
        placement: &PartitionPlacement,
        evidence: &Evidence,
        named: &str,
    ) -> Result<Vec<Survivor>, Refusal> {
        let survivor = |(node, replica): (NodeId, ReplicaId)| {
            let report = evidence.reports.iter().find(|report| report.replica == replica);
            let answers = self.member(node).is_some() && !evidence.down.contains(&node);
            if report.is_none() && answers && evidence.leader.is_none() {
                return Err(Refusal::Unheard { partition: named.to_owned(), node });
            }
            Ok(Survivor {
                node,
                replica,
                condition: report.map(|report| report.condition),
                next_offset: report.map(|report| report.next_offset),
                missing_entries: report.map_or(0, |report| report.missing_entries),
            })
        };
        placement.all().map(survivor).collect()
    }

    /// The brokers that shall have the replicas: first the one with the best log, then those that had one before, then
    /// others. As many as before, as far as there are so many that answer.
    fn recovered_on(
        &self,
        placement: &PartitionPlacement,
        evidence: &Evidence,
        best: Option<&ReplicaReport>,
    ) -> Vec<NodeId> {
        let able = |node: &NodeId| {
            let takes = self.member(*node).is_some_and(|member| member.takes_replicas());
            takes && !evidence.down.contains(node)
        };
        let home = |best: &ReplicaReport| placement.all().find(|(_, replica)| *replica == best.replica);
        let mut to: Vec<NodeId> = best.and_then(home).map(|(node, _)| node).into_iter().collect();
        let before = placement.wanted().iter().chain(&placement.replicas).map(|(node, _)| *node);
        let takers: Vec<NodeId> = self.members().map(|member| member.id).filter(able).collect();
        let mut sites = self.sites(&takers);
        sites.sort_by_key(|site| (site.replicas, site.node));
        for node in before.filter(able).chain(sites.iter().map(|site| site.node)) {
            if !to.contains(&node) {
                to.push(node);
            }
        }
        let most = placement.wanted().len().min(to.len());
        let count = REPLICA_COUNTS.iter().map(|count| *count as usize).filter(|count| *count <= most).max();
        to.truncate(count.unwrap_or(0));
        to
    }

    /// A partition goes on under new replicas: the first has what the chosen one had.
    pub(super) fn recover(&mut self, spec: &RecoverySpec, deltas: &mut Vec<Delta>) -> Result<(), Refusal> {
        let placement = self.placement(spec.partition)?;
        if replica_ids(&placement) != spec.before {
            let why = "its replicas have changed since this was planned: look again".to_owned();
            return Err(Refusal::InvalidArgument { field: "partition".into(), why });
        }
        spec.to.iter().try_for_each(|node| self.known_member(*node).map(drop))?;
        let mut target = Vec::with_capacity(spec.to.len());
        for node in &spec.to {
            target.push((*node, self.new_replica()));
        }
        let Some(first) = target.first().copied() else { return Ok(()) };
        let heir = Heir { replica: first.1, of: spec.of, term: spec.term, resume_at: spec.resume_at };
        let recovered = PartitionPlacement {
            moving: Some(target).filter(|target| target.len() > 1),
            moved: true,
            heir: Some(heir),
            ..PartitionPlacement::new(vec![first])
        };
        self.place(spec.partition, recovered, deltas);
        Ok(())
    }
}

/// Refuses where nothing need be given up.
fn refuse_intact(
    placement: &PartitionPlacement,
    evidence: &Evidence,
    best: Option<&ReplicaReport>,
    named: &str,
) -> Result<(), Refusal> {
    let refuse = |why: String| Err(Refusal::MajorityIntact { partition: named.to_owned(), why });
    if let Some(leader) = evidence.leader {
        return refuse(format!("node {leader} leads it; a replica that lost its end is replaced by itself"));
    }
    let all = Voters {
        voters: replica_ids(placement).iter().map(|replica| replica.0).collect(),
        ..Voters::default()
    };
    let known = best.map(|best| &best.voters).filter(|voters| !voters.voters.is_empty());
    if evidence.has_majority(known.unwrap_or(&all)) {
        return refuse(
            "those replicas elect a leader by themselves; if they do not, look at their brokers' logs".into(),
        );
    }
    Ok(())
}

/// Every replica that there is, shall be or may be, rising.
fn replica_ids(placement: &PartitionPlacement) -> Vec<ReplicaId> {
    let all: BTreeSet<ReplicaId> = placement.all().map(|(_, replica)| replica).collect();
    all.into_iter().collect()
}
