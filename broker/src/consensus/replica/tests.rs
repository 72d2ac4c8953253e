//! Three replicas and a disk that syncs when told to.

use std::collections::BTreeMap;

use super::*;
use crate::consensus::{FIRST_INDEX, FOUNDING_TERM};
use crate::ids::{PartitionId, ReplicaId};
use crate::log::{LogStart, Place};

fn boot(replica: u64, voters: &[u64]) -> Boot {
    Boot {
        partition: PartitionId::CONTROL,
        replica: ReplicaId(replica),
        term: FOUNDING_TERM,
        vote: 0,
        commit: FIRST_INDEX.prev(),
        applied: FIRST_INDEX.prev(),
        voters: Voters { voters: voters.to_vec(), ..Default::default() },
        start: LogStart::genesis(PartitionId::CONTROL, FIRST_INDEX, FOUNDING_TERM),
        last_index: FIRST_INDEX.prev(),
        terms: Vec::new(),
        places: vec![Place { chain: Some(7), ..Place::default() }],
        entries: Vec::new(),
    }
}

struct Group {
    replicas: BTreeMap<u64, Replica>,
    /// Readys written and not synced yet, oldest first.
    unsynced: BTreeMap<u64, Vec<u64>>,
    wire: Vec<peer::Message>,
    applied: BTreeMap<u64, Vec<Entry>>,
    logs: BTreeMap<u64, BTreeMap<Index, Entry>>,
}

impl Group {
    fn new(size: u64) -> Group {
        let ids: Vec<u64> = (1..=size).collect();
        let replicas = ids.iter().map(|id| (*id, Replica::new(boot(*id, &ids), *id).unwrap())).collect();
        Group {
            replicas,
            unsynced: BTreeMap::new(),
            wire: Vec::new(),
            applied: BTreeMap::new(),
            logs: BTreeMap::new(),
        }
    }

    fn turn(&mut self, id: u64) {
        let replica = self.replicas.get_mut(&id).unwrap();
        while replica.has_ready() {
            let ready = replica.ready().unwrap();
            self.wire.extend(ready.messages);
            self.unsynced.entry(id).or_default().extend(ready.number);
            let log = self.logs.entry(id).or_default();
            for entry in ready.entries {
                log.split_off(&entry.index);
                log.insert(entry.index, entry);
            }
            self.applied.entry(id).or_default().extend(ready.committed);
            for (from, to) in ready.fetches {
                replica.fetched(from, None, log.range(from..to).map(|(_, entry)| entry.clone()).collect());
            }
        }
    }

    fn sync(&mut self, id: u64) {
        for number in std::mem::take(self.unsynced.entry(id).or_default()) {
            self.replicas.get_mut(&id).unwrap().persisted(number);
        }
        self.turn(id);
    }

    fn deliver(&mut self) {
        for message in std::mem::take(&mut self.wire) {
            if let Some(replica) = self.replicas.get_mut(&message.to) {
                replica.step(message.clone()).unwrap();
                self.turn(message.to);
            }
        }
    }

    fn settle(&mut self) {
        let ids: Vec<u64> = self.replicas.keys().copied().collect();
        for _ in 0..20 {
            for id in &ids {
                self.turn(*id);
                self.sync(*id);
            }
            self.deliver();
        }
    }

    fn tick(&mut self, times: usize) {
        for _ in 0..times {
            for replica in self.replicas.values_mut() {
                replica.tick();
            }
            self.settle();
        }
    }

    fn leader(&self) -> u64 {
        *self.replicas.iter().find(|(_, replica)| replica.is_ready_leader()).expect("a leader").0
    }
}

fn batch(count: u32) -> Proposal {
    Proposal { kind: Kind::Batch, count, max_timestamp: 7, payload: Bytes::from(vec![1; 64]) }
}

