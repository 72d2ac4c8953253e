//! Every limit and default of the client, named, with its reason.

use std::time::Duration;

use caudal_proto::batch::Codec;

use crate::error::{Error, ErrorKind};

/// Where a broker listens unless told otherwise.
pub const BROKERS_DEFAULT: &str = "127.0.0.1:7171";
/// How long one connection attempt may take.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long one request may take, with its retries.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a record may stay unacknowledged, with all retries: Kafka's `delivery.timeout.ms`.
pub const DELIVERY_TIMEOUT: Duration = Duration::from_secs(120);
/// How long a batch waits for more records: below what a network round trip costs, enough to fill batches.
pub const LINGER: Duration = Duration::from_millis(1);
/// The largest batch before compression, in bytes. A topic's `max.message.bytes` lowers it.
pub const BATCH_BYTES: usize = 1024 * 1024;
/// The smallest `batch_bytes` that can be asked for.
pub const BATCH_BYTES_MIN: usize = 1024;
/// The largest `batch_bytes`: the broker's ceiling of `max.message.bytes`.
pub const BATCH_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Bytes of records a producer holds that are not acknowledged yet; `send` waits above it.
pub const PRODUCER_BUFFER_BYTES: usize = 64 * 1024 * 1024;
/// Batches of one partition that are sent and not answered: what a broker remembers of a producer.
pub const IN_FLIGHT_MAX: usize = 5;
/// Batches waiting in one produce stream's queue before the transport takes them. Bytes are bounded by the
/// broker's window; this bounds the count.
pub const STREAM_QUEUE_BATCHES: usize = 128;
/// Bytes of batches a consumer holds that are not handed out yet, over all its brokers.
pub const CONSUMER_BUFFER_BYTES: usize = 32 * 1024 * 1024;
/// The smallest credit of one fetch stream.
pub const CREDIT_BYTES_MIN: usize = 64 * 1024;
/// What one compressed batch may inflate to.
pub const INFLATE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// How long a fetch stream may be idle before the broker sends a heartbeat.
pub const FETCH_HEARTBEAT: Duration = Duration::from_millis(500);
/// A fetch stream that brought nothing for so many heartbeats is dead.
pub const FETCH_SILENT_HEARTBEATS: u32 = 3;
/// A produce stream that answers nothing for so long is doubted: another broker is asked who leads, and where that is
/// not the silent one any more, the stream is given up. Nobody gets a reset from a machine that is cut off.
pub const PRODUCE_SILENCE_MAX: Duration = Duration::from_millis(500);
/// A broker that is silent for so long to a question that any broker answers from memory is passed by; the next
/// round over all of them has twice the patience.
pub const METADATA_PATIENCE: Duration = Duration::from_millis(500);
/// The first wait before a retry; it doubles up to [`BACKOFF_MAX`].
pub const BACKOFF_MIN: Duration = Duration::from_millis(20);
/// The longest wait before a retry.
pub const BACKOFF_MAX: Duration = Duration::from_secs(1);
/// Metadata older than this is asked for again, so that new partitions are found.
pub const METADATA_AGE_MAX: Duration = Duration::from_secs(300);
/// The HTTP/2 window of one stream in bytes: a fetch is never bound by it before its credit.
pub const STREAM_WINDOW_BYTES: u32 = 16 * 1024 * 1024;
/// The HTTP/2 window of one connection in bytes.
pub const CONNECTION_WINDOW_BYTES: u32 = 32 * 1024 * 1024;
/// The largest HTTP/2 frame taken: large frames cost less per byte.
pub const FRAME_BYTES_MAX: u32 = 1024 * 1024;
/// The largest gRPC message taken or sent, as at the broker.
pub const GRPC_MESSAGE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// A connection is probed after so long without traffic.
pub const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
/// A probe unanswered for so long closes the connection.
pub const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// Messages waiting in one fetch stream's queue before the transport takes them; more wait in the consumer.
pub const FETCH_QUEUE_MESSAGES: usize = 1024;
/// Topics that one producer may write to; each costs a metadata entry for the producer's life.
pub const PRODUCER_TOPICS_MAX: usize = 10_000;

/// How to reach a cluster.
#[derive(Debug, Clone)]
pub struct ClientConfig {
    /// Where to begin: `HOST:PORT` each. Any one that answers is enough.
    pub brokers: Vec<String>,
    /// How long one connection attempt may take.
    pub connect_timeout: Duration,
    /// How long one request may take, with its retries.
    pub request_timeout: Duration,
    /// Named in the user agent, so that a broker's log tells clients apart.
    pub client_id: String,
}

impl Default for ClientConfig {
    fn default() -> Self {
        ClientConfig {
            brokers: vec![BROKERS_DEFAULT.to_owned()],
            connect_timeout: CONNECT_TIMEOUT,
            request_timeout: REQUEST_TIMEOUT,
            client_id: concat!("caudal-client/", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }
}

impl ClientConfig {
    /// A configuration with these brokers: `HOST:PORT`, several separated by commas.
    pub fn new(brokers: &str) -> Self {
        let brokers =
            brokers.split(',').map(str::trim).filter(|b| !b.is_empty()).map(str::to_owned).collect();
        ClientConfig { brokers, ..ClientConfig::default() }
    }

    /// Refuses an empty broker list.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.brokers.is_empty() {
            return Err(invalid("no broker is named: give at least one HOST:PORT"));
        }
        Ok(())
    }
}

