//! A lane against a model of a broker, under every kind of failure: nothing acknowledged is missing, nothing is
//! there twice, and the order is the order of pushing.

use std::collections::BTreeMap;
use std::time::Duration;

use caudal_proto::batch::{Builder, Codec, Header};
use caudal_proto::v1::{PartitionError, Reason};
use proptest::prelude::*;

use super::*;
use crate::config::IN_FLIGHT_MAX;

/// A partition as a broker keeps it.
#[derive(Default)]
struct Broker {
    /// The values in the log: one record a batch, its number.
    log: Vec<u64>,
    /// Of each producer: the sequences remembered, oldest first.
    producers: BTreeMap<i64, Vec<i32>>,
}

impl Broker {
    fn produce(&mut self, number: u64, header: &Header) -> Result<bool, Reason> {
        if !header.has_producer() {
            self.log.push(number);
            return Ok(false);
        }
        let seen = self.producers.entry(header.producer_id).or_default();
        if seen.contains(&header.base_sequence) {
            return Ok(true);
        }
        match seen.last() {
            None if header.base_sequence != 0 => return Err(Reason::ProducerUnknown),
            Some(&last) if header.base_sequence != last + 1 => return Err(Reason::OutOfOrderSequence),
            _ => {}
        }
        seen.push(header.base_sequence);
        if seen.len() > IN_FLIGHT_MAX {
            seen.remove(0);
        }
        self.log.push(number);
        Ok(false)
    }
}

/// What happens to the oldest unanswered batch, or around it.
#[derive(Debug, Clone, Copy)]
enum Event {
    Push,
    Answer,
    /// Refused with this, not written.
    Refuse(Reason),
    /// Written, and answered as unknown.
    WriteAndDoubt,
    /// Lost before it was written: the broker sees nothing that was sent after it either.
    CutBefore,
    /// The first `n` unanswered batches are written; no answer arrives.
    CutAfter(usize),
    /// The broker loses what it knew of producers.
    Forget,
    /// Time passes: retries become due.
    Wait,
    /// So much time that the oldest batch expires.
    Expire,
}

fn event() -> impl Strategy<Value = Event> {
    let retriable = prop::sample::select(vec![
        Reason::NotLeader,
        Reason::Throttled,
        Reason::DiskFull,
        Reason::PartitionClosed,
        Reason::UnknownOutcome,
    ]);
    prop_oneof![
        12 => Just(Event::Push),
        12 => Just(Event::Answer),
        3 => retriable.prop_map(Event::Refuse),
        2 => Just(Event::Refuse(Reason::InvalidTimestamp)),
        2 => Just(Event::WriteAndDoubt),
        1 => Just(Event::CutBefore),
        2 => (0..4usize).prop_map(Event::CutAfter),
        1 => Just(Event::Forget),
        4 => Just(Event::Wait),
        1 => Just(Event::Expire),
    ]
}

struct World {
    lane: Lane,
    broker: Broker,
    /// Batches on the stream in order, as the broker will see them.
    stream: VecDeque<(u64, Bytes)>,
    now: Instant,
    pushed: u64,
    next_identity: i64,
    done: Vec<Done>,
    acknowledged: Vec<u64>,
    refused: Vec<u64>,
    unknown: Vec<u64>,
}

const LIFE: Duration = Duration::from_secs(1000);

impl World {
    fn new(sequences: bool) -> World {
        let depth = if sequences { IN_FLIGHT_MAX } else { 1 };
        World {
            lane: Lane::new(TopicId::nil(), depth, sequences),
            broker: Broker::default(),
            stream: VecDeque::new(),
            now: crate::clock::now(),
            pushed: 0,
            next_identity: 1,
            done: Vec::new(),
            acknowledged: Vec::new(),
            refused: Vec::new(),
            unknown: Vec::new(),
        }
    }

    fn step(&mut self, event: Event) {
        match event {
            Event::Push => self.push(),
            Event::Answer => self.answer(None, true),
            Event::Refuse(reason) => self.answer(Some(reason), false),
            Event::WriteAndDoubt => self.answer(Some(Reason::UnknownOutcome), true),
            Event::CutBefore => self.cut(0),
            Event::CutAfter(written) => self.cut(written),
            Event::Forget => self.forget(),
            Event::Wait => self.now += Duration::from_secs(2),
            Event::Expire => {
                self.now += LIFE / 2;
                self.lane.expire(self.now, None, &mut self.done);
            }
        }
        self.settle();
        self.drive();
    }

    fn push(&mut self) {
        if !self.lane.can_take() {
            return;
        }
        let number = self.pushed;
        self.pushed += 1;
        let mut builder = Builder::new();
        builder.push(0, None, Some(&number.to_be_bytes()), []).unwrap();
        let bytes = builder.finish(Codec::None, self.lane.next_producer()).unwrap();
        let outcome = Outcome::new("t".into(), 0);
        let deadline = self.now + LIFE;
        self.lane.push(Batch { number, bytes, count: 1, outcome, weight: 1, deadline });
    }

    fn answer(&mut self, reason: Option<Reason>, written: bool) {
        let Some((number, bytes)) = self.stream.pop_front() else { return };
        let header = Header::parse(&bytes).unwrap();
        let result = if written { self.broker.produce(number, &header) } else { Ok(false) };
        let reason = result.err().or(reason);
        match reason {
            None => {
                let receipt = BatchReceipt::unknown("t".into(), TopicId::nil(), 0, false);
                self.lane.acknowledged(number, receipt, &mut self.done);
            }
            Some(reason) => {
                let retriable = matches!(reason, Reason::NotLeader | Reason::Throttled | Reason::DiskFull);
                let error = PartitionError { reason: reason as i32, retriable, ..Default::default() };
                self.lane.refused(number, Error::refused(error), self.now, 7, &mut self.done);
            }
        }
    }