#[test]
fn one_voter_commits_when_its_own_disk_has_synced_and_not_before() {
    let mut group = Group::new(1);
    group.replicas.get_mut(&1).unwrap().campaign_if_alone().unwrap();
    group.turn(1);
    assert!(!group.replicas[&1].is_ready_leader(), "the vote is not durable yet");
    group.settle();
    let replica = group.replicas.get_mut(&1).unwrap();
    let places = [3, 2].map(|count| replica.propose(batch(count), 50).unwrap());
    let places = places.map(|entry| (entry.index, entry.base_offset, entry.append_time));
    assert_eq!(places, [(Index(12), Offset(0), 50), (Index(13), Offset(3), 50)]);
    group.turn(1);
    assert_eq!(group.replicas[&1].commit(), Index(11), "nothing is committed before the sync");
    group.sync(1);
    assert_eq!(group.replicas[&1].commit(), Index(13));
    assert_eq!(group.replicas[&1].offset_after(Index(13)), Offset(5));
    let kinds: Vec<Kind> = group.applied[&1].iter().map(|entry| entry.kind).collect();
    assert_eq!(kinds, [Kind::Noop, Kind::Batch, Kind::Batch]);
}

#[test]
fn three_voters_agree_on_entries_offsets_and_times() {
    let mut group = Group::new(3);
    group.tick(40);
    let leader = group.leader();
    for round in 0..5 {
        group.replicas.get_mut(&leader).unwrap().propose(batch(1 + round), 100 - i64::from(round)).unwrap();
        group.settle();
    }
    group.tick(5);
    let log = &group.logs[&leader];
    assert_eq!(log.len(), 6);
    assert!(
        log.values().all(|entry| entry.append_time == 100 || entry.kind == Kind::Noop),
        "time never goes back"
    );
    for other in group.logs.values() {
        assert_eq!(other, log);
    }
    let (voters, synced) = group.replicas[&leader].synced_at(Index(16));
    assert_eq!(voters.len(), 3);
    assert_eq!(synced, voters);
}

#[test]
fn an_append_answer_waits_for_the_sync() {
    let mut group = Group::new(3);
    group.tick(40);
    let leader = group.leader();
    let followers: Vec<u64> = (1..=3).filter(|id| *id != leader).collect();
    group.replicas.get_mut(&leader).unwrap().propose(batch(1), 1).unwrap();
    group.turn(leader);
    group.deliver();
    group.deliver();
    assert_eq!(group.replicas[&leader].commit(), Index(11), "followers have it written, not synced");
    group.sync(followers[0]);
    group.deliver();
    assert_eq!(
        group.replicas[&leader].commit(),
        Index(11),
        "one follower and no disk of the leader's is no majority"
    );
    group.sync(followers[1]);
    group.deliver();
    assert_eq!(group.replicas[&leader].commit(), Index(12), "two followers are one");
    let (_, synced) = group.replicas[&leader].synced_at(Index(12));
    assert!(!synced.contains(&ReplicaId(leader)), "a receipt names the leader only after its own sync");
}

