//! What a change does to a partition's meta record.

use std::io;

use crate::log::{Inherited, Jumped, MetaChange, MetaField, PartitionMeta, Voters};

impl PartitionMeta {
    /// The record after a change, as the meta log will have it; `before` is `None` where there is none yet.
    ///
    /// # Errors
    /// `InvalidInput` for a change that the meta log refuses.
    pub fn after(before: Option<PartitionMeta>, change: &MetaChange) -> io::Result<PartitionMeta> {
        apply(before, change)
    }
}

/// The record after a change; `before` is `None` where there is none yet.
///
/// # Errors
/// `InvalidInput` for a change that no order of events explains: of a partition that was not created, or a replica
/// created twice (it could vote twice in a term).
pub(super) fn apply(before: Option<PartitionMeta>, change: &MetaChange) -> io::Result<PartitionMeta> {
    let new = match &change.what {
        MetaField::Created { replica, .. } => Some(*replica),
        MetaField::Inherited(heir) => Some(heir.replica),
        _ => None,
    };
    if new.is_some_and(|new| before.as_ref().is_some_and(|meta| meta.replica_id >= new.0)) {
        return Err(refuse(change, "this replica or a later one was created here before"));
    }
    let mut meta = match (before, &change.what) {
        (_, MetaField::Created { .. }) => PartitionMeta::default(),
        (Some(meta), _) => meta,
        (None, _) => return Err(refuse(change, "no replica was created here")),
    };
    if meta.removed {
        return Ok(meta); // a late change of a partition that is gone
    }
    match &change.what {
        MetaField::Created { replica, start, voters, term } => {
            let before_first = start.first_index.prev().0;
            meta = PartitionMeta {
                replica_id: replica.0,
                term: term.0,
                commit: before_first,
                applied: before_first,
                voters: Some(voters.clone()),
                durable_index: before_first,
                durable_term: start.prev_term.0,
                ..meta
            };
            meta.set_start(start);
        }
        MetaField::HardState { term, vote } => (meta.term, meta.vote) = (term.0, *vote),
        MetaField::Commit(index) => meta.commit = index.0,
        MetaField::Conf { applied, voters } => {
            (meta.applied, meta.voters) = (applied.0, Some(voters.clone()));
        }
        MetaField::Start(start) => meta.set_start(start),
        MetaField::Durable { index, term } | MetaField::LowerDurable { index, term } => {
            (meta.durable_index, meta.durable_term) = (index.0, term.0);
        }
        MetaField::Snapshot { index, term } => (meta.snapshot_index, meta.snapshot_term) = (index.0, term.0),
        MetaField::Jumped(to) => meta = jumped(meta.replica_id, to),
        MetaField::Inherited(heir) => meta = inherited(meta, heir),
        MetaField::Removed => {
            meta = PartitionMeta { replica_id: meta.replica_id, removed: true, ..Default::default() };
        }
    }
    Ok(meta)
}

/// The record of a log that goes on elsewhere: nothing of what it was but the replica.
fn jumped(replica_id: u64, jumped: &Jumped) -> PartitionMeta {
    let before_first = jumped.start.first_index.prev().0;
    let mut meta = PartitionMeta {
        replica_id,
        term: jumped.term.0,
        vote: jumped.vote,
        commit: before_first,
        applied: jumped.applied.0,
        voters: Some(jumped.voters.clone()),
        durable_index: before_first,
        durable_term: jumped.start.prev_term.0,
        snapshot_index: jumped.snapshot.0.0,
        snapshot_term: jumped.snapshot.1.0,
        ..PartitionMeta::default()
    };
    meta.set_start(&jumped.start);
    meta
}

/// The record of a log that another replica goes on with: nothing of the group but what the log holds.
fn inherited(meta: PartitionMeta, heir: &Inherited) -> PartitionMeta {
    PartitionMeta {
        replica_id: heir.replica.0,
        term: heir.term.0,
        vote: 0,
        commit: heir.last.0,
        applied: heir.last.0,
        voters: Some(Voters { voters: vec![heir.replica.0], ..Voters::default() }),
        durable_index: heir.last.0,
        durable_term: heir.last_term.0,
        log_start: heir.log_start.0,
        ..meta
    }
}

