//! Records become batches, by size and by linger. Pure: time and randomness are given.
//!
//! Each partition has one open batch that takes records, and a queue of sealed ones. Memory is counted in bytes of
//! encoded records, from `push` until the batch is done with, wherever it is by then.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use caudal_proto::batch::Builder;

use crate::config::{PRODUCER_TOPICS_MAX, ProducerConfig};
use crate::delivery::{Delivery, Outcome};
use crate::error::{Error, ErrorKind};
use crate::metadata::Topic;
use crate::partitioner::{Sticky, by_key};
use crate::record::NewRecord;

/// A partition of a topic of this batcher.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// The topic's place in the batcher.
    pub(crate) topic: usize,
    pub(crate) partition: i32,
}

/// A batch that takes no more records and waits to be sent.
pub(crate) struct Sealed {
    pub(crate) number: u64,
    pub(crate) builder: Builder,
    pub(crate) outcome: Arc<Outcome>,
    /// When its first record came.
    pub(crate) opened: Instant,
    /// What it counts against the buffer.
    pub(crate) weight: usize,
}

/// Why a record was not taken.
#[derive(Debug)]
pub(crate) enum PushError {
    /// The buffer is full.
    Full,
    /// The topic is not known yet.
    UnknownTopic,
    /// It never will be.
    Refused(Error),
}

/// What a push did, for whoever sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wake {
    /// The record joined a batch that is waited for already.
    No,
    /// A batch was begun or became full.
    Yes,
}

struct Slot {
    topic: Arc<Topic>,
    known: bool,
    sticky: Sticky,
    queues: Vec<Queue>,
}

#[derive(Default)]
struct Queue {
    sealed: VecDeque<Sealed>,
    open: Option<Sealed>,
    /// The size of the last full batch: the next begins with so much room.
    last_bytes: usize,
}

/// All records that are not yet on their way.
pub(crate) struct Batcher {
    batch_bytes: usize,
    buffer_bytes: usize,
    linger: Duration,
    slots: Vec<Slot>,
    by_name: BTreeMap<Arc<str>, usize>,
    /// Partitions with a batch, open or sealed.
    active: BTreeSet<Place>,
    /// Batches not done with, by number, wherever they are.
    unfinished: BTreeMap<u64, Arc<Outcome>>,
    buffered: usize,
    next_number: u64,
    random: Random,
}

/// A stream of numbers from a seed (SplitMix64): spreads load, guards nothing.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

impl Batcher {
    /// An empty one; `seed` spreads the records without a key.
    pub(crate) fn new(config: &ProducerConfig, seed: u64) -> Self {
        Batcher {
            random: Random(seed),
            batch_bytes: config.batch_bytes,
            buffer_bytes: config.buffer_bytes,
            linger: config.linger,
            slots: Vec::new(),
            by_name: BTreeMap::new(),
            active: BTreeSet::new(),
            unfinished: BTreeMap::new(),
            buffered: 0,
            next_number: 0,
        }
    }

    /// Takes in what is known of a topic, new or again.
    pub(crate) fn set_topic(&mut self, topic: Arc<Topic>) {
        match self.by_name.get(&topic.name) {
            Some(&slot) => {
                let slot = &mut self.slots[slot];
                let count = topic.partitions.len().max(slot.queues.len());
                slot.queues.resize_with(count, Queue::default);
                slot.topic = topic;
                slot.known = true;
            }
            None => {
                let mut queues = Vec::new();
                queues.resize_with(topic.partitions.len(), Queue::default);
                self.by_name.insert(topic.name.clone(), self.slots.len());
                let sticky = Sticky::new(topic.count(), self.random.next());
                self.slots.push(Slot { sticky, topic, queues, known: true });
            }
        }
    }

    /// The topic of a place.
    pub(crate) fn topic(&self, place: Place) -> &Arc<Topic> {
        &self.slots[place.topic].topic
    }

