//! One produce stream: a connection of its own, a bounded queue out, answers in.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use caudal_proto::v1 as wire;
use caudal_proto::v1::produce_service_client::ProduceServiceClient;
use tokio::sync::Notify;
use tonic::Streaming;
use wire::produce_stream_request::Message;
use wire::produce_stream_response::Message as Answer;

use crate::batcher::Place;
use crate::config::{Acks, ClientConfig, GRPC_MESSAGE_BYTES_MAX, PRODUCE_SILENCE_MAX, STREAM_QUEUE_BATCHES};
use crate::connection;
use crate::error::{Error, ErrorKind};
use crate::lane::Batch;
use crate::outgoing::{self, Outgoing};
use crate::topic_wire::malformed;

/// The answers of one stream.
pub(super) type Answers = Streaming<wire::ProduceStreamResponse>;

/// A stream just opened.
pub(super) struct Opened {
    pub(super) link: Link,
    pub(super) answers: Answers,
    pub(super) shards: u32,
}

/// The sending side of a stream.
pub(super) struct Link {
    pub(super) address: Arc<str>,
    pub(super) shard: u32,
    queue: Outgoing<wire::ProduceStreamRequest>,
    next_sequence: u64,
    /// Bytes that may still be sent before a grant.
    window: u64,
    /// Batches without an answer, by their number on this stream.
    unanswered: BTreeMap<u64, (Place, u64)>,
    /// Since when an answer is waited for: the newest answer, or the first batch after it.
    waits_since: Option<Instant>,
    /// When others were asked whether its broker still leads.
    doubted_at: Option<Instant>,
}

/// Opens a stream to a broker and waits for its first word.
pub(super) async fn open(
    config: ClientConfig,
    address: Arc<str>,
    acks: Acks,
    drained: Arc<Notify>,
) -> Result<Opened, Error> {
    let channel = connection::connect(&config, &address).await?;
    let (queue, requests) = outgoing::queue(STREAM_QUEUE_BATCHES, drained);
    let opening = wire::ProduceOpen { acks: acks.wire() };
    let opening = wire::ProduceStreamRequest { message: Some(Message::Open(opening)) };
    queue.put(opening);
    let mut service = ProduceServiceClient::new(channel)
        .max_decoding_message_size(GRPC_MESSAGE_BYTES_MAX)
        .max_encoding_message_size(GRPC_MESSAGE_BYTES_MAX);
    let first_word = async {
        let mut answers = service.produce_stream(requests).await?.into_inner();
        let first = answers.message().await?;
        Ok((first, answers))
    };
    let answered = tokio::time::timeout(config.connect_timeout, first_word).await;
    let (first, answers) = answered
        .map_err(|_| {
            Error::new(
                ErrorKind::Unreachable,
                format!("{address} opened no produce stream in {:?}", config.connect_timeout),
            )
        })?
        .map_err(|status| Error::status(&address, status))?;
    let Some(Answer::Opened(opened)) = first.and_then(|first| first.message) else {
        return Err(malformed("a produce stream does not begin with `opened`"));
    };
    let link = Link {
        address,
        shard: opened.shard,
        queue,
        next_sequence: 1,
        window: opened.window_bytes,
        unanswered: BTreeMap::new(),
        waits_since: None,
        doubted_at: None,
    };
    Ok(Opened { link, answers, shards: opened.shards })
}

impl Link {
    /// Whether a batch of so many bytes may go now. One that is larger than the whole window goes alone.
    pub(super) fn has_room(&self, bytes: usize) -> bool {
        self.queue.has_room() && (self.window >= bytes as u64 || self.unanswered.is_empty())
    }

