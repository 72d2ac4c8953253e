//! Brokers that come and go, and replicas that move between them.

use super::*;
use crate::ids::PartitionId;

fn ids(pairs: &[(i32, u64)]) -> Vec<(NodeId, ReplicaId)> {
    pairs.iter().map(|(node, replica)| (NodeId(*node), ReplicaId(*replica))).collect()
}

fn nodes(numbers: &[i32]) -> Vec<NodeId> {
    numbers.iter().copied().map(NodeId).collect()
}

/// A topic with one partition of three replicas, among so many brokers.
fn with_topic(brokers: u128) -> (Control, PartitionId) {
    let mut control = Control::with_brokers(brokers);
    let created = control.create_with("t", |topic| topic.replicas = Some(3)).0.unwrap();
    (control, PartitionId { topic: created.id, partition: 0 })
}

fn move_to(to: &[i32]) -> Request {
    Request::MovePartition { topic: "t".into(), partition: 0, to: nodes(to), validate_only: false }
}

fn refused(reply: Reply) -> Refusal {
    match reply {
        Reply::Done(Err(refusal)) => refusal,
        other => panic!("{other:?}"),
    }
}

#[test]
fn founders_are_numbered_by_their_places_and_only_once() {
    let mut catalog = Catalog::default();
    let members = vec![said(8, "b:7171"), said(7, "a:7171")];
    let (_, deltas) = catalog.apply(Command::Found { members: members.clone() });
    assert_eq!(deltas.len(), 2);
    let known: Vec<_> = catalog.members().map(|m| (m.id.0, m.control.0, m.uuid.as_u128())).collect();
    assert_eq!(known, [(1, 1, 8), (2, 2, 7)]);
    let before = catalog.clone();
    assert_eq!(catalog.apply(Command::Found { members }).1, []);
    assert_eq!(catalog, before);
}

#[test]
fn a_move_keeps_the_replicas_that_stay_and_gives_new_ones_new_ids() {
    let (mut control, id) = with_topic(4);
    let before = control.catalog.placement(id).unwrap();
    assert_eq!(before.replicas, ids(&[(2, 5), (3, 6), (4, 7)]));
    let (reply, deltas) = control.ask(move_to(&[1, 3, 2]));
    assert_eq!(reply, Reply::Done(Ok(())));
    assert!(matches!(&deltas[..], [Delta::Moved { partition: 0, .. }]));
    let target = ids(&[(1, 8), (3, 6), (2, 5)]);
    let moving = control.catalog.placement(id).unwrap();
    assert_eq!((moving.wanted(), moving.all().count()), (&target[..], 4));
    assert!(matches!(refused(control.ask_in_vain(move_to(&[1]))), Refusal::MoveUnderWay { .. }));
    let finish = |replicas: &[u64]| Command::FinishMove {
        partition: id,
        replicas: replicas.iter().copied().map(ReplicaId).collect(),
    };
    assert_eq!(control.catalog.apply(finish(&[5, 6, 7])).1, [], "those are not the ones it moves to");
    assert_eq!(control.catalog.apply(finish(&[5, 6, 8])).1.len(), 1);
    let after = control.catalog.placement(id).unwrap();
    assert_eq!((after.replicas, after.moving, after.moved), (target, None, true));
}

#[test]
fn a_move_that_is_cancelled_goes_back_and_ends() {
    let (mut control, id) = with_topic(4);
    let cancel = Request::CancelMove { topic: "t".into(), partition: 0 };
    assert!(matches!(refused(control.ask_in_vain(cancel.clone())), Refusal::NoMove { .. }));
    let before = control.catalog.placement(id).unwrap().replicas;
    control.ask(move_to(&[4, 2, 1]));
    control.ask(cancel.clone());
    let undone = control.catalog.placement(id).unwrap();
    assert_eq!(undone.wanted(), &before[..]);
    assert_eq!(undone.all().count(), 4, "the new replica may vote: it stays until the way back is done");
    control.ask(cancel);
    assert_eq!(control.catalog.placement(id).unwrap(), undone, "cancelled twice is cancelled once");
    assert_eq!(Catalog::restore(&control.catalog.snapshot()).unwrap(), control.catalog);
    let replicas = before.iter().map(|(_, replica)| *replica).collect();
    control.catalog.apply(Command::FinishMove { partition: id, replicas });
    let back = control.catalog.placement(id).unwrap();
    assert_eq!((back.moving.as_ref(), back.all().count()), (None, 3));
}

