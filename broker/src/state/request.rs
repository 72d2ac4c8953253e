//! What is asked of the control partition, and what it answers.

use std::collections::BTreeMap;

use crate::ids::{NodeId, ReplicaId, TopicId};
use crate::refusal::Refusal;

use super::command::Command;
use super::member::NewMember;
use super::recovery::Recovery;

/// A request to the control partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// New topics, each made or refused alone.
    CreateTopics {
        /// The topics.
        topics: Vec<NewTopic>,
        /// A topic that exists is a success.
        if_not_exists: bool,
        /// Checks everything, changes nothing.
        validate_only: bool,
    },
    /// Topics to delete, each alone.
    DeleteTopics {
        /// Their names.
        names: Vec<String>,
        /// Checks everything, changes nothing.
        validate_only: bool,
    },
    /// Changes of configuration, each topic alone.
    AlterTopics {
        /// The changes.
        topics: Vec<TopicAlteration>,
        /// Checks everything, changes nothing.
        validate_only: bool,
    },
    /// More partitions for a topic.
    AddPartitions {
        /// Its name.
        name: String,
        /// How many more.
        count: i32,
        /// Checks everything, changes nothing.
        validate_only: bool,
    },
    /// An id for an idempotent producer.
    InitProducer {
        /// The id and epoch to go on from; without them it is a new id.
        continue_from: Option<(i64, i16)>,
    },
    /// A broker makes itself known; also when what it says of itself has changed.
    RegisterNode(NewMember),
    /// A partition's replicas shall be on other brokers.
    MovePartition {
        /// The topic's name.
        topic: String,
        /// The partition.
        partition: i32,
        /// The brokers, the preferred leader first.
        to: Vec<NodeId>,
        /// Checks everything, changes nothing.
        validate_only: bool,
    },
    /// A partition's replicas shall stay where they were.
    CancelMove {
        /// The topic's name.
        topic: String,
        /// The partition.
        partition: i32,
    },
    /// A broker gives its leaderships away, or takes some again.
    Drain {
        /// Which.
        node: NodeId,
        /// Whether it does.
        on: bool,
    },
    /// A broker's replicas shall go to others, and then it is taken out.
    RemoveNode {
        /// Which.
        node: NodeId,
        /// Checks everything, changes nothing.
        validate_only: bool,
    },
}

/// A topic to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTopic {
    /// Its id, drawn by the caller.
    pub id: TopicId,
    /// Its name.
    pub name: String,
    /// Its partitions; 1 when absent.
    pub partitions: Option<i32>,
    /// Replicas of each partition; when absent 3 where three brokers exist, else 1.
    pub replicas: Option<i32>,
    /// What is set on it.
    pub configs: BTreeMap<String, String>,
}

/// A change of a topic's configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicAlteration {
    /// The topic.
    pub name: String,
    /// Keys that get a value.
    pub set: BTreeMap<String, String>,
    /// Keys that go back to their default.
    pub unset: Vec<String>,
}

/// An answer: of each kind the one to the request of its name. Lists are in the order of the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// By name.
    CreateTopics(Vec<(String, Result<CreatedTopic, Refusal>)>),
    /// By name.
    DeleteTopics(Vec<(String, Result<DeletedTopic, Refusal>)>),
    /// By name: what changed.
    AlterTopics(Vec<(String, Result<Vec<ConfigChange>, Refusal>)>),
    /// The partitions in all, after the change.
    AddPartitions(Result<i32, Refusal>),
    /// The producer's id and epoch.
    InitProducer(Result<(i64, i16), Refusal>),
    /// The broker's number.
    RegisterNode(Registered),
    /// What a recovery does, or would do.
    Recovered(Result<Recovery, Refusal>),
    /// To requests whose answer says no more.
    Done(Result<(), Refusal>),
}

/// A broker that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Registered {
    /// Its number.
    pub node: NodeId,
    /// Its replica of the control partition.
    pub replica: ReplicaId,
}

/// A topic that was made, or would be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreatedTopic {
    /// Its id.
    pub id: TopicId,
    /// Its partitions.
    pub partitions: i32,
    /// Replicas of each.
    pub replicas: i32,
    /// With `if_not_exists`: it was there before, with these numbers.
    pub existed: bool,
}

/// A topic that was deleted, or would be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeletedTopic {
    /// Its id.
    pub id: TopicId,
    /// The partitions it had.
    pub partitions: i32,
}

/// A value of a topic's configuration that changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigChange {
    /// The key.
    pub key: String,
    /// The value before; empty where there was none.
    pub before: String,
    /// The value after; empty where there is none.
    pub after: String,
}

/// What a request comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Plan {
    /// Nothing changes: this is the answer.
    Answer(Reply),
    /// Something changes, once this command is committed and applied.
    Propose {
        /// What is proposed.
        command: Command,
        /// What is answered already; completes the reply of `apply`.
        answered: Answered,
    },
}

/// The part of an answer that is known before the command is applied: what was refused, or needs no change.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Answered {
    /// Places of the results in the whole answer, rising.
    places: Vec<usize>,
    /// The results, as an answer of their own.
    results: Option<Reply>,
}

impl Answered {
    /// An answer that the command needs only confirm.
    pub fn whole(answer: Reply) -> Answered {
        Answered::new(Vec::new(), answer)
    }

    /// `results` belong at `places` of the whole answer, which rise.
    pub(super) fn new(places: Vec<usize>, results: Reply) -> Answered {
        Answered { places, results: Some(results) }
    }

    /// The whole answer, in the order of the request.
    pub fn complete(self, applied: Reply) -> Reply {
        let Some(known) = self.results else { return applied };
        match (known, applied) {
            (Reply::CreateTopics(known), Reply::CreateTopics(new)) => {
                Reply::CreateTopics(merge(&self.places, known, new))
            }
            (Reply::DeleteTopics(known), Reply::DeleteTopics(new)) => {
                Reply::DeleteTopics(merge(&self.places, known, new))
            }
            (Reply::AlterTopics(known), Reply::AlterTopics(new)) => {
                Reply::AlterTopics(merge(&self.places, known, new))
            }
            (known @ Reply::Recovered(_), Reply::Done(Ok(()))) => known,
            (Reply::Recovered(_), Reply::Done(Err(refusal))) => Reply::Recovered(Err(refusal)),
            (_, applied) => applied,
        }
    }
}

/// Puts `known` at `places` and `new` everywhere else.
fn merge<T>(places: &[usize], known: Vec<T>, new: Vec<T>) -> Vec<T> {
    let mut whole = Vec::with_capacity(known.len() + new.len());
    let mut new = new.into_iter();
    for (place, item) in places.iter().zip(known) {
        whole.extend(new.by_ref().take(place - whole.len()));
        whole.push(item);
    }
    whole.extend(new);
    whole
}

#[cfg(test)]
mod tests {
    use super::merge;

    #[test]
    fn results_return_to_the_order_of_the_request() {
        assert_eq!(
            merge(&[0, 2, 3, 6], vec!['a', 'c', 'd', 'g'], vec!['b', 'e', 'f']),
            "abcdefg".chars().collect::<Vec<_>>()
        );
        assert_eq!(merge(&[], vec![], vec![1, 2]), [1, 2]);
        assert_eq!(merge(&[0, 1], vec![1, 2], vec![]), [1, 2]);
    }
}