fn refuse(change: &MetaChange, why: &str) -> io::Error {
    let text = format!("meta change {:?} of partition {}: {why}", change.what, change.partition);
    io::Error::new(io::ErrorKind::InvalidInput, text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{Index, Offset, PartitionId, ReplicaId, Term};
    use crate::log::LogStart;

    fn change(what: MetaField) -> MetaChange {
        MetaChange { partition: PartitionId::CONTROL, what }
    }

    fn created(replica: u64) -> MetaField {
        let start = LogStart::genesis(PartitionId::CONTROL, Index(6), Term(5));
        let voters = Voters { voters: vec![replica], ..Default::default() };
        MetaField::Created { replica: ReplicaId(replica), start, voters, term: Term(5) }
    }

    fn after(changes: &[MetaField]) -> PartitionMeta {
        let meta = changes.iter().fold(None, |meta, what| Some(apply(meta, &change(what.clone())).unwrap()));
        meta.unwrap()
    }

    #[test]
    fn a_new_replica_counts_what_is_before_its_log() {
        let meta = after(&[created(7)]);
        assert_eq!((meta.replica_id, meta.term, meta.vote), (7, 5, 0));
        assert_eq!((meta.commit, meta.applied, meta.durable_index, meta.durable_term), (5, 5, 5, 5));
        assert_eq!(meta.start(), LogStart::genesis(PartitionId::CONTROL, Index(6), Term(5)));
        assert_eq!(meta.voters.unwrap().voters, [7]);
    }

    #[test]
    fn each_change_touches_its_own_fields() {
        let start = LogStart { generation: 2, log_start: Offset(9), ..after(&[created(7)]).start() };
        let voters = Voters { voters: vec![7, 8], ..Default::default() };
        let meta = after(&[
            created(7),
            MetaField::HardState { term: Term(9), vote: 8 },
            MetaField::Commit(Index(10)),
            MetaField::Conf { applied: Index(11), voters: voters.clone() },
            MetaField::Start(start),
            MetaField::Durable { index: Index(12), term: Term(9) },
            MetaField::LowerDurable { index: Index(8), term: Term(6) },
            MetaField::Snapshot { index: Index(11), term: Term(9) },
        ]);
        assert_eq!((meta.term, meta.vote, meta.commit, meta.applied), (9, 8, 10, 11));
        assert_eq!((meta.durable_index, meta.durable_term), (8, 6));
        assert_eq!((meta.snapshot_index, meta.snapshot_term), (11, 9));
        assert_eq!((meta.start(), meta.voters), (start, Some(voters)));
    }

    #[test]
    fn a_jump_replaces_everything_but_the_replica() {
        let start = LogStart {
            generation: 2,
            first_index: Index(41),
            prev_term: Term(9),
            ..after(&[created(7)]).start()
        };
        let voters = Voters { voters: vec![7, 8], ..Default::default() };
        let jumped = Jumped {
            start,
            voters: voters.clone(),
            applied: Index(50),
            term: Term(11),
            vote: 8,
            snapshot: (Index(52), Term(10)),
        };
        let changes = [
            created(7),
            MetaField::Durable { index: Index(30), term: Term(6) },
            MetaField::Jumped(Box::new(jumped)),
        ];
        let meta = after(&changes);
        assert_eq!((meta.replica_id, meta.term, meta.vote, meta.commit, meta.applied), (7, 11, 8, 40, 50));
        assert_eq!(
            (meta.durable_index, meta.durable_term, meta.snapshot_index, meta.snapshot_term),
            (40, 9, 52, 10)
        );
        assert_eq!((meta.start(), meta.voters), (start, Some(voters)));
    }

    #[test]
    fn an_heir_has_the_log_and_nothing_of_the_group() {
        let start = LogStart { generation: 2, ..after(&[created(7)]).start() };
        let inherited = Inherited {
            replica: ReplicaId(9),
            term: Term(12),
            last: Index(30),
            last_term: Term(8),
            log_start: Offset(4),
        };
        let changes = [
            created(7),
            MetaField::Start(start),
            MetaField::HardState { term: Term(11), vote: 8 },
            MetaField::Durable { index: Index(40), term: Term(9) },
            MetaField::Inherited(Box::new(inherited)),
        ];
        let meta = after(&changes);
        assert_eq!((meta.replica_id, meta.term, meta.vote), (9, 12, 0));
        assert_eq!((meta.commit, meta.applied, meta.durable_index, meta.durable_term), (30, 30, 30, 8));
        assert_eq!(meta.voters.as_ref().unwrap().voters, [9]);
        assert_eq!(meta.start(), LogStart { log_start: Offset(4), ..start });
        let again = change(MetaField::Inherited(Box::new(inherited)));
        assert!(apply(Some(meta), &again).is_err(), "nobody inherits from itself");
        assert!(apply(None, &again).is_err());
    }

    #[test]
    fn a_tombstone_keeps_only_the_replica_id() {
        let late = MetaField::Durable { index: Index(12), term: Term(9) };
        let meta = after(&[created(7), MetaField::Removed, late]);
        assert_eq!(meta, PartitionMeta { replica_id: 7, removed: true, ..Default::default() });
        let again = after(&[created(7), MetaField::Removed, created(8)]);
        assert_eq!((again.replica_id, again.removed), (8, false));
    }

    #[test]
    fn no_replica_is_created_twice() {
        for before in [after(&[created(7)]), after(&[created(7), MetaField::Removed])] {
            for replica in [6, 7] {
                let error = apply(Some(before.clone()), &change(created(replica))).unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
            }
        }
        assert!(apply(None, &change(MetaField::Commit(Index(1)))).is_err());
    }
}
