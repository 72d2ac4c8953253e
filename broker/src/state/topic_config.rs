//! A topic's configuration: Kafka's keys, where the meaning is Kafka's, and `durability`.
//!
//! A value goes in as text and is checked against the table in [`keys`]. Of each key the table says whether it acts,
//! is only stored, or may have one value because the effect of the others is not built. A topic keeps the text and the
//! source of each value ([`Values`]); [`TopicConfig`] is what the rest of the broker reads.

use std::collections::BTreeMap;

use crate::limits::BATCH_BYTES_DEFAULT;
use crate::nearest::nearest;
use crate::refusal::Refusal;

use super::topic_defaults::TopicDefaults;

mod keys;
#[cfg(test)]
mod tests;

pub use keys::{Accepts, Effect, KEYS, TopicKey};

/// What a topic's configuration makes the broker do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TopicConfig {
    /// Age in ms, by append time, at which records may go; `None` keeps them for ever.
    pub retention_ms: Option<i64>,
    /// Bytes of a partition above which its oldest segments go; `None` is without limit.
    pub retention_bytes: Option<u64>,
    /// Bytes at which a segment is sealed.
    pub segment_bytes: u64,
    /// Age in ms at which a segment is sealed.
    pub segment_ms: i64,
    /// The largest record batch taken, in bytes.
    pub max_message_bytes: usize,
    /// When `acks=all` is answered.
    pub durability: Durability,
}

impl Default for TopicConfig {
    /// The built-in defaults: those of the table, by test.
    fn default() -> TopicConfig {
        TopicConfig {
            retention_ms: Some(7 * 24 * 60 * 60 * 1000),
            retention_bytes: None,
            segment_bytes: 128 * 1024 * 1024,
            segment_ms: 7 * 24 * 60 * 60 * 1000,
            max_message_bytes: BATCH_BYTES_DEFAULT,
            durability: Durability::Synced,
        }
    }
}

/// When a batch with `acks=all` is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// When a majority has synced it.
    #[default]
    Synced,
    /// When a majority has written it: it survives the death of processes, not of power.
    Memory,
}

/// Where a value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConfigSource {
    /// Built in.
    Default,
    /// The `[topic]` section of the broker's configuration, when the value was resolved.
    Broker,
    /// Set on the topic.
    Topic,
}

/// One value of a topic's configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigValue {
    /// The value, in the table's spelling.
    pub value: String,
    /// Where it comes from.
    pub source: ConfigSource,
}

/// The values of a topic, by key: every key that acts, and the others that were set. Nothing is looked up elsewhere
/// later, so that a new default never changes a topic that exists.
pub type Values = BTreeMap<String, ConfigValue>;

/// The table's entry of a key. Errors: [`Refusal::UnknownConfig`] with the nearest key.
pub(super) fn key(name: &str) -> Result<&'static TopicKey, Refusal> {
    KEYS.iter().find(|key| key.name == name).ok_or_else(|| {
        let near = nearest(name, KEYS.iter().map(|key| key.name));
        Refusal::UnknownConfig {
            key: cut(name),
            hint: near.map_or(String::new(), |near| format!("; did you mean {near:?}?")),
        }
    })
}

/// Checks one key and its value; gives the value in the table's spelling.
/// Errors: [`Refusal::UnknownConfig`], [`Refusal::InvalidConfigValue`], [`Refusal::UnsupportedConfig`].
pub fn check(name: &str, value: &str) -> Result<String, Refusal> {
    let key = key(name)?;
    let (text, _) = key.accepts.parse(value.trim()).map_err(|why| invalid(name, value, why))?;
    if let Effect::Only { why } = key.effect
        && text != key.default
    {
        return Err(Refusal::UnsupportedConfig { key: name.to_owned(), value: text, why: why.to_owned() });
    }
    Ok(text)
}

/// The values of a new topic: what was set on it over the broker's defaults over the built-in ones. All keys are
/// checked, alone and together.
pub(super) fn resolve(set: &BTreeMap<String, String>, defaults: &TopicDefaults) -> Result<Values, Refusal> {
    let mut values = Values::new();
    for (name, value) in set {
        let value = check(name, value)?;
        values.insert(name.clone(), ConfigValue { value, source: ConfigSource::Topic });
    }
    for name in KEYS.iter().map(|key| key.name) {
        if !values.contains_key(name)
            && let Some(value) = defaults.resolve(name)
        {
            values.insert(name.to_owned(), value);
        }
    }
    TopicConfig::from_values(&values)?;
    Ok(values)
}

impl TopicConfig {
    /// Reads the values that act; a key that is absent has its built-in default. Refuses what [`check`] refuses, and
    /// values that do not fit each other.
    pub fn from_values(values: &Values) -> Result<TopicConfig, Refusal> {
        let mut config = TopicConfig::default();
        for (name, ConfigValue { value, .. }) in values {
            let key = key(name)?;
            let (_, number) = key.accepts.parse(value).map_err(|why| invalid(name, value, why))?;
            if let Effect::Acts(set) = key.effect {
                set(&mut config, number);
            }
        }
        let eighth = config.segment_bytes / 8 + keys::EIGHTH_SLACK_BYTES;
        if config.max_message_bytes as u64 > eighth {
            let why = format!(
                "at segment.bytes={} it is at most {eighth}, an eighth of a segment: set both",
                config.segment_bytes
            );
            return Err(invalid(keys::MAX_MESSAGE_BYTES, &config.max_message_bytes.to_string(), why));
        }
        Ok(config)
    }
}

/// `min.insync.replicas` against the replicas there are: a majority acknowledges, never more is waited for.
pub(super) fn check_against_replicas(values: &Values, replicas: i32) -> Result<(), Refusal> {
    let Some(ConfigValue { value, .. }) = values.get(keys::MIN_INSYNC_REPLICAS) else { return Ok(()) };
    let majority = replicas / 2 + 1;
    if value.parse::<i64>().is_ok_and(|asked| asked <= i64::from(majority)) {
        return Ok(());
    }
    Err(Refusal::UnsupportedConfig {
        key: keys::MIN_INSYNC_REPLICAS.to_owned(),
        value: value.clone(),
        why: format!("of {replicas} replicas a majority of {majority} acknowledges; set at most {majority}"),
    })
}

fn invalid(key: &str, value: &str, why: String) -> Refusal {
    Refusal::InvalidConfigValue { key: key.to_owned(), value: cut(value), why }
}

/// What of a client's text goes back into a message.
fn cut(text: &str) -> String {
    text.chars().take(300).collect()
}
