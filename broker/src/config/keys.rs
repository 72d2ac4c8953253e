//! The table of keys.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::limits::SHARDS_MAX;

use super::error::unknown;
use super::{Config, ConfigError, LogFormat, LogLevel};

/// A key of the configuration.
pub(super) struct Key {
    /// Its name; the part before the dot is its section in a file.
    pub(super) name: &'static str,
    /// How a value is written in a file.
    pub(super) kind: Kind,
    /// The default as text; `None` is that the key is not set.
    pub(super) default: Option<&'static str>,
    /// A value to show where there is no default.
    pub(super) example: &'static str,
    /// What it does: sentences.
    pub(super) doc: &'static str,
    /// Checks a value and puts it in its place. The error says which values do.
    pub(super) set: fn(&mut Config, &str) -> Result<(), String>,
}

/// How a value is written in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// In quotes.
    Text,
    /// A whole number.
    Integer,
    /// `true` or `false`.
    Boolean,
    /// Texts in brackets; with commas where the value is text.
    List,
}

pub(super) const KEYS: &[Key] = &[
    Key {
        name: "data.dir",
        kind: Kind::Text,
        default: Some("./caudal-data"),
        example: "",
        doc: "The folder that holds everything the broker keeps. It is made where it is not there, and belongs to one \
              broker at a time.",
        set: |config, text| {
            config.data_dir = PathBuf::from(not_blank(text)?);
            Ok(())
        },
    },
    Key {
        name: "grpc.listen",
        kind: Kind::Text,
        default: Some("127.0.0.1:7171"),
        example: "",
        doc: "Where clients connect: IP:PORT. Port 0 takes a free one; the line that starts with \"ready\" says which.",
        set: |config, text| listen(text).map(|address| config.grpc_listen = address),
    },
    Key {
        name: "grpc.advertise",
        kind: Kind::Text,
        default: None,
        example: "broker1.example.org:7171",
        doc: "HOST:PORT that clients are told to connect to. Where it is not set they are told the address that is \
              listened on; it must be set where that is 0.0.0.0 or [::].",
        set: |config, text| host_and_port(text).map(|address| config.grpc_advertise = Some(address)),
    },
    Key {
        name: "peer.listen",
        kind: Kind::Text,
        default: Some("127.0.0.1:7172"),
        example: "",
        doc: "Where other brokers connect: IP:PORT.",
        set: |config, text| listen(text).map(|address| config.peer_listen = address),
    },
    Key {
        name: "peer.advertise",
        kind: Kind::Text,
        default: None,
        example: "broker1.example.org:7172",
        doc: "HOST:PORT that other brokers are told to connect to. Where it is not set they are told the address that is \
              listened on; it must be set where that is 0.0.0.0 or [::].",
        set: |config, text| host_and_port(text).map(|address| config.peer_advertise = Some(address)),
    },
    Key {
        name: "http.listen",
        kind: Kind::Text,
        default: Some("127.0.0.1:7173"),
        example: "",
        doc: "Where operators look: IP:PORT. /metrics is for Prometheus, /healthz says whether the process lives, /readyz \
              whether it takes requests.",
        set: |config, text| listen(text).map(|address| config.http_listen = address),
    },
    Key {
        name: "cluster.seeds",
        kind: Kind::List,
        default: Some(""),
        example: "",
        doc: "HOST:PORT of the peer listeners of some brokers of the cluster, this one among them where it founds it. A \
              new cluster begins when all of them see each other; a broker with an empty folder whose seeds belong to \
              a cluster joins it. Empty is a broker that founds a cluster alone, which others may join.",
        set: |config, text| {
            let seeds = text.split(',').map(str::trim).filter(|seed| !seed.is_empty());
            config.cluster_seeds = seeds.map(host_and_port).collect::<Result<_, _>>()?;
            Ok(())
        },
    },
    Key {
        name: "node.rack",
        kind: Kind::Text,
        default: None,
        example: "rack-7",
        doc: "Where the machine stands: replicas of a partition go to different racks where there are enough.",
        set: |config, text| {
            let text = not_blank(text)?;
            if text.len() > 249 || text.chars().any(char::is_control) {
                return Err("at most 249 bytes without control characters are needed".to_owned());
            }
            config.node_rack = Some(text.to_owned());
            Ok(())
        },
    },
    Key {
        name: "shards",
        kind: Kind::Integer,
        default: Some("0"),
        example: "",
        doc: "Threads that own partitions, each with its own connections. 0 is one for each core. It may change at any \
              restart.",
        set: |config, text| match text.parse() {
            Ok(shards) if shards <= SHARDS_MAX => {
                config.shards = shards;
                Ok(())
            }
            _ => Err(format!("a whole number from 0 to {SHARDS_MAX} is needed")),
        },
    },
    Key {
        name: "security.allow_insecure",
        kind: Kind::Boolean,
        default: Some("false"),
        example: "",
        doc: "There is no authentication yet: whoever reaches a listener may do everything. So addresses that are not \
              of this machine alone are refused, unless this is true.",
        set: |config, text| boolean(text).map(|allow| config.allow_insecure = allow),
    },
    Key {
        name: "log.level",
        kind: Kind::Text,
        default: Some("info"),
        example: "",
        doc: "The least important messages that are logged to stderr: error, warn, info, debug or trace.",
        set: |config, text| {
            use LogLevel::{Debug, Error, Info, Trace, Warn};
            config.log_level =
                one_of(text, [Error, Warn, Info, Debug, Trace].map(|level| (level.as_str(), level)))?;
            Ok(())
        },
    },
    Key {
        name: "log.format",
        kind: Kind::Text,
        default: Some("text"),
        example: "",
        doc: "How they are written: text for people, json for one object a line.",
        set: |config, text| {
            config.log_format = one_of(text, [("text", LogFormat::Text), ("json", LogFormat::Json)])?;
            Ok(())
        },
    },
];

