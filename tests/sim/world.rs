//! The world of one seed: clients, brokers, disks that lie, a network that does not care, and what happens to them.

use std::collections::{BTreeMap, BTreeSet};

use caudal_broker::ids::{Offset, PartitionId, ReplicaId, TopicId};
use caudal_broker::node::{Acks, Input, Now, Reply, Ticket};
use caudal_broker::runtime::shard::ShardInput;
use caudal_broker::state::{NewTopic, Request};
use caudal_harness::history::{Event, Partition, RecordId, Violation, check};

use crate::agreement::Agreement;
use crate::broker::SHARDS;
use crate::coverage::{Counts, Coverage};
use crate::frames;
use crate::hosts::{Host, identity, node};
use crate::network::Network;
use crate::rng::Rng;
use crate::writer::Writer;

pub(crate) const PARTITIONS: i32 = 3;
const WRITERS: u32 = 6;

fn topic() -> TopicId {
    TopicId(uuid::Uuid::from_u128(0xca0d_a100))
}

pub(crate) fn partition_id(partition: Partition) -> PartitionId {
    PartitionId { topic: topic(), partition: partition as i32 }
}

/// What a run came to.
pub(crate) struct Outcome {
    /// What is wrong; empty when nothing is.
    pub(crate) violations: Vec<String>,
    /// A hash of all outputs and of the disks' bytes at every crash.
    pub(crate) trace: u64,
    pub(crate) counts: Counts,
}

pub(crate) enum Waiting {
    Batch {
        writer: usize,
    },
    Producer,
    /// A machine that is no broker yet.
    Join {
        host: usize,
    },
    Other,
    /// The scene looks at it.
    Scene,
}

pub(crate) struct World {
    pub(crate) seed: u64,
    pub(crate) rng: Rng,
    pub(crate) faults: Rng,
    pub(crate) decay: Rng,
    /// Logs that a disk lost, and whose.
    pub(crate) rotten: BTreeMap<PartitionId, usize>,
    pub(crate) hosts: Vec<Host>,
    /// How many of them the cluster began with.
    pub(crate) founders: usize,
    /// Much is written to one partition and cut from it, so that its log has several segments and brokers fall behind
    /// its beginning.
    pub(crate) heavy: bool,
    /// Acknowledged is what a majority has written: processes die, and no disk loses what was written.
    pub(crate) memory: bool,
    pub(crate) steps: u64,
    pub(crate) coverage: Coverage,
    pub(crate) network: Network,
    pub(crate) agreement: Agreement,
    pub(crate) now: Now,
    pub(crate) writers: Vec<Writer>,
    /// Who waits at which host for what.
    pub(crate) waiting: BTreeMap<Ticket, (usize, Waiting)>,
    pub(crate) tickets: Ticket,
    /// What a scene asked for and was told.
    pub(crate) answers: Vec<Reply>,
    pub(crate) records: RecordId,
    pub(crate) history: Vec<Event>,
    pub(crate) wrong: Vec<String>,
    pub(crate) trace: crc32fast::Hasher,
    pub(crate) producer_ids: BTreeSet<i64>,
    /// Where clients take the leader of each partition to be.
    pub(crate) guesses: Vec<usize>,
    /// The newest leader epoch that a reader was told of, by partition.
    pub(crate) epochs: BTreeMap<Partition, u64>,
}

/// Lives the life of a seed: `steps` of chaos among `hosts` brokers, then healing and the last reads.
pub(crate) fn run(seed: u64, hosts: usize, steps: u64) -> Outcome {
    let mut world = World::new(seed, hosts);
    world.found();
    for _ in 0..steps {
        world.step();
    }
    world.heal();
    world.outcome()
}

