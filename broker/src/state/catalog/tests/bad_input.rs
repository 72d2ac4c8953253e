//! Requests that cannot be carried out: each refused by name, nothing changed.

use super::*;
use crate::limits::{PARTITIONS_PER_TOPIC_MAX, REPLICAS_PER_BROKER_MAX, TOPICS_PER_REQUEST_MAX};
use crate::state::TOPIC_KEYS;

fn refused(control: &mut Control, name: &str, change: impl FnOnce(&mut NewTopic)) -> Refusal {
    let before = control.catalog.clone();
    let (result, deltas) = control.create_with(name, change);
    assert_eq!((deltas, &control.catalog), (vec![], &before));
    result.unwrap_err()
}

#[test]
fn names_that_cannot_be() {
    let mut control = Control::with_brokers(1);
    let long = "x".repeat(250);
    let hostile = "é".repeat(1 << 20);
    for name in ["", "a/b", "..", ".", "a\0b", &long, "größe", "a b", "a\nb", "__control", "__mine", &hostile]
    {
        let refusal = refused(&mut control, name, |_| {});
        assert!(matches!(refusal, Refusal::InvalidTopicName { .. }), "{name:.20}: {refusal:?}");
        assert!(refusal.to_string().len() < 4000);
    }
    for name in [&long[..249], "A-z_0.9", "...", "_x"] {
        control.create(name);
    }
}

#[test]
fn numbers_of_partitions_that_cannot_be() {
    let mut control = Control::with_brokers(1);
    for asked in [0, -1, i32::MIN, PARTITIONS_PER_TOPIC_MAX + 1, 1_000_000, i32::MAX] {
        let refusal = refused(&mut control, "t", |topic| topic.partitions = Some(asked));
        assert!(
            matches!(refusal, Refusal::InvalidPartitions { asked: named, .. } if named == i64::from(asked))
        );
        assert!(refusal.to_string().contains("1 to 10000"), "{refusal}");
    }
    control.create_with("t", |topic| topic.partitions = Some(PARTITIONS_PER_TOPIC_MAX)).0.unwrap();
}

#[test]
fn numbers_of_replicas_that_cannot_be_name_the_nearest() {
    for (brokers, asked, nearest) in [
        (1, 0, 1),
        (1, -3, 1),
        (1, 3, 1),
        (2, 2, 1),
        (3, 2, 3),
        (3, 4, 3),
        (3, 5, 3),
        (5, 4, 5),
        (7, 7, 5),
        (7, i32::MAX, 5),
        (7, i32::MIN, 1),
    ] {
        let mut control = Control::with_brokers(brokers);
        let refusal = refused(&mut control, "t", |topic| topic.replicas = Some(asked));
        assert!(matches!(refusal, Refusal::InvalidReplicas { asked: named, .. } if named == asked));
        assert!(refusal.to_string().ends_with(&format!("the nearest that fits is {nearest}")), "{refusal}");
    }
}

#[test]
fn more_replicas_than_the_brokers_hold_are_refused_before_they_take_memory() {
    let mut control = Control::with_brokers(1);
    let fit = REPLICAS_PER_BROKER_MAX / 10_000;
    let topics: Vec<_> = (0..1_000)
        .map(|n| NewTopic { partitions: Some(10_000), ..control.new_topic(&format!("t{n}")) })
        .collect();
    let request = Request::CreateTopics { topics, if_not_exists: false, validate_only: true };
    let results = created(control.ask_in_vain(request));
    // The control partition's own replica leaves room for one topic fewer.
    assert_eq!(results.iter().filter(|result| result.is_ok()).count() as u64, fit - 1);
    assert!(matches!(results.last(), Some(Err(Refusal::InvalidPartitions { .. }))));
}

#[test]
fn what_was_planned_at_once_does_not_pass_the_brokers_limit() {
    let mut control = Control::with_brokers(1);
    let plans: Vec<_> = ["a", "b", "c"]
        .map(|name| NewTopic { partitions: Some(9_000), ..control.new_topic(name) })
        .map(|topic| control.plan(create(vec![topic])))
        .into();
    let applied = plans.into_iter().map(|plan| match plan {
        Plan::Propose { command, .. } => created(control.catalog.apply(command).0).remove(0).is_ok(),
        Plan::Answer(reply) => panic!("{reply:?}"),
    });
    assert_eq!(applied.collect::<Vec<_>>(), [true, true, false]);
}

