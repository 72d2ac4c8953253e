//! The configuration of a broker. Parsing is validating: a [`Config`] that exists can be run.
//!
//! One table, in `keys.rs`, has every key with its default, its documentation and its parser. From it come the reading
//! of a file and of `--set key=value`, the defaults, the errors, and `config/broker.toml`. The keys under `topic.` are
//! those of a topic's configuration.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use crate::limits::CONFIG_FILE_BYTES_MAX;
use crate::state::{TopicDefaults, check_topic_value};

mod error;
mod file;
mod keys;
mod reference;
#[cfg(test)]
mod tests;

pub use error::ConfigError;
pub use reference::reference;

/// How a broker runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// `data.dir`: where everything lies.
    pub data_dir: PathBuf,
    /// `grpc.listen`: where clients connect.
    pub grpc_listen: SocketAddr,
    /// `grpc.advertise`: HOST:PORT that clients are told; see [`Config::grpc_address`].
    pub grpc_advertise: Option<String>,
    /// `peer.listen`: where other brokers connect.
    pub peer_listen: SocketAddr,
    /// `peer.advertise`: HOST:PORT that other brokers are told.
    pub peer_advertise: Option<String>,
    /// `http.listen`: metrics and health.
    pub http_listen: SocketAddr,
    /// `cluster.seeds`: HOST:PORT of other brokers' peer listeners.
    pub cluster_seeds: Vec<String>,
    /// `node.rack`: where the machine stands.
    pub node_rack: Option<String>,
    /// `shards`: threads that own partitions; 0 is one for each core.
    pub shards: u32,
    /// `security.allow_insecure`: listening to the network without authentication is meant.
    pub allow_insecure: bool,
    /// `log.level`: the least important message that is logged.
    pub log_level: LogLevel,
    /// `log.format`: how messages are written.
    pub log_format: LogFormat,
    /// `topic.*`: values of topics that set none.
    pub topic: TopicDefaults,
}

/// How important a logged message must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    /// Something is lost or stopped.
    Error,
    /// Something should be looked at.
    Warn,
    /// What an operator wants to know.
    Info,
    /// What a developer wants to know.
    Debug,
    /// Everything.
    Trace,
}

impl LogLevel {
    /// The level's word.
    pub fn as_str(self) -> &'static str {
        match self {
            LogLevel::Error => "error",
            LogLevel::Warn => "warn",
            LogLevel::Info => "info",
            LogLevel::Debug => "debug",
            LogLevel::Trace => "trace",
        }
    }
}

impl fmt::Display for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// How logged messages are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Default for Config {
    /// Every key at its default: that of the table.
    fn default() -> Config {
        Draft::new().finish().expect("invariant: the defaults of the table are a configuration")
    }
}

impl Config {
    /// Reads a file's text, or the defaults without one, then `key=value` for each of `sets`; the last of a key wins.
    ///
    /// # Errors
    /// The first thing that is wrong, by its key.
    pub fn parse(text: Option<&str>, sets: &[String]) -> Result<Config, ConfigError> {
        let mut draft = Draft::new();
        for (key, value) in file::leaves(text.unwrap_or_default())? {
            draft.set(&key, &value)?;
        }
        for given in sets {
            let (key, value) =
                given.split_once('=').ok_or_else(|| ConfigError::NoAssignment { given: given.clone() })?;
            draft.set(key.trim(), &file::Value::Plain(value.trim().to_owned()))?;
        }
        draft.finish()
    }

    /// Reads a file, or the defaults without one, then `key=value` for each of `sets`.
    ///
    /// # Errors
    /// As [`Config::parse`], and where the file cannot be read.
    pub fn load(path: Option<&Path>, sets: &[String]) -> Result<Config, ConfigError> {
        let Some(path) = path else { return Config::parse(None, sets) };
        let unreadable = |source| ConfigError::Read { path: path.to_owned(), source };
        let bytes = std::fs::metadata(path).map_err(unreadable)?.len();
        if bytes > CONFIG_FILE_BYTES_MAX {
            return Err(ConfigError::TooLarge { path: path.to_owned(), bytes });
        }
        let text = std::fs::read_to_string(path).map_err(unreadable)?;
        Config::parse(Some(&text), sets)
    }

    /// HOST:PORT that clients are told, where the gRPC listener is bound to `bound`.
    pub fn grpc_address(&self, bound: SocketAddr) -> String {
        self.grpc_advertise.clone().unwrap_or_else(|| bound.to_string())
    }

    /// HOST:PORT that other brokers are told, where the peer listener is bound to `bound`.
    pub fn peer_address(&self, bound: SocketAddr) -> String {
        self.peer_advertise.clone().unwrap_or_else(|| bound.to_string())
    }
}

/// A configuration as far as it is read.
struct Draft {
    config: Config,
    /// Topic values, which are checked together.
    topic: BTreeMap<String, String>,
}

/// What the topic keys begin with.
const TOPIC: &str = "topic.";

impl Draft {
    fn new() -> Draft {
        let nowhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let mut config = Config {
            data_dir: PathBuf::new(),
            grpc_listen: nowhere,
            grpc_advertise: None,
            peer_listen: nowhere,
            peer_advertise: None,
            http_listen: nowhere,
            cluster_seeds: Vec::new(),
            node_rack: None,
            shards: 0,
            allow_insecure: false,
            log_level: LogLevel::Info,
            log_format: LogFormat::Text,
            topic: TopicDefaults::default(),
        };
        for key in keys::KEYS {
            if let Some(default) = key.default {
                (key.set)(&mut config, default).expect("invariant: a default of the table passes its parser");
            }
        }
        Draft { config, topic: BTreeMap::new() }
    }

    fn set(&mut self, name: &str, value: &file::Value) -> Result<(), ConfigError> {
        let wrong = |why| ConfigError::Value { key: name.to_owned(), value: value.shown(), why };
        if let Some(topic_key) = name.strip_prefix(TOPIC) {
            let text = value.any().map_err(wrong)?;
            check_topic_value(topic_key, &text).map_err(|refusal| error::of_topic(name, &text, refusal))?;
            self.topic.insert(topic_key.to_owned(), text);
            return Ok(());
        }
        let key = keys::find(name)?;
        let text = value.of(key.kind).map_err(wrong)?;
        (key.set)(&mut self.config, &text).map_err(wrong)
    }

    fn finish(mut self) -> Result<Config, ConfigError> {
        self.config.topic = TopicDefaults::new(&self.topic)
            .map_err(|refusal| ConfigError::Topic { why: refusal.to_string() })?;
        let config = self.config;
        let listeners = [
            ("grpc.listen", config.grpc_listen),
            ("peer.listen", config.peer_listen),
            ("http.listen", config.http_listen),
        ];
        for (key, address) in listeners {
            if !address.ip().to_canonical().is_loopback() && !config.allow_insecure {
                return Err(ConfigError::Exposed { key, address });
            }
        }
        if config.grpc_listen.ip().is_unspecified() && config.grpc_advertise.is_none() {
            return Err(ConfigError::NoAddress { address: config.grpc_listen });
        }
        if config.peer_listen.ip().is_unspecified() && config.peer_advertise.is_none() {
            return Err(ConfigError::NoPeerAddress { address: config.peer_listen });
        }
        for (at, seed) in config.cluster_seeds.iter().enumerate() {
            if config.cluster_seeds[..at].contains(seed) {
                return Err(ConfigError::SeedTwice { seed: seed.clone() });
            }
        }
        Ok(config)
    }
}
