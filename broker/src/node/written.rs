//! Who has which entries written, synced or not, and who is answered by that: beside Raft, which only hears of syncs.
//!
//! A follower of a topic with `durability=memory` tells its leader how far its log is written, before the sync, where the
//! last entry written is of the leader's term. So a word of an older term is never taken for one of a newer, and what it
//! speaks of is not cut in its term: entries of a term come from its one leader, which cuts none of its own. A replica
//! whose process dies has what it has written when it comes back, and stands for it in elections as if it were synced;
//! therefore an entry that a majority has written outlives processes. A word that is lost is made good by the commit.

use std::collections::{BTreeMap, VecDeque};

use caudal_proto::peer;

use super::Node;
use super::event::Output;
use super::partition::{Life, Live, Partition, located};
use super::peers::letter;
use super::reply::Reply;
use super::waiters::Awaited;
use crate::ids::{Index, NodeId, PartitionId, ReplicaId, Term};
use crate::limits::EARLY_ANSWER_BYTES_MAX;
use crate::state::Durability;

/// What other replicas said that they have written, in one term.
#[derive(Debug, Default)]
pub(super) struct Words {
    term: Term,
    at: BTreeMap<ReplicaId, Index>,
}

impl Words {
    fn note(&mut self, term: Term, replica: ReplicaId, index: Index) {
        if self.term != term {
            *self = Words { term, at: BTreeMap::new() };
        }
        let known = self.at.entry(replica).or_default();
        *known = index.max(*known);
    }

    fn of(&self, term: Term, replica: ReplicaId) -> Index {
        let said = self.at.get(&replica).filter(|_| self.term == term);
        said.copied().unwrap_or_default()
    }
}

impl Node {
    /// The log here is written up to an entry.
    pub(super) fn written(&mut self, id: PartitionId, index: Index, term: Term) {
        let Some(Partition { life: Life::Live(live), seats, config, .. }) = self.partitions.get_mut(&id)
        else {
            return;
        };
        if live.replica.term_of(index) != Some(term) {
            // What replaces it is on its way to the log.
            return;
        }
        live.written = index;
        if live.replica.is_leader() {
            return live.answer_early(&seats.nodes, &mut self.outputs);
        }
        let news = term == live.replica.term() && index > live.replica.commit();
        let leader = live.replica.leader().filter(|_| news && config.durability == Durability::Memory);
        if let Some((leader, to)) = leader.and_then(|leader| Some((leader, *seats.nodes.get(&leader)?))) {
            let message = peer::Message { term: term.0, written: index.0, ..letter(id, seats.here, leader) };
            let (class, message) = (peer::Class::Control, Box::new(message));
            self.outputs.push_back(Output::Send { to, class, message });
        }
    }

    /// Another replica has written its log up to an entry.
    pub(super) fn written_elsewhere(
        &mut self,
        id: PartitionId,
        replica: ReplicaId,
        term: Term,
        written: Index,
    ) {
        self.with_live(id, |live, replicas, out| {
            let leads = live.replica.is_leader() && live.replica.term() == term;
            // Of another term's entry, or of none that there is, only a liar would speak.
            if leads && live.replica.term_of(written) == Some(term) {
                live.words.note(term, replica, written);
                live.answer_early(replicas, out);
            }
        });
    }
}

impl Live {
    fn has_written(&self, replica: ReplicaId) -> Index {
        if replica == self.replica.id() {
            return self.written.max(self.replica.persisted_index());
        }
        self.words.of(self.replica.term(), replica).max(self.replica.matched(replica))
    }

    /// Answers those who need not wait for a commit: for whom it is enough that the leader has written, or a majority.
    /// Above a bound they wait for the disk to catch up.
    pub(super) fn answer_early(
        &mut self,
        replicas: &BTreeMap<ReplicaId, NodeId>,
        out: &mut VecDeque<Output>,
    ) {
        // One that led, or leads anew, fails its waiters first.
        let leads = self.replica.is_ready_leader() && self.leading == Some(self.replica.term());
        if !leads || self.waiters.nobody_waits_for_writes() {
            return;
        }
        let commit = self.replica.commit();
        let by_majority = self.replica.by_majority(|replica| self.has_written(replica));
        loop {
            let disk_keeps_up = self.uncommitted_bytes <= EARLY_ANSWER_BYTES_MAX;
            let bound = |index: Index| if disk_keeps_up { index.max(commit) } else { commit };
            let next = self
                .waiters
                .pop_written(bound(self.written))
                .or_else(|| self.waiters.pop_majority(bound(by_majority)));
            let Some((ticket, awaited)) = next else { return };
            let Awaited::Batch(place) = awaited else { continue };
            let (voters, synced) = self.replica.synced_at(place.index);
            let written: Vec<ReplicaId> =
                voters.iter().copied().filter(|replica| self.has_written(*replica) >= place.index).collect();
            let receipt = place.receipt(
                located(&voters, replicas),
                located(&synced, replicas),
                located(&written, replicas),
            );
            out.push_back(Output::Reply { ticket, reply: Reply::Produced(Ok(receipt)) });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_counts_in_its_term_alone_and_never_goes_back() {
        let mut words = Words::default();
        let said = |words: &Words, term| [1, 2].map(|replica| words.of(Term(term), ReplicaId(replica)).0);
        words.note(Term(7), ReplicaId(1), Index(20));
        words.note(Term(7), ReplicaId(1), Index(18));
        words.note(Term(7), ReplicaId(2), Index(19));
        assert_eq!((said(&words, 7), said(&words, 8)), ([20, 19], [0, 0]));
        words.note(Term(8), ReplicaId(2), Index(4));
        assert_eq!((said(&words, 7), said(&words, 8)), ([0, 0], [0, 4]));
    }
}
