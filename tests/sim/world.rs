//! The world of one seed: clients, a broker, a disk that lies, and everything that can happen to them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use caudal_broker::ids::{Offset, PartitionId, TopicId};
use caudal_broker::log::{Fatal, Fs};
use caudal_broker::node::{Acks, Now, Ticket};
use caudal_broker::runtime::shard::ShardInput;
use caudal_broker::state::{NewTopic, Request};
use caudal_harness::history::{Event, Partition, RecordId, Violation, check};
use caudal_harness::lying_fs::{Crash, Fault, LyingFs, Op};

use crate::broker::{Broker, SHARDS};
use crate::frames;
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
    /// A hash of all outputs and of the disk's bytes at every crash.
    pub(crate) trace: u64,
    pub(crate) crashes: u64,
    pub(crate) acked: u64,
}

pub(crate) enum Waiting {
    Batch { writer: usize },
    Producer,
    Other,
}

pub(crate) struct World {
    pub(crate) seed: u64,
    pub(crate) rng: Rng,
    pub(crate) faults: Rng,
    pub(crate) fs: Arc<LyingFs>,
    pub(crate) broker: Option<Broker>,
    /// A fault waits for its moment: calls may fail.
    pub(crate) planned: bool,
    pub(crate) now: Now,
    pub(crate) writers: Vec<Writer>,
    pub(crate) waiting: BTreeMap<Ticket, Waiting>,
    pub(crate) tickets: Ticket,
    pub(crate) records: RecordId,
    pub(crate) history: Vec<Event>,
    pub(crate) wrong: Vec<String>,
    pub(crate) trace: crc32fast::Hasher,
    pub(crate) crashes: u64,
    pub(crate) acked: u64,
    pub(crate) producer_ids: BTreeSet<i64>,
}

/// Lives the life of a seed: `steps` of chaos, then healing and the last reads.
pub(crate) fn run(seed: u64, steps: u64) -> Outcome {
    let mut world = World::new(seed);
    world.found();
    for _ in 0..steps {
        world.step();
    }
    world.heal();
    world.outcome()
}

impl World {
    fn new(seed: u64) -> World {
        let writers = (0..WRITERS).map(|number| {
            // What a leader alone acknowledged may vanish: an idempotent writer would be stopped by the gap, rightly.
            let acks = if number == 5 { Acks::Leader } else { Acks::All };
            Writer::new(number, number % PARTITIONS as u32, number % 3 != 2, acks)
        });
        World {
            seed,
            rng: Rng::new(seed, "workload"),
            faults: Rng::new(seed, "faults"),
            fs: Arc::new(LyingFs::new(seed)),
            broker: None,
            planned: false,
            now: Now { wall_ms: 1_700_000_000_000, mono_ms: 0 },
            writers: writers.collect(),
            waiting: BTreeMap::new(),
            tickets: 0,
            records: 0,
            history: Vec::new(),
            wrong: Vec::new(),
            trace: crc32fast::Hasher::new(),
            crashes: 0,
            acked: 0,
            producer_ids: BTreeSet::new(),
        }
    }

    /// The first start and the topic. Crashes begin afterwards; creation under crashes has seeds of its own.
    fn found(&mut self) {
        self.start();
        let configs = BTreeMap::from([
            ("segment.bytes".to_owned(), (1024 * 1024).to_string()),
            ("max.message.bytes".to_owned(), (64 * 1024).to_string()),
        ]);
        let new = NewTopic {
            id: topic(),
            name: "t".into(),
            partitions: Some(PARTITIONS),
            replicas: Some(1),
            configs,
        };
        let request = Request::CreateTopics { topics: vec![new], if_not_exists: true, validate_only: false };
        while !self.topic_exists() && self.wrong.is_empty() {
            let ticket = self.ticket(Waiting::Other);
            let now = self.now;
            if let Some(broker) = &mut self.broker {
                broker.input(
                    now,
                    PartitionId::CONTROL,
                    ShardInput::Control { ticket, request: request.clone() },
                );
            }
            self.settle();
        }
    }

    fn topic_exists(&self) -> bool {
        self.broker
            .as_ref()
            .and_then(|broker| broker.catalog.as_ref())
            .is_some_and(|c| c.topic("t").is_some())
    }

