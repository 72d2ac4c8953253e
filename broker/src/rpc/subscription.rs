//! One partition of a fetch stream: where it stands, and whether it waits, is paused, or has its turn.

use std::sync::Arc;

use caudal_proto::v1;

use crate::ids::Offset;
use crate::runtime::partition_view::{PartitionView, Watch};

/// One subscription.
#[derive(Debug)]
pub struct Subscription {
    /// The partition.
    pub view: Arc<PartitionView>,
    /// The epoch the client believes in.
    pub epoch: Option<i32>,
    /// The offset that is read next.
    pub next: Offset,
    /// Of the last seek.
    pub generation: u32,
    /// Nothing is sent until the client resumes.
    pub paused: bool,
    /// In the queue of turns, or being read.
    pub queued: bool,
    /// Waiting for the partition to change.
    pub watch: Option<Watch>,
}

impl Subscription {
    /// A subscription that has not had a turn.
    pub fn new(view: Arc<PartitionView>, next: Offset, epoch: Option<i32>) -> Subscription {
        Subscription { view, epoch, next, generation: 0, paused: false, queued: false, watch: None }
    }

    /// Where it and its partition stand, for a heartbeat.
    pub fn tail(&self, subscription: u32) -> v1::FetchTail {
        v1::FetchTail {
            subscription,
            high_watermark: self.view.high_watermark().0,
            log_start: self.view.log_start().0,
            next_offset: self.next.0,
        }
    }

    /// Batches read from it; it stands behind them then.
    pub fn batches(
        &mut self,
        subscription: u32,
        batches: Vec<bytes::Bytes>,
        next: Offset,
    ) -> v1::FetchBatches {
        self.next = next;
        let high_watermark = self.view.high_watermark().0;
        v1::FetchBatches {
            subscription,
            generation: self.generation,
            high_watermark,
            last_stable_offset: high_watermark,
            log_start: self.view.log_start().0,
            batches,
            next_offset: next.0,
        }
    }
}
