//! Envelopes: what is sent together, and what is looked at before one is decoded.

use bytes::Bytes;
use caudal_proto::peer::{
    Class, Entry, Envelope, LentEntry, Message, PartitionStatus, ProducerBatch, ReplicaReport,
};
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};
use prost::{DecodeError, Message as _};

use crate::limits;

/// The classes, by their place in arrays.
pub(super) const CLASSES: [Class; 3] = [Class::Control, Class::Appends, Class::Bulk];

/// The place of a class in arrays.
pub(super) fn place(class: Class) -> usize {
    match class {
        Class::Unspecified | Class::Control => 0,
        Class::Appends => 1,
        Class::Bulk => 2,
    }
}

/// The longest frame of a class.
pub(super) fn frame_bytes_max(class: Class) -> usize {
    match class {
        Class::Unspecified | Class::Control => limits::PEER_CONTROL_FRAME_BYTES_MAX,
        Class::Appends | Class::Bulk => limits::PEER_FRAME_BYTES_MAX,
    }
}

/// Packs messages and statuses, in order, in as few envelopes as the limits allow; each with its encoded bytes. A
/// snapshot travels alone.
pub(super) fn pack(messages: Vec<Message>, statuses: &[PartitionStatus]) -> Vec<(Envelope, usize)> {
    let mut packed: Vec<(Envelope, usize)> = Vec::new();
    let mut closed = true;
    for message in messages {
        let (bytes, alone) = (in_field(message.encoded_len()), message.snapshot.is_some());
        let at = room(&mut packed, closed || alone);
        at.0.messages.push(message);
        at.1 += bytes;
        closed = alone;
    }
    for status in statuses {
        let at = room(&mut packed, closed);
        at.0.statuses.push(status.clone());
        at.1 += in_field(status.encoded_len());
        closed = false;
    }
    packed
}

/// The envelope that the next message goes into.
fn room(packed: &mut Vec<(Envelope, usize)>, closed: bool) -> &mut (Envelope, usize) {
    let full = packed.last().is_none_or(|(envelope, bytes)| {
        *bytes >= limits::PEER_ENVELOPE_BYTES
            || envelope.messages.len() >= limits::PEER_ENVELOPE_MESSAGES_MAX
            || envelope.statuses.len() >= limits::PEER_ENVELOPE_MESSAGES_MAX
    });
    if closed || full {
        packed.push(Default::default());
    }
    packed.last_mut().expect("invariant: one was pushed where there was none")
}

/// The bytes of a message of `length` as a field of its envelope.
fn in_field(length: usize) -> usize {
    1 + prost::length_delimiter_len(length) + length
}

/// The memory that a decoded message holds, about.
pub(super) fn held_bytes(message: &Message) -> usize {
    let entries: usize = message.entries.iter().map(|entry| size_of::<Entry>() + entry.data.len()).sum();
    let snapshot = message
        .snapshot
        .as_ref()
        .map_or(0, |snapshot| snapshot.state.len() + snapshot.producers.len() * size_of::<ProducerBatch>());
    let reports = message.reports.len() * size_of::<ReplicaReport>();
    let lent: usize = message.lent.iter().map(|entry| size_of::<LentEntry>() + entry.payload.len()).sum();
    size_of::<Message>() + entries + snapshot + reports + lent
}

/// Why a frame is not taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum EnvelopeError {
    /// It is no envelope.
    #[error("a frame is no envelope: {0}")]
    Malformed(#[from] DecodeError),
    /// It holds more than its bytes say.
    #[error("an envelope holds more than {max} {what}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// The limit.
        max: usize,
    },
}

/// Decodes a frame. What a small frame could become in memory is counted first: two bytes are an empty message, which
/// is some hundred bytes when it is decoded.
pub(super) fn decode(frame: Bytes) -> Result<Envelope, EnvelopeError> {
    let mut counts = Counts::default();
    counts.envelope(&frame)?;
    Ok(Envelope::decode(frame)?)
}

/// What an encoded envelope holds.
#[derive(Default)]
struct Counts {
    messages: usize,
    statuses: usize,
    entries: usize,
    producers: usize,
    list_bytes: usize,
}

impl Counts {
    fn envelope(&mut self, bytes: &[u8]) -> Result<(), EnvelopeError> {
        each_part(bytes, |field, part| match field {
            1 => {
                bump(&mut self.messages, 1, limits::PEER_ENVELOPE_MESSAGES_MAX, "messages")?;
                self.message(part)
            }
            2 => {
                bump(&mut self.statuses, 1, limits::PEER_ENVELOPE_MESSAGES_MAX, "statuses")?;
                self.lists(part)
            }
            _ => Ok(()),
        })
    }

    fn message(&mut self, bytes: &[u8]) -> Result<(), EnvelopeError> {
        each_part(bytes, |field, part| match field {
            16 | 25 => bump(&mut self.entries, 1, limits::PEER_ENVELOPE_ENTRIES_MAX, "entries"),
            17 => self.snapshot(part),
            23 => {
                bump(&mut self.statuses, 1, limits::PEER_ENVELOPE_MESSAGES_MAX, "reports")?;
                self.lists(part)
            }
            _ => Ok(()),
        })
    }

    fn snapshot(&mut self, bytes: &[u8]) -> Result<(), EnvelopeError> {
        each_part(bytes, |field, part| match field {
            3 => self.lists(part),
            9 => bump(&mut self.producers, 1, limits::PEER_ENVELOPE_PRODUCERS_MAX, "producers' batches"),
            _ => Ok(()),
        })
    }

    fn lists(&mut self, part: &[u8]) -> Result<(), EnvelopeError> {
        bump(&mut self.list_bytes, part.len(), limits::PEER_ENVELOPE_LIST_BYTES_MAX, "bytes of lists")
    }
}

fn bump(count: &mut usize, by: usize, max: usize, what: &'static str) -> Result<(), EnvelopeError> {
    *count += by;
    if *count > max { Err(EnvelopeError::TooMany { what, max }) } else { Ok(()) }
}

/// Calls `each` with every field of an encoded message that has a length, in order.
fn each_part(
    mut bytes: &[u8],
    mut each: impl FnMut(u32, &[u8]) -> Result<(), EnvelopeError>,
) -> Result<(), EnvelopeError> {
    while !bytes.is_empty() {
        let (field, wire) = decode_key(&mut bytes)?;
        if wire == WireType::LengthDelimited {
            let length = decode_varint(&mut bytes)?;
            let part = usize::try_from(length).ok().and_then(|length| bytes.split_at_checked(length));
            // The decoder has the words for it.
            let Some((part, rest)) = part else { return Ok(()) };
            each(field, part)?;
            bytes = rest;
        } else {
            skip_field(wire, field, &mut bytes, DecodeContext::default())?;
        }
    }
    Ok(())
}