#[test]
fn a_name_given_twice_is_refused_each_time() {
    let mut control = Control::with_brokers(1);
    let topics = vec![control.new_topic("t"), control.new_topic("t")];
    let results = created(control.ask_in_vain(create(topics)));
    assert!(results.iter().all(|result| matches!(result, Err(Refusal::InvalidArgument { .. }))));
    control.create("t");
    let Reply::DeleteTopics(results) = control.ask_in_vain(delete(&["t", "t"])) else { panic!() };
    assert!(results.iter().all(|(_, result)| matches!(result, Err(Refusal::InvalidArgument { .. }))));
}

#[test]
fn more_topics_than_a_request_may_name() {
    let mut control = Control::with_brokers(1);
    let names: Vec<String> = (0..=TOPICS_PER_REQUEST_MAX).map(|n| n.to_string()).collect();
    let request = Request::DeleteTopics { names, validate_only: false };
    let Reply::DeleteTopics(results) = control.ask_in_vain(request) else { panic!() };
    assert_eq!(results.len(), TOPICS_PER_REQUEST_MAX + 1);
    assert!(results.iter().all(|(_, result)| matches!(result, Err(Refusal::InvalidArgument { .. }))));
}

#[test]
fn a_change_too_large_for_one_entry() {
    let mut control = Control::with_brokers(1);
    let all = configs(&TOPIC_KEYS.iter().map(|key| (key.name, key.default)).collect::<Vec<_>>());
    let name = |n: usize| format!("{}{n}", "x".repeat(200));
    let mut topics: Vec<_> = (0..TOPICS_PER_REQUEST_MAX)
        .map(|n| NewTopic { configs: all.clone(), ..control.new_topic(&name(n)) })
        .collect();
    topics[3].name = "a/b".to_owned();
    let results = created(control.ask_in_vain(create(topics.clone())));
    assert_eq!(results.len(), TOPICS_PER_REQUEST_MAX);
    assert!(matches!(&results[3], Err(Refusal::InvalidTopicName { .. })));
    assert!(results[0].as_ref().unwrap_err().to_string().contains("name fewer topics"), "{:?}", results[0]);
    topics.truncate(50);
    let (reply, deltas) = control.ask(create(topics));
    assert_eq!((created(reply).len(), deltas.len()), (50, 49));
}

#[test]
fn unknown_and_internal_topics_are_not_changed() {
    let mut control = Control::with_brokers(1);
    for (name, internal) in [("nothing", false), ("__control", true), ("../../etc", false)] {
        let expected = |refusal: &Refusal| match refusal {
            Refusal::InternalTopic { .. } => internal,
            Refusal::UnknownTopic { .. } => !internal,
            other => panic!("{other:?}"),
        };
        let Reply::DeleteTopics(deleted) = control.ask_in_vain(delete(&[name])) else { panic!() };
        assert!(expected(deleted[0].1.as_ref().unwrap_err()));
        let Reply::AlterTopics(altered) = control.ask_in_vain(alter(name, &[], &[])) else { panic!() };
        assert!(expected(altered[0].1.as_ref().unwrap_err()));
        let Reply::AddPartitions(grown) = control.ask_in_vain(grow(name, 1)) else { panic!() };
        assert!(expected(&grown.unwrap_err()));
    }
}

#[test]
fn additions_of_partitions_that_cannot_be() {
    let mut control = Control::with_brokers(1);
    control.create("t");
    for count in [0, -1, i32::MIN, PARTITIONS_PER_TOPIC_MAX, i32::MAX] {
        let reply = control.ask_in_vain(grow("t", count));
        assert!(
            matches!(reply, Reply::AddPartitions(Err(Refusal::InvalidPartitions { .. }))),
            "{count}: {reply:?}"
        );
    }
}

#[test]
fn configuration_that_cannot_be() {
    let mut control = Control::with_brokers(1);
    let mut with =
        |pairs: &[(&str, &str)]| refused(&mut control, "t", |topic| topic.configs = configs(pairs));
    let unknown = with(&[("retention.hours", "1")]);
    assert!(matches!(&unknown, Refusal::UnknownConfig { .. }));
    assert!(unknown.to_string().contains("did you mean \"retention.ms\"?"), "{unknown}");
    assert!(matches!(with(&[("retention.ms", "soon")]), Refusal::InvalidConfigValue { .. }));
    assert!(matches!(with(&[("cleanup.policy", "compact")]), Refusal::UnsupportedConfig { .. }));
    assert!(matches!(with(&[("segment.bytes", "1048576")]), Refusal::InvalidConfigValue { .. }));
    assert!(matches!(with(&[("min.insync.replicas", "2")]), Refusal::UnsupportedConfig { .. }));
}