#[test]
fn targets_that_cannot_be_are_refused() {
    let (mut control, _) = with_topic(4);
    control.ask(Request::Drain { node: NodeId(1), on: true });
    for (to, word) in [
        (&[1, 2][..], "1, 3 or 5"),
        (&[2, 2, 3], "twice"),
        (&[2, 3, 9], "no node 9; it has 1, 2, 3, 4"),
        (&[1, 2, 4], "draining"),
        (&[2, 3, 4], "are on these brokers"),
    ] {
        let why = refused(control.ask_in_vain(move_to(to))).to_string();
        assert!(why.contains(word), "{to:?}: {why}");
    }
}

#[test]
fn a_broker_that_is_removed_is_emptied_and_then_forgotten() {
    let (mut control, id) = with_topic(4);
    let remove = |node| Request::RemoveNode { node: NodeId(node), validate_only: false };
    assert_eq!(control.ask(remove(2)).0, Reply::Done(Ok(())));
    let other = refused(control.ask_in_vain(remove(3))).to_string();
    assert!(other.contains("node 2 is being removed"), "{other}");
    assert_eq!(control.catalog.to_forget(), None);
    let wanted = control.catalog.wanted_moves(8);
    assert_eq!(wanted, [(id, nodes(&[1, 3, 4]))]);
    let [(partition, to)] = <[_; 1]>::try_from(wanted).unwrap();
    control.catalog.apply(Command::StartMove { partition, to });
    assert_eq!(control.catalog.wanted_moves(8), [], "it moves already");
    let replicas = control.catalog.placement(id).unwrap().wanted().iter().map(|(_, r)| *r).collect();
    control.catalog.apply(Command::FinishMove { partition, replicas });
    assert_eq!(control.catalog.to_forget(), Some(NodeId(2)));
    let (_, deltas) = control.catalog.apply(Command::Forget { node: NodeId(2) });
    assert_eq!(deltas, [Delta::Forgotten(NodeId(2))]);
    let known = control.ask(Request::RegisterNode(said(2, "host2:7171"))).0;
    assert!(matches!(known, Reply::RegisterNode(Registered { node: NodeId(5), .. })), "{known:?}");
}

#[test]
fn a_broker_whose_replicas_have_nowhere_to_go_stays() {
    let (mut control, _) = with_topic(3);
    let remove = Request::RemoveNode { node: NodeId(2), validate_only: false };
    let why = refused(control.ask_in_vain(remove)).to_string();
    assert!(why.contains("\"t\" has 3 replicas and 2 brokers would be left"), "{why}");
    let mut alone = Control::with_brokers(1);
    let remove = Request::RemoveNode { node: NodeId(1), validate_only: false };
    assert!(matches!(refused(alone.ask_in_vain(remove)), Refusal::CannotRemove { .. }));
}

#[test]
fn new_replicas_avoid_a_broker_that_drains() {
    let mut control = Control::with_brokers(4);
    control.ask(Request::Drain { node: NodeId(2), on: true });
    assert!(!control.nodes().contains(&NodeId(2)));
}

#[test]
fn a_replica_of_a_cancelled_move_is_kept_until_the_leader_has_undone_it() {
    let (mut control, id) = with_topic(4);
    let before = control.catalog.placement(id).unwrap().replicas;
    control.ask(move_to(&[1, 3, 2]));
    let came = (NodeId(1), ReplicaId(8));
    assert!(control.catalog.placement(id).unwrap().all().any(|replica| replica == came));
    control.ask(Request::CancelMove { topic: "t".into(), partition: 0 });
    let undone = control.catalog.placement(id).unwrap();
    assert_eq!(undone.wanted(), &before[..]);
    assert!(
        undone.all().any(|replica| replica == came),
        "it may vote already, and hold what nobody else has"
    );
    let replicas = before.iter().map(|(_, replica)| *replica).collect();
    control.catalog.apply(Command::FinishMove { partition: id, replicas });
    let after = control.catalog.placement(id).unwrap();
    assert_eq!(after.all().collect::<Vec<_>>(), before);
}

