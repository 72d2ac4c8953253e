//! The topic defaults of a broker: the `[topic]` section of its configuration.

use std::collections::BTreeMap;

use crate::refusal::Refusal;

use super::topic_config::{ConfigSource, ConfigValue, Effect, TopicConfig, Values, check, key};

/// Values that the broker's configuration sets for topics that set none. Those equal to the built-in ones are not kept.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TopicDefaults {
    values: BTreeMap<String, String>,
}

impl TopicDefaults {
    /// Checks every key and value, alone and together. Errors: as for a topic's own configuration.
    pub fn new(set: &BTreeMap<String, String>) -> Result<TopicDefaults, Refusal> {
        let mut defaults = TopicDefaults::default();
        for (name, value) in set {
            let value = check(name, value)?;
            if value != key(name)?.default {
                defaults.values.insert(name.clone(), value);
            }
        }
        let with_source = |(name, value): (&String, &String)| {
            (name.clone(), ConfigValue { value: value.clone(), source: ConfigSource::Broker })
        };
        TopicConfig::from_values(&defaults.values.iter().map(with_source).collect::<Values>())?;
        Ok(defaults)
    }

    /// The value of a topic that sets none; `None` for a key that does not act and that the broker does not set.
    pub fn resolve(&self, name: &str) -> Option<ConfigValue> {
        if let Some(value) = self.values.get(name) {
            return Some(ConfigValue { value: value.clone(), source: ConfigSource::Broker });
        }
        let key = key(name).ok()?;
        let acts = matches!(key.effect, Effect::Acts(_));
        acts.then(|| ConfigValue { value: key.default.to_owned(), source: ConfigSource::Default })
    }

    /// What the broker sets, by key.
    pub fn values(&self) -> &BTreeMap<String, String> {
        &self.values
    }
}
