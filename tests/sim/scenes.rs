//! Scenes: brokers on a network and disks that work, one thing that happens to them, and what comes of it.

use bytes::Bytes;
use caudal_broker::ids::PartitionId;
use caudal_broker::node::{Acks, Receipt, Reply};
use caudal_broker::runtime::shard::ShardInput;
use caudal_harness::lying_fs::Crash;
use caudal_proto::peer;

use crate::broker::SHARDS;
use crate::hosts::node;
use crate::world::{PARTITIONS, Waiting, World, partition_id};
use crate::writer::Writer;

/// Three brokers with a topic, and nothing that happens to them by chance.
fn three(memory: bool) -> World {
    let mut world = World::new(7, 3);
    world.memory = memory;
    world.found();
    world.network.faulty = false;
    world.pulses(30);
    world
}

impl World {
    fn pulses(&mut self, count: usize) {
        for _ in 0..count {
            self.pulse();
        }
    }

    /// The broker that leads a partition and takes writes for it.
    fn leader(&self, partition: PartitionId) -> Option<usize> {
        let ready = |at: &usize| self.probe(*at, partition).is_some_and(|probe| probe.ready);
        (0..self.hosts.len()).find(ready)
    }

    /// Hands a batch of one record to a broker; its answer will be among `answers`.
    fn hand_over(&mut self, at: usize, partition: PartitionId, acks: Acks) {
        self.records += 1;
        let mut writer = Writer::new(99, partition.partition as u32, false, acks);
        let batch = writer.make(vec![self.records], self.now.wall_ms, 0).batch;
        let ticket = self.ticket(at, Waiting::Scene);
        self.input(at, partition, ShardInput::Produce { ticket, partition, batch, acks });
    }

    /// All there is to do for a broker but for the work of its disk.
    fn pass_unsynced(&mut self, at: usize) {
        for shard in 0..SHARDS as usize {
            self.pass(at, shard);
        }
        self.take_replies(at);
    }

    /// A word of what a replica has written, as it would tell its leader.
    fn word(&self, from: usize, to: usize, partition: PartitionId) -> peer::Message {
        let probe = |at: usize| self.probe(at, partition).expect("a replica");
        let (from, to) = (probe(from), probe(to));
        peer::Message {
            topic_id: Bytes::copy_from_slice(partition.topic.as_bytes()),
            partition: partition.partition,
            from: from.replica.0,
            to: to.replica.0,
            term: to.term.0,
            written: to.last.0,
            ..peer::Message::default()
        }
    }

    /// Whether the leader acknowledges a batch in a time in which all is done that can be.
    fn is_acknowledged(&mut self, partition: PartitionId) -> bool {
        self.answers.clear();
        let Some(leader) = self.leader(partition) else { return false };
        self.hand_over(leader, partition, Acks::All);
        self.pulses(3);
        matches!(self.answers[..], [Reply::Produced(Ok(_))])
    }
}

