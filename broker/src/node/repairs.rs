//! Damaged entries: asked for from other replicas, and given to them.

use caudal_proto::batch::Header;
use caudal_proto::peer;

use super::Node;
use super::event::Output;
use super::partition::{Life, Partition};
use super::peers::letter;
use crate::ids::{Index, NodeId, Offset, PartitionId, ReplicaId, Term};
use crate::log::{Entry, Kind};

impl Node {
    /// Asks another replica for damaged entries, each time the next one that answers.
    pub(super) fn ask_for_entries(&mut self, id: PartitionId, (first, last): (Index, Index), attempt: u64) {
        let Some(Partition { life: Life::Live(_), seats, .. }) = self.partitions.get(&id) else { return };
        let others: Vec<(ReplicaId, NodeId)> = seats
            .nodes
            .iter()
            .filter(|(replica, node)| **replica != seats.here && !self.down.contains(node))
            .map(|(replica, node)| (*replica, *node))
            .collect();
        if others.is_empty() {
            return;
        }
        let (to, node) = others[(attempt % others.len() as u64) as usize];
        let wanted = Some(peer::Entries { first: first.0, last: last.0 });
        self.send_bulk(id, to, node, |message| message.wanted = wanted);
    }

    /// Another replica lost entries: those that are committed here are read for it.
    pub(super) fn lend(&mut self, id: PartitionId, to: ReplicaId, wanted: &peer::Entries) {
        let Some(Partition { life: Life::Live(live), .. }) = self.partitions.get(&id) else { return };
        let committed = live.replica.commit().min(live.written);
        let (first, last) = (Index(wanted.first), Index(wanted.last).min(committed));
        if first >= live.replica.first_index() && first <= last {
            self.outputs.push_back(Output::Lend { partition: id, to, first, last });
        }
    }

    /// Entries were read for another replica.
    pub(super) fn lent(&mut self, id: PartitionId, to: ReplicaId, entries: &[Entry]) {
        let Some(partition) = self.partitions.get(&id).filter(|_| !entries.is_empty()) else { return };
        if let Some(node) = partition.seats.nodes.get(&to).copied() {
            let lent = entries.iter().map(entry_to_peer).collect();
            self.send_bulk(id, to, node, |message| message.lent = lent);
        }
    }

    /// Another replica gives entries. What they are worth the log finds out: they must fit between those around them.
    pub(super) fn borrowed(&mut self, id: PartitionId, lent: Vec<peer::LentEntry>) {
        let entries: Vec<Entry> = lent.into_iter().map_while(entry_from_peer).collect();
        self.outputs.push_back(Output::Borrowed { partition: id, entries });
    }

    fn send_bulk(
        &mut self,
        id: PartitionId,
        to: ReplicaId,
        node: NodeId,
        fill: impl FnOnce(&mut peer::Message),
    ) {
        let Some(partition) = self.partitions.get(&id) else { return };
        let mut message = letter(id, partition.seats.here, to);
        fill(&mut message);
        let message = Box::new(message);
        self.outputs.push_back(Output::Send { to: node, class: peer::Class::Bulk, message });
    }
}

fn entry_to_peer(entry: &Entry) -> peer::LentEntry {
    peer::LentEntry {
        index: entry.index.0,
        term: entry.term.0,
        kind: entry.kind as u32,
        base_offset: entry.base_offset.0,
        count: entry.count,
        max_timestamp: entry.max_timestamp,
        append_time: entry.append_time,
        payload: entry.payload.clone(),
    }
}

/// The entry; `None` where a batch is not what its producer made, or the kind is not known.
fn entry_from_peer(lent: peer::LentEntry) -> Option<Entry> {
    let kind = Kind::from_byte(u8::try_from(lent.kind).ok()?)?;
    let whole = || Header::parse(&lent.payload).is_ok_and(|header| header.matches(&lent.payload).is_ok());
    let fits = match kind {
        Kind::Batch => lent.count > 0 && whole(),
        _ => lent.count == 0,
    };
    fits.then(|| Entry {
        index: Index(lent.index),
        term: Term(lent.term),
        kind,
        base_offset: Offset(lent.base_offset),
        count: lent.count,
        max_timestamp: lent.max_timestamp,
        append_time: lent.append_time,
        payload: lent.payload.clone(),
    })
}
