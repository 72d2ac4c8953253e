//! What went wrong, and what to do about it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use caudal_proto::v1::{PartitionError, Reason};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

/// The domain of Caudal's `google.rpc.ErrorInfo`.
const DOMAIN: &str = "caudal";

/// What to do. A closed set: match on it without a fallback.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ErrorKind {
    /// The request or the record is wrong as it is: change it. Sending it again fails again.
    Invalid,
    /// Well formed, but this broker cannot do it: do without, or upgrade the broker.
    Unsupported,
    /// No such topic or partition: check the name, or create it.
    NotFound,
    /// It exists already: use it, or choose another name.
    Exists,
    /// Not allowed: get other credentials.
    Denied,
    /// The offset is not in the log: seek. `log_start` and `high_watermark` are in the metadata.
    OutOfRange,
    /// Bytes do not validate: they are not handed out. Seek past `last_offset` to read what follows.
    Damaged,
    /// The broker does not know this producer any more, or another instance took over: build a new producer.
    Fenced,
    /// Written or not, nobody knows: look before sending again, or use an idempotent producer.
    UnknownOutcome,
    /// The broker cannot do it right now: try again, not sooner than [`Error::retry_after`].
    Busy,
    /// No broker was reached: check addresses and network, then try again.
    Unreachable,
    /// Not done in time: try again, or allow more time.
    TimedOut,
    /// This producer or consumer was closed: build a new one.
    Closed,
    /// A bug, here or in the broker: report it.
    Internal,
}

/// An error. Cheap to clone: all records of a batch share one.
#[derive(Clone)]
pub struct Error(Arc<Inner>);

#[derive(Debug, Clone)]
struct Inner {
    kind: ErrorKind,
    message: String,
    reason: Option<Reason>,
    metadata: BTreeMap<String, String>,
    retriable: bool,
    retry_after: Option<Duration>,
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error of this kind.
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Error(Arc::new(Inner {
            kind,
            message: message.into(),
            reason: None,
            metadata: BTreeMap::new(),
            retriable: matches!(kind, ErrorKind::Busy | ErrorKind::Unreachable | ErrorKind::TimedOut),
            retry_after: None,
            source: None,
        }))
    }

    /// A refusal of a partition or a topic inside an answer.
    pub(crate) fn refused(error: PartitionError) -> Self {
        let reason = error.reason();
        Error(Arc::new(Inner {
            kind: kind_of(reason),
            message: error.message,
            reason: Some(reason),
            metadata: error.metadata.into_iter().collect(),
            retriable: error.retriable,
            retry_after: (error.retry_after_ms > 0)
                .then(|| Duration::from_millis(u64::from(error.retry_after_ms))),
            source: None,
        }))
    }

    /// The status of a failed call to `broker`.
    pub(crate) fn status(broker: &str, status: Status) -> Self {
        let retry_after = status.get_details_retry_info().and_then(|info| info.retry_delay);
        let info = status.get_details_error_info().filter(|info| info.domain == DOMAIN);
        let reason = info.as_ref().and_then(|info| Reason::from_str_name(&info.reason));
        let kind = reason.map_or_else(|| kind_of_code(status.code()), kind_of);
        let message = match status.code() {
            Code::Unavailable if reason.is_none() => {
                format!("{broker} does not answer: {}", status.message())
            }
            _ => status.message().to_owned(),
        };
        Error(Arc::new(Inner {
            kind,
            message,
            reason,
            metadata: info.map(|info| info.metadata.into_iter().collect()).unwrap_or_default(),
            retriable: matches!(kind, ErrorKind::Busy | ErrorKind::Unreachable | ErrorKind::TimedOut),
            retry_after,
            source: Some(Arc::new(status)),
        }))
    }

    /// With the cause beneath.
    pub(crate) fn caused_by(self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.edit(|inner| inner.source = Some(Arc::new(source)))
    }

    /// With a value behind the message.
    pub(crate) fn with(self, key: &str, value: impl fmt::Display) -> Self {
        self.edit(|inner| {
            inner.metadata.insert(key.to_owned(), value.to_string());
        })
    }

    /// The same, said of this thing.
    pub(crate) fn about(self, thing: impl fmt::Display) -> Self {
        self.edit(|inner| inner.message = format!("{thing}: {}", inner.message))
    }

    /// The same as another kind: what a caller should do differs from what the broker was asked.
    pub(crate) fn of_kind(self, kind: ErrorKind) -> Self {
        self.edit(|inner| inner.kind = kind)
    }

    fn edit(self, change: impl FnOnce(&mut Inner)) -> Self {
        let mut inner = Arc::unwrap_or_clone(self.0);
        change(&mut inner);
        Error(Arc::new(inner))
    }

    /// What to do.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The broker's reason, where one gave it; docs/ERRORS.md explains each.
    pub fn reason(&self) -> Option<Reason> {
        self.0.reason
    }

    /// What happened, to which thing, which limit, what to do.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The values behind the message, by the names that docs/ERRORS.md lists; also `topic`, `partition` and
    /// `offset` where the client knows them.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.0.metadata
    }

    /// Doing the same again later can succeed, and does no harm. Never true for [`ErrorKind::UnknownOutcome`].
    pub fn is_retriable(&self) -> bool {
        self.0.retriable && self.0.kind != ErrorKind::UnknownOutcome
    }

    /// Not sooner than this, where the broker gave advice.
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }
}

