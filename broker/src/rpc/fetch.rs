//! `FetchService`: the unary long poll; offsets and streams are in files of their own.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use caudal_proto::v1::fetch_service_server::FetchService;
use caudal_proto::{batch, v1};
use tokio::time::sleep;
use tonic::{Request, Response, Status, Streaming};

use super::answers::Answers;
use super::status::{partition_error, status};
use super::{Door, convert, fetch_stream, list_offsets, reading};
use crate::ids::Offset;
use crate::limits;
use crate::refusal::Refusal;
use crate::runtime::life::Phase;
use crate::runtime::partition_view::{PartitionView, Watch};
use crate::runtime::watcher::Watcher;

/// The service, on one shard's connections.
pub struct Fetch {
    /// The broker behind it.
    pub door: Door,
}

#[tonic::async_trait]
impl FetchService for Fetch {
    async fn fetch(&self, request: Request<v1::FetchRequest>) -> Result<Response<v1::FetchResponse>, Status> {
        let poll = Poll::new(&self.door, request.into_inner()).map_err(|refusal| status(&refusal))?;
        let results = poll.run().await;
        Ok(Response::new(v1::FetchResponse { results }))
    }

    type FetchStreamStream = Answers<v1::FetchStreamResponse>;

    async fn fetch_stream(
        &self,
        request: Request<Streaming<v1::FetchStreamRequest>>,
    ) -> Result<Response<Self::FetchStreamStream>, Status> {
        let (door, requests) = (self.door.clone(), request.into_inner());
        Ok(Response::new(Answers::of(move |outlet| fetch_stream::serve(door, requests, outlet))))
    }

    async fn list_offsets(
        &self,
        request: Request<v1::ListOffsetsRequest>,
    ) -> Result<Response<v1::ListOffsetsResponse>, Status> {
        list_offsets::answer(&self.door, request.into_inner())
            .await
            .map(Response::new)
            .map_err(|e| status(&e))
    }
}

/// One item of a request, found or not.
struct Item {
    view: Result<Arc<PartitionView>, Refusal>,
    offset: Offset,
    epoch: Option<i32>,
    max_bytes: usize,
}

/// What one item came to.
enum Found {
    Nothing,
    Batches(Vec<Bytes>),
    Refused(Refusal),
}

/// One long poll.
struct Poll<'a> {
    door: &'a Door,
    items: Vec<Item>,
    max_wait: Duration,
    min_bytes: usize,
    max_bytes: usize,
    format: v1::FetchFormat,
}

