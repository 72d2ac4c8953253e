//! Brokers that say nothing: who is cut off gives no reset, and its partitions may have new leaders long before the
//! connection ends.

use std::time::Instant;

use super::task::Task;
use crate::error::{Error, ErrorKind};
use crate::lane::Lane;

impl Task {
    /// Has others asked about brokers that owe answers. Without acknowledgements none is owed.
    pub(super) fn doubt_silent(&mut self, now: Instant) {
        if self.shared.config.acks == crate::Acks::None {
            return;
        }
        for link in self.brokers.links().filter(|link| link.doubt_at().is_some_and(|at| at <= now)) {
            link.doubted(now);
            self.client.doubt(&link.address);
            self.refresh.wanted = true;
        }
    }

    /// When to do so next.
    pub(super) fn doubt_at(&self) -> Option<Instant> {
        self.brokers.doubt_at().filter(|_| self.shared.config.acks != crate::Acks::None)
    }

    /// Gives up the streams of silent brokers that do not lead any more what was sent to them: it is sent again to
    /// who does. One that leads as before may be slow, and is waited for.
    pub(super) fn leave_silent(&mut self, now: Instant) {
        if self.shared.config.acks == crate::Acks::None {
            return;
        }
        for (stream, address) in self.brokers.silent(now) {
            let state = self.shared.lock();
            let replaced = self.bound.iter().filter(|(_, bound)| **bound == stream).any(|(place, _)| {
                let leader = self.metadata.leader(state.batcher.topic(*place), place.partition);
                let waits = self.lanes.get(place).is_some_and(Lane::is_waiting);
                waits && leader.is_some_and(|leader| leader.address != address)
            });
            drop(state);
            if !replaced {
                // There may be no new leader yet.
                self.refresh.wanted = true;
            } else {
                self.answers.remove(&stream);
                let why = format!("{address} is silent, and another broker leads what was sent to it");
                self.on_lost(stream, &Error::new(ErrorKind::Unreachable, why));
            }
        }
    }
}
