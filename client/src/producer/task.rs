//! The producer's task: one loop over what can happen.
//!
//! Records (`shared.rs`) → batches → lanes → streams (`dispatch.rs`); answers → lanes → outcomes (`answers.rs`).
//! Look-ups and connection attempts run beside the loop, so that a dead broker holds nobody up.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use caudal_proto::v1 as wire;
use caudal_proto::v1::produce_service_client::ProduceServiceClient;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_stream::{StreamExt as _, StreamMap, StreamNotifyClose};

use super::brokers::{Brokers, StreamId};
use super::shared::Shared;
use super::stream::{self, Answers, Opened};
use crate::ask::Ask;
use crate::batcher::Place;
use crate::client::{Client, Repeat};
use crate::clock;
use crate::error::Error;
use crate::lane::{Done, Lane};
use crate::metadata::Metadata;
use crate::offsets::by_name;
use crate::sequence::Identity;
use crate::topic_wire::malformed;

/// How long the end of the streams may take after the last record, where no answers tell that all arrived.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
/// Without anything to do the loop looks around this often.
const IDLE: Duration = Duration::from_secs(60);

/// Work beside the loop.
pub(super) enum Job {
    /// Metadata of these topics.
    Metadata(Vec<Arc<str>>, Box<Result<wire::GetMetadataResponse, Error>>),
    /// A producer id.
    Identity(Result<Identity, Error>),
    /// A stream to an address.
    Stream(Arc<str>, Box<Result<Opened, Error>>),
}

/// The task's state; nobody else sees it.
pub(super) struct Task {
    pub(super) shared: Arc<Shared>,
    pub(super) client: Client,
    pub(super) metadata: Metadata,
    pub(super) lanes: BTreeMap<Place, Lane>,
    /// The stream each lane is bound to while it has unanswered batches.
    pub(super) bound: BTreeMap<Place, StreamId>,
    pub(super) brokers: Brokers,
    pub(super) answers: StreamMap<StreamId, StreamNotifyClose<Answers>>,
    pub(super) drained: Arc<Notify>,
    pub(super) jobs: JoinSet<Job>,
    pub(super) refresh: Ask,
    pub(super) identify: Ask,
    /// The newest identity; lanes that began earlier keep theirs.
    pub(super) identity: Option<Identity>,
    /// Why connections or look-ups fail at the moment.
    pub(super) trouble: Option<Error>,
    /// Batches done with, told at the end of each pass.
    pub(super) done: Vec<Done>,
    /// Where the next pass begins, so that no partition is always last.
    pub(super) turn: usize,
}

/// Runs until the producer is closed and everything is delivered.
pub(super) async fn run(client: Client, shared: Arc<Shared>) {
    let task = Task {
        shared: shared.clone(),
        client,
        metadata: Metadata::default(),
        lanes: BTreeMap::new(),
        bound: BTreeMap::new(),
        brokers: Brokers::default(),
        answers: StreamMap::new(),
        drained: Arc::new(Notify::new()),
        jobs: JoinSet::new(),
        refresh: Ask::default(),
        identify: Ask::default(),
        identity: None,
        trouble: None,
        done: Vec::new(),
        turn: 0,
    };
    // Also when the task is dropped in the middle: nobody may wait for ever.
    let _stop = Stop(shared);
    task.run().await;
}

struct Stop(Arc<Shared>);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.stop();
    }
}