impl World {
    pub(crate) fn new(seed: u64, hosts: usize) -> World {
        let heavy = hosts > 1 && seed % 4 == 1;
        let memory = hosts > 1 && seed % 8 == 6;
        let writers = (0..WRITERS).map(|number| {
            // What a leader alone acknowledged may vanish: an idempotent writer would be stopped by the gap, rightly.
            let acks = if number == 5 { Acks::Leader } else { Acks::All };
            let partition = if heavy { 0 } else { number % PARTITIONS as u32 };
            Writer::new(number, partition, number % 3 != 2, acks)
        });
        let founder = |at: usize| {
            let who = identity(at, node(at), ReplicaId(at as u64 + 1), hosts);
            Host { identity: Some(who), ..Host::new(seed ^ (at as u64) << 32) }
        };
        World {
            seed,
            rng: Rng::new(seed, "workload"),
            faults: Rng::new(seed, "faults"),
            decay: Rng::new(seed, "decay"),
            rotten: BTreeMap::new(),
            hosts: (0..hosts).map(founder).collect(),
            founders: hosts,
            heavy,
            memory,
            steps: 0,
            coverage: Coverage::default(),
            network: Network::new(seed),
            agreement: Agreement::default(),
            now: Now { wall_ms: 1_700_000_000_000, mono_ms: 0 },
            writers: writers.collect(),
            waiting: BTreeMap::new(),
            tickets: 0,
            answers: Vec::new(),
            records: 0,
            history: Vec::new(),
            wrong: Vec::new(),
            trace: crc32fast::Hasher::new(),
            producer_ids: BTreeSet::new(),
            guesses: vec![0; PARTITIONS as usize],
            epochs: BTreeMap::new(),
        }
    }

    /// The first starts and the topic, on a network that works. Chaos begins afterwards.
    pub(crate) fn found(&mut self) {
        self.network.faulty = false;
        for at in 0..self.hosts.len() {
            self.start(at);
        }
        for pulse in 0..400 {
            if self.topic_is_everywhere() {
                break;
            }
            self.pulse();
            if pulse % 20 == 19 {
                self.create_topic();
            }
        }
        if !self.topic_is_everywhere() {
            self.wrong.push("the topic is not made".into());
        }
        self.network.faulty = true;
    }

    fn create_topic(&mut self) {
        let configs = BTreeMap::from([
            ("segment.bytes".to_owned(), (1024 * 1024).to_string()),
            ("max.message.bytes".to_owned(), (64 * 1024).to_string()),
            ("durability".to_owned(), if self.memory { "memory" } else { "synced" }.to_owned()),
        ]);
        let new = NewTopic {
            id: topic(),
            name: "t".into(),
            partitions: Some(PARTITIONS),
            replicas: Some(
                if self.seed.is_multiple_of(5) { self.founders } else { self.founders.min(3) } as i32
            ),
            configs,
        };
        let request = Request::CreateTopics { topics: vec![new], if_not_exists: true, validate_only: false };
        self.ask_control(Waiting::Other, request);
    }

    /// Hands a request to the broker that leads the control partition, or takes itself for its leader.
    pub(crate) fn ask_control(&mut self, waiting: Waiting, request: Request) {
        let leads = |host: &Host| {
            let probe = host.broker.as_ref().and_then(|broker| broker.probe(PartitionId::CONTROL));
            probe.is_some_and(|probe| probe.ready)
        };
        let Some(at) = self.hosts.iter().position(leads) else { return };
        let ticket = self.ticket(at, waiting);
        self.input(at, PartitionId::CONTROL, ShardInput::Machine(Input::Control { ticket, request }));
    }

    pub(crate) fn input(&mut self, at: usize, partition: PartitionId, input: ShardInput) {
        let now = self.now;
        if let Some(broker) = &mut self.hosts[at].broker {
            broker.input(now, partition, input);
        }
    }

    fn topic_is_everywhere(&self) -> bool {
        self.hosts.iter().all(|host| {
            let catalog = host.broker.as_ref().and_then(|broker| broker.catalog.as_ref());
            catalog.is_some_and(|catalog| catalog.topic("t").is_some())
        })
    }

    pub(crate) fn ticket(&mut self, at: usize, waiting: Waiting) -> Ticket {
        self.tickets += 1;
        self.waiting.insert(self.tickets, (at, waiting));
        self.tickets
    }

    /// What was asked of a broker that died is never answered.
    pub(crate) fn lose_tickets(&mut self, at: usize) {
        let lost: Vec<Ticket> =
            self.waiting.iter().filter(|(_, (host, _))| *host == at).map(|(ticket, _)| *ticket).collect();
        for ticket in lost {
            if let Some((_, Waiting::Batch { writer })) = self.waiting.remove(&ticket) {
                self.writers[writer].lost(ticket);
            }
        }
    }

