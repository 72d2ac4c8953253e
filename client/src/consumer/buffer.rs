//! What the consumer and its task share: where each partition stands, and batches that wait to be handed out.
//!
//! The consumer changes what is wanted here (assign, seek, pause) and wakes the task, which makes its subscriptions
//! follow. Each change raises the partition's version; what was fetched for an older version is dropped, and its
//! bytes go back to the credit of the broker that sent them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use bytes::Bytes;
use caudal_proto::batch::Header;
use tokio::sync::Notify;

use super::Tail;
use crate::config::ConsumerConfig;
use crate::cursor::{Cursor, Window};
use crate::error::Error;
use crate::topic::TopicId;

/// A partition, by its topic's name.
pub(super) type Key = (Arc<str>, i32);

/// What the consumer and its task share.
pub(super) struct Shared {
    pub(super) config: ConsumerConfig,
    state: Mutex<State>,
    /// Wakes the task: something is wanted otherwise, credit came back, it is time to stop.
    pub(super) wake: Notify,
}

/// The part under the lock, which is never held over an await.
#[derive(Default)]
pub(super) struct State {
    pub(super) parts: BTreeMap<Key, Part>,
    queue: VecDeque<Item>,
    waker: Option<Waker>,
    next_version: u64,
    /// Bytes buffered, by the broker that sent them.
    held: BTreeMap<Arc<str>, u64>,
    /// Bytes handed out or dropped and not yet given back as credit.
    freed: BTreeMap<Arc<str>, u64>,
    /// Subscriptions have to follow.
    changed: bool,
    /// The consumer is gone.
    pub(super) closing: bool,
    /// The task is gone.
    pub(super) stopped: bool,
}

/// One assigned partition, as the consumer wants it.
pub(super) struct Part {
    pub(super) topic_id: TopicId,
    pub(super) cursor: Cursor,
    /// Of the consumer's wish: batches fetched for an older one are not handed out.
    pub(super) version: u64,
    pub(super) paused: bool,
    /// It stands still after this.
    pub(super) halted: Option<Error>,
    pub(super) tail: Option<Tail>,
    /// Batches of it in the queue.
    pending: usize,
}

/// Something to hand out.
enum Item {
    Batch { key: Key, version: u64, from: Arc<str>, header: Header, bytes: Bytes },
    Error { key: Key, version: u64, error: Error },
}

/// What there is to hand out.
pub(super) enum Next {
    Batch {
        key: Key,
        version: u64,
        bytes: Bytes,
        window: Window,
    },
    Error(Error),
    /// Every partition has reached its stop.
    Finished,
    /// Nothing is assigned.
    Nothing,
    /// Nothing yet.
    Wait,
}

impl Shared {
    pub(super) fn new(config: ConsumerConfig) -> Arc<Self> {
        Arc::new(Shared { config, state: Mutex::default(), wake: Notify::new() })
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A partition cannot go on: it stands still at `offset` until a seek.
    pub(super) fn halt(&self, key: &Key, version: u64, offset: i64, error: &Error) {
        let mut state = self.lock();
        if state.part(key, version).is_some() {
            state.rewind(key, offset);
            state.edit(key, |part| part.halted = Some(error.clone()));
        }
        drop(state);
        self.wake.notify_one();
    }
}

impl Part {
    pub(super) fn new(topic_id: TopicId, cursor: Cursor) -> Self {
        Part { topic_id, cursor, version: 0, paused: false, halted: None, tail: None, pending: 0 }
    }

    /// Whether more is to be fetched.
    pub(super) fn is_wanted(&self) -> bool {
        !self.paused && self.halted.is_none() && !self.cursor.has_all()
    }

    fn is_finished(&self) -> bool {
        self.cursor.is_finished() || (self.cursor.has_all() && self.pending == 0)
    }
}

impl State {
    /// The partition, if its wish is still this one.
    pub(super) fn part(&mut self, key: &Key, version: u64) -> Option<&mut Part> {
        self.parts.get_mut(key).filter(|part| part.version == version)
    }

    /// Changes a partition in a way that its subscription has to follow.
    pub(super) fn edit(&mut self, key: &Key, change: impl FnOnce(&mut Part)) {
        if let Some(part) = self.parts.get_mut(key) {
            change(part);
            self.changed = true;
        }
    }

    /// Whether subscriptions have to follow; asked once for each change.
    pub(super) fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// Assigns a partition, anew if it was assigned.
    pub(super) fn assign(&mut self, key: Key, part: Part) {
        self.purge(&key);
        self.parts.insert(key.clone(), part);
        self.raise(&key);
    }

    /// Ends a partition. Returns whether it was assigned.
    pub(super) fn unassign(&mut self, key: &Key) -> bool {
        self.purge(key);
        self.changed = true;
        self.parts.remove(key).is_some()
    }

    /// Goes on at `offset`; what is buffered is dropped, an error forgotten. Returns whether it is assigned.
    pub(super) fn rewind(&mut self, key: &Key, offset: i64) -> bool {
        self.purge(key);
        self.raise(key);
        self.parts.get_mut(key).is_some_and(|part| {
            part.cursor.seek(offset);
            part.halted = None;
            true
        })
    }

