//! Subscriptions: what the brokers were told, made to follow what is wanted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use caudal_proto::v1 as wire;
use wire::fetch_stream_request::Message;

use super::Tail;
use super::buffer::Key;
use super::streams::Link;
use super::task::Task;
use crate::clock;
use crate::config::OutOfRange;
use crate::error::{Error, ErrorKind};
use crate::retry;

/// What a broker was told of one partition.
#[derive(Debug, Clone)]
pub(super) struct Subscription {
    pub(super) key: Key,
    /// The wish it was told.
    pub(super) version: u64,
    /// Of the last seek on this subscription.
    pub(super) generation: u32,
    paused: bool,
}

/// All subscriptions, and the partitions that wait before the next attempt.
#[derive(Default)]
pub(super) struct Subscriptions {
    by_id: BTreeMap<(Arc<str>, u32), Subscription>,
    by_key: BTreeMap<Key, (Arc<str>, u32)>,
    /// Not before, and how often it failed.
    waiting: BTreeMap<Key, (Instant, u32)>,
}

/// What a partition needs next.
enum Need {
    Nothing,
    Unsubscribe,
    Pause,
    Subscribe { offset: i64, version: u64 },
    Seek { offset: i64, version: u64 },
}

impl Subscriptions {
    /// The subscription of this number on a broker's stream.
    pub(super) fn find(&self, address: &Arc<str>, id: u32) -> Option<&Subscription> {
        self.by_id.get(&(address.clone(), id))
    }

    /// A stream is gone, and its subscriptions with it.
    pub(super) fn forget_stream(&mut self, address: &Arc<str>) {
        self.by_id.retain(|(of, _), _| of != address);
        self.by_key.retain(|_, (of, _)| of != address);
    }

    /// News from a partition: its next failure begins with the shortest wait.
    pub(super) fn calm(&mut self, key: &Key) {
        self.waiting.remove(key);
    }

    fn of(&self, key: &Key) -> Option<(&(Arc<str>, u32), &Subscription)> {
        let id = self.by_key.get(key)?;
        self.by_id.get(id).map(|subscription| (id, subscription))
    }

    fn insert(&mut self, address: Arc<str>, id: u32, subscription: Subscription) {
        self.by_key.insert(subscription.key.clone(), (address.clone(), id));
        self.by_id.insert((address, id), subscription);
    }

    fn remove(&mut self, key: &Key) -> Option<(Arc<str>, u32)> {
        let id = self.by_key.remove(key)?;
        self.by_id.remove(&id);
        Some(id)
    }
}

impl Task {
    /// Tells the brokers what is wanted otherwise than they know. Returns when a partition waits for its next try.
    pub(super) fn reconcile(&mut self, now: Instant) -> Option<Instant> {
        let waiting = self.subscriptions.waiting.values().map(|(at, _)| *at).min();
        if !self.shared.lock().take_changed() && !self.changed && waiting.is_none_or(|at| at > now) {
            return waiting;
        }
        self.changed = false;
        let assigned: BTreeSet<Key> = self.shared.lock().parts.keys().cloned().collect();
        self.subscriptions.waiting.retain(|key, _| assigned.contains(key));
        let told = self.subscriptions.by_key.keys().cloned();
        let keys: BTreeSet<Key> = told.chain(assigned).collect();
        for key in &keys {
            match self.need(key) {
                Need::Nothing => {}
                Need::Unsubscribe => self.unsubscribe(key),
                Need::Pause => self.pause(key),
                Need::Seek { offset, version } => self.seek(key, offset, version),
                Need::Subscribe { offset, version } => self.subscribe(key, offset, version, now),
            }
        }
        self.subscriptions.waiting.values().map(|(at, _)| *at).filter(|&at| at > now).min()
    }

    fn need(&self, key: &Key) -> Need {
        let state = self.shared.lock();
        let part = state.parts.get(key);
        let subscription = self.subscriptions.of(key).map(|(_, subscription)| subscription);
        match (part, subscription) {
            (None, None) => Need::Nothing,
            (None, Some(_)) => Need::Unsubscribe,
            (Some(part), None) if part.is_wanted() => {
                Need::Subscribe { offset: part.cursor.fetch_from(), version: part.version }
            }
            (Some(_), None) => Need::Nothing,
            (Some(part), Some(subscription)) if part.paused => {
                if subscription.paused {
                    Need::Nothing
                } else {
                    Need::Pause
                }
            }
            (Some(part), Some(_)) if !part.is_wanted() => Need::Unsubscribe,
            (Some(part), Some(subscription)) => {
                if subscription.paused || subscription.version != part.version {
                    Need::Seek { offset: part.cursor.fetch_from(), version: part.version }
                } else {
                    Need::Nothing
                }
            }
        }
    }

    fn link_of(&mut self, key: &Key) -> Option<(u32, &mut Link)> {
        let (address, id) = self.subscriptions.by_key.get(key)?.clone();
        let link = self.brokers.get_mut(&address)?.link.as_mut()?;
        Some((id, link))
    }

