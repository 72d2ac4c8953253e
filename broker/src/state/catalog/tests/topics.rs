//! Topics come, grow and go; brokers and producers get their ids.

use super::*;
use crate::limits::PARTITIONS_PER_TOPIC_MAX;

#[test]
fn a_topic_has_one_partition_and_three_replicas_where_three_brokers_exist() {
    for (brokers, replicas) in [(1, 1), (2, 1), (3, 3), (7, 3)] {
        let mut control = Control::with_brokers(brokers);
        let topic = control.create("t");
        assert_eq!((topic.partitions, topic.replicas, topic.existed), (1, replicas, false));
    }
}

#[test]
fn a_new_topic_is_found_by_name_and_by_id_and_is_told() {
    let mut control = Control::with_brokers(3);
    let (created, deltas) = control.create_with("t", |topic| topic.partitions = Some(4));
    let created = created.unwrap();
    let topic = control.catalog.topic("t").unwrap();
    assert_eq!(control.catalog.topic_by_id(created.id), Some(topic));
    assert_eq!(deltas, [Delta::Created(Arc::clone(topic))]);
    assert_eq!((topic.partition_count(), topic.replica_count(), topic.internal), (4, 3, false));
    assert_eq!(topic.placements().last().unwrap().0.partition, 3);
}

#[test]
fn replica_ids_are_never_given_twice() {
    let mut control = Control::with_brokers(3);
    let mut seen = BTreeSet::from([FIRST_CONTROL_REPLICA]);
    for round in 0..5 {
        control.create_with("t", |topic| topic.partitions = Some(3)).0.unwrap();
        control.ask(grow("t", 2));
        for partition in &control.catalog.topic("t").unwrap().partitions {
            for (_, replica) in &partition.replicas {
                assert!(seen.insert(*replica), "{replica} again in round {round}");
            }
        }
        control.ask(delete(&["t"]));
    }
    assert_eq!(seen.len(), 1 + 5 * 5 * 3);
}

#[test]
fn an_existing_topic_is_refused_or_with_if_not_exists_a_success() {
    let mut control = Control::with_brokers(1);
    let first = control.create_with("t", |topic| topic.partitions = Some(3)).0.unwrap();
    let again = control.new_topic("t");
    let refused = created(control.ask_in_vain(create(vec![again.clone()])));
    assert_eq!(refused, [Err(Refusal::TopicExists { name: "t".into() })]);
    let idempotent = Request::CreateTopics { topics: vec![again], if_not_exists: true, validate_only: false };
    let there = created(control.ask_in_vain(idempotent));
    assert_eq!(there, [Ok(CreatedTopic { existed: true, ..first })]);
}

#[test]
fn two_creations_planned_at_once_make_one_topic() {
    for (if_not_exists, second) in [(false, false), (true, true)] {
        let mut control = Control::with_brokers(1);
        let mut planned = Vec::new();
        for _ in 0..2 {
            let topics = vec![control.new_topic("t")];
            planned.push(control.plan(Request::CreateTopics { topics, if_not_exists, validate_only: false }));
        }
        let mut results = Vec::new();
        for plan in planned {
            let Plan::Propose { command, answered } = plan else { panic!("{plan:?}") };
            let (reply, deltas) = control.catalog.apply(command);
            results.push((created(answered.complete(reply)).remove(0), deltas.len()));
        }
        assert!(results[0].0.is_ok() && results[0].1 == 1);
        assert_eq!((results[1].0.is_ok(), results[1].1), (second, 0));
        assert_eq!(control.catalog.topics().filter(|topic| !topic.internal).count(), 1);
    }
}

#[test]
fn results_come_in_the_order_of_the_request_refused_or_not() {
    let mut control = Control::with_brokers(1);
    control.create("there");
    let names = ["a", "no/good", "b", "there", "c", "twice", "twice"];
    let topics = names.iter().map(|name| control.new_topic(name)).collect();
    let (Reply::CreateTopics(results), deltas) = control.ask(create(topics)) else { panic!() };
    assert_eq!(results.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), names);
    let done: Vec<_> = results.iter().map(|(_, result)| result.is_ok()).collect();
    assert_eq!(done, [true, false, true, false, true, false, false]);
    assert_eq!(deltas.len(), 3);
}

