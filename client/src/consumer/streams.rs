//! One fetch stream: a connection of its own to one broker.

use std::sync::Arc;
use std::time::Instant;

use caudal_proto::v1 as wire;
use caudal_proto::v1::fetch_service_client::FetchServiceClient;
use tokio::sync::Notify;
use tonic::Streaming;
use wire::fetch_stream_request::Message;
use wire::fetch_stream_response::Message as Answer;

use crate::config::{ClientConfig, FETCH_QUEUE_MESSAGES, GRPC_MESSAGE_BYTES_MAX};
use crate::connection;
use crate::error::{Error, ErrorKind};
use crate::outgoing::{self, Outgoing};
use crate::topic_wire::malformed;

/// The answers of one stream.
pub(super) type Answers = Streaming<wire::FetchStreamResponse>;

/// The sending side of a stream.
pub(super) struct Link {
    queue: Outgoing<wire::FetchStreamRequest>,
    /// Subscriptions are numbered from 1, never twice on a stream.
    next_subscription: u32,
    /// A message found no room.
    refused: bool,
    /// When the broker was heard last.
    pub(super) heard: Instant,
    /// The credit of the stream in bytes, when nothing is held.
    pub(super) credit: u64,
}

impl Link {
    /// Queues a message. Returns whether there was room.
    pub(super) fn put(&mut self, message: Message) -> bool {
        let put = self.queue.put(wire::FetchStreamRequest { message: Some(message) });
        self.refused |= !put;
        put
    }

    /// Whether a message was refused that there is room for by now; told once.
    pub(super) fn has_room_again(&mut self) -> bool {
        self.queue.has_room() && std::mem::take(&mut self.refused)
    }

    pub(super) fn subscription(&mut self) -> u32 {
        let id = self.next_subscription;
        self.next_subscription += 1;
        id
    }
}

/// Opens a stream to a broker and waits for its first word. `credit` is the stream's share of the buffer, `held`
/// what of it is in use by batches that came over an earlier stream.
pub(super) async fn open(
    config: ClientConfig,
    address: Arc<str>,
    heartbeat_ms: u32,
    credit: u64,
    held: u64,
    drained: Arc<Notify>,
) -> Result<(Link, Answers), Error> {
    let channel = connection::connect(&config, &address).await?;
    let (queue, requests) = outgoing::queue(FETCH_QUEUE_MESSAGES, drained);
    let open = wire::FetchOpen { max_bytes: 0, heartbeat_ms, credit_bytes: credit.saturating_sub(held) };
    queue.put(wire::FetchStreamRequest { message: Some(Message::Open(open)) });
    let mut service = FetchServiceClient::new(channel)
        .max_decoding_message_size(GRPC_MESSAGE_BYTES_MAX)
        .max_encoding_message_size(GRPC_MESSAGE_BYTES_MAX);
    let first_word = async {
        let mut answers = service.fetch_stream(requests).await?.into_inner();
        let first = answers.message().await?;
        Ok((first, answers))
    };
    let answered = tokio::time::timeout(config.connect_timeout, first_word).await;
    let (first, answers) = answered
        .map_err(|_| {
            let limit = config.connect_timeout;
            Error::new(ErrorKind::Unreachable, format!("{address} opened no fetch stream in {limit:?}"))
        })?
        .map_err(|status| Error::status(&address, status))?;
    let Some(Answer::Opened(_)) = first.and_then(|first| first.message) else {
        return Err(malformed("a fetch stream does not begin with `opened`"));
    };
    Ok((Link { queue, next_subscription: 1, refused: false, heard: crate::clock::now(), credit }, answers))
}
