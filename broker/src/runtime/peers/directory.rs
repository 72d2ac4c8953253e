//! Who this process is, and which brokers belong to its cluster.
//!
//! A broker that was away, or is new, may not know yet of those that joined meanwhile, and one of them may lead the
//! partition that it would learn this from. So a broker of the same cluster whose number this one has not heard of may
//! introduce itself: it is a contact until the catalog says who has the number. What it sends is checked like
//! everything else.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use uuid::Uuid;

use crate::ids::NodeId;
use crate::limits::PEERS_INTRODUCED_MAX;

/// This process.
#[derive(Debug, Clone)]
pub struct Me {
    /// The identity of its data folder.
    pub uuid: Uuid,
    /// Drawn by each process: two with one `uuid` are two copies of one folder.
    pub boot: Uuid,
    /// HOST:PORT of its peer listener, as others reach it.
    pub peer_address: String,
    /// The newest level of commands that it knows.
    pub level: u32,
}

/// Another broker, or this one, as the cluster knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contact {
    /// Its identity; `None` where only its number is known yet.
    pub uuid: Option<Uuid>,
    /// HOST:PORT of its peer listener.
    pub address: String,
}

/// The cluster as far as it is known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Membership {
    /// `None` while this broker belongs to none.
    pub cluster: Option<Uuid>,
    /// This broker's number, once it has one.
    pub node: Option<NodeId>,
    /// All brokers, this one among them.
    pub nodes: BTreeMap<NodeId, Contact>,
    /// Numbers from here on were not given to a broker yet, as far as is known.
    pub next_node: NodeId,
}

impl Membership {
    /// Where the other brokers are.
    pub(super) fn addresses(&self) -> BTreeMap<NodeId, String> {
        let others = self.nodes.iter().filter(|(node, _)| Some(**node) != self.node);
        others.map(|(node, contact)| (*node, contact.address.clone())).collect()
    }
}

/// Read by every connection, written when the cluster changes.
#[derive(Debug)]
pub struct Directory {
    me: Me,
    /// With those that introduced themselves.
    membership: ArcSwap<Membership>,
    introduced: Mutex<BTreeMap<NodeId, Contact>>,
}

impl Directory {
    /// A directory of a broker that knows nobody.
    pub fn new(me: Me) -> Directory {
        Directory { me, membership: ArcSwap::default(), introduced: Mutex::default() }
    }

    /// This process.
    pub fn me(&self) -> &Me {
        &self.me
    }

    /// The cluster.
    pub fn membership(&self) -> Arc<Membership> {
        self.membership.load_full()
    }

    /// Whether a broker belongs to the cluster, with this identity.
    pub fn knows(&self, node: NodeId, uuid: Uuid) -> bool {
        let membership = self.membership.load();
        membership.nodes.get(&node).is_some_and(|known| known.uuid.is_none_or(|known| known == uuid))
    }

    /// Takes over what the catalog says, and forgets who introduced themselves and are settled by it. What was known
    /// before, and what is now.
    pub(super) fn set(&self, mut membership: Membership) -> (Arc<Membership>, Arc<Membership>) {
        let mut introduced = self.introduced.lock().unwrap_or_else(PoisonError::into_inner);
        introduced.retain(|node, _| *node >= membership.next_node && !membership.nodes.contains_key(node));
        membership.nodes.extend(introduced.iter().map(|(node, contact)| (*node, contact.clone())));
        self.swap(membership)
    }

    /// A broker of the cluster introduces itself, with a number that was not given yet as far as is known here. What
    /// was known before, and what is now; `None` where there are too many already.
    pub(super) fn introduce(
        &self,
        node: NodeId,
        contact: Contact,
    ) -> Option<(Arc<Membership>, Arc<Membership>)> {
        let mut introduced = self.introduced.lock().unwrap_or_else(PoisonError::into_inner);
        let mut membership = Membership::clone(&self.membership());
        if let Entry::Vacant(unknown) = membership.nodes.entry(node) {
            if introduced.len() >= PEERS_INTRODUCED_MAX {
                return None;
            }
            introduced.insert(node, contact.clone());
            unknown.insert(contact);
        }
        Some(self.swap(membership))
    }

    fn swap(&self, membership: Membership) -> (Arc<Membership>, Arc<Membership>) {
        let after = Arc::new(membership);
        (self.membership.swap(Arc::clone(&after)), after)
    }
}
