//! Troubles with other brokers, logged once until they are over: every try of every connection would say the same.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use crate::ids::NodeId;

/// Different troubles with one broker that are remembered.
const TROUBLES_MAX: usize = 16;

/// What was logged of each broker since all was well.
#[derive(Debug, Default)]
pub(super) struct Troubles(Mutex<BTreeMap<NodeId, BTreeSet<String>>>);

impl Troubles {
    /// Logs a trouble that is new.
    pub(super) fn note(&self, node: NodeId, trouble: String) {
        let mut troubles = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = troubles.entry(node).or_default();
        if known.len() < TROUBLES_MAX && !known.contains(&trouble) {
            tracing::warn!(%node, "{trouble}");
            known.insert(trouble);
        }
    }

    /// All is well with a broker: what troubles it from here on is new.
    pub(super) fn over(&self, node: NodeId) {
        if self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&node).is_some() {
            tracing::info!(%node, "the broker is connected to");
        }
    }
}