#[test]
fn validating_answers_as_if_and_changes_nothing() {
    let mut control = Control::with_brokers(3);
    control.create("t");
    let topics = vec![control.new_topic("new"), control.new_topic("t")];
    let request = Request::CreateTopics { topics, if_not_exists: false, validate_only: true };
    let results = created(control.ask_in_vain(request));
    assert!(matches!(&results[0], Ok(topic) if topic.replicas == 3 && !topic.existed));
    assert!(matches!(&results[1], Err(Refusal::TopicExists { .. })));
    let request = Request::DeleteTopics { names: vec!["t".into()], validate_only: true };
    let Reply::DeleteTopics(results) = control.ask_in_vain(request) else { panic!() };
    assert!(results[0].1.is_ok());
    let request = Request::AddPartitions { name: "t".into(), count: 9, validate_only: true };
    assert_eq!(control.ask_in_vain(request), Reply::AddPartitions(Ok(10)));
}

#[test]
fn a_deleted_topic_leaves_its_id_behind_and_its_name_free() {
    let mut control = Control::with_brokers(1);
    let first = control.create_with("t", |topic| topic.partitions = Some(2)).0.unwrap();
    let topic = Arc::clone(control.catalog.topic("t").unwrap());
    let (Reply::DeleteTopics(results), deltas) = control.ask(delete(&["t"])) else { panic!() };
    assert_eq!(results, [("t".to_owned(), Ok(DeletedTopic { id: first.id, partitions: 2 }))]);
    assert_eq!(deltas, [Delta::Deleted(topic)]);
    assert!(control.catalog.topic("t").is_none() && control.catalog.topic_by_id(first.id).is_none());
    assert!(control.catalog.is_deleted(first.id));
    let second = control.create("t");
    assert_ne!(second.id, first.id);
    assert!(control.catalog.is_deleted(first.id) && !control.catalog.is_deleted(second.id));
}

#[test]
fn a_deletion_planned_before_the_topic_was_made_again_does_not_touch_the_new_one() {
    let mut control = Control::with_brokers(1);
    control.create("t");
    let Plan::Propose { command, .. } = control.plan(delete(&["t"])) else { panic!() };
    control.ask(delete(&["t"]));
    let second = control.create("t");
    let (reply, deltas) = control.catalog.apply(command);
    let unknown = Err(Refusal::UnknownTopic { name: "t".into() });
    assert_eq!((reply, deltas), (Reply::DeleteTopics(vec![("t".into(), unknown)]), vec![]));
    assert_eq!(control.catalog.topic("t").unwrap().id, second.id);
}

#[test]
fn an_id_that_was_a_topics_is_not_taken_again() {
    let mut control = Control::with_brokers(1);
    let first = control.create("t");
    control.ask(delete(&["t"]));
    let (again, deltas) = control.create_with("t", |topic| topic.id = first.id);
    assert!(matches!(again, Err(Refusal::InvalidArgument { .. })), "{again:?}");
    assert_eq!(deltas, []);
}

#[test]
fn partitions_are_added_at_the_end_with_as_many_replicas() {
    let mut control = Control::with_brokers(5);
    control.create_with("t", |topic| (topic.partitions, topic.replicas) = (Some(2), Some(5))).0.unwrap();
    let before = Arc::clone(control.catalog.topic("t").unwrap());
    let (reply, deltas) = control.ask(grow("t", 3));
    assert_eq!(reply, Reply::AddPartitions(Ok(5)));
    let after = control.catalog.topic("t").unwrap();
    assert_eq!(deltas, [Delta::Grown { topic: Arc::clone(after), first: 2 }]);
    assert_eq!(after.partitions[..2], before.partitions);
    assert!(after.partitions.iter().all(|partition| partition.replicas.len() == 5));
}

#[test]
fn partitions_added_at_once_do_not_pass_the_limit() {
    let mut control = Control::with_brokers(1);
    control.create_with("t", |topic| topic.partitions = Some(PARTITIONS_PER_TOPIC_MAX - 3)).0.unwrap();
    let plans = [control.plan(grow("t", 2)), control.plan(grow("t", 2))];
    let replies = plans.map(|plan| match plan {
        Plan::Propose { command, .. } => control.catalog.apply(command).0,
        Plan::Answer(reply) => panic!("{reply:?}"),
    });
    assert_eq!(replies[0], Reply::AddPartitions(Ok(PARTITIONS_PER_TOPIC_MAX - 1)));
    assert!(matches!(replies[1], Reply::AddPartitions(Err(Refusal::InvalidPartitions { .. }))));
}

