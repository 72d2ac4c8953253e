//! A disk that loses a log which it had synced, while a majority of the partition's replicas is well: the replica never
//! takes part again, and another one takes its place.

use std::path::Path;
use std::sync::Arc;

use caudal_broker::ids::PartitionId;
use caudal_broker::log::{Fs, MetaLog, Voters, paths};

use crate::world::{PARTITIONS, World, partition_id};

impl World {
    /// A machine has just gone down: now and then its disk loses one log of the topic, once in a life for each partition.
    pub(crate) fn rot(&mut self, at: usize) {
        let partition = self.decay.below(PARTITIONS as u64) as u32;
        if self.founders == 1 || self.memory || !self.network.faulty || !self.decay.once_in(4) {
            return;
        }
        let id = partition_id(partition);
        if self.rotten.contains_key(&id) || !self.can_be_missed(at, id) {
            return;
        }
        let fs = &self.hosts[at].fs;
        let home = paths::partition_home(Path::new("/data"), id);
        let lost = fs
            .remove_dir_all(&home)
            .and_then(|()| fs.sync_dir(&paths::topic_dir(Path::new("/data"), id.topic)));
        match lost {
            Ok(()) => {
                self.rotten.insert(id, at);
                self.coverage.counts.lost += 1;
            }
            Err(error) => self.wrong.push(format!("{} cannot be lost: {error}", home.display())),
        }
    }

    /// Whether a replica's log was durable, and others are a majority without it: by its own record and by a leader of a
    /// term that is not older.
    fn can_be_missed(&self, at: usize, id: PartitionId) -> bool {
        let fs = Arc::clone(&self.hosts[at].fs) as Arc<dyn Fs>;
        let Ok(meta) = MetaLog::open(fs, Path::new("/data")) else { return false };
        let Some(meta) = meta.partitions().get(&id).filter(|meta| !meta.removed) else { return false };
        let three = |voters: &Voters| {
            voters.voters.len() >= 3
                && voters.voters_outgoing.is_empty()
                && voters.voters.contains(&meta.replica_id)
        };
        let leads = |at: &usize| {
            let broker = self.hosts[*at].broker.as_ref().filter(|_| !self.hosts[*at].paused)?;
            let probe = broker.probe(id).filter(|probe| probe.ready && probe.term.0 >= meta.term)?;
            (probe.replica.0 != meta.replica_id).then(|| broker.voters(id))?
        };
        let led = (0..self.hosts.len()).filter(|other| *other != at).find_map(|other| leads(&other));
        let durable = meta.durable_index >= meta.first_index;
        durable && meta.voters.as_ref().is_some_and(three) && led.as_ref().is_some_and(three)
    }
}