    fn ticket(&mut self, waiting: Waiting) -> Ticket {
        self.tickets += 1;
        self.waiting.insert(self.tickets, waiting);
        self.tickets
    }

    /// Starts the broker; tries again where a planned fault hits the start itself.
    fn start(&mut self) {
        for _ in 0..20 {
            match Broker::start(Arc::clone(&self.fs) as Arc<dyn Fs>, self.seed) {
                Ok(broker) => {
                    self.broker = Some(broker);
                    for _ in 0..200 {
                        self.round_trip();
                        match &self.broker {
                            Some(broker) if broker.is_ready() => return self.resend(),
                            Some(_) => {}
                            None => break,
                        }
                    }
                    if self.broker.is_some() {
                        return self.wrong.push("the broker does not get ready".into());
                    }
                }
                Err(_) if self.planned => self.crash(),
                Err(error) => {
                    return self.wrong.push(format!("the broker does not start on a healthy disk: {error}"));
                }
            }
        }
        self.wrong.push("the broker does not start".into());
    }

    fn step(&mut self) {
        if !self.wrong.is_empty() {
            return;
        }
        if self.broker.is_none() {
            return self.start();
        }
        self.now.mono_ms += 1;
        self.now.wall_ms += self.rng.below(3) as i64 - i64::from(self.rng.once_in(50)) * 500;
        match self.rng.below(100) {
            0..35 => self.produce(),
            35..40 => self.repeat(),
            40..60 => self.pass(),
            60..80 => self.sync(),
            80..90 => self.read(),
            90..93 => self.tick(),
            93 => self.trim(),
            94 => self.init_producer(),
            _ => self.fault(),
        }
        self.take_replies();
    }

    fn produce(&mut self) {
        let at = self.rng.below(self.writers.len() as u64) as usize;
        if self.writers[at].outstanding.len() >= 4 {
            return;
        }
        let count = 1 + self.rng.below(3);
        let padding = if self.rng.once_in(6) { self.rng.below(20_000) } else { self.rng.below(200) } as usize;
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
        let ticket = self.ticket(Waiting::Batch { writer: at });
        let now = self.now;
        let writer = &mut self.writers[at];
        let (partition, acks) = (partition_id(writer.partition), writer.acks);
        let Some(outstanding) = writer.outstanding.get_mut(position) else { return };
        outstanding.ticket = Some(ticket);
        let batch = outstanding.batch.clone();
        if let Some(broker) = &mut self.broker {
            broker.input(now, partition, ShardInput::Produce { ticket, partition, batch, acks });
        }
    }

    /// An idempotent writer sends again what was refused, or loses patience with its oldest batch while the first try is
    /// on its way.
    fn repeat(&mut self) {
        let at = self.rng.below(self.writers.len() as u64) as usize;
        let writer = &self.writers[at];
        if !writer.idempotent || writer.outstanding.is_empty() {
            return;
        }
        let refused = writer.outstanding.iter().position(|batch| batch.ticket.is_none());
        for position in refused.unwrap_or(0)..refused.map_or(1, |_| writer.outstanding.len()) {
            self.send(at, position);
        }
    }

    /// After a restart: idempotent writers send again what is unsettled, in order; the others never learn.
    fn resend(&mut self) {
        for at in 0..self.writers.len() {
            if self.writers[at].idempotent {
                for position in 0..self.writers[at].outstanding.len() {
                    self.send(at, position);
                }
            } else {
                self.writers[at].outstanding.clear();
            }
        }
    }

    fn pass(&mut self) {
        let (now, number) = (self.now, self.rng.below(u64::from(SHARDS)) as usize);
        self.with_broker(|broker| broker.pass(now, number));
    }

    fn sync(&mut self) {
        let (now, all) = (self.now, self.rng.once_in(2));
        self.with_broker(|broker| broker.sync(now, all));
    }

    fn tick(&mut self) {
        self.now.mono_ms += 100;
        self.now.wall_ms += 100;
        let now = self.now;
        if let Some(broker) = &mut self.broker {
            broker.tick(now);
        }
    }

    /// Passes and syncs until nothing moves any more.
    fn settle(&mut self) {
        for _ in 0..30 {
            self.round_trip();
        }
    }

