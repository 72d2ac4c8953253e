//! The table of keys, and values inside and outside their ranges.

use std::collections::BTreeMap;

use super::*;

fn set(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn config(pairs: &[(&str, &str)]) -> Result<TopicConfig, Refusal> {
    TopicConfig::from_values(&resolve(&set(pairs), &TopicDefaults::default())?)
}

fn text(refusal: &Refusal) -> String {
    refusal.to_string()
}

#[test]
fn the_table_is_sound_and_its_defaults_are_the_built_in_ones() {
    for key in KEYS {
        let (text, _) = key.accepts.parse(key.default).unwrap_or_else(|why| panic!("{}: {why}", key.name));
        assert_eq!(text, key.default, "the default of {} is not in the table's spelling", key.name);
        assert_eq!(check(key.name, key.default), Ok(text));
        assert!(!key.doc.is_empty());
        assert_eq!(
            KEYS.iter().filter(|other| other.name == key.name).count(),
            1,
            "{} is there twice",
            key.name
        );
    }
    assert_eq!(config(&[]), Ok(TopicConfig::default()));
    let every_default: Vec<_> = KEYS.iter().map(|key| (key.name, key.default)).collect();
    assert_eq!(config(&every_default), Ok(TopicConfig::default()));
}

#[test]
fn keys_that_act_reach_the_typed_configuration() {
    let config = config(&[
        ("durability", "memory"),
        ("retention.ms", "-1"),
        ("retention.bytes", "1000"),
        ("segment.bytes", " 16777216 "),
        ("segment.ms", "60000"),
        ("max.message.bytes", "2000000"),
    ]);
    let expected = TopicConfig {
        retention_ms: None,
        retention_bytes: Some(1000),
        segment_bytes: 16 * 1024 * 1024,
        segment_ms: 60_000,
        max_message_bytes: 2_000_000,
        durability: Durability::Memory,
    };
    assert_eq!(config, Ok(expected));
}

#[test]
fn an_unknown_key_names_the_nearest() {
    let refusal = check("retention.m", "1").unwrap_err();
    assert!(matches!(&refusal, Refusal::UnknownConfig { key, .. } if key == "retention.m"));
    assert!(text(&refusal).contains("did you mean \"retention.ms\"?"), "{refusal}");
    let hostile = check(&"é".repeat(100_000), "1").unwrap_err();
    assert!(text(&hostile).len() < 1000);
}

#[test]
fn values_outside_their_range_are_refused_and_say_what_does() {
    for (key, value, hint) in [
        ("retention.ms", "-2", "from -1"),
        ("retention.ms", "7d", "whole number"),
        ("retention.ms", "9223372036854775808", "whole number"),
        ("retention.bytes", "", "whole number"),
        ("segment.bytes", "1048575", "from 1048576"),
        ("segment.bytes", "2147483648", "to 2147483647"),
        ("segment.ms", "0", "from 1"),
        ("max.message.bytes", "16777217", "to 16777216"),
        ("max.message.bytes", "0", "from 61"),
        ("durability", "sync", "synced, memory"),
        ("cleanup.policy", "keep", "delete, compact"),
        ("cleanup.policy", &"delete,".repeat(100_000), "delete, compact"),
        ("compression.type", "brotli", "zstd"),
        ("unclean.leader.election.enable", "yes", "true or false"),
        ("min.cleanable.dirty.ratio", "NaN", "from 0 to 1"),
        ("leader.replication.throttled.replicas", "1", "partition:broker"),
    ] {
        let refusal = check(key, value).unwrap_err();
        assert!(
            matches!(&refusal, Refusal::InvalidConfigValue { key: named, .. } if named == key),
            "{refusal:?}"
        );
        assert!(text(&refusal).contains(hint), "{refusal}");
        assert!(text(&refusal).len() < 1000);
    }
}

#[test]
fn what_kafka_knows_and_we_lack_is_never_stored_as_if_it_worked() {
    for (key, value) in [
        ("cleanup.policy", "compact"),
        ("cleanup.policy", "compact,delete"),
        ("message.timestamp.type", "LogAppendTime"),
        ("compression.type", "zstd"),
        ("unclean.leader.election.enable", "TRUE"),
        ("remote.storage.enable", "true"),
        ("message.timestamp.before.max.ms", "1000"),
        ("follower.replication.throttled.replicas", "0:1,1:2"),
    ] {
        let refusal = check(key, value).unwrap_err();
        assert!(
            matches!(&refusal, Refusal::UnsupportedConfig { key: named, .. } if named == key),
            "{refusal:?}"
        );
    }
}

#[test]
fn harmless_keys_are_kept_as_they_are_set() {
    let values = resolve(&set(&[("index.interval.bytes", "512")]), &TopicDefaults::default()).unwrap();
    assert_eq!(
        values["index.interval.bytes"],
        ConfigValue { value: "512".into(), source: ConfigSource::Topic }
    );
    assert_eq!(TopicConfig::from_values(&values), Ok(TopicConfig::default()));
}

#[test]
fn a_batch_takes_at_most_an_eighth_of_a_segment() {
    let refusal = config(&[("segment.bytes", "1048576")]).unwrap_err();
    assert!(text(&refusal).contains("segment.bytes=1048576"), "{refusal}");
    assert!(config(&[("segment.bytes", "1048576"), ("max.message.bytes", "131072")]).is_ok());
    assert!(config(&[("segment.bytes", "8388608")]).is_ok());
    assert!(config(&[("max.message.bytes", "16777216")]).is_ok());
}

#[test]
fn a_topic_is_over_the_broker_is_over_the_built_in() {
    let defaults = TopicDefaults::new(&set(&[
        ("retention.ms", "1000"),
        ("segment.ms", "604800000"),
        ("durability", "memory"),
        ("flush.ms", "5"),
    ]))
    .unwrap();
    let values = resolve(&set(&[("durability", "synced")]), &defaults).unwrap();
    let of = |key: &str| (values[key].value.as_str(), values[key].source);
    assert_eq!(of("durability"), ("synced", ConfigSource::Topic));
    assert_eq!(of("retention.ms"), ("1000", ConfigSource::Broker));
    assert_eq!(of("flush.ms"), ("5", ConfigSource::Broker));
    assert_eq!(of("segment.ms"), ("604800000", ConfigSource::Default));
    assert!(!values.contains_key("index.interval.bytes"));
}

#[test]
fn defaults_of_the_broker_are_checked_like_a_topics() {
    assert!(TopicDefaults::new(&set(&[("retention.hours", "1")])).is_err());
    assert!(TopicDefaults::new(&set(&[("retention.ms", "x")])).is_err());
    assert!(TopicDefaults::new(&set(&[("cleanup.policy", "compact")])).is_err());
    assert!(TopicDefaults::new(&set(&[("segment.bytes", "1048576")])).is_err());
}

#[test]
fn more_in_sync_replicas_than_a_majority_cannot_be_asked_for() {
    let values = |n: &str| resolve(&set(&[("min.insync.replicas", n)]), &TopicDefaults::default()).unwrap();
    for (asked, replicas, fits) in
        [("1", 1, true), ("2", 1, false), ("2", 3, true), ("3", 3, false), ("3", 5, true)]
    {
        assert_eq!(check_against_replicas(&values(asked), replicas).is_ok(), fits, "{asked} of {replicas}");
    }
}
