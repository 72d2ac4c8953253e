//! What one shard thread leaves for another: taken whole, once a pass.
//!
//! Posting never waits, so that two shards cannot wait for each other. What lies in a mailbox is bounded by its
//! contents: assignments of partitions that the catalog holds, wake-ups of partitions that exist, and one read for each follower that is behind.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use super::partition_view::PartitionView;
use super::shard::ShardInput;
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
}

/// The mail of one shard.
#[derive(Debug, Default)]
pub struct Mailbox {
    mail: Mutex<Vec<Mail>>,
    posted: Notify,
}

impl Mailbox {
    /// Leaves all of `mail`, in order, and empties it. Wakes the shard once.
    pub fn post(&self, mail: &mut Vec<Mail>) {
        if mail.is_empty() {
            return;
        }
        self.mail.lock().unwrap_or_else(PoisonError::into_inner).append(mail);
        self.posted.notify_one();
    }

    /// Takes what is there, in order.
    pub fn take(&self) -> Vec<Mail> {
        std::mem::take(&mut *self.mail.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits for mail. Mail posted before the call counts.
    pub async fn posted(&self) {
        self.posted.notified().await;
    }
}
