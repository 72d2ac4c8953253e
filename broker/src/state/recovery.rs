//! A partition without an intact majority: what is known of its replicas, and what giving up the rest would mean.

use crate::ids::{Index, NodeId, Offset, PartitionId, ReplicaId, Term};
use crate::log::Voters;

/// A replica that took over the log of one whose group could not go on. It is another replica: nobody has its vote, and
/// nobody who knew the old one listens to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heir {
    /// The new replica.
    pub replica: ReplicaId,
    /// The one whose log it has; nothing where no log was left.
    pub of: Option<ReplicaId>,
    /// Its term is at least this one: above all that were known.
    pub term: Term,
    /// It gives no offset below this one to a new record.
    pub resume_at: Offset,
}

/// What is left of a replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// Everything that it ever had.
    Whole,
    /// Its log ends below what was durable.
    LostEnd,
    /// Its log is gone.
    LostLog,
    /// It does not start, for another reason than lost bytes.
    Closed,
}

impl Condition {
    /// In a word, for people and for the wire.
    pub fn word(self) -> &'static str {
        match self {
            Condition::Whole => "whole",
            Condition::LostEnd => "lost-end",
            Condition::LostLog => "lost-log",
            Condition::Closed => "closed",
        }
    }

    /// Whether what it had can be read and gone on from.
    fn is_readable(self) -> bool {
        matches!(self, Condition::Whole | Condition::LostEnd)
    }

    /// Whether it lost what it had synced, and shall be replaced.
    pub fn is_lost(self) -> bool {
        matches!(self, Condition::LostEnd | Condition::LostLog)
    }
}

/// What a broker says of a replica of its own that has no leader, or takes no part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplicaReport {
    /// Which.
    pub replica: ReplicaId,
    /// What is left of it.
    pub condition: Condition,
    /// Its term.
    pub term: Term,
    /// Its last entry.
    pub last_index: Index,
    /// The term of that.
    pub last_term: Term,
    /// The first offset that readers may see.
    pub log_start: Offset,
    /// The offset behind its last record.
    pub next_offset: Offset,
    /// Entries that were durable behind its last one, and are gone.
    pub missing_entries: u64,
    /// The voters that it knows.
    pub voters: Voters,
}

/// What the one who decides knows of a partition and of brokers.
#[derive(Debug, Clone, Default)]
pub struct Evidence {
    /// Its leader, if one was heard lately.
    pub leader: Option<NodeId>,
    /// The highest term and the high watermark that any leader told.
    pub told: Option<(Term, Offset)>,
    /// What was heard lately of its replicas.
    pub reports: Vec<ReplicaReport>,
    /// Brokers that do not answer.
    pub down: Vec<NodeId>,
}

/// How a replica stood when a recovery was planned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survivor {
    /// The broker.
    pub node: NodeId,
    /// The replica there.
    pub replica: ReplicaId,
    /// What is left of it; nothing where its broker does not answer.
    pub condition: Option<Condition>,
    /// The offset behind its last record, where that is known.
    pub next_offset: Option<Offset>,
    /// Entries that were durable behind its last one, and are gone.
    pub missing_entries: u64,
}

/// What a recovery does, or would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovery {
    /// The broker whose replica the partition goes on from.
    pub node: NodeId,
    /// That replica; nothing where no log is left.
    pub replica: Option<ReplicaId>,
    /// The first offset that stays.
    pub log_start: Offset,
    /// The first offset that is lost; everything before it stays.
    pub lost_from: Offset,
    /// The offset behind the last record that is known to have been there: lost, and what of it is above `lost_from`.
    pub known_end: Offset,
    /// The offset of the first new record.
    pub resume_at: Offset,
    /// How its replicas stand.
    pub replicas: Vec<Survivor>,
    /// The brokers that its replicas will be on, this one first.
    pub to: Vec<NodeId>,
}

/// A recovery as it is decided on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecoverySpec {
    /// Which partition.
    pub partition: PartitionId,
    /// Its replicas when this was planned: with others it is void.
    pub before: Vec<ReplicaId>,
    /// The brokers that its replicas shall be on; the heir is on the first.
    pub to: Vec<NodeId>,
    /// The replica whose log the heir takes over; nothing where it begins empty.
    pub of: Option<ReplicaId>,
    /// The heir's term is at least this one.
    pub term: Term,
    /// The first offset that the heir gives to a new record.
    pub resume_at: Offset,
}

impl Evidence {
    /// The replica with the most, by the rule by which voters choose a leader.
    pub(super) fn best(&self) -> Option<&ReplicaReport> {
        let readable = self.reports.iter().filter(|report| report.condition.is_readable());
        readable.max_by_key(|report| {
            (report.last_term, report.last_index, report.condition == Condition::Whole, report.replica)
        })
    }

    /// Whether the whole replicas are a majority of `voters`, and of both halves where they change.
    pub(super) fn has_majority(&self, voters: &Voters) -> bool {
        let whole = |id: &u64| {
            let mut reports = self.reports.iter();
            reports.any(|report| report.replica.0 == *id && report.condition == Condition::Whole)
        };
        let most = |half: &[u64]| half.iter().filter(|id| whole(id)).count() * 2 > half.len();
        most(&voters.voters) && (voters.voters_outgoing.is_empty() || most(&voters.voters_outgoing))
    }
}