impl<'a> Poll<'a> {
    fn new(door: &'a Door, request: v1::FetchRequest) -> Result<Poll<'a>, Refusal> {
        convert::check_count("items", request.items.len(), limits::ITEMS_PER_REQUEST_MAX)?;
        if request.max_wait_ms > limits::FETCH_WAIT_MS_MAX {
            let why =
                format!("{} is above the limit of {} ms", request.max_wait_ms, limits::FETCH_WAIT_MS_MAX);
            return Err(convert::invalid("max_wait_ms", why));
        }
        let format = v1::FetchFormat::try_from(request.format)
            .map_err(|_| convert::invalid("format", format!("{} is no FetchFormat", request.format)))?;
        let items = request.items.into_iter().map(|item| Item {
            view: convert::locate(&door.views, item.topic.as_ref(), item.partition),
            offset: Offset(item.offset),
            epoch: item.leader_epoch,
            max_bytes: at_most(item.max_bytes),
        });
        Ok(Poll {
            door,
            items: items.collect(),
            max_wait: Duration::from_millis(u64::from(request.max_wait_ms)),
            min_bytes: request.min_bytes as usize,
            max_bytes: at_most(request.max_bytes),
            format,
        })
    }

    /// Reads until there is enough, something is refused, the time is over or the broker stops.
    async fn run(&self) -> Vec<v1::FetchResult> {
        let over = sleep(self.max_wait);
        let stopping = self.door.life.reached(Phase::Stopping);
        tokio::pin!(over, stopping);
        let mut found = self.read_all().await;
        if self.min_bytes > 0 && !self.max_wait.is_zero() {
            let watcher = Watcher::new();
            while !self.is_enough(&found) {
                // Read again once it is watched: what came in between wakes nobody.
                let _watches = self.watch(&watcher);
                found = self.read_all().await;
                if self.is_enough(&found) {
                    break;
                }
                tokio::select! {
                    () = watcher.woken() => watcher.take(&mut Vec::new()),
                    () = &mut over => break,
                    () = &mut stopping => break,
                }
            }
        }
        let mut results = Vec::with_capacity(found.len());
        let mut left = limits::FETCH_BYTES_MAX;
        for (item, found) in self.items.iter().zip(found) {
            results.push(self.result(item, found, &mut left).await);
        }
        results
    }

    fn watch(&self, watcher: &Arc<Watcher>) -> Vec<Watch> {
        let views = self.items.iter().filter_map(|item| item.view.as_ref().ok());
        views.map(|view| view.watch(self.door.shard, watcher, 0)).collect()
    }

    fn is_enough(&self, found: &[Found]) -> bool {
        let bytes: usize = found.iter().map(Found::bytes).sum();
        bytes >= self.min_bytes || found.iter().any(|found| matches!(found, Found::Refused(_)))
    }

    async fn read_all(&self) -> Vec<Found> {
        let mut left = self.max_bytes;
        let mut all = Vec::with_capacity(self.items.len());
        for item in &self.items {
            let found = match left {
                0 => Found::Nothing,
                _ => self.read(item, left).await.unwrap_or_else(Found::Refused),
            };
            left = left.saturating_sub(found.bytes());
            all.push(found);
        }
        all
    }

    async fn read(&self, item: &Item, left: usize) -> Result<Found, Refusal> {
        let view = item.view.as_ref().map_err(Clone::clone)?;
        let Some(readable) = reading::readable(&self.door.views, view, item.offset, item.epoch)? else {
            return Ok(Found::Nothing);
        };
        let max_bytes = item.max_bytes.min(left);
        let read = self.door.readers.read(&readable.reader, item.offset, readable.end, max_bytes).await;
        let read = read.map_err(|error| Refusal::Internal { why: error.to_string() })?;
        match read {
            Ok(read) => Ok(Found::Batches(read.batches)),
            Err(error) => Err(reading::refusal(view, item.offset, error)),
        }
    }

    async fn result(&self, item: &Item, found: Found, left: &mut usize) -> v1::FetchResult {
        let mut result = match &item.view {
            Ok(view) => standing(view),
            Err(_) => v1::FetchResult::default(),
        };
        if let (Ok(view), Found::Batches(batches)) = (&item.view, &found) {
            self.door.note_fetched(view, batches);
        }
        match found {
            Found::Nothing => {}
            Found::Refused(refusal) => result.error = Some(partition_error(&refusal)),
            Found::Batches(batches) if self.format != v1::FetchFormat::Records => result.batches = batches,
            Found::Batches(batches) => {
                let (from, room) = (item.offset.0, *left);
                // Inflating takes long: not on the shard's thread.
                match self.door.readers.run(move || decode(&batches, from, room)).await {
                    Ok(Ok((records, bytes))) => {
                        result.records = records;
                        *left = left.saturating_sub(bytes);
                    }
                    Ok(Err(refusal)) => result.error = Some(partition_error(&refusal)),
                    Err(error) => {
                        result.error = Some(partition_error(&Refusal::Internal { why: error.to_string() }));
                    }
                }
            }
        }
        result
    }
}

impl Found {
    fn bytes(&self) -> usize {
        match self {
            Found::Batches(batches) => batches.iter().map(Bytes::len).sum(),
            Found::Nothing | Found::Refused(_) => 0,
        }
    }
}

/// A client's limit of bytes; 0 is the broker's.
fn at_most(bytes: u32) -> usize {
    match bytes as usize {
        0 => limits::FETCH_BYTES_MAX,
        bytes => bytes.min(limits::FETCH_BYTES_MAX),
    }
}

/// A result that says where the partition stands.
fn standing(view: &PartitionView) -> v1::FetchResult {
    let high_watermark = view.high_watermark().0;
    v1::FetchResult {
        topic_id: convert::topic_id(view.id.topic),
        partition: view.id.partition,
        high_watermark,
        last_stable_offset: high_watermark,
        log_start: view.log_start().0,
        leader_epoch: convert::epoch(view.standing().epoch),
        ..v1::FetchResult::default()
    }
}

/// The records of batches from an offset on, and the bytes they inflated to: whole batches while these stay below
/// `room`, and at least one.
///
/// # Errors
/// The first batch inflates to more than [`limits::INFLATE_BYTES_MAX`], or is not what its codec writes.
fn decode(batches: &[Bytes], from: i64, room: usize) -> Result<(Vec<v1::FetchedRecord>, usize), Refusal> {
    let (mut fetched, mut bytes) = (Vec::new(), 0);
    for batch in batches {
        let max = if fetched.is_empty() { limits::INFLATE_BYTES_MAX } else { room.saturating_sub(bytes) };
        let records = match batch::records(batch, max) {
            Ok(records) => records,
            // It is the next request's first.
            Err(batch::Error::InflatesTooLarge { .. }) if !fetched.is_empty() => break,
            Err(error) => return Err(error.into()),
        };
        bytes += records.bytes();
        if bytes > room && !fetched.is_empty() {
            break;
        }
        for record in records {
            let record = record?;
            if record.offset >= from {
                fetched.push(convert::fetched_record(record));
            }
        }
    }
    Ok((fetched, bytes))
}
