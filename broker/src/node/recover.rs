//! A partition without an intact majority goes on from what is left: by a command of the control partition, and then
//! under the lead of the heir, which leaves out the offsets that are lost.

use bytes::Bytes;

use super::Node;
use super::event::{Now, Output, Ticket};
use super::partition::{Life, Live, Partition};
use super::reply::Reply;
use super::waiters::Awaited;
use crate::consensus::Proposal;
use crate::ids::{Offset, PartitionId};
use crate::log::{FRAME_HEADER_BYTES, Kind};
use crate::refusal::Refusal;
use crate::state::{Answered, Command, Recovery, Reply as ControlReply};

impl Node {
    /// Says what going on would mean, and does so unless that is all that is asked.
    pub(super) fn recover(
        &mut self,
        now: Now,
        ticket: Ticket,
        topic: &str,
        partition: i32,
        validate_only: bool,
    ) {
        let recovered = self.begin_recovery(now, ticket, topic, partition, validate_only);
        if let Some(result) = recovered.transpose() {
            let reply = Reply::Control(Ok(ControlReply::Recovered(result)));
            self.outputs.push_back(Output::Reply { ticket, reply });
        }
    }

    /// The answer, or nothing where it comes with the commit.
    fn begin_recovery(
        &mut self,
        now: Now,
        ticket: Ticket,
        topic: &str,
        partition: i32,
        validate_only: bool,
    ) -> Result<Option<Recovery>, Refusal> {
        if self.stopping {
            return Err(Refusal::ShuttingDown);
        }
        self.writable(PartitionId::CONTROL)?;
        let Some(control) = &self.control else { return Err(Refusal::LeaderNotReady) };
        let (recovery, spec) = control.catalog.plan_recovery(topic, partition, &|id| self.evidence(id))?;
        if validate_only {
            return Ok(Some(recovery));
        }
        let index = self.propose_command(now, &Command::Recover(spec)).ok_or(Refusal::LeaderNotReady)?;
        let answered = Answered::whole(ControlReply::Recovered(Ok(recovery)));
        self.with_live(PartitionId::CONTROL, |live, _, _| {
            live.waiters.await_commit(ticket, index, Awaited::Command(answered));
        });
        Ok(None)
    }

    /// An heir that leads begins where no lost offset is given again: one entry says which are.
    pub(super) fn leave_out_lost(&mut self, now: Now, id: PartitionId) {
        let Some(Partition { life: Life::Live(live), seats, .. }) = self.partitions.get_mut(&id) else {
            return;
        };
        let Some(heir) = seats.heir.filter(|_| live.replica.is_ready_leader()) else { return };
        let Some(lost_from) = live.lost_from(heir.resume_at) else { return };
        let payload = Bytes::copy_from_slice(&lost_from.0.to_le_bytes());
        let bytes = (payload.len() + FRAME_HEADER_BYTES) as u64;
        let proposal = Proposal { kind: Kind::Loss, count: 0, max_timestamp: -1, payload };
        if let Some(entry) = live.replica.propose_at(proposal, heir.resume_at, now.wall_ms) {
            live.proposed(entry.index, bytes);
            self.uncommitted_bytes += bytes;
            self.dirty.insert(id);
        }
    }
}

impl Live {
    /// The first offset of those that this log has to leave out before it takes a record; nothing where it has.
    pub(super) fn lost_from(&self, resume_at: Offset) -> Option<Offset> {
        Some(self.replica.next_offset()).filter(|next| *next < resume_at)
    }
}
