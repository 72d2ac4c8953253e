//! Who is up and who is down: every change once, to every shard.

use std::sync::Arc;

use caudal_proto::peer::{Class, Envelope};
use tokio::net::TcpListener;
use uuid::Uuid;

use super::puppet::{Puppet, hello};
use super::rig::Broker;
use crate::ids::NodeId;
use crate::limits::{PEER_CHECK_MS, PEER_SILENCE_MS, PEER_TWIN_MS};
use crate::runtime::mailbox::{Mail, Mailbox};
use crate::runtime::peers::PeerEvent::{self, Down, Up};
use crate::runtime::peers::liveness::Liveness;

const NODE: NodeId = NodeId(2);
const FIRST: Uuid = Uuid::from_u128(1);
const SECOND: Uuid = Uuid::from_u128(2);

/// A table, a time, and what two shards are told.
struct Watch {
    liveness: Arc<Liveness>,
    mailboxes: Arc<[Mailbox]>,
    now: u64,
}

impl Watch {
    fn new() -> Watch {
        let mailboxes: Arc<[Mailbox]> = (0..2).map(|_| Mailbox::default()).collect();
        let watch = Watch { liveness: Arc::new(Liveness::new(Arc::clone(&mailboxes))), mailboxes, now: 1000 };
        watch.liveness.expect(NODE, watch.now);
        watch.liveness.check(watch.now);
        watch
    }

    /// Time goes on, and is looked at as often as it should be.
    fn pass(&mut self, ms: u64) {
        let end = self.now + ms;
        while self.now < end {
            self.now = end.min(self.now + PEER_CHECK_MS);
            self.liveness.check(self.now);
        }
    }

    fn enter(&self, boot: Uuid, class: Class) -> Option<crate::runtime::peers::liveness::Stream> {
        self.liveness.enter(NODE, boot, class, "127.0.0.1:1", self.now).ok()
    }

    fn hear(&self, boot: Uuid) -> bool {
        self.liveness.heard(NODE, boot, self.now)
    }

    /// What both shards were told since the last look.
    fn told(&self) -> Vec<PeerEvent> {
        let told = self.mailboxes.iter().map(|mailbox| {
            let mail = mailbox.take().into_iter();
            mail.filter_map(|mail| if let Mail::Peer(event) = mail { Some(event) } else { None }).collect()
        });
        let told: Vec<Vec<PeerEvent>> = told.collect();
        assert_eq!(told[0], told[1]);
        told[0].clone()
    }
}

#[test]
fn silence_is_told_once_and_so_is_its_end() {
    let mut watch = Watch::new();
    let _stream = watch.enter(FIRST, Class::Control);
    for _ in 0..3 {
        assert!(watch.hear(FIRST));
        watch.pass(PEER_SILENCE_MS);
    }
    assert_eq!(watch.told(), [Up(NODE)]);
    watch.pass(10 * PEER_SILENCE_MS);
    assert_eq!(watch.told(), [Down(NODE)]);
    watch.hear(FIRST);
    watch.hear(FIRST);
    assert_eq!(watch.told(), [Up(NODE)]);
}

#[test]
fn one_that_was_never_heard_is_down_after_a_while() {
    let mut watch = Watch::new();
    watch.pass(PEER_SILENCE_MS);
    assert_eq!(watch.told(), []);
    watch.pass(PEER_SILENCE_MS);
    assert_eq!(watch.told(), [Down(NODE)]);
}

#[test]
fn who_slept_himself_gives_the_others_their_time() {
    let mut watch = Watch::new();
    let _stream = watch.enter(FIRST, Class::Control);
    watch.hear(FIRST);
    watch.now += 100 * PEER_SILENCE_MS;
    watch.liveness.check(watch.now);
    watch.pass(PEER_SILENCE_MS);
    assert_eq!(watch.told(), [Up(NODE)]);
    watch.pass(PEER_SILENCE_MS);
    assert_eq!(watch.told(), [Down(NODE)]);
}