    /// The names of all topics it was given.
    pub(crate) fn topic_names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.slots.iter().filter(|slot| slot.known).map(|slot| &slot.topic.name)
    }

    /// The topic is gone: records for it are not taken until it is given again.
    pub(crate) fn forget_topic(&mut self, name: &str) {
        if let Some(&slot) = self.by_name.get(name) {
            self.slots[slot].known = false;
        }
    }

    /// Takes a record. The bytes are copied.
    ///
    /// `now_ms` is the wall clock, for a record without a timestamp.
    pub(crate) fn push(
        &mut self,
        now: Instant,
        now_ms: i64,
        record: &NewRecord<'_>,
    ) -> Result<(Delivery, Wake), PushError> {
        let index = self.slot(record.topic)?;
        let slot = &mut self.slots[index];
        let limit = self.batch_bytes.min(slot.topic.max_message_bytes);
        let timestamp = record.timestamp_ms.unwrap_or(now_ms);
        let mut partition = slot.choose(record)?;
        let mut joined = slot.joined(partition, timestamp, record, limit);
        if joined.is_none() && record.partition.is_none() && record.key.is_none() {
            // The batch of records without a key is full: this one begins elsewhere.
            slot.seal(partition, &mut self.random);
            partition = slot.choose(record)?;
            joined = slot.joined(partition, timestamp, record, limit);
        }
        let after = match joined {
            Some((after, _)) => after,
            None => size(&Builder::new(), timestamp, record),
        };
        if after > slot.topic.max_message_bytes {
            return Err(PushError::Refused(too_large(&slot.topic, partition, after)));
        }
        let added = after - joined.map_or(0, |(_, before)| before);
        if self.buffered > 0 && self.buffered + added > self.buffer_bytes {
            return Err(PushError::Full);
        }
        if joined.is_none() {
            slot.seal(partition, &mut self.random);
            self.open(Place { topic: index, partition }, now);
        }
        let slot = &mut self.slots[index];
        let Some(open) = slot.queues[at(partition)].open.as_mut() else { return Err(PushError::Full) };
        let place_in_batch = u32::try_from(open.builder.len()).unwrap_or(u32::MAX);
        let headers = record.headers.iter().map(|header| (header.key, header.value));
        if let Err(error) = open.builder.push(timestamp, record.key, record.value, headers) {
            return Err(PushError::Refused(refused(&slot.topic, partition, error)));
        }
        open.weight += added;
        let delivery = Delivery::new(open.outcome.clone(), place_in_batch);
        self.buffered += added;
        if after >= limit {
            slot.seal(partition, &mut self.random);
        }
        let wake = if joined.is_none() || after >= limit { Wake::Yes } else { Wake::No };
        Ok((delivery, wake))
    }

    /// The place of a topic by its name.
    fn slot(&self, topic: &str) -> Result<usize, PushError> {
        match self.by_name.get(topic) {
            Some(&slot) if self.slots[slot].known => Ok(slot),
            Some(_) => Err(PushError::UnknownTopic),
            None if self.by_name.len() < PRODUCER_TOPICS_MAX => Err(PushError::UnknownTopic),
            None => Err(PushError::Refused(Error::new(
                ErrorKind::Invalid,
                format!("one producer writes to {PRODUCER_TOPICS_MAX} topics at most"),
            ))),
        }
    }

    /// Begins a batch.
    fn open(&mut self, place: Place, now: Instant) {
        let slot = &mut self.slots[place.topic];
        let queue = &mut slot.queues[at(place.partition)];
        let number = self.next_number;
        self.next_number += 1;
        let outcome = Outcome::new(slot.topic.name.clone(), place.partition);
        self.unfinished.insert(number, outcome.clone());
        self.active.insert(place);
        let builder = Builder::with_capacity(queue.last_bytes);
        queue.open = Some(Sealed { number, builder, outcome, opened: now, weight: 0 });
    }

    /// Partitions with a batch, open or sealed.
    pub(crate) fn active(&self) -> impl Iterator<Item = Place> + '_ {
        self.active.iter().copied()
    }

    /// When the next batch of a partition may go: at once if one is sealed, else when its linger is over.
    pub(crate) fn due(&self, place: Place) -> Option<Instant> {
        let queue = self.queue(place)?;
        let first = queue.sealed.front();
        first.map(|batch| batch.opened).or_else(|| queue.open.as_ref().map(|open| open.opened + self.linger))
    }

    /// The next batch of a partition that may go by now.
    pub(crate) fn take(&mut self, place: Place, now: Instant) -> Option<Sealed> {
        let linger = self.linger;
        let slot = self.slots.get_mut(place.topic)?;
        let queue = slot.queues.get(at(place.partition))?;
        if queue.sealed.is_empty() && queue.open.as_ref().is_some_and(|open| open.opened + linger <= now) {
            slot.seal(place.partition, &mut self.random);
        }
        let queue = slot.queues.get_mut(at(place.partition))?;
        let batch = queue.sealed.pop_front();
        if queue.sealed.is_empty() && queue.open.is_none() {
            self.active.remove(&place);
        }
        batch
    }

    /// When the first record of a partition's oldest batch came.
    pub(crate) fn oldest(&self, place: Place) -> Option<Instant> {
        let queue = self.queue(place)?;
        queue.sealed.front().or(queue.open.as_ref()).map(|batch| batch.opened)
    }

    /// The next batch of a partition, whether it is due or not.
    pub(crate) fn take_any(&mut self, place: Place) -> Option<Sealed> {
        let oldest = self.oldest(place)?;
        self.take(place, oldest + self.linger)
    }

    /// Seals every open batch: they go without waiting for their linger.
    pub(crate) fn seal_all(&mut self) {
        for place in &self.active {
            self.slots[place.topic].seal(place.partition, &mut self.random);
        }
    }

    /// A batch is done with: gives its memory back and tells its records.
    pub(crate) fn finish(&mut self, number: u64, weight: usize) {
        if self.unfinished.remove(&number).is_some() {
            self.buffered = self.buffered.saturating_sub(weight);
        }
    }

    /// The outcomes of all batches that are not done with.
    pub(crate) fn unfinished(&self) -> impl Iterator<Item = &Arc<Outcome>> {
        self.unfinished.values()
    }

    /// Bytes of records held.
    pub(crate) fn buffered(&self) -> usize {
        self.buffered
    }

    fn queue(&self, place: Place) -> Option<&Queue> {
        self.slots.get(place.topic)?.queues.get(at(place.partition))
    }
}

