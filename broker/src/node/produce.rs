//! Records in, records out of the way: produce, trim, retention.

use bytes::Bytes;
use caudal_proto::batch::Header;

use super::event::{Acks, Batch, Now, Output, Ticket};
use super::partition::{Life, Live, located};
use super::reply::{Receipt, Reply};
use super::seats::Seats;
use super::waiters::{Awaited, Place};
use super::{Node, Partition};
use crate::consensus::Proposal;
use crate::ids::{Offset, PartitionId};
use crate::limits::{PARTITION_UNCOMMITTED_BYTES_MAX, TIMESTAMP_AHEAD_MS_MAX};
use crate::log::retention::{self, RetentionConfig};
use crate::log::{Entry, FRAME_HEADER_BYTES, Kind, SegmentFacts};
use crate::refusal::Refusal;
use crate::state::{Durability, ProducerFrame, Verdict};

impl Node {
    pub(super) fn produce(
        &mut self,
        now: Now,
        ticket: Ticket,
        id: PartitionId,
        batch: Batch,
        acks: Acks,
        room: bool,
    ) {
        match self.take_batch(now, ticket, id, batch, acks, room) {
            Ok(None) => {
                self.dirty.insert(id);
            }
            Ok(Some(receipt)) => {
                self.outputs.push_back(Output::Reply { ticket, reply: Reply::Produced(Ok(receipt)) });
            }
            Err(refusal) => {
                self.outputs.push_back(Output::Reply { ticket, reply: Reply::Produced(Err(refusal)) })
            }
        }
    }

    /// Takes a batch and notes who waits for it, or says at once where a repeated one is.
    fn take_batch(
        &mut self,
        now: Now,
        ticket: Ticket,
        id: PartitionId,
        batch: Batch,
        acks: Acks,
        room: bool,
    ) -> Result<Option<Receipt>, Refusal> {
        let bytes = (batch.bytes.len() + FRAME_HEADER_BYTES) as u64;
        let repeated = self.judge_batch(now, id, &batch)?;
        let Some(Partition { life: Life::Live(live), seats, config, .. }) = self.partitions.get_mut(&id)
        else {
            return Err(Refusal::LeaderNotReady);
        };
        let replicas = &seats.nodes;
        if let Some(place) = repeated {
            if place.index > live.replica.commit() {
                // It waits for what its first copy waits for: behind later batches its answer would come too late for
                // them to be remembered.
                match (acks, config.durability) {
                    (Acks::All, Durability::Memory) => live.waiters.await_majority(ticket, place),
                    _ => live.waiters.await_commit(ticket, place.index, Awaited::Batch(place)),
                }
                return Ok(None);
            }
            let (voters, synced) = live.replica.synced_at(place.index);
            let (voters, synced) = (located(&voters, replicas), located(&synced, replicas));
            return Ok(Some(place.receipt(voters, synced, Vec::new())));
        }
        if !room {
            live.lacks_room = true;
            return Err(Refusal::DiskFull { bytes });
        }
        let header = batch.header;
        let proposal = Proposal {
            kind: Kind::Batch,
            count: header.count as u32,
            max_timestamp: header.max_timestamp,
            payload: batch.bytes,
        };
        let entry = live.replica.propose(proposal, now.wall_ms).ok_or_else(|| not_leader(live, seats))?;
        live.proposed(entry.index, bytes);
        let frame = producer_frame(&entry, &header);
        let place = place_of(id, &frame);
        if header.has_producer() {
            live.producers.append(frame);
        }
        match (acks, config.durability) {
            (Acks::Leader | Acks::None, _) => live.waiters.await_write(ticket, place),
            (Acks::All, Durability::Memory) => live.waiters.await_majority(ticket, place),
            (Acks::All, Durability::Synced) => {
                live.waiters.await_commit(ticket, entry.index, Awaited::Batch(place));
            }
        }
        self.uncommitted_bytes += bytes;
        Ok(None)
    }

