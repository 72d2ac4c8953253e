//! What waits for other brokers, and what did not leave: for whoever scrapes it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use caudal_proto::peer::Class;

use super::envelope::{CLASSES, place};
use super::link::Gauge;
use crate::ids::NodeId;

/// The queues of all shards.
#[derive(Debug, Default)]
pub(super) struct Queues(Mutex<BTreeMap<NodeId, Known>>);

#[derive(Debug, Default)]
struct Known {
    links: [Vec<Weak<Gauge>>; CLASSES.len()],
    dropped: u64,
}

/// What waits for one broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerQueues {
    /// Which.
    pub node: NodeId,
    /// By class, in the order of their importance.
    pub classes: Vec<(Class, QueueReading)>,
    /// Messages that ever did not leave: the queue was full, or there was no connection.
    pub dropped: u64,
}

/// The queues of one class, of all shards together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct QueueReading {
    /// Connections there shall be: one for each shard.
    pub links: usize,
    /// Connections that there are.
    pub connected: usize,
    /// Envelopes that wait.
    pub envelopes: usize,
    /// Their bytes.
    pub bytes: usize,
}

impl Queues {
    pub(super) fn register(&self, node: NodeId, class: Class, gauge: &Arc<Gauge>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let links = &mut known.entry(node).or_default().links[place(class)];
        links.retain(|link| link.strong_count() > 0);
        links.push(Arc::downgrade(gauge));
    }

    pub(super) fn dropped(&self, node: NodeId, messages: u64) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(node).or_default().dropped += messages;
    }

    pub(super) fn read(&self) -> Vec<PeerQueues> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A broker that is no member any more has none, and its number is never given again.
        known.retain(|_, known| known.links.iter().flatten().any(|link| link.strong_count() > 0));
        known
            .iter_mut()
            .map(|(node, known)| {
                let classes = CLASSES.into_iter().zip(&mut known.links);
                PeerQueues {
                    node: *node,
                    classes: classes.map(|(class, links)| (class, sum(links))).collect(),
                    dropped: known.dropped,
                }
            })
            .collect()
    }
}

fn sum(links: &mut Vec<Weak<Gauge>>) -> QueueReading {
    links.retain(|link| link.strong_count() > 0);
    let mut sum = QueueReading::default();
    for link in links.iter().filter_map(Weak::upgrade) {
        let (connected, envelopes, bytes) = link.read();
        sum.links += 1;
        sum.connected += usize::from(connected);
        sum.envelopes += envelopes;
        sum.bytes += bytes;
    }
    sum
}
