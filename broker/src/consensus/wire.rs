//! Raft's messages as brokers send them to each other, and back again.
//!
//! Payloads are shared, not copied. Of a snapshot Raft itself knows index, term and voters alone; what a log needs to
//! begin there travels beside ([`peer::Snapshot`]) and never passes through Raft.

use caudal_proto::peer;
use raft::eraftpb::{ConfState, Entry, EntryType, Message, MessageType, Snapshot};

use crate::ids::PartitionId;
use crate::log::Voters;

/// Raft's name for a message that carries entries; for those who sort messages into classes.
pub const APPEND: i32 = MessageType::MsgAppend as i32;

/// Raft's name for a message that carries a snapshot.
pub const SNAPSHOT: i32 = MessageType::MsgSnapshot as i32;

/// Messages that stay inside a replica, or that a leader alone may make.
fn is_local(kind: MessageType) -> bool {
    matches!(
        kind,
        MessageType::MsgHup
            | MessageType::MsgBeat
            | MessageType::MsgPropose
            | MessageType::MsgUnreachable
            | MessageType::MsgSnapStatus
            | MessageType::MsgCheckQuorum
            | MessageType::MsgReadIndex
            | MessageType::MsgReadIndexResp
    )
}

/// The message as it travels; `None` for one that must not.
pub(super) fn to_peer(partition: PartitionId, message: Message) -> Option<peer::Message> {
    if is_local(message.get_msg_type()) {
        return None;
    }
    let snapshot = message.snapshot.into_option().map(|snapshot| peer::Snapshot {
        index: snapshot.get_metadata().index,
        term: snapshot.get_metadata().term,
        voters: Some(voters_to_peer(&voters(snapshot.get_metadata().get_conf_state()))),
        ..peer::Snapshot::default()
    });
    Some(peer::Message {
        topic_id: bytes::Bytes::copy_from_slice(partition.topic.as_bytes()),
        partition: partition.partition,
        from: message.from,
        to: message.to,
        r#type: message.msg_type as i32,
        term: message.term,
        log_term: message.log_term,
        index: message.index,
        commit: message.commit,
        commit_term: message.commit_term,
        reject: message.reject,
        reject_hint: message.reject_hint,
        request_snapshot: message.request_snapshot,
        priority: message.priority,
        context: message.context,
        entries: message.entries.into_iter().map(entry_to_peer).collect(),
        snapshot,
        announce: None,
        reports: Vec::new(),
        wanted: None,
        lent: Vec::new(),
        // The node knows.
        voters_index: 0,
        // The store knows.
        prev: None,
        // Not Raft's.
        written: 0,
        slow: false,
        committed: 0,
    })
}

fn entry_to_peer(entry: Entry) -> peer::Entry {
    peer::Entry {
        index: entry.index,
        term: entry.term,
        r#type: entry.entry_type as i32,
        context: entry.context,
        data: entry.data,
    }
}