    /// Everything that may stand against a batch but for the room on the disk; `Some` where it is written already.
    fn judge_batch(&self, now: Now, id: PartitionId, batch: &Batch) -> Result<Option<Place>, Refusal> {
        let bytes = (batch.bytes.len() + FRAME_HEADER_BYTES) as u64;
        let (partition, live) = self.writable(id)?;
        check_batch(now, partition, batch)?;
        if let Some(place) = repeated(live, id, &batch.header)? {
            return Ok(Some(place));
        }
        if self.stopping {
            return Err(Refusal::ShuttingDown);
        }
        if self.over_budget(bytes) {
            return Err(Refusal::Throttled { limit: "the shard's budget for uncommitted bytes" });
        }
        if live.uncommitted_bytes + bytes > PARTITION_UNCOMMITTED_BYTES_MAX {
            return Err(Refusal::Throttled { limit: "the partition's budget for uncommitted bytes" });
        }
        Ok(None)
    }

    /// Whether this batch will be written if there is room for it. Room is taken for no other: what is refused, or was
    /// written before, must not let a segment grow.
    pub fn needs_room(&self, now: Now, id: PartitionId, batch: &Batch) -> bool {
        matches!(self.judge_batch(now, id, batch), Ok(None))
    }

    /// A partition whose log this shard may add to.
    pub(super) fn writable(&self, id: PartitionId) -> Result<(&Partition, &Live), Refusal> {
        let partition = self.partitions.get(&id).ok_or_else(|| Refusal::UnknownPartition {
            topic: id.topic.to_string(),
            partition: id.partition,
        })?;
        match &partition.life {
            Life::Opening => Err(Refusal::LeaderNotReady),
            Life::Closed { why } => Err(Refusal::PartitionClosed { why: why.to_string() }),
            Life::Live(live) if !live.replica.is_leader() => Err(not_leader(live, &partition.seats)),
            Life::Live(live) if !live.replica.is_ready_leader() => Err(Refusal::LeaderNotReady),
            // Offsets that are lost are left out first.
            Life::Live(live)
                if partition.seats.heir.is_some_and(|heir| live.lost_from(heir.resume_at).is_some()) =>
            {
                Err(Refusal::LeaderNotReady)
            }
            Life::Live(live) => Ok((partition, live)),
        }
    }

    /// Moves the log start, or says what moving it would do. `None` when the answer comes with the commit.
    pub(super) fn trim(
        &mut self,
        now: Now,
        ticket: Ticket,
        id: PartitionId,
        before: Offset,
        validate_only: bool,
        room: bool,
    ) -> Result<Option<(Offset, Offset)>, Refusal> {
        let (from, to) = self.judge_trim(id, before)?;
        if validate_only || to == from {
            return Ok(Some((from, to)));
        }
        if self.stopping {
            return Err(Refusal::ShuttingDown);
        }
        if !room {
            return Err(Refusal::DiskFull { bytes: (FRAME_HEADER_BYTES + 8) as u64 });
        }
        let index = self.propose_log_start(now, id, to).ok_or(Refusal::LeaderNotReady)?;
        self.with_live(id, |live, _, _| {
            live.waiters.await_commit(ticket, index, Awaited::Trim { before: from, after: to });
        });
        Ok(None)
    }

    /// Where a trim moves the log start from and to.
    fn judge_trim(&self, id: PartitionId, before: Offset) -> Result<(Offset, Offset), Refusal> {
        let (_, live) = self.writable(id)?;
        let (log_start, end) = (live.log_start, live.replica.offset_after(live.replica.commit()));
        if before > end || before.0 < 0 {
            return Err(Refusal::OffsetOutOfRange { offset: before, log_start, high_watermark: end });
        }
        Ok((log_start, log_start.max(before)))
    }

    /// Whether this trim will be written if there is room for it.
    pub fn trim_needs_room(&self, id: PartitionId, before: Offset, validate_only: bool) -> bool {
        let moves = self.judge_trim(id, before).is_ok_and(|(from, to)| from != to);
        moves && !validate_only && !self.stopping
    }

