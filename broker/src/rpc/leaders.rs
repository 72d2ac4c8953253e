//! Waiting until new partitions can be written: creation answers when the topic is of use.

use std::time::Duration;

use tokio::time::timeout;

use super::Door;
use crate::ids::{NodeId, PartitionId, TopicId};
use crate::limits;
use crate::runtime::life::Phase;

/// Waits until every partition of the topics (id, number of partitions) that lives here has a leader, or is closed.
/// Bounded: the topics exist in any case, and what is late is said by the partition itself.
pub async fn wait(door: &Door, topics: &[(TopicId, i32)]) {
    let mut changes = door.views.changes();
    let wait = async {
        while !topics.iter().all(|topic| all_lead(door, *topic)) {
            if changes.changed().await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        // Running into the bound is no failure, see above.
        _ = timeout(Duration::from_millis(limits::CREATE_WAIT_MS), wait) => {}
        () = door.life.reached(Phase::Stopping) => {}
    }
}

fn all_lead(door: &Door, (id, partitions): (TopicId, i32)) -> bool {
    let Some(topic) = door.views.topic_by_id(id) else { return false };
    let here = door.views.node();
    let lives_here = |nodes: &[(NodeId, _)]| nodes.iter().any(|(node, _)| Some(*node) == here);
    topic.partition_count() >= partitions
        && topic
            .placements()
            .filter(|(_, placement)| lives_here(&placement.replicas))
            .all(|(id, _)| leads(door, id))
}

fn leads(door: &Door, id: PartitionId) -> bool {
    door.views.partition(id).is_some_and(|view| {
        let standing = view.standing();
        standing.ready
            || standing.closed.is_some()
            || standing.leader.is_some_and(|node| Some(node) != door.views.node())
    })
}
