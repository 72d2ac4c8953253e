//! One sender: records at their pace, and the latency of their acknowledgements.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context as TaskContext, Poll};
use std::time::{Duration, Instant};

use caudal_client::{ClientConfig, Delivery, NewRecord, Producer, ProducerConfig};

use super::pace::{BURST, Pace, Pacer};
use super::payload::Pool;
use super::report::Latencies;
use crate::clock;
use crate::failure::Failure;

/// What a sender sends.
#[derive(Clone)]
pub(crate) struct Load {
    pub(crate) client: ClientConfig,
    pub(crate) producer: ProducerConfig,
    pub(crate) topic: String,
    pub(crate) pool: Arc<Pool>,
    pub(crate) pace: Pace,
    pub(crate) until: Until,
    /// Records not acknowledged at once.
    pub(crate) in_flight: u64,
    /// All senders' acknowledged records, for whoever watches.
    pub(crate) acknowledged: Arc<AtomicU64>,
}

/// When a sender stops.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Until {
    /// After so many records of its own.
    Records(u64),
    /// After so long.
    Duration(Duration),
}

/// What a sender did.
pub(crate) struct Sent {
    pub(crate) records: u64,
    pub(crate) latencies: Latencies,
    /// Of each partition: the offset behind the last acknowledged record, where the acknowledgements tell.
    pub(crate) ends: BTreeMap<i32, i64>,
    /// When its last record was acknowledged.
    pub(crate) ended: Instant,
}

/// A sender that is connected and knows its topic.
pub(crate) struct Sender {
    load: Load,
    number: u32,
    producer: Producer,
}

/// Records of one batch: its first delivery, and when they should have been sent.
struct Batch {
    delivery: Delivery,
    records: u64,
    intended: Vec<(Duration, u64)>,
}

impl Sender {
    /// Connects, and sends one record of another run, so that what is measured begins warm.
    pub(crate) async fn connect(load: Load, number: u32) -> Result<Sender, Failure> {
        let client = caudal_client::Client::with_config(load.client.clone()).await?;
        let producer = client.producer().config(load.producer.clone()).build().await?;
        let mut value = vec![0; load.pool.size()];
        load.pool.fill(number, 0, 0, &mut value);
        value[..4].copy_from_slice(&(!load.pool.run()).to_le_bytes());
        let delivery = producer.send(NewRecord::to(&load.topic).value(&value)).await?;
        producer.flush().await?;
        delivery.await?;
        Ok(Sender { load, number, producer })
    }

    /// Sends until it is done, and waits for every acknowledgement.
    pub(crate) async fn run(self, began: Instant) -> Result<Sent, Failure> {
        let Sender { load, number, producer } = self;
        let pacer = Pacer::start(load.pace, began)?;
        let mut waiting = Waiting::new(load.acknowledged.clone(), began)?;
        let mut value = vec![0; load.pool.size()];
        let mut sequence = 0;
        loop {
            let now = clock::now().saturating_duration_since(began);
            let left = match load.until {
                Until::Records(records) => records - sequence,
                Until::Duration(duration) if now >= duration => 0,
                Until::Duration(_) => u64::MAX,
            };
            let due = pacer.due().saturating_sub(sequence);
            let room = load.in_flight.saturating_sub(waiting.records);
            if left == 0 {
                break;
            }
            if room == 0 || due == 0 {
                let end = match load.until {
                    Until::Duration(duration) => began + duration,
                    Until::Records(_) => now_plus_an_hour(began, now),
                };
                tokio::select! {
                    settled = waiting.settle() => settled?,
                    () = pacer.wait(sequence), if due == 0 && room > 0 => {}
                    () = tokio::time::sleep_until(end.into()) => {}
                }
                continue;
            }
            for _ in 0..left.min(due).min(room).min(BURST) {
                let intended = load.pace.intended(sequence).unwrap_or(now);
                load.pool.fill(number, sequence, nanos(intended), &mut value);
                let delivery = producer.send(NewRecord::to(&load.topic).value(&value)).await?;
                waiting.push(delivery, intended);
                sequence += 1;
            }
            waiting.settle_now()?;
            tokio::task::yield_now().await;
        }
        // A failure comes with its delivery.
        drop(producer.flush().await);
        while waiting.records > 0 {
            waiting.settle().await?;
        }
        let Waiting { latencies, ends, .. } = waiting;
        Ok(Sent { records: sequence, latencies, ends, ended: clock::now() })
    }
}

fn now_plus_an_hour(began: Instant, now: Duration) -> Instant {
    began + now + Duration::from_secs(3600)
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Batches not acknowledged yet, by partition, in order.
struct Waiting {
    batches: BTreeMap<i32, VecDeque<Batch>>,
    records: u64,
    latencies: Latencies,
    ends: BTreeMap<i32, i64>,
    acknowledged: Arc<AtomicU64>,
    began: Instant,
}

impl Waiting {
    fn new(acknowledged: Arc<AtomicU64>, began: Instant) -> Result<Waiting, Failure> {
        let (batches, ends) = (BTreeMap::new(), BTreeMap::new());
        Ok(Waiting { batches, records: 0, latencies: Latencies::new()?, ends, acknowledged, began })
    }

    fn push(&mut self, delivery: Delivery, intended: Duration) {
        self.records += 1;
        let queue = self.batches.entry(delivery.partition()).or_default();
        match queue.back_mut() {
            Some(batch) if batch.delivery.same_batch(&delivery) => {
                batch.records += 1;
                match batch.intended.last_mut() {
                    Some((last, count)) if *last == intended => *count += 1,
                    _ => batch.intended.push((intended, 1)),
                }
            }
            _ => queue.push_back(Batch { delivery, records: 1, intended: vec![(intended, 1)] }),
        }
    }

    /// Waits for an acknowledgement and takes all there are. Cancel safe.
    async fn settle(&mut self) -> Result<(), Failure> {
        std::future::poll_fn(|cx| self.poll(Some(cx))).await
    }

    /// Takes the acknowledgements there are.
    fn settle_now(&mut self) -> Result<(), Failure> {
        match self.poll(None) {
            Poll::Ready(settled) => settled,
            Poll::Pending => Ok(()),
        }
    }

    fn poll(&mut self, mut cx: Option<&mut TaskContext<'_>>) -> Poll<Result<(), Failure>> {
        let mut any = false;
        for queue in self.batches.values_mut() {
            while let Some(batch) = queue.front_mut() {
                let outcome = match &mut cx {
                    Some(cx) => Pin::new(&mut batch.delivery).poll(cx),
                    None => batch.delivery.outcome().map_or(Poll::Pending, Poll::Ready),
                };
                let Poll::Ready(outcome) = outcome else { break };
                let receipt = match outcome {
                    Ok(receipt) => receipt.batch,
                    Err(error) => return Poll::Ready(Err(error.into())),
                };
                if let Some(last) = receipt.last_offset {
                    let end = self.ends.entry(receipt.partition).or_default();
                    *end = last.saturating_add(1).max(*end);
                }
                let now = clock::now().saturating_duration_since(self.began);
                for (intended, count) in &batch.intended {
                    self.latencies.add(now.saturating_sub(*intended), *count);
                }
                self.records -= batch.records;
                self.acknowledged.fetch_add(batch.records, Ordering::Relaxed);
                queue.pop_front();
                any = true;
            }
        }
        if any { Poll::Ready(Ok(())) } else { Poll::Pending }
    }
}
