//! Brokers that start, crash and start again, each on a disk of its own.

use std::sync::Arc;

use caudal_broker::ids::{NodeId, PartitionId, ReplicaId};
use caudal_broker::log::{Fatal, Fs};
use caudal_broker::node::{Founder, Identity, Input, Probe};
use caudal_broker::runtime::shard::ShardInput;
use caudal_broker::state::{LEVEL, NewMember};
use caudal_harness::lying_fs::{Crash, Fault, LyingFs, Op};

use crate::agreement::partitions;
use crate::broker::{Broker, SHARDS};
use crate::network::Letter;
use crate::world::World;

/// A machine: a disk, and a broker on it or not.
pub(crate) struct Host {
    pub(crate) fs: Arc<LyingFs>,
    pub(crate) broker: Option<Broker>,
    /// A fault waits for its moment: calls may fail.
    pub(crate) planned: bool,
    /// It hears and does nothing, like a process that was stopped.
    pub(crate) paused: bool,
    /// The step before which its disk finishes nothing.
    pub(crate) slow_until: u64,
    /// Who the broker on it is; nobody before it joins.
    pub(crate) identity: Option<Identity>,
    /// How often a broker was started on it.
    pub(crate) lives: u64,
    /// The step before which nobody repairs it.
    pub(crate) down_until: u64,
    /// It was taken out of the cluster, and switched off.
    pub(crate) gone: bool,
}

impl Host {
    pub(crate) fn new(seed: u64) -> Host {
        Host {
            fs: Arc::new(LyingFs::new(seed)),
            broker: None,
            planned: false,
            paused: false,
            slow_until: 0,
            identity: None,
            lives: 0,
            down_until: 0,
            gone: false,
        }
    }
}

/// The number of a host as a broker of the cluster.
pub(crate) fn node(host: usize) -> NodeId {
    NodeId(host as i32 + 1)
}

/// What a broker says of itself before it belongs to a cluster.
pub(crate) fn said(host: usize) -> NewMember {
    NewMember {
        uuid: uuid::Uuid::from_u128(7 + host as u128),
        address: format!("127.0.0.1:{}", 7171 + host * 100),
        peer_address: format!("127.0.0.1:{}", 7172 + host * 100),
        rack: None,
        level: LEVEL,
    }
}

/// Who a broker is: one of the founders, or one that joined them.
pub(crate) fn identity(host: usize, node: NodeId, control: ReplicaId, founders: usize) -> Identity {
    let NewMember { uuid, address, peer_address, rack, .. } = said(host);
    let founder = |host| Founder { uuid: said(host).uuid, peer_address: said(host).peer_address };
    let founders = (0..founders).map(founder).collect();
    Identity { node_uuid: uuid, address, peer_address, rack, node, control, founders }
}

impl World {
    /// Starts a broker; tries again where a planned fault hits the start itself.
    pub(crate) fn start(&mut self, at: usize) {
        let Some(identity) = self.hosts[at].identity.clone().filter(|_| !self.hosts[at].gone) else { return };
        for _ in 0..20 {
            let fs = Arc::clone(&self.hosts[at].fs) as Arc<dyn Fs>;
            let seed = self.seed.wrapping_add(at as u64 * 7919);
            match Broker::start(fs, seed, &identity) {
                Ok(broker) => {
                    self.hosts[at].broker = Some(broker);
                    self.hosts[at].lives += 1;
                    self.meet(at);
                    return;
                }
                Err(_) if self.hosts[at].planned => self.crash(at),
                Err(error) => {
                    return self.wrong.push(format!("broker {at} does not start on a healthy disk: {error}"));
                }
            }
        }
        self.wrong.push(format!("broker {at} does not start"));
    }

    /// The others hear that it lives, and it of them.
    fn meet(&mut self, at: usize) {
        for other in (0..self.hosts.len()).filter(|other| *other != at) {
            if self.hosts[other].broker.is_some() {
                self.tell(other, &|| ShardInput::Machine(Input::PeerUp(node(at))));
                self.tell(at, &|| ShardInput::Machine(Input::PeerUp(node(other))));
            }
        }
    }

