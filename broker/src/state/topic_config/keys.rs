//! The table of topic configuration keys: Kafka 4's, and `durability`.

use crate::limits::{BATCH_BYTES_CEILING, SEGMENT_BYTES_MIN};

use super::{Durability, TopicConfig};

/// A key of a topic's configuration.
pub struct TopicKey {
    /// Its name.
    pub name: &'static str,
    /// The built-in value.
    pub default: &'static str,
    /// What it does here.
    pub doc: &'static str,
    /// Which values it takes.
    pub accepts: Accepts,
    /// What a value does.
    pub effect: Effect,
}

/// What a value of a key does.
pub enum Effect {
    /// It is carried out; the function puts the number of [`Accepts::parse`] in its place.
    Acts(fn(&mut TopicConfig, i64)),
    /// Only the default is supported, since it says what the broker does anyway.
    Only {
        /// What there is instead of the other values.
        why: &'static str,
    },
    /// It is kept and shown; no promise depends on it here.
    Stored,
}

/// The values that a key takes, as in Kafka.
pub enum Accepts {
    /// A whole number, bounds included.
    Integer(i64, i64),
    /// `true` or `false`.
    Boolean,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// Some of these words, with commas.
    Several(&'static [&'static str]),
    /// A number from 0 to 1.
    Ratio,
    /// Replicas as `partition:broker` with commas, or `*`, or nothing.
    Replicas,
}

impl Accepts {
    /// Checks a value. Gives the value as it is kept, and its number: the whole number, or the place of the word
    /// (`false` is 0), or 0. The error says which values do.
    pub fn parse(&self, value: &str) -> Result<(String, i64), String> {
        match self {
            Accepts::Integer(min, max) => match value.parse::<i64>() {
                Ok(number) if (*min..=*max).contains(&number) => Ok((number.to_string(), number)),
                _ => Err(format!("a whole number from {min} to {max} is needed")),
            },
            Accepts::Boolean => match value.to_ascii_lowercase().as_str() {
                word @ ("false" | "true") => Ok((word.to_owned(), i64::from(word == "true"))),
                _ => Err("true or false is needed".to_owned()),
            },
            Accepts::OneOf(words) => match words.iter().position(|word| *word == value) {
                Some(place) => Ok((value.to_owned(), place as i64)),
                None => Err(format!("one of {} is needed", words.join(", "))),
            },
            Accepts::Several(words) => {
                let parts: Vec<&str> = value.split(',').map(str::trim).take(words.len() + 1).collect();
                if parts.len() > words.len() || !parts.iter().all(|part| words.contains(part)) {
                    return Err(format!("some of {} are needed, with commas", words.join(", ")));
                }
                Ok((parts.join(","), 0))
            }
            Accepts::Ratio => match value.parse::<f64>() {
                Ok(ratio) if (0.0..=1.0).contains(&ratio) => Ok((ratio.to_string(), 0)),
                _ => Err("a number from 0 to 1 is needed".to_owned()),
            },
            Accepts::Replicas => {
                let number = |text: &str| text.parse::<i32>().is_ok_and(|number| number >= 0);
                let pair = |pair: &str| pair.split_once(':').is_some_and(|(p, b)| number(p) && number(b));
                match value {
                    "" | "*" => Ok((value.to_owned(), 0)),
                    list if list.split(',').all(pair) => Ok((list.to_owned(), 0)),
                    _ => Err("partition:broker with commas, *, or nothing is needed".to_owned()),
                }
            }
        }
    }
}

pub(super) const MAX_MESSAGE_BYTES: &str = "max.message.bytes";
pub(super) const MIN_INSYNC_REPLICAS: &str = "min.insync.replicas";

/// What a batch may be above an eighth of its segment, so that 1 MiB and a header go with 8 MiB.
pub(super) const EIGHTH_SLACK_BYTES: u64 = 1024;

/// A batch header: below it nothing can be written.
const MESSAGE_BYTES_MIN: i64 = 61;

const ANY_LENGTH: Accepts = Accepts::Integer(0, i64::MAX);
const NONE_OR_LENGTH: Accepts = Accepts::Integer(-1, i64::MAX);
const NO_TIERS: &str = "records stay on the brokers' own disks";
const NO_THROTTLE: &str = "replication is not throttled by topic";

const fn acts(
    name: &'static str,
    default: &'static str,
    accepts: Accepts,
    set: fn(&mut TopicConfig, i64),
    doc: &'static str,
) -> TopicKey {
    TopicKey { name, default, doc, accepts, effect: Effect::Acts(set) }
}

const fn only(name: &'static str, default: &'static str, accepts: Accepts, why: &'static str) -> TopicKey {
    TopicKey { name, default, doc: why, accepts, effect: Effect::Only { why } }
}

const fn stored(name: &'static str, default: &'static str, accepts: Accepts, doc: &'static str) -> TopicKey {
    TopicKey { name, default, doc, accepts, effect: Effect::Stored }
}

const FOR_COMPACTION: &str = "Stored. Compaction would read it.";

