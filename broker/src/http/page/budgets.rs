//! Memory against each of its budgets (`limits.rs`), and queues against their bounds.

use std::fmt;

use caudal_proto::peer::Class;

use super::{Relaxed, Sums, Writer, f, labelled};
use crate::http::shown::Inside;
use crate::limits;
use crate::node::Census;
use crate::runtime::meters::Meters;

pub(super) fn write(
    inside: &Inside,
    meters: &Meters,
    censuses: &[Census],
    writer: &mut Writer<'_>,
) -> fmt::Result {
    let (mut used, mut limit) = (Sums::new(), Sums::new());
    let mut budget = |name, bytes: usize, max: usize, times: usize| {
        used.insert(name, bytes as f64);
        limit.insert(name, max as f64 * times as f64);
    };
    let shards = meters.shards.len();
    let uncommitted: u64 = censuses.iter().map(|census| census.uncommitted_bytes).sum();
    budget("uncommitted", uncommitted as usize, limits::SHARD_UNCOMMITTED_BYTES_MAX as usize, shards);
    let partial = meters.shards.iter().map(|shard| shard.partial_bytes.load(Relaxed)).sum();
    budget("incomplete_requests", partial, limits::INCOMPLETE_BYTES_MAX, shards);
    let outstanding = meters.shards.iter().map(|shard| shard.stalls.outstanding_bytes()).sum();
    let connections = meters.shards.iter().map(|shard| shard.connections.load(Relaxed)).sum();
    budget("responses", outstanding, limits::RESPONSE_BYTES_MAX, connections);
    let backlogs: Vec<_> = inside.mailboxes.iter().map(|mailbox| mailbox.backlog()).collect();
    let lying = backlogs.iter().map(|backlog| backlog.bytes).sum();
    budget("peer_backlog", lying, limits::PEER_BACKLOG_BYTES_MAX, shards);
    let lying = backlogs.iter().map(|backlog| backlog.control_bytes).sum();
    budget("peer_control_backlog", lying, limits::PEER_CONTROL_BACKLOG_BYTES_MAX, shards);
    let queues = inside.transport.queues();
    let (mut control, mut bulk) = ((0, 0), (0, 0));
    for (class, reading) in queues.iter().flat_map(|peer| &peer.classes) {
        let sum = if matches!(class, Class::Appends | Class::Bulk) { &mut bulk } else { &mut control };
        *sum = (sum.0 + reading.bytes, sum.1 + reading.links);
    }
    budget("peer_queues", bulk.0, limits::PEER_QUEUE_BYTES_MAX, bulk.1);
    budget("peer_control_queues", control.0, limits::PEER_CONTROL_QUEUE_BYTES_MAX, control.1);
    labelled(writer, &f::MEMORY, "budget", &used)?;
    labelled(writer, &f::MEMORY_LIMIT, "budget", &limit)?;
    let calls: usize = inside.handle.waiting().sum();
    let waiting = Sums::from([("calls", calls as f64), ("reads", inside.readers.waiting() as f64)]);
    let most = Sums::from([
        ("calls", (shards * limits::SHARD_INBOX_MAX) as f64),
        ("reads", limits::READS_WAITING_MAX as f64),
    ]);
    labelled(writer, &f::QUEUE, "queue", &waiting)?;
    labelled(writer, &f::QUEUE_LIMIT, "queue", &most)?;
    writer.one(&f::PRODUCERS, censuses.iter().map(|census| census.producers).sum::<u64>() as f64)
}
