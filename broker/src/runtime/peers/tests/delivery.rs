//! What is sent arrives, in order, where it belongs; or its sender is told.

use std::sync::Arc;

use bytes::Bytes;
use caudal_proto::peer::{Class, Entry, Message, PartitionStatus};
use tokio::net::TcpListener;

use super::puppet::{Puppet, hello};
use super::rig::{Broker, contact, membership, message, numbers, partition_on};
use crate::ids::{NodeId, PartitionId, ReplicaId};
use crate::limits;
use crate::runtime::peers::{Contact, PeerEvent, Undelivered};

async fn two_brokers(shards: usize) -> (Broker, Broker) {
    let mut first = Broker::start(1);
    let mut second = Broker::start_at(2, "127.0.0.1:0".parse().unwrap(), shards);
    first.connect(&[(1, first.address), (2, second.address)]);
    second.connect(&[(1, first.address)]);
    first.until_event(0, &PeerEvent::Up(NodeId(2))).await;
    for shard in 0..shards {
        second.until_event(shard, &PeerEvent::Up(NodeId(1))).await;
    }
    (first, second)
}

/// What a broker tells of messages that did not leave.
async fn dropped(broker: &mut Broker, to: i32) -> Vec<Undelivered> {
    broker
        .until(0, |event| match event {
            PeerEvent::Dropped { to: node, messages } if *node == NodeId(to) => Some(messages.clone()),
            _ => None,
        })
        .await
}

#[tokio::test]
async fn messages_arrive_in_order_at_the_shards_of_their_partitions() {
    let (mut first, mut second) = two_brokers(2).await;
    let homes = [partition_on(0, 2), partition_on(1, 2)];
    for class in [Class::Control, Class::Appends, Class::Bulk] {
        // The connection of this class stands once something came through it.
        let mut number = 0;
        loop {
            first.peers.send(NodeId(2), class, message(homes[0], number));
            first.peers.flush();
            number += 1;
            let wait = std::time::Duration::from_millis(50);
            if tokio::time::timeout(wait, second.messages(0, 1)).await.is_ok() {
                break;
            }
        }
        let expected: Vec<u64> = (1000..1300).collect();
        for pass in expected.chunks(30) {
            for number in pass {
                for home in homes {
                    first.peers.send(NodeId(2), class, message(home, *number));
                }
            }
            first.peers.flush();
        }
        for (shard, home) in homes.iter().enumerate() {
            let mut got = Vec::new();
            while got.len() < expected.len() {
                let messages = second.messages(shard, 1).await;
                assert!(messages.iter().all(|message| message.partition == home.partition));
                got.extend(numbers(&messages).into_iter().filter(|number| *number >= 1000));
            }
            assert_eq!(got, expected, "{class:?} at shard {shard}");
        }
    }
}

#[tokio::test]
async fn what_one_pass_has_for_a_broker_travels_in_one_envelope() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut broker = Broker::start(1);
    broker.connect(&[(2, listener.local_addr().unwrap())]);
    let mut control = None;
    while control.is_none() {
        let (puppet, class) = Puppet::answer(&listener, &hello(2, 1, Class::Unspecified)).await;
        control = (class == Class::Control).then_some(puppet);
    }
    let mut control = control.unwrap();
    // It is connected once it has said that it lives.
    let _: caudal_proto::peer::Envelope = control.hear().await;
    for number in 0..100 {
        broker.peers.send(NodeId(2), Class::Control, message(PartitionId::CONTROL, number));
    }
    broker.peers.statuses(vec![PartitionStatus { term: 5, ..PartitionStatus::default() }]);
    broker.peers.flush();
    let envelope = control.envelope().await;
    assert_eq!(numbers(&envelope.messages), (0..100).collect::<Vec<_>>());
    assert_eq!(envelope.statuses.len(), 1);
}

#[tokio::test]
async fn statuses_reach_every_broker_at_its_first_shard() {
    let (mut first, mut second) = two_brokers(2).await;
    let mut third = Broker::start(3);
    first.connect(&[(2, second.address), (3, third.address)]);
    third.until_event(0, &PeerEvent::Up(NodeId(1))).await;
    let statuses = vec![PartitionStatus { term: 5, high_watermark: 7, ..PartitionStatus::default() }];
    first.peers.statuses(statuses.clone());
    first.peers.flush();
    let want = PeerEvent::Statuses { from: NodeId(1), statuses };
    second.until_event(0, &want).await;
    third.until_event(0, &want).await;
    assert!(!second.seen(1).contains(&want));
}

