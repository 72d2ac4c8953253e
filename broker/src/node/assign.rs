//! Replicas that come to this shard, and go.

use std::sync::Arc;

use super::event::Output;
use super::partition::Partition;
use super::{Node, Seats};
use crate::ids::{PartitionId, ReplicaId};
use crate::refusal::Refusal;
use crate::state::TopicConfig;

impl Node {
    /// A partition has a replica on this shard, as a committed command says.
    pub(super) fn assign(
        &mut self,
        id: PartitionId,
        seats: Arc<Seats>,
        config: Arc<TopicConfig>,
        topic: Arc<str>,
    ) {
        match self.partitions.get_mut(&id) {
            Some(known) if known.seats.here == seats.here => {
                known.seats = seats;
                if known.config != config {
                    known.config = Arc::clone(&config);
                    self.outputs.push_back(Output::Configure { partition: id, config });
                }
                self.dirty.insert(id);
                return;
            }
            // The replica that was here is removed, and another one comes.
            Some(known) if !seats.goes_on_from(known.seats.here) => {
                let before = known.seats.here;
                self.remove(id, before);
            }
            Some(_) => self.forget(id),
            None => {}
        }
        let empty_heir = seats.heir.is_some_and(|heir| heir.of.is_none());
        let born = match seats.original || empty_heir {
            true if empty_heir => vec![seats.here.0],
            true => seats.voters.iter().map(|replica| replica.0).collect(),
            false => Vec::new(),
        };
        self.outputs.push_back(Output::Open {
            partition: id,
            replica: seats.here,
            voters: born,
            heir: seats.heir,
            config: Arc::clone(&config),
            topic: Arc::clone(&topic),
        });
        self.partitions.insert(id, Partition::new(topic, config, seats));
    }

    /// The replica here is no more: its topic is deleted, or it was moved.
    pub(super) fn remove(&mut self, id: PartitionId, replica: ReplicaId) {
        if self.partitions.get(&id).is_some_and(|known| known.seats.here > replica) {
            return;
        }
        self.forget(id);
        self.outputs.push_back(Output::Delete { partition: id, replica });
    }

    /// The replica's life here ends.
    pub(super) fn forget(&mut self, id: PartitionId) {
        if let Some(mut gone) = self.partitions.remove(&id) {
            self.uncommitted_bytes -= gone.uncommitted_bytes();
            let refusal = Refusal::UnknownTopicId { id: id.topic.to_string() };
            gone.fail_waiters(&refusal, &mut self.outputs);
        }
        self.dirty.remove(&id);
    }
}
