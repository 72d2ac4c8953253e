//! A disk that does not finish its syncs: this broker then leads nothing that another one can lead.
//!
//! Followers may commit without the leader's disk, so writers need not notice. But what it alone has to do waits: votes,
//! its share in a majority when another broker dies, reads of what is not in memory; and what it writes piles up in the
//! kernel. While a shard's syncs stand still it hands its leaderships over and stands for no election; it says so with every
//! message, and for a while after, so that nobody gives it a leadership that it cannot take.

use super::event::Output;
use super::partition::Life;
use super::{Node, Partition};
use crate::limits::{DISK_CALM_TICKS, DISK_STALL_TICKS};

/// What a shard's machine sees of the disk: what it asked for, and that answers come.
#[derive(Debug, Default)]
pub(super) struct DiskWatch {
    /// Something became durable since the last tick.
    moved: bool,
    /// Ticks in which something waited and nothing became durable.
    silent: u64,
    /// Ticks until it counts as a disk like others.
    calm_in: u64,
}

impl DiskWatch {
    /// Something became durable.
    pub(super) fn moved(&mut self) {
        self.moved = true;
    }

    /// A tick has passed, in which something `waits` for the disk or nothing does. Whether a stall began or ended.
    fn tick(&mut self, waits: bool) -> bool {
        let before = self.is_stalled();
        let stood_still = waits && !std::mem::take(&mut self.moved);
        self.silent = if stood_still { self.silent + 1 } else { 0 };
        self.calm_in = if self.is_stalled() { DISK_CALM_TICKS } else { self.calm_in.saturating_sub(1) };
        before != self.is_stalled()
    }

    /// Whether nothing moves.
    pub(super) fn is_stalled(&self) -> bool {
        self.silent >= DISK_STALL_TICKS
    }

    /// Whether nothing moves, or did not a while ago.
    pub(super) fn is_slow(&self) -> bool {
        self.calm_in > 0
    }
}

impl Node {
    /// A look at the disk, with every tick.
    pub(super) fn watch_disk(&mut self) {
        let waits = |partition: &Partition| match &partition.life {
            Life::Live(live) => !live.replica.is_persisted(),
            Life::Opening | Life::Closed { .. } => false,
        };
        let waits = self.partitions.values().any(waits);
        if self.disk.tick(waits) {
            let stalled = self.disk.is_stalled();
            for partition in self.partitions.values_mut() {
                if let Life::Live(live) = &mut partition.life {
                    live.replica.hold_back(stalled);
                }
            }
            self.outputs.push_back(Output::DiskStalled(stalled));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticks(disk: &mut DiskWatch, count: u64, waits: bool) -> Vec<bool> {
        (0..count).filter(|_| disk.tick(waits)).map(|_| true).collect()
    }

    #[test]
    fn a_disk_stalls_when_something_waits_and_nothing_moves() {
        let mut disk = DiskWatch::default();
        assert!(ticks(&mut disk, 3 * DISK_STALL_TICKS, false).is_empty(), "nothing is asked of it");
        for _ in 0..3 * DISK_STALL_TICKS {
            disk.moved();
            assert!(!disk.tick(true), "it is busy");
        }
        assert!(ticks(&mut disk, DISK_STALL_TICKS - 1, true).is_empty() && !disk.is_slow());
        assert!(disk.tick(true) && disk.is_stalled() && disk.is_slow());
        assert!(!disk.tick(true), "it is said once");
        disk.moved();
        assert!(disk.tick(true) && !disk.is_stalled());
        assert!(ticks(&mut disk, DISK_CALM_TICKS - 2, false).is_empty() && disk.is_slow());
        assert!(!disk.tick(false) && !disk.is_slow());
    }
}
