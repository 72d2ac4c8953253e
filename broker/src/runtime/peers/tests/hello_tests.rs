//! Who is let in, and what the others are told.

use std::sync::Arc;

use caudal_proto::peer::{Class, Hello, HelloAnswer, Purpose, Question, Who, answer, question};
use tokio::net::TcpListener;

use super::puppet::{Puppet, hello};
use super::rig::{Broker, LONG, contact, membership, message, numbers};
use crate::ids::{NodeId, PartitionId};
use crate::runtime::peers::{Contact, GreetError, Interview, Membership, PeerEvent};

/// A broker of the cluster is served.
async fn others_are_served(broker: &mut Broker) {
    let mut good = Puppet::admitted(broker.address, &hello(3, 33, Class::Control)).await;
    good.say(&caudal_proto::peer::Envelope {
        messages: vec![message(PartitionId::CONTROL, 3)],
        statuses: Vec::new(),
    })
    .await;
    assert_eq!(numbers(&broker.messages(0, 3).await), [3]);
}

#[tokio::test]
async fn a_stranger_is_refused_and_told_why() {
    let mut broker = Broker::start(1);
    let good = hello(2, 1, Class::Control);
    let other = bytes::Bytes::from_static(&[9; 16]);
    let cases = [
        (Hello { protocol: 0, ..good.clone() }, "peer protocol 0 is not 1"),
        (Hello { cluster_id: other.clone(), ..good.clone() }, "check cluster.seeds"),
        (Hello { cluster_id: bytes::Bytes::new(), ..good.clone() }, "belongs to no cluster"),
        (Hello { node_uuid: other.clone(), ..good.clone() }, "node 2 has the identity"),
        (Hello { node_uuid: bytes::Bytes::new(), ..good.clone() }, "no valid node uuid"),
        (Hello { node_id: 5, ..good.clone() }, "no node 5"),
        (Hello { node_id: 9, peer_address: String::new(), ..good.clone() }, "no node 9"),
        (Hello { boot_id: bytes::Bytes::from_static(b"short"), ..good.clone() }, "no valid boot id"),
        (Hello { purpose: 17, ..good.clone() }, "no valid purpose"),
        (Hello { class: 17, ..good.clone() }, "no valid class"),
    ];
    for (hello, says) in cases {
        let (mut puppet, refused) = Puppet::greet(broker.address, &hello).await;
        let refused = refused.unwrap_or_default();
        assert!(refused.contains(says), "{says}: {refused:?}");
        puppet.closed().await;
    }
    others_are_served(&mut broker).await;
}

#[tokio::test]
async fn a_copy_of_this_brokers_folder_is_refused() {
    let broker = Broker::start(1);
    let (_, refused) = Puppet::greet(broker.address, &hello(1, 1, Class::Control)).await;
    let says = format!("another process with the identity of node 1 is running at {}", broker.address);
    assert!(refused.as_deref().is_some_and(|why| why.contains(&says)), "{refused:?}");
}

#[tokio::test]
async fn of_two_processes_with_one_identity_the_second_is_refused() {
    let mut broker = Broker::start(1);
    let first = Puppet::admitted(broker.address, &hello(2, 1, Class::Control)).await;
    let living = tokio::spawn(first.live());
    broker.until_event(0, &PeerEvent::Up(NodeId(2))).await;
    let questions = Hello { purpose: Purpose::Questions.into(), ..hello(2, 2, Class::Unspecified) };
    for second in [hello(2, 2, Class::Control), hello(2, 2, Class::Bulk), questions] {
        let (_, refused) = Puppet::greet(broker.address, &second).await;
        let refused = refused.unwrap_or_default();
        assert!(
            refused.contains("another process with the identity of node 2 is running at 127.0.0.1:2"),
            "{refused}"
        );
        assert!(refused.contains("a data folder was copied"), "{refused}");
    }
    // The first one goes on, with as many connections as it likes.
    let mut appends = Puppet::admitted(broker.address, &hello(2, 1, Class::Appends)).await;
    appends.say(&envelope(5)).await;
    assert_eq!(numbers(&broker.messages(0, 2).await), [5]);
    // When it has ended, the next process of the broker is the broker.
    living.abort();
    broker.until_event(0, &PeerEvent::Down(NodeId(2))).await;
    let _second = Puppet::admitted(broker.address, &hello(2, 2, Class::Control)).await;
    // What is left of the first is not read any more.
    appends.say(&envelope(6)).await;
    appends.closed().await;
}

fn envelope(number: u64) -> caudal_proto::peer::Envelope {
    let messages = vec![message(PartitionId::CONTROL, number)];
    caudal_proto::peer::Envelope { messages, statuses: Vec::new() }
}