/// The table's entry of a key.
pub(super) fn find(name: &str) -> Result<&'static Key, ConfigError> {
    KEYS.iter().find(|key| key.name == name).ok_or_else(|| unknown(name))
}

fn not_blank(text: &str) -> Result<&str, String> {
    match text.contains('\0') || text.trim().is_empty() {
        true => Err("it must not be empty".to_owned()),
        false => Ok(text),
    }
}

fn boolean(text: &str) -> Result<bool, String> {
    one_of(text, [("true", true), ("false", false)])
}

fn one_of<T, const N: usize>(text: &str, words: [(&str, T); N]) -> Result<T, String> {
    let known: Vec<String> = words.iter().map(|(word, _)| (*word).to_owned()).collect();
    let found = words.into_iter().find(|(word, _)| *word == text).map(|(_, value)| value);
    found.ok_or_else(|| format!("one of {} is needed", known.join(", ")))
}

/// IP:PORT, where `localhost` is 127.0.0.1.
fn listen(text: &str) -> Result<SocketAddr, String> {
    let numeric = match text.strip_prefix("localhost:") {
        Some(port) => format!("127.0.0.1:{port}"),
        None => text.to_owned(),
    };
    numeric.parse().map_err(|_| "IP:PORT is needed, as in 127.0.0.1:7171 or [::1]:7171".to_owned())
}

/// HOST:PORT as others write it to connect here.
fn host_and_port(text: &str) -> Result<String, String> {
    let needed = || "HOST:PORT is needed, as in broker1.example.org:7171".to_owned();
    let (host, port) = text.rsplit_once(':').ok_or_else(needed)?;
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let is_host = match bare {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok_and(|address| !address.is_unspecified()),
        None => is_host_name(host),
    };
    if !is_host
        || !port.bytes().all(|byte| byte.is_ascii_digit())
        || !port.parse::<u16>().is_ok_and(|port| port > 0)
    {
        return Err(needed());
    }
    Ok(text.to_owned())
}

/// A name of the domain name system or an IPv4 address that one can connect to.
fn is_host_name(host: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    host.len() <= 253 && host != "0.0.0.0" && host.trim_end_matches('.').split('.').all(label)
}
