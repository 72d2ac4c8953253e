//! Elections as they happen here, for people: who stands and why, who won, when it serves. Nothing is decided by this.

use super::Node;
use super::partition::{Life, Partition};
use crate::consensus::Role;
use crate::ids::{NodeId, PartitionId, Term};
use crate::limits::ELECTION_NEWS_MAX;

/// One step of an election, of a replica that is here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Election {
    /// Whose.
    pub partition: PartitionId,
    /// The term; of a replica that only asks around, the one before.
    pub term: Term,
    /// What happened.
    pub step: Step,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The replica stands for election.
    Stands(Cause),
    /// It leads from here on.
    Won(Cause),
    /// It has committed in its term: it serves.
    Serves,
    /// It leads no longer; who does, where that is known already.
    Lost(Option<NodeId>),
}

/// Why a replica stands for election.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// No leader was ever heard here: the partition, or this broker, has just begun.
    #[default]
    Beginning,
    /// The leader's broker is down.
    Down(NodeId),
    /// The leader handed over.
    HandedOver(NodeId),
    /// The leader was not heard in time, and its broker is not known to be down.
    Silent(NodeId),
}

/// Since the broker's start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Elections {
    /// Times that a replica here began to stand.
    pub begun: u64,
    /// Times that one won.
    pub won: u64,
    /// Times that one stopped leading.
    pub lost: u64,
}

/// What was last seen of a replica's part in elections.
#[derive(Debug, Default)]
pub(super) struct Part {
    role: Role,
    term: Term,
    serves: bool,
    /// The last leader that was known, other than this replica.
    leader: Option<NodeId>,
    cause: Cause,
}

/// The elections of a machine.
#[derive(Debug, Default)]
pub(super) struct Chronicle {
    pub(super) counts: Elections,
    news: Vec<Election>,
}

impl Node {
    /// What happened since the last call. What nobody asks for is not kept beyond a bound.
    pub fn take_elections(&mut self) -> Vec<Election> {
        std::mem::take(&mut self.chronicle.news)
    }

    /// Looks at what became of a partition's replica.
    pub(super) fn note_elections(&mut self, id: PartitionId) {
        let Some(Partition { life: Life::Live(live), seats, .. }) = self.partitions.get_mut(&id) else {
            return;
        };
        let (role, term, serves) = (live.replica.role(), live.replica.term(), live.replica.is_ready_leader());
        let known = live.replica.leader().filter(|_| role == Role::Follows);
        let leader = known.and_then(|leader| seats.nodes.get(&leader).copied());
        let part = &mut live.part;
        if (role, term, serves) == (part.role, part.term, part.serves)
            && (leader.is_none() || leader == part.leader)
        {
            return;
        }
        let chronicle = &mut self.chronicle;
        let mut note = |step| chronicle.note(Election { partition: id, term, step });
        let led = part.role == Role::Leads;
        let stood = matches!(part.role, Role::Canvasses | Role::Stands);
        if led && (role != Role::Leads || term != part.term) {
            note(Step::Lost(leader));
        }
        let runs = role != Role::Follows && !stood && !(led && role == Role::Leads && term == part.term);
        if runs {
            part.cause = match part.leader {
                None => Cause::Beginning,
                Some(leader) if self.down.contains(&leader) => Cause::Down(leader),
                // Only a leader that hands over spares its successor the question whether it would be elected.
                Some(leader) if role != Role::Canvasses => Cause::HandedOver(leader),
                Some(leader) => Cause::Silent(leader),
            };
            note(Step::Stands(part.cause));
        }
        if role == Role::Leads && !(led && term == part.term) {
            note(Step::Won(part.cause));
        }
        if serves && !(part.serves && term == part.term) {
            note(Step::Serves);
        }
        part.leader = leader.or(part.leader);
        (part.role, part.term, part.serves) = (role, term, serves);
    }
}

impl Chronicle {
    fn note(&mut self, election: Election) {
        match election.step {
            Step::Stands(_) => self.counts.begun += 1,
            Step::Won(_) => self.counts.won += 1,
            Step::Lost(_) => self.counts.lost += 1,
            Step::Serves => {}
        }
        if self.news.len() < ELECTION_NEWS_MAX {
            self.news.push(election);
        }
    }
}
