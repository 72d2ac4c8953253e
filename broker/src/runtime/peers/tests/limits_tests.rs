//! Bounds: what is packed, how many connect, how much lies at a shard.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use caudal_proto::peer::{Class, Entry, Envelope, Hello, Message, PartitionStatus, Purpose};
use prost::Message as _;

use super::puppet::{Puppet, hello};
use super::rig::{Broker, message, numbers};
use crate::ids::PartitionId;
use crate::limits;
use crate::runtime::mailbox::Mail;
use crate::runtime::peers::{PeerEvent, envelope};

fn append(number: u64, bytes: usize) -> Message {
    let entry = Entry { data: Bytes::from(vec![7; bytes]), ..Entry::default() };
    Message { entries: vec![entry], ..message(PartitionId::CONTROL, number) }
}

#[test]
fn the_largest_messages_fit_a_frame() {
    let largest = limits::PEER_MESSAGE_BYTES_MAX as usize + limits::BATCH_BYTES_CEILING;
    let packed = envelope::pack(vec![append(1, limits::PEER_ENVELOPE_BYTES - 1), append(2, largest)], &[]);
    assert!(packed.iter().all(|(_, bytes)| *bytes <= limits::PEER_FRAME_BYTES_MAX / 2));
    const { assert!(limits::COMMAND_BYTES_MAX < limits::PEER_FRAME_BYTES_MAX / 2) };
}

#[test]
fn an_envelope_is_closed_when_it_is_full() {
    let half = limits::PEER_ENVELOPE_BYTES / 2 + 1;
    let snapshot = Message { snapshot: Some(Default::default()), ..message(PartitionId::CONTROL, 4) };
    let messages = vec![append(1, half), append(2, half), append(3, 1), snapshot, append(5, 1)];
    let packed = envelope::pack(messages, &[PartitionStatus { term: 1, ..Default::default() }]);
    let shape: Vec<_> =
        packed.iter().map(|(envelope, _)| (numbers(&envelope.messages), envelope.statuses.len())).collect();
    assert_eq!(shape, [(vec![1, 2], 0), (vec![3], 0), (vec![4], 0), (vec![5], 1)]);
    assert!(packed.iter().all(|(envelope, bytes)| *bytes == envelope.encoded_len()));
    let many = vec![message(PartitionId::CONTROL, 0); 2 * limits::PEER_ENVELOPE_MESSAGES_MAX + 1];
    let packed = envelope::pack(many, &[]);
    assert_eq!(packed.len(), 3);
    assert!(packed.iter().all(|(envelope, _)| envelope.messages.len() <= limits::PEER_ENVELOPE_MESSAGES_MAX));
    assert!(envelope::pack(Vec::new(), &[]).is_empty());
}

#[tokio::test]
async fn a_flood_of_silent_connections_keeps_nobody_out() {
    let mut broker = Broker::start(1);
    let mut silent = Vec::new();
    for _ in 0..3 * limits::PEER_HANDSHAKES_MAX {
        silent.push(Puppet::connect(broker.address).await);
    }
    let mut good = Puppet::admitted(broker.address, &hello(3, 33, Class::Appends)).await;
    good.say(&Envelope { messages: vec![message(PartitionId::CONTROL, 3)], statuses: Vec::new() }).await;
    assert_eq!(numbers(&broker.messages(0, 3).await), [3]);
    for puppet in &mut silent {
        puppet.closed().await;
    }
}

#[tokio::test]
async fn those_who_ask_are_counted() {
    let broker = Broker::start(1);
    let asks = Hello { purpose: Purpose::Questions.into(), ..hello(2, 1, Class::Unspecified) };
    let mut asking = Vec::new();
    for _ in 0..limits::PEER_QUESTIONERS_MAX {
        asking.push(Puppet::admitted(broker.address, &asks).await);
    }
    let (_, refused) = Puppet::greet(broker.address, &asks).await;
    assert!(refused.is_some_and(|why| why.contains("connections already")));
    // Brokers of the cluster are counted apart.
    Puppet::admitted(broker.address, &hello(2, 1, Class::Control)).await;
    drop(asking);
    loop {
        let (_, refused) = Puppet::greet(broker.address, &asks).await;
        if refused.is_none() {
            return;
        }
    }
}

/// Sends `frames` appends of a MiB each, and counts them.
async fn flood(mut puppet: Puppet, frames: usize, sent: Arc<AtomicUsize>) {
    let envelope = Envelope { messages: vec![append(1, 1 << 20)], statuses: Vec::new() };
    for _ in 0..frames {
        puppet.say(&envelope).await;
        sent.fetch_add(1, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn a_shard_that_is_behind_is_not_flooded_and_still_hears_control() {
    let mut broker = Broker::start(1);
    let frames = (3 * limits::PEER_BACKLOG_BYTES_MAX) >> 20;
    let sent = Arc::new(AtomicUsize::new(0));
    let puppet = Puppet::admitted(broker.address, &hello(2, 1, Class::Appends)).await;
    let flood = tokio::spawn(flood(puppet, frames, Arc::clone(&sent)));
    let mut control = Puppet::admitted(broker.address, &hello(2, 1, Class::Control)).await;
    // Nothing is taken until the sender stands still, or is through, which it must not be.
    let (mut before, mut still) = (0, 0);
    while still < 10 && before < frames {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let now = sent.load(Ordering::SeqCst);
        still = if now == before && now > 0 { still + 1 } else { 0 };
        before = now;
    }
    control.say(&Envelope { messages: vec![message(PartitionId::CONTROL, 7)], statuses: Vec::new() }).await;
    let (mut appends, mut heard) = (0, false);
    while appends < frames || !heard {
        broker.mailboxes[0].posted().await;
        let mut held = 0;
        for mail in broker.mailboxes[0].take() {
            let Mail::Peer(PeerEvent::Messages { messages, .. }) = mail else { continue };
            for message in messages {
                heard |= message.index == 7;
                appends += message.entries.len();
                held += message.entries.iter().map(|entry| entry.data.len()).sum::<usize>();
            }
        }
        assert!(held <= limits::PEER_BACKLOG_BYTES_MAX + (1 << 20), "{held} bytes lay at the shard");
    }
    flood.await.unwrap();
    broker.seen(0);
}
