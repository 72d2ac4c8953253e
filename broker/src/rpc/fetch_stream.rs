//! A fetch stream: subscriptions that take turns, byte credit, heartbeats when there is nothing to say.
//!
//! Each subscription with something to read has one turn after another, of one message, so that a long catch-up does
//! not starve the others. Batches leave only against credit; HTTP/2's own window only bounds what is under way.

use std::collections::{BTreeMap, VecDeque};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use caudal_proto::v1;
use caudal_proto::v1::fetch_stream_request::Message as Asked;
use caudal_proto::v1::fetch_stream_response::Message as Told;
use tokio::time::{Sleep, sleep};
use tonic::{Status, Streaming};

use super::answers::Outlet;
use super::status::{partition_error, status};
use super::subscription::Subscription;
use super::{Door, convert, reading};
use crate::ids::Offset;
use crate::limits;
use crate::log::{ReadBatches, ReadError};
use crate::refusal::Refusal;
use crate::runtime::life::Phase;
use crate::runtime::readers::NotRead;
use crate::runtime::watcher::Watcher;

/// Serves one stream until the client ends it, or its form is broken, or the broker stops.
///
/// A client that has only ended its requests is served as long as there is credit.
///
/// # Errors
/// As said.
pub async fn serve(
    door: Door,
    mut requests: Streaming<v1::FetchStreamRequest>,
    outlet: Outlet<v1::FetchStreamResponse>,
) -> Result<(), Status> {
    let life = Arc::clone(&door.life);
    let stopping = life.reached(Phase::Stopping);
    tokio::pin!(stopping);
    let watcher = Watcher::new();
    let mut stream = Stream::open(door, requests.message().await?, outlet, Arc::clone(&watcher))
        .map_err(|refusal| status(&refusal))?;
    let mut reading = true;
    while reading || stream.credit > 0 {
        stream.begin_read();
        tokio::select! {
            biased;
            request = requests.message(), if reading && stream.takes_requests() => match request? {
                Some(request) => stream.ask(request).map_err(|refusal| status(&refusal))?,
                None => reading = false,
            },
            () = watcher.woken() => stream.woken(),
            (number, result) = &mut stream.read, if stream.reading => stream.finish_read(number, result),
            () = stream.outlet.room(READ_AHEAD), if stream.wants_room() => {}
            () = &mut stream.heartbeat => stream.beat(),
            () = &mut stopping => return Err(status(&Refusal::ShuttingDown)),
        }
    }
    Ok(())
}

/// Messages of batches made before the client takes them: one is being sent while the next is read.
const READ_AHEAD: usize = 2;

type Outcome = Result<Result<ReadBatches, ReadError>, NotRead>;

/// Which subscription, of which generation, from where.
#[derive(Debug, Clone, Copy)]
struct Turn {
    subscription: u32,
    generation: u32,
    from: Offset,
}

struct Stream {
    door: Door,
    outlet: Outlet<v1::FetchStreamResponse>,
    watcher: Arc<Watcher>,
    subscriptions: BTreeMap<u32, Subscription>,
    turns: VecDeque<u32>,
    /// Bytes that may be sent; below 0 by the last batch's overdraft.
    credit: i64,
    max_bytes: usize,
    silence: Duration,
    heartbeat: Pin<Box<Sleep>>,
    /// The read of the subscription whose turn it is, while `reading`.
    read: Pin<Box<dyn Future<Output = (Turn, Outcome)> + Send>>,
    reading: bool,
}