#[test]
fn a_vote_leaves_after_its_sync() {
    let mut group = Group::new(3);
    // It asks for pre-votes, gets them, and then asks for votes.
    for _ in 0..19 {
        group.replicas.get_mut(&1).unwrap().tick();
        group.turn(1);
        group.deliver();
        group.deliver();
    }
    let asked = |group: &Group| group.wire.iter().any(|m| m.r#type == MessageType::MsgRequestVote as i32);
    assert!(!asked(&group), "the candidate's own vote is not durable");
    group.sync(1);
    assert!(asked(&group));
    group.deliver();
    assert!(group.wire.is_empty(), "votes given are not durable");
    group.sync(2);
    assert!(group.wire.iter().any(|m| m.r#type == MessageType::MsgRequestVoteResponse as i32));
}

#[test]
fn a_deposed_leaders_suffix_is_cut_with_its_offsets() {
    let mut group = Group::new(3);
    group.tick(40);
    let old = group.leader();
    for _ in 0..2 {
        group.replicas.get_mut(&old).unwrap().propose(batch(4), 9).unwrap();
    }
    group.turn(old);
    group.wire.clear();
    let isolated = group.replicas.remove(&old).unwrap();
    group.tick(60);
    let new = group.leader();
    group.replicas.get_mut(&new).unwrap().propose(batch(1), 10).unwrap();
    group.settle();
    group.replicas.insert(old, isolated);
    group.tick(10);
    assert_eq!(group.logs[&old], group.logs[&new]);
    let last = group.logs[&old].values().last().unwrap();
    assert_eq!((last.base_offset, last.count), (Offset(0), 1), "offsets of the cut entries are given again");
}

#[test]
fn a_follower_stops_at_an_entry_it_does_not_understand() {
    let mut group = Group::new(3);
    group.tick(40);
    let leader = group.leader();
    let follower = (1..=3).find(|id| *id != leader).unwrap();
    group.replicas.get_mut(&leader).unwrap().propose(batch(1), 1).unwrap();
    group.turn(leader);
    let mut append = group.wire.iter().find(|m| m.to == follower).unwrap().clone();
    append.entries[0].context = Bytes::from_static(b"from another version");
    let replica = group.replicas.get_mut(&follower).unwrap();
    replica.step(append).unwrap();
    let error = replica.ready().unwrap_err();
    assert!(error.contains("does not know"), "{error}");
}

#[test]
fn a_follower_whose_log_differs_stops_before_it_takes_an_entry() {
    let mut group = Group::new(3);
    group.tick(40);
    let leader = group.leader();
    let follower = (1..=3).find(|id| *id != leader).unwrap();
    let chains: Vec<Option<u32>> = (0..3)
        .map(|count| {
            group.replicas.get_mut(&leader).unwrap().propose(batch(1 + count), 1).unwrap();
            group.turn(leader);
            let append =
                group.wire.iter().find(|m| m.to == follower && !m.entries.is_empty()).unwrap().clone();
            group.settle();
            append.prev
        })
        .collect();
    let mut chain = 7;
    let expected = group.logs[&leader].values().map(|entry| {
        chain = crate::log::chain_of(entry, chain);
        Some(chain)
    });
    assert_eq!(chains, expected.take(3).collect::<Vec<_>>(), "of the first entry and of two batches");
    group.replicas.get_mut(&leader).unwrap().propose(batch(4), 1).unwrap();
    group.turn(leader);
    let append = group.wire.iter().find(|m| m.to == follower).unwrap().clone();
    let replica = group.replicas.get_mut(&follower).unwrap();
    let lied = |change: fn(&mut peer::Message)| {
        let mut message = append.clone();
        message.prev = message.prev.map(|prev| prev ^ 1);
        change(&mut message);
        message
    };
    let before = replica.last_index();
    // Nothing to compare with, or nobody to believe.
    replica.step(lied(|message| message.prev = None)).unwrap();
    replica.step(lied(|message| message.term -= 1)).unwrap();
    replica.step(lied(|message| message.index += 40)).unwrap();
    replica.step(lied(|message| message.log_term -= 1)).unwrap();
    replica.step(lied(|message| message.r#type = MessageType::MsgHeartbeat as i32)).unwrap();
    assert_eq!(replica.last_index(), before);
    let why = replica.step(lied(|_| {})).unwrap_err();
    assert!(why.contains("differs from its leader's") && why.contains("entry 14 of term"), "{why}");
}

#[test]
fn a_follower_fed_from_the_disk_is_told_the_chain_value_before() {
    let mut group = Group::new(3);
    group.tick(40);
    let leader = group.leader();
    let follower = (1..=3).find(|id| *id != leader).unwrap();
    let replica = group.replicas.get_mut(&leader).unwrap();
    let entry = replica.propose(batch(1), 1).unwrap();
    let store = replica.raw_mut().mut_store();
    store.fetched(Index(40), Some(99), Vec::new());
    assert_eq!(store.chain(Index(39), entry.term), None, "nothing was read");
    store.fetched(Index(11), Some(99), vec![Entry { index: Index(11), ..entry.clone() }]);
    assert_eq!(store.chain(Index(10), FOUNDING_TERM), Some(99), "settled, and not the last one that is");
    assert_eq!(store.chain(Index(10), entry.term), None, "another entry");
    store.forget_chains();
    assert_eq!(store.chain(Index(10), FOUNDING_TERM), None);
    assert!(group.replicas[&follower].commit() > Index(10));
}

#[test]
fn a_replica_that_holds_back_votes_and_does_not_stand_for_election() {
    let mut group = Group::new(3);
    let hold = |group: &mut Group, on| group.replicas.get_mut(&1).unwrap().hold_back(on);
    hold(&mut group, true);
    for _ in 0..5 * ELECTION_TICKS {
        group.replicas.get_mut(&1).unwrap().tick();
        group.turn(1);
    }
    assert!(group.wire.is_empty(), "it asks for no vote");
    group.replicas.get_mut(&1).unwrap().campaign();
    group.turn(1);
    assert!(group.wire.is_empty(), "nor when it is told to");
    let silent = group.replicas.remove(&3).unwrap();
    group.tick(40);
    assert_eq!(group.leader(), 2, "by the vote of the one that holds back");
    group.replicas.insert(3, silent);
    group.tick(10);
    assert!(group.replicas.get_mut(&2).unwrap().transfer_to(ReplicaId(1)));
    group.tick(40);
    assert_eq!(group.leader(), 2, "it takes no leadership");
    hold(&mut group, false);
    assert!(group.replicas.get_mut(&2).unwrap().transfer_to(ReplicaId(1)));
    group.settle();
    assert_eq!(group.leader(), 1);
}

#[test]
fn a_follower_that_answers_is_active_at_every_moment() {
    let mut group = Group::new(3);
    group.tick(40);
    let leader = group.leader();
    for _ in 0..3 * ELECTION_TICKS {
        // Asked before the answers to the next sign of life are back.
        group.replicas.get_mut(&leader).unwrap().tick();
        assert!(group.replicas[&leader].followers().iter().all(|follower| follower.active));
        group.settle();
    }
    let silent = (1..=3).find(|id| *id != leader).unwrap();
    group.replicas.remove(&silent);
    group.tick(3 * ELECTION_TICKS);
    let active = |id: u64| {
        let followers = group.replicas[&leader].followers();
        followers.iter().any(|follower| follower.replica == ReplicaId(id) && follower.active)
    };
    assert_eq!((1..=3).filter(|id| active(*id)).count(), 1, "one answers and one is silent");
}

/// Lets the leader change the voters, and everybody apply it.
fn change(group: &mut Group, change: &crate::consensus::Change) {
    let leader = group.leader();
    assert!(group.replicas.get_mut(&leader).unwrap().propose_change(change));
    group.settle();
    group.tick(1);
    apply_changes(group);
}

fn apply_changes(group: &mut Group) {
    for (id, applied) in &mut group.applied {
        let Some(replica) = group.replicas.get_mut(id) else { continue };
        for entry in std::mem::take(applied) {
            if matches!(entry.kind, Kind::ConfChange | Kind::ConfChangeV2) {
                replica.apply_conf_change(&entry).unwrap();
            }
        }
    }
}

#[test]
fn a_leader_that_is_removed_leads_no_longer() {
    let mut group = Group::new(3);
    group.tick(40);
    let (old, id) = (group.leader(), (1..=3).find(|id| *id != group.leader()).unwrap());
    let removal = crate::consensus::Change { removed: vec![ReplicaId(id)], ..Default::default() };
    // The old leader removes it, and it leads before that is committed.
    group.replicas.get_mut(&old).unwrap().propose_change(&removal);
    group.turn(old);
    group.sync(old);
    group.deliver();
    group.sync(id);
    group.wire.clear();
    let deposed = group.replicas.remove(&old).unwrap();
    group.tick(60);
    group.replicas.insert(old, deposed);
    group.settle();
    apply_changes(&mut group);
    assert!(!group.replicas[&id].is_leader(), "it removed itself by committing what it inherited");
    group.replicas.get_mut(&id).unwrap().persisted(u64::MAX);
    group.tick(40);
    assert!(group.leader() != id);
}

#[test]
fn the_end_of_a_joint_configuration_may_come_twice() {
    let mut group = Group::new(3);
    group.tick(40);
    let leader = group.leader();
    let others: Vec<ReplicaId> = (1..=3).filter(|id| *id != leader).map(ReplicaId).collect();
    // Both become learners at once: that is joint, and the watch over it ends it as Raft does.
    change(&mut group, &crate::consensus::Change { learners: others, ..Default::default() });
    for _ in 0..4 {
        group.replicas.get_mut(&leader).unwrap().leave_joint();
        group.settle();
        group.tick(1);
        apply_changes(&mut group);
    }
    let voters = group.replicas[&leader].voters();
    assert_eq!((voters.voters, voters.voters_outgoing), (vec![leader], vec![]));
}
