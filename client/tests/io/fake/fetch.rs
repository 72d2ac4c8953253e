//! Fetch streams of the cluster.

use std::collections::BTreeMap;
use std::pin::Pin;

use caudal_proto::batch::Header;
use caudal_proto::v1 as wire;
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};
use uuid::Uuid;
use wire::fetch_service_server::{FetchService, FetchServiceServer};
use wire::fetch_stream_request::Message;
use wire::fetch_stream_response::Message as Answer;

use super::meta::name_of;
use super::{Broker, State, refusal};

pub(crate) fn service(broker: Broker) -> FetchServiceServer<Broker> {
    FetchServiceServer::new(broker).max_encoding_message_size(64 << 20)
}

struct Subscription {
    topic: String,
    id: Uuid,
    partition: i32,
    offset: i64,
    generation: u32,
    paused: bool,
}

/// One fetch stream.
struct Session {
    broker: Broker,
    subscriptions: BTreeMap<u32, Subscription>,
    credit: i64,
    granted: i64,
    sent: i64,
    /// Batches until the stream breaks.
    until_cut: Option<usize>,
    answers: mpsc::Sender<Result<wire::FetchStreamResponse, Status>>,
}

impl Session {
    async fn run(mut self, mut requests: Streaming<wire::FetchStreamRequest>) {
        loop {
            let news = self.broker.cluster.news.clone();
            let mut news = std::pin::pin!(news.notified());
            news.as_mut().enable();
            while let Some(answer) = self.next() {
                let broken = answer.is_err();
                if self.answers.send(answer).await.is_err() || broken {
                    return;
                }
            }
            tokio::select! {
                () = &mut news => {}
                request = requests.message() => match request {
                    Ok(Some(wire::FetchStreamRequest { message: Some(message) })) => self.told(message),
                    _ => return,
                }
            }
        }
    }

    fn told(&mut self, message: Message) {
        if !matches!(message, Message::Credit(_)) {
            self.broker.cluster.lock().fetch_messages.push(format!("{message:?}"));
        }
        match message {
            Message::Open(open) => self.grant(open.credit_bytes),
            Message::Credit(credit) => self.grant(credit.bytes),
            Message::Subscribe(subscribe) => {
                let topic =
                    name_of(&self.broker.cluster.lock(), subscribe.topic.as_ref()).unwrap_or_default();
                let partition = subscribe.partition.expect("the client names the partition");
                let (offset, generation, paused) = (subscribe.offset, 0, false);
                let id =
                    self.broker.cluster.lock().topics.get(&topic).map(|topic| topic.id).unwrap_or_default();
                let subscription = Subscription { topic, id, partition, offset, generation, paused };
                self.subscriptions.insert(subscribe.subscription, subscription);
            }
            Message::Unsubscribe(unsubscribe) => {
                self.subscriptions.remove(&unsubscribe.subscription);
            }
            Message::Seek(seek) => {
                if let Some(subscription) = self.subscriptions.get_mut(&seek.subscription) {
                    assert!(seek.generation > subscription.generation, "generations rise");
                    subscription.offset = seek.offset;
                    subscription.generation = seek.generation;
                }
            }
            Message::Pause(wire::FetchPause { subscription }) => self.pause(subscription, true),
            Message::Resume(wire::FetchResume { subscription }) => self.pause(subscription, false),
        }
    }

    fn pause(&mut self, subscription: u32, paused: bool) {
        if let Some(subscription) = self.subscriptions.get_mut(&subscription) {
            subscription.paused = paused;
        }
    }

    fn grant(&mut self, bytes: u64) {
        self.credit += i64::try_from(bytes).unwrap();
        self.granted += i64::try_from(bytes).unwrap();
    }

