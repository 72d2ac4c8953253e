//! A produce stream: batches with rising sequences in, results in order per partition out, bytes granted back.
//!
//! What one stream may hold is bounded three ways: bytes ([`limits::PRODUCE_WINDOW_BYTES`]), batches
//! ([`limits::PRODUCE_IN_FLIGHT_MAX`]) and answers that the client has not taken. Where one is used up the stream is
//! not read, and HTTP/2 makes the client wait.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use caudal_proto::v1;
use caudal_proto::v1::produce_stream_request::Message as Asked;
use caudal_proto::v1::produce_stream_response::Message as Told;
use tokio::sync::mpsc;
use tonic::{Status, Streaming};

use super::answers::Outlet;
use super::counted::Ending;
use super::in_order::InOrder;
use super::status::{partition_error, status};
use super::{Door, convert};
use crate::limits;
use crate::node::{Acks, Receipt};
use crate::refusal::Refusal;
use crate::runtime::life::Phase;
use crate::runtime::partition_view::PartitionView;
use crate::runtime::tickets::Sent;

type Outcome = Result<Receipt, Refusal>;

/// Serves one stream until the client has ended it and everything is answered, or something ends it.
///
/// # Errors
/// The form of the stream is broken, a batch with `acks=none` is refused, or the broker stops.
pub async fn serve(
    door: Door,
    mut requests: Streaming<v1::ProduceStreamRequest>,
    outlet: Outlet<v1::ProduceStreamResponse>,
) -> Result<(), Status> {
    let acks = open(requests.message().await?).map_err(|refusal| status(&refusal))?;
    let life = Arc::clone(&door.life);
    let stopping = life.reached(Phase::Stopping);
    tokio::pin!(stopping);
    let (mut stream, mut sent) = Stream::new(door, acks, outlet);
    stream.tell_opened();
    let (mut reading, mut end) = (true, Ok(()));
    while reading || stream.in_flight > 0 {
        tokio::select! {
            biased;
            Some(first) = sent.recv() => {
                stream.finish(first)?;
                while let Ok(next) = sent.try_recv() {
                    stream.finish(next)?;
                }
            }
            request = requests.message(), if reading && stream.has_room() => match request? {
                Some(v1::ProduceStreamRequest { message: Some(Asked::Send(send)) }) => stream.send(send).await?,
                Some(_) => return Err(status(&convert::invalid("message", "after `open` only `send` follows"))),
                None => reading = false,
            },
            () = &mut stopping, if reading => {
                (reading, end) = (false, Err(status(&Refusal::ShuttingDown)));
            }
        }
    }
    end
}

fn open(first: Option<v1::ProduceStreamRequest>) -> Result<Acks, Refusal> {
    match first.and_then(|request| request.message) {
        Some(Asked::Open(open)) => convert::acks(open.acks),
        _ => Err(convert::invalid("message", "the first one is `open`")),
    }
}

/// A partition that the stream writes to, bound to the topic's id.
struct Lane {
    view: Arc<PartitionView>,
    results: InOrder<Outcome>,
}

/// How a client names a partition: whether by id, the id or name, the number.
type Named = (bool, Bytes, i32);

struct Stream {
    door: Door,
    acks: Acks,
    outlet: Outlet<v1::ProduceStreamResponse>,
    to: mpsc::Sender<Sent>,
    lanes: Vec<Lane>,
    lane_of: BTreeMap<Named, u32>,
    /// The sequence of the last batch.
    sequence: u64,
    in_flight: usize,
    bytes_in_flight: u64,
    /// Given back and not granted yet.
    ungranted: u64,
}

impl Stream {
    fn new(
        door: Door,
        acks: Acks,
        outlet: Outlet<v1::ProduceStreamResponse>,
    ) -> (Stream, mpsc::Receiver<Sent>) {
        let (to, sent) = mpsc::channel(limits::PRODUCE_IN_FLIGHT_MAX);
        let stream = Stream {
            door,
            acks,
            outlet,
            to,
            lanes: Vec::new(),
            lane_of: BTreeMap::new(),
            sequence: 0,
            in_flight: 0,
            bytes_in_flight: 0,
            ungranted: 0,
        };
        (stream, sent)
    }

    fn tell(&self, message: Told) {
        self.outlet.put(v1::ProduceStreamResponse { message: Some(message) });
    }

    fn tell_opened(&self) {
        self.tell(Told::Opened(v1::ProduceOpened {
            node_id: self.door.node(),
            shard: self.door.shard.0,
            shards: self.door.handle.shards(),
            window_bytes: limits::PRODUCE_WINDOW_BYTES,
        }));
    }

