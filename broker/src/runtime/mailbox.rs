//! What one shard thread, or the peers' thread, leaves for a shard: taken whole, once a pass.
//!
//! Posting never waits, so that two shards cannot wait for each other. What shards leave is bounded by its contents:
//! assignments of partitions that the catalog holds, wake-ups of partitions that exist, and one read for each follower
//! that is behind. What comes from other brokers is counted in bytes: who reads entries off a connection waits for
//! [`Mailbox::room`] after every envelope, and control messages beyond their bound are dropped.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::partition_view::PartitionView;
use super::peers::PeerEvent;
use super::shard::ShardInput;
use crate::limits::{PEER_BACKLOG_BYTES_MAX, PEER_CONTROL_BACKLOG_BYTES_MAX};
use crate::node::ShardMessage;

/// One piece of mail.
#[derive(Debug)]
pub enum Mail {
    /// For the machine.
    Message(ShardMessage),
    /// For the shard: a read that is done.
    Input(ShardInput),
    /// The partition's view has changed: wake who waits for it on this shard.
    Wake(Arc<PartitionView>),
    /// What other brokers sent, and what became of them.
    Peer(PeerEvent),
}

#[derive(Debug, Default)]
struct Held {
    mail: Vec<Mail>,
    /// Of entries and snapshots from peers.
    bytes: usize,
    /// Of everything else from peers.
    control_bytes: usize,
    /// Envelopes that were dropped for want of room.
    dropped: u64,
}

/// What lies at a shard, from other brokers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Of entries and snapshots.
    pub bytes: usize,
    /// Of everything else.
    pub control_bytes: usize,
    /// Envelopes that were ever dropped for want of room.
    pub dropped: u64,
}

/// The mail of one shard.
#[derive(Debug, Default)]
pub struct Mailbox {
    held: Mutex<Held>,
    posted: Notify,
    taken: Notify,
}

impl Mailbox {
    /// Leaves all of `mail`, in order, and empties it. Wakes the shard once.
    pub fn post(&self, mail: &mut Vec<Mail>) {
        if mail.is_empty() {
            return;
        }
        self.held().mail.append(mail);
        self.posted.notify_one();
    }

    /// Leaves what came from a peer and takes `bytes` of memory. Who reads on waits for [`Mailbox::room`] first.
    pub fn post_from_peer(&self, event: PeerEvent, bytes: usize) {
        {
            let mut held = self.held();
            held.bytes += bytes;
            held.mail.push(Mail::Peer(event));
        }
        self.posted.notify_one();
    }

    /// Leaves what came from a peer and must not wait. `false` where too much of it lies here already: it is dropped.
    #[must_use]
    pub fn post_control_from_peer(&self, event: PeerEvent, bytes: usize) -> bool {
        {
            let mut held = self.held();
            if held.control_bytes >= PEER_CONTROL_BACKLOG_BYTES_MAX {
                held.dropped += 1;
                return false;
            }
            held.control_bytes += bytes;
            held.mail.push(Mail::Peer(event));
        }
        self.posted.notify_one();
        true
    }

    /// Takes what is there, in order.
    pub fn take(&self) -> Vec<Mail> {
        let held = {
            let mut held = self.held();
            let dropped = held.dropped;
            std::mem::replace(&mut *held, Held { dropped, ..Held::default() })
        };
        if held.bytes >= PEER_BACKLOG_BYTES_MAX {
            self.taken.notify_waiters();
        }
        held.mail
    }

    /// What lies here of other brokers.
    pub fn backlog(&self) -> Backlog {
        let held = self.held();
        Backlog { bytes: held.bytes, control_bytes: held.control_bytes, dropped: held.dropped }
    }

    /// Waits for mail. Mail posted before the call counts.
    pub async fn posted(&self) {
        self.posted.notified().await;
    }

    /// Waits until less than [`PEER_BACKLOG_BYTES_MAX`] of peers lie here.
    pub async fn room(&self) {
        loop {
            let taken = self.taken.notified();
            tokio::pin!(taken);
            // Before the look: what is taken after it wakes this.
            taken.as_mut().enable();
            if self.held().bytes < PEER_BACKLOG_BYTES_MAX {
                return;
            }
            taken.await;
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::NodeId;

    #[tokio::test]
    async fn a_full_mailbox_has_room_again_when_it_is_emptied() {
        let mailbox = Arc::new(Mailbox::default());
        mailbox.post_from_peer(PeerEvent::Up(NodeId(1)), PEER_BACKLOG_BYTES_MAX - 1);
        mailbox.room().await;
        mailbox.post_from_peer(PeerEvent::Up(NodeId(2)), 1);
        let waiting = {
            let mailbox = Arc::clone(&mailbox);
            tokio::spawn(async move { mailbox.room().await })
        };
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        assert_eq!(mailbox.take().len(), 2);
        waiting.await.unwrap();
    }

    #[test]
    fn control_has_a_bound_of_its_own() {
        let mailbox = Mailbox::default();
        mailbox.post_from_peer(PeerEvent::Up(NodeId(1)), 2 * PEER_BACKLOG_BYTES_MAX);
        assert!(mailbox.post_control_from_peer(PeerEvent::Up(NodeId(2)), PEER_CONTROL_BACKLOG_BYTES_MAX));
        assert!(!mailbox.post_control_from_peer(PeerEvent::Up(NodeId(3)), 1));
        assert_eq!(mailbox.backlog().dropped, 1);
        assert_eq!(mailbox.take().len(), 2);
        assert!(mailbox.post_control_from_peer(PeerEvent::Up(NodeId(3)), 1));
    }
}
