//! What an entry of ours carries through Raft beside its payload, and back again.
//!
//! `eraftpb::Entry.context` of a proposed entry is 29 bytes, little-endian: kind u8, base offset i64, count u32, max
//! timestamp i64, append time i64. It is empty in an entry that Raft makes by itself.

use bytes::Bytes;
use raft::eraftpb;

use crate::ids::{Index, Offset, Term};
use crate::log::{Entry, Kind, chain_of};

const CONTEXT_BYTES: usize = 29;

/// What an entry takes over from the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Before {
    pub(super) next_offset: Offset,
    pub(super) append_time: i64,
    /// The chain value: of all entries up to this one, if one knows it.
    pub(super) chain: Option<u32>,
}

impl Before {
    /// What an entry leaves behind that follows this one.
    pub(super) fn then(self, entry: &Entry) -> Before {
        let (next_offset, append_time) = (entry.next_offset(), entry.append_time);
        Before { next_offset, append_time, chain: self.chain.map(|prev| chain_of(entry, prev)) }
    }
}

/// The Raft entry of one of ours; index and term are given by Raft.
pub(super) fn to_raft(entry: &Entry) -> eraftpb::Entry {
    let mut context = Vec::with_capacity(CONTEXT_BYTES);
    context.push(entry.kind as u8);
    context.extend_from_slice(&entry.base_offset.0.to_le_bytes());
    context.extend_from_slice(&entry.count.to_le_bytes());
    context.extend_from_slice(&entry.max_timestamp.to_le_bytes());
    context.extend_from_slice(&entry.append_time.to_le_bytes());
    let mut raft = stub(entry);
    raft.context = Bytes::from(context);
    raft.data = entry.payload.clone();
    raft
}

/// Index, term and type only, and what a change of voters says: all that Raft itself ever looks at.
pub(super) fn stub(entry: &Entry) -> eraftpb::Entry {
    let mut raft = eraftpb::Entry { index: entry.index.0, term: entry.term.0, ..Default::default() };
    raft.set_entry_type(match entry.kind {
        Kind::ConfChange => eraftpb::EntryType::EntryConfChange,
        Kind::ConfChangeV2 => eraftpb::EntryType::EntryConfChangeV2,
        Kind::Batch | Kind::Noop | Kind::Command | Kind::SetLogStart | Kind::Loss => {
            eraftpb::EntryType::EntryNormal
        }
    });
    if matches!(entry.kind, Kind::ConfChange | Kind::ConfChangeV2) {
        raft.data = entry.payload.clone();
    }
    raft
}

/// The entry that a Raft entry stands for, behind `before`. `None` when its context is not one of ours.
pub(super) fn from_raft(raft: &eraftpb::Entry, before: Before) -> Option<Entry> {
    let (index, term) = (Index(raft.index), Term(raft.term));
    if raft.context.is_empty() {
        let kind = match raft.get_entry_type() {
            eraftpb::EntryType::EntryNormal => Kind::Noop,
            eraftpb::EntryType::EntryConfChange => Kind::ConfChange,
            eraftpb::EntryType::EntryConfChangeV2 => Kind::ConfChangeV2,
        };
        return Some(Entry {
            index,
            term,
            kind,
            base_offset: before.next_offset,
            count: 0,
            max_timestamp: -1,
            append_time: before.append_time,
            payload: raft.data.clone(),
        });
    }
    let context: &[u8; CONTEXT_BYTES] = raft.context.as_ref().try_into().ok()?;
    let i64_at = |at: usize| context[at..at + 8].try_into().map(i64::from_le_bytes).ok();
    Some(Entry {
        index,
        term,
        kind: Kind::from_byte(context[0])?,
        base_offset: Offset(i64_at(1)?),
        count: u32::from_le_bytes(context[9..13].try_into().ok()?),
        max_timestamp: i64_at(13)?,
        append_time: i64_at(21)?,
        payload: raft.data.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(kind: Kind, count: u32) -> Entry {
        Entry {
            index: Index(12),
            term: Term(6),
            kind,
            base_offset: Offset(40),
            count,
            max_timestamp: 1_700_000_000_000,
            append_time: 1_700_000_000_001,
            payload: Bytes::from_static(b"payload"),
        }
    }

    #[test]
    fn an_entry_comes_back_as_it_went() {
        for kind in [Kind::Batch, Kind::Command, Kind::SetLogStart, Kind::Loss] {
            let entry = entry(kind, u32::from(kind == Kind::Batch));
            assert_eq!(from_raft(&to_raft(&entry), Before::default()), Some(entry));
        }
    }

    #[test]
    fn an_entry_of_rafts_own_takes_offset_and_time_from_the_one_before() {
        let raft = eraftpb::Entry { index: 13, term: 7, ..Default::default() };
        let noop = from_raft(&raft, Before::default().then(&entry(Kind::Batch, 3))).unwrap();
        assert_eq!((noop.kind, noop.base_offset, noop.count), (Kind::Noop, Offset(43), 0));
        assert_eq!(noop.append_time, 1_700_000_000_001);
    }

    #[test]
    fn a_context_that_is_not_ours_is_no_entry() {
        let mut raft = to_raft(&entry(Kind::Batch, 1));
        raft.context = raft.context.slice(..28);
        assert_eq!(from_raft(&raft, Before::default()), None);
        raft.context = Bytes::from(vec![99; CONTEXT_BYTES]);
        assert_eq!(from_raft(&raft, Before::default()), None);
    }
}