#[test]
fn the_end_of_the_last_control_stream_is_the_end_of_the_process() {
    let watch = Watch::new();
    let (to, from) = (watch.enter(FIRST, Class::Control), watch.enter(FIRST, Class::Control));
    let appends = watch.enter(FIRST, Class::Appends);
    watch.hear(FIRST);
    drop(appends);
    drop(to);
    assert_eq!(watch.told(), [Up(NODE)]);
    drop(from);
    watch.liveness.refused(NODE);
    assert_eq!(watch.told(), [Down(NODE)]);
}

#[test]
fn a_refused_connection_counts_where_there_is_no_stream() {
    let watch = Watch::new();
    let stream = watch.enter(FIRST, Class::Control);
    watch.hear(FIRST);
    watch.liveness.refused(NODE);
    assert_eq!(watch.told(), [Up(NODE)]);
    drop(stream);
    assert_eq!(watch.told(), [Down(NODE)]);
    let other = Watch::new();
    other.liveness.refused(NODE);
    assert_eq!(other.told(), [Down(NODE)]);
}

#[test]
fn the_streams_of_an_old_process_say_nothing_of_the_new_one() {
    let mut watch = Watch::new();
    let old = watch.enter(FIRST, Class::Control);
    watch.hear(FIRST);
    watch.pass(PEER_TWIN_MS - 1);
    assert!(watch.enter(SECOND, Class::Control).is_none());
    watch.pass(1);
    // The old one was not heard for long: its machine was cut off.
    let new = watch.enter(SECOND, Class::Control);
    assert!(new.is_some());
    assert!(!watch.hear(FIRST) && watch.hear(SECOND));
    assert_eq!(watch.told(), [Up(NODE), Down(NODE), Up(NODE)]);
    drop(old);
    assert_eq!(watch.told(), []);
    drop(new);
    assert_eq!(watch.told(), [Down(NODE)]);
}

#[test]
fn a_process_that_has_ended_makes_room_for_the_next_at_once() {
    let watch = Watch::new();
    let old = watch.enter(FIRST, Class::Control);
    watch.hear(FIRST);
    assert!(watch.enter(SECOND, Class::Bulk).is_none());
    drop(old);
    assert!(watch.enter(SECOND, Class::Bulk).is_some());
}

#[test]
fn who_is_no_member_any_more_is_down_and_forgotten() {
    let mut watch = Watch::new();
    let stream = watch.enter(FIRST, Class::Control);
    watch.hear(FIRST);
    watch.liveness.retain(|node| node != NODE);
    assert!(!watch.hear(FIRST));
    drop(stream);
    watch.pass(2 * PEER_SILENCE_MS);
    assert_eq!(watch.told(), [Up(NODE), Down(NODE)]);
}

#[tokio::test]
async fn a_connection_that_ends_and_one_that_is_silent_are_noticed_by_every_shard() {
    let mut broker = Broker::start_at(1, "127.0.0.1:0".parse().unwrap(), 2);
    for keep in [false, true] {
        let mut puppet = Puppet::admitted(broker.address, &hello(2, 1, Class::Control)).await;
        puppet.say(&Envelope::default()).await;
        for shard in 0..2 {
            broker.until_event(shard, &Up(NODE)).await;
        }
        let silent = keep.then_some(puppet);
        for shard in 0..2 {
            broker.until_event(shard, &Down(NODE)).await;
        }
        if let Some(mut silent) = silent {
            silent.say(&Envelope::default()).await;
            broker.until_event(0, &Up(NODE)).await;
        }
    }
}

#[tokio::test]
async fn a_broker_that_has_nothing_to_say_says_that_it_lives() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut broker = Broker::start(1);
    broker.connect(&[(2, listener.local_addr().unwrap())]);
    loop {
        let (mut puppet, class) = Puppet::answer(&listener, &hello(2, 1, Class::Unspecified)).await;
        if class == Class::Control {
            for _ in 0..5 {
                assert_eq!(puppet.hear::<Envelope>().await, Envelope::default());
            }
            return;
        }
    }
}
