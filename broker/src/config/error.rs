//! What can be wrong with a configuration.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::limits::CONFIG_FILE_BYTES_MAX;
use crate::nearest::nearest;
use crate::refusal::Refusal;
use crate::state::TOPIC_KEYS;

use super::TOPIC;
use super::keys::KEYS;

/// Why a broker cannot be configured so.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("the configuration file {} cannot be read: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file is too large to be one.
    #[error("the configuration file {} has {bytes} bytes, at most {CONFIG_FILE_BYTES_MAX} are read", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its bytes.
        bytes: u64,
    },
    /// Not TOML.
    #[error("line {line} of the configuration is not TOML: {why}")]
    Syntax {
        /// From 1.
        line: usize,
        /// What the parser says.
        why: String,
    },
    /// No such key.
    #[error("no configuration key is named {key:?}; did you mean {nearest:?}?")]
    UnknownKey {
        /// The key.
        key: String,
        /// The known key that it is most like.
        nearest: String,
    },
    /// The same key twice in one file.
    #[error("the configuration key {key:?} is given twice")]
    Twice {
        /// The key.
        key: String,
    },
    /// A value that does not fit its key.
    #[error("{key}={value}: {why}")]
    Value {
        /// The key.
        key: String,
        /// The value as given.
        value: String,
        /// Which values do.
        why: String,
    },
    /// Topic values that do not fit each other.
    #[error("section [topic]: {why}")]
    Topic {
        /// Which, and why.
        why: String,
    },
    /// A `--set` without `=`.
    #[error("{given:?} sets nothing: write key=value")]
    NoAssignment {
        /// What was given.
        given: String,
    },
    /// A listener that the network reaches, without a word that this is meant.
    #[error(
        "{key}={address} can be reached from the network and there is no authentication yet: \
         listen on 127.0.0.1, or set security.allow_insecure=true where the network is trusted"
    )]
    Exposed {
        /// The key.
        key: &'static str,
        /// The address.
        address: SocketAddr,
    },
    /// All addresses are listened on, and which of them clients shall use is not known.
    #[error("grpc.listen={address} is no address that clients can connect to: set grpc.advertise=HOST:PORT")]
    NoAddress {
        /// The address.
        address: SocketAddr,
    },
    /// All addresses are listened on, and which of them other brokers shall use is not known.
    #[error(
        "peer.listen={address} is no address that other brokers can connect to: set peer.advertise=HOST:PORT"
    )]
    NoPeerAddress {
        /// The address.
        address: SocketAddr,
    },
    /// One seed twice: founding counts them.
    #[error("cluster.seeds names {seed} twice: name each broker once")]
    SeedTwice {
        /// The address.
        seed: String,
    },
}

/// A refused topic value, by its name in the broker's configuration.
pub(super) fn of_topic(key: &str, value: &str, refusal: Refusal) -> ConfigError {
    let why = match refusal {
        Refusal::UnknownConfig { .. } => return unknown(key),
        Refusal::InvalidConfigValue { why, .. } => why,
        Refusal::UnsupportedConfig { why, .. } => format!("known to Kafka and not supported yet: {why}"),
        other => other.to_string(),
    };
    ConfigError::Value { key: key.to_owned(), value: value.to_owned(), why }
}

/// A key that is not known, with the one that it is most like.
pub(super) fn unknown(key: &str) -> ConfigError {
    let topic: Vec<String> = TOPIC_KEYS.iter().map(|key| format!("{TOPIC}{}", key.name)).collect();
    let known = KEYS.iter().map(|key| key.name).chain(topic.iter().map(String::as_str));
    let nearest = nearest(key, known).unwrap_or_default().to_owned();
    ConfigError::UnknownKey { key: key.to_owned(), nearest }
}
