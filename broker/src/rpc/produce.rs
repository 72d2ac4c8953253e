//! `ProduceService`: batches in, receipts out.

use std::sync::Arc;

use caudal_proto::v1;
use caudal_proto::v1::produce_service_client::ProduceServiceClient;
use caudal_proto::v1::produce_service_server::ProduceService;
use tonic::{Request, Response, Status, Streaming};

use super::answers::Answers;
use super::counted::Ending;
use super::forward::{answered, forwarded};
use super::status::{partition_error, status};
use super::{Door, convert, produce_stream};
use crate::limits;
use crate::node::{Acks, Batch, Receipt};
use crate::refusal::Refusal;
use crate::runtime::handle::Pending;
use crate::runtime::partition_view::PartitionView;
use crate::state::{Reply, Request as ControlRequest};

/// The service, on one shard's connections.
pub struct Produce {
    /// The broker behind it.
    pub door: Door,
}

#[tonic::async_trait]
impl ProduceService for Produce {
    async fn produce(
        &self,
        request: Request<v1::ProduceRequest>,
    ) -> Result<Response<v1::ProduceResponse>, Status> {
        let request = request.into_inner();
        let acks = convert::acks(request.acks).map_err(|refusal| status(&refusal))?;
        convert::check_count("items", request.items.len(), limits::ITEMS_PER_REQUEST_MAX)
            .map_err(|refusal| status(&refusal))?;
        let mut begun = Vec::with_capacity(request.items.len());
        for item in request.items {
            begun.push(begin(&self.door, item, acks).await);
        }
        let mut results = Vec::new();
        for Begun { view, bytes, records, pending } in begun {
            let (ending, result) = match pending {
                Ok(_) if acks == Acks::None => (Ending::taken(records), None),
                Ok(pending) => {
                    let outcome = pending.outcome().await;
                    let outcome = outcome.map_err(|refusal| convert::addressed(&self.door.views, refusal));
                    (Ending::of(&outcome), Some(result(outcome)))
                }
                Err(refusal) => (Ending::refused(&refusal), Some(result(Err(refusal)))),
            };
            self.door.note_batch(view.as_deref(), bytes, ending);
            if acks != Acks::None {
                results.push(v1::ProduceResult { result });
            }
        }
        Ok(Response::new(v1::ProduceResponse { results }))
    }

    type ProduceStreamStream = Answers<v1::ProduceStreamResponse>;

    async fn produce_stream(
        &self,
        request: Request<Streaming<v1::ProduceStreamRequest>>,
    ) -> Result<Response<Self::ProduceStreamStream>, Status> {
        let (door, requests) = (self.door.clone(), request.into_inner());
        Ok(Response::new(Answers::of(move |outlet| produce_stream::serve(door, requests, outlet))))
    }

    async fn init_producer(
        &self,
        request: Request<v1::InitProducerRequest>,
    ) -> Result<Response<v1::InitProducerResponse>, Status> {
        if let Some(leader) = self.door.control_elsewhere(&request)? {
            return answered(ProduceServiceClient::new(leader).init_producer(forwarded(request))).await;
        }
        let continue_from = continue_from(&request.into_inner()).map_err(|refusal| status(&refusal))?;
        let reply = self.door.handle.control(ControlRequest::InitProducer { continue_from }).await;
        match reply.map_err(|refusal| status(&refusal))? {
            Reply::InitProducer(Ok((producer_id, epoch))) => {
                Ok(Response::new(v1::InitProducerResponse { producer_id, producer_epoch: i32::from(epoch) }))
            }
            Reply::InitProducer(Err(refusal)) => Err(status(&refusal)),
            _ => Err(status(&super::mismatched_reply())),
        }
    }
}

/// One item on its way.
struct Begun {
    view: Option<Arc<PartitionView>>,
    /// Of its batch, and its records; 0 where there is none.
    bytes: u64,
    records: u64,
    pending: Result<Pending, Refusal>,
}

/// Hands one item to its partition's shard. All items of a request are on their way before the first is waited for.
async fn begin(door: &Door, item: v1::ProduceItem, acks: Acks) -> Begun {
    match batch_of(door, item) {
        Ok((view, batch)) => {
            let (bytes, records) = (batch.bytes.len() as u64, u64::try_from(batch.header.count).unwrap_or(0));
            let pending = door.handle.produce(view.id, batch, acks).await;
            Begun { view: Some(view), bytes, records, pending }
        }
        Err(refusal) => Begun { view: None, bytes: 0, records: 0, pending: Err(refusal) },
    }
}

fn batch_of(door: &Door, item: v1::ProduceItem) -> Result<(Arc<PartitionView>, Batch), Refusal> {
    let view = convert::locate(&door.views, item.topic.as_ref(), item.partition)?;
    let now = door.clock.now();
    let bytes = match item.data {
        Some(v1::produce_item::Data::Batch(bytes)) => bytes,
        Some(v1::produce_item::Data::Records(plain)) => convert::plain_records(&plain.records, now)?,
        None => return Err(convert::invalid("data", "a batch or records are needed")),
    };
    let batch = convert::batch(&view, bytes, now)?;
    Ok((view, batch))
}

fn result(outcome: Result<Receipt, Refusal>) -> v1::produce_result::Result {
    match outcome {
        Ok(receipt) => v1::produce_result::Result::Receipt(convert::receipt(&receipt)),
        Err(refusal) => v1::produce_result::Result::Error(partition_error(&refusal)),
    }
}

fn continue_from(request: &v1::InitProducerRequest) -> Result<Option<(i64, i16)>, Refusal> {
    match (request.producer_id, request.producer_epoch) {
        (None, None) => Ok(None),
        (Some(id), Some(epoch)) if id >= 0 => match i16::try_from(epoch) {
            Ok(epoch) if epoch >= 0 => Ok(Some((id, epoch))),
            _ => Err(convert::invalid("producer_epoch", format!("{epoch} is outside 0..=32767"))),
        },
        (Some(id), Some(_)) => Err(convert::invalid("producer_id", format!("{id} is below 0"))),
        (Some(_), None) => Err(convert::invalid("producer_epoch", "needed with producer_id")),
        (None, Some(_)) => Err(convert::invalid("producer_id", "needed with producer_epoch")),
    }
}
