//! One partition's way out: batches in order, which may go, and what an answer means. Pure: time is given.
//!
//! # What holds
//! * Batches are sent in the order they came, and sent again in that order: a batch goes only while no later one is
//!   unanswered.
//! * A batch whose outcome is in doubt is sent again only with its sequence, under the same identity.
//! * Sequences are given anew only to batches that are surely not written, and only while nothing is unanswered.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use caudal_proto::batch::Producer;

use crate::delivery::{BatchReceipt, Outcome};
use crate::error::{Error, ErrorKind};
use crate::retry::{self, Verdict};
use crate::sequence::{self, Identity};
use crate::topic::TopicId;

/// A finished batch on its way.
pub(crate) struct Batch {
    pub(crate) number: u64,
    pub(crate) bytes: Bytes,
    /// Its records.
    pub(crate) count: i32,
    pub(crate) outcome: Arc<Outcome>,
    /// What it counts against the buffer.
    pub(crate) weight: usize,
    /// It is given up after this.
    pub(crate) deadline: Instant,
}

/// A batch that is done with.
pub(crate) struct Done {
    pub(crate) number: u64,
    pub(crate) weight: usize,
    pub(crate) outcome: Arc<Outcome>,
    pub(crate) result: Result<Arc<BatchReceipt>, Error>,
}

struct Entry {
    batch: Batch,
    sequence: i32,
    /// On a stream, unanswered.
    sent: bool,
    /// An attempt ended without an answer: it may be written.
    doubted: bool,
}

/// What must happen, once nothing is unanswered, before anything is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Repair {
    /// A batch is out of the row and surely not written: the ones behind this number close up. They cannot have
    /// been written, because the broker never saw what came before them.
    CloseUp {
        /// The number of the first batch that is out.
        behind: u64,
        /// Its sequence, which the next one takes.
        from: i32,
    },
    /// The broker's idea of the row is lost or in doubt: begin anew under another identity.
    Renew,
}

/// One partition's batches on their way.
pub(crate) struct Lane {
    topic_id: TopicId,
    entries: VecDeque<Entry>,
    depth: usize,
    sequences: bool,
    identity: Option<Identity>,
    /// One that must not be used here again.
    spent: Option<Identity>,
    /// The sequence of the next batch.
    next: i32,
    repair: Option<Repair>,
    retry_at: Option<Instant>,
    round: u32,
    last_error: Option<Error>,
}

impl Lane {
    /// An empty lane that keeps `depth` batches unanswered, with sequences or without.
    pub(crate) fn new(topic_id: TopicId, depth: usize, sequences: bool) -> Self {
        Lane {
            topic_id,
            entries: VecDeque::new(),
            depth,
            sequences,
            identity: None,
            spent: None,
            next: 0,
            repair: None,
            retry_at: None,
            round: 0,
            last_error: None,
        }
    }

    /// Nothing is on its way.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Something is sent and unanswered.
    pub(crate) fn is_waiting(&self) -> bool {
        self.entries.iter().any(|entry| entry.sent)
    }

    /// Which identity it cannot use any more, when it needs one; `None` when it needs none.
    pub(crate) fn needs_identity(&self) -> Option<Option<Identity>> {
        (self.sequences && self.identity.is_none() && self.repair.is_none()).then_some(self.spent)
    }

    /// Begins a row of sequences.
    pub(crate) fn set_identity(&mut self, identity: Identity) {
        self.identity = Some(identity);
        self.renumber(0, 0);
    }

    /// Whether it takes another batch.
    pub(crate) fn can_take(&self) -> bool {
        self.entries.len() < self.depth
            && self.repair.is_none()
            && self.entries.iter().all(|entry| entry.sent)
            && (!self.sequences || self.identity.is_some())
    }

    /// The producer fields of the next batch; `None` without sequences.
    pub(crate) fn next_producer(&self) -> Option<Producer> {
        self.identity.map(|identity| identity.at(self.next))
    }

    /// Takes a batch that was finished with [`Lane::next_producer`].
    pub(crate) fn push(&mut self, batch: Batch) {
        let sequence = self.next;
        self.next = sequence::advance(self.next, batch.count);
        self.entries.push_back(Entry { batch, sequence, sent: false, doubted: false });
    }

    /// The batch to send now, if any may go.
    pub(crate) fn next_to_send(&self, now: Instant) -> Option<&Batch> {
        if self.repair.is_some() || self.retry_at.is_some_and(|at| at > now) {
            return None;
        }
        if self.sequences && self.identity.is_none() {
            return None;
        }
        let first = self.entries.iter().position(|entry| !entry.sent)?;
        let behind = self.entries.range(first..).all(|entry| !entry.sent);
        behind.then(|| &self.entries[first].batch)
    }

    /// The batch is on a stream.
    pub(crate) fn sent(&mut self, number: u64) {
        if let Some(entry) = self.entries.iter_mut().find(|entry| entry.batch.number == number) {
            entry.sent = true;
        }
    }