    /// Goes on fetching at `offset`, behind what is buffered.
    pub(super) fn jump(&mut self, key: &Key, offset: i64) {
        self.raise(key);
        let version = self.next_version;
        for item in &mut self.queue {
            match item {
                Item::Batch { key: of, version: old, .. } | Item::Error { key: of, version: old, .. }
                    if of == key =>
                {
                    *old = version;
                }
                Item::Batch { .. } | Item::Error { .. } => {}
            }
        }
        if let Some(part) = self.parts.get_mut(key) {
            part.cursor.jump(offset);
        }
    }

    fn raise(&mut self, key: &Key) {
        self.changed = true;
        if let Some(part) = self.parts.get_mut(key) {
            self.next_version += 1;
            part.version = self.next_version;
        }
    }

    /// Drops what is buffered of a partition.
    fn purge(&mut self, key: &Key) {
        let mut dropped = Vec::new();
        self.queue.retain(|item| match item {
            Item::Batch { key: of, from, bytes, .. } if of == key => {
                dropped.push((from.clone(), bytes.len()));
                false
            }
            Item::Error { key: of, .. } => of != key,
            Item::Batch { .. } => true,
        });
        for (from, bytes) in dropped {
            self.free(&from, bytes, true);
        }
        if let Some(part) = self.parts.get_mut(key) {
            part.pending = 0;
        }
    }

    /// Takes a batch in.
    pub(super) fn push(&mut self, key: &Key, version: u64, from: &Arc<str>, header: Header, bytes: Bytes) {
        let size = bytes.len();
        let Some(part) = self.part(key, version).filter(|part| part.halted.is_none()) else {
            return self.free(from, size, false);
        };
        let news = part.cursor.arrived(&header);
        if part.cursor.has_all() {
            self.changed = true;
        }
        if !news {
            // It may have been the last one wanted, with nothing for the reader in it.
            self.wake_reader();
            return self.free(from, size, false);
        }
        if let Some(part) = self.parts.get_mut(key) {
            part.pending += 1;
        }
        *self.held.entry(from.clone()).or_default() += size as u64;
        self.queue.push_back(Item::Batch { key: key.clone(), version, from: from.clone(), header, bytes });
        self.wake_reader();
    }

    /// Everything before `offset` has arrived, or is not there.
    pub(super) fn pass(&mut self, key: &Key, version: u64, offset: i64) {
        let Some(part) = self.part(key, version).filter(|part| part.halted.is_none()) else { return };
        if offset > part.cursor.fetch_from() {
            part.cursor.jump(offset);
            self.changed |= part.cursor.has_all();
            self.wake_reader();
        }
    }

    /// A partition cannot go on, after what is buffered of it.
    pub(super) fn push_error(&mut self, key: &Key, version: u64, error: Error) {
        let Some(part) = self.part(key, version) else { return };
        if part.halted.is_none() {
            part.halted = Some(error.clone());
            self.changed = true;
            self.queue.push_back(Item::Error { key: key.clone(), version, error });
            self.wake_reader();
        }
    }

    /// The next thing to hand out; else `waker` is told when there may be one.
    pub(super) fn take(&mut self, waker: &Waker) -> Next {
        while let Some(item) = self.queue.pop_front() {
            match item {
                Item::Error { key, version, error } if self.part(&key, version).is_some() => {
                    return Next::Error(error);
                }
                Item::Error { .. } => {}
                Item::Batch { key, version, from, header, bytes } => {
                    self.free(&from, bytes.len(), true);
                    let Some(part) = self.part(&key, version) else { continue };
                    part.pending -= 1;
                    let window = part.cursor.hand_out(&header);
                    if !header.is_control() {
                        return Next::Batch { key, version, bytes, window };
                    }
                }
            }
        }
        if self.parts.is_empty() {
            return Next::Nothing;
        }
        let mut halted = None;
        let mut finished = true;
        for part in self.parts.values() {
            if part.is_finished() {
                continue;
            }
            finished = false;
            match &part.halted {
                Some(error) => halted = halted.or(Some(error.clone())),
                None => {
                    self.waker = Some(waker.clone());
                    return Next::Wait;
                }
            }
        }
        match halted {
            // Nothing else can come: better told again than silent for ever.
            Some(error) if !finished => Next::Error(error),
            _ => Next::Finished,
        }
    }

    fn free(&mut self, from: &Arc<str>, bytes: usize, held: bool) {
        let bytes = bytes as u64;
        *self.freed.entry(from.clone()).or_default() += bytes;
        if held && let Some(of_broker) = self.held.get_mut(from) {
            *of_broker = of_broker.saturating_sub(bytes);
        }
    }

    /// Bytes came that nobody wants any more.
    pub(super) fn drop_unwanted(&mut self, from: &Arc<str>, bytes: usize) {
        self.free(from, bytes, false);
    }

    /// Bytes held of one broker, and bytes to give back to it.
    pub(super) fn credit(&self, from: &Arc<str>) -> (u64, u64) {
        let of = |map: &BTreeMap<Arc<str>, u64>| map.get(from).copied().unwrap_or(0);
        (of(&self.held), of(&self.freed))
    }

    /// Whether so many bytes of a broker wait to be given back.
    pub(super) fn has_freed(&self, bytes: u64) -> bool {
        self.freed.values().any(|&freed| freed >= bytes)
    }

    /// The bytes are given back, or were part of the first credit of a new stream.
    pub(super) fn credit_given(&mut self, from: &Arc<str>) {
        self.freed.remove(from);
    }

    pub(super) fn wake_reader(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}