/// The message that a peer sent; `None` where it is none that a peer may send.
pub(super) fn from_peer(message: peer::Message) -> Option<Message> {
    let kind = [
        MessageType::MsgAppend,
        MessageType::MsgAppendResponse,
        MessageType::MsgRequestVote,
        MessageType::MsgRequestVoteResponse,
        MessageType::MsgSnapshot,
        MessageType::MsgHeartbeat,
        MessageType::MsgHeartbeatResponse,
        MessageType::MsgTransferLeader,
        MessageType::MsgTimeoutNow,
        MessageType::MsgRequestPreVote,
        MessageType::MsgRequestPreVoteResponse,
    ]
    .into_iter()
    .find(|kind| *kind as i32 == message.r#type)?;
    let mut entries = Vec::with_capacity(message.entries.len());
    for entry in message.entries {
        entries.push(entry_from_peer(entry)?);
    }
    // Raft takes the entries of a message to follow each other and the one at `index`.
    let mut before = message.index;
    let follow = entries.iter().all(|entry| {
        let follows = before.checked_add(1) == Some(entry.index);
        before = entry.index;
        follows
    });
    if !follow || (kind == MessageType::MsgSnapshot) != message.snapshot.is_some() {
        return None;
    }
    let mut raft = Message {
        from: message.from,
        to: message.to,
        term: message.term,
        log_term: message.log_term,
        index: message.index,
        commit: message.commit,
        commit_term: message.commit_term,
        reject: message.reject,
        reject_hint: message.reject_hint,
        request_snapshot: message.request_snapshot,
        priority: message.priority,
        context: message.context,
        entries: entries.into(),
        ..Default::default()
    };
    raft.set_msg_type(kind);
    if let Some(snapshot) = message.snapshot {
        let mut known = Snapshot::default();
        let metadata = known.mut_metadata();
        (metadata.index, metadata.term) = (snapshot.index, snapshot.term);
        metadata.set_conf_state(conf_state(&voters_from_peer(snapshot.voters.unwrap_or_default())));
        raft.set_snapshot(known);
    }
    Some(raft)
}

fn entry_from_peer(entry: peer::Entry) -> Option<Entry> {
    let kind = [EntryType::EntryNormal, EntryType::EntryConfChange, EntryType::EntryConfChangeV2]
        .into_iter()
        .find(|kind| *kind as i32 == entry.r#type)?;
    let mut raft = Entry {
        index: entry.index,
        term: entry.term,
        context: entry.context,
        data: entry.data,
        ..Default::default()
    };
    raft.set_entry_type(kind);
    Some(raft)
}

/// Voters as they travel.
pub fn voters_to_peer(voters: &Voters) -> peer::Voters {
    peer::Voters {
        voters: voters.voters.clone(),
        learners: voters.learners.clone(),
        voters_outgoing: voters.voters_outgoing.clone(),
        learners_next: voters.learners_next.clone(),
        auto_leave: voters.auto_leave,
    }
}

/// Voters that a peer sent.
pub fn voters_from_peer(voters: peer::Voters) -> Voters {
    Voters {
        voters: voters.voters,
        learners: voters.learners,
        voters_outgoing: voters.voters_outgoing,
        learners_next: voters.learners_next,
        auto_leave: voters.auto_leave,
    }
}

pub(super) fn conf_state(voters: &Voters) -> ConfState {
    ConfState {
        voters: voters.voters.clone(),
        learners: voters.learners.clone(),
        voters_outgoing: voters.voters_outgoing.clone(),
        learners_next: voters.learners_next.clone(),
        auto_leave: voters.auto_leave,
        ..Default::default()
    }
}

pub(super) fn voters(conf: &ConfState) -> Voters {
    Voters {
        voters: conf.voters.clone(),
        learners: conf.learners.clone(),
        voters_outgoing: conf.voters_outgoing.clone(),
        learners_next: conf.learners_next.clone(),
        auto_leave: conf.auto_leave,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn append() -> Message {
        let mut entries = Vec::new();
        for index in 8..10 {
            let mut entry = Entry { index, term: 3, ..Default::default() };
            entry.set_entry_type(EntryType::EntryConfChangeV2);
            entry.data = bytes::Bytes::from(vec![7; index as usize]);
            entry.context = bytes::Bytes::from_static(b"context");
            entries.push(entry);
        }
        let mut message = Message {
            from: 2,
            to: 5,
            term: 4,
            log_term: 3,
            index: 7,
            commit: 6,
            commit_term: 3,
            reject: true,
            reject_hint: 9,
            request_snapshot: 1,
            priority: -2,
            context: bytes::Bytes::from_static(b"why"),
            entries: entries.into(),
            ..Default::default()
        };
        message.set_msg_type(MessageType::MsgAppend);
        message
    }

    fn travelled(message: &Message) -> Option<Message> {
        from_peer(to_peer(PartitionId::CONTROL, message.clone())?)
    }

    #[test]
    fn a_message_arrives_as_it_left() {
        assert_eq!(travelled(&append()), Some(append()));
    }

    #[test]
    fn of_a_snapshot_raft_gets_index_term_and_voters() {
        let mut message = Message { from: 1, to: 2, term: 9, ..Default::default() };
        message.set_msg_type(MessageType::MsgSnapshot);
        let mut snapshot = Snapshot::default();
        (snapshot.mut_metadata().index, snapshot.mut_metadata().term) = (40, 8);
        let voters = Voters { voters: vec![1, 3], learners: vec![2], ..Voters::default() };
        snapshot.mut_metadata().set_conf_state(conf_state(&voters));
        message.set_snapshot(snapshot);
        assert_eq!(travelled(&message), Some(message));
    }

    #[test]
    fn what_no_peer_may_send_is_dropped() {
        for kind in [MessageType::MsgPropose, MessageType::MsgHup, MessageType::MsgSnapStatus] {
            let mut message = append();
            message.set_msg_type(kind);
            assert_eq!(travelled(&message), None);
        }
        let sent = || to_peer(PartitionId::CONTROL, append()).unwrap();
        let forged = |change: fn(&mut peer::Message)| {
            let mut message = sent();
            change(&mut message);
            from_peer(message)
        };
        assert_eq!(forged(|message| message.r#type = 0), None, "a local message");
        assert_eq!(forged(|message| message.r#type = 99), None, "no message");
        assert_eq!(forged(|message| message.entries[0].r#type = 7), None, "no entry");
        assert_eq!(forged(|message| message.entries[1].index = 12), None, "a gap");
        assert_eq!(forged(|message| message.index = 3), None, "a gap before the first");
        assert_eq!(
            forged(|message| message.index = u64::MAX),
            None,
            "nothing follows the last index there can be"
        );
        assert_eq!(forged(|message| message.snapshot = Some(peer::Snapshot::default())), None);
        assert_eq!(forged(|message| message.r#type = SNAPSHOT), None, "no snapshot");
        assert!(from_peer(sent()).is_some());
    }
}
