//! On which nodes the replicas of new partitions go.

use crate::ids::NodeId;

/// Spreads partitions over nodes: for each of `count` partitions `replicas` different nodes, the first of them the
/// preferred leader. `nodes` is not empty and has no node twice; `replicas` is at most their number. `first` turns the
/// start, so that topics with few partitions do not all begin on the same node.
pub(super) fn place(count: i32, replicas: usize, nodes: &[NodeId], first: u64) -> Vec<Vec<NodeId>> {
    debug_assert!((1..=nodes.len()).contains(&replicas), "{replicas} replicas on {} nodes", nodes.len());
    let all = nodes.len() as u64;
    let place_one = |partition: u64| {
        let leader = (first + partition) % all;
        // After each turn around the nodes the followers move on by one: a node's death spreads over all others.
        let shift = (first + partition) / all;
        let follower = |nth: u64| (leader + 1 + (shift + nth) % (all - 1)) % all;
        let followers = (0..replicas as u64 - 1).map(follower);
        std::iter::once(leader).chain(followers).map(|place| nodes[place as usize]).collect()
    };
    (0..u64::from(count.unsigned_abs())).map(place_one).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    fn nodes(count: i32) -> Vec<NodeId> {
        (1..=count).map(NodeId).collect()
    }

    #[test]
    fn replicas_of_a_partition_are_on_different_nodes_and_leaders_are_spread() {
        for all in 1..=7 {
            for replicas in [1, 3, 5].into_iter().filter(|r| *r <= all) {
                let placed = place(420, replicas as usize, &nodes(all), 5);
                let mut leaders = BTreeMap::new();
                for partition in &placed {
                    assert_eq!(partition.iter().collect::<BTreeSet<_>>().len(), replicas as usize);
                    *leaders.entry(partition[0]).or_insert(0) += 1;
                }
                assert!(leaders.values().all(|led| *led == 420 / all), "{all} nodes: {leaders:?}");
            }
        }
    }

    #[test]
    fn the_followers_of_one_leader_are_not_always_the_same() {
        let placed = place(30, 3, &nodes(5), 0);
        let of_first: BTreeSet<_> = placed.iter().filter(|p| p[0] == NodeId(1)).map(|p| &p[1..]).collect();
        assert!(of_first.len() > 2, "{of_first:?}");
    }

    #[test]
    fn single_partitions_made_one_after_another_turn_around_the_nodes() {
        let leaders: Vec<_> = (0..6).map(|made| place(1, 1, &nodes(3), made)[0][0].0).collect();
        assert_eq!(leaders, [1, 2, 3, 1, 2, 3]);
    }
}