impl Stream {
    fn open(
        door: Door,
        first: Option<v1::FetchStreamRequest>,
        outlet: Outlet<v1::FetchStreamResponse>,
        watcher: Arc<Watcher>,
    ) -> Result<Stream, Refusal> {
        let Some(Asked::Open(open)) = first.and_then(|request| request.message) else {
            return Err(convert::invalid("message", "the first one is `open`"));
        };
        let heartbeat_ms = match open.heartbeat_ms {
            0 => limits::FETCH_HEARTBEAT_MS_DEFAULT,
            ms if limits::FETCH_HEARTBEAT_MS.contains(&ms) => ms,
            ms => {
                let (least, most) = limits::FETCH_HEARTBEAT_MS.into_inner();
                return Err(convert::invalid("heartbeat_ms", format!("{ms} is outside {least}..={most}")));
            }
        };
        let max_bytes = match open.max_bytes as usize {
            0 => limits::FETCH_STREAM_MESSAGE_BYTES,
            bytes => bytes.min(limits::FETCH_STREAM_MESSAGE_BYTES),
        };
        let silence = Duration::from_millis(u64::from(heartbeat_ms));
        let stream = Stream {
            outlet,
            watcher,
            subscriptions: BTreeMap::new(),
            turns: VecDeque::new(),
            credit: i64::try_from(open.credit_bytes).unwrap_or(i64::MAX),
            max_bytes,
            silence,
            heartbeat: Box::pin(sleep(silence)),
            read: Box::pin(std::future::pending()),
            reading: false,
            door,
        };
        stream.outlet.put(v1::FetchStreamResponse {
            message: Some(Told::Opened(v1::FetchOpened {
                node_id: stream.door.node(),
                shard: stream.door.shard.0,
                shards: stream.door.handle.shards(),
            })),
        });
        Ok(stream)
    }

    /// Says something, which puts off the heartbeat.
    fn tell(&mut self, message: Told) {
        self.outlet.put(v1::FetchStreamResponse { message: Some(message) });
        self.heartbeat.set(sleep(self.silence));
    }

    fn takes_requests(&self) -> bool {
        self.outlet.waiting() < limits::FETCH_STREAM_ANSWERS_MAX
    }

    fn wants_room(&self) -> bool {
        !self.reading && self.credit > 0 && !self.turns.is_empty()
    }

    fn ask(&mut self, request: v1::FetchStreamRequest) -> Result<(), Refusal> {
        match request.message {
            Some(Asked::Subscribe(subscribe)) => return self.subscribe(subscribe),
            Some(Asked::Unsubscribe(v1::FetchUnsubscribe { subscription })) => {
                self.subscriptions.remove(&subscription);
            }
            Some(Asked::Seek(seek)) => self.seek(seek),
            Some(Asked::Pause(v1::FetchPause { subscription })) => self.set_paused(subscription, true),
            Some(Asked::Resume(v1::FetchResume { subscription })) => self.set_paused(subscription, false),
            Some(Asked::Credit(v1::FetchCredit { bytes })) => {
                self.credit = self.credit.saturating_add(i64::try_from(bytes).unwrap_or(i64::MAX));
            }
            Some(Asked::Open(_)) => return Err(convert::invalid("message", "`open` comes once, first")),
            None => return Err(convert::invalid("message", "it is empty")),
        }
        Ok(())
    }

    fn subscribe(&mut self, subscribe: v1::FetchSubscribe) -> Result<(), Refusal> {
        let number = subscribe.subscription;
        if self.subscriptions.contains_key(&number) {
            return Err(convert::invalid("subscription", format!("{number} is in use on this stream")));
        }
        convert::check_count(
            "subscription",
            self.subscriptions.len() + 1,
            limits::SUBSCRIPTIONS_PER_STREAM_MAX,
        )?;
        match convert::locate(&self.door.views, subscribe.topic.as_ref(), subscribe.partition) {
            Ok(view) => {
                let subscription = Subscription::new(view, Offset(subscribe.offset), subscribe.leader_epoch);
                self.subscriptions.insert(number, subscription);
                self.take_turn(number);
            }
            Err(refusal) => self.end(number, 0, &refusal),
        }
        Ok(())
    }

    /// What is asked of a subscription that has ended crossed the news of it, and is ignored.
    fn seek(&mut self, seek: v1::FetchSeek) {
        let Some(subscription) = self.subscriptions.get_mut(&seek.subscription) else { return };
        if seek.generation <= subscription.generation {
            let why = format!("{} does not rise above {}", seek.generation, subscription.generation);
            let generation = subscription.generation;
            return self.end(seek.subscription, generation, &convert::invalid("generation", why));
        }
        subscription.generation = seek.generation;
        subscription.next = Offset(seek.offset);
        self.take_turn(seek.subscription);
    }

    fn set_paused(&mut self, number: u32, paused: bool) {
        let Some(subscription) = self.subscriptions.get_mut(&number) else { return };
        subscription.paused = paused;
        if !paused {
            self.take_turn(number);
        }
    }