/// Every key that a topic may have. Those that act come first, in the order a reader wants them.
pub static KEYS: &[TopicKey] = &[
    acts(
        "durability",
        "synced",
        Accepts::OneOf(&["synced", "memory"]),
        |config, place| config.durability = if place == 0 { Durability::Synced } else { Durability::Memory },
        "When acks=all is answered: synced, when a majority of the replicas has the batch on disk; memory, when a \
         majority has written it: it survives the death of processes, not of power.",
    ),
    acts(
        "retention.ms",
        "604800000",
        NONE_OR_LENGTH,
        |config, ms| config.retention_ms = (ms >= 0).then_some(ms),
        "Age at which records may go, by the broker's time of append. -1 keeps them for ever.",
    ),
    acts(
        "retention.bytes",
        "-1",
        NONE_OR_LENGTH,
        |config, bytes| config.retention_bytes = u64::try_from(bytes).ok(),
        "Bytes of a partition above which its oldest segments go. -1 is without limit.",
    ),
    acts(
        "segment.bytes",
        "134217728",
        Accepts::Integer(SEGMENT_BYTES_MIN as i64, i32::MAX as i64),
        |config, bytes| config.segment_bytes = bytes.unsigned_abs(),
        "Bytes at which a segment is sealed and the next begins; whole segments go by retention.",
    ),
    acts(
        "segment.ms",
        "604800000",
        Accepts::Integer(1, i64::MAX),
        |config, ms| config.segment_ms = ms,
        "Age at which a segment is sealed although it is not full.",
    ),
    acts(
        MAX_MESSAGE_BYTES,
        "1048588",
        Accepts::Integer(MESSAGE_BYTES_MIN, BATCH_BYTES_CEILING as i64),
        |config, bytes| config.max_message_bytes = bytes.unsigned_abs() as usize,
        "The largest record batch taken, as it is sent. At most about an eighth of segment.bytes.",
    ),
    only(
        "cleanup.policy",
        "delete",
        Accepts::Several(&["delete", "compact"]),
        "old records are deleted by retention; compaction is not built yet",
    ),
    only(
        "compression.type",
        "producer",
        Accepts::OneOf(&["producer", "uncompressed", "gzip", "snappy", "lz4", "zstd"]),
        "batches stay as their producers compress them",
    ),
    only(
        "message.timestamp.type",
        "CreateTime",
        Accepts::OneOf(&["CreateTime", "LogAppendTime"]),
        "records keep the time their producers give; the broker's own time of append drives retention",
    ),
    only(
        "message.timestamp.after.max.ms",
        "3600000",
        ANY_LENGTH,
        "timestamps may lie one hour ahead of the broker's clock, on every topic",
    ),
    only(
        "message.timestamp.before.max.ms",
        "9223372036854775807",
        ANY_LENGTH,
        "timestamps may lie in the past without limit, on every topic",
    ),
    only(
        "unclean.leader.election.enable",
        "false",
        Accepts::Boolean,
        "a replica without every committed record never leads; `caudal cluster recover --accept-loss` is explicit",
    ),
    stored(
        MIN_INSYNC_REPLICAS,
        "1",
        Accepts::Integer(1, i32::MAX as i64),
        "Stored; at most a majority of the replicas, since acks=all always waits for a majority.",
    ),
    only("remote.storage.enable", "false", Accepts::Boolean, NO_TIERS),
    only("remote.log.copy.disable", "false", Accepts::Boolean, NO_TIERS),
    only("remote.log.delete.on.disable", "false", Accepts::Boolean, NO_TIERS),
    only("local.retention.bytes", "-2", Accepts::Integer(-2, i64::MAX), NO_TIERS),
    only("local.retention.ms", "-2", Accepts::Integer(-2, i64::MAX), NO_TIERS),
    only("leader.replication.throttled.replicas", "", Accepts::Replicas, NO_THROTTLE),
    only("follower.replication.throttled.replicas", "", Accepts::Replicas, NO_THROTTLE),
    stored("min.cleanable.dirty.ratio", "0.5", Accepts::Ratio, FOR_COMPACTION),
    stored("min.compaction.lag.ms", "0", ANY_LENGTH, FOR_COMPACTION),
    stored("max.compaction.lag.ms", "9223372036854775807", Accepts::Integer(1, i64::MAX), FOR_COMPACTION),
    stored("delete.retention.ms", "86400000", ANY_LENGTH, FOR_COMPACTION),
    stored(
        "flush.messages",
        "9223372036854775807",
        Accepts::Integer(1, i64::MAX),
        "Stored. Every round is synced.",
    ),
    stored("flush.ms", "9223372036854775807", ANY_LENGTH, "Stored. Every round is synced."),
    stored(
        "file.delete.delay.ms",
        "60000",
        ANY_LENGTH,
        "Stored. A file goes when its last reader has ended.",
    ),
    stored("index.interval.bytes", "4096", Accepts::Integer(0, i32::MAX as i64), "Stored."),
    stored("segment.index.bytes", "10485760", Accepts::Integer(4, i32::MAX as i64), "Stored."),
    stored("segment.jitter.ms", "0", ANY_LENGTH, "Stored."),
    stored("preallocate", "false", Accepts::Boolean, "Stored. Segments are always allocated ahead."),
    stored("compression.gzip.level", "-1", Accepts::Integer(-1, 9), "Stored. Producers compress."),
    stored("compression.lz4.level", "9", Accepts::Integer(1, 17), "Stored. Producers compress."),
    stored("compression.zstd.level", "3", Accepts::Integer(-131_072, 22), "Stored. Producers compress."),
];
