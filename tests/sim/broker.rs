//! One broker in the simulator: the shards and the disk of production, driven by hand.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use caudal_broker::ids::{NodeId, PartitionId, ShardId};
use caudal_broker::log::{Disk, Fatal, Fs, Log, LogConfig, MetaLog, Reader, Round, Voters};
use caudal_broker::node::{
    Identity, Input, NO_ROOM_FOR_LOG, Now, Options, Probe, Published, Reply, ShardMessage, Ticket, shard_of,
};
use caudal_broker::runtime::shard::{Effect, LogRead, Shard, ShardInput, ShardOptions};
use caudal_broker::state::{Catalog, TopicDefaults};
use caudal_proto::peer;

pub(crate) const SHARDS: u32 = 2;

/// What readers of the broker know of a partition.
pub(crate) struct View {
    pub(crate) reader: Reader,
    pub(crate) published: Option<Published>,
}

/// A running broker. It ends with the first error of its disk.
pub(crate) struct Broker {
    shards: Vec<Shard>,
    disk: Disk,
    rounds: VecDeque<(usize, Round)>,
    mail: VecDeque<(ShardId, ShardMessage)>,
    pub(crate) views: BTreeMap<PartitionId, View>,
    pub(crate) catalog: Option<Arc<Catalog>>,
    pub(crate) node: Option<NodeId>,
    pub(crate) replies: Vec<(Ticket, Reply)>,
    /// Messages for other brokers.
    pub(crate) letters: Vec<(NodeId, Box<peer::Message>)>,
    /// Why partitions take no part any more.
    pub(crate) closed: Vec<(PartitionId, Arc<str>)>,
    /// What it says of the partitions that it leads.
    pub(crate) statuses: Vec<Vec<peer::PartitionStatus>>,
    reads: Vec<LogRead>,
    identity: Identity,
    /// A hash of everything that came out.
    pub(crate) trace: crc32fast::Hasher,
}

fn root() -> PathBuf {
    PathBuf::from("/data")
}

impl Broker {
    /// Starts on whatever the disk holds, as the server does.
    pub(crate) fn start(fs: Arc<dyn Fs>, seed: u64, identity: &Identity) -> Result<Broker, String> {
        fs.create_dir_all(&root()).map_err(|error| error.to_string())?;
        fs.sync_dir(Path::new("/")).map_err(|error| error.to_string())?;
        let meta = MetaLog::open(Arc::clone(&fs), &root()).map_err(|error| error.to_string())?;
        let mut recovered: Vec<BTreeMap<_, _>> = (0..SHARDS).map(|_| BTreeMap::new()).collect();
        for (id, partition) in meta.partitions().iter().filter(|(_, partition)| !partition.removed) {
            let config = LogConfig { segment_bytes: 128 * 1024 * 1024, segment_ms: i64::MAX };
            let log = Log::open(Arc::clone(&fs), &root(), *id, partition, config);
            recovered[shard_of(*id, SHARDS).0 as usize].insert(*id, (partition.clone(), log));
        }
        let deleted = meta.deleted();
        let mut disk = Disk::new(Arc::clone(&fs), root(), meta);
        disk.settle().map_err(|error| error.to_string())?;
        let shards = recovered.into_iter().enumerate().map(|(number, recovered)| {
            Shard::new(ShardOptions {
                node: Options {
                    shard: ShardId(number as u32),
                    shards: SHARDS,
                    seed,
                    identity: identity.clone(),
                    defaults: TopicDefaults::default(),
                    snapshot_entries: 6,
                },
                fs: Arc::clone(&fs),
                root: root(),
                recovered,
                deleted: deleted.clone(),
            })
        });
        Ok(Broker {
            shards: shards.collect(),
            disk,
            rounds: VecDeque::new(),
            mail: VecDeque::new(),
            views: BTreeMap::new(),
            catalog: None,
            node: None,
            replies: Vec::new(),
            letters: Vec::new(),
            closed: Vec::new(),
            statuses: Vec::new(),
            reads: Vec::new(),
            identity: identity.clone(),
            trace: crc32fast::Hasher::new(),
        })
    }

    /// Hands an input to the shard of a partition.
    pub(crate) fn input(&mut self, now: Now, partition: PartitionId, input: ShardInput) {
        self.shards[shard_of(partition, SHARDS).0 as usize].handle(now, input);
    }