    /// Hands an input to every shard of a broker.
    pub(crate) fn tell(&mut self, at: usize, input: &dyn Fn() -> ShardInput) {
        let now = self.now;
        if let Some(broker) = &mut self.hosts[at].broker {
            broker.input_all(now, input);
        }
    }

    /// One pass of one shard, and what it has for the others.
    pub(crate) fn pass(&mut self, at: usize, shard: usize) {
        let now = self.now;
        self.with_broker(at, |broker| broker.pass(now, shard));
        self.carry_letters(at);
    }

    pub(crate) fn carry_letters(&mut self, at: usize) {
        let Some(broker) = &mut self.hosts[at].broker else { return };
        let (letters, statuses) = (std::mem::take(&mut broker.letters), std::mem::take(&mut broker.statuses));
        let closed = std::mem::take(&mut broker.closed);
        // A fault of the disk closes what cannot be opened, until the next start.
        for (partition, why) in closed.into_iter().filter(|_| !self.hosts[at].planned) {
            // It says so until another replica is there.
            if self.rotten.get(&partition) == Some(&at) {
                continue;
            }
            self.wrong.push(format!("broker {at} closes partition {partition}: {why}"));
        }
        for (to, message) in letters {
            let to = (to.0 - 1) as usize;
            let partition = PartitionId::of_fields(&message.topic_id, message.partition);
            let replica = ReplicaId(message.to);
            let sent = to < self.hosts.len() && self.network.send(at, to, Letter::Message(message));
            if !sent && let Some(partition) = partition {
                let now = self.now;
                if let Some(broker) = &mut self.hosts[at].broker {
                    broker.input(now, partition, ShardInput::Machine(Input::Dropped { partition, replica }));
                }
            }
        }
        for statuses in statuses {
            for to in (0..self.hosts.len()).filter(|to| *to != at) {
                self.network.send(at, to, Letter::Statuses(statuses.clone()));
            }
        }
    }

    /// What has arrived is handed over; a broker that is paused hears it later.
    pub(crate) fn deliver(&mut self) {
        let now = self.now;
        for (from, to, letter) in self.network.arrivals() {
            if self.hosts[to].paused {
                self.network.send(from, to, letter);
                continue;
            }
            let Some(broker) = &mut self.hosts[to].broker else { continue };
            let partition = match &letter {
                Letter::Message(message) => PartitionId::of_fields(&message.topic_id, message.partition),
                Letter::Statuses(_) => Some(PartitionId::CONTROL),
            };
            if let Some(partition) = partition {
                broker.input(now, partition, letter.input(node(from)));
            }
        }
    }

    /// What a replica on a host knows of its group.
    pub(crate) fn probe(&self, at: usize, partition: PartitionId) -> Option<Probe> {
        self.hosts[at].broker.as_ref().and_then(|broker| broker.probe(partition))
    }

    pub(crate) fn sync(&mut self, at: usize) {
        let (now, all) = (self.now, self.rng.once_in(2));
        if self.hosts[at].slow_until <= self.steps {
            self.with_broker(at, |broker| broker.sync(now, all));
        }
    }

    fn sync_all(&mut self, at: usize) {
        let now = self.now;
        if self.hosts[at].slow_until <= self.steps {
            self.with_broker(at, |broker| broker.sync(now, true));
        }
    }

    pub(crate) fn tick(&mut self, at: usize) {
        let now = self.now;
        if let Some(broker) = &mut self.hosts[at].broker {
            broker.tick(now);
        }
    }

    /// Passes and syncs of one broker until it has nothing at the disk.
    pub(crate) fn round_trip(&mut self, at: usize) {
        for shard in 0..SHARDS as usize {
            self.pass(at, shard);
        }
        self.sync_all(at);
        for shard in 0..SHARDS as usize {
            self.pass(at, shard);
        }
    }

