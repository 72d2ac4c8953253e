//! What the broker counts of its own work, for whoever scrapes it.
//!
//! Counting must cost next to nothing: relaxed atomics, one step for a batch, a round, a request; each shard has its own.
//! Sums are made by the one who reads.

pub mod histogram;
pub mod requests;
pub mod traffic;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize};

use super::stalls::Stalls;
use histogram::Histogram;
use requests::{Outcomes, Requests};

/// The counters of a broker.
#[derive(Debug)]
pub struct Meters {
    /// Those of each shard, in order.
    pub shards: Box<[Arc<ShardMeter>]>,
    /// How long the disk took for a round: writes of the meta log, syncs, jobs.
    pub rounds: Histogram,
}

/// The counters of one shard and its connections. On lines of their own: no other shard's steps take them away.
#[derive(Debug)]
#[repr(align(128))]
pub struct ShardMeter {
    /// Requests by method and outcome.
    pub requests: Requests,
    /// Producers' batches by outcome, of requests and of streams.
    pub batches: Outcomes,
    /// From when a batch reached its shard until it was committed.
    pub commits: Histogram,
    /// Connections that are open.
    pub connections: AtomicUsize,
    /// Connections that were ever accepted.
    pub accepted: AtomicU64,
    /// Connections whose socket took nothing for too long.
    pub stuck: AtomicU64,
    /// Responses that are watched.
    pub stalls: Stalls,
    /// Requests and streams that are open.
    pub open_requests: AtomicUsize,
    /// Bytes of messages that are not whole yet.
    pub partial_bytes: AtomicUsize,
}

impl Meters {
    /// All at zero, for so many shards whose services have these methods.
    pub fn new(shards: u32, methods: &'static [&'static str]) -> Meters {
        Meters {
            shards: (0..shards).map(|_| Arc::new(ShardMeter::new(methods))).collect(),
            rounds: Histogram::default(),
        }
    }
}

impl ShardMeter {
    /// All at zero.
    pub fn new(methods: &'static [&'static str]) -> ShardMeter {
        ShardMeter {
            requests: Requests::new(methods),
            batches: Outcomes::default(),
            commits: Histogram::default(),
            connections: AtomicUsize::new(0),
            accepted: AtomicU64::new(0),
            stuck: AtomicU64::new(0),
            stalls: Stalls::default(),
            open_requests: AtomicUsize::new(0),
            partial_bytes: AtomicUsize::new(0),
        }
    }
}