#[test]
fn a_replica_whose_log_differs_is_closed_and_everything_else_goes_on() {
    let mut world = three(false);
    let partition = partition_id(0);
    assert!(world.is_acknowledged(partition));
    let leader = world.leader(partition).expect("a leader");
    let victim = (leader + 1) % 3;
    // What it hears of the entry before the next one is not what it has.
    world.hand_over(leader, partition, Acks::All);
    let now = world.now;
    let broker = world.hosts[leader].broker.as_mut().expect("a broker");
    for shard in 0..SHARDS as usize {
        broker.pass(now, shard).expect("a disk that works");
    }
    let mut changed = 0;
    for (to, message) in &mut broker.letters {
        if to.0 as usize == victim + 1 && message.partition == 0 && message.prev.is_some() {
            message.prev = message.prev.map(|prev| prev ^ 1);
            changed += 1;
        }
    }
    assert!(changed > 0, "the leader says what is before its entries");
    world.carry_letters(leader);
    world.pulses(3);
    let wrong = std::mem::take(&mut world.wrong);
    assert_eq!(wrong.len(), 1, "{wrong:?}");
    let said = format!("broker {victim} closes partition {partition}: the log differs from its leader's");
    assert!(wrong[0].starts_with(&said), "{wrong:?}");
    for _ in 0..30 {
        assert!(world.is_acknowledged(partition), "two replicas are a majority");
    }
    let broker = world.hosts[victim].broker.as_ref().expect("the broker lives");
    assert!(broker.probe(partition).is_none(), "it takes part in nothing");
    assert!(broker.probe(partition_id(1)).is_some() && broker.probe(PartitionId::CONTROL).is_some());
    assert_eq!(world.leader(partition), Some(leader), "it did not stand for election");
    // The next start reads the disk, and compares anew.
    world.crash(victim);
    world.start(victim);
    world.pulses(60);
    assert!(world.wrong.is_empty(), "{:?}", world.wrong);
    assert_eq!(world.agreement.disagreement(&world.hosts), None);
}

/// A batch that the leader and the followers have written, and no disk has synced; what the leader answers by then.
fn written_everywhere(world: &mut World, acks: Acks) -> Vec<Reply> {
    let partition = partition_id(0);
    let leader = world.leader(partition).expect("a leader");
    world.answers.clear();
    world.hand_over(leader, partition, acks);
    world.pass_unsynced(leader);
    world.deliver();
    for at in (0..3).filter(|at| *at != leader) {
        world.pass_unsynced(at);
    }
    world.deliver();
    world.pass_unsynced(leader);
    std::mem::take(&mut world.answers)
}

fn receipt(answers: &[Reply]) -> Option<&Receipt> {
    match answers {
        [Reply::Produced(Ok(receipt))] => Some(receipt),
        [] => None,
        other => panic!("{other:?}"),
    }
}

#[test]
fn memory_is_acknowledged_when_a_majority_has_written_and_outlives_all_processes() {
    let mut synced = three(false);
    assert_eq!(receipt(&written_everywhere(&mut synced, Acks::All)), None, "written is not synced");
    synced.pulses(3);
    let answers = std::mem::take(&mut synced.answers);
    assert!(receipt(&answers).is_some_and(|receipt| receipt.synced.len() > 1 && receipt.written.is_empty()));

    let mut world = three(true);
    let partition = partition_id(0);
    let end = |world: &World, at: usize| {
        let view = &world.hosts[at].broker.as_ref().expect("a broker").views[&partition];
        view.published.as_ref().expect("a view").high_watermark
    };
    let leader = world.leader(partition).expect("a leader");
    let before = end(&world, leader);
    let answers = written_everywhere(&mut world, Acks::All);
    let receipt = receipt(&answers).expect("an answer before any sync");
    assert_eq!((receipt.synced.len(), receipt.voters.len()), (0, 3));
    assert!(receipt.written.len() > 1, "{receipt:?}");
    assert_eq!(end(&world, leader), before, "readers see what is committed");
    let offset = receipt.base_offset;
    (0..3).for_each(|at| world.crash_as(at, Crash::ProcessDies));
    (0..3).for_each(|at| world.start(at));
    world.pulses(40);
    let leader = world.leader(partition).expect("a leader");
    assert!(end(&world, leader) > offset, "every process died, and the record is there");
    assert!(world.wrong.is_empty(), "{:?}", world.wrong);
}

