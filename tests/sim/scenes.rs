//! Scenes: brokers on a network and disks that work, one thing that happens to them, and what comes of it.

use caudal_broker::ids::PartitionId;
use caudal_broker::node::{Acks, Reply};
use caudal_broker::runtime::shard::ShardInput;

use crate::world::{Waiting, World, partition_id};
use crate::writer::Writer;

/// Three brokers with a topic, and nothing that happens to them by chance.
fn three(seed: u64) -> World {
    let mut world = World::new(seed, 3);
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
        self.hosts.iter().position(|host| {
            let probe = host.broker.as_ref().and_then(|broker| broker.probe(partition));
            probe.is_some_and(|probe| probe.ready)
        })
    }

    /// Hands a batch of one record to a broker; its answer will be among `answers`.
    fn hand_over(&mut self, at: usize, partition: PartitionId, acks: Acks) {
        self.records += 1;
        let mut writer = Writer::new(99, partition.partition as u32, false, acks);
        let batch = writer.make(vec![self.records], self.now.wall_ms, 0).batch;
        let ticket = self.ticket(at, Waiting::Scene);
        self.input(at, partition, ShardInput::Produce { ticket, partition, batch, acks });
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
    let mut world = three(7);
    let partition = partition_id(0);
    assert!(world.is_acknowledged(partition));
    let leader = world.leader(partition).expect("a leader");
    let victim = (leader + 1) % 3;
    // What it hears of the entry before the next one is not what it has.
    world.hand_over(leader, partition, Acks::All);
    let now = world.now;
    let broker = world.hosts[leader].broker.as_mut().expect("a broker");
    for shard in 0..crate::broker::SHARDS as usize {
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
