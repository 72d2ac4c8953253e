//! Replicas that lost what they had synced.

use super::*;
use crate::ids::{Index, Offset, PartitionId, Term};
use crate::log::Voters;
use crate::state::recovery::{Condition, Evidence, Recovery, RecoverySpec, ReplicaReport};

/// A topic with one partition, of the replicas 5, 6 and 7 on the nodes 2, 3 and 4 of four.
fn with_topic() -> (Control, PartitionId) {
    let mut control = Control::with_brokers(4);
    let created = control.create_with("t", |topic| topic.replicas = Some(3)).0.unwrap();
    (control, PartitionId { topic: created.id, partition: 0 })
}

fn seats(pairs: &[(i32, u64)]) -> Vec<(NodeId, ReplicaId)> {
    pairs.iter().map(|(node, replica)| (NodeId(*node), ReplicaId(*replica))).collect()
}

fn report(replica: u64, condition: Condition, last: (u64, u64), next_offset: i64) -> ReplicaReport {
    ReplicaReport {
        replica: ReplicaId(replica),
        condition,
        term: Term(last.0 + 1),
        last_index: Index(last.1),
        last_term: Term(last.0),
        log_start: Offset(3),
        next_offset: Offset(next_offset),
        missing_entries: 0,
        voters: Voters { voters: vec![5, 6, 7], ..Voters::default() },
    }
}

fn evidence(reports: Vec<ReplicaReport>, down: &[i32]) -> Evidence {
    Evidence { reports, down: down.iter().copied().map(NodeId).collect(), ..Evidence::default() }
}

fn plan(control: &Control, evidence: &Evidence) -> Result<(Recovery, RecoverySpec), Refusal> {
    control.catalog.plan_recovery("t", 0, &|_| evidence.clone())
}

#[test]
fn a_lost_replica_is_replaced_on_its_broker_and_by_nobody_twice() {
    let (mut control, id) = with_topic();
    assert!(control.catalog.is_to_be_replaced(id, ReplicaId(6)));
    let replace = |replica: u64| Command::Replace { partition: id, replica: ReplicaId(replica) };
    assert_eq!(control.catalog.apply(replace(6)).1.len(), 1);
    let placement = control.catalog.placement(id).unwrap();
    let renewed = seats(&[(2, 5), (3, 8), (4, 7)]);
    assert_eq!((placement.wanted(), placement.moved), (&renewed[..], true));
    assert_eq!(placement.all().collect::<Vec<_>>(), renewed, "the old one is not heard any more");
    assert_eq!(control.catalog.apply(replace(6)).1, [], "it is not wanted by now");
    assert!(!control.catalog.is_to_be_replaced(id, ReplicaId(6)));
    let replicas = [5, 8, 7].map(ReplicaId).to_vec();
    control.catalog.apply(Command::FinishMove { partition: id, replicas });
    let after = control.catalog.placement(id).unwrap();
    assert_eq!((after.replicas, after.moving), (renewed, None));
}

#[test]
fn a_replica_that_a_move_brought_is_replaced_in_the_move() {
    let (mut control, id) = with_topic();
    let to = [1, 3, 4].map(NodeId).to_vec();
    control.ask(Request::MovePartition { topic: "t".into(), partition: 0, to, validate_only: false });
    control.catalog.apply(Command::Replace { partition: id, replica: ReplicaId(8) });
    let placement = control.catalog.placement(id).unwrap();
    assert_eq!(placement.wanted(), seats(&[(1, 9), (3, 6), (4, 7)]));
    assert_eq!(placement.replicas, seats(&[(2, 5), (3, 6), (4, 7)]));
    control.catalog.apply(Command::Replace { partition: id, replica: ReplicaId(5) });
    assert_eq!(control.catalog.placement(id).unwrap(), placement, "that one goes anyway");
}

