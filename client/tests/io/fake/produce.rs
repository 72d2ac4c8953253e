//! Produce streams of the cluster.

use std::pin::Pin;

use bytes::Bytes;
use caudal_proto::v1 as wire;
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};
use wire::produce_send_result::Result as Outcome;
use wire::produce_service_server::{ProduceService, ProduceServiceServer};
use wire::produce_stream_request::Message;
use wire::produce_stream_response::Message as Answer;

use super::log::Written;
use super::meta::name_of;
use super::{Broker, Cluster, Fault, refusal};

pub(crate) fn service(broker: Broker) -> ProduceServiceServer<Broker> {
    ProduceServiceServer::new(broker).max_decoding_message_size(64 << 20).max_encoding_message_size(64 << 20)
}

type Answers = mpsc::Sender<Result<wire::ProduceStreamResponse, Status>>;

/// An answer that waits for the test.
pub(crate) struct Held {
    answers: Answers,
    result: wire::ProduceSendResult,
    bytes: u64,
}

impl Cluster {
    /// Sends all answers that were held.
    pub(crate) async fn release(&self) {
        let held = std::mem::take(&mut self.lock().held);
        for held in held {
            let _ = held.answers.send(Ok(answer(Answer::Result(held.result)))).await;
            let _ = held
                .answers
                .send(Ok(answer(Answer::Window(wire::ProduceWindow { bytes: held.bytes }))))
                .await;
        }
    }
}

fn answer(message: Answer) -> wire::ProduceStreamResponse {
    wire::ProduceStreamResponse { message: Some(message) }
}

/// What a stream does after a batch.
enum After {
    Answer(wire::ProduceSendResult),
    Hold(wire::ProduceSendResult),
    Cut,
}

/// One produce stream.
struct Session {
    broker: Broker,
    shard: u32,
    acks: i32,
    answers: Answers,
    unanswered_bytes: u64,
}

impl Session {
    async fn run(mut self, mut requests: Streaming<wire::ProduceStreamRequest>) {
        while let Ok(Some(request)) = requests.message().await {
            match request.message {
                Some(Message::Open(open)) => self.acks = open.acks,
                Some(Message::Send(send)) => {
                    let bytes = send.batch.len() as u64;
                    self.unanswered_bytes += bytes;
                    match self.take(send) {
                        After::Cut => {
                            let _ = self.answers.send(Err(Status::unavailable("cut by script"))).await;
                            return;
                        }
                        After::Hold(result) => {
                            let held = Held { answers: self.answers.clone(), result, bytes };
                            self.broker.cluster.lock().held.push(held);
                        }
                        After::Answer(result) => self.answer(result, bytes).await,
                    }
                }
                None => return,
            }
        }
    }

    async fn answer(&mut self, result: wire::ProduceSendResult, bytes: u64) {
        self.unanswered_bytes -= bytes;
        if self.acks != wire::Acks::None as i32 {
            let _ = self.answers.send(Ok(answer(Answer::Result(result)))).await;
        }
        let _ = self.answers.send(Ok(answer(Answer::Window(wire::ProduceWindow { bytes })))).await;
    }

