//! A configuration file: TOML, whose tables are the parts of a key before its dots.

use std::collections::BTreeMap;

use crate::state::TOPIC_KEYS;

use super::keys::{KEYS, Kind};
use super::{ConfigError, TOPIC};

/// A value as it is given.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    /// In a file.
    Toml(toml::Value),
    /// After `--set key=`.
    Plain(String),
}

impl Value {
    /// The value as text for a key of this kind. The error says how such a value is written.
    pub(super) fn of(&self, kind: Kind) -> Result<String, String> {
        let value = match self {
            Value::Plain(text) => return Ok(text.clone()),
            Value::Toml(value) => value,
        };
        let text = match (kind, value) {
            (Kind::Text, toml::Value::String(text)) => Some(text.clone()),
            (Kind::Integer, toml::Value::Integer(number)) => Some(number.to_string()),
            (Kind::Boolean, toml::Value::Boolean(value)) => Some(value.to_string()),
            (Kind::List, toml::Value::Array(items)) => {
                let items: Option<Vec<&str>> = items.iter().map(toml::Value::as_str).collect();
                items.map(|items| items.join(","))
            }
            _ => None,
        };
        text.ok_or_else(|| {
            let form = match kind {
                Kind::Text => "text in quotes is needed",
                Kind::Integer => "a whole number without quotes is needed",
                Kind::Boolean => "true or false without quotes is needed",
                Kind::List => "texts in brackets are needed, as in [\"a:1\", \"b:1\"]",
            };
            form.to_owned()
        })
    }

    /// The value as text, for a topic's key: its own table checks it.
    pub(super) fn any(&self) -> Result<String, String> {
        match self {
            Value::Plain(text) | Value::Toml(toml::Value::String(text)) => Ok(text.clone()),
            Value::Toml(toml::Value::Integer(number)) => Ok(number.to_string()),
            Value::Toml(toml::Value::Float(number)) => Ok(number.to_string()),
            Value::Toml(toml::Value::Boolean(value)) => Ok(value.to_string()),
            Value::Toml(_) => Err("a number, true, false, or text in quotes is needed".to_owned()),
        }
    }

    /// The value for a message.
    pub(super) fn shown(&self) -> String {
        let text = match self {
            Value::Plain(text) => text.clone(),
            Value::Toml(toml::Value::String(text)) => format!("{text:?}"),
            Value::Toml(toml::Value::Integer(number)) => number.to_string(),
            Value::Toml(toml::Value::Float(number)) => number.to_string(),
            Value::Toml(toml::Value::Boolean(value)) => value.to_string(),
            Value::Toml(toml::Value::Datetime(time)) => time.to_string(),
            Value::Toml(toml::Value::Array(_)) => "[...]".to_owned(),
            Value::Toml(toml::Value::Table(_)) => "{...}".to_owned(),
        };
        text.chars().take(300).collect()
    }
}

/// Every value of a file, by its whole key.
pub(super) fn leaves(text: &str) -> Result<BTreeMap<String, Value>, ConfigError> {
    let table: toml::Table = toml::from_str(text).map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        ConfigError::Syntax { line: before.matches('\n').count() + 1, why: error.message().to_owned() }
    })?;
    let mut found = BTreeMap::new();
    walk("", table, &mut found)?;
    Ok(found)
}

fn walk(prefix: &str, table: toml::Table, found: &mut BTreeMap<String, Value>) -> Result<(), ConfigError> {
    for (name, value) in table {
        let key = format!("{prefix}{name}");
        match value {
            toml::Value::Table(table) if table.is_empty() && is_section(&key) => {}
            toml::Value::Table(table) if !table.is_empty() && KEYS.iter().all(|known| known.name != key) => {
                walk(&format!("{key}."), table, found)?;
            }
            value => {
                if found.insert(key.clone(), Value::Toml(value)).is_some() {
                    return Err(ConfigError::Twice { key });
                }
            }
        }
    }
    Ok(())
}

/// Whether known keys begin with `name.`.
fn is_section(name: &str) -> bool {
    let within = |key: &str| key.strip_prefix(name).is_some_and(|rest| rest.starts_with('.'));
    KEYS.iter().any(|key| within(key.name))
        || TOPIC_KEYS.iter().any(|key| within(&format!("{TOPIC}{}", key.name)))
}
