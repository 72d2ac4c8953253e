//! The consumer's task: one loop that makes subscriptions follow what is wanted, and fills the buffer.
//!
//! Connection attempts and look-ups run beside the loop, so that a dead broker holds nobody up.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use caudal_proto::batch::{self, Header};
use caudal_proto::v1 as wire;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_stream::{StreamExt as _, StreamMap, StreamNotifyClose};
use wire::fetch_stream_response::Message;

use super::Tail;
use super::buffer::Shared;
use super::decode::unreadable;
use super::streams::{self, Answers, Link};
use super::subscription::Subscriptions;
use crate::ask::Ask;
use crate::client::Client;
use crate::clock;
use crate::config::{CREDIT_BYTES_MIN, FETCH_SILENT_HEARTBEATS};
use crate::error::{Error, ErrorKind};
use crate::metadata::Metadata;
use crate::offsets::by_name;
use crate::retry;

/// Without anything to do the loop looks around this often.
const IDLE: Duration = Duration::from_secs(60);

/// Work beside the loop.
enum Job {
    Metadata(Box<Result<wire::GetMetadataResponse, Error>>),
    Stream(Arc<str>, Box<Result<(Link, Answers), Error>>),
}

/// What is known of one broker's stream.
#[derive(Default)]
pub(super) struct Broker {
    pub(super) link: Option<Link>,
    opening: bool,
    retry_at: Option<Instant>,
    round: u32,
}

/// The task's state; nobody else sees it.
pub(super) struct Task {
    pub(super) shared: Arc<Shared>,
    client: Client,
    pub(super) metadata: Metadata,
    pub(super) brokers: BTreeMap<Arc<str>, Broker>,
    pub(super) subscriptions: Subscriptions,
    answers: StreamMap<Arc<str>, StreamNotifyClose<Answers>>,
    drained: Arc<Notify>,
    jobs: JoinSet<Job>,
    pub(super) refresh: Ask,
    /// Subscriptions may have to follow: a stream came or went, metadata came, a queue has room again.
    pub(super) changed: bool,
}

struct Stop(Arc<Shared>);

impl Drop for Stop {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.stopped = true;
        state.wake_reader();
    }
}

/// Runs until the consumer is dropped.
pub(super) async fn run(client: Client, shared: Arc<Shared>) {
    let task = Task {
        shared: shared.clone(),
        client,
        metadata: Metadata::default(),
        brokers: BTreeMap::new(),
        subscriptions: Subscriptions::default(),
        answers: StreamMap::new(),
        drained: Arc::new(Notify::new()),
        jobs: JoinSet::new(),
        refresh: Ask::default(),
        changed: false,
    };
    // Also when the task is dropped in the middle: the reader must not wait for ever.
    let _stop = Stop(shared);
    task.run().await;
}

impl Task {
    async fn run(mut self) {
        while !self.shared.lock().closing {
            let now = clock::now();
            self.drop_silent(now);
            self.retry_brokers(now);
            let due = self.reconcile(now);
            self.give_credit(now);
            self.ask(now);
            let wake_at = [self.wake_at(now), self.refresh.wake_at(), due].into_iter().flatten().min();
            let wake_at = wake_at.unwrap_or(now + IDLE);
            let (shared, drained) = (self.shared.clone(), self.drained.clone());
            tokio::select! {
                () = shared.wake.notified() => {}
                () = drained.notified() => {
                    for link in self.brokers.values_mut().filter_map(|broker| broker.link.as_mut()) {
                        self.changed |= link.has_room_again();
                    }
                }
                Some((address, answer)) = self.answers.next(), if !self.answers.is_empty() => {
                    self.on_answer(&address, answer);
                }
                Some(job) = self.jobs.join_next(), if !self.jobs.is_empty() => {
                    match job {
                        Ok(job) => self.on_job(job),
                        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                        Err(_) => {}
                    }
                }
                () = tokio::time::sleep_until(wake_at.into()) => {}
            }
        }
    }