impl Task {
    async fn run(mut self) {
        loop {
            let now = clock::now();
            let due = self.pass(now);
            self.doubt_silent(now);
            self.ask(now);
            self.shared.finish(&mut self.done);
            if self.is_over() {
                break;
            }
            let doubt_at = self.doubt_at();
            let asks =
                [self.refresh.wake_at(), self.identify.wake_at(), self.brokers.wake_at(now), due, doubt_at];
            let wake_at = asks.into_iter().flatten().min().unwrap_or(now + IDLE);
            let shared = self.shared.clone();
            let drained = self.drained.clone();
            tokio::select! {
                () = shared.wake.notified() => {}
                () = drained.notified() => {}
                Some((stream, answer)) = self.answers.next(), if !self.answers.is_empty() => {
                    self.on_answer(stream, answer);
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
        self.close().await;
    }

    /// Closing, and nothing is left.
    fn is_over(&self) -> bool {
        let state = self.shared.lock();
        state.closing && state.batcher.active().next().is_none() && self.lanes.values().all(Lane::is_empty)
    }

    /// Ends the streams; where no answers came, waits until the brokers have seen the ends.
    async fn close(mut self) {
        self.brokers.close();
        if self.shared.config.acks == crate::Acks::None {
            let ends = async { while self.answers.next().await.is_some() {} };
            if tokio::time::timeout(CLOSE_TIMEOUT, ends).await.is_err() {
                tracing::warn!("brokers did not end their produce streams within {CLOSE_TIMEOUT:?}");
            }
        }
    }

    /// Begins the questions that are due.
    fn ask(&mut self, now: Instant) {
        for address in self.brokers.take_to_open() {
            let (config, acks) = (self.client.config().clone(), self.shared.config.acks);
            let drained = self.drained.clone();
            self.jobs.spawn(async move {
                let opened = stream::open(config, address.clone(), acks, drained).await;
                Job::Stream(address, Box::new(opened))
            });
        }
        let topics = self.topics_to_ask(now);
        if self.refresh.begin(now, topics.1) {
            let client = self.client.clone();
            self.jobs.spawn(async move {
                let refs = topics.0.iter().map(|name| by_name(name)).collect();
                Job::Metadata(topics.0, Box::new(client.get_metadata(refs).await))
            });
        }
        if self.identify.begin(now, false) {
            let client = self.client.clone();
            self.jobs.spawn(async move { Job::Identity(new_identity(&client).await) });
        }
    }

    /// The topics to ask about, and whether someone waits for a first answer.
    fn topics_to_ask(&mut self, now: Instant) -> (Vec<Arc<str>>, bool) {
        let state = self.shared.lock();
        let waits = !state.wanted.is_empty() && state.lookup_error.is_none();
        self.refresh.want_next(!state.wanted.is_empty());
        let mut known = state.batcher.topic_names().peekable();
        self.refresh.want_next(known.peek().is_some() && self.metadata.is_stale(now));
        if !self.refresh.wanted {
            return (Vec::new(), false);
        }
        let mut names: Vec<Arc<str>> = known.chain(&state.wanted).cloned().collect();
        names.sort_unstable();
        names.dedup();
        (names, waits)
    }

    fn on_job(&mut self, job: Job) {
        let (now, jitter) = (clock::now(), clock::random());
        match job {
            Job::Metadata(names, answer) => {
                self.refresh.ended(now, jitter);
                self.on_metadata(now, &names, *answer);
                if self.metadata.take_news() {
                    self.refresh.news(now, jitter);
                }
            }
            Job::Identity(answer) => {
                self.identify.ended(now, jitter);
                self.on_identity(answer);
            }
            Job::Stream(address, opened) => match *opened {
                Ok(opened) => self.on_opened(opened),
                Err(error) => {
                    tracing::debug!(%address, %error, "no produce stream");
                    self.trouble = Some(error);
                    self.brokers.open_failed(&address, now, jitter);
                    self.refresh.wanted = true;
                }
            },
        }
    }

    fn on_opened(&mut self, opened: Opened) {
        self.trouble = None;
        // A stream to a shard that has one already is dropped here, and its connection with it.
        if let Some(id) = self.brokers.opened(opened.link, opened.shards) {
            self.answers.insert(id, StreamNotifyClose::new(opened.answers));
        }
    }
}

async fn new_identity(client: &Client) -> Result<Identity, Error> {
    let request = wire::InitProducerRequest::default();
    let answer = client.call(Repeat::Safe, |channel| async move {
        ProduceServiceClient::new(channel).init_producer(request).await
    });
    let answer = answer.await?;
    let epoch = i16::try_from(answer.producer_epoch);
    let epoch = epoch.map_err(|_| malformed(&format!("producer epoch {}", answer.producer_epoch)))?;
    Ok(Identity { id: answer.producer_id, epoch })
}