    /// When it wants to be looked at again without an answer: a retry, or the oldest batch's end.
    pub(crate) fn wake_at(&self) -> Option<Instant> {
        let retry = self.retry_at.filter(|_| !self.is_waiting());
        let expiry = self.entries.front().map(|entry| entry.batch.deadline);
        [retry, expiry].into_iter().flatten().min()
    }

    /// The transport took a batch for which no answer comes.
    pub(crate) fn handed_over(&mut self, number: u64, done: &mut Vec<Done>) {
        if let Some(at) = self.sent_at(number) {
            let entry = self.remove(at);
            let unknown = self.unknown_receipt(&entry.batch, false);
            done.push(entry.batch.done(Ok(unknown)));
        }
    }

    /// A batch is acknowledged.
    pub(crate) fn acknowledged(&mut self, number: u64, receipt: BatchReceipt, done: &mut Vec<Done>) {
        if let Some(at) = self.sent_at(number) {
            let entry = self.remove(at);
            self.round = 0;
            self.retry_at = None;
            self.last_error = None;
            done.push(entry.batch.done(Ok(Arc::new(receipt))));
            self.settle(done);
        }
    }

    /// A batch was answered with an error. Returns whether the leader should be looked up.
    pub(crate) fn refused(
        &mut self,
        number: u64,
        error: Error,
        now: Instant,
        jitter: u64,
        done: &mut Vec<Done>,
    ) -> bool {
        let Some(at) = self.sent_at(number) else { return false };
        let verdict = retry::judge(&error);
        let topic_gone = error.kind() == ErrorKind::NotFound;
        match verdict {
            Verdict::Retry { .. } => self.again(at, &error, now, jitter),
            Verdict::InDoubt if self.sequences => {
                self.entries[at].doubted = true;
                self.again(at, &error, now, jitter);
            }
            Verdict::InDoubt => {
                let entry = self.remove(at);
                done.push(entry.batch.in_doubt(&error));
            }
            Verdict::Duplicate if self.sequences => {
                let entry = self.remove(at);
                let unknown = self.unknown_receipt(&entry.batch, true);
                done.push(entry.batch.done(Ok(unknown)));
            }
            Verdict::Sequence if self.sequences => self.out_of_row(at, &error, now, jitter, done),
            Verdict::Refused | Verdict::Duplicate | Verdict::Sequence => self.give_up(at, &error, done),
        }
        // Behind a batch that failed, every other is out of its row: that says nothing of why.
        if at == 0 || verdict != Verdict::Sequence {
            self.last_error = Some(error);
        }
        self.settle(done);
        matches!(verdict, Verdict::Retry { refresh: true } | Verdict::InDoubt) || topic_gone
    }

    /// The stream that carried its batches is gone, and the answers with it.
    pub(crate) fn stream_lost(&mut self, error: &Error, now: Instant, jitter: u64, done: &mut Vec<Done>) {
        while let Some(at) = self.entries.iter().rposition(|entry| entry.sent) {
            if self.sequences {
                self.entries[at].doubted = true;
                self.entries[at].sent = false;
                self.last_error = Some(error.clone());
            } else {
                let entry = self.remove(at);
                done.push(entry.batch.in_doubt(error));
            }
        }
        if !self.entries.is_empty() {
            self.back_off(error, now, jitter);
        }
        self.settle(done);
    }

    /// Gives up batches whose time is over; `trouble` is why none could be sent at all, where that is known.
    pub(crate) fn expire(&mut self, now: Instant, trouble: Option<&Error>, done: &mut Vec<Done>) {
        while self.entries.front().is_some_and(|entry| entry.batch.deadline <= now) {
            let cause = self.last_error.clone().or_else(|| trouble.cloned());
            let entry = &mut self.entries[0];
            // Sent and unanswered to its end: nobody knows.
            entry.doubted |= entry.sent;
            let late = entry.batch.late(cause);
            self.give_up(0, &late, done);
        }
        self.settle(done);
    }

    /// Gives up every batch that is not on a stream: its topic is gone, or no identity is to be had.
    pub(crate) fn fail(&mut self, error: &Error, done: &mut Vec<Done>) {
        while let Some(at) = self.entries.iter().position(|entry| !entry.sent) {
            self.give_up(at, error, done);
        }
        self.settle(done);
    }

    /// The topic of this name is another one by now: a new row begins there.
    pub(crate) fn set_topic(&mut self, topic_id: TopicId, done: &mut Vec<Done>) {
        if self.topic_id != topic_id && !self.is_waiting() {
            self.topic_id = topic_id;
            self.repair = self.sequences.then_some(Repair::Renew);
            self.settle(done);
        }
    }

    /// The topic its batches go to.
    pub(crate) fn topic_id(&self) -> TopicId {
        self.topic_id
    }