    fn cut(&mut self, written: usize) {
        for (number, bytes) in self.stream.drain(..).take(written) {
            let _ = self.broker.produce(number, &Header::parse(&bytes).unwrap());
        }
        let error = Error::new(ErrorKind::Unreachable, "cut");
        self.lane.stream_lost(&error, self.now, 7, &mut self.done);
    }

    /// A row whose first batch is under way may begin a second time if the broker forgets it: that is the bound of
    /// idempotence (a day, against minutes of retries), and is left out here.
    fn forget(&mut self) {
        let on_stream = self.stream.iter().map(|(_, bytes)| Header::parse(bytes).unwrap().base_sequence);
        if self.lane.entries.iter().map(|entry| entry.sequence).chain(on_stream).all(|first| first > 0) {
            self.broker.producers.clear();
        }
    }

    /// What the task does after each event.
    fn drive(&mut self) {
        if self.lane.needs_identity().is_some() {
            self.lane.set_identity(Identity { id: self.next_identity, epoch: 0 });
            self.next_identity += 1;
        }
        while let Some(batch) = self.lane.next_to_send(self.now) {
            let (number, bytes) = (batch.number, batch.bytes.clone());
            self.stream.push_back((number, bytes));
            self.lane.sent(number);
        }
    }

    fn settle(&mut self) {
        for done in self.done.drain(..) {
            match done.result {
                Ok(_) => self.acknowledged.push(done.number),
                Err(error) if error.kind() == ErrorKind::UnknownOutcome => self.unknown.push(done.number),
                Err(_) => self.refused.push(done.number),
            }
        }
    }

    fn check(&self) {
        let log = &self.broker.log;
        assert!(log.is_sorted_by(|a, b| a < b), "order, each once: {log:?}");
        for number in &self.acknowledged {
            assert!(log.contains(number), "acknowledged and not there: {number}");
        }
        for number in &self.refused {
            assert!(!log.contains(number), "failed for good, and there: {number}");
        }
        let told = self.acknowledged.len() + self.refused.len() + self.unknown.len();
        assert_eq!(told as u64, self.pushed, "each batch is told once");
    }

    /// Lets everything come to its end, with a broker that does its work.
    fn finish(&mut self) {
        for _ in 0..1000 {
            if self.lane.is_empty() {
                return;
            }
            self.step(Event::Wait);
            self.step(Event::Answer);
        }
        panic!("the lane does not come to an end");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_lost_doubled_or_reordered(
        sequences in any::<bool>(),
        events in prop::collection::vec(event(), 0..120),
    ) {
        let mut world = World::new(sequences);
        world.drive();
        for event in events {
            world.step(event);
        }
        world.finish();
        world.check();
    }
}

fn refuse(reason: Reason) -> Event {
    Event::Refuse(reason)
}

/// Runs a script; answers with the log, and the batches acknowledged, refused, unknown.
fn run(sequences: bool, events: &[Event]) -> [Vec<u64>; 4] {
    let mut world = World::new(sequences);
    world.drive();
    events.iter().for_each(|&event| world.step(event));
    world.finish();
    world.check();
    [world.broker.log, world.acknowledged, world.refused, world.unknown]
}

#[test]
fn batches_behind_a_refused_one_close_up_under_the_same_identity() {
    let mut world = World::new(true);
    world.drive();
    for event in [Event::Push, Event::Push, Event::Push, refuse(Reason::InvalidTimestamp)] {
        world.step(event);
    }
    world.finish();
    world.check();
    assert_eq!(world.broker.log, [1, 2]);
    assert_eq!(world.refused, [0]);
    assert_eq!(world.next_identity, 2, "no new identity was asked for");
}

#[test]
fn a_batch_in_doubt_that_is_refused_later_is_unknown() {
    // The second attempt of batch 0 is refused, although the first was written; batch 1 follows the first.
    let events =
        [Event::Push, Event::Push, Event::CutAfter(1), Event::Wait, refuse(Reason::InvalidTimestamp)];
    let [log, acknowledged, refused, unknown] = run(true, &events);
    assert_eq!((log, acknowledged, refused, unknown), (vec![0, 1], vec![1], vec![], vec![0]));
}

#[test]
fn without_sequences_a_cut_is_unknown_and_a_refusal_is_retried() {
    let events = [Event::Push, Event::CutAfter(1), Event::Push, refuse(Reason::NotLeader), Event::Wait];
    let [log, acknowledged, _, unknown] = run(false, &events);
    assert_eq!((log, acknowledged, unknown), (vec![0, 1], vec![1], vec![0]));
}

#[test]
fn it_wakes_for_retries_and_for_the_oldest_batchs_end() {
    let mut world = World::new(true);
    world.drive();
    assert_eq!(world.lane.wake_at(), None);
    world.step(Event::Push);
    assert_eq!(world.lane.wake_at(), Some(world.now + LIFE));
    world.step(refuse(Reason::NotLeader));
    let retry = world.lane.wake_at().unwrap();
    assert!(retry > world.now && retry < world.now + Duration::from_secs(1));
    assert!(world.lane.next_to_send(world.now).is_none() && world.lane.next_to_send(retry).is_some());
}

#[test]
fn a_batch_that_is_late_says_what_held_up_the_first_one() {
    let mut world = World::new(true);
    world.drive();
    world.step(Event::Push);
    world.step(Event::Push);
    world.step(refuse(Reason::DiskFull));
    world.step(Event::Answer); // The second is out of its row.
    world.lane.expire(world.now + LIFE, None, &mut world.done);
    let error = world.done[0].result.as_ref().unwrap_err();
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<Error>());
    assert_eq!(cause.and_then(Error::reason), Some(Reason::DiskFull), "{error}");
}