    /// Moves the log start as the topic's retention says.
    pub(super) fn retain(&mut self, now: Now, id: PartitionId, segments: &[SegmentFacts], room: bool) {
        if self.stopping || !room {
            return;
        }
        let Ok((partition, live)) = self.writable(id) else { return };
        let config = RetentionConfig {
            retention_ms: partition.config.retention_ms.unwrap_or(-1),
            retention_bytes: partition.config.retention_bytes.map_or(-1, |bytes| bytes as i64),
        };
        let end = live.replica.offset_after(live.replica.commit());
        let from = live.log_start.max(live.log_start_on_its_way.unwrap_or_default());
        if let Some(log_start) = retention::log_start(segments, config, from, end, now.wall_ms) {
            self.propose_log_start(now, id, log_start);
        }
    }

    fn propose_log_start(&mut self, now: Now, id: PartitionId, to: Offset) -> Option<crate::ids::Index> {
        let Some(Partition { life: Life::Live(live), .. }) = self.partitions.get_mut(&id) else {
            return None;
        };
        let payload = Bytes::copy_from_slice(&to.0.to_le_bytes());
        let bytes = (payload.len() + FRAME_HEADER_BYTES) as u64;
        let proposal = Proposal { kind: Kind::SetLogStart, count: 0, max_timestamp: -1, payload };
        let entry = live.replica.propose(proposal, now.wall_ms)?;
        live.proposed(entry.index, bytes);
        live.log_start_on_its_way = Some(to);
        self.uncommitted_bytes += bytes;
        self.dirty.insert(id);
        Some(entry.index)
    }
}

/// Where a batch is that its producer sends again; `None` for one that comes next, or has no producer.
fn repeated(live: &Live, id: PartitionId, header: &Header) -> Result<Option<Place>, Refusal> {
    if !header.has_producer() {
        return Ok(None);
    }
    let count = header.count as u32;
    match live.producers.check(header.producer_id, header.producer_epoch, header.base_sequence, count) {
        Verdict::Accept => Ok(None),
        Verdict::Refuse(refusal) => Err(refusal),
        Verdict::DuplicatePending(frame) => Ok(Some(Place { duplicate: true, ..place_of(id, &frame) })),
        Verdict::DuplicateCommitted { index, term, base_offset, append_time } => {
            Ok(Some(Place { partition: id, index, term, base_offset, count, append_time, duplicate: true }))
        }
    }
}

fn check_batch(now: Now, partition: &Partition, batch: &Batch) -> Result<(), Refusal> {
    let size = batch.bytes.len() as u64;
    let limit = partition.config.max_message_bytes as u64;
    if size > limit {
        return Err(Refusal::MessageTooLarge { topic: partition.topic.to_string(), size, limit });
    }
    if batch.header.is_control() || batch.header.is_transactional() {
        return Err(Refusal::TransactionsUnsupported);
    }
    let timestamp_ms = batch.header.max_timestamp;
    if timestamp_ms > now.wall_ms.saturating_add(TIMESTAMP_AHEAD_MS_MAX) {
        return Err(Refusal::InvalidTimestamp { timestamp_ms, now_ms: now.wall_ms });
    }
    Ok(())
}

fn place_of(partition: PartitionId, frame: &ProducerFrame) -> Place {
    Place {
        partition,
        index: frame.index,
        term: frame.term,
        base_offset: frame.base_offset,
        count: frame.count,
        append_time: frame.append_time,
        duplicate: false,
    }
}

/// What the producer table notes of a batch's entry.
pub(super) fn producer_frame(entry: &Entry, header: &Header) -> ProducerFrame {
    ProducerFrame {
        index: entry.index,
        term: entry.term,
        base_offset: entry.base_offset,
        count: entry.count,
        append_time: entry.append_time,
        producer_id: header.producer_id,
        epoch: header.producer_epoch,
        first_sequence: header.base_sequence,
    }
}

fn not_leader(live: &Live, seats: &Seats) -> Refusal {
    let leader = live.replica.leader().and_then(|leader| seats.nodes.get(&leader).copied());
    Refusal::NotLeader { leader, address: None, epoch: live.replica.term().0 as i32 }
}
