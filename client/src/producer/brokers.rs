//! Which stream a partition uses: one per shard of its leader.
//!
//! A connection lands on a shard that the kernel chooses, so the client connects until it has the shards it wants,
//! up to twice their number; a partition whose shard was not reached pays one hop inside the broker.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use super::stream::Link;
use crate::retry;

/// A stream's number, never used again in this producer.
pub(super) type StreamId = u64;

/// All brokers this producer writes to, and the streams to them.
#[derive(Default)]
pub(super) struct Brokers {
    by_address: BTreeMap<Arc<str>, Broker>,
    links: BTreeMap<StreamId, Link>,
    next_id: StreamId,
    /// Addresses to open a stream to.
    to_open: Vec<Arc<str>>,
}

#[derive(Default)]
struct Broker {
    by_shard: BTreeMap<u32, StreamId>,
    shards: u32,
    /// Streams opened since the last one was lost.
    attempts: u32,
    opening: bool,
    retry_at: Option<Instant>,
    round: u32,
}

impl Brokers {
    /// The best stream there is to a shard of a broker; asks for a better one where that may help.
    pub(super) fn choose(&mut self, address: &Arc<str>, shard: u32, now: Instant) -> Option<StreamId> {
        let broker = self.by_address.entry(address.clone()).or_default();
        let exact = broker.by_shard.get(&shard).copied();
        if exact.is_none() && broker.may_open(now) {
            broker.opening = true;
            self.to_open.push(address.clone());
        }
        exact.or_else(|| broker.by_shard.values().next().copied())
    }

    /// Addresses to open a stream to, each once.
    pub(super) fn take_to_open(&mut self) -> Vec<Arc<str>> {
        std::mem::take(&mut self.to_open)
    }

    /// A stream is open. Keeps it, and gives its number, unless there is one to its shard.
    pub(super) fn opened(&mut self, link: Link, shards: u32) -> Option<StreamId> {
        let broker = self.by_address.entry(link.address.clone()).or_default();
        broker.opening = false;
        broker.retry_at = None;
        broker.round = 0;
        broker.shards = shards.max(1);
        broker.attempts = broker.attempts.saturating_add(1);
        if broker.by_shard.contains_key(&link.shard) {
            return None;
        }
        let id = self.next_id;
        self.next_id += 1;
        broker.by_shard.insert(link.shard, id);
        self.links.insert(id, link);
        Some(id)
    }

    /// A stream could not be opened: not again before a wait.
    pub(super) fn open_failed(&mut self, address: &Arc<str>, now: Instant, jitter: u64) {
        let broker = self.by_address.entry(address.clone()).or_default();
        broker.opening = false;
        broker.attempts = broker.attempts.saturating_add(1);
        broker.retry_at = Some(now + retry::backoff(broker.round, jitter));
        broker.round = broker.round.saturating_add(1);
    }

    /// A stream is gone.
    pub(super) fn lost(&mut self, id: StreamId, now: Instant, jitter: u64) -> Option<Link> {
        let link = self.links.remove(&id)?;
        if let Some(broker) = self.by_address.get_mut(&link.address) {
            broker.by_shard.retain(|_, stream| *stream != id);
            broker.attempts = 0;
            broker.retry_at = Some(now + retry::backoff(0, jitter));
        }
        Some(link)
    }

    /// The sending side of a stream.
    pub(super) fn link(&mut self, id: StreamId) -> Option<&mut Link> {
        self.links.get_mut(&id)
    }

    /// Streams whose brokers owe an answer and have been silent for long, with their addresses.
    pub(super) fn silent(&self, now: Instant) -> Vec<(StreamId, Arc<str>)> {
        let silent = self.links.iter().filter(|(_, link)| link.is_silent(now));
        silent.map(|(id, link)| (*id, link.address.clone())).collect()
    }

    /// When the silence of a stream is to be looked into next.
    pub(super) fn doubt_at(&self) -> Option<Instant> {
        self.links.values().filter_map(Link::doubt_at).min()
    }

    /// All streams.
    pub(super) fn links(&mut self) -> impl Iterator<Item = &mut Link> {
        self.links.values_mut()
    }

    /// Drops all sending sides: the brokers see the ends of the streams.
    pub(super) fn close(&mut self) {
        self.links.clear();
    }

    /// When a broker without any stream may be tried again.
    pub(super) fn wake_at(&self, now: Instant) -> Option<Instant> {
        let waiting = self.by_address.values().filter(|broker| broker.by_shard.is_empty() && !broker.opening);
        waiting.filter_map(|broker| broker.retry_at).filter(|&at| at > now).min()
    }
}

impl Broker {
    fn may_open(&self, now: Instant) -> bool {
        let worth_it = self.by_shard.is_empty() || self.attempts < self.shards.saturating_mul(2);
        worth_it && !self.opening && self.retry_at.is_none_or(|at| at <= now)
    }
}