    /// Ends a subscription and says why.
    fn end(&mut self, subscription: u32, generation: u32, refusal: &Refusal) {
        self.subscriptions.remove(&subscription);
        let error = Some(partition_error(refusal));
        self.tell(Told::Error(v1::FetchSubscriptionError { subscription, generation, error }));
    }

    /// Puts a subscription at the end of the queue, if it is not in it.
    fn take_turn(&mut self, number: u32) {
        let Some(subscription) = self.subscriptions.get_mut(&number) else { return };
        subscription.watch = None;
        if !subscription.queued && !subscription.paused {
            subscription.queued = true;
            self.turns.push_back(number);
        }
    }

    fn woken(&mut self) {
        let mut hits = Vec::new();
        self.watcher.take(&mut hits);
        for number in hits {
            self.take_turn(number);
        }
    }

    fn beat(&mut self) {
        let tails =
            self.subscriptions.iter().map(|(number, subscription)| subscription.tail(*number)).collect();
        self.tell(Told::Heartbeat(v1::FetchHeartbeat { tails }));
    }

    /// Begins the read of the next subscription that has something, if there is credit and room.
    fn begin_read(&mut self) {
        while self.wants_room() && self.outlet.waiting() < READ_AHEAD {
            let Some(number) = self.turns.pop_front() else { return };
            match self.look(number) {
                Ok(Some((turn, readable))) => {
                    let (readers, end) = (self.door.readers.clone(), readable.end);
                    let max_bytes = self.max_bytes.min(usize::try_from(self.credit).unwrap_or(0));
                    self.read = Box::pin(async move {
                        (turn, readers.read(&readable.reader, turn.from, end, max_bytes).await)
                    });
                    self.reading = true;
                }
                Ok(None) => {}
                Err((generation, refusal)) => self.end(number, generation, &refusal),
            }
        }
    }

    /// What a subscription has to read. One that has nothing waits for its partition to change.
    fn look(&mut self, number: u32) -> Result<Option<(Turn, reading::Readable)>, (u32, Refusal)> {
        let Some(subscription) = self.subscriptions.get_mut(&number) else { return Ok(None) };
        subscription.queued = false;
        if subscription.paused {
            return Ok(None);
        }
        let (generation, from) = (subscription.generation, subscription.next);
        for watched in [false, true] {
            if watched {
                subscription.watch = Some(subscription.view.watch(self.door.shard, &self.watcher, number));
            }
            let readable = reading::readable(&self.door.views, &subscription.view, from, subscription.epoch);
            if let Some(readable) = readable.map_err(|refusal| (generation, refusal))? {
                subscription.watch = None;
                subscription.queued = true;
                return Ok(Some((Turn { subscription: number, generation, from }, readable)));
            }
        }
        Ok(None)
    }

    fn finish_read(&mut self, turn: Turn, outcome: Outcome) {
        self.reading = false;
        let number = turn.subscription;
        let Some(subscription) = self.subscriptions.get_mut(&number) else { return };
        subscription.queued = false;
        // It was moved, paused, or ended and made anew under the same number meanwhile.
        let is_wanted = !subscription.paused
            && (subscription.generation, subscription.next) == (turn.generation, turn.from);
        match outcome {
            Ok(Ok(read)) if is_wanted && read.next_offset <= turn.from => {
                let why = format!("nothing was found at offset {}", turn.from);
                return self.end(number, turn.generation, &Refusal::Internal { why });
            }
            Ok(Ok(read)) if is_wanted => {
                self.credit = self.credit.saturating_sub(i64::try_from(read.bytes).unwrap_or(i64::MAX));
                self.door.note_fetched(&subscription.view, &read.batches);
                let batches = subscription.batches(number, read.batches, read.next_offset);
                self.tell(Told::Batches(batches));
            }
            Ok(Err(error)) if is_wanted => {
                let refusal = reading::refusal(&subscription.view, turn.from, error);
                return self.end(number, turn.generation, &refusal);
            }
            Err(error) if is_wanted => {
                return self.end(number, turn.generation, &Refusal::Internal { why: error.to_string() });
            }
            _ => {}
        }
        self.take_turn(number);
    }
}
