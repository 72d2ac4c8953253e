//! Between the brokers of a cluster: messages of Raft groups, and who lives.
//!
//! ```text
//!   shard 0 ── Peers ─┬─ control ─▶ ┐                     ┌─▶ mailbox of shard 0
//!                     ├─ appends ─▶ ├─▶ peer listener of ─┤
//!                     └─ bulk ────▶ │   another broker:   └─▶ mailbox of shard 1
//!   shard 1 ── Peers ─── … ───────▶ ┘   one thread
//! ```
//!
//! A connection carries envelopes one way. Every shard has one to each broker for each class, so that a heartbeat never
//! waits behind entries; all that one pass of a shard has for a broker travels in one envelope.
//!
//! # Invariants
//! * Sending never waits. What cannot be queued, and what a broken connection leaves behind, is reported as dropped.
//! * Messages of one connection are delivered in their order.
//! * Memory is bounded: queues, frames, what a frame may become when it is decoded, what lies at a shard.
//! * Control is read even where entries wait for a shard.
//! * Nobody is believed who is not a member of the cluster with its identity, and of two processes with one identity
//!   only one.

mod directory;
mod envelope;
mod event;
mod frame;
mod hello;
mod incoming;
mod link;
mod liveness;
mod questions;
mod queues;
mod reading;
mod socket;
mod trouble;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use caudal_proto::peer::{Class, Envelope, Message, PartitionStatus};

use super::clock::Clock;
use super::mailbox::{Mail, Mailbox};
use crate::ids::{NodeId, ShardId};
use envelope::{CLASSES, place};
use link::{Link, Route};
use liveness::Liveness;
use queues::Queues;
use trouble::Troubles;

pub use directory::{Contact, Directory, Me, Membership};
pub use event::{PeerEvent, Undelivered};
pub use hello::{GreetError, PROTOCOL};
pub use incoming::PeerThread;
pub use questions::{Answering, Interview, Questions};
pub use queues::{PeerQueues, QueueReading};

/// What the shards of a broker, and its peer listener, share.
#[derive(Debug)]
pub struct Transport {
    directory: Arc<Directory>,
    liveness: Arc<Liveness>,
    troubles: Troubles,
    queues: Queues,
    mailboxes: Arc<[Mailbox]>,
    clock: Clock,
}

impl Transport {
    /// Nobody is connected yet. `mailboxes` are those of all shards, in order.
    pub fn new(directory: Arc<Directory>, mailboxes: Arc<[Mailbox]>, clock: Clock) -> Transport {
        let liveness = Arc::new(Liveness::new(Arc::clone(&mailboxes)));
        Transport {
            directory,
            liveness,
            troubles: Troubles::default(),
            queues: Queues::default(),
            mailboxes,
            clock,
        }
    }

    /// Who is known.
    pub fn directory(&self) -> &Arc<Directory> {
        &self.directory
    }

    /// The cluster as it is from here on; for one thread at a time. Every shard is told the addresses if they have
    /// changed. Connections of brokers that are no members any more end with their next envelope.
    pub fn set_membership(&self, membership: Membership) {
        let (before, after) = self.directory.set(membership);
        if before != after {
            self.liveness.retain(|node| after.nodes.contains_key(&node));
            self.tell_addresses(&before, &after);
        }
    }

    /// The brokers of the cluster as they are from here on; see [`Transport::set_membership`].
    pub fn set_nodes(&self, nodes: BTreeMap<NodeId, Contact>, next_node: NodeId) {
        let known = self.directory.membership();
        self.set_membership(Membership { cluster: known.cluster, node: known.node, nodes, next_node });
    }

    /// A broker that is not known here says who it is; `false` where there are too many of them.
    fn introduce(&self, node: NodeId, contact: Contact) -> bool {
        let introduced = self.directory.introduce(node, contact);
        if let Some((before, after)) = &introduced {
            self.tell_addresses(before, after);
        }
        introduced.is_some()
    }

    fn tell_addresses(&self, before: &Membership, after: &Membership) {
        let addresses = after.addresses();
        if addresses != before.addresses() {
            let addresses = Arc::new(addresses);
            for mailbox in self.mailboxes.iter() {
                mailbox.post(&mut vec![Mail::Peer(PeerEvent::Addresses(Arc::clone(&addresses)))]);
            }
        }
    }