#[tokio::test]
async fn who_answers_must_be_the_one_that_was_meant() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut broker = Broker::start(1);
    broker.connect(&[(2, listener.local_addr().unwrap())]);
    let other = bytes::Bytes::from_static(&[9; 16]);
    let good = hello(2, 1, Class::Unspecified);
    let wrong = [
        Hello { cluster_id: other.clone(), ..good.clone() },
        Hello { node_uuid: other.clone(), ..good.clone() },
        hello(3, 1, Class::Unspecified),
        Hello { protocol: 2, ..good.clone() },
    ];
    for answer in &wrong {
        let (mut puppet, _) = Puppet::answer(&listener, answer).await;
        puppet.closed().await;
    }
    loop {
        let (mut puppet, class) = Puppet::answer(&listener, &good).await;
        if class == Class::Control {
            let _: caudal_proto::peer::Envelope = puppet.hear().await;
            return;
        }
    }
}

#[tokio::test]
async fn a_broker_whose_identity_is_not_known_yet_is_let_in_by_its_number() {
    let mut broker = Broker::start(1);
    let mut contacts = membership(1);
    contacts.nodes.insert(NodeId(3), Contact { uuid: None, ..contact(3) });
    broker.transport.set_membership(contacts);
    others_are_served(&mut broker).await;
}

#[tokio::test]
async fn a_broker_that_joined_meanwhile_introduces_itself() {
    let mut broker = Broker::start(1);
    let mut joined = Puppet::admitted(broker.address, &hello(7, 1, Class::Control)).await;
    let nodes = |nodes: &[i32]| {
        let addresses = nodes.iter().map(|node| (NodeId(*node), format!("127.0.0.1:{node}")));
        PeerEvent::Addresses(Arc::new(addresses.collect()))
    };
    broker.until_event(0, &nodes(&[2, 3, 7])).await;
    joined.say(&envelope(5)).await;
    assert_eq!(numbers(&broker.messages(0, 7).await), [5]);
    // Its number is its own from here on.
    let other = Hello { node_uuid: bytes::Bytes::from_static(&[9; 16]), ..hello(7, 1, Class::Control) };
    let (_, refused) = Puppet::greet(broker.address, &other).await;
    assert!(refused.is_some_and(|why| why.contains("node 7 has the identity")));
    // The catalog follows, step by step; in the end it knows the number, or that nobody has it.
    let catalog = |next_node| Membership { next_node: NodeId(next_node), ..membership(1) };
    broker.transport.set_membership(catalog(7));
    joined.say(&envelope(6)).await;
    assert_eq!(numbers(&broker.messages(0, 7).await), [6]);
    broker.transport.set_membership(catalog(8));
    broker.until_event(0, &nodes(&[2, 3])).await;
    joined.say(&envelope(7)).await;
    joined.closed().await;
}

#[tokio::test]
async fn a_broker_that_is_no_member_any_more_is_not_read() {
    let mut broker = Broker::start(1);
    let mut puppet = Puppet::admitted(broker.address, &hello(2, 1, Class::Control)).await;
    puppet.say(&envelope(1)).await;
    broker.messages(0, 2).await;
    let mut without = membership(1);
    without.nodes.remove(&NodeId(2));
    broker.transport.set_membership(without);
    broker.until_event(0, &PeerEvent::Down(NodeId(2))).await;
    puppet.say(&envelope(2)).await;
    puppet.closed().await;
    others_are_served(&mut broker).await;
}

#[tokio::test]
async fn questions_are_answered_in_turn() {
    let (asked, asker) = (Broker::start(1), Broker::start(2));
    let mut interview =
        Interview::begin(&asked.address.to_string(), asker.transport.directory()).await.unwrap();
    assert_eq!(interview.hello().node_id, 1);
    for name in ["a", "b"] {
        let who = Who { seeds: vec![name.to_owned()] };
        let answer = interview.ask(&Question { kind: Some(question::Kind::Who(who)) }).await.unwrap();
        let Some(answer::Kind::Me(me)) = answer.kind else { panic!("{answer:?}") };
        assert_eq!(me.seeds, [name]);
    }
    // A broker may ask itself: its own address is in the list that all have.
    Interview::begin(&asked.address.to_string(), asked.transport.directory()).await.unwrap();
}

#[tokio::test]
async fn one_who_asks_is_told_what_is_wrong() {
    let asker = Broker::start(2);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let answering = tokio::spawn(async move {
        let mut puppet = Puppet(listener.accept().await.unwrap().0);
        let _: Hello = puppet.hear().await;
        let refused = "no\n".to_owned() + &"x".repeat(2000);
        puppet.say(&HelloAnswer { hello: None, refused, twin: false }).await;
        let mut puppet = Puppet(listener.accept().await.unwrap().0);
        puppet.say_raw(b"HTTP/1.1 400 Bad Request\r\n").await;
    });
    let error = Interview::begin(&address, asker.transport.directory()).await.unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, GreetError::Refused { .. }) && text.contains("no\\nxxx"), "{text}");
    assert!(text.len() < 600, "{text}");
    let error = Interview::begin(&address, asker.transport.directory()).await.unwrap_err();
    assert!(error.to_string().contains("these are not frames"), "{error}");
    tokio::time::timeout(LONG, answering).await.unwrap().unwrap();
    let error = Interview::begin(&address, asker.transport.directory()).await.unwrap_err();
    assert!(matches!(error, GreetError::Connect { .. }), "{error}");
}