    fn has_room(&self) -> bool {
        self.in_flight < limits::PRODUCE_IN_FLIGHT_MAX
            && self.bytes_in_flight < limits::PRODUCE_WINDOW_BYTES
            && self.outlet.waiting() < limits::PRODUCE_IN_FLIGHT_MAX
    }

    /// Takes a batch: on to its shard, or refused where it stands.
    async fn send(&mut self, send: v1::ProduceSend) -> Result<(), Status> {
        let (sequence, bytes) = (send.sequence, send.batch.len() as u64);
        if sequence != self.sequence + 1 {
            let why = format!("{sequence} follows {}; sequences rise by one from 1", self.sequence);
            return Err(status(&convert::invalid("sequence", why)));
        }
        self.sequence = sequence;
        let lane = match self.lane(send.topic, send.partition) {
            Ok(lane) => lane,
            Err(refusal) => {
                self.give_back(bytes);
                self.door.note_batch(None, bytes, Ending::refused(&refusal));
                return self.tell_result(sequence, Err(refusal));
            }
        };
        self.lanes[lane as usize].results.expect(sequence, bytes);
        self.in_flight += 1;
        self.bytes_in_flight += bytes;
        let view = &self.lanes[lane as usize].view;
        let outcome = match convert::batch(view, send.batch, self.door.clock.now()) {
            Ok(batch) => self.door.handle.submit(view.id, batch, self.acks, &self.to, (sequence, lane)).await,
            Err(refusal) => Err(refusal),
        };
        match outcome {
            Ok(()) => Ok(()),
            Err(refusal) => self.finish(Sent { sequence, lane, outcome: Err(refusal) }),
        }
    }

    /// The lane of a partition, made at its first use.
    fn lane(&mut self, topic: Option<v1::TopicRef>, partition: Option<i32>) -> Result<u32, Refusal> {
        let number = partition.ok_or_else(|| convert::invalid("partition", "a partition is needed"))?;
        let named = match topic.as_ref().and_then(|topic| topic.topic.as_ref()) {
            Some(v1::topic_ref::Topic::Id(id)) => (true, id.clone(), number),
            Some(v1::topic_ref::Topic::Name(name)) => {
                (false, Bytes::copy_from_slice(name.as_bytes()), number)
            }
            None => return Err(convert::invalid("topic", "a name or an id is needed")),
        };
        if let Some(&lane) = self.lane_of.get(&named) {
            return Ok(lane);
        }
        let view = convert::locate(&self.door.views, topic.as_ref(), partition)?;
        let known = self.lanes.iter().position(|lane| lane.view.id == view.id);
        let lane = known.unwrap_or(self.lanes.len());
        if known.is_none() {
            self.lanes.push(Lane { view, results: InOrder::default() });
        }
        let lane =
            u32::try_from(lane).map_err(|_| Refusal::Throttled { limit: "partitions of one stream" })?;
        // A copy: a slice would keep the whole message.
        self.lane_of.insert((named.0, Bytes::copy_from_slice(&named.1), number), lane);
        Ok(lane)
    }

    /// The outcome of a batch; it is told when those before it in its partition are.
    fn finish(&mut self, sent: Sent) -> Result<(), Status> {
        let Lane { view, results } = &mut self.lanes[sent.lane as usize];
        let ending = Ending::of(&sent.outcome);
        let Some(bytes) = results.set(sent.sequence, sent.outcome) else { return Ok(()) };
        self.door.note_batch(Some(view), bytes, ending);
        self.in_flight -= 1;
        self.bytes_in_flight -= bytes;
        self.give_back(bytes);
        while let Some((sequence, outcome)) = self.lanes[sent.lane as usize].results.pop() {
            self.tell_result(sequence, outcome)?;
        }
        Ok(())
    }

    fn tell_result(&self, sequence: u64, outcome: Outcome) -> Result<(), Status> {
        use v1::produce_send_result::Result as Said;
        let result = match &outcome {
            Ok(_) if self.acks == Acks::None => return Ok(()),
            Ok(receipt) => Said::Receipt(convert::receipt(receipt)),
            Err(refusal) => Said::Error(partition_error(refusal)),
        };
        self.tell(Told::Result(v1::ProduceSendResult { sequence, result: Some(result) }));
        match outcome {
            // Who asked for no answers learns of a refusal only by the end of the stream.
            Err(refusal) if self.acks == Acks::None => Err(status(&refusal)),
            _ => Ok(()),
        }
    }

    fn give_back(&mut self, bytes: u64) {
        self.ungranted += bytes;
        if self.ungranted >= limits::PRODUCE_GRANT_BYTES {
            let bytes = std::mem::take(&mut self.ungranted);
            self.tell(Told::Window(v1::ProduceWindow { bytes }));
        }
    }
}