/// What to do about a reason.
fn kind_of(reason: Reason) -> ErrorKind {
    match reason {
        Reason::InvalidArgument
        | Reason::InvalidTopicName
        | Reason::InvalidPartitions
        | Reason::InvalidReplicas
        | Reason::UnknownConfig
        | Reason::InvalidConfigValue
        | Reason::InternalTopic
        | Reason::MessageTooLarge
        | Reason::CorruptBatch
        | Reason::UnsupportedBatchFormat
        | Reason::InvalidRecordCount
        | Reason::InvalidTimestamp
        | Reason::BatchInflatesTooLarge
        | Reason::MoveUnderWay
        | Reason::NoMove
        | Reason::CannotRemoveNode
        | Reason::MajorityIntact => ErrorKind::Invalid,
        Reason::UnsupportedConfig | Reason::UnsupportedCodec | Reason::TransactionsUnsupported => {
            ErrorKind::Unsupported
        }
        Reason::UnknownTopic | Reason::UnknownTopicId | Reason::UnknownPartition | Reason::UnknownNode => {
            ErrorKind::NotFound
        }
        Reason::TopicExists => ErrorKind::Exists,
        Reason::ProducerUnknown
        | Reason::ProducerFenced
        | Reason::OutOfOrderSequence
        | Reason::DuplicateSequence => ErrorKind::Fenced,
        Reason::NotLeader
        | Reason::LeaderNotReady
        | Reason::FencedLeaderEpoch
        | Reason::UnknownLeaderEpoch
        | Reason::DiskFull
        | Reason::Throttled
        | Reason::PartitionClosed
        | Reason::ShuttingDown => ErrorKind::Busy,
        Reason::UnknownOutcome => ErrorKind::UnknownOutcome,
        Reason::TimedOut => ErrorKind::TimedOut,
        Reason::OffsetOutOfRange => ErrorKind::OutOfRange,
        Reason::DataDamaged => ErrorKind::Damaged,
        Reason::Internal | Reason::Unspecified => ErrorKind::Internal,
    }
}

/// What to do about a status that carries no reason of ours: from a proxy, or from the transport.
fn kind_of_code(code: Code) -> ErrorKind {
    match code {
        Code::InvalidArgument | Code::FailedPrecondition => ErrorKind::Invalid,
        Code::NotFound => ErrorKind::NotFound,
        Code::AlreadyExists => ErrorKind::Exists,
        Code::PermissionDenied | Code::Unauthenticated => ErrorKind::Denied,
        Code::OutOfRange => ErrorKind::OutOfRange,
        Code::ResourceExhausted => ErrorKind::Busy,
        Code::Unimplemented => ErrorKind::Unsupported,
        Code::DeadlineExceeded => ErrorKind::TimedOut,
        Code::Unavailable | Code::Cancelled | Code::Unknown => ErrorKind::Unreachable,
        Code::DataLoss => ErrorKind::Damaged,
        Code::Aborted => ErrorKind::UnknownOutcome,
        Code::Ok | Code::Internal => ErrorKind::Internal,
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}
