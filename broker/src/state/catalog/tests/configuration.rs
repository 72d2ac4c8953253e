//! A topic's configuration changes, and says where each value comes from.

use super::*;
use crate::state::request::ConfigChange;
use crate::state::topic_config::{ConfigSource, Durability};

fn change(key: &str, before: &str, after: &str) -> ConfigChange {
    ConfigChange { key: key.into(), before: before.into(), after: after.into() }
}

fn altered(reply: Reply) -> Result<Vec<ConfigChange>, Refusal> {
    match reply {
        Reply::AlterTopics(mut results) => results.remove(0).1,
        other => panic!("{other:?}"),
    }
}

fn source(control: &Control, key: &str) -> Option<(String, ConfigSource)> {
    let described = control.catalog.topic("t").unwrap().describe();
    described.into_iter().find(|(name, _)| *name == key).map(|(_, value)| (value.value, value.source))
}

#[test]
fn a_change_acts_and_is_told_with_the_values_before_and_after() {
    let mut control = Control::with_brokers(1);
    control.create("t");
    let (reply, deltas) = control.ask(alter("t", &[("retention.ms", "5"), ("durability", "memory")], &[]));
    let changes = altered(reply).unwrap();
    assert_eq!(changes, [change("durability", "synced", "memory"), change("retention.ms", "604800000", "5")]);
    let topic = control.catalog.topic("t").unwrap();
    assert_eq!(deltas, [Delta::Configured(Arc::clone(topic))]);
    assert_eq!((topic.config.retention_ms, topic.config.durability), (Some(5), Durability::Memory));
    assert_eq!(source(&control, "retention.ms"), Some(("5".into(), ConfigSource::Topic)));
    assert_eq!(source(&control, "segment.ms"), Some(("604800000".into(), ConfigSource::Default)));
    assert_eq!(source(&control, "cleanup.policy"), Some(("delete".into(), ConfigSource::Default)));
}

#[test]
fn a_value_taken_back_is_the_brokers_default_again() {
    let mut control = Control::with_brokers(1);
    control.defaults = TopicDefaults::new(&configs(&[("retention.ms", "77")])).unwrap();
    control
        .create_with("t", |topic| topic.configs = configs(&[("retention.ms", "5"), ("flush.ms", "9")]))
        .0
        .unwrap();
    let changes = altered(control.ask(alter("t", &[], &["retention.ms", "flush.ms", "flush.ms"])).0).unwrap();
    assert_eq!(changes, [change("flush.ms", "9", ""), change("retention.ms", "5", "77")]);
    assert_eq!(source(&control, "retention.ms"), Some(("77".into(), ConfigSource::Broker)));
    assert_eq!(source(&control, "flush.ms"), None);
}

#[test]
fn another_default_of_the_broker_does_not_change_a_topic_that_exists() {
    let mut control = Control::with_brokers(1);
    control.create("t");
    control.defaults = TopicDefaults::new(&configs(&[("retention.ms", "77")])).unwrap();
    control.ask(alter("t", &[("segment.ms", "5")], &[]));
    assert_eq!(control.catalog.topic("t").unwrap().config.retention_ms, Some(604_800_000));
}

#[test]
fn a_change_to_the_same_value_is_no_change() {
    let mut control = Control::with_brokers(1);
    control.create_with("t", |topic| topic.configs = configs(&[("retention.ms", "5")])).0.unwrap();
    let reply = control.ask_in_vain(alter("t", &[("retention.ms", "5")], &["segment.ms"]));
    assert_eq!(altered(reply), Ok(vec![]));
}

#[test]
fn values_are_checked_together_with_those_that_stay() {
    let mut control = Control::with_brokers(1);
    control.create_with("t", |topic| topic.configs = configs(&[("max.message.bytes", "4000000")])).0.unwrap();
    let refusal = altered(control.ask_in_vain(alter("t", &[("segment.bytes", "8388608")], &[]))).unwrap_err();
    assert!(refusal.to_string().contains("segment.bytes=8388608"), "{refusal}");
    assert!(altered(control.ask_in_vain(alter("t", &[("min.insync.replicas", "2")], &[]))).is_err());
}

#[test]
fn changes_planned_at_once_are_checked_together_when_applied() {
    let mut control = Control::with_brokers(1);
    control.create("t");
    let plans = [("max.message.bytes", "16777216"), ("segment.bytes", "8388608")]
        .map(|pair| control.plan(alter("t", &[pair], &[])));
    let results = plans.map(|plan| match plan {
        Plan::Propose { command, .. } => altered(control.catalog.apply(command).0),
        Plan::Answer(reply) => panic!("{reply:?}"),
    });
    assert!(results[0].is_ok());
    assert!(matches!(results[1], Err(Refusal::InvalidConfigValue { .. })));
    assert_eq!(control.catalog.topic("t").unwrap().config.segment_bytes, 128 * 1024 * 1024);
}

#[test]
fn bad_changes_are_refused_and_name_the_key() {
    let mut control = Control::with_brokers(1);
    control.create("t");
    let mut with = |set: &[(&str, &str)], unset: &[&str]| {
        altered(control.ask_in_vain(alter("t", set, unset))).unwrap_err()
    };
    assert!(matches!(with(&[("retention.mss", "1")], &[]), Refusal::UnknownConfig { .. }));
    assert!(matches!(with(&[], &["retention.mss"]), Refusal::UnknownConfig { .. }));
    assert!(matches!(with(&[("retention.ms", "x")], &[]), Refusal::InvalidConfigValue { .. }));
    assert!(matches!(with(&[("cleanup.policy", "compact")], &[]), Refusal::UnsupportedConfig { .. }));
    assert!(matches!(with(&[("segment.ms", "1")], &["segment.ms"]), Refusal::InvalidArgument { .. }));
}

#[test]
fn validating_a_change_tells_it_and_makes_none() {
    let mut control = Control::with_brokers(1);
    control.create("t");
    let topics =
        vec![TopicAlteration { name: "t".into(), set: configs(&[("retention.ms", "5")]), unset: vec![] }];
    let reply = control.ask_in_vain(Request::AlterTopics { topics, validate_only: true });
    assert_eq!(altered(reply), Ok(vec![change("retention.ms", "604800000", "5")]));
}