    fn unsubscribe(&mut self, key: &Key) {
        let Some((id, link)) = self.link_of(key) else { return };
        if link.put(Message::Unsubscribe(wire::FetchUnsubscribe { subscription: id })) {
            self.subscriptions.remove(key);
        }
    }

    fn pause(&mut self, key: &Key) {
        let Some((id, link)) = self.link_of(key) else { return };
        if link.put(Message::Pause(wire::FetchPause { subscription: id })) {
            self.edit(key, |subscription| subscription.paused = true);
        }
    }

    fn seek(&mut self, key: &Key, offset: i64, version: u64) {
        let Some((generation, paused)) = self.subscriptions.of(key).map(|(_, s)| (s.generation, s.paused))
        else {
            return;
        };
        let generation = generation.wrapping_add(1);
        let Some((id, link)) = self.link_of(key) else { return };
        if !link.put(Message::Seek(wire::FetchSeek { subscription: id, offset, generation })) {
            return;
        }
        let resumed = paused && link.put(Message::Resume(wire::FetchResume { subscription: id }));
        self.edit(key, |subscription| {
            subscription.version = version;
            subscription.generation = generation;
            subscription.paused = paused && !resumed;
        });
    }

    fn subscribe(&mut self, key: &Key, offset: i64, version: u64, now: Instant) {
        if self.subscriptions.waiting.get(key).is_some_and(|(at, _)| *at > now) {
            return;
        }
        let (name, partition) = key;
        let Some(topic) = self.metadata.topic(name).cloned() else {
            self.refresh.want_next(true);
            return;
        };
        let topic_id = self.shared.lock().parts.get(key).map(|part| part.topic_id);
        if topic_id != Some(topic.id) {
            let error = Error::new(
                ErrorKind::NotFound,
                format!("topic {name:?} was deleted and created again: assign it anew to read the new one"),
            );
            self.shared.lock().push_error(key, version, error.with("topic", name));
            return;
        }
        let Some(leader) = self.metadata.leader(&topic, *partition) else {
            self.refresh.want_next(true);
            return;
        };
        let Some(link) = self.broker(&leader.address, now) else { return };
        let subscription = link.subscription();
        let subscribed = link.put(Message::Subscribe(wire::FetchSubscribe {
            subscription,
            topic: Some(topic.reference()),
            partition: Some(*partition),
            offset,
            leader_epoch: None,
        }));
        if subscribed {
            let told = Subscription { key: key.clone(), version, generation: 0, paused: false };
            self.subscriptions.insert(leader.address, subscription, told);
        }
    }

    fn edit(&mut self, key: &Key, change: impl FnOnce(&mut Subscription)) {
        if let Some(id) = self.subscriptions.by_key.get(key)
            && let Some(subscription) = self.subscriptions.by_id.get_mut(id)
        {
            change(subscription);
        }
    }

    /// A broker ended a subscription.
    pub(super) fn on_error(&mut self, address: &Arc<str>, ended: wire::FetchSubscriptionError, now: Instant) {
        let Some(subscription) = self.subscriptions.find(address, ended.subscription).cloned() else {
            return;
        };
        let Subscription { key, version, .. } = subscription;
        self.subscriptions.remove(&key);
        if ended.generation != subscription.generation {
            // It ended for a wish that has changed meanwhile: subscribe with the new one.
            return;
        }
        let (name, partition) = &key;
        let error = Error::refused(ended.error.unwrap_or_default());
        let error = error.with("topic", name).with("partition", partition);
        if error.is_retriable() || retry::judge(&error) == (retry::Verdict::Retry { refresh: true }) {
            let hinted = self.metadata.hint(name, *partition, &error);
            self.refresh.wanted |= !hinted;
            let round = self.subscriptions.waiting.get(&key).map_or(0, |(_, round)| *round);
            let wait = retry::backoff(round, clock::random());
            let wait = error.retry_after().map_or(wait, |advice| advice.max(wait));
            self.subscriptions.waiting.insert(key, (now + wait, round.saturating_add(1)));
            return;
        }
        let mut state = self.shared.lock();
        match self.replacement(&error) {
            Some(offset) => {
                tracing::info!(topic = %name, partition, offset, "the offset is not in the log: going on elsewhere");
                if state.part(&key, version).is_some() {
                    state.jump(&key, offset);
                }
            }
            None => {
                let offset = state.part(&key, version).map(|part| part.cursor.fetch_from());
                let error = match offset {
                    Some(offset) => error.with("offset", offset),
                    None => error,
                };
                state.push_error(&key, version, error);
            }
        }
    }

    /// Where to go on when the offset is not in the log, if that is the error and the consumer wants it.
    fn replacement(&self, error: &Error) -> Option<i64> {
        if error.kind() != ErrorKind::OutOfRange {
            return None;
        }
        let key = match self.shared.config.out_of_range {
            OutOfRange::Fail => return None,
            OutOfRange::Start => "log_start",
            OutOfRange::End => "high_watermark",
        };
        error.metadata().get(key)?.parse().ok()
    }
}

impl From<&wire::FetchTail> for Tail {
    fn from(tail: &wire::FetchTail) -> Self {
        Tail { log_start: tail.log_start, high_watermark: tail.high_watermark }
    }
}
