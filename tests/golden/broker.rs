//! One broker: the shards and the disk of production, driven step by step.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::Arc;

use caudal_broker::ids::{PartitionId, ShardId};
use caudal_broker::log::{Disk, Fatal, Fs, Log, LogConfig, MetaLog, Reader, Round, RoundDone};
use caudal_broker::node::{Identity, Input, Now, Options, Published, ShardMessage, shard_of};
use caudal_broker::runtime::shard::{Effect, Shard, ShardInput, ShardOptions};
use caudal_broker::state::{TopicConfig, TopicDefaults};
use caudal_harness::lying_fs::ROOT;

pub(crate) const SHARDS: u32 = 2;

/// Commands between two snapshots: few, so that a script can show one.
const SNAPSHOT_ENTRIES: u64 = 20;

/// What readers know of a partition.
#[derive(Default)]
pub(crate) struct View {
    pub(crate) reader: Option<Reader>,
    pub(crate) published: Option<Published>,
}

/// A running broker. It ends with the first error of its disk.
pub(crate) struct Broker {
    shards: Vec<Shard>,
    disk: Disk,
    rounds: VecDeque<(usize, Round)>,
    mail: VecDeque<(ShardId, ShardMessage)>,
    pub(crate) views: BTreeMap<PartitionId, View>,
}

impl Broker {
    /// Starts on whatever the disk holds, in the order of the server.
    pub(crate) fn start(fs: &Arc<dyn Fs>) -> Result<Broker, String> {
        let root = Path::new(ROOT);
        let meta = MetaLog::open(Arc::clone(fs), root).map_err(|error| error.to_string())?;
        let mut recovered: Vec<BTreeMap<_, _>> = (0..SHARDS).map(|_| BTreeMap::new()).collect();
        let built_in = TopicConfig::default();
        let config = LogConfig { segment_bytes: built_in.segment_bytes, segment_ms: built_in.segment_ms };
        for (id, partition) in meta.partitions().iter().filter(|(_, partition)| !partition.removed) {
            let log = Log::open(Arc::clone(fs), root, *id, partition, config);
            recovered[shard_of(*id, SHARDS).0 as usize].insert(*id, (partition.clone(), log));
        }
        let deleted = meta.deleted();
        let mut disk = Disk::new(Arc::clone(fs), root.to_owned(), meta);
        disk.sweep().map_err(|error| error.to_string())?;
        let shards = (0..).zip(recovered).map(|(number, recovered)| {
            let identity = Identity::alone(uuid::Uuid::from_u128(7), "127.0.0.1:7171".into());
            let defaults = TopicDefaults::default();
            let node = Options {
                shard: ShardId(number),
                shards: SHARDS,
                seed: 1,
                identity,
                defaults,
                snapshot_entries: SNAPSHOT_ENTRIES,
            };
            Shard::new(ShardOptions {
                node,
                fs: Arc::clone(fs),
                root: root.to_owned(),
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
        })
    }

    /// Hands an input to the shard of a partition.
    pub(crate) fn input(&mut self, now: Now, partition: PartitionId, input: ShardInput) {
        self.shards[shard_of(partition, SHARDS).0 as usize].handle(now, input);
    }

    /// Hands an input to every shard.
    pub(crate) fn input_all(&mut self, now: Now, input: impl Fn() -> ShardInput) {
        self.shards.iter_mut().for_each(|shard| shard.handle(now, input()));
    }

    /// The first half of a pass of a shard: its mail, then all it has to say.
    pub(crate) fn flush(&mut self, now: Now, number: usize) -> Result<Vec<Effect>, Fatal> {
        let (own, others) =
            std::mem::take(&mut self.mail).into_iter().partition(|(to, _)| to.0 as usize == number);
        self.mail = others;
        let own: VecDeque<_> = own;
        let shard = &mut self.shards[number];
        for (_, message) in own {
            shard.handle(now, ShardInput::Machine(Input::Shard(message)));
        }
        shard.flush(now)?;
        Ok(shard.effects().collect())
    }

    /// Does what the shell does with an effect.
    pub(crate) fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::ToShard { shard, message } => self.mail.push_back((shard, message)),
            Effect::Opened { partition, reader, .. } => {
                self.views.entry(partition).or_default().reader = Some(reader);
            }
            Effect::Publish { partition, view } => {
                self.views.entry(partition).or_default().published = Some(view);
            }
            Effect::Deleted { partition } => {
                self.views.remove(&partition);
            }
            Effect::Reply { .. } | Effect::Configured { .. } | Effect::Catalog(_) | Effect::Registered(_) => {
            }
            Effect::Send { .. } | Effect::Statuses(_) | Effect::Read(_) => {}
        }
    }

    /// The other half of a pass: the round that the shard hands over.
    pub(crate) fn take_round(&mut self, now: Now, number: usize) -> Option<&Round> {
        let round = self.shards[number].take_round(now)?;
        self.rounds.push_back((number, round));
        self.rounds.back().map(|(_, round)| round)
    }

    /// The disk runs all rounds that wait, together.
    pub(crate) fn run_disk(&mut self) -> Result<Vec<(usize, RoundDone)>, Fatal> {
        let (shards, rounds): (Vec<usize>, Vec<Round>) = self.rounds.drain(..).unzip();
        if rounds.is_empty() {
            return Ok(Vec::new());
        }
        Ok(shards.into_iter().zip(self.disk.run(rounds)?).collect())
    }

    /// A shard hears that its round is done.
    pub(crate) fn round_done(&mut self, now: Now, number: usize, done: RoundDone) -> Result<(), Fatal> {
        self.shards[number].round_done(now, done)
    }

    /// Whether something waits for the disk or for another shard.
    pub(crate) fn is_busy(&self) -> bool {
        !self.rounds.is_empty() || !self.mail.is_empty()
    }

    /// Whether every shard has finished what it began.
    pub(crate) fn is_drained(&self) -> bool {
        self.shards.iter().all(Shard::is_drained)
    }

    /// The last round of each shard waits for the disk.
    pub(crate) fn close(&mut self) -> Vec<(usize, &Round)> {
        for (number, shard) in self.shards.iter_mut().enumerate() {
            self.rounds.extend(shard.close().map(|round| (number, round)));
        }
        self.rounds.iter().map(|(number, round)| (*number, round)).collect()
    }

    /// The disk's last act.
    pub(crate) fn settle(&mut self) -> Result<(), Fatal> {
        self.disk.settle()
    }
}