    /// Queues a batch. Returns whether the stream took it; else it is broken and will say so.
    pub(super) fn send(&mut self, topic: wire::TopicRef, place: Place, batch: &Batch, now: Instant) -> bool {
        let sequence = self.next_sequence;
        let send = wire::ProduceSend {
            sequence,
            topic: Some(topic),
            partition: Some(place.partition),
            batch: batch.bytes.clone(),
        };
        let request = wire::ProduceStreamRequest { message: Some(Message::Send(send)) };
        if !self.queue.put(request) {
            return false;
        }
        self.next_sequence += 1;
        self.window = self.window.saturating_sub(batch.bytes.len() as u64);
        self.unanswered.insert(sequence, (place, batch.number));
        self.waits_since.get_or_insert(now);
        true
    }

    /// So many more bytes may be sent.
    pub(super) fn grant(&mut self, bytes: u64) {
        self.window = self.window.saturating_add(bytes);
    }

    /// Which batch an answer is about.
    pub(super) fn answered(&mut self, sequence: u64, now: Instant) -> Option<(Place, u64)> {
        let batch = self.unanswered.remove(&sequence);
        self.waits_since = (!self.unanswered.is_empty()).then_some(now);
        self.doubted_at = None;
        batch
    }

    /// Whether its broker owes an answer and has been silent for long.
    pub(super) fn is_silent(&self, now: Instant) -> bool {
        self.waits_since.is_some_and(|since| since + PRODUCE_SILENCE_MAX <= now)
    }

    /// When its silence is to be looked into: once it has lasted, and again while it lasts.
    pub(super) fn doubt_at(&self) -> Option<Instant> {
        let since = self.waits_since?;
        Some(self.doubted_at.unwrap_or(since) + PRODUCE_SILENCE_MAX)
    }

    /// Others are asked about it.
    pub(super) fn doubted(&mut self, now: Instant) {
        self.doubted_at = Some(now);
    }

    /// The batches the transport took since the last call, for streams without answers.
    pub(super) fn handed_over(&mut self) -> BTreeMap<u64, (Place, u64)> {
        // The opening message is the first one taken; batches are numbered from 1.
        let taken = self.queue.taken();
        let rest = self.unanswered.split_off(&taken.max(1));
        std::mem::replace(&mut self.unanswered, rest)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;

    use super::*;
    use crate::delivery::Outcome;

    #[test]
    fn a_stream_is_silent_while_its_broker_owes_an_answer_and_gives_none() {
        let (queue, _requests) = outgoing::queue(STREAM_QUEUE_BATCHES, Arc::new(Notify::new()));
        let mut link = Link {
            address: Arc::from("a:1"),
            shard: 0,
            queue,
            next_sequence: 1,
            window: 1 << 20,
            unanswered: BTreeMap::new(),
            waits_since: None,
            doubted_at: None,
        };
        let (begin, late) = (crate::clock::now(), PRODUCE_SILENCE_MAX);
        assert!(!link.is_silent(begin + late) && link.doubt_at().is_none(), "it owes nothing");
        let place = Place { topic: 0, partition: 0 };
        let topic = || wire::TopicRef { topic: None };
        let batch = Batch {
            number: 0,
            bytes: Bytes::from_static(b"x"),
            count: 1,
            outcome: Outcome::new("t".into(), 0),
            weight: 1,
            deadline: begin + late * 100,
        };
        assert!(link.send(topic(), place, &batch, begin));
        assert!(link.send(topic(), place, &batch, begin + late / 2));
        assert!(!link.is_silent(begin + late - Duration::from_millis(1)));
        assert!(link.is_silent(begin + late), "the first batch counts");
        assert_eq!(link.doubt_at(), Some(begin + late));
        link.doubted(begin + late);
        assert_eq!(link.doubt_at(), Some(begin + late * 2), "again while it lasts");
        assert!(link.answered(1, begin + late * 2).is_some());
        assert!(!link.is_silent(begin + late * 2), "it spoke");
        assert_eq!(link.doubt_at(), Some(begin + late * 3), "the second batch is owed");
        assert!(link.answered(2, begin + late * 2).is_some());
        assert!(!link.is_silent(begin + late * 9) && link.doubt_at().is_none());
    }
}