    fn step(&mut self) {
        if !self.wrong.is_empty() {
            return;
        }
        self.steps += 1;
        let at = self.rng.below(self.hosts.len() as u64) as usize;
        if self.hosts[at].broker.is_none() {
            // A machine that is down stays so for a while, where others go on.
            let repaired = self.hosts[at].down_until <= self.steps;
            if self.founders == 1 || (repaired && self.rng.once_in(8)) {
                self.start(at);
            }
            return;
        }
        self.now.mono_ms += 1;
        self.now.wall_ms += self.rng.below(3) as i64 - i64::from(self.rng.once_in(50)) * 500;
        match self.rng.below(100) {
            0..22 => self.produce(),
            22..28 => self.repeat(),
            28..46 => self.pass_and_deliver(at),
            46..56 => self.sync_if_running(at),
            56..68 => self.pulse_of(at),
            68..74 => self.read(),
            74..91 => self.tick_if_running(at),
            91..93 => self.trim(),
            93 => self.init_producer(),
            94 if self.founders > 3 => self.operate(),
            // Agreement takes time that one broker alone does not need.
            _ if self.founders > 1 && !self.rng.once_in(5) => self.pulse_of(at),
            _ => self.fault(),
        }
        for at in 0..self.hosts.len() {
            self.take_replies(at);
        }
        if let Err(why) = self.agreement.check(&self.hosts) {
            self.wrong.push(why);
        }
        self.coverage.look(&self.hosts);
        if self.founders > 3 {
            self.switch_off();
        }
    }

    fn pass_and_deliver(&mut self, at: usize) {
        if !self.hosts[at].paused {
            let shard = self.rng.below(u64::from(SHARDS)) as usize;
            self.pass(at, shard);
        }
        self.deliver();
    }

    fn sync_if_running(&mut self, at: usize) {
        if !self.hosts[at].paused {
            self.sync(at);
        }
    }

    fn tick_if_running(&mut self, at: usize) {
        self.now.mono_ms += 30;
        self.now.wall_ms += 30;
        for host in 0..self.hosts.len() {
            // Clocks of machines run alike, but for one that is busy.
            if !self.hosts[host].paused && (host != at || self.rng.once_in(2)) {
                self.tick(host);
            }
        }
    }

    fn pulse_of(&mut self, at: usize) {
        if !self.hosts[at].paused {
            self.round_trip(at);
        }
        self.deliver();
    }

    /// A tenth of a second in which everybody has time for everything.
    pub(crate) fn pulse(&mut self) {
        self.now.mono_ms += 100;
        self.now.wall_ms += 100;
        for at in 0..self.hosts.len() {
            self.tick(at);
        }
        for _ in 0..4 {
            for at in 0..self.hosts.len() {
                self.round_trip(at);
                self.take_replies(at);
            }
            self.deliver();
        }
    }

    fn produce(&mut self) {
        let at = self.rng.below(self.writers.len() as u64) as usize;
        // An idempotent writer first settles what may be missing: what follows it would be refused.
        let writer = &self.writers[at];
        let unsent = writer.idempotent && writer.outstanding.iter().any(|batch| batch.ticket.is_none());
        if writer.is_full() || unsent {
            return;
        }
        let count = 1 + self.rng.below(3);
        let padding = match self.heavy {
            true => 17_000 + self.rng.below(3_000),
            _ if self.rng.once_in(6) => self.rng.below(20_000),
            _ => self.rng.below(200),
        } as usize;
        let records: Vec<RecordId> = (0..count).map(|n| self.records + n).collect();
        self.records += count;
        let writer = &mut self.writers[at];
        let (number, partition) = (writer.number, writer.partition);
        self.history.extend(records.iter().map(|record| Event::Sent {
            writer: number,
            partition,
            record: *record,
        }));
        let outstanding = writer.make(records, self.now.wall_ms, padding);
        writer.outstanding.push_back(outstanding);
        let last = writer.outstanding.len() - 1;
        self.send(at, last);
    }

    fn send(&mut self, at: usize, position: usize) {
        let partition = self.writers[at].partition;
        let host = self.guesses[partition as usize];
        if self.hosts[host].broker.is_none() || self.hosts[host].paused {
            self.guess(partition);
            if !self.writers[at].idempotent {
                // It never left: nobody has it.
                self.give_up(at, position);
            }
            return;
        }
        let ticket = self.ticket(host, Waiting::Batch { writer: at });
        let writer = &mut self.writers[at];
        let (partition, acks) = (partition_id(partition), writer.acks);
        let Some(outstanding) = writer.outstanding.get_mut(position) else { return };
        outstanding.ticket = Some(ticket);
        let batch = outstanding.batch.clone();
        self.input(host, partition, ShardInput::Produce { ticket, partition, batch, acks });
    }

