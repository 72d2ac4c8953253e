//! On which nodes the replicas of new partitions go.

use crate::ids::NodeId;

/// Where a broker stands. One that names no rack shares its own with nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rack<'a> {
    /// The rack's name.
    Named(&'a str),
    /// No name: the broker alone.
    Own(NodeId),
}

/// A broker that takes replicas.
#[derive(Debug, Clone)]
pub(super) struct Site<'a> {
    /// The broker.
    pub(super) node: NodeId,
    /// Where it stands.
    pub(super) rack: Rack<'a>,
    /// Replicas that it has.
    pub(super) replicas: u64,
}

/// Spreads partitions over brokers: for each of `count` partitions `replicas` different ones, the first of them the
/// preferred leader, in different racks as far as there are enough. `sites` is not empty and has no broker twice; their
/// replicas are counted up. `replicas` is at most their number. `first` turns the start, so that topics with few
/// partitions do not all begin on the same broker.
pub(super) fn place(count: i32, replicas: usize, sites: &mut [Site<'_>], first: u64) -> Vec<Vec<NodeId>> {
    debug_assert!((1..=sites.len()).contains(&replicas), "{replicas} replicas on {} brokers", sites.len());
    let racks = sites.iter().any(|site| matches!(site.rack, Rack::Named(_)));
    let all = sites.len() as u64;
    let mut place_one = |partition: u64| {
        let leader = (first + partition) % all;
        // After each turn around the brokers the followers move on by one: a death spreads over all others.
        let shift = (first + partition) / all;
        let follower = |nth: u64| ((leader + 1 + (shift + nth) % (all - 1)) % all) as usize;
        let mut others: Vec<usize> = (0..all - 1).map(follower).collect();
        let mut chosen = vec![leader as usize];
        while chosen.len() < replicas {
            let next = match racks {
                true => nearest_fit(&others, &chosen, sites),
                false => 0,
            };
            chosen.push(others.remove(next));
        }
        for place in &chosen {
            sites[*place].replicas += 1;
        }
        chosen.into_iter().map(|place| sites[place].node).collect()
    };
    (0..u64::from(count.unsigned_abs())).map(&mut place_one).collect()
}

/// Which of `others` shares its rack with the fewest that are chosen; among equals it has the fewest replicas, and then
/// comes first.
fn nearest_fit(others: &[usize], chosen: &[usize], sites: &[Site<'_>]) -> usize {
    let shared = |place: usize| chosen.iter().filter(|it| sites[**it].rack == sites[place].rack).count();
    let cost = |nth: &usize| (shared(others[*nth]), sites[others[*nth]].replicas, *nth);
    (0..others.len()).min_by_key(cost).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    fn nodes(count: i32) -> Vec<Site<'static>> {
        (1..=count).map(NodeId).map(|node| Site { node, rack: Rack::Own(node), replicas: 0 }).collect()
    }

    fn in_racks(racks: &[&'static str]) -> Vec<Site<'static>> {
        let mut sites = nodes(racks.len() as i32);
        sites.iter_mut().zip(racks).for_each(|(site, rack)| site.rack = Rack::Named(rack));
        sites
    }

    #[test]
    fn replicas_of_a_partition_are_on_different_nodes_and_leaders_are_spread() {
        for all in 1..=7 {
            for replicas in [1, 3, 5].into_iter().filter(|r| *r <= all) {
                let placed = place(420, replicas as usize, &mut nodes(all), 5);
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
        let placed = place(30, 3, &mut nodes(5), 0);
        let of_first: BTreeSet<_> = placed.iter().filter(|p| p[0] == NodeId(1)).map(|p| &p[1..]).collect();
        assert!(of_first.len() > 2, "{of_first:?}");
    }

    #[test]
    fn single_partitions_made_one_after_another_turn_around_the_nodes() {
        let leaders: Vec<_> = (0..6).map(|made| place(1, 1, &mut nodes(3), made)[0][0].0).collect();
        assert_eq!(leaders, [1, 2, 3, 1, 2, 3]);
    }

    #[test]
    fn replicas_of_a_partition_are_in_different_racks_where_there_are_enough() {
        let racks = ["a", "a", "b", "b", "c", "c"];
        let rack = |node: &NodeId| racks[node.0 as usize - 1];
        for (replicas, different) in [(3, 3), (5, 3)] {
            let mut sites = in_racks(&racks);
            let placed = place(60, replicas, &mut sites, 7);
            let mut leaders = BTreeMap::new();
            for partition in &placed {
                assert_eq!(partition.iter().collect::<BTreeSet<_>>().len(), replicas);
                let used: BTreeSet<_> = partition.iter().map(rack).collect();
                assert_eq!(used.len(), different, "{partition:?}");
                *leaders.entry(partition[0]).or_insert(0) += 1;
            }
            assert!(leaders.len() == 6 && leaders.values().all(|led| *led == 10), "{leaders:?}");
            let loads: Vec<u64> = sites.iter().map(|site| site.replicas).collect();
            assert_eq!(loads.iter().sum::<u64>(), 60 * replicas as u64);
            assert!(loads.iter().max().unwrap() - loads.iter().min().unwrap() <= 2, "{loads:?}");
        }
    }

    #[test]
    fn a_large_rack_gives_no_partition_two_replicas_while_another_is_free() {
        let racks = ["a", "a", "a", "a", "b", "c"];
        for partition in place(30, 3, &mut in_racks(&racks), 0) {
            let used: BTreeSet<_> = partition.iter().map(|node| racks[node.0 as usize - 1]).collect();
            assert_eq!(used.len(), 3, "{partition:?}");
        }
    }

    #[test]
    fn too_few_racks_are_no_reason_to_place_less() {
        for partition in place(12, 3, &mut in_racks(&["a", "a", "b"]), 0) {
            assert_eq!(partition.iter().collect::<BTreeSet<_>>().len(), 3);
        }
    }
}