    /// A failed write or sync ends the process: then the power goes too, or it does not.
    fn with_broker(&mut self, at: usize, act: impl FnOnce(&mut Broker) -> Result<(), Fatal>) {
        let Some(Err(fatal)) = self.hosts[at].broker.as_mut().map(act) else { return };
        if !self.hosts[at].planned {
            self.wrong.push(format!("broker {at} stops on a healthy disk: {fatal}"));
        }
        self.crash(at);
    }

    pub(crate) fn crash(&mut self, at: usize) {
        let process = self.faults.once_in(3) || self.memory;
        self.crash_as(at, if process { Crash::ProcessDies } else { Crash::PowerDies });
    }

    pub(crate) fn crash_as(&mut self, at: usize, kind: Crash) {
        self.take_replies(at);
        self.coverage.counts.crashes += 1;
        self.network.forget(at);
        let host = &mut self.hosts[at];
        if let Some(broker) = host.broker.take() {
            self.trace.update(&broker.trace.finalize().to_le_bytes());
        }
        host.fs.crash(kind);
        (host.planned, host.paused, host.slow_until) = (false, false, 0);
        // One machine at a time may be away for so long that the others cut their logs meanwhile.
        let long = self.hosts.iter().all(|host| host.down_until <= self.steps) && self.faults.once_in(3);
        if long && self.founders > 1 {
            self.hosts[at].down_until = self.steps + 150 + self.faults.below(450);
        }
        let host = &self.hosts[at];
        self.trace.update(&host.fs.durable_hash().to_le_bytes());
        self.rot(at);
        self.lose_tickets(at);
        // A connection that is reset is noticed at once, a machine that is silent a little later or never.
        for other in (0..self.hosts.len()).filter(|other| *other != at) {
            if self.faults.once_in(2) {
                self.tell(other, &|| ShardInput::Machine(Input::PeerDown(node(at))));
            }
        }
    }

    /// Something happens to one broker, its disk, or the network.
    pub(crate) fn fault(&mut self) {
        let soon = 1 + self.faults.below(12);
        let count = self.hosts.len() as u64;
        let at = self.faults.below(count) as usize;
        let (memory, host) = (self.memory, &mut self.hosts[at]);
        match self.faults.below(27) {
            4..10 if memory => return self.crash(at),
            0..4 => return self.crash(at),
            4..8 => host.fs.cut_after(soon),
            8 => host.fs.fail(Op::Sync, "", soon / 3, Fault::Io),
            9 => host.fs.fail(Op::Write, "", soon, Fault::Io),
            10 => return host.fs.set_quota(Some(host.fs.used() + self.faults.below(200_000))),
            11..15 => return host.fs.set_quota(None),
            15 => return self.pause(at),
            16..18 => return self.resume(),
            18..21 => return self.cut(at),
            21..24 => return self.network.heal(),
            // One disk at a time, so that there is somebody to take over.
            24 if self.hosts.iter().all(|host| host.slow_until <= self.steps) && self.founders > 1 => {
                self.hosts[at].slow_until = self.steps + 100 + self.faults.below(400);
                let leads = |partition| self.probe(at, partition).is_some_and(|probe| probe.leads);
                self.coverage.counts.stalls += u64::from(partitions().into_iter().any(leads));
                return;
            }
            25 if self.faults.once_in(4) => return self.crash_all(),
            _ => return,
        }
        self.hosts[at].planned = true;
    }

    fn pause(&mut self, at: usize) {
        self.hosts[at].paused = self.founders > 1;
    }

    pub(crate) fn resume(&mut self) {
        for host in &mut self.hosts {
            host.paused = false;
        }
    }

    fn cut(&mut self, at: usize) {
        let other = self.faults.below(self.hosts.len() as u64) as usize;
        if other == at {
            return;
        }
        let both = self.faults.once_in(2);
        self.network.cut(at, other, both);
        if self.faults.once_in(2) {
            self.tell(other, &|| ShardInput::Machine(Input::PeerDown(node(at))));
        }
    }

    /// The power of the whole house.
    fn crash_all(&mut self) {
        for at in 0..self.hosts.len() {
            self.crash(at);
        }
    }
}