    fn now_ms(&self) -> u64 {
        self.clock.now().mono_ms
    }

    /// What waits for each broker, and what did not leave.
    pub fn queues(&self) -> Vec<PeerQueues> {
        self.queues.read()
    }

    /// Tells a shard what did not leave.
    fn report(&self, shard: ShardId, to: NodeId, messages: Vec<Undelivered>) {
        if !messages.is_empty() {
            self.queues.dropped(to, messages.len() as u64);
            let dropped = PeerEvent::Dropped { to, messages };
            self.mailboxes[shard.0 as usize].post(&mut vec![Mail::Peer(dropped)]);
        }
    }
}

/// What one shard has for one broker.
#[derive(Debug)]
struct Outgoing {
    address: String,
    links: [Link; CLASSES.len()],
    gathered: [Vec<Message>; CLASSES.len()],
}

/// The sending end of one shard. It belongs to the shard's runtime.
#[derive(Debug)]
pub struct Peers {
    shard: ShardId,
    transport: Arc<Transport>,
    outgoing: BTreeMap<NodeId, Outgoing>,
    statuses: Vec<PartitionStatus>,
    /// Messages for brokers without an address.
    nowhere: BTreeMap<NodeId, Vec<Undelivered>>,
    gathered: bool,
}

impl Peers {
    /// A shard that knows no other broker.
    pub fn new(shard: ShardId, transport: Arc<Transport>) -> Peers {
        Peers {
            shard,
            transport,
            outgoing: BTreeMap::new(),
            statuses: Vec::new(),
            nowhere: BTreeMap::new(),
            gathered: false,
        }
    }

    /// The brokers of the cluster, each with the HOST:PORT of its peer listener. Connections to others end, those to
    /// new ones begin; this broker itself is passed over. Must be called within the shard's runtime.
    ///
    /// A broker is connected to once [`Transport::set_membership`] knows it.
    pub fn set_addresses(&mut self, addresses: &BTreeMap<NodeId, String>) {
        let myself = self.transport.directory.membership().node;
        self.outgoing.retain(|node, known| {
            Some(*node) != myself && addresses.get(node).is_some_and(|address| *address == known.address)
        });
        for (node, address) in addresses {
            if Some(*node) == myself || self.outgoing.contains_key(node) {
                continue;
            }
            self.transport.liveness.expect(*node, self.transport.now_ms());
            let links = CLASSES.map(|class| {
                let route = Route { shard: self.shard, to: *node, address: address.clone(), class };
                Link::open(route, Arc::clone(&self.transport))
            });
            let outgoing = Outgoing { address: address.clone(), links, gathered: Default::default() };
            self.outgoing.insert(*node, outgoing);
        }
    }

    /// Gathers a message. It leaves with the next [`Peers::flush`], after those gathered before it for the same broker
    /// and class.
    pub fn send(&mut self, to: NodeId, class: Class, message: Message) {
        self.gathered = true;
        match self.outgoing.get_mut(&to) {
            Some(outgoing) => outgoing.gathered[place(class)].push(message),
            None => self.nowhere.entry(to).or_default().extend(Undelivered::of(&message)),
        }
    }

    /// Gathers what this shard's leaders say of their partitions, for every broker. What does not leave is not
    /// reported.
    pub fn statuses(&mut self, statuses: Vec<PartitionStatus>) {
        self.gathered |= !statuses.is_empty();
        self.statuses.extend(statuses);
    }

    /// Hands what was gathered to the connections. Never waits.
    pub fn flush(&mut self) {
        if !std::mem::take(&mut self.gathered) {
            return;
        }
        let mut lost = std::mem::take(&mut self.nowhere);
        for (node, outgoing) in &mut self.outgoing {
            for class in CLASSES {
                let messages = std::mem::take(&mut outgoing.gathered[place(class)]);
                let statuses = if class == Class::Control { &self.statuses[..] } else { &[] };
                for (envelope, bytes) in envelope::pack(messages, statuses) {
                    if let Err(Envelope { messages, .. }) = outgoing.links[place(class)].push(envelope, bytes)
                    {
                        let lost = lost.entry(*node).or_default();
                        lost.extend(messages.iter().filter_map(Undelivered::of));
                    }
                }
            }
        }
        self.statuses.clear();
        for (node, messages) in lost {
            self.transport.report(self.shard, node, messages);
        }
    }
}
