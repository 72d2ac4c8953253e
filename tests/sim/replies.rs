//! What the broker answers to the writers, and what they make of it.

use caudal_broker::node::{Acks, Reply, Ticket};
use caudal_broker::refusal::Refusal;
use caudal_broker::state;
use caudal_harness::history::Event;

use crate::world::{Waiting, World};
use crate::writer::Outstanding;

impl World {
    pub(crate) fn take_replies(&mut self, host: usize) {
        let Some(broker) = &mut self.hosts[host].broker else { return };
        for (ticket, reply) in std::mem::take(&mut broker.replies) {
            match (self.waiting.remove(&ticket).map(|(_, waiting)| waiting), reply) {
                (Some(Waiting::Batch { writer }), Reply::Produced(result)) => {
                    if let Ok(receipt) = &result
                        && self.writers[writer].acks == Acks::All
                        && receipt.synced.len() <= receipt.voters.len() / 2
                    {
                        self.coverage.counts.early += 1;
                    }
                    let base = result.map(|receipt| receipt.base_offset.0);
                    self.settled(writer, ticket, base);
                }
                (Some(Waiting::Producer), Reply::Control(Ok(state::Reply::InitProducer(Ok((id, _)))))) => {
                    if !self.producer_ids.insert(id) {
                        self.wrong.push(format!("producer id {id} is given twice"));
                    }
                }
                (Some(Waiting::Producer), Reply::Control(Err(refusal))) if is_passing(&refusal) => {}
                (
                    Some(Waiting::Join { host }),
                    Reply::Control(Ok(state::Reply::RegisterNode(registered))),
                ) => {
                    self.joined(host, registered);
                }
                (Some(Waiting::Join { .. }), Reply::Control(Err(refusal))) if is_passing(&refusal) => {}
                (Some(Waiting::Other), _) => {}
                (Some(Waiting::Scene), reply) => self.answers.push(reply),
                (waiting, reply) => {
                    self.wrong.push(format!(
                        "{reply:?} answers {}",
                        if waiting.is_some() { "another" } else { "nobody" }
                    ));
                }
            }
        }
    }

    fn settled(&mut self, at: usize, ticket: Ticket, result: Result<i64, Refusal>) {
        let writer = &mut self.writers[at];
        let Some(position) = writer.outstanding.iter().position(|batch| batch.ticket == Some(ticket)) else {
            return;
        };
        match result {
            Ok(base) => {
                let Some(batch) = writer.outstanding.remove(position) else { return };
                if writer.acks == Acks::All {
                    self.coverage.counts.acked += batch.records.len() as u64;
                    self.history.extend(acked(&batch, base));
                }
            }
            Err(Refusal::UnknownOutcome) if writer.idempotent => {}
            Err(Refusal::UnknownOutcome) => {
                writer.outstanding.remove(position);
            }
            Err(refusal) => {
                match refusal {
                    Refusal::NotLeader { leader: Some(leader), .. } => {
                        self.guesses[self.writers[at].partition as usize] = (leader.0 - 1) as usize;
                    }
                    Refusal::NotLeader { .. }
                    | Refusal::LeaderNotReady
                    | Refusal::UnknownPartition { .. }
                    | Refusal::PartitionClosed { .. } => {
                        let partition = self.writers[at].partition;
                        self.guess(partition);
                    }
                    _ => {}
                }
                self.refused(at, position, &refusal);
            }
        }
    }

    /// What is refused is not in the log. An idempotent writer gives up what follows too: it would leave a gap.
    fn refused(&mut self, at: usize, position: usize, refusal: &Refusal) {
        let idempotent = self.writers[at].idempotent;
        let gap = matches!(refusal, Refusal::OutOfOrderSequence { .. } | Refusal::ProducerUnknown { .. });
        let expected = is_passing(refusal) || (idempotent && gap);
        if !expected {
            self.wrong.push(format!("writer {at} is refused: {refusal}"));
        }
        let writer = &mut self.writers[at];
        writer.refused = Some(refusal.clone());
        if writer.idempotent {
            // Sent again, in order, by and by.
            if let Some(batch) = writer.outstanding.get_mut(position) {
                batch.ticket = None;
            }
            return;
        }
        self.give_up(at, position);
    }

    /// A batch that is in no log, and is not sent again.
    pub(crate) fn give_up(&mut self, at: usize, position: usize) {
        if let Some(batch) = self.writers[at].outstanding.remove(position) {
            self.history.extend(batch.records.iter().map(|record| Event::Refused { record: *record }));
        }
    }
}

/// Refusals that pass by themselves.
fn is_passing(refusal: &Refusal) -> bool {
    matches!(
        refusal,
        Refusal::DiskFull { .. }
            | Refusal::Throttled { .. }
            | Refusal::NotLeader { .. }
            | Refusal::LeaderNotReady
            | Refusal::UnknownOutcome
            | Refusal::PartitionClosed { .. }
            // The broker has not heard of the topic yet.
            | Refusal::UnknownPartition { .. }
    )
}

fn acked(batch: &Outstanding, base: i64) -> impl Iterator<Item = Event> + '_ {
    batch.records.iter().zip(base..).map(|(record, offset)| Event::Acked { record: *record, offset })
}
