//! The published state of the broker: what `rpc` reads without entering a shard's loop.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock};

use arc_swap::ArcSwap;
use caudal_proto::peer::PartitionStatus;
use tokio::sync::watch;

use super::meters::traffic::Traffic;
use super::partition_view::PartitionView;
use crate::ids::{NodeId, PartitionId, ReplicaId, Term, TopicId};
use crate::limits::STATUSES_EARLY_MAX;
use crate::node::NO_ROOM_FOR_LOG;
use crate::state::{Catalog, Topic};

/// Every partition here, the catalog, and who this broker is.
pub struct Views {
    /// The broker's shards.
    pub shards: u32,
    partitions: RwLock<BTreeMap<PartitionId, Arc<PartitionView>>>,
    catalog: ArcSwap<Catalog>,
    node: watch::Sender<Option<NodeId>>,
    /// The newest word of the leaders of partitions, here and elsewhere.
    statuses: RwLock<BTreeMap<PartitionId, PartitionStatus>>,
    /// Other brokers that answer.
    up: RwLock<BTreeSet<NodeId>>,
    changes: watch::Sender<u64>,
    traffic: RwLock<BTreeMap<TopicId, Arc<Traffic>>>,
}

impl Views {
    /// A broker that knows nothing yet.
    pub fn new(shards: u32) -> Views {
        Views {
            shards,
            partitions: RwLock::default(),
            catalog: ArcSwap::from_pointee(Catalog::default()),
            node: watch::Sender::new(None),
            statuses: RwLock::default(),
            up: RwLock::default(),
            changes: watch::Sender::new(0),
            traffic: RwLock::default(),
        }
    }

    /// The view of a partition that has a replica here.
    pub fn partition(&self, id: PartitionId) -> Option<Arc<PartitionView>> {
        self.partitions.read().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }

    /// The views of all partitions that have a replica here.
    pub fn all(&self) -> Vec<Arc<PartitionView>> {
        self.partitions.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// The counters of a topic: the same for all its partitions, for as long as there is the topic.
    pub fn traffic(&self, topic: TopicId) -> Arc<Traffic> {
        let mut known = self.traffic.write().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(known.entry(topic).or_default())
    }

    /// The counters of all topics that have, or had, a replica here.
    pub fn all_traffic(&self) -> Vec<(TopicId, Arc<Traffic>)> {
        let known = self.traffic.read().unwrap_or_else(PoisonError::into_inner);
        known.iter().map(|(topic, traffic)| (*topic, Arc::clone(traffic))).collect()
    }

    /// The topics.
    pub fn catalog(&self) -> Arc<Catalog> {
        self.catalog.load_full()
    }

    /// A topic by its name.
    pub fn topic_by_name(&self, name: &str) -> Option<Arc<Topic>> {
        self.catalog.load().topic(name).cloned()
    }

    /// A topic by its id.
    pub fn topic_by_id(&self, id: TopicId) -> Option<Arc<Topic>> {
        self.catalog.load().topic_by_id(id).cloned()
    }

    /// How many of a topic's first `partitions` have no log here, because there was no room on the disk for it.
    pub fn without_room(&self, topic: TopicId, partitions: i32) -> u64 {
        let views = (0..partitions).filter_map(|partition| self.partition(PartitionId { topic, partition }));
        let closed = views.filter(|view| view.standing().closed.as_deref() == Some(NO_ROOM_FOR_LOG));
        closed.count() as u64
    }

    /// Whether a topic that is not among the topics does not exist: what a leader of the control partition had committed when
    /// it first spoke to this broker is applied here. Before that topics may be missing, whether a leader is known or not.
    pub fn topics_are_known(&self) -> bool {
        self.partition(PartitionId::CONTROL).is_some_and(|view| view.standing().current)
    }

    /// Whether this broker leads the control partition, and can decide.
    pub fn leads_control(&self) -> bool {
        self.partition(PartitionId::CONTROL).is_some_and(|view| view.standing().ready)
    }

    /// The broker that leads a partition and its epoch: as known here, or as its leader told.
    pub fn leader(&self, id: PartitionId) -> (Option<NodeId>, Term) {
        if let Some(standing) = self.partition(id).map(|view| view.standing()) {
            return (standing.leader, standing.epoch);
        }
        let Some(status) = self.status(id) else { return (None, Term(0)) };
        let catalog = self.catalog();
        let placement =
            catalog.topic_by_id(id.topic).and_then(|topic| topic.partitions.get(id.partition as usize));
        let leads = |(_, replica): &(NodeId, ReplicaId)| replica.0 == status.leader;
        let leader = placement.and_then(|placement| placement.all().find(leads)).map(|(node, _)| node);
        (leader, Term(status.term))
    }

    /// The newest word of a partition's leader.
    pub fn status(&self, id: PartitionId) -> Option<PartitionStatus> {
        self.statuses.read().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }

    /// Whether a broker answers; this one does.
    pub fn is_up(&self, node: NodeId) -> bool {
        Some(node) == self.node() || self.up.read().unwrap_or_else(PoisonError::into_inner).contains(&node)
    }

    /// Takes the word of leaders: that of a newer term replaces an older one's. Some may come before the catalog names
    /// their topics.
    pub(super) fn note_statuses(&self, statuses: &[PartitionStatus]) {
        let most = self.catalog().partitions().saturating_add(STATUSES_EARLY_MAX) as usize;
        let mut known = self.statuses.write().unwrap_or_else(PoisonError::into_inner);
        for status in statuses {
            let Some(id) = PartitionId::of_fields(&status.topic_id, status.partition) else { continue };
            let newer = match known.get(&id) {
                Some(before) => before.term <= status.term,
                None => known.len() < most,
            };
            if newer {
                known.insert(id, status.clone());
            }
        }
        drop(known);
        self.note_change();
    }

    /// A broker answers, or does not.
    pub(super) fn note_peer(&self, node: NodeId, up: bool) {
        let mut known = self.up.write().unwrap_or_else(PoisonError::into_inner);
        if up {
            known.insert(node)
        } else {
            known.remove(&node)
        };
    }

    /// This broker's id, once it is registered.
    pub fn node(&self) -> Option<NodeId> {
        *self.node.borrow()
    }

    /// Tells of every change but moving offsets: partitions that come and go, leaders, the catalog. The first
    /// `changed` waits for a change after this call.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    pub(super) fn insert(&self, view: &Arc<PartitionView>) {
        self.partitions.write().unwrap_or_else(PoisonError::into_inner).insert(view.id, Arc::clone(view));
        self.note_change();
    }

    pub(super) fn remove(&self, id: PartitionId) {
        self.partitions.write().unwrap_or_else(PoisonError::into_inner).remove(&id);
        self.note_change();
    }

    pub(super) fn set_catalog(&self, catalog: Arc<Catalog>) {
        let before = self.catalog.swap(Arc::clone(&catalog));
        let deleted = |id: TopicId| before.topic_by_id(id).is_some() && catalog.topic_by_id(id).is_none();
        let mut statuses = self.statuses.write().unwrap_or_else(PoisonError::into_inner);
        statuses.retain(|id, _| !deleted(id.topic));
        drop(statuses);
        self.traffic.write().unwrap_or_else(PoisonError::into_inner).retain(|id, _| !deleted(*id));
        self.note_change();
    }

    pub(super) fn set_node(&self, node: NodeId) {
        self.node.send_replace(Some(node));
        self.note_change();
    }

    pub(super) fn note_change(&self) {
        self.changes.send_modify(|count| *count = count.wrapping_add(1));
    }
}

#[cfg(test)]
#[path = "views_tests.rs"]
mod tests;
