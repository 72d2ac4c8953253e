//! Records on their way, by partition and batch.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::task::Poll;

use caudal_client::{Delivery, ErrorKind, NewHeader, NewRecord, Producer, Receipt};

use super::ledger::{Ledger, Lines};
use super::run::Defaults;
use crate::clock;
use crate::context::print;
use crate::failure::Failure;
use crate::format::{Input, Printer, View};

/// The records of one batch, in order.
struct Batch {
    /// Of the first record; the others share its outcome.
    delivery: Delivery,
    first: u64,
    last: u64,
    records: u64,
    bytes: u64,
    /// Only where they will be printed.
    kept: Vec<Input>,
}

/// Sends records and settles their acknowledgements.
pub(super) struct Flight {
    producer: Producer,
    defaults: Defaults,
    printer: Option<Printer>,
    /// Batches not answered yet, by topic and partition, in order.
    batches: BTreeMap<String, BTreeMap<i32, VecDeque<Batch>>>,
    waiting: u64,
    hopeless: bool,
    /// What became of the rest.
    pub(super) ledger: Ledger,
}

impl Flight {
    pub(super) fn new(producer: Producer, defaults: Defaults, printer: Option<Printer>) -> Flight {
        let (batches, ledger) = (BTreeMap::new(), Ledger::default());
        Flight { producer, defaults, printer, batches, waiting: 0, hopeless: false, ledger }
    }

    /// Records that are sent and not answered.
    pub(super) fn waiting(&self) -> u64 {
        self.waiting
    }

    /// Whether a failure came that the next records would share.
    pub(super) fn is_hopeless(&self) -> bool {
        self.hopeless
    }

    /// Sends one record. Its failure goes to the ledger.
    pub(super) async fn send(&mut self, mut input: Input) {
        self.complete(&mut input);
        let headers: Vec<NewHeader<'_>> =
            input.headers.iter().map(|(key, value)| NewHeader { key, value: Some(value) }).collect();
        let topic = input.topic.as_deref().unwrap_or(&self.defaults.topic);
        let record = NewRecord {
            topic,
            partition: input.partition,
            key: input.key.as_deref(),
            value: input.value.as_deref(),
            headers: &headers,
            timestamp_ms: input.timestamp,
        };
        let sent = self.producer.send(record).await;
        let bytes =
            (input.key.as_ref().map_or(0, Vec::len) + input.value.as_ref().map_or(0, Vec::len)) as u64;
        match sent {
            Ok(delivery) => self.enqueue(delivery, input, bytes),
            Err(error) => {
                self.hopeless |= error.kind() != ErrorKind::Invalid;
                let (topic, line) = (topic.to_owned(), input.line);
                let partition = input.partition;
                let lines = Lines { topic, partition, first: line, last: line, records: 1, bytes };
                self.ledger.fail(lines, &error);
            }
        }
    }

    /// Adds what the command line says of every record.
    fn complete(&self, input: &mut Input) {
        input.partition = input.partition.or(self.defaults.partition);
        if input.key.is_none() {
            input.key.clone_from(&self.defaults.key);
        }
        if self.defaults.tombstone && input.value.as_ref().is_some_and(Vec::is_empty) {
            input.value = None;
        }
        if !self.defaults.headers.is_empty() {
            let parsed = std::mem::take(&mut input.headers);
            input.headers = self.defaults.headers.iter().cloned().chain(parsed).collect();
        }
        if self.printer.is_some() && input.timestamp.is_none() {
            input.timestamp = Some(clock::wall_ms());
        }
    }

    fn enqueue(&mut self, delivery: Delivery, input: Input, bytes: u64) {
        self.waiting += 1;
        let line = input.line;
        if !self.batches.contains_key(delivery.topic()) {
            self.batches.insert(delivery.topic().to_owned(), BTreeMap::new());
        }
        let Some(topic) = self.batches.get_mut(delivery.topic()) else { return };
        let queue = topic.entry(delivery.partition()).or_default();
        let kept = self.printer.is_some().then_some(input);
        match queue.back_mut() {
            Some(batch) if batch.delivery.same_batch(&delivery) => {
                batch.last = line;
                batch.records += 1;
                batch.bytes += bytes;
                batch.kept.extend(kept);
            }
            _ => queue.push_back(Batch {
                delivery,
                first: line,
                last: line,
                records: 1,
                bytes,
                kept: kept.into_iter().collect(),
            }),
        }
    }

    /// Waits until at least one batch is answered; takes all answers there are, and prints. Cancel safe.
    pub(super) async fn settle(&mut self) -> Result<(), Failure> {
        let answered = std::future::poll_fn(|cx| {
            let mut answered = Vec::new();
            for (topic, partitions) in &mut self.batches {
                for (partition, queue) in partitions {
                    while let Some(batch) = queue.front_mut() {
                        let Poll::Ready(outcome) = Pin::new(&mut batch.delivery).poll(cx) else { break };
                        if let Some(batch) = queue.pop_front() {
                            answered.push((topic.clone(), *partition, batch, outcome));
                        }
                    }
                }
            }
            if answered.is_empty() { Poll::Pending } else { Poll::Ready(answered) }
        })
        .await;
        for (topic, partition, batch, outcome) in answered {
            self.answered(topic, partition, batch, outcome)?;
        }
        Ok(())
    }

    fn answered(
        &mut self,
        topic: String,
        partition: i32,
        batch: Batch,
        outcome: Result<Receipt, caudal_client::Error>,
    ) -> Result<(), Failure> {
        self.waiting -= batch.records;
        let Batch { first, last, records, bytes, kept, .. } = batch;
        let lines = |topic| Lines { topic, partition: Some(partition), first, last, records, bytes };
        match outcome {
            Err(error) => {
                self.hopeless |= error.kind() != ErrorKind::Invalid;
                self.ledger.fail(lines(topic), &error);
                Ok(())
            }
            Ok(receipt) => {
                let printed = self.print(&topic, &kept, &receipt);
                self.ledger.acknowledge(lines(topic));
                printed
            }
        }
    }

    fn print(&mut self, topic: &str, kept: &[Input], receipt: &Receipt) -> Result<(), Failure> {
        let Some(printer) = &mut self.printer else { return Ok(()) };
        let mut out = Vec::new();
        for (offset, input) in (receipt.offset.unwrap_or(-1)..).zip(kept) {
            let view = View {
                topic,
                partition: receipt.batch.partition,
                offset,
                leader_epoch: receipt.batch.term,
                timestamp: input.timestamp.unwrap_or(-1),
                key: input.key.as_deref(),
                value: input.value.as_deref(),
                headers: input.headers.iter().map(|(k, v)| (k.as_bytes(), Some(v.as_slice()))).collect(),
            };
            printer.print(&view, &mut out);
        }
        print(&out)
    }
}