/// When a record is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Acks {
    /// Synced on a majority; on a topic with `durability=memory`, written on a majority.
    #[default]
    All,
    /// Written on the leader: lost when the leader is lost.
    Leader,
    /// Never: a record counts as sent when the transport has taken it.
    None,
}

impl Acks {
    /// The value on the wire.
    pub(crate) fn wire(self) -> i32 {
        let acks = match self {
            Acks::All => caudal_proto::v1::Acks::All,
            Acks::Leader => caudal_proto::v1::Acks::Leader,
            Acks::None => caudal_proto::v1::Acks::None,
        };
        acks as i32
    }
}

/// How a producer gathers, sends and retries.
#[derive(Debug, Clone)]
pub struct ProducerConfig {
    /// When a record is acknowledged.
    pub acks: Acks,
    /// The codec of whole batches. A batch that does not shrink is sent as it is.
    pub codec: Codec,
    /// How long a batch waits for more records; zero sends what is there.
    pub linger: Duration,
    /// The largest batch before compression, in bytes, lowered to the topic's `max.message.bytes`.
    pub batch_bytes: usize,
    /// Bytes of records held that are not acknowledged yet; `send` waits above it, `try_send` refuses.
    pub buffer_bytes: usize,
    /// Each record is written once, across retries. Ignored (off) with [`Acks::None`].
    pub idempotent: bool,
    /// Batches of one partition sent and not answered, 1 to [`IN_FLIGHT_MAX`]. Without idempotence and with an
    /// answer to wait for it is 1, because a retry could otherwise overtake.
    pub in_flight: usize,
    /// How long a record may stay unacknowledged, with all retries.
    pub delivery_timeout: Duration,
}

impl Default for ProducerConfig {
    fn default() -> Self {
        ProducerConfig {
            acks: Acks::All,
            codec: Codec::None,
            linger: LINGER,
            batch_bytes: BATCH_BYTES,
            buffer_bytes: PRODUCER_BUFFER_BYTES,
            idempotent: true,
            in_flight: IN_FLIGHT_MAX,
            delivery_timeout: DELIVERY_TIMEOUT,
        }
    }
}

impl ProducerConfig {
    /// Refuses values outside their range.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if !(BATCH_BYTES_MIN..=BATCH_BYTES_MAX).contains(&self.batch_bytes) {
            return Err(invalid(format!(
                "batch_bytes={} is outside {BATCH_BYTES_MIN}..={BATCH_BYTES_MAX}",
                self.batch_bytes
            )));
        }
        if self.buffer_bytes < self.batch_bytes {
            return Err(invalid(format!(
                "buffer_bytes={} is below batch_bytes={}: it must hold at least one batch",
                self.buffer_bytes, self.batch_bytes
            )));
        }
        if !(1..=IN_FLIGHT_MAX).contains(&self.in_flight) {
            return Err(invalid(format!("in_flight={} is outside 1..={IN_FLIGHT_MAX}", self.in_flight)));
        }
        if self.delivery_timeout <= self.linger {
            return Err(invalid(format!(
                "delivery_timeout={:?} is not above linger={:?}",
                self.delivery_timeout, self.linger
            )));
        }
        Ok(())
    }

    /// Whether batches carry a producer id and sequences.
    pub(crate) fn with_sequences(&self) -> bool {
        self.idempotent && self.acks != Acks::None
    }

    /// Batches of one partition that may be on their way at once.
    pub(crate) fn in_flight_per_partition(&self) -> usize {
        if self.with_sequences() || self.acks == Acks::None { self.in_flight } else { 1 }
    }
}

/// What a consumer does when the offset it wants is not in the log (trimmed away, or beyond the end).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OutOfRange {
    /// Says so; the partition stands still until a seek.
    #[default]
    Fail,
    /// Goes on at the first record there is.
    Start,
    /// Goes on at the end.
    End,
}

/// How a consumer fetches and buffers.
#[derive(Debug, Clone)]
pub struct ConsumerConfig {
    /// Bytes of batches, as they travel, that are held and not handed out yet. A broker may overdraw by one batch.
    pub buffer_bytes: usize,
    /// What one compressed batch may inflate to; a batch above it is an error.
    pub inflate_bytes_max: usize,
    /// What to do when the offset wanted is not in the log.
    pub out_of_range: OutOfRange,
    /// How long a stream may be idle before the broker sends a heartbeat with the tails.
    pub heartbeat: Duration,
}

impl Default for ConsumerConfig {
    fn default() -> Self {
        ConsumerConfig {
            buffer_bytes: CONSUMER_BUFFER_BYTES,
            inflate_bytes_max: INFLATE_BYTES_MAX,
            out_of_range: OutOfRange::Fail,
            heartbeat: FETCH_HEARTBEAT,
        }
    }
}

impl ConsumerConfig {
    /// Refuses values outside their range.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.buffer_bytes < CREDIT_BYTES_MIN {
            return Err(invalid(format!("buffer_bytes={} is below {CREDIT_BYTES_MIN}", self.buffer_bytes)));
        }
        if self.inflate_bytes_max == 0 {
            return Err(invalid("inflate_bytes_max=0 would refuse every compressed batch"));
        }
        if self.heartbeat.is_zero() || self.heartbeat.as_millis() > u128::from(u32::MAX) {
            return Err(invalid(format!("heartbeat={:?} is outside 1ms..=49d", self.heartbeat)));
        }
        Ok(())
    }
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Invalid, message)
}