#[test]
fn a_recovery_is_refused_while_a_majority_is_intact_or_may_be() {
    let (control, _) = with_topic();
    let whole = |replica| report(replica, Condition::Whole, (6, 20), 10);
    let led = Evidence { leader: Some(NodeId(3)), ..Evidence::default() };
    assert!(matches!(plan(&control, &led), Err(Refusal::MajorityIntact { .. })));
    let two = evidence(vec![whole(5), whole(7)], &[3]);
    assert!(matches!(plan(&control, &two), Err(Refusal::MajorityIntact { .. })));
    let unheard = evidence(vec![whole(5)], &[3]);
    assert!(matches!(plan(&control, &unheard), Err(Refusal::Unheard { node: NodeId(4), .. })));
    let mut joint = evidence(vec![whole(5), whole(7)], &[3]);
    for report in &mut joint.reports {
        report.voters.voters_outgoing = vec![6, 8, 9];
    }
    assert!(plan(&control, &joint).is_ok(), "both halves must agree");
}

#[test]
fn a_recovery_goes_on_from_the_best_and_gives_no_lost_offset_again() {
    let (mut control, id) = with_topic();
    let lost = report(5, Condition::LostEnd, (6, 20), 10);
    let newest = report(6, Condition::Whole, (7, 15), 8);
    let mut known = evidence(vec![lost, newest], &[4]);
    known.told = Some((Term(9), Offset(40)));
    let (recovery, spec) = plan(&control, &known).unwrap();
    assert_eq!((recovery.node, recovery.replica), (NodeId(3), Some(ReplicaId(6))), "the newest term counts");
    assert_eq!(
        (recovery.log_start, recovery.lost_from, recovery.known_end),
        (Offset(3), Offset(8), Offset(40))
    );
    assert!(recovery.resume_at.0 >= 1_000_040);
    assert_eq!(recovery.replicas[2].condition, None, "node 4 does not answer");
    assert_eq!(recovery.to, [3, 2, 1].map(NodeId), "the best, then who had one, then another");
    assert_eq!(spec.term, Term(10));

    let command = Command::Recover(spec.clone());
    assert_eq!(Command::decode(&command.encode()).unwrap(), command);
    assert_eq!(control.catalog.apply(command).0, Reply::Done(Ok(())));
    let placement = control.catalog.placement(id).unwrap();
    assert_eq!(placement.replicas, seats(&[(3, 8)]));
    assert_eq!(placement.wanted(), seats(&[(3, 8), (2, 9), (1, 10)]));
    let heir = placement.heir.unwrap();
    assert_eq!((heir.replica, heir.of, heir.term), (ReplicaId(8), Some(ReplicaId(6)), Term(10)));
    assert_eq!(Catalog::restore(&control.catalog.snapshot()).unwrap(), control.catalog);
    let again = control.catalog.apply(Command::Recover(spec));
    assert!(
        matches!(again, (Reply::Done(Err(Refusal::InvalidArgument { .. })), deltas) if deltas.is_empty())
    );
    let replicas = [8, 9, 10].map(ReplicaId).to_vec();
    control.catalog.apply(Command::FinishMove { partition: id, replicas });
    assert_eq!(control.catalog.placement(id).unwrap().heir, None);
}

#[test]
fn a_recovery_without_any_log_begins_empty_behind_everything_known() {
    let (control, _) = with_topic();
    let gone = |replica| report(replica, Condition::LostLog, (0, 0), 0);
    let (recovery, spec) = plan(&control, &evidence(vec![gone(5), gone(6)], &[4])).unwrap();
    assert_eq!((recovery.replica, spec.of, recovery.to[0]), (None, None, NodeId(2)));
    assert_eq!(recovery.log_start, recovery.resume_at);
    let few = evidence(vec![report(6, Condition::Whole, (6, 20), 10)], &[1, 2, 4]);
    assert_eq!(plan(&control, &few).unwrap().0.to, [NodeId(3)], "never an even number");
}
