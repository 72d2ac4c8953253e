//! Who waits for which reply of the machine: a slab, touched by the shard's thread alone.

use tokio::sync::{mpsc, oneshot};

use crate::ids::Offset;
use crate::node::{Receipt, Reply, Ticket};
use crate::refusal::Refusal;
use crate::state::Reply as ControlReply;

/// The outcome of one batch of a produce stream.
#[derive(Debug)]
pub struct Sent {
    /// The stream's number of the batch.
    pub sequence: u64,
    /// The stream's number of the partition.
    pub lane: u32,
    /// What came of it.
    pub outcome: Result<Receipt, Refusal>,
}

/// Where a reply goes.
#[derive(Debug)]
pub enum ReplyTo {
    /// To one who waits for a batch.
    Produce(oneshot::Sender<Result<Receipt, Refusal>>),
    /// To a stream, whose channel has room for every batch it may have in flight.
    Stream {
        /// The stream.
        to: mpsc::Sender<Sent>,
        /// The stream's number of the batch.
        sequence: u64,
        /// The stream's number of the partition.
        lane: u32,
    },
    /// To one who asked the control partition.
    Control(oneshot::Sender<Result<ControlReply, Refusal>>),
    /// To one who trims.
    Trim(oneshot::Sender<Result<(Offset, Offset), Refusal>>),
    /// To one who hands over leadership.
    Transfer(oneshot::Sender<Result<(), Refusal>>),
}

impl ReplyTo {
    /// Hands over the reply. One who has left, or asked for something else, gets nothing.
    fn deliver(self, reply: Reply) {
        match (self, reply) {
            (ReplyTo::Produce(to), Reply::Produced(outcome)) => drop(to.send(outcome)),
            (ReplyTo::Stream { to, sequence, lane }, Reply::Produced(outcome)) => {
                if let Err(mpsc::error::TrySendError::Full(_)) = to.try_send(Sent { sequence, lane, outcome })
                {
                    tracing::error!(
                        sequence,
                        "a produce stream has more batches in flight than its channel holds"
                    );
                }
            }
            (ReplyTo::Control(to), Reply::Control(outcome)) => drop(to.send(outcome)),
            (ReplyTo::Trim(to), Reply::Trimmed(outcome)) => drop(to.send(outcome)),
            (ReplyTo::Transfer(to), Reply::Transferring(outcome)) => drop(to.send(outcome)),
            (to, reply) => tracing::error!(?to, ?reply, "a reply of another kind than the call"),
        }
    }
}

enum Slot {
    Free {
        next: Option<u32>,
    },
    /// With the time at which what is waited for came, where that is measured.
    Waiting(ReplyTo, Option<u64>),
}

/// The slab. A ticket is a slot and how often it was used, so that a late reply meets nobody else.
#[derive(Default)]
pub struct Tickets {
    slots: Vec<(u32, Slot)>,
    free: Option<u32>,
}

impl Tickets {
    /// Gives a ticket to one who waits.
    pub fn issue(&mut self, to: ReplyTo) -> Ticket {
        self.issue_at(to, None)
    }

    /// Gives a ticket to one whose wait is measured, from a time in microseconds.
    pub fn issue_at(&mut self, to: ReplyTo, since: Option<u64>) -> Ticket {
        let Some(at) = self.free else {
            let at = self.slots.len() as u64;
            self.slots.push((0, Slot::Waiting(to, since)));
            return at;
        };
        let (uses, slot) = &mut self.slots[at as usize];
        if let Slot::Free { next } = slot {
            self.free = *next;
        }
        *slot = Slot::Waiting(to, since);
        u64::from(*uses) << 32 | u64::from(at)
    }

    /// Delivers the reply of a ticket. A ticket that is not out is ignored. Since when was waited, where that is measured
    /// and a batch was written.
    pub fn reply(&mut self, ticket: Ticket, reply: Reply) -> Option<u64> {
        let (at, uses) = (ticket as u32, (ticket >> 32) as u32);
        let free = self.free;
        let (used, slot) = self.slots.get_mut(at as usize)?;
        if *used != uses || matches!(slot, Slot::Free { .. }) {
            return None;
        }
        let Slot::Waiting(to, since) = std::mem::replace(slot, Slot::Free { next: free }) else {
            return None;
        };
        *used = used.wrapping_add(1);
        self.free = Some(at);
        let written = matches!(&reply, Reply::Produced(Ok(receipt)) if !receipt.duplicate);
        to.deliver(reply);
        since.filter(|_| written)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Trimmed = oneshot::Receiver<Result<(Offset, Offset), Refusal>>;

    fn trim(tickets: &mut Tickets) -> (Ticket, Trimmed) {
        let (to, outcome) = oneshot::channel();
        (tickets.issue(ReplyTo::Trim(to)), outcome)
    }

    #[test]
    fn a_late_reply_does_not_reach_the_next_holder_of_the_slot() {
        let mut tickets = Tickets::default();
        let (first, mut one) = trim(&mut tickets);
        tickets.reply(first, Reply::Trimmed(Ok((Offset(1), Offset(2)))));
        let (second, mut two) = trim(&mut tickets);
        assert_ne!(first, second);
        tickets.reply(first, Reply::Trimmed(Ok((Offset(3), Offset(4)))));
        assert_eq!(one.try_recv().unwrap(), Ok((Offset(1), Offset(2))));
        assert!(two.try_recv().is_err());
        tickets.reply(second, Reply::Trimmed(Err(Refusal::ShuttingDown)));
        assert_eq!(two.try_recv().unwrap(), Err(Refusal::ShuttingDown));
    }

    #[test]
    fn slots_are_used_again() {
        let mut tickets = Tickets::default();
        for _ in 0..10 {
            let (a, _one) = trim(&mut tickets);
            let (b, _two) = trim(&mut tickets);
            tickets.reply(a, Reply::Trimmed(Err(Refusal::TimedOut)));
            tickets.reply(b, Reply::Trimmed(Err(Refusal::TimedOut)));
        }
        assert_eq!(tickets.slots.len(), 2);
    }

    #[test]
    fn unknown_tickets_are_ignored() {
        Tickets::default().reply(99, Reply::Trimmed(Err(Refusal::TimedOut)));
    }
}
