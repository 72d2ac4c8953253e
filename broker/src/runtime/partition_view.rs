//! What readers may know of one partition, without asking its shard.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use arc_swap::{ArcSwap, ArcSwapOption};

use super::meters::traffic::Traffic;
use super::watcher::{Watcher, Watchers};
use crate::ids::{NodeId, Offset, PartitionId, ShardId, Term};
use crate::log::Reader;
use crate::node::Published;
use crate::state::TopicConfig;

/// The part of the published state that seldom changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The leader, where known.
    pub leader: Option<NodeId>,
    /// The leader's epoch.
    pub epoch: Term,
    /// This broker leads and has committed in its term: offsets are exact.
    pub ready: bool,
    /// What was committed before this broker started is applied here.
    pub current: bool,
    /// Where the replicas are.
    pub replicas: Arc<[NodeId]>,
    /// Why the partition takes no writes, where it does not.
    pub closed: Option<Arc<str>>,
}

/// One partition as readers see it. Written by its shard alone.
pub struct PartitionView {
    /// Which.
    pub id: PartitionId,
    /// The topic's name.
    pub topic: Arc<str>,
    /// The shard that holds it.
    pub shard: ShardId,
    /// What was written to its topic here, and read from it.
    pub traffic: Arc<Traffic>,
    high_watermark: AtomicI64,
    log_start: AtomicI64,
    gone: AtomicBool,
    standing: ArcSwap<Standing>,
    config: ArcSwap<TopicConfig>,
    reader: ArcSwapOption<Reader>,
    /// One for each shard whose connections may wait.
    watchers: Box<[Watchers]>,
}

impl std::fmt::Debug for PartitionView {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("PartitionView").field(&self.id).finish()
    }
}

impl PartitionView {
    /// A partition of which nothing is known but its name, its topic's `traffic`, and its shard of so many.
    pub fn new(
        id: PartitionId,
        topic: Arc<str>,
        config: Arc<TopicConfig>,
        traffic: Arc<Traffic>,
        (shard, shards): (ShardId, u32),
    ) -> PartitionView {
        let standing = Standing {
            leader: None,
            epoch: Term(0),
            ready: false,
            current: false,
            replicas: Arc::from([]),
            closed: None,
        };
        PartitionView {
            id,
            topic,
            shard,
            traffic,
            high_watermark: AtomicI64::new(0),
            log_start: AtomicI64::new(0),
            gone: AtomicBool::new(false),
            standing: ArcSwap::from_pointee(standing),
            config: ArcSwap::new(config),
            reader: ArcSwapOption::empty(),
            watchers: (0..shards).map(|_| Watchers::default()).collect(),
        }
    }

    /// The first offset that readers may not see.
    pub fn high_watermark(&self) -> Offset {
        Offset(self.high_watermark.load(Ordering::SeqCst))
    }

    /// The first offset that readers may see.
    pub fn log_start(&self) -> Offset {
        Offset(self.log_start.load(Ordering::SeqCst))
    }

    /// Whether the topic was deleted.
    pub fn is_gone(&self) -> bool {
        self.gone.load(Ordering::SeqCst)
    }

    /// Leader, epoch, replicas.
    pub fn standing(&self) -> Arc<Standing> {
        self.standing.load_full()
    }

    /// The topic's configuration.
    pub fn config(&self) -> Arc<TopicConfig> {
        self.config.load_full()
    }

    /// The log's reader; `None` while the log is not open.
    pub fn reader(&self) -> Option<Arc<Reader>> {
        self.reader.load_full()
    }

    /// Takes over what the machine published. Whether anything changed that is not an offset.
    pub(super) fn publish(&self, view: Published) -> bool {
        let standing = Standing {
            leader: view.leader,
            epoch: view.epoch,
            ready: view.ready,
            current: view.current,
            replicas: view.replicas,
            closed: view.closed,
        };
        // Offsets first: a reader that sees `ready` sees the offsets that go with it.
        self.log_start.store(view.log_start.0, Ordering::SeqCst);
        self.high_watermark.store(view.high_watermark.0, Ordering::SeqCst);
        let changed = **self.standing.load() != standing;
        if changed {
            self.standing.store(Arc::new(standing));
        }
        changed
    }

    pub(super) fn opened(&self, reader: Reader) {
        self.reader.store(Some(Arc::new(reader)));
    }

    pub(super) fn configure(&self, config: Arc<TopicConfig>) {
        self.config.store(config);
    }

    pub(super) fn close(&self) {
        self.gone.store(true, Ordering::SeqCst);
        self.reader.store(None);
    }

    /// Watches the partition for its next change, for connections of `shard`.
    ///
    /// Look at the partition after this, and before waiting: a change before it wakes nobody.
    pub fn watch(self: &Arc<Self>, shard: ShardId, watcher: &Arc<Watcher>, number: u32) -> Watch {
        let key = self.watchers[shard.0 as usize].add(watcher, number);
        Watch { view: Arc::clone(self), shard, key }
    }

    /// The shards on which somebody waits. After a publish.
    pub(super) fn watching(&self) -> impl Iterator<Item = ShardId> {
        (0u32..)
            .zip(self.watchers.iter())
            .filter(|(_, watchers)| !watchers.is_empty())
            .map(|(n, _)| ShardId(n))
    }

    /// Wakes who waits on `shard`.
    pub(super) fn wake(&self, shard: ShardId) {
        self.watchers[shard.0 as usize].wake();
    }
}

/// A registration of a [`Watcher`]; dropping it ends the wait.
#[derive(Debug)]
pub struct Watch {
    view: Arc<PartitionView>,
    shard: ShardId,
    key: u64,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.view.watchers[self.shard.0 as usize].remove(self.key);
    }
}