    fn take(&self, send: wire::ProduceSend) -> After {
        let mut guard = self.broker.cluster.lock();
        let state = &mut *guard;
        let alone = self.unanswered_bytes == send.batch.len() as u64;
        if !alone {
            let over = self.unanswered_bytes.saturating_sub(state.window_bytes);
            state.window_overrun = state.window_overrun.max(over);
        }
        let partition = send.partition.expect("the client names the partition");
        let result = |outcome| wire::ProduceSendResult { sequence: send.sequence, result: Some(outcome) };
        let refuse = |error| After::Answer(result(Outcome::Error(error)));
        let Some(name) = name_of(state, send.topic.as_ref()) else {
            return refuse(refusal(wire::Reason::UnknownTopicId, false));
        };
        state.arrivals.push((name.clone(), partition, self.shard));
        let fault = state.faults.pop_front().unwrap_or(Fault::None);
        let addresses = state.addresses.clone();
        let topic = state.topics.get_mut(&name).expect("the name was found");
        let place = &mut topic.partitions[usize::try_from(partition).unwrap()];
        if place.leader != self.broker.node {
            let mut error = refusal(wire::Reason::NotLeader, true);
            if let Some(address) = usize::try_from(place.leader).ok().and_then(|node| addresses.get(node)) {
                error.metadata.insert("leader_node".to_owned(), place.leader.to_string());
                error.metadata.insert("leader_epoch".to_owned(), place.epoch.to_string());
                error.metadata.insert("leader_address".to_owned(), address.clone());
            }
            return refuse(error);
        }
        let epoch = place.epoch;
        let id: Bytes = topic.id.as_bytes().to_vec().into();
        let mut write =
            || match topic.partitions[usize::try_from(partition).unwrap()].log.produce(&send.batch, epoch) {
                Ok(written) => Outcome::Receipt(receipt(id.clone(), partition, epoch, &written)),
                Err(error) => Outcome::Error(error),
            };
        let after = match fault {
            Fault::None => After::Answer(result(write())),
            Fault::Refuse(error) => refuse(error),
            Fault::WriteAndRefuse(error) => {
                write();
                refuse(error)
            }
            Fault::WriteAndCut => {
                write();
                After::Cut
            }
            Fault::Cut => After::Cut,
            Fault::Hold => After::Hold(result(write())),
            Fault::ForgetProducers => {
                topic.partitions[usize::try_from(partition).unwrap()].log.forget_producers();
                let mut write =
                    || topic.partitions[usize::try_from(partition).unwrap()].log.produce(&send.batch, epoch);
                After::Answer(result(match write() {
                    Ok(written) => Outcome::Receipt(receipt(id, partition, epoch, &written)),
                    Err(error) => Outcome::Error(error),
                }))
            }
        };
        drop(guard);
        self.broker.cluster.news.notify_waiters();
        after
    }
}

fn receipt(topic_id: Bytes, partition: i32, term: i32, written: &Written) -> wire::Receipt {
    let replica = wire::ReplicaRef { node_id: 0, replica_id: 9 };
    wire::Receipt {
        topic_id,
        partition,
        base_offset: written.base_offset,
        last_offset: written.last_offset,
        append_time_ms: 1_700_000_000_000,
        term,
        index: 5,
        voters: vec![replica],
        synced: vec![replica],
        written: Vec::new(),
        duplicate: written.duplicate,
    }
}

#[tonic::async_trait]
impl ProduceService for Broker {
    type ProduceStreamStream =
        Pin<Box<dyn Stream<Item = Result<wire::ProduceStreamResponse, Status>> + Send>>;

    async fn produce(
        &self,
        _request: Request<wire::ProduceRequest>,
    ) -> Result<Response<wire::ProduceResponse>, Status> {
        Err(Status::unimplemented("the client streams"))
    }

    async fn produce_stream(
        &self,
        request: Request<Streaming<wire::ProduceStreamRequest>>,
    ) -> Result<Response<Self::ProduceStreamStream>, Status> {
        let (answers, receiver) = mpsc::channel(64);
        let (shard, opened) = {
            let mut state = self.cluster.lock();
            state.streams_opened += 1;
            let shard = state.landings.pop_front().unwrap_or(0);
            let opened = wire::ProduceOpened {
                node_id: self.node,
                shard,
                shards: state.shards,
                window_bytes: state.window_bytes,
            };
            (shard, opened)
        };
        answers.try_send(Ok(answer(Answer::Opened(opened)))).expect("a new channel has room");
        let session = Session { broker: self.clone(), shard, acks: 0, answers, unanswered_bytes: 0 };
        tokio::spawn(session.run(request.into_inner()));
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }

    async fn init_producer(
        &self,
        _request: Request<wire::InitProducerRequest>,
    ) -> Result<Response<wire::InitProducerResponse>, Status> {
        let mut state = self.cluster.lock();
        state.next_producer += 1;
        Ok(Response::new(wire::InitProducerResponse { producer_id: state.next_producer, producer_epoch: 0 }))
    }
}
