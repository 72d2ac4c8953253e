//! Brokers with a transport and nothing else: a peer listener in its thread, mailboxes, and sending ends in the test's
//! runtime.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use caudal_proto::peer::{Answer, Me as MeAnswer, Message, Question, answer::Kind};
use tokio::time::timeout;
use uuid::Uuid;

use crate::ids::{NodeId, PartitionId, ShardId, TopicId};
use crate::node::shard_of;
use crate::runtime::clock::Clock;
use crate::runtime::listener;
use crate::runtime::mailbox::{Mail, Mailbox};
use crate::runtime::peers::{
    Answering, Contact, Directory, Me, Membership, PeerEvent, PeerThread, Peers, Questions, Transport,
};

/// Longer than anything takes that happens at all.
pub(super) const LONG: Duration = Duration::from_secs(60);

pub(super) const CLUSTER: Uuid = Uuid::from_u128(0xc);

/// The identity of a node in these tests.
pub(super) fn uuid_of(node: i32) -> Uuid {
    Uuid::from_u128(0x1000 + node.unsigned_abs() as u128)
}

/// One of them, at an address that a test does not use.
pub(super) fn contact(node: i32) -> Contact {
    Contact { uuid: Some(uuid_of(node)), address: format!("127.0.0.1:{node}") }
}

/// A cluster of three as everybody knows it.
pub(super) fn membership(node: i32) -> Membership {
    Membership {
        cluster: Some(CLUSTER),
        node: Some(NodeId(node)),
        nodes: (1..=3).map(|node| (NodeId(node), contact(node))).collect(),
        next_node: NodeId(6),
    }
}

/// Answers every question with its own words.
struct Echo;

impl Questions for Echo {
    fn answer(&self, question: Question) -> Answering<'_> {
        Box::pin(async move {
            let seeds = match question.kind {
                Some(caudal_proto::peer::question::Kind::Who(who)) => who.seeds,
                _ => Vec::new(),
            };
            Answer { kind: Some(Kind::Me(MeAnswer { seeds, ..MeAnswer::default() })) }
        })
    }
}

/// One broker.
pub(super) struct Broker {
    pub(super) address: SocketAddr,
    pub(super) transport: Arc<Transport>,
    pub(super) mailboxes: Arc<[Mailbox]>,
    /// The sending end of the first shard.
    pub(super) peers: Peers,
    seen: Vec<VecDeque<PeerEvent>>,
    thread: PeerThread,
}

impl Broker {
    /// A broker of one shard at a free port.
    pub(super) fn start(node: i32) -> Broker {
        Broker::start_at(node, "127.0.0.1:0".parse().unwrap(), 1)
    }

    pub(super) fn start_at(node: i32, address: SocketAddr, shards: usize) -> Broker {
        let (address, listener) = listener::listen_alone(address).unwrap();
        let me =
            Me { uuid: uuid_of(node), boot: Uuid::new_v4(), peer_address: address.to_string(), level: 1 };
        let mailboxes: Arc<[Mailbox]> = (0..shards).map(|_| Mailbox::default()).collect();
        let transport =
            Arc::new(Transport::new(Arc::new(Directory::new(me)), Arc::clone(&mailboxes), Clock::start()));
        transport.set_membership(membership(node));
        let thread = PeerThread::start(listener, Arc::clone(&transport), Arc::new(Echo)).unwrap();
        let peers = Peers::new(ShardId(0), Arc::clone(&transport));
        Broker { address, transport, mailboxes, peers, seen: vec![VecDeque::new(); shards], thread }
    }

    /// Begins to connect to other brokers.
    pub(super) fn connect(&mut self, others: &[(i32, SocketAddr)]) {
        let addresses: BTreeMap<_, _> =
            others.iter().map(|(node, address)| (NodeId(*node), address.to_string())).collect();
        self.peers.set_addresses(&addresses);
    }

    /// Waits until something that a shard is told is what is looked for; what came before it is passed over.
    pub(super) async fn until<T>(&mut self, shard: usize, want: impl Fn(&PeerEvent) -> Option<T>) -> T {
        let looking = async {
            loop {
                while let Some(event) = self.seen[shard].pop_front() {
                    if let Some(found) = want(&event) {
                        return found;
                    }
                }
                self.mailboxes[shard].posted().await;
                let mail = self.mailboxes[shard].take();
                self.seen[shard].extend(mail.into_iter().filter_map(|mail| match mail {
                    Mail::Peer(event) => Some(event),
                    Mail::Message(_) | Mail::Input(_) | Mail::Wake(_) => None,
                }));
            }
        };
        timeout(LONG, looking).await.expect("it was never told")
    }

    pub(super) async fn until_event(&mut self, shard: usize, want: &PeerEvent) {
        self.until(shard, |event| (event == want).then_some(())).await;
    }

    /// The next messages of a broker, at a shard.
    pub(super) async fn messages(&mut self, shard: usize, of: i32) -> Vec<Message> {
        self.until(shard, |event| match event {
            PeerEvent::Messages { from, messages } if *from == NodeId(of) => Some(messages.clone()),
            _ => None,
        })
        .await
    }

    /// Everything that a shard was told so far and nobody looked at.
    pub(super) fn seen(&mut self, shard: usize) -> Vec<PeerEvent> {
        let mail = self.mailboxes[shard].take().into_iter();
        let mail = mail.filter_map(|mail| if let Mail::Peer(event) = mail { Some(event) } else { None });
        self.seen[shard].drain(..).chain(mail).collect()
    }

    /// Sends messages again and again until some arrive at another broker: the first ones may find no connection.
    pub(super) async fn send_until_heard(
        &mut self,
        other: &mut Broker,
        (me, to): (i32, i32),
        message: &Message,
    ) {
        let class = caudal_proto::peer::Class::Control;
        loop {
            self.peers.send(NodeId(to), class, message.clone());
            self.peers.flush();
            if timeout(Duration::from_millis(50), other.messages(0, me)).await.is_ok() {
                return;
            }
        }
    }

    /// Ends as a process does that is killed: everything is closed.
    pub(super) async fn kill(self) -> SocketAddr {
        drop(self.peers);
        // The tasks of its connections see that.
        tokio::task::yield_now().await;
        tokio::task::spawn_blocking(|| self.thread.stop().unwrap()).await.unwrap();
        self.address
    }
}

/// A message of a partition, with a number to know it by.
pub(super) fn message(partition: PartitionId, number: u64) -> Message {
    Message {
        topic_id: bytes::Bytes::copy_from_slice(partition.topic.as_bytes()),
        partition: partition.partition,
        from: 10,
        to: 20,
        index: number,
        ..Message::default()
    }
}

/// A partition that lives on a shard.
pub(super) fn partition_on(shard: u32, shards: u32) -> PartitionId {
    let topic = TopicId(Uuid::from_u128(7));
    (0..)
        .map(|partition| PartitionId { topic, partition })
        .find(|id| shard_of(*id, shards) == ShardId(shard))
        .unwrap()
}

/// The numbers of messages.
pub(super) fn numbers(messages: &[Message]) -> Vec<u64> {
    messages.iter().map(|message| message.index).collect()
}