#[tokio::test]
async fn what_cannot_leave_is_reported() {
    let mut broker = Broker::start(1);
    // A port where nobody listens.
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    broker.connect(&[(2, nobody)]);
    let snapshot = Message { to: 21, snapshot: Some(Default::default()), ..message(PartitionId::CONTROL, 2) };
    for to in [2, 9] {
        broker.peers.send(NodeId(to), Class::Appends, message(PartitionId::CONTROL, 1));
        broker.peers.send(NodeId(to), Class::Bulk, snapshot.clone());
        broker.peers.flush();
        let lost = |replica| Undelivered { partition: PartitionId::CONTROL, replica: ReplicaId(replica) };
        assert_eq!(dropped(&mut broker, to).await, [lost(20), lost(21)]);
    }
}

#[tokio::test]
async fn control_passes_where_appends_wait() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut broker = Broker::start(1);
    broker.connect(&[(2, listener.local_addr().unwrap())]);
    let mut open = Vec::new();
    while open.len() < 3 {
        open.push(Puppet::answer(&listener, &hello(2, 1, Class::Unspecified)).await);
    }
    // Nobody reads the appends. What the queue and the sockets take is far less than this.
    let entry = Entry { data: Bytes::from(vec![7; 1 << 20]), ..Entry::default() };
    let append = Message { entries: vec![entry], ..message(PartitionId::CONTROL, 1) };
    let mut lost = Vec::new();
    for _ in 0..(3 * limits::PEER_QUEUE_BYTES_MAX) >> 20 {
        broker.peers.send(NodeId(2), Class::Appends, append.clone());
        broker.peers.flush();
        tokio::task::yield_now().await;
    }
    lost.extend(dropped(&mut broker, 2).await);
    assert!(!lost.is_empty());
    let control = open.iter_mut().find(|(_, class)| *class == Class::Control).unwrap();
    let _: caudal_proto::peer::Envelope = control.0.hear().await;
    broker.peers.send(NodeId(2), Class::Control, message(PartitionId::CONTROL, 77));
    broker.peers.flush();
    assert_eq!(numbers(&control.0.envelope().await.messages), [77]);
    // What waits when the connection ends is reported too.
    broker.seen(0);
    drop(open);
    assert!(!dropped(&mut broker, 2).await.is_empty());
}

#[tokio::test]
async fn a_broker_that_starts_again_is_connected_to_again() {
    let (mut first, mut second) = two_brokers(1).await;
    let ping = message(PartitionId::CONTROL, 1);
    for _ in 0..2 {
        first.send_until_heard(&mut second, (1, 2), &ping).await;
        second.send_until_heard(&mut first, (2, 1), &ping).await;
        let address = second.kill().await;
        first.until_event(0, &PeerEvent::Down(NodeId(2))).await;
        second = Broker::start_at(2, address, 1);
        second.connect(&[(1, first.address)]);
        first.until_event(0, &PeerEvent::Up(NodeId(2))).await;
    }
    first.send_until_heard(&mut second, (1, 2), &ping).await;
}

#[tokio::test]
async fn every_shard_is_told_where_the_others_are_when_that_changes() {
    let mut broker = Broker::start_at(1, "127.0.0.1:0".parse().unwrap(), 2);
    let mut moved = membership(1);
    broker.transport.set_membership(moved.clone());
    moved.nodes.insert(NodeId(3), Contact { address: "127.0.0.1:30".to_owned(), ..contact(3) });
    broker.transport.set_membership(moved);
    for shard in 0..2 {
        let told = |last: &'static str| {
            let addresses = [(NodeId(2), "127.0.0.1:2"), (NodeId(3), last)];
            PeerEvent::Addresses(Arc::new(addresses.map(|(node, at)| (node, at.to_owned())).into()))
        };
        assert_eq!(broker.seen(shard), [told("127.0.0.1:3"), told("127.0.0.1:30")]);
    }
}

#[tokio::test]
async fn a_broker_that_is_taken_from_the_addresses_is_disconnected() {
    let (mut first, mut second) = two_brokers(1).await;
    second.connect(&[]);
    first.connect(&[]);
    second.until_event(0, &PeerEvent::Down(NodeId(1))).await;
    first.peers.send(NodeId(2), Class::Control, message(PartitionId::CONTROL, 1));
    first.peers.flush();
    assert_eq!(dropped(&mut first, 2).await.len(), 1);
    // And back.
    first.connect(&[(2, second.address)]);
    second.until_event(0, &PeerEvent::Up(NodeId(1))).await;
}
