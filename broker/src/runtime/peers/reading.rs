//! A connection of a broker that sends: envelopes are taken apart and left at the shards that own their partitions.

use std::sync::Arc;

use caudal_proto::peer::{Class, Envelope, Message};
use uuid::Uuid;

use super::Transport;
use super::envelope::{self, EnvelopeError, frame_bytes_max};
use super::event::PeerEvent;
use super::frame::{self, FrameError, Frames};
use super::liveness::Stream;
use crate::ids::{NodeId, PartitionId};
use crate::node::shard_of;

/// Who sends.
#[derive(Debug)]
pub(super) struct Sender {
    /// Its number.
    pub(super) node: NodeId,
    /// Its identity.
    pub(super) uuid: Uuid,
    /// Its process.
    pub(super) boot: Uuid,
    /// What it sends.
    pub(super) class: Class,
    /// Kept as long as it is read.
    pub(super) lives: Stream,
}

/// Why a sender is not read any more.
#[derive(Debug, thiserror::Error)]
enum End {
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    #[error("the broker is no member any more")]
    NoMember,
    #[error(
        "another process has the identity of this broker now: a data folder was copied, or it slept for long"
    )]
    Superseded,
}

/// Reads until the connection ends, or the sender is none any more.
pub(super) async fn read(mut frames: Frames, sender: Sender, transport: Arc<Transport>) {
    frames.decoder_mut().set_max_frame_length(frame_bytes_max(sender.class));
    let Err(end) = read_on(&mut frames, &sender, &transport).await;
    let (node, class) = (sender.node, sender.class.as_str_name());
    match end {
        End::Frame(FrameError::End | FrameError::Io(_)) => {
            tracing::debug!(%node, class, "a connection ended: {end}")
        }
        End::Frame(_) | End::Envelope(_) | End::NoMember | End::Superseded => {
            transport.troubles.note(node, format!("its connection is closed: {end}"));
        }
    }
    drop(sender.lives);
}

async fn read_on(
    frames: &mut Frames,
    sender: &Sender,
    transport: &Transport,
) -> Result<std::convert::Infallible, End> {
    loop {
        let frame = frame::next(frames).await?;
        if !transport.directory.knows(sender.node, sender.uuid) {
            return Err(End::NoMember);
        }
        // Who is heard is up before its messages are delivered.
        if !transport.liveness.heard(sender.node, sender.boot, transport.now_ms()) {
            return Err(End::Superseded);
        }
        let envelope = envelope::decode(frame)?;
        let touched = deliver(sender, envelope, transport);
        if sender.class != Class::Control {
            for shard in touched {
                transport.mailboxes[shard].room().await;
            }
        }
    }
}

/// Leaves an envelope at its shards, each in one piece; the shards that got something.
fn deliver(sender: &Sender, envelope: Envelope, transport: &Transport) -> Vec<usize> {
    let Envelope { messages, statuses } = envelope;
    let shards = u32::try_from(transport.mailboxes.len()).unwrap_or(u32::MAX);
    let mut sorted: Vec<(Vec<Message>, usize)> =
        transport.mailboxes.iter().map(|_| Default::default()).collect();
    for message in messages {
        let Some(partition) = PartitionId::of_fields(&message.topic_id, message.partition) else {
            tracing::debug!(node = %sender.node, "a message names no partition");
            continue;
        };
        let (messages, bytes) = &mut sorted[shard_of(partition, shards).0 as usize];
        *bytes += envelope::held_bytes(&message);
        messages.push(message);
    }
    let mut touched = Vec::new();
    for (shard, (messages, bytes)) in sorted.into_iter().enumerate() {
        if !messages.is_empty() {
            leave(sender, shard, PeerEvent::Messages { from: sender.node, messages }, bytes, transport);
            touched.push(shard);
        }
    }
    if !statuses.is_empty() {
        let bytes = statuses.len() * size_of::<Message>();
        leave(sender, 0, PeerEvent::Statuses { from: sender.node, statuses }, bytes, transport);
    }
    touched
}

fn leave(sender: &Sender, shard: usize, event: PeerEvent, bytes: usize, transport: &Transport) {
    let mailbox = &transport.mailboxes[shard];
    if sender.class != Class::Control {
        mailbox.post_from_peer(event, bytes);
    } else if !mailbox.post_control_from_peer(event, bytes) {
        tracing::debug!(node = %sender.node, shard, "control messages are dropped: the shard is behind");
    }
}