    /// The open stream to a broker; begins to open one where there is none.
    pub(super) fn broker(&mut self, address: &Arc<str>, now: Instant) -> Option<&mut Link> {
        let broker = self.brokers.entry(address.clone()).or_default();
        if broker.link.is_none() && !broker.opening && broker.retry_at.is_none_or(|at| at <= now) {
            broker.opening = true;
            let share = self.shared.config.buffer_bytes / self.metadata.brokers().max(1);
            let credit = share.max(CREDIT_BYTES_MIN) as u64;
            let held = {
                let mut state = self.shared.lock();
                state.credit_given(address);
                state.credit(address).0
            };
            let heartbeat = u32::try_from(self.shared.config.heartbeat.as_millis()).unwrap_or(u32::MAX);
            let (config, drained) = (self.client.config().clone(), self.drained.clone());
            let address = address.clone();
            self.jobs.spawn(async move {
                let opened =
                    streams::open(config, address.clone(), heartbeat.max(1), credit, held, drained).await;
                Job::Stream(address, Box::new(opened))
            });
        }
        self.brokers.get_mut(address)?.link.as_mut()
    }

    /// Gives back what was freed, once it is worth a message or the broker has nothing left to send on.
    fn give_credit(&mut self, now: Instant) {
        let mut state = self.shared.lock();
        for (address, broker) in &mut self.brokers {
            let Some(link) = &mut broker.link else { continue };
            let (held, freed) = state.credit(address);
            let worth_it = freed >= link.credit / 4 || (held == 0 && freed > 0);
            let message = wire::fetch_stream_request::Message::Credit(wire::FetchCredit { bytes: freed });
            if worth_it && link.put(message) {
                state.credit_given(address);
                link.heard = now;
            }
        }
    }

    fn ask(&mut self, now: Instant) {
        self.refresh.want_next(self.metadata.is_stale(now) && !self.shared.lock().parts.is_empty());
        if self.refresh.begin(now, false) {
            let mut topics: Vec<_> = self.shared.lock().parts.keys().map(|(name, _)| name.clone()).collect();
            topics.dedup();
            let client = self.client.clone();
            let topics = topics.iter().map(|name| by_name(name)).collect();
            self.jobs.spawn(async move { Job::Metadata(Box::new(client.get_metadata(topics).await)) });
        }
    }

    fn on_job(&mut self, job: Job) {
        self.changed = true;
        let (now, jitter) = (clock::now(), clock::random());
        match job {
            Job::Metadata(answer) => {
                self.refresh.ended(now, jitter);
                match *answer {
                    Ok(response) => {
                        self.on_metadata(now, response);
                        if self.metadata.take_news() {
                            self.refresh.news(now, jitter);
                        }
                    }
                    Err(error) => {
                        tracing::debug!(%error, "no metadata");
                        self.refresh.wanted = true;
                    }
                }
            }
            Job::Stream(address, opened) => {
                let broker = self.brokers.entry(address.clone()).or_default();
                broker.opening = false;
                match *opened {
                    Ok((link, answers)) => {
                        broker.link = Some(link);
                        broker.round = 0;
                        self.answers.insert(address, StreamNotifyClose::new(answers));
                    }
                    Err(error) => {
                        tracing::debug!(%address, %error, "no fetch stream");
                        broker.retry_at = Some(now + retry::backoff(broker.round, jitter));
                        broker.round = broker.round.saturating_add(1);
                        self.refresh.wanted = true;
                    }
                }
            }
        }
    }

    fn on_metadata(&mut self, now: Instant, response: wire::GetMetadataResponse) {
        for (name, topic) in self.metadata.update(now, response) {
            let Err(error) = topic else { continue };
            if error.is_retriable() {
                self.refresh.wanted = true;
                continue;
            }
            let mut state = self.shared.lock();
            let of_topic: Vec<_> = state.parts.iter().filter(|((topic, _), _)| *topic == name).collect();
            let gone: Vec<_> = of_topic.into_iter().map(|(key, part)| (key.clone(), part.version)).collect();
            for (key, version) in gone {
                state.push_error(&key, version, error.clone());
            }
        }
    }

    fn on_answer(
        &mut self,
        address: &Arc<str>,
        answer: Option<Result<wire::FetchStreamResponse, tonic::Status>>,
    ) {
        let now = clock::now();
        let error = match answer {
            Some(Ok(response)) => {
                if let Some(link) = self.brokers.get_mut(address).and_then(|broker| broker.link.as_mut()) {
                    link.heard = now;
                }
                match response.message {
                    Some(Message::Batches(batches)) => self.on_batches(address, batches),
                    Some(Message::Heartbeat(heartbeat)) => self.on_heartbeat(address, &heartbeat),
                    Some(Message::Error(error)) => self.on_error(address, error, now),
                    // The first word came when the stream was opened; others are a newer broker's.
                    Some(Message::Opened(_)) | None => {}
                }
                return;
            }
            Some(Err(status)) => Error::status(address, status),
            None => Error::new(ErrorKind::Unreachable, format!("{address} ended the fetch stream")),
        };
        self.lost(address, &error, now);
    }