#[test]
fn a_broker_is_emptied_also_while_another_one_drains() {
    let (mut control, id) = with_topic(4);
    control.ask(Request::Drain { node: NodeId(3), on: true });
    control.ask(move_to(&[1, 3, 4]));
    let replicas = control.catalog.placement(id).unwrap().wanted().iter().map(|(_, r)| *r).collect();
    control.catalog.apply(Command::FinishMove { partition: id, replicas });
    assert_eq!(control.catalog.placement(id).unwrap().moving, None);
    control.ask(Request::RegisterNode(said(5, "host5:7171")));
    control.ask(Request::RemoveNode { node: NodeId(4), validate_only: false });
    let (partition, to) = control.catalog.wanted_moves(8).pop().unwrap();
    let (reply, deltas) = control.catalog.apply(Command::StartMove { partition, to });
    assert_eq!((reply, deltas.len()), (Reply::Done(Ok(())), 1));
}

#[test]
fn the_partition_with_the_most_replicas_decides_whether_a_broker_can_go() {
    let mut control = Control::with_brokers(3);
    let wide = |topic: &mut NewTopic| (topic.replicas, topic.partitions) = (Some(3), Some(2));
    let id = control.create_with("t", wide).0.unwrap().id;
    for partition in [0, 1] {
        let request =
            Request::MovePartition { topic: "t".into(), partition, to: nodes(&[1]), validate_only: false };
        control.ask(request);
    }
    let remove = || Request::RemoveNode { node: NodeId(2), validate_only: false };
    let why = refused(control.ask_in_vain(remove())).to_string();
    assert!(why.contains("has 3 replicas"), "a cancelled move would bring them back: {why}");
    let partition = PartitionId { topic: id, partition: 0 };
    control.ask(Request::CancelMove { topic: "t".into(), partition: 1 });
    let replicas = control.catalog.placement(partition).unwrap().wanted().iter().map(|(_, r)| *r).collect();
    control.catalog.apply(Command::FinishMove { partition, replicas });
    let why = refused(control.ask_in_vain(remove())).to_string();
    assert!(why.contains("has 3 replicas and 2 brokers would be left"), "{why}");
}

#[test]
fn a_topic_is_not_placed_on_a_broker_that_went_meanwhile() {
    let mut control = Control::with_brokers(2);
    let spread = NewTopic { partitions: Some(2), ..control.new_topic("late") };
    let Plan::Propose { command, .. } = control.plan(create(vec![spread])) else { panic!("not proposed") };
    control.ask(Request::RemoveNode { node: NodeId(2), validate_only: false });
    control.catalog.apply(Command::Forget { node: NodeId(2) });
    let (reply, deltas) = control.catalog.apply(command);
    assert_eq!(deltas, []);
    assert!(matches!(created(reply)[..], [Err(Refusal::UnknownNode { node: NodeId(2), .. })]));
}

#[test]
fn replicas_of_a_broker_that_is_removed_go_to_a_rack_that_has_none() {
    let mut control = Control::with_brokers(0);
    for (broker, rack) in [(1, "a"), (2, "b"), (3, "c"), (4, "a"), (5, "b"), (6, "c")] {
        let rack = Some(rack.to_owned());
        control.ask(Request::RegisterNode(NewMember { rack, ..said(broker, "host:7171") }));
    }
    let wide = |topic: &mut NewTopic| (topic.replicas, topic.partitions) = (Some(3), Some(12));
    control.create_with("t", wide).0.unwrap();
    control.ask(Request::RemoveNode { node: NodeId(5), validate_only: false });
    let moves = control.catalog.wanted_moves(100);
    assert!(!moves.is_empty());
    for (_, to) in moves {
        let racks: BTreeMap<_, _> = to.iter().map(|node| (node.0 % 3, *node)).collect();
        assert_eq!((racks.len(), to.contains(&NodeId(5))), (3, false), "{to:?}");
    }
}
