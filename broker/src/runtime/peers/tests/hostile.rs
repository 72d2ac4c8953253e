//! Bytes that no broker sends: their connection ends, memory is not taken, the others are served.

use bytes::Bytes;
use caudal_proto::peer::{
    Class, Entry, Envelope, Hello, Message, PartitionStatus, Purpose, Snapshot, Voters,
};
use proptest::prelude::*;
use prost::Message as _;

use super::puppet::{Puppet, hello};
use super::rig::{Broker, message, numbers};
use crate::ids::PartitionId;
use crate::limits;
use crate::runtime::peers::envelope;

async fn others_are_served(broker: &mut Broker) {
    let mut good = Puppet::admitted(broker.address, &hello(3, 33, Class::Appends)).await;
    good.say(&Envelope { messages: vec![message(PartitionId::CONTROL, 3)], statuses: Vec::new() }).await;
    assert_eq!(numbers(&broker.messages(0, 3).await), [3]);
}

#[tokio::test]
async fn first_bytes_that_are_no_hello_end_the_connection() {
    let mut broker = Broker::start(1);
    let first: [&[u8]; 4] =
        [b"GET / HTTP/1.1\r\n\r\n", &[0xff; 64], &[0, 0, 0, 3, 0xff, 0xff, 0xff], &[0, 1, 0, 0, 1]];
    for bytes in first {
        let mut puppet = Puppet::connect(broker.address).await;
        puppet.say_raw(bytes).await;
        puppet.closed().await;
    }
    others_are_served(&mut broker).await;
}

#[tokio::test]
async fn a_length_of_a_gigabyte_is_refused() {
    let mut broker = Broker::start(1);
    for class in [Class::Control, Class::Appends, Class::Bulk] {
        let mut puppet = Puppet::admitted(broker.address, &hello(2, 1, class)).await;
        puppet.say_raw(&(1_u32 << 30).to_be_bytes()).await;
        puppet.closed().await;
    }
    let asks = Hello { purpose: Purpose::Questions.into(), ..hello(2, 1, Class::Unspecified) };
    let mut puppet = Puppet::admitted(broker.address, &asks).await;
    puppet.say_raw(&(1_u32 << 30).to_be_bytes()).await;
    puppet.closed().await;
    others_are_served(&mut broker).await;
}

#[tokio::test]
async fn a_frame_that_ends_too_early_is_not_delivered() {
    let mut broker = Broker::start(1);
    let mut puppet = Puppet::admitted(broker.address, &hello(2, 1, Class::Appends)).await;
    let whole = Envelope { messages: vec![message(PartitionId::CONTROL, 1)], statuses: Vec::new() };
    puppet.say(&whole).await;
    assert_eq!(numbers(&broker.messages(0, 2).await), [1]);
    let bytes = whole.encode_to_vec();
    puppet.say_raw(&u32::try_from(bytes.len()).unwrap().to_be_bytes()).await;
    puppet.say_raw(&bytes[..bytes.len() - 1]).await;
    drop(puppet);
    others_are_served(&mut broker).await;
    let delivered = |event: &_| matches!(event, crate::runtime::peers::PeerEvent::Messages { .. });
    assert!(!broker.seen(0).iter().any(delivered));
}

#[tokio::test]
async fn a_message_without_a_partition_is_passed_over() {
    let mut broker = Broker::start(1);
    let mut puppet = Puppet::admitted(broker.address, &hello(2, 1, Class::Appends)).await;
    let messages = vec![Message::default(), message(PartitionId::CONTROL, 1)];
    puppet.say(&Envelope { messages, statuses: Vec::new() }).await;
    assert_eq!(numbers(&broker.messages(0, 2).await), [1]);
}

#[tokio::test]
async fn an_envelope_that_grows_when_it_is_decoded_is_refused() {
    let mut broker = Broker::start(1);
    let mut puppet = Puppet::admitted(broker.address, &hello(2, 1, Class::Appends)).await;
    let empty = [0x0a, 0x00].repeat(limits::PEER_ENVELOPE_MESSAGES_MAX + 1);
    puppet.say_raw(&u32::try_from(empty.len()).unwrap().to_be_bytes()).await;
    puppet.say_raw(&empty).await;
    puppet.closed().await;
    others_are_served(&mut broker).await;
}

#[test]
fn each_thing_in_an_envelope_is_counted() {
    let decode = |messages, statuses| {
        let frame = Envelope { messages, statuses }.encode_to_vec();
        envelope::decode(Bytes::from(frame)).map(|_| ()).map_err(|error| error.to_string())
    };
    let entries = |count| vec![Message { entries: vec![Entry::default(); count], ..Message::default() }];
    let snapshot = |snapshot| vec![Message { snapshot: Some(snapshot), ..Message::default() }];
    let producers =
        |count| snapshot(Snapshot { producers: vec![Default::default(); count], ..Default::default() });
    let voters = |count| Voters { voters: vec![1; count], ..Voters::default() };
    let list = |count| snapshot(Snapshot { voters: Some(voters(count)), ..Default::default() });
    let statuses = |count| vec![PartitionStatus::default(); count];
    let behind = |count| vec![PartitionStatus { behind: vec![1; count], ..Default::default() }];

    let entries_max = limits::PEER_ENVELOPE_ENTRIES_MAX;
    assert_eq!(decode(entries(entries_max), vec![]), Ok(()));
    assert!(decode(entries(entries_max + 1), vec![]).unwrap_err().contains("entries"));
    let producers_max = limits::PEER_ENVELOPE_PRODUCERS_MAX;
    assert_eq!(decode(producers(producers_max), vec![]), Ok(()));
    assert!(decode(producers(producers_max + 1), vec![]).unwrap_err().contains("producers"));
    let lists_max = limits::PEER_ENVELOPE_LIST_BYTES_MAX;
    assert_eq!(decode(list(lists_max / 2), vec![]), Ok(()));
    assert!(decode(list(lists_max), vec![]).unwrap_err().contains("lists"));
    assert_eq!(decode(vec![], behind(lists_max / 2)), Ok(()));
    assert!(decode(vec![], behind(lists_max)).unwrap_err().contains("lists"));
    let statuses_max = limits::PEER_ENVELOPE_MESSAGES_MAX;
    assert_eq!(decode(vec![], statuses(statuses_max)), Ok(()));
    assert!(decode(vec![], statuses(statuses_max + 1)).unwrap_err().contains("statuses"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn no_frame_makes_the_decoder_panic(frame in proptest::collection::vec(any::<u8>(), 0..200)) {
        let frame = Bytes::from(frame);
        let ours = envelope::decode(frame.clone());
        // What it refuses, prost refuses too: none of these is large.
        prop_assert_eq!(ours.is_ok(), Envelope::decode(frame).is_ok());
    }
}