    /// The stream is gone; its partitions go on over another, at the next offset.
    fn lost(&mut self, address: &Arc<str>, error: &Error, now: Instant) {
        tracing::debug!(%address, %error, "fetch stream lost");
        self.changed = true;
        self.answers.remove(address);
        self.subscriptions.forget_stream(address);
        self.refresh.wanted = true;
        if let Some(broker) = self.brokers.get_mut(address) {
            broker.link = None;
            broker.retry_at = Some(now + retry::backoff(broker.round, clock::random()));
            broker.round = broker.round.saturating_add(1);
        }
    }

    /// Gives up streams that should have brought a heartbeat at least.
    fn drop_silent(&mut self, now: Instant) {
        let limit = self.shared.config.heartbeat * FETCH_SILENT_HEARTBEATS;
        let silent = |(_, broker): &(&Arc<str>, &Broker)| {
            broker.link.as_ref().is_some_and(|link| now.saturating_duration_since(link.heard) > limit)
        };
        // Without credit a broker has a reason to be silent.
        let has_credit = |(address, broker): &(&Arc<str>, &Broker)| {
            let (held, freed) = self.shared.lock().credit(address);
            broker.link.as_ref().is_some_and(|link| held + freed < link.credit)
        };
        let dead = self.brokers.iter().filter(silent).filter(has_credit);
        let dead: Vec<_> = dead.map(|(address, _)| address.clone()).collect();
        for address in dead {
            let error = Error::new(ErrorKind::TimedOut, format!("{address} was silent for {limit:?}"));
            self.lost(&address, &error, now);
        }
    }

    /// Brokers whose wait is over: their partitions try again.
    fn retry_brokers(&mut self, now: Instant) {
        for broker in self.brokers.values_mut().filter(|broker| broker.link.is_none()) {
            if broker.retry_at.is_some_and(|at| at <= now) {
                broker.retry_at = None;
                self.changed = true;
            }
        }
    }

    fn wake_at(&self, now: Instant) -> Option<Instant> {
        let limit = self.shared.config.heartbeat * FETCH_SILENT_HEARTBEATS;
        let each = self.brokers.values().filter_map(|broker| match &broker.link {
            Some(link) => Some(link.heard + limit + Duration::from_millis(1)).filter(|&at| at > now),
            None => broker.retry_at.filter(|&at| at > now && !broker.opening),
        });
        each.min()
    }

    fn on_batches(&mut self, address: &Arc<str>, message: wire::FetchBatches) {
        let subscription = self.subscriptions.find(address, message.subscription);
        let current = subscription.filter(|subscription| subscription.generation == message.generation);
        let mut state = self.shared.lock();
        let Some((key, version)) =
            current.map(|subscription| (subscription.key.clone(), subscription.version))
        else {
            let bytes = message.batches.iter().map(bytes::Bytes::len).sum();
            state.drop_unwanted(address, bytes);
            return;
        };
        self.subscriptions.calm(&key);
        if let Some(part) = state.part(&key, version) {
            part.tail = Some(Tail { log_start: message.log_start, high_watermark: message.high_watermark });
        }
        for run in &message.batches {
            for batch in batch::batches(run) {
                match batch.and_then(|bytes| Ok((Header::parse(&bytes)?, bytes))) {
                    Ok((header, bytes)) => state.push(&key, version, address, header, bytes),
                    Err(error) => {
                        // Where the next batch begins is not known: the partition cannot go on.
                        let Some(part) = state.part(&key, version) else { break };
                        let error = unreadable(&key, part.cursor.fetch_from(), error);
                        state.push_error(&key, version, error);
                        break;
                    }
                }
            }
        }
        state.pass(&key, version, message.next_offset);
    }

    fn on_heartbeat(&mut self, address: &Arc<str>, heartbeat: &wire::FetchHeartbeat) {
        let mut state = self.shared.lock();
        for tail in &heartbeat.tails {
            let Some(subscription) = self.subscriptions.find(address, tail.subscription) else { continue };
            if let Some(part) = state.parts.get_mut(&subscription.key) {
                part.tail = Some(Tail::from(tail));
            }
            let key = subscription.key.clone();
            self.subscriptions.calm(&key);
        }
    }
}