    /// The broker does not see this batch as the next of its row.
    fn out_of_row(&mut self, at: usize, error: &Error, now: Instant, jitter: u64, done: &mut Vec<Done>) {
        if at > 0 || self.repair.is_some() {
            // A batch before it has failed: this one waits for its turn.
            self.entries[at].sent = false;
            return;
        }
        self.repair = Some(Repair::Renew);
        if self.entries[0].doubted {
            let entry = self.remove(0);
            done.push(entry.batch.in_doubt(error));
        } else {
            self.again(0, error, now, jitter);
        }
    }

    /// The batch goes again after a wait.
    fn again(&mut self, at: usize, error: &Error, now: Instant, jitter: u64) {
        self.entries[at].sent = false;
        self.back_off(error, now, jitter);
    }

    fn back_off(&mut self, error: &Error, now: Instant, jitter: u64) {
        let wait = retry::backoff(self.round, jitter);
        let wait = error.retry_after().map_or(wait, |advice| advice.max(wait));
        let at = now + wait;
        // One round for all batches that fail together.
        if self.retry_at.is_none_or(|before| before <= now) {
            self.round = self.round.saturating_add(1);
        }
        self.retry_at = Some(self.retry_at.map_or(at, |before| before.max(at)));
    }

    /// The batch is given up; the ones behind it close up, or begin anew when it may be written after all.
    fn give_up(&mut self, at: usize, error: &Error, done: &mut Vec<Done>) {
        let entry = self.remove(at);
        if self.sequences && self.identity.is_some() {
            self.repair = Some(match self.repair {
                _ if entry.doubted => Repair::Renew,
                Some(repair @ Repair::CloseUp { behind, .. }) if behind < entry.batch.number => repair,
                Some(Repair::Renew) => Repair::Renew,
                _ => Repair::CloseUp { behind: entry.batch.number, from: entry.sequence },
            });
        }
        done.push(match entry.doubted {
            true => entry.batch.in_doubt(error),
            false => entry.batch.done(Err(error.clone())),
        });
    }

    /// Carries out the repair once nothing is unanswered.
    fn settle(&mut self, done: &mut Vec<Done>) {
        if self.is_waiting() {
            return;
        }
        match self.repair.take() {
            None => {}
            Some(Repair::CloseUp { behind, from }) => self.renumber(behind + 1, from),
            Some(Repair::Renew) => {
                while let Some(at) = self.entries.iter().position(|entry| entry.doubted) {
                    let entry = self.remove(at);
                    let cause = self.last_error.clone().unwrap_or_else(|| entry.batch.late(None));
                    done.push(entry.batch.in_doubt(&cause));
                }
                self.spent = self.identity.take().or(self.spent);
            }
        }
    }

    /// Gives sequences anew, from `next` on, to the batches from this number on. They are surely not written.
    fn renumber(&mut self, number: u64, next: i32) {
        self.next = next;
        let Some(identity) = self.identity else { return };
        for entry in self.entries.iter_mut().filter(|entry| entry.batch.number >= number) {
            entry.doubted = false;
            entry.sequence = self.next;
            entry.batch.bytes = sequence::restamp(&entry.batch.bytes, identity.at(self.next));
            self.next = sequence::advance(self.next, entry.batch.count);
        }
    }

    fn sent_at(&self, number: u64) -> Option<usize> {
        self.entries.iter().position(|entry| entry.sent && entry.batch.number == number)
    }

    fn remove(&mut self, at: usize) -> Entry {
        self.entries.remove(at).expect("invariant: the place was found in the same call")
    }

    fn unknown_receipt(&self, batch: &Batch, duplicate: bool) -> Arc<BatchReceipt> {
        let (topic, partition) = (batch.outcome.topic().clone(), batch.outcome.partition());
        Arc::new(BatchReceipt::unknown(topic, self.topic_id, partition, duplicate))
    }
}

impl Batch {
    /// Done with, one way or the other.
    pub(crate) fn done(self, result: Result<Arc<BatchReceipt>, Error>) -> Done {
        Done { number: self.number, weight: self.weight, outcome: self.outcome, result }
    }

    fn in_doubt(self, cause: &Error) -> Done {
        let (topic, partition, count) = (self.outcome.topic(), self.outcome.partition(), self.count);
        let error = Error::new(
            ErrorKind::UnknownOutcome,
            format!(
                "{count} records for partition {partition} of topic {topic:?} may be written or not: {cause}"
            ),
        )
        .with("topic", topic)
        .with("partition", partition)
        .caused_by(cause.clone());
        self.done(Err(error))
    }

    fn late(&self, cause: Option<Error>) -> Error {
        late(self.outcome.topic(), self.outcome.partition(), cause)
    }
}

/// Records that were not acknowledged in time.
pub(crate) fn late(topic: &str, partition: i32, cause: Option<Error>) -> Error {
    let why = cause.as_ref().map_or_else(String::new, |cause| format!(": {cause}"));
    let error = Error::new(
        ErrorKind::TimedOut,
        format!("records for partition {partition} of topic {topic:?} were not acknowledged in time{why}"),
    )
    .with("topic", topic)
    .with("partition", partition);
    match cause {
        Some(cause) => error.caused_by(cause),
        None => error,
    }
}

#[cfg(test)]
mod tests;