impl Slot {
    /// The partition of a record.
    fn choose(&self, record: &NewRecord<'_>) -> Result<i32, PushError> {
        let count = self.topic.count();
        match (record.partition, record.key) {
            (Some(partition), _) if self.topic.has(partition) => Ok(partition),
            (Some(partition), _) => Err(PushError::Refused(self.topic.unknown_partition(partition))),
            (None, Some(key)) => Ok(by_key(key, count)),
            (None, None) => Ok(self.sticky.partition(count)),
        }
    }

    /// The sizes of the open batch of a partition with the record and without, if there is one and it holds it.
    fn joined(
        &self,
        partition: i32,
        timestamp: i64,
        record: &NewRecord<'_>,
        limit: usize,
    ) -> Option<(usize, usize)> {
        let open = &self.queues[at(partition)].open.as_ref()?.builder;
        let after = size(open, timestamp, record);
        (after <= limit).then(|| (after, open.bytes()))
    }

    /// Closes the open batch of a partition; records without a key go elsewhere from now on.
    fn seal(&mut self, partition: i32, random: &mut Random) {
        let queue = &mut self.queues[at(partition)];
        let Some(open) = queue.open.take() else { return };
        queue.last_bytes = open.builder.bytes();
        queue.sealed.push_back(open);
        let count = self.topic.count();
        if self.sticky.partition(count) == partition {
            self.sticky.turn(count, random.next());
        }
    }
}

/// The place of a partition in a list by number; partitions are checked before.
fn at(partition: i32) -> usize {
    partition.unsigned_abs() as usize
}

/// The exact size of a batch with one more record.
fn size(builder: &Builder, timestamp: i64, record: &NewRecord<'_>) -> usize {
    let headers = record.headers.iter().map(|header| (header.key, header.value));
    builder.size_after(timestamp, record.key, record.value, headers)
}

fn too_large(topic: &Topic, partition: i32, size: usize) -> Error {
    let limit = topic.max_message_bytes;
    Error::new(
        ErrorKind::Invalid,
        format!(
            "a record of {size} bytes with its batch header is above max.message.bytes={limit} of topic {:?}",
            topic.name
        ),
    )
    .with("topic", &topic.name)
    .with("partition", partition)
    .with("size", size)
    .with("limit", limit)
}

fn refused(topic: &Topic, partition: i32, error: caudal_proto::batch::Error) -> Error {
    Error::new(ErrorKind::Invalid, format!("the record fits no batch: {error}"))
        .with("topic", &topic.name)
        .with("partition", partition)
        .caused_by(error)
}

#[cfg(test)]
mod tests;
