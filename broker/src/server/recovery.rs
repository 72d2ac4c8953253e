//! Opening every log that the meta log knows, in parallel, before any partition starts.

use std::collections::BTreeMap;
use std::io;
use std::num::NonZero;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use crate::ids::PartitionId;
use crate::log::{Fs, Log, LogConfig, MetaLog, OpenError, PartitionMeta, Recovered};
use crate::node::shard_of;
use crate::state::TopicConfig;

/// The logs of one shard.
pub(super) type Logs = BTreeMap<PartitionId, (PartitionMeta, Result<Recovered, OpenError>)>;

/// Threads for each core: recovery waits for the disk more than it computes.
const THREADS_PER_CORE: usize = 4;

/// Opens and recovers all logs; by shard. A log that cannot be opened is told to its shard, the others start.
///
/// # Errors
/// A thread cannot be started.
pub(super) fn open_logs(fs: &Arc<dyn Fs>, root: &Path, meta: &MetaLog, shards: u32) -> io::Result<Vec<Logs>> {
    let known: Vec<_> = meta.partitions().iter().filter(|(_, meta)| !meta.removed).collect();
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let threads = (cores * THREADS_PER_CORE).min(known.len());
    let next = Mutex::new(known.into_iter());
    let opened = Mutex::new((0..shards).map(|_| Logs::new()).collect::<Vec<_>>());
    std::thread::scope(|scope| {
        for number in 0..threads {
            let work = || {
                loop {
                    let one = next.lock().unwrap_or_else(PoisonError::into_inner).next();
                    let Some((&partition, meta)) = one else { return };
                    let log = Log::open(Arc::clone(fs), root, partition, meta, config());
                    if let Err(error) = &log {
                        tracing::error!(%partition, "the log cannot be opened: {error}");
                    }
                    let shard = shard_of(partition, shards).0 as usize;
                    let mut opened = opened.lock().unwrap_or_else(PoisonError::into_inner);
                    opened[shard].insert(partition, (meta.clone(), log));
                }
            };
            std::thread::Builder::new().name(format!("recovery-{number}")).spawn_scoped(scope, work)?;
        }
        io::Result::Ok(())
    })?;
    Ok(opened.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// Until the topic's own is known, which the shard sets before it writes anything.
fn config() -> LogConfig {
    let built_in = TopicConfig::default();
    LogConfig { segment_bytes: built_in.segment_bytes, segment_ms: built_in.segment_ms }
}
