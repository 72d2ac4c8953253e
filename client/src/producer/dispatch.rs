//! From batches to streams: one pass over the partitions that have something.

use std::collections::BTreeSet;
use std::time::Instant;

use super::task::Task;
use crate::batcher::{Place, Sealed};
use crate::clock;
use crate::error::{Error, ErrorKind};
use crate::lane::{self, Batch, Done, Lane};
use crate::metadata::Topic;

impl Task {
    /// Sends what may go. Returns when the next thing is due that no event announces.
    pub(super) fn pass(&mut self, now: Instant) -> Option<Instant> {
        if self.shared.config.acks == crate::Acks::None {
            self.collect_handed_over();
        }
        let mut places: BTreeSet<Place> = self.shared.lock().batcher.active().collect();
        places.extend(self.lanes.iter().filter(|(_, lane)| !lane.is_empty()).map(|(place, _)| *place));
        let places: Vec<Place> = places.into_iter().collect();
        if places.is_empty() {
            return None;
        }
        self.turn = (self.turn + 1) % places.len();
        let (last, first) = places.split_at(self.turn);
        let mut due: Option<Instant> = None;
        for &place in first.iter().chain(last) {
            self.expire(place, now);
            self.pump(place, now);
            let next = self.wake_at(place, now);
            due = due.into_iter().chain(next).min();
        }
        due
    }

    /// Sends what may go of one partition.
    fn pump(&mut self, place: Place, now: Instant) {
        let topic = self.shared.lock().batcher.topic(place).clone();
        let config = &self.shared.config;
        let (depth, sequences) = (config.in_flight_per_partition(), config.with_sequences());
        let lane = self.lanes.entry(place).or_insert_with(|| Lane::new(topic.id, depth, sequences));
        lane.set_topic(topic.id, &mut self.done);
        if lane.topic_id() != topic.id {
            return;
        }
        if let Some(spent) = lane.needs_identity() {
            match self.identity.filter(|identity| Some(*identity) != spent) {
                Some(identity) => lane.set_identity(identity),
                None => self.identify.want_next(true),
            }
        }
        let Some(leader) = self.metadata.leader(&topic, place.partition) else {
            self.refresh.want_next(true);
            return;
        };
        let Some(best) = self.brokers.choose(&leader.address, leader.shard, now) else { return };
        if self.bound.get(&place) != Some(&best) {
            // Two streams have no order between them: the old one must have answered everything first.
            if self.lanes.get(&place).is_some_and(Lane::is_waiting) {
                return;
            }
            self.bound.insert(place, best);
        }
        while self.send_one(place, &topic, best, now) {}
    }

    /// Sends one batch of a partition on a stream. Returns whether another may follow.
    fn send_one(
        &mut self,
        place: Place,
        topic: &Topic,
        stream: super::brokers::StreamId,
        now: Instant,
    ) -> bool {
        let Some(lane) = self.lanes.get_mut(&place) else { return false };
        let Some(link) = self.brokers.link(stream) else { return false };
        if let Some(batch) = lane.next_to_send(now) {
            if !link.has_room(batch.bytes.len()) || !link.send(topic.reference(), place, batch, now) {
                return false;
            }
            let number = batch.number;
            lane.sent(number);
            return true;
        }
        if !lane.can_take() || !link.has_room(0) {
            return false;
        }
        let Some(sealed) = self.shared.lock().batcher.take(place, now) else { return false };
        let count = i32::try_from(sealed.builder.len()).unwrap_or(i32::MAX);
        let deadline = sealed.opened + self.shared.config.delivery_timeout;
        let Sealed { number, builder, outcome, weight, .. } = sealed;
        match builder.finish(self.shared.config.codec, lane.next_producer()) {
            Ok(bytes) => lane.push(Batch { number, bytes, count, outcome, weight, deadline }),
            Err(error) => {
                let refused = Error::new(ErrorKind::Unsupported, format!("the batch is not made: {error}"));
                self.done.push(Done { number, weight, outcome, result: Err(refused.caused_by(error)) });
            }
        }
        true
    }

    /// Gives up what is too old, sent or not.
    fn expire(&mut self, place: Place, now: Instant) {
        if let Some(lane) = self.lanes.get_mut(&place) {
            lane.expire(now, self.trouble.as_ref(), &mut self.done);
        }
        let timeout = self.shared.config.delivery_timeout;
        let mut state = self.shared.lock();
        while state.batcher.oldest(place).is_some_and(|opened| opened + timeout <= now) {
            let Some(sealed) = state.batcher.take_any(place) else { break };
            let cause = self.trouble.clone().or_else(|| state.lookup_error.clone());
            let error = lane::late(sealed.outcome.topic(), place.partition, cause);
            self.done.push(given_up(sealed, error));
        }
    }

    /// When a partition wants to be looked at again without an event.
    fn wake_at(&self, place: Place, now: Instant) -> Option<Instant> {
        let lane = self.lanes.get(&place);
        let state = self.shared.lock();
        let linger = state.batcher.due(place).filter(|&due| due > now && lane.is_none_or(Lane::can_take));
        let timeout = self.shared.config.delivery_timeout;
        let expiry = state.batcher.oldest(place).map(|opened| opened + timeout);
        // What is due and did not go waits for an event: a stream, an answer, metadata.
        let lane = lane.and_then(Lane::wake_at).filter(|&at| at > now);
        [linger, expiry, lane].into_iter().flatten().min()
    }

    /// Gives up everything of the partitions that `which` names, apart from what is unanswered.
    pub(super) fn fail_places(&mut self, error: &Error, which: impl Fn(&Task, Place) -> bool) {
        let mut places: BTreeSet<Place> = self.shared.lock().batcher.active().collect();
        places.extend(self.lanes.keys());
        for place in places {
            if !which(self, place) {
                continue;
            }
            if let Some(lane) = self.lanes.get_mut(&place) {
                lane.fail(error, &mut self.done);
            }
            let mut state = self.shared.lock();
            while let Some(sealed) = state.batcher.take_any(place) {
                self.done.push(given_up(sealed, error.clone()));
            }
        }
    }

    /// Without acknowledgements a batch is done with when the transport has taken it.
    fn collect_handed_over(&mut self) {
        for link in self.brokers.links() {
            for (place, number) in link.handed_over().into_values() {
                if let Some(lane) = self.lanes.get_mut(&place) {
                    lane.handed_over(number, &mut self.done);
                }
            }
        }
    }

    /// A stream is gone: its batches are in doubt.
    pub(super) fn on_lost(&mut self, stream: super::brokers::StreamId, error: &Error) {
        let (now, jitter) = (clock::now(), clock::random());
        let Some(link) = self.brokers.lost(stream, now, jitter) else { return };
        tracing::debug!(address = %link.address, shard = link.shard, %error, "produce stream lost");
        self.refresh.wanted = true;
        let places: Vec<Place> =
            self.bound.iter().filter(|(_, bound)| **bound == stream).map(|(place, _)| *place).collect();
        for place in places {
            self.bound.remove(&place);
            if let Some(lane) = self.lanes.get_mut(&place) {
                lane.stream_lost(error, now, jitter, &mut self.done);
            }
        }
    }
}

fn given_up(sealed: Sealed, error: Error) -> Done {
    Done { number: sealed.number, weight: sealed.weight, outcome: sealed.outcome, result: Err(error) }
}