    /// Hands an input to every shard.
    pub(crate) fn input_all(&mut self, now: Now, input: &dyn Fn() -> ShardInput) {
        for shard in &mut self.shards {
            shard.handle(now, input());
        }
    }

    /// What a replica here knows of its group, if it takes part.
    pub(crate) fn probe(&self, partition: PartitionId) -> Option<Probe> {
        self.shards[shard_of(partition, SHARDS).0 as usize].node().probe(partition)
    }

    /// The voters that a replica here knows of its group, if it takes part.
    pub(crate) fn voters(&self, partition: PartitionId) -> Option<Voters> {
        self.shards[shard_of(partition, SHARDS).0 as usize].node().voters(partition)
    }

    /// The state of the control partition.
    pub(crate) fn control_state(&self) -> bytes::Bytes {
        self.shards[0].node().control_state()
    }

    /// A tenth of a second passes everywhere.
    pub(crate) fn tick(&mut self, now: Now) {
        for shard in &mut self.shards {
            shard.handle(now, ShardInput::Tick);
        }
    }

    /// One pass of one shard.
    pub(crate) fn pass(&mut self, now: Now, number: usize) -> Result<(), Fatal> {
        let shard = &mut self.shards[number];
        for _ in 0..self.mail.len() {
            let Some((to, message)) = self.mail.pop_front() else { break };
            if to.0 as usize == number {
                shard.handle(now, ShardInput::Machine(Input::Shard(message)));
            } else {
                self.mail.push_back((to, message));
            }
        }
        for read in std::mem::take(&mut self.reads) {
            if shard_of(read.partition, SHARDS).0 as usize == number {
                shard.handle(now, read.run());
            } else {
                self.reads.push(read);
            }
        }
        shard.flush(now)?;
        let effects: Vec<Effect> = shard.effects().collect();
        if let Some(round) = shard.take_round(now) {
            self.rounds.push_back((number, round));
        }
        for effect in effects {
            self.carry_out(now, effect);
        }
        Ok(())
    }

    fn carry_out(&mut self, now: Now, effect: Effect) {
        match effect {
            Effect::Reply { ticket, reply } => {
                self.note(&format!("reply {ticket} {reply:?}"));
                self.replies.push((ticket, reply));
            }
            Effect::ToShard { shard, message } => self.mail.push_back((shard, message)),
            Effect::Opened { partition, reader, .. } => {
                self.views.insert(partition, View { reader, published: None });
            }
            Effect::Configured { .. } => {}
            Effect::Publish { partition, view } => {
                self.note(&format!("publish {partition} {view:?}"));
                // A full disk passes.
                if let Some(why) = view.closed.clone().filter(|why| **why != *NO_ROOM_FOR_LOG) {
                    self.closed.push((partition, why));
                }
                if let Some(known) = self.views.get_mut(&partition) {
                    known.published = Some(view);
                }
            }
            Effect::Deleted { partition } => {
                self.views.remove(&partition);
            }
            Effect::Catalog(catalog) => self.catalog = Some(catalog),
            Effect::Registered(node) => self.node = Some(node),
            Effect::Send { to, message, .. } => {
                self.note(&format!("send {to} {message:?}"));
                self.letters.push((to, message));
            }
            Effect::Statuses(statuses) => {
                let from = self.identity.node;
                self.shards[0]
                    .handle(now, ShardInput::Machine(Input::Statuses { from, statuses: statuses.clone() }));
                self.statuses.push(statuses);
            }
            Effect::Read(read) => self.reads.push(read),
        }
    }

    fn note(&mut self, line: &str) {
        self.trace.update(line.as_bytes());
    }

    /// The disk runs the rounds that wait, all together or the first alone.
    pub(crate) fn sync(&mut self, now: Now, all: bool) -> Result<(), Fatal> {
        let count = if all { self.rounds.len() } else { self.rounds.len().min(1) };
        let (shards, rounds): (Vec<usize>, Vec<Round>) = self.rounds.drain(..count).unzip();
        if rounds.is_empty() {
            return Ok(());
        }
        for (shard, done) in shards.into_iter().zip(self.disk.run(rounds)?) {
            self.shards[shard].round_done(now, done)?;
        }
        Ok(())
    }
}