#[test]
fn brokers_are_numbered_from_one_and_known_by_their_folder() {
    let mut control = Control::with_brokers(2);
    assert_eq!(control.nodes(), [NodeId(1), NodeId(2)]);
    let register = |uuid, address: &str| Request::RegisterNode(said(uuid, address));
    let known =
        |node, replica| Reply::RegisterNode(Registered { node: NodeId(node), replica: ReplicaId(replica) });
    assert_eq!(control.ask_in_vain(register(2, "host2:7171")), known(2, 2));
    let (reply, deltas) = control.ask(register(2, "moved:7171"));
    assert_eq!(reply, known(2, 2));
    assert_eq!(deltas, [Delta::Registered(control.catalog.member(NodeId(2)).unwrap().clone())]);
    assert_eq!(control.catalog.member(NodeId(2)).unwrap().address, "moved:7171");
    assert_eq!(control.ask(register(9, "h:1")).0, known(3, 3));
    assert_eq!(control.catalog.level(), LEVEL);
}

#[test]
fn the_control_topic_is_there_from_the_first_broker_on() {
    let control = Control::with_brokers(2);
    let topic = control.catalog.topic_by_id(TopicId::CONTROL).unwrap();
    assert!(topic.internal && &*topic.name == "__control");
    let second = (NodeId(2), ReplicaId(2));
    assert_eq!(topic.partitions[0].replicas, [(FIRST_NODE, FIRST_CONTROL_REPLICA), second]);
    assert_eq!(Catalog::default().topics().len(), 0);
    assert_eq!(Catalog::default().level(), 0);
}

#[test]
fn producer_ids_are_given_once_and_epochs_rise() {
    let mut control = Control::with_brokers(1);
    let mut init = |continue_from| match control.ask(Request::InitProducer { continue_from }).0 {
        Reply::InitProducer(result) => result,
        other => panic!("{other:?}"),
    };
    assert_eq!(init(None), Ok((1, 0)));
    assert_eq!(init(None), Ok((2, 0)));
    assert_eq!(init(Some((1, 0))), Ok((1, 1)));
    assert_eq!(init(Some((1, i16::MAX - 2))), Ok((1, i16::MAX - 1)));
    assert_eq!(init(Some((1, i16::MAX - 1))), Ok((3, 0)), "the epochs are used up");
    for never_given in [0, 4, -1, i64::MAX] {
        assert_eq!(init(Some((never_given, 0))), Err(Refusal::ProducerUnknown { producer_id: never_given }));
    }
    assert!(init(Some((1, -1))).is_err());
}

#[test]
fn the_revision_rises_with_every_change_and_only_then() {
    let mut control = Control::with_brokers(1);
    let before = control.catalog.revision();
    control.create("t");
    control.ask(Request::InitProducer { continue_from: None });
    assert_eq!(control.catalog.revision(), before + 2);
    control.create_with("t", |_| {}).0.unwrap_err();
    assert_eq!(control.catalog.revision(), before + 2);
}

#[test]
fn snapshots_that_cannot_be_are_errors() {
    let mut control = Control::with_brokers(1);
    control.create("t");
    control.create("u");
    control.ask(delete(&["u"]));
    let snapshot = control.catalog.snapshot();
    assert_eq!(Catalog::restore(&snapshot), Ok(control.catalog));
    assert!(matches!(Catalog::restore(&[255; 9]), Err(SnapshotError::Malformed(_))));
    assert_eq!(Catalog::restore(&[]), Err(SnapshotError::Version { found: 0 }));
    assert_eq!(Catalog::restore(&[8, 2]), Err(SnapshotError::Version { found: 2 }));
    assert_eq!(Catalog::restore(&[8, 1, 66, 1, 0]), Err(SnapshotError::Field { field: "deleted topic" }));
    let twice = [&snapshot[..], &snapshot[..]].concat();
    assert_eq!(Catalog::restore(&twice), Err(SnapshotError::Field { field: "topic" }));
}

#[test]
fn a_published_catalog_stays_as_it_was() {
    let mut control = Control::with_brokers(1);
    control.create("t");
    let published = control.catalog.clone();
    control.ask(alter("t", &[("retention.ms", "1")], &[]));
    control.ask(grow("t", 1));
    assert_eq!(published.topic("t").unwrap().partition_count(), 1);
    assert_eq!(published.topic("t").unwrap().config.retention_ms, Some(7 * 24 * 60 * 60 * 1000));
    control.ask(delete(&["t"]));
    assert!(published.topic("t").is_some() && control.catalog.topic("t").is_none());
}
