//! Who waits for which entry: answered when it is durable enough, failed when leadership ends.

use std::collections::{BTreeMap, VecDeque};

use super::event::{Output, Ticket};
use super::reply::{Receipt, Reply};
use crate::ids::{Index, NodeId, Offset, PartitionId, ReplicaId, Term};
use crate::refusal::Refusal;
use crate::state::{Answered, Reply as ControlReply};

/// What an acknowledged batch's receipt says, but for who has it.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) partition: PartitionId,
    pub(super) index: Index,
    pub(super) term: Term,
    pub(super) base_offset: Offset,
    pub(super) count: u32,
    pub(super) append_time: i64,
    pub(super) duplicate: bool,
}

impl Place {
    pub(super) fn receipt(
        &self,
        voters: Vec<(NodeId, ReplicaId)>,
        synced: Vec<(NodeId, ReplicaId)>,
        written: Vec<(NodeId, ReplicaId)>,
    ) -> Receipt {
        Receipt {
            partition: self.partition,
            base_offset: self.base_offset,
            last_offset: Offset(self.base_offset.0 + i64::from(self.count) - 1),
            append_time: self.append_time,
            term: self.term,
            index: self.index,
            voters,
            synced,
            written,
            duplicate: self.duplicate,
        }
    }
}

/// What is waited for.
#[derive(Debug)]
pub(super) enum Awaited {
    /// A batch.
    Batch(Place),
    /// A log start, and the one before it.
    Trim { before: Offset, after: Offset },
    /// A command of the control partition, and what of its answer is known.
    Command(Answered),
}

#[derive(Debug)]
struct Waiter {
    ticket: Ticket,
    index: Index,
    awaited: Awaited,
}

/// Waiters in the order of their entries.
#[derive(Debug, Default)]
pub(super) struct Waiters {
    /// For the commit.
    committed: VecDeque<Waiter>,
    /// For the write on this replica.
    written: VecDeque<Waiter>,
    /// For the write on a majority.
    majority: VecDeque<Waiter>,
    /// Results of applied commands, until their waiters are answered.
    results: BTreeMap<Index, ControlReply>,
}

impl Waiters {
    pub(super) fn is_empty(&self) -> bool {
        self.committed.is_empty() && self.nobody_waits_for_writes()
    }

    pub(super) fn nobody_waits_for_writes(&self) -> bool {
        self.written.is_empty() && self.majority.is_empty()
    }

    pub(super) fn await_commit(&mut self, ticket: Ticket, index: Index, awaited: Awaited) {
        insert(&mut self.committed, Waiter { ticket, index, awaited });
    }

    pub(super) fn await_write(&mut self, ticket: Ticket, place: Place) {
        insert(&mut self.written, Waiter { ticket, index: place.index, awaited: Awaited::Batch(place) });
    }

    pub(super) fn await_majority(&mut self, ticket: Ticket, place: Place) {
        insert(&mut self.majority, Waiter { ticket, index: place.index, awaited: Awaited::Batch(place) });
    }

    /// The command at `index` is applied: keeps what came of it for the one who waits, if any.
    pub(super) fn applied(&mut self, index: Index, reply: ControlReply) {
        let asked = self.committed.binary_search_by_key(&index, |waiter| waiter.index).is_ok();
        if asked {
            self.results.insert(index, reply);
        }
    }

    /// The next one whose entry is at or below `commit`. A command has an answer once it is applied here: others may have
    /// committed it before this disk has it.
    pub(super) fn pop_committed(&mut self, commit: Index) -> Option<(Ticket, Awaited, Option<ControlReply>)> {
        let results = &self.results;
        let waiter = self.committed.pop_front_if(|waiter| {
            let applied =
                !matches!(waiter.awaited, Awaited::Command(_)) || results.contains_key(&waiter.index);
            waiter.index <= commit && applied
        })?;
        let result = self.results.remove(&waiter.index);
        Some((waiter.ticket, waiter.awaited, result))
    }

    /// The next one whose entry is written.
    pub(super) fn pop_written(&mut self, written: Index) -> Option<(Ticket, Awaited)> {
        let waiter = self.written.pop_front_if(|waiter| waiter.index <= written)?;
        Some((waiter.ticket, waiter.awaited))
    }

    /// The next one whose entry a majority has written.
    pub(super) fn pop_majority(&mut self, written: Index) -> Option<(Ticket, Awaited)> {
        let waiter = self.majority.pop_front_if(|waiter| waiter.index <= written)?;
        Some((waiter.ticket, waiter.awaited))
    }

    /// Ends them all with the same refusal.
    pub(super) fn fail(&mut self, refusal: &Refusal, out: &mut VecDeque<Output>) {
        self.results.clear();
        let early = self.written.drain(..).chain(self.majority.drain(..));
        for waiter in early.chain(self.committed.drain(..)) {
            let reply = match waiter.awaited {
                Awaited::Batch(_) => Reply::Produced(Err(refusal.clone())),
                Awaited::Trim { .. } => Reply::Trimmed(Err(refusal.clone())),
                Awaited::Command(_) => Reply::Control(Err(refusal.clone())),
            };
            out.push_back(Output::Reply { ticket: waiter.ticket, reply });
        }
    }
}

fn insert(queue: &mut VecDeque<Waiter>, waiter: Waiter) {
    let at = queue.partition_point(|other| other.index <= waiter.index);
    queue.insert(at, waiter);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::Registered;

    #[test]
    fn a_command_is_answered_when_it_is_applied_and_not_when_others_have_committed_it() {
        let mut waiters = Waiters::default();
        waiters.await_commit(7, Index(12), Awaited::Command(Answered::default()));
        assert!(waiters.pop_committed(Index(12)).is_none(), "there is no answer yet");
        let reply = ControlReply::RegisterNode(Registered { node: NodeId(3), replica: ReplicaId(9) });
        waiters.applied(Index(12), reply.clone());
        let (ticket, _, result) = waiters.pop_committed(Index(12)).unwrap();
        assert_eq!((ticket, result), (7, Some(reply)));
    }
}