    /// Looks for the leader somewhere else.
    pub(crate) fn guess(&mut self, partition: Partition) {
        self.guesses[partition as usize] = self.rng.below(self.hosts.len() as u64) as usize;
    }

    /// An idempotent writer sends again what was refused, or loses patience with its oldest batch while the first try is
    /// on its way.
    fn repeat(&mut self) {
        let at = self.rng.below(self.writers.len() as u64) as usize;
        self.repeat_of(at);
    }

    fn repeat_of(&mut self, at: usize) {
        let writer = &self.writers[at];
        if !writer.idempotent || writer.outstanding.is_empty() {
            return;
        }
        let refused = writer.outstanding.iter().any(|batch| batch.ticket.is_none());
        for position in 0..if refused { writer.outstanding.len() } else { 1 } {
            self.send(at, position);
        }
    }

    /// A command of the control partition: its log is snapshotted and cut, and no id is given twice.
    fn init_producer(&mut self) {
        self.ask_control(Waiting::Producer, Request::InitProducer { continue_from: None });
    }

    fn trim(&mut self) {
        let partition = self.rng.below(PARTITIONS as u64) as u32;
        let host = self.guesses[partition as usize];
        let id = partition_id(partition);
        let Some(broker) = &self.hosts[host].broker else { return };
        let Some(published) = broker.views.get(&id).and_then(|view| view.published.clone()) else { return };
        let span = (published.high_watermark.0 - published.log_start.0).max(1) as u64;
        let part = self.rng.below(span) as i64 / 2;
        let before = match self.heavy && self.rng.once_in(2) {
            true => Offset(published.high_watermark.0 - part / 4),
            false => Offset(published.log_start.0 + part),
        };
        let ticket = self.ticket(host, Waiting::Other);
        self.input(host, id, ShardInput::Trim { ticket, partition: id, before, validate_only: false });
    }

    /// The faults end, everything unsettled is settled, and everything there is is read.
    fn heal(&mut self) {
        if !self.wrong.is_empty() {
            return;
        }
        self.network.faulty = false;
        self.network.heal();
        self.resume();
        for at in 0..self.hosts.len() {
            self.hosts[at].fs.set_quota(None);
            self.crash(at);
        }
        for at in 0..self.hosts.len() {
            self.start(at);
        }
        for pulse in 0..600 {
            self.pulse();
            self.switch_off();
            self.coverage.look(&self.hosts);
            if pulse % 5 == 4 {
                self.undrain();
                self.join_again();
                for at in 0..self.writers.len() {
                    self.writers[at].lose_patience();
                    self.repeat_of(at);
                }
                let joined = self.hosts.iter().all(|host| host.identity.is_some());
                let settled = joined && self.writers.iter().all(|writer| writer.outstanding.is_empty());
                if settled && self.agreement.disagreement(&self.hosts).is_none() {
                    break;
                }
            }
        }
        // What the brokers know by now they say.
        self.pulse();
        if let Some(writer) = self.writers.iter().find(|writer| !writer.outstanding.is_empty()) {
            self.wrong.push(format!("writer {} is never answered: {:?}", writer.number, writer.refused));
        }
        self.wrong.extend(self.agreement.disagreement(&self.hosts));
        self.history.push(Event::FinalReads);
        for partition in 0..PARTITIONS as u32 {
            self.read_all(partition);
        }
        for (at, host) in self.hosts.iter().enumerate() {
            self.wrong.extend(frames::check(&*host.fs).into_iter().map(|why| format!("broker {at}: {why}")));
            let violations = host.fs.violations();
            self.wrong.extend(violations.into_iter().map(|violation| format!("disk {at} saw: {violation}")));
        }
    }

    fn outcome(mut self) -> Outcome {
        // A life that ended early has no last reads to judge by.
        if self.history.contains(&Event::FinalReads) {
            let violations: Vec<Violation> = check(&self.history);
            self.wrong.extend(violations.into_iter().map(|violation| format!("{violation:?}")));
        }
        for host in &self.hosts {
            self.trace.update(&host.fs.durable_hash().to_le_bytes());
        }
        Outcome {
            violations: self.wrong,
            trace: u64::from(self.trace.finalize()),
            counts: Counts { leaders: self.agreement.leaders(), ..self.coverage.counts },
        }
    }
}