#[test]
fn a_word_of_what_is_written_counts_from_a_voter_in_its_term_and_for_entries_that_there_are() {
    let mut world = three(true);
    let partition = partition_id(0);
    let leader = world.leader(partition).expect("a leader");
    let follower = (leader + 1) % 3;
    world.answers.clear();
    world.hand_over(leader, partition, Acks::All);
    world.pass_unsynced(leader);
    let told = |world: &mut World, change: fn(&mut peer::Message)| {
        let mut message = world.word(follower, leader, partition);
        change(&mut message);
        let (from, message) = (node(follower), Box::new(message));
        world.input(leader, partition, ShardInput::Peer { from, message });
        world.pass_unsynced(leader);
        world.answers.len()
    };
    assert_eq!(told(&mut world, |word| word.term -= 1), 0, "of an older term");
    assert_eq!(told(&mut world, |word| word.term += 1), 0, "of a term that is not");
    assert_eq!(told(&mut world, |word| word.written += 1), 0, "of an entry that is not there");
    assert_eq!(told(&mut world, |word| word.written = u64::MAX), 0, "of the last index there can be");
    assert_eq!(told(&mut world, |word| word.written -= 1), 0, "of the entry before");
    assert_eq!(told(&mut world, |word| word.from = 4711), 0, "of nobody");
    assert_eq!(told(&mut world, |word| word.from = word.to), 0, "in the leader's own name");
    assert_eq!(told(&mut world, |_| {}), 1);
    let answers = std::mem::take(&mut world.answers);
    assert_eq!(receipt(&answers).map(|receipt| receipt.written.len()), Some(2), "{answers:?}");
}

#[test]
fn the_leader_s_own_word_is_enough_for_those_who_ask_for_no_more() {
    for memory in [false, true] {
        let mut world = three(memory);
        let leader = world.leader(partition_id(0)).expect("a leader");
        world.answers.clear();
        world.hand_over(leader, partition_id(0), Acks::Leader);
        world.pass_unsynced(leader);
        let answers = std::mem::take(&mut world.answers);
        let written = receipt(&answers).expect("an answer").written.clone();
        assert_eq!(written.iter().map(|(home, _)| *home).collect::<Vec<_>>(), [node(leader)]);
    }
}

#[test]
fn a_broker_whose_disk_stalls_hands_over_and_leads_nothing_until_it_is_well() {
    let mut world = three(false);
    let of_topic = |number: u32| partition_id(number);
    let broker = world.leader(of_topic(0)).expect("a leader");
    world.hosts[broker].slow_until = u64::MAX;
    // Its followers commit without its disk: the writer meets a pause when leadership moves, and no more.
    let missed = (0..40).filter(|_| !world.is_acknowledged(of_topic(0))).count();
    assert!(missed <= 4, "{missed} of 40 writes were not taken");
    for number in 0..PARTITIONS as u32 {
        let before = (0..20).filter(|_| world.is_acknowledged(of_topic(number))).count();
        assert!(before > 15, "{before} of 20");
        assert!(world.is_acknowledged(of_topic(number)));
        assert_ne!(world.leader(of_topic(number)), Some(broker));
    }
    world.pulses(400);
    let led = |world: &World| (0..PARTITIONS as u32).any(|n| world.leader(of_topic(n)) == Some(broker));
    assert!(!led(&world), "nobody gives it a leadership back");
    // Without the others it may not stand for election: it could not keep its own vote.
    let term = world.probe(broker, of_topic(0)).expect("a replica").term;
    for at in (0..3).filter(|at| *at != broker) {
        world.crash_as(at, Crash::PowerDies);
    }
    world.pulses(100);
    assert_eq!(world.probe(broker, of_topic(0)).expect("a replica").term, term);
    (0..3).filter(|at| *at != broker).for_each(|at| world.start(at));
    world.pulses(40);
    assert!(world.is_acknowledged(of_topic(0)) && !led(&world));
    let leaders = world.agreement.leaders();
    world.hosts[broker].slow_until = 0;
    world.pulses(100);
    assert_eq!(world.agreement.disagreement(&world.hosts), None);
    assert_eq!(world.agreement.leaders(), leaders, "that it is well again disturbs nobody");
    world.pulses(700);
    assert!(led(&world), "leadership goes back to where it belongs");
    assert!(world.wrong.is_empty(), "{:?}", world.wrong);
}