    /// The next message, if there is something to send.
    fn next(&mut self) -> Option<Result<wire::FetchStreamResponse, Status>> {
        let mut state = self.broker.cluster.lock();
        let ids: Vec<u32> = self.subscriptions.keys().copied().collect();
        for id in ids {
            let subscription = &self.subscriptions[&id];
            if let Some(error) = refuse(&state, &self.broker, subscription) {
                let generation = subscription.generation;
                self.subscriptions.remove(&id);
                let error = Some(error);
                let ended = wire::FetchSubscriptionError { subscription: id, generation, error };
                return Some(Ok(wire::FetchStreamResponse { message: Some(Answer::Error(ended)) }));
            }
        }
        if self.credit <= 0 {
            return None;
        }
        let ready = self.subscriptions.iter_mut().filter(|(_, subscription)| !subscription.paused);
        for (&id, subscription) in ready {
            let partition = usize::try_from(subscription.partition).unwrap();
            let log = &state.topics[&subscription.topic].partitions[partition].log;
            let raw = log.raw.clone().filter(|_| subscription.offset == log.next_offset);
            let Some(batch) = log.read(subscription.offset).or(raw) else { continue };
            if let Some(left) = &mut self.until_cut {
                if *left == 0 {
                    return Some(Err(Status::unavailable("cut by script")));
                }
                *left -= 1;
            }
            subscription.offset =
                Header::parse(&batch).map_or(subscription.offset + 1, |h| h.last_offset() + 1);
            let (high_watermark, log_start) = (log.next_offset, log.start);
            self.credit -= i64::try_from(batch.len()).unwrap();
            self.sent += i64::try_from(batch.len()).unwrap();
            state.fetch_uncredited_max = state.fetch_uncredited_max.max(self.sent - self.granted);
            return Some(Ok(wire::FetchStreamResponse {
                message: Some(Answer::Batches(wire::FetchBatches {
                    subscription: id,
                    generation: subscription.generation,
                    high_watermark,
                    last_stable_offset: high_watermark,
                    log_start,
                    batches: vec![batch],
                    next_offset: subscription.offset,
                })),
            }));
        }
        None
    }
}

/// Why a subscription cannot go on.
fn refuse(state: &State, broker: &Broker, subscription: &Subscription) -> Option<wire::PartitionError> {
    let Some(topic) = state.topics.get(&subscription.topic).filter(|topic| topic.id == subscription.id)
    else {
        return Some(refusal(wire::Reason::UnknownTopicId, false));
    };
    let partition = &topic.partitions[usize::try_from(subscription.partition).unwrap()];
    if partition.leader != broker.node {
        return Some(refusal(wire::Reason::NotLeader, true));
    }
    if subscription.offset < partition.log.start
        || subscription.offset > partition.log.next_offset && partition.log.raw.is_none()
    {
        let mut error = refusal(wire::Reason::OffsetOutOfRange, false);
        error.metadata.insert("log_start".to_owned(), partition.log.start.to_string());
        error.metadata.insert("high_watermark".to_owned(), partition.log.next_offset.to_string());
        return Some(error);
    }
    None
}

#[tonic::async_trait]
impl FetchService for Broker {
    type FetchStreamStream = Pin<Box<dyn Stream<Item = Result<wire::FetchStreamResponse, Status>> + Send>>;

    async fn fetch(
        &self,
        _request: Request<wire::FetchRequest>,
    ) -> Result<Response<wire::FetchResponse>, Status> {
        Err(Status::unimplemented("the client streams"))
    }

    async fn fetch_stream(
        &self,
        request: Request<Streaming<wire::FetchStreamRequest>>,
    ) -> Result<Response<Self::FetchStreamStream>, Status> {
        let (answers, receiver) = mpsc::channel(4);
        let opened = wire::FetchOpened { node_id: self.node, shard: 0, shards: 1 };
        let first = wire::FetchStreamResponse { message: Some(Answer::Opened(opened)) };
        answers.try_send(Ok(first)).expect("a new channel has room");
        let until_cut = self.cluster.lock().fetch_cuts.pop_front();
        let session = Session {
            broker: self.clone(),
            subscriptions: BTreeMap::new(),
            credit: 0,
            granted: 0,
            sent: 0,
            until_cut,
            answers,
        };
        tokio::spawn(session.run(request.into_inner()));
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }

    async fn list_offsets(
        &self,
        request: Request<wire::ListOffsetsRequest>,
    ) -> Result<Response<wire::ListOffsetsResponse>, Status> {
        let state = self.cluster.lock();
        let results = request.into_inner().items.into_iter().map(|item| {
            let number = item.partition.expect("the client names the partition");
            let name = name_of(&state, item.topic.as_ref()).unwrap();
            let topic = &state.topics[&name];
            let partition = &topic.partitions[usize::try_from(number).unwrap()];
            let not_leader = partition.leader != self.node;
            let offset = match item.at.unwrap() {
                wire::list_offsets_item::At::Anchor(2) => partition.log.next_offset,
                wire::list_offsets_item::At::Anchor(_) => partition.log.start,
                wire::list_offsets_item::At::TimestampMs(ms) if ms > 1_700_000_000_000 => -1,
                wire::list_offsets_item::At::TimestampMs(_) => partition.log.start,
            };
            wire::ListOffsetsResult {
                topic_id: topic.id.as_bytes().to_vec().into(),
                partition: number,
                offset,
                timestamp_ms: -1,
                leader_epoch: partition.epoch,
                error: not_leader.then(|| refusal(wire::Reason::NotLeader, true)),
            }
        });
        Ok(Response::new(wire::ListOffsetsResponse { results: results.collect() }))
    }
}