    fn round_trip(&mut self) {
        let now = self.now;
        self.with_broker(|broker| {
            for number in 0..SHARDS as usize {
                broker.pass(now, number)?;
            }
            broker.sync(now, true)
        });
        self.take_replies();
    }

    /// A failed write or sync ends the process: then the power goes too, or it does not.
    fn with_broker(&mut self, act: impl FnOnce(&mut Broker) -> Result<(), Fatal>) {
        let failed = self.broker.as_mut().is_some_and(|broker| act(broker).is_err());
        if failed {
            self.crash();
        }
    }

    fn crash(&mut self) {
        self.take_replies();
        self.crashes += 1;
        if let Some(broker) = self.broker.take() {
            self.trace.update(&broker.trace.finalize().to_le_bytes());
        }
        self.waiting.clear();
        let kind = if self.faults.once_in(3) { Crash::ProcessDies } else { Crash::PowerDies };
        self.fs.crash(kind);
        self.planned = false;
        self.trace.update(&self.fs.durable_hash().to_le_bytes());
    }

    fn fault(&mut self) {
        let soon = 1 + self.faults.below(12);
        match self.faults.below(20) {
            0..4 => return self.crash(),
            4..9 => self.fs.cut_after(soon),
            9 => self.fs.fail(Op::Sync, "", soon / 3, Fault::Io),
            10 => self.fs.fail(Op::Write, "", soon, Fault::Io),
            11 => return self.fs.set_quota(Some(self.fs.used() + self.faults.below(200_000))),
            12..16 => return self.fs.set_quota(None),
            _ => return,
        }
        self.planned = true;
    }

    /// A command of the control partition: its log is snapshotted and cut, and no id is given twice.
    fn init_producer(&mut self) {
        let ticket = self.ticket(Waiting::Producer);
        let now = self.now;
        if let Some(broker) = &mut self.broker {
            let request = Request::InitProducer { continue_from: None };
            broker.input(now, PartitionId::CONTROL, ShardInput::Control { ticket, request });
        }
    }

    fn trim(&mut self) {
        let partition = partition_id(self.rng.below(PARTITIONS as u64) as u32);
        let ticket = self.ticket(Waiting::Other);
        let now = self.now;
        let Some(broker) = &mut self.broker else { return };
        let Some(published) = broker.views.get(&partition).and_then(|view| view.published.clone()) else {
            return;
        };
        let span = (published.high_watermark.0 - published.log_start.0).max(1) as u64;
        let before = Offset(published.log_start.0 + self.rng.below(span) as i64 / 2);
        broker.input(now, partition, ShardInput::Trim { ticket, partition, before, validate_only: false });
    }

    /// The faults end, everything unsettled is settled, and everything there is is read.
    fn heal(&mut self) {
        if !self.wrong.is_empty() {
            return;
        }
        self.fs.set_quota(None);
        self.crash();
        self.start();
        for _ in 0..20 {
            self.settle();
            for at in 0..self.writers.len() {
                for position in 0..self.writers[at].outstanding.len() {
                    self.send(at, position);
                }
            }
        }
        self.settle();
        if let Some(writer) = self.writers.iter().find(|writer| !writer.outstanding.is_empty()) {
            self.wrong.push(format!("writer {} is never answered", writer.number));
        }
        self.history.push(Event::FinalReads);
        for partition in 0..PARTITIONS as u32 {
            self.read_all(partition);
        }
        self.wrong.extend(frames::check(&*self.fs));
        let violations = self.fs.violations();
        self.wrong.extend(violations.into_iter().map(|violation| format!("the disk saw: {violation}")));
    }

    fn outcome(mut self) -> Outcome {
        // A life that ended early has no last reads to judge by.
        if self.history.contains(&Event::FinalReads) {
            let violations: Vec<Violation> = check(&self.history);
            self.wrong.extend(violations.into_iter().map(|violation| format!("{violation:?}")));
        }
        let trace = u64::from(self.trace.finalize()) << 32 | (self.fs.durable_hash() & u64::from(u32::MAX));
        Outcome { violations: self.wrong, trace, crashes: self.crashes, acked: self.acked }
    }
}
